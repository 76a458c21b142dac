"""Files that are there whole or not at all."""

from __future__ import annotations

import json
import os
import resource
import stat
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from selfmis_plugin.utils.disk import WriteError
from selfmis_plugin.utils.files import whole_file, whole_files, write_json
from tests.kill_points import in_child


def test_a_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "figures.json"
    write_json(path, {"a": 1})
    with pytest.raises(ValueError):
        write_json(path, {"a": float("nan")})
    with pytest.raises(RuntimeError), whole_file(path) as temporary:
        temporary.write_text("half", encoding="utf-8")
        raise RuntimeError("interrupted")
    assert json.loads(path.read_text(encoding="utf-8")) == {"a": 1}
    assert [p.name for p in path.parent.iterdir()] == ["figures.json"]


@pytest.mark.parametrize("name", ["file/figures.json", "file/a/b/figures.json"])
def test_a_file_is_no_folder_to_write_in(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    with pytest.raises(NotADirectoryError, match="file: is a file, where a folder is to be"):
        write_json(tmp_path / name, {})
    assert (tmp_path / "file").read_text(encoding="utf-8") == "mine"


def test_a_folder_is_not_written_over(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError, match="is a folder: give the name of a file"):
        write_json(tmp_path, {})
    assert not list(tmp_path.iterdir())


def test_what_killed_runs_have_left_goes_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "f.json"
    left = tmp_path / ".f.json.partial-0123abcd.json"
    mine = [
        tmp_path / name for name in (".f.json.partial-mine.json", ".g.json.partial-0123abcd.json")
    ]
    for file in (left, *mine):
        file.write_text("half")
    with whole_file(path) as of_another:  # at work while the next run sweeps
        of_another.write_text("old")
        write_json(path, {"a": 1})
        assert of_another.exists() and not left.exists()
    assert path.read_text() == "old" and all(file.exists() for file in mine)


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o007])
def test_a_file_has_what_the_umask_leaves_and_nobody_changes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mask: int
) -> None:
    """It is the whole process's: files that other threads make meanwhile would be open to all."""
    before = os.umask(mask)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(os, "umask", lambda _: pytest.fail("the umask is changed"))
            with whole_file(tmp_path / "f"), whole_files(tmp_path / "g"):
                pass
            with whole_file(tmp_path / "h", mode=0o640):
                pass
        assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o666 & ~mask
        assert stat.S_IMODE((tmp_path / "g").stat().st_mode) == 0o666 & ~mask
        assert stat.S_IMODE((tmp_path / "h").stat().st_mode) == 0o640
    finally:
        os.umask(before)


def test_long_names_are_written_too(tmp_path: Path) -> None:
    path = tmp_path / f"{'n' * 250}.json"
    write_json(path, {})
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_a_device_is_written_to_and_stays_one() -> None:
    write_json("/dev/null", {})
    assert Path("/dev/null").is_char_device()
    with pytest.raises(
        WriteError, match=r"^/dev/full: cannot be written: No space left on device: "
    ):
        write_json("/dev/full", {})


def test_files_that_belong_together_change_together(tmp_path: Path) -> None:
    paths = tmp_path / "a.txt", tmp_path / "b.txt"
    for path in paths:
        path.write_text("old")
    with pytest.raises(RuntimeError), whole_files(*paths) as (first, second):
        first.write_text("new")
        raise RuntimeError
    assert [path.read_text() for path in paths] == ["old", "old"]
    assert sorted(tmp_path.iterdir()) == sorted(paths)


def test_a_library_that_hides_a_full_disk_is_seen_through(tmp_path: Path) -> None:
    saved = {
        "w.pt": lambda path: torch.save(torch.zeros(1000), path),
        "w.npy": lambda path: np.save(path, np.zeros(1000)),
        "w.safetensors": lambda path: safetensors.torch.save_file({"w": torch.zeros(1000)}, path),
    }

    def write() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
        for name, save in saved.items():
            said = f"{name}: cannot be written: File too large"
            with pytest.raises(WriteError, match=said), whole_file(tmp_path / name) as path:
                save(path)
        assert not list(tmp_path.iterdir())

    assert in_child(write) == 0
