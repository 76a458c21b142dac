"""Checkpoints of tiny networks as the hosts save them, without a training."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch

from selfmis_plugin.benchmark.commands import best_checkpoint, last_checkpoint
from selfmis_plugin.checkpoints import read_checkpoint, to_ecgfounder
from selfmis_plugin.checkpoints.facts import TrainingFacts, facts_state
from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.data.preprocessing import Preprocessing
from selfmis_plugin.data.provenance import TrainedOn
from selfmis_plugin.methods.lead_synthesis.joined import join
from selfmis_plugin.methods.lead_synthesis.mcma.network import Mcma, McmaShape
from selfmis_plugin.methods.modally_reduced.network import ModallyReduced, ModallyReducedConfig
from selfmis_plugin.methods.selfmis.towers import TwoTowers
from selfmis_plugin.nn.classifier import EncoderClassifier
from selfmis_plugin.nn.net1d import Net1D, Net1DConfig
from tests.support import LABELS

CONFIG = Net1DConfig(base_filters=8, filters=(8, 16), blocks=(1, 1), group_width=8, in_leads=1)
RATE = 100.0


def write_classifier(path: Path, seed: int = 0, labels: tuple[str, ...] = LABELS) -> Path:
    """Save a lead-I classifier of random weights as ``RUN/checkpoints/NAME``."""
    torch.manual_seed(seed)
    network = EncoderClassifier(
        CONFIG,
        labels=len(labels),
        leads=("I",),
        input_leads=("I",),
        store_rate=500,
        sample_rate=RATE,
    )
    task = {"labels": list(labels), "preprocessing": _preprocessing(("I",))}
    return _save(path, "selfmis_classifier", network, "network.", task, {})


def write_towers(path: Path, seed: int = 0, center: torch.Tensor | None = None) -> Path:
    """Save two towers of random weights, lead I and all twelve."""
    torch.manual_seed(seed)
    towers = TwoTowers(CONFIG, STANDARD_LEADS, store_rate=500, sample_rate=RATE)
    task: dict[str, Any] = {"preprocessing": _preprocessing(STANDARD_LEADS)}
    if center is not None:
        task["center"] = center
    return _save(path, "selfmis", towers, "towers.", task, {"lead": "I"})


def write_run(
    run: Path,
    pairs: bool = False,
    seed: int = 0,
    seconds: float = 10.0,
    leads: tuple[str, ...] = ("I",),
) -> None:
    """Leave what a training leaves: of two towers, or of a classifier, which embeds no pairs and
    reads lead I, or twelve."""
    best = best_checkpoint(run)
    write = write_towers if pairs else write_classifier if leads == ("I",) else write_judge
    write(best, seed)
    state = read_checkpoint(best)
    state["task_state"]["validation"] = {"error": 0.25}
    state["task_state"]["preprocessing"]["seconds"] = seconds
    state["cfg"]["distributed_training"] = {"distributed_world_size": 1}
    state["cfg"]["dataset"] = {"batch_size": 10}
    state["extra_state"]["train_iterator"] = {"epoch": 2, "iterations_in_epoch": 0}
    best.unlink()  # its tensors are still read from it
    for path in (best, last_checkpoint(run)):
        torch.save(state, path)


def say_trained_on(path: Path, *steps: TrainedOn) -> Path:
    """Let a checkpoint say on what it was trained."""
    state = read_checkpoint(path)
    state["task_state"] |= facts_state(TrainingFacts(steps))
    path.unlink()  # its tensors are still read from it
    torch.save(state, path)
    return path


def write_modally_reduced(
    path: Path, seed: int = 0, leads: tuple[str, ...] = STANDARD_LEADS
) -> Path:
    """Save autoencoders of all leads with random weights."""
    torch.manual_seed(seed)
    config = ModallyReducedConfig(
        leads, width=8, depth=1, heads=2, decoder_width=8, decoder_depth=1, decoder_heads=2
    )
    network = ModallyReduced(config, store_rate=500, sample_rate=RATE)
    task = {"preprocessing": _preprocessing(leads)}
    return _save(path, "modally_reduced", network, "network.", task, {}, config)


def write_generator(path: Path, seed: int = 0, **model: Any) -> Path:
    """Save a generator of leads, MCMA's, with random weights."""
    torch.manual_seed(seed)
    shape = McmaShape((4, 4, 8), 5, 256, "none")
    keys = {"given": "I", "keep_given": True, **model}
    task = {"preprocessing": _preprocessing(STANDARD_LEADS)}
    return _save(path, "mcma", Mcma(shape), "network.generator.", task, keys, shape)


def write_judge(path: Path, seed: int = 0, rate: float = RATE, filter_name: str = "none") -> Path:
    """Save a classifier of twelve leads with random weights."""
    torch.manual_seed(seed)
    config = dataclasses.replace(CONFIG, in_leads=len(STANDARD_LEADS))
    network = EncoderClassifier(config, len(LABELS), STANDARD_LEADS, STANDARD_LEADS, 500, rate)
    prepared = Preprocessing(rate, 10.0, STANDARD_LEADS, filter_name).to_dict()
    task = {"labels": list(LABELS), "preprocessing": prepared}
    keys = {"standardize_embeddings": False}
    return _save(path, "selfmis_classifier", network, "network.", task, keys)


def write_joined(path: Path, seed: int = 0) -> Path:
    """Save a generator before a classifier of twelve leads, both with random weights."""
    judge = write_judge(path.with_name(f"judge of {path.name}"), seed)
    join(write_generator(path.with_name(f"generator of {path.name}"), seed), judge, path)
    return path


def _preprocessing(leads: tuple[str, ...]) -> dict[str, Any]:
    return Preprocessing(RATE, 10.0, leads, "none").to_dict()


def _save(
    path: Path,
    name: str,
    network: torch.nn.Module,
    prefix: str,
    task: dict[str, Any],
    model: dict[str, Any],
    config: Any = CONFIG,
) -> Path:
    shape = {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in dataclasses.asdict(config).items()
        if key != "in_leads"
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(
        {
            "cfg": {"model": {"_name": name, **shape, **model}, "task": {"_name": name}},
            "model": {prefix + key: value for key, value in network.state_dict().items()},
            "task_state": task,
            "extra_state": {"best": 1.0},
        },
        path,
    )
    return path


def write_ecgfounder(
    path: Path, leads: int = 1, classes: int = 150, seed: int = 0, **entries: Any
) -> Path:
    """Save a tiny network with a random head in the layout of ECGFounder's published files.

    *entries* are further ones of the file's dictionary.
    """
    torch.manual_seed(seed)
    config = dataclasses.replace(CONFIG, in_leads=leads)
    state = to_ecgfounder(Net1D(config).state_dict(), config, classes)
    state["dense.weight"] = torch.randn(classes, config.embedding_dim)
    state["dense.bias"] = torch.randn(classes)
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"state_dict": state, **entries}, path)
    return path
