"""The demo of SelfMIS: one place for its sizes, its trainings and the rows of its table."""

from __future__ import annotations

from dataclasses import dataclass

from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.methods.demo_plan import FewLabels, FewLabelsSizes, Training


@dataclass(frozen=True)
class _Sizes(FewLabelsSizes):
    supervised_epochs: int
    pretrain_epochs: int
    scratch_epochs: int
    probe_epochs: int


_ALL_LEADS = {"task.leads": STANDARD_LEADS}

_TRAININGS = (
    Training(
        "twelve_lead_tower", "selfmis_supervised_small", "archive", "supervised_epochs",
        overrides=_ALL_LEADS,
    ),
    Training(
        "lead_i_tower", "selfmis_supervised_small", "archive", "supervised_epochs",
        overrides={"task.leads": ["I"]},
    ),
    Training(
        "align_fresh", "selfmis_pretrain_small", "unlabelled", "pretrain_epochs",
        {"model.multi_lead_checkpoint": "twelve_lead_tower"},
    ),
    Training(
        "align_supervised", "selfmis_pretrain_small", "unlabelled", "pretrain_epochs",
        {
            "model.multi_lead_checkpoint": "twelve_lead_tower",
            "model.single_lead_checkpoint": "lead_i_tower",
        },
    ),
    Training("without_alignment", "selfmis_finetune_small", "study", "scratch_epochs"),
    Training(
        "random_encoder", "selfmis_linear_probe_small", "study", "probe_epochs",
        overrides={"model.encoder_checkpoint": None},
    ),
    Training(
        "supervised_encoder", "selfmis_linear_probe_small", "study", "probe_epochs",
        {"model.encoder_checkpoint": "lead_i_tower"},
    ),
    Training(
        "selfmis", "selfmis_linear_probe_small", "study", "probe_epochs",
        {"model.encoder_checkpoint": "align_fresh"},
    ),
    Training(
        "selfmis_from_supervised", "selfmis_linear_probe_small", "study", "probe_epochs",
        {"model.encoder_checkpoint": "align_supervised"},
    ),
    Training(
        "twelve_lead", "selfmis_linear_probe_small", "study", "probe_epochs",
        {"model.encoder_checkpoint": "twelve_lead_tower"}, _ALL_LEADS,
    ),
)  # fmt: skip

_ROWS = {
    "random_encoder": "lead I, random encoder, probe",
    "without_alignment": "lead I, trained on the few labels alone",
    "supervised_encoder": "lead I, encoder trained on the archive's labels, probe",
    "selfmis": "lead I, SelfMIS from a fresh encoder, probe",
    "selfmis_from_supervised": "lead I, SelfMIS from the supervised encoder, probe",
    "twelve_lead": "12 leads, encoder trained on the archive's labels, probe (upper bound)",
}

DEMO = FewLabels(
    "selfmis",
    "single-lead infarction detection by alignment",
    sizes=_Sizes(
        archive=3000,
        unlabelled=6300,
        unlabelled_valid=300,
        study=2400,
        few_labels=100,
        supervised_epochs=16,
        pretrain_epochs=10,
        scratch_epochs=60,
        probe_epochs=30,
    ),
    trainings=_TRAININGS,
    rows=_ROWS,
    retrievals={"selfmis": "align_fresh", "selfmis_from_supervised": "align_supervised"},
    retrieval_keys={
        "selfmis": "retrieval",
        "selfmis_from_supervised": "retrieval_from_supervised",
    },
    upper_bound="twelve_lead",
)
