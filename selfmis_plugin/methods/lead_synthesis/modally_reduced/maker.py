"""Classifiers of lead I that are made of modally reduced decoders and a classifier of twelve."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from selfmis_plugin.checkpoints.contract import Wanted, lacks
from selfmis_plugin.checkpoints.facts import read_facts
from selfmis_plugin.checkpoints.loading import load_trained
from selfmis_plugin.checkpoints.reading import CheckpointError
from selfmis_plugin.checkpoints.weights import part_of
from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.methods.lead_synthesis.joined import (
    require_fit,
    twelve_lead_classifier,
    write_joined,
)
from selfmis_plugin.methods.lead_synthesis.maker import training_millivolts
from selfmis_plugin.methods.lead_synthesis.modally_reduced.network import ModallyReducedLeadsShape
from selfmis_plugin.methods.lead_synthesis.modally_reduced.rows import MAKER
from selfmis_plugin.methods.lead_synthesis.network import GeneratedLeadsShape
from selfmis_plugin.methods.lead_synthesis.rows import CLASSIFIER_KEY, GENERATOR_KEY
from selfmis_plugin.methods.modally_reduced.reader import LoadedModallyReduced

_GIVEN = "I"


def _made(checkpoints: Mapping[str, Path], data: Path, dest: Path) -> None:
    trained = load_trained(checkpoints[GENERATOR_KEY])
    if not isinstance(trained, LoadedModallyReduced):
        lacks(
            trained,
            "has no decoders of leads",
            "give the checkpoint_best.pt of a run of modally_reduced or modally_reduced_small",
        )
    if missing := [lead for lead in STANDARD_LEADS if lead not in trained.leads]:
        raise CheckpointError(
            f"{trained.path} has no decoder of lead {', '.join(missing)}, and a classifier of "
            "twelve leads is to judge them: train it on all, with model.leads=null"
        )
    judge = twelve_lead_classifier(checkpoints[CLASSIFIER_KEY])
    judged_rate, decoder_rate = judge.preprocessing.sample_rate, trained.preprocessing.sample_rate
    # Lead I is put back as it is, so it is not brought below what the judge reads.
    rate = max(judged_rate, decoder_rate)
    require_fit(trained, judge, rate)
    shape = ModallyReducedLeadsShape(
        replace(trained.config, leads=STANDARD_LEADS),
        trained.preprocessing.samples,
        rate,
        decoder_rate,
        _GIVEN,
    )
    write_joined(
        dest,
        GeneratedLeadsShape(shape, judge.config, rate, judged_rate, _GIVEN),
        {
            **_weights(trained),
            "deviations": training_millivolts(data, decoder_rate).std(-1, correction=0).mean(0),
        },
        judge,
        read_facts(trained.path).provenance,
    )


def _weights(trained: LoadedModallyReduced) -> dict[str, Tensor]:
    """Return those of lead I's encoder and of all decoders, in the order of the standard leads."""
    rows = [trained.leads.index(lead) for lead in STANDARD_LEADS]
    encoder = trained.encoder(Wanted(leads=(_GIVEN,))).state_dict
    decoders = part_of(trained.weights, "decoders.")
    return {
        **{f"encoder.{name}": value for name, value in encoder.items()},
        **{f"decoders.{name}": value[rows] for name, value in decoders.items()},
    }


MAKERS = {MAKER: _made}
