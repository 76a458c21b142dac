"""How ECG-ID names its files and signals, and whom it records: volunteers, again and again."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import signal as scipy_signal

from selfmis_plugin.synthetic.heart import Patient, rotation
from selfmis_plugin.synthetic.layouts import Layout, Plan, RecordFacts
from selfmis_plugin.synthetic.record import SAMPLE_RATE, SyntheticRecord, record_patient
from selfmis_plugin.synthetic.versions import draw_patient

__all__ = ["EcgIdLayout"]

# Persons with one recording, two, ... eight, as the database's folders count them; the three with
# 11, 20 and 22 are left aside.
_PERSONS = (1, 48, 16, 5, 13, 2, 1, 1)

# How far a heart turns in the chest from one sitting to the next, degrees about x, y and z, and by
# what share T waves differ. Small against what tells two hearts apart (7 to 10 degrees).
_TURN = (3.0, 3.0, 4.0)
_T_WAVE = 0.06
_GAIN = 0.05


class EcgIdLayout(Layout):
    """ECG-ID 1.0: ``Person_01/rec_1``, lead I raw and filtered; ten seconds instead of twenty.

    Persons are healthy, and keep heart and body from one recording to the next; rate, breathing,
    noise, the heart's position, amplitude and T waves differ.
    """

    gain: float = 200.0
    lead_names: tuple[str, ...] = ("ECG I", "ECG I filtered")
    order: tuple[int, ...] = (0,)
    visit_shares: tuple[float, ...] = tuple(count / sum(_PERSONS) for count in _PERSONS)

    def draw(self, random: np.random.Generator, version: int) -> Patient:
        """Draw a person with no diagnosis."""
        while True:
            patient = draw_patient(random, version, infarctions=())
            if not patient.conditions:
                return patient

    def record(self, patient: Patient, random: np.random.Generator) -> SyntheticRecord:
        """Record a person who has sat down anew."""
        seated = copy.deepcopy(patient)
        turn = rotation(random, _TURN)
        gain = np.exp(_GAIN * random.standard_normal())
        for waves in (seated.p_wave, seated.qrs, seated.t_wave, seated.ectopic):
            waves.vectors = gain * (waves.vectors @ turn.T)
        seated.st_vector = gain * (turn @ seated.st_vector)
        seated.t_wave.vectors *= np.exp(_T_WAVE * random.standard_normal())
        return record_patient(seated, random)

    def signals(self, record: SyntheticRecord) -> NDArray[np.float32]:
        """Lead I, and the same from 0.5 to 40 Hz without delay."""
        lead = record.signal[0]
        sections = scipy_signal.butter(2, (0.5, 40.0), "bandpass", fs=SAMPLE_RATE, output="sos")
        filtered = scipy_signal.sosfiltfilt(sections, lead)
        return np.stack([lead, filtered]).astype(np.float32)

    def plan(
        self, patients: NDArray[np.int64], visits: NDArray[np.int64], random: np.random.Generator
    ) -> list[Plan]:
        """Recordings of a person are numbered in the order of their dates."""
        origin = datetime(2004, 12, 7)
        first = random.integers(0, 160, size=int(patients.max()) + 1)
        return [
            Plan(
                patient=int(patient),
                visit=int(visit),
                record_id=number + 1,
                patient_id=int(patient) + 1,
                path=f"Person_{patient + 1:02d}/rec_{visit + 1}",
                time=origin + timedelta(days=int(first[patient]) + int(visit)),
            )
            for number, (patient, visit) in enumerate(zip(patients, visits, strict=True))
        ]

    def header(self, plan: Plan) -> tuple[str, tuple[str, ...]]:
        """No time; the date is a comment."""
        return "", (f"ECG date: {plan.time:%d.%m.%Y}",)

    def write_tables(
        self, folder: Path, facts: Sequence[RecordFacts], random: np.random.Generator
    ) -> None:
        """Write ``RECORDS``."""
        text = "".join(f"{fact.plan.path}\n" for fact in facts)
        (folder / "RECORDS").write_text(text, encoding="ascii")
