"""Fixtures shared by the tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

from tests.support import write_store

# A busy machine takes longer over an example, and that is no failure.
settings.register_profile("without a deadline", deadline=None)
settings.load_profile("without a deadline")

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Excerpts of public databases beside the checkout; without them a test is skipped."""
    folder = REPOSITORY.parent / "shared" / "real"
    if not folder.is_dir():
        pytest.skip("no real recordings beside this checkout (shared/real)")
    return folder


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A labelled store of 150 records in three splits."""
    return write_store(tmp_path_factory.mktemp("data") / "store")
