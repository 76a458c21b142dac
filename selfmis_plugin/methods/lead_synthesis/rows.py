"""Twelve leads made from lead I, judged by a classifier of twelve leads (the SelfMIS paper's
table 2)."""

from __future__ import annotations

from collections.abc import Mapping

from selfmis_plugin.methods.method import (
    FINETUNE,
    PROBE,
    UNLABELLED,
    Claim,
    Classifier,
    Method,
    Mode,
    Source,
    Stage,
)
from selfmis_plugin.methods.supervised.rows import MULTI_LEAD

__all__ = ["CLAIMS", "CLASSIFIER_KEY", "GENERATOR_KEY", "METHODS", "judged"]

#: By what keys a maker finds what it joins.
GENERATOR_KEY, CLASSIFIER_KEY = "generator", "classifier"


def judged(maker: str, how: str) -> dict[str, Classifier]:
    """Return the modes of a row: the classifier of twelve real leads that judges what is made.

    Parameters
    ----------
    maker
        Name of what makes the checkpoint (:mod:`selfmis_plugin.methods.makers`). It finds the
        row's own stage, if it has one, at :data:`GENERATOR_KEY` and the judge at
        :data:`CLASSIFIER_KEY`.
    how
        What is before the classifier, for the report.
    """

    def before(mode: str, words: str) -> Classifier:
        sources: Mapping[str, Source] = {CLASSIFIER_KEY: Mode("twelve_lead", mode)}
        about = f"{how} the twelve-lead classifier of the same seed and fraction, {words}"
        return Classifier(None, {}, GENERATOR_KEY, sources, about, maker=maker)

    return {PROBE: before(PROBE, "probed"), FINETUNE: before(FINETUNE, "fine-tuned")}


_MADE = judged("generated_leads", "made leads before")


def _generated(name: str, title: str, stage: Stage, paper: str | None = None) -> Method:
    return Method(name, title, stage, _MADE, paper, generates=True)


#: By config: a quarter of its own rate, that, and four and sixteen times as much.
_RATES: Mapping[str, Mapping[str, tuple[float, ...]]] = {
    "pix2pix": {"full": (5e-5, 2e-4, 8e-4, 3.2e-3), "small": (1.25e-4, 5e-4, 2e-3, 8e-3)},
    "cyclegan": {"full": (5e-5, 2e-4, 8e-4, 3.2e-3), "small": (1.25e-4, 5e-4, 2e-3, 8e-3)},
    "ekgan": {"full": (2.5e-5, 1e-4, 4e-4, 1.6e-3), "small": (1.25e-4, 5e-4, 2e-3, 8e-3)},
    "mcma": {"full": (2.5e-4, 1e-3, 4e-3, 0.016), "small": (1.25e-3, 5e-3, 0.02, 0.08)},
}


def _stage(name: str, config: str, starts_from: Mapping[str, Stage], **keys: object) -> Stage:
    overrides = {key.replace("__", "."): value for key, value in keys.items()}
    return Stage(
        name,
        config,
        UNLABELLED,
        starts_from,
        overrides,
        f"{name}_checkpoint",
        rates=_RATES[config],
    )


def _trivial(name: str, title: str, how: str) -> Method:
    return Method(name, title, None, judged(name, how), generates=True)


_WITH_LATENT = {"model.latent_checkpoint": MULTI_LEAD}

METHODS = (
    _generated("pix2pix", "Pix2Pix", _stage("pix2pix", "pix2pix", {}), "Pix2Pix"),
    _generated("cyclegan", "CycleGAN", _stage("cyclegan", "cyclegan", {}), "CycleGAN"),
    _generated("ekgan", "EKGAN", _stage("ekgan", "ekgan", {}), "EKGAN"),
    _generated("mcma", "MCMA (output normalised)", _stage("mcma", "mcma", {}), "MCMA"),
    _generated(
        "mcma_free",
        "MCMA, output not normalised",
        _stage("mcma_free", "mcma", {}, model__output_norm="none"),
    ),
    _generated(
        "mcma_latent",
        "the same with the latent gap in its loss",
        _stage(
            "mcma_latent",
            "mcma",
            _WITH_LATENT,
            model__output_norm="none",
            criterion__latent_weight=0.1,
        ),
    ),
    _trivial("mean_ecg", "mean ECG", "lead I and the mean of the training records before"),
    _trivial(
        "nearest_record", "nearest record", "the training record of the nearest lead I before"
    ),
    _trivial(
        "mean_beat", "mean beat at each R peak", "the mean training beat at each R peak before"
    ),
    _trivial("linear_leads", "linear map", "a linear map of lead I and its derivatives before"),
    _trivial("zero_leads", "lead I among zeros", "lead I and eleven leads of zeros before"),
)

_LATENT, _SIGNAL = Mode("mcma_latent", PROBE), Mode("mcma_free", PROBE)

CLAIMS = (
    Claim("closing the latent gap closes the gap in AUC", _LATENT, _SIGNAL),
    Claim("a generator is better than lead I among zeros", _SIGNAL, Mode("zero_leads", PROBE)),
)
