"""Area under the ROC curve of each label, with honest counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import roc_auc_score

__all__ = ["AUCReport", "auc_report"]


@dataclass(frozen=True)
class AUCReport:
    """ROC AUC of every label of a set of records.

    Attributes
    ----------
    per_label
        AUC (0 to 1) of each label for which it is defined.
    positives
        Records that carry each label, defined or not.
    macro_auc
        Mean over the defined labels; None where there is none.
    mi_auc
        Mean over the defined infarction types; None where there is none.
    undefined
        Labels that no record or every record carries: left out of the means, never counted as 0
        or 0.5.
    infarction
        The infarction types that ``mi_auc`` is the mean of.
    records
        Number of records.
    """

    per_label: dict[str, float]
    positives: dict[str, int]
    macro_auc: float | None
    mi_auc: float | None
    undefined: list[str]
    infarction: list[str]
    records: int

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it: an undefined AUC is None, never NaN."""
        return {
            "records": self.records,
            "macro_auc": self.macro_auc,
            "mi_auc": self.mi_auc,
            "per_label": {label: self.per_label.get(label) for label in self.positives},
            "positives": dict(self.positives),
            "undefined": list(self.undefined),
            "infarction": list(self.infarction),
        }


def auc_report(
    targets: ArrayLike, scores: ArrayLike, labels: Sequence[str], infarction: Sequence[str]
) -> AUCReport:
    """ROC AUC by label (scikit-learn's), and their means.

    Parameters
    ----------
    targets
        ``(records, labels)`` of 0 and 1.
    scores
        ``(records, labels)``, larger for more likely.  Give logits: a sigmoid in float32 makes
        ties of large ones.
    labels
        Name of each column.
    infarction
        Names of the infarction types; those not among ``labels`` are ignored.

    Returns
    -------
    AUCReport

    Raises
    ------
    ValueError
        If shapes do not fit, targets are not 0 and 1, names repeat, or scores are not finite.
    """
    truth, values = np.asarray(targets), np.asarray(scores)
    names = [str(label) for label in labels]
    if len(set(names)) != len(names):
        raise ValueError("labels repeat a name: every column needs its own")
    if truth.ndim != 2 or truth.shape != values.shape or truth.shape[1] != len(names):
        raise ValueError(
            f"targets {truth.shape} and scores {values.shape} must both be (records, {len(names)} "
            "labels)"
        )
    if not np.isin(truth, (0, 1)).all():
        raise ValueError("targets must be 0 or 1")
    # float64 holds every float16 and float32 exactly, so the order and the ties stay.
    values = values.astype(np.float64)
    finite = np.isfinite(values)
    if not finite.all():
        worst = [name for name, column in zip(names, finite.T, strict=True) if not column.all()]
        raise ValueError(
            f"{int((~finite.all(axis=1)).sum())} of {len(values)} records have scores that are "
            "NaN or Inf "
            f"(labels {', '.join(worst[:5])}{', ...' if len(worst) > 5 else ''}): the model "
            "diverged, or "
            "the precision is too low; evaluate in float32 and look at the training loss"
        )
    truth = truth.astype(bool)
    positives = {name: int(column.sum()) for name, column in zip(names, truth.T, strict=True)}
    per_label: dict[str, float] = {}
    for name, target, score in zip(names, truth.T, values.T, strict=True):
        if 0 < positives[name] < len(truth):
            per_label[name] = float(roc_auc_score(target, score))
    used = [name for name in infarction if name in per_label]
    return AUCReport(
        per_label=per_label,
        positives=positives,
        macro_auc=_mean(list(per_label.values())),
        mi_auc=_mean([per_label[name] for name in used]),
        undefined=[name for name in names if name not in per_label],
        infarction=used,
        records=len(truth),
    )


def _mean(values: Sequence[float]) -> float | None:
    array: NDArray[np.float64] = np.asarray(values, dtype=np.float64)
    return float(array.mean()) if array.size else None
