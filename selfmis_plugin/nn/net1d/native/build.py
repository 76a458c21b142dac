"""Machine code for the processor at hand, compiled where it is first needed.

What is compiled is kept in the user's cache folder (``$XDG_CACHE_HOME/selfmis``, else
``~/.cache/selfmis``), where files of earlier versions stay and may be deleted.  Only its user can
enter that folder; one that others could write to is replaced.  Where there is no compiler, or the
processor is another, nothing is lost but speed: PyTorch's own operators do the same.
``SELFMIS_NATIVE=0`` keeps to them.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import logging
import os
import platform
import shlex
import subprocess
from pathlib import Path

from selfmis_plugin.utils.files import sync, whole_file
from selfmis_plugin.utils.private import cache_folder, is_private

__all__ = ["library"]

logger = logging.getLogger(__name__)

_SOURCES = sorted(Path(__file__).parent.glob("*.cpp"))
_HEADERS = sorted(Path(__file__).parent.glob("*.h"))
#: Every processor with AVX-512 has these too.
_NEEDED = {"avx2", "fma"}
_FLAGS = ("-O3", "-march=native", "-std=c++17", "-fPIC", "-shared", "-fopenmp", "-w")


@functools.cache
def library() -> ctypes.CDLL | None:
    """Return the compiled functions; None, with a line in the log, where there can be none."""
    if os.environ.get("SELFMIS_NATIVE") == "0":
        return None
    processor = _processor()
    if not {*processor.split()} >= _NEEDED:
        logger.info("this processor has neither AVX-512 nor AVX2: PyTorch's own operators are used")
        return None
    try:
        compiled = _compiled(processor)
        try:
            return ctypes.CDLL(str(compiled))
        except OSError:  # cut short, as by a full disk
            compiled.unlink()
            return ctypes.CDLL(str(_compiled(processor)))
    # Path.home() raises RuntimeError where a user has none, and shlex ValueError.
    except (OSError, RuntimeError, ValueError, subprocess.SubprocessError) as error:
        why = getattr(error, "stderr", None) or error
        logger.info(
            "PyTorch's own operators are used, which takes longer; to change that, "
            "install a C++ compiler (g++ 11 or later, or name one in CXX): %s",
            why,
        )
        return None


def _processor() -> str:
    """What the processor can do, in Linux's words; empty elsewhere."""
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        return ""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        return next((line for line in file if line.startswith("flags")), "")


def _compiled(processor: str) -> Path:
    compiler = shlex.split(os.environ.get("CXX") or "g++")
    command = [*compiler, *_FLAGS, *map(str, _SOURCES)]
    version = subprocess.run([*compiler, "--version"], capture_output=True, text=True, check=True)
    texts = [source.read_text(encoding="utf-8") for source in (*_SOURCES, *_HEADERS)]
    parts = (*texts, version.stdout, processor, *compiler, *_FLAGS)
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
    target = cache_folder() / f"native-{digest}.so"
    # What others could have written is written anew, and never loaded.
    if not is_private(target):
        with whole_file(target, mode=0o600) as temporary:
            subprocess.run(
                [*command, "-o", str(temporary)], capture_output=True, text=True, check=True
            )
            sync(temporary)
    return target
