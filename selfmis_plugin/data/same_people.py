"""Records of two stores that are, or may be, the same, or the same persons'."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from selfmis_plugin.data.store import Store
from selfmis_plugin.data.store_parts import may_share_people

__all__ = ["rows_alike"]


def rows_alike(
    store: Store, other: Store, others: npt.NDArray[np.int64], column: str
) -> npt.NDArray[np.int64]:
    """Return the rows of a store that may be those, or of those patients, of another one.

    Names are compared as their own databases have them, within databases whose people may be the
    same (:func:`~selfmis_plugin.data.store_parts.may_share_people`).

    Parameters
    ----------
    store
        Whose rows are asked for.
    other, others
        The other store, or the same, and rows of it.
    column
        ``patient_id`` for the same persons, ``record_id`` for the same records.

    Returns
    -------
    numpy.ndarray
        In order, int64.
    """
    names, theirs = store.own_names(column), other.own_names(column)[others]
    part_of_theirs = other.part_of_records[others]
    alike = np.zeros(len(store), dtype=bool)
    for place, part in enumerate(store.info.whole_parts):
        kin = [
            number
            for number, one in enumerate(other.info.whole_parts)
            if may_share_people(part, one)
        ]
        known = set(theirs[np.isin(part_of_theirs, kin)])
        mine = np.flatnonzero(store.part_of_records == place)
        alike[mine] = [name in known for name in names[mine]]
    return np.flatnonzero(alike)
