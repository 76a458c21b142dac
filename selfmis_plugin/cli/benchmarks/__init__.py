"""What ``selfmis benchmark`` measures, a module each, which defines ``BENCHMARK``.

To add a benchmark, add a file. It has the options, and prints what they ask for; what measures lies
in :mod:`selfmis_plugin.profiling` or :mod:`selfmis_plugin.benchmark` and is imported when it is
run: help should wait neither for PyTorch nor for a toolkit, which most benchmarks do not need.
"""

from __future__ import annotations

from selfmis_plugin.profiling.benchmark import Benchmark
from selfmis_plugin.utils import plugins


def known_benchmarks() -> dict[str, Benchmark]:
    """Return the benchmarks by name."""
    modules = plugins.modules_of(__name__)
    return {module.BENCHMARK.name: module.BENCHMARK for module in modules}
