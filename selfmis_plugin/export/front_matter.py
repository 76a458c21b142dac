"""The head of a model card, which the Hugging Face hub reads (YAML)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

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
    fields = {
        "library_name": "selfmis-plugin",
        "license": licence,
        "tags": [*_TAGS, *(["synthetic-data"] if synthetic else [])],
        "datasets": list(dict.fromkeys([*([_COHORT] if synthetic else []), *data])),
        "model-index": [_index(model, name)] if model.provenance.get("test") else [],
    }
    lines = [f"{key}: {_yaml(value)}" for key, value in fields.items() if value]
    return "\n".join(["---", *lines, "---"])


def _is_synthetic(origins: Any) -> bool:
    return bool(origins) and all(origin.kind == SYNTHETIC for origin in origins)


def _index(model: SavedModel, name: str) -> dict[str, Any]:
    test = model.provenance["test"]
    metrics = [
        _metric(
            "roc_auc", f"macro AUC over {test['macro_auc']['labels']} labels", test["macro_auc"]
        ),
        _metric(
            "roc_auc", f"mean AUC of {test['mi_auc']['labels']} infarction types", test["mi_auc"]
        ),
    ]
    return {
        "name": name,
        "results": [
            {
                "task": {"type": "other", "name": "ECG statements"},
                "dataset": {
                    "type": str(test["database"]),
                    "name": _data_name(test),
                    "split": "test",
                },
                "metrics": [metric for metric in metrics if metric["value"] is not None],
            }
        ],
    }


def _data_name(test: Mapping[str, Any]) -> str:
    kinds = {origin["kind"] for origin in test.get("origins", ())} or {"origin not recorded"}
    return f"{test['data']} ({test['database']}, {', '.join(sorted(kinds))})"


def _metric(kind: str, name: str, figure: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": kind, "name": name, "value": figure["value"]}


def _yaml(value: Any) -> str:
    # JSON is YAML, and its texts cannot leave their quotes; what does not print is escaped, which
    # YAML asks for.
    plain = json.dumps(value, ensure_ascii=False)
    return plain if plain.isprintable() else json.dumps(value)
