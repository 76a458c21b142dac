"""Where configs lie: this package's, and those of packages elsewhere."""

from __future__ import annotations

from pathlib import Path

from selfmis_plugin.utils import plugins

__all__ = ["config_file", "config_folders", "configs_folder"]


def configs_folder() -> Path:
    """Return the folder of the plugin's YAML files: in the wheel, or beside a checkout's package.

    Raises
    ------
    FileNotFoundError
        If neither is there, which means that the installation is not whole.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "configs", package.parent / "configs"):
        if (folder / "selfmis_pretrain.yaml").is_file():
            return folder
    raise FileNotFoundError(
        f"the plugin's configs are in neither {package / 'configs'} nor "
        f"{package.parent / 'configs'}: install selfmis-plugin again"
    )


def config_folders() -> list[Path]:
    """Return the folder of this package's configs, then those of packages elsewhere."""
    return [configs_folder(), *plugins.config_folders()]


def config_file(name: str) -> Path:
    """Return the YAML file of a config, such as ``selfmis_pretrain`` or ``baselines/simclr``.

    Raises
    ------
    FileNotFoundError
        If it is in none of the folders.
    """
    folders = config_folders()
    for folder in folders:
        if (folder / f"{name}.yaml").is_file():
            return folder / f"{name}.yaml"
    raise FileNotFoundError(f"no config {name!r} in {', '.join(map(str, folders))}: check the name")
