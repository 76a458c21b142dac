"""What a store's files are called, and what ``store.json`` says."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from selfmis_plugin._version import __version__
from selfmis_plugin.data.filter_names import FILTER_NAMES
from selfmis_plugin.data.origin import Origin, origins_from
from selfmis_plugin.data.split_names import ALL_TRAINING as ALL_TRAINING
from selfmis_plugin.data.split_names import SPLITS as SPLITS
from selfmis_plugin.data.store_parts import Part, parts_from
from selfmis_plugin.utils.fields import Fields

STORE_FORMAT = "selfmis-store"
STORE_VERSION = 1
UNITS = "uV"

INFO_FILE = "store.json"
SIGNALS_FILE = "signals.i16"
RECORDS_FILE = "records.parquet"
REFUSED_FILE = "refused.tsv"
#: From what, and how, a command made the store; one that a program writes has none.
MADE_FILE = "prepared.json"

#: Folder of embeddings kept of the store's records.
EMBEDDINGS_FOLDER = "embeddings"
#: Folder of the beats kept of them.
BEATS_FOLDER = "beats"

#: What belongs to a store itself; whatever else lies in its folder is the user's.
OWN_FILES: frozenset[str] = frozenset(
    {INFO_FILE, SIGNALS_FILE, RECORDS_FILE, REFUSED_FILE, MADE_FILE}
    | {EMBEDDINGS_FOLDER, BEATS_FOLDER}
    | {f"{split}.tsv" for split in (*SPLITS, ALL_TRAINING)}
)

#: On disk the samples are little-endian whatever the machine.
SAMPLE_DTYPE = np.dtype("<i2")

#: Columns of records.parquet.
SCHEMA = pa.schema(
    [
        ("record_id", pa.string()),
        ("patient_id", pa.string()),
        ("source", pa.string()),
        ("split", pa.string()),
        ("repaired", pa.string()),
        ("lead_mask", pa.int64()),
        ("labels", pa.list_(pa.string())),
        ("strat_fold", pa.int64()),
        ("sex", pa.string()),
        ("age", pa.float64()),
        ("session", pa.int64()),
    ]
)
#: Of these, what a row may lack; and what stores that are older lack altogether.
OPTIONAL_COLUMNS = ("strat_fold", "sex", "age", "session")
LATER_COLUMNS = ("sex", "age", "session")


#: What a description has only where there is something to say.
_OPTIONAL_ENTRIES = frozenset({"origins", "parts", "view"})


class StoreError(ValueError):
    """A store, or a manifest, cannot be read or written; the message says what to do."""


class CutShortError(StoreError):
    """A file of a store has become shorter while it was read."""


@dataclass(frozen=True)
class View:
    """What a store has of another one, its origin: the same records, fewer leads or samples.

    Attributes
    ----------
    origin
        Folder of the origin when the view was made.
    leads
        The leads whose signals the view has, in its signals' order.
    sample_rate
        Samples a second of the origin.
    identity
        What tells the origin from any other store, see
        :func:`selfmis_plugin.data.store.identity.identity_of`.
    """

    origin: str
    leads: tuple[str, ...]
    sample_rate: float
    identity: dict[str, Any]

    @classmethod
    def read(cls, fields: Fields) -> View:
        """Read what :func:`dataclasses.asdict` made of one.

        Raises
        ------
        FieldError
            If an entry is missing or of the wrong kind.
        """
        return cls(
            origin=fields.text("origin"),
            leads=fields.names("leads", most=1000),
            sample_rate=fields.number("sample_rate", above=0),
            identity=dict(fields.part("identity")),
        )


@dataclass(frozen=True)
class StoreInfo:
    """What ``store.json`` says about the signals.

    Attributes
    ----------
    version
        Version of the store's format.
    units
        Unit of one digital step, ``"uV"``.
    dtype
        Type of a sample, ``"int16"``.
    sample_rate
        Samples a second.
    seconds, samples
        Length of every record, in seconds and in samples.
    leads
        Names of the leads of the records, in the order of the bits of ``lead_mask``; those of
        :attr:`stored_leads` have signals.
    filter
        Filter that was applied before storing, ``"none"`` for none.
    records
        Number of records.
    database
        Name of the database that the records come from.
    label_sets
        Names of label sets and their labels, in order.
    created_with
        Version of the plugin that wrote the store.
    origins
        Where the records come from; none where it is not recorded.
    parts
        Of a store that was joined of several, each in the order of the records; none of others.
    view
        Of what the store is a view; None for a store of its own.
    """

    version: int
    units: str
    dtype: str
    sample_rate: float
    seconds: float
    samples: int
    leads: tuple[str, ...]
    filter: str
    records: int
    database: str
    label_sets: dict[str, tuple[str, ...]]
    created_with: str
    origins: tuple[Origin, ...] = ()
    parts: tuple[Part, ...] = ()
    view: View | None = None

    @property
    def stored_leads(self) -> tuple[str, ...]:
        """The leads that have signals, in the order of the signals' second axis."""
        return self.leads if self.view is None else self.view.leads

    @property
    def labels(self) -> frozenset[str]:
        """Names of all labels that a record may have, of any set."""
        return frozenset(label for names in self.label_sets.values() for label in names)

    @property
    def whole_parts(self) -> tuple[Part, ...]:
        """The parts, at least one: the whole store where it was not joined."""
        return self.parts or (Part(self.database, self.records, self.origins),)

    def to_dict(self) -> dict[str, Any]:
        """Return the content of ``store.json``."""
        values = {"format": STORE_FORMAT, **asdict(self)}
        for name in _OPTIONAL_ENTRIES:
            if not values[name]:
                del values[name]
        return values

    @classmethod
    def from_dict(cls, values: object, path: Path) -> StoreInfo:
        """Check the content of ``store.json``, read from *path*.

        Raises
        ------
        StoreError
            If it is not a store's, is of another version or lacks something.
        """
        if not isinstance(values, dict) or values.get("format") != STORE_FORMAT:
            raise StoreError(f"{path}: not a store's description (format is not {STORE_FORMAT!r})")
        version = values.get("version")
        if version != STORE_VERSION:
            raise StoreError(
                f"{path}: store version {version!r}, but this plugin ({__version__}) understands "
                f"version {STORE_VERSION}; {again(values.get('database'))}"
            )
        missing = sorted(set(cls.__dataclass_fields__) - _OPTIONAL_ENTRIES - set(values))
        if missing:
            raise StoreError(f"{path}: lacks {', '.join(missing)}; {again(values.get('database'))}")
        try:
            info = cls._checked(Fields(values))
        except ValueError as error:
            raise StoreError(
                f"{path}: a value is of the wrong kind ({error}); {again(values.get('database'))}"
            ) from error
        if info.dtype != "int16" or info.units != UNITS:
            raise StoreError(
                f"{path}: samples are {info.dtype} in {info.units}, expected int16 in uV; "
                f"{again(info.database)}"
            )
        if info.filter not in FILTER_NAMES:
            raise StoreError(
                f"{path}: filter {info.filter!r}, but this plugin ({__version__}) understands "
                f"{', '.join(FILTER_NAMES)}; {again(info.database)}"
            )
        if len({lead.casefold() for lead in info.leads}) != len(info.leads):
            raise StoreError(
                f"{path}: a lead is named twice in {', '.join(info.leads)}; {again(info.database)}"
            )
        if sum(part.records for part in info.whole_parts) != info.records:
            raise StoreError(
                f"{path}: its parts have not its {info.records} records; {again(info.database)}"
            )
        known = [lead for lead in info.leads if lead in info.stored_leads]
        if list(info.stored_leads) != known:
            raise StoreError(
                f"{path}: a view's leads {', '.join(info.stored_leads)} are not some of "
                f"{', '.join(info.leads)} in their order; {again(info.database)}"
            )
        return info

    @classmethod
    def _checked(cls, fields: Fields) -> StoreInfo:
        sets = fields.part("label_sets")
        return cls(
            version=STORE_VERSION,
            units=fields.text("units"),
            dtype=fields.text("dtype"),
            sample_rate=fields.number("sample_rate", above=0),
            seconds=fields.number("seconds", above=0),
            samples=fields.whole("samples", least=1),
            leads=fields.names("leads", most=1000),
            filter=fields.text("filter"),
            records=fields.whole("records"),
            database=fields.text("database"),
            label_sets={name: sets.names(name) if sets[name] else () for name in sets},
            created_with=fields.text("created_with"),
            origins=origins_from(fields.items_of("origins")) if "origins" in fields else (),
            parts=parts_from(fields.items_of("parts")) if "parts" in fields else (),
            view=View.read(fields.part("view")) if "view" in fields else None,
        )


def again(database: object) -> str:
    """Return the advice to prepare a store anew, naming its database where it is known."""
    name = database if isinstance(database, str) and database else "NAME"
    return f"prepare it again with `selfmis prepare {name} ... --overwrite`"
