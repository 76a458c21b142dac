"""``selfmis show``: millimetres, layouts, absent leads, and a store's counts."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Collection
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.lines import Line2D

from selfmis_plugin.cli import prepare
from selfmis_plugin.cli.main import main
from selfmis_plugin.data.fraction_manifests import apply_fraction
from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.data.overview import overview_lines, summarise
from selfmis_plugin.data.store import Store, read_manifest
from selfmis_plugin.utils.arguments import PICTURES
from selfmis_plugin.visualization.ecg import ROWS_3X4, draw_ecg
from selfmis_plugin.visualization.overview import draw_overview
from tests.support import environment, write_store
from tests.wfdb_files import random_record, write_record

RATE = 500
MM = 25.4
#: Width of every picture: margins, calibration pulse and ten seconds.
WIDTH = 5 + 10 + 250 + 5


@pytest.fixture(scope="module")
def signal() -> np.ndarray:
    """Microvolts of median zero in which each lead has spikes of its own."""
    values = np.zeros((12, 5000))
    for lead in range(12):
        values[lead, 100 + lead :: 450] = 300 + 50 * lead
    return values


def traces(figure: Figure, name: str) -> list[Line2D]:
    return [line for line in figure.axes[0].lines if line.get_label() == name]


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def data(line: Line2D) -> tuple[np.ndarray, np.ndarray]:
    return np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)


def assert_no_name_is_crossed(figure: Figure, names: Collection[str]) -> None:
    figure.canvas.draw()
    axes = figure.axes[0]
    named = [text for text in axes.texts if text.get_text() in names]
    assert {text.get_text() for text in named} == set(names)
    for text in named:
        box = text.get_window_extent().transformed(axes.transData.inverted())
        for line in axes.lines:
            x, y = data(line)
            inside = (np.maximum(x[:-1], x[1:]) >= box.x0) & (np.minimum(x[:-1], x[1:]) <= box.x1)
            inside &= (np.maximum(y[:-1], y[1:]) >= box.y0) & (np.minimum(y[:-1], y[1:]) <= box.y1)
            assert not inside.any(), (text.get_text(), line.get_label())


@pytest.mark.parametrize("layout", ["3x4", "12x1"])
def test_no_lead_is_named_over_a_trace(layout: str) -> None:
    time = np.arange(5000) / RATE
    # Tall beats in the corner where names stand, and up to the end of a lead's part.
    beats = sum(np.exp(-(((time - at) / 0.02) ** 2)) for at in np.arange(0.08, 10, 0.8))
    heights = np.where(np.arange(12) < 8, 1500.0, -1500.0)
    figure = draw_ecg(heights[:, None] * beats, RATE, layout=layout)
    assert_no_name_is_crossed(figure, STANDARD_LEADS)


def test_a_strip_that_noise_fills_is_named_below_its_pulse() -> None:
    noise = np.tile([3000.0, -3000.0], 2500)[None]
    figure = draw_ecg(noise, RATE, ("lead I",), layout="12x1")
    assert_no_name_is_crossed(figure, ["lead I"])
    # Texts stay readable over a trace.
    said = [text for text in figure.axes[0].texts if text.get_text()]
    assert all(text.get_bbox_patch() is not None and text.get_zorder() > 8 for text in said)


@pytest.mark.parametrize("layout", ["3x4", "12x1"])
@pytest.mark.parametrize("rate", [500.0, 257.0])
def test_traces_are_true_to_scale(signal: np.ndarray, layout: str, rate: float) -> None:
    samples = int(10 * rate)
    figure = draw_ecg(signal[:, :samples], rate, layout=layout)
    for column in range(4):
        for row in ROWS_3X4[:3]:
            lead = row[column]
            line = traces(figure, lead)[0]
            x, y = data(line)
            assert np.allclose(np.diff(x), 25 / rate)
            begin = round(2.5 * column * rate) if layout == "3x4" else 0
            part = signal[STANDARD_LEADS.index(lead), begin : begin + len(x)]
            # Ten millimetres a millivolt, from the line of the lead's median.
            assert np.allclose(y - np.median(y), part / 1000 * 10)
            assert x[0] == pytest.approx(15 + 25 * begin / rate)
    rhythm = [line for line in traces(figure, "II") if len(data(line)[0]) == samples]
    assert len(rhythm) == 1


def test_paper_is_true_to_size(signal: np.ndarray) -> None:
    """One unit of the axes is one millimetre, at any resolution."""
    for dpi in (100, 254):
        figure = draw_ecg(signal, RATE, dpi=dpi)
        axes = figure.axes[0]
        width, height = figure.get_size_inches() * MM
        assert width == pytest.approx(WIDTH)
        assert axes.get_xlim() == pytest.approx((0, width))
        assert axes.get_ylim() == pytest.approx((0, height))
        pixels = axes.transData.transform([(0, 0), (1, 1)])
        assert np.allclose(pixels, [[0, 0], [dpi / MM, dpi / MM]])
        for step in (1, 5):
            grid = next(c for c in axes.collections if c.get_gid() == f"grid {step} mm")
            lines = np.array(grid.get_segments())
            upright = np.unique(lines[lines[:, 0, 0] == lines[:, 1, 0]][:, 0, 0])
            level = np.unique(lines[lines[:, 0, 1] == lines[:, 1, 1]][:, 0, 1])
            assert np.allclose(np.diff(upright), step) and np.allclose(np.diff(level), step)
            assert (upright[0], upright[-1]) == (5, WIDTH - 5)
    pulses = traces(figure, "calibration")
    assert len(pulses) == 4
    for pulse in pulses:
        x, y = data(pulse)
        assert np.ptp(y) == 10 and np.ptp(x[y == y.max()]) == 5


@pytest.mark.parametrize("layout", ["3x4", "12x1"])
def test_a_paper_holds_its_traces(signal: np.ndarray, layout: str) -> None:
    plain = draw_ecg(signal, RATE, layout=layout)
    tall = signal.copy()
    tall[0, 300], tall[1, 400] = 3_300, -2_900  # of the first row, and of the rhythm strip
    tall[11, 4500] = -2_100
    figure = draw_ecg(tall, RATE, layout=layout)
    grid = next(c for c in figure.axes[0].collections if c.get_gid() == "grid 5 mm")
    level = np.concatenate([np.asarray(line)[:, 1] for line in grid.get_segments()])
    for line in figure.axes[0].lines:
        assert level.min() <= data(line)[1].min() and data(line)[1].max() <= level.max()
    grown = (figure.get_size_inches() - plain.get_size_inches())[1] * MM
    # 33 mm up where half a row is 15 or 10; 29 down, or 21 in the layout whose last row is V6.
    assert grown == pytest.approx(20 + 15 if layout == "3x4" else 25 + 15)
    assert not any("cut" in text for text in texts(figure))


def test_what_no_paper_holds_is_cut_and_said(signal: np.ndarray, tmp_path: Path) -> None:
    broken = signal.copy()
    broken[0, 300] = 30_000
    figure = draw_ecg(broken, RATE, dpi=127, title="title")
    plain = draw_ecg(signal, RATE, dpi=127, title="title")
    assert (figure.get_size_inches() - plain.get_size_inches())[1] * MM == pytest.approx(40)
    assert any("cut at the paper's edge" in text for text in texts(figure))
    for name, drawn in (("broken", figure), ("plain", plain)):
        drawn.savefig(tmp_path / f"{name}.png")
    # Above the paper there is what was there before.
    above = slice(0, 5 * 15 - 3)
    heads = [imread(tmp_path / f"{name}.png")[above] for name in ("broken", "plain")]
    assert np.array_equal(*heads)


def test_ink_is_where_the_signal_is(signal: np.ndarray, tmp_path: Path) -> None:
    dpi = 254  # ten pixels a millimetre
    figure = draw_ecg(signal, RATE, dpi=dpi)
    figure.savefig(tmp_path / "ecg.png")
    picture = imread(tmp_path / "ecg.png")[..., :3]
    assert picture.shape[:2] == tuple(round(float(x) * dpi) for x in figure.get_size_inches()[::-1])
    x, y = data(traces(figure, "V1")[0])
    peaks = np.flatnonzero(y > y.min() + 5)
    assert len(peaks) == 3
    for k in peaks:
        # Rows of a picture count from above. Just below the tip of the spike there is ink, two
        # millimetres beside it there is paper.
        row, column = picture.shape[0] - round(10 * (y[k] - 0.5)), round(10 * x[k])
        assert picture[row, column - 1 : column + 2].min() < 0.4
        assert picture[row, column + 18 : column + 22].min() > 0.6


def test_absent_leads_are_marked_and_not_drawn(signal: np.ndarray) -> None:
    flat = signal.copy()
    flat[8] = 0
    figure = draw_ecg(flat[:11], RATE, STANDARD_LEADS[:11], absent={"V3"})
    assert not traces(figure, "V3") and not traces(figure, "V6")
    assert {"V3 absent", "V6 absent"} <= set(texts(figure)) and "V2 absent" not in texts(figure)
    assert len(traces(figure, "II")) == 2 and set(STANDARD_LEADS) <= set(texts(figure))
    own = draw_ecg(flat[:2], RATE, ("CH1", "CH2"), layout="12x1")
    assert len(traces(own, "CH1")) == 1 and "V1 absent" not in texts(own)


def test_missing_samples_leave_a_gap_and_offsets_are_taken_away(signal: np.ndarray) -> None:
    odd = signal + 40_000
    odd[0, 200:300] = np.nan
    odd[1] = np.nan
    figure = draw_ecg(odd, RATE)
    _, y = data(traces(figure, "I")[0])
    assert np.isnan(y[200:300]).all() and np.isfinite(y[:200]).all()
    plain = data(traces(draw_ecg(signal, RATE), "I")[0])[1]
    assert np.allclose(y[:200], plain[:200])
    assert not traces(figure, "II")


def test_lengths_other_than_ten_seconds(signal: np.ndarray) -> None:
    short = draw_ecg(signal[:, :2000], RATE)
    x, _ = data(traces(short, "aVR")[0])
    assert x[-1] - x[0] == pytest.approx(1.5 * 25, abs=0.06)
    assert not traces(short, "V1")
    long = draw_ecg(np.tile(signal, 2), RATE, title="T", subtitle="S")
    assert data(traces(long, "II")[1])[0][-1] == pytest.approx(WIDTH - 5)
    assert any("the first 10 s of 20 s" in text for text in texts(long))
    assert {"T", "S"} <= set(texts(long))


def test_wrong_shapes_and_layouts_are_refused(signal: np.ndarray) -> None:
    with pytest.raises(ValueError, match="not \\(leads, samples\\) of 12 leads"):
        draw_ecg(signal[:3], RATE)
    with pytest.raises(ValueError, match="layout '6x2' is not one of 3x4, 12x1"):
        draw_ecg(signal, RATE, layout="6x2")


# The command --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of records, some odd, and the store prepared from it."""
    folder = tmp_path_factory.mktemp("show")
    few = [STANDARD_LEADS[k] for k in (0, 1, 6)]
    for number in range(4):
        write_record(folder / f"wfdb/a/plain{number}", random_record(seed=number))
    write_record(folder / "wfdb/slow", random_record(2570), rate=257)
    write_record(folder / "wfdb/three", random_record(leads=3), leads=few)
    gaps = random_record()
    gaps[0, :7] = gaps[3, 8:10] = -32768
    write_record(folder / "wfdb/gaps", gaps)
    for number in range(3):
        write_record(folder / f"wfdb/gone{number}", random_record()).with_suffix(".dat").unlink()
    (folder / "wfdb/bad.hea").write_text("bad 12 -5 100\n")
    command = ["wfdb-folder", str(folder / "wfdb"), "--dest", str(folder / "store")]
    options = ["--leads", "I", "--workers", "1", "--valid-records", "2"]
    assert prepare.main([*command, *options]) == 0
    return folder


def test_record_as_png(prepared: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["show", str(prepared / "store"), "--record", "a/plain1", "--dpi", "127"]) == 0
    assert capsys.readouterr().out.strip() == "store-a_plain1.png"
    picture = imread(tmp_path / "store-a_plain1.png")
    # Papers grow for their traces, which are of noise, in steps of five millimetres.
    assert picture.shape[0] in range(5 * (15 + 4 * 30 + 6 + 5), 5 * (146 + 2 * 40) + 1, 25)
    assert picture.shape[1] == 5 * WIDTH
    arguments = ["--record", "three", "--raw", str(prepared / "wfdb"), "--layout", "12x1"]
    out = tmp_path / "new/both.png"
    assert (
        main(["show", str(prepared / "store"), *arguments, "--dpi", "127", "--out", str(out)]) == 0
    )
    least = 5 * (2 * (15 + 12 * 20 + 6) + 5)
    assert imread(out).shape[0] in range(least, least + 5 * 4 * 40 + 1, 25)


def test_before_and_after(prepared: Path, tmp_path: Path, monkeypatch) -> None:
    """The drawn signals are the file's and the store's."""
    figures: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda self, *_, **__: figures.append(self))
    for record in ("slow", "gaps"):
        arguments = ["--record", record, "--raw", str(prepared / "wfdb")]
        out = ["--out", str(tmp_path / "f.png")]
        assert main(["show", str(prepared / "store"), *arguments, *out]) == 0
    slow, gaps = figures
    before, after = (data(line) for line in traces(slow, "V1"))
    assert (len(before[0]), len(after[0])) == (644, 1251)
    digital = random_record(2570)[6]
    expected = (digital - np.median(digital)) / 100
    shown = before[1] - (before[1][0] - expected[1285])
    assert np.allclose(shown, expected[1285 : 1285 + 644])
    assert "resampled from 257 Hz; filter none" in texts(slow)
    assert any("257 Hz: before preparation" in text for text in texts(slow))
    before, after = (data(line) for line in traces(gaps, "I"))
    assert np.isnan(before[1][:7]).all() and np.isfinite(before[1][7:]).all()
    assert np.isfinite(after[1]).all() and len(set(after[1][:7])) == 1


def test_overview_counts(prepared: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "overview.png"
    assert main(["show", str(prepared / "store"), "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert imread(out).shape[1] == 14 * 150
    overview = summarise(Store.open(prepared / "store"))
    assert overview.records == {"train": 5, "valid": 2, "test": 0}
    assert overview.rates == {500.0: 6, 257.0: 1}
    assert overview.repairs == {
        "N missing samples set to zero": 1, "leads absent": 1, "resampled": 1,
    }  # fmt: skip
    assert overview.repaired == 3 and overview.unlabelled == 7
    assert overview.leads == {
        lead: 7 if lead in ("I", "II", "V1") else 6 for lead in STANDARD_LEADS
    }
    assert overview.refused.total() == 4 and max(overview.refused.values()) == 3
    for line in ("refused: 4", "recorded at: 500 Hz 6, 257 Hz 1", "absent leads: III 1, aVR 1"):
        assert line in printed


def test_overview_of_labels(store: Path) -> None:
    opened = Store.open(store)
    overview = summarise(opened)
    expected: dict[str, Counter[str]] = {}
    for row in opened.records.itertuples():
        for label in row.labels:
            expected.setdefault(label, Counter())[row.split] += 1
    assert overview.labels == expected
    assert overview.unlabelled == sum(not labels for labels in opened.records["labels"])
    assert overview.patients == {"train": 100, "valid": 25, "test": 25}
    figure = draw_overview(overview)
    axes = {axis.get_title(): axis for axis in figure.axes}
    assert set(axes) == {"labels", "splits", "leads", "recorded at", "repairs", "refused"}
    ticks = [tick.get_text() for tick in axes["labels"].get_yticklabels()]
    train = [bar.get_width() for bar in axes["labels"].containers[0]]
    assert dict(zip(ticks, train, strict=True)) == {n: c["train"] for n, c in expected.items()}
    totals = [counts.total() for counts in overview.labels.values()]
    assert totals == sorted(totals, reverse=True)
    few = draw_overview(overview, most_labels=1)
    assert few.axes[0].get_title() == f"labels ({len(expected) - 1} more)"
    assert any("2 more labels" in line for line in overview_lines(overview, most_labels=1))


def test_patients_on_both_sides_are_told(tmp_path: Path) -> None:
    path = write_store(tmp_path / "store", {"train": 3, "valid": 2})
    opened = Store.open(path)
    opened.records["patient_id"] = ["a", "a", "b", "b", "c"]
    overview = summarise(opened)
    assert overview.patients == {"train": 2, "valid": 2, "test": 0}
    assert overview.shared_patients == 1
    assert "1 patients have records in more than one split" in overview_lines(overview)


def test_overview_of_a_fraction(tmp_path: Path, store: Path, capsys) -> None:
    """A folder of manifests shows the records that they list, of the store that they are of."""
    part = tmp_path / "part"
    fraction = ["fraction", str(store), "--label-fraction", "0.25", "--dest", str(part)]
    assert prepare.main(fraction) == 0
    capsys.readouterr()
    assert main(["show", str(part), "--out", str(tmp_path / "part.png")]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"^ptbxl: 75 records", printed)
    assert f"listed by {part}, of the 150 records of the store {store}" in printed
    assert re.search(r"^records +25 +25 +25$", printed, re.MULTILINE)
    assert re.search(r"^patients +25 +25 +25$", printed, re.MULTILINE)
    opened = Store.open(store)
    chosen = opened.rows_of(read_manifest(part / "train.tsv").record_ids)
    normal = sum("NORM" in labels for labels in opened.records["labels"].iloc[chosen])
    assert re.search(rf"^NORM +{normal} ", printed, re.MULTILINE)
    record = read_manifest(part / "train.tsv").record_ids[0]
    assert main(["show", str(part), "--record", record, "--out", str(tmp_path / "one.png")]) == 0
    assert imread(tmp_path / "one.png").ndim == 3


def test_overview_of_a_store_whose_training_records_are_a_fraction(tmp_path: Path, capsys) -> None:
    store = write_store(tmp_path / "store", {"train": 8, "valid": 2})
    apply_fraction(store, 0.5)
    assert main(["show", str(store), "--out", str(tmp_path / "part.png")]) == 0
    assert "train.tsv lists 4 of the 8 in train_all.tsv" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["--record", "00001"]])
@pytest.mark.parametrize("name", ["x.foo", "x"])
def test_a_type_that_cannot_be_written_is_refused_before_the_work(
    store: Path, tmp_path: Path, capsys, name: str, arguments: list[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["show", str(store), *arguments, "--out", str(tmp_path / name)])
    told = capsys.readouterr()
    assert caught.value.code == 2 and not told.out
    assert f"{name}: a picture's name ends in .png, .pdf, .svg" in told.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [*PICTURES, ".PNG"])
def test_every_type_that_is_named_can_be_written(store: Path, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"x{suffix}"
    arguments = ["--record", "00001", "--dpi", "30", "--out", str(out)]
    assert main(["show", str(store), *arguments]) == 0
    assert out.stat().st_size > 1000 and [*tmp_path.iterdir()] == [out]


def test_wrong_calls_say_what_is_wrong(prepared: Path, tmp_path: Path, capsys) -> None:
    store, out = str(prepared / "store"), ["--out", str(tmp_path / "x.png")]
    for arguments, message in (
        ([str(tmp_path)], "not a store"),
        ([str(tmp_path / "nowhere")], "no such folder"),
        ([store, "--record", "nobody"], "has no record 'nobody'"),
        ([store, "--record", "nobody"], "train.tsv, valid.tsv and test.tsv"),
        (
            [store, "--record", "slow", "--raw", str(tmp_path)],
            f"{tmp_path / 'slow'}.hea: no such file: give the folder that the store",
        ),
    ):
        assert main(["show", *out, *arguments]) == 1
        assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    with pytest.raises(SystemExit) as caught:
        main(["show", store, "--raw", str(prepared)])
    assert caught.value.code == 2


def test_a_record_of_another_database_is_refused(prepared: Path, tmp_path: Path, capsys) -> None:
    write_record(tmp_path / "other/a/plain1", random_record(seed=77))
    arguments = [str(prepared / "store"), "--record", "a/plain1", "--dpi", "30"]
    arguments += ["--out", str(tmp_path / "x.png"), "--raw"]
    assert main(["show", *arguments, str(tmp_path / "other")]) == 1
    assert (
        "plain1.hea: its middle 10 s are not what this record was prepared from"
        in capsys.readouterr().err
    )
    assert not (tmp_path / "x.png").exists()
    assert main(["show", *arguments, str(prepared / "wfdb")]) == 0
    # A view, which was resampled again, is still of it.
    view = tmp_path / "view"
    command = ["prepare", "view", str(prepared / "store"), "--sample-rate", "250"]
    assert main([*command, "--leads", ",".join(STANDARD_LEADS), "--dest", str(view)]) == 0
    assert main(["show", str(view), *arguments[1:], str(prepared / "wfdb")]) == 0


def test_drawing_leaves_pyplot_and_pytorch_alone() -> None:
    code = (
        "import sys, selfmis_plugin.cli.show; "
        "assert 'matplotlib.pyplot' not in sys.modules and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], env=environment(), check=True)
