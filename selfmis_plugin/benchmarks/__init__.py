"""What ``selfmis benchmark`` measures, one module each.

A module here that defines ``BENCHMARK`` is a subcommand: to add a benchmark, add a file.
"""

from __future__ import annotations

import importlib
import pkgutil

from selfmis_plugin.benchmarks.benchmark import Benchmark


def known_benchmarks() -> dict[str, Benchmark]:
    """Return the benchmarks by name."""
    modules = [
        importlib.import_module(f"{__name__}.{module.name}")
        for module in pkgutil.iter_modules(__path__)
    ]
    found = [module.BENCHMARK for module in modules if hasattr(module, "BENCHMARK")]
    return {benchmark.name: benchmark for benchmark in found}
