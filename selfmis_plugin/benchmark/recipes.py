"""What a training's result depends on beside its records and the code: digests of it.

They lie beside what was trained, so that a folder, or a file of kept cells, is never asked for one
thing and answers with another.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from selfmis_plugin._version import __version__
from selfmis_plugin.benchmark.config_content import config_content
from selfmis_plugin.benchmark.folder import MADE_BY, RECIPE, read_json
from selfmis_plugin.benchmark.settings import (
    RATE,
    SIZES,
    Cell,
    InfarctionError,
    Settings,
    further_keys,
    given_file,
)
from selfmis_plugin.benchmark.sources import stages_of, with_sources
from selfmis_plugin.methods.method import Classifier, Stage, with_its_sources
from selfmis_plugin.utils import plugins
from selfmis_plugin.utils.digests import content_digest

__all__ = ["Recipes", "digest_of", "is_own", "made_by", "refuse_other_recipe", "stamp"]


def made_by() -> dict[str, Any]:
    """Return what stands for the code: the versions of this package and of those that add to it."""
    packages = plugins.versions()
    return {"version": __version__, **({"packages": packages} if packages else {})}


def digest_of(content: Mapping[str, Any]) -> str:
    """Return 16 hexadecimal digits of JSON-ready content, whatever its order."""
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def refuse_other_recipe(file: Path, recipe: str) -> None:
    """Refuse what lies in a folder and was trained in another way than is asked for now.

    What another version has made stays, as does what an older one has, which does not say.

    Parameters
    ----------
    file
        Of a cell or a pre-training; it need not be there.
    recipe
        Digest of what is asked for.

    Raises
    ------
    InfarctionError
        If its recipe is another.
    """
    if not file.is_file():
        return
    said = read_json(file)
    # Of what started from another version's trainings, its own step is this one's.
    version = (said.get(MADE_BY) or made_by())["version"]
    if version == __version__ and said.get(RECIPE, recipe) != recipe:
        raise InfarctionError(
            f"{file.parent} was trained with other settings than are asked for now. Choose "
            "another folder with --dest, or delete this one"
        )


def is_own(about: Mapping[str, Any]) -> bool:
    """Whether the file of a cell or a pre-training says that these versions have made it and all
    that it started from."""
    return RECIPE in about and about.get(MADE_BY) == made_by()


def stamp(recipe: str, sources: Iterable[Path]) -> dict[str, Any]:
    """Return what the file of a cell or a pre-training says of how it was made.

    Parameters
    ----------
    recipe
        Digest of its own recipe.
    sources
        Files of what it started from in this benchmark: where one of them was made by other
        versions, or does not say, no versions have made all of this one.
    """
    own = all(is_own(read_json(file)) for file in sources)
    return {RECIPE: recipe, MADE_BY: made_by() if own else None}


class Recipes:
    """Recipes of what one benchmark trains.

    Parameters
    ----------
    settings
        Of the benchmark.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._configs: dict[str, Mapping[str, Any]] = {}
        # The same weights elsewhere are the same.
        self._files: dict[Path, str] = {}

    def of_cell(self, cell: Cell) -> dict[str, Any]:
        """Return all that a cell's figures depend on but its records, JSON-ready."""
        whole = with_sources(self._settings, [cell])
        stages = {stage.name: stage for one in whole for stage in stages_of(self._settings, one)}
        classifiers = {f"{one.method.name}/{one.mode}": self._classifier(one) for one in whole}
        return self._with_stages(classifiers, stages.values())

    def of_stage(self, stage: Stage) -> dict[str, Any]:
        """Return all that a pre-training depends on but its records, JSON-ready."""
        return self._with_stages({}, with_its_sources(stage))

    def cell(self, cell: Cell) -> str:
        """Return the digest of a cell's recipe."""
        return digest_of(self.of_cell(cell))

    def stage(self, stage: Stage) -> str:
        """Return the digest of a pre-training's recipe."""
        return digest_of(self.of_stage(stage))

    def _with_stages(self, trained: Mapping[str, Any], stages: Iterable[Stage]) -> dict[str, Any]:
        own, given = dict(trained), {}
        for stage in stages:
            file = given_file(self._settings, stage)
            if file is None:
                own[stage.name] = self._stage(stage)
            elif stage.given_by is not None:
                given[stage.given_by] = self._file(file)
        found: dict[str, Any] = {"trained": own, "given": given}
        if self._settings.made:
            found["made"] = {name: self._file(path) for name, path in self._settings.made.items()}
        return found

    def _file(self, file: Path) -> str:
        if file not in self._files:
            self._files[file] = content_digest(file)
        return self._files[file]

    def _classifier(self, cell: Cell) -> dict[str, Any]:
        of = cell.method.modes[cell.mode]
        keys = further_keys(self._settings, cell.mode, f"{cell.method.name}/{cell.mode}")
        sources = {key: getattr(source, "name", source) for key, source in of.sources().items()}
        said = (of.encoder_key, of.untrained, of.maker, of.predictor, of.overrides, of.reads)
        return {"as": said, "from": sources, **self._trained(of, keys)}

    def _stage(self, of: Stage) -> dict[str, Any]:
        sources = {key: source.name for key, source in of.starts_from.items()}
        said = (of.data, of.checkpoint, of.share, of.overrides, of.export)
        keys = further_keys(self._settings, of.name)
        return {"as": said, "from": sources, **self._trained(of, keys)}

    def _trained(self, of: Classifier | Stage, keys: Mapping[str, Any]) -> dict[str, Any]:
        """Return a training's config and what the user's keys change of it: a learning rate that
        trials chose may be the config's own."""
        if of.config is None:
            return {}
        config = self._config(of.config)
        own = config.get("optimization", {}).get("lr")
        same = RATE not in of.overrides and keys.get(RATE) == own
        changed = {key: value for key, value in keys.items() if not (same and key == RATE)}
        return {"config": config, "keys": changed}

    def _config(self, name: str) -> Mapping[str, Any]:
        """Return what a config says, but where its files go."""
        if name not in self._configs:
            try:
                content = config_content(name + SIZES[self._settings.size])
            except FileNotFoundError:
                content = {}  # its training will say so, and other rows do not need it
            self._configs[name] = {key: content[key] for key in content if key != "hydra"}
        return self._configs[name]
