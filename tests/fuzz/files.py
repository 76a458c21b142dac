"""Changes of valid files: of their bytes, and of the values that they hold."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from hypothesis import strategies as st

__all__ = ["OF_A_NETWORK", "changed_bytes", "changed_values", "json_values", "payload_values"]

#: Seconds and mebibytes of one reading of a network, on a machine that has other work too.
OF_A_NETWORK = (10.0, 600.0)

_NUMBERS = st.one_of(
    st.integers(-3, 70),
    st.sampled_from([2**31, 2**63, 10**9, 10**30, 10**400, -(2**63)]),
    st.floats(),
    st.sampled_from([math.inf, -math.inf, math.nan, 1e300, 499.997, 0.5]),
)
_PLAIN = st.one_of(st.none(), st.booleans(), _NUMBERS, st.text(max_size=8))
#: What JSON can hold in place of a value.
json_values = st.recursive(
    _PLAIN,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=6,
)


def _odd_tensors() -> st.SearchStrategy[torch.Tensor]:
    kinds: list[Callable[[torch.Tensor], torch.Tensor]] = [
        lambda t: t.to("meta"),
        lambda t: t.to_sparse(),
        lambda t: t.to(torch.complex64),
        lambda t: t.double() * 1e300,
        lambda t: t * math.nan,
        lambda t: t.to(torch.int8),
        lambda t: t.half(),
        lambda t: t[:1].expand(10**6, *t.shape[1:]),
        lambda t: torch.quantize_per_tensor(t, 0.1, 0, torch.qint8),
    ]
    shapes = st.lists(st.integers(0, 5), max_size=3).filter(lambda shape: not shape or shape[0] > 0)
    return st.builds(
        lambda kind, shape: kind(torch.ones([1, *shape])), st.sampled_from(kinds), shapes
    )


#: What a checkpoint can hold in place of a value.
payload_values = st.one_of(json_values, _odd_tensors())


@st.composite
def changed_bytes(draw: st.DrawFn, content: bytes) -> bytes:
    """Some bytes of a file replaced, taken away or put in, or its end cut off."""
    new = bytearray(content)
    for _ in range(draw(st.integers(1, 6))):
        place = draw(st.integers(0, max(0, len(new) - 1)))
        size = draw(st.integers(0, 8))
        new[place : place + size] = draw(st.binary(max_size=8))
    if draw(st.integers(0, 4)) == 0:
        del new[draw(st.integers(0, len(new))) :]
    return bytes(new)


@st.composite
def changed_values(draw: st.DrawFn, values: Any, odd: st.SearchStrategy[Any]) -> Any:
    """A copy of nested tables and lists with one to three entries replaced, dropped or added."""
    new = copy.deepcopy(values)
    for _ in range(draw(st.integers(1, 3))):
        places = list(_entries(new))
        if not places:
            break
        table, entry = draw(st.sampled_from(places))
        match draw(st.integers(0, 4)):
            case 0 if isinstance(table, dict):
                table.pop(entry, None)
            case 1 if isinstance(table, dict):
                table[draw(st.text(max_size=5))] = draw(odd)
            case _:
                table[entry] = draw(odd)
    return new


def _entries(values: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(values, (dict, list)):
        pairs = values.items() if isinstance(values, dict) else enumerate(values)
        for key, value in pairs:
            yield values, key
            yield from _entries(value)
