"""What commands ask of what was trained, and how they refuse what it cannot do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from selfmis_plugin import load_encoder, load_trained, save_encoder
from selfmis_plugin.checkpoints import CheckpointError
from selfmis_plugin.checkpoints.classifier import LoadedEncoder
from selfmis_plugin.checkpoints.contract import (
    Classifies,
    EmbedsLeads,
    EmbedsPairs,
    EmbedsRecords,
    HasEncoders,
    MakesLeads,
    capabilities,
)
from selfmis_plugin.cli.main import main
from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.data.preprocessing import Preprocessing
from selfmis_plugin.data.splits import open_split
from selfmis_plugin.evaluation.embeddings import embed_split
from selfmis_plugin.evaluation.evaluate import evaluate, predict_split
from selfmis_plugin.evaluation.lead_models import open_lead_maker, open_lead_model
from selfmis_plugin.methods.modally_reduced.reader import load_lead_encoder
from selfmis_plugin.nn.encoder import (
    EncoderModule,
    build_encoder,
    build_input,
    describe_shape,
    register_shape,
    shape_from,
)
from selfmis_plugin.nn.net1d import Net1D, Net1DConfig
from selfmis_plugin.training.launch import at_hydra_start
from selfmis_plugin.utils import plugins
from selfmis_plugin.utils.paths import LAUNCH_FOLDER
from tests.checkpoint_files import write_classifier, write_modally_reduced, write_towers

PREPARED = Preprocessing(100.0, 10.0, ("I",), "none")


@register_shape("mean_of_tests")
@dataclass(frozen=True)
class MeanShape:
    """An encoder that is no Net1D."""

    dim: int = 3
    gains: tuple[float, ...] = (1.0,)


class MeanEncoder(EncoderModule):
    def __init__(self, config: MeanShape, leads: int) -> None:
        super().__init__(config)
        self.embedding_dim = config.dim
        self.layer = torch.nn.Linear(leads, config.dim)

    def embed(self, prepared: torch.Tensor) -> torch.Tensor:
        return self.layer(prepared.abs().mean(-1))


@build_encoder.register
def _(config: MeanShape, in_leads: int) -> MeanEncoder:
    return MeanEncoder(config, in_leads)


class AsMasked(torch.nn.Module):
    """What a masked autoencoder's reader might hand over as its network."""

    def forward(self, signal: torch.Tensor) -> torch.Tensor:
        return signal.float()[:, 0, :4]


@dataclass(frozen=True)
class Masked:
    """A pre-training whose reader knows neither pairs nor labels."""

    path: Path
    kind: str = "masked"
    preprocessing: Preprocessing = PREPARED
    required_leads: tuple[str, ...] = ("I",)

    def network(self, store_rate: float) -> torch.nn.Module:
        return AsMasked()


def read_masked(path: Path, payload: Mapping[str, Any]) -> Masked:
    return Masked(path)


def read_mean(path: Path, payload: Mapping[str, Any]) -> LoadedEncoder:
    return LoadedEncoder.from_training(path, payload, MeanShape(**payload["shape"]), "encoder.")


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Readers as a package elsewhere would bring them."""
    known = plugins.modules
    mine = SimpleNamespace(READERS={"masked": read_masked, "mean": read_mean})

    def modules(*names: str) -> list[Any]:
        return [*known(*names), *([mine] if "reader" in names else [])]

    monkeypatch.setattr(plugins, "modules", modules)
    yield


def masked(tmp_path: Path) -> Path:
    path = tmp_path / "masked.pt"
    torch.save({"cfg": {"model": {"_name": "masked"}}, "model": {}}, path)
    return path


def mean(tmp_path: Path, **task: Any) -> Path:
    torch.manual_seed(1)
    shape = {"dim": 3, "gains": [1.0]}
    encoder = MeanEncoder(MeanShape(3, (1.0,)), 1)
    path = tmp_path / "mean.pt"
    torch.save(
        {
            "cfg": {"model": {"_name": "mean"}},
            "shape": {"dim": 3, "gains": tuple(shape["gains"])},  # type: ignore[arg-type]
            "model": {f"encoder.{k}": v for k, v in encoder.state_dict().items()},
            "task_state": {"preprocessing": PREPARED.to_dict(), **task},
        },
        path,
    )
    return path


def test_what_each_kind_of_checkpoint_can_do(tmp_path: Path, elsewhere: None) -> None:
    can: dict[str, set[type]] = {
        "classifier": {Classifies, EmbedsRecords, HasEncoders},
        "towers": {EmbedsRecords, EmbedsPairs, HasEncoders},
        "leads": {EmbedsRecords, EmbedsPairs, EmbedsLeads, MakesLeads, HasEncoders},
        "masked": set(),
        "mean": {EmbedsRecords, HasEncoders},
    }
    files = {
        "classifier": write_classifier(tmp_path / "c.pt"),
        "towers": write_towers(tmp_path / "t.pt"),
        "leads": write_modally_reduced(tmp_path / "m.pt"),
        "masked": masked(tmp_path),
        "mean": mean(tmp_path),
    }
    every = {Classifies, EmbedsRecords, EmbedsPairs, EmbedsLeads, MakesLeads, HasEncoders}
    for name, path in files.items():
        trained = load_trained(path)
        assert {kind for kind in every if isinstance(trained, kind)} == can[name], name
        assert len(capabilities(trained)) == len(can[name] - {HasEncoders})


def test_a_pretraining_without_pairs_is_refused_by_what_it_lacks(
    tmp_path: Path, store: Path, elsewhere: None, capsys: pytest.CaptureFixture[str]
) -> None:
    path = masked(tmp_path)
    with pytest.raises(CheckpointError, match="neither predicts labels nor embeds pairs"):
        evaluate(path, store)
    with pytest.raises(CheckpointError, match="predicts no label"):
        predict_split(path, store)
    with pytest.raises(CheckpointError, match="has no embedding of a record.*does nothing"):
        embed_split(path, store)
    with pytest.raises(CheckpointError, match="no embedding of each lead"):
        open_lead_model(path)
    with pytest.raises(CheckpointError, match="no decoder of leads"):
        open_lead_maker(path)
    with pytest.raises(CheckpointError, match="no encoder that can be taken out"):
        load_encoder(path)
    for command in (["evaluate"], ["embed", "--out", str(tmp_path / "e.npy")]):
        assert main([*command, "--checkpoint", str(path), "--data", str(store)]) == 1
        assert "masked.pt is of pre-training" in capsys.readouterr().err
    assert not (tmp_path / "e.npy").exists()


def test_two_records_never_pass_for_one(
    tmp_path: Path, store: Path, elsewhere: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader whose networks do not return one row a record is told so."""

    def as_pair(trained: Masked, store_rate: float) -> torch.nn.Module:
        return AsMasked()

    def three(trained: Masked, store_rate: float, view: str) -> torch.nn.Module:
        return torch.nn.Identity()

    monkeypatch.setattr(Masked, "pair_network", as_pair, raising=False)
    monkeypatch.setattr(Masked, "center", None, raising=False)
    monkeypatch.setattr(Masked, "views", ("all",), raising=False)
    monkeypatch.setattr(Masked, "embedder", three, raising=False)
    with pytest.raises(CheckpointError, match="does not return two embeddings"):
        evaluate(masked(tmp_path), store)
    with pytest.raises(CheckpointError, match="not return one row a record"):
        embed_split(masked(tmp_path), store)


def test_an_encoder_of_ones_own_is_embedded_loaded_and_saved(
    tmp_path: Path, store: Path, elsewhere: None, capsys: pytest.CaptureFixture[str]
) -> None:
    path = mean(tmp_path, validation={"error": 0.25})
    encoder = load_encoder(path)
    assert isinstance(encoder, MeanEncoder) and not encoder.training
    assert (encoder.embedding_dim, encoder.leads) == (3, ("I",))
    assert encoder.preprocessing == PREPARED
    part = open_split(store, "test")
    raw = torch.from_numpy(part.store.read(part.rows, ["I"]))
    prepare = build_input(encoder.config, encoder.leads, 500, encoder.preprocessing.sample_rate)
    with torch.no_grad():
        expected = encoder(prepare(raw)).numpy()
    for arguments in ({}, {"views": ("encoder",)}):
        (found,) = embed_split(path, store, **arguments).values()  # type: ignore[arg-type]
        np.testing.assert_allclose(found.values, expected, atol=1e-6)
    save_encoder(encoder, tmp_path / "e.safetensors")
    again = load_encoder(tmp_path / "e.safetensors")
    assert again.config == encoder.config and again.leads == ("I",)
    with pytest.raises(CheckpointError, match="no view 'V1': it has encoder"):
        load_encoder(tmp_path / "e.safetensors", view="V1")
    assert all(
        torch.equal(a, b) for a, b in zip(again.parameters(), encoder.parameters(), strict=True)
    )
    with pytest.raises(ValueError, match="ECGFounder's layout is of a Net1D"):
        save_encoder(encoder, tmp_path / "e.pth")
    # It has one embedding, which no second tower's name stands for.
    with pytest.raises(CheckpointError, match="no embedding 'multi': it has encoder"):
        embed_split(path, store, towers=("multi",))
    with pytest.raises(CheckpointError, match="no view 'II': it has encoder"):
        load_encoder(path, view="II")
    assert main(["evaluate", "--checkpoint", str(path), "--data", str(store)]) == 1
    assert "its own training measured error 0.25" in capsys.readouterr().err


def test_where_several_encoders_fit_the_views_are_listed(tmp_path: Path, store: Path) -> None:
    path = write_modally_reduced(tmp_path / "m.pt")
    with pytest.raises(CheckpointError, match="several encoders: name one of the views I, II, III"):
        load_encoder(path)
    with pytest.raises(CheckpointError, match="no view 'single'"):
        load_encoder(path, view="single")
    encoder, known = load_encoder(path, view="V2"), load_lead_encoder(path, "V2")
    assert encoder.leads == ("V2",) and encoder.embedding_dim == 8
    signal = torch.randn(2, 1, 1000)
    with torch.no_grad():
        assert torch.equal(encoder(signal), known(signal))
    leads = embed_split(path, store, views=("I", "V2"))
    pair = embed_split(path, store, towers=("single",))
    np.testing.assert_allclose(leads["I"].values, pair["single"].values, atol=1e-6)
    assert np.abs(leads["I"].values - leads["V2"].values).max() > 1e-3
    towers = write_towers(tmp_path / "t.pt")
    assert load_encoder(towers, view="multi").leads == STANDARD_LEADS
    assert load_encoder(towers).leads == ("I",)
    with pytest.raises(CheckpointError, match="no view 'V1': it has single, multi"):
        load_encoder(towers, view="V1")


def test_view_on_the_command_line(
    tmp_path: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["embed", "--checkpoint", str(write_modally_reduced(tmp_path / "m.pt"))]
    arguments += ["--data", str(store), "--out", str(tmp_path / "e.npy")]
    assert main([*arguments, "--view", "V1"]) == 0
    assert main([*arguments, "--view", "V9"]) == 1
    assert "no embedding 'V9': it has single, multi, I, II" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*arguments, "--view", "V1", "--tower", "single"])


def test_shapes_are_read_back_from_what_files_say() -> None:
    shape = MeanShape(4, (0.5, 2.0))
    described = describe_shape(shape)
    assert described == {"kind": "mean_of_tests", "dim": 4, "gains": (0.5, 2.0)}
    # As JSON gives it back.
    assert shape_from({**described, "gains": [0.5, 2.0]}) == shape
    net = Net1DConfig(8, (8, 12), (1, 1), group_width=4, in_leads=1)
    assert shape_from(describe_shape(net)) == net
    with pytest.raises(ValueError, match="'unheard_of', which no package here brings"):
        shape_from({"kind": "unheard_of"})
    with pytest.raises(ValueError, match="two shapes are called 'net1d'"):
        register_shape("net1d")(MeanShape)
    with pytest.raises(TypeError, match="no known encoder"):
        describe_shape(Net1D(net))


def test_precision_is_that_of_autocast() -> None:
    encoder = MeanEncoder(MeanShape(), 1)
    signal = torch.randn(2, 1, 100)
    assert encoder(signal).dtype == torch.float32
    encoder.precision = torch.bfloat16
    assert encoder(signal).dtype == torch.bfloat16
    with torch.autocast("cpu", torch.bfloat16):
        encoder.precision = None
        assert encoder(signal).dtype == torch.bfloat16
        encoder.precision = torch.float32
        assert encoder(signal).dtype == torch.float32


def test_a_package_that_cannot_be_imported_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    package = tmp_path / "broken_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    for name in ("rows", "reader"):
        (package / f"{name}.py").write_text("import no_such_module_anywhere\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = {"broken_package": "the plugin broken (package broken_package, broken-dist)"}
    monkeypatch.setattr(plugins, "other_packages", lambda: found)
    assert main(["benchmark", "mi", "--help"]) == 1
    error = capsys.readouterr().err
    assert "broken-dist" in error and "no_such_module_anywhere" in error and "uninstall" in error
    with pytest.raises(plugins.PluginError, match="broken-dist"):
        load_trained(write_classifier(tmp_path / "c.pt"))
    monkeypatch.setattr(plugins, "other_packages", lambda: {"gone": "the plugin gone"})
    with pytest.raises(plugins.PluginError, match="^the plugin gone names no package"):
        plugins.modules("rows")
    # A start remembers where it was, for the whole process.
    monkeypatch.setenv(LAUNCH_FOLDER, "")
    with pytest.raises(SystemExit, match="^selfmis: the plugin gone names no package"):
        at_hydra_start(None)


def test_two_readers_of_one_model_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = plugins.modules
    mine = SimpleNamespace(READERS={"selfmis": read_masked}, __name__="mine.reader")
    monkeypatch.setattr(
        plugins, "modules", lambda *names: [*known(*names), *([mine] if "reader" in names else [])]
    )
    with pytest.raises(plugins.PluginError, match="mine.reader reads checkpoints of selfmis"):
        load_trained(write_towers(tmp_path / "t.pt"))
