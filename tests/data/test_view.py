"""``selfmis prepare view``: some leads at a lower rate, beside what is kept of the origin."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from selfmis_plugin.cli import prepare
from selfmis_plugin.data.overview import summarise
from selfmis_plugin.data.splits import open_split
from selfmis_plugin.data.store import Store, StoreError, StoreWriter
from selfmis_plugin.nn.inputs import Preparation
from selfmis_plugin.preparation.view import write_view
from selfmis_plugin.training.embedding_cache import EmbeddingCacheError
from tests.host_in_process import Training, config_of
from tests.support import write_store

TINY = {
    "model.base_filters": 8, "model.filters": [8, 16], "model.blocks": [1, 1],
    "model.group_width": 8, "lr_scheduler.warmup_updates": 0, "dataset.batch_size": 16,
    "optimization.max_epoch": 2,
}  # fmt: skip


def pretraining(data: Path, **changes: object) -> dict[str, object]:
    return config_of(
        "selfmis_pretrain_small",
        **{"task.data": str(data), "model.allow_untrained_tower": True, **TINY, **changes},
    )


class Kept:
    """A store, its view and a pre-training on the store whose embeddings are kept beside it."""

    def __init__(self, folder: Path) -> None:
        self.store = write_store(folder / "store", {"train": 48, "valid": 16})
        self.on_store = Training(pretraining(self.store), folder / "on_store")
        self.view = folder / "view"
        options = ["--leads", "i", "--sample-rate", "100", "--dest", str(self.view)]
        assert prepare.main(["view", str(self.store), *options]) == 0


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    return Kept(tmp_path_factory.mktemp("view"))


def test_it_is_the_same_records_in_a_sixtieth_of_the_bytes(kept: Kept) -> None:
    store, view = Store.open(kept.store), Store.open(kept.view)
    assert view.signals.shape == (64, 1, 1000)
    assert view.signals.nbytes * 60 == store.signals.nbytes
    assert view.records.equals(store.records)
    assert (view.info.leads, view.info.stored_leads) == (store.info.leads, ("I",))
    assert (view.info.sample_rate, view.info.samples) == (100, 1000)
    for split in ("train", "valid"):
        assert (open_split(kept.view, split).rows == open_split(kept.store, split).rows).all()
    assert any("a view of" in note and "I at 100 Hz" in note for note in summarise(view).notes)


def test_inputs_are_within_a_microvolt(tmp_path: Path) -> None:
    origin = write_store(tmp_path / "store", {"train": 12})
    write_view(origin, tmp_path / "view", ["V5", "I", "aVR"], 100)
    rows = np.arange(12)
    decimated = Preparation(500, 100).decimate(
        torch.from_numpy(Store.open(origin).read(rows, ["I", "V5"])).float()
    )
    found = Store.open(tmp_path / "view").read(rows, ["I", "V5"])
    assert np.abs(found - decimated.numpy()).max() <= 0.51


def test_a_dead_lead_and_an_extreme_one_stay_what_they_are(tmp_path: Path) -> None:
    signal = np.zeros((12, 5000), dtype=np.int16)
    signal[0] = 1234
    signal[1] = np.where(np.arange(5000) % 500 < 250, 32767, -32767)
    with StoreWriter(tmp_path / "store", database="mine") as writer:
        writer.append(signal, {"record_id": "1"})
    write_view(tmp_path / "store", tmp_path / "view", sample_rate=100)
    found = Store.open(tmp_path / "view").read([0])[0]
    assert (found[0] == 1234).all() and not found[2:].any()
    # The filter overshoots the steps, by more than an int16 holds.
    assert found[1].max() == 32767 and found[1].min() == -32767


def test_pretraining_on_it_reads_lead_i_alone(kept: Kept, tmp_path: Path) -> None:
    on_view = Training(pretraining(kept.view), tmp_path / "run")
    assert len(on_view.read) > 5 and {leads for leads, _ in on_view.read} == {1}
    records, losses = zip(*on_view.losses, strict=True)
    of_store, wanted = zip(*kept.on_store.losses, strict=True)
    assert records == of_store
    assert losses == pytest.approx(wanted, rel=1e-3)
    states = [run.last["task_state"]["preprocessing"] for run in (on_view, kept.on_store)]
    assert states[0] == states[1]


@pytest.mark.slow
def test_it_goes_elsewhere_with_the_embeddings(kept: Kept, tmp_path: Path) -> None:
    origin = tmp_path / "store"
    shutil.copytree(kept.store, origin)  # not its times: another store, for what is kept
    Training(pretraining(origin, **{"optimization.max_update": 1}), tmp_path / "embeds")
    write_view(origin, tmp_path / "view", ["I"], 100, embeddings=True)
    shutil.rmtree(origin)
    (tmp_path / "elsewhere").mkdir()
    moved = (tmp_path / "view").rename(tmp_path / "elsewhere/view")
    on_view = Training(pretraining(moved), tmp_path / "run")
    assert {leads for leads, _ in on_view.read} == {1}


def test_incomplete_embeddings_name_the_origin_and_the_command(kept: Kept, tmp_path: Path) -> None:
    # Others than those that are kept: of another frozen encoder.
    other = {"common.seed": 3, "task.seed": 3}
    with pytest.raises(EmbeddingCacheError) as refused:
        Training(pretraining(kept.view, **other), tmp_path / "run")
    said = str(refused.value)
    assert f"{kept.view} is a view of {kept.store} with I alone" in said
    assert f"task.data={kept.store} task.sample_rate=100" in said
    assert not (kept.view / "embeddings").exists()
    # What it says to do helps.
    given = {"task.sample_rate": 100, "optimization.max_update": 1}
    Training(pretraining(kept.store, **other, **given), tmp_path / "embeds")
    on_view = Training(pretraining(kept.view, **other), tmp_path / "again")
    assert {leads for leads, _ in on_view.read} == {1}


def test_a_view_of_an_origin_that_has_changed_is_to_be_made_again(
    kept: Kept, tmp_path: Path
) -> None:
    origin = tmp_path / "store"
    shutil.copytree(kept.store, origin, ignore=shutil.ignore_patterns("embeddings"))
    write_view(origin, tmp_path / "view", ["I"], 100)
    # What is computed on it now would be found for no record of the view.
    shutil.rmtree(origin)
    write_store(origin, {"train": 48, "valid": 16})
    with pytest.raises(EmbeddingCacheError, match="files have changed since") as refused:
        Training(pretraining(tmp_path / "view"), tmp_path / "run")
    command = str(refused.value).partition("selfmis ")[2].split()
    assert prepare.main(command[1:]) == 0
    # Whoever does as it says is no longer told so.
    with pytest.raises(EmbeddingCacheError, match="are not kept there"):
        Training(pretraining(tmp_path / "view"), tmp_path / "again")


def test_without_kept_embeddings_it_says_which_store_has_the_leads(
    kept: Kept, tmp_path: Path
) -> None:
    plain = {"task.cache_frozen_embeddings": False}
    with pytest.raises(StoreError, match=rf"is a view of {kept.store} without .* lead II;") as said:
        Training(pretraining(kept.view, **plain), tmp_path / "run")
    assert f"selfmis prepare view {kept.store} --leads I,II" in str(said.value)


@pytest.mark.slow
def test_with_all_leads_it_needs_no_origin(kept: Kept, tmp_path: Path) -> None:
    write_view(kept.store, tmp_path / "view", sample_rate=100)
    # The origin's first, though it could compute its own.
    first = Training(pretraining(tmp_path / "view"), tmp_path / "first")
    assert {leads for leads, _ in first.read} == {1}
    other = {"common.seed": 3, "task.seed": 3, "optimization.max_epoch": 1}
    elsewhere = {"task.embedding_cache_dir": str(tmp_path / "kept")}
    shutil.move(tmp_path / "view", tmp_path / "moved")
    info = tmp_path / "moved/store.json"
    info.write_text(info.read_text().replace(str(kept.store), str(tmp_path / "gone")))
    own = Training(pretraining(tmp_path / "moved", **other, **elsewhere), tmp_path / "own")
    assert sum(records for leads, records in own.read if leads == 12) == 48 + 16


def test_a_store_is_not_replaced_by_a_view_of_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = write_store(tmp_path / "store", {"train": 2})
    (tmp_path / "link").symlink_to(store)
    before = {path.name: path.read_bytes() for path in store.iterdir()}
    for data in (store, tmp_path / "link"):
        options = ["--leads", "I", "--dest", str(store), "--overwrite"]
        assert prepare.main(["view", str(data), *options]) == 1
        assert f"{store}: is what is read" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in store.iterdir()} == before


def test_what_cannot_be_a_view_is_refused(
    kept: Kept, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for options, said in (
        ([str(kept.view)], f"is a view itself; make the view of its origin, {kept.store}"),
        ([str(kept.store), "--leads", "V9"], "has no lead 'V9'"),
        ([str(kept.store), "--sample-rate", "1000"], "above the 500.0 Hz"),
        ([str(kept.store), "--sample-rate", "333.333333333"], "no whole number of samples"),
        ([str(tmp_path / "nothing")], "no such folder"),
    ):
        assert prepare.main(["view", *options, "--dest", str(tmp_path / "dest")]) == 1
        assert said in capsys.readouterr().err
    assert prepare.main(["view", str(kept.store), "--dest", str(kept.view)]) == 1
    assert "is there already" in capsys.readouterr().err
    assert not (tmp_path / "dest").exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [("leads", ["II", "I"]), ("leads", ["Z"]), ("origin", 3), ("identity", [1]), (None, "x")],
)
def test_a_damaged_description_is_refused(
    kept: Kept, tmp_path: Path, name: str | None, value: object
) -> None:
    shutil.copytree(kept.view, tmp_path / "view")
    path = tmp_path / "view/store.json"
    description = json.loads(path.read_text())
    if name is None:
        description["view"] = value
    else:
        description["view"][name] = value
    path.write_text(json.dumps(description))
    with pytest.raises(StoreError, match="view"):
        Store.open(tmp_path / "view")
