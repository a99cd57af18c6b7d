"""The contract every update model keeps, as tests to inherit.

In a test file of your own package::

    from crossohm.testing.update import UpdateModelContract

    class TestHalfStep(UpdateModelContract):
        def make(self):
            return HalfStep()
"""

from __future__ import annotations

import copy

import numpy as np
import pytest
from numpy.typing import NDArray

from crossohm.errors import UnsupportedError
from crossohm.training.arrays.cells import Cells
from crossohm.training.kernels import available
from crossohm.training.updates.model import Devices, UpdateModel

#: Draws of a mean, and the standard errors within which it is expected: one failure in 15,000 fixed draws.
_DRAWS, _ERRORS = 20_000, 4.0
#: Rounding of an exponential or a power in two libraries.
_ROUNDING = 1e-6


class UpdateModelContract:
    """Tests inherited by the tests of one model: override `make`.

    Attributes:
        small: A request small against the range, in units of its width.
        dtypes: Of the states of which compiled writes are compared with NumPy's.
        counted: Compare counted pulses, too, where the model has pulses.
        tolerance: What the mean change of a small request may differ from the moments for other reasons than chance,
            over the request: curvature of the model.
    """

    small = 1e-3
    dtypes: tuple[str, ...] = ("float32",)
    counted = True
    tolerance = 0.02

    def make(self) -> UpdateModel:
        """A model to test; two calls give equal models."""
        raise NotImplementedError(f"{type(self).__name__} does not say which model is tested; define make()")

    def _cells(self, model: UpdateModel, count: int) -> tuple[NDArray[np.float64], Devices]:
        """States within the limits of their devices, and the devices."""
        window, devices = model.window, model.devices((count,), np.random.default_rng(2))
        inner = window.low + 0.2 * window.width, window.high - 0.2 * window.width
        low, high = (np.asarray(limit, dtype=np.float64) for limit in model.limits(devices))
        return np.clip(np.random.default_rng(1).uniform(*inner, count), low, high), devices

    def _changes(
        self, model: UpdateModel, request: float, w: NDArray[np.float64], devices: Devices
    ) -> NDArray[np.float64]:
        """Changes of many devices, each asked for the same."""
        rng = np.random.default_rng(3)
        drawn = None
        if model.draws != "nothing":
            drawn = rng.random(len(w)) if model.draws == "uniform" else rng.standard_normal(len(w))
        return model.step(w, np.full(w.shape, request), drawn, devices) - w

    def test_models_made_alike_are_equal(self) -> None:
        """So that what is worked out for one holds for the other."""
        assert self.make() == self.make()
        assert hash(self.make()) == hash(self.make())
        assert copy.deepcopy(self.make()) == self.make()

    def test_the_window_is_a_range(self) -> None:
        """With the range of weights in it."""
        window = self.make().window
        assert window.floor <= window.low < window.high <= window.ceiling

    def test_devices_are_those_of_the_generator(self) -> None:
        """The same seed gives the same ones, of the shape asked for."""
        model = self.make()
        first, second = (model.devices((3, 5), np.random.default_rng(7)) for _ in range(2))
        assert first.keys() == second.keys()
        for name, of in first.items():
            assert of.shape == (3, 5), f"devices(): {name!r} has shape {of.shape}; one value for each device wanted"
            np.testing.assert_array_equal(of, second[name])

    def test_a_step_returns_states_like_those_it_was_given(self) -> None:
        """Finite, of the same shape, and the same ones for the same draws."""
        model = self.make()
        w, devices = self._cells(model, 50)
        before = w.copy()
        for request in (0.05 * model.window.width, -0.05 * model.window.width):
            change = self._changes(model, request, w, devices)
            assert change.shape == w.shape
            assert np.isfinite(change).all()
            np.testing.assert_array_equal(change, self._changes(model, request, w, devices))
        np.testing.assert_array_equal(w, before, err_msg="step() changes the states it is given; return new ones")

    @pytest.mark.parametrize("sign", [1, -1])
    def test_changes_have_the_moments_that_are_said(self, sign: int) -> None:
        """Mean and variance over many devices at random states."""
        model = self.make()
        w, devices = self._cells(model, _DRAWS)
        try:
            moments = model.moments(w, devices)
        except UnsupportedError:
            pytest.skip("the model does not say its moments")
        size = self.small * model.window.width
        mean, variance = (
            (moments.mean_up, moments.variance_up) if sign > 0 else (moments.mean_down, moments.variance_down)
        )
        away = self._changes(model, sign * size, w, devices) - size * mean
        expected = size * variance
        error = np.sqrt(expected.mean() / _DRAWS)
        assert abs(away.mean()) <= _ERRORS * error + self.tolerance * size
        assert (away**2).mean() == pytest.approx(expected.mean(), rel=0.15, abs=(self.tolerance * size) ** 2)

    @pytest.mark.parametrize("pulses", ["fractional", "counted"])
    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_compiled_writes_are_those_of_numpy(self, pulses: str, dtype: str) -> None:
        """The same states from the same draws, for outer products in order and for full matrices."""
        if dtype not in self.dtypes or (pulses == "counted" and not self.counted):
            pytest.skip(f"{pulses} pulses of {dtype} states are left to others: compiling takes seconds")
        model = self.make()
        if not available() or model.compiled() is None:
            pytest.skip("writes of this model are not compiled")
        if pulses == "counted" and not model.pulse:
            pytest.skip("the model has no pulses")
        rng = np.random.default_rng(5)
        fast, slow = (
            Cells(model, (6, 7), [3, 4], "cells", dtype=dtype, pulses=pulses, compiled=compiled)
            for compiled in (True, False)
        )
        for _ in range(3):
            rows, columns = rng.normal(size=(2, 3, 6)), rng.normal(size=(2, 3, 7))
            rows[rows < -1], columns[columns < -1] = 0, 0
            requests = rng.normal(size=(2, 6, 7)) * 0.03 * model.window.width
            for cells in (fast, slow):
                cells.write_outer(rows, columns, 0.02 * model.window.width)
                cells.write(requests)
        np.testing.assert_allclose(fast.state, slow.state, rtol=0, atol=_ROUNDING * model.window.width)

    def test_states_stay_within_the_limits(self) -> None:
        """Of each device, whatever is asked for."""
        model = self.make()
        cells = Cells(model, (5, 6), [1], "cells")
        rng = np.random.default_rng(6)
        for _ in range(5):
            cells.write(rng.normal(size=(1, 5, 6)) * 3 * model.window.width)
            low, high = model.limits(cells.devices[0])
            assert (cells.state[0] >= np.asarray(low) - 1e-6).all()
            assert (cells.state[0] <= np.asarray(high) + 1e-6).all()
