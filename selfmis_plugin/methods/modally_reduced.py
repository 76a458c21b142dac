"""Modally reduced representations: lead I's encoder, trained beside all others' (Ibtehaz and
Mortazavi, 2024)."""

from __future__ import annotations

from selfmis_plugin.methods.method import LEAD_I, PROBE, UNLABELLED, Classifier, Method, Stage

METHODS = (
    Method(
        "modally_reduced",
        "modally reduced, lead I",
        Stage("modally_reduced", "modally_reduced", UNLABELLED),
        {PROBE: Classifier("modally_reduced_linear_probe", LEAD_I)},
    ),
)
