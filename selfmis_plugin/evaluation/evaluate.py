"""Figures of a trained checkpoint on a split of a store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from tqdm import tqdm

from selfmis_plugin.checkpoints import CheckpointError
from selfmis_plugin.data.labels import INFARCTION_TYPES
from selfmis_plugin.data.preprocessing import Preprocessing
from selfmis_plugin.data.splits import Split, open_split
from selfmis_plugin.evaluation.auc import auc_report
from selfmis_plugin.evaluation.retrieval import retrieval
from selfmis_plugin.loading import LoadedClassifier, LoadedTowers, load_trained


def evaluate(
    checkpoint: str | Path,
    data: str | Path,
    split: str = "test",
    batch_size: int = 128,
    ranks: Sequence[int] = (1, 5, 10),
) -> dict[str, Any]:
    """Evaluate a checkpoint of this plugin.

    Parameters
    ----------
    checkpoint
        A classifier's checkpoint gives AUCs, a pre-training checkpoint gives retrieval.
    data
        Folder of a store, or of manifests of one.
    split
        Name of the manifest: ``test`` for ``test.tsv``.
    batch_size
        Records computed at once.
    ranks
        The k of R@k.

    Returns
    -------
    dict
        JSON-ready. A classifier: ``macro_auc``, ``mi_auc``, ``per_label``, ``positives``,
        ``undefined``; towers: ``r1``, ... and ``median_rank``. Both: ``kind``, ``checkpoint``,
        ``data``, ``split`` and ``records``.

    Raises
    ------
    CheckpointError
        If the checkpoint cannot be read, or was trained on data prepared in another way.
    StoreError
        If the data cannot be read.
    """
    trained = load_trained(checkpoint)
    part = open_split(data, split)
    _refuse_other_data(Path(checkpoint), trained.preprocessing, part)
    part.require_leads(trained.required_leads)
    about = {
        "kind": trained.kind,
        "checkpoint": str(checkpoint),
        "data": str(data),
        "split": split,
        "records": len(part.rows),
    }
    if isinstance(trained, LoadedClassifier):
        return about | _auc(trained, part, batch_size)
    return about | _retrieval(trained, part, batch_size, ranks)


def _refuse_other_data(checkpoint: Path, trained: Preprocessing, part: Split) -> None:
    info = part.store.info
    reasons = []
    if missing := [lead for lead in trained.leads if lead not in info.leads]:
        reasons.append(f"it has no lead {', '.join(missing)}")
    if info.sample_rate < trained.sample_rate:
        reasons.append(f"its rate is {info.sample_rate:g} Hz, not {trained.sample_rate:g} or more")
    reasons += [
        f"its {name} is {have!r}, not {want!r}"
        for name, have, want in (
            ("length in seconds", info.seconds, trained.seconds),
            ("filter", info.filter, trained.filter),
            ("unit", info.units, trained.units),
        )
        if have != want
    ]
    if reasons:
        raise CheckpointError(
            f"{checkpoint} needs data that {part.store.path} does not hold: {'; '.join(reasons)}. "
            "Prepare the records as the checkpoint was trained"
        )


@torch.inference_mode()
def _outputs(
    compute: Callable[[torch.Tensor], Any],
    module: nn.Module,
    part: Split,
    leads: Sequence[str],
    batch_size: int,
) -> Iterator[Any]:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    module.to(device).eval()
    starts = range(0, len(part.rows), batch_size)
    for start in tqdm(starts, desc=f"evaluating {part.manifest.name}", unit="batch"):
        signal = part.store.read(part.rows[start : start + batch_size], leads)
        yield compute(torch.from_numpy(signal).to(device))


def _auc(trained: LoadedClassifier, part: Split, batch_size: int) -> dict[str, Any]:
    network = trained.network(part.store.info.sample_rate)
    logits = torch.cat(
        [
            output.float().cpu()
            for output in _outputs(network, network, part, trained.preprocessing.leads, batch_size)
        ]
    )
    targets = part.store.targets(part.rows, trained.labels)
    report = auc_report(targets, logits.numpy(), trained.labels, INFARCTION_TYPES)
    return report.to_dict()


def _retrieval(
    trained: LoadedTowers, part: Split, batch_size: int, ranks: Sequence[int]
) -> dict[str, Any]:
    towers = trained.network(part.store.info.sample_rate)
    pairs = list(_outputs(towers, towers, part, trained.preprocessing.leads, batch_size))
    single = torch.cat([pair[0].float().cpu() for pair in pairs])
    multi = torch.cat([pair[1].float().cpu() for pair in pairs])
    if trained.center is not None:
        # As the loss compared them.
        multi = multi - trained.center
    return dict(retrieval(single, multi, k=tuple(ranks)))
