"""Files that are there whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from selfmis_plugin.utils.files import whole_file, write_json


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
