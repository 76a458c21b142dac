"""Import paths of version 0.1: they go on working, and warn."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

import selfmis_plugin
from selfmis_plugin._moved import _MODULES, _NAMES
from tests.support import environment

ROOT = Path(selfmis_plugin.__file__).resolve().parents[1]

#: All modules of version 0.1, by their folders.
MODULES_OF_0_1 = {
    "": (
        "arguments benchmarks checkpoints cli compat criterions data demo diagnosis drawing "
        "encoders evaluation experiments files inference launch loading lr_schedulers messages "
        "methods models nn paths readers registration report studies tasks toolkit trained "
        "training training_plan"
    ),
    "benchmarks": (
        "benchmark checkpoint_options commands machine macs memory mimic_folder peak "
        "preparation_speed reading_speed reference_net1d step_ways timing training_memory "
        "trainings"
    ),
    "benchmarks.commands": (
        "correlation cost data identification mi predict reconstruction resources step"
    ),
    "benchmarks.trainings": "costs data models stage_costs steps",
    "checkpoints": "ecgfounder encoder_weights own_file reading training weights",
    "cli": (
        "benchmark demo doctor embed evaluate export main predict prepare prepare_export "
        "prepare_fraction prepare_recordings report show synthetic train"
    ),
    "compat": "at_start contract for_runs installed patch patching",
    "criterions": "align_reconstruct multi_label_bce siglip split_criterion",
    "data": (
        "assembly beats cluster databases ecgfounder_classes embedding_cache export_signals "
        "fast_reader filter_kernels filters fraction_manifests fractions input_files labels "
        "leads listing manifest overview parallel part_preparation parts preparation "
        "preprocessing quality record_preparation recording recordings signal_file signal_slots "
        "splits store store_format store_writer summary synthetic wfdb_header wfdb_reader"
    ),
    "data.databases": "ecgid mimic_iv_ecg physionet2021 ptbxl wfdb_folder",
    "data.recordings": (
        "channels csv_file csv_layout edf_file long_recording opening preparation report "
        "selection sources subject_splits wfdb_file windows"
    ),
    "data.synthetic": "cohort ecgid_layout heart layouts leadfield record statements wfdb16",
    "demo": "demo known modally_reduced modally_reduced_report plan report run",
    "demo.known": "modally_reduced selfmis",
    "drawing": "ecg lead_matrix overview synthesis windows",
    "evaluation": (
        "auc beats bootstrap calibration collector embeddings evaluate identification "
        "lead_correlation lead_models lead_synthesis predictions ranking retrieval roc "
        "statistics"
    ),
    "experiments": (
        "cohort commands graph host_methods infarction infarction_cells infarction_folder "
        "infarction_report infarction_settings infarction_stages infarction_training paper "
        "side_by_side tables"
    ),
    "inference": (
        "exporting model model_card model_folder onnx_export onnx_files onnx_runtime opening "
        "operating_points picture strips watch_file"
    ),
    "lr_schedulers": "cosine_epochs",
    "methods": "baselines method modally_reduced selfmis supervised ways",
    "models": (
        "classifier_start encoder_config modally_reduced modally_reduced_classifier precision "
        "selfmis selfmis_classifier"
    ),
    "nn": (
        "alignment any_class block_function channels_last classifier encoder exchange "
        "grouped_convolution host_shape inputs lead_autoencoders lead_encoder lead_layers "
        "lead_views modally_reduced modally_reduced_config native net1d net1d_config pair_loss "
        "patch_masks plain_net1d pointwise_convolution reconstruction shortcut siglip "
        "spread_leads swish_convolution towers zero_masked"
    ),
    "nn.native": "build ops",
    "readers": "ecgfounder modally_reduced selfmis",
    "report": "build figures page run_log",
    "studies": "correlation identification reconstruction study",
    "tasks": (
        "ecg_mi_classification encoder_rate frozen_embeddings modally_reduced_pretraining "
        "selfmis_pretraining store_dataset store_task"
    ),
    "toolkit": "configs host parts recipes running",
}
#: What README and examples of version 0.1 named, and what plugins elsewhere derive from.
DOCUMENTED = {
    "data.leads": "STANDARD_LEADS",
    "data.preprocessing": "Preprocessing",
    "data.splits": "open_split",
    "data.store": "StoreWriter Store",
    "data.synthetic": "simulate",
    "encoders": "Encoder load_encoder save_encoder",
    "evaluation.auc": "auc_report",
    "evaluation.evaluate": "evaluate",
    "inference.model": "load_model",
    "inference.model_folder": "SavedModel write_model",
    "inference.picture": "draw_prediction",
    "launch": "at_hydra_start configs_folder",
    "loading": "LoadedClassifier LoadedTowers load_trained",
    "methods": "known_methods",
    "methods.method": "Classifier Method Stage ARCHIVE FINETUNE LEAD_I PROBE UNLABELLED",
    "methods.modally_reduced": "METHODS",
    "methods.selfmis": "METHODS",
    "methods.supervised": "MULTI_LEAD SINGLE_LEAD METHODS",
    "nn.classifier": "EncoderClassifier",
    "nn.net1d": "Net1D Net1DConfig",
    "nn.siglip": "SigLIPLoss",
    "nn.towers": "TwoTowers",
    "readers": "reader_of Reader",
    "checkpoints.training": "model_name",
    "criterions.split_criterion": "SplitCriterion",
    "tasks.store_task": "StoreTask",
    "toolkit.recipes": "of_different_patients",
    "trained": "LoadedClassifier LoadedTowers",
    "training": "train_main",
}

IMPORT_ALL = """
import importlib, json, sys, warnings

found = {}
for name in json.load(sys.stdin):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        module = importlib.import_module("selfmis_plugin." + name)
    said = [str(w.message) for w in caught if str(w.message).startswith("selfmis_plugin.")]
    found[name] = (module.__name__, said)
json.dump(found, sys.stdout)
"""


def names_of_0_1() -> set[str]:
    return {
        f"{folder}.{module}".lstrip(".")
        for folder, modules in MODULES_OF_0_1.items()
        for module in modules.split()
    }


def run(program: str, *options: str, sent: object = None) -> str:
    done = subprocess.run(
        [sys.executable, *options, "-c", textwrap.dedent(program)],
        input=json.dumps(sent),
        env=environment(PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def is_there(name: str) -> bool:
    place = ROOT / "selfmis_plugin" / name.replace(".", "/")
    return place.with_suffix(".py").is_file() or (place / "__init__.py").is_file()


def test_every_module_is_where_it_was_or_in_the_table() -> None:
    assert {name for name in names_of_0_1() if not is_there(name)} == set(_MODULES)
    assert len(names_of_0_1()) > 250
    assert all(is_there(name) for name in _MODULES.values() if name)
    assert all(is_there(name) for moved in _NAMES.values() for name in moved.values())


def test_every_one_is_imported_and_is_the_new_module() -> None:
    found: dict[str, tuple[str, list[str]]] = json.loads(
        run(IMPORT_ALL, sent=sorted(names_of_0_1()))
    )
    folders = {name.rpartition(".")[0] for name in _MODULES}
    for name, (module, said) in found.items():
        now = _MODULES.get(name)
        if now is None:
            assert (module, said) == (f"selfmis_plugin.{name}", [])
        elif name in folders & set(_MODULES):
            # Silent: it is imported on the way to every module that was in it.
            assert (module, said) == (f"selfmis_plugin.{name}", [])
        else:
            assert module == f"selfmis_plugin.{name if name in _NAMES else now}"
            (warning,) = said
            assert warning == (
                f"selfmis_plugin.{name} is now selfmis_plugin.{now}: the old name goes with "
                "version 0.3"
            )


def test_documented_names_are_imported_with_one_warning_at_most() -> None:
    program = """
    import json, sys, warnings

    modules, names, found = json.load(sys.stdin), {}, {}
    for module, listed in modules.items():
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            exec(f"from selfmis_plugin.{module} import {', '.join(listed.split())}", names)
        said = [w for w in caught if str(w.message).startswith("selfmis_plugin.")]
        places = {"<string>"} >= {w.filename for w in said}
        found[module] = (len(said), places)
    json.dump(found, sys.stdout)
    """
    found: dict[str, Any] = json.loads(run(program, sent=DOCUMENTED))
    assert found == {name: [int(name in _MODULES or name in _NAMES), True] for name in DOCUMENTED}


@pytest.mark.parametrize(
    "statement",
    [
        "from selfmis_plugin.inference.operating_points import OperatingPoint as Old",
        "import selfmis_plugin.inference.operating_points as m; Old = m.OperatingPoint",
        "from selfmis_plugin.inference import operating_points as m; Old = m.OperatingPoint",
        "import selfmis_plugin.inference.operating_points\n"
        "Old = selfmis_plugin.inference.operating_points.OperatingPoint",
    ],
)
def test_ways_to_import(statement: str) -> None:
    program = f"""
{statement}
from selfmis_plugin.metrics.operating_points import OperatingPoint
assert Old is OperatingPoint
"""
    run(program)


def test_a_class_is_the_same_in_whichever_order_it_is_imported() -> None:
    run(
        """
        from selfmis_plugin.data.synthetic.record import SyntheticRecord as Old
        from selfmis_plugin.data.synthetic import cohort
        from selfmis_plugin.synthetic.record import SyntheticRecord
        import selfmis_plugin.synthetic.cohort
        assert Old is SyntheticRecord and cohort is selfmis_plugin.synthetic.cohort
        assert Old.__module__ == "selfmis_plugin.synthetic.record"
        """
    )


def test_what_never_was_is_not_found() -> None:
    with pytest.raises(ModuleNotFoundError, match="selfmis_plugin.inference.nothing"):
        __import__("selfmis_plugin.inference.nothing")
    with pytest.raises(ImportError, match="cannot import name 'nothing'"):
        exec("from selfmis_plugin.inference import nothing")
    with pytest.raises(ImportError, match="cannot import name 'nothing'"):
        exec("from selfmis_plugin.training import nothing")


def test_the_package_itself_does_not_warn_and_imports_nothing_of_weight() -> None:
    printed = run(
        """
        import sys
        import __future__, importlib.machinery, typing, warnings
        before = set(sys.modules)
        import selfmis_plugin
        print(*sorted(set(sys.modules) - before))
        """,
        "-W",
        "error",
    )
    assert printed.split() == ["selfmis_plugin", "selfmis_plugin._moved", "selfmis_plugin._version"]
