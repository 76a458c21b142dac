"""Pages that are made from the code: config keys, rows of the benchmark, the reference."""

from __future__ import annotations

import dataclasses
import enum
import importlib
import pkgutil
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

import selfmis_plugin
from selfmis_plugin import toolkit
from selfmis_plugin.methods import known_methods
from selfmis_plugin.training.configs import configs_folder
from selfmis_plugin.training.known_configs import known_configs, title_of
from selfmis_plugin.training.registration import register_all
from selfmis_plugin.utils.markdown import code, table, text

#: Groups of the host whose keys our configs set, and what they are about.
_HOST_GROUPS = {
    "common": "the run",
    "checkpoint": "what is kept",
    "dataset": "batches",
    "distributed_training": "processes",
    "optimization": "epochs and learning rate",
}
#: Names of 0.1, and a script that is no module to import.
_NOT_SHOWN = (
    "selfmis_plugin._moved",
    "selfmis_plugin._version",
    "selfmis_plugin.benchmark.warm_host",
)


def write_pages(folder: Path) -> None:
    """Write all pages that are made from the code."""
    (folder / "api").mkdir(parents=True, exist_ok=True)
    pages = {"keys": _keys(), "rows": _rows(), **_api()}
    for name, content in pages.items():
        file = folder / f"{name}.md"
        # Unchanged pages are not read again by the next build.
        if not file.is_file() or file.read_text(encoding="utf-8") != content:
            file.write_text(content, encoding="utf-8")


# -- config keys ---------------------------------------------------------------------------------


def _keys() -> str:
    register_all()
    configs = {
        name: yaml.safe_load(file.read_text(encoding="utf-8"))
        for name, file in known_configs([configs_folder()]).items()
    }
    parts = [
        "# Configs and their keys",
        "Made from the code. `selfmis configs NAME` shows a config, with its own values; "
        "`selfmis train NAME KEY=VALUE` sets a key. *Default* is what holds where no config says "
        "anything.",
        "## Configs",
        table(
            ["config", "what"],
            [
                [code(name), text(title_of(file))]
                for name, file in known_configs([configs_folder()]).items()
            ],
        ),
    ]
    for group in ("task", "model", "criterion", "lr_scheduler"):
        for name, found in sorted(_own_dataclasses(group, configs).items()):
            used = [config for config, values in configs.items() if _named(values, group) == name]
            rows = [_row(group, field, required=True) for field in _fields(found)]
            parts += [
                f"## `{group}`: `{name}`",
                "In " + ", ".join(map(code, used)) + ".",
                table(["key", "default", "meaning"], rows),
            ]
    parts.append("## The toolkit's own keys that the configs set")
    for group, what in _HOST_GROUPS.items():
        set_here = {key for values in configs.values() for key in values.get(group, {})}
        rows = [
            _row(group, field, required=False)
            for field in dataclasses.fields(_host_group(group))
            if field.name in set_here
        ]
        parts += [f"### `{group}`: {what}", table(["key", "default", "meaning"], rows)]
    return "\n\n".join(parts) + "\n"


def _named(values: Mapping[str, Any], group: str) -> str | None:
    return (values.get(group) or {}).get("_name")


def _own_dataclasses(group: str, configs: Mapping[str, Any]) -> dict[str, type]:
    """Config dataclasses of this plugin that the configs name; the host's own are left out."""
    names = {name for values in configs.values() if (name := _named(values, group))}
    registry = _registry(group)
    return {
        name: registry[name]
        for name in names
        if name in registry and registry[name].__module__.startswith("selfmis_plugin.")
    }


def _registry(group: str) -> dict[str, type]:
    """Config dataclasses that the host knows for a group of a config, by name."""
    if group in ("task", "model"):
        module = importlib.import_module(f"{toolkit.HOST}.{group}s")
        found: dict[str, type] = getattr(module, f"{group.upper()}_DATACLASS_REGISTRY")
        return found
    registries = importlib.import_module(f"{toolkit.HOST}.registry").REGISTRIES
    return dict(registries[group]["dataclass_registry"])


def _host_group(group: str) -> Any:
    """The host's own defaults of a group, a dataclass."""
    whole = importlib.import_module(f"{toolkit.HOST}.dataclass.configs").FairseqConfig
    fields = {field.name: field for field in dataclasses.fields(whole)}
    made = fields[group].default_factory
    return fields[group].default if made is dataclasses.MISSING else made()


def _fields(found: type) -> list[dataclasses.Field[Any]]:
    return [field for field in dataclasses.fields(found) if field.name != "_name"]


def _row(group: str, field: dataclasses.Field[Any], required: bool) -> list[str]:
    meaning = field.metadata.get("help", "")
    if isinstance(field.default, str) and (of := re.fullmatch(r"\$\{(.+)\}", field.default)):
        return [code(f"{group}.{field.name}"), f"that of {code(of[1])}", text(meaning)]
    if required and not meaning:
        raise ValueError(f"{group}.{field.name} has no help: say what it means in its metadata")
    return [code(f"{group}.{field.name}"), _default(field), text(" ".join(meaning.split()))]


def _default(field: dataclasses.Field[Any]) -> str:
    value = field.default
    if field.default_factory is not dataclasses.MISSING:
        value = field.default_factory()
    if value is dataclasses.MISSING or value == "???":
        return "must be given"
    if value is None:
        return code("null")
    if isinstance(value, bool):
        return code(str(value).lower())
    if isinstance(value, enum.Enum):
        return code(value.name)
    return code(value if value != "" else '""')


# -- rows ----------------------------------------------------------------------------------------


def _rows() -> str:
    rows = []
    for name, method in known_methods().items():
        configs = [stage.config for stage in method.stages()]
        configs += [classifier.config for classifier in method.modes.values() if classifier.config]
        rows.append(
            [
                code(name),
                text(method.title),
                ", ".join(map(code, dict.fromkeys(configs))) or "nothing is trained",
                ", ".join(map(code, method.modes)),
            ]
        )
    parts = [
        "# Rows of the benchmark",
        "Made from the code: what `selfmis benchmark mi --methods` takes, the configs that its "
        "trainings are of (a CPU takes those with `_small`), and its modes.",
        table(["row", "what", "configs", "modes"], rows),
    ]
    return "\n\n".join(parts) + "\n"


# -- reference -----------------------------------------------------------------------------------


def _modules(package: str) -> Iterator[str]:
    yield package
    for found in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
        if found.name not in _NOT_SHOWN:
            yield found.name


def _api() -> dict[str, str]:
    """A page for the public face, and one for each package."""
    names = sorted(
        found.name for found in pkgutil.iter_modules(selfmis_plugin.__path__) if found.ispkg
    )
    entries = "\n".join(f"api/{name}" for name in names)
    names_of_face = [name for name in selfmis_plugin.__all__ if not name.startswith("__")]
    face = "".join(
        f".. autoclass:: selfmis_plugin.{name}\n   :no-members:\n\n"
        if name[0].isupper()
        else f".. autofunction:: selfmis_plugin.{name}\n\n"
        for name in names_of_face
    )
    pages = {
        "api": "# Reference\n\n"
        f"```{{eval-rst}}\n.. automodule:: selfmis_plugin\n   :no-members:\n\n{face}```\n\n"
        "## Packages\n\n`nn`, `metrics`, `data`, `preparation` and `synthetic` know no toolkit.\n\n"
        f"```{{toctree}}\n:maxdepth: 1\n\n{entries}\n```\n"
    }
    for name in names:
        package = f"selfmis_plugin.{name}"
        blocks = "\n".join(f".. automodule:: {module}\n" for module in _modules(package))
        pages[f"api/{name}"] = f"# {package}\n\n```{{eval-rst}}\n{blocks}```\n"
    return pages
