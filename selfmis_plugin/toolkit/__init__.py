"""The toolkit that is running: fairseq-signals, or fairseq, its ancestor.

Both have the same parts under different names. This package decides which of them is the host,
imports it, and gives those parts one name each. With :mod:`selfmis_plugin.compat`, which knows
them from outside, it is the only place that knows the difference.
"""

from selfmis_plugin.toolkit.checkpoint_files import whole_checkpoints
from selfmis_plugin.toolkit.configs import (
    brings_ecg_methods,
    build_host_model,
    missing_parts,
    model_class,
    registered_models,
    setup_task,
    store_defaults_in_folder,
    task_class,
    whole_config,
)
from selfmis_plugin.toolkit.host import (
    ADAPTATIONS,
    HOST,
    host_name,
    host_version,
    mend_for_run,
    warning_of_two_hosts,
)
from selfmis_plugin.toolkit.parts import (
    BaseCriterion,
    BaseDataset,
    BaseLRScheduler,
    BaseModel,
    BaseTask,
    Dataclass,
    metrics,
    register_criterion,
    register_lr_scheduler,
    register_model,
    register_task,
)
from selfmis_plugin.toolkit.running import (
    best_score,
    early_stopping_state,
    explain_errors,
    go_on_at,
    hand_over,
    host_main,
    import_command_line,
    own_command,
    replace_worker_entry,
    restore_early_stopping,
    run_command_line,
    when_model_is_built,
)
from selfmis_plugin.toolkit.trackers import one_tracked_run, refuse_missing_trackers

__all__ = [
    "ADAPTATIONS",
    "HOST",
    "BaseCriterion",
    "BaseDataset",
    "BaseLRScheduler",
    "BaseModel",
    "BaseTask",
    "Dataclass",
    "best_score",
    "brings_ecg_methods",
    "build_host_model",
    "early_stopping_state",
    "explain_errors",
    "go_on_at",
    "hand_over",
    "host_main",
    "host_name",
    "host_version",
    "import_command_line",
    "mend_for_run",
    "metrics",
    "missing_parts",
    "model_class",
    "one_tracked_run",
    "own_command",
    "refuse_missing_trackers",
    "register_criterion",
    "register_lr_scheduler",
    "register_model",
    "register_task",
    "registered_models",
    "replace_worker_entry",
    "restore_early_stopping",
    "run_command_line",
    "setup_task",
    "store_defaults_in_folder",
    "task_class",
    "warning_of_two_hosts",
    "when_model_is_built",
    "whole_checkpoints",
    "whole_config",
]
