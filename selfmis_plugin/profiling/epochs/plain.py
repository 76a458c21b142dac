"""SelfMIS as people write it themselves: a data set that reads every record in every epoch.

It is what ``selfmis benchmark epoch`` compares with, and knows nothing of this plugin but the plain
encoder. It runs as a program of its own, as a script of somebody's would::

    python -m selfmis_plugin.profiling.epochs.plain SETTINGS.json

with the fields of :class:`PlainSettings`, and writes what an epoch took into ``result``.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import scipy.signal
import torch
import torch.nn.functional as F
import wfdb
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from selfmis_plugin.nn.net1d.config import Net1DConfig
from selfmis_plugin.nn.net1d.plain import PlainNet1D

__all__ = ["PlainModel", "PlainRecords", "PlainSettings", "listed", "train"]

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")


@dataclass(frozen=True)
class PlainSettings:
    """What the training is told.

    Attributes
    ----------
    database
        Folder in MIMIC-IV-ECG's layout; all its records are trained on.
    result
        JSON file to write: ``begun`` (seconds since 1970 at which the first epoch began), and of
        every epoch ``seconds`` and ``losses``.
    checkpoint
        File that the weights are saved in after every epoch.
    encoder
        Fields of :class:`~selfmis_plugin.nn.net1d.config.Net1DConfig`.
    rate
        Hz that the encoders see.
    filtered
        Whether to filter as ECGFounder's authors do.
    epochs, batch, workers, threads
        Epochs, records of a batch, processes that read, threads of PyTorch.
    bfloat16
        Whether the encoders run under autocast.
    """

    database: str
    result: str
    checkpoint: str
    encoder: dict[str, object]
    rate: int
    filtered: bool
    epochs: int
    batch: int
    workers: int
    threads: int
    bfloat16: bool


def listed(database: Path) -> list[str]:
    """Return the paths of a database's records, without suffix."""
    with (database / "record_list.csv").open(encoding="utf-8", newline="") as file:
        return [str(database / row["path"]) for row in csv.DictReader(file)]


class PlainRecords(Dataset[tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]]):
    """Records as the two encoders see them, each read from its file whenever it is asked for.

    Parameters
    ----------
    paths
        Records without suffix.
    rate
        Hz to decimate to.
    filtered
        Whether to filter as ECGFounder's authors do, before that.
    """

    def __init__(self, paths: Sequence[str], rate: int, filtered: bool) -> None:
        self.paths = paths
        self.rate = rate
        self.filtered = filtered

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Return twelve leads and lead I of a record, (leads, samples), each z-scored."""
        samples, fields = wfdb.rdsamp(self.paths[index])
        names = [name.casefold() for name in fields["sig_name"]]
        signal = samples.T[[names.index(lead.casefold()) for lead in LEADS]]
        if self.filtered:
            signal = ecgfounder_filter(signal, fields["fs"])
        if fields["fs"] != self.rate:
            signal = scipy.signal.resample_poly(signal, self.rate, fields["fs"], axis=1)
        return zscore(signal), zscore(signal[:1])


def ecgfounder_filter(signal: npt.NDArray[np.float64], rate: int) -> npt.NDArray[np.float64]:
    """50 Hz notch, band-pass of 0.67 to 40 Hz, minus a median of 0.4 s; (leads, samples)."""
    notch = scipy.signal.iirnotch(50, 30, rate)
    band_pass = scipy.signal.butter(4, (0.67, 40), "bandpass", fs=rate)
    signal = scipy.signal.filtfilt(*notch, signal, axis=1)
    signal = scipy.signal.filtfilt(*band_pass, signal, axis=1)
    size = int(0.4 * rate) + 1
    size += 1 - size % 2
    return signal - np.stack([scipy.signal.medfilt(lead, size) for lead in signal])


def zscore(signal: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Zero mean and unit deviation over all leads and samples; float32."""
    signal = signal - signal.mean()
    return (signal / max(signal.std(), 1e-9)).astype(np.float32)


class PlainModel(nn.Module):
    """Lead I's encoder that learns, the twelve leads' that does not, and SigLIP's scale and bias.

    Parameters
    ----------
    config
        Shape of both encoders.
    """

    def __init__(self, config: Net1DConfig) -> None:
        super().__init__()
        self.single = PlainNet1D(dataclasses.replace(config, in_leads=1))
        self.multi = PlainNet1D(dataclasses.replace(config, in_leads=len(LEADS)))
        self.multi.requires_grad_(False).eval()
        self.log_scale = nn.Parameter(torch.tensor(math.log(10.0)))
        self.bias = nn.Parameter(torch.tensor(-10.0))

    def loss(self, twelve: Tensor, one: Tensor, bfloat16: bool = False) -> Tensor:
        """Return SigLIP's loss of a batch, (batch, 12, samples) and (batch, 1, samples), a record.

        Zhai et al., "Sigmoid Loss for Language Image Pre-Training", 2023, algorithm 1.
        """
        with torch.autocast(one.device.type, torch.bfloat16, enabled=bfloat16):
            with torch.no_grad():
                target = self.multi(twelve)
            embedding = self.single(one)
        embedding = F.normalize(embedding.float(), dim=1)
        target = F.normalize(target.float(), dim=1)
        logits = embedding @ target.T * self.log_scale.exp() + self.bias
        signs = 2 * torch.eye(len(logits), device=logits.device) - 1
        return -F.logsigmoid(signs * logits).sum() / len(logits)


def train(settings: PlainSettings) -> dict[str, object]:
    """Train; return what ``result`` is to hold."""
    torch.set_num_threads(settings.threads)
    torch.manual_seed(1)
    model = PlainModel(Net1DConfig.from_mapping(settings.encoder, len(LEADS)))
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(learned, lr=1e-4)
    records = PlainRecords(listed(Path(settings.database)), settings.rate, settings.filtered)
    loader = DataLoader(
        records,
        batch_size=settings.batch,
        shuffle=True,
        num_workers=settings.workers,
        persistent_workers=settings.workers > 0,
    )
    begun = time.time()
    seconds, losses = [], []
    for _ in range(settings.epochs):
        start, total = time.perf_counter(), 0.0
        for twelve, one in loader:
            loss = model.loss(twelve, one, settings.bfloat16)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(one)
        torch.save(
            {"model": model.state_dict(), "optimizer": optimizer.state_dict()}, settings.checkpoint
        )
        seconds.append(time.perf_counter() - start)
        losses.append(total / len(records))
    return {"begun": begun, "seconds": seconds, "losses": losses}


def main(argv: Sequence[str]) -> None:
    """Train as the file says that *argv* names."""
    settings = PlainSettings(**json.loads(Path(argv[0]).read_text(encoding="utf-8")))
    Path(settings.result).write_text(json.dumps(train(settings)), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
