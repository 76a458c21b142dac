"""Pre-training a wearable's channel against a reference that lacks leads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from selfmis_plugin.checkpoints import CheckpointError, load_encoder_weights
from selfmis_plugin.checkpoints.loading import load_trained
from selfmis_plugin.cli.main import main
from selfmis_plugin.data.leads import STANDARD_LEADS, reference_leads
from selfmis_plugin.data.preprocessing import Preprocessing
from selfmis_plugin.data.store import Store
from selfmis_plugin.evaluation.evaluate import evaluate
from selfmis_plugin.methods.selfmis.towers import TwoTowers
from selfmis_plugin.methods.selfmis.trained import LoadedTowers
from selfmis_plugin.nn.net1d import Net1D, Net1DConfig
from selfmis_plugin.training.encoder_config import load_tower
from tests.support import TINY, UNTRAINED, train, write_store
from tests.wearables import MULTI, wearable_recording, write_csv

torch.set_num_threads(1)

SMALL = Net1DConfig(8, (8, 16), (1, 1), kernel_size=5, group_width=4)
CONFIG = "selfmis_pretrain_small"


class Run:
    """Recordings, their store, and a pre-training on it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.store = folder, folder / "store"
        for subject in range(3):
            signals = wearable_recording(subject, (10,) * 4)
            write_csv(folder / f"recordings/s{subject}.csv", signals)
        recordings = ["prepare", "recordings", str(folder / "recordings")]
        choice = ["--single", "CH20", "--multi", MULTI, "--overlap", "7"]
        assert main([*recordings, "--dest", str(self.store), *choice]) == 0
        self.arguments = [
            "--config-name", CONFIG, *TINY, "dataset.batch_size=8", "task.data=store",
            "model.lead=wearable", UNTRAINED, "optimization.max_epoch=2",
        ]  # fmt: skip
        self.output = train([*self.arguments, "task.allow_absent_leads=true"], folder)
        self.checkpoint = folder / f"outputs/{CONFIG}/checkpoints/checkpoint_best.pt"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Run(tmp_path_factory.mktemp("wearable"))


def test_the_frozen_tower_does_not_see_the_wearable(run: Run) -> None:
    trained = load_trained(run.checkpoint)
    assert isinstance(trained, LoadedTowers)
    assert (trained.lead, trained.multi_leads) == ("wearable", STANDARD_LEADS)
    towers = trained.network(store_rate=500).eval()
    store = Store.open(run.store)
    signal = torch.from_numpy(store.read(np.arange(6)))
    assert signal.shape[1] == 13
    with torch.no_grad():
        single, multi = towers(signal)
        other = signal.clone()
        other[:, 12] = other[:, 12].flip(-1)
        single_changed, multi_same = towers(other)
        other = signal.clone()
        other[:, 1] = other[:, 1].flip(-1)
        single_same, multi_changed = towers(other)
    assert torch.equal(multi, multi_same) and torch.equal(single, single_same)
    assert not torch.allclose(multi, multi_changed)
    assert not torch.allclose(single, single_changed)


def test_a_wearable_checkpoint_is_evaluated(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    figures = evaluate(run.checkpoint, run.store, split="test")
    assert figures["kind"] == "towers"
    assert 0 <= figures["r1"] <= figures["r10"] <= 1
    assert main(["evaluate", "--checkpoint", str(run.checkpoint), "--data", str(run.store)]) == 0
    assert "retrieval" in capsys.readouterr().out


def test_absent_leads_are_refused_unless_allowed(run: Run) -> None:
    other = "hydra.run.dir=outputs/other"
    output = train([*run.arguments, other], run.folder, check=False)
    assert "lack one of the leads" in output
    # The single lead must be there in any case.
    arguments = [a if a != "model.lead=wearable" else "model.lead=V3" for a in run.arguments]
    output = train([*arguments, "task.allow_absent_leads=true", other], run.folder, check=False)
    assert "lack one of the leads V3" in output


def test_both_towers_start_from_checkpoints(run: Run) -> None:
    start = run.checkpoint.relative_to(run.folder)
    train(
        [
            *run.arguments, "task.allow_absent_leads=true", "optimization.max_epoch=1",
            f"model.multi_lead_checkpoint={start}", f"model.single_lead_checkpoint={start}",
            "hydra.run.dir=outputs/further",
        ],
        run.folder,
    )  # fmt: skip
    before = load_encoder_weights(run.checkpoint, tower="multi").state_dict
    path = run.folder / "outputs/further/checkpoints/checkpoint_best.pt"
    after = load_encoder_weights(path, tower="multi").state_dict
    assert before and all(torch.equal(value, after[name]) for name, value in before.items())


def test_evaluation_asks_for_the_leads_that_training_had(run: Run, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no lead wearable"):
        evaluate(run.checkpoint, write_store(tmp_path / "store", {"test": 3}))


def test_towers_of_one_checkpoint_say_their_leads(run: Run) -> None:
    for tower, leads in (("single", ["wearable"]), ("multi", list(STANDARD_LEADS))):
        weights = load_encoder_weights(run.checkpoint, tower=tower)  # type: ignore[arg-type]
        assert weights.preprocessing is not None
        assert list(weights.preprocessing["leads"]) == leads
        assert weights.config.in_leads == len(leads)


def test_single_lead_weights_go_to_and_from_a_wearable(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    weights = load_encoder_weights(run.checkpoint, tower="single")
    made = Preprocessing.from_dict(weights.preprocessing)

    def load(leads: tuple[str, ...]) -> None:
        now = Preprocessing(made.sample_rate, made.seconds, leads, made.filter)
        load_tower(Net1D(weights.config), str(run.checkpoint), weights.config, "single", now)

    load(("wearable",))
    assert "used for" not in caplog.text
    load(("I",))
    assert "trained on wearable, and used for I" in caplog.text


def test_standard_leads_do_not_stand_for_each_other(run: Run, tmp_path: Path) -> None:
    state = torch.load(run.checkpoint, weights_only=False)
    state["cfg"]["model"]["lead"] = "II"
    path = tmp_path / "other.pt"
    torch.save(state, path)
    weights = load_encoder_weights(path, tower="single")
    made = Preprocessing.from_dict(weights.preprocessing)
    now = Preprocessing(made.sample_rate, made.seconds, ("I",), made.filter)
    with pytest.raises(CheckpointError, match="leads"):
        load_tower(Net1D(weights.config), str(path), weights.config, "single", now)


def test_towers_read_the_leads_that_they_are_given() -> None:
    leads = ["I", "II", "band", "V1"]
    towers = TwoTowers(SMALL, leads, lead="band", multi_leads=["V1", "I"]).eval()
    assert towers.multi.config.in_leads == 2
    signal = torch.randint(-900, 900, (3, 4, 1000), dtype=torch.int16)
    with torch.no_grad():
        single, multi = towers(signal)
        assert torch.equal(multi, towers.multi(towers.multi_input(signal[:, [3, 0]])))
        assert torch.equal(multi, towers.embed_multi(signal))
        assert torch.equal(single, towers.single(towers.single_input(signal[:, 2:3])))
    with pytest.raises(ValueError, match="no lead V9"):
        TwoTowers(SMALL, leads, lead="band", multi_leads=["V9"])


def test_reference_leads() -> None:
    assert reference_leads((*STANDARD_LEADS, "wearable")) == STANDARD_LEADS
    assert reference_leads(("V1", "band", "I")) == ("V1", "I")
    assert reference_leads(("a", "b", "c"), ["c", "a"]) == ("c", "a")
    with pytest.raises(ValueError, match="no lead d"):
        reference_leads(("a", "b"), ["d"])
    with pytest.raises(ValueError, match="model.multi_leads"):
        reference_leads(("a", "b"))
