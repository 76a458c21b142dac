"""What the demo trains: one place for its sizes, its trainings and the rows of its table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from selfmis_plugin.data.leads import STANDARD_LEADS


@dataclass(frozen=True)
class Sizes:
    """Numbers of records and epochs; :meth:`scaled` makes a smaller demo of the same shape."""

    archive: int = 3000
    unlabelled: int = 6300
    unlabelled_valid: int = 300
    study: int = 2400
    few_labels: int = 100
    supervised_epochs: int = 16
    pretrain_epochs: int = 10
    scratch_epochs: int = 60
    probe_epochs: int = 30

    def scaled(self, scale: float) -> Sizes:
        """Return sizes multiplied by *scale*, large enough to run."""
        if scale == 1.0:
            return self

        def records(count: int) -> int:
            return max(40, round(count * scale))

        def epochs(count: int) -> int:
            return max(1, round(count * scale))

        return Sizes(
            archive=max(200, records(self.archive)),
            unlabelled=max(120, records(self.unlabelled)),
            unlabelled_valid=records(self.unlabelled_valid),
            study=max(200, records(self.study)),
            few_labels=records(self.few_labels),
            supervised_epochs=epochs(self.supervised_epochs),
            pretrain_epochs=epochs(self.pretrain_epochs),
            scratch_epochs=epochs(self.scratch_epochs),
            probe_epochs=epochs(self.probe_epochs),
        )


@dataclass(frozen=True)
class Training:
    """One run of the host's command line.

    Attributes
    ----------
    name
        Folder of the run.
    config
        Name of the YAML file.
    data
        Which of the demo's data: ``archive``, ``unlabelled`` or ``study``.
    epochs
        Which of the sizes gives the number of epochs.
    starts_from
        Config key of a checkpoint and the training that makes it.
    overrides
        Further config keys.
    """

    name: str
    config: str
    data: str
    epochs: str
    starts_from: dict[str, str] = field(default_factory=dict)
    overrides: Mapping[str, object] = field(default_factory=dict)


ALL_LEADS = {"task.leads": STANDARD_LEADS}

#: Trainings in an order in which each finds what it starts from.
TRAININGS: tuple[Training, ...] = (
    Training(
        "twelve_lead_tower", "selfmis_supervised_small", "archive", "supervised_epochs",
        overrides=ALL_LEADS,
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
        {"model.encoder_checkpoint": "twelve_lead_tower"}, ALL_LEADS,
    ),
)  # fmt: skip

#: Rows of the table: the training that makes each, and what it is.
ROWS: dict[str, str] = {
    "random_encoder": "lead I, random encoder, probe",
    "without_alignment": "lead I, trained on the few labels alone",
    "supervised_encoder": "lead I, encoder trained on the archive's labels, probe",
    "selfmis": "lead I, SelfMIS from a fresh encoder, probe",
    "selfmis_from_supervised": "lead I, SelfMIS from the supervised encoder, probe",
    "twelve_lead": "12 leads, encoder trained on the archive's labels, probe (upper bound)",
}

#: Pre-trainings whose retrieval is reported, under these names.
RETRIEVALS: dict[str, str] = {
    "selfmis": "align_fresh",
    "selfmis_from_supervised": "align_supervised",
}
