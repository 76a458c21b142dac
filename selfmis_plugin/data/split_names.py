"""Names of the splits, and of the manifest of all training records."""

from __future__ import annotations

__all__ = ["ALL_TRAINING", "SPLITS"]

SPLITS: tuple[str, ...] = ("train", "valid", "test")
#: Lists every training record of a store whose ``train.tsv`` lists a fraction of them.
ALL_TRAINING = "train_all"
