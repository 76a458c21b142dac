"""What ``selfmis benchmark`` measures, a module each, which defines ``BENCHMARK``.

To add a benchmark, add a file. What the modules need of a toolkit they import when they are run:
most benchmarks need none.
"""

from __future__ import annotations

from selfmis_plugin.profiling.benchmark import Benchmark
from selfmis_plugin.utils import plugins


def known_benchmarks() -> dict[str, Benchmark]:
    """Return the benchmarks by name."""
    modules = plugins.modules_of(__name__)
    return {module.BENCHMARK.name: module.BENCHMARK for module in modules}
