"""The contract every analog layer keeps, in every framework, as tests to inherit.

In a test file of your own package::

    import torch
    from crossohm.testing.layer import LayerContract
    from crossohm.torch.harness import TorchHarness

    class TestAnalogPair(LayerContract):
        harness = TorchHarness()
        shapes = ((5, 3),)

        def digital(self, dtype):
            return Pair().to(getattr(torch, dtype))

The layer's parameters are taken as `digital` returns them; give them numbers other than zero. `make` converts it as
users do, and needs an override only where that takes more than a call of ``from_*``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol

import numpy as np
import pytest

from crossohm import AnalogCore, CrossSimParameters
from crossohm.backends import backend_of
from crossohm.errors import StaleArraysError
from crossohm.testing.hardware import (
    APART,
    CONVERTERS,
    EXACT_RANGE,
    FULL_CODE,
    PLAIN,
    PROGRAMMING_ERROR,
    PROPORTIONAL_ERROR,
    SLICED,
    STYLES,
    hardware,
)

#: Cuts inside channels, and between the data and the bias columns.
SMALL_ARRAYS = {"core.rows_max": 7, "core.cols_max": 2}
#: Largest relative deviation from the digital layer in double precision, and that of gradients.
ROUNDING, GRADIENT_ROUNDING = 1e-12, 1e-11
#: Largest relative deviation of one product from the exact one, by dtype.
PRECISION = {"float32": 1e-5, "float16": 1e-3, "bfloat16": 8e-3}


class Harness(Protocol):
    """A framework as the contract sees it: NumPy arrays go in; layers and results are the framework's own."""

    def array(self, values: np.ndarray, dtype: str) -> Any:
        """Numbers as an array of the framework."""

    def arrays(self, result: Any) -> list[Any]:
        """All arrays that a layer returned."""

    def analog(self, layer: Any, params: Any, bias_rows: int, *, seed: int, **choices: Any) -> Any:
        """The layer on hardware, its own parameters left alone."""

    def digital(self, layer: Any, physical_weights: bool = False) -> Any:
        """The plain layer again."""

    def parameters(self, layer: Any) -> dict[str, np.ndarray]:
        """Its parameters, by name, in order of definition."""

    def assign(self, layer: Any, values: Mapping[str, np.ndarray]) -> None:
        """Give parameters other values behind the layer's back, in whatever way the framework has to do that."""

    def gradients(self, layer: Any, inputs: Sequence[Any], call: Any) -> list[np.ndarray | None]:
        """Gradients of the inputs, then of all parameters.

        Of the sum of all numbers that ``call(layer, inputs)`` returns, each array weighted with numbers from -1 to 1.
        """

    def copies(self, layer: Any) -> dict[str, Any]:
        """Copies of an analog layer, by the way they were made."""

    def hand_over(self, source: Any, target: Any) -> None:
        """Give the saved state of one layer, chip included, to another of the same kind."""


def numbers(value: Any) -> np.ndarray:
    """A copy of any framework's array in NumPy, double precision."""
    return np.array(backend_of(value).to_numpy(value), dtype=np.float64)


def deviation(found: Any, expected: Any) -> float:
    """Largest difference, relative to the largest expected number; absolute where all of these are small."""
    ours, theirs = numbers(found), numbers(expected)
    assert ours.shape == theirs.shape, f"shape {ours.shape} instead of {theirs.shape}"
    if not theirs.size:
        return 0.0
    return float(np.abs(ours - theirs).max() / max(float(np.abs(theirs).max()), 1e-3))


class LayerContract:
    """Tests inherited by the tests of one layer kind: override `harness`, `shapes` and `digital`.

    Attributes:
        harness: The framework.
        shapes: Shapes of the inputs.
        choices: Arguments of the conversion that only this kind has.
        rounding: Rounding errors of its outputs, in units of those of one product.
        dtypes: Dtypes that the digital layer computes in.
        gradients: Rules of `gradient` that the front end has.
        has_bias: False if the layer has no bias that `make` could store in the arrays.
    """

    harness: Harness
    shapes: tuple[tuple[int, ...], ...] = ()
    choices: Mapping[str, Any] = {}
    rounding: float = 1.0
    dtypes: ClassVar[tuple[str, ...]] = ("float32", "float16", "bfloat16")
    gradients: ClassVar[tuple[str, ...]] = ("programmed", "chain", "wires")

    # --- what a kind supplies -----------------------------------------------------------------------------------------

    def digital(self, dtype: str) -> Any:
        """The plain layer with the same fixed weights in every call."""
        raise NotImplementedError("override digital(dtype) so that it returns the framework's own layer")

    def make(self, params: Any, bias_rows: int = 0, *, seed: int = 1, dtype: str = "float64") -> Any:
        """The same layer on hardware."""
        return self.harness.analog(self.digital(dtype), params, bias_rows, seed=seed, **self.choices)

    def inputs(self, dtype: str = "float64") -> list[Any]:
        """Numbers in -1..1, the default input range."""
        rng = np.random.default_rng(4)
        return [self.harness.array(rng.uniform(-1, 1, shape), dtype) for shape in self.shapes]

    def call(self, layer: Any, inputs: Sequence[Any]) -> Any:
        """What the layer returns."""
        return layer(*inputs)

    # --- helpers ------------------------------------------------------------------------------------------------------

    def outputs(self, layer: Any, dtype: str = "float64", scale: float = 1.0) -> list[Any]:
        """All arrays the layer returns for `inputs`, times ``scale``."""
        return self.harness.arrays(self.call(layer, [scale * x for x in self.inputs(dtype)]))

    def assert_same_outputs(
        self, found: Any, expected: Any, tolerance: float, dtype: str = "float64", scale: float = 1.0
    ) -> None:
        """Two layers answer alike."""
        for ours, theirs in zip(self.outputs(found, dtype, scale), self.outputs(expected, dtype, scale), strict=True):
            assert backend_of(ours).dtype_name(ours) == dtype
            assert deviation(ours, theirs) <= tolerance

    def assert_same_chip(self, found: Any, expected: Any) -> None:
        """Two layers hold the same conductances and answer bit for bit alike."""
        for one, other in zip(found.matrices, expected.matrices, strict=True):
            for ours, theirs in zip(one.core.arrays, other.core.arrays, strict=True):
                assert ours.name == theirs.name
                np.testing.assert_array_equal(ours.conductance, theirs.conductance)
        self.assert_same_outputs(found, expected, 0.0)

    def _in_pieces(self, bias_rows: int) -> list[CrossSimParameters]:
        """For each matrix, arrays of a size that cuts it into 3 pieces along its columns and 2 along its rows."""
        found = []
        for matrix in self.make(hardware(), bias_rows).matrices:
            rows, columns = matrix.core.shape
            found.append(hardware({"core.rows_max": -(-columns // 3), "core.cols_max": -(-rows // 2)}))
        return found

    def _per_array(self, bias_rows: int) -> list[list[CrossSimParameters]]:
        """For each matrix of a layer cut into pieces, a description per array."""
        each = self._in_pieces(bias_rows)
        cut = self.make([[params] for params in each], bias_rows)
        counts = [matrix.core.Ncores for matrix in cut.matrices]
        return [[params.copy() for _ in range(count)] for params, count in zip(each, counts, strict=True)]

    def _changed(self, layer: Any, name: str, factor: float = 0.9) -> None:
        self.harness.assign(layer, {name: factor * self.harness.parameters(layer)[name]})

    # --- ideal hardware is the digital layer --------------------------------------------------------------------------

    @pytest.mark.parametrize("bias_rows", [0, 1, 4])
    def test_ideal_hardware_computes_the_digital_layer(self, bias_rows: int) -> None:
        """Whole and cut into pieces, biases digital or in the arrays."""
        whole = self.make(hardware(), bias_rows)
        cut = self.make([[params] for params in self._in_pieces(bias_rows)], bias_rows)
        for ours, theirs in zip(cut.matrices, whole.matrices, strict=True):
            assert theirs.core.num_cores_col == 1
            assert ours.core.num_cores_col > 1 or ours.core.shape[1] == 1
        for analog in (whole, cut):
            self.assert_same_outputs(analog, self.digital("float64"), ROUNDING)

    @pytest.mark.parametrize("dtype", PRECISION)
    def test_every_dtype_is_kept_and_as_exact_as_it_can_be(self, dtype: str) -> None:
        """The exact result is that of the digital layer in double precision, of the same rounded numbers."""
        if dtype not in self.dtypes:
            pytest.skip(f"the digital layer does not compute in {dtype}")
        digital = self.digital(dtype)
        exact = self.digital("float64")
        self.harness.assign(exact, {name: numbers(v) for name, v in self.harness.parameters(digital).items()})
        inputs = [self.harness.array(numbers(x), "float64") for x in self.inputs(dtype)]
        expected = self.harness.arrays(self.call(exact, inputs))
        analog = self.make(hardware(SMALL_ARRAYS), 1, dtype=dtype)
        for ours, theirs in zip(self.outputs(analog, dtype), expected, strict=True):
            assert backend_of(ours).dtype_name(ours) == dtype
            assert deviation(ours, theirs) < PRECISION[dtype] * self.rounding

    @pytest.mark.parametrize("style", PLAIN)
    def test_every_mapping_computes_the_digital_layer(self, style: str) -> None:
        """Slices, signs and partitions are kept apart, as converters would want them."""
        analog = self.make(hardware(STYLES[style], SMALL_ARRAYS, APART), 2)
        self.assert_same_outputs(analog, self.digital("float64"), ROUNDING)

    @pytest.mark.parametrize("style", SLICED)
    def test_whole_numbers_survive_slicing(self, style: str) -> None:
        """Weights that are multiples of the step are stored exactly."""
        digital, rng = self.digital("float64"), np.random.default_rng(6)
        third = FULL_CODE // 3
        whole = {
            name: 3.0 * rng.integers(-third, third + 1, value.shape)
            for name, value in self.harness.parameters(digital).items()
        }
        self.harness.assign(digital, whole)
        params = hardware(STYLES[style], SMALL_ARRAYS, EXACT_RANGE)
        analog = self.harness.analog(digital, params, 3, seed=1, **self.choices)
        # Products of usual size: nonlinearities of products a hundred times as large would magnify rounding.
        self.assert_same_outputs(analog, digital, ROUNDING, scale=1 / FULL_CODE)

    def test_reading_back_gives_the_parameters(self) -> None:
        """`physical_weights` on ideal hardware are the ideal ones, whatever part of the matrix holds them."""
        back = self.harness.digital(self.make(hardware(SMALL_ARRAYS), 3), physical_weights=True)
        expected = self.harness.parameters(self.digital("float64"))
        found = self.harness.parameters(back)
        assert list(found) == list(expected)
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], value, rtol=ROUNDING, atol=1e-13, err_msg=name)

    def test_the_matrix_held_is_the_matrix_formed(self) -> None:
        """Ideal arrays hold what `form_matrix` says, and errors act on it."""
        analog = self.make(hardware(SMALL_ARRAYS), 2)
        for formed, held in _matrices(analog):
            assert deviation(held, formed) < ROUNDING
        erring = self.make(hardware(SMALL_ARRAYS, PROGRAMMING_ERROR), 2)
        for formed, held in _matrices(erring):
            assert deviation(held, formed) > 1e-3

    # --- gradients ----------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("gradient", ["programmed", "chain", "wires"])
    @pytest.mark.parametrize("bias_rows", [0, 2])
    def test_ideal_gradients_are_those_of_the_digital_layer(self, gradient: str, bias_rows: int) -> None:
        """Every rule, for inputs and parameters, where nothing clips."""
        if gradient not in self.gradients:
            pytest.skip(f"the front end does not have gradient = {gradient!r}")
        analog, digital = self.make(hardware(SMALL_ARRAYS, APART), bias_rows), self.digital("float64")
        analog.gradient = gradient
        self._assert_same_gradients(analog, digital)

    def test_gradients_use_the_weights_that_the_arrays_hold(self) -> None:
        """They, like the answers, are those of the digital layer with the programmed weights."""
        analog = self.make(hardware(SMALL_ARRAYS, PROPORTIONAL_ERROR), 1)
        twin = self.harness.digital(analog, physical_weights=True)
        self.assert_same_outputs(analog, twin, ROUNDING)
        self._assert_same_gradients(analog, twin)

    def _assert_same_gradients(self, analog: Any, digital: Any) -> None:
        found, expected = (self.harness.gradients(layer, self.inputs(), self.call) for layer in (analog, digital))
        for ours, theirs in zip(found, expected, strict=True):
            assert (ours is None) == (theirs is None)
            if ours is not None and theirs is not None:
                # A gradient may be zero but for rounding (a bias that shifts all scores of a softmax alike).
                assert np.abs(ours - theirs).max() < GRADIENT_ROUNDING * max(1.0, float(np.abs(theirs).max()))

    # --- arrays follow parameters -------------------------------------------------------------------------------------

    @pytest.mark.parametrize("bias_rows", [0, 2])
    def test_every_change_of_a_parameter_reaches_the_arrays(self, bias_rows: int) -> None:
        """Also one made behind the layer's back, one parameter after the other."""
        analog, digital = self.make(hardware(), bias_rows), self.digital("float64")
        self.outputs(analog)
        for name in self.harness.parameters(digital):
            for layer in (analog, digital):
                self._changed(layer, name)
            self.assert_same_outputs(analog, digital, GRADIENT_ROUNDING)

    def test_a_changed_parameter_writes_only_where_it_lies(self) -> None:
        """Cells outside the smallest rectangle around it keep their conductances bit for bit."""
        analog = self.make(hardware(PROGRAMMING_ERROR), 2)
        for name in self.harness.parameters(analog):
            before = [(numbers(formed), numbers(held)) for formed, held in _matrices(analog)]
            self._changed(analog, name)
            for (old, was), (new, held) in zip(before, _matrices(analog), strict=True):
                moved = old != numbers(new)
                rewritten = was != numbers(held)
                assert not rewritten[~_hull(moved)].any(), name
                assert rewritten[moved].all(), name

    def test_the_error_policy_names_the_parameter(self) -> None:
        """`sync = "error"` refuses to work with arrays that hold something else."""
        analog = self.make(hardware(), 2)
        analog.sync = "error"
        self.outputs(analog)
        name = next(iter(self.harness.parameters(analog)))
        self._changed(analog, name, 1.1)
        with pytest.raises(StaleArraysError, match=name.rpartition(".")[2]):
            self.outputs(analog)
        analog.synchronize()
        self.outputs(analog)

    def test_the_manual_policy_leaves_the_arrays_to_the_user(self) -> None:
        """`sync = "manual"` writes on `synchronize` only."""
        analog, digital = self.make(hardware(), 0), self.digital("float64")
        analog.sync = "manual"
        held = [numbers(matrix.core.get_matrix()) for matrix in analog.matrices]
        name = next(iter(self.harness.parameters(analog)))
        for layer in (analog, digital):
            self._changed(layer, name)
        for matrix, before in zip(analog.matrices, held, strict=True):
            np.testing.assert_array_equal(matrix.core.get_matrix(), before)
        analog.synchronize()
        self.assert_same_outputs(analog, digital, GRADIENT_ROUNDING)

    # --- chips --------------------------------------------------------------------------------------------------------

    def test_a_seed_is_a_chip_and_the_same_one_in_numpy(self) -> None:
        """Bit for bit, for the same matrix, seed and name; another seed is another chip."""
        params = hardware(PROGRAMMING_ERROR, CONVERTERS, SMALL_ARRAYS)
        analog, other = self.make(params, 1), self.make(params, 1, seed=2)
        self.assert_same_chip(self.make(params, 1), analog)
        for (formed, held), matrix in zip(_matrices(analog), analog.matrices, strict=True):
            core = AnalogCore(numbers(formed), params, seed=1, name=matrix.name, row_groups=matrix.layout.row_groups)
            np.testing.assert_array_equal(core.get_matrix(), numbers(held))
        for (_, held), (_, elsewhere) in zip(_matrices(analog), _matrices(other), strict=True):
            assert (numbers(held) != numbers(elsewhere)).all()

    def test_copies_hold_the_same_chip(self) -> None:
        """However they are made; and live on their own."""
        analog = self.make(hardware(PROGRAMMING_ERROR, SMALL_ARRAYS), 1)
        before = [numbers(y) for y in self.outputs(analog)]
        for twin in self.harness.copies(analog).values():
            self.assert_same_chip(twin, analog)
            self._changed(twin, next(iter(self.harness.parameters(twin))), 0.5)
            self.outputs(twin)
            for ours, theirs in zip(self.outputs(analog), before, strict=True):
                np.testing.assert_array_equal(numbers(ours), theirs)

    def test_the_chip_travels_with_the_state(self) -> None:
        """Into a layer on other hardware, with other weights; hardware per array included."""
        several = self._per_array(1)
        for params in several:
            params[-1].update(PROGRAMMING_ERROR)
        analog, twin = self.make(several, 1), self.make(hardware(), 0, seed=2)
        for name in self.harness.parameters(twin):
            self._changed(twin, name, 0.3)
        self.harness.hand_over(analog, twin)
        for seed in (5, None):
            self.assert_same_chip(twin, analog)
            for layer in (twin, analog):
                layer.reinitialize(seed)

    def test_conversion_back_is_exact(self) -> None:
        """The digital layer again: its type, its parameters, its answers."""
        digital = self.digital("float64")
        plain = self.harness.digital(self.make(hardware(PROGRAMMING_ERROR), 2))
        assert type(plain) is type(digital)
        expected = self.harness.parameters(digital)
        found = self.harness.parameters(plain)
        assert list(found) == list(expected)
        for name, value in expected.items():
            np.testing.assert_array_equal(found[name], value)
        self.assert_same_outputs(plain, digital, 0.0)

    def test_one_description_per_array_changes_only_its_block(self) -> None:
        """And survives copies and another chip."""
        plain, several = self._per_array(1), self._per_array(1)
        for params in several:
            params[-1].update({**PROGRAMMING_ERROR, "xbar.device.clip_conductance": False})
        # Layers with one matrix take a flat list too.
        analog = self.make(several if len(several) > 1 else several[0], 1)
        for _ in range(2):
            for (ideal, held), matrix in zip(_matrices(analog), analog.matrices, strict=True):
                block = matrix.core.blocks[-1]
                expected = np.zeros(matrix.core.shape, dtype=bool)
                expected[block.rows, block.columns] = True
                np.testing.assert_array_equal(np.abs(numbers(held) - numbers(ideal)) > 1e-9, expected)
            analog.reinitialize()
        analog.params = plain
        self.assert_same_outputs(analog, self.digital("float64"), ROUNDING)


def _matrices(layer: Any) -> list[tuple[Any, Any]]:
    """What the matrices of a layer should be, and what the arrays hold."""
    formed, held = layer.form_matrix(), layer.get_matrix()
    return list(zip(formed, held, strict=True)) if isinstance(formed, list) else [(formed, held)]


def _hull(marked: np.ndarray) -> np.ndarray:
    """The smallest rectangle around the marked places."""
    found = np.zeros_like(marked)
    if marked.any():
        rows, columns = (np.flatnonzero(marked.any(axis=axis)) for axis in (1, 0))
        found[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = True
    return found
