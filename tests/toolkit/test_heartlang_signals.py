"""HeartLang inside fairseq-signals: make test-signals SIGNALS=PATH."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest

from selfmis_plugin.checkpoints.loading import load_trained
from tests.hearts import SIZE, TOKENIZER, write_hearts
from tests.support import logged, train

pytestmark = pytest.mark.signals

COMMAND = [str(Path(sys.executable).with_name("selfmis")), "train"]


def test_heartlang_trains(tmp_path: Path) -> None:
    store = write_hearts(tmp_path / "store", {"train": 48, "valid": 16, "test": 16})
    best = "checkpoints/checkpoint_best.pt"
    data = f"task.data={store}"
    tokenizer = [*TOKENIZER, data, "model.codes=32", "optimization.max_epoch=2"]
    output = train(tokenizer, tmp_path, command=COMMAND)
    errors = logged(output, "reconstruction_error", "valid")
    assert len(errors) == 2 and all(map(math.isfinite, errors))
    assert output.count("no beat is found in 1 of 48 records") == 1
    longer = [a.replace("max_epoch=2", "max_epoch=3") for a in tokenizer]
    again = train(longer, tmp_path, command=COMMAND)
    assert len(logged(again, "loss")) == 1 and "Loaded checkpoint" in again
    sentences = ["--config-name", "heartlang_pretrain_small", *SIZE, data]
    sentences += [f"model.tokenizer_checkpoint=outputs/heartlang_tokenizer_small/{best}"]
    output = train([*sentences, "optimization.max_epoch=1"], tmp_path, command=COMMAND)
    assert math.isfinite(*logged(output, "masked_loss", "valid"))
    encoder = f"model.encoder_checkpoint=outputs/heartlang_pretrain_small/{best}"
    for name in ("linear_probe", "finetune"):
        config = ["--config-name", f"heartlang_{name}_small", data, encoder]
        output = train([*config, "optimization.max_epoch=1"], tmp_path, command=COMMAND)
        assert math.isfinite(*logged(output, "macro_auc", "valid"))
    trained = load_trained(tmp_path / f"outputs/heartlang_finetune_small/{best}")
    assert trained.kind == "classifier" and trained.required_leads == ("I",)
