"""The tokenizer that makes a language model's targets."""

from __future__ import annotations

import logging

from selfmis_plugin.data.preprocessing import Preprocessing
from selfmis_plugin.methods.heartlang.reader import read_tokenizer
from selfmis_plugin.methods.heartlang.shape import HeartLangConfig, TokenizerConfig
from selfmis_plugin.methods.heartlang.tokenizer import HeartbeatTokenizer
from selfmis_plugin.training.encoder_config import refuse_other_preprocessing

__all__ = ["tokenizer_for"]

logger = logging.getLogger(__name__)


def tokenizer_for(
    config: HeartLangConfig, path: str | None, preprocessing: Preprocessing
) -> HeartbeatTokenizer:
    """Return the tokenizer in a file.

    Parameters
    ----------
    config
        Shape of the language model, whose words it has to know.
    path
        The file; without one it is a new tokenizer, in the published proportions.
    preprocessing
        How this run prepares its records.

    Raises
    ------
    CheckpointError
        If the file is no tokenizer, or its records were prepared in another way.
    ValueError
        If it is one of other words.
    """
    if not path:
        return HeartbeatTokenizer(TokenizerConfig.beside(config))
    loaded = read_tokenizer(path, preprocessing)
    refuse_other_preprocessing(loaded.path, loaded.preprocessing, preprocessing)
    for key in ("words", "word_samples", "beats_at"):
        theirs = getattr(loaded.config.encoder, key)
        if theirs != getattr(config, key):
            raise ValueError(
                f"{path} is a tokenizer of other words. Ask for its: model.{key}={theirs}"
            )
    logger.info("%s: tokenizer of %d codes loaded", path, loaded.config.codes)
    return loaded.network()
