"""The layer contract for the analog layers of Flax."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from flax_cases import EMPTY, numbered

from crossohm.errors import ParameterError, ShapeError, UnsupportedError
from crossohm.flax import (
    AnalogConv,
    AnalogEinsum,
    AnalogGRUCell,
    AnalogLinear,
    AnalogLinearGeneral,
    AnalogLSTMCell,
    AnalogOptimizedLSTMCell,
    AnalogSimpleCell,
)
from crossohm.flax.harness import FlaxHarness
from crossohm.testing.hardware import CONVERTERS, hardware
from crossohm.testing.layer import LayerContract


@pytest.fixture(autouse=True)
def _double_precision() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


class FlaxContract(LayerContract):
    """The contract without resistance-aware training, which Flax' layers do not have.

    A class says which of its tests are ``brief``; the others run with the slow ones (see conftest.py), as JAX compiles
    for every shape.
    """

    brief: ClassVar[tuple[str, ...]] = (
        "test_ideal_hardware_computes_the_digital_layer[4]",
        "test_ideal_gradients_are_those_of_the_digital_layer[2-programmed]",
        "test_reading_back_gives_the_parameters",
        "test_a_changed_parameter_writes_only_where_it_lies",
    )
    gradients = ("programmed", "chain")

    @pytest.fixture(autouse=True)
    def _cores_of_its_own(self, request: pytest.FixtureRequest) -> None:
        """Functions that other tests compiled keep their arrays alive, under the same name."""
        self.choices = {**type(self).choices, "core_name": f"{type(self).__name__}.{request.node.name}"}


class TestAnalogLinear(FlaxContract):
    brief = (
        "test_ideal_hardware_computes_the_digital_layer[1]",
        "test_every_dtype_is_kept_and_as_exact_as_it_can_be[bfloat16]",
        "test_every_mapping_computes_the_digital_layer[offset]",
        "test_whole_numbers_survive_slicing[sliced-balanced]",
        "test_ideal_gradients_are_those_of_the_digital_layer[0-chain]",
        "test_gradients_use_the_weights_that_the_arrays_hold",
        "test_every_change_of_a_parameter_reaches_the_arrays[2]",
        "test_the_error_policy_names_the_parameter",
        "test_the_manual_policy_leaves_the_arrays_to_the_user",
        "test_a_seed_is_a_chip_and_the_same_one_in_numpy",
        "test_copies_hold_the_same_chip",
        "test_conversion_back_is_exact",
        "test_one_description_per_array_changes_only_its_block",
    )
    harness = FlaxHarness(AnalogLinear)
    shapes = ((2, 4, 5),)

    def digital(self, dtype: str) -> Any:
        return _with_numbers(nnx.Linear, 5, 3, param_dtype=dtype)


class TestAnalogConv(FlaxContract):
    """Groups with arrays of their own; tests/flax/test_flax_conv.py has the other geometries."""

    harness = FlaxHarness(AnalogConv)
    shapes = ((2, 7, 4),)
    choices: ClassVar[Mapping[str, Any]] = {"grouping": "per_group"}

    def digital(self, dtype: str) -> Any:
        steps = {"strides": 2, "kernel_dilation": 2, "feature_group_count": 2}
        return _with_numbers(nnx.Conv, 4, 4, 3, **steps, param_dtype=dtype)


class TestAnalogLinearGeneral(FlaxContract):
    """A matrix for each index of a batch axis."""

    brief = (
        "test_ideal_hardware_computes_the_digital_layer[4]",
        "test_ideal_gradients_are_those_of_the_digital_layer[0-chain]",
        "test_a_changed_parameter_writes_only_where_it_lies",
        "test_the_chip_travels_with_the_state",
        "test_conversion_back_is_exact",
    )
    harness = FlaxHarness(AnalogLinearGeneral)
    shapes = ((2, 3, 4, 2),)

    def digital(self, dtype: str) -> Any:
        axes = {"axis": (-1, 1), "batch_axis": {0: 2}}
        return _with_numbers(nnx.LinearGeneral, (3, 2), (2, 2), **axes, param_dtype=dtype)


class TestAnalogEinsum(FlaxContract):
    harness = FlaxHarness(AnalogEinsum)
    shapes = ((2, 3, 2, 2),)

    def digital(self, dtype: str) -> Any:
        return _with_numbers(nnx.Einsum, "...tab,hbca->...hct", (2, 2, 3, 2), (2, 3), param_dtype=dtype)


class CellContract(FlaxContract):
    """Cells: state first, then inputs."""

    cell: Any
    shapes = ((2, 3), (2, 2))
    rounding = 2.0

    def digital(self, dtype: str) -> Any:
        zeros = {"recurrent_kernel_init": nnx.initializers.zeros}
        return _with_numbers(self.cell, 2, 3, dtype=jnp.dtype(dtype), param_dtype=dtype, **zeros)


class TestAnalogSimpleCell(CellContract):
    brief = ("test_ideal_hardware_computes_the_digital_layer[4]", "test_reading_back_gives_the_parameters")
    harness, cell = FlaxHarness(AnalogSimpleCell), nnx.SimpleCell


class TestAnalogGRUCell(CellContract):
    harness, cell = FlaxHarness(AnalogGRUCell), nnx.GRUCell


class MemoryContract(CellContract):
    shapes = ((2, 3), (2, 3), (2, 2))

    def call(self, layer: Any, inputs: Any) -> Any:
        memory, hidden, x = inputs
        return layer((memory, hidden), x)


class TestAnalogLSTMCell(MemoryContract):
    harness, cell = FlaxHarness(AnalogLSTMCell), nnx.LSTMCell


class TestAnalogOptimizedLSTMCell(MemoryContract):
    brief = ("test_ideal_hardware_computes_the_digital_layer[4]", "test_reading_back_gives_the_parameters")
    harness, cell = FlaxHarness(AnalogOptimizedLSTMCell), nnx.OptimizedLSTMCell


def _with_numbers(kind: Any, *sizes: Any, param_dtype: str, **choices: Any) -> Any:
    return numbered(kind(*sizes, **choices, **EMPTY, param_dtype=jnp.dtype(param_dtype), rngs=nnx.Rngs(0)))


def test_wires_and_ways_to_compute_the_product_are_refused_at_once() -> None:
    plain = nnx.Linear(3, 2, rngs=nnx.Rngs(0))
    with pytest.raises(UnsupportedError, match="gradient = 'wires'"):
        AnalogLinear.from_flax(plain, gradient="wires", rngs=nnx.Rngs(0))
    with pytest.raises(UnsupportedError, match="leave precision out"):
        AnalogLinear.from_flax(nnx.Linear(3, 2, precision="high", rngs=nnx.Rngs(0)), rngs=nnx.Rngs(0))
    with pytest.raises(ParameterError, match="Linear"):
        AnalogLinear.from_flax(nnx.Conv(3, 2, 1, rngs=nnx.Rngs(0)), rngs=nnx.Rngs(0))


def test_a_state_with_other_bias_rows_is_used_by_the_first_call() -> None:
    analog, twin = (
        AnalogLinear(5, 3, bias_rows=rows, seed=1, core_name=f"rows-{rows}", rngs=nnx.Rngs(0)) for rows in (2, 0)
    )
    analog.bias.set_value(jnp.ones(3, analog.bias.get_value().dtype))
    x = np.ones((2, 5), "float32")
    answers = analog(x)
    nnx.update(twin, nnx.state(analog, nnx.Not(nnx.RngState)))
    run = nnx.jit(lambda layer, x: layer(x))
    with pytest.raises(UnsupportedError, match=r"AnalogLinear 'rows-0' .*bias rows.*get_matrix\(\)"):
        run(twin, x)
    np.testing.assert_array_equal(twin(x), answers)
    np.testing.assert_allclose(run(twin, x), answers, rtol=1e-6)


def test_a_state_on_other_hardware_of_the_same_shape_is_no_wrong_answer_in_a_compiled_function() -> None:
    analog, twin = (
        AnalogLinear(5, 3, params=hardware(given), seed=1, core_name="other", rngs=nnx.Rngs(0))
        for given in (CONVERTERS, {})
    )
    run = nnx.jit(lambda layer, x: layer(x))
    x = np.ones((2, 5), "float32")
    run(twin, x)
    nnx.update(twin, nnx.state(analog, nnx.Not(nnx.RngState)))
    with pytest.raises((UnsupportedError, jax.errors.JaxRuntimeError), match="multiply in another way"):
        run(twin, x)
    np.testing.assert_array_equal(twin.get_matrix(), analog.get_matrix())
    np.testing.assert_allclose(run(twin, x), analog(x), rtol=1e-6)


def test_inputs_with_another_number_of_features_are_refused() -> None:
    analog = AnalogLinear(6, 3, seed=1, core_name="features", rngs=nnx.Rngs(0))
    with pytest.raises(ShapeError, match=r"shape \(2, 3\) does not fit AnalogLinear\(in_features=6\)"):
        analog(jnp.ones((2, 3)))
