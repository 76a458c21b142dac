"""Small stores of hearts that beat, and sizes of HeartLang that train on them in seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from selfmis_plugin.data.store import StoreWriter
from tests.support import LABELS

SIZE = (
    *("model.words=64", "model.width=16", "model.depth=1", "model.heads=2", "model.head_width=8"),
    *("model.hidden=32", "lr_scheduler.warmup_updates=0", "task.leads=[I,V1]"),
)
TOKENIZER = ("--config-name", "heartlang_tokenizer_small", *SIZE, "model.code_size=8")


def write_hearts(path: Path, sizes: dict[str, int], seed: int = 0) -> Path:
    """Write a store of hearts that beat: higher in lead I where there is an infarction, and none
    in the last record."""
    rng = np.random.default_rng(seed)
    time = np.arange(5000) / 500
    sets = {"diagnostic": LABELS, "infarction": LABELS[1:]}
    with StoreWriter(path, database="ptbxl", label_sets=sets) as writer:
        for split, count in sizes.items():
            for k in range(count):
                number, ill = len(writer), bool(rng.random() < 0.4)
                beats = np.arange(rng.uniform(0.1, 0.6), 9.9, rng.uniform(0.6, 1.1))
                wave = np.exp(-0.5 * ((time[:, None] - beats) / 0.015) ** 2).sum(1)
                gains = rng.normal(700, 50, size=12) * (1 + ill) * (k + 1 < count)
                signal = gains[:, None] * wave + rng.normal(0, 5, (12, 5000)) * (k + 1 < count)
                writer.append(
                    signal.round().astype(np.int16),
                    {
                        "record_id": f"{number:05d}",
                        "patient_id": str(number),
                        "source": f"r{number}",
                        "split": split,
                        "repaired": "",
                        "lead_mask": 2**12 - 1,
                        "labels": ["AMI" if ill else "NORM"],
                        "strat_fold": number % 10 + 1,
                    },
                )
    return path
