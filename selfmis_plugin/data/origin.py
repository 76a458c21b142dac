"""Where records come from: what may be said of a model that was trained on them.

Records of a synthetic cohort lie in a folder that says so. Of others nothing can be seen in the
files, so who prepares them may state it; where nobody did, the origin is not recorded, and is
never taken for real.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from selfmis_plugin.utils.fields import FieldError, Fields

__all__ = [
    "COHORT_FILE",
    "COHORT_FORMAT",
    "COHORT_VERSIONS",
    "LATEST_COHORT",
    "NOT_RECORDED",
    "Origin",
    "OriginError",
    "STATED",
    "SYNTHETIC",
    "found_origins",
    "origins_from",
    "origins_of",
    "stated",
]

#: What a synthetic cohort's folder has, and what stands in it.
COHORT_FILE = "cohort.json"
COHORT_FORMAT = "selfmis-synthetic-cohort"

#: Versions of the synthetic hearts, and the one that is made where none is named.
COHORT_VERSIONS = (1, 2)
LATEST_COHORT = COHORT_VERSIONS[-1]

#: Kinds of origins.
SYNTHETIC, STATED, NOT_RECORDED = "synthetic", "stated", "not recorded"
_KINDS = (SYNTHETIC, STATED, NOT_RECORDED)


class OriginError(ValueError):
    """An origin that contradicts what the files say."""


@dataclass(frozen=True)
class Origin:
    """Where some records come from.

    Attributes
    ----------
    kind
        ``"synthetic"``, ``"stated"`` (by who prepared them) or ``"not recorded"``.
    text
        The cohort, or what was stated.
    """

    kind: str
    text: str = ""

    def __str__(self) -> str:
        return {
            SYNTHETIC: f"synthetic ({self.text})",
            STATED: f"stated to be: {self.text}",
            NOT_RECORDED: "origin not recorded",
        }[self.kind]

    def to_dict(self) -> dict[str, str]:
        """As JSON can hold it."""
        return asdict(self)


_UNKNOWN = Origin(NOT_RECORDED)


def origins_from(values: Iterable[Any]) -> tuple[Origin, ...]:
    """Read what :meth:`Origin.to_dict` wrote.

    Raises
    ------
    FieldError
        If it is something else.
    """
    return tuple(_origin(Fields(value, f"origins[{place}]")) for place, value in enumerate(values))


def _origin(fields: Fields) -> Origin:
    kind = fields.text("kind")
    if kind not in _KINDS:
        raise FieldError(f"{fields.named('kind')} must be one of {', '.join(_KINDS)}")
    return Origin(kind, fields.text("text") if fields["text"] else "")


def found_origins(root: Path) -> tuple[Origin, ...]:
    """Return the synthetic cohort that a database's folder is, or is a part of; none otherwise."""
    for folder in (root, *root.absolute().parents):
        origin = _cohort(folder)
        if origin is not None:
            return (origin,)
    return ()


def origins_of(root: Path, sources: Iterable[str]) -> tuple[Origin, ...]:
    """Return the origins of files of any folders below *root*, by their paths relative to it.

    Returns
    -------
    tuple of Origin
        Every part of a mixture once; none where no file belongs to a synthetic cohort.
    """
    above = found_origins(root)
    known: dict[Path, Origin | None] = {Path(): above[0] if above else None}

    def of(folder: Path) -> Origin | None:
        if folder not in known:
            known[folder] = _cohort(root / folder) or of(folder.parent)
        return known[folder]

    parts = dict.fromkeys(of(Path(source).parent) or _UNKNOWN for source in sources)
    return () if set(parts) <= {_UNKNOWN} else tuple(parts)


def stated(origins: Sequence[Origin], text: str | None) -> tuple[Origin, ...]:
    """Return *origins* with what is stated of those that the files do not tell.

    Raises
    ------
    OriginError
        If all of them are told by the files.
    """
    if text is None:
        return tuple(origins)
    if origins and _UNKNOWN not in origins:
        raise OriginError(
            f"--origin {text!r}: the files themselves tell where all of these records come from, "
            f"{'; '.join(map(str, origins))}: leave --origin out"
        )
    there = Origin(STATED, " ".join(text.split()))
    return tuple(there if origin == _UNKNOWN else origin for origin in origins) or (there,)


def _cohort(folder: Path) -> Origin | None:
    path = folder / COHORT_FILE
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    if COHORT_FORMAT not in text:
        return None  # somebody else's
    try:
        said = json.loads(text)
        about = f"{said['layout']} layout, {said['records']:,} records, seed {said['seed']}"
        if said["version"] != 1:  # of which stores and checkpoints say no number
            about = f"version {said['version']}, {about}"
    except (ValueError, KeyError, TypeError):
        about = f"its {COHORT_FILE} is damaged"
    return Origin(SYNTHETIC, f"SelfMIS synthetic cohort, {about}")
