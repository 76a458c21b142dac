"""The table of a store's records, read and checked."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from selfmis_plugin.data.person import OLDEST, SEXES
from selfmis_plugin.data.store.format import LATER_COLUMNS, OPTIONAL_COLUMNS, SCHEMA, StoreInfo

__all__ = ["read_records"]


def read_records(path: Path, info: StoreInfo) -> pa.Table:
    """Return the table, with the columns and the types of the store's schema.

    Raises
    ------
    ValueError, pyarrow.ArrowException
        If it lacks a column, has another number of rows, or a value cannot be; the message names
        the column.
    """
    # Not pyarrow's read_table, which makes columns of folders called like key=value.
    with pq.ParquetFile(path) as file:
        table = file.read()
    for name in LATER_COLUMNS:
        if name not in table.column_names:
            table = table.append_column(
                SCHEMA.field(name), pa.nulls(len(table), SCHEMA.field(name).type)
            )
    if missing := [name for name in SCHEMA.names if name not in table.column_names]:
        raise ValueError(f"lacks the columns {', '.join(missing)}")
    if len(table) != info.records:
        raise ValueError(f"{len(table)} rows, expected {info.records}")
    table = table.select(SCHEMA.names)
    # Text that is no text is found here, and not where a name is first looked at.
    table.validate(full=True)
    table = table.cast(SCHEMA)
    for name in SCHEMA.names:
        column = table.column(name)
        if name not in OPTIONAL_COLUMNS and column.null_count:
            raise ValueError(f"column {name} has {column.null_count} empty values")
    if pc.list_flatten(table.column("labels")).null_count:
        raise ValueError("column labels has empty values")
    masks = pc.min_max(table.column("lead_mask")).as_py()
    if len(table) and not 0 <= masks["min"] <= masks["max"] < 1 << len(info.leads):
        raise ValueError(f"column lead_mask has bits beyond the {len(info.leads)} leads")
    strange = set(pc.unique(table.column("sex")).to_pylist()) - {None, *SEXES}
    if strange:
        raise ValueError(f"column sex has {min(strange)!r}, not one of {', '.join(SEXES)}")
    ages = pc.min_max(table.column("age")).as_py()
    if ages["min"] is not None and not 0 <= ages["min"] <= ages["max"] <= OLDEST:
        raise ValueError(f"column age has values that are not from 0 to {OLDEST:g} years")
    return table
