"""The page's server as a process of its own, and uploads to it."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selfmis_plugin.metrics.calibrated import PersonLine
from tests.support import environment

FILES = "application/octet-stream"


@dataclass(frozen=True)
class Served:
    """A server that answers."""

    process: subprocess.Popen[str]
    port: int
    log: Path
    temporary: Path

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        """Status, headers and content of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.closing(connection):
            connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()

    def upload(
        self, files: Sequence[tuple[str, bytes]], path: str = "/predict", **said: str
    ) -> tuple[int, bytes]:
        """Status and content of the answer to files."""
        status, _, content = self.ask("POST", path, packed(files, **said), {"Content-Type": FILES})
        return status, content

    def predict(self, *files: tuple[str, bytes], **said: str) -> dict[str, Any]:
        """What is said of files, which must be answered."""
        status, content = self.upload(files, **said)
        assert status == 200, content
        return dict(json.loads(content))


def with_age_and_sex(model: Path, dest: Path) -> Path:
    """A copy of an exported folder that has a line of age and sex for AMI."""
    shutil.copytree(model, dest)
    config = json.loads((dest / "config.json").read_text())
    line = PersonLine(1.0, -0.5, 0.3, -0.1, 0.4, -0.1, -0.6, 9)
    config["with_age_and_sex"] = {"AMI": line.to_dict()}
    (dest / "config.json").write_text(json.dumps(config))
    return dest


def packed(files: Sequence[tuple[str, bytes]], **said: str) -> bytes:
    """An upload as the page sends it."""
    listed = [{"name": name, "size": len(content)} for name, content in files]
    line = json.dumps({"files": listed, **said}).encode()
    return b"\n".join([line, b"".join(content for _, content in files)])


@contextlib.contextmanager
def serving(model: Path, folder: Path, *options: str) -> Iterator[Served]:
    """Serve a model at a free port, until Ctrl-C; what the process says is in ``log``."""
    call = [sys.executable, "-m", "selfmis_plugin.cli.main", "serve", "--model", str(model)]
    temporary = folder / "temporary"
    temporary.mkdir()
    log = folder / "log"
    with log.open("w") as said:
        process = subprocess.Popen(
            [*call, "--port", "0", *options],
            env=environment(TMPDIR=str(temporary), OMP_NUM_THREADS="1"),
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
        )
    try:
        assert process.stdout is not None
        address = re.match(r"Open http://.*:(\d+)/ ", process.stdout.readline())
        assert address is not None, log.read_text()
        yield Served(process, int(address[1]), log, temporary)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 0, log.read_text()
    finally:
        process.kill()
        process.communicate(timeout=60)
