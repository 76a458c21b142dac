"""CLEF's published files, which these tests write in their layout: read, refused and probed."""

from __future__ import annotations

import dataclasses
import functools
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.signal
import torch
import wfdb
from torch import Tensor

import selfmis_plugin
from selfmis_plugin.benchmark import infarction
from selfmis_plugin.benchmark.paper import UNUSED_NORM_PARAMETERS
from selfmis_plugin.checkpoints import CheckpointError, load_encoder_weights, to_ecgfounder
from selfmis_plugin.checkpoints.contract import Classifies, EmbedsRecords
from selfmis_plugin.checkpoints.loading import load_trained
from selfmis_plugin.cli.main import main
from selfmis_plugin.data.filters import FILTERS
from selfmis_plugin.data.splits import open_split
from selfmis_plugin.methods import known_methods
from selfmis_plugin.methods.clef.reader import PREPROCESSING
from selfmis_plugin.methods.method import PROBE, UNLABELLED, Stage
from selfmis_plugin.nn.net1d import Net1D, Net1DConfig
from selfmis_plugin.nn.net1d.config import count_parameters
from selfmis_plugin.probe.model import SelfMISClassifier
from tests.checkpoint_files import CONFIG
from tests.support import TINY, write_store

State = dict[str, Tensor]
FIRST, FIRST_HERE = "backbone.first_conv.conv.weight", "first_conv.weight"


def write_clef(
    path: Path, change: Callable[[State], object] = lambda _: None, config: Net1DConfig = CONFIG
) -> Path:
    """Save random weights as CLEF's authors do, as a checkpoint of Lightning."""
    torch.manual_seed(0)
    state = to_ecgfounder(Net1D(config).state_dict(), config)
    # In place of the head stands an identity, which has no weights.
    state = {f"backbone.{n}": value for n, value in state.items() if not n.startswith("dense.")}
    change(state)
    further: dict[str, Any] = {"epoch": 3, "global_step": 40, "optimizer_states": [], "loops": {}}
    torch.save({"state_dict": state, "pytorch-lightning_version": "2.5.0", **further}, path)
    return path


@pytest.fixture(scope="module")
def bandpassed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store as CLEF's weights need it."""
    return write_store(tmp_path_factory.mktemp("bandpassed") / "store", filter="bandpass")


def test_the_medium_one_is_ecgfounders_network_of_one_lead() -> None:
    with torch.device("meta"):
        encoder = Net1D(Net1DConfig(in_leads=1))
    # As its authors build it, with batch norms that it leaves out of the computation.
    assert count_parameters(encoder) + UNUSED_NORM_PARAMETERS == 30_654_000


def test_its_embedding_is_that_of_the_network_behind_the_prefix(
    tmp_path: Path, bandpassed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_clef(tmp_path / "clef_medium.ckpt")
    encoder = selfmis_plugin.load_encoder(path)
    assert encoder.config == CONFIG and encoder.leads == ("I",)
    assert (encoder.preprocessing.sample_rate, encoder.preprocessing.filter) == (500, "bandpass")
    torch.manual_seed(0)
    expected = Net1D(CONFIG)
    assert all(torch.equal(v, encoder.state_dict()[n]) for n, v in expected.state_dict().items())

    assert main(
        ["embed", "--checkpoint", str(path), "--data", str(bandpassed)]
        + ["--out", str(tmp_path / "e.npy")]
    ) == 0  # fmt: skip
    assert "25 embeddings of 16 values" in capsys.readouterr().out
    part = open_split(bandpassed, "test")
    signal = part.store.read(part.rows, ["I"]).astype(np.float64)
    signal = (signal - signal.mean((1, 2), keepdims=True)) / signal.std((1, 2), keepdims=True)
    with torch.no_grad():
        by_hand = expected.double()(torch.from_numpy(signal)).numpy()
    np.testing.assert_allclose(np.load(tmp_path / "e.npy"), by_hand, rtol=1e-4, atol=1e-5)


def test_it_embeds_and_has_no_head(tmp_path: Path, bandpassed: Path) -> None:
    path = write_clef(tmp_path / "clef.ckpt")
    trained = load_trained(path)
    assert isinstance(trained, EmbedsRecords) and not isinstance(trained, Classifies)
    assert trained.kind == "clef"
    with pytest.raises(CheckpointError, match="without a head"):
        load_trained(path, labels=["IMI"])
    with pytest.raises(CheckpointError, match="encoder of lead I, and one of lead"):
        load_encoder_weights(path, None, leads=("I", "II"))


def test_a_smaller_one_says_its_size(tmp_path: Path) -> None:
    small = dataclasses.replace(CONFIG, ratio=0.5, group_width=4, blocks=(1, 2))
    path = write_clef(tmp_path / "clef_small.ckpt", config=small)
    assert load_encoder_weights(path).config == small


def replace(name: str, value: Tensor) -> Callable[[State], None]:
    return lambda state: state.update({name: value})


CONV = "backbone.stage_list.1.block_list.0.conv2.conv.weight"
BROKEN = {
    "missing": (lambda state: state.pop(CONV), "stages.1.0.conv2.weight"),
    "missing bias": (lambda state: state.pop(f"{CONV[:-6]}bias"), "missing stages.1.0.conv2.bias"),
    "extra": (replace("backbone.more.weight", torch.ones(2)), "unknown more.weight"),
    "of another part": (replace("queue", torch.ones(2)), "has queue besides"),
    "a head": (replace("backbone.dense.weight", torch.ones(2, 16)), "has backbone.dense.weight"),
    "misshapen": (
        replace(f"{CONV[:-6]}bias", torch.ones(3)),
        re.escape("misshapen stages.1.0.conv2.bias (3,) instead of (16,)"),
    ),
    "twelve leads": (replace(FIRST, torch.ones(8, 12, 16)), "first layer reads 12"),
    "not finite": (replace(FIRST, torch.full((8, 1, 16), torch.nan)), "NaN or Inf"),
    "no tensor": (replace(FIRST, "text"), "first_conv"),  # type: ignore[arg-type]
    "norms in use": (
        replace("backbone.first_bn.running_mean", torch.full((8,), 0.1)),
        "backbone.first_bn.running_mean",
    ),
    "norms that counted": (
        replace("backbone.stage_list.0.block_list.0.bn2.num_batches_tracked", torch.tensor(9)),
        "bn2.num_batches_tracked",
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_file_that_is_not_whole_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    change, message = BROKEN[kind]
    path = write_clef(tmp_path / "clef.ckpt", change)
    with pytest.raises(CheckpointError, match=message):
        load_encoder_weights(path)


def benchmark(dest: Path, data: Path, *options: str) -> list[str]:
    arguments = ["benchmark", "mi", "--dest", str(dest), "--size", "small", "--data", str(data)]
    sets = [*TINY, "optimization.max_epoch=1", "dataset.batch_size=50", "task.sample_rate=500"]
    arguments += [part for override in sets for part in ("--set", override)]
    return [*arguments, "--methods", "clef", "--modes", "probe", "--fractions", "1.0", *options]


@pytest.mark.slow
def test_the_benchmark_probes_it(
    tmp_path: Path, bandpassed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_clef(tmp_path / "clef.ckpt")
    assert main(benchmark(tmp_path / "b", bandpassed, "--clef-checkpoint", str(path))) == 0
    assert capsys.readouterr().out.count("--config-name") == 1
    report = json.loads((tmp_path / "b/report.json").read_text())
    assert report["left_out"] == report["failed"] == {} and report["stages"] == []
    assert [cell["method"] for cell in report["cells"]] == ["clef"]
    probe = tmp_path / "b/seed1/clef/probe/1/run/checkpoints/checkpoint_best.pt"
    found = load_trained(probe)
    assert found.preprocessing.filter == "bandpass" and found.preprocessing.sample_rate == 500
    weights = load_encoder_weights(path).state_dict
    assert all(torch.equal(v, found.weights[f"encoder.{name}"]) for name, v in weights.items())


@pytest.mark.parametrize(
    ("change", "message"),
    [({"filter": "none"}, "--filter bandpass"), ({"sample_rate": 250.0}, "sample_rate: 250")],
)
def test_records_prepared_otherwise_are_refused(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    path, encoder = write_clef(tmp_path / "clef.ckpt"), Net1D(CONFIG)
    load = functools.partial(SelfMISClassifier.load_encoder, encoder, str(path), CONFIG)
    load(PREPROCESSING)
    assert torch.equal(encoder.first_conv.weight, load_encoder_weights(path).state_dict[FIRST_HERE])
    with pytest.raises(CheckpointError, match=f"prepared in another way: .*{message}"):
        load(dataclasses.replace(PREPROCESSING, **change))


def test_without_its_file_the_row_says_how_to_give_it(tmp_path: Path, store: Path) -> None:
    assert main(benchmark(tmp_path / "b", store)) == 0
    report = json.loads((tmp_path / "b/report.json").read_text())
    assert report["left_out"] == {
        "clef": "its weights are the user's to give: --clef-checkpoint FILE"
    }
    assert report["cells"] == report["stages"] == []
    text = (tmp_path / "b/report.md").read_text()
    assert "--clef-checkpoint FILE" in text.split("## Left out")[1]


def test_a_method_that_starts_from_it_asks_for_the_file(tmp_path: Path, store: Path) -> None:
    clef = known_methods()["clef"]
    mine = dataclasses.replace(clef, name="mine", encoder=None)
    modes = {PROBE: dataclasses.replace(clef.modes[PROBE], starts_from={"model.x": clef.encoder})}
    settings = infarction.Settings(
        tmp_path / "b",
        [dataclasses.replace(mine, modes=modes)],
        {"labelled": store, UNLABELLED: store},
        modes=(PROBE,),
        size="small",
    )
    with pytest.raises(infarction.InfarctionError, match="nothing here trains clef.*--clef-check"):
        infarction.run_infarction(settings)
    with pytest.raises(ValueError, match="no option gives it"):
        Stage("x", "selfmis_pretrain", UNLABELLED, needs_file=True)


def as_clef(lead: np.ndarray) -> np.ndarray:
    """A lead at 500 Hz as CLEF's authors filter it: one transfer function, run both ways."""
    b, a = scipy.signal.butter(5, [0.67 / 250, 40 / 250], btype="band")
    filtered = scipy.signal.filtfilt(b, a, lead)
    return np.asarray((filtered - filtered.mean()) / filtered.std())


@pytest.mark.slow
def test_the_band_pass_is_near_what_the_weights_saw(
    real_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found: dict[str, list[float]] = {}
    for header in sorted((real_data / "ludb").rglob("*.hea")):
        record = wfdb.rdrecord(str(header.with_suffix("")))
        lead = record.p_signal[:5000, record.sig_name.index("i")] * 1000
        theirs = as_clef(lead)
        for name, apply in FILTERS.items():
            ours = apply(lead[None], 500.0)[0]
            square = ((ours - ours.mean()) / ours.std() - theirs) ** 2
            found.setdefault(name, []).append(float(np.sqrt(square.mean())))
            middle = float(np.sqrt(square[500:-500].mean()))
            found.setdefault(f"{name}, middle", []).append(middle)
    medians = {name: float(np.median(values)) for name, values in found.items()}
    with capsys.disabled():
        print(f"\n{len(found['none'])}", *(f"{name} {v:.3f}" for name, v in medians.items()))
    assert medians["bandpass"] < 0.05 and medians["bandpass, middle"] < 0.02
    assert medians["bandpass"] < 0.5 * min(medians["none"], medians["ecgfounder"])
