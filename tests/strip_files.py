"""Files of one recording, as people have them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.signal import resample_poly

from selfmis_plugin.synthetic import simulate

ENGLISH = (
    "Name,Max III\nDate of Birth,1 Jan 1960\nRecorded Date,2024-01-02 10:11:12 +0100\n"
    'Classification,Sinus Rhythm\nSymptoms,\nSoftware Version,2.0\nDevice,"Watch6,2"\n'
    "Sample Rate,512 hertz\n\n\nLead,Lead I\nUnit,µV\n\n"
)
GERMAN = (
    "Name,Erika Muster\nGeburtsdatum,01.01.1960\nAufzeichnungsdatum,02.01.2024\n"
    'Klassifizierung,Sinusrhythmus\nSymptome,\nSoftwareversion,2.0\nGerät,"Watch6,2"\n'
    "Abtastrate,512 Hertz\n\n\nAbleitung,Ableitung I\nEinheit,µV\n\n"
)


def lead_one(seconds: int = 30, rate: int = 500, patient: int = 0) -> npt.NDArray[np.float64]:
    """Lead I of a synthetic heart in microvolts, 10 s repeated to a multiple of it."""
    record = simulate(5, patient=patient, infarctions=(), version=1).signal[0].astype(np.float64)
    whole = np.tile(record, -(-seconds // 10))[: seconds * 500]
    return whole if rate == 500 else resample_poly(whole, rate, 500)


def write_watch(
    path: Path, microvolts: npt.NDArray[np.float64], head: str = ENGLISH, comma: bool = False
) -> Path:
    """Write an ECG as Apple's Health app exports it."""
    values = [f"{value:.3f}" for value in microvolts]
    if comma:
        values = [value.replace(".", ",") for value in values]
    path.write_text(head + "\n".join(values) + "\n", encoding="utf-8")
    return path
