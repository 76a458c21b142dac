"""Frechet distance between two sets of embeddings, as if each were drawn from a Gaussian.

Dowson and Landau, "The Frechet distance between multivariate normal distributions", 1982; of the
features of images it is known as FID (Heusel et al., 2017). It compares sets, not pairs: leads of
other patients, as long as they are plausible, are at no distance. And it grows as the sets shrink,
by about d^2 / 2n for d uncorrelated values of unit variance: figures of different n do not compare,
and beside each belongs its floor, two halves of the real records.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["frechet_distance", "patient_halves"]

Floats = npt.NDArray[np.floating]


def frechet_distance(first: Floats, second: Floats) -> float:
    """Return ``|m - n|^2 + tr(S + T - 2 (S T)^(1/2))`` of means m, n and covariances S, T.

    No matrix square root is taken: with centred rows A and B, tr (S T)^(1/2) is the sum of the
    singular values of A B' over the root of (rows of A - 1)(rows of B - 1). It is exact for fewer
    rows than values too, where S and T are singular.

    Parameters
    ----------
    first, second
        Embeddings, (records, values); computed in float64.

    Returns
    -------
    float
        0 or more, in squared units of the embeddings.

    Raises
    ------
    ValueError
        If a set has fewer than two records, the sets have other numbers of values, or a value is
        not finite.
    """
    sides = [np.asarray(side, dtype=np.float64) for side in (first, second)]
    if any(side.ndim != 2 for side in sides) or sides[0].shape[1] != sides[1].shape[1]:
        raise ValueError(
            f"sets of shapes {sides[0].shape} and {sides[1].shape} are not both (records, values)"
        )
    if min(len(side) for side in sides) < 2:
        raise ValueError("a Frechet distance needs two records of each set at least")
    if not all(np.isfinite(side).all() for side in sides):
        raise ValueError("embeddings hold NaN or Inf: the encoder or the leads diverged")
    means = [side.mean(axis=0) for side in sides]
    # Of more rows than values the triangle of a QR says the same in fewer.
    rows = [
        (np.linalg.qr(centred, mode="r") if len(centred) > centred.shape[1] else centred)
        / np.sqrt(len(centred) - 1)
        for centred in (side - mean for side, mean in zip(sides, means, strict=True))
    ]
    spread = sum(float(np.square(side).sum()) for side in rows)
    shared = float(np.linalg.svd(rows[0] @ rows[1].T, compute_uv=False).sum())
    between = float(np.square(means[0] - means[1]).sum())
    # Of a set with itself the rest is a rounding of either sign.
    return max(0.0, between + spread - 2 * shared)


def patient_halves(
    patient: npt.NDArray[np.int64], rng: np.random.Generator
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Divide records into two halves of equal size that share no patient.

    Parameters
    ----------
    patient
        Number of each record's patient, from 0 without gaps, (records,).
    rng
        Where the order of the patients comes from.

    Returns
    -------
    tuple
        Positions of the records of either half; of the larger one some are left out.
    """
    order = rng.permutation(int(patient.max()) + 1)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    by_patient = np.argsort(place[patient], kind="stable")
    total = len(patient)
    # The border between two patients that is nearest to the middle.
    ends = np.flatnonzero(np.diff(place[patient][by_patient])) + 1
    border = int(ends[np.abs(ends - total / 2).argmin()]) if len(ends) else total
    size = min(border, total - border)
    return np.sort(by_patient[:border][:size]), np.sort(by_patient[border:][:size])
