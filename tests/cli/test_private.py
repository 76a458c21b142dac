"""What is compiled at first use is loaded only from where nobody else can write."""

from __future__ import annotations

import ctypes
import logging
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from selfmis_plugin.nn.net1d.native import build
from selfmis_plugin.utils.private import is_private, private_folder

OTHER = 12345
ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to others")

#: A compiler that takes whatever it is given, and makes a library that says which one it was.
COMPILER = """#!/bin/sh
if [ "$1" = --version ]; then echo stand-in; exit; fi
for last; do :; done
echo "int which(void) {{ return {which}; }}" > {folder}/source.c
exec cc -shared -fPIC -o "$last" {folder}/source.c
"""


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.fixture
def compiled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, umask: None
) -> Iterator[pytest.MonkeyPatch]:
    """A machine with a small compiler and a cache folder of its own."""
    compiler = tmp_path / "compiler"
    compiler.write_text(COMPILER.format(folder=tmp_path, which=1))
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("SELFMIS_NATIVE", raising=False)
    monkeypatch.setattr(build, "_processor", lambda: "flags : avx2 fma avx512f")
    build.library.cache_clear()
    yield monkeypatch
    monkeypatch.undo()
    build.library.cache_clear()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def loaded() -> Path:
    build.library.cache_clear()
    assert isinstance(build.library(), ctypes.CDLL)
    (library,) = (Path(os.environ["XDG_CACHE_HOME"]) / "selfmis").glob("native-*.so")
    return library


@pytest.mark.parametrize("mask", [0, 0o002, 0o022, 0o077, 0o777])
def test_folder_and_library_are_their_users_alone(
    compiled: pytest.MonkeyPatch, mask: int, tmp_path: Path
) -> None:
    os.umask(mask)
    library = loaded()
    assert (mode(library.parent), mode(library)) == (0o700, 0o600)
    written = library.stat().st_mtime_ns
    assert loaded().stat().st_mtime_ns == written


def plant(library: Path) -> None:
    """Put something else in place of a library, that would be seen if it were loaded."""
    library.unlink()
    library.write_bytes(b"planted")


@pytest.mark.parametrize("bits", [0o620, 0o602, 0o777])
def test_a_library_that_others_can_write_is_replaced(
    compiled: pytest.MonkeyPatch, bits: int
) -> None:
    library = loaded()
    plant(library)
    library.chmod(bits)
    assert loaded().read_bytes() != b"planted" and mode(library) == 0o600


@pytest.mark.parametrize("bits", [0o720, 0o702, 0o777])
def test_a_folder_that_others_can_write_is_replaced_once(
    compiled: pytest.MonkeyPatch, bits: int
) -> None:
    folder = loaded().parent
    (folder / "planted").touch()
    folder.chmod(bits)
    assert loaded().parent == folder and mode(folder) == 0o700
    assert not (folder / "planted").exists()
    (folder / "ours").touch()
    assert loaded() and (folder / "ours").exists()
    assert [path.name for path in folder.parent.iterdir()] == ["selfmis"]


def test_a_link_in_place_of_folder_or_library_is_not_followed(
    compiled: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    library = loaded()
    elsewhere = tmp_path / "elsewhere.so"
    elsewhere.write_bytes(b"planted")
    library.unlink()
    library.symlink_to(elsewhere)
    assert not loaded().is_symlink()
    folder = library.parent
    folder.rename(tmp_path / "moved")
    folder.symlink_to(tmp_path / "moved")
    assert loaded().parent == folder and not folder.is_symlink()
    assert elsewhere.read_bytes() == b"planted" and (tmp_path / "moved").is_dir()


@ROOT
@pytest.mark.parametrize("what", ["library", "folder"])
def test_what_is_another_users_is_replaced(compiled: pytest.MonkeyPatch, what: str) -> None:
    library = loaded()
    plant(library)
    library.chmod(0o600)
    os.chown(library if what == "library" else library.parent, OTHER, OTHER)
    assert loaded().read_bytes() != b"planted"
    assert library.stat().st_uid == library.parent.stat().st_uid == 0


@ROOT
def test_links_above_it_are_followed_if_they_are_ours(
    compiled: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "disk").mkdir()
    cache = tmp_path / "cache"
    cache.symlink_to(tmp_path / "disk")
    assert loaded().parent == cache / "selfmis"
    assert (tmp_path / "disk" / "selfmis").is_dir()
    os.chown(cache, OTHER, OTHER, follow_symlinks=False)
    build.library.cache_clear()
    with caplog.at_level(logging.INFO, "selfmis_plugin"):
        assert build.library() is None
    assert "link of another user's" in caplog.text


def test_a_file_in_place_of_the_folder_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "selfmis").touch()
    assert private_folder(tmp_path / "selfmis").is_dir()
    assert not is_private(tmp_path / "absent") and not is_private(tmp_path / "selfmis")


#: numba decides where code lies when a function is decorated, so in a process of its own.
BEATS = """
import os
os.umask(0)
import numpy as np
from selfmis_plugin.data import beats
beats._local_peaks(np.zeros(9), 2)
print(beats._local_peaks._cache.cache_path)
"""


def test_the_loops_of_beats_and_filters_are_kept_there_too(tmp_path: Path, umask: None) -> None:
    folder = tmp_path / "selfmis" / "selfmis-numba"
    folder.mkdir(parents=True)
    (folder / "planted").touch()
    folder.parent.chmod(0o777)
    variables = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "NUMBA_CACHE_DIR": ""}
    done = subprocess.run(
        [sys.executable, "-c", BEATS], env=variables, check=True, capture_output=True, text=True
    )
    place = Path(done.stdout.strip())
    assert place.parent == folder and list(place.iterdir())
    assert mode(folder) == mode(folder.parent) == 0o700 and not (folder / "planted").exists()
