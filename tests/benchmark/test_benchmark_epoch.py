"""``selfmis benchmark epoch``: both sides do the same work, and its figures are what they say."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from selfmis_plugin.cli.main import main
from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.data.store import Store
from selfmis_plugin.methods.selfmis.towers import TwoTowers
from selfmis_plugin.nn.losses.siglip import SigLIPLoss
from selfmis_plugin.profiling.benchmark import BenchmarkError
from selfmis_plugin.profiling.epochs.comparison import Comparison
from selfmis_plugin.profiling.epochs.plain import LEADS, PlainModel, PlainRecords, listed
from selfmis_plugin.profiling.epochs.predicted import Predicted
from selfmis_plugin.profiling.epochs.runs import Plan, Run
from selfmis_plugin.profiling.page_cache import forget
from selfmis_plugin.profiling.process_tree import Spent, run_watched
from selfmis_plugin.profiling.step_ways import CONFIGS
from selfmis_plugin.synthetic import write_cohort
from selfmis_plugin.training.run_log import LOG_FILE, epoch_times
from selfmis_plugin.training.store_dataset import StoreDataset

RECORDS = 6


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("epoch") / "records"
    write_cohort(folder, "mimic-iv-ecg", RECORDS)
    return folder


# A store rounds what a filter returns to a microvolt.
@pytest.mark.parametrize(
    ("filter", "rate", "tolerance"),
    [("none", 100, 1e-3), ("none", 500, 1e-3), ("ecgfounder", 100, 0.1)],
)
def test_both_sides_have_one_loss(
    database: Path, filter: str, rate: int, tolerance: float, tmp_path: Path
) -> None:
    """Read from the same files, with the same weights: the plain program and this plugin."""
    store = tmp_path / "store"
    options = ["--valid-records", "0", "--workers", "1", "--filter", filter]
    assert main(["prepare", "mimic-iv-ecg", str(database), "--dest", str(store), *options]) == 0

    torch.manual_seed(0)
    plain = PlainModel(CONFIGS["small"])
    records = PlainRecords(listed(database), rate, filtered=filter == "ecgfounder")
    twelve, one = (
        torch.from_numpy(np.stack(signals))
        for signals in zip(*(records[k] for k in range(RECORDS)), strict=True)
    )
    expected = plain.loss(twelve, one)
    assert twelve.shape == (RECORDS, 12, 10 * rate) and one.shape == (RECORDS, 1, 10 * rate)

    towers = TwoTowers(CONFIGS["small"], STANDARD_LEADS, store_rate=500, sample_rate=rate)
    towers.single.load_state_dict(plain.single.state_dict())
    towers.multi.load_state_dict(plain.multi.state_dict())
    opened = Store.open(store)
    batch = StoreDataset(opened, np.arange(RECORDS), STANDARD_LEADS).batch(range(RECORDS))
    single, multi = towers(batch["net_input"]["signal"])
    found = SigLIPLoss()(single, multi, batch["id"]) / RECORDS
    assert float(found.detach()) == pytest.approx(float(expected.detach()), rel=1e-4)

    # And they learn alike.
    expected.backward()
    found.backward()
    for name, parameter in towers.single.named_parameters():
        gradient = plain.single.get_parameter(name).grad
        assert gradient is not None and parameter.grad is not None
        difference = (parameter.grad - gradient).norm()
        assert difference <= tolerance * gradient.norm() + 1e-6, name
    assert all(weight.grad is None for weight in plain.multi.parameters())


def test_the_plain_program_knows_the_leads() -> None:
    assert LEADS == STANDARD_LEADS


@pytest.mark.slow
def test_the_command_measures_both_sides(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "epoch.json"
    arguments = ["--records", "24", "--full-records", "4", "--epochs", "1,2", "--filter", "none"]
    arguments += ["--threads", "1", "--folder", str(tmp_path / "kept"), "--json", str(file)]
    assert main(["benchmark", "epoch", *arguments]) == 0
    printed = capsys.readouterr().out
    figures = json.loads(file.read_text(encoding="utf-8"))
    for epochs in (1, 2, 20):
        for end in ("", "_small"):
            name = f"epoch{epochs}_vs_plain{end}"
            assert math.isfinite(figures[name]) and figures[name] > 0
            assert math.isfinite(figures[f"{name}_predicted"])
            assert f"{figures[name]:.2f}" in printed
    computed = {"epoch1_vs_plain", "epoch2_vs_plain", "epoch20_vs_plain", "epoch20_vs_plain_small"}
    assert set(figures["computed"]) == computed and "computed" in printed
    runs = figures["runs"]["small"]
    for side in ("plain", "ours"):
        assert [run["epochs"] for run in runs[side]] == [1, 2]
        for run in runs[side]:
            assert len(run["each"]) == len(run["losses"]) == run["epochs"]
            assert all(0 < loss < 100 for loss in run["losses"])
            assert 0 < sum(run["each"]) < run["spent"]["seconds"]
            assert run["spent"]["peak_memory"] > 50 * 2**20
    first, second = (run["spent"]["seconds"] for run in (runs["plain"][1], runs["ours"][1]))
    assert figures["epoch2_vs_plain_small"] == pytest.approx(first / second)
    if sys.platform == "linux":
        # Each record's files, in each epoch.
        record = 12 * 5000 * 2
        assert runs["plain"][1]["spent"]["read_by_calls"] > 2 * 24 * record
    # Kept, and found again.
    assert (tmp_path / "kept/records-24/record_list.csv").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--epochs", "1"], "--epochs: the longest must have 2 epochs"),
        (["--plain-epochs", "1"], "--plain-epochs: the longest must have 2 epochs"),
        (["--size", "full", "--records", "9"], "--records is of the small size, which is not"),
        (["--size", "full", "--plain-epochs", "2"], "--plain-epochs is of the small size"),
        (["--size", "small", "--full-records", "9"], "--full-records is of the full size"),
    ],
)
def test_what_cannot_be_computed_is_said(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["benchmark", "epoch", *arguments]) == 1
    assert message in capsys.readouterr().err


# What the figures are made of ---------------------------------------------------------------------


def spent(seconds: float) -> Spent:
    return Spent(seconds, seconds / 2, 100, 1000, None)


def comparison(**changes: object) -> Comparison:
    plan = Plan("small", Path("records"), Path("work"), False, False, 64, 1)
    alone = Predicted(0.002, 0.008, 0.001, 0.0005, 0.001, workers=2, cores=2, threads=1)
    values: dict[str, object] = {
        "plan": plan,
        "records": 1000,
        "per_ecg": False,
        "plain": {2: Run(2, spent(30), (11.0, 13.0), (5.0, 4.0))},
        "ours": {
            2: Run(2, spent(12), (4.0, 2.0), (5.0, 4.0)),
            20: Run(20, spent(50), (4.0, *[2.0] * 19), (5.0,) * 20),
        },
        "predicted": alone,
        **changes,
    }
    return Comparison(**values)  # type: ignore[arg-type]


def test_epochs_that_did_not_run_are_computed_from_later_ones() -> None:
    found = comparison()
    assert found.ratio(2) == 30 / 12 and not found.is_computed(2)
    assert found.ratio(20) == (30 + 18 * 13) / 50 and found.is_computed(20)
    assert found.cpu_ratio(2) == 30 / 12 and found.cpu_ratio(20) is None


def test_ratios_of_an_ecg_leave_the_start_out() -> None:
    found = comparison(per_ecg=True, ours={2: Run(2, spent(12), (4.0, 2.0), (5.0, 4.0))})
    # A thousandth of a second an ECG is what preparing took.
    assert found.ratio(2) == pytest.approx((11 + 13) / (1 + 4 + 2))
    assert found.ratio(20) == pytest.approx((11 + 19 * 13) / (1 + 4 + 19 * 2))
    assert found.is_computed(2)


def test_prediction_is_of_steps_and_reading() -> None:
    alone = comparison().predicted
    # Two cores have 8 ms to read and 2 to train for each ECG.
    assert alone.plain_epoch == pytest.approx(0.005)
    assert alone.ratio(2) == pytest.approx(2 * 0.005 / (0.001 / 2 + 0.0005 + 2 * 0.001))
    slow_step = dataclasses.replace(alone, plain_step=0.02, threads=2)
    assert slow_step.plain_epoch == pytest.approx(0.024)
    slow_reading = dataclasses.replace(alone, cores=16, read=0.01)
    assert slow_reading.plain_epoch == pytest.approx(0.005)


def test_a_command_is_watched_with_what_it_starts(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(bytes(3 * 2**20))
    program = (
        "import subprocess, sys, time\n"
        "if sys.argv[2:]:\n"
        f"    open(r'{tmp_path / 'data'}', 'rb').read(); held = bytearray(80 * 2**20)\n"
        "    end = time.process_time() + 0.4\n"
        "    while time.process_time() < end: pass\n"
        "    time.sleep(1)\n"
        "else: subprocess.run([sys.executable, __file__, 'x', 'y'], check=True); print('done')\n"
    )
    (tmp_path / "program.py").write_text(program, encoding="utf-8")
    command = [sys.executable, str(tmp_path / "program.py"), "x"]
    found = run_watched(command, tmp_path / "log.txt", os.environ)
    assert (tmp_path / "log.txt").read_text(encoding="utf-8") == "done\n"
    assert found.seconds > 1 and found.peak_memory > 80 * 2**20
    if sys.platform == "linux":
        assert found.cpu_seconds is not None and found.cpu_seconds > 0.4
        assert found.read_by_calls is not None and found.read_by_calls > 3 * 2**20
    together = found.then(dataclasses.replace(found, peak_memory=1, read_from_disk=None))
    assert together.seconds == 2 * found.seconds and together.peak_memory == found.peak_memory
    assert together.read_from_disk is None


def test_a_command_that_fails_is_shown(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "raise SystemExit('no such thing')"]
    with pytest.raises(BenchmarkError, match=r"ended with status 1(.|\n)*no such thing"):
        run_watched(command, tmp_path / "log.txt", os.environ)


def test_files_that_are_forgotten_are_there_still(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    forget([tmp_path / "file"])
    assert (tmp_path / "file").read_bytes() == b"content"


LOG = """\
[2026-01-02 10:00:00,000][fairseq_cli.train][INFO] - task: X
[2026-01-02 10:00:05,500][selfmis_plugin.training.store_task][INFO] - train.tsv: 8 records
a line of a model
[2026-01-02 10:00:15,750][train][INFO] - epoch 001 | loss 11.5 | ecg_per_s 47.5 | wall 25
[2026-01-02 10:00:16,000][selfmis_plugin.training.store_task][INFO] - valid.tsv: 8 records
[2026-01-02 10:00:17,000][valid][INFO] - epoch 001 | loss 9
[2026-01-02 10:00:18,000][train][INFO] - epoch 002 | loss 8.25 | ecg_per_s 59.8 | wall 28
"""


def test_epochs_are_timed_by_the_log(tmp_path: Path) -> None:
    (tmp_path / LOG_FILE).write_text(LOG, encoding="utf-8")
    times = epoch_times(tmp_path)
    assert times.seconds == (10.25, 2.25) and times.losses == (11.5, 8.25)
    (tmp_path / LOG_FILE).write_text(LOG[:100], encoding="utf-8")
    assert epoch_times(tmp_path).seconds == ()
