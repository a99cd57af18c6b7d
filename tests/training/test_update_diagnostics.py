"""What is said of writes: by weight, by device, and where devices settle."""

from __future__ import annotations

import numpy as np
import pytest

from crossohm.training.arrays.cells import Cells
from crossohm.training.diagnostics import symmetry_point, update_gains
from crossohm.training.updates.ideal import IdealUpdate
from crossohm.training.updates.pulsed import SoftBounds


def test_gains_are_those_of_each_weight_and_direction() -> None:
    """Of steps that shrink towards the ends; a part where hardly anything is asked for has none."""
    rng = np.random.default_rng(0)
    weight, requested = rng.uniform(-1, 0.8, 5000), rng.normal(size=5000)
    realised = requested * np.where(requested > 0, 1 - weight / 2, 1 + weight / 2)
    found = update_gains(requested, realised, 2 * weight, 2.0)
    assert found["weight"] == pytest.approx(np.arange(-0.9, 1, 0.2))
    assert found["share"][:9] == pytest.approx([1 / 9] * 9, abs=0.03)
    middles = np.array(found["weight"][:9])
    np.testing.assert_allclose(np.array(found["gain_up"][:9], float), 1 - middles / 2, atol=0.02)
    np.testing.assert_allclose(np.array(found["gain_down"][:9], float), 1 + middles / 2, atol=0.02)
    assert (found["share"][9], found["gain_up"][9], found["gain_down"][9]) == (0, None, None)


def test_devices_settle_where_steps_are_equal() -> None:
    """Of soft bounds ``up (1 - w)`` and ``down (1 + w)``; ideal devices settle nowhere."""
    even = {"step_spread": 0.0, "asymmetry_spread": 0.0, "bound_spread": 0.0}
    model = SoftBounds(asymmetry=0.2, low=-1.0, high=1.0, **even)
    assert symmetry_point(model) == pytest.approx((1 + 0.2 / 1.8) / 2, abs=1e-3)
    assert symmetry_point(IdealUpdate()) is None


def test_devices_at_limits_are_counted_by_their_own() -> None:
    """Whose bounds differ from device to device."""
    cells = Cells(SoftBounds(), (4, 5), [1, 2], "limits")
    assert cells.at_limits() == 0
    low, high = cells.model.limits(cells.devices[0])
    cells.state[0, :2] = np.asarray(low)[:2]
    cells.state[0, 3] = np.asarray(high)[3] - 0.005
    assert cells.at_limits() == 15
