"""Manifests of a store's own folds."""

from __future__ import annotations

from pathlib import Path

import pytest

from selfmis_plugin.cli.main import main
from selfmis_plugin.data.splits import open_splits
from tests.fold_runs import write_patients


def test_all_but_one_fold_are_trained_on(tmp_path: Path) -> None:
    folds = [1 + number % 5 for number in range(20)]
    write_patients(tmp_path / "store", range(20), folds)
    dest = tmp_path / "all"
    command = ["prepare", "folds", str(tmp_path / "store"), "--valid", "5", "--dest", str(dest)]
    assert main(command) == 0
    found = {
        name: set(part.store.records["strat_fold"].to_numpy()[part.rows].tolist())
        for name, part in open_splits(dest).items()
    }
    assert found == {"train": {1, 2, 3, 4}, "valid": {5}}
    assert sum(len(part.rows) for part in open_splits(dest).values()) == 20
    # It is there: nothing of it is replaced.
    before = (dest / "train.tsv").read_bytes()
    assert main([*command[:3], "--valid", "1", "--dest", str(dest)]) == 1
    assert (dest / "train.tsv").read_bytes() == before

    with_test = tmp_path / "test"
    assert main([*command[:3], "--valid", "5", "--test", "1-2", "--dest", str(with_test)]) == 0
    assert len(open_splits(with_test)["test"].rows) == 8


@pytest.mark.parametrize(
    ("patients", "folds", "options", "message"),
    [
        (range(4), [1, 2, 3, None], ["--valid", "1"], "1 of 4 records have no strat_fold"),
        (range(4), [1, 2, 3, 4], ["--valid", "5"], "no record is in fold 5; there are 1, 2, 3, 4"),
        (range(4), [1, 2, 3, 4], ["--valid", "1", "--test", "1"], "fold 1 cannot be for both"),
        (range(4), [1, 2, 3, 4], ["--valid", "1-2", "--test", "3-4"], "no fold is left"),
        ([7, 8, 7, 9], [1, 2, 3, 4], ["--valid", "1"], "patient 7 is in folds of two splits"),
    ],
)
def test_what_cannot_be_dealt_is_refused(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    patients: list[int],
    folds: list[int | None],
    options: list[str],
    message: str,
) -> None:
    store = write_patients(tmp_path / "store", list(patients), folds)
    dest = tmp_path / "dest"
    assert main(["prepare", "folds", str(store), *options, "--dest", str(dest)]) == 1
    assert message in capsys.readouterr().err
    assert not dest.exists()
