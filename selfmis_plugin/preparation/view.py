"""A view of a store: the same records with some of their leads, at a lower rate."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from selfmis_plugin.data.preprocessing import to_int16
from selfmis_plugin.data.store import (
    INFO_FILE,
    RECORDS_FILE,
    REFUSED_FILE,
    SAMPLE_DTYPE,
    SIGNALS_FILE,
    SPLITS,
    Store,
    StoreError,
    StoreInfo,
    read_manifest,
    write_manifest,
)
from selfmis_plugin.data.store.format import ALL_TRAINING, EMBEDDINGS_FOLDER, View
from selfmis_plugin.data.store.identity import identity_of
from selfmis_plugin.data.store.writer import (
    check_dest,
    publish,
    refuse_its_own,
    warn_of_disk,
)
from selfmis_plugin.nn.inputs import Preparation, resampled_samples
from selfmis_plugin.utils.files import folder_beside, sync
from selfmis_plugin.utils.replacing import put_back

__all__ = ["ViewMade", "write_view"]

#: Records that are decimated at once.
_BATCH = 512


@dataclass(frozen=True)
class ViewMade:
    """A view that was made.

    Attributes
    ----------
    dest, info
        Its folder and its description.
    origin
        Of what it is a view.
    nbytes, of_bytes
        Size of its signals, and of the origin's.
    embeddings
        Whether the origin's kept embeddings are in it.
    """

    dest: Path
    info: StoreInfo
    origin: Path
    nbytes: int
    of_bytes: int
    embeddings: bool

    def __str__(self) -> str:
        info = self.info
        kept = ", with the embeddings kept of it" if self.embeddings else ""
        return (
            f"{self.dest}: {info.records:,} records of {self.origin}, "
            f"{', '.join(info.stored_leads)} at {info.sample_rate:g} Hz{kept}: "
            f"{self.nbytes / 1e9:.3g} GB of signals instead of {self.of_bytes / 1e9:.3g}"
        )


def write_view(
    data: str | os.PathLike[str],
    dest: str | os.PathLike[str],
    leads: Sequence[str] | None = None,
    sample_rate: float | None = None,
    embeddings: bool = False,
    overwrite: bool = False,
) -> ViewMade:
    """Make a view of a store, whole or not at all.

    Records, their order, labels and manifests are the origin's. Signals are decimated as an encoder
    decimates them (:class:`~selfmis_plugin.nn.inputs.Preparation`) and rounded to a microvolt; a
    lead that is constant stays so.

    Parameters
    ----------
    data
        Folder of the store.
    dest
        Folder to make.
    leads
        Leads to keep; all by default.
    sample_rate
        Hz to keep; the store's by default.
    embeddings
        Whether to copy what is kept in the store's folder ``embeddings``.
    overwrite
        Whether to replace a store at *dest*.

    Raises
    ------
    StoreError
        If the store cannot be read, is a view itself or has no such lead, if the rate does not fit,
        or *dest* is there already, or is the store itself.
    WriteError
        If the disk is full, or nothing may be written there.
    """
    target = Path(dest).absolute()
    put_back(target)
    check_dest(target, overwrite)
    store = Store.open(data)
    refuse_its_own(target, [store.path])
    info = _info(store, leads, sample_rate)
    with folder_beside(target) as folder:
        record_bytes = len(info.stored_leads) * info.samples * SAMPLE_DTYPE.itemsize
        warn_of_disk(target, len(store) * record_bytes)
        _write_signals(store, info, folder / SIGNALS_FILE)
        shutil.copyfile(store.path / RECORDS_FILE, folder / RECORDS_FILE)
        if (store.path / REFUSED_FILE).is_file():
            shutil.copyfile(store.path / REFUSED_FILE, folder / REFUSED_FILE)
        for split in (*SPLITS, ALL_TRAINING):
            path = store.path / f"{split}.tsv"
            if path.is_file():
                ids = read_manifest(path).record_ids
                write_manifest(folder / path.name, ids, [info.samples] * len(ids))
        kept = store.path / EMBEDDINGS_FOLDER
        copied = embeddings and kept.is_dir()
        if copied:
            shutil.copytree(kept, folder / EMBEDDINGS_FOLDER)
        text = json.dumps(info.to_dict(), indent=2, ensure_ascii=False) + "\n"
        (folder / INFO_FILE).write_text(text, encoding="utf-8", newline="\n")
        for path in (*(p for p in folder.iterdir() if p.is_file()), folder):
            sync(path)
        publish(folder, target, overwrite)
    return ViewMade(
        dest=target,
        info=info,
        origin=store.path,
        nbytes=len(store) * record_bytes,
        of_bytes=(store.path / SIGNALS_FILE).stat().st_size,
        embeddings=copied,
    )


def _info(store: Store, leads: Sequence[str] | None, sample_rate: float | None) -> StoreInfo:
    info = store.info
    if info.view is not None:
        raise StoreError(
            f"{store.path}: is a view itself; make the view of its origin, {info.view.origin}"
        )
    asked = info.leads if leads is None else leads
    if not asked:
        raise StoreError(f"{store.path}: a view needs one of its leads, {', '.join(info.leads)}")
    store.check_leads(asked)
    wanted = {lead.casefold() for lead in asked}
    kept = tuple(lead for lead in info.leads if lead.casefold() in wanted)
    rate = float(sample_rate or info.sample_rate)
    try:
        samples = resampled_samples(info.samples, info.sample_rate, rate)
    except ValueError as error:
        raise StoreError(f"{store.path}: {error}") from error
    if samples != round(rate * info.seconds):
        raise StoreError(
            f"{store.path}: {info.seconds:g} s at {rate:g} Hz are no whole number of samples: "
            "choose another rate"
        )
    return replace(
        info,
        sample_rate=int(rate) if rate == int(rate) else rate,
        samples=samples,
        view=View(str(store.path), kept, info.sample_rate, identity_of(store)),
    )


def _write_signals(store: Store, info: StoreInfo, path: Path) -> None:
    prepare = Preparation(store.info.sample_rate, info.sample_rate)
    with path.open("wb") as file:
        for start in range(0, len(store), _BATCH):
            rows = np.arange(start, min(start + _BATCH, len(store)))
            signal = _decimated(store.read(rows, info.stored_leads), prepare)
            file.write(np.ascontiguousarray(signal, dtype=SAMPLE_DTYPE).data)


def _decimated(signal: npt.NDArray[np.int16], prepare: Preparation) -> npt.NDArray[np.int16]:
    if prepare.ratio == 1:
        return signal
    lowered = prepare.decimate(torch.from_numpy(signal).float()).numpy()
    # The filter rings at the ends of a constant: an encoder would see a lead that is dead alive.
    dead = np.ptp(signal, axis=-1, keepdims=True) == 0
    return to_int16(np.where(dead, signal[..., :1], lowered))[0]
