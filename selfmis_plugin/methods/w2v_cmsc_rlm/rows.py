"""W2V-CMSC as papers cite it: fairseq-signals' recipe with random lead masking.

Each lead of a half record is zero with probability one half in pre-training (Oh et al.,
"Lead-agnostic self-supervised learning for local and global representations of electrocardiogram",
CHIL 2022), so that a record of which only lead I is there lies inside what the encoder has seen.
The row ``w2v_cmsc`` is the recipe without it.
"""

from __future__ import annotations

from selfmis_plugin.methods.method import LAST, LEAD_I, UNLABELLED, Export, Method, Stage
from selfmis_plugin.methods.ways import host_ways

STAGE = Stage(
    "w2v_cmsc_rlm",
    "baselines/w2v_cmsc_rlm",
    UNLABELLED,
    export=Export("cmsc"),
    checkpoint=LAST,
    rates={"full": (1.25e-5, 5e-5, 2e-4, 8e-4), "small": (2.5e-4, 1e-3, 4e-3, 0.016)},
)

METHODS = (
    Method(
        "w2v_cmsc_rlm",
        "W2V-CMSC, leads masked",
        STAGE,
        # The encoder reads twelve leads; all but lead I are zero.
        host_ways(LEAD_I, STAGE),
        paper="W2V-CMSC",
    ),
)
