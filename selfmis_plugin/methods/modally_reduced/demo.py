"""The demo of modally reduced representations."""

from __future__ import annotations

from dataclasses import dataclass

from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.methods.demo_plan import Leads, LeadsSizes
from selfmis_plugin.methods.method import PROBE
from selfmis_plugin.methods.modally_reduced.rows import LEAD_PROBES
from selfmis_plugin.metrics.defaults import DRAWS


@dataclass(frozen=True)
class _Sizes(LeadsSizes):
    epochs: int
    supervised_epochs: int
    selfmis_epochs: int
    probe_epochs: int


_MODES = dict(zip(STANDARD_LEADS, (PROBE, *LEAD_PROBES), strict=True))
_ALONE = {
    "modally_reduced_align": "align alone",
    "modally_reduced_reconstruct": "reconstruct alone",
}

DEMO = Leads(
    "modally-reduced",
    "every lead's embedding: correlation, twelve leads from one, infarction, identification",
    sizes=_Sizes(
        archive=1200,
        unlabelled=2248,
        unlabelled_valid=200,
        study=1500,
        recordings=310,
        epochs=8,
        supervised_epochs=10,
        selfmis_epochs=8,
        probe_epochs=20,
    ),
    method="modally_reduced",
    heading="Modally reduced representations",
    called="curriculum",
    alone=_ALONE,
    unaligned="reconstruct alone",
    others=("selfmis_without_s", "random_encoder"),
    modes=_MODES,
    epochs={
        **dict.fromkeys(("modally_reduced", *_ALONE), "epochs"),
        "multi_lead_encoder": "supervised_epochs",
        "selfmis_without_s": "selfmis_epochs",
        **dict.fromkeys(_MODES.values(), "probe_epochs"),
    },
    draws=DRAWS,
)
