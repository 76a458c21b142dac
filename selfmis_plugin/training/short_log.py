"""What a person sees of a training: a line an interval, and a few figures a validation.

The run's folder keeps the host's whole log (``hydra_train.log``); this is for the terminal alone.
``SELFMIS_LOG=full`` shows everything there too.
"""

from __future__ import annotations

import contextlib
import logging
import logging.config
import os
import re
import time
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from selfmis_plugin.compat.installed import PACKAGES

__all__ = [
    "FULL_LOG",
    "ShortFormatter",
    "WithoutChatter",
    "shown_shortly",
    "wants_all",
    "without_warnings",
]

#: The environment's variable that asks for everything on the terminal.
FULL_LOG = "SELFMIS_LOG"

#: Loggers of figures: of an epoch, within it, of a validation.
_FIGURES = ("train", "train_inner", "valid")

_EPOCH = re.compile(r"epoch (\d+)(?::\s+(\d+) / (\d+))?")
_VALUE = re.compile(r"(.+)[ =](-?[\d.]+(?:e[-+]?\d+)?|nan|inf)")
#: Figures that say how a training goes, in words; of a validation's others the file has all.
_WORDS = {
    "loss": "loss",
    "macro_auc": "macro AUC",
    "mi_auc": "infarction AUC",
    "r1": "R@1",
    "r5": "R@5",
    "r10": "R@10",
}
#: Warnings that the hosts' use of Hydra and PyTorch brings.
_FOR_PROGRAMMERS = (
    r"(?s).*version_base parameter is not specified",
    r"(?s).*validated against ConfigStore schema",
    r"(?s).*no longer change working directory",
    r".*'pin_memory' argument is set as true but no accelerator",
    r".*torch\.cuda\.amp\..* is deprecated",
    r".*lr_scheduler\.step\(\)",
)
#: By what the hosts' own methods and this plugin's say how fast they are.
_SPEEDS = ("ecg_per_s", "wps")


class WithoutChatter(logging.Filter):
    """Lets figures, warnings and what this plugin says pass, each remark once."""

    def __init__(self) -> None:
        super().__init__()
        self._said: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a line is shown."""
        if record.levelno >= logging.WARNING or record.name in _FIGURES:
            return True
        if record.name.split(".")[0] in PACKAGES:
            return False
        text = record.getMessage()
        fresh = text not in self._said
        self._said.add(text)
        return fresh


class ShortFormatter(logging.Formatter):
    """Writes a line of figures short, and anything else as it is.

    Parameters
    ----------
    epochs, updates
        Where the training ends at the latest; 0 for no such end.
    metric
        The figure by which the best checkpoint is chosen.
    """

    def __init__(self, epochs: int, updates: int, metric: str) -> None:
        super().__init__("%(message)s")
        self._ends = epochs, updates
        self._metric = metric
        self._begun: tuple[float, float] | None = None

    def format(self, record: logging.LogRecord) -> str:
        """Return a line as it is shown."""
        if record.name not in _FIGURES:
            text = super().format(record)
            return f"{record.levelname}: {text}" if record.levelno >= logging.WARNING else text
        parsed = _parsed(record.getMessage())
        if parsed is None:
            return super().format(record)
        epoch, place, of, values = parsed
        if record.name == "valid":
            return shorten(epoch, values, self._metric)
        parts = [f"epoch {epoch}" + (f", {place} of {of}" if place else "")]
        parts += [f"loss {values['loss']}"] if "loss" in values else []
        speed = next((values[name] for name in _SPEEDS if name in values), None)
        parts += [f"{float(speed):,.0f} ECG/s"] if speed else []
        left = self._left(epoch, place, of, values)
        return ", ".join(parts + ([f"{left} left"] if left else []))

    def _left(self, epoch: int, place: int, of: int, values: Mapping[str, str]) -> str:
        """How long the rest takes at the pace so far, if it goes on to its end."""
        epochs, updates = self._ends
        done = epoch - 1 + (place / of if of else 1.0)
        shares = [done / epochs] if epochs else []
        if updates and "num_updates" in values:
            shares.append(float(values["num_updates"]) / updates)
        if not shares:
            return ""
        share, now = max(shares), time.monotonic()
        if self._begun is None:
            self._begun = (share, now)
            return ""
        first, since = self._begun
        if not first < share < 1:
            return ""
        seconds = round((now - since) / (share - first) * (1 - share))
        return f"at most {seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def shorten(epoch: int, values: Mapping[str, str], metric: str) -> str:
    """Return the few figures of a validation that matter, in one line."""
    # A mean over infarction types of data that have none is no figure; a loss that is none is news.
    names = [
        name
        for name in _WORDS
        if name in values and (values[name] != "nan" or name in ("loss", metric))
    ]
    names += [metric] if metric in values and metric not in names else []
    figures = ", ".join(f"{_WORDS.get(name, name)} {_rounded(values[name])}" for name in names)
    best = values.get(f"best_{metric}")
    if best is not None:
        figures += f" (best {_WORDS.get(metric, metric)} {_rounded(best)})"
    return f"epoch {epoch} validated: {figures}"


@contextlib.contextmanager
def shown_shortly(cfg: Any) -> Iterator[None]:
    """Let the terminal show a training shortly for as long as the block lasts; files keep all.

    Both hosts set logging up anew where their training begins.
    """
    if wants_all():
        yield
        return
    without_warnings()
    formatter = ShortFormatter(
        int(cfg.optimization.max_epoch or 0),
        int(cfg.optimization.max_update or 0),
        str(cfg.checkpoint.best_checkpoint_metric),
    )
    filtered = WithoutChatter()
    set_up = logging.config.dictConfig

    def set_up_shortly(config: Any) -> None:
        set_up(config)
        _change_terminal(formatter, filtered)

    _change_terminal(formatter, filtered)
    logging.config.dictConfig = set_up_shortly
    try:
        yield
    finally:
        logging.config.dictConfig = set_up


def _change_terminal(formatter: logging.Formatter, filtered: logging.Filter) -> None:
    for handler in logging.getLogger().handlers:
        is_stream = isinstance(handler, logging.StreamHandler)
        if is_stream and not isinstance(handler, logging.FileHandler):
            handler.filters[:] = [filtered]
            handler.setFormatter(formatter)


def wants_all() -> bool:
    """Whether the user wants the whole log on the terminal."""
    return os.environ.get(FULL_LOG, "").casefold() == "full"


def without_warnings() -> None:
    """Leave out what libraries warn their programmers of, and a user can do nothing about."""
    for text in _FOR_PROGRAMMERS:
        warnings.filterwarnings("ignore", message=text)


def _parsed(text: str) -> tuple[int, int, int, dict[str, str]] | None:
    """Epoch, place in it and out of how many (0 for a whole one), and the figures of a line."""
    found = _EPOCH.search(text)
    if found is None:
        return None
    place, of = (int(found[2]), int(found[3])) if found[2] else (0, 0)
    rest = text[found.end() :]
    # Within an epoch by commas, of an epoch by bars; a name may be a label's, with spaces in it.
    parts = rest.split(" | " if "|" in rest else ",")
    values = (_VALUE.fullmatch(part.strip()) for part in parts)
    return int(found[1]), place, of, {value[1]: value[2] for value in values if value}


def _rounded(value: str) -> str:
    number = float(value)
    return value if number != number else f"{number:.4g}" if abs(number) >= 1 else f"{number:.3f}"
