"""Generators of leads: sizes, windows, rates, losses against written-out ones, one optimiser."""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import resample_poly
from torch import Tensor, nn
from torch.nn.functional import softplus

from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.methods.lead_synthesis.cyclegan.network_training import CycleGanTraining
from selfmis_plugin.methods.lead_synthesis.discriminators import (
    PatchDiscriminator,
    SampleDiscriminator,
)
from selfmis_plugin.methods.lead_synthesis.ekgan.network_training import EkganTraining
from selfmis_plugin.methods.lead_synthesis.generator import LeadGenerator, build_generator
from selfmis_plugin.methods.lead_synthesis.mcma.network import McmaShape
from selfmis_plugin.methods.lead_synthesis.mcma.network_training import McmaTraining
from selfmis_plugin.methods.lead_synthesis.pix2pix.network_training import Pix2PixTraining
from selfmis_plugin.methods.lead_synthesis.step import GeneratorTraining, each, given_of
from selfmis_plugin.methods.lead_synthesis.trivial import (
    LinearLeadsShape,
    MeanBeatShape,
    fit_linear,
    given_peaks,
)
from selfmis_plugin.methods.lead_synthesis.unet import (
    LeadUNet,
    LeadUNetShape,
    as_image,
    copied,
    of_leads,
)
from selfmis_plugin.methods.lead_synthesis.upsampling import Upsampling
from selfmis_plugin.methods.lead_synthesis.windows import cut, joined
from selfmis_plugin.metrics.lead_synthesis import mean_beat, mean_beat_at_peaks
from selfmis_plugin.profiling.macs import forward_macs
from tests import lead_synthesis_by_hand as by_hand

WIDTHS, PATCHES = (4, 4, 8, 8, 8), (4, 4, 4, 4)
SMALL_MCMA = McmaShape((4, 4, 8), 5, 64)


def small(name: str, double_sigmoid: bool = False) -> GeneratorTraining:
    """A tiny training of a method, whose weights are large enough to be told apart."""
    torch.manual_seed(0)
    norm = "instance" if name == "cyclegan" else "batch"
    shape = LeadUNetShape(WIDTHS, 256, norm)
    training: GeneratorTraining = {
        "mcma": lambda: McmaTraining(SMALL_MCMA),
        "ekgan": lambda: EkganTraining(shape, (4, 4, 4, 4, 4)),
        "pix2pix": lambda: Pix2PixTraining(shape, PATCHES, double_sigmoid),
        "cyclegan": lambda: CycleGanTraining(shape, PATCHES, double_sigmoid),
    }[name]()
    with torch.no_grad():
        for value in training.parameters():
            value += 0.1 * torch.randn_like(value)
    return training


def records(training: GeneratorTraining, count: int = 3, seed: int = 1) -> tuple[Tensor, Tensor]:
    torch.manual_seed(seed)
    return torch.randn(count, 12, training.shape.window), torch.arange(count) % 12


def size(module: nn.Module) -> int:
    return sum(value.numel() for value in module.parameters())


def test_sizes_are_those_of_the_descriptions() -> None:
    with torch.device("meta"):
        unet = LeadUNetShape()
        assert [size(build_generator(McmaShape(kernel=k))) for k in (5, 13)] == [
            7_003_604,
            18_186_836,
        ]
        assert size(LeadUNet(unet)) == 12_524_672
        assert size(LeadUNet(LeadUNetShape(norm="instance"))) == 12_524_672
        assert size(LeadUNet(unet, skips=False)) == 11_147_904
        assert size(SampleDiscriminator(2, (32, 64, 128, 256, 512), 0.01)) == 2_435_904
        patches = [PatchDiscriminator(n, (64, 128, 256, 512), 0.01) for n in (2, 1)]
        assert [size(module) for module in patches] == [1_383_169, 1_382_657]
        images = torch.empty(2, 2, 16, 512)
        assert patches[0](images).shape == (2, 1, 5, 65)
        widths = (32, 64, 128, 256, 512)
        assert SampleDiscriminator(2, widths, 0.01)(images).shape == (2, 1, 16, 512)
        _, code = LeadUNet(unet).with_code(torch.empty(2, 1, 16, 512))
        assert code.shape == (2, 1024, 1, 16)
        lead = torch.empty(1, dtype=torch.int64)
        for shape, samples, mega in (
            (McmaShape(), 1024, 412),
            (McmaShape(kernel=13), 1024, 1070),
            (unet, 512, 439),
        ):
            network = build_generator(shape)
            macs = forward_macs(functools.partial(network, torch.empty(1, samples), lead))
            assert macs / 1e6 == pytest.approx(mega, rel=2e-3)


def test_what_makes_no_network_is_refused() -> None:
    for shape, values, message in (
        (McmaShape, {"window": 1000}, "window=1000 must be a multiple of 32"),
        (McmaShape, {"output_norm": "batch"}, "choose one of instance, none"),
        (McmaShape, {"filters": (4,)}, "two or more"),
        (McmaShape, {"kernel": 0}, "mcma: kernel"),
        (LeadUNetShape, {"widths": (4, 4)}, "must be five"),
        (LeadUNetShape, {"window": 40}, "multiple of 32"),
        (LeadUNetShape, {"norm": "layer"}, "choose one of batch, instance"),
        (LeadUNetShape, {"norm_momentum": 0}, "norm_momentum"),
    ):
        with pytest.raises(ValueError, match=message):
            shape(**values)
    with pytest.raises(ValueError, match="multiple of 256"):
        EkganTraining(LeadUNetShape(WIDTHS, 96), (4, 4, 4, 4, 4))
    with pytest.raises(ValueError, match="lead 'X' is none of"):
        LeadGenerator(SMALL_MCMA, 500, 500, "X")


@settings(max_examples=40, deadline=None)
@given(samples=st.integers(1, 70), window=st.integers(1, 32))
def test_windows_are_the_record_and_its_own_end_again(samples: int, window: int) -> None:
    record = torch.arange(samples).float().expand(2, 3, -1)
    windows = cut(record, window)
    assert torch.equal(joined(windows, samples), record)
    flat = windows.transpose(1, 2).flatten(2)[0, 0]
    missing = len(flat) - samples
    assert 0 <= missing < window
    if missing and missing <= samples:
        assert torch.equal(flat[samples:], record[0, 0, -missing:])


@pytest.mark.parametrize(("rate", "target"), [(100, 500), (250, 500), (360, 500), (500, 500)])
def test_upsampling_is_scipys(rate: float, target: float) -> None:
    signal = np.random.default_rng(0).normal(size=(2, 3, 77))
    found = Upsampling(rate, target)(torch.from_numpy(signal)).numpy()
    ratio = np.gcd(int(rate), int(target))
    expected = resample_poly(signal, int(target) // ratio, int(rate) // ratio, axis=-1)
    np.testing.assert_allclose(found, expected, atol=1e-10)
    if rate < target:
        with pytest.raises(ValueError, match="is above"):
            Upsampling(target, rate)


def test_a_record_is_made_window_by_window_and_keeps_what_was_given() -> None:
    torch.manual_seed(0)
    generator = LeadGenerator(SMALL_MCMA, 500, 500, "II").eval()
    signal = torch.randint(-900, 900, (2, 1, 150), dtype=torch.int16)
    made = generator(signal)
    assert made.shape == (2, 12, 150) and made.dtype == torch.float32
    assert torch.equal(made[:, 1], signal[:, 0].float())
    lead = torch.ones(2, dtype=torch.int64)
    filled = torch.cat((signal, signal[..., -42:]), -1)[:, 0].float() / 1000
    for start in (0, 64, 128):
        window = 1000 * generator.network(filled[:, start : start + 64], lead)
        stop = min(150, start + 64)
        others = [row for row in range(12) if row != 1]
        torch.testing.assert_close(
            made[:, others, start:stop], window[:, others, : stop - start], atol=1e-3, rtol=1e-5
        )
    with pytest.raises(ValueError, match="1 lead"):
        generator(signal.expand(-1, 2, -1))
    free = LeadGenerator(SMALL_MCMA, 500, 500, "II", keep_given=False)
    free.load_state_dict(generator.state_dict())
    assert not torch.equal(free.eval()(signal)[:, 1], signal[:, 0].float())


def test_mcmas_output_norm_gives_every_window_one_size() -> None:
    """However large its lead I is: nothing tells a small window from a large one."""
    torch.manual_seed(0)
    wave = torch.sin(torch.arange(512) / 5) * 500
    small_then_large = torch.cat((0.1 * wave[:256], wave[256:]))[None, None]
    deviations = {}
    for norm in ("instance", "none"):
        shape = McmaShape((4, 4, 8), 5, 256, norm)
        made = LeadGenerator(shape, 500, 500, keep_given=False).eval()(small_then_large)[0]
        halves = made.unflatten(1, (2, 256))
        deviations[norm] = halves.std(2, correction=0)
    torch.testing.assert_close(
        deviations["instance"], torch.full((12, 2), 1000.0), rtol=1e-3, atol=1e-3
    )
    ratio = deviations["none"][:, 0] / deviations["none"][:, 1]
    assert (ratio - 1).abs().median() > 0.05


def test_a_slower_generator_gives_the_records_rate() -> None:
    torch.manual_seed(0)
    generator = LeadGenerator(SMALL_MCMA, 500, 100, keep_given=False).eval()
    signal = torch.randn(2, 1, 5000) * 300
    at_100 = 1000 * generator.make(generator.input.decimate(signal) / 1000)
    expected = resample_poly(at_100.detach().double().numpy(), 5, 1, axis=-1)
    np.testing.assert_allclose(generator(signal).detach().numpy(), expected, atol=0.05)


def with_code(module: LeadUNet, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The image and the code that a double copy makes of images, (records, 16, samples)."""
    double = copy.deepcopy(module).double()
    kept: list[Tensor] = []
    double.down_norms[-1].register_forward_hook(lambda *given: kept.append(given[2]))
    last = double.up[-1]
    made: list[Tensor] = []
    last.register_forward_hook(lambda *given: made.append(given[2]))
    with torch.no_grad():
        double.with_code(torch.from_numpy(rows)[:, None])
    code = torch.nn.functional.leaky_relu(kept[0], 0.3)
    return made[0][:, 0].numpy(), code.numpy()


def logits_of(module: nn.Module, *rows: np.ndarray) -> np.ndarray:
    """The logits of a double copy of a discriminator."""
    double = copy.deepcopy(module).double()
    last = double.up[-1] if isinstance(double, SampleDiscriminator) else double.last
    found: list[Tensor] = []
    last.register_forward_hook(lambda *given: found.append(given[2]))
    with torch.no_grad():
        double(torch.from_numpy(np.stack(rows, axis=1)))
    return found[0].numpy()


def written_out(name: str, training: Any, real: np.ndarray, lead: np.ndarray) -> dict[str, float]:
    given_lead = real[np.arange(len(real)), lead]
    x, y = by_hand.copies(given_lead), by_hand.image(real)
    entropy = by_hand.cross_entropy
    if name == "cyclegan":

        def back(rows: np.ndarray) -> np.ndarray:
            return by_hand.copies(with_code(training.way_back, rows)[0][:, 2:14].mean(1))

        def there(rows: np.ndarray) -> np.ndarray:
            return with_code(training.generator, rows)[0]

        made, made_given = there(x), back(y)
        judged = {
            key: logits_of(module, rows)
            for key, module, rows in (
                ("y", training.of_leads, y), ("made y", training.of_leads, made),
                ("x", training.of_given, x), ("made x", training.of_given, made_given),
            )
        }  # fmt: skip
        return {
            "cycle": np.abs(back(made) - x).mean() + np.abs(there(made_given) - y).mean(),
            "identity": np.abs(there(y) - y).mean() + np.abs(back(x) - x).mean(),
            "adversarial": entropy(judged["made y"], 1) + entropy(judged["made x"], 1),
            "discriminator": 0.5 * (entropy(judged["y"], 1) + entropy(judged["made y"], 0))
            + 0.5 * (entropy(judged["x"], 1) + entropy(judged["made x"], 0)),
        }
    made, code = with_code(training.generator, x)
    of_real, of_made = (logits_of(training.discriminator, x, rows) for rows in (y, made))
    if getattr(training, "double_sigmoid", False):
        of_real, of_made = by_hand.logistic(of_real), by_hand.logistic(of_made)
    losses = {
        "signal": np.abs(made - y).mean(),
        "adversarial": entropy(of_made, 1),
        "discriminator": entropy(of_real, 1) + entropy(of_made, 0),
    }
    if name == "ekgan":
        label, label_code = with_code(training.label_generator, x)
        losses["code"] = np.abs(code - label_code).mean()
        losses["label"] = np.abs(label - x).mean()
    return losses


@pytest.mark.parametrize(
    ("name", "double"),
    [("ekgan", False), ("pix2pix", False), ("pix2pix", True), ("cyclegan", False)],
)
def test_losses_are_those_that_are_written_out(name: str, double: bool) -> None:
    training = small(name, double)
    real, lead = records(training)
    found = {key: float(loss.detach().mean()) for key, loss in training(real, lead).losses.items()}
    expected = written_out(name, training, real.double().numpy(), lead.numpy())
    assert found == pytest.approx(expected, rel=1e-4)
    assert all(value >= 0 for value in found.values())
    if double:
        # Probabilities that are taken for logits say little either way.
        assert 0.31 < found["adversarial"] < 0.70 and 1.0 < found["discriminator"] < 2.01


def test_mcmas_loss_is_the_squared_error_of_all_leads() -> None:
    training = small("mcma")
    real, lead = records(training)
    step = training(real, lead)
    expected = (step.made - real).square().mean(dim=(1, 2))
    torch.testing.assert_close(step.losses["signal"], expected)
    # One lead in its place: other leads of the record do not change what is made.
    other = real.clone()
    other[0, 1:] += 1
    assert torch.equal(training(other, lead).made[0], step.made[0])


NETWORKS = {
    "ekgan": {"generator": 0, "label_generator": 1, "discriminator": 2},
    "pix2pix": {"generator": 0, "discriminator": 2},
    "cyclegan": {"generator": 0, "way_back": 0, "of_leads": 2, "of_given": 2},
}
#: Losses of each of the kinds above.
KINDS = (
    ("signal", "adversarial", "code", "cycle", "identity"),
    ("label",),
    ("discriminator",),
)


def one_optimiser(training: GeneratorTraining, batches: list[Any]) -> None:
    optimiser = torch.optim.Adam(training.parameters(), 1e-3, betas=(0.5, 0.999))
    for real, lead in batches:
        losses = training(real, lead).losses
        optimiser.zero_grad()
        sum(training.weights[k] * loss.sum() for k, loss in losses.items()).backward()  # type: ignore[union-attr]
        optimiser.step()


def separate_losses(name: str, training: Any, real: Tensor, lead: Tensor) -> dict[str, Tensor]:
    """The losses as separate optimisers' authors take them: nothing is detached but the label
    generator's code and what the discriminators are shown."""
    x, y = as_image(copied(given_of(real, lead))), as_image(real)

    def told(module: nn.Module, *images: Tensor) -> Tensor:
        return module(torch.cat(images, dim=1))

    if name == "cyclegan":
        made, made_given = training.generator.image(x), training.back(y)
        there, back = training.generator.image(made_given), training.back(made)
        return {
            "cycle": each((back - x).abs()) + each((there - y).abs()),
            "identity": each((training.generator.image(y) - y).abs())
            + each((training.back(x) - x).abs()),
            "adversarial": each(softplus(-told(training.of_leads, made)))
            + each(softplus(-told(training.of_given, made_given))),
            "discriminator": sum(
                0.5 * each(softplus(-told(module, real_one)))
                + 0.5 * each(softplus(told(module, made_one.detach())))
                for module, real_one, made_one in (
                    (training.of_leads, y, made), (training.of_given, x, made_given),
                )
            ),
        }  # fmt: skip
    made, code = training.generator.with_code(x)
    losses = {
        "signal": each((made - y).abs()),
        "adversarial": each(softplus(-told(training.discriminator, x, made))),
        "discriminator": each(softplus(-told(training.discriminator, x, y)))
        + each(softplus(told(training.discriminator, x, made.detach()))),
    }
    if name == "ekgan":
        label, label_code = training.label_generator.with_code(x)
        losses["code"] = each((code - label_code.detach()).abs())
        losses["label"] = each((label - x).abs())
    return losses


def separate_optimisers(name: str, training: GeneratorTraining, batches: list[Any]) -> None:
    """A step of each: all gradients at the same weights, each network its own loss's alone."""
    networks = {key: getattr(training, key) for key in NETWORKS[name]}
    optimisers = {
        key: torch.optim.Adam(module.parameters(), 1e-3, betas=(0.5, 0.999))
        for key, module in networks.items()
    }
    for real, lead in batches:
        losses = separate_losses(name, training, real, lead)
        gradients = {}
        for key, kind in NETWORKS[name].items():
            own = sum(training.weights[k] * losses[k].sum() for k in KINDS[kind] if k in losses)
            parameters = list(networks[key].parameters())
            gradients[key] = torch.autograd.grad(own, parameters, retain_graph=True)  # type: ignore[arg-type]
        for key, optimiser in optimisers.items():
            for value, gradient in zip(networks[key].parameters(), gradients[key], strict=True):
                value.grad = gradient
            optimiser.step()


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_the_first_step_is_adams_by_hand(name: str) -> None:
    training = small(name)
    before = {key: value.detach().double() for key, value in training.named_parameters()}
    real, lead = records(training)
    losses = separate_losses(name, training, real, lead)
    expected = {}
    for key, kind in NETWORKS[name].items():
        own = sum(training.weights[k] * losses[k].sum() for k in KINDS[kind] if k in losses)
        named = dict(getattr(training, key).named_parameters(prefix=key))
        gradients = torch.autograd.grad(own, list(named.values()), retain_graph=True)  # type: ignore[arg-type]
        for part, gradient in zip(named, gradients, strict=True):
            # Both moments are corrected to the gradient itself and its square.
            of = gradient.double()
            expected[part] = before[part] - 1e-3 * of / (of.abs() + 1e-8)
    one_optimiser(training, [(real, lead)])
    for part, value in training.named_parameters():
        # Gradients near the 1e-8 of the denominator are roundings themselves.
        torch.testing.assert_close(value.double(), expected.pop(part), rtol=0, atol=2e-5, msg=part)
    assert not expected


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_one_optimiser_is_as_several_that_step_together(name: str) -> None:
    one, several = small(name), small(name)
    batches = [records(one, 3, seed) for seed in range(12)]
    before = copy.deepcopy(one.state_dict())
    one_optimiser(one, batches)
    separate_optimisers(name, several, batches)
    learned: Mapping[str, Tensor] = dict(one.named_parameters())
    for key, value in several.named_parameters():
        # Sums of the same terms in another order: float32 rounds them otherwise.
        torch.testing.assert_close(learned[key], value, rtol=0, atol=1e-6, msg=key)
        assert not torch.equal(learned[key], before[key]), key


@pytest.mark.parametrize("name", ["mcma", *sorted(NETWORKS)])
@pytest.mark.parametrize("cast", [False, True])
def test_bfloat16_is_close_as_autocast_and_as_weights(name: str, cast: bool) -> None:
    whole, reduced = small(name), small(name)
    real, lead = records(whole)
    expected = {key: loss.mean().item() for key, loss in whole(real, lead).losses.items()}
    if cast:
        reduced.bfloat16()
    with torch.autocast("cpu", torch.bfloat16, enabled=not cast):
        step = reduced(real, lead)
    found = {key: loss.mean().item() for key, loss in step.losses.items()}
    assert step.made.dtype == torch.float32 and found != expected
    assert found == pytest.approx(expected, rel=0.1, abs=0.02)
    torch.stack([loss.sum() for loss in step.losses.values()]).sum().backward()
    assert all(value.grad.isfinite().all() for value in reduced.parameters())  # type: ignore[union-attr]


def test_a_linear_map_is_found_and_applied() -> None:
    leads = np.random.default_rng(0).normal(size=(4, 12, 200))
    wide = np.pad(leads[:, 0], ((0, 0), (1, 1)), mode="edge")
    before, here, behind = wide[:, :-2], wide[:, 1:-1], wide[:, 2:]
    leads[:, 3] = 0.5 - 2 * here + 3 * (behind - before) / 2 + (before - 2 * here + behind)
    signals = torch.from_numpy(leads)
    coefficients = fit_linear(signals, 0)
    np.testing.assert_allclose(coefficients[3], [0.5, -2, 3, 1], atol=1e-9)
    network = build_generator(LinearLeadsShape()).double()
    network.coefficients.copy_(torch.from_numpy(coefficients))
    made = network(signals[:, 0], torch.zeros(4, dtype=torch.int64)).numpy()
    for row in (0, 3):
        np.testing.assert_allclose(made[:, row], leads[:, row], atol=1e-9)


def test_mean_beats_stand_where_the_studies_put_them() -> None:
    rng = np.random.default_rng(0)
    time = np.arange(1000) / 100
    leads = np.zeros((5, 12, 1000), dtype=np.float32)
    for record in leads:
        beats = np.arange(rng.uniform(0.3, 0.6), 9.8, rng.uniform(0.6, 1.1))
        wave = np.exp(-0.5 * ((time[:, None] - beats) / 0.02) ** 2).sum(1)
        record[:] = rng.normal(0.8, 0.1, (12, 1)) * wave
    peaks = [given_peaks(torch.from_numpy(part[:, 0]), 100) for part in (leads[:3], leads[3:])]
    network = build_generator(MeanBeatShape(70, 100.0))
    network.beat.copy_(torch.from_numpy(mean_beat(leads[:3], peaks[0], 100)))
    made = network(torch.from_numpy(leads[3:, 0]), torch.zeros(2, dtype=torch.int64))
    expected = mean_beat_at_peaks(leads[:3], peaks[0], peaks[1], 100)
    np.testing.assert_allclose(made.numpy(), expected, atol=1e-6)
    assert np.corrcoef(expected[:, 6].ravel(), leads[3:, 6].ravel())[0, 1] > 0.9


def test_images_have_the_leads_in_their_middle() -> None:
    leads = torch.randn(2, len(STANDARD_LEADS), 5)
    image = as_image(leads)
    assert image.shape == (2, 1, 16, 5) and not image[:, :, [0, 1, 14, 15]].any()
    assert torch.equal(of_leads(image), leads)
