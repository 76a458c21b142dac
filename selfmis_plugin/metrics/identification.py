"""Who is it? Persons told apart by the nearest neighbour of a recording's embedding."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["FIRST", "OTHERS", "RULES", "Identification", "identify", "wilson_interval"]

#: Rules that part recordings into gallery and probes: a person's first recording is the gallery
#: and the others are probes; or every recording is a probe, and all others are its gallery.
FIRST, OTHERS = "first", "others"
RULES = (FIRST, OTHERS)

# Similarities closer than this are ties, which count against the probe.
_TIE = 1e-9


@dataclass(frozen=True)
class Identification:
    """How often the right person was nearest.

    Attributes
    ----------
    rule
        One of :data:`RULES`.
    persons, probes
        Persons with two or more recordings, and recordings that were asked about.
    left_out
        Persons with a single recording, of whom nobody can ask; they are in no gallery either.
    rank1, rank5
        Share of the probes whose own person is the nearest, or among the five nearest.
    low, high
        95 % interval of ``rank1``: Wilson's, with persons as its number, as if the probes of a
        person were all alike. That is rather too wide than too narrow.
    chance
        What ``rank1`` would be if persons were drawn by lot.
    """

    rule: str
    persons: int
    probes: int
    left_out: int
    rank1: float
    low: float
    high: float
    rank5: float
    chance: float

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return asdict(self)


def identify(
    embeddings: npt.NDArray[np.floating[Any]], persons: Sequence[str], rule: str = FIRST
) -> Identification:
    """Identify each probe by the most similar recording of the gallery.

    Similarity is the cosine of the embeddings less the mean of all recordings: what every heart
    has in common tells nobody apart. A person is as similar as the most similar of the person's
    recordings; ties count against the probe.

    Parameters
    ----------
    embeddings
        (recordings, dimensions).
    persons
        Whose recording each is; a person's first one comes first.
    rule
        ``first`` or ``others``, see :data:`RULES`.

    Raises
    ------
    ValueError
        If the two do not fit together, the rule is unknown, or fewer than two persons have two
        recordings.
    """
    values = np.asarray(embeddings, dtype=np.float64)
    if values.ndim != 2 or len(values) != len(persons):
        raise ValueError(
            f"embeddings of shape {values.shape} are not (recordings, dimensions) of "
            f"{len(persons)} recordings"
        )
    if not np.isfinite(values).all():
        raise ValueError("embeddings hold NaN or Inf: the weights diverged")
    if rule not in RULES:
        raise ValueError(f"rule {rule!r} is none of {', '.join(RULES)}")
    names, number, counts = np.unique(
        np.asarray(persons, dtype=str), return_inverse=True, return_counts=True
    )
    several = counts[number] > 1
    if np.count_nonzero(counts > 1) < 2:
        raise ValueError(
            f"{np.count_nonzero(counts > 1)} of {len(names)} persons have two recordings or more: "
            "identification needs at least two such persons"
        )
    values, person = values[several], np.unique(number[several], return_inverse=True)[1]
    similarity = _cosines(values)
    first = np.zeros(len(person), dtype=bool)
    first[np.unique(person, return_index=True)[1]] = True
    probes = np.flatnonzero(~first) if rule == FIRST else np.arange(len(person))
    ranks = np.array([_rank(similarity[k], person, first, rule, int(k)) for k in probes])
    hits = ranks == 1
    by_person = np.bincount(person[probes], hits) / np.bincount(person[probes])
    low, high = wilson_interval(float(hits.mean()), len(by_person))
    return Identification(
        rule=rule,
        persons=len(by_person),
        probes=len(probes),
        left_out=int(np.count_nonzero(counts == 1)),
        rank1=float(hits.mean()),
        low=low,
        high=high,
        rank5=float((ranks <= 5).mean()),
        chance=1 / len(by_person),
    )


def wilson_interval(share: float, number: int, z: float = 1.959963984540054) -> tuple[float, float]:
    """Return the 95 % score interval of a share of *number* (Wilson, JASA 22:209, 1927)."""
    middle = (share + z * z / (2 * number)) / (1 + z * z / number)
    spread = math.sqrt(share * (1 - share) / number + z * z / (4 * number * number))
    reach = z * spread / (1 + z * z / number)
    return max(0.0, middle - reach), min(1.0, middle + reach)


def _cosines(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    rows = values - values.mean(axis=0)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    rows = np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0)
    return np.asarray(rows @ rows.T)


def _rank(
    similarity: npt.NDArray[np.float64],
    person: npt.NDArray[np.int64],
    first: npt.NDArray[np.bool_],
    rule: str,
    probe: int,
) -> int:
    """Return the place of the probe's own person among all persons, from 1."""
    gallery = first.copy() if rule == FIRST else np.ones(len(person), dtype=bool)
    gallery[probe] = False
    best = np.full(person.max() + 1, -np.inf)
    np.maximum.at(best, person[gallery], similarity[gallery])
    return int(np.count_nonzero(best >= best[person[probe]] - _TIE))
