"""Devices of which reads see another state than the one that writes go on from."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from numpy.typing import NDArray

from crossohm.errors import DataError
from crossohm.training.arrays.cells import Cells
from crossohm.training.arrays.settings import ArraySettings
from crossohm.training.arrays.weights import weight_array
from crossohm.training.updates.pulsed import SoftBounds

_CLEAR = {"step_size": 0.002, "cycle_noise": 0.3}
_BLURRED = {**_CLEAR, "visible_noise": 20.0}
_DEVIATION = 20.0 * 0.002


def _operands(cells: Cells, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rng = np.random.default_rng(seed)
    rows, columns = rng.normal(size=(2, 4, cells.shape[0])), rng.normal(size=(2, 4, cells.shape[1]))
    return rows[: len(cells.seeds)], columns[: len(cells.seeds)]


def _cells(model: SoftBounds, seeds: tuple[int, ...] = (1, 2), pulses: str = "fractional") -> Cells:
    return Cells(model, (40, 50), seeds, "cells", dtype="float64", pulses=pulses)


@pytest.mark.parametrize("pulses", ["fractional", "counted"])
def test_writes_go_on_from_the_hidden_state(pulses: str) -> None:
    """As without the noise; what is seen is as far from it as is said, and a new draw for each replica and write."""
    blurred, clear = (_cells(SoftBounds(**of), pulses=pulses) for of in (_BLURRED, _CLEAR))
    away = []
    for seed in range(2):
        for cells in (blurred, clear):
            cells.write_outer(*_operands(cells, seed), 0.01)
        np.testing.assert_array_equal(blurred.state, clear.state)
        away.append(blurred.visible - blurred.state)
        assert away[-1].mean() == pytest.approx(0, abs=4 * _DEVIATION / np.sqrt(away[-1].size))
        assert away[-1].std() == pytest.approx(_DEVIATION, rel=0.05)
    if pulses == "fractional":
        assert abs(np.corrcoef(away[0].ravel(), away[1].ravel())[0, 1]) < 0.1
    assert abs(np.corrcoef(away[0][0].ravel(), away[0][1].ravel())[0, 1]) < 0.1
    np.testing.assert_array_equal(clear.visible, clear.state)


def test_only_what_is_written_is_seen_anew() -> None:
    """Reading, and writing other devices, changes nothing."""
    cells = _cells(SoftBounds(**_BLURRED))
    before = cells.visible.copy()
    requests = np.zeros(cells.state.shape)
    requests[:, 3, :] = 0.01
    cells.write(requests)
    changed = cells.visible != before
    assert changed[:, 3].all()
    assert not np.delete(changed, 3, axis=1).any()


def test_runs_go_on_as_if_not_stopped_and_replicas_are_what_they_are_alone() -> None:
    """What is seen, too."""
    together, alone = _cells(SoftBounds(**_BLURRED)), _cells(SoftBounds(**_BLURRED), seeds=(1,))
    for cells in (together, alone):
        cells.write_outer(*_operands(cells, 0), 0.01)
    np.testing.assert_array_equal(together.visible[0], alone.visible[0])
    other = copy.deepcopy(together)
    restored = _cells(SoftBounds(**_BLURRED))
    restored.load_state_dict(together.state_dict())
    np.testing.assert_array_equal(restored.visible, together.visible)
    for cells in (together, other, restored):
        cells.write_outer(*_operands(cells, 1), 0.01)
        np.testing.assert_array_equal(cells.visible, together.visible)
    with pytest.raises(DataError, match="visible"):
        restored.load_state_dict(_cells(SoftBounds(**_CLEAR)).state_dict())


@pytest.mark.parametrize("arithmetic", ["sequential", "moments"])
@pytest.mark.parametrize("weights", ["balanced", "offset"])
def test_arrays_read_what_is_seen(weights: str, arithmetic: str) -> None:
    """Forward, backward, and all weights at once."""
    settings = ArraySettings(
        model=SoftBounds(**_BLURRED, step_spread=0.0, bound_spread=0.0),
        weights=weights, arithmetic=arithmetic, dtype="float64",
    )  # fmt: skip
    array = weight_array(settings, (40, 50), 1.0, (1,), "array")
    array.set(np.full((1, 40, 50), 0.2))
    seen = array.read()
    assert seen.std() > 0.3 * _DEVIATION / array.unit
    rng = np.random.default_rng(0)
    array.update(rng.normal(size=(1, 4, 40)), rng.normal(size=(1, 4, 50)), 0.01)
    written = array.read()
    assert (written != seen).any()
    x, p = rng.normal(size=(1, 3, 50)), rng.normal(size=(1, 3, 40))
    np.testing.assert_allclose(array.forward(x), x @ written.transpose(0, 2, 1), atol=1e-12)
    if weights == "balanced":  # the reference column of an offset array is seen as noisily as its reference row
        np.testing.assert_allclose(array.backward(p), p @ written, atol=1e-12)
