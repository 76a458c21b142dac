"""ECG-FM (McKeen et al., arXiv 2408.05178) as its authors publish it, probed and fine-tuned."""

from __future__ import annotations

from selfmis_plugin.methods.method import LEAD_I, UNLABELLED, Method, Stage
from selfmis_plugin.methods.ways import ways

#: The file is of this size whatever that of the other encoders is.
PUBLISHED = {**LEAD_I, "model._name": "ecg_fm_classifier", "task.sample_rate": 500}

METHODS = (
    Method(
        "ecg_fm",
        "ECG-FM (published)",
        Stage(
            "ecg_fm",
            # Of the same family: what it needs of the host is what this training needs.
            "baselines/w2v_cmsc_rlm",
            UNLABELLED,
            given_by="ecg_fm_checkpoint",
            needs_file=True,
        ),
        ways(PUBLISHED),
    ),
)
