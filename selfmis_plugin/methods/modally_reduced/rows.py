"""Modally reduced representations, and what is left of them with one of the two losses alone
(Ibtehaz and Mortazavi, 2024)."""

from __future__ import annotations

from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.methods.method import PROBE, UNLABELLED, UNTRAINED, Classifier, Method, Stage
from selfmis_plugin.methods.ways import untrained

_RATES = {"full": (7.5e-5, 3e-4, 1.2e-3, 4.8e-3), "small": (3e-4, 1.25e-3, 5e-3, 0.02)}

#: The method's own training, which other rows share.
CURRICULUM = Stage(
    "modally_reduced",
    "modally_reduced",
    UNLABELLED,
    given_by="modally_reduced_checkpoint",
    rates=_RATES,
)


def _probe(lead: str) -> Classifier:
    return Classifier("modally_reduced_linear_probe", {"task.leads": (lead,)})


#: Probes of the other leads' encoders, for which ``--modes`` has to ask.
LEAD_PROBES = {f"{PROBE}-{lead}": _probe(lead) for lead in STANDARD_LEADS[1:]}


def _alone(loss: str, title: str) -> Method:
    name = f"modally_reduced_{loss}"
    overrides = {"criterion.schedule": loss}
    stage = Stage(name, "modally_reduced", UNLABELLED, overrides=overrides, rates=_RATES)
    return Method(name, title, stage, {PROBE: _probe("I")})


METHODS = (
    Method(
        "modally_reduced",
        "modally reduced",
        CURRICULUM,
        {PROBE: _probe("I"), **LEAD_PROBES, UNTRAINED: untrained(_probe("I"))},
    ),
    _alone("align", "modally reduced: alignment alone"),
    _alone("reconstruct", "modally reduced: reconstruction alone"),
)
