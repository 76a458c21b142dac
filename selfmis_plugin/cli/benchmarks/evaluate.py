"""``selfmis benchmark evaluate``: figures and a report's pictures of large splits."""

from __future__ import annotations

import argparse

from selfmis_plugin.metrics.defaults import DRAWS
from selfmis_plugin.profiling.benchmark import Benchmark
from selfmis_plugin.utils.arguments import add_json, share, whole
from selfmis_plugin.utils.files import write_json

_TITLES = {
    "file": "predictions written and read",
    "aucs": "AUCs alone",
    "record": "all figures by record",
    "patient": "all figures by patient",
    "pictures": "the report's pictures",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the benchmark."""
    parser.add_argument("--records", type=whole(1), default=20_000, help="of the split (20000)")
    parser.add_argument("--labels", type=whole(1), default=20, help="of the classifier (20)")
    parser.add_argument(
        "--positives", type=share, default=0.02, help="share of the records with a label (0.02)"
    )
    parser.add_argument(
        "--draws", type=whole(1), default=DRAWS, help="of the bootstrap (default: %(default)s)"
    )
    parser.add_argument("--threads", type=whole(1), default=1, help="of matrix products (1)")
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Measure, print the table, write it where asked."""
    from threadpoolctl import threadpool_limits

    from selfmis_plugin.profiling.machine import describe_machine
    from selfmis_plugin.report.large_splits import measure_figures, synthetic_predictions

    machine = describe_machine()
    for name, text in machine.items():
        print(f"{name:12}{text}")
    print(
        f"{'split':12}synthetic predictions of {options.records:,} records, two a patient, and "
        f"{options.labels:,} labels of {100 * options.positives:g} % positives; "
        f"{options.draws:,} draws\n"
    )
    predictions = synthetic_predictions(options.records, options.labels, options.positives)
    with threadpool_limits(options.threads):
        costs = measure_figures(predictions, options.draws)
    for part, title in _TITLES.items():
        print(f"{title:30}{costs.seconds[part]:>10.1f} s")
    print(f"{'selfmis evaluate, figures':30}{costs.evaluate:>10.1f} s")
    print(f"{'selfmis report, figures':30}{costs.report:>10.1f} s")
    print(f"{'most memory of the process':30}{costs.peak_memory / 2**30:>10.2f} GiB")
    print("\nprocessor time; what the model computes before is not in it")
    if options.json is not None:
        setting = ("records", "labels", "positives", "draws", "threads")
        write_json(
            options.json,
            {
                "machine": machine,
                "setting": {name: getattr(options, name) for name in setting},
                "seconds": costs.seconds,
                "evaluate_seconds": costs.evaluate,
                "report_seconds": costs.report,
                "peak_memory_bytes": costs.peak_memory,
            },
        )
    return 0


BENCHMARK = Benchmark(
    name="evaluate",
    title="seconds and memory of figures with intervals, and of a report, of a large split",
    add_arguments=add_arguments,
    run=run,
)
