"""A training step and a forward pass beside those of a plain encoder: speed, work and memory."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch

from selfmis_plugin.profiling.macs import encoder_macs
from selfmis_plugin.profiling.memory import peak_device_memory, peak_memory
from selfmis_plugin.profiling.peak import matrix_product_peak
from selfmis_plugin.profiling.step_ways import (
    CONFIGS,
    LEADS,
    PRECISIONS,
    Kind,
    Setting,
    Way,
    run_twice,
)
from selfmis_plugin.profiling.timing import Speed, compare, ratio

__all__ = ["Row", "compare_step_ways", "probe_passes", "reference_name"]

#: What is compared, and what it is called in the table.
COMPARED: dict[Kind, str] = {
    "train": "training step, one lead",
    "forward": "forward, 12 leads",
    "cached_step": "SelfMIS step",
}

MIB = 2**20


@dataclass(frozen=True)
class Row:
    """A line of the table: one way, its speed, its work for each ECG and its memory."""

    title: str
    way: Way
    speed: Speed
    flop: float
    peak: float
    memory: int | None

    @property
    def flop_rate(self) -> float:
        """FLOP/s at the median speed."""
        return self.speed.median * self.flop

    def to_dict(self) -> dict[str, Any]:
        """Return the row for a JSON file."""
        return {
            "way": self.way.name,
            "ecg_per_s": self.speed.median,
            "ecg_per_s_rounds": list(self.speed.rounds),
            "gflop_per_s": self.flop_rate / 1e9,
            "share_of_matrix_product_peak": self.flop_rate / self.peak,
            "peak_memory_mib": None if self.memory is None else self.memory / MIB,
        }


def compare_step_ways(
    setting: Setting, precision: str, rounds: int
) -> tuple[list[Row], dict[str, float]]:
    """Measure the plain way and ours of everything that is compared, in one precision.

    Returns
    -------
    tuple
        A row each, and how many times as fast ours is, by the name of the ratio.
    """
    ways = [Way(kind, plain, precision) for kind in COMPARED for plain in (True, False)]
    memory = {way: _memory(way, setting) for way in ways}
    synchronise = _synchronise(setting.device)
    peaks: list[float] = []

    def peak() -> int:
        device = torch.device(setting.device)
        peaks.append(matrix_product_peak(PRECISIONS[precision], device, synchronise=synchronise))
        return 1

    # The peak takes its turns with the ways: a machine that others use too is not always as fast.
    speeds = compare(
        {"peak": peak} | {way.name: way.build(setting) for way in ways},
        rounds=rounds,
        synchronise=synchronise,
    )
    highest = max(peaks)
    rows = [
        Row(_title(way, setting), way, speeds[way.name], _flop(way, setting), highest, memory[way])
        for way in ways
    ]
    ratios = {
        f"{kind}_{precision}": ratio(
            speeds, Way(kind, False, precision).name, Way(kind, True, precision).name
        )
        for kind in COMPARED
    }
    return rows, ratios


def probe_passes(setting: Setting, rounds: int) -> float:
    """Cost of a linear probe, in passes of the encoder over the data.

    The encoder sees each record once and the head sees its embedding in every epoch, so the cost
    is one pass and what the head's epochs take.
    """
    ways = [Way("probe_pass", False, "f32"), Way("probe_head", False, "f32")]
    speeds = compare(
        {way.name: way.build(setting) for way in ways},
        rounds=rounds,
        synchronise=_synchronise(setting.device),
    )
    return 1 + ratio(speeds, ways[0].name, ways[1].name)


def reference_name(setting: Setting) -> str:
    """Return what the other encoder is called."""
    return "plain" if setting.reference is None else setting.reference.name


def _title(way: Way, setting: Setting) -> str:
    if way.plain:
        who = reference_name(setting)
    else:
        who = "ours, 12-lead embeddings kept" if way.kind == "cached_step" else "ours"
    return f"{COMPARED[way.kind]}: {who}"


def _flop(way: Way, setting: Setting) -> float:
    """Floating-point operations for each ECG; backward takes twice what forward does."""
    config = CONFIGS[setting.config]
    single = 2 * encoder_macs(replace(config, in_leads=1), setting.samples)
    multi = 2 * encoder_macs(replace(config, in_leads=LEADS), setting.samples)
    if way.kind == "forward":
        return multi
    return 3 * single + (multi if way.kind == "cached_step" and way.plain else 0)


def _memory(way: Way, setting: Setting) -> int | None:
    measure = peak_device_memory if setting.device == "cuda" else peak_memory
    return measure(run_twice, way, setting)


def _synchronise(device: str) -> Any:
    return torch.cuda.synchronize if device == "cuda" else lambda: None
