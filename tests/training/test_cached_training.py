"""Training on kept embeddings: what comes out is what comes out without them."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from selfmis_plugin import load_trained
from selfmis_plugin.data.splits import open_split
from selfmis_plugin.training import kept_records
from selfmis_plugin.training.embedding_cache import EmbeddingCache, EmbeddingCacheError
from tests.host_in_process import Training, last_checkpoint, same_weights
from tests.support import LABELS, TINY, UNTRAINED, train, write_store
from tests.training.test_training import train_two_processes

PRETRAIN = ["--config-name", "selfmis_pretrain_small", *TINY, UNTRAINED, "dataset.batch_size=16"]
# A head that begins at the prevalence has smaller losses, of which float16 is a larger share.
PROBE = [
    *("--config-name", "selfmis_linear_probe_small", *TINY, "dataset.batch_size=16"),
    "model.bias_from_prevalence=false",
]
PLAIN = {"task.cache_frozen_embeddings": False}


class Runs:
    """Pre-training and a probe from the command line, as it is: with kept embeddings.

    Batches divide both splits, so that every batch, of training and of the cache, has one size.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = write_store(folder / "store", {"train": 96, "valid": 32})
        self.pretrain_output = train(
            [*PRETRAIN, "task.data=store", "task.embedding_cache_dir=kept"]
            + ["optimization.max_epoch=3", "criterion.center=true", "hydra.run.dir=pretrain"]
            + ["checkpoint.save_interval_updates=2", "checkpoint.no_save_optimizer_state=false"],
            folder,
        )
        self.pretrained = folder / "pretrain/checkpoints/checkpoint_last.pt"
        self.probe_output = train(
            [*PROBE, "task.data=store", f"model.encoder_checkpoint={self.pretrained}"]
            + ["optimization.max_epoch=3", "hydra.run.dir=probe", "dataset.num_workers=1"],
            folder,
        )
        self.probe = folder / "probe/checkpoints/checkpoint_last.pt"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return Runs(tmp_path_factory.mktemp("cached"))


def test_pretraining_is_the_same_to_the_bit(runs: Runs, tmp_path: Path) -> None:
    assert runs.pretrain_output.count("files computed") == 2  # training and validation
    cached = Training(runs.pretrained, tmp_path / "cached")
    plain = Training(runs.pretrained, tmp_path / "plain", **PLAIN)
    assert len(plain.losses) == 3 * (6 + 3 * 2) and cached.losses == plain.losses
    assert same_weights(cached.last, plain.last)
    assert cached.last["task_state"]["center"].equal(plain.last["task_state"]["center"])
    # The run from the command line, which computed what the second one only reads, too.
    with_command = Training(runs.pretrained, tmp_path / "again", **{"optimization.max_epoch": 1})
    assert with_command.losses == cached.losses[: len(with_command.losses)]


def test_only_the_single_lead_is_read(runs: Runs, tmp_path: Path) -> None:
    kept = {"task.embedding_cache_dir": str(tmp_path / "kept")}
    first = Training(runs.pretrained, tmp_path / "first", **kept)
    assert sum(records for leads, records in first.read if leads == 12) == 96 + 32
    second = Training(runs.pretrained, tmp_path / "second", **kept)
    assert len(second.read) > 20 and {leads for leads, _ in second.read} == {1}
    assert same_weights(first.last, second.last)


def test_a_probe_reads_no_signal_and_is_the_same_to_the_bit(runs: Runs, tmp_path: Path) -> None:
    # The command line's had a loader with a worker.
    assert runs.probe_output.count("files computed") == 2
    cached = Training(runs.probe, tmp_path / "cached", **{"dataset.num_workers": 0})
    plain = Training(runs.probe, tmp_path / "plain", **PLAIN, **{"dataset.num_workers": 0})
    assert cached.read == [] and len(plain.read) > 20
    assert len(plain.losses) == 3 * (6 + 2) and cached.losses == plain.losses
    assert same_weights(cached.last, plain.last)
    names = [name for name in cached.last["model"] if name.startswith("network.encoder.")]
    assert len(names) > 10


def test_losses_agree_where_batches_are_of_two_sizes(runs: Runs, tmp_path: Path) -> None:
    data = {"task.data": str(write_store(tmp_path / "store", {"train": 90, "valid": 25}))}
    # A probe divides rounding by the embeddings' deviation, and Adam's first steps enlarge it.
    for checkpoint, exact in ((runs.pretrained, 1e-6), (runs.probe, 5e-6)):
        folder = tmp_path / checkpoint.parts[-3]
        options = {**data, "dataset.num_workers": 0}
        cached = Training(checkpoint, folder / "cached", **options)
        plain = Training(checkpoint, folder / "plain", **options, **PLAIN)
        assert [ids for ids, _ in cached.losses] == [ids for ids, _ in plain.losses]
        losses = [[loss for _, loss in run.losses] for run in (cached, plain)]
        assert losses[0] == pytest.approx(losses[1], rel=exact, abs=0)
        half = Training(
            checkpoint, folder / "half", **options, **{"task.embedding_cache_dtype": "float16"}
        )
        assert [loss for _, loss in half.losses] != losses[1]
        assert [loss for _, loss in half.losses] == pytest.approx(losses[1], rel=5e-3)


def test_other_weights_have_other_embeddings(runs: Runs, tmp_path: Path) -> None:
    # The frozen encoder is drawn by the seed here; nothing else tells the two caches apart.
    seed = {"common.seed": 7, "task.seed": 7, "optimization.max_epoch": 1}
    cached = Training(runs.pretrained, tmp_path / "cached", **seed)
    assert sum(records for leads, records in cached.read if leads == 12) == 96 + 32
    plain = Training(runs.pretrained, tmp_path / "plain", **seed, **PLAIN)
    assert cached.losses == plain.losses


def test_other_leads_have_other_embeddings(runs: Runs, tmp_path: Path) -> None:
    # The same weights, by the seed, over other leads of the same records.
    short = {"optimization.max_epoch": 1}
    for number, leads in enumerate((["I", "II", "V1"], ["I", "III", "V6"])):
        chosen = {"model.multi_leads": leads, **short}
        cached = Training(runs.pretrained, tmp_path / f"cached{number}", **chosen)
        assert sum(records for read, records in cached.read if read == 12) == 96 + 32
        plain = Training(runs.pretrained, tmp_path / f"plain{number}", **chosen, **PLAIN)
        assert cached.losses == plain.losses


def test_resumed_on_a_damaged_cache(runs: Runs, tmp_path: Path, caplog) -> None:
    kept = {"task.embedding_cache_dir": str(tmp_path / "kept")}
    whole = Training(runs.pretrained, tmp_path / "whole", **kept)
    folder = tmp_path / "resumed"
    (folder / "checkpoints").mkdir(parents=True)
    # As a run that was killed after the eighth update, in the middle of an epoch, leaves it.
    at_eight = tmp_path / "whole/checkpoints/checkpoint_2_8.pt"
    shutil.copy(at_eight, folder / "checkpoints/checkpoint_last.pt")
    (damaged,) = (tmp_path / "kept").glob("*/00000064.emb")  # of training: validation has 32
    damaged.write_bytes(damaged.read_bytes()[:-7])
    with caplog.at_level("INFO"):
        resumed = Training(runs.pretrained, folder, **kept)
    assert f"{damaged}: has" in caplog.text and "1 of 6 files computed" in caplog.text
    assert sum(records for leads, records in resumed.read if leads == 12) == 16
    assert resumed.losses == whole.losses[-len(resumed.losses) :]
    assert len(resumed.losses) < len(whole.losses) - 10
    assert same_weights(resumed.last, whole.last)


def test_what_a_killed_run_has_computed_is_kept(runs: Runs, tmp_path: Path, monkeypatch) -> None:
    kept = {"task.embedding_cache_dir": str(tmp_path / "kept"), "optimization.max_epoch": 1}
    write = EmbeddingCache.write

    def killed(cache: EmbeddingCache, number: int, embeddings: np.ndarray) -> None:
        if cache.records == 96 and number == 4:
            raise KeyboardInterrupt
        write(cache, number, embeddings)

    with monkeypatch.context() as patched:
        patched.setattr(EmbeddingCache, "write", killed)
        with pytest.raises(SystemExit, match="130"):
            Training(runs.pretrained, tmp_path / "run", **kept)
    again = Training(runs.pretrained, tmp_path / "run", **kept)
    assert sum(records for leads, records in again.read if leads == 12) == 2 * 16
    undisturbed = Training(runs.pretrained, tmp_path / "other", **{**PLAIN, **kept})
    assert same_weights(again.last, undisturbed.last)


def test_the_run_goes_on_with_or_without_a_cache(runs: Runs, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    (folder / "checkpoints").mkdir(parents=True)
    shutil.copy(
        runs.pretrained.with_name("checkpoint_2_8.pt"), folder / "checkpoints/checkpoint_last.pt"
    )
    resumed = Training(runs.pretrained, folder, **PLAIN)
    whole = Training(runs.pretrained, tmp_path / "whole")
    assert same_weights(resumed.last, whole.last)


def test_where_embeddings_are_kept(runs: Runs, tmp_path: Path, caplog, monkeypatch) -> None:
    one_epoch = {"optimization.max_epoch": 1, "dataset.num_workers": 0}
    # A relative folder is read from where the command was typed.
    assert len(list((runs.folder / "kept").glob("*/*.emb"))) >= 6 + 2
    # Beside the data, for all runs on them.
    assert len(list((runs.store / "embeddings").glob("*/*.emb"))) == 6 + 2
    # A file stands where the folder would be, as good as read-only data.
    data = write_store(tmp_path / "store", {"train": 32, "valid": 16})
    (data / "embeddings").touch()
    Training(runs.probe, tmp_path / "run", **one_epoch, **{"task.data": str(data)})
    assert len(list((tmp_path / "run/embeddings").glob("*/*.emb"))) == 2 + 1
    assert f"{data / 'embeddings'} cannot be written" in caplog.text

    nowhere = {"task.embedding_cache_dir": str(data / "store.json")}
    with pytest.raises(EmbeddingCacheError, match=r"embedding_cache_dir=DIR.*embeddings=false"):
        Training(runs.probe, tmp_path / "nowhere", **one_epoch, **nowhere)
    monkeypatch.setattr(kept_records.shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    kept = {"task.embedding_cache_dir": str(tmp_path / "kept")}
    with pytest.raises(EmbeddingCacheError, match=r"dtype=float16.*embeddings=false"):
        Training(runs.probe, tmp_path / "full", **one_epoch, **kept)


def test_a_ridge_ends_at_the_logistic_regression(runs: Runs, tmp_path: Path) -> None:
    ridge, records = 0.3, 96
    trained = Training(
        runs.probe,
        tmp_path / "ridge",
        **{
            "criterion.ridge": ridge,
            "optimizer.weight_decay": 0.0,
            "optimization.max_epoch": 80,
            "dataset.num_workers": 0,
            "checkpoint.save_interval": 80,
            "dataset.validate_interval": 80,
            "lr_scheduler.max_epoch": 80,
            "lr_scheduler.lr": [0.05],
            "checkpoint.patience": -1,
        },
    )
    path = tmp_path / "ridge/checkpoints/checkpoint_last.pt"
    network = load_trained(path).network(store_rate=500).eval()
    split = open_split(runs.store, "train")
    signal = torch.from_numpy(np.stack([split.store.read([row])[0] for row in split.rows]))[:, :1]
    with torch.no_grad():
        embedding = network.embed(signal)
    inputs = (embedding - network.embedding_mean) / network.embedding_deviation
    targets = split.store.targets(split.rows, LABELS)
    for column, label in enumerate(LABELS):
        if label == "PMI":  # nobody has it: no logistic regression, and a weight of nearly nothing
            continue
        # mean loss + ridge / 2 * w'w, times 1 / ridge of it over all records.
        plain = LogisticRegression(C=1 / (ridge * records), max_iter=5000, tol=1e-8)
        plain.fit(inputs.numpy(), targets[:, column])
        found = network.head.weight[column].detach().numpy()
        np.testing.assert_allclose(found, plain.coef_[0], atol=0.01)
        bias = float(network.head.bias[column].detach())
        assert bias == pytest.approx(float(plain.intercept_[0]), abs=0.03)
    assert float(network.head.weight.detach().abs().max()) > 0.05  # it learnt something
    losses = [loss for _, loss in trained.losses]
    assert np.mean(losses[-8:]) < np.mean(losses[:8])
    with pytest.raises(ValueError, match=r"criterion\.ridge=-1.* must not be below 0"):
        Training(runs.probe, tmp_path / "no", **{"criterion.ridge": -1.0})


def test_a_trained_encoder_has_no_cache(runs: Runs, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"model\.freeze_encoder=true.*embeddings=false"):
        Training(runs.probe, tmp_path, **{"model.freeze_encoder": False})
    with pytest.raises(ValueError, match="choose float32 or float16"):
        Training(runs.probe, tmp_path, **{"task.embedding_cache_dtype": "int8"})


@pytest.mark.slow
def test_two_processes_share_the_work(tmp_path: Path) -> None:
    data = write_store(tmp_path / "store", {"train": 32, "valid": 16})
    arguments = [*PRETRAIN, "dataset.batch_size=8", f"task.data={data}"]
    arguments += ["optimization.max_epoch=2", "criterion.center=true"]
    outputs = [
        train_two_processes(
            [*arguments, f"task.cache_frozen_embeddings={cached}", f"hydra.run.dir={run}"],
            tmp_path,
        )
        for run, cached in (("cached", "true"), ("plain", "false"))
    ]
    # Four files of training records and two of validation, dealt out evenly.
    assert re.findall(r"of (\d+) records \(this process: (\d+)\)", outputs[0]) == [
        ("16", "8"),
        ("32", "16"),
    ]
    cached, plain = (last_checkpoint(tmp_path / folder) for folder in ("cached", "plain"))
    assert same_weights(cached, plain)
