"""What a machine must be like to take part in a benchmark that another one began."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from selfmis_plugin import toolkit
from selfmis_plugin._version import __version__
from selfmis_plugin.benchmark.folder import describe_data
from selfmis_plugin.data.store import StoreError

__all__ = ["Site", "site_of"]


@dataclass(frozen=True)
class Site:
    """What is compared.

    Attributes
    ----------
    versions
        By the name of what they are of.
    marker
        A file of the moment in the benchmark's folder: a folder of the same name elsewhere has not
        got it.
    data
        The digest of the records' names, by folder.
    files
        Further files, or exported folders, that trainings read.
    """

    versions: Mapping[str, str]
    marker: Path
    data: Mapping[Path, str]
    files: Sequence[Path]

    def problem(self) -> str | None:
        """Say why this machine cannot take part, as what follows its name; None if it can."""
        for name, version in _versions().items():
            if version != self.versions.get(name):
                return (
                    f"has {name} {version}, and here it is {self.versions.get(name)}: the cells of "
                    "one table come from one version, install the same"
                )
        if not self.marker.is_file():
            return (
                f"does not see the folder {self.marker.parent} that the results go to: give a "
                "--dest that all machines share under the same path"
            )
        for folder, digest in self.data.items():
            if not folder.is_dir():
                return f"does not see the data in {folder}: share it under the same path"
            try:
                seen = describe_data(folder)["digest"]
            except (OSError, StoreError) as error:
                return f"cannot read the data in {folder}: {error}"
            if seen != digest:
                return f"sees other records in {folder} than there are here"
        for file in self.files:
            if not file.exists():  # or a folder of `selfmis export`
                return f"does not see the file {file}: share it under the same path"
        return None


def site_of(marker: Path, data: Sequence[Path], files: Sequence[Path]) -> Site:
    """Return what another machine must be like to take part in a benchmark of this one.

    Parameters
    ----------
    marker
        A file of the moment in the benchmark's folder.
    data
        Folders of records.
    files
        Further files that trainings read.

    Raises
    ------
    StoreError
        If data cannot be read here.
    """
    return Site(
        _versions(), marker, {path: describe_data(path)["digest"] for path in data}, tuple(files)
    )


def _versions() -> dict[str, str]:
    return {
        "selfmis-plugin": __version__,
        "the training toolkit": toolkit.host_version(),
        # A build for GPUs computes with the same release as one without.
        "PyTorch": torch.__version__.partition("+")[0],
        "Python": ".".join(platform.python_version_tuple()[:2]),
    }
