"""``selfmis benchmark data``: what it prints and writes, on a few records; no speed is asserted."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import wfdb

from selfmis_plugin.cli.main import main
from selfmis_plugin.data.store import Store

RATIOS = (
    "prepare_vs_wfdb", "prepare_filtered_vs_reference", "read12_vs_mat", "read1_vs_mat"
)  # fmt: skip


def test_figures_are_printed_and_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report, folder = tmp_path / "data.json", tmp_path / "kept"
    arguments = ["--records", "24", "--rounds", "1", "--workers", "1"]
    arguments += ["--json", str(report), "--folder", str(folder)]
    assert main(["benchmark", "data", *arguments]) == 0

    printed = capsys.readouterr().out
    figures = json.loads(report.read_text(encoding="utf-8"))
    for name in (*RATIOS, "read12_normalised_vs_mat", "read1_normalised_vs_mat"):
        assert math.isfinite(figures[name]) and figures[name] > 0
        assert f"{figures[name]:.1f} x" in printed
    for speed in figures["records_per_second"].values():
        assert 0 < speed["slowest"] <= speed["median"] <= speed["fastest"] < math.inf
        assert f"{speed['median']:,.0f}" in printed
    assert figures["records"] == 24
    assert figures["machine"]["processor"] in printed

    growth = figures["growth_records"]
    assert [step["records"] for step in growth] == [6, 12, 24]
    assert [step["workers"] for step in figures["growth_workers"]] == [1]
    for step in growth:
        assert step["records_per_second"] == pytest.approx(step["records"] / step["seconds"])
        hours = 800_035 / step["records_per_second"] / 3600
        assert step["projected_hours_800035"] == pytest.approx(hours)
        assert step["peak_memory_bytes"] > 2**20
        assert f"{step['records']} records, 1 worker" in printed
    assert figures["projected_hours_800035"] == {"1": growth[-1]["projected_hours_800035"]}

    # What was measured is what is said: MIMIC's layout, whole records, all of them stored.
    headers = sorted((folder / "mimic-iv-ecg").glob("files/p1000/p*/s*/*.hea"))
    assert len(headers) == 24
    record = wfdb.rdrecord(str(headers[0].with_suffix("")))
    assert (record.fs, record.sig_len, record.n_sig, set(record.fmt)) == (500, 5000, 12, {"16"})
    store = Store.open(folder / "store")
    expected = 1e3 * record.p_signal[:, record.sig_name.index("aVL")]
    row = store.rows_of([headers[0].stem])
    assert store.read(row, ["aVL"])[0, 0] == pytest.approx(expected, abs=0.51)


def test_growth_alone_prepares_short_records(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "growth.json"
    arguments = ["--growth", "--records", "20", "--seconds", "0.5", "--workers", "2"]
    assert main(["benchmark", "data", *arguments, "--json", str(report)]) == 0
    figures = json.loads(report.read_text(encoding="utf-8"))
    assert [(one["records"], one["workers"]) for one in figures["growth_records"]] == [
        (5, 2), (10, 2), (20, 2),
    ]  # fmt: skip
    assert figures["seconds"] == 0.5 and "read12_vs_mat" not in figures
    assert "20 records, 2 workers" in capsys.readouterr().out


def test_orders_are_read_from_the_disk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "order.json"
    arguments = ["--order", "--records", "600", "--rounds", "2", "--json", str(report)]
    assert main(["benchmark", "data", *arguments]) == 0
    figures = json.loads(report.read_text(encoding="utf-8"))
    for name in ("exact", "block"):
        one = figures[name]
        assert len(one["ecg_per_s_rounds"]) == 2 and min(one["ecg_per_s_rounds"]) > 0
        # A temporary folder may be in memory, which no disk is read for.
        assert one["read_per_used"] is None or one["read_per_used"] >= 0
    pairs = zip(*(figures[name]["ecg_per_s_rounds"] for name in ("block", "exact")), strict=True)
    quotients = [block / exact for block, exact in pairs]
    assert figures["block_vs_exact"] == pytest.approx(sum(quotients) / 2)
    assert figures["bytes"] == 600 * 10_000 and figures["records"] == 600
    assert f"blocks are {figures['block_vs_exact']:.2f} times as fast" in capsys.readouterr().out


def test_a_view_is_read_beside_its_store(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "view.json"
    arguments = ["--view", "--records", "300", "--rounds", "2", "--json", str(report)]
    assert main(["benchmark", "data", *arguments, "--folder", str(tmp_path / "kept")]) == 0
    figures = json.loads(report.read_text(encoding="utf-8"))
    pairs = zip(*(figures[name]["ecg_per_s_rounds"] for name in ("view", "store")), strict=True)
    quotients = [view / store for view, store in pairs]
    assert figures["view_read_vs_store"] == pytest.approx(sum(quotients) / 2)
    assert figures["store"]["bytes"] == 300 * 12 * 10_000
    assert figures["view"]["bytes"] == 300 * 2_000
    printed = capsys.readouterr().out
    assert f"the view is read {figures['view_read_vs_store']:.2f} times as fast" in printed
    view = Store.open(tmp_path / "kept/view")
    assert (view.info.sample_rate, view.info.view.leads) == (100, ("I",))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--records", "0"], "must be above zero"),
        (["--seconds", "nan"], "must be above zero"),
        (["--order", "--growth"], "--growth and --order are benchmarks of their own: give one"),
        (["--order", "--view"], "--order and --view are benchmarks of their own: give one"),
        (["--view", "--workers", "2"], "--view reads records of 10 s in one process"),
        (["--order", "--workers", "2"], "leave out --seconds and --workers"),
        (["--order", "--seconds", "2"], "leave out --seconds and --workers"),
    ],
)
def test_what_cannot_be_measured_is_said(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["benchmark", "data", *arguments]) == 1
    assert message in capsys.readouterr().err


def test_a_folder_with_something_in_it_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    precious = tmp_path / "mimic-iv-ecg"
    precious.mkdir()
    (precious / "record_list.csv").write_text("words", encoding="utf-8")
    assert main(["benchmark", "data", "--records", "3", "--folder", str(tmp_path)]) == 1
    assert "is not empty" in capsys.readouterr().err
    assert (precious / "record_list.csv").read_text(encoding="utf-8") == "words"
