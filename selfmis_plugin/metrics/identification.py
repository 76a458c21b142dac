"""Who is it? Persons told apart by the nearest neighbour of a recording's embedding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from selfmis_plugin.metrics.wilson import wilson_interval

__all__ = [
    "ACROSS",
    "DAY_RULES",
    "FIRST",
    "OTHERS",
    "RULES",
    "WITHIN",
    "Identification",
    "day_rules",
    "identify",
]

#: Rules that part recordings into gallery and probes: a person's first recording is the gallery
#: and the others are probes; or every recording is a probe, and all others are its gallery.
FIRST, OTHERS = "first", "others"
RULES = (FIRST, OTHERS)
#: Rules that need to know the days: everybody's first recording is the gallery, and the probes are
#: those of the same day, or those of later ones. Electrodes, posture and pulse stay much the same
#: within a day, so that the first says little of the second.
WITHIN, ACROSS = "within_day", "across_days"
DAY_RULES = (WITHIN, ACROSS)

# Similarities closer than this are ties, which count against the probe.
_TIE = 1e-9


@dataclass(frozen=True)
class Identification:
    """How often the right person was nearest.

    Attributes
    ----------
    rule
        One of :data:`RULES` or :data:`DAY_RULES`.
    persons, asked, probes
        Persons of the gallery, those of them who were asked about, and by how many recordings.
    left_out
        Persons with a single recording, of whom nobody can ask. They are in the gallery only where
        days tell the recordings apart.
    absent
        Recordings among those used of which there is nothing to compare, such as those in which no
        beat is found: nobody's nearest, and as probes never recognised.
    rank1, rank5
        Share of the probes whose own person is the nearest, or among the five nearest.
    low, high
        95 % interval of ``rank1``: Wilson's, with those asked about as its number, as if the
        probes of a person were all alike. That is rather too wide than too narrow.
    chance
        What ``rank1`` would be if persons were drawn by lot.
    """

    rule: str
    persons: int
    asked: int
    probes: int
    left_out: int
    absent: int
    rank1: float
    low: float
    high: float
    rank5: float
    chance: float

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return asdict(self)


def identify(
    embeddings: npt.NDArray[np.floating[Any]],
    persons: Sequence[str],
    rule: str = FIRST,
    sessions: Sequence[int | None] | None = None,
) -> Identification:
    """Identify each probe by the most similar recording of the gallery.

    Similarity is the cosine of the embeddings less the mean of all recordings: what every heart
    has in common tells nobody apart. A person is as similar as the most similar of the person's
    recordings; ties count against the probe.

    Parameters
    ----------
    embeddings
        (recordings, dimensions); all zeros where there is none. Such recordings stay out of the
        mean and are no neighbours; the own person of such a probe comes last.
    persons
        Whose recording each is; a person's first one comes first.
    rule
        ``first`` or ``others``, see :data:`RULES`; or one of :data:`DAY_RULES`.
    sessions
        On which of the person's days each recording was made, from 1; needed by the rules of days.

    Raises
    ------
    ValueError
        If the lengths do not fit together, the rule is unknown, days are needed and not known, or
        fewer than two persons have a probe.
    """
    values = np.asarray(embeddings, dtype=np.float64)
    if values.ndim != 2 or len(values) != len(persons):
        raise ValueError(
            f"embeddings of shape {values.shape} are not (recordings, dimensions) of "
            f"{len(persons)} recordings"
        )
    if not np.isfinite(values).all():
        raise ValueError("embeddings hold NaN or Inf: the weights diverged")
    if rule not in (*RULES, *DAY_RULES):
        raise ValueError(f"rule {rule!r} is none of {', '.join((*RULES, *DAY_RULES))}")
    number, counts = _numbered(persons)
    used, first = _parted(number, counts, rule, sessions)
    values, first = values[used], first[used]
    person = np.unique(number[used], return_inverse=True)[1]
    probes = np.arange(len(person)) if rule == OTHERS else np.flatnonzero(~first)
    asked = len(np.unique(person[probes]))
    if asked < 2:
        raise ValueError(
            f"{asked} of {len(counts)} persons have recordings to ask about by the rule {rule!r}: "
            "identification needs at least two such persons"
        )
    present: npt.NDArray[np.bool_] = (values != 0).any(axis=1)
    similarity = _cosines(values, present)
    everybody = int(person.max()) + 1
    gallery = (np.ones_like(first) if rule == OTHERS else first) & present
    ranks = np.array([_rank(similarity[k], person, gallery, int(k)) for k in probes])
    ranks[~present[probes]] = everybody
    hits = ranks == 1
    low, high = wilson_interval(float(hits.mean()), asked)
    return Identification(
        rule=rule,
        persons=everybody,
        asked=asked,
        probes=len(probes),
        left_out=int(np.count_nonzero(counts == 1)),
        absent=int(np.count_nonzero(~present)),
        rank1=float(hits.mean()),
        low=low,
        high=high,
        rank5=float((ranks <= 5).mean()),
        chance=1 / everybody,
    )


def day_rules(persons: Sequence[str], sessions: Sequence[int | None]) -> tuple[str, ...]:
    """Return those of :data:`DAY_RULES` by which two persons at least can be asked about."""
    if all(session is None for session in sessions):
        return ()
    number, counts = _numbered(persons)
    found = []
    for rule in DAY_RULES:
        used, first = _parted(number, counts, rule, sessions)
        if len(np.unique(number[used & ~first])) > 1:
            found.append(rule)
    return tuple(found)


def _numbered(persons: Sequence[str]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the number of each recording's person, and how many recordings persons have."""
    _, number, counts = np.unique(
        np.asarray(persons, dtype=str), return_inverse=True, return_counts=True
    )
    return number, counts


def _parted(
    number: npt.NDArray[np.int64],
    counts: npt.NDArray[np.int64],
    rule: str,
    sessions: Sequence[int | None] | None,
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Mark the recordings that a rule uses, and each person's first one of them."""
    if rule not in DAY_RULES:
        used: npt.NDArray[np.bool_] = counts[number] > 1
        return used, _firsts(number, used)
    days = _days(sessions, len(number))
    earliest = np.full(len(counts), np.inf)
    np.fmin.at(earliest, number, days)
    # Of recordings of unknown days neither is true.
    same, later = days == earliest[number], days > earliest[number]
    first = _firsts(number, same)
    return (same if rule == WITHIN else first | later), first


def _days(sessions: Sequence[int | None] | None, recordings: int) -> npt.NDArray[np.float64]:
    """Return the day of each recording, NaN where it is not known."""
    if sessions is None or all(session is None for session in sessions):
        raise ValueError(
            "on which days the recordings were made is not known: prepare the database anew, or "
            "identify by another rule"
        )
    if len(sessions) != recordings:
        raise ValueError(f"{len(sessions)} days of {recordings} recordings")
    return np.array([np.nan if day is None else day for day in sessions], dtype=np.float64)


def _firsts(person: npt.NDArray[np.int64], among: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Mark each person's first recording *among* some."""
    rows = np.flatnonzero(among)
    first = np.zeros(len(person), dtype=bool)
    first[rows[np.unique(person[rows], return_index=True)[1]]] = True
    return first


def _cosines(
    values: npt.NDArray[np.float64], present: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float64]:
    """Return the cosines of all recordings, less the mean of those that are there."""
    rows = values - values.mean(axis=0, where=present[:, None]) if present.any() else values
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    rows = np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0)
    return np.asarray(rows @ rows.T)


def _rank(
    similarity: npt.NDArray[np.float64],
    person: npt.NDArray[np.int64],
    gallery: npt.NDArray[np.bool_],
    probe: int,
) -> int:
    """Return the place of the probe's own person among all persons, from 1; those of whom nothing
    is in the gallery are the last."""
    others = gallery.copy()
    others[probe] = False
    best = np.full(person.max() + 1, -np.inf)
    np.maximum.at(best, person[others], similarity[others])
    return int(np.count_nonzero(best >= best[person[probe]] - _TIE))
