"""The pieces of work that ``selfmis benchmark step`` times, each in the plain way and in ours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from selfmis_plugin.nn.losses.siglip import SigLIPLoss
from selfmis_plugin.nn.net1d import Net1D
from selfmis_plugin.nn.net1d.config import Net1DConfig
from selfmis_plugin.nn.net1d.plain import PlainNet1D
from selfmis_plugin.profiling.reference_net1d import ReferenceNet1D

LEADS = 12

#: Encoders by the name of ``--config``: ECGFounder's, and that of the configs for a CPU.
CONFIGS = {
    "full": Net1DConfig(),
    "small": Net1DConfig(base_filters=16, filters=(16, 32, 64, 128), blocks=(1, 1, 1, 1)),
}

#: Precisions by the names that figures end in; reduced ones are autocast.
PRECISIONS = {"f32": torch.float32, "bf16": torch.bfloat16}

#: Labels and epochs of a linear probe: PTB-XL's diagnostic statements, the paper's table 8.
PROBE_LABELS, PROBE_EPOCHS = 44, 20

Kind = Literal["train", "forward", "cached_step", "probe_pass", "probe_head"]
Work = Callable[[], int]


@dataclass(frozen=True)
class Setting:
    """What all ways have in common.

    Attributes
    ----------
    config
        Key of :data:`CONFIGS`.
    batch, samples
        Records of a batch, and samples of a record.
    device
        ``cpu`` or ``cuda``.
    threads
        Threads of PyTorch; None: as many as it takes by itself.
    reference
        File whose Net1D stands in for the plain encoder; None: the plugin's own plain one.
    """

    config: str
    batch: int
    samples: int
    device: str
    threads: int | None = None
    reference: Path | None = None


@dataclass(frozen=True)
class Way:
    """One way of doing one kind of work.

    Attributes
    ----------
    kind
        ``train``: forward, backward and AdamW of the single-lead encoder. ``forward``: the
        12-lead encoder without a gradient. ``cached_step``: a whole step of SelfMIS, in which ours
        is given the 12-lead embeddings, as from the second epoch on, and the plain one computes
        them. ``probe_pass``: the single-lead encoder without a gradient. ``probe_head``: all
        epochs of a linear head on its embeddings.
    plain
        With the plain encoder, or with ours.
    precision
        Key of :data:`PRECISIONS`.
    """

    kind: Kind
    plain: bool
    precision: str

    @property
    def name(self) -> str:
        """The way in words."""
        return f"{self.kind} {self.precision} {'plain' if self.plain else 'ours'}"

    def build(self, setting: Setting) -> Work:
        """Make encoders and data; return a function that does the work on one batch."""
        torch.manual_seed(0)
        return _BUILDERS[self.kind](self, setting)

    def precise(self, setting: Setting) -> torch.autocast:
        """Return the context in which encoders run."""
        reduced = self.precision != "f32"
        return torch.autocast(setting.device, PRECISIONS["bf16"], enabled=reduced)


def run_twice(way: Way, setting: Setting) -> None:
    """Do the work twice: an optimizer's state exists from the second step on."""
    if setting.threads is not None:
        torch.set_num_threads(setting.threads)
    work = way.build(setting)
    work()
    work()


def _encoder(way: Way, setting: Setting, leads: int) -> nn.Module:
    config = replace(CONFIGS[setting.config], in_leads=leads)
    encoder: nn.Module
    if not way.plain:
        encoder = Net1D(config)
    elif setting.reference is None:
        encoder = PlainNet1D(config)
    else:
        encoder = ReferenceNet1D(setting.reference, config)
    return encoder.to(setting.device)


def _signal(setting: Setting, leads: int) -> Tensor:
    return torch.randn(setting.batch, leads, setting.samples, device=setting.device)


def _train(way: Way, setting: Setting) -> Work:
    encoder, signal = _encoder(way, setting, 1), _signal(setting, 1)
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=1e-4)

    def work() -> int:
        optimizer.zero_grad()
        with way.precise(setting):
            embedding = encoder(signal)
        embedding.float().square().mean().backward()
        optimizer.step()
        return setting.batch

    return work


def _forward(way: Way, setting: Setting, leads: int = LEADS) -> Work:
    encoder, signal = _encoder(way, setting, leads).eval(), _signal(setting, leads)

    def work() -> int:
        with torch.no_grad(), way.precise(setting):
            encoder(signal)
        return setting.batch

    return work


def _probe_pass(way: Way, setting: Setting) -> Work:
    return _forward(way, setting, leads=1)


def _cached_step(way: Way, setting: Setting) -> Work:
    single, signal = _encoder(way, setting, 1), _signal(setting, LEADS)
    loss = SigLIPLoss().to(setting.device)
    optimizer = torch.optim.AdamW([*single.parameters(), *loss.parameters()], lr=1e-4)
    ids = torch.arange(setting.batch, device=setting.device)
    lead = signal[:, :1].contiguous()
    if way.plain:
        frozen = _encoder(way, setting, LEADS).eval().requires_grad_(False)
    else:
        kept = torch.randn(setting.batch, CONFIGS[setting.config].embedding_dim)
        kept = kept.to(setting.device)

    def work() -> int:
        optimizer.zero_grad()
        with way.precise(setting):
            with torch.no_grad():
                multi = frozen(signal) if way.plain else kept
            embedding = single(lead)
        loss(embedding, multi, ids).div(setting.batch).backward()
        optimizer.step()
        return setting.batch

    return work


def _probe_head(way: Way, setting: Setting) -> Work:
    dim = CONFIGS[setting.config].embedding_dim
    embeddings = torch.randn(setting.batch, dim, device=setting.device)
    targets = torch.rand(setting.batch, PROBE_LABELS, device=setting.device).round()
    head = nn.Linear(dim, PROBE_LABELS).to(setting.device)
    optimizer = torch.optim.Adam(head.parameters(), lr=5e-4)

    def work() -> int:
        for _ in range(PROBE_EPOCHS):
            optimizer.zero_grad()
            F.binary_cross_entropy_with_logits(head(embeddings), targets).backward()
            optimizer.step()
        return setting.batch

    return work


_BUILDERS: dict[Kind, Callable[[Way, Setting], Work]] = {
    "train": _train,
    "forward": _forward,
    "cached_step": _cached_step,
    "probe_pass": _probe_pass,
    "probe_head": _probe_head,
}
