"""The demo of SelfMIS: its sizes, and which of the benchmark's rows are those of its table."""

from __future__ import annotations

from dataclasses import dataclass

from selfmis_plugin.methods.demo_plan import FewLabels, FewLabelsSizes, Row
from selfmis_plugin.methods.method import FINETUNE, PROBE, Mode


@dataclass(frozen=True)
class _Sizes(FewLabelsSizes):
    supervised_epochs: int
    pretrain_epochs: int
    scratch_epochs: int
    probe_epochs: int


_ROWS = {
    "random_encoder": Row(Mode("random_encoder", PROBE), "lead I, random encoder, probe"),
    "without_alignment": Row(
        Mode("without_alignment", FINETUNE), "lead I, trained on the few labels alone"
    ),
    "supervised_encoder": Row(
        Mode("ecgfounder", PROBE), "lead I, encoder trained on the archive's labels, probe"
    ),
    "selfmis": Row(Mode("selfmis_without_s", PROBE), "lead I, SelfMIS from a fresh encoder, probe"),
    "selfmis_from_supervised": Row(
        Mode("selfmis", PROBE), "lead I, SelfMIS from the supervised encoder, probe"
    ),
    "twelve_lead": Row(
        Mode("twelve_lead", PROBE),
        "12 leads, encoder trained on the archive's labels, probe (upper bound)",
    ),
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
    epochs={
        "single_lead_encoder": "supervised_epochs",
        "multi_lead_encoder": "supervised_epochs",
        "selfmis_without_s": "pretrain_epochs",
        "selfmis": "pretrain_epochs",
        FINETUNE: "scratch_epochs",
        PROBE: "probe_epochs",
    },
    upper_bound="twelve_lead",
    draws=0,
    rows=_ROWS,
    retrievals={"selfmis": "retrieval", "selfmis_from_supervised": "retrieval_from_supervised"},
)
