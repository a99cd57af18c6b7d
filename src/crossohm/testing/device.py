"""The contract every device model keeps, as tests to inherit.

In a test file of your own package::

    from crossohm.testing.device import DeviceContract

    class TestHfO2Lab7(DeviceContract):
        cell = Cell(r_min=20e3, rho=0.01, v_read=0.1)

        def make(self):
            return HfO2Lab7()

Tests of a role the model does not have are skipped; those of an array library that is not installed as well. A test
that fails says which method did what, and what to write.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from crossohm._random import ChipDraw
from crossohm.devices.model import ROLES, Cell, Device
from crossohm.errors import CrossOhmError, UnsupportedError

# Relative to full scale: rounding of a few operations, amplified by a fit of high degree.
_TOLERANCE = {"float32": 2e-6, "float64": 1e-13}
_DRAWN = ("programming_error", "drift_error", "read_noise")
_PORTABLE = (
    "use operators (+, *, **, abs) and, for functions, xp = crossohm.backends.backend_of(g).xp in place of numpy, "
    "torch or math"
)
_DEFINED = "divide, take roots and logarithms only where they exist (xp.where(g > 0, ..., 0 * g), safe inside too)"
_SHAPES = ((), (7,), (3, 5), (2, 3, 4), (0, 3))


def evaluations(device: Device, cell: Cell, seed: int = 0) -> dict[str, Callable[[Any], Any]]:
    """Every array function of ``g`` the model has, by name; random ones start from the same seed in each call."""
    functions: dict[str, Callable[[Any], Any]] = {}
    for role in _DRAWN:
        if device.models(role):
            functions[role] = _drawn(getattr(device, role), cell, seed)
    if device.has_gaussian_read_noise:
        functions["read_noise_std"] = lambda g: device.read_noise_std(g, cell)
    if device.models("nonlinear_IV"):
        functions["current"] = lambda g: device.current(g, 0.75 * g - 0.5, cell)
    if device.has_polynomial_current:
        functions["current_coefficients"] = lambda g: sum(device.current_coefficients(g, cell).values())
    return functions


def _drawn(method: Callable[..., Any], cell: Cell, seed: int) -> Callable[[Any], Any]:
    return lambda g: method(g, cell, ChipDraw(np.random.default_rng(seed)))


def _assert_close(actual: Any, expected: Any, dtype: str, message: str) -> None:
    np.testing.assert_allclose(actual, expected, rtol=_TOLERANCE[dtype], atol=_TOLERANCE[dtype], err_msg=message)


def _assert_like(result: Any, g: Any, name: str) -> None:
    """The result has the library, shape and dtype of ``g``."""
    library, found = (type(array).__module__.partition(".")[0] for array in (g, result))
    assert found == library, f"{name} turns an array of {library} into one of {found}: {_PORTABLE}"
    assert tuple(result.shape) == tuple(g.shape), (
        f"{name} makes shape {tuple(result.shape)} of a g of shape {tuple(g.shape)}: return one number for every cell; "
        "do not sum, stack or fix a size"
    )
    assert result.dtype == g.dtype, (
        f"{name} makes {result.dtype} of a g of {g.dtype}: multiply by Python numbers rather than by arrays of another "
        "dtype, start others from g (0 * g, xp.zeros_like(g)), and draw with draw.normal(g) or draw.uniform(g)"
    )


class DeviceContract:
    """Tests inherited by the tests of one model: override `make`, and `cell` with a cell the model is valid for.

    Attributes:
        cell: Electrical frame inside the valid range of every role.
        ideal_cell: Frame in which the model has no error at all (zero magnitude), if there is one.
    """

    cell: Cell = Cell(r_min=1e5, rho=0.01, v_read=0.1, magnitude=0.05, time=1.0)
    ideal_cell: Cell | None = None

    def make(self) -> Device:
        """A new instance of the model."""
        raise NotImplementedError("override make() so that it returns the device model")

    def states(self, shape: tuple[int, ...] = (3, 5), dtype: str = "float64") -> np.ndarray:
        """Conductances a write may ask for, the lowest and the highest included."""
        g = np.random.default_rng(3).uniform(self.cell.rho, 1.0, shape).astype(dtype)
        if g.size > 1:
            g.flat[0], g.flat[-1] = self.cell.rho, 1.0
        return g

    def evaluations(self) -> Iterator[tuple[str, Callable[[Any], Any]]]:
        """Names and functions of `evaluations` for this model and cell."""
        yield from evaluations(self.make(), self.cell).items()

    def test_names_its_source(self) -> None:
        """A result must be traceable to a paper, a data set or the statement that there is none."""
        device = self.make()
        assert device.source, (
            f"{type(device).__name__} does not say where its numbers come from: add the class attribute source = "
            "'paper, figure', 'lab, wafer, date', or 'assumed'"
        )

    def test_has_a_role(self) -> None:
        """A model without any role cannot be chosen for anything."""
        assert any(map(self.make().models, ROLES)), (
            f"{type(self.make()).__name__} has no role: define at least one of programming_error(self, g, cell, draw), "
            "drift_error(self, g, cell, draw), read_noise_std(self, g, cell), read_noise(self, g, cell, draw), "
            "current_coefficients(self, g, cell), current(self, g, v, cell)"
        )

    def test_accepts_the_cell(self) -> None:
        """The validity check of every role the model has lets the stated cell pass."""
        device = self.make()
        for role in filter(device.models, ROLES):
            try:
                device.check(role, self.cell)
            except CrossOhmError as error:
                raise AssertionError(
                    f"check({role!r}, cell) refuses the cell of this test, {self.cell}: {error}. Set `cell` of the "
                    "test to one the model is valid for, or correct check()"
                ) from error

    @pytest.mark.parametrize("role", _DRAWN)
    def test_absent_role_says_so(self, role: str) -> None:
        """Asking for a role that is not modelled names the role."""
        device = self.make()
        if device.models(role):
            pytest.skip(f"models {role}")
        try:
            getattr(device, role)(self.states(), self.cell, ChipDraw(np.random.default_rng(0)))
        except UnsupportedError as error:
            assert role in str(error), f"the error for a role that is absent does not name it ({role}): {error}"
        else:
            raise AssertionError(f"models({role!r}) is False, but {role} is there: leave models() to the base class")

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    @pytest.mark.parametrize("shape", _SHAPES)
    def test_keeps_shape_and_dtype(self, shape: tuple[int, ...], dtype: str) -> None:
        """Results look like ``g`` and are finite."""
        g = np.asarray(self.states(shape, dtype))
        for name, function in self.evaluations():
            result = function(g)
            _assert_like(result, g, name)
            assert np.all(np.isfinite(result)), f"{name} gives {_not_finite(result, g)}: {_DEFINED}"

    def test_leaves_the_argument_alone(self) -> None:
        """``g`` is not modified, in any array library; it may be read only.

        A core hands copies on, so that a model that writes in place works there; but it is wrong wherever else it is
        called.
        """
        before = self.states()
        arrays = [before.copy()]
        if importlib.util.find_spec("torch") is not None:
            arrays.append(importlib.import_module("torch").tensor(before))
        for name, function in self.evaluations():
            for g in arrays:
                function(g)
                assert np.array_equal(np.asarray(g), before), f"{name} changes g: write g = g + noise, not g += noise"
            arrays[0].flags.writeable = False
            function(arrays[0])
            arrays[0].flags.writeable = True

    def test_off_cells_are_finite(self) -> None:
        """Even at zero conductance nothing becomes infinite or undefined."""
        for name, function in self.evaluations():
            assert np.all(np.isfinite(function(np.zeros(4)))), (
                f"{name} is not finite at g = 0: cells that are off, and zeros of grouped layers, are there. {_DEFINED}"
            )

    def test_same_draw_same_result(self) -> None:
        """All randomness comes from the draw: no hidden state."""
        g = self.states()
        for name, function in self.evaluations():
            assert np.array_equal(function(g), function(g)), (
                f"{name} gives other numbers in a second call with the same draw: take all random numbers from "
                "draw.normal(g) and draw.uniform(g), none from np.random, torch or random, and keep nothing in self"
            )

    def test_cells_are_independent(self) -> None:
        """What a cell does depends on itself only, so arrays may be cut and reshaped at will."""
        g = self.states((4, 6))
        for name, function in self.evaluations():
            whole = function(g)
            message = (
                f"{name} of a cell depends on other cells: arrays are cut into parts and reshaped, so use nothing of g "
                "but the cell's own value (no mean, max, sort, shape or position)"
            )
            _assert_close(function(g.ravel()).reshape(4, 6), whole, "float64", message)
            _assert_close(function(g[:2]), whole[:2], "float64", message)

    def test_float32_agrees_with_float64(self) -> None:
        """Single precision is a rounding, not another model."""
        g = self.states(dtype="float32")
        for name, function in self.evaluations():
            message = (
                f"{name} in single precision is not the rounded result in double precision: avoid differences of large "
                "numbers, evaluate polynomials by Horner's rule in units of about 1, and do not branch on the dtype"
            )
            _assert_close(function(g), function(g.astype("float64")), "float32", message)

    def test_gaussian_read_noise_is_mean_and_spread(self) -> None:
        """A read is the stored conductance plus `read_noise_std` times a standard normal number."""
        device = self.make()
        if not device.has_gaussian_read_noise:
            pytest.skip("no Gaussian read noise")
        g, sigma = self.states(), device.read_noise_std(self.states(), self.cell)
        assert np.all(sigma >= 0), (
            f"read_noise_std is negative at g = {g[sigma < 0].ravel()[:1]}: return a standard deviation, 0 or more; "
            "limit a fit with xp.where(sigma > 0, sigma, 0 * sigma)"
        )
        noise = ChipDraw(np.random.default_rng(0)).normal(g)
        message = "read_noise is not g + read_noise_std * draw.normal(g): leave read_noise to the base class"
        _assert_close(evaluations(device, self.cell)["read_noise"](g), g + sigma * noise, "float64", message)

    def test_current_starts_with_the_conductance(self) -> None:
        """No current without voltage, and ``g`` is the slope of the I-V curve at zero voltage."""
        device = self._with_current()
        g, step = self.states(), 1e-6
        assert np.array_equal(device.current(g, np.zeros_like(g), self.cell), np.zeros_like(g)), (
            "a current flows at v = 0: subtract it from the curve, or leave power 0 out of current_coefficients"
        )
        slope = (device.current(g, step, self.cell) - device.current(g, -step, self.cell)) / (2 * step)
        message = (
            "the slope of the current at v = 0 is not g: divide the curve by its slope there, so that the coefficient "
            "of power 1 is g; currents are normalised (1 = a linear cell of g = 1 at v = 1)"
        )
        np.testing.assert_allclose(slope, g, rtol=1e-6, atol=1e-6, err_msg=message)

    def test_current_broadcasts(self) -> None:
        """Conductances ``(outputs, inputs)`` and voltages ``(batch, 1, inputs)`` give currents of every cell."""
        device = self._with_current()
        g, v = self.states((3, 5)), np.linspace(-1, 1, 10).reshape(2, 1, 5)
        voltages = v.copy()
        current = device.current(g, v, self.cell)
        assert np.array_equal(v, voltages), "current changes v: write v = v * gain, not v *= gain"
        message = (
            "current does not broadcast g (3, 5) and v (2, 1, 5): combine them with operators only, so that every cell "
            "(last two axes) meets its voltage in every input (first axis)"
        )
        assert current.shape == (2, 3, 5), message
        _assert_close(current[1, 2, 3], device.current(g[2, 3:4], v[1, 0, 3:4], self.cell)[0], "float64", message)

    def test_polynomial_is_the_current(self) -> None:
        """`current_coefficients` and `current` describe one curve."""
        device = self._with_current()
        if not device.has_polynomial_current:
            pytest.skip("the I-V curve is not a polynomial")
        g, v = self.states(), 0.7
        total = sum(c * v**power for power, c in device.current_coefficients(g, self.cell).items())
        message = "current is not the sum of coefficient * v**power: leave current to the base class"
        _assert_close(device.current(g, v, self.cell), total, "float64", message)

    def test_ideal_cell_is_ideal(self) -> None:
        """Without magnitude there is no error."""
        if self.ideal_cell is None:
            pytest.skip("no cell stated in which the model is ideal")
        g = self.states()
        for name, function in evaluations(self.make(), self.ideal_cell).items():
            expected = {"read_noise_std": 0 * g, "current": g * (0.75 * g - 0.5)}.get(name, g)
            assert np.array_equal(function(g), expected), (
                f"{name} is not ideal in ideal_cell = {self.ideal_cell}: scale every error with what is zero there "
                "(cell.magnitude, cell.time), or do not state ideal_cell"
            )

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_torch_agrees(self, dtype: str) -> None:
        """PyTorch tensors give the same numbers, stay tensors, and carry finite gradients."""
        torch = _library("torch")
        g = self.states(dtype=dtype)
        g.flat[1] = 0.0
        for name, function in self.evaluations():
            tensor = torch.tensor(g, requires_grad=True)
            result = _called(function, tensor, f"{name} of a PyTorch tensor")
            _assert_like(result, tensor, name)
            _assert_close(result.detach().numpy(), function(g), dtype, f"{name} differs between PyTorch and NumPy")
            if result.requires_grad:
                result.sum().backward()
                assert torch.isfinite(tensor.grad).all(), (
                    f"the gradient of {name} is not finite, perhaps at g = 0: give xp.sqrt, xp.log and 1 / g an "
                    "argument away from 0, e.g. xp.where(g > 0, g, 1 + 0 * g), before the function is applied"
                )

    def test_jax_agrees(self) -> None:
        """JAX arrays give the same numbers and stay JAX arrays, also inside ``jax.jit``."""
        jax = _library("jax")
        g = self.states(dtype="float32")
        for name, function in self.evaluations():
            array = jax.numpy.asarray(g)
            for way, call in (("a JAX array", function), ("a JAX array under jax.jit", jax.jit(function))):
                result = _called(call, array, f"{name} of {way}")
                _assert_like(result, array, name)
                message = f"{name} differs between {way} and NumPy: {_PORTABLE}"
                _assert_close(np.asarray(result), function(g), "float32", message)

    def _with_current(self) -> Device:
        device = self.make()
        if not device.models("nonlinear_IV"):
            pytest.skip("no nonlinear I-V curve")
        return device


def _called(function: Callable[[Any], Any], array: Any, what: str) -> Any:
    try:
        return function(array)
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise AssertionError(
            f"{what} fails ({type(error).__name__}: {reason}): {_PORTABLE}; no if, float() or loop over values of g "
            "(xp.where instead)"
        ) from error


def _not_finite(result: np.ndarray, g: np.ndarray) -> str:
    wrong = ~np.isfinite(result)
    return f"{result[wrong].ravel()[0]} at g = {g[wrong].ravel()[0]:.4g}"


def _library(name: str) -> Any:
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed")
    return importlib.import_module(name)
