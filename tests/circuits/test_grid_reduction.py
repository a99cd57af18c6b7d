"""The effective matrix of an array with wires, against plain nodal analysis of the same network."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from covering import every_pair
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.linalg import spsolve

from crossohm import CrossOhmError, UnsupportedError
from crossohm.circuits.grid import Wires, effective_matrix

G_PLUS = np.array([[0.9, 0.2, 0.5], [0.1, 1.0, 0.3]])
G_MINUS = np.array([[0.1, 0.6, 0.1], [0.4, 0.1, 0.8]])
V = np.array([0.8, -0.6, 0.3])
PLAIN, ENDS = Wires(0.02, 0.05), Wires(0.02, 0.05, 0.1, 0.2)


def nodal(g: np.ndarray, wires: Wires, v: np.ndarray) -> np.ndarray:
    """Output currents by Kirchhoff's law at every node; one branch list, one sparse solve. All wires > 0."""
    lines, outputs, inputs = g.shape
    a = np.arange(lines * outputs * inputs).reshape(g.shape)  # input-line nodes
    b = a.size + np.arange(outputs * inputs).reshape(outputs, inputs)  # output-line nodes
    ground = a.size + b.size
    sources = ground + 1 + np.arange(lines * inputs).reshape(lines, inputs)
    branches = [
        (sources, a[:, 0], 1 / (wires.input + wires.input_end)),
        (a[:, :-1], a[:, 1:], 1 / wires.input),
        (a, np.broadcast_to(b, g.shape), g),
        (b[:, :-1], b[:, 1:], 1 / wires.output),
        (b[:, -1], np.full(outputs, ground), 1 / (wires.output + wires.output_end)),
    ]
    p, q = (np.concatenate([np.ravel(branch[k]) for branch in branches]) for k in (0, 1))
    c = np.concatenate([np.ravel(np.broadcast_to(branch[2], branch[0].shape)) for branch in branches])
    size = ground + 1 + sources.size
    entries = (np.concatenate([c, c, -c, -c]), (np.concatenate([p, q, p, q]), np.concatenate([p, q, q, p])))
    matrix = coo_array(entries, shape=(size, size)).tocsc()
    known = np.zeros(size)
    for line in range(lines):
        known[sources[line]] = v if line == 0 else -v
    free = np.arange(ground)
    voltages = spsolve(matrix[free][:, free], -(matrix[free] @ known))
    return voltages[b[:, -1]] / (wires.output + wires.output_end)


@pytest.mark.parametrize(
    ("g", "wires", "expected"),
    [
        ([G_PLUS], Wires(), [0.75, -0.43]),
        ([G_PLUS, G_MINUS], Wires(), [1.0, -0.93]),
        ([G_PLUS], PLAIN, [0.63137785, -0.35980390]),
        ([G_PLUS], ENDS, [0.46058508, -0.25743884]),
        ([G_PLUS, G_MINUS], PLAIN, [0.79876313, -0.74285451]),
        ([G_PLUS, G_MINUS], ENDS, [0.53512147, -0.47776172]),
    ],
)
def test_reference_values(g: list[np.ndarray], wires: Wires, expected: list[float]) -> None:
    np.testing.assert_allclose(effective_matrix(np.stack(g), wires) @ V, expected, atol=1e-8)


@settings(max_examples=60)
@given(
    st.integers(1, 2),
    st.integers(1, 14),
    st.integers(1, 14),
    st.tuples(*[st.floats(1e-4, 0.3)] * 2, *[st.sampled_from([0.0, 0.05, 1.0])] * 2),
    st.integers(0, 2**32 - 1),
)
def test_any_network_equals_nodal_analysis(
    lines: int, outputs: int, inputs: int, resistances: tuple[float, float, float, float], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    g = rng.uniform(0, 1, (lines, outputs, inputs)) * (rng.random((lines, outputs, inputs)) < 0.8)
    v, wires = rng.uniform(-1, 1, inputs), Wires(*resistances)
    expected = nodal(g, wires, v)
    found = effective_matrix(g, wires) @ v
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9 * np.abs(expected).max() + 1e-15)


@pytest.mark.parametrize("lines", [1, 2])
@pytest.mark.parametrize("shape", [(64, 48), (20, 64), (64, 64)])
@pytest.mark.parametrize("r", [1e-5, 1e-3, 0.05])
def test_larger_arrays_equal_nodal_analysis(lines: int, shape: tuple[int, int], r: float) -> None:
    rng = np.random.default_rng(1)
    g, v = rng.uniform(0.01, 1, (lines, *shape)), rng.uniform(-1, 1, shape[1])
    wires = Wires(r, 2 * r, 3 * r, r)
    expected = nodal(g, wires, v)
    np.testing.assert_allclose(effective_matrix(g, wires) @ v, expected, rtol=0, atol=1e-9 * np.abs(expected).max())


ABSENT = [
    ("no wires", (0, 0, 0, 0)),
    ("input wires only", (0.02, 0, 0, 0)),
    ("output wires only", (0, 0.03, 0, 0)),
    ("input ends only", (0, 0, 0.1, 0)),
    ("output ends only", (0, 0, 0, 0.2)),
    ("both ends", (0, 0, 0.1, 0.2)),
    ("output end, input wires", (0.02, 0, 0.1, 0.2)),
    ("input end, output wires", (0, 0.03, 0.1, 0.2)),
]


@pytest.mark.parametrize("lines", [1, 2])
@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1), (4, 7), (7, 4)])
@pytest.mark.parametrize("resistances", [r for _, r in ABSENT], ids=[name for name, _ in ABSENT])
def test_absent_resistances_are_the_limit_of_small_ones(
    lines: int, shape: tuple[int, int], resistances: tuple[float, ...]
) -> None:
    g = np.random.default_rng(2).uniform(0, 1, (lines, *shape))
    exact = effective_matrix(g, Wires(*resistances))
    errors = []
    for small in (1e-6, 1e-7):  # the elimination that has both wires converges linearly to the special case
        near = effective_matrix(g, Wires(*(r or small for r in resistances)))
        errors.append(np.abs(near - exact).max())
    assert errors[0] < 1e-3
    assert errors[1] < errors[0] / 8


def test_without_wires_nothing_changes() -> None:
    np.testing.assert_array_equal(effective_matrix(G_PLUS[None], Wires()), G_PLUS)


def test_more_resistance_lowers_every_current_of_positive_inputs() -> None:
    g, v = np.random.default_rng(3).uniform(0.1, 1, (1, 9, 6)), np.ones(6)
    currents = [effective_matrix(g, Wires(r, r, r, r)) @ v for r in (0, 1e-4, 1e-3, 1e-2, 1e-1)]
    assert np.all(np.diff(currents, axis=0) < 0)


def test_reciprocity() -> None:
    """Exchanging sources and ammeters transposes the effective matrix."""
    g = np.random.default_rng(4).uniform(0, 1, (1, 5, 8))
    mirrored = g[:, ::-1, ::-1].transpose(0, 2, 1)
    twin = effective_matrix(mirrored, ENDS.mirrored)[::-1, ::-1].T
    np.testing.assert_allclose(effective_matrix(g, ENDS), twin, rtol=1e-12)


def test_an_unsolved_network_is_an_error_with_size_and_resistances() -> None:
    broken = -np.ones((1, 4, 3))  # no array has negative conductances; the elimination must notice
    with pytest.raises(CrossOhmError, match=r"4 outputs x 3 inputs with Wires\(input=0\.5"):
        effective_matrix(broken, Wires(0.5, 0.5))


@pytest.mark.parametrize("r", [1e-14, 1e-12, 1e-9, 1e3, 1e9])
def test_extreme_resistances_stay_accurate(r: float) -> None:
    """Weak wires lower currents in proportion to their resistance; strong ones leave almost nothing."""
    g = np.random.default_rng(5).uniform(0.1, 1, (1, 12, 9))
    found = effective_matrix(g, Wires(r, r))
    if r < 1:
        reference = (g[0] - effective_matrix(g, Wires(1e-7, 1e-7))) / 1e-7 * r
        np.testing.assert_allclose(g[0] - found, reference, rtol=1e-4, atol=1e-12)  # of a cell at Gmax
    else:
        assert np.all(found > 0)
        assert found.sum(axis=1).max() < 2 / r


def test_several_arrays_at_once_are_the_same_as_one_by_one() -> None:
    g = np.random.default_rng(6).uniform(0, 1, (3, 2, 2, 7, 5))
    together = effective_matrix(g, ENDS)
    assert together.shape == (3, 2, 7, 5)
    for index in np.ndindex(3, 2):
        np.testing.assert_allclose(together[index], effective_matrix(g[index], ENDS), rtol=1e-12)


def test_an_error_names_the_array() -> None:
    g = np.ones((3, 1, 4, 3))
    g[1] = -1
    with pytest.raises(CrossOhmError, match=r"^b: the network of an array of 4 outputs"):
        effective_matrix(g, Wires(0.5, 0.5), names=("a", "b", "c"))


@pytest.mark.parametrize("shape", [(40, 3), (3, 40)])
def test_pairs_on_one_line_are_eliminated_over_either_side(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(7)
    g, v = rng.uniform(0, 1, (2, *shape)), rng.uniform(-1, 1, shape[1])
    np.testing.assert_allclose(effective_matrix(g, ENDS) @ v, nodal(g, ENDS, v), rtol=1e-10, atol=1e-12)


def _loss_and_gradient(library: str, g: np.ndarray, wires: Wires, weight: np.ndarray) -> tuple[float, np.ndarray]:
    """``sum(weight * T(g))`` and its gradient by the library's own differentiation."""
    if library == "torch":
        torch = pytest.importorskip("torch")
        cells = torch.tensor(g, requires_grad=True)
        loss = (torch.as_tensor(weight) * effective_matrix(cells, wires)).sum()
        loss.backward()
        return loss.item(), cells.grad.numpy()
    if library == "tensorflow":
        tf = pytest.importorskip("tensorflow")
        cells = tf.constant(g)
        with tf.GradientTape() as tape:
            tape.watch(cells)
            loss = tf.reduce_sum(weight * effective_matrix(cells, wires))
        return float(loss), tape.gradient(loss, cells).numpy()
    jax = pytest.importorskip("jax")
    with jax.enable_x64(True):
        function = jax.jit(jax.value_and_grad(lambda cells: (weight * effective_matrix(cells, wires)).sum()))
        loss, gradient = function(jax.numpy.asarray(g))
        return float(loss), np.asarray(gradient)


@pytest.mark.parametrize(
    ("wires_and_lines", "library", "shape"),
    every_pair(
        product([ENDS, Wires(0.02), Wires(0, 0.03, 0.1, 0.2), Wires(0.02, 0, 0.1, 0.2)], [1, 2]),
        ["torch", "jax", "tensorflow"],
        [(2, 4), (4, 2)],
    ),
    ids=str,
)
def test_every_library_finds_the_same_matrix_and_its_gradient(
    wires_and_lines: tuple[Wires, int], library: str, shape: tuple[int, int]
) -> None:
    wires, lines = wires_and_lines
    rng = np.random.default_rng(8)
    g, weight = rng.uniform(0.1, 1, (2, lines, *shape)), rng.normal(size=(2, *shape))
    loss, gradient = _loss_and_gradient(library, g, wires, weight)
    assert loss == pytest.approx((weight * effective_matrix(g, wires)).sum(), rel=1e-12)
    direction, step = rng.normal(size=g.shape), 1e-6
    ahead, behind = ((weight * effective_matrix(g + s * direction, wires)).sum() for s in (step, -step))
    assert (gradient * direction).sum() == pytest.approx((ahead - behind) / (2 * step), rel=1e-7)


def test_jax_without_float64_is_refused() -> None:
    jax = pytest.importorskip("jax")
    with jax.enable_x64(False), pytest.raises(UnsupportedError, match="jax_enable_x64"):
        effective_matrix(jax.numpy.ones((1, 2, 2)), ENDS)


def test_a_failure_under_jax_tracing_is_nan() -> None:
    jax = pytest.importorskip("jax")
    with jax.enable_x64(True):
        found = jax.jit(lambda g: effective_matrix(g, Wires(0.5, 0.5)))(-jax.numpy.ones((1, 4, 3)))
    assert np.all(np.isnan(found))
