"""CLEF (arXiv 2512.02180) as its authors publish it, probed and fine-tuned."""

from __future__ import annotations

from selfmis_plugin.methods.method import LEAD_I, UNLABELLED, Method, Stage
from selfmis_plugin.methods.ways import ways

METHODS = (
    Method(
        "clef",
        "CLEF (published)",
        Stage(
            "clef",
            # Of the same size; any host can build it.
            "selfmis_pretrain",
            UNLABELLED,
            given_by="clef_checkpoint",
            needs_file=True,
        ),
        ways(LEAD_I),
    ),
)
