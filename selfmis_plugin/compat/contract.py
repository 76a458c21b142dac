"""What the plugin relies on in each host: names, their parameters, and config keys.

A new release of a toolkit that lacks any of it is told from the whole list at once, by the tests
and by ``selfmis doctor``, instead of by the first training that stumbles over it.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import operator
import re
from collections.abc import Iterator
from typing import Any

from selfmis_plugin.compat.installed import FAIRSEQ, FAIRSEQ_SIGNALS

#: Under which name each host has the parts that differ.
NAMES = {
    FAIRSEQ_SIGNALS: {
        "Criterion": "BaseCriterion",
        "Dataset": "BaseDataset",
        "Dataclass": "Dataclass",
        "Model": "BaseModel",
        "Task": "Task",
        "Config": "Config",
        "checkpoint_utils": "utils.checkpoint_utils",
    },
    FAIRSEQ: {
        "Criterion": "FairseqCriterion",
        "Dataset": "FairseqDataset",
        "Dataclass": "FairseqDataclass",
        "Model": "BaseFairseqModel",
        "Task": "FairseqTask",
        "Config": "FairseqConfig",
        "checkpoint_utils": "checkpoint_utils",
    },
}

#: Module, and what is used of it with the parameters that it must take.
CONTRACT = {
    "fairseq_cli.hydra_train": "cli_main() pre_main(cfg)",
    "fairseq_cli.train": "main(cfg) should_stop_early(cfg,valid_loss)",
    "{host}.criterions": "{Criterion}(task) register_criterion(name,dataclass) "
    "{Criterion}.reduce_metrics(logging_outputs) {Criterion}.logging_outputs_can_be_summed "
    "CRITERION_REGISTRY",
    "{host}.data": "{Dataset} {Dataset}.ordered_indices {Dataset}.num_tokens(index) "
    "{Dataset}.size(index)",
    "{host}.dataclass": "{Dataclass}",
    "{host}.dataclass.configs": "{Config}",
    "{host}.distributed.utils": "call_main(cfg,main)",
    "{host}.logging.metrics": "aggregate(name,new_root) log_scalar(key,value,weight,round) "
    "log_speed(key,value,round) reset",
    "{host}.models": "{Model} {Model}.build_model(task) register_model(name,dataclass) "
    "MODEL_REGISTRY",
    "{host}.optim.lr_scheduler": "FairseqLRScheduler(cfg,optimizer) "
    "FairseqLRScheduler.step_begin_epoch(epoch) FairseqLRScheduler.step_update(num_updates) "
    "register_lr_scheduler(name,dataclass)",
    "{host}.tasks": "{Task}(cfg) {Task}.load_dataset(split,combine) "
    "{Task}.get_batch_iterator(dataset) {Task}.build_model(cfg,from_checkpoint) "
    "{Task}.build_criterion(cfg,from_checkpoint) {Task}.begin_epoch(epoch,model) "
    "{Task}.train_step(sample,model,criterion,optimizer,update_num,ignore_grad) "
    "{Task}.optimizer_step(optimizer,model,update_num) "
    "{Task}.begin_valid_epoch(epoch,model) {Task}.reduce_metrics(logging_outputs,criterion) "
    "{Task}.state_dict {Task}.load_state_dict(state_dict) "
    "register_task(name,dataclass) setup_task(cfg) TASK_REGISTRY",
    "{host}.{checkpoint_utils}": "save_checkpoint",
}
#: What only one of them must have.
ALSO = {
    FAIRSEQ_SIGNALS: {
        "{host}.criterions": "CRITERION_DATACLASS_REGISTRY",
        "{host}.data.iterators": "EpochBatchIterator EpochBatchIterator.next_epoch_idx",
        "{host}.models": "build_model(cfg,task,from_checkpoint)",
        "{host}.models.ecg_transformer": "ECGTransformerModel "
        "ECGTransformerModel.extract_features(source,padding_mask)",
        "{host}.models.wav2vec2": "Wav2Vec2Model Wav2Vec2CMSCModel "
        "Wav2Vec2Model.extract_features(source,padding_mask) "
        "Wav2Vec2CMSCModel.extract_features(source,padding_mask)",
        "{host}.tasks": "{Task}.post_validate(model,log_output,agg)",
        "{host}.utils.utils": "clip_grad_norm_(params,max_norm,aggregate_norm_fn)",
    },
    FAIRSEQ: {"{host}.checkpoint_utils": "load_checkpoint"},
}

#: Keys of the host's own config that the plugin's configs set or its code reads.
CONFIG_KEYS = {
    "checkpoint": "best_checkpoint_metric checkpoint_suffix finetune_from_model "
    "maximize_best_checkpoint_metric no_epoch_checkpoints no_save_optimizer_state patience "
    "reset_meters reset_optimizer restore_file save_dir save_interval_updates",
    "common": "fp16 log_format log_interval seed",
    "dataset": "batch_size disable_validation num_workers train_subset valid_subset",
    "distributed_training": "distributed_rank distributed_world_size",
    "optimization": "clip_norm lr max_epoch max_update update_freq",
}


def entries(host: str) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Yield module, dotted name and parameters of everything that the plugin uses of *host*."""
    for table in (CONTRACT, ALSO[host]):
        for module, listed in table.items():
            for entry in listed.format(**NAMES[host]).split():
                name, _, parameters = re.sub(r"\)$", "", entry).partition("(")
                wanted = tuple(parameter for parameter in parameters.split(",") if parameter)
                yield module.format(host=host, **NAMES[host]), name, wanted


def mismatches(host: str) -> list[str]:
    """Return everything that *host*, which can be imported, lacks; empty if it fits.

    Parameters
    ----------
    host
        Name of its package.
    """
    found = []
    modules: dict[str, Any] = {}
    for module, name, parameters in entries(host):
        if module not in modules:
            try:
                modules[module] = importlib.import_module(module)
            except Exception as error:  # whatever a broken release raises belongs on the list
                modules[module] = None
                found.append(f"{module} cannot be imported: {type(error).__name__}: {error}")
        if modules[module] is not None:
            found += _differences(modules[module], f"{module}.{name}", name, parameters)
    return found + list(_missing_keys(host, modules[f"{host}.dataclass.configs"]))


def _differences(module: Any, called: str, name: str, parameters: tuple[str, ...]) -> list[str]:
    try:
        part = operator.attrgetter(name)(module)
    except AttributeError:
        return [f"{called} is gone"]
    if not parameters:
        return []
    taken = inspect.signature(part).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in taken.values()):
        return []
    return [f"{called} no longer takes {p}" for p in parameters if p not in taken]


def _missing_keys(host: str, configs: Any) -> Iterator[str]:
    root = getattr(configs, NAMES[host]["Config"], None)
    if root is None:
        return  # said already
    config = root()
    for section, keys in CONFIG_KEYS.items():
        part = getattr(config, section, None)
        there = {field.name for field in dataclasses.fields(part)} if part is not None else set()
        yield from (
            f"config key {section}.{key} is gone" for key in keys.split() if key not in there
        )
