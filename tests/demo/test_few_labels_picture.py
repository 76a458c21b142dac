"""The picture of a demo on few labels."""

from __future__ import annotations

from matplotlib.container import BarContainer

from selfmis_plugin.benchmark.row_colors import color_of
from selfmis_plugin.data.labels import INFARCTION_TYPES
from selfmis_plugin.demo.few_labels_picture import draw_few_labels
from selfmis_plugin.methods.selfmis.demo import DEMO


def test_it_has_words_positives_chance_and_the_upper_bound() -> None:
    rows = {
        name: {
            # One type has no positive, so no row has a figure of it.
            "per_label": dict.fromkeys(INFARCTION_TYPES[:-1], 0.5 + 0.05 * k),
            "mi_auc": 0.5 + 0.05 * k,
            "mi_auc_sd": 0.01,
            "positives": dict.fromkeys(INFARCTION_TYPES[:-1], 57),
        }
        for k, name in enumerate(DEMO.rows)
    }
    report = {"rows": rows, "seeds": [1, 2, 3], "data": "synthetic cohort"}
    shares = {"r1": 0.3, "r10": 0.8, "records": 1153}
    figure = draw_few_labels(DEMO, report, {"selfmis": shares, "selfmis_from_supervised": shares})
    assert "synthetic cohort" in figure.get_suptitle() and "3 seeds" in figure.get_suptitle()
    types, retrieval = figure.axes
    ticks = [tick.get_text() for tick in types.get_xticklabels()]
    assert ticks[0] == "ALMI\nanterolateral\n57" and ticks[-2:] == [
        "PMI\nposterior\n0",
        "mean\nof nine",
    ]
    named = {text.get_text() for text in figure.legends[0].get_texts()}
    assert {"chance", "twelve lead (upper bound)", "selfmis"} <= named
    lines = {str(line.get_label()): line for line in retrieval.lines}
    assert lines["upper bound"].get_ydata()[0] == 100
    assert list(lines["chance"].get_ydata()) == [100 / 1153, 1000 / 1153]
    # A row has its method's colour in both panels, and in the benchmark's pictures.
    assert lines["selfmis"].get_color() == color_of("selfmis_without_s")
    bars = {str(one.get_label()): one.patches[0] for one in types.containers
            if isinstance(one, BarContainer)}  # fmt: skip
    assert bars["selfmis"].get_facecolor()[:3] == color_of("selfmis_without_s")
    assert bars["selfmis from supervised"].get_facecolor()[:3] == color_of("selfmis")
