"""What teachers say of records, kept on disk as embeddings of frozen encoders are."""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from selfmis_plugin._version import __version__
from selfmis_plugin.data.store.format import EMBEDDINGS_FOLDER
from selfmis_plugin.methods.distillation.teachers import Teachers
from selfmis_plugin.nn.classifier import EncoderClassifier
from selfmis_plugin.training.embedding_cache import EmbeddingCache, cache_key, store_identity
from selfmis_plugin.training.frozen_embeddings import describe_precision, weights_digest
from selfmis_plugin.training.kept_records import Words, keep
from selfmis_plugin.training.store_dataset import StoreDataset

__all__ = ["teacher_outputs"]

logger = logging.getLogger(__name__)

_OTHER_FOLDER = "Choose another folder with task.embedding_cache_dir=DIR"
_WORDS = Words(
    "the teachers' outputs",
    when_full=f"{_OTHER_FOLDER}, or halve them with task.embedding_cache_dtype=float16",
    when_refused="Choose one with task.embedding_cache_dir=DIR",
    when_failed=f"{_OTHER_FOLDER}, or another type with task.embedding_cache_dtype",
)


def teacher_outputs(
    dataset: StoreDataset,
    teachers: Teachers,
    labels: Sequence[str],
    with_embeddings: bool,
    folder: str | None,
    dtype: str,
    batch_size: int,
    device: torch.device,
) -> EmbeddingCache:
    """Return what the teachers say of all records of *dataset*, after computing what is missing.

    Every process of a run must call this.

    Parameters
    ----------
    dataset
        The records.
    teachers
        Who is asked; each record's is :meth:`Teachers.asked`.
    labels
        Statements, in the order of the student's outputs.
    with_embeddings
        Whether to keep embeddings behind the logits.
    folder
        Where caches are kept; None for a folder beside the manifest, or in the run's folder where
        that cannot be written.
    dtype
        ``float32`` or ``float16``.
    batch_size
        Records that are judged at once.
    device
        Where the teachers compute, in float32.

    Returns
    -------
    EmbeddingCache
        Logits and, if asked, embeddings: (records, labels) or (records, labels + embedding).

    Raises
    ------
    EmbeddingCacheError
        On every process, if it cannot be written.
    """
    networks = [net.to(device) for net in teachers.networks(dataset.store.info.sample_rate)]
    asked = teachers.asked(dataset.store, dataset.rows)
    size = min(batch_size, len(dataset))
    dim = len(labels) + (teachers.embedding_dim if with_embeddings else 0)

    # Of the first process alone, which asks for it.
    @functools.cache
    def key() -> str:
        return cache_key(
            of="teachers",
            weights=[weights_digest(network) for network in networks],
            encoders=[str(teacher.classifier.config) for teacher in teachers.all],
            outputs=[list(teacher.classifier.labels) for teacher in teachers.all],
            preprocessing=[t.classifier.preprocessing.to_dict() for t in teachers.all],
            folds=teachers.folds,
            labels=list(labels),
            embeddings=with_embeddings,
            precision=describe_precision(networks[0]),
            records=store_identity(dataset.store, dataset.rows),
            batch_size=size,
            dtype=dtype,
            made_by=[__version__, torch.__version__],
        )

    columns = [
        [teacher.classifier.labels.index(label) for label in labels] for teacher in teachers.all
    ]

    def compute(cache: EmbeddingCache, indices: np.ndarray) -> Iterator[np.ndarray]:
        for start in range(0, len(indices), size):
            chosen = indices[start : start + size]
            values = np.empty((len(chosen), dim), dtype=np.float32)
            for place, network in enumerate(networks):
                own = np.flatnonzero(asked[chosen] == place)
                if len(own):
                    # The last bits depend on how many are judged at once, so there are as many.
                    rows = dataset.rows[np.resize(chosen[own], size)]
                    said = _said(network, dataset, rows, teachers.leads, device)
                    parts = [said[0][:, columns[place]], *([said[1]] if with_embeddings else [])]
                    values[own] = torch.cat(parts, 1)[: len(own)].cpu().numpy()
            yield values

    beside = [dataset.folder / EMBEDDINGS_FOLDER, Path.cwd() / EMBEDDINGS_FOLDER]
    places = [Path(folder)] if folder else beside
    cache, computed = keep(
        places,
        lambda place: EmbeddingCache(place, key(), len(dataset), dim, dtype, size),
        compute,
        _WORDS,
    )
    logger.info(
        "what %d teacher(s) say of %d records: %s (%s)",
        len(networks),
        len(dataset),
        f"{computed} of {cache.files} files computed" if computed else "read from the cache",
        cache.path,
    )
    return cache


@torch.no_grad()
def _said(
    network: EncoderClassifier,
    dataset: StoreDataset,
    rows: np.ndarray,
    leads: Sequence[str],
    device: torch.device,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a teacher's logits and embeddings of records, float32."""
    signal = torch.from_numpy(dataset.store.read(rows, leads)).to(device)
    embedding = network.embed(signal)
    return network.classify(embedding).float(), embedding.float()
