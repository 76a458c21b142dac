"""A changed manifest, description or table of a store is refused by its name, or read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfmis_plugin.data.overview import overview_lines, summarise
from selfmis_plugin.data.splits import open_split
from selfmis_plugin.data.store import Store, StoreError, read_manifest
from tests.fuzz import FUZZ, for_a_while
from tests.fuzz.bounds import bounded
from tests.fuzz.files import OF_A_NETWORK, changed_bytes, changed_values, json_values
from tests.support import write_store

pytestmark = FUZZ

FILES = ("store.json", "records.parquet", "train.tsv", "refused.tsv")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sizes = {"train": 3, "valid": 2, "test": 2}
    return write_store(tmp_path_factory.mktemp("data") / "store", sizes)


def use(folder: Path) -> None:
    """Read all of a store; the errors that may come of it name it."""
    try:
        store = Store.open(folder)
        part = open_split(folder, "train")
        assert part.store.read(part.rows).shape[0] == len(part.rows)
        part.require_leads(store.info.leads)
        labels = [name for names in store.info.label_sets.values() for name in names]
        assert store.targets(part.rows, sorted(set(labels))).shape[0] == len(part.rows)
        assert overview_lines(summarise(store))
    except StoreError as error:
        assert str(folder) in str(error) and len(str(error)) < 10_000


@pytest.mark.parametrize("name", FILES)
@for_a_while
@given(data=st.data())
def test_bytes(whole: Path, name: str, data: st.DataObject, tmp_path: Path) -> None:
    folder = tmp_path / "store"
    shutil.copytree(whole, folder, dirs_exist_ok=True)
    (folder / name).write_bytes(data.draw(changed_bytes((whole / name).read_bytes())))
    with bounded(*OF_A_NETWORK):
        use(folder)


@for_a_while
@given(data=st.data())
def test_values(whole: Path, data: st.DataObject, tmp_path: Path) -> None:
    folder = tmp_path / "store"
    shutil.copytree(whole, folder, dirs_exist_ok=True)
    described = json.loads((whole / "store.json").read_text())
    new = data.draw(changed_values(described, json_values))
    (folder / "store.json").write_text(json.dumps(new))
    with bounded(*OF_A_NETWORK):
        use(folder)


@for_a_while
@given(
    root=st.text(max_size=8),
    rows=st.lists(
        st.tuples(st.text(max_size=6), st.one_of(st.integers(), st.text(max_size=6))), max_size=5
    ),
    end=st.sampled_from(["\n", "\r\n", "\r", "\x85", ""]),
)
def test_rows(root: str, rows: list[tuple[str, object]], end: str, tmp_path: Path) -> None:
    path = tmp_path / "train.tsv"
    text = end.join([root, *(f"{name}\t{samples}" for name, samples in rows)])
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        found = read_manifest(path)
    except StoreError as error:
        assert str(path) in str(error)
        return
    assert len(found.record_ids) == len(found.samples) and (found.samples >= 0).all()
