"""What torch.compile is told about functions, without importing it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

__all__ = ["constant_when_compiled"]

Function = TypeVar("Function", bound=Callable[..., object])


def constant_when_compiled(function: Function) -> Function:
    """Let torch.compile take what a function returns for a constant, and not trace into it.

    This is what ``torch.compiler.assume_constant_result`` does. That imports the whole compiler,
    two seconds which only those who compile should wait for.
    """
    vars(function)["_dynamo_marked_constant"] = True
    return function
