"""Inputs drawn at random, for as long as one likes: `make fuzz FUZZ_SECONDS=600`.

A file here holds the properties of one subject and begins with `pytestmark = FUZZ`. A property is
a function under `@for_a_while` and Hypothesis' `@given`: it is called with new draws until each
property has had its seconds, five where nothing is said, as in `make test-slow`. A failure prints
the draw, and `@reproduce_failure` to repeat it; it becomes a test of its own beside the other tests
of its subject.
"""

import functools
import os
import time
from collections.abc import Callable
from typing import ParamSpec

import pytest
from hypothesis import HealthCheck, settings

P = ParamSpec("P")

FUZZ = [pytest.mark.slow, pytest.mark.fuzz]

SECONDS = float(os.environ.get("FUZZ_SECONDS", "5"))

# A budget of seconds rules here, not Hypothesis' own of each draw.
_draws = settings(
    max_examples=100,
    deadline=None,
    print_blob=True,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.function_scoped_fixture,
        HealthCheck.data_too_large,
    ],
)


def for_a_while(given_property: Callable[P, None]) -> Callable[P, None]:
    """Call a property of `@given` with draws until its seconds are spent, a hundred at least."""
    drawn = _draws(given_property)

    @functools.wraps(drawn)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        end = time.monotonic() + SECONDS
        drawn(*args, **kwargs)
        while time.monotonic() < end:
            drawn(*args, **kwargs)

    return run
