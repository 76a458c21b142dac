"""What encoders that were trained on synthetic hearts alone know of real records.

One is trained on twelve leads and one on lead I, by the infarction benchmark's own stages, and each
is asked by its own head about records of another store, of which nothing was trained on.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from selfmis_plugin.benchmark.infarction import run_infarction
from selfmis_plugin.benchmark.rotations import rows_in
from selfmis_plugin.benchmark.settings import Cell, InfarctionError, Settings, cell_file
from selfmis_plugin.data.labels import INFARCTION_TYPES
from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.data.origin import SYNTHETIC
from selfmis_plugin.data.same_people import rows_alike
from selfmis_plugin.data.split_manifests import write_split_manifests
from selfmis_plugin.data.splits import Split, open_split
from selfmis_plugin.data.store import Store, StoreError, read_manifest
from selfmis_plugin.evaluation.any_infarction import and_any, has_any, is_derived
from selfmis_plugin.methods import known_methods
from selfmis_plugin.methods.method import ARCHIVE, LABELLED, ZERO_SHOT
from selfmis_plugin.metrics.any_infarction import ANY
from selfmis_plugin.metrics.over_seeds import mean_over_seeds
from selfmis_plugin.metrics.predictions import Predictions

__all__ = ["FLOOR", "LEADS", "Tested", "check_tested", "run_transfer", "transfer_settings"]

#: What is said of both encoders in the tables, by the row of the infarction benchmark that it is.
LEADS: Mapping[str, str] = {"twelve_lead": "12 leads", "ecgfounder": "lead I"}
#: What stays below this AUC with twelve leads is named.
FLOOR = 0.8

#: The set of labels whose statements are judged.
_STATEMENTS = "diagnostic"
_NORMAL = "NORM"


@dataclass(frozen=True)
class Tested:
    """The records that are tested on, and of what there is a figure.

    Attributes
    ----------
    data
        Folder of a store of real records, or of manifests of it: all that they list.
    strat_folds
        Only records of these of the store's own folds; all by default.
    min_positives
        Records that must have a statement, and that must lack it.
    """

    data: Path
    strat_folds: tuple[int, ...] | None = None
    min_positives: int = 20


def transfer_settings(dest: Path, train: Path, tested: Tested, **others: Any) -> Settings:
    """Return what is to be run: both encoders, judged by their own heads.

    Parameters
    ----------
    dest
        Folder of the benchmark.
    train
        Folder of the store to train on.
    tested
        What is tested on.
    others
        Further fields: seeds, size, overrides, budget, workers.
    """
    methods = known_methods()
    return Settings(
        dest=dest,
        methods=[methods[name] for name in LEADS],
        data={ARCHIVE: train, LABELLED: tested.data},
        modes=(ZERO_SHOT,),
        others=list(methods.values()),
        # Of cells; the report has intervals of its own, over seeds.
        draws=0,
        **others,
    )


def check_tested(tested: Tested) -> tuple[Store, npt.NDArray[np.int64]]:
    """Return the store and the rows that are tested on.

    Raises
    ------
    InfarctionError
        If they are synthetic, or there are none.
    StoreError
        If the data cannot be read, or records lack leads.
    """
    store, rows = rows_in(tested.data, tested.strat_folds)
    made = [origin for origin in store.info.origins if origin.kind == SYNTHETIC]
    if made:
        some = "" if len(made) == len(store.info.origins) else "some of "
        raise InfarctionError(
            f"{tested.data}: {some}its records are {'; '.join(map(str, made))}, and what is asked "
            "is how much is known of real ones: give a store of real records with --data, and "
            "synthetic ones with --train"
        )
    Split(tested.data, store, rows).require_leads(STANDARD_LEADS)
    return store, rows


def run_transfer(settings: Settings, tested: Tested) -> dict[str, Any]:
    """Train what is not trained yet, test it, and judge every statement.

    Parameters
    ----------
    settings
        From :func:`transfer_settings`.
    tested
        The same as there.

    Returns
    -------
    dict
        JSON-ready: ``statements`` (label, positives, ``trained_on``, figures by leads), ``few`` and
        ``unseen`` (positives of those without a figure), ``below``, ``synthetic`` (whether all
        training records are, or some), and what the figures were measured on.

    Raises
    ------
    InfarctionError
        If the stores do not fit together, or the folder holds something else.
    StoreError
        If data cannot be read.
    """
    train = settings.data[ARCHIVE]
    store, rows = check_tested(tested)
    learnt = open_split(train, "train")
    for split in (learnt, open_split(train, "valid")):
        split.require_leads(STANDARD_LEADS)
    _refuse_others(learnt, store, rows, tested.data)
    labels = _shared(learnt.store, store)
    settings = dataclasses.replace(
        settings, data={ARCHIVE: train, LABELLED: _listed(settings.dest, store, rows)}
    )
    report = run_infarction(settings)
    kinds = {origin.kind for origin in learnt.store.info.origins}
    about = {
        **{key: value for key, value in report.items() if key not in ("cells", "rows")},
        "synthetic": "all" if kinds == {SYNTHETIC} else "some" if SYNTHETIC in kinds else "none",
        "seeds": list(settings.seeds),
        "strat_folds": None if tested.strat_folds is None else list(tested.strat_folds),
        "min_positives": tested.min_positives,
        "records": len(rows),
        "patients": int(store.records["patient_id"].iloc[rows].nunique()),
        "floor": FLOOR,
    }
    return about | _judged(_predictions(settings), learnt, store, rows, labels, tested)


def _refuse_others(learnt: Split, store: Store, rows: npt.NDArray[np.int64], data: Path) -> None:
    """Refuse records that are prepared in another way, or of patients that are trained on."""
    mine, theirs = learnt.store.info, store.info
    other = [
        f"{name} ({getattr(mine, name)!r} and {getattr(theirs, name)!r})"
        for name in ("seconds", "filter", "units")
        if getattr(mine, name) != getattr(theirs, name)
    ]
    if other:
        raise InfarctionError(
            f"{learnt.store.path} and {data} are prepared with other {', '.join(other)}: prepare "
            "both in the same way"
        )
    every = np.arange(len(learnt.store), dtype=np.int64)
    known = np.intersect1d(rows_alike(store, learnt.store, every, "patient_id"), rows)
    if len(known):
        raise InfarctionError(
            f"{data}: {len(known)} of its {len(rows)} records are of patients that "
            f"{learnt.store.path} has too, so they would be tested on what was trained on: give "
            "other records with --data, or with --train"
        )


def _shared(learnt: Store, store: Store) -> list[str]:
    """Return the statements that both stores know, in the order of the second."""
    for one in (learnt, store):
        if _STATEMENTS not in one.info.label_sets:
            raise InfarctionError(
                f"{one.path} has no label set {_STATEMENTS!r} (it has "
                f"{', '.join(one.info.label_sets) or 'none'}): give a store with statements such "
                "as PTB-XL's"
            )
    labels = [
        name
        for name in store.info.label_sets[_STATEMENTS]
        if name in learnt.info.label_sets[_STATEMENTS]
    ]
    if not labels:
        raise InfarctionError(
            f"{learnt.path} and {store.path} share no {_STATEMENTS} statement: give stores whose "
            "labels have the same names"
        )
    return labels


def _listed(dest: Path, store: Store, rows: npt.NDArray[np.int64]) -> Path:
    """Write the manifest of what is tested on, and return its folder.

    Raises
    ------
    InfarctionError
        If there is one of other records: their figures would pass for these.
    """
    folder = dest / "tested"
    ids = store.records["record_id"].iloc[rows].tolist()
    file = folder / "test.tsv"
    if file.is_file():
        try:
            before = list(read_manifest(file).record_ids)
        except StoreError as error:
            raise InfarctionError(f"{error}. Delete {folder}: it is written again") from error
        if before != ids:
            raise InfarctionError(
                f"{dest} holds a test on other records ({file}). Choose another folder with "
                "--dest, or delete this one"
            )
    # The store may have been moved since.
    write_split_manifests(store, {"test": ids}, folder)
    return folder


def _predictions(settings: Settings) -> dict[str, list[Predictions]]:
    """Return what is finished, a table a seed, by leads."""
    found: dict[str, list[Predictions]] = {}
    part = open_split(settings.data[LABELLED], "test")
    for method in settings.methods:
        files = [
            cell_file(settings, Cell(method, ZERO_SHOT, 0.0, seed)).with_name("predictions.parquet")
            for seed in settings.seeds
        ]
        said = [Predictions.read(path) for path in files if path.is_file()]
        if said:
            found[LEADS[method.name]] = [and_any(one, part.store, part.rows) for one in said]
    return found


def _judged(
    predictions: Mapping[str, Sequence[Predictions]],
    learnt: Split,
    store: Store,
    rows: npt.NDArray[np.int64],
    labels: Sequence[str],
    tested: Tested,
) -> dict[str, Any]:
    """Return the figures of the statements that have enough records, and what else there is."""
    types = [name for name in INFARCTION_TYPES if name in labels]
    trained, positives = (
        _counts(of, which, labels) for of, which in ((learnt.store, learnt.rows), (store, rows))
    )
    first = [name for name in (ANY, *types, _NORMAL) if name in positives]
    rest = sorted(set(positives) - set(first), key=lambda name: (-positives[name], name))
    statements: list[dict[str, Any]] = []
    few: dict[str, int] = {}
    unseen: dict[str, int] = {}
    for name in (*first, *rest):
        if min(positives[name], len(rows) - positives[name]) < max(1, tested.min_positives):
            few[name] = positives[name]
            continue
        if not trained[name]:
            unseen[name] = positives[name]
            continue
        figures = {
            leads: mean_over_seeds(tables, [name]).to_dict()
            for leads, tables in predictions.items()
            if name in tables[0].labels
        }
        if figures:
            counts = {"positives": positives[name], "trained_on": trained[name]}
            statements.append({"label": name, **counts, "figures": figures})
    twelve = LEADS["twelve_lead"]
    return {
        "statements": statements,
        "few": few,
        "unseen": unseen,
        "below": [
            one["label"]
            for one in statements
            if twelve in one["figures"] and one["figures"][twelve]["value"] < FLOOR
        ],
    }


def _counts(store: Store, rows: npt.NDArray[np.int64], labels: Sequence[str]) -> dict[str, int]:
    """Return how many records have each label, and any infarction where it is derived."""
    targets = store.targets(rows, labels).astype(bool)
    counts = dict(zip(labels, targets.sum(axis=0).tolist(), strict=True))
    if is_derived(labels):
        counts[ANY] = int(has_any(store, rows).sum())
    return counts
