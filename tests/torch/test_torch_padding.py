"""Zero padding is left to torch's convolution where zeros drive nothing, and done before the converters elsewhere."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from crossohm import CrossSimParameters
from crossohm.torch import from_torch

ADC = {"xbar.adc.mvm.model": "QuantizerADC", "xbar.adc.mvm.bits": 8, "xbar.adc.mvm.adc_range_option": "MAX"}
UNSIGNED = {
    "core.mapping.inputs.mvm.min": 0.0,
    "xbar.dac.mvm.model": "QuantizerDAC",
    "xbar.dac.mvm.signed": False,
    "xbar.dac.mvm.bits": 6,
}
SIGNED = {"xbar.dac.mvm.model": "QuantizerDAC", "xbar.dac.mvm.bits": 6}
MAGNITUDE = {"xbar.dac.mvm.model": "SignMagnitudeDAC", "xbar.dac.mvm.bits": 6}
FROM_DATA = MAGNITUDE | {"core.mapping.inputs.mvm.percentile": 0.9, "core.mapping.inputs.mvm.min": None}
SHIFTED = {"core.mapping.inputs.mvm.min": 0.25, "core.mapping.inputs.mvm.clipping": True}
PLANES = UNSIGNED | {"xbar.dac.mvm.input_bitslicing": True, "xbar.adc.mvm.adc_per_ibit": True}
NATIVE: dict[str, dict[str, Any]] = {"ideal": {}, "unsigned": UNSIGNED, "magnitude": MAGNITUDE, "planes": PLANES}
EXPLICIT: dict[str, dict[str, Any]] = {"signed": SIGNED, "from data": FROM_DATA, "shifted": SHIFTED}


def layers(overrides: dict[str, Any], bias_rows: int = 0, groups: int = 1) -> tuple[Any, Any]:
    """The same chip with and without padding of its own."""
    params = CrossSimParameters()
    params.update(ADC | overrides)
    torch.manual_seed(3)
    padded = nn.Conv2d(4, 6, 3, stride=2, padding=(1, 2), groups=groups, dtype=torch.float64)
    bare = nn.Conv2d(4, 6, 3, stride=2, groups=groups, dtype=torch.float64)
    bare.load_state_dict(padded.state_dict())
    return from_torch(padded, params, bias_rows, seed=1), from_torch(bare, params, bias_rows, seed=1)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("bias_rows", [0, 2])
@pytest.mark.parametrize("case", NATIVE | EXPLICIT)
def test_padding_equals_padded_inputs(case: str, bias_rows: int, groups: int) -> None:
    padded, bare = layers((NATIVE | EXPLICIT)[case], bias_rows, groups)
    x = torch.rand(3, 4, 7, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1), requires_grad=True)
    found, expected = padded(x), bare(F.pad(x, (2, 2, 1, 1)))
    torch.testing.assert_close(found, expected)
    weights = torch.linspace(-1, 1, found.numel(), dtype=found.dtype).reshape(found.shape)
    sources = [(x, x), (padded.weight, bare.weight)]
    for own, other in sources:
        (first,) = torch.autograd.grad((found * weights).sum(), own, retain_graph=True)
        (second,) = torch.autograd.grad((expected * weights).sum(), other, retain_graph=True)
        torch.testing.assert_close(first, second)


@pytest.mark.parametrize("case", NATIVE | EXPLICIT)
def test_who_pads(case: str) -> None:
    layer, _ = layers((NATIVE | EXPLICIT)[case])
    assert layer.core.ignores_zeros == (case in NATIVE)


def test_a_profile_sees_the_margin() -> None:
    layer, bare = layers(UNSIGNED)
    x = torch.rand(2, 4, 5, 5, dtype=torch.float64)
    with layer.core.profile() as seen, bare.core.profile() as expected:
        layer(x)
        bare(F.pad(x, (2, 2, 1, 1)))
    assert seen.inputs["mvm"].total == expected.inputs["mvm"].total
