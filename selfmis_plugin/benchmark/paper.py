"""The SelfMIS paper's own figures, to stand beside measured ones (in percent, as printed there)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from selfmis_plugin.methods.method import Method

#: Table 1: linear probing on all labels; AUC of the nine types in the order of
#: :data:`selfmis_plugin.data.labels.INFARCTION_TYPES`, then their mean.
TABLE_1: Mapping[str, tuple[float, ...]] = {
    "SimCLR": (59.71, 52.99, 74.19, 61.50, 61.49, 60.46, 67.18, 52.18, 56.45, 60.68),
    "Wav2Vec 2": (69.53, 53.94, 68.59, 57.82, 56.20, 66.56, 77.28, 68.93, 51.74, 63.40),
    "3KG": (67.70, 55.62, 74.35, 64.59, 58.94, 73.00, 51.17, 66.05, 46.22, 61.96),
    "CLOCS": (84.79, 66.66, 74.03, 68.06, 59.48, 45.16, 76.74, 71.12, 47.26, 65.92),
    "W2V-CMSC": (92.12, 71.63, 82.42, 80.37, 65.88, 61.59, 73.70, 81.02, 95.15, 78.21),
    "ST-MEM": (69.60, 52.16, 86.35, 79.69, 69.76, 72.22, 74.09, 68.41, 87.50, 73.31),
    "HeartLang": (87.56, 66.86, 81.84, 72.67, 66.27, 70.18, 63.06, 85.03, 91.54, 76.11),
    "ECGFounder": (86.11, 68.09, 81.68, 72.94, 66.37, 58.52, 78.67, 80.69, 73.21, 74.03),
    "SelfMIS (Ours)": (92.96, 72.81, 84.81, 79.37, 71.19, 75.06, 84.41, 83.78, 98.56, 82.55),
}

#: Table 2: leads made from lead I before ECGFounder's encoder of twelve; as table 1.
TABLE_2: Mapping[str, tuple[float, ...]] = {
    "Pix2Pix": (70.29, 57.37, 55.73, 58.92, 52.29, 76.11, 63.57, 63.11, 84.30, 64.63),
    "CycleGAN": (61.51, 52.63, 52.84, 55.02, 46.88, 41.68, 52.34, 65.23, 70.69, 55.42),
    "EKGAN": (57.91, 63.04, 47.46, 54.20, 51.89, 68.24, 59.92, 75.66, 65.31, 60.40),
    "MCMA": (91.01, 70.97, 80.17, 70.79, 65.37, 68.54, 67.42, 74.33, 97.24, 76.20),
    "SelfMIS (Ours)": TABLE_1["SelfMIS (Ours)"],
}

#: Table 3: linear probing on a fraction of the labels; as in table 1.
TABLE_3: Mapping[tuple[str, float], tuple[float, ...]] = {
    ("ECGFounder", 0.25): (
        81.91, 62.50, 79.16, 62.84, 63.86, 50.77, 61.58, 64.46, 24.74, 61.31,
    ),
    ("SelfMIS (Ours)", 0.25): (
        92.65, 67.47, 83.14, 72.51, 68.44, 68.32, 81.84, 79.47, 45.41, 73.25,
    ),
    ("ECGFounder", 0.5): (
        85.14, 68.01, 81.11, 66.25, 65.97, 62.39, 58.05, 76.74, 60.37, 69.33,
    ),
    ("SelfMIS (Ours)", 0.5): (
        91.71, 71.09, 84.20, 76.89, 70.02, 74.97, 79.69, 82.07, 97.01, 80.88,
    ),
    ("ECGFounder", 1.0): TABLE_1["ECGFounder"],
    ("SelfMIS (Ours)", 1.0): TABLE_1["SelfMIS (Ours)"],
}  # fmt: skip


class Resources(NamedTuple):
    """A row of table 4: millions of parameters, GMac, MiB at batch 128, and those with AMP."""

    parameters: float
    gmac: float
    memory: int
    amp_memory: int | None = None


#: Table 4: what each pre-training takes.
TABLE_4: Mapping[str, Resources] = {
    "SelfMIS (Ours)": Resources(61.32, 2.33, 10404, 5926),
    "SimCLR": Resources(90.37, 18.06, 59548),
    "Wav2Vec 2": Resources(90.88, 18.13, 63282),
    "3KG": Resources(90.37, 18.06, 59548),
    "W2V-CMSC": Resources(90.88, 18.13, 79592),
    "CLOCS": Resources(90.37, 18.06, 31254),
    "ST-MEM": Resources(88.5, 36.79, 10318),
    "HeartLang": Resources(44.56, 10.6, 18562),
}

#: Parameters that table 4 has more for each encoder: batch norms that ECGFounder's code builds and
#: never uses.
UNUSED_NORM_PARAMETERS = 66_368

#: Table 5: R@1, R@5, R@10, loss and mean AUC without parts of the method. The mean without
#: alignment is 65.85 in the table and 65.68 in the text beside it.
TABLE_5: Mapping[str, tuple[float | None, ...]] = {
    "w/o Alignment": (None, None, None, None, 65.85),
    "w/o S Pre-trained Checkpoint": (34.10, 55.54, 64.24, 1.2024, 79.54),
    "w/o M Pre-trained Checkpoint": (11.94, 30.44, 41.52, 1.8946, 76.71),
    "w/o S-M Pre-trained Checkpoint": (8.68, 22.30, 28.78, 2.9036, 76.56),
    "SelfMIS (Ours)": (45.98, 74.08, 82.60, 0.6274, 82.55),
}

#: Patients with and without PMI in PTB-XL's fold 10, on which the paper tests; the second about.
PMI_PATIENTS = (2, 2150)

#: What the paper measured on.
DATA = "paper: MIMIC-IV-ECG, PTB-XL"


def table_4_by_config(methods: Iterable[Method]) -> dict[str, Resources]:
    """Return the rows of table 4 by the configs of the methods' pre-trainings, in its order.

    Rows that no method has keep the paper's name.
    """
    configs = {
        method.paper: method.encoder.config
        for method in methods
        if method.paper is not None and method.encoder is not None
    }
    return {configs.get(name, name): row for name, row in TABLE_4.items()}
