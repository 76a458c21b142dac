"""What several tests need: a small store, and the host's command line."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.data.store import StoreWriter

#: Aligns to a random encoder, where it does not matter to what.
UNTRAINED = "model.allow_untrained_tower=true"

LABELS = ("NORM", "AMI", "IMI", "PMI")

#: An encoder that trains in a second, for the configs of size "small".
TINY = (
    *("model.base_filters=8", "model.filters=[8,16]", "model.blocks=[1,1]", "model.group_width=8"),
    "lr_scheduler.warmup_updates=0",
)


def write_store(
    path: Path,
    sizes: dict[str, int] | None = None,
    seed: int = 0,
    lead_mask: int = 2 ** len(STANDARD_LEADS) - 1,
    diagnoses: tuple[str, ...] = LABELS,
    drawn: tuple[str, ...] = LABELS[:3],
    record_name: str = "{:05d}",
    patient_name: str = "{}",
    **settings: object,
) -> Path:
    """Write a store of random records whose first lead differs by label.

    *diagnoses* are the labels of the store, *drawn* those that records have.
    """
    sets = {"diagnostic": diagnoses, "infarction": diagnoses[1:], "all": (*diagnoses, "SR")}
    rng = np.random.default_rng(seed)
    sizes = sizes or {"train": 100, "valid": 25, "test": 25}
    time = np.arange(5000) / 500
    settings = {"database": "ptbxl", "label_sets": sets, **settings}
    with StoreWriter(path, **settings) as writer:  # type: ignore[arg-type]
        for split, count in sizes.items():
            for _ in range(count):
                number = len(writer)
                labels = [name for name in drawn if rng.random() < 0.4]
                gains = rng.normal(size=12) + 3 * ("AMI" in labels)
                wave = 400 * np.sin(2 * np.pi * (1 + rng.random()) * time)
                signal = gains[:, None] * wave + rng.normal(0, 40, (12, 5000))
                writer.append(
                    signal.astype(np.int16),
                    {
                        "record_id": record_name.format(number),
                        "patient_id": patient_name.format(number),
                        "source": f"r{number}",
                        "split": split,
                        "repaired": "",
                        "lead_mask": lead_mask,
                        "labels": labels,
                        "strat_fold": number % 10 + 1,
                    },
                )
    return path


def environment(**variables: str) -> dict[str, str]:
    """Return an environment in which a run is reproducible and tests share the cores; trainings
    show the host's whole log."""
    plain = {"OMP_NUM_THREADS": "1", "SELFMIS_LAUNCH_FOLDER": "", "SELFMIS_LOG": "full"}
    return {**os.environ, **plain, **variables}


def host_command() -> list[str]:
    """Return the host's own training command."""
    return [str(Path(sys.executable).with_name("fairseq-hydra-train"))]


def train(
    arguments: Sequence[str],
    folder: Path,
    check: bool = True,
    command: Sequence[str] | None = None,
    timeout: float = 300,
    **variables: str,
) -> str:
    """Run the host's command line in *folder* and return what it printed."""
    done = subprocess.run(
        [*(command or host_command()), *arguments],
        cwd=folder,
        env=environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=timeout,
    )
    if check and done.returncode != 0:
        raise AssertionError(f"exit status {done.returncode}:\n{done.stdout[-6000:]}")
    if not check and done.returncode == 0:
        raise AssertionError(f"this should have failed:\n{done.stdout[-6000:]}")
    return done.stdout


def logged(output: str, name: str, tag: str = "train") -> list[float]:
    """Return the figures called *name* of every epoch's line of *tag* ("train" or "valid")."""
    lines = [line for line in output.splitlines() if f"[{tag}][INFO]" in line]
    found = [re.search(rf"\| {re.escape(name)} (\S+)", line) for line in lines]
    return [float(match.group(1)) for match in found if match]


def train_in_spawned_worker(host: str, checkpoint: Path, folder: Path) -> None:
    """Train as *checkpoint* was, in a process that the host's ``call_main`` runs in.

    The hosts spawn one worker a GPU, and workers do not pass through Hydra. This spawns one on
    the CPU, from a program that starts as ``selfmis`` does.
    """
    program = folder / "program.py"
    program.write_text(
        "from selfmis_plugin.cli.main import main  # what a worker imports first\n"
        "if __name__ == '__main__':\n"
        "    import os, sys\n"
        "    import torch.multiprocessing as mp\n"
        "    from selfmis_plugin import compat, toolkit\n"
        "    from selfmis_plugin.training.entry import train_main\n"
        "    from selfmis_plugin.checkpoints import read_checkpoint\n"
        "    from omegaconf import OmegaConf\n"
        f"    from {host}.distributed.utils import call_main\n"
        "    os.environ[compat.WORKER_HOST] = toolkit.HOST\n"
        "    cfg = OmegaConf.create(read_checkpoint(sys.argv[1])['cfg'])\n"
        "    OmegaConf.set_struct(cfg, True)  # as the command line leaves it\n"
        "    cfg.checkpoint.save_dir = sys.argv[2]\n"
        "    worker = mp.get_context('spawn').Process(\n"
        "        target=call_main, args=(cfg, train_main))\n"
        "    worker.start(); worker.join(); sys.exit(worker.exitcode)\n",
        encoding="utf-8",
    )
    train(
        [str(checkpoint), str(folder / "spawned")], folder, command=[sys.executable, str(program)]
    )
    assert (folder / "spawned/checkpoint_best.pt").is_file()
