"""What a run leaves for people in its folder: ``run.md``, ``run.json`` and its curves; and that a
start that was refused leaves nothing."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import math
import os
import platform
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
import torch
from omegaconf import OmegaConf

from selfmis_plugin import toolkit
from selfmis_plugin._version import __version__
from selfmis_plugin.checkpoints.contract import Classifies, EmbedsPairs, HasEncoders
from selfmis_plugin.checkpoints.loading import load_trained
from selfmis_plugin.checkpoints.reading import CheckpointError
from selfmis_plugin.training.best_figures import best_figures
from selfmis_plugin.training.known_configs import known_configs, probe_of
from selfmis_plugin.training.run_log import JSON_FILE, LOG_FILE, curves_of
from selfmis_plugin.utils.files import whole_file, write_json
from selfmis_plugin.utils.markdown import table
from selfmis_plugin.utils.paths import LAUNCH_FOLDER, from_launch_folder
from selfmis_plugin.visualization.learning import draw_learning

__all__ = ["CURVES", "config_name_of", "end_of_run", "remove_if_new", "write_run"]

TEXT_FILE, PICTURE_FILE = "run.md", "curves.png"
#: Environment variable; ``0``: no picture, which takes longer than a short training does.
CURVES = "SELFMIS_CURVES"
BEST = "checkpoint_best.pt"

#: What Hydra and its log leave of a start in a folder.
_OF_A_START = frozenset({".hydra", LOG_FILE})
#: Curves that are drawn, where a run has them.
_DRAWN = ("loss", "macro_auc", "mi_auc", "r1", "r10")
_VERSIONS = ("torch", "numpy", "hydra-core", "omegaconf")


def end_of_run(cfg: Any, config_name: str | None) -> list[str]:
    """Return what to say of a training that has ended: the best checkpoint, its figures, and the
    command that comes next."""
    best = Path(cfg.checkpoint.save_dir) / BEST
    if not best.is_file():
        return []
    shown = _typed(best)
    metric = str(cfg.checkpoint.best_checkpoint_metric)
    figures = best_figures(best, Path.cwd(), metric)
    few = ", ".join(f"{name} {figures[name]:.4g}" for name in dict.fromkeys((metric, *_DRAWN))
                    if name in figures)  # fmt: skip
    lines = [f"best checkpoint: {shown}" + (f" (validation: {few})" if few else "")]
    data = _typed(Path(str(cfg.task.data))) if "data" in cfg.task else "STORE"
    return lines + [f"next: {command}" for command in _next(best, shown, data, config_name)]


def write_run(cfg: Any, config_name: str | None, interrupted: bool = False) -> None:
    """Write ``run.json``, ``run.md`` and, unless ``SELFMIS_CURVES=0``, the curves' picture into the
    run's folder, each whole.

    Parameters
    ----------
    cfg
        The host's whole config.
    config_name
        The config's name; None where it is not known.
    interrupted
        Whether the training was stopped before its end; what it has finished is described.
    """
    folder = Path.cwd()
    curves = curves_of(folder)
    if not curves:
        return
    metric = str(cfg.checkpoint.best_checkpoint_metric)
    best = Path(cfg.checkpoint.save_dir) / BEST
    about = {
        "config_name": config_name,
        "ended": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "interrupted": interrupted,
        "versions": _versions(),
        "data": str(cfg.task.data) if "data" in cfg.task else None,
        "best_checkpoint": os.path.relpath(best, folder) if best.is_file() else None,
        "best_checkpoint_metric": metric,
        "validation": best_figures(best, folder, metric),
        "curves": {
            name: {tag: [[e, _finite(v)] for e, v in curve] for tag, curve in tags.items()}
            for name, tags in curves.items()
        },
        "config": _as_json(OmegaConf.to_container(cfg, resolve=True)),
    }
    write_json(folder / JSON_FILE, about)
    figure = None
    if os.environ.get(CURVES) != "0":
        figure = draw_learning(curves, [name for name in _DRAWN if name in curves])
    if figure is not None:
        with whole_file(folder / PICTURE_FILE) as temporary:
            figure.savefig(temporary)
    with whole_file(folder / TEXT_FILE) as temporary:
        temporary.write_text(_text(about, figure is not None), encoding="utf-8")


def remove_if_new(folder: Path) -> bool:
    """Remove a run's folder that this process has made and that holds no more than its start.

    Returns
    -------
    bool
        Whether it was removed.
    """
    launch = os.environ.get(LAUNCH_FOLDER)
    if not launch or folder.samefile(launch) or not (folder / ".hydra").is_dir():
        return False
    others = {entry for entry in folder.iterdir() if entry.name not in _OF_A_START}
    if any(not entry.is_dir() or any(entry.iterdir()) for entry in others):
        return False
    if not _begins_now(folder / LOG_FILE):
        return False
    os.chdir(launch)
    shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()


def config_name_of(folder: Path) -> str | None:
    """Return the config that a run's folder was started with; None where it does not tell."""
    try:
        found = OmegaConf.load(folder / ".hydra/hydra.yaml").hydra.job.config_name
    except Exception:  # somebody else's folder, or file
        return None
    return str(found) if found else None


def _begins_now(log: Path) -> bool:
    """Whether a log has no line of an earlier start."""
    begun = psutil.Process().create_time() - 1
    try:
        first = log.read_text(encoding="utf-8", errors="replace").partition("\n")[0]
    except OSError:
        return False
    stamp = first[1:20]
    try:
        return datetime.datetime.strptime(stamp, "%Y-%m-%d %H:%M:%S").timestamp() >= begun
    except ValueError:
        return not first


def _next(best: Path, shown: str, data: str, config_name: str | None) -> list[str]:
    try:
        trained = load_trained(best)
    except CheckpointError:
        return []
    if isinstance(trained, Classifies):
        return [
            f"selfmis evaluate --checkpoint {shown} --data {data}",
            f"selfmis export --checkpoint {shown} --data {data} --dest MODEL",
        ]
    commands = []
    if isinstance(trained, EmbedsPairs):
        commands.append(f"selfmis evaluate --checkpoint {shown} --data {data} --split valid")
    probe = probe_of(config_name, known_configs()) if config_name else None
    if isinstance(trained, HasEncoders) and probe:
        commands.append(
            f"selfmis train {probe} task.data=LABELLED_STORE model.encoder_checkpoint={shown}"
        )
    return commands


def _typed(path: Path) -> str:
    """A path as it is typed where the command was given."""
    launch = from_launch_folder(".")
    path = Path(os.path.abspath(path))
    return str(path.relative_to(launch)) if path.is_relative_to(launch) else str(path)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _as_json(config: Any) -> Any:
    """A config with what JSON has no number for as text, such as ``optimization.clip_norm=inf``."""
    if isinstance(config, dict):
        return {key: _as_json(value) for key, value in config.items()}
    if isinstance(config, list):
        return [_as_json(value) for value in config]
    return str(config) if isinstance(config, float) and not math.isfinite(config) else config


def _versions() -> dict[str, str]:
    found = {"selfmis-plugin": __version__, "host": toolkit.host_version()}
    for name in _VERSIONS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    return {**found, "Python": platform.python_version(), "device": device}


def _text(about: Mapping[str, Any], pictured: bool) -> str:
    figures = about["validation"]
    rows = [(name, f"{value:.6g}") for name, value in figures.items()]
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    best = about["best_checkpoint"]
    ended = (
        f"Interrupted {about['ended']}; the same command goes on."
        if about["interrupted"]
        else f"Ended {about['ended']}."
    )
    return "\n".join(
        [
            f"# {about['config_name'] or 'A training'}",
            "",
            f"{ended} Data: `{about['data']}`.",
            "",
            f"Best checkpoint: `{best}`, by {about['best_checkpoint_metric']}."
            if best
            else "No checkpoint is the best yet.",
            "",
            table(["validation", ""], rows),
            "",
            *([f"![learning curves]({PICTURE_FILE})", ""] if pictured else []),
            f"{versions}. Every epoch and the whole config are in `{JSON_FILE}`, the log in "
            f"`{LOG_FILE}`.",
            "",
            "```json",
            json.dumps(about["config"], indent=2, default=str),
            "```",
            "",
        ]
    )
