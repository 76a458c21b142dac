"""``selfmis train``: the host's own training, on any Python that the plugin supports."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from selfmis_plugin.utils import threads


def main(argv: Sequence[str]) -> int:
    """Run ``fairseq-hydra-train`` with *argv* in the host that is installed.

    On Python 3.11 and newer an unmodified fairseq-signals cannot be imported before it is adapted
    (:mod:`selfmis_plugin.compat`), which its own command has no occasion to do.
    """
    threads.sleep_while_waiting()
    try:
        # Deciding on the host may fail, and its message is all that a user should see then.
        from selfmis_plugin import toolkit
    except RuntimeError as error:
        print(f"selfmis train: {error}\n'selfmis doctor' says more.", file=sys.stderr)
        return 2
    toolkit.run_command_line(["selfmis train", *argv])
    return 0
