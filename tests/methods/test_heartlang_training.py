"""HeartLang through the embedded host: tokenizer, masked sentences, resume, probe."""

from __future__ import annotations

import io
import json
import logging
import math
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from selfmis_plugin.benchmark.cohort import UNLABELLED, make_cohort
from selfmis_plugin.checkpoints import CheckpointError, read_checkpoint
from selfmis_plugin.checkpoints.loading import load_trained, read_model
from selfmis_plugin.checkpoints.model_folder import write_model
from selfmis_plugin.cli.main import main
from selfmis_plugin.data.store import Store
from selfmis_plugin.evaluation.embeddings import embed_split
from selfmis_plugin.evaluation.evaluate import evaluate
from selfmis_plugin.export.exporting import prepare_export
from selfmis_plugin.export.onnx_export import write_onnx
from selfmis_plugin.methods.heartlang.keys import HeartLangModelConfig
from selfmis_plugin.methods.heartlang.model import HeartLangModel
from selfmis_plugin.predict.model import load_model
from selfmis_plugin.profiling.trainings.costs import counted_cost
from selfmis_plugin.profiling.trainings.models import recipe_of_run
from tests.hearts import TOKENIZER, write_hearts
from tests.host_in_process import Training, last_checkpoint, same_weights
from tests.support import environment, logged, train
from tests.training.test_training import free_port

CONFIGS = Path(__file__).parents[2] / "configs"
_SIZES = {
    **{"model.words": 64, "model.width": 16, "model.depth": 1, "model.heads": 2},
    **{"model.head_width": 8, "model.hidden": 32, "task.leads": ["I", "V1"]},
}


class Runs:
    """A tokenizer of three epochs of six updates, sentences of four on it, and a probe on these."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = write_hearts(folder / "store", {"train": 96, "valid": 32, "test": 16})
        often = ["checkpoint.save_interval_updates=4", "checkpoint.no_save_optimizer_state=false"]
        self.tokenizer_output = train(
            [*TOKENIZER, "task.data=store", "hydra.run.dir=tokenizer", "model.codes=32"]
            + ["optimization.max_epoch=3", "dataset.batch_size=16", *often],
            folder,
        )
        self.tokenizer = folder / "tokenizer/checkpoints/checkpoint_last.pt"
        self.last, self.output = self._in_process(
            "heartlang_pretrain_small",
            "sentences",
            {**_SIZES, "model.tokenizer_checkpoint": str(self.tokenizer)},
            {"optimization.max_epoch": 4},
        )
        probe, self.probe_output = self._in_process(
            "heartlang_linear_probe_small",
            "probe",
            {"model.encoder_checkpoint": str(self.last)},
            {
                **{"optimization.max_epoch": 2, "checkpoint.maximize_best_checkpoint_metric": True},
                "checkpoint.best_checkpoint_metric": "macro_auc",
            },
        )
        self.probe = probe.with_name("checkpoint_best.pt")

    def _in_process(
        self, config: str, name: str, keys: dict[str, object], changes: dict[str, object]
    ) -> tuple[Path, str]:
        """Train as *config* says; a start of the command line takes longer than that. Return the
        last checkpoint, and what was logged."""
        cfg = OmegaConf.create(read_checkpoint(self.tokenizer)["cfg"])
        asked = OmegaConf.load(CONFIGS / f"{config}.yaml")
        for key, value in {**keys, "task.data": str(self.store)}.items():
            OmegaConf.update(asked, key, value)
        for part in ("task", "model", "criterion"):
            cfg[part] = asked[part]
        whole = OmegaConf.to_container(cfg)
        torch.save({"cfg": whole}, self.folder / f"{name}.pt")
        lines = io.StringIO()
        handler = logging.StreamHandler(lines)
        handler.setFormatter(logging.Formatter("[%(name)s][%(levelname)s] - %(message)s"))
        root = logging.getLogger()
        level = root.level
        root.addHandler(handler)
        root.setLevel(logging.INFO)
        try:
            with pytest.MonkeyPatch.context() as patched:
                patched.setenv("SELFMIS_LOG", "full")
                Training(self.folder / f"{name}.pt", self.folder / name, **changes)
        finally:
            root.removeHandler(handler)
            root.setLevel(level)
        return self.folder / name / "checkpoints/checkpoint_last.pt", lines.getvalue()


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return Runs(tmp_path_factory.mktemp("heartlang"))


def test_validation_says_how_the_codes_are_used(runs: Runs) -> None:
    errors = logged(runs.tokenizer_output, "reconstruction_error", "valid")
    assert errors[-1] < errors[0]
    perplexity, used = (
        logged(runs.tokenizer_output, name, "valid")[-1] for name in ("perplexity", "used_codes")
    )
    assert 1 <= perplexity <= used <= 32
    last = {
        name: logged(runs.output, name, "valid")[-1]
        for name in ("masked_loss", "masked_accuracy", "unigram_loss", "perplexity")
    }
    assert last["perplexity"] == pytest.approx(math.exp(last["unigram_loss"]), rel=1e-3)
    assert 0 <= last["masked_accuracy"] <= 1
    trained = load_trained(runs.tokenizer)
    assert trained.validation["used_codes"] == used


def test_beats_are_found_once_and_kept(runs: Runs) -> None:
    kept = list((runs.store / "beats/I-500Hz-xqrs-1").glob("*/*.emb"))
    assert kept and "computing beats of 144 records" in runs.tokenizer_output
    assert "computing beats" not in runs.output and "read from what was kept" in runs.output
    for output in (runs.tokenizer_output, runs.output):
        assert output.count("no beat is found in 1 of 96 records") == 1
        assert output.count("no beat is found in 1 of 32 records") == 1


def test_resumed_in_the_middle_of_an_epoch(runs: Runs, tmp_path: Path) -> None:
    for name, whole in (("tokenizer", runs.tokenizer), ("sentences", runs.last)):
        folder = tmp_path / name
        (folder / "checkpoints").mkdir(parents=True)
        # As a run that was killed after the eighth update, in the second epoch, leaves it.
        shutil.copy(whole.parent / "checkpoint_2_8.pt", folder / "checkpoints/checkpoint_last.pt")
        resumed = Training(whole, folder)
        assert same_weights(resumed.last, read_checkpoint(whole)), name
    # The tokenizer is in the checkpoint, as it was.
    model, tokens = (read_checkpoint(path)["model"] for path in (runs.last, runs.tokenizer))
    for name, value in tokens.items():
        assert torch.equal(model[name.replace("network.", "tokenizer.")], value)


def test_what_the_authors_do_trains_too(runs: Runs, tmp_path: Path) -> None:
    theirs = {"model.attend_padding": True, "model.loss_on_padding": True, "model.beats_at": "100"}
    one = {"optimization.max_epoch": 1}
    first = Training(runs.tokenizer, tmp_path / "1", **theirs, **one)
    assert first.last["model"]["network.codebook.weight"].isfinite().all()
    tokenizer = str(tmp_path / "1/checkpoints/checkpoint_last.pt")
    theirs |= {"model.tokenizer_indices": False, "model.mask_before_convolution": False}
    second = Training(
        runs.last, tmp_path / "2", **theirs, **one, **{"model.tokenizer_checkpoint": tokenizer}
    )
    assert all(math.isfinite(loss) for _, loss in second.losses)
    with pytest.raises(ValueError, match=r"tokenizer of other words.*model\.beats_at=100"):
        Training(runs.last, tmp_path / "3", **{"model.tokenizer_checkpoint": tokenizer})


@pytest.mark.slow
def test_bfloat16_is_close(runs: Runs, tmp_path: Path) -> None:
    for whole in (runs.tokenizer, runs.last):
        changes = {"optimization.max_epoch": 1}
        pairs = [
            [
                loss
                for _, loss in Training(
                    whole,
                    tmp_path / f"{whole.parts[-3]}-{name}",
                    **changes,
                    **{"model.precision": name},
                ).losses
            ]
            for name in ("float32", "bfloat16")
        ]
        assert pairs[0] != pairs[1] and pairs[0] == pytest.approx(pairs[1], rel=0.1)


def test_embeddings_of_any_lead(runs: Runs) -> None:
    trained = load_trained(runs.last)
    assert trained.kind == "heartlang" and trained.required_leads == ("I", "V1")
    written = embed_split(runs.last, runs.store, "train", views=["encoder"])["encoder"].values
    assert written.shape == (96, 16) and np.isfinite(written).all()
    figures = evaluate(runs.probe, runs.store, "valid", draws=0)
    assert figures["macro_auc"] == pytest.approx(
        max(logged(runs.probe_output, "macro_auc", "valid")), abs=1e-4
    )
    encoder = {
        name: value
        for name, value in load_trained(runs.probe).weights.items()
        if name.startswith("encoder.")
    }
    for name, value in encoder.items():
        assert torch.equal(value, trained.weights[name.removeprefix("encoder.")])
    assert "AMI" in load_model(runs.probe).labels
    with pytest.raises(CheckpointError, match="not been trained on lead V2"):
        Training(runs.probe, runs.folder / "other", **{"task.leads": ["V2"]})


def test_a_probe_is_kept_as_a_folder_and_onnx_is_refused(runs: Runs, tmp_path: Path) -> None:
    model = prepare_export(runs.probe)
    write_model(model, tmp_path / "model", "card")
    signal = torch.from_numpy(Store.open(runs.store).read(np.arange(4), ["I"]))
    with torch.no_grad():
        expected = load_trained(runs.probe).network(500).eval()(signal)
        again = read_model(tmp_path / "model").classifier.network(500).eval()(signal)
    torch.testing.assert_close(again, expected)
    with pytest.raises(CheckpointError, match=r"ONNX: HeartLang's words.*--format safetensors"):
        write_onnx(model, tmp_path / "model.onnx")


def test_dropout_of_the_authors_probe(runs: Runs, tmp_path: Path) -> None:
    asked = {"model.dropout_in_probe": True, "optimization.max_epoch": 1}
    with pytest.raises(ValueError, match=r"cache_frozen_embeddings=false"):
        Training(runs.probe, tmp_path / "kept", **asked)
    Training(runs.probe, tmp_path / "on", **asked, **{"task.cache_frozen_embeddings": False})
    model = last_checkpoint(tmp_path / "on")["model"]
    first = load_trained(runs.last).weights
    assert all(torch.equal(model[f"network.encoder.{k}"], value) for k, value in first.items())


def test_keys_that_do_not_fit_are_refused() -> None:
    task = SimpleNamespace(preprocessing=None)
    for keys, message in (
        ({"loss_on_padding": True}, r"model\.attend_padding=true"),
        ({"mask_ratio": 0.0}, r"mask_ratio=0\.0 must be above 0"),
    ):
        cfg = OmegaConf.structured(HeartLangModelConfig(**keys))
        with pytest.raises(ValueError, match=message):
            HeartLangModel.build_model(cfg, task)
    with pytest.raises(ValueError, match=r"model\.tokenizer_checkpoint=FILE"):
        HeartLangModel.check_start(OmegaConf.structured(HeartLangModelConfig()))


RANK = """
import sys
import torch
from omegaconf import OmegaConf
from selfmis_plugin import compat, toolkit
from selfmis_plugin.checkpoints import read_checkpoint
from selfmis_plugin.methods.heartlang.model import HeartLangTokenizerModel
from selfmis_plugin.training.entry import train_main
from fairseq.distributed.utils import call_main

checkpoint, data, port, rank = sys.argv[1:]
cfg = OmegaConf.create(read_checkpoint(checkpoint)["cfg"])
cfg.task.data = data
cfg.optimization.max_epoch = 2
cfg.dataset.batch_size = cfg.dataset.batch_size_valid = 4
cfg.common.cpu = True
cfg.checkpoint.save_dir = "checkpoints"
cfg.checkpoint.save_interval_updates = 0
cfg.distributed_training.update(
    distributed_init_method=f"tcp://127.0.0.1:{port}", distributed_world_size=2,
    distributed_rank=int(rank), device_id=0, distributed_no_spawn=True,
    distributed_backend="gloo", ddp_backend="legacy_ddp",
)
built = []
build = HeartLangTokenizerModel.build_model.__func__
HeartLangTokenizerModel.build_model = classmethod(
    lambda cls, *arguments: built.append(build(cls, *arguments)) or built[-1]
)
call_main(cfg, train_main)
torch.save(built[-1].state_dict(), f"rank{rank}.pt")
"""


def test_what_a_step_takes_can_be_counted(runs: Runs, tmp_path: Path) -> None:
    for checkpoint in (runs.tokenizer, runs.last):
        recipe = recipe_of_run(read_checkpoint(checkpoint)["cfg"], None, tmp_path)
        assert counted_cost(recipe.build()).to_dict()


@pytest.mark.slow
def test_two_processes_keep_one_codebook(runs: Runs, tmp_path: Path) -> None:
    # 21 batches are 11 of one process and 10 of the other, whose last is the host's repeated one.
    data = write_hearts(tmp_path / "store", {"train": 84, "valid": 16})
    (tmp_path / "rank.py").write_text(RANK, encoding="utf-8")
    command = [sys.executable, "rank.py", str(runs.tokenizer), str(data), str(free_port())]
    processes = [
        subprocess.Popen(
            [*command, str(rank)],
            cwd=tmp_path,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]
    outputs = [process.communicate(timeout=300)[0] for process in processes]
    assert all(process.returncode == 0 for process in processes), "\n".join(outputs)[-6000:]
    first, second = (torch.load(tmp_path / f"rank{rank}.pt") for rank in range(2))
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    assert first["network.codebook.started"].all() and first["network.codebook.usage"].any()
    saved = last_checkpoint(tmp_path)["model"]
    assert all(torch.equal(value, saved[name]) for name, value in first.items())


@pytest.mark.slow
def test_the_benchmark_has_a_row(runs: Runs, tmp_path: Path) -> None:
    arguments = ["benchmark", "mi", "--dest", str(tmp_path / "mi"), "--size", "small"]
    arguments += ["--data", str(runs.store), "--unlabelled", str(runs.store)]
    for override in ("heartlang_tokenizer:model.codes=32", "optimization.max_epoch=1"):
        arguments += ["--set", override]
    arguments += ["--methods", "heartlang", "--modes", "probe,finetune", "--fractions", "1"]
    assert main(arguments) == 0
    report = json.loads((tmp_path / "mi/report.json").read_text(encoding="utf-8"))
    assert report["failed"] == {} and len(report["cells"]) == 2
    assert all(0 <= cell["mi_auc"] <= 1 for cell in report["cells"])


@pytest.mark.slow
def test_small_models_learn(tmp_path: Path) -> None:
    """Words are made again better than by their mean, several codes are used, and masked words are
    guessed better than from how common codes are."""
    stores = make_cohort(tmp_path, 40, 1200, 200, 40, workers=2)
    data = f"task.data={stores[UNLABELLED]}"
    output = train(
        ["--config-name", "heartlang_tokenizer_small", data, "optimization.max_epoch=4"], tmp_path
    )
    error, mean, perplexity = (
        logged(output, name, "valid")[-1]
        for name in ("reconstruction_error", "mean_word_error", "perplexity")
    )
    assert error < 0.6 * mean and perplexity > 10
    best = "outputs/heartlang_tokenizer_small/checkpoints/checkpoint_best.pt"
    output = train(
        ["--config-name", "heartlang_pretrain_small", data, "optimization.max_epoch=4"]
        + [f"model.tokenizer_checkpoint={best}"],
        tmp_path,
    )
    guessed, unigram = (
        logged(output, name, "valid")[-1] for name in ("masked_loss", "unigram_loss")
    )
    assert guessed < unigram - 0.5
