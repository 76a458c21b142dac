"""``selfmis embed`` and ``selfmis predict`` into a folder of parts: killed, shared out, gone on
with; always the same table."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from selfmis_plugin.cli.main import main
from selfmis_plugin.evaluation.embeddings import embed_in_parts, embed_split
from selfmis_plugin.evaluation.parts import PartsError, part_of, require_same, write_parts
from selfmis_plugin.predict import in_parts
from selfmis_plugin.predict.model import load_model
from selfmis_plugin.utils.parallel import Processes
from selfmis_plugin.utils.temporary import temporary_beside
from tests.checkpoint_files import write_classifier
from tests.part_makers import Squares
from tests.strip_files import lead_one, write_watch
from tests.support import write_store
from tests.wfdb_files import write_record


def squares(dest: Path, compute: Squares, workers: int = 1, **more: object) -> str:
    settings = {"of": {"power": 2}, "items": range(23), "part_records": 4, **more}
    return str(write_parts(dest, compute=compute, workers=Processes(workers), **settings))  # type: ignore[arg-type]


def whole(dest: Path) -> list[int]:
    return pd.read_parquet(dest)["square"].tolist()


def test_shares_make_the_whole_and_nothing_is_computed_twice(tmp_path: Path) -> None:
    compute, dest = Squares(tmp_path), tmp_path / "parts"
    assert "2 files; 4 of 6 are missing still" in squares(dest, compute, share=(2, 3))
    assert "2 of them were there already; all 23 records are there" in squares(dest, compute)
    assert whole(dest) == [n * n for n in range(23)] and compute.times() == {1}
    # What is damaged counts as absent.
    part = dest / "00003.parquet"
    part.write_bytes(part.read_bytes()[:50])
    squares(dest, compute)
    assert whole(dest) == [n * n for n in range(23)]
    assert (tmp_path / "computed-12").stat().st_size == 2
    assert (tmp_path / "computed-3").stat().st_size == 1


def test_parts_of_something_else_are_not_mixed_in(tmp_path: Path) -> None:
    compute, dest = Squares(tmp_path), tmp_path / "parts"
    squares(dest, compute)
    with pytest.raises(PartsError, match=r"other power.*--restart"):
        squares(dest, compute, of={"power": 3})
    (dest / "notes.txt").write_text("mine")
    squares(dest, compute, items=range(5), restart=True)
    assert sorted(p.name for p in dest.iterdir()) == [
        "00000.parquet", "00001.parquet", "_plan.json", "notes.txt"
    ]  # fmt: skip
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "00000.parquet").touch()
    with pytest.raises(PartsError, match="is not a folder of parts"):
        squares(tmp_path / "other", compute)
    (dest / "_plan.json").write_text("[")
    with pytest.raises(PartsError, match="cannot be read"):
        squares(dest, compute)


def test_a_run_that_was_killed_as_it_began_is_gone_on_with(tmp_path: Path) -> None:
    compute, dest = Squares(tmp_path), tmp_path / "parts"
    dest.mkdir()
    with temporary_beside(dest / "_plan.json") as begun:  # or of one that begins just now
        assert "all 23 records are there" in squares(dest, compute)
        assert begun.is_file()
    assert whole(dest) == [n * n for n in range(23)]


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for dest in (tmp_path / "file", tmp_path / "file/parts"):
        with pytest.raises(NotADirectoryError, match="file: is a file, where a folder is to be"):
            squares(dest, Squares(tmp_path))


@pytest.mark.slow
def test_a_killed_worker_loses_its_part_alone(tmp_path: Path) -> None:
    compute, dest = Squares(tmp_path, dies_at=17), tmp_path / "parts"
    with pytest.raises(PartsError, match="a worker process was killed.*the same command goes on"):
        squares(dest, compute, workers=2)
    there = {path.name: path.stat().st_mtime_ns for path in dest.glob("[0-9]*.parquet")}
    squares(dest, compute, workers=2)
    assert whole(dest) == [n * n for n in range(23)]
    assert all((dest / name).stat().st_mtime_ns == time for name, time in there.items())


def test_every_worker_has_parts_and_none_is_too_large() -> None:
    assert part_of(23, 1, 32) == 1 and part_of(640, 1, 32) == 10
    assert part_of(10**6, 1, 32) == 32 and part_of(100, 32, 512) == 32
    assert part_of(10**4, 32, 512) == 156


def test_embeddings_in_parts_are_those_of_one_file(
    tmp_path: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = write_classifier(tmp_path / "c.pt")
    command = ["embed", "--checkpoint", str(checkpoint), "--data", str(store), "--batch-size", "4"]
    assert main([*command, "--out", str(tmp_path / "one.parquet")]) == 0
    for share in ("1/2", "2/2"):
        assert main([*command, "--out", str(tmp_path / "parts"), "--part", share]) == 0
    assert "all 25 records are there" in capsys.readouterr().out
    one, parts = (pd.read_parquet(tmp_path / name) for name in ("one.parquet", "parts"))
    assert len(list((tmp_path / "parts").glob("*.parquet"))) == 7  # of a batch each
    assert parts["record_id"].equals(one["record_id"])
    np.testing.assert_array_equal(np.stack(parts["embedding"]), np.stack(one["embedding"]))
    write_classifier(tmp_path / "c.pt", labels=("NORM", "IMI"))
    assert main([*command, "--out", str(tmp_path / "parts")]) == 1
    assert "other model" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*command, "--out", str(tmp_path / "one.parquet"), "--workers", "2"])


def test_a_process_forgets_a_model_and_a_store_that_have_changed(
    tmp_path: Path, store: Path
) -> None:
    checkpoint, data = tmp_path / "c.pt", tmp_path / "store"

    def embedded(dest: str) -> npt.NDArray[np.float32]:
        embed_in_parts(checkpoint, data, tmp_path / dest)
        once = embed_split(checkpoint, data)["single"].values
        parts = np.stack(pd.read_parquet(tmp_path / dest)["embedding"])
        np.testing.assert_allclose(parts, once, rtol=1e-5, atol=1e-6)
        return parts

    write_classifier(checkpoint)
    shutil.copytree(store, data)
    first = embedded("one")
    write_classifier(checkpoint, seed=1)
    second = embedded("two")
    shutil.rmtree(data)
    write_store(data, {"train": 1, "valid": 1, "test": 9})
    assert not np.allclose(first, second) and len(embedded("three")) == 9


def test_a_model_that_changes_as_a_run_begins_is_refused(tmp_path: Path) -> None:
    require_same(tmp_path / "c.pt", "abc", "abc")
    with pytest.raises(PartsError, match=r"c\.pt: is not what it was when this run began"):
        require_same(tmp_path / "c.pt", "abc", "abd")


def test_recordings_whose_signals_have_changed_are_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = write_classifier(tmp_path / "c.pt")
    record = tmp_path / "strips/r"
    write_record(record, np.rint(lead_one(10))[None].astype(np.int64), leads=["I"])
    command = ["predict", "--model", str(model), "--dest", str(tmp_path / "parts")]
    for named in (record, record.with_suffix(".hea"), record.with_suffix(".dat")):
        signals = record.with_suffix(".dat")
        begun = [*command[:-1], str(tmp_path / f"parts{named.suffix}"), str(named)]
        assert main(begun) == 0
        signals.write_bytes(bytes(reversed(signals.read_bytes())))
        assert main(begun) == 1
        assert "other recordings" in capsys.readouterr().err


def test_predictions_in_parts_are_those_of_each_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(in_parts, "RECORDINGS_OF_A_PART", 2)
    model = write_classifier(tmp_path / "c.pt")
    signals = {f"r{k}.hea": np.rint(lead_one(10 * (k + 1), patient=k)) for k in range(3)}
    for name, values in signals.items():
        write_record(tmp_path / "strips" / name[:-4], values[None].astype(np.int64), leads=["I"])
    shutil.copy(tmp_path / "strips/r0.hea", tmp_path / "strips/z.hea")
    (tmp_path / "strips/z.hea").write_text("z 1 500 5000\nmissing.dat 16 1000 16 0 0 0 0 I\n")
    command = ["predict", "--model", str(model), str(tmp_path / "strips")]
    assert main([*command, "--dest", str(tmp_path / "parts")]) == 0
    printed = capsys.readouterr().out
    assert "2 files; all 4 records are there" in printed
    assert "6 windows scored, 0 not scored, 1 file not read (why: column refused)" in printed
    table = pd.read_parquet(tmp_path / "parts")
    ready = load_model(model)
    for name, values in signals.items():
        rows = table[table["file"] == name]
        wanted = ready.predict(values, 500, "uV").probabilities
        np.testing.assert_allclose(rows[list(ready.labels)].to_numpy(), wanted, atol=1e-6)
    (bad,) = table[table["file"] == "z.hea"].to_dict("records")
    assert "missing.dat" in bad["refused"] and np.isnan(bad[ready.labels[0]])
    # A recording that has changed makes other parts.
    os.utime(tmp_path / "strips/r1.hea", (1, 1))
    assert main([*command, "--dest", str(tmp_path / "parts")]) == 1
    assert "other recordings" in capsys.readouterr().err


def test_a_mistyped_path_is_no_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    model, dest = write_classifier(tmp_path / "model.pt"), tmp_path / "said"
    for typed, message in (("nowhere", "no such file"), ("empty", "no recording of a known")):
        command = ["predict", "--model", str(model), str(tmp_path / typed), "--dest", str(dest)]
        assert main(command) == 1
        assert f"{tmp_path / typed}: {message}" in capsys.readouterr().err
        assert not dest.exists()


def test_every_recording_can_be_told_from_the_others(tmp_path: Path) -> None:
    model, dest = write_classifier(tmp_path / "c.pt"), tmp_path / "said"
    bad = os.fsdecode(b"n\xff.csv")
    for name in ("a/x.csv", "b/x.csv", f"b/{bad}"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_watch(tmp_path / name, lead_one(10))
    (tmp_path / "b" / f"empty-{bad}").touch()
    folders = [str(tmp_path / "a"), str(tmp_path / "b")]
    assert main(["predict", "--model", str(model), *folders, "--dest", str(dest)]) == 0
    table = pd.read_parquet(dest)
    names = {f"{tmp_path}/a/x.csv", f"{tmp_path}/b/x.csv", r"n\xff.csv", r"empty-n\xff.csv"}
    assert set(table["file"]) == names
    (refused,) = table["refused"].dropna()
    assert refused.startswith(r"empty-n\xff.csv: ")
