"""Names of version 0.1 that go on working until version 0.3, with a warning.

All of it is here and goes at once: this module, its line in ``selfmis_plugin/__init__.py``, and the
``__getattr__`` of the four packages in :data:`_NAMES`.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

__all__ = ["Finder", "names_of"]

_ROOT = "selfmis_plugin"

#: Modules and folders of 0.1, and where they are now; "" where a folder left only what was in it.
_MODULES = {
    "arguments": "utils.arguments",
    "diagnosis": "cli.diagnosis",
    "encoders": "checkpoints.encoders",
    "files": "utils.files",
    "launch": "training.launch",
    "loading": "checkpoints.loading",
    "messages": "utils.messages",
    "paths": "utils.paths",
    "registration": "training.registration",
    "trained": "checkpoints.classifier",
    "training_plan": "training.plan",
    "benchmarks": "profiling",
    "benchmarks.benchmark": "profiling.benchmark",
    "benchmarks.checkpoint_options": "cli.checkpoint_options",
    "benchmarks.commands": "cli.benchmarks",
    "benchmarks.commands.correlation": "cli.benchmarks.correlation",
    "benchmarks.commands.cost": "cli.benchmarks.cost",
    "benchmarks.commands.data": "cli.benchmarks.data",
    "benchmarks.commands.identification": "cli.benchmarks.identification",
    "benchmarks.commands.mi": "cli.benchmarks.mi",
    "benchmarks.commands.predict": "cli.benchmarks.predict",
    "benchmarks.commands.reconstruction": "cli.benchmarks.reconstruction",
    "benchmarks.commands.resources": "cli.benchmarks.resources",
    "benchmarks.commands.step": "cli.benchmarks.step",
    "benchmarks.machine": "profiling.machine",
    "benchmarks.macs": "profiling.macs",
    "benchmarks.memory": "profiling.memory",
    "benchmarks.mimic_folder": "profiling.mimic_folder",
    "benchmarks.peak": "profiling.peak",
    "benchmarks.preparation_speed": "profiling.preparation_speed",
    "benchmarks.reading_speed": "profiling.reading_speed",
    "benchmarks.reference_net1d": "profiling.reference_net1d",
    "benchmarks.step_ways": "profiling.step_ways",
    "benchmarks.timing": "profiling.timing",
    "benchmarks.training_memory": "profiling.training_memory",
    "benchmarks.trainings": "profiling.trainings",
    "benchmarks.trainings.costs": "profiling.trainings.costs",
    "benchmarks.trainings.data": "profiling.trainings.data",
    "benchmarks.trainings.models": "profiling.trainings.models",
    "benchmarks.trainings.stage_costs": "profiling.trainings.stage_costs",
    "benchmarks.trainings.steps": "profiling.trainings.steps",
    "checkpoints.training": "checkpoints.net1d_part",
    "criterions": "",
    "criterions.align_reconstruct": "methods.modally_reduced.criterion",
    "criterions.multi_label_bce": "probe.criterion",
    "criterions.siglip": "methods.selfmis.criterion",
    "criterions.split_criterion": "training.split_criterion",
    "data.assembly": "preparation.assembly",
    "data.cluster": "preparation.cluster",
    "data.databases": "preparation.databases",
    "data.databases.ecgid": "preparation.databases.ecgid",
    "data.databases.mimic_iv_ecg": "preparation.databases.mimic_iv_ecg",
    "data.databases.physionet2021": "preparation.databases.physionet2021",
    "data.databases.ptbxl": "preparation.databases.ptbxl",
    "data.databases.wfdb_folder": "preparation.databases.wfdb_folder",
    "data.ecgfounder_classes": "methods.supervised.ecgfounder_classes",
    "data.embedding_cache": "training.embedding_cache",
    "data.export_signals": "methods.host.export_signals",
    "data.fast_reader": "preparation.wfdb.fast_reader",
    "data.input_files": "preparation.input_files",
    "data.listing": "preparation.listing",
    "data.manifest": "data.store.manifest",
    "data.parallel": "utils.parallel",
    "data.part_preparation": "preparation.worker",
    "data.parts": "preparation.parts",
    "data.preparation": "preparation.run",
    "data.record_preparation": "preparation.record",
    "data.recordings": "preparation.recordings",
    "data.recordings.channels": "preparation.recordings.channels",
    "data.recordings.csv_file": "preparation.recordings.csv_file",
    "data.recordings.csv_layout": "preparation.recordings.csv_layout",
    "data.recordings.edf_file": "preparation.recordings.edf_file",
    "data.recordings.long_recording": "preparation.recordings.long_recording",
    "data.recordings.opening": "preparation.recordings.opening",
    "data.recordings.preparation": "preparation.recordings.run",
    "data.recordings.report": "preparation.recordings.report",
    "data.recordings.selection": "preparation.recordings.selection",
    "data.recordings.sources": "preparation.recordings.sources",
    "data.recordings.subject_splits": "preparation.recordings.subject_splits",
    "data.recordings.wfdb_file": "preparation.recordings.wfdb_file",
    "data.recordings.windows": "preparation.recordings.windows",
    "data.signal_file": "data.store.signal_file",
    "data.signal_slots": "preparation.signal_slots",
    "data.store_format": "data.store.format",
    "data.store_writer": "data.store.writer",
    "data.summary": "preparation.summary",
    "data.synthetic": "synthetic",
    "data.synthetic.cohort": "synthetic.cohort",
    "data.synthetic.ecgid_layout": "synthetic.ecgid_layout",
    "data.synthetic.heart": "synthetic.heart",
    "data.synthetic.layouts": "synthetic.layouts",
    "data.synthetic.leadfield": "synthetic.leadfield",
    "data.synthetic.record": "synthetic.record",
    "data.synthetic.statements": "synthetic.statements",
    "data.synthetic.wfdb16": "synthetic.wfdb16",
    "data.wfdb_header": "preparation.wfdb.header",
    "data.wfdb_reader": "preparation.wfdb.reader",
    "demo.known": "",
    "demo.known.modally_reduced": "methods.modally_reduced.demo",
    "demo.known.selfmis": "methods.selfmis.demo",
    "demo.modally_reduced": "demo.leads",
    "demo.modally_reduced_report": "demo.leads_report",
    "demo.plan": "methods.selfmis.demo",
    "demo.report": "demo.few_labels_report",
    "demo.run": "demo.few_labels",
    "drawing": "visualization",
    "drawing.ecg": "visualization.ecg",
    "drawing.lead_matrix": "visualization.lead_matrix",
    "drawing.overview": "visualization.overview",
    "drawing.synthesis": "visualization.synthesis",
    "drawing.windows": "visualization.windows",
    "evaluation.auc": "metrics.auc",
    "evaluation.beats": "metrics.beats",
    "evaluation.bootstrap": "metrics.bootstrap",
    "evaluation.calibration": "metrics.calibration",
    "evaluation.collector": "training.collector",
    "evaluation.identification": "metrics.identification",
    "evaluation.lead_correlation": "metrics.lead_correlation",
    "evaluation.lead_synthesis": "metrics.lead_synthesis",
    "evaluation.predictions": "metrics.predictions",
    "evaluation.ranking": "metrics.ranking",
    "evaluation.retrieval": "metrics.retrieval",
    "evaluation.roc": "metrics.roc",
    "evaluation.statistics": "metrics.statistics",
    "experiments": "benchmark",
    "experiments.cohort": "benchmark.cohort",
    "experiments.commands": "benchmark.commands",
    "experiments.graph": "benchmark.graph",
    "experiments.host_methods": "benchmark.host_methods",
    "experiments.infarction": "benchmark.infarction",
    "experiments.infarction_cells": "benchmark.cells",
    "experiments.infarction_folder": "benchmark.folder",
    "experiments.infarction_report": "benchmark.report",
    "experiments.infarction_settings": "benchmark.settings",
    "experiments.infarction_stages": "benchmark.stages",
    "experiments.infarction_training": "benchmark.timed_training",
    "experiments.paper": "benchmark.paper",
    "experiments.side_by_side": "benchmark.side_by_side",
    "experiments.tables": "benchmark.tables",
    "inference": "predict",
    "inference.exporting": "export.exporting",
    "inference.model": "predict.model",
    "inference.model_card": "export.model_card",
    "inference.model_folder": "checkpoints.model_folder",
    "inference.onnx_export": "export.onnx_export",
    "inference.onnx_files": "export.onnx_files",
    "inference.onnx_runtime": "nn.onnx_runtime",
    "inference.opening": "predict.opening",
    "inference.operating_points": "metrics.operating_points",
    "inference.picture": "predict.picture",
    "inference.strips": "predict.strips",
    "inference.watch_file": "preparation.recordings.csv_file",
    "lr_schedulers": "",
    "lr_schedulers.cosine_epochs": "training.schedule",
    "methods.baselines": "methods.host.rows",
    "models": "",
    "models.classifier_start": "probe.start",
    "models.encoder_config": "training.encoder_config",
    "models.modally_reduced": "methods.modally_reduced.model",
    "models.modally_reduced_classifier": "methods.modally_reduced.classifier",
    "models.precision": "training.precision",
    "models.selfmis": "methods.selfmis.model",
    "models.selfmis_classifier": "probe.model",
    "nn.alignment": "nn.losses.alignment",
    "nn.block_function": "nn.net1d.block_function",
    "nn.channels_last": "nn.net1d.channels_last",
    "nn.grouped_convolution": "nn.net1d.grouped_convolution",
    "nn.host_shape": "methods.host.shape",
    "nn.lead_autoencoders": "methods.modally_reduced.lead_autoencoders",
    "nn.lead_encoder": "methods.modally_reduced.lead_encoder",
    "nn.lead_layers": "methods.modally_reduced.lead_layers",
    "nn.lead_views": "methods.modally_reduced.lead_views",
    "nn.modally_reduced": "methods.modally_reduced.network",
    "nn.modally_reduced_config": "methods.modally_reduced.shape",
    "nn.native": "nn.net1d.native",
    "nn.native.build": "nn.net1d.native.build",
    "nn.native.ops": "nn.net1d.native.ops",
    "nn.net1d_config": "nn.net1d.config",
    "nn.pair_loss": "nn.losses.pair_loss",
    "nn.plain_net1d": "nn.net1d.plain",
    "nn.pointwise_convolution": "nn.net1d.pointwise_convolution",
    "nn.reconstruction": "nn.losses.reconstruction",
    "nn.shortcut": "nn.net1d.shortcut",
    "nn.siglip": "nn.losses.siglip",
    "nn.spread_leads": "methods.modally_reduced.spread_leads",
    "nn.swish_convolution": "nn.net1d.swish_convolution",
    "nn.towers": "methods.selfmis.towers",
    "readers": "checkpoints.readers",
    "readers.ecgfounder": "methods.supervised.reader",
    "readers.modally_reduced": "methods.modally_reduced.reader",
    "readers.selfmis": "methods.selfmis.reader",
    "report.run_log": "training.run_log",
    "studies": "benchmark.studies",
    "studies.correlation": "benchmark.studies.correlation",
    "studies.identification": "benchmark.studies.identification",
    "studies.reconstruction": "benchmark.studies.reconstruction",
    "studies.study": "benchmark.studies.study",
    "tasks": "",
    "tasks.ecg_mi_classification": "probe.task",
    "tasks.encoder_rate": "probe.encoder_rate",
    "tasks.frozen_embeddings": "training.frozen_embeddings",
    "tasks.modally_reduced_pretraining": "methods.modally_reduced.task",
    "tasks.selfmis_pretraining": "methods.selfmis.task",
    "tasks.store_dataset": "training.store_dataset",
    "tasks.store_task": "training.store_task",
    "toolkit.recipes": "methods.host.encoder",
}
#: Folders among them. What was a module there is imported from an empty stand-in of the folder.
_FOLDERS = {name.rpartition(".")[0] for name in _MODULES} & _MODULES.keys()

#: Names that are not in the module that took the place of theirs, and where they are.
_NAMES = {
    "checkpoints.training": {"model_name": "checkpoints.reading"},
    "loading": {
        "LoadedClassifier": "checkpoints.classifier",
        "LoadedTowers": "methods.selfmis.trained",
    },
    "methods.modally_reduced": {
        "LEAD_PROBES": "methods.modally_reduced.rows",
        "METHODS": "methods.modally_reduced.rows",
    },
    "methods.selfmis": {"METHODS": "methods.selfmis.rows"},
    "methods.supervised": {
        "ALL_LEADS": "methods.supervised.rows",
        "METHODS": "methods.supervised.rows",
    },
    "toolkit.recipes": {
        "of_different_patients": "methods.host.batches",
        "whole_record": "methods.host.batches",
    },
    "trained": {"LoadedTowers": "methods.selfmis.trained"},
    "training": {"ResumeError": "training.entry", "train_main": "training.entry"},
}


class Finder:
    """Finds modules under their old names.

    It comes last in ``sys.meta_path``, so it is asked only about what is not there.
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return how an old name is imported; None for a name that never was."""
        root, _, name = fullname.partition(".")
        if root != _ROOT or name not in _MODULES:
            return None
        # Without its base class, whose module brings others that nothing else here needs.
        loader: Any = _Loader()
        return ModuleSpec(fullname, loader, is_package=name in _FOLDERS)


class _Loader:
    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        name = spec.name.removeprefix(_ROOT + ".")
        return _StandIn(spec.name) if name in _FOLDERS or name in _NAMES else None

    def exec_module(self, module: ModuleType) -> None:
        old = module.__name__
        name = old.removeprefix(_ROOT + ".")
        if name in _FOLDERS:  # imported on the way to every module that was in it
            return
        new = f"{_ROOT}.{_MODULES[name]}"
        _warn(old, new)
        if isinstance(module, _StandIn):
            module.__dict__["_said"] = True
        else:
            # The import statement takes what lies here, so a class is the same by both paths.
            sys.modules[old] = importlib.import_module(new)


class _StandIn(ModuleType):
    """A folder that went, or a module whose names are in several places now.

    A folder's ``__path__`` is empty: Python would import the modules of the new folder a second
    time, under other names. It warns when something is taken out of it.
    """

    _said = False

    def __getattr__(self, name: str) -> Any:
        old = self.__name__
        former = old.removeprefix(_ROOT + ".")
        if f"{former}.{name}" in _MODULES:
            return importlib.import_module(f"{old}.{name}")
        now = _NAMES.get(former, {}).get(name, _MODULES[former])
        # Whoever looks through all modules asks for such names, and should import nothing.
        if now and (name == "__all__" or not name.startswith("__")):
            found = getattr(importlib.import_module(f"{_ROOT}.{now}"), name)
            if not self._said:
                self._said = True
                _warn(old, f"{_ROOT}.{now}")
            return found
        raise AttributeError(f"module {old!r} has no attribute {name!r}")


def names_of(package: str) -> Callable[[str], Any]:
    """Return the ``__getattr__`` of a package that was a module: names that left it."""
    places = _NAMES[package.removeprefix(_ROOT + ".")]

    def __getattr__(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        new = f"{_ROOT}.{places[name]}"
        _warn(f"{package}.{name}", f"{new}.{name}")
        found = getattr(importlib.import_module(new), name)
        setattr(sys.modules[package], name, found)
        return found

    return __getattr__


def _warn(old: str, new: str) -> None:
    # At the user's import: the frames between are of this module and of the import system.
    frame = sys._getframe()
    while frame.f_back is not None and (
        frame.f_code.co_filename in (__file__, importlib.__file__)
        or frame.f_code.co_filename.startswith("<frozen importlib")
    ):
        frame = frame.f_back
    warnings.warn_explicit(
        f"{old} is now {new}: the old name goes with version 0.3",
        DeprecationWarning,
        frame.f_code.co_filename,
        frame.f_lineno,
        module=frame.f_globals.get("__name__", "<string>"),
        registry=frame.f_globals.setdefault("__warningregistry__", {}),
    )
