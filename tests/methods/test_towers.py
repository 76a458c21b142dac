"""Two towers and the classifier: what learns, what stays, which leads go where."""

from __future__ import annotations

import copy

import pytest
import torch

from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.methods.selfmis.towers import TwoTowers
from selfmis_plugin.nn.classifier import EncoderClassifier
from selfmis_plugin.nn.inputs import Preparation
from selfmis_plugin.nn.net1d import Net1DConfig

torch.set_num_threads(1)

SMALL = Net1DConfig(8, (8, 16), (1, 1), kernel_size=5, group_width=4)


def raw(batch: int = 3, leads: int = 12, samples: int = 1000) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(
        -2000, 2000, (batch, leads, samples), dtype=torch.int16, generator=generator
    )


def test_each_tower_reads_its_leads() -> None:
    towers = TwoTowers(SMALL, STANDARD_LEADS, lead="V2", store_rate=500, sample_rate=250)
    signal = raw()
    single, multi = towers(signal)
    prepare, row = Preparation(500, 250), STANDARD_LEADS.index("V2")
    assert torch.equal(single, towers.single(prepare(signal[:, row : row + 1])))
    assert torch.equal(multi, towers.multi(prepare(signal)))
    assert torch.equal(single, towers.embed_single(signal[:, row : row + 1]))
    assert torch.equal(multi, towers.embed_multi(signal))
    changed = signal.clone()
    changed[:, row] = 0
    others = towers(changed)
    assert torch.equal(others[0], towers.single(torch.zeros(3, 1, 500)))
    assert not torch.equal(others[1], multi)


def test_kept_embeddings_take_the_place_of_the_frozen_tower() -> None:
    towers = TwoTowers(SMALL, STANDARD_LEADS, lead="V2", store_rate=500, sample_rate=250)
    signal, row = raw(), STANDARD_LEADS.index("V2")
    single, multi = towers(signal)
    towers.multi = None  # type: ignore[assignment]  # it is not asked
    again = towers(signal[:, row : row + 1], multi)
    assert torch.equal(again[0], single) and again[1] is multi
    # All leads beside them would be read as if the first were the single one.
    with pytest.raises(ValueError, match=r"lead V2 alone.*\(3, 12, 1000\)"):
        towers(signal, multi)


def test_the_multi_lead_tower_stays_frozen() -> None:
    torch.manual_seed(0)
    towers = TwoTowers(SMALL, STANDARD_LEADS).train()
    assert towers.single.training
    assert not any(module.training for module in towers.multi.modules())
    before = copy.deepcopy(towers.multi.state_dict())
    optimizer = torch.optim.AdamW(
        [p for p in towers.parameters() if p.requires_grad], lr=0.1, weight_decay=0.5
    )
    single, multi = towers(raw())
    assert not multi.requires_grad
    (single - multi).square().sum().backward()
    optimizer.step()
    assert all(p.grad is None for p in towers.multi.parameters())
    assert all(p.grad is not None for p in towers.single.parameters())
    assert all(torch.equal(v, before[n]) for n, v in towers.multi.state_dict().items())


def test_a_free_multi_lead_tower_learns() -> None:
    towers = TwoTowers(SMALL, STANDARD_LEADS, freeze_multi=False).train()
    assert towers.multi.training
    towers(raw())[1].sum().backward()
    assert all(p.grad is not None for p in towers.multi.parameters())


def test_half_precision_towers_still_get_a_float32_preparation() -> None:
    torch.manual_seed(0)
    towers = TwoTowers(SMALL, STANDARD_LEADS, sample_rate=100).eval()
    signal = raw()
    with torch.no_grad():
        exact = towers(signal)
        rounded = towers.half()(signal)
    for one, other in zip(exact, rounded, strict=True):
        assert other.dtype == torch.float16
        torch.testing.assert_close(other.float(), one, rtol=0.02, atol=0.005)


def test_state_names_are_those_that_checkpoints_are_read_by() -> None:
    names = {name.split(".")[0] for name in TwoTowers(SMALL, ["I", "II"]).state_dict()}
    assert names == {"single", "multi"}
    names = {name.split(".")[0] for name in EncoderClassifier(SMALL, 2, ["I"]).state_dict()}
    assert names == {"encoder", "head"}


@pytest.mark.parametrize("wanted", [["I"], ["V1", "I"], list(STANDARD_LEADS)])
def test_classifier_reads_its_leads_by_name(wanted: list[str]) -> None:
    model = EncoderClassifier(SMALL, 5, STANDARD_LEADS, wanted, store_rate=500, sample_rate=250)
    signal = raw()
    rows = [STANDARD_LEADS.index(lead) for lead in wanted]
    expected = model.head(model.encoder(Preparation(500, 250)(signal[:, rows])))
    assert torch.equal(model(signal), expected)
    assert expected.shape == (3, 5)
    # The same leads in another order of the store.
    shuffled = list(reversed(STANDARD_LEADS))
    other = EncoderClassifier(SMALL, 5, shuffled, wanted, store_rate=500, sample_rate=250)
    other.load_state_dict(model.state_dict())
    assert torch.equal(other(signal.flip(1)), expected)


def test_linear_probing_trains_the_head_alone() -> None:
    model = EncoderClassifier(SMALL, 5, ["I"], freeze_encoder=True).train()
    assert model.training
    assert not model.encoder.training
    trainable = [name for name, p in model.named_parameters() if p.requires_grad]
    assert trainable == ["head.weight", "head.bias"]
    model(raw(leads=1)).sum().backward()
    assert model.head.weight.grad is not None
    assert all(p.grad is None for p in model.encoder.parameters())


def test_fine_tuning_trains_everything() -> None:
    model = EncoderClassifier(SMALL, 5, ["I"]).train()
    model(raw(leads=1)).square().sum().backward()
    assert all(p.grad is not None for p in model.parameters())


def test_errors_say_what_is_wrong() -> None:
    with pytest.raises(ValueError, match=r"no lead LA-RA among .*\(I, II\)"):
        TwoTowers(SMALL, ["I", "II"], lead="LA-RA")
    with pytest.raises(ValueError, match="no lead V9"):
        EncoderClassifier(SMALL, 2, ["I", "II"], ["I", "V9"])
    with pytest.raises(ValueError, match="each once"):
        EncoderClassifier(SMALL, 2, ["I", "II"], ["I", "I"])
    with pytest.raises(ValueError, match="at least one label"):
        EncoderClassifier(SMALL, 0, ["I"])
    for model in (TwoTowers(SMALL, ["I", "II"]), EncoderClassifier(SMALL, 2, ["I", "II"])):
        with pytest.raises(ValueError, match=r"2 leads \(I, II\)"):
            model(raw(leads=3))
