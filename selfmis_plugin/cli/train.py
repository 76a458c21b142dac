"""``selfmis train``: the host's own training, on any Python that the plugin supports."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence

from selfmis_plugin.training.command_line import config_name, has_config_path
from selfmis_plugin.training.explaining import known_to
from selfmis_plugin.training.known_configs import known_configs, title_of, unknown_config
from selfmis_plugin.utils import threads

_USAGE = """\
usage: selfmis train CONFIG [KEY=VALUE ...] [--config-dir DIR]

Train as a config says. The same command given again goes on where it was; Ctrl-C keeps the last
checkpoint. The arguments of fairseq-hydra-train are taken too (--config-name CONFIG); Hydra's own
help is under --hydra-help.

configs (selfmis configs CONFIG shows one):
{configs}

keys worth knowing:
{keys}

environment:
  SELFMIS_LOG=full       the host's whole log on the terminal (the run's folder always has it)
  SELFMIS_CURVES=0       no picture of the curves
  SELFMIS_TRACEBACK=1    where a refusal was raised
"""
_KEYS = {
    "task.data=STORE": "the store, or manifests of one",
    "model.encoder_checkpoint=FILE": "of a probe or fine-tuning: the encoder to begin with",
    "model.multi_lead_checkpoint=FILE": "of SelfMIS: the frozen 12-lead encoder",
    "model.single_lead_checkpoint=FILE": "of SelfMIS: where the single-lead encoder begins",
    "model.lead=II": "another lead than I",
    "task.sample_rate=100": "decimate",
    "task.label_set=infarction": "learn the nine types alone",
    "optimization.max_epoch=N": "when to end",
    "optimization.lr=[0.001]": "learning rate",
    "dataset.batch_size=N": "records a batch",
    "common.seed=N": "of every draw",
    "common.fp16=true": "half precision, on a GPU; model.precision=bfloat16 anywhere",
    "common.log_interval=N": "updates between two lines",
    "common.tensorboard_logdir=DIR": "curves for TensorBoard (extra tensorboard)",
    "common.wandb_project=NAME": "curves for Weights & Biases (extra wandb)",
    "hydra.run.dir=DIR": "the run's folder (default: outputs/CONFIG)",
}
_TITLE = 74


def main(argv: Sequence[str]) -> int:
    """Run ``fairseq-hydra-train`` with *argv* in the host that is installed.

    On Python 3.11 and newer an unmodified fairseq-signals cannot be imported before it is adapted
    (:mod:`selfmis_plugin.compat`), which its own command has no occasion to do.
    """
    if "--help" in argv or "-h" in argv:
        print(usage(), end="")
        return 0
    arguments, name = named(argv)
    known = known_to(arguments)
    if name is not None and name not in known and not has_config_path(arguments):
        print(f"selfmis train: {unknown_config(name, list(known))}", file=sys.stderr)
        return 2
    threads.sleep_while_waiting()
    try:
        # Deciding on the host may fail, and its message is all that a user should see then.
        from selfmis_plugin import toolkit
    except RuntimeError as error:
        print(f"selfmis train: {error}\n'selfmis doctor' says more.", file=sys.stderr)
        return 2
    from selfmis_plugin.training.short_log import wants_all, without_warnings

    if not wants_all():
        without_warnings()
    toolkit.run_command_line(["selfmis train", *arguments])
    return 0


def usage() -> str:
    """Return the help of ``selfmis train``."""
    known = known_configs()
    width = max(map(len, known)) + 2
    titles = {name: title_of(file) for name, file in known.items()}
    configs = "\n".join(f"  {name:{width}}{_cut(title)}" for name, title in titles.items())
    keys = "\n".join(f"  {key:36}{text}" for key, text in _KEYS.items())
    return _USAGE.format(configs=configs, keys=keys)


def named(argv: Sequence[str]) -> tuple[list[str], str | None]:
    """Return the arguments as Hydra takes them, and the config that they name, if they do.

    The first argument that is neither an option nor KEY=VALUE is a config's name.
    """
    arguments = list(argv)
    given = config_name(arguments)
    if given is None and arguments and re.fullmatch(r"[\w][\w./-]*", arguments[0]):
        given = arguments[0].removesuffix(".yaml")
        arguments[:1] = ["--config-name", given]
    return arguments, given


def _cut(title: str) -> str:
    return title if len(title) <= _TITLE else title[: _TITLE - 3].rsplit(" ", 1)[0] + " ..."
