"""Prepared records in one memory-mapped file: read, written, and listed by manifests."""

from selfmis_plugin.data.store.store import (
    INFO_FILE,
    RECORDS_FILE,
    REFUSED_FILE,
    SAMPLE_DTYPE,
    SIGNALS_FILE,
    SPLITS,
    STORE_FORMAT,
    STORE_VERSION,
    Manifest,
    Store,
    StoreError,
    StoreInfo,
    StoreWriter,
    read_manifest,
    write_manifest,
)

__all__ = [
    "INFO_FILE",
    "Manifest",
    "RECORDS_FILE",
    "REFUSED_FILE",
    "SAMPLE_DTYPE",
    "SIGNALS_FILE",
    "SPLITS",
    "STORE_FORMAT",
    "STORE_VERSION",
    "Store",
    "StoreError",
    "StoreInfo",
    "StoreWriter",
    "read_manifest",
    "write_manifest",
]
