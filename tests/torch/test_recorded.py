"""Values and conductances of a whole network, as CrossSim's calibration scripts want them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from crossohm import AnalogCore, CrossSimParameters, UnsupportedError  # noqa: E402
from crossohm.torch import (  # noqa: E402
    AnalogLayer,
    analog_modules,
    from_torch,
    get_conductance_matrices,
    get_profiled_adc_inputs,
    get_profiled_xbar_inputs,
    profile,
)

SLICED_DAC = {"model": "SignMagnitudeDAC", "bits": 4, "input_bitslicing": True}
ADC = {"model": "QuantizerADC", "bits": 8, "adc_range_option": "MAX"}
HARDWARE: dict[str, dict[str, Any]] = {
    "balanced": {},
    "signs apart": {"core.balanced.subtract_current_in_xbar": False},
    "offset": {"core.style": "OFFSET"},
    "unit column": {"core.style": "OFFSET", "core.offset.style": "UNIT_COLUMN_SUBTRACTION"},
    "bit slices": {"core.style": "BITSLICED", "core.weight_bits": 7, "core.bit_sliced.num_slices": 3},
    "bit slices, signs apart": {
        "core.style": "BITSLICED", "core.weight_bits": 7, "core.bit_sliced.num_slices": 3,
        "core.balanced.subtract_current_in_xbar": False,
    },
    "offset slices": {"core.style": "BITSLICED", "core.weight_bits": 6, "core.bit_sliced.style": "OFFSET"},
    "partitions": {"core.rows_max": 7, "core.cols_max": 2},
    "input slices": {"xbar.dac.mvm": SLICED_DAC, "xbar.adc.mvm": {"adc_per_ibit": True}},
    "input slices, converted": {"xbar.dac.mvm": SLICED_DAC, "xbar.adc.mvm": {**ADC, "adc_per_ibit": True}},
    "input slices, summed": {"xbar.dac.mvm": SLICED_DAC, "xbar.adc.mvm": ADC},
    "errors": {
        "xbar.device.programming_error": {"enable": True, "model": "NormalProportionalDevice", "magnitude": 0.1},
    },
}  # fmt: skip


class Recurrent(nn.Module):
    """Two layers of two kinds; the first has several matrices."""

    def __init__(self) -> None:
        super().__init__()
        self.memory = nn.LSTM(3, 4, num_layers=2, batch_first=True)
        self.head = nn.Linear(4, 2)

    def forward(self, x: Any) -> Any:
        return self.head(self.memory(x)[0][:, -1])


def convolutional() -> nn.Module:
    return nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(3 * 16, 5))


NETWORKS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "convolutional": (convolutional, (2, 4, 4)),
    "recurrent": (Recurrent, (5, 3)),
}


@pytest.fixture(params=NETWORKS)
def network(request: pytest.FixtureRequest) -> tuple[nn.Module, Any]:
    """A network and two batches for it."""
    kind, shape = NETWORKS[request.param]
    torch.manual_seed(0)
    return kind().eval(), (torch.rand(6, *shape), torch.rand(2, *shape))


def analog(model: nn.Module, settings: dict[str, Any], dtype: Any = torch.float32) -> Any:
    params = CrossSimParameters()
    params.update({"core.mapping.inputs.mvm.percentile": 1.0, "core.mapping.inputs.mvm.percentile_scope": "vector"})
    params.update(settings)
    return from_torch(model.to(dtype), params, seed=3)


@pytest.mark.parametrize("name", HARDWARE)
def test_values_are_those_whose_histograms_a_profile_has(name: str, network: tuple[nn.Module, Any]) -> None:
    digital, batches = network
    model = analog(digital, HARDWARE[name])
    inputs, currents = get_profiled_xbar_inputs(model, batches), get_profiled_adc_inputs(model, batches)
    with profile(model) as seen, torch.no_grad():
        for batch in batches:
            model(batch)
    layers = analog_modules(model)
    assert len(inputs) == len(currents) == len(layers)
    core = model.get_submodule(layers[0].name).matrices[0].core.params.core
    slices = core.bit_sliced.num_slices if core.style.name == "BITSLICED" else 1
    for layer, values, found in zip(layers, inputs, currents, strict=True):
        records = [record for key, record in seen.items() if key.startswith(layer.name)]
        assert len(records) == len(layer.matrices)
        assert values.shape == (sum(record.inputs["mvm"].total for record in records),)
        assert values.max() == pytest.approx(max(record.inputs["mvm"].high for record in records))
        planes = 1 + max(key.plane for record in records for key in record.conversions)
        assert planes == (3 if "adc_per_ibit" in str(HARDWARE[name]) else 1)
        by_slice = [[record.adc_slices(slices=slices)[index] for record in records] for index in range(slices)]
        total = sum(histogram.total for histogram in by_slice[0])
        assert found.shape == ((slices,) if core.style.name == "BITSLICED" else ()) + (planes, total // planes)
        for index, histograms in enumerate(by_slice):
            of_slice = found[index] if core.style.name == "BITSLICED" else found
            assert of_slice.min() == pytest.approx(min(histogram.low for histogram in histograms), abs=1e-9)
            assert of_slice.max() == pytest.approx(max(histogram.high for histogram in histograms), abs=1e-9)


def test_inputs_are_the_data_without_bias_columns() -> None:
    torch.manual_seed(0)
    x = torch.randn(4, 2, 4, 4, dtype=torch.float64)
    model = from_torch(convolutional().double(), bias_rows=[0, 1], seed=1)
    first, second = get_profiled_xbar_inputs(model, x)
    padded = np.pad(x.numpy(), [(0, 0), (0, 0), (1, 1), (1, 1)])
    np.testing.assert_array_equal(first, padded.ravel())
    hidden = torch.relu(model[0](x)).flatten(1).detach()
    np.testing.assert_allclose(second, hidden.numpy().ravel(), rtol=1e-10)


def test_currents_times_the_scale_are_the_outputs() -> None:
    layer = from_torch(nn.Linear(5, 3, bias=False, dtype=torch.float64), seed=1)
    x = torch.rand(7, 5, dtype=torch.float64)
    (currents,) = get_profiled_adc_inputs(layer, x)
    scale = 1 - layer.core.params.xbar.device.Gmin_norm
    expected = layer(x).detach().numpy() / layer.core.max * scale
    np.testing.assert_allclose(np.sort(currents.ravel()), np.sort(expected.ravel()), rtol=1e-10)


@pytest.mark.parametrize("function", [get_profiled_xbar_inputs, get_profiled_adc_inputs])
def test_a_run_without_inputs_is_answered_with_what_replaces_it(function: Any) -> None:
    with pytest.raises(UnsupportedError, match=rf"{function.__name__}\(model, images\).*crossohm\.torch\.profile"):
        function(from_torch(nn.Linear(2, 2), seed=1))


@pytest.mark.parametrize("name", HARDWARE)
def test_conductances_decode_to_the_matrix(name: str, network: tuple[nn.Module, Any]) -> None:
    model = analog(network[0], HARDWARE[name], torch.float64)
    entries = get_conductance_matrices(model)
    matrices = [matrix for layer in analog_modules(model) for matrix in layer.matrices]
    assert len(entries) == len(matrices)
    for entry, matrix in zip(entries, matrices, strict=True):
        core = matrix.core
        style = core.params.core.style.name
        assert entry["core_style"] == style
        assert entry["bitsliced_core_style"] == (
            core.params.core.bit_sliced.style.name if style == "BITSLICED" else "NONE"
        )
        parts = [part if style == "BITSLICED" else [part] for part in entry["Gmats"]]
        assert len(parts) == core.Ncores
        assert all(len(part) == entry["num_slices"] for part in parts)
        held = {(array.partition, array.slice, array.sign): array.conductance for array in core.arrays}
        extra = 1 if name == "unit column" else 0
        for index, part in enumerate(parts):
            place = divmod(index, core.num_cores_col)
            for slice_, signs in enumerate(part):
                for key, sign in (("Gmat_pos", "+"), ("Gmat_neg", "-"), ("Gmat", "")):
                    if key in signs:
                        np.testing.assert_array_equal(signs[key][extra:], held.pop((place, slice_, sign)))
        assert not held
        if extra:
            units = [part[0]["Gmat"][0] for part in parts]
            np.testing.assert_array_equal(units[0], core.blocks[0].record.units["mvm"][0, 0])


def test_conductances_are_copies() -> None:
    layer: AnalogLayer = from_torch(nn.Linear(2, 2), seed=1)
    before = layer.get_matrix().clone()
    for entry in get_conductance_matrices(layer):
        entry["Gmats"][0]["Gmat_pos"] *= 0
    assert torch.equal(layer.get_matrix(), before)


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("cores", "core.arrays"), ("_matmat", "core.matmat"), ("_matvec", "core.matvec"),
        ("adc", "core.params.xbar.adc"), ("dac", "core.params.xbar.dac"), ("core_pos", "core.arrays"),
        ("mat_multivec", "core @ X"), ("adc_inputs", r"core.profile\(\)"),
    ],
)  # fmt: skip
def test_attributes_of_crosssims_cores_are_answered_with_what_replaces_them(name: str, instead: str) -> None:
    core = AnalogCore(np.eye(3))
    with pytest.raises(AttributeError, match=rf"no attribute '{name}'; use {instead}"):
        getattr(core, name)
    assert not hasattr(core, name)
    with pytest.raises(AttributeError, match=r"no attribute 'nonsense'$"):
        core.nonsense  # noqa: B018
