"""What the host's own methods need of a benchmark: a host that has them, and files to read."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from pathlib import Path

from selfmis_plugin import toolkit
from selfmis_plugin.benchmark.config_content import config_content
from selfmis_plugin.data.splits import open_split
from selfmis_plugin.data.store import StoreError
from selfmis_plugin.methods.host.export_signals import ExportOptions, export_signals
from selfmis_plugin.methods.host.requirement import HOW_TO_GET_SIGNALS
from selfmis_plugin.methods.method import Export, Stage
from selfmis_plugin.training.registration import register_all
from selfmis_plugin.utils.arguments import default_workers

_FEW = 20_000

__all__ = ["export_name", "lacking", "write_export"]


def lacking(needs: Mapping[str, Iterable[Stage]], suffix: str) -> dict[str, str]:
    """Say of everything whose stages the host cannot train why not, and what would bring it.

    Parameters
    ----------
    needs
        Stages, by the name of what needs them.
    suffix
        What the configs' names end with at this size.
    """
    register_all()

    @functools.cache
    def missing_of(config: str) -> list[str]:
        return list(toolkit.missing_parts(config_content(config)))

    reasons = {}
    for name, stages in needs.items():
        missing = {part: None for stage in stages for part in missing_of(stage.config + suffix)}
        if missing:
            reasons[name] = (
                f"{toolkit.host_version()} lacks {', '.join(missing)}. To get it, "
                f"{HOW_TO_GET_SIGNALS}"
            )
    return reasons


def export_name(export: Export, config: str, overrides: Mapping[str, object]) -> str:
    """Return the name of the files that a training reads, the same for all that can share them."""
    return f"{export.kind}-{export.scale}-{_sample_rate(config, overrides):g}"


def write_export(
    data: Path, dest: Path, export: Export, config: str, overrides: Mapping[str, object]
) -> None:
    """Write records as the files that a training of the host's own reads; done ones stay.

    Parameters
    ----------
    data
        Folder of a store, or of manifests of one.
    dest
        Folder of the files.
    export
        Which kind.
    config, overrides
        The training's config and further keys: they say the sample rate.

    Raises
    ------
    StoreError
        If the records cannot be written so.
    """
    rate = _sample_rate(config, overrides)
    options = ExportOptions(kind=export.kind, scale=export.scale, sample_rate=rate)
    # Processes take seconds to start, in which one writes a thousand records.
    workers = default_workers() if len(open_split(data, "train").rows) > _FEW else 1
    try:
        print(export_signals(data, dest, options, workers=workers), flush=True)
    except StoreError as error:
        raise StoreError(f"{config}: {error}") from error


def _sample_rate(config: str, overrides: Mapping[str, object]) -> float:
    found = overrides.get("task.sample_rate", config_content(config)["task"]["sample_rate"])
    return float(str(found))
