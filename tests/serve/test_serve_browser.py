"""The page in a real browser: dropped files, figures, downloads, and how it looks on two widths."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from selfmis_plugin.cli.main import main
from tests.checkpoint_files import write_classifier
from tests.served import Served, serving, with_age_and_sex
from tests.strip_files import ENGLISH, lead_one, write_watch
from tests.support import write_store

pytestmark = pytest.mark.slow

#: Widths of a phone and of a desk.
WIDTHS = {"phone": 390, "desk": 1280}

DROP = """(files) => {
  const held = new DataTransfer();
  for (const [name, text] of files) held.items.add(new File([text], name));
  document.dispatchEvent(new DragEvent("drop", {dataTransfer: held, bubbles: true}));
}"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    data = write_store(folder / "store", {"train": 5, "valid": 60, "test": 5})
    checkpoint = write_classifier(folder / "c.pt")
    call = ["export", "--checkpoint", str(checkpoint), "--data", str(data)]
    assert main([*call, "--dest", str(folder / "exported")]) == 0
    return folder / "exported"


@pytest.fixture(scope="module")
def served(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    pytest.importorskip("starlette")
    with serving(model, tmp_path_factory.mktemp("served")) as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    driver = pytest.importorskip(
        "playwright.sync_api", reason="no playwright: the page was not tested in a browser"
    )
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    if program is None:
        pytest.skip("no Chromium on the PATH: the page was not tested in a browser")
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with driver.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=program, args=arguments)
        yield found
        found.close()


@pytest.fixture(params=WIDTHS)
def page(request: pytest.FixtureRequest, browser: Any, served: Served) -> Iterator[Any]:
    """The page, on which nothing may be written to the console, nor anything else be asked for."""
    context = browser.new_context(viewport={"width": WIDTHS[request.param], "height": 900})
    opened = context.new_page()
    said: list[str] = []
    asked: list[str] = []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("request", lambda request: asked.append(request.url))
    home = f"http://127.0.0.1:{served.port}/"
    opened.goto(home)
    opened.wait_for_selector("#model li")
    yield opened
    context.close()
    assert not said
    assert all(url.startswith((home, f"blob:{home}")) for url in asked)


def watch(path: Path, seconds: int, patient: int = 0) -> tuple[str, str]:
    microvolts = lead_one(seconds, 512, patient=patient)
    return path.name, write_watch(path, microvolts, ENGLISH).read_text(encoding="utf-8")


def test_files_are_dropped_and_figures_read(page: Any, model: Path, tmp_path: Path) -> None:
    good = [watch(tmp_path / "one.csv", 30), watch(tmp_path / "two.csv", 10, 3)]
    flat = ("flat.csv", write_watch(tmp_path / "flat.csv", np.zeros(5120)).read_text())
    bad = ("<b>bad.docx", "no ECG")
    page.evaluate(DROP, [*good, flat, bad])
    page.wait_for_selector("#recording-3 svg")
    assert page.inner_text("#status") == "3 recordings read, 1 could not be read."
    assert page.inner_text("#problems").startswith("<b>bad.docx: is none of")
    out = tmp_path / "p.json"
    call = ["predict", "--model", str(model), "--json", str(out)]
    assert main([*call, *(str(tmp_path / f"{name}.csv") for name in ("one", "two", "flat"))]) == 0
    told = json.loads(out.read_text())["files"]
    assert page.locator("#summary tbody tr").count() == 3
    for number, recording in enumerate(told, start=1):
        section = page.locator(f"#recording-{number}")
        assert section.locator("h2").inner_text() == recording["file"]
        assert section.locator("svg").count() == len(recording["windows"])
        for label in ("AMI", "IMI", "PMI") if recording["labels"] else ():
            row = section.locator(f"tr[data-label={label}]")
            figures = recording["labels"][label]
            assert row.locator(".probability").inner_text() == f"{figures['probability']:.3f}"
            assert f"{figures['low']:.3f}–{figures['high']:.3f}" in row.inner_text()
            assert f"{figures['threshold']:.3f}" in row.inner_text()
            assert ("above" in row.inner_text()) is figures["above_threshold"]
    assert "anterior infarction" in page.inner_text("#recording-1")
    assert page.locator("#recording-1 .beat").count() >= 15
    assert "Not scored: flat" in page.inner_text("#recording-3")
    assert "For research, not for diagnosis." in page.inner_text("header")
    assert "not recorded" in page.inner_text("#model")
    # Nothing wider than the page, but for the paper, which scrolls by itself.
    width = page.viewport_size["width"]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.screenshot(path=str(tmp_path / "page.png"), full_page=True)
    assert (tmp_path / "page.png").stat().st_size > 50_000
    with page.expect_download() as download:
        page.click("text=Download JSON")
    assert json.loads(Path(download.value.path()).read_text())["files"] == told
    with page.expect_download() as download:
        page.click("text=Download PDF")
    assert Path(download.value.path()).read_bytes().startswith(b"%PDF")


def test_age_and_sex_are_asked_for_where_a_model_uses_them(
    page: Any, model: Path, tmp_path: Path
) -> None:
    assert not page.is_visible("#person")
    with serving(with_age_and_sex(model, tmp_path / "with"), tmp_path) as found:
        home = f"http://127.0.0.1:{found.port}/"
        context = page.context.browser.new_context(viewport=page.viewport_size)
        opened = context.new_page()
        opened.goto(home)
        opened.wait_for_selector("#person", state="visible")
        opened.fill("#age", "75")
        files = [watch(tmp_path / "one.csv", 10)]
        opened.evaluate(DROP, files)
        opened.get_by_text("Not read: age and sex go together").wait_for()
        opened.select_option("#sex", "male")
        opened.evaluate(DROP, files)
        opened.wait_for_selector("#recording-1 svg")
        said = opened.inner_text("#recording-1")
        assert "Of a male person of 75 years: age and sex judge anterior infarction, and" in said
        width = page.viewport_size["width"]
        assert opened.evaluate("document.documentElement.scrollWidth") <= width
        opened.screenshot(path=str(tmp_path / f"person-{width}.png"))
        context.close()


def test_the_page_goes_on_after_a_bad_file_and_takes_what_files_do_not_say(
    page: Any, tmp_path: Path
) -> None:
    bare = "\n".join(f"{value / 1000:.4f}" for value in lead_one(10, 250))
    page.evaluate(DROP, [["bare.csv", bare]])
    page.wait_for_selector("#problems li")
    assert "--rate" in page.inner_text("#problems") and not page.inner_text("#results")
    page.click("summary")
    page.fill("#rate", "250")
    page.fill("#unit", "mV")
    (tmp_path / "bare.csv").write_text(bare)
    page.set_input_files("#files", str(tmp_path / "bare.csv"))
    page.wait_for_selector("#recording-1 svg")
    assert not page.locator("#problems li").count()
