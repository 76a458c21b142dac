"""Models by their name on the hub, against a stand-in of its interface on this machine."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from selfmis_plugin.cli.main import main
from selfmis_plugin.evaluation.evaluate import evaluate
from selfmis_plugin.predict.model import load_model
from selfmis_plugin.utils.hub import HubError, on_this_machine
from tests.checkpoint_files import write_classifier
from tests.strip_files import ENGLISH, lead_one, write_watch
from tests.support import environment, write_store

REVISION = "a" * 40


@dataclass
class Hub:
    """A repository ``lab/strip`` as the hub serves it, and what it was asked for."""

    folder: Path
    asked: list[str] = field(default_factory=list)
    pushed: dict[str, bytes] = field(default_factory=dict)
    made: list[dict[str, object]] = field(default_factory=list)
    url: str = ""


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    checkpoint = write_classifier(folder / "c.pt")
    call = ["export", "--checkpoint", str(checkpoint), "--dest", str(folder / "exported")]
    assert main(call) == 0
    return folder / "exported"


@pytest.fixture
def hub(exported: Path, tmp_path: Path) -> Iterator[Hub]:
    (exported / "code.py").write_text("raise SystemExit('was run')")
    found = Hub(exported)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self.answer(False)

        def do_GET(self) -> None:
            self.answer(True)

        def do_POST(self) -> None:
            path = self.path.partition("?")[0]
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if "chunked" in self.headers.get("Transfer-Encoding", ""):
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
            said: dict[str, object] = {}
            status = 200
            if self.headers.get("Authorization") != "Bearer secret":
                status = 401
            elif path == "/api/repos/create":
                found.made.append(json.loads(body))
                said = {"url": f"{found.url}/lab/mine", "name": "lab/mine"}
            elif path == "/api/validate-yaml":
                said = {"errors": [], "warnings": []}
            elif path == "/api/models/lab/mine/preupload/main":
                files = json.loads(body)["files"]
                plain = {"uploadMode": "regular", "shouldIgnore": False}
                said = {"files": [{"path": file["path"], **plain} for file in files]}
            elif path == "/api/models/lab/mine/commit/main":
                for line in body.splitlines():
                    one = json.loads(line)
                    if one["key"] == "file":
                        content = base64.b64decode(one["value"]["content"])
                        found.pushed[one["value"]["path"]] = content
                url = f"{found.url}/lab/mine/commit/{REVISION}"
                said = {"success": True, "commitOid": REVISION, "commitUrl": url}
            else:
                status = 404
            content = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def answer(self, whole: bool) -> None:
            path = self.path.partition("?")[0]
            found.asked.append(path)
            files = {file.name: file.read_bytes() for file in exported.iterdir()}
            entries = [
                {
                    "type": "file",
                    "path": name,
                    "size": len(content),
                    "oid": hashlib.sha1(content).hexdigest(),
                }
                for name, content in files.items()
            ]
            siblings = [{"rfilename": name} for name in files]
            about = {"id": "lab/strip", "sha": REVISION, "siblings": siblings}
            name = path.rpartition("/")[2]
            headers = {"X-Repo-Commit": REVISION}
            status = 200
            if path in ("/api/models/lab/strip", "/api/models/lab/strip/revision/main"):
                content = json.dumps(about).encode()
            elif path == f"/api/models/lab/strip/tree/{REVISION}":
                content = json.dumps(entries).encode()
            elif path == f"/lab/strip/resolve/{REVISION}/{name}" and name in files:
                content = files[name]
                headers["ETag"] = f'"{hashlib.sha1(content).hexdigest()}"'
            else:
                status, content = 404, b"{}"
                headers["X-Error-Code"] = "RepoNotFound"
            self.send_response(status)
            for key, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(key, value)
            self.end_headers()
            if whole:
                self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    found.url = f"http://127.0.0.1:{server.server_port}"
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_model_is_fetched_by_its_name(hub: Hub, tmp_path: Path) -> None:
    strip = write_watch(tmp_path / "strip.csv", lead_one(10, 512), ENGLISH)
    program = (
        "import sys, json\n"
        "from selfmis_plugin.cli.main import main\n"
        "call = ['predict', sys.argv[1], '--json', sys.argv[2], '--model']\n"
        "print(main([*call, 'hf:lab/strip']), main([*call, 'hf:lab/none']))\n"
    )
    home = tmp_path / "home"
    done = subprocess.run(
        [sys.executable, "-c", program, str(strip), str(tmp_path / "p.json")],
        env=environment(HF_ENDPOINT=hub.url, HF_HOME=str(home), HF_HUB_DISABLE_TELEMETRY="1"),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.splitlines()[-1] == "0 1", done.stderr
    assert "hf:lab/none: the hub does not give it" in done.stderr
    assert "Traceback" not in done.stderr
    found = json.loads((tmp_path / "p.json").read_text())
    assert found["model"] == "hf:lab/strip"
    wanted = load_model(hub.folder).predict(lead_one(10, 512).round(3), 512, "uV").results
    (file,) = found["files"]
    assert file["labels"].keys() == wanted.keys()
    for label, result in wanted.items():
        assert file["labels"][label]["probability"] == pytest.approx(result.probability, abs=1e-5)
    # Nothing but a model's own files was asked for.
    fetched = {path.rpartition("/")[2] for path in hub.asked if "/resolve/" in path}
    assert fetched == {"README.md", "config.json", "model.safetensors"}


def test_a_model_is_judged_by_its_name(hub: Hub, tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub")
    store = write_store(tmp_path / "store", {"train": 5, "valid": 5, "test": 30})
    program = (
        "import sys\n"
        "from selfmis_plugin.cli.main import main\n"
        "model = ['--checkpoint', 'hf:lab/strip', '--data', sys.argv[1]]\n"
        "again = ['--against', 'hf:lab/strip', '--draws', '0', '--json', sys.argv[2]]\n"
        "print(main(['evaluate', *model, *again]),\n"
        "      main(['report', *model, '--draws', '20', '--worst', '0', '--dest', sys.argv[3]]),\n"
        "      main(['embed', *model, '--out', sys.argv[3] + '/e.npy']),\n"
        "      main(['evaluate', '--checkpoint', 'hf:lab/none', '--data', sys.argv[1]]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(store), *(str(tmp_path / n) for n in ("f.json", "r"))],
        env=environment(
            HF_ENDPOINT=hub.url, HF_HOME=str(tmp_path / "home"), HF_HUB_DISABLE_TELEMETRY="1"
        ),
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stdout.splitlines()[-1] == "0 0 0 1", done.stderr
    assert "hf:lab/none: the hub does not give it" in done.stderr
    figures = json.loads((tmp_path / "f.json").read_text())
    # As it was typed, and not where the copy lies.
    assert figures["checkpoint"] == figures["against"] == "hf:lab/strip"
    assert figures["mi_auc"] == evaluate(hub.folder, store, "test")["mi_auc"]
    page = (tmp_path / "r/report.html").read_text()
    assert "Model: hf:lab/strip, which reads lead I" in page and str(tmp_path / "home") not in page
    assert np.load(tmp_path / "r/e.npy").shape[0] == 30


def test_a_folder_is_pushed_whole(hub: Hub, tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from selfmis_plugin.cli.main import main\n"
        "call = ['export', '--checkpoint', sys.argv[1], '--push', 'lab/mine', '--dest']\n"
        "first = main([*call, sys.argv[2]])\n"
        "import os; os.environ['HF_TOKEN'] = 'wrong'\n"
        "print(first, main([*call, sys.argv[3]]))\n"
    )
    dests = [str(tmp_path / "one"), str(tmp_path / "two")]
    done = subprocess.run(
        [sys.executable, "-c", program, str(hub.folder.parent / "c.pt"), *dests],
        env=environment(
            HF_ENDPOINT=hub.url,
            HF_HOME=str(tmp_path / "home"),
            HF_TOKEN="secret",
            HF_HUB_DISABLE_TELEMETRY="1",
        ),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.splitlines()[-1] == "0 1", done.stderr
    assert "uploaded: hf:lab/mine" in done.stdout and "Traceback" not in done.stderr
    (made,) = hub.made
    assert (made["organization"], made["name"]) == ("lab", "mine")
    # As older and newer versions of the library say it.
    assert made.get("private") or made.get("visibility") == "private"
    assert hub.pushed == {file.name: file.read_bytes() for file in (tmp_path / "one").iterdir()}
    # What could be written here is, whatever the hub says.
    assert "the hub does not take it" in done.stderr and "two is written" in done.stderr
    assert load_model(tmp_path / "two").labels == load_model(hub.folder).labels


def test_a_repository_is_checked_before_anything_is_done(
    tmp_path: Path, hub: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    call = ["export", "--checkpoint", str(hub.folder), "--dest", str(tmp_path / "x")]
    with pytest.raises(SystemExit):
        main([*call, "--push", "mine"])
    assert "write ORG/NAME" in capsys.readouterr().err and not (tmp_path / "x").exists()


@pytest.mark.parametrize("name", ["hf:", "hf:strip", "hf:lab/../x", "hf:a/b/c", "hf:/etc/passwd"])
def test_what_is_no_name_asks_no_network(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(HubError, match="is no name of the hub"):
        on_this_machine(name)
    assert main(["predict", "--model", name, "strip.csv"]) == 1
    assert "write hf:ORG/NAME" in capsys.readouterr().err


def test_a_mistyped_path_asks_no_network(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert main(["predict", "--model", "lab/strip", "strip.csv"]) == 1
    assert "huggingface_hub" not in capsys.readouterr().err
    with pytest.raises(HubError, match="pip install huggingface_hub"):
        load_model("hf:lab/strip")
