"""What all commands share: spellings, JSON, names of records and labels, completion."""

from __future__ import annotations

import functools
import io
import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from selfmis_plugin.cli import main as command_line
from selfmis_plugin.cli.evaluate_text import lines_of
from selfmis_plugin.cli.main import COMMANDS, main
from selfmis_plugin.data.labels import INFARCTION_NAMES, INFARCTION_TYPES, infarctions_first
from selfmis_plugin.data.store import Store, StoreError
from selfmis_plugin.metrics.wilson import wilson_interval
from tests.checkpoint_files import write_classifier, write_towers
from tests.strip_files import ENGLISH, lead_one, write_watch
from tests.support import environment, write_store

RUN = [sys.executable, "-m", "selfmis_plugin.cli.main"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_store(tmp_path_factory.mktemp("data") / "s", {"train": 5, "valid": 20, "test": 30})


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_classifier(tmp_path_factory.mktemp("model") / "c.pt")


@pytest.fixture(scope="module")
def strips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("strips")
    (folder / "deeper").mkdir()
    write_watch(folder / "b.csv", lead_one(10, 512), ENGLISH)
    write_watch(folder / "deeper/a.csv", lead_one(20, 512, patient=1), ENGLISH)
    (folder / "notes.docx").write_bytes(b"no ECG")
    return folder


def test_json_goes_to_the_standard_output_alone(
    data: Path, model: Path, strips: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for call in (
        ["evaluate", "--checkpoint", str(model), "--data", str(data), "--draws", "0"],
        ["predict", "--model", str(model), str(strips / "b.csv")],
    ):
        assert main([*call, "--json", "-"]) == 0
        shown = capsys.readouterr()
        assert "AMI" in json.dumps(json.loads(shown.out))
        assert "anterior infarction" in shown.err
    for call in (["doctor", "--json"], ["doctor", "--json", "-"]):
        main(call)
        assert "facts" in json.loads(capsys.readouterr().out)


def test_predict_takes_folders_and_the_standard_input(
    model: Path, strips: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    content = (strips / "b.csv").read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    call = ["predict", "--model", str(model), str(strips), "-", "--json", "-"]
    assert main(call) == 0
    files = {file["file"]: file for file in json.loads(capsys.readouterr().out)["files"]}
    assert list(files) == ["b.csv", "deeper/a.csv", "standard input"]
    assert files["standard input"]["labels"] == files["b.csv"]["labels"]
    # What cannot be read does not keep the rest from the user.
    empty = strips / "deeper/none"
    empty.mkdir()
    assert main(["predict", "--model", str(model), str(empty), str(strips / "b.csv")]) == 1
    shown = capsys.readouterr()
    assert "b.csv: 1 of 1 windows scored" in shown.out and "none: no recording" in shown.err


def test_records_are_found_whatever_their_zeros(tmp_path: Path) -> None:
    store = Store.open(write_store(tmp_path / "s", {"train": 12}))
    assert store.find("7") == store.find("00007") == store.find("007") == 7
    with pytest.raises(StoreError, match="has no record '12': names are in"):
        store.find("12")
    names = iter(["17", "00017", "a/03", "b-0"])
    both = Store.open(write_named(tmp_path / "both", list(names)))
    with pytest.raises(StoreError, match="has the records '17' and '00017', and '17' may be"):
        both.find("17")
    with pytest.raises(StoreError, match="'017' may be either"):
        both.find("017")
    assert (both.find("00017"), both.find("a/3"), both.find("b-0")) == (1, 2, 3)


def write_named(path: Path, names: list[str]) -> Path:
    from selfmis_plugin.data.store import StoreWriter

    with StoreWriter(path, database="x", label_sets={}) as writer:
        for name in names:
            row = {"record_id": name, "patient_id": name, "source": name, "split": "train"}
            writer.append(np.zeros((12, 5000), dtype=np.int16), row)
    return path


def test_show_takes_a_number_and_lists_all_labels(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    many = tuple(f"L{k:02d}" for k in range(28))
    store = write_store(
        tmp_path / "s", {"train": 60}, diagnoses=(*many, "PMI", "AMI"), drawn=(*many, "PMI", "AMI")
    )
    assert main(["show", str(store), "--dpi", "30"]) == 0
    said = capsys.readouterr().out
    assert "10 more labels (--all-labels lists them)" in said
    assert main(["show", str(store), "--dpi", "30", "--all-labels"]) == 0
    lines = capsys.readouterr().out.splitlines()
    first = next(k for k, line in enumerate(lines) if line.startswith("label"))
    assert lines[first + 1].startswith("AMI") and lines[first + 1].endswith("anterior infarction")
    assert lines[first + 2].startswith("PMI")
    assert all(any(line.startswith(name) for line in lines) for name in many)
    assert main(["show", str(store), "--record", "7", "--dpi", "30"]) == 0
    assert (tmp_path / capsys.readouterr().out.strip()).is_file()


def test_infarction_types_come_first_and_in_words(
    data: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert set(INFARCTION_NAMES) == set(INFARCTION_TYPES)
    assert infarctions_first(["NORM", "PMI", "SR", "AMI"]) == ["AMI", "PMI", "NORM", "SR"]
    for draws in ("0", "10"):
        call = ["evaluate", "--model", str(model), "--data", str(data), "--draws", draws]
        assert main(call) == 0
        lines = capsys.readouterr().out.splitlines()
        first = next(k for k, line in enumerate(lines) if line.startswith("label"))
        rows = [line.split()[0].rstrip("*") for line in lines[first + 1 : first + 6]]
        assert rows == ["any", "AMI", "IMI", "PMI", "NORM"]
        assert lines[first + 3].endswith("inferior infarction")


def test_retrieval_comes_in_percent_with_chance_and_intervals(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    towers = write_towers(tmp_path / "t.pt")
    out = tmp_path / "e.json"
    call = ["evaluate", "--checkpoint", str(towers), "--data", str(data), "--json", str(out)]
    assert main(call) == 0
    figures = json.loads(out.read_text())
    said = capsys.readouterr().out
    # Values stay shares.
    assert 0 <= figures["r1"] <= figures["r5"] <= figures["r10"] <= 1
    low, high = wilson_interval(figures["r5"], 30)
    line = next(line for line in said.splitlines() if line.startswith("R@5"))
    wanted = f"R@5 {100 * figures['r5']:.1f} % ({100 * low:.1f}, {100 * high:.1f}) % 17 %"
    assert line.split() == wanted.split()
    assert "by chance 15.5" in said
    few = lines_of({**figures, "records": 5, "r1": 0.2, "r5": 1.0, "r10": 1.0}, "record")
    chances = {line.split()[0]: line.split()[-2] for line in few if line.startswith("R@")}
    assert chances == {"R@1": "20", "R@5": "100", "R@10": "100"}
    assert main([*call, "--level", "patient"]) == 1
    assert "--level patient need a classifier's checkpoint" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "spellings"),
    [
        ("evaluate", ["--checkpoint", "--model"]),
        ("embed", ["--checkpoint", "--model", "--out", "--dest"]),
        ("report", ["--checkpoint", "--model", "--dest", "--out"]),
        ("export", ["--checkpoint", "--model", "--dest", "--out"]),
        ("predict", ["--checkpoint", "--model", "--rate", "--sample-rate", "--unit", "--units"]),
        ("show", ["--out", "--dest"]),
        ("demo", ["--dest", "--out"]),
        ("prepare ptbxl", ["--dest", "--out"]),
        ("prepare ecg_files", ["--rate", "--sample-rate", "--unit", "--units"]),
        ("prepare recordings", ["--rate", "--sample-rate", "--unit", "--units", "--out"]),
        ("prepare export", ["--rate", "--sample-rate", "--out"]),
        ("prepare view", ["--rate", "--sample-rate", "--out"]),
        ("benchmark mi", ["--dest", "--out"]),
    ],
)
def test_either_spelling_is_known(
    command: str, spellings: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*command.split(), "--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert all(f"{spelling} " in said for spelling in spellings)


def test_a_target_is_named_and_not_what_is_written_in_its_place(
    tmp_path: Path, data: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "x" * 252 + ".json"
    call = ["evaluate", "--model", str(model), "--data", str(data), "--draws", "0"]
    assert main([*call, "--json", str(tmp_path / name)]) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert f"{tmp_path / name}: cannot be written: File name too long" in said
    assert "partial" not in said and list(tmp_path.iterdir()) == []


def complete(line: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", "from selfmis_plugin.cli.main import main; main()"],
        env=environment(
            _ARGCOMPLETE="1",
            COMP_LINE=line,
            COMP_POINT=str(len(line)),
            _ARGCOMPLETE_SHELL="bash",
            _ARGCOMPLETE_STDOUT_FILENAME="/dev/stderr",
            _ARGCOMPLETE_IFS="\n",
        ),  # fmt: skip
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return [word.strip() for word in done.stderr.split("\n") if word.strip()]


def test_a_shell_can_complete_commands_and_options() -> None:
    assert set(complete("selfmis pre")) == {"predict", "prepare"}
    assert set(COMMANDS) <= set(complete("selfmis "))
    assert {"--checkpoint", "--model"} <= set(complete("selfmis evaluate --"))
    assert complete("selfmis show x --lay") == ["--layout"]
    assert {"3x4", "12x1"} == set(complete("selfmis show x --layout "))
    assert {"ecg_files", "ptbxl"} <= set(complete("selfmis prepare "))


WITHOUT_HOST = """
import sys
for name in ("omegaconf", "hydra", "fairseq", "fairseq_cli", "fairseq_signals"):
    sys.modules[name] = None
from selfmis_plugin.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


def test_without_a_host_a_command_says_how_to_get_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    call = [sys.executable, "-c", WITHOUT_HOST, "train", "selfmis_pretrain"]
    done = subprocess.run(
        call, env=environment(), capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "No training toolkit is installed" in done.stderr and "pip install" in done.stderr

    # Of a command that meets the lack later.
    def lacking(argv: object) -> int:
        raise ModuleNotFoundError("No module named 'omegaconf'", name="omegaconf")

    monkeypatch.setattr(command_line._module("benchmark"), "main", lacking)
    assert main(["benchmark"]) == 1
    assert "selfmis benchmark: No training toolkit is installed" in capsys.readouterr().err


def test_an_interrupted_command_ends_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(argv: object) -> int:
        raise KeyboardInterrupt

    for name in COMMANDS:
        module = command_line._module(name)
        monkeypatch.setattr(module, "main", interrupt)
        assert main([name]) == 130
        said = capsys.readouterr().err.strip().splitlines()
        assert len(said) == 1 and said[0].startswith(f"selfmis {name}: interrupted; ")


def test_ctrl_c_while_predicting_leaves_no_traceback(model: Path) -> None:
    call = [*RUN, "predict", "--model", str(model), "-"]
    process = subprocess.Popen(
        call,
        env=environment(),
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # Whoever runs the tests in the background has Ctrl-C ignored, in all their processes.
        preexec_fn=functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdin is not None
    # A pipe holds less: what is written is being read.
    process.stdin.write(b"1\n" * (1 << 20))
    process.stdin.flush()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130, said
    assert said.decode().strip() == "selfmis predict: interrupted; nothing was written"
