"""The benchmark's pictures: chance, the upper bound, a colour a method, and whose records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from selfmis_plugin.benchmark.cross_validation import ANY, MEAN
from selfmis_plugin.benchmark.folds_pictures import (
    draw_aucs,
    draw_costs,
    draw_differences,
    draw_labels,
)
from selfmis_plugin.benchmark.methods_picture import draw_methods
from selfmis_plugin.benchmark.row_colors import color_of
from selfmis_plugin.benchmark.side_by_side import CostPoint
from selfmis_plugin.benchmark.side_by_side import draw_costs as draw_side_by_side
from selfmis_plugin.benchmark.tables import Measured
from selfmis_plugin.data.labels import INFARCTION_TYPES
from selfmis_plugin.methods import known_methods

TITLES = {method.name: method.title for method in known_methods().values()}
#: AUC of rows, the upper bound's in two ways: the better one bounds the others.
AUCS = {
    ("selfmis", "probe"): 0.7, ("without_alignment", "finetune"): 0.72,
    ("twelve_lead", "probe"): 0.88, ("twelve_lead", "finetune"): 0.9,
}  # fmt: skip
BOUND, CHANCE = "12 leads, the upper bound", "chance"


def lines_of(axes: Axes) -> dict[str, float]:
    """Where the lines across a picture are, by their labels."""
    return {
        str(line.get_label()): round(float((x if len({*x}) == 1 else y)[0]), 9)
        for line in axes.lines
        for x, y in [line.get_data()]
        if line.get_label() in (BOUND, CHANCE)
    }


def legend_of(figure: Figure) -> set[str]:
    return {text.get_text() for legend in figure.legends for text in legend.get_texts()}


def data(kind: str = "synthetic") -> dict[str, Any]:
    origins = [{"kind": kind, "text": "seed 1"}]
    labelled = {"database": "ptbxl", "origins": origins, "records": {"train": 1234}}
    return {"labelled": labelled}


def figure_of(value: float, **more: Any) -> dict[str, Any]:
    return {"value": value, "low": value - 0.05, "high": value + 0.05, "seeds": [value], **more}


def folds_report(kind: str = "synthetic", without: str = "") -> dict[str, Any]:
    rows = []
    for (method, mode), auc in AUCS.items():
        for fraction in (0.1, 1.0):
            value = auc - 0.1 * (fraction < 1)
            figures: Mapping[str, Any] = {
                ANY: figure_of(value, difference=figure_of(value - 0.72)),
                MEAN: figure_of(value - 0.1),
            }
            row = {"method": method, "mode": mode, "fraction": fraction, "cpu_seconds": 9.0}
            row |= {"seeds": [1]}
            rows.append({**row, "figures": figures})
    return {
        "rows": [row for row in rows if row["method"] != without],
        "data": data(kind),
        "positives": {"AMI": 22, "IMI": 1111, ANY: 1130},
        "populated": ["AMI", "IMI"],
        "against": "without_alignment",
        "held_out": None,
        "strat_folds": None,
        "folds": 5,
    }


def paper_report(methods: tuple[str, ...] = ("selfmis", "twelve_lead")) -> dict[str, Any]:
    def cell(method: str, mode: str, fraction: float, auc: float) -> dict[str, Any]:
        values: dict[str, float | None] = dict.fromkeys(INFARCTION_TYPES, auc)
        return {
            "method": method, "mode": mode, "fraction": fraction, "seed": 1,
            "per_label": values, "mi_auc": auc, "positives": dict.fromkeys(INFARCTION_TYPES, 57),
        }  # fmt: skip

    cells = [
        cell(method, mode, fraction, auc - 0.1 * (fraction < 1))
        for (method, mode), auc in AUCS.items()
        for fraction in (0.25, 1.0)
        if method in methods
    ]
    if "twelve_lead" in methods:
        # Its own head names one type alone, which it is very good at: no bound of all nine.
        own = cell("twelve_lead", "zero_shot", 0.0, 0.99)
        own["per_label"] = {**dict.fromkeys(INFARCTION_TYPES), "IMI": 0.99}
        cells.append(own)
    return {"cells": cells, "stages": [], "data": data()}


def test_the_paper_picture_has_chance_and_the_best_that_twelve_leads_reach() -> None:
    report = paper_report()
    figure = draw_methods(Measured(report, list(known_methods().values())), report)
    assert lines_of(figure.axes[0]) == {CHANCE: 50.0, BOUND: 90.0}
    assert legend_of(figure) == {CHANCE, BOUND}
    assert figure.get_suptitle().startswith("ptbxl (synthetic): infarction")
    below = " ".join(figure.get_supxlabel().split())
    assert "IPLMI inferoposterolateral infarction 57" in below and below.count(" 57") == 9
    left, right = figure.axes[0].get_xlim()
    assert left < 50 < 90 < right
    assert "mean of the nine infarction types" in figure.axes[0].get_xlabel()
    # Who did not measure twelve leads has no bound, and chance all the same.
    report = paper_report(("selfmis",))
    for cell in report["cells"]:
        cell["per_label"]["PMI"] = None
    figure = draw_methods(Measured(report, list(known_methods().values())), report)
    assert lines_of(figure.axes[0]) == {CHANCE: 50.0} and legend_of(figure) == {CHANCE}
    assert "mean of 8 of the nine infarction types" in figure.axes[0].get_xlabel()


def test_every_panel_of_the_costs_has_both_lines() -> None:
    report = paper_report()
    point = CostPoint("SelfMIS", "selfmis", "s", 0.7, 0.6, 0.8, 9, 1.0, 1.0, 1.0, 1, 1, 0.1)
    figure = draw_side_by_side([point], Measured(report, list(known_methods().values())), report)
    # It is about probes: the bound is twelve leads' probe.
    assert [lines_of(axes) for axes in figure.axes] == [{CHANCE: 50.0, BOUND: 88.0}] * 3
    assert {CHANCE, BOUND} < legend_of(figure) and "(synthetic)" in figure.get_suptitle()


@pytest.mark.parametrize("draw", [draw_aucs, draw_labels, draw_costs])
def test_pictures_over_folds_have_both_lines_and_say_whose_records(draw: Any) -> None:
    figure = draw(folds_report(), TITLES)
    expected = [{CHANCE: 50.0, BOUND: 90.0}, {CHANCE: 50.0, BOUND: 80.0}][: len(figure.axes)]
    assert [lines_of(axes) for axes in figure.axes] == expected
    assert {CHANCE, BOUND} <= legend_of(figure)
    words = [text.get_text() for text in figure.findobj(match=lambda a: hasattr(a, "get_text"))]
    assert any(text == "ptbxl (synthetic): cross-validated over 5 folds" for text in words)
    assert any("any infarction (1,130 positives)" in text for text in words)
    if len(figure.axes) == 2:
        text = figure.axes[1].get_xlabel()
        assert "AMI anterior infarction 22, IMI inferior infarction 1111" in text
    figure = draw(folds_report("stated", "twelve_lead"), TITLES)
    assert lines_of(figure.axes[0]) == {CHANCE: 50.0} and BOUND not in legend_of(figure)
    words = [text.get_text() for text in figure.findobj(match=lambda a: hasattr(a, "get_text"))]
    assert any(text == "ptbxl: cross-validated over 5 folds" for text in words)


def test_differences_show_how_much_there_is_to_gain() -> None:
    figure = draw_differences(folds_report(), TITLES)
    assert lines_of(figure.axes[0]) == {BOUND: 18.0}
    assert f"as good as {TITLES['without_alignment']}" in legend_of(figure)


def test_one_colour_is_one_method_in_every_picture() -> None:
    methods = known_methods()
    assert len({color_of(name) for name in methods}) == len(methods) > 20
    report = paper_report()
    pictures = [
        draw_methods(Measured(report, list(methods.values())), report),
        *(draw(folds_report(), TITLES) for draw in (draw_aucs, draw_differences, draw_costs)),
    ]
    for figure in pictures:
        colors = {line.get_color()[:3] for axes in figure.axes for line in axes.lines}
        assert {color_of("selfmis"), color_of("twelve_lead")} <= colors
        assert color_of("st_mem") not in colors
    # A row of a user's own file, which nobody knows beforehand.
    assert color_of("my_own") not in {color_of(name) for name in methods}
