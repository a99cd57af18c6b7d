"""Random numbers of writes: normal numbers are normal, in the tail too, and compiled loops get the same."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest
from scipy import stats

from crossohm.training.kernels import available
from crossohm.training.updates.stream import EDGES, TAIL, DrawStream


def _normals(count: int, seed: int = 0) -> Any:
    return DrawStream(seed, "draws").draw("normal", count)


def test_layers_have_one_area_and_close() -> None:
    """The last one ends at the top of the bell; with the tail, all are the area under half of it and what is cut."""
    bell = np.exp(-(EDGES**2) / 2)
    areas = EDGES[1:-1] * np.diff(bell[1:])
    lowest = TAIL * bell[1] + np.sqrt(2 * np.pi) * stats.norm.sf(TAIL)
    np.testing.assert_allclose(areas, lowest, rtol=1e-9)
    assert EDGES[0] * bell[1] == pytest.approx(lowest, rel=1e-12)


def test_normal_numbers_are_normal() -> None:
    """In equally likely bins, in the far tail, and from one to the next."""
    found = _normals(4_000_000)
    bins = np.histogram(stats.norm.cdf(found), 1000, (0, 1))[0]
    assert stats.chisquare(bins).pvalue > 1e-3
    for beyond in (3.5, TAIL, 4.3):
        expected = 2 * stats.norm.sf(beyond) * found.size
        assert (np.abs(found) > beyond).sum() == pytest.approx(expected, abs=4 * np.sqrt(expected))
    tail = found[np.abs(found) > TAIL]
    assert stats.kstest(np.abs(tail), lambda x: 1 - stats.norm.sf(x) / stats.norm.sf(TAIL)).pvalue > 1e-3
    assert (tail > 0).mean() == pytest.approx(0.5, abs=2 / np.sqrt(tail.size))
    assert np.abs(np.corrcoef(found[:-1], found[1:])[0, 1]) < 4 / np.sqrt(found.size)


def test_a_stream_does_not_depend_on_how_it_is_taken() -> None:
    """Number by number as all at once; each law takes one number of the stream."""
    parts = DrawStream(3, "draws")
    found = np.concatenate([parts.draw("normal", count) for count in (1, 0, 998, 4001)])  # type: ignore[arg-type]
    np.testing.assert_array_equal(found, _normals(5000, seed=3))
    assert parts.state[1] == 5000


@pytest.mark.skipif(not available(), reason="numba is not installed")
def test_compiled_loops_draw_the_same() -> None:
    """Those outside of their layer, too, but for the rounding of logarithms."""
    compiled = importlib.import_module("crossohm.training.kernels.compiled")
    expected, (key, _) = _normals(50_000), DrawStream(0, "draws").state
    found = np.array([compiled._normal(key, np.uint64(count)) for count in range(1, 50_001)])
    np.testing.assert_allclose(found, expected, rtol=1e-13)
