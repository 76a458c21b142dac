"""Write a synthetic cohort to disk, whole or not at all."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from selfmis_plugin.data.labels import INFARCTION_TYPES
from selfmis_plugin.data.origin import COHORT_FILE, COHORT_FORMAT
from selfmis_plugin.synthetic.ecgid_layout import EcgIdLayout
from selfmis_plugin.synthetic.layouts import Layout, MimicLayout, Plan, PtbXlLayout, RecordFacts
from selfmis_plugin.synthetic.record import LAYOUT_CODES, SAMPLE_RATE, patient_generator
from selfmis_plugin.synthetic.versions import LATEST, VERSIONS
from selfmis_plugin.synthetic.wfdb16 import digitise, write_record
from selfmis_plugin.utils.files import whole_folder
from selfmis_plugin.utils.parallel import ordered_map

__all__ = ["LAYOUTS", "CohortError", "CohortSummary", "write_cohort"]

#: What a cohort can imitate, by name.
LAYOUTS: dict[str, Layout] = {
    "ptbxl": PtbXlLayout(),
    "mimic-iv-ecg": MimicLayout(),
    "ecgid": EcgIdLayout(),
}

_CHUNK = 64  # patients a work item


class CohortError(ValueError):
    """A cohort that cannot be written where, or as, it was asked for."""


@dataclass(frozen=True)
class CohortSummary:
    """What :func:`write_cohort` wrote, or found.

    Attributes
    ----------
    path, layout, records, seed, version
        As asked for.
    patients
        Number of patients.
    positives
        Records for which each statement is true, most frequent first.  The MIMIC layout has no
        labels on disk; this is what was simulated.
    seconds
        Time taken; 0 where the cohort was already there.
    already_there
        Whether the folder held this very cohort and was left as it was.
    """

    path: Path
    layout: str
    records: int
    seed: int
    patients: int
    positives: dict[str, int]
    seconds: float
    already_there: bool
    version: int

    def __str__(self) -> str:
        """Records, patients, time and positives, the nine infarction types first."""
        done = "already there" if self.already_there else f"written in {self.seconds:.1f} s"
        lines = [
            f"{self.path}: {self.layout}, {self.records:,} records of {self.patients:,} patients, "
            f"seed {self.seed}, version {self.version}, {done}"
        ]
        if self.layout == "ptbxl":
            lines.append("records per statement:")
        else:
            lines.append("simulated statements (this layout has no labels on disk):")
        others = [code for code in self.positives if code not in INFARCTION_TYPES]
        for codes in (INFARCTION_TYPES, others):
            lines.append(
                "  " + "  ".join(f"{code} {self.positives.get(code, 0)}" for code in codes)
            )
        return "\n".join(lines)


def write_cohort(
    dest: str | os.PathLike[str],
    layout: str,
    records: int,
    seed: int = 0,
    workers: int = 1,
    version: int = LATEST,
) -> CohortSummary:
    """Simulate a cohort and write it in the layout of a public database.

    The same layout, number of records, seed and version give the same bytes at any number of
    workers.

    Parameters
    ----------
    dest
        Folder to make. It appears only when it is complete.
    layout
        ``ptbxl`` (labelled), ``mimic-iv-ecg`` (no labels) or ``ecgid`` (lead I of healthy persons,
        several recordings each). They share no patient.
    records
        Number of records.
    seed
        Seed of every draw, 0 or more.
    workers
        Number of processes.
    version
        Of the hearts, see :data:`selfmis_plugin.synthetic.versions.VERSIONS`.

    Raises
    ------
    CohortError
        If *dest* holds something else, or an argument is out of range.
    WriteError
        If the disk is full, or nothing may be written there.
    """
    started = time.monotonic()
    folder = Path(dest).expanduser().absolute()
    if layout not in LAYOUTS:
        raise CohortError(f"layout {layout!r} is not one of {', '.join(LAYOUTS)}")
    if not 1 <= records <= 1_000_000 or seed < 0 or workers < 1:
        raise CohortError(
            f"records={records}, seed={seed}, workers={workers}: give 1 to 1,000,000 records, "
            "a seed of 0 or more and at least one worker"
        )
    if version not in VERSIONS:
        known = ", ".join(map(str, VERSIONS))
        raise CohortError(f"version={version}: there is no such cohort, give one of {known}")
    wanted: dict[str, object] = {
        "format": COHORT_FORMAT,
        "version": version,
        "layout": layout,
        "records": records,
        "seed": seed,
    }
    found = _existing(folder, wanted)
    if found is not None:
        return found

    # Replaces an empty folder too, but nothing that came to be there meanwhile.
    with whole_folder(folder) as work:
        facts = _write_records(work, layout, records, seed, workers, version)
        LAYOUTS[layout].write_tables(work, facts, _main_generator(seed, layout, 2))
        patients = len({fact.plan.patient for fact in facts})
        counts = Counter(code for fact in facts for code in fact.statements)
        positives = dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
        text = json.dumps({**wanted, "patients": patients, "positives": positives}, indent=2)
        (work / COHORT_FILE).write_text(text + "\n", encoding="utf-8")
    return CohortSummary(
        folder,
        layout,
        records,
        seed,
        patients,
        positives,
        time.monotonic() - started,
        already_there=False,
        version=version,
    )


def _existing(folder: Path, wanted: dict[str, object]) -> CohortSummary | None:
    """Summary of the wanted cohort if *folder* holds it, None if the folder is free."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return None
    if not folder.is_dir():
        raise CohortError(f"{folder} is a file: name another folder for the cohort")
    try:
        held = json.loads((folder / COHORT_FILE).read_text(encoding="utf-8"))
        same = all(held.get(key) == value for key, value in wanted.items())
    except (OSError, ValueError, AttributeError):
        raise CohortError(
            f"{folder} is not empty and holds no readable {COHORT_FILE}: name another folder, "
            "or remove this one if it is not needed"
        ) from None
    if not same:
        differs = "; ".join(
            f"{key} {held.get(key, 'not said')} there, {value} wanted"
            for key, value in wanted.items()
            if held.get(key) != value
        )
        raise CohortError(
            f"{folder} holds another cohort ({differs}): name another folder or remove it"
        )
    return CohortSummary(
        path=folder,
        layout=held["layout"],
        records=held["records"],
        seed=held["seed"],
        patients=held["patients"],
        positives=held["positives"],
        seconds=0.0,
        already_there=True,
        version=held["version"],
    )


def _main_generator(seed: int, layout: str, purpose: int) -> np.random.Generator:
    """Random numbers of the cohort as a whole, apart from those of any patient."""
    return np.random.default_rng(
        np.random.SeedSequence([seed, LAYOUT_CODES[layout]], spawn_key=(purpose,))
    )


def _visits(
    records: int, shares: Sequence[float], random: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Patient and visit of every record, patients in order."""
    counts = random.choice(len(shares), size=records, p=shares) + 1
    patients = np.repeat(np.arange(records), counts)[:records]
    starts = np.searchsorted(patients, patients, side="left")
    return patients, np.arange(records) - starts


def _write_records(
    work: Path, layout: str, records: int, seed: int, workers: int, version: int
) -> list[RecordFacts]:
    shares = LAYOUTS[layout].visit_shares
    patients, visits = _visits(records, shares, _main_generator(seed, layout, 0))
    plans = LAYOUTS[layout].plan(patients, visits, _main_generator(seed, layout, 1))
    for folder in sorted({os.path.dirname(plan.path) for plan in plans}):
        (work / folder).mkdir(parents=True)
    edges = np.searchsorted(patients, np.arange(0, int(patients.max()) + 1 + _CHUNK, _CHUNK))
    chunks = [
        plans[start:stop] for start, stop in zip(edges[:-1], edges[1:], strict=True) if stop > start
    ]
    task = partial(_write_chunk, work=work, layout=layout, seed=seed, version=version)
    written: list[RecordFacts] = []
    for facts in ordered_map(task, chunks, workers, len(chunks), f"synthetic {layout}"):
        written += facts
    return written


def _write_chunk(
    plans: Sequence[Plan], work: Path, layout: str, seed: int, version: int
) -> list[RecordFacts]:
    """Write the records of some patients."""
    style = LAYOUTS[layout]
    facts = []
    patient = None
    number = -1
    # One thread: sums must not depend on how many processes share the machine.
    with threadpool_limits(1):
        for plan in plans:
            if patient is None or plan.patient != number:
                number = plan.patient
                patient = style.draw(patient_generator(seed, layout, number), version)
            record = style.record(patient, patient_generator(seed, layout, number, plan.visit))
            start, comments = style.header(plan)
            write_record(
                work / plan.path,
                digitise(style.signals(record), style.gain),
                style.lead_names,
                SAMPLE_RATE,
                style.gain,
                start,
                comments,
            )
            facts.append(RecordFacts.of(plan, record))
    return facts
