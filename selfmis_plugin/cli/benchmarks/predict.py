"""``selfmis benchmark predict``: strips a second, whole and by part."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from wfdb import processing

from selfmis_plugin.checkpoints.classifier import LoadedClassifier
from selfmis_plugin.data.filters import FILTERS
from selfmis_plugin.data.labels import INFARCTION_TYPES
from selfmis_plugin.data.preprocessing import ECGFOUNDER, Preprocessing, resample
from selfmis_plugin.data.quality import assess
from selfmis_plugin.nn.classifier import EncoderClassifier
from selfmis_plugin.nn.encoder import plain_encoder
from selfmis_plugin.predict.model import PRECISIONS, Model
from selfmis_plugin.predict.model_folder import SavedModel, portable_classifier
from selfmis_plugin.predict.strips import ArrayRecording, prepare_window
from selfmis_plugin.preparation.record import SAMPLE_RATE, SECONDS
from selfmis_plugin.profiling.benchmark import Benchmark, BenchmarkError
from selfmis_plugin.profiling.machine import describe_machine
from selfmis_plugin.profiling.step_ways import CONFIGS
from selfmis_plugin.profiling.timing import Speed, compare, ratio, threads
from selfmis_plugin.synthetic import simulate
from selfmis_plugin.utils.arguments import positive, whole
from selfmis_plugin.utils.files import write_json

_LEADS = ("I",)
_LOWEST_RATE, _HIGHEST_RATE = 100.0, 2000.0
_REFERENCE = "reference"
_TITLES = {
    _REFERENCE: "plain encoder, wfdb's XQRS, one strip at a time",
    "predict_float32": "predict, float32",
    "predict_bfloat16": "predict, bfloat16",
    "quality_wfdb": "  quality, with wfdb's XQRS",
    "quality": "  quality",
    "prepare": "  resampling and filter",
    "encoder_float32": "  encoder, float32",
    "encoder_bfloat16": "  encoder, bfloat16",
}

Signals = Sequence[npt.NDArray[np.float64]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the benchmark."""
    parser.add_argument("--strips", type=whole(1), default=64, help="of 10 s (64)")
    parser.add_argument("--rate", type=positive, default=512.0, help="of the strips (512 Hz)")
    parser.add_argument("--filter", choices=tuple(FILTERS), default=ECGFOUNDER)
    parser.add_argument("--rounds", type=whole(1), default=5, help="timed turns (5)")
    parser.add_argument("--threads", type=whole(1), help="threads of PyTorch (its own choice)")
    parser.add_argument(
        "--config", choices=CONFIGS, default="full", help="encoder: ECGFounder's, or a small one"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to FILE too")


def run(options: argparse.Namespace) -> int:
    """Measure, print the table, write it where asked."""
    if not _LOWEST_RATE <= options.rate <= _HIGHEST_RATE:
        raise BenchmarkError(
            f"--rate must be from {_LOWEST_RATE:g} to {_HIGHEST_RATE:g}, as devices have, not "
            f"{options.rate:g}"
        )
    with threads(options.threads):
        machine = describe_machine()
        for name, text in machine.items():
            print(f"{name:12}{text}")
        print(
            f"{'encoder':12}{options.config}, lead I, {options.strips} strips of {SECONDS:g} s at "
            f"{options.rate:g} Hz, filter {options.filter}; reading a file is not in it\n"
        )
        speeds = compare(_ways(options), rounds=options.rounds)
    _print(speeds)
    if options.json is not None:
        write_json(
            options.json,
            {
                "machine": machine,
                "setting": {
                    name: getattr(options, name)
                    for name in ("strips", "rate", "filter", "rounds", "config")
                },
                "strips_per_s": {name: speed.median for name, speed in speeds.items()},
                "strips_per_s_rounds": {name: list(s.rounds) for name, s in speeds.items()},
                "ratios": _ratios(speeds),
            },
        )
    return 0


def _ways(options: argparse.Namespace) -> dict[str, Callable[[], int]]:
    saved = _random_model(options.config, options.filter)
    models = {precision: Model(saved, precision) for precision in PRECISIONS}
    network = models["float32"].network
    plain = portable_classifier(saved).network(saved.input_rate)
    plain.encoder = plain_encoder(plain.encoder)
    plain.to(next(network.parameters()).device).eval()
    rate, preprocessing = options.rate, saved.classifier.preprocessing
    strips = _strips(options.strips, rate)
    prepared = [prepare_window(strip, rate, preprocessing, SAMPLE_RATE) for strip in strips]

    @torch.inference_mode()
    def reference() -> int:
        device = next(plain.parameters()).device
        for strip in strips:
            assess(strip[0], rate, _xqrs_of_wfdb)
            window = prepare_window(strip, rate, preprocessing, SAMPLE_RATE)
            plain(torch.from_numpy(window[None]).to(device)).cpu()
        return len(strips)

    def predict(model: Model) -> int:
        recordings = [ArrayRecording("strip", strip, _LEADS, rate) for strip in strips]
        predictions = model.score([model.cut(recording) for recording in recordings])
        return sum(int(prediction.scored.sum()) for prediction in predictions)

    def quality(detector: Callable[..., npt.NDArray[np.int64]] | None) -> int:
        return len([assess(strip[0], rate, detector) for strip in strips])

    def prepare() -> int:
        return len([prepare_window(strip, rate, preprocessing, SAMPLE_RATE) for strip in strips])

    return {
        _REFERENCE: reference,
        "predict_float32": lambda: predict(models["float32"]),
        "predict_bfloat16": lambda: predict(models["bfloat16"]),
        "quality_wfdb": lambda: quality(_xqrs_of_wfdb),
        "quality": lambda: quality(None),
        "prepare": prepare,
        "encoder_float32": lambda: len(models["float32"].logits(prepared)),
        "encoder_bfloat16": lambda: len(models["bfloat16"].logits(prepared)),
    }


def _strips(count: int, rate: float) -> Signals:
    """Lead I of synthetic hearts in microvolts, good enough to be scored."""
    strips: list[npt.NDArray[np.float64]] = []
    patient = 0
    while len(strips) < min(count, 16):
        signal = simulate(0, patient=patient).signal[:1].astype(np.float64)
        strip = resample(signal, SAMPLE_RATE, rate)[:, : round(SECONDS * rate)]
        if assess(strip[0], rate).usable():
            strips.append(strip)
        patient += 1
    return [strips[k % len(strips)] for k in range(count)]


def _xqrs_of_wfdb(signal: npt.NDArray[np.float64], rate: float) -> npt.NDArray[np.int64]:
    return np.asarray(processing.xqrs_detect(signal, rate, verbose=False), dtype=np.int64)


def _random_model(config: str, name: str) -> SavedModel:
    shape = replace(CONFIGS[config], in_leads=len(_LEADS))
    network = EncoderClassifier(shape, len(INFARCTION_TYPES), _LEADS, _LEADS)
    read_as = Preprocessing(SAMPLE_RATE, SECONDS, _LEADS, name)
    weights = dict(network.state_dict())
    return SavedModel(
        LoadedClassifier(Path("random"), shape, INFARCTION_TYPES, read_as, False, weights),
        SAMPLE_RATE,
    )


def _ratios(speeds: dict[str, Speed]) -> dict[str, float]:
    return {
        **{f"predict_{p}": ratio(speeds, f"predict_{p}", _REFERENCE) for p in PRECISIONS},
        "quality": ratio(speeds, "quality", "quality_wfdb"),
    }


def _print(speeds: dict[str, Speed]) -> None:
    width = max(map(len, _TITLES.values()))
    print(f"{'':{width}}  {'strips/s':>22}  {'ms a strip':>10}")
    for name, speed in speeds.items():
        slowest, fastest = speed.spread
        rounds = f"{speed.median:.1f} ({slowest:.1f} to {fastest:.1f})"
        print(f"{_TITLES[name]:{width}}  {rounds:>22}  {1000 / speed.median:>10.2f}")
    print("\ntimes as fast as the reference in the same turn (quality: as with wfdb's XQRS):")
    for name, value in _ratios(speeds).items():
        print(f"  {name:18}{value:.2f}")


BENCHMARK = Benchmark(
    name="predict",
    title="strips a second of selfmis predict, whole and by part",
    add_arguments=add_arguments,
    run=run,
)
