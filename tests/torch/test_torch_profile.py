"""Profiles of a network: exact counts per layer, whatever the batches."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch_cases import CONVERTERS, hardware, inputs

from crossohm.torch import from_torch, profile


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(2)
    return nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.ReLU(), nn.Flatten(1), nn.Linear(48, 5)).double()


def test_every_conversion_is_counted(network):
    params = hardware(CONVERTERS, {"core.rows_max": 12, "xbar.adc.mvm.calibrated_range": [-1, 1]})
    analog = from_torch(network, params, seed=1)
    x = inputs((4, 2, 4, 4))
    with profile(analog) as seen:
        together = analog(x)
    with profile(analog, bins=4096) as again:
        torch.cat([analog(part) for part in x.split(3)])
    assert list(seen) == ["0", "3"]
    assert {key: h.total for key, h in seen["0"].adc.items()} == {("mvm", part, 0): 4 * 3 * 16 for part in range(2)}
    assert {key: h.total for key, h in seen["3"].adc.items()} == {("mvm", part, 0): 4 * 5 for part in range(4)}
    assert seen["3"].inputs["mvm"].total == 4 * 48
    for name in seen:
        for key, histogram in seen[name].adc.items():
            assert (histogram.counts == again[name].adc[key].counts).all()
    assert torch.equal(analog(x), together)


def test_recorded_currents_are_those_of_the_arrays(network):
    analog = from_torch(network[3:], hardware(), seed=1)
    x = inputs((6, 48))
    with profile(analog) as seen:
        analog(x)
    histogram = seen["3"].adc["mvm", 0, 0]
    products = nn.functional.linear(x, analog[0].weight) / analog[0].weight.abs().max()
    span = analog[0].params.xbar.device.Grange_norm
    assert histogram.high == pytest.approx(products.max().item() * span, rel=1e-9)
    assert histogram.low == pytest.approx(products.min().item() * span, rel=1e-9)


def test_sequences_are_recorded_like_batches(network):
    analog = from_torch(network[3], hardware(), seed=1)
    with profile(analog) as seen:
        analog(inputs((2, 7, 48)))
    assert seen[""].adc["mvm", 0, 0].total == 2 * 7 * 5


def test_nothing_is_recorded_outside_the_block(network):
    analog = from_torch(network, hardware(), seed=1)
    with profile(analog) as seen:
        pass
    analog(inputs((1, 2, 4, 4)))
    assert not any(record.adc or record.inputs for record in seen.values())


@pytest.mark.parametrize("per_bit", [False, True])
@pytest.mark.parametrize("slices", [1, 3])
def test_slices_and_input_bits_are_counted(network, slices, per_bit):
    """A conversion per weight slice, partition and, with an ADC behind every input bit, magnitude bit of the input."""
    params = hardware(
        CONVERTERS,
        {"core.rows_max": 12, "xbar.dac.mvm.bits": 5, "xbar.dac.mvm.input_bitslicing": True},
        {"xbar.adc.mvm.adc_per_ibit": per_bit, "xbar.adc.mvm.adc_range_option": "MAX"},
        {"core.style": "BITSLICED", "core.weight_bits": 7, "core.bit_sliced.num_slices": 3} if slices > 1 else {},
    )
    analog = from_torch(network, params, seed=1)
    x, bits = inputs((5, 2, 4, 4)), 4 if per_bit else 1
    for split in (5, 2):
        with profile(analog) as seen:
            for part in x.split(split):
                analog(part)
        for name, partitions, outputs in (("0", 2, 3 * 16), ("3", 4, 5)):
            counts = {key: histogram.total for key, histogram in seen[name].adc.items()}
            assert counts == {
                ("mvm", part, slice_): 5 * outputs * bits for part in range(partitions) for slice_ in range(slices)
            }
        assert seen["3"].inputs["mvm"].total == 5 * 48
