"""Records to measure on: random signals in MIMIC-IV-ECG's layout, and as ``.mat`` files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.io import savemat

from selfmis_plugin.data.store import Store
from selfmis_plugin.profiling.benchmark import BenchmarkError
from selfmis_plugin.synthetic.layouts import MimicLayout
from selfmis_plugin.synthetic.wfdb16 import write_record

SAMPLE_RATE = 500
#: Records of one patient, and different signals, of which every record is one.
_VISITS = 5
_SIGNALS = 16


def write_mimic_folder(folder: Path, records: int, seconds: float) -> list[Path]:
    """Write WFDB records with ``record_list.csv``, about 5,000 a second.

    Parameters
    ----------
    folder
        Folder to make; it must not hold records yet.
    records
        Number of records.
    seconds
        Length of each, at 500 Hz.

    Returns
    -------
    list of Path
        The records' paths without suffix.

    Raises
    ------
    BenchmarkError
        If *folder* holds something.
    """
    if folder.is_dir() and any(folder.iterdir()):
        raise BenchmarkError(f"{folder}: is not empty; give a folder that is, or none")
    layout = MimicLayout()
    signals = _signals(round(seconds * SAMPLE_RATE))
    rows = []
    for number in range(records):
        subject, study = 10_000_000 + number // _VISITS, 40_000_000 + number
        path = Path("files") / f"p{subject // 10_000}" / f"p{subject}" / f"s{study}" / str(study)
        (folder / path).parent.mkdir(parents=True)
        write_record(
            folder / path,
            signals[number % _SIGNALS],
            layout.lead_names,
            SAMPLE_RATE,
            layout.gain,
            "10:00:00 01/01/2100",
            (f"<subject_id>: {subject}",),
        )
        rows.append((subject, study, study, "2100-01-01 10:00:00", path.as_posix()))
    names = ["subject_id", "study_id", "file_name", "ecg_time", "path"]
    pd.DataFrame(rows, columns=names).to_csv(folder / "record_list.csv", index=False)
    return [folder / row[-1] for row in rows]


def write_mat_files(folder: Path, store: Store) -> list[Path]:
    """Write every record of *store* as fairseq-signals' own scripts do: float64, uncompressed."""
    folder.mkdir(parents=True)
    paths = [folder / f"{row}.mat" for row in range(len(store))]
    for row, path in enumerate(paths):
        savemat(
            path,
            {
                "feats": store.read([row])[0] / 1e3,
                "curr_sample_rate": SAMPLE_RATE,
                "curr_sample_size": store.info.samples,
                "patient_id": row // _VISITS,
            },
        )
    return paths


def _signals(samples: int) -> npt.NDArray[np.int16]:
    """Walks with noise, some millivolts high; (signals, 12, samples) in steps of 5 microvolts."""
    random = np.random.default_rng(0)
    walk = random.normal(0, 4, (_SIGNALS, 12, samples)).cumsum(axis=-1) * 0.3
    walk += random.normal(0, 10, walk.shape)
    return np.clip(np.rint(walk), -2000, 2000).astype(np.int16)
