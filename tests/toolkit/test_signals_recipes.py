"""The toolkit's own five recipes, on records exported from a store, through ``selfmis train``."""

from __future__ import annotations

import json
import math
import os
import sys
from pathlib import Path

import pytest

from selfmis_plugin.cli import prepare
from selfmis_plugin.compat import installed
from tests.support import train, write_store

pytestmark = pytest.mark.signals

COMMAND = [str(Path(sys.executable).with_name("selfmis")), "train"]
TRANSFORMER = "config/pretraining/ecg_transformer"
#: Folder and name of each recipe, what is to be exported for it, and what else it must be told.
RECIPES = {
    "SimCLR": (f"simclr/{TRANSFORMER}", "simclr_augs", "plain", "+task.sample_rate=500"),
    "wav2vec 2.0": ("wav2vec2/config/pretraining", "w2v", "plain", ""),
    "3KG": (f"3kg/{TRANSFORMER}", "3kg", "plain", ""),
    "CLOCS": (f"cmsc/{TRANSFORMER}", "cmsc", "cmsc", ""),
    "W2V-CMSC": ("w2v_cmsc/config/pretraining", "w2v_cmsc", "cmsc", ""),
}
MENDED = {"SimCLR": ["simclr"], "3KG": ["3kg"], "CLOCS": ["clocs", "cmsc"]}
SMALL = [
    *("+model.encoder_layers=1", "model.encoder_embed_dim=16", "+model.encoder_ffn_embed_dim=16"),
    *("+model.encoder_attention_heads=2", "+model.conv_pos=8", "+model.conv_pos_groups=2"),
    "+model.conv_feature_layers='[(16, 4, 4)] * 3'",
]
QUANTIZED = ["model.final_dim=16", "+model.latent_vars=8", "+model.latent_groups=2"]


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recipes")
    write_store(folder / "store", {"train": 16})
    for kind in ("plain", "cmsc"):
        command = ["export", str(folder / "store"), "--format", "fairseq-signals"]
        assert prepare.main([*command, "--kind", kind, "--dest", str(folder / kind)]) == 0
    return folder


def run(name: str, exports: Path, folder: Path, epochs: int) -> str:
    host = installed.location("fairseq_signals")
    assert host is not None
    assert installed.has_extension("fairseq_signals"), (
        "the toolkit's own recipes need its Cython extension: "
        f"cd {host.parent} && python setup.py build_ext --inplace"
    )
    place, config, kind, also = RECIPES[name]
    arguments = ["--config-dir", str(host.parent / "examples" / place), "--config-name", config]
    # As typed: relative to where the command is given, not to the run's folder.
    data = os.path.relpath(exports / kind, folder)
    arguments += [f"task.data={data}", "distributed_training.distributed_world_size=1"]
    arguments += ["dataset.batch_size=8", "dataset.num_workers=0", "hydra.run.dir=run"]
    arguments += [f"optimization.max_epoch={epochs}", *SMALL, *([also] if also else [])]
    arguments += QUANTIZED if config.startswith("w2v") else []
    return train(arguments, folder, command=COMMAND)


def epochs(output: str) -> list[dict[str, str]]:
    lines = [line.split("[INFO] - ")[1] for line in output.splitlines() if "[train][INFO]" in line]
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize("name", list(RECIPES))
def test_it_trains(name: str, exports: Path, tmp_path: Path) -> None:
    output = run(name, exports, tmp_path, epochs=1)
    (epoch,) = epochs(output)
    assert math.isfinite(float(epoch["train_loss"])) and int(epoch["train_num_updates"]) >= 1
    assert float(epoch["train_gnorm"]) > 0
    (line,) = [line for line in output.splitlines() if "fairseq_signals was adapted" in line]
    mended = MENDED.get(name, [])
    assert line.count("criterion") == len(mended)
    assert all(f"criterion {criterion} " in line for criterion in mended)
    assert (tmp_path / "run/checkpoints/checkpoint_last.pt").is_file()
    if name == "CLOCS":
        # With what it has been mended by, it goes on from its own checkpoint.
        again = run(name, exports, tmp_path, epochs=2)
        assert "Loaded checkpoint" in again and [e["epoch"] for e in epochs(again)] == [2]
