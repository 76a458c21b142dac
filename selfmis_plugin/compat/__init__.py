"""The training toolkit seen from outside: what is installed, what it must have, what is mended.

Importing this package imports no toolkit, so it also serves where none can be imported. With
:mod:`selfmis_plugin.toolkit`, which does import it, it is the only place that knows which toolkit
the host is.

An unmodified fairseq-signals needs patches to train here. Some belong to the machine
(:mod:`~selfmis_plugin.compat.at_start`) and are applied before the toolkit is imported:
:func:`apply`. The rest are faults of the toolkit's own code, which any machine meets
(:mod:`~selfmis_plugin.compat.for_runs`, and in both hosts :mod:`~selfmis_plugin.compat.broadcast`);
each is mended only in a run that would fail by it: :func:`mend_for_run`. Every patch says why it is
there, and is skipped where it is not needed: with another host, or in a toolkit that has mended the
matter itself.
"""

from selfmis_plugin.compat.patching import (
    APPLIED,
    WORKER_HOST,
    apply,
    apply_in_spawned_worker,
    mend_for_run,
)

__all__ = ["APPLIED", "WORKER_HOST", "apply", "apply_in_spawned_worker", "mend_for_run"]
