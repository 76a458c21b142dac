"""Add a method of your own to the benchmark: here SelfMIS beside the six chest leads alone.

    selfmis benchmark mi --synthetic --size small --workers 2 --fractions 1.0 \\
        --methods-from examples/own_method.py --methods chest_leads,selfmis,ecgfounder

Is what the chest leads show enough for lead I to learn from? The reference tower is trained on V1
to V6 in place of all twelve leads, lead I is aligned with it, and the encoder that comes out is
judged on labels exactly as every other method is. What has been run already is not run again.

A package shares a method with all who install it: this file is its module rows.py, and the package
is named by an entry point, as that of examples/own_package is:

    [project.entry-points."selfmis.plugins"]
    chest_leads = "my_package"
"""

from selfmis_plugin.methods.method import (
    ARCHIVE,
    FINETUNE,
    LEAD_I,
    PROBE,
    UNLABELLED,
    Classifier,
    Method,
    Stage,
)
from selfmis_plugin.methods.supervised.rows import SINGLE_LEAD

CHEST = ("V1", "V2", "V3", "V4", "V5", "V6")

# A stage is one training: a config (at --size small CONFIG_small), data, and keys to override.
CHEST_ENCODER = Stage(
    "chest_encoder", "selfmis_supervised", ARCHIVE, overrides={"task.leads": CHEST}
)

ALIGNED = Stage(
    "chest_leads",
    "selfmis_pretrain",
    UNLABELLED,
    # Checkpoints of other stages. SINGLE_LEAD is shared with other methods, and trained once.
    starts_from={
        "model.single_lead_checkpoint": SINGLE_LEAD,
        "model.multi_lead_checkpoint": CHEST_ENCODER,
    },
    overrides={"model.multi_leads": CHEST, "criterion.center": True},
)

METHODS = (
    Method(
        "chest_leads",
        "SelfMIS beside V1-V6",
        ALIGNED,
        {
            PROBE: Classifier("selfmis_linear_probe", LEAD_I),
            FINETUNE: Classifier("selfmis_finetune", LEAD_I),
        },
    ),
)
