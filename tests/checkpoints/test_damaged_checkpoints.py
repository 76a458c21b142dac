"""Checkpoints of strangers: nothing in them is believed before it is looked at."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

import selfmis_plugin
from selfmis_plugin.checkpoints import CheckpointError, load_encoder_weights
from selfmis_plugin.checkpoints.classifier import LoadedClassifier
from selfmis_plugin.checkpoints.fitting import check_fit, filled
from selfmis_plugin.checkpoints.loading import load_trained
from selfmis_plugin.cli.main import main
from selfmis_plugin.data.preprocessing import Preprocessing
from selfmis_plugin.nn.encoder import EncoderModule, build_encoder
from tests.checkpoint_files import (
    write_classifier,
    write_ecgfounder,
    write_modally_reduced,
    write_towers,
)

torch.set_num_threads(1)

WRITERS = (write_classifier, write_towers, write_modally_reduced, write_ecgfounder)


@pytest.fixture(scope="module")
def payloads(tmp_path_factory: pytest.TempPathFactory) -> dict[Any, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("whole")
    return {write: torch.load(write(folder / f"{write.__name__}.pt")) for write in WRITERS}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    checkpoint = write_classifier(folder / "c.pt")
    assert main(["export", "--checkpoint", str(checkpoint), "--dest", str(folder / "m")]) == 0
    return folder / "m"


def changed(payload: Any, entry: str, value: Any) -> dict[str, Any]:
    """A copy with one entry replaced; a callable makes it of the old one."""
    new: dict[str, Any] = copy.deepcopy(payload)
    *parents, last = entry.split("/")
    table = new
    for name in parents:
        table = table[name]
    table[last] = value(table[last]) if callable(value) else value
    return new


def quantised(tensor: torch.Tensor) -> torch.Tensor:
    return torch.quantize_per_tensor(tensor.float(), 0.1, 0, torch.qint8)


def vast(tensor: torch.Tensor) -> torch.Tensor:
    return torch.zeros(1).expand(10**9)


ODD = {
    "list": (lambda _: [1.0], "a list"),
    "text": (lambda _: "weights", "a str"),
    "none": (lambda _: None, "a NoneType"),
    "meta": (lambda t: t.to("meta"), "meta"),
    "sparse": (lambda t: t.to_sparse(), "sparse"),
    "csr": (lambda t: t.flatten(1).to_sparse_csr(), "sparse"),
    "quantised": (quantised, "quantised"),
    "complex": (lambda t: t.to(torch.complex64), "complex64"),
    "vast": (vast, "1000000000"),
    "infinite": (lambda t: t * math.inf, "NaN or Inf"),
    "nan": (lambda t: t * math.nan, "NaN or Inf"),
    "too large for float32": (lambda t: t.double() + 1e300, "NaN or Inf"),
    "misshapen": (lambda t: t[:1], "misshapen"),
    "a number": (lambda t: torch.tensor(1.0), "misshapen|makes no network|do not make"),
}
#: A weight of each file, and what its entry is called in messages.
WEIGHTS = {
    write_classifier: ("model/network.encoder.stages.0.0.conv2.weight", "conv2.weight"),
    write_towers: ("model/towers.multi.stages.0.0.conv2.weight", "conv2.weight"),
    write_modally_reduced: ("model/network.encoders.patch_in.weight", "patch_in.weight"),
    write_ecgfounder: ("state_dict/stage_list.0.block_list.0.conv2.conv.weight", "conv2"),
}


@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__)
@pytest.mark.parametrize("odd", ODD)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_weight_that_is_none_is_named(
    payloads: dict[Any, Any], tmp_path: Path, write: Any, odd: str
) -> None:
    entry, called = WEIGHTS[write]
    make, said = ODD[odd]
    path = tmp_path / "odd.pt"
    torch.save(changed(payloads[write], entry, make), path)
    for load in (load_trained, lambda p: load_encoder_weights(p, "multi", leads=None)):
        with pytest.raises(CheckpointError, match=said) as caught:
            load(path)
        assert str(path) in str(caught.value)
        assert called in str(caught.value) or odd == "a number"


INFINITY = math.inf
CONFIG_VALUES = (
    *(None, "many", -1, 0, 0.5, 10**400, INFINITY, math.nan, True),
    *([], {}, [INFINITY], {"a": 1}, [[]], "\ud800"),
)
#: Entries that a network or its input is made of; other values than their own are refused.
ENTRIES = {
    write_classifier: [
        *("cfg/model/base_filters", "cfg/model/filters", "cfg/model/blocks"),
        *("cfg/model/kernel_size", "cfg/model/group_width", "cfg/model/ratio"),
        *("task_state/labels", "task_state/preprocessing", "task_state/preprocessing/leads"),
        *("task_state/preprocessing/sample_rate", "task_state/preprocessing/seconds"),
        *("task_state/preprocessing/filter", "cfg/model", "task_state", "model"),
    ],
    write_towers: [
        *("cfg/model/base_filters", "cfg/model/filters", "cfg/model/blocks", "cfg/model/lead"),
        *("cfg/model/ratio", "task_state/preprocessing", "task_state/preprocessing/leads"),
        *("cfg/model", "task_state", "model"),
    ],
    write_modally_reduced: [
        *("cfg/model/width", "cfg/model/depth", "cfg/model/patch_size", "cfg/model/mlp_ratio"),
        *("cfg/model/decoder_width", "cfg/model/decoder_depth", "task_state/preprocessing/leads"),
        *("cfg/model/mask_ratio", "cfg/model", "task_state", "model"),
    ],
}
#: Of these a value is as good as another: 0.5 is a ratio, a rate, a share.
FREE = {
    ("seconds", 0.5), ("sample_rate", 0.5), ("mask_ratio", 0.5), ("mask_ratio", 0),
    ("filter", "many"), ("labels", "many"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("write", "entry"),
    [(write, entry) for write, entries in ENTRIES.items() for entry in entries],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_a_value_of_a_description_that_cannot_be_is_refused(
    payloads: dict[Any, Any], tmp_path: Path, write: Any, entry: str
) -> None:
    path = tmp_path / "odd.pt"
    for value in CONFIG_VALUES:
        if any(entry.endswith(name) and value == free for name, free in FREE):
            continue
        torch.save(changed(payloads[write], entry, value), path)
        with pytest.raises(CheckpointError, match="odd.pt"):
            load_trained(path)
    for value in (2**40, 3, 10**6):
        torch.save(changed(payloads[write], entry, value), path)
        try:
            load_trained(path)
        except CheckpointError as error:
            assert str(path) in str(error)


@pytest.mark.parametrize(
    ("entry", "value", "said"),
    [
        ("input_rate", INFINITY, "input_rate must be a finite number"),
        ("input_rate", math.nan, "input_rate"),
        ("input_rate", -500, "input_rate"),
        ("input_rate", 1e9, "input_rate"),
        ("input_rate", "500", "input_rate"),
        ("input_rate", None, "input_rate"),
        ("input_rate", True, "input_rate"),
        ("input_rate", 50, "above the 50"),
        ("input_rate", 499.997, "larger numbers"),
        ("preprocessing/seconds", 1e5, "seconds"),
        ("preprocessing/seconds", 80_000, "samples at most"),
        ("preprocessing/filter", "magic", "filter is 'magic'"),
        ("preprocessing/leads", ["I", "I"], "leads names 'I' twice"),
        ("standardize_embeddings", "false", "standardize_embeddings must be true or false"),
        ("standardize_embeddings", 1, "standardize_embeddings"),
        ("labels", "NORM", "labels"),
        ("labels", ["a", "b", "c", 4], r"labels\[3\]"),
        ("labels", ["a", "b", "c", "c"], "labels names 'c' twice"),
        ("labels", ["a", "b", "c", "\ud800"], r"labels\[3\]"),
        ("labels", [], "labels"),
        ("encoder/ratio", INFINITY, "ratio"),
        ("encoder/base_filters", INFINITY, "base_filters"),
        ("encoder/filters", [8, INFINITY], r"filters\[1\]"),
        ("encoder/stride", 10**8, "stride"),
        ("encoder", [], "encoder must be a table"),
        ("encoder/kind", ["net1d"], "kind"),
        ("encoder/colour", "red", "colour"),
        ("classes", [[0], [1], [2], [INFINITY]], r"classes\[3\]"),
        ("classes", [[0], [1], [2], [10**9]], r"misshapen head\.weight"),
        ("classes", [[0], [1], [2], []], r"classes\[3\]"),
        ("classes", [[0]], "classes are given for 1"),
        ("classes", 4, "classes"),
        ("operating_points", None, "operating_points"),
        ("operating_points/specificity", INFINITY, "operating_points.specificity"),
        ("operating_points/specificity", 9, "operating_points.specificity"),
        ("operating_points/labels", {"magic": {}}, "magic is none of the labels"),
        ("operating_points/labels", {"NORM": []}, "labels.NORM must be a table"),
        ("provenance", "home", "provenance"),
        ("format", {}, "format"),
        ("version", INFINITY, "format"),
    ],
)
def test_a_value_of_a_folder_that_cannot_be_is_named(
    exported: Path, tmp_path: Path, entry: str, value: Any, said: str
) -> None:
    folder = Path(shutil.copytree(exported, tmp_path / "m"))
    config = folder / "config.json"
    config.write_text(json.dumps(changed(json.loads(config.read_text()), entry, value)))
    with pytest.raises(CheckpointError, match=said) as caught:
        selfmis_plugin.load_model(folder)
    assert str(folder) in str(caught.value)


POINT = {
    "probability": 0.5, "logit": 0.0, "specificity": 0.9, "sensitivity": None,
    "positives": 3, "negatives": 9,
}  # fmt: skip


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        *(("logit", bad) for bad in (None, "0", INFINITY, math.nan, 10**400, 1.0)),
        *(("probability", bad) for bad in (None, 2, 0.7, INFINITY)),
        *(("specificity", bad) for bad in (None, -0.1, 1.1, math.nan)),
        *(("sensitivity", bad) for bad in ("-", -0.1, 1.1, INFINITY)),
        *(("positives", bad) for bad in (None, -1, 0.5, INFINITY)),
    ],
)
def test_an_operating_point_that_cannot_be_is_named(
    exported: Path, tmp_path: Path, entry: str, value: Any
) -> None:
    folder = Path(shutil.copytree(exported, tmp_path / "m"))
    config = folder / "config.json"
    described = json.loads(config.read_text())
    label = described["labels"][0]
    described["operating_points"]["labels"] = {label: POINT}
    config.write_text(json.dumps(described))
    assert selfmis_plugin.load_model(folder).saved.points[label].logit == 0
    described["operating_points"]["labels"] = {label: {**POINT, entry: value}}
    config.write_text(json.dumps(described))
    wrong = "logit|probability" if entry == "logit" else entry
    with pytest.raises(
        CheckpointError, match=rf"config\.json.*operating_points\.labels\.{label}\.({wrong})"
    ):
        selfmis_plugin.load_model(folder)


def test_nested_json_is_refused(exported: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(exported, tmp_path / "m"))
    (folder / "config.json").write_text("[" * 100_000)
    with pytest.raises(CheckpointError, match=r"config\.json"):
        selfmis_plugin.load_model(folder)


def test_weights_too_large_to_compute_with_are_named(exported: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(exported, tmp_path / "m"))
    weights = safetensors.torch.load_file(folder / "model.safetensors")
    weights["encoder.stages.0.0.conv1.weight"] = torch.full_like(
        weights["encoder.stages.0.0.conv1.weight"], 3e38
    )
    safetensors.torch.save_file(weights, folder / "model.safetensors")
    model = selfmis_plugin.load_model(folder)
    with pytest.raises(CheckpointError, match="gives NaN or Inf"):
        model.logits([np.random.default_rng(0).integers(-500, 500, (1, 5000), dtype=np.int16)])


def test_a_centre_is_looked_at(payloads: dict[Any, Any], tmp_path: Path) -> None:
    path = tmp_path / "towers.pt"
    for center in ([1.0], torch.zeros(3), torch.full((16,), math.nan), "mean"):
        torch.save(
            changed(payloads[write_towers], "task_state", lambda t, c=center: {**t, "center": c}),
            path,
        )
        with pytest.raises(CheckpointError, match=r"towers\.pt.*center"):
            load_trained(path)


def test_lists_that_stand_for_more_than_the_memory_are_refused(
    payloads: dict[Any, Any], tmp_path: Path
) -> None:
    laughs: Any = ["ha"]
    for _ in range(60):
        laughs = [laughs, laughs]
    endless: list[Any] = []
    endless.append(endless)
    deep: Any = []
    for _ in range(5000):
        deep = [deep]
    for value in (laughs, endless):
        path = tmp_path / "laughs.pt"
        torch.save({**payloads[write_classifier], "extra": value}, path)
        with pytest.raises(CheckpointError, match=r"laughs\.pt: extra"):
            load_trained(path)


def test_a_packed_archive_is_refused(payloads: dict[Any, Any], tmp_path: Path) -> None:
    whole, packed = tmp_path / "whole.pt", tmp_path / "packed.pt"
    torch.save({**payloads[write_classifier], "zeros": torch.zeros(10**6)}, whole)
    with zipfile.ZipFile(whole) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
        for member in old.infolist():
            new.writestr(member.filename, old.read(member))
    with pytest.raises(CheckpointError, match=r"packed\.pt.*larger than the file"):
        load_trained(packed)


#: Run by itself, to see how much memory it takes.
MEASURED = """
import faulthandler, json, resource, sys, time
from pathlib import Path
import torch
import selfmis_plugin
from selfmis_plugin.checkpoints import CheckpointError, load_encoder_weights
from selfmis_plugin.checkpoints.loading import load_trained

torch.set_num_threads(1)
faulthandler.dump_traceback_later(60, exit=True)
folder = Path(sys.argv[1])


def load(path):
    if path.is_dir():
        return selfmis_plugin.load_model(path)
    if path.suffix == ".safetensors":
        return load_encoder_weights(path, None)
    return load_trained(path)


def memory():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


for path in sorted(folder.glob("whole*")):
    load(path)
before = memory()
for path in sorted(folder.glob("huge*")):
    start = time.process_time()
    try:
        load(path)
        said = "loaded"
    except CheckpointError as error:
        said = str(error)
    print(json.dumps([path.name, said, time.process_time() - start, memory() - before]))
"""
HUGE = {
    write_classifier: {
        "base_filters": 10**9,
        "filters": [8] * 10**6,
        "blocks": [1, 10**6],
        "kernel_size": 2**31,
        "ratio": 1e9,
    },
    write_towers: {"base_filters": 10**9, "blocks": [10**6, 1]},
    write_modally_reduced: {
        "width": 10**9,
        "depth": 10**6,
        "patch_size": 10**9,
        "mlp_ratio": 1e9,
        "decoder_depth": 10**6,
        "decoder_width": 2**30,
    },
}


def test_huge_sizes_are_refused_before_memory_is_spent(
    payloads: dict[Any, Any], exported: Path, tmp_path: Path
) -> None:
    for write, values in HUGE.items():
        torch.save(payloads[write], tmp_path / f"whole {write.__name__}.pt")
        for name, value in values.items():
            # PyTorch itself reads half a million values a second.
            value = value[:100_000] if isinstance(value, list) else value
            new = changed(payloads[write], f"cfg/model/{name}", value)
            torch.save(new, tmp_path / f"huge {write.__name__} {name}.pt")
    shutil.copytree(exported, tmp_path / "whole folder")
    for name, value in {
        **HUGE[write_classifier], "in_leads": 10**6, "labels": [f"l{k}" for k in range(10**6)],
        "leads": [f"l{k}" for k in range(10**6)],
    }.items():  # fmt: skip
        folder = Path(shutil.copytree(exported, tmp_path / f"huge folder {name}"))
        entry = {"labels": "labels", "leads": "preprocessing/leads"}.get(name, f"encoder/{name}")
        config = folder / "config.json"
        config.write_text(json.dumps(changed(json.loads(config.read_text()), entry, value)))
    founder = payloads[write_ecgfounder]["state_dict"]
    name = "stage_list.0.block_list.999999999.conv1.conv.weight"
    torch.save({"state_dict": {**founder, name: torch.zeros(1)}}, tmp_path / "huge founder.pt")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", MEASURED, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == len(list(tmp_path.glob("huge*")))
    for name, said, seconds, mebibytes in rows:
        assert name in said and len(said) < 3000, (name, said)
        assert seconds < 1 and mebibytes < 300, (name, seconds, mebibytes)


@dataclasses.dataclass(frozen=True)
class AsksValues:
    width: int


class AsksValuesOnce(EncoderModule):
    """An encoder whose constructor needs numbers, which ``meta`` does not have."""

    def __init__(self, config: AsksValues) -> None:
        super().__init__(config)
        self.embedding_dim = int(torch.tensor(config.width).item())
        self.layer = nn.Linear(1, self.embedding_dim)

    def embed(self, prepared: torch.Tensor) -> torch.Tensor:
        return self.layer(prepared.mean(-1))


@build_encoder.register
def _(config: AsksValues, in_leads: int) -> AsksValuesOnce:
    return AsksValuesOnce(config)


def test_an_encoder_that_cannot_be_built_on_meta_is_built_as_it_is() -> None:
    path = Path("theirs.pt")
    weights = AsksValuesOnce(AsksValues(5)).state_dict()
    state = torch.get_rng_state()
    check_fit(path, lambda: build_encoder(AsksValues(5), 1), weights)
    assert torch.equal(state, torch.get_rng_state())
    network = filled(path, lambda: build_encoder(AsksValues(5), 1), weights)
    assert torch.equal(network.layer.weight, weights["layer.weight"])
    with pytest.raises(CheckpointError, match=r"theirs\.pt.*misshapen layer\.weight"):
        check_fit(path, lambda: build_encoder(AsksValues(6), 1), weights)
    with pytest.raises(CheckpointError, match=r"theirs\.pt.*more layers or values"):
        check_fit(path, lambda: build_encoder(AsksValues(10**8), 1), weights)


def test_a_reader_elsewhere_cannot_pass_weights_that_do_not_fit() -> None:
    class Broken(EncoderModule):
        embedding_dim = 4

        def embed(self, prepared: torch.Tensor) -> torch.Tensor:
            raise NotImplementedError

    def broken() -> nn.Module:
        raise KeyError("width")

    with pytest.raises(CheckpointError, match="theirs.*makes none"):
        check_fit("theirs", broken, {})
    with pytest.raises(CheckpointError, match="NaN or Inf in encoder.layer.weight"):
        LoadedClassifier(
            Path("theirs"), AsksValues(1), ("a",), Preprocessing(100.0, 10.0, ("I",), "none"),
            False, {"encoder.layer.weight": torch.tensor([[math.nan]])},
        )  # fmt: skip
