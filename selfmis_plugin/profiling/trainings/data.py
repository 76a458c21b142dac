"""A few made-up records, so that a task can hand out batches of any size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import scipy.io

from selfmis_plugin.data.labels import INFARCTION_TYPES
from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.data.store import SPLITS, StoreWriter

SAMPLE_RATE, SECONDS = 500, 10

#: Sizes of PTB-XL's label sets.
LABEL_SET_SIZES = {"diagnostic": 44, "all": 71}


def made_up_record(rate: int = SAMPLE_RATE) -> npt.NDArray[np.int16]:
    """Return a record of a beat a second in noise, (leads, samples), microvolts.

    What is computed of a record may depend on its beats.
    """
    random = np.random.default_rng(0)
    time = np.arange(rate * SECONDS) / rate
    beats = 1500 * np.exp(-0.5 * ((time % 1 - 0.5) / 0.015) ** 2)
    noise = random.normal(0, 30, (len(STANDARD_LEADS), len(time)))
    return (beats + noise).astype(np.int16)


def write_store(folder: Path) -> Path:
    """Write a store of one record in each split, with label sets as large as PTB-XL's."""
    others = [f"S{number}" for number in range(max(LABEL_SET_SIZES.values()))]
    label_sets = {
        name: [*INFARCTION_TYPES, *others][:size] for name, size in LABEL_SET_SIZES.items()
    }
    label_sets["infarction"] = list(INFARCTION_TYPES)
    with StoreWriter(folder, database="noise", label_sets=label_sets) as writer:
        for split in SPLITS:
            writer.append(made_up_record(), {"record_id": split, "split": split})
    return folder


def write_mat_records(folder: Path, halves: bool, rate: int) -> Path:
    """Write one record as ``.mat`` with the manifest of a training split.

    Parameters
    ----------
    folder
        Folder to write to.
    halves
        Write the two halves of the record as files of their own, as pairs of neighbouring
        segments are trained on.
    rate
        Samples a second.
    """
    folder.mkdir(parents=True)
    parts = np.split(made_up_record(rate), 2, axis=1) if halves else [made_up_record(rate)]
    names = [f"r_{number}" for number in range(len(parts))] if halves else ["r"]
    for name, part in zip(names, parts, strict=True):
        values = {
            "feats": part.astype(np.float64) / 1000,
            "curr_sample_rate": rate,
            "curr_sample_size": part.shape[1],
            "patient_id": 1,
        }
        scipy.io.savemat(folder / f"{name}.mat", values)
    samples = parts[0].shape[1]
    row = f"mat\nr\t{samples}\t{len(STANDARD_LEADS)}\t0,1" if halves else f"r.mat\t{samples}"
    (folder / "train.tsv").write_text(f"{folder}\n{row}\n", encoding="utf-8")
    return folder
