"""Kept embeddings: whatever happens to the files, nothing wrong is read back."""

from __future__ import annotations

import itertools
import json
import os
import pickle
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfmis_plugin.data.store import Store
from selfmis_plugin.training import embedding_cache
from selfmis_plugin.training.embedding_cache import (
    HEADER_BYTES,
    EmbeddingCache,
    EmbeddingCacheError,
    cache_key,
    store_identity,
)
from tests.support import write_store

KEY = cache_key(of="these tests")


def embeddings_of(cache: EmbeddingCache, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(cache.records, cache.dim)).astype(np.float32)


def fill(cache: EmbeddingCache, seed: int = 0) -> np.ndarray:
    """Write every file that is missing; return all embeddings."""
    embeddings = embeddings_of(cache, seed)
    for number in cache.missing():
        start, stop = cache.bounds(number)
        cache.write(number, embeddings[start:stop])
    return embeddings


def files_of(cache: EmbeddingCache) -> list[Path]:
    return sorted(cache.path.glob("[0-9]*.emb"))


@pytest.fixture
def cache(tmp_path: Path) -> EmbeddingCache:
    """A complete cache of 25 files with four records each."""
    filled = EmbeddingCache(tmp_path, KEY, records=100, dim=6, batch_size=4)
    fill(filled)
    return filled


@settings(deadline=None, max_examples=40)
@given(
    records=st.integers(1, 400),
    batch_size=st.integers(1, 150),
    dtype=st.sampled_from(["float32", "float16"]),
    seed=st.integers(0, 99),
)
def test_what_was_written_is_read_back(
    records: int, batch_size: int, dtype: str, seed: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        cache = EmbeddingCache(Path(folder), KEY, records, 3, dtype, batch_size)
        bounds = [cache.bounds(number) for number in range(cache.files)]
        # Every record in one file, and every file but the last of whole batches.
        assert [*itertools.chain(*(range(*pair) for pair in bounds))] == list(range(records))
        assert all((stop - start) % batch_size == 0 for start, stop in bounds[:-1])
        embeddings = fill(cache, seed)
        chosen = np.random.default_rng(seed).integers(0, records, 50)
        expected = embeddings[chosen].astype(dtype).astype(np.float32)
        for reader in (cache, pickle.loads(pickle.dumps(cache))):
            found = reader.read(chosen)
            assert found.dtype == np.float32 and np.array_equal(found, expected)
        assert cache.missing() == []
        assert cache.nbytes == sum(f.stat().st_size - HEADER_BYTES for f in files_of(cache))


def replace_bytes(path: Path, start: int, new: bytes) -> None:
    content = bytearray(path.read_bytes())
    content[start : start + len(new)] = new
    path.write_bytes(content)


def swap(path: Path) -> None:
    """Put the file of other records in its place."""
    path.write_bytes((path.parent / "00000000.emb").read_bytes())


DAMAGES = {
    "cut short": lambda path: os.truncate(path, path.stat().st_size - 5),
    "cut in its header": lambda path: os.truncate(path, 40),
    "empty": lambda path: os.truncate(path, 0),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
    "zeros for its end": lambda path: replace_bytes(path, HEADER_BYTES + 40, bytes(20)),
    "all zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "the file of other records": swap,
    "a text": lambda path: path.write_text("[" * 5000),
    "another number in its header": lambda path: path.write_bytes(
        path.read_bytes().replace(b'"dim": 6', b'"dim": 3')
    ),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_file_is_made_again(cache: EmbeddingCache, caplog, damage) -> None:
    path = files_of(cache)[7]
    damage(path)
    assert cache.missing() == [7]
    assert str(path) in caplog.text and "it is made again" in caplog.text
    embeddings = fill(cache)
    assert cache.missing() == [] and np.array_equal(cache.read(range(100)), embeddings)


def test_any_changed_bit_is_noticed(cache: EmbeddingCache) -> None:
    path = files_of(cache)[3]
    whole = path.read_bytes()
    rng = np.random.default_rng(5)
    header = len(whole[:HEADER_BYTES].rstrip())
    places = [*range(header), *rng.integers(header, len(whole), 200)]
    for place in places:
        replace_bytes(path, place, bytes([whole[place] ^ (1 << int(rng.integers(8)))]))
        assert cache.missing() == [3], place
        path.write_bytes(whole)
    assert cache.missing() == []


def test_a_missing_file_is_not_read_as_something(cache: EmbeddingCache) -> None:
    path = files_of(cache)[2]
    path.unlink()
    assert cache.missing() == [2]
    with pytest.raises(EmbeddingCacheError, match=f"{path}: is not there"):
        cache.read([0])
    for records in ([100], [-1], [0, 3, 100]):
        with pytest.raises(IndexError):
            cache.read(records)


def test_embeddings_of_something_else_are_not_these(cache: EmbeddingCache) -> None:
    other = EmbeddingCache(cache.folder, cache_key(of="others"), 100, 6, batch_size=4)
    assert len(other.missing()) == other.files
    # Even when a folder has been copied or renamed.
    cache.path.rename(other.path)
    assert len(other.missing()) == other.files
    fill(other, seed=1)
    assert np.array_equal(other.read([5]), embeddings_of(other, 1)[[5]])
    wider = EmbeddingCache(cache.folder, other.key, 100, 8, batch_size=4)
    assert len(wider.missing()) == wider.files


def test_what_a_killed_run_left_is_not_read_and_goes_after_a_day(cache: EmbeddingCache) -> None:
    # A file is written under a hidden name first.
    whole = files_of(cache)[0].read_bytes()
    fresh, old = cache.path / ".abc.emb", cache.path / ".old.emb"
    for left in (fresh, old):
        left.write_bytes(whole[:-9])
    yesterday = time.time() - 25 * 3600
    os.utime(old, (yesterday, yesterday))
    assert cache.missing() == []
    cache.remove_leftovers()
    # The fresh one may be another run's that is at work.
    assert fresh.is_file() and not old.exists() and len(files_of(cache)) == 25


def test_half_a_cache_keeps_its_half(tmp_path: Path) -> None:
    cache = EmbeddingCache(tmp_path, KEY, records=100, dim=6, batch_size=4)
    embeddings = embeddings_of(cache)
    for number in range(10):
        cache.write(number, embeddings[slice(*cache.bounds(number))])
    assert cache.missing() == list(range(10, 25))


def test_two_runs_at_once_do_not_hurt_each_other(tmp_path: Path) -> None:
    cache = EmbeddingCache(tmp_path, KEY, records=100, dim=6, batch_size=4)
    embeddings = embeddings_of(cache)

    def one_run(_: int) -> None:
        for number in range(cache.files):
            cache.write(number, embeddings[slice(*cache.bounds(number))])
            assert number not in cache.missing()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(one_run, range(4)))
    assert cache.missing() == [] and np.array_equal(cache.read(range(100)), embeddings)
    assert len(list(cache.path.iterdir())) == cache.files


def test_a_write_that_fails_leaves_nothing(cache: EmbeddingCache, monkeypatch) -> None:
    files_of(cache)[1].unlink()

    def full(*_: object) -> bytes:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", full)
        with pytest.raises(EmbeddingCacheError, match="No space left"):
            cache.write(1, np.zeros((4, 6), np.float32))
    assert cache.missing() == [1] and len(list(cache.path.iterdir())) == 24


def test_float16_is_refused_where_it_would_overflow(tmp_path: Path) -> None:
    cache = EmbeddingCache(tmp_path, KEY, 4, 2, "float16")
    with pytest.raises(EmbeddingCacheError, match="float32"):
        cache.write(0, np.full((1, 2), 70_000, np.float32))
    with pytest.raises(ValueError, match="float32 or float16"):
        EmbeddingCache(tmp_path, KEY, 4, 2, "int8")


def test_a_file_holds_many_records_but_a_small_set_is_shared_out(tmp_path: Path) -> None:
    large = EmbeddingCache(tmp_path, KEY, 800_035, 1024, batch_size=128)
    assert large.records_per_file == embedding_cache.RECORDS_PER_FILE and large.files == 98
    small = EmbeddingCache(tmp_path, KEY, 5000, 1024, batch_size=128)
    assert small.files >= embedding_cache.FILES_AT_LEAST


def test_a_key_is_of_all_its_parts() -> None:
    assert cache_key(a=1, b=[1, 2]) == cache_key(b=[1, 2], a=1)
    keys = {cache_key(a=1), cache_key(a=2), cache_key(b=1), cache_key(a=1, b=1), cache_key()}
    assert len(keys) == 5 and all(len(key) == 64 for key in keys)


def test_a_store_that_changed_is_another(tmp_path: Path) -> None:
    sizes = {"train": 6, "valid": 4}
    path = write_store(tmp_path / "store", sizes)
    rows = np.arange(6)
    seen = {}

    def identity(name: str, rows: np.ndarray = rows) -> str:
        seen[name] = cache_key(store=store_identity(Store.open(path), rows))
        return seen[name]

    assert identity("first") == identity("again")
    identity("other records", rows[:5])
    identity("other order", rows[::-1])
    signals = path / "signals.i16"
    when = signals.stat().st_mtime_ns
    replace_bytes(signals, 5000, b"\x11\x22")
    identity("a sample changed")
    os.utime(signals, ns=(when, when))
    identity("and the time of the file set back")
    info = json.loads((path / "store.json").read_text(encoding="utf-8"))
    (path / "store.json").write_text(json.dumps({**info, "filter": "ecgfounder"}), encoding="utf-8")
    identity("another filter")
    write_store(tmp_path / "other", sizes, seed=1)
    (tmp_path / "other/records.parquet").replace(path / "records.parquet")
    identity("other records under the numbers")
    del seen["again"]
    assert len(set(seen.values())) == len(seen) == 7


def test_a_file_that_is_cut_short_is_refused(cache: EmbeddingCache) -> None:
    """The system ends a process that reads on, by SIGBUS."""
    fill(cache)
    last = cache.records - 1
    cache.read([0, last])
    os.truncate(files_of(cache)[-1], 4096)
    for read in (lambda: cache.read([last]), cache.check_length):
        with pytest.raises(EmbeddingCacheError, match=r"has 4,096 of .* bytes: it was cut short"):
            read()
