"""A program: commands that write, killed before every single thing they do to the disk in turn.

``python -m tests.killed_commands FOLDER EVERY CASE ...`` tries every EVERY-th moment of each
command, and those at which something gets or loses its name. At each the command's outputs must be
as they were before or as they are going to be; the same command is given again, and must end with
the new ones and nothing else.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selfmis_plugin.cli.main import main as selfmis
from selfmis_plugin.utils.files import whole_file
from tests.kill_points import CALLS, in_child, killed_before
from tests.support import TINY, write_store
from tests.wearables import wearable_recording, write_csv
from tests.wfdb_files import random_record, write_record

Content = dict[str, bytes]
GOLDEN = Path(__file__).resolve().parent / "golden" / "v0_1"
#: Moments that are always tried: where something gets or loses its name.
NAMING = ("rename", "replace")


@dataclass(frozen=True)
class Case:
    """A command.

    Attributes
    ----------
    arguments
        What is given to ``selfmis``, by the folder of the inputs and that of the outputs.
    inputs
        Makes the inputs.
    old
        Makes what the command finds where it writes.
    together
        Whether its outputs change together; else each by itself.
    again
        Status of the same command when the outputs were whole already.
    steady
        Whether every run writes the same bytes.
    goes_on
        Whether it keeps what it has written before it has to stop.
    """

    arguments: Callable[[Path, Path], list[str]]
    inputs: Callable[[Path], object] = lambda inputs: None
    old: Callable[[Path, Path], object] = lambda inputs, work: None
    together: bool = True
    again: int = 0
    steady: bool = True
    goes_on: bool = False


def _records(inputs: Path) -> None:
    for number in range(6):
        write_record(inputs / f"r{number}", random_record(20, seed=number))


def _csv(inputs: Path) -> None:
    write_csv(inputs / "anna.csv", wearable_recording(1, (30,)))


def _recordings(inputs: Path, work: Path, *more: str) -> list[str]:
    choice = ["--single", "CH20", "--multi", "I=CH1,II=CH2,V1=CH3,V6=CH4"]
    shares = ["--valid-fraction", "0", "--test-fraction", "0"]
    return [
        "prepare",
        "recordings",
        str(inputs),
        "--dest",
        str(work / "s"),
        *choice,
        *shares,
        *more,
    ]


def _with_users_files(folder: Path) -> None:
    (folder / "mine.txt").write_text("mine")
    (folder / "notes").mkdir()
    (folder / "notes" / "a.txt").write_text("mine too")


def _old_recordings(inputs: Path, work: Path) -> None:
    assert selfmis(_recordings(inputs, work)) == 0
    _with_users_files(work / "s")


def _fraction(inputs: Path, work: Path, seed: str) -> list[str]:
    where = [str(inputs / "store"), "--dest", str(work / "part")]
    return ["prepare", "fraction", *where, "--label-fraction", "0.5", "--seed", seed]


def _old_fraction(inputs: Path, work: Path) -> None:
    assert selfmis(_fraction(inputs, work, "1")) == 0
    _with_users_files(work / "part")


def _view(inputs: Path, work: Path, leads: str) -> list[str]:
    where = [str(inputs / "store"), "--dest", str(work / "view")]
    return ["prepare", "view", *where, "--leads", leads, "--sample-rate", "100"]


def _old_view(inputs: Path, work: Path) -> None:
    assert selfmis(_view(inputs, work, "II")) == 0
    _with_users_files(work / "view")


def _export_signals(inputs: Path, work: Path, scale: str) -> list[str]:
    where = [str(inputs / "store"), "--dest", str(work / "signals"), "--kind", "plain"]
    return ["prepare", "export", *where, "--format", "fairseq-signals", "--scale", scale]


def _old_export(inputs: Path, work: Path) -> None:
    assert selfmis(_export_signals(inputs, work, "mV")) == 0
    _with_users_files(work / "signals")


def _of_golden(command: str, *more: str, checkpoint: str = "probe.pt") -> list[str]:
    return [
        command,
        "--checkpoint",
        str(GOLDEN / checkpoint),
        "--data",
        str(GOLDEN / "store"),
        *more,
    ]


def _old_files(*names: str) -> Callable[[Path, Path], None]:
    def write(inputs: Path, work: Path) -> None:
        for name in names:
            (work / name).parent.mkdir(exist_ok=True)
            (work / name).write_text(f"old {name}")

    return write


def _benchmark(inputs: Path, work: Path) -> list[str]:
    chosen = ["--methods", "random_encoder", "--modes", "probe", "--size", "small"]
    chosen += ["--data", str(GOLDEN / "store")]
    return ["benchmark", "mi", *chosen, "--dest", str(work), "--workers", "1"]


def _train_nothing(_: Path) -> None:
    """Let the benchmark's trainings leave a checkpoint at once."""
    # It imports the training toolkit, for which the other cases should not wait.
    timed_training: Any = importlib.import_module("selfmis_plugin.benchmark.timed_training")

    def train(run: Path, *_: object) -> Any:
        with whole_file(run / "checkpoints" / "checkpoint_best.pt") as temporary:
            shutil.copyfile(GOLDEN / "probe.pt", temporary)
        return timed_training.Spent(1.0, None)

    timed_training.train = train


REPORT = ("report.html", "figures.json", "predictions.parquet", "roc.png")
CASES = {
    "database": Case(
        lambda inputs, work: ["prepare", "wfdb-folder", str(inputs), "--dest", str(work / "s"),
                              "--workers", "1", "--label-fraction", "0.5"],
        _records,
    ),
    "recordings": Case(
        lambda inputs, work: _recordings(inputs, work, "--overlap", "5", "--overwrite"),
        _csv, _old_recordings,
    ),
    "new recordings": Case(_recordings, _csv),
    "view": Case(
        lambda inputs, work: [*_view(inputs, work, "I"), "--overwrite"],
        lambda inputs: write_store(inputs / "store", {"train": 8}), _old_view,
    ),
    "fraction": Case(
        lambda inputs, work: [*_fraction(inputs, work, "2"), "--overwrite"],
        lambda inputs: write_store(inputs / "store", {"train": 8}), _old_fraction,
    ),
    "signals": Case(
        lambda inputs, work: [*_export_signals(inputs, work, "zscore"), "--overwrite"],
        lambda inputs: write_store(inputs / "store", {"train": 2}), _old_export,
    ),
    "new signals": Case(
        lambda inputs, work: _export_signals(inputs, work, "zscore"),
        lambda inputs: write_store(inputs / "store", {"train": 2}),
        together=False, goes_on=True,
    ),
    "synthetic": Case(
        lambda inputs, work: ["prepare", "synthetic", str(work / "cohort"), "--records", "2"],
    ),
    "export": Case(
        lambda inputs, work: _of_golden("export", "--dest", str(work / "model")), again=1,
    ),
    "onnx": Case(
        lambda inputs, work: _of_golden(
            "export", "--dest", str(work / "model"), "--format", "onnx", "--int8"
        ),
        again=1,
    ),
    "embed": Case(
        lambda inputs, work: _of_golden("embed", "--out", str(work / "e.npy")),
        old=_old_files("e.npy", "e.records.tsv"), together=False,
    ),
    "evaluate": Case(
        lambda inputs, work: _of_golden(
            "evaluate", "--json", str(work / "e.json"), "--predictions", str(work / "p.parquet"),
            "--draws", "10",
        ),
        old=_old_files("e.json", "p.parquet"), together=False,
    ),
    "report": Case(
        lambda inputs, work: _of_golden(
            "report", "--draws", "5", "--worst", "0", "--dest", str(work / "report")
        ),
        old=_old_files(*(f"report/{name}" for name in REPORT)), together=False,
    ),
    "benchmark": Case(_benchmark, _train_nothing, together=False, steady=False, goes_on=True),
    "train": Case(
        lambda inputs, work: [
            "train", "--config-name", "selfmis_supervised_small", *TINY, "dataset.batch_size=8",
            f"task.data={inputs / 'store'}", "optimization.max_epoch=1",
            f"hydra.run.dir={work / 'run'}",
        ],
        lambda inputs: write_store(inputs / "store", {"train": 16, "valid": 16}),
        together=False, steady=False, goes_on=True,
    ),
}  # fmt: skip


def content(folder: Path) -> Content:
    """Return the bytes of every file of a folder that is there to be seen."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_file() and not any(
            p.startswith(".") or p.endswith(".parts") for p in name.parts
        ):
            # MATLAB's files begin with the time.
            found[str(name)] = path.read_bytes()[128 if path.suffix == ".mat" else 0 :]
    return found


def hidden(folder: Path) -> list[str]:
    """Return what is there beside what a command is to write."""
    return [str(p) for p in folder.rglob("*") if p.name.startswith(".") or p.suffix == ".parts"]


def check(
    case: Case, found: dict[str, bytes], old: dict[str, bytes], new: dict[str, bytes]
) -> None:
    """Refuse outputs that are neither as they were nor as they are going to be."""
    if case.together:
        assert found in ({}, old, new), sorted(found)
        return
    for name, content in found.items():
        assert name in old or name in new or name.endswith(".log"), name
        if name.endswith(".json") and content != old.get(name):
            json.loads(content)
        if case.steady and not case.goes_on:
            assert content in (old.get(name), new.get(name)), f"half of {name}"


def moments(number: int, every: int, calls: list[str]) -> bool:
    """Whether a moment is tried."""
    return number % every == 0 or (number < len(calls) and calls[number] in NAMING)


def calls_of(run: Callable[[], object]) -> list[str]:
    """Return the names of the calls that a run makes."""
    made = Path("calls").absolute()

    def noted() -> None:
        names: list[str] = []
        for name in CALLS:
            setattr(os, name, _noting(getattr(os, name), name, names))
        run()
        made.write_text(" ".join(names))

    assert in_child(noted) == 0
    return made.read_text().split()


def _noting(call: Callable[..., Any], name: str, names: list[str]) -> Callable[..., Any]:
    def noting(*arguments: Any, **settings: Any) -> Any:
        names.append(name)
        return call(*arguments, **settings)

    return noting


def main(case: Case, folder: Path, every: int) -> None:
    """Try the moments."""
    inputs, work, kept = folder / "inputs", folder / "work", folder / "old"
    inputs.mkdir(parents=True)
    work.mkdir()
    os.chdir(folder)
    # In this process, so that whatever is imported on the way is there in the others.
    case.inputs(inputs)
    case.old(inputs, work)
    shutil.copytree(work, kept)
    arguments = case.arguments(inputs, work)

    def command() -> None:
        status = selfmis(arguments)
        if status:
            raise SystemExit(status)

    assert selfmis(arguments) == 0
    old, new = content(kept), content(work)
    assert not hidden(work)
    _fresh(kept, work)
    calls = calls_of(command)
    tried = 0
    for number in range(len(calls)):
        if not moments(number, every, calls):
            continue
        tried += 1
        _fresh(kept, work)

        def interrupted(number: int = number) -> None:
            killed_before(number)
            command()

        status = in_child(interrupted)
        assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, f"{number}: ended"
        found = content(work)
        check(case, found, old, new)
        again = os.waitstatus_to_exitcode(in_child(command))
        wanted = {0, case.again} if found == new else {0}
        assert again in wanted, f"{number} ({calls[number]}): again {again}"
        final = content(work)
        assert final == new if case.steady else final.keys() == new.keys(), (
            f"{number}: {sorted(final)}"
        )
        assert not hidden(work), f"{number} ({calls[number]}): leaves {hidden(work)}"
    print(f"{folder.name}: {tried} of {len(calls)} moments", file=sys.stderr)


def _fresh(kept: Path, work: Path) -> None:
    shutil.rmtree(work)
    shutil.copytree(kept, work)


if __name__ == "__main__":
    for name in sys.argv[3:]:
        main(CASES[name], Path(sys.argv[1]).absolute() / name.replace(" ", "-"), int(sys.argv[2]))
