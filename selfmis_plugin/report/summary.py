"""The first lines of a report: what it is about, the main figures, and how to read them."""

from __future__ import annotations

from selfmis_plugin.checkpoints.loading import load_trained
from selfmis_plugin.data.provenance import headline
from selfmis_plugin.evaluation.calibrating import OWN, PERHAPS_FITTED_HERE, VALID
from selfmis_plugin.metrics.any_infarction import ANY
from selfmis_plugin.metrics.bootstrap import Estimate
from selfmis_plugin.metrics.defaults import FEW_PATIENTS
from selfmis_plugin.metrics.statistics import Report
from selfmis_plugin.report.judged import Judged

__all__ = ["interval", "summary"]

#: What the first lines say of a calibration, by what it was fitted to.
_CALIBRATION = {
    OWN: "The calibration is the one that the model brings.",
    VALID: "The calibration is fitted to the validation split.",
    None: "Probabilities are as the network gives them: there is no calibration, and below is why.",
}


def summary(judged: Judged) -> tuple[str, ...]:
    """Return the first lines: model, data, protocol, main figures, and how to read them."""
    request, record, fitted = judged.request, judged.by_record, judged.fitted
    reads = load_trained(request.checkpoint, request.labels).preprocessing
    leads = f"lead{'' if len(reads.leads) == 1 else 's'} {', '.join(reads.leads)}"
    origins = "; ".join(map(str, judged.part.store.info.origins)) or "origin not recorded"
    return (
        f"Model: {judged.typed}, which reads {leads} at {reads.sample_rate:g} Hz. "
        f"{headline(judged.provenance)}",
        f"Data: {record.units:,} records of {record.patients:,} patients, split {request.split} of "
        f"{request.data}; {origins}.",
        *([] if judged.seen is None else [f"{judged.seen}."]),
        *([f"{PERHAPS_FITTED_HERE}."] if judged.perhaps_fitted_here else []),
        "Protocol: the model is as it was saved, and this report fits nothing to these records"
        + ("; whether it has seen them is a matter of its training" if judged.seen is None else "")
        + f". {_CALIBRATION[fitted.on if fitted.labels else None]} Intervals are of 95 %, by "
        "patient.",
        _means(judged) + _rarest(record),
        "How to read it: the AUC (area under the ROC curve) is how often a record with a label is "
        "given a higher probability than one without: 0.5 is chance, 1 is never wrong. Its "
        "interval says how much of it may be due to these very patients. Average precision is the "
        "mean share of right ones among the records called; by chance it is the share of "
        "positives. The Brier score is the mean squared error of the probability, the calibration "
        "error the mean distance of probabilities from what came true: 0 is best for both.",
    )


def _means(judged: Judged) -> str:
    """The main figures; a model without infarction types has no mean over them."""
    record, patient, either = judged.by_record, judged.by_patient, ""
    if judged.derives_any:
        of_any = judged.every.labels[ANY]
        lacks = ", ".join(judged.lacks)
        either = (
            f"{ANY.capitalize()} (at least one of the types): AUC {interval(of_any.auc)}, "
            f"{of_any.positives:,} positives"
            + (f", among them those with {lacks}, for which the model has no output" * bool(lacks))
            + ". "
        )
    number = len(record.macro_auc.labels)
    over, every = f"over {number} label{'' if number == 1 else 's'}", record.macro_auc.estimate
    if not record.mi_auc.labels:
        return (
            f"{either}Macro AUC {over} {interval(every)} by record, "
            f"{interval(patient.macro_auc.estimate)} by patient."
        )
    return (
        f"{either}Mean AUC of the infarction types {interval(record.mi_auc.estimate)} by record, "
        f"{interval(patient.mi_auc.estimate)} by patient; macro AUC {over} {interval(every)}."
    )


def _rarest(report: Report) -> str:
    fewest = report.macro_auc.fewest
    if not 0 < fewest < FEW_PATIENTS:
        return ""
    return (
        f" The rarest label has {fewest} positive patient{'s' if fewest > 1 else ''}: how little "
        "that says is in the means' intervals."
    )


def interval(figure: Estimate) -> str:
    """Return a figure with its interval, three decimals."""
    if figure.value is None:
        return "-"
    if figure.low is None or figure.high is None:
        return f"{figure.value:.3f}"
    return f"{figure.value:.3f} ({figure.low:.3f}, {figure.high:.3f})"
