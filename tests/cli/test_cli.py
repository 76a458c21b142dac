"""What all commands of ``selfmis`` have in common."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from selfmis_plugin.cli.main import main
from tests.support import environment


@pytest.mark.parametrize(
    ("arguments", "unbuffered"),
    [
        (["prepare", "synthetic", "cohort", "--records", "1"], ""),
        (["prepare", "synthetic", "cohort", "--records", "1"], "1"),
        (["show", "{store}", "--dpi", "30"], "1"),
        (["doctor", "--json"], "1"),
    ],
)
def test_a_reader_who_leaves_is_no_error_worth_a_word(
    arguments: list[str], unbuffered: str, store: Path, tmp_path: Path
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [
        sys.executable,
        "-m",
        "selfmis_plugin.cli.main",
        *(a.format(store=store) for a in arguments),
    ]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(PYTHONUNBUFFERED=unbuffered),
    )
    os.close(writing)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr and "Broken" not in done.stderr


@pytest.mark.parametrize(
    "command",
    [
        "demo --seeds 0",
        "demo --scale none",
        "report --checkpoint a --data b --dest c --draws 0",
        "embed --checkpoint a --data b --out c.npy --batch-size 0",
        "prepare synthetic cohort --records -3",
        "prepare fraction store --label-fraction 0.5 --dest share --seed x",
        "predict --model a --rate 0 file",
    ],
)
def test_impossible_numbers_are_refused_before_anything_is_done(
    command: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        main(command.split())
    assert stopped.value.code == 2
    assert " is not a " in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("predict a.csv --workers 2", "are for --dest DIR"),
        ("predict a.csv --dest said --all-labels", "has all labels anyway"),
        ("predict a.csv --dest said --workers 2 --scheduler tcp://h:1", "leave one of them out"),
        ("predict - -", "can be read once"),
        ("embed --checkpoint a --data b --out c.npy --workers 1", "are for --out FOLDER"),
        ("embed --checkpoint a --data b --out c --workers 2 --scheduler tcp://h:1", "leave one"),
        ("evaluate --checkpoint a --data b --against-labels x", "give that too"),
        ("evaluate --checkpoint a --data b --draws 0 --level patient", "not with --draws 0"),
        ("export --checkpoint a --dest b --specificity 0.8", "needs --data"),
        ("show store --layout 12x1", "give --record"),
        ("prepare export a --dest b --format fairseq-signals --label-set all", "writes no labels"),
        ("prepare ptbxl a --dest b --workers 2 --scheduler tcp://h:1", "leave one of them out"),
        ("prepare ptbxl a --dest b --seed 3", "give --label-fraction too"),
    ],
)
def test_what_would_be_ignored_is_refused(
    command: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        assert main(command.split()) == 1
    except SystemExit as stopped:
        assert stopped.code == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_what_an_output_cannot_hold_is_escaped(
    encoding: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding, errors="strict"))
    dest = tmp_path / os.fsdecode(b"n\xff")
    assert main(["prepare", "synthetic", str(dest), "--records", "1"]) == 0
    assert rb"n\udcff: ptbxl, 1 records" in written.getvalue()
