"""The report: what it holds, that it needs no network, and how a browser shows it."""

from __future__ import annotations

import base64
import io
import itertools
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from selfmis_plugin.cli.main import main
from selfmis_plugin.data.labels import INFARCTION_TYPES
from selfmis_plugin.data.splits import open_split
from selfmis_plugin.metrics.predictions import Predictions
from selfmis_plugin.metrics.statistics import Report, judge
from selfmis_plugin.report import sections
from selfmis_plugin.report.build import Request, write_report
from selfmis_plugin.report.figures import (
    draw_calibration,
    draw_intervals,
    draw_map,
    draw_roc,
    places_of_pairs,
    roc_bands,
)
from selfmis_plugin.report.page import Section, render
from selfmis_plugin.training.run_log import learning_curves
from selfmis_plugin.visualization.learning import draw_learning
from tests.checkpoint_files import write_classifier, write_towers
from tests.support import write_store

LOG = """\
[2026-01-01 00:00:01,000][valid][INFO] - epoch 001 | valid on 'valid' subset | loss 0.6 | macro_auc nan
[2026-01-01 00:00:02,000][train][INFO] - epoch 001 | loss 0.7 | ecg_per_s 100 | lr 1e-05
[2026-01-01 00:00:03,000][train][INFO] - epoch 002 | loss 0.9 | lr 0.0001
[2026-01-01 00:00:04,000][trainer][INFO] - epoch 002 | loss 5
[2026-01-01 00:00:05,000][valid][INFO] - epoch 002 | valid on 'valid' subset | loss 0.4 | macro_auc 0.75
[2026-01-01 00:00:06,000][train][INFO] - epoch 002 | loss 0.5 | lr 0.0001
"""  # noqa: E501


class Parts(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.images: list[dict[str, str | None]] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "img":
            self.images.append(values)
        self.links += [values[key] or "" for key in ("src", "href", "srcset") if key in values]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, store: Path) -> Path:
    folder = tmp_path_factory.mktemp("report")
    classifier = write_classifier(folder / "run/checkpoints/checkpoint_best.pt")
    (folder / "run/hydra_train.log").write_text(LOG, encoding="utf-8")
    towers = write_towers(folder / "pre/checkpoints/checkpoint_best.pt")
    arguments = ["--checkpoint", str(classifier), "--pretraining", str(towers)]
    arguments += ["--data", str(store), "--dest", str(folder / "out"), "--draws", "50"]
    assert main(["report", *arguments, "--worst", "2"]) == 0
    return folder / "out"


def test_page_is_whole_and_needs_no_network(report: Path) -> None:
    page = (report / "report.html").read_text(encoding="utf-8")
    parts = Parts()
    parts.feed(page)
    names = {path.stem for path in report.glob("*.png")}
    # Calibrated only if the logits rise with a label in validation, which chance decides here.
    assert names - {"calibrated"} == {
        "auc", "roc", "calibration", "learning", "retrieval", "map", "worst_1", "worst_2",
    }  # fmt: skip
    assert len(parts.images) == len(names)
    assert all(image["alt"] for image in parts.images)
    assert all(link.startswith("data:") for link in parts.links)
    assert "http" not in re.sub(r'(src|srcset)="data:[^"]*"', "", page)
    assert "not for diagnosis" in page and "selfmis_classifier" in page and "torch" in page
    for name in names:
        picture = matplotlib.image.imread(report / f"{name}.png")
        assert picture.shape[0] > 200 and np.ptp(picture) > 0.5
    figures = json.loads((report / "figures.json").read_text())
    value = figures["record"]["labels"]["AMI"]["auc"]["value"]
    assert f"{value:.3f} (" in page
    assert figures["retrieval"]["records"] == len(Predictions.read(report / "predictions.parquet"))


def test_a_second_report_of_fewer_pictures_leaves_none_of_the_first(
    tmp_path: Path, store: Path
) -> None:
    classifier = write_classifier(tmp_path / "checkpoint_best.pt")
    mine = tmp_path / "out" / "mine.png"
    for worst in ("3", "1"):
        arguments = ["--checkpoint", str(classifier), "--data", str(store), "--draws", "50"]
        arguments += ["--worst", worst, "--dest", str(tmp_path / "out")]
        assert main(["report", *arguments]) == 0
        mine.write_bytes(b"somebody's own")
    found = {path.name for path in (tmp_path / "out").glob("*.png")}
    said = json.loads((tmp_path / "out/figures.json").read_text())["pictures"]
    assert "worst_1.png" in found and "worst_2.png" not in found
    assert found == {*said, "mine.png"}


def test_its_first_lines_say_what_it_is_about_and_how_to_read_it(report: Path) -> None:
    page = (report / "report.html").read_text(encoding="utf-8")
    first = re.findall(r"<p>(.*?)</p>", page[: page.index("Figures by label")])
    starts = ["Model: ", "Data: ", "Protocol: ", "Any infarction (at", "How to read it: "]
    assert [line[: len(start)] for line, start in zip(first, starts, strict=True)] == starts
    assert "reads lead I at" in first[0] and "origin is not recorded" in first[0]
    assert first[1].endswith("origin not recorded.")
    # Infarction types come first, in words, and abbreviations are spelt out.
    table = re.findall(r"<tr><td>(.*?)</td>", page)
    assert table[0] == "any infarction" and table[1].startswith("AMI anterior infarction")
    assert table[-1] == "NORM normal ECG" and "Mean AUC of the infarction types" in first[3]
    # It is what evaluate says: from the data's types, of which the model may lack some.
    figures = json.loads((report / "figures.json").read_text())
    own = figures["any_infarction"]["record"]["auc"]
    assert f"AUC {own['value']:.3f} ({own['low']:.3f}, {own['high']:.3f})" in first[3]
    for words in ("area under the ROC curve", "Receiver operating", "t-distributed", "R@k is how"):
        assert words in page


def test_any_infarction_is_drawn_and_counts_types_without_an_output(
    tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = write_classifier(tmp_path / "c.pt", labels=("NORM", "AMI", "IMI"))
    asked = Request(model, store, "valid", tmp_path / "out", draws=20, worst=0)
    drawn: dict[str, list[str]] = {}

    def noted(name: str, labels_of: Callable[..., list[str]]) -> None:
        draw = getattr(sections, name)

        def note(*arguments: Any, **keys: Any) -> Figure:
            drawn[name] = labels_of(*arguments)
            return draw(*arguments, **keys)

        monkeypatch.setattr(sections, name, note)

    noted("draw_roc", lambda bands, _: list(bands))
    noted("draw_intervals", lambda _, labels: list(labels))
    page = write_report(asked).read_text(encoding="utf-8")
    assert drawn["draw_roc"][0] == "any infarction" and "any infarction" in drawn["draw_intervals"]
    part = open_split(store, "valid")
    known = [name for name in INFARCTION_TYPES if name in part.store.info.labels]
    lacks = [name for name in known if name not in ("AMI", "IMI")]
    has = part.store.targets(part.rows, known).astype(bool).any(axis=1)
    first = re.findall(r"<p>(.*?)</p>", page[: page.index("Figures by label")])[3]
    assert f"{has.sum()} positives, among them those with {', '.join(lacks)}, for" in first
    assert lacks and first.startswith("Any infarction (at least one of the types): AUC 0.")


def test_its_first_lines_say_of_calibration_what_was_done(tmp_path: Path, store: Path) -> None:
    # Of the validation split itself nothing can be calibrated; on test chance decides.
    model = write_classifier(tmp_path / "c.pt")
    place = ["--checkpoint", str(model), "--data", str(store), "--draws", "20", "--worst", "0"]
    for split in ("valid", "test"):
        dest = tmp_path / split
        assert main(["report", *place, "--split", split, "--dest", str(dest)]) == 0
        page = (dest / "report.html").read_text(encoding="utf-8")
        fitted_on = json.loads((dest / "figures.json").read_text())["calibrated"]["fitted_on"]
        assert split == "test" or fitted_on is None
        assert ("The calibration is fitted to the validation split." in page) == (
            fitted_on == "valid"
        )
        assert ("there is no calibration, and below is why" in page) == (fitted_on is None)


def test_a_model_without_infarction_types_has_no_mean_over_them(
    tmp_path: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = write_classifier(tmp_path / "c.pt", labels=("NORM", "SR"))
    place = ["--checkpoint", str(model), "--data", str(store), "--split", "valid"]
    dest = tmp_path / "out"
    assert main(["report", *place, "--draws", "20", "--worst", "0", "--dest", str(dest)]) == 0
    page = (dest / "report.html").read_text(encoding="utf-8")
    first = page[: page.index("Figures by label")]
    assert "infarction" not in first and "<p>Macro AUC over 1 label 0." in first
    assert "by patient." in first[first.index("Macro AUC") :]
    capsys.readouterr()
    for options in (["--draws", "0"], ["--draws", "20", "--against", str(model)]):
        assert main(["evaluate", *place, *options]) == 0
        printed = capsys.readouterr().out
        assert "macro AUC" in printed and "infarction" not in printed and "*" not in printed


def test_each_section_says_what_its_pictures_mean(report: Path) -> None:
    page = (report / "report.html").read_text(encoding="utf-8")
    chance = 100 / len(Predictions.read(report / "predictions.parquet"))
    sections = dict(re.findall(r"<h2>(.*?)</h2>(.*?)(?=<h2>|</body>)", page, flags=re.DOTALL))
    for title, words in (
        ("ROC curves", ("as wide as few positives demand", "chance is the dotted line")),
        ("Calibration", ("of records that are given 10 %, a tenth", "below it the model says too")),
        ("Learning curves", ("By epoch", "learns its records by heart")),
        (
            "Embeddings",
            (f"by chance {chance:.1f} %", "may lie far apart: the loss asks", "found all the same"),
        ),
    ):
        assert not [text for text in words if text not in sections[title]]


def test_chance_is_at_most_all_of_a_small_split(tmp_path: Path) -> None:
    few = write_store(tmp_path / "few", {"valid": 3, "test": 4})
    model, towers = write_classifier(tmp_path / "c.pt"), write_towers(tmp_path / "t.pt")
    arguments = ["--checkpoint", str(model), "--pretraining", str(towers), "--data", str(few)]
    arguments += ["--dest", str(tmp_path / "out"), "--draws", "20", "--worst", "0"]
    assert main(["report", *arguments]) == 0
    page = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    assert "by chance 25.0 %, 100.0 % and 100.0 %." in page


def test_pictures_have_a_form_for_a_telephone(report: Path) -> None:
    page = (report / "report.html").read_text(encoding="utf-8")
    found = re.findall(
        r'<div class="scroll( paper)?"><picture>\s*(?:<source media="\(max-width: 45rem\)"\s*'
        r'srcset="data:image/png;base64,(\S+) 2x">)?\s*<img alt="(.*?)"',
        page,
    )
    assert len(found) == len(list(report.glob("*.png")))
    for paper, narrow, caption in found:
        if paper:
            assert caption.startswith("Record ") and not narrow
        elif "all-lead embedding found" not in caption:
            # One panel wide, in letters of the size of the others.
            shape = matplotlib.image.imread(io.BytesIO(base64.b64decode(narrow))).shape
            assert 700 < shape[1] <= 2 * 380
    assert sum(bool(paper) for paper, _, _ in found) == 2


@pytest.mark.parametrize("width", [1200, 400])
def test_it_fits_a_laptop_and_a_telephone(report: Path, width: int) -> None:
    driver = pytest.importorskip(
        "playwright.sync_api", reason="no playwright: how wide the report is was not tested"
    )
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    if program is None:
        pytest.skip("no Chromium on the PATH: how wide the report is was not tested")
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with driver.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        page = browser.new_page(viewport={"width": width, "height": 800})
        page.goto((report / "report.html").as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") == width
        table = page.evaluate("document.querySelector('table').getBoundingClientRect().width")
        assert width == 400 or table <= width
        # A picture is hardly smaller than it was drawn, or its letters are too small to read.
        scales = page.evaluate(
            "[...document.images].map(i => i.getBoundingClientRect().width / i.naturalWidth)"
        )
        assert min(scales) > 0.7
        browser.close()


def judged(
    positives: int, records: int = 60, labels: tuple[str, ...] = ("PMI", "ours")
) -> tuple[Predictions, Report]:
    """A classifier of two labels, or others, that knows them well, and how it is judged."""
    rng = np.random.default_rng(0)
    targets = np.zeros((records, len(labels)), dtype=bool)
    targets[:positives, 0] = targets[: records // 2, 1:] = True
    logits = (rng.normal(size=targets.shape) + 3 * targets - 2).astype(np.float32)
    names = tuple(f"r{k}" for k in range(records))
    predictions = Predictions(names, names, labels, targets, logits)
    return predictions, judge(predictions, draws=50)


def labelled(axes: Axes) -> dict[str, Line2D]:
    return {str(line.get_label()): line for line in axes.lines}


def test_curves_are_drawn_beside_chance_and_the_upper_bound() -> None:
    predictions, report = judged(positives=2)
    bands = roc_bands(predictions, report, ["PMI", "ours"])
    figure = draw_roc(bands, report)
    few, many = figure.axes
    assert few.get_title() == "PMI posterior infarction\n2 positives"
    assert many.get_title() == "ours\n30 positives"
    for axes in (few, many):
        lines = labelled(axes)
        assert lines["chance"].get_xydata().tolist() == [[0, 0], [1, 1]]
        assert lines["upper bound"].get_xydata().tolist() == [[0, 0], [0, 1], [1, 1]]
    named = {text.get_text() for text in figure.legends[0].get_texts()}
    assert named == {"chance", "upper bound", "95 % interval", "this model"}
    # Two positives show next to nothing, whatever the curve is.
    width = {label: float((band.high - band.low)[10]) for label, band in bands.items()}
    assert width["PMI"] > 0.6 > width["ours"]
    lines = labelled(draw_intervals(report, ["PMI", "ours"]).axes[0])
    assert lines["chance"].get_xdata()[0] == 0.5 and lines["upper bound"].get_xdata()[0] == 1
    panels = draw_learning({"loss": {"train": [(1, 0.5)]}, "mi_auc": {"valid": [(1, 0.7)]}},
                           ("loss", "mi_auc"), columns=1).axes  # fmt: skip
    assert "chance" not in labelled(panels[0])
    assert labelled(panels[1])["chance"].get_ydata()[0] == 0.5
    # One column: below each other.
    assert panels[0].get_position().y0 > panels[1].get_position().y1


LONG = "a finding of somebody's own, whose name takes sixty signs or so"


@pytest.mark.parametrize("columns", [3, 1])
@pytest.mark.parametrize(
    "labels",
    [
        ("AMI",),
        ("PMI", "ours"),
        ("IPLMI", "AMI", "PMI"),
        ("NORM", "AMI", "IMI", "PMI"),
        INFARCTION_TYPES,
        (LONG,),
        ("AMI", LONG, "with_no_space_to_break_it_at_" * 2),
    ],
    ids=len,
)
def test_nothing_of_a_picture_is_cut_off_or_covered(labels: tuple[str, ...], columns: int) -> None:
    predictions, report = judged(positives=20, labels=labels)
    bands = roc_bands(predictions, report, labels)
    pictures = draw_roc(bands, report, columns), draw_calibration(report, labels, columns)
    for figure in (*pictures, draw_intervals(report, labels, short=columns == 1)):
        figure.draw_without_rendering()
        whole, (legend,) = figure.bbox, [legend.get_window_extent() for legend in figure.legends]
        boxes = [axes.get_tightbbox() for axes in figure.axes]
        for box in (legend, *boxes):
            assert whole.x0 - 1 <= box.x0 and box.x1 <= whole.x1 + 1, figure
            assert whole.y0 - 1 <= box.y0 and box.y1 <= whole.y1 + 1, figure
        for one, other in itertools.combinations([legend, *boxes], 2):
            apart = (
                min(max(other.x0 - one.x1, one.x0 - other.x1), 0),
                min(max(other.y0 - one.y1, one.y0 - other.y1), 0),
            )
            assert max(apart) >= -1, figure
        titles = " ".join(axes.get_title().replace("\n", "") for axes in figure.axes)
        if columns == 3 and figure is pictures[0]:
            assert all(label.replace(" ", "") in titles.replace(" ", "") for label in labels)


def test_calibration_shows_how_little_a_few_records_say() -> None:
    _, report = judged(positives=2)
    figure = draw_calibration(report, ["PMI"])
    (axes,) = figure.axes
    assert axes.get_title().startswith("PMI posterior infarction\n2 positives, error 0.")
    assert "probabilities that come true" in {t.get_text() for t in figure.legends[0].get_texts()}
    reach = [np.ptp(segment[:, 1]) for segment in axes.collections[0].get_segments()]
    # Ten times six records: not one of six is anything between 0 and 39 % (Wilson).
    assert min(reach) == pytest.approx(0.39, abs=0.005) and len(reach) == 10


def test_the_map_tells_encoders_and_infarctions_apart() -> None:
    rng = np.random.default_rng(0)
    single = rng.normal(size=(40, 8)).astype(np.float32)
    shown, places = places_of_pairs(single, single + 5)
    assert shown.tolist() == list(range(40)) and places.shape == (2, 40, 2)
    figure = draw_map(places, np.arange(40) < 7, columns=1)
    lines = [labelled(axes) for axes in figure.axes]
    assert [set(panel) for panel in lines] == [
        {"single lead", "all leads"},
        {"other", "infarction"},
    ]
    assert len(lines[1]["infarction"].get_xdata()) == 14
    colours = [line.get_color() for panel in lines for line in panel.values()]
    assert len(set(colours)) == 4


def test_worst_records_are_the_worst(report: Path) -> None:
    page = (report / "report.html").read_text(encoding="utf-8")
    predictions = Predictions.read(report / "predictions.parquet")
    columns = [predictions.labels.index(name) for name in ("AMI", "IMI", "PMI")]
    chance = 1 / (1 + np.exp(-predictions.logits[:, columns].astype(float)))
    worst = np.abs(chance - predictions.targets[:, columns]).max(axis=1).argmax()
    first = re.search(r'alt="Record (\S+):', page[page.index("Most wrong") :])
    assert first is not None and first.group(1) == predictions.record_ids[worst]


def test_a_browser_shows_it_without_an_error(report: Path, tmp_path: Path) -> None:
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    if browser is None:
        pytest.skip("no Chromium on the PATH: how a browser shows the report was not tested")
    picture = tmp_path / "page.png"
    done = subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
        + ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
        + [f"--user-data-dir={tmp_path / 'profile'}", "--enable-logging=stderr", "--v=0"]
        + ["--window-size=1100,4000", f"--screenshot={picture}"]
        + [(report / "report.html").as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "CONSOLE" not in done.stderr
    shown = matplotlib.image.imread(picture)[..., :3]
    # Orange curves, blue means and black text: the page was drawn, pictures included.
    assert shown.shape[:2] == (4000, 1100)
    orange = (np.abs(shown - np.array([0xD9, 0x48, 0x01]) / 255) < 0.08).all(axis=-1)
    assert orange.sum() > 500 and (shown.mean(axis=-1) < 0.3).sum() > 5000


def test_learning_curves_of_a_run_that_was_resumed(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    assert learning_curves(tmp_path / "checkpoints/c.pt") == {}
    (tmp_path / "hydra_train.log").write_text(LOG, encoding="utf-8")
    curves = learning_curves(tmp_path / "checkpoints/c.pt")
    assert curves["loss"] == {"train": [(1, 0.7), (2, 0.5)], "valid": [(1, 0.6), (2, 0.4)]}
    assert curves["macro_auc"] == {"valid": [(2, 0.75)]}
    assert curves["lr"]["train"] == [(1, 1e-05), (2, 0.0001)]


def test_texts_of_other_peoples_files_stay_texts() -> None:
    page = render("<b>", ("<script>alert(1)</script>",), (Section("t", table=(("<i>",),)),))
    assert "<script>" not in page and "<i>" not in page and "&lt;script&gt;" in page


@pytest.mark.parametrize("below", ["", "deeper/out"])
def test_a_file_in_the_place_of_the_folder_is_said_before_the_work(
    tmp_path: Path, store: Path, capsys: pytest.CaptureFixture[str], below: str
) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("mine", encoding="utf-8")
    # The checkpoint is not even looked for.
    arguments = ["--checkpoint", "nowhere.pt", "--data", str(store), "--dest", str(file / below)]
    assert main(["report", *arguments]) == 1
    error = capsys.readouterr().err
    assert f"{file}: is a file, where a folder is to be: give another name" in error
    assert "Errno" not in error and file.read_text(encoding="utf-8") == "mine"


def test_what_cannot_be_reported_is_said(
    tmp_path: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    towers = write_towers(tmp_path / "t.pt")
    arguments = ["report", "--data", str(store), "--dest", str(tmp_path / "out")]
    assert main([*arguments, "--checkpoint", str(towers)]) == 1
    assert "give a classifier's checkpoint" in capsys.readouterr().err
    classifier = str(write_classifier(tmp_path / "c.pt"))
    assert main([*arguments, "--checkpoint", classifier, "--pretraining", classifier]) == 1
    assert "c.pt is a classifier's: --pretraining wants" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
