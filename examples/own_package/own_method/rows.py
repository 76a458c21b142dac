"""The row of ``selfmis benchmark mi``."""

from selfmis_plugin.methods.method import FINETUNE, LEAD_I, PROBE, UNLABELLED, Method, Stage
from selfmis_plugin.methods.ways import finetune, probe

METHODS = (
    Method(
        "own_masked",
        "masked stretches",
        Stage("own_masked", "own_pretrain", UNLABELLED),
        {PROBE: probe(LEAD_I), FINETUNE: finetune(LEAD_I)},
    ),
)
