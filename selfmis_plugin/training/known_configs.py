"""Configs by name, with a line each; what there is, and what is nearest, where a name is wrong."""

from __future__ import annotations

import difflib
import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from selfmis_plugin.training.configs import config_folders

__all__ = ["known_configs", "nearest", "probe_of", "title_of", "unknown_config", "unknown_key"]

_SMALL = "_small"
_PROBE = "_linear_probe"


def known_configs(folders: Iterable[Path] | None = None) -> dict[str, Path]:
    """Return the configs' files by name, such as ``selfmis_pretrain`` or ``baselines/simclr``.

    Parameters
    ----------
    folders
        Where to look; by default this package's folder, then those of packages elsewhere. Of two
        files of one name the first counts.
    """
    found: dict[str, Path] = {}
    for folder in config_folders() if folders is None else folders:
        for file in sorted(folder.rglob("*.yaml")):
            found.setdefault(file.relative_to(folder).with_suffix("").as_posix(), file)
    return found


def title_of(file: Path) -> str:
    """Return the first sentence of a config's remarks; empty where it has none."""
    lines = []
    for line in file.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        if not line.startswith("# @package"):
            lines.append(line.lstrip("# "))
    found = re.match(r".*?[.](?=\s|$)|.*", " ".join(lines))
    return found[0].rstrip(".") if found else ""


def nearest(name: str, known: Iterable[str], most: int = 3) -> list[str]:
    """Return the known names that are most like a name, the nearest first."""
    names = list(known)
    return difflib.get_close_matches(name, names, most, 0.5)


def unknown_config(name: str, known: Sequence[str]) -> str:
    """Say that there is no config of a name, what is nearest, and what there is."""
    near = nearest(name, known)
    meant = f" Did you mean {' or '.join(near)}?" if near else ""
    # In few lines: whoever shows the end of a log shows the message with it.
    there = textwrap.fill(", ".join(known), 98, break_long_words=False, break_on_hyphens=False)
    return (
        f"there is no config {name!r}.{meant}\nThere are (selfmis configs says what they are):\n"
        + textwrap.indent(there, "  ")
    )


def unknown_key(key: str, file: Path | None) -> str:
    """Say that a config has no key, what is nearest, and which keys its part has."""
    # Comes with the host; who only lists configs does without.
    import yaml

    known = sorted(_keys(yaml.safe_load(file.read_text(encoding="utf-8")))) if file else []
    part, _, last = key.rpartition(".")
    beside = [one for one in known if one.rpartition(".")[0] == part]
    near = nearest(last, [one.rpartition(".")[2] for one in beside])
    meant = [f"{part}.{one}" if part else one for one in near] or nearest(key, known)
    text = f"the config has no key {key!r}"
    text += f". Did you mean {' or '.join(meant)}?" if meant else "."
    if beside:
        text += f"\n{part or 'It'} has: {', '.join(one.rpartition('.')[2] for one in beside)}"
    return f"{text}\nA key that the file leaves out and the toolkit knows is added by +{key}=VALUE"


def probe_of(name: str, known: Iterable[str]) -> str | None:
    """Return the config that probes what a pre-training's config trains; None without one."""
    names = set(known)
    folder, _, plain = name.rpartition("/")
    small = _SMALL if plain.endswith(_SMALL) else ""
    words = plain.removesuffix(_SMALL).split("_")
    for count in range(len(words), 0, -1):
        start = "_".join(words[:count])
        probe = f"{folder}/{start}" if folder else start
        if (found := f"{probe}{_PROBE}{small}") in names:
            return found
    return None


def _keys(values: object, start: str = "") -> Iterator[str]:
    if isinstance(values, dict):
        for name, value in values.items():
            key = f"{start}.{name}" if start else str(name)
            yield key
            yield from _keys(value, key)
