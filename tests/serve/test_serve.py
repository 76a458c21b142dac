"""The page's server, by a real socket: what it answers, whom it refuses, and what it leaves."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import sys
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from selfmis_plugin.cli.main import main
from selfmis_plugin.predict.model import load_model
from selfmis_plugin.serve import app as app_module
from selfmis_plugin.serve.app import application
from selfmis_plugin.serve.document import document
from selfmis_plugin.serve.folder import laid_out
from selfmis_plugin.serve.scorer import Scorer
from selfmis_plugin.serve.upload import MOST_BYTES, UploadedFile, UploadError, read_upload
from tests.checkpoint_files import write_classifier
from tests.served import FILES, Served, packed, serving, with_age_and_sex
from tests.strip_files import ENGLISH, lead_one, write_watch
from tests.support import write_store
from tests.wfdb_files import write_record

NAME = "Erika Mustermann 1960.csv"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported folder: with thresholds and calibration."""
    folder = tmp_path_factory.mktemp("model")
    data = write_store(folder / "store", {"train": 5, "valid": 60, "test": 5})
    checkpoint = write_classifier(folder / "c.pt")
    call = ["export", "--checkpoint", str(checkpoint), "--data", str(data)]
    assert main([*call, "--dest", str(folder / "exported")]) == 0
    return folder / "exported"


@pytest.fixture(scope="module")
def served(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(model, tmp_path_factory.mktemp("served")) as found:
        yield found


@pytest.fixture(scope="module")
def strips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Recordings of ten hearts, of 10 s each."""
    folder = tmp_path_factory.mktemp("strips")
    return [
        write_watch(folder / f"{k}.csv", lead_one(10, 512, patient=k), ENGLISH) for k in range(10)
    ]


def leftovers(served: Served) -> list[Path]:
    return [*served.temporary.iterdir(), *Path("/dev/shm").glob("selfmis-*")]


def test_it_says_what_predict_says(
    served: Served, model: Path, strips: list[Path], tmp_path: Path
) -> None:
    long = write_watch(tmp_path / "long.csv", lead_one(35, 512), ENGLISH)
    out = tmp_path / "p.json"
    assert main(["predict", "--model", str(model), "--json", str(out), str(long)]) == 0
    found = served.predict((long.name, long.read_bytes()))
    # But for where the model lies.
    assert found["answer"] == {**json.loads(out.read_text()), "model": "exported"}
    (recording,), (strip,) = found["answer"]["files"], found["strips"]
    assert recording["labels"]["AMI"]["threshold"] is not None
    # What is drawn: the windows that the model was given, without padding, and their R peaks.
    assert len(strip["windows"]) == len(recording["windows"]) == 4 and strip["rate"] == 500
    for window in strip["windows"]:
        signal = np.array(window["signal"][0])
        peaks = np.round(np.array(window["beats"]) * 500).astype(int)
        assert len(signal) == 5000 and 5 <= len(peaks) <= 25
        around = [np.abs(signal[max(0, p - 40) : p + 40]).max() for p in peaks]
        np.testing.assert_array_less(0.5 * np.abs(signal).max(), np.median(around))
    status, _, content = served.ask("GET", "/model")
    facts = json.loads(content)
    assert status == 200 and facts["labels"][:2] == [
        {"label": "any infarction", "words": "", "infarction": True},
        {"label": "AMI", "words": "anterior infarction", "infarction": True},
    ]
    assert "specificity of" in facts["threshold"] and facts["trained_on"]
    assert facts["note"] == "For research, not for diagnosis."


def test_several_files_and_bad_ones(served: Served, strips: list[Path], tmp_path: Path) -> None:
    write_record(tmp_path / "w", np.rint(lead_one(10))[None].astype(np.int64), leads=["I"])
    record = [(name, (tmp_path / name).read_bytes()) for name in ("w.dat", "w.hea")]
    good = strips[0].read_bytes()
    found = served.predict(
        ("a.csv", good),
        ("notes.docx", b"no ECG"),
        *record,
        ("lonely.hea", b"lonely 1 500 5000\nlonely.dat 16 200/mV 16 0 0 0 0 I\n"),
        ("a.csv", strips[1].read_bytes()),
        ("../../etc/b.csv", good[: len(good) // 40]),
        ("evil.hea", b"evil 1 500 5000\n../../../etc/passwd 16 200/mV 16 0 0 0 0 I\n"),
        ("<img src=x onerror=alert(1)>.npy", b"\x93NUMPY broken"),
    )["answer"]
    assert [file["file"] for file in found["files"]] == ["a.csv", "w.hea", "a.csv"]
    first, _, second = found["files"]
    assert first["labels"] != second["labels"]
    problems = found["not_read"]
    assert [text.split(":")[0] for text in problems] == [
        "notes.docx",
        "lonely.dat",
        "b.csv",
        "evil.hea",
        "<img src=x onerror=alert(1)>.npy",
    ]
    assert "convert it" in problems[0] and "lonely.hea names it" in problems[1]
    assert not any(str(part) in text for text in problems for part in ("/tmp", "/dev/shm", "root:"))
    (alone,) = served.predict(("a.csv", good))["answer"]["files"]
    for label, result in alone["labels"].items():
        assert result["probability"] == pytest.approx(first["labels"][label]["probability"], 1e-5)
    # What a file does not say.
    bare = "\n".join(f"{value / 1000:.4f}" for value in lead_one(10, 250)).encode()
    assert "--rate" in served.predict(("bare.csv", bare))["answer"]["not_read"][0]
    told = served.predict(("bare.csv", bare), rate="250", unit="mV")["answer"]
    assert told["files"] and not told["not_read"]
    status, content = served.upload([("bare.csv", bare)], rate="fast")
    assert status == 400 and "'fast' is not a number above zero" in content.decode()


@pytest.fixture(scope="module")
def asks_persons(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server of a model with lines of age and sex."""
    folder = tmp_path_factory.mktemp("persons")
    with serving(with_age_and_sex(model, folder / "model"), folder) as found:
        yield found


def test_age_and_sex_are_used_as_in_predict(
    served: Served, asks_persons: Served, strips: list[Path], tmp_path: Path
) -> None:
    file = (strips[0].name, strips[0].read_bytes())
    told = {"age": "75", "sex": "male"}
    known = asks_persons.log.parent / "model"
    call = ["predict", "--model", str(known), "--json", str(tmp_path / "p.json"), str(strips[0])]
    assert main([*call, "--age", "75", "--sex", "male"]) == 0
    answer = asks_persons.predict(file, **told)["answer"]
    assert answer == {**json.loads((tmp_path / "p.json").read_text()), "model": "model"}
    (asked,), (plain,) = answer["files"], asks_persons.predict(file)["answer"]["files"]
    assert (asked["age"], asked["sex"]) == (75, "male") and "age" not in plain
    assert asked["labels_by_age_and_sex"] == ["AMI"]
    assert asked["labels"]["AMI"] != plain["labels"]["AMI"]
    assert asked["labels"]["IMI"] == plain["labels"]["IMI"]
    assert asks_persons.upload([file], "/pdf", **told)[0] == 200
    for wrong, said in (
        ({"age": "75"}, "go together"),
        ({"sex": "male"}, "go together"),
        ({"age": "old", "sex": "male"}, "'old' is no age"),
        ({"age": "200", "sex": "male"}, "'200' is no age"),
        ({"age": "75", "sex": "M"}, "'M' is none of female and male"),
    ):
        status, content = asks_persons.upload([file], **wrong)
        assert status == 400 and said in json.loads(content)["error"]
    # Of a model that has no use for them they are refused, and its page does not ask.
    for path in ("/predict", "/pdf"):
        status, content = served.upload([file], path, **told)
        assert status == 400
        assert "knows nothing of age and sex" in json.loads(content)["error"]
    for server, asks in ((served, False), (asks_persons, True)):
        assert json.loads(server.ask("GET", "/model")[2])["age_and_sex"] is asks


def test_ten_uploads_at_once_lose_none(served: Served, model: Path, strips: list[Path]) -> None:
    def upload(path: Path) -> tuple[list[str], dict[str, Any]]:
        (found,) = served.predict((path.name, path.read_bytes()))["answer"]["files"]
        return found["file"], found["labels"]

    with ThreadPoolExecutor(10) as threads:
        answers = list(threads.map(upload, [*strips, *strips]))
    expected = load_model(model)
    for path, (name, labels) in zip([*strips, *strips], answers, strict=True):
        k = int(path.stem)
        wanted = expected.predict(np.round(lead_one(10, 512, patient=k), 3), 512, "uV").results
        assert name == path.name
        for label, result in wanted.items():
            assert labels[label]["probability"] == pytest.approx(result.probability, abs=1e-5)
    assert len({json.dumps(labels) for _, labels in answers}) == 10


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Host": "evil.example:{port}"}, 403),
        ({"Host": "127.0.0.1.evil.example"}, 403),
        ({"Host": "user@127.0.0.1"}, 403),
        ({"Host": "192.168.1.2"}, 403),
        ({"Host": "[::1]:{port}"}, 200),
        ({"Host": "LOCALHOST:{port}", "Origin": "http://localhost:{port}"}, 200),
        ({"Host": "localhost:{port}", "Origin": "http://evil.example"}, 403),
        ({"Host": "localhost:{port}", "Origin": "http://localhost:1"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
def test_only_the_page_itself_may_ask(served: Served, headers: dict[str, str], status: int) -> None:
    told = {name: value.format(port=served.port) for name, value in headers.items()}
    for method, path, body in (
        ("GET", "/", None),
        ("GET", "/model", None),
        ("POST", "/predict", packed([("a.txt", b"x")])),
    ):
        found, said, _ = served.ask(method, path, body, {"Content-Type": FILES, **told})
        assert found == status, path
        policy = said["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'") and "unsafe" not in policy
        assert "Access-Control-Allow-Origin" not in said and said["Cache-Control"] == "no-store"
        assert said["X-Content-Type-Options"] == "nosniff" and "uvicorn" not in str(said)


def test_what_is_no_upload_is_refused(served: Served) -> None:
    def status(body: bytes, kind: str = FILES, **headers: str) -> tuple[int, str]:
        found, _, content = served.ask("POST", "/predict", body, {"Content-Type": kind, **headers})
        return found, json.loads(content)["error"]

    assert status(packed([("a", b"x")]), "text/plain")[0] == 415
    assert status(b"no line")[0] == 400
    assert status(b"[]\n")[0] == status(b'{"files": 3}\n')[0] == status(b"{]\n")[0] == 400
    assert "ends early" in status(b'{"files": [{"name": "a", "size": 9}]}\nshort')[1]
    assert "more bytes" in status(packed([("a", b"x")]) + b"x")[1]
    assert "51 files" in status(packed([("a", b"")] * 51))[1]
    assert status(packed([("..", b"x")]))[0] == 400
    assert "no password" not in served.log.read_text()
    assert served.ask("GET", "/predict")[0] == 405 and served.ask("GET", "/page/x")[0] == 404
    # Nothing of what is too large is read.
    with socket.create_connection(("127.0.0.1", served.port), timeout=30) as connection:
        head = f"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: {FILES}\r\n"
        connection.sendall(f"{head}Content-Length: {2 * MOST_BYTES}\r\n\r\n".encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 413 ")


def test_a_body_without_a_length_is_limited_too(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app_module, "MOST_BYTES", 1000)
    page = application(Scorer(load_model(model), "m", "float32", 0.8), {"localhost"})
    given, answers = 0, []

    async def receive() -> dict[str, Any]:
        nonlocal given
        given += 1
        return {"type": "http.request", "body": bytes(10_000), "more_body": True}

    async def send(message: Any) -> None:
        answers.append(message)

    scope = {
        "type": "http", "method": "POST", "path": "/predict", "query_string": b"",
        "headers": [(b"host", b"localhost"), (b"content-type", FILES.encode())],
    }  # fmt: skip
    asyncio.run(page(scope, receive, send))
    assert answers[0]["status"] == 413 and given < 10


def test_files_lie_in_a_private_folder_that_is_removed(tmp_path: Path) -> None:
    files = [UploadedFile("a.csv", memoryview(b"1")), UploadedFile("a.csv", memoryview(b"2"))]
    with pytest.raises(KeyError), laid_out(files) as paths:
        assert [path.read_bytes() for path in paths] == [b"1", b"2"]
        root = paths[0].parents[1]
        assert root.stat().st_mode & 0o077 == 0
        raise KeyError
    assert not root.exists()


def test_files_of_two_records_of_one_name_are_not_mixed() -> None:
    def header(name: str) -> UploadedFile:
        text = f"r 1 500 5000\n{name} 16 200 16 0 0 0 0 I\n".encode()
        return UploadedFile("r.hea", memoryview(text))

    def signal(name: str) -> UploadedFile:
        return UploadedFile(name, memoryview(bytes(10_000)))

    # Whichever comes first, nothing says whose signal it is.
    for files in (
        [header("r.dat"), header("r.dat"), signal("r.dat")],
        [header("r.dat"), signal("r.dat"), signal("r.dat")],
        [signal("r.dat"), header("r.dat"), header("r.dat"), signal("r.dat")],
        [header("x.dat"), signal("x.dat"), header("y.dat"), signal("y.dat")],
    ):
        refused = pytest.raises(UploadError, match="drop the files of one such record")
        with refused, laid_out(files):
            pass
    with laid_out([header("x.dat"), signal("x.dat"), signal("y.csv"), signal("y.csv")]) as paths:
        assert [path.name for path in paths] == ["r.hea", "y.csv", "y.csv"]


def test_names_are_names_of_no_other_place() -> None:
    for name, plain in {
        "/etc/a.csv": "a.csv",
        "C:\\x\\a.csv": "a.csv",
        "a\n\x1b[31m.csv": "a__[31m.csv",
        "ä" * 300 + ".csv": "ä" * 98 + ".csv",
    }.items():
        assert read_upload(packed([(name, b"")]), 0.8).files[0].name == plain
    for name in ("", "..", "a/..", "\ud800"):
        with pytest.raises(UploadError):
            read_upload(packed([(name, b"")]), 0.8)


def test_a_document_has_the_figures_and_no_name(
    served: Served, model: Path, tmp_path: Path
) -> None:
    long = write_watch(tmp_path / NAME, lead_one(60, 512), ENGLISH)
    status, content = served.upload([(NAME, long.read_bytes())], "/pdf")
    assert status == 200 and content.startswith(b"%PDF")
    # Two pages of words and figures, and six windows, four a page.
    assert len(re.findall(rb"/Type /Page\b", content)) == 3
    streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", content, re.DOTALL)
    drawn = b"".join(zlib.decompress(stream) for stream in streams if stream[:1] == b"x")
    # Letters stand apart, with the room between them.
    text = b"".join(re.findall(rb"\(((?:[^()\\]|\\.)*)\)", drawn))
    (found,) = served.predict((NAME, long.read_bytes()))["answer"]["files"]
    assert f"{found['labels']['AMI']['probability']:.3f}".encode() in text
    assert b"Recording 1 of 1" in text and b"not for diagnosis" in text
    assert b"Mustermann" not in text
    assert document(load_model(model), "m", [], ["x"]).startswith(b"%PDF")


def test_nothing_is_left_and_nothing_is_logged(served: Served, strips: list[Path]) -> None:
    content = strips[0].read_bytes()
    served.predict((NAME, content))
    served.predict((NAME, content[:100]), ("Erika.npy", b"\x93NUMPY"), ("Erika.hea", b"x"))
    served.upload([(NAME, content)], "/pdf")
    served.ask("POST", "/predict", packed([(NAME, content)]), {"Host": "evil.example"})
    assert leftovers(served) == []
    assert served.log.read_text() == ""


def test_a_port_that_is_taken_is_said(
    served: Served, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", "--model", str(model), "--port", str(served.port)]) == 1
    assert f"port {served.port}: cannot be listened at" in capsys.readouterr().err


def test_without_the_extra_it_says_how_to_get_it(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in sys.modules if name.startswith("selfmis_plugin.serve")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert main(["serve", "--model", str(model)]) == 1
    assert "pip install '.[serve]'" in capsys.readouterr().err
