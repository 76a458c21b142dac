"""Names that records, leads, labels and databases have in other people's files, shown to people."""

from __future__ import annotations

import ast
import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from matplotlib.text import Text

from selfmis_plugin.checkpoints.classifier import LoadedClassifier
from selfmis_plugin.checkpoints.loading import read_model
from selfmis_plugin.cli.main import main
from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.export.model_card import model_card
from selfmis_plugin.metrics.operating_points import OperatingPoint
from selfmis_plugin.utils import markdown
from selfmis_plugin.visualization.figure import new_figure
from tests.checkpoint_files import write_classifier, write_judge
from tests.support import write_store

# Of a formula, the first is not even one.
NAMES = ("$x^{$", "$x$", r"\$ $\frac$", "$" * 7, "_under", "<b>bold</b>", "a|b", "`tick`")


@pytest.mark.parametrize("name", [*NAMES, "\udcff.csv", "a\x00b"])
@pytest.mark.parametrize("form", ["png", "svg", "pdf"])
def test_a_name_is_drawn_as_it_stands(name: str, form: str) -> None:
    figure = new_figure(4, 3, layout="constrained")
    axes = figure.add_subplot()
    axes.set(title=name, xlabel=name, yticks=[])
    # Of those only a file's name can be no text, and it is a title.
    axes.set_xticks([0, 1], [name.replace("\udcff", ""), "other"])
    axes.plot([0, 1], [0, 1], label=f"line {name}")
    axes.legend()
    axes.text(0, 0, name)
    figure.savefig(io.BytesIO(), format=form, bbox_inches="tight")
    texts = [text for text in figure.findobj(Text) if isinstance(text, Text)]
    assert texts and not any(text.get_parse_math() for text in texts)  # type: ignore[attr-defined]


def hostile_store(folder: Path) -> Path:
    """A store whose records, labels and database are called like formulas and markup."""
    labels = ("NORM", "AMI", "$x^{$", "a|b <i>")
    path = write_store(
        folder / "$store^{$", {"train": 4, "valid": 8, "test": 8}, diagnoses=labels, drawn=labels,
        record_name="$x^{{$ <b>{}",
    )  # fmt: skip
    return path


def test_a_store_of_such_names_is_shown_and_reported(tmp_path: Path) -> None:
    store = hostile_store(tmp_path)
    labels = ("NORM", "AMI", "$x^{$", "a|b <i>")
    checkpoint = write_classifier(tmp_path / "$run^{$" / "c.pt", labels=labels)
    assert main(["show", str(store), "--out", str(tmp_path / "overview.png")]) == 0
    record = "$x^{$ <b>12"
    assert (
        main(["show", str(store), "--record", record, "--out", str(tmp_path / "record.png")]) == 0
    )
    dest = tmp_path / "report"
    arguments = ["--checkpoint", str(checkpoint), "--data", str(store), "--split", "test"]
    assert main(["report", *arguments, "--dest", str(dest), "--draws", "20"]) == 0
    page = (dest / "report.html").read_text(encoding="utf-8")
    assert "$x^{$ &lt;b&gt;1" in page and "<b>" not in page and "<i>" not in page


def test_a_model_card_says_names_and_nothing_else(tmp_path: Path) -> None:
    markdown_it = pytest.importorskip("markdown_it")
    evil = (
        "![x](http://a.b/c)", "<script>alert(1)</script>", "a | b", "[y](javascript:z)", "`c`",
        "line\n# heading", "---\nlicense: evil\n---", "**d** _e_ ~~f~~",
        "https://g.h www.i.j k@l.m",
        "&lt;", "\u202eturned", "\\|",
    )  # fmt: skip
    checkpoint = write_classifier(tmp_path / "c.pt", labels=evil)
    found = read_model(checkpoint)
    estimate = {"value": 0.5, "low": 0.4, "high": 0.6}
    row = {"positives": 1, "auc": estimate, "sensitivity": 0.5, "specificity": 0.5}
    mean = {**estimate, "labels": 2}
    model = replace(
        found,
        specificity=0.9,
        points={name: OperatingPoint(0.0, 0.9, None, 1, 1) for name in evil},
        provenance={
            "plugin_version": "1", "checkpoint": "a` **b** ``c.pt", "checkpoint_sha256": "0",
            "valid": {"data": evil[0], "database": evil[1], "records": 1},
            "test": {
                "data": evil[6], "database": evil[10], "calibrated": None,
                "records": 1, "patients": 1, "draws": 1, "macro_auc": mean, "mi_auc": mean,
                "labels": dict.fromkeys(evil, row),
            },
        },
    )  # fmt: skip
    card = model_card(model, name=evil[0], licence=evil[5])
    # As the hub's library takes the two apart.
    head, body = ModelCard(card).data, ModelCard(card).text
    assert head.to_dict().keys() == {"library_name", "license", "tags", "model-index"}
    assert head.license == evil[5] and head.model_name == evil[0]
    results = head.eval_results
    assert results is not None and len(results) == 2
    assert {(r.dataset_type, r.metric_value) for r in results} == {(evil[10], 0.5)}
    assert evil[6] in results[0].dataset_name
    parser = markdown_it.MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    tokens = [part for token in parser.parse(body) for part in (token, *(token.children or ()))]
    kinds = {token.type for token in tokens}
    assert not kinds & {"html_inline", "html_block", "image", "link_open", "em_open", "s_open"}
    assert sum(token.type == "tr_open" for token in tokens) == 1 + len(evil)
    assert sum(token.type == "td_open" for token in tokens) == 6 * len(evil)
    assert [t.content for t in tokens if t.type == "code_inline"][1] == "a` **b** ``c.pt"
    assert "<script>" not in parser.render(body)
    assert "http://" not in body and "www.i" not in body


def test_a_lead_cannot_leave_the_example_of_a_model_card(tmp_path: Path) -> None:
    provenance = {"plugin_version": "1", "checkpoint": "c", "checkpoint_sha256": "0"}
    for file, leads in (
        (write_classifier(tmp_path / "c.pt"), ('I"; import os; "',)),
        (write_judge(tmp_path / "j.pt"), ("```\n# x", *STANDARD_LEADS[1:])),
    ):
        found = read_model(file)
        assert isinstance(found.classifier, LoadedClassifier)
        prepared = replace(found.classifier.preprocessing, leads=leads)
        classifier = replace(found.classifier, preprocessing=prepared)
        model = replace(found, classifier=classifier, provenance=provenance)
        example = re.search("```python\n(.*?)\n```\n", model_card(model), re.DOTALL)
        assert example is not None
        calls = [n for n in ast.walk(ast.parse(example[1])) if isinstance(n, ast.keyword)]
        said = next(ast.literal_eval(call.value) for call in calls if call.arg == "lead")
        assert said == (leads[0] if len(leads) == 1 else leads)


def test_a_bar_stays_in_its_cell() -> None:
    assert markdown.table(["a|b"], [["c\nd"]]) == "| a\\|b |\n| --- |\n| c d |"
