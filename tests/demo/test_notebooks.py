"""The notebooks of the site, executed at a small size."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

from tests.support import environment

NOTEBOOKS = Path(__file__).resolve().parents[2] / "docs/notebooks"
#: What stands in a notebook's cell of parameters, small.
SMALL = {
    "train_and_judge": {
        "RECORDS": 240,
        "EPOCHS": {"supervised": 1, "alignment": 1, "probe": 2},
    },
    "watch_to_figure": {"RECORDS": 240, "EPOCHS": 1},
}
#: What its outputs must say.
SAYS = {
    "train_and_judge": ["mean AUC of the infarction types 0.", "best checkpoint", "image/png"],
    "watch_to_figure": ["scored", "threshold", "not for diagnosis", "image/png"],
}


def test_every_notebook_is_executed() -> None:
    assert {file.stem for file in NOTEBOOKS.glob("*.ipynb")} == SMALL.keys() == SAYS.keys()


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_a_notebook_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbformat = pytest.importorskip("nbformat")
    client = pytest.importorskip("nbclient").NotebookClient
    for key, value in environment(SELFMIS_LOG="").items():
        monkeypatch.setenv(key, value)
    notebook: Any = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    (cell,) = [c for c in notebook.cells if "parameters" in c.metadata.get("tags", ())]
    given = {line.targets[0].id for line in ast.parse(cell.source).body}  # type: ignore[attr-defined]
    assert given == SMALL[name].keys()
    cell.source = "\n".join(f"{key} = {value!r}" for key, value in SMALL[name].items())
    client(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    ).execute()
    outputs = str([cell.get("outputs") for cell in notebook.cells])
    assert all(words in outputs for words in SAYS[name])
