"""How a toolkit finds the plugin and its configs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from selfmis_plugin import toolkit
from selfmis_plugin.training.command_line import has_own_configs
from selfmis_plugin.training.configs import configs_folder
from selfmis_plugin.training.explaining import explain, no_task
from selfmis_plugin.training.given_files import find_host_files
from selfmis_plugin.utils.paths import LAUNCH_FOLDER, from_launch_folder
from tests.support import environment, train

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("arguments", "own"),
    [
        (["--config-name", "x"], False),
        (["--config-dir", "configs"], True),
        (["--config-dir=configs"], True),
        (["-cd", "configs"], True),
        (["--config-path=elsewhere"], True),
        (["task.data=--config-dir"], False),
    ],
)
def test_has_own_configs(arguments: list[str], own: bool) -> None:
    assert has_own_configs(arguments) is own


def test_relative_paths_are_read_from_where_the_command_was_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(LAUNCH_FOLDER, str(tmp_path))
    assert from_launch_folder("a/../b") == tmp_path / "b"
    assert from_launch_folder("/b") == Path("/b")
    monkeypatch.delenv(LAUNCH_FOLDER)
    monkeypatch.chdir(tmp_path)
    assert from_launch_folder("b") == tmp_path / "b"


def test_files_of_the_hosts_own_tasks_are_found_where_they_were_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "weights.pt").touch()
    monkeypatch.setenv(LAUNCH_FOLDER, str(tmp_path))
    values = {
        "task": {"_name": "data", "data": "data", "label_file": None, "mean_path": "elsewhere.pt"},
        "model": {"_name": "data", "model_path": "weights.pt", "width": 3},
        "common": {"user_dir": "data"},
    }
    cfg = OmegaConf.create(values)
    find_host_files(cfg)
    found = {"data": str(tmp_path / "data"), "mean_path": "elsewhere.pt"}
    assert cfg.task == {**values["task"], **found}
    assert cfg.model == {**values["model"], "model_path": str(tmp_path / "weights.pt")}
    assert cfg.common.user_dir == str(tmp_path / "data")
    cfg.task.data = "dta"
    with pytest.raises(FileNotFoundError, match=f"task.data=dta: there is no {tmp_path / 'dta'}"):
        find_host_files(cfg)


def test_packaged_configs_are_found_from_anywhere(tmp_path: Path) -> None:
    output = train(["--config-name", "selfmis_pretrain", "--cfg", "job"], tmp_path)
    assert "_name: selfmis_pretraining" in output and "batch_size: 128" in output


def test_an_edited_config_wins(tmp_path: Path) -> None:
    text = (configs_folder() / "selfmis_pretrain.yaml").read_text(encoding="utf-8")
    (tmp_path / "mine").mkdir()
    edited = text.replace("batch_size: 128", "batch_size: 77")
    (tmp_path / "mine" / "selfmis_pretrain.yaml").write_text(edited, encoding="utf-8")
    arguments = ["--config-dir", "mine", "--config-name", "selfmis_pretrain", "--cfg", "job"]
    assert "batch_size: 77" in train(arguments, tmp_path)


def test_other_hydra_applications_do_not_load_the_plugin(tmp_path: Path) -> None:
    script = tmp_path / "application.py"
    script.write_text(
        "import sys, hydra\n"
        "@hydra.main(config_path=None, version_base='1.1')\n"
        "def main(cfg):\n"
        "    print('hook', 'hydra_plugins.selfmis' in sys.modules)\n"
        "    print('loaded', [m for m in sys.modules if m.startswith(('selfmis', 'torch'))])\n"
        "main()\n",
        encoding="utf-8",
    )
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "hook True" in done.stdout and "loaded []" in done.stdout


def test_a_config_that_is_not_there_is_said(tmp_path: Path) -> None:
    shown = train(["--config-name", "selfmis_pretrian"], tmp_path, check=False)
    assert "the config names no task: there is no config 'selfmis_pretrian'" in shown
    assert "Did you mean selfmis_pretrain" in shown


def test_what_trains_in_the_other_toolkit_alone_is_refused_before_it_starts(
    tmp_path: Path,
) -> None:
    if toolkit.brings_ecg_methods():
        pytest.skip("this toolkit has these methods")
    call = ["baselines/w2v_cmsc", f"task.data={tmp_path}"]
    command = [sys.executable, "-m", "selfmis_plugin.cli.main", "train"]
    shown = train(call, tmp_path, check=False, command=command, SELFMIS_LOG="")
    assert (
        "baselines/w2v_cmsc trains inside fairseq-signals only; this environment has "
        f"{toolkit.host_version()}, which lacks task ecg_pretraining, model wav2vec2_cmsc, "
        "criterion wav2vec2_with_cmsc: see docs/install.md"
    ) in shown
    assert "Traceback" not in shown and "AssertionError" not in shown
    assert not (tmp_path / "outputs/baselines/w2v_cmsc").exists()
    # A name that is the user's own is not said to be another toolkit's.
    call = ["--config-name", "selfmis_pretrain_small", "task._name=selfmis_pretrainin"]
    shown = train([*call, f"task.data={tmp_path}"], tmp_path, check=False)
    assert "lacks task selfmis_pretrainin: check the name" in shown
    assert "only" not in shown.split("lacks task")[1]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "selfmis_pretrain_small",
            "no key 'optimization.max_epochs'. Did you mean optimization.max_epoch?",
        ),
        pytest.param(
            "selfmis_pretrain_smal",
            "no config 'selfmis_pretrain_smal'. Did you mean selfmis_pretrain_small",
            marks=pytest.mark.slow,
        ),
        # Whatever else is wrong is left to Hydra.
        pytest.param(
            "selfmis_pretrain_small --cfg=nothing", "invalid choice", marks=pytest.mark.slow
        ),
    ],
)
def test_the_hosts_own_command_says_what_is_nearest(name: str, said: str, tmp_path: Path) -> None:
    call = ["--config-dir", str(REPOSITORY / "configs"), "--config-name", *name.split()]
    shown = train([*call, "optimization.max_epochs=3"], tmp_path, check=False, SELFMIS_LOG="")
    assert said in shown
    assert "DEBUG" not in shown and "Traceback" not in shown


def test_what_is_wrong_is_explained_for_known_configs_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.yaml").write_text("task:\n  data: store\n")
    monkeypatch.chdir(tmp_path)
    call = ["--config-dir", ".", "--config-name", "mine", "task.dat=x"]
    wrong = ValueError("Could not override 'task.dat'.\nTo append ...")
    said = explain(wrong, call)
    assert said is not None and "Did you mean task.data?" in said
    assert explain(wrong, ["--config-path", ".", "--config-name", "mine"]) is None
    assert explain(wrong, []) is None
    assert explain(ValueError("something else"), call) is None
    monkeypatch.setenv("SELFMIS_TRACEBACK", "1")
    assert explain(wrong, call) is None
    assert f"{tmp_path / 'mine.yaml'} has no part 'task'" in no_task("mine", call)
    assert "Did you mean mine" in no_task("minee", call)
    assert "--config-name" in no_task(None, [])


@pytest.mark.parametrize(
    ("config", "key"),
    [
        ("selfmis_linear_probe_small", "encoder_checkpoint"),
        ("selfmis_finetune_two_stage_small", "classifier_checkpoint"),
    ],
)
def test_a_checkpoint_that_is_left_out_is_said(config: str, key: str, tmp_path: Path) -> None:
    shown = train(["--config-name", config, "task.data=none"], tmp_path, check=False)
    assert f"model.{key} is not set: give the checkpoint" in shown


def test_every_config_composes_and_names_registered_parts(tmp_path: Path) -> None:
    # Composed in one process: a command line start a config would take minutes.
    script = (
        "import pathlib, sys\n"
        "import fairseq_cli.hydra_train\n"
        "from hydra import compose, initialize_config_dir\n"
        "from selfmis_plugin.training.registration import register_all\n"
        "from selfmis_plugin import toolkit\n"
        "from fairseq.registry import REGISTRIES\n"
        "from fairseq.tasks import TASK_REGISTRY\n"
        "from fairseq.models import MODEL_REGISTRY\n"
        "from fairseq.dataclass.initialize import add_defaults\n"
        "register_all()\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "with initialize_config_dir(str(folder), version_base='1.1'):\n"
        "    for path in sorted(folder.glob('*.yaml')):\n"
        "        cfg = compose(path.stem)\n"
        "        keys = {k: set(cfg[k]) for k in ('task', 'model', 'criterion', 'lr_scheduler')}\n"
        "        add_defaults(cfg)\n"
        "        assert cfg.task._name in TASK_REGISTRY and cfg.model._name in MODEL_REGISTRY\n"
        "        for kind in ('criterion', 'lr_scheduler', 'optimizer'):\n"
        "            assert cfg[kind]._name in REGISTRIES[kind]['registry']\n"
        "        for key, named in keys.items():\n"
        "            assert named <= set(cfg[key]), (path, key, named)\n"
        "        print('composed', path.stem)\n"
    )
    folder = configs_folder()
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder)], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("composed") == len(list(folder.glob("*.yaml"))) >= 7


def test_wheel_brings_the_hook_the_configs_the_page_and_the_sources_to_compile(
    tmp_path: Path,
) -> None:
    tree = tmp_path / "tree"
    names = ["selfmis_plugin", "manifests", "hydra_plugins", "configs"]
    files = ["setup.py", "pyproject.toml", "README.md", "LICENSE", "MANIFEST.in"]
    for name in names:
        shutil.copytree(REPOSITORY / name, tree / name)
    for name in files:
        shutil.copy(REPOSITORY / name, tree / name)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, "--wheel-dir", str(tmp_path), str(tree)], check=True)
    (wheel,) = tmp_path.glob("selfmis_plugin-*.whl")
    site = tmp_path / "site"
    native = Path("selfmis_plugin", "nn", "net1d", "native")
    page = Path("selfmis_plugin", "serve", "page")
    sources, parts = (
        {file.name for file in (REPOSITORY / folder).iterdir() if file.is_file()}
        for folder in (native, page)
    )
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target"]
    subprocess.run([*install, str(site), str(wheel)], check=True)
    assert {file.name for file in (site / native).iterdir() if file.is_file()} == sources
    assert {file.name for file in (site / page).iterdir()} == parts and "page.js" in parts
    shipped = Path("selfmis_plugin", "predict", "shipped", "selfmis-lead-I")
    assert {file.name for file in (site / shipped).iterdir()} >= {"NOTICE", "model.safetensors"}
    licences = {file.name for file in site.glob("selfmis_plugin-*.dist-info/**/*")}
    assert {"LICENSE", "NOTICE"} <= licences
    # An interpreter of its own: this one's site-packages points at the checkout by a .pth file,
    # which a folder on PYTHONPATH does not bring along.
    venv.create(tmp_path / "env", with_pip=False)
    packages = next(Path(sys.prefix).glob("lib/python*/site-packages"))
    code = (
        "import sys, selfmis_plugin, fairseq_cli.hydra_train as t; print(selfmis_plugin.__file__);"
        "sys.argv[1:] = ['--config-name', 'selfmis_linear_probe', '--cfg', 'job']; t.cli_main()"
    )
    done = subprocess.run(
        [str(tmp_path / "env/bin/python"), "-c", code],
        cwd=tmp_path,
        env=environment(PYTHONPATH=os.pathsep.join([str(site), str(packages)])),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.startswith(str(site)) and "freeze_encoder: true" in done.stdout
