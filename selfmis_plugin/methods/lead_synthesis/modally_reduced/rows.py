"""Leads that modally reduced decoders make of lead I, judged as those of generators are."""

from __future__ import annotations

from selfmis_plugin.methods.lead_synthesis.rows import judged
from selfmis_plugin.methods.method import Method
from selfmis_plugin.methods.modally_reduced.rows import CURRICULUM

MAKER = "modally_reduced_leads"

METHODS = (
    Method(
        "modally_reduced_leads",
        "modally reduced decoder",
        CURRICULUM,
        judged(MAKER, "leads decoded from lead I's code before"),
        generates=True,
    ),
)
