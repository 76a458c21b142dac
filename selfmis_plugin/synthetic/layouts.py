"""How PTB-XL and MIMIC-IV-ECG name their files, patients and tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from selfmis_plugin.synthetic.heart import Patient
from selfmis_plugin.synthetic.record import SyntheticRecord, record_patient
from selfmis_plugin.synthetic.statements import STATEMENTS
from selfmis_plugin.synthetic.versions import draw_patient

__all__ = ["Layout", "MimicLayout", "Plan", "PtbXlLayout", "RecordFacts"]

FOLDS = 10


@dataclass(frozen=True)
class Plan:
    """Where one record goes: its patient and visit from 0, its names and its time."""

    patient: int
    visit: int
    record_id: int
    patient_id: int
    path: str
    time: datetime


@dataclass(frozen=True)
class RecordFacts:
    """What the tables say of a record."""

    plan: Plan
    statements: dict[str, float]
    group: str
    age: int
    sex: int
    height: float
    weight: float
    axis: float
    stages: tuple[str, ...]
    premature_beats: int
    noise: tuple[str, ...]

    @classmethod
    def of(cls, plan: Plan, record: SyntheticRecord) -> RecordFacts:
        """Facts of *record*, written at *plan*."""
        patient = record.patient
        return cls(
            plan=plan,
            statements=record.statements,
            group=patient.group,
            age=patient.age,
            sex=patient.sex,
            height=patient.height,
            weight=patient.weight,
            axis=record.axis,
            stages=tuple(infarct.stage for infarct in patient.infarctions),
            premature_beats=record.premature_beats,
            noise=record.noise,
        )


class Layout(Protocol):
    """What a layout decides; implementations hold no state, so that they can be pickled by name.

    Attributes
    ----------
    gain
        Digital steps in a millivolt.
    lead_names
        Names of the signals in the files.
    order
        Which of the twelve leads they are.
    visit_shares
        Shares of the patients who have one record, two, and so on.
    """

    gain: float
    lead_names: tuple[str, ...]
    order: tuple[int, ...]
    visit_shares: tuple[float, ...] = (0.78, 0.16, 0.06)

    def draw(self, random: np.random.Generator, version: int) -> Patient:
        """Draw a patient of a version of the cohort, from the random numbers of that patient."""
        return draw_patient(random, version)

    def record(self, patient: Patient, random: np.random.Generator) -> SyntheticRecord:
        """Record a patient, from the random numbers of that visit."""
        return record_patient(patient, random)

    def signals(self, record: SyntheticRecord) -> NDArray[np.float32]:
        """Signals of the file, microvolts, (signals, samples)."""
        return record.signal[list(self.order)]

    def plan(
        self, patients: NDArray[np.int64], visits: NDArray[np.int64], random: np.random.Generator
    ) -> list[Plan]:
        """Name every record, in the order of *patients*."""

    def header(self, plan: Plan) -> tuple[str, tuple[str, ...]]:
        """Start time and comment lines of a record's header."""

    def write_tables(
        self, folder: Path, facts: Sequence[RecordFacts], random: np.random.Generator
    ) -> None:
        """Write the database's tables into *folder*."""


class PtbXlLayout(Layout):
    """PTB-XL 1.0.3, its 500 Hz records only: ``records500/00000/00001_hr`` and two tables."""

    gain: float = 1000.0
    lead_names: tuple[str, ...] = (
        "I",
        "II",
        "III",
        "AVR",
        "AVL",
        "AVF",
        "V1",
        "V2",
        "V3",
        "V4",
        "V5",
        "V6",
    )
    order: tuple[int, ...] = tuple(range(12))

    def plan(
        self, patients: NDArray[np.int64], visits: NDArray[np.int64], random: np.random.Generator
    ) -> list[Plan]:
        """Records of a patient lie apart, in the order of their dates."""
        total, people = len(patients), int(patients.max()) + 1
        ids = random.permutation(total) + 1
        for first in np.flatnonzero(visits == 0):
            count = int((patients[first : first + 8] == patients[first]).sum())
            ids[first : first + count].sort()
        names = random.permutation(people) + 1
        minutes = np.sort(random.integers(0, 60 * 24 * 365 * 12, size=total))
        origin = datetime(1984, 11, 9, 9, 17, 34)
        return [
            Plan(
                patient=int(patient),
                visit=int(visit),
                record_id=int(number),
                patient_id=int(names[patient]),
                path=f"records500/{number // 1000 * 1000:05d}/{number:05d}_hr",
                time=origin + timedelta(minutes=int(minutes[number - 1])),
            )
            for patient, visit, number in zip(patients, visits, ids, strict=True)
        ]

    def header(self, plan: Plan) -> tuple[str, tuple[str, ...]]:
        """PTB-XL's headers carry neither."""
        return "", ()

    def write_tables(
        self, folder: Path, facts: Sequence[RecordFacts], random: np.random.Generator
    ) -> None:
        """Write ``ptbxl_database.csv`` and ``scp_statements.csv``."""
        folds = deal_folds(facts, random)
        people = {fact.plan.patient: fact for fact in facts}
        place = {
            number: (int(random.integers(12)), int(random.integers(4))) for number in sorted(people)
        }
        ordered = sorted(facts, key=lambda fact: fact.plan.record_id)
        checked = random.random(len(ordered)) < 0.74
        rows = [
            _ptbxl_row(fact, folds[fact.plan.patient], place[fact.plan.patient], bool(human))
            for fact, human in zip(ordered, checked, strict=True)
        ]
        pd.DataFrame(rows).to_csv(folder / "ptbxl_database.csv", index=False)
        statement_table().to_csv(folder / "scp_statements.csv", index=False)


class MimicLayout(Layout):
    """MIMIC-IV-ECG 1.0: ``files/p1000/p10000032/s40689238/40689238``, ``record_list.csv``."""

    gain: float = 200.0
    # The database lists aVF before aVL.
    lead_names: tuple[str, ...] = (
        "I",
        "II",
        "III",
        "aVR",
        "aVF",
        "aVL",
        "V1",
        "V2",
        "V3",
        "V4",
        "V5",
        "V6",
    )
    order: tuple[int, ...] = (0, 1, 2, 3, 5, 4, 6, 7, 8, 9, 10, 11)

    def plan(
        self, patients: NDArray[np.int64], visits: NDArray[np.int64], random: np.random.Generator
    ) -> list[Plan]:
        """Subjects are in the order of their numbers, studies of one in that of their dates."""
        total, people = len(patients), int(patients.max()) + 1
        subjects = _spread(random, 10_000_000, people)
        studies = random.permutation(_spread(random, 40_000_000, total))
        first = random.integers(0, 60 * 24 * 365 * 80, size=people)
        gaps = random.integers(60, 60 * 24 * 400, size=total)
        origin = datetime(2110, 1, 1)
        plans = []
        elapsed = 0
        for index, (patient, visit) in enumerate(zip(patients, visits, strict=True)):
            elapsed = int(first[patient]) if visit == 0 else elapsed + int(gaps[index])
            subject, study = int(subjects[patient]), int(studies[index])
            plans.append(
                Plan(
                    patient=int(patient),
                    visit=int(visit),
                    record_id=study,
                    patient_id=subject,
                    path=f"files/p{subject // 10_000}/p{subject}/s{study}/{study}",
                    time=origin + timedelta(minutes=elapsed),
                )
            )
        return plans

    def header(self, plan: Plan) -> tuple[str, tuple[str, ...]]:
        """Time of the recording, and the subject as a comment."""
        return f"{plan.time:%H:%M:%S %d/%m/%Y}", (f"<subject_id>: {plan.patient_id}",)

    def write_tables(
        self, folder: Path, facts: Sequence[RecordFacts], random: np.random.Generator
    ) -> None:
        """Write ``record_list.csv``."""
        rows = [
            {
                "subject_id": fact.plan.patient_id,
                "study_id": fact.plan.record_id,
                "file_name": fact.plan.record_id,
                "ecg_time": f"{fact.plan.time:%Y-%m-%d %H:%M:%S}",
                "path": fact.plan.path,
            }
            for fact in facts
        ]
        pd.DataFrame(rows).to_csv(folder / "record_list.csv", index=False)


def _spread(random: np.random.Generator, start: int, count: int) -> NDArray[np.int64]:
    """Rising, distinct numbers over the ten million from *start*."""
    step = 10_000_000 // count
    return start + step * np.arange(count) + random.integers(0, step, size=count)


def deal_folds(facts: Sequence[RecordFacts], random: np.random.Generator) -> dict[int, int]:
    """Fold 1 to 10 of every patient: each group is dealt round, so all folds get their share."""
    groups: dict[str, list[int]] = {}
    for patient, group in sorted({fact.plan.patient: fact.group for fact in facts}.items()):
        groups.setdefault(group, []).append(patient)
    folds: dict[int, int] = {}
    for group in sorted(groups):
        members = np.asarray(groups[group])
        random.shuffle(members)
        for patient in members.tolist():
            folds[patient] = len(folds) % FOLDS + 1
    return folds


def _axis_name(degrees: float) -> str:
    edges = ((-90, "ARAD"), (-30, "ALAD"), (0, "LAD"), (90, "MID"), (120, "RAD"), (181, "ARAD"))
    return next(name for edge, name in edges if degrees < edge)


def _ptbxl_row(
    fact: RecordFacts, fold: int, place: tuple[int, int], human: bool
) -> dict[str, object]:
    plan = fact.plan
    words = {statement.code: statement.description for statement in STATEMENTS}
    stages = [*fact.stages, None, None]
    device = ("CS100    3", "CS-12", "AT-6 C 5.5", "AT-6     6")[place[1]]
    human = human or fold > FOLDS - 2
    return {
        "ecg_id": plan.record_id,
        "patient_id": float(plan.patient_id),
        "age": float(fact.age),
        "sex": fact.sex,
        "height": fact.height,
        "weight": fact.weight,
        "nurse": float(place[0]),
        "site": float(place[0] % 3),
        "device": device,
        "recording_date": f"{plan.time:%Y-%m-%d %H:%M:%S}",
        "report": ". ".join(words[code] for code in fact.statements),
        "scp_codes": repr(fact.statements),
        "heart_axis": _axis_name(fact.axis),
        "infarction_stadium1": stages[0],
        "infarction_stadium2": stages[1],
        "validated_by": float(place[0] % 2) if human else None,
        "second_opinion": False,
        "initial_autogenerated_report": not human,
        "validated_by_human": human,
        "baseline_drift": " , alles" if "baseline_drift" in fact.noise else None,
        "static_noise": " , alles,  " if "static_noise" in fact.noise else None,
        "burst_noise": "alles" if "burst_noise" in fact.noise else None,
        "electrodes_problems": None,
        "extra_beats": f"{fact.premature_beats}ES" if fact.premature_beats else None,
        "pacemaker": None,
        "strat_fold": fold,
        # PTB-XL also ships 100 Hz copies; the synthetic cohort does not.
        "filename_lr": plan.path.replace("records500", "records100").replace("_hr", "_lr"),
        "filename_hr": plan.path,
    }


def statement_table() -> pd.DataFrame:
    """``scp_statements.csv``: 71 rows, 13 columns; codes of other standards stay empty."""
    kinds = (("diagnostic", "d"), ("form", "f"), ("rhythm", "r"))
    rows = [
        {
            "": row.code,
            "description": row.description,
            **{name: 1.0 if letter in row.kinds else None for name, letter in kinds},
            "diagnostic_class": row.diagnostic_class or None,
            "diagnostic_subclass": row.diagnostic_subclass or None,
            "Statement Category": None,
            "SCP-ECG Statement Description": row.description,
            "AHA code": None,
            "aECG REFID": None,
            "CDISC Code": None,
            "DICOM Code": None,
        }
        for row in STATEMENTS
    ]
    return pd.DataFrame(rows)
