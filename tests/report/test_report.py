"""The report: what it holds, that it needs no network, and how a browser shows it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from selfmis_plugin.cli.main import main
from selfmis_plugin.metrics.predictions import Predictions
from selfmis_plugin.report.page import Section, render
from selfmis_plugin.training.run_log import learning_curves
from tests.checkpoint_files import write_classifier, write_towers

LOG = """\
[2026-01-01 00:00:01,000][train][INFO] - epoch 001 | loss 0.7 | ecg_per_s 100 | lr 1e-05
[2026-01-01 00:00:02,000][valid][INFO] - epoch 001 | valid on 'valid' subset | loss 0.6 | macro_auc nan
[2026-01-01 00:00:03,000][train][INFO] - epoch 002 | loss 0.9 | lr 0.0001
[2026-01-01 00:00:04,000][trainer][INFO] - epoch 002 | loss 5
[2026-01-01 00:00:05,000][train][INFO] - epoch 002 | loss 0.5 | lr 0.0001
[2026-01-01 00:00:06,000][valid][INFO] - epoch 002 | valid on 'valid' subset | loss 0.4 | macro_auc 0.75
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
        self.links += [values[key] or "" for key in ("src", "href") if key in values]


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
    assert "http" not in re.sub(r'src="data:[^"]*"', "", page)
    assert "not for diagnosis" in page and "selfmis_classifier" in page and "torch" in page
    for name in names:
        picture = matplotlib.image.imread(report / f"{name}.png")
        assert picture.shape[0] > 200 and np.ptp(picture) > 0.5
    figures = json.loads((report / "figures.json").read_text())
    value = figures["record"]["labels"]["AMI"]["auc"]["value"]
    assert f"{value:.3f} (" in page
    assert figures["retrieval"]["records"] == len(Predictions.read(report / "predictions.parquet"))


def test_its_first_lines_say_what_it_is_about_and_how_to_read_it(report: Path) -> None:
    page = (report / "report.html").read_text(encoding="utf-8")
    first = re.findall(r"<p>(.*?)</p>", page[: page.index("Figures by label")])
    starts = ["Model: ", "Data: ", "Protocol: ", "Mean AUC", "How to read it: "]
    assert [line[: len(start)] for line, start in zip(first, starts, strict=True)] == starts
    assert "reads lead I at" in first[0] and "origin is not recorded" in first[0]
    assert first[1].endswith("origin not recorded.")
    # Infarction types come first, in words, and abbreviations are spelt out.
    table = re.findall(r"<tr><td>(.*?)</td>", page)
    assert table[0].startswith("AMI anterior infarction") and table[-1] == "NORM"
    for words in ("area under the ROC curve", "Receiver operating", "t-distributed", "R@k is how"):
        assert words in page


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
