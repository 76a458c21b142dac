"""What ``selfmis benchmark`` measures, a module each, which defines ``BENCHMARK``.

To add a benchmark, add a file. What the modules need of a toolkit they import when they are run:
most benchmarks need none.
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
    return {module.BENCHMARK.name: module.BENCHMARK for module in modules}
