"""ECG-FM's published files, and checkpoints of classifiers on them.

A published file is a checkpoint of fairseq-signals' model ``wav2vec2_cmsc``, such as
``mimic_iv_ecg_physionet_pretrained.pt`` (https://huggingface.co/wanglab/ecg-fm), and says nothing
that tells it from a training of one's own: who gives it says that it is ECG-FM's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from selfmis_plugin.checkpoints import CheckpointError, load_encoder_weights
from selfmis_plugin.checkpoints.classifier import LoadedClassifier
from selfmis_plugin.checkpoints.reading import not_whole
from selfmis_plugin.checkpoints.weights import EncoderWeights, part_of
from selfmis_plugin.data.filter_names import NO_FILTER
from selfmis_plugin.data.preprocessing import Preprocessing
from selfmis_plugin.methods.ecg_fm.network import ECGFMShape
from selfmis_plugin.methods.ecg_fm.shape import RATE
from selfmis_plugin.methods.host.shape import HostShape
from selfmis_plugin.nn.encoder import shape_from
from selfmis_plugin.probe.shape_state import shape_in_state
from selfmis_plugin.utils.fields import Fields

__all__ = ["CLASSIFIER", "READERS", "ecg_fm_weights"]

CLASSIFIER = "ecg_fm_classifier"
#: The toolkit's model that ECG-FM is.
FAMILY = "wav2vec2_cmsc"


def ecg_fm_weights(path: Path, leads: Sequence[str]) -> EncoderWeights:
    """Return shape, weights and preprocessing of ECG-FM's encoder.

    Parameters
    ----------
    path
        Its published file, or the checkpoint of a classifier on it.
    leads
        Leads that are read; the others of twelve are zero.

    Returns
    -------
    EncoderWeights
        Its preprocessing has the sample rate and the filter.

    Raises
    ------
    CheckpointError
        If the file cannot be read, or holds another encoder.
    """
    weights = load_encoder_weights(path, None, leads=leads)
    shape = weights.config
    if isinstance(shape, ECGFMShape):
        return weights
    if not isinstance(shape, HostShape) or shape.model["_name"] != FAMILY:
        raise CheckpointError(
            f"{path}: holds an encoder of the kind {weights.kind}, not ECG-FM's, which is a "
            f"{FAMILY} of fairseq-signals: give mimic_iv_ecg_physionet_pretrained.pt of its authors"
        )
    # The toolkit's recipe takes any rate, and so the file may say none.
    rate = RATE if shape.sample_rate is None else float(shape.sample_rate)
    return EncoderWeights(
        ECGFMShape(shape.model, rate),
        {f"piece.{name}": value for name, value in weights.state_dict.items()},
        {"sample_rate": rate, "filter": NO_FILTER},
        "ecg_fm",
    )


def _read_classifier(file: Path, payload: Mapping[str, Any]) -> LoadedClassifier:
    try:
        task = Fields(payload["task_state"], "task_state")
        return LoadedClassifier(
            file,
            shape_from(Fields(shape_in_state(task), "encoder")),
            task.names("labels"),
            Preprocessing.from_dict(task["preprocessing"]),
            Fields(payload["cfg"], "cfg").part("model").flag("standardize_embeddings"),
            part_of(payload["model"], "network."),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise not_whole(file, error) from error


READERS = {CLASSIFIER: _read_classifier}
