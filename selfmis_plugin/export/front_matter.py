"""The head of a model card, which the Hugging Face hub reads (YAML)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from selfmis_plugin.checkpoints.model_folder import SavedModel
from selfmis_plugin.data.origin import SYNTHETIC

__all__ = ["front_matter"]

_TAGS = ("ecg", "selfmis", "myocardial-infarction")
_COHORT = "selfmis-synthetic-cohort"


def front_matter(model: SavedModel, name: str, licence: str) -> str:
    """Return licence, data sets, tags and figures, between two lines of dashes."""
    steps = model.facts.provenance
    synthetic = any(origin.kind == SYNTHETIC for step in steps for origin in step.origins)
    data = [step.database for step in steps if step.database and not _is_synthetic(step.origins)]
    fields = ModelCardData(
        library_name="selfmis-plugin",
        license=licence,
        tags=[*_TAGS, *(["synthetic-data"] if synthetic else [])],
        datasets=list(dict.fromkeys([*([_COHORT] if synthetic else []), *data])) or None,
        model_name=name,
        eval_results=_results(model.provenance.get("test")),
    )
    return f"---\n{fields.to_yaml()}\n---"


def _is_synthetic(origins: Any) -> bool:
    return bool(origins) and all(origin.kind == SYNTHETIC for origin in origins)


def _results(test: Mapping[str, Any] | None) -> list[EvalResult] | None:
    if test is None:
        return None
    macro, infarction = test["macro_auc"], test["mi_auc"]
    metrics = {
        f"macro AUC over {macro['labels']} labels": macro["value"],
        f"mean AUC of {infarction['labels']} infarction types": infarction["value"],
    }
    return [
        EvalResult(
            task_type="other",
            task_name="ECG statements",
            dataset_type=str(test["database"]),
            dataset_name=_data_name(test),
            dataset_split="cross-validated" if "protocol" in test else "test",
            metric_type="roc_auc",
            metric_name=metric,
            metric_value=value,
        )
        for metric, value in metrics.items()
        if value is not None
    ]


def _data_name(test: Mapping[str, Any]) -> str:
    kinds = {origin["kind"] for origin in test.get("origins", ())} or {"origin not recorded"}
    return f"{test['data']} ({test['database']}, {', '.join(sorted(kinds))})"
