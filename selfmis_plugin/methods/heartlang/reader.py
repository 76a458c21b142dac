"""Files of HeartLang: the plugin's own checkpoints, and those that the authors publish."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from selfmis_plugin.checkpoints.classifier import LoadedClassifier, described, measured
from selfmis_plugin.checkpoints.contract import Wanted
from selfmis_plugin.checkpoints.reading import (
    CheckpointError,
    model_name,
    not_whole,
    read_checkpoint,
)
from selfmis_plugin.checkpoints.weights import EncoderWeights, checked, part_of
from selfmis_plugin.data.filter_names import BANDPASS
from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.data.preprocessing import Preprocessing
from selfmis_plugin.methods.heartlang.network import HeartLangConfig
from selfmis_plugin.methods.heartlang.published import (
    published_sentences,
    published_tokenizer,
    which_published,
)
from selfmis_plugin.methods.heartlang.shape import RATE, TokenizerConfig
from selfmis_plugin.methods.heartlang.trained import LoadedSentences, LoadedTokenizer
from selfmis_plugin.nn.encoder import shape_from
from selfmis_plugin.probe.shape_state import shape_in_state
from selfmis_plugin.utils.fields import FieldError

__all__ = ["FILES", "READERS", "read_tokenizer"]

TOKENIZER, SENTENCES, CLASSIFIER = "heartlang_tokenizer", "heartlang", "heartlang_classifier"
#: How the authors' records were prepared.
PUBLISHED = Preprocessing(RATE, 10.0, STANDARD_LEADS, BANDPASS)


def read_tokenizer(path: str | Path, used: Preprocessing) -> LoadedTokenizer:
    """Read a tokenizer, of a training or published, for words of *used*.

    Returns
    -------
    LoadedTokenizer
        Its preprocessing has the leads of *used* if its training had them, among others.

    Raises
    ------
    CheckpointError
        If the file cannot be read, or is no tokenizer.
    """
    file = Path(path)
    payload = read_checkpoint(file)
    stage = which_published(payload)
    if stage == TOKENIZER:
        loaded = _published_tokenizer(file, payload)
    elif stage is None and model_name(payload) == TOKENIZER:
        loaded = _read_tokenizer(file, payload)
    else:
        raise CheckpointError(
            f"{file} is no tokenizer of HeartLang: give the checkpoint_best.pt of a run of "
            f"{TOKENIZER}, or the authors' file of their VQ-HBR"
        )
    made = loaded.preprocessing
    if set(used.leads) <= set(made.leads):
        return replace(loaded, preprocessing=replace(made, leads=used.leads))
    return loaded


def _read_tokenizer(file: Path, payload: Mapping[str, Any]) -> LoadedTokenizer:
    try:
        model, task, preprocessing = described(payload)
        config = TokenizerConfig.from_mapping(model)
        weights = part_of(payload["model"], "network.")
        figures = measured(task)
    except (KeyError, TypeError, ValueError) as error:
        raise not_whole(file, error) from error
    return LoadedTokenizer(file, config, preprocessing, weights, figures)


def _read_sentences(file: Path, payload: Mapping[str, Any]) -> LoadedSentences:
    try:
        model, _, _ = described(payload)
        config = HeartLangConfig.from_mapping(model)
    except (KeyError, TypeError, ValueError) as error:
        raise not_whole(file, error) from error
    loaded = LoadedSentences.from_training(file, payload, config, "network.encoder.")
    assert isinstance(loaded, LoadedSentences)
    return loaded


def _read_classifier(file: Path, payload: Mapping[str, Any]) -> LoadedClassifier:
    try:
        model, task, preprocessing = described(payload)
        values = shape_in_state(task)
        if values is None:
            raise FieldError("task_state.encoder is missing")
        return LoadedClassifier(
            file,
            shape_from(values),
            task.names("labels"),
            preprocessing,
            model.flag("standardize_embeddings"),
            part_of(payload["model"], "network."),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise not_whole(file, error) from error


def _published_tokenizer(file: Path, payload: Mapping[str, Any]) -> LoadedTokenizer:
    config, weights = published_tokenizer(file, payload)
    return LoadedTokenizer(file, config, PUBLISHED, weights)


@dataclass(frozen=True)
class PublishedFile:
    """A file that HeartLang's authors publish."""

    path: Path
    loaded: LoadedSentences | LoadedTokenizer

    def trained(
        self, labels: Sequence[str] | None, named: bool
    ) -> LoadedSentences | LoadedTokenizer:
        """Return what was trained."""
        return self.loaded

    def encoder(self, wanted: Wanted) -> EncoderWeights:
        """Return the encoder of their language model.

        Raises
        ------
        CheckpointError
            If it is their tokenizer.
        """
        if isinstance(self.loaded, LoadedTokenizer):
            raise CheckpointError(
                f"{self.path} is HeartLang's tokenizer (VQ-HBR), which embeds no records: give "
                "the file of its second stage (ST-ECGFormer)"
            )
        return self.loaded.encoder(wanted)


def _read_file(path: Path, payload: Mapping[str, Any]) -> PublishedFile | None:
    stage = which_published(payload)
    if stage is None:
        return None
    if stage == TOKENIZER:
        return PublishedFile(path, _published_tokenizer(path, payload))
    config, weights = published_sentences(path, payload)
    encoder = checked(path, part_of(weights, "encoder."), config, len(STANDARD_LEADS))
    return PublishedFile(path, LoadedSentences(path, SENTENCES, config, PUBLISHED, encoder))


READERS = {
    TOKENIZER: _read_tokenizer,
    SENTENCES: _read_sentences,
    CLASSIFIER: _read_classifier,
}
#: Files that are recognised by their content (:mod:`selfmis_plugin.checkpoints.readers`).
FILES = (_read_file,)
