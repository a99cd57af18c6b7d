"""Gate-selected arrays: the ladder elimination against circuit values, dense nodal analysis and limits."""

from decimal import Decimal, localcontext

import numpy as np
import pytest

from crossohm.circuits.grid import ladder
from crossohm.circuits.grid.ladder import ladder_currents
from crossohm.circuits.grid.wires import Wires
from crossohm.errors import CrossOhmError, ShapeError

PLUS = [[0.9, 0.2, 0.5], [0.1, 1.0, 0.3]]
MINUS = [[0.1, 0.6, 0.1], [0.4, 0.1, 0.8]]
WIRES = Wires(0.02, 0.05)
WITH_ENDS = Wires(0.02, 0.05, 0.1, 0.2)


def nodal_line(g, v, wires, unused=0, unused_at="top"):
    """Current of one output line by dense nodal analysis; ``g`` is (signs, N); all wire resistances positive."""
    signs, count = g.shape
    supply_end = wires.input + wires.input_end + (unused * wires.input if unused_at == "bottom" else 0)
    output_end = wires.output + wires.output_end + (unused * wires.output if unused_at == "top" else 0)
    matrix, right = np.zeros(((signs + 1) * count,) * 2), np.zeros((signs + 1) * count)

    def connect(a, b, conductance):
        matrix[a, a] += conductance
        if b is not None:
            matrix[b, b] += conductance
            matrix[a, b] -= conductance
            matrix[b, a] -= conductance

    connect(count - 1, None, 1 / output_end)
    for j in range(count - 1):
        connect(j, j + 1, 1 / wires.output)
    for s in range(signs):
        start = (s + 1) * count
        connect(start, None, 1 / supply_end)
        for j in range(count):
            if j < count - 1:
                connect(start + j, start + j + 1, 1 / wires.input)
            if abs(v[j]) > 1e-9:
                connect(start + j, j, g[s, j])
                source = g[s, j] * v[j] * (1 - 2 * s)
                right[j] += source
                right[start + j] -= source
    return np.linalg.solve(matrix, right)[count - 1] / output_end


def nodal(g, v, wires, unused=0, unused_at="top"):
    return np.array([[nodal_line(g[:, i], row, wires, unused, unused_at) for i in range(g.shape[1])] for row in v])


def random_case(signs, lines, inputs, seed, vectors=4):
    rng = np.random.default_rng(seed)
    g = rng.uniform(0.0, 1.0, (signs, lines, inputs)) * (rng.random((signs, lines, inputs)) > 0.2)  # some open cells
    return g, rng.integers(-1, 2, (vectors, inputs)).astype(float)


@pytest.mark.parametrize(
    ("v", "wires", "options", "expected"),
    [
        ([1, 0, 1], WIRES, {}, [1.20489866, 0.38480066]),
        ([1, 0, 1], WITH_ENDS, {}, [0.88499858, 0.34497650]),
        ([1, 0, 1], WIRES, {"unused": 2, "unused_at": "top"}, [1.07533204, 0.37054217]),
        ([1, 0, 1], WIRES, {"unused": 2, "unused_at": "bottom"}, [1.14949754, 0.37896758]),
        ([1, -1, 1], WIRES, {}, [1.01314843, -0.49402941]),
        ([1, -1, 1], WITH_ENDS, {}, [0.72076464, -0.36325176]),
        ([1, -1, 1], WIRES, {"unused": 2, "unused_at": "top"}, [0.89246938, -0.44109516]),
        ([1, -1, 1], WIRES, {"unused": 2, "unused_at": "bottom"}, [0.96116142, -0.47140095]),
    ],
)
def test_single_supply_line_gives_the_published_currents(v, wires, options, expected):
    np.testing.assert_allclose(ladder_currents([PLUS], [v], wires, **options), [expected], atol=6e-9)


@pytest.mark.parametrize(
    ("v", "expected"), [([1, 0, 1], [1.01084215, -0.68895507]), ([1, -1, 1], [1.28063591, -1.36192412])]
)
def test_interleaved_pairs_give_the_published_currents(v, expected):
    np.testing.assert_allclose(ladder_currents([PLUS, MINUS], [v], WIRES), [expected], atol=6e-9)


@pytest.mark.parametrize("signs", [1, 2])
@pytest.mark.parametrize(("lines", "inputs"), [(1, 1), (1, 9), (7, 1), (2, 2), (5, 8), (20, 64), (64, 64)])
@pytest.mark.parametrize("resistance", [1e-4, 1e-2, 1.0])
def test_agrees_with_nodal_analysis(signs, lines, inputs, resistance):
    g, v = random_case(signs, lines, inputs, seed=lines * inputs, vectors=2)
    wires = Wires(resistance, 1.7 * resistance)
    np.testing.assert_allclose(ladder_currents(g, v, wires), nodal(g, v, wires), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("signs", [1, 2])
@pytest.mark.parametrize("unused_at", ["top", "bottom"])
def test_end_resistances_and_unused_positions_agree_with_nodal_analysis(signs, unused_at):
    g, v = random_case(signs, 6, 17, seed=3)
    wires = Wires(0.01, 0.03, 0.2, 0.4)
    expected = nodal(g, v, wires, 5, unused_at)
    np.testing.assert_allclose(ladder_currents(g, v, wires, 5, unused_at), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("signs", [1, 2])
def test_any_voltage_is_an_emf(signs):
    g, v = random_case(signs, 6, 17, seed=3)
    v = v * np.random.default_rng(4).uniform(0.1, 1.0, v.shape)
    np.testing.assert_allclose(ladder_currents(g, v, WITH_ENDS), nodal(g, v, WITH_ENDS), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("signs", [1, 2])
@pytest.mark.parametrize("zero", [(1,), (0,), (0, 2), (1, 3), (2, 3), (0, 1), (0, 3), (1, 2), (0, 1, 2), (0, 1, 3)])
def test_zero_resistances_are_the_limit_of_small_ones(signs, zero):
    g, v = random_case(signs, 5, 12, seed=8)
    exact = np.array([0.02, 0.05, 0.1, 0.2])
    exact[list(zero)] = 0.0
    small = exact.copy()
    small[list(zero)] = 1e-10
    limit = ladder_currents(g, v, Wires(*exact))
    np.testing.assert_allclose(limit, ladder_currents(g, v, Wires(*small)), rtol=1e-7, atol=1e-7)
    small[list(zero)] = 1e-6
    np.testing.assert_allclose(limit, nodal(g, v, Wires(*small)), atol=1e-3)


@pytest.mark.parametrize("signs", [1, 2])
def test_without_any_resistance_the_product_is_ideal(signs):
    g, v = random_case(signs, 5, 12, seed=9)
    difference = g[0] if signs == 1 else g[0] - g[1]
    np.testing.assert_allclose(ladder_currents(g, v, Wires()), v @ difference.T, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("signs", [1, 2])
def test_resistance_only_at_the_ends_is_a_series_resistor(signs):
    g, v = random_case(signs, 5, 12, seed=10)
    if signs == 2:
        g[1] = 0.0
    active = np.abs(v) > 0
    expected = (v @ g[0].T) / (1 + 0.7 * (active @ g[0].T))
    np.testing.assert_allclose(ladder_currents(g, v, Wires(0, 0, 0.3, 0.4)), expected, rtol=1e-12, atol=1e-13)


def test_a_pair_with_an_empty_minus_array_is_a_single_array():
    g, v = random_case(1, 5, 12, seed=11)
    pair = np.concatenate([g, np.zeros_like(g)])
    np.testing.assert_allclose(ladder_currents(pair, v, WITH_ENDS), ladder_currents(g, v, WITH_ENDS), rtol=1e-12)


def test_exchanging_the_arrays_of_a_pair_changes_the_sign():
    g, v = random_case(2, 5, 12, seed=12)
    np.testing.assert_allclose(ladder_currents(g[::-1], v, WIRES), -ladder_currents(g, v, WIRES), atol=1e-13)


@pytest.mark.parametrize("signs", [1, 2])
def test_inactive_cells_carry_nothing(signs):
    g, v = random_case(signs, 5, 12, seed=13)
    v[:, 3] = 0.0
    changed = g.copy()
    changed[:, :, 3] = 0.77
    np.testing.assert_array_equal(ladder_currents(g, v, WIRES), ladder_currents(changed, v, WIRES))
    nearly = v.copy()
    nearly[:, 3] = -1e-9
    np.testing.assert_array_equal(ladder_currents(g, v, WIRES), ladder_currents(g, nearly, WIRES))


@pytest.mark.parametrize("signs", [1, 2])
def test_no_active_input_gives_exactly_zero(signs):
    g, _ = random_case(signs, 5, 12, seed=14)
    np.testing.assert_array_equal(ladder_currents(g, np.zeros((3, 12)), WIRES), np.zeros((3, 5)))


def test_no_vectors_give_no_currents():
    assert ladder_currents(np.ones((1, 5, 12)), np.zeros((0, 12)), WIRES).shape == (0, 5)


def test_open_cells_only_give_exactly_zero():
    np.testing.assert_array_equal(ladder_currents(np.zeros((2, 3, 4)), np.ones((1, 4)), WITH_ENDS), np.zeros((1, 3)))


def test_equal_patterns_are_solved_once_and_keep_their_places(monkeypatch):
    solved = []
    solve = ladder._solve

    def counting(rows, patterns, line):
        solved.append(len(patterns))
        return solve(rows, patterns, line)

    monkeypatch.setattr(ladder, "_solve", counting)
    g, v = random_case(1, 5, 12, seed=15, vectors=6)
    order = np.random.default_rng(16).integers(0, 6, 200)
    expected = np.concatenate([ladder_currents(g, row[None], WIRES) for row in v])
    solved.clear()
    np.testing.assert_allclose(ladder_currents(g, v[order], WIRES), expected[order], rtol=1e-13)
    assert sum(solved) == 6


@pytest.mark.parametrize("signs", [1, 2])
def test_chunks_do_not_change_the_currents(signs, monkeypatch):
    g, v = random_case(signs, 5, 12, seed=17, vectors=23)
    whole = ladder_currents(g, v, WIRES)
    monkeypatch.setattr(ladder, "CHUNK_LADDERS", 10)
    np.testing.assert_allclose(ladder_currents(g, v, WIRES), whole, rtol=1e-13, atol=1e-15)


def nodal_line_in_decimals(g, v, wires):
    """The same network to 60 digits: banded elimination, the nodes of a position side by side."""
    signs, count = g.shape
    width, size = signs + 1, (signs + 1) * count
    with localcontext() as context:
        context.prec = 60
        supply, output = 1 / Decimal(wires.input), 1 / Decimal(wires.output)
        zero = Decimal(0)
        band = [[zero] * (width + 1) for _ in range(size)]  # band[a][d] couples node a with node a + d
        right = [zero] * size
        for j in range(count):
            for line, conductance in enumerate([output] + [supply] * signs):
                a = j * width + line
                ends = (j > 0 or line > 0) + (j < count - 1 or line == 0)  # one open end, one end at 0 V
                band[a][0] += ends * conductance
                band[a][width] -= conductance
            for s in range(signs if v[j] else 0):
                cell, a, b = Decimal(g[s, j]), j * width, j * width + s + 1
                band[a][0] += cell
                band[b][0] += cell
                band[a][s + 1] -= cell
                right[a] += cell * Decimal(v[j]) * (1 - 2 * s)
                right[b] -= cell * Decimal(v[j]) * (1 - 2 * s)
        for a in range(size):
            for d in range(1, min(width, size - 1 - a) + 1):
                factor = band[a][d] / band[a][0]
                right[a + d] -= factor * right[a]
                for e in range(d, width + 1):
                    band[a + d][e - d] -= factor * band[a][e]
        for a in range(size - 1, size - width - 1, -1):
            known = sum((band[a][d] * right[a + d] for d in range(1, size - a)), zero)
            right[a] = (right[a] - known) / band[a][0]
        return float(right[size - width] * output)


@pytest.mark.parametrize("signs", [1, 2])
@pytest.mark.parametrize("resistances", [(1e-6, 1e-6), (1e-3, 1e-3), (1e-1, 1e-1), (1e-6, 1e-1), (1e-1, 1e-6)])
def test_long_lines_stay_accurate(signs, resistances):
    g, v = random_case(signs, 1, 1000, seed=18, vectors=2)
    v[1] = np.abs(v[1])
    wires = Wires(*resistances)
    expected = [[nodal_line_in_decimals(g[:, 0], row, wires)] for row in v]
    np.testing.assert_allclose(ladder_currents(g, v, wires), expected, rtol=1e-11)


@pytest.mark.parametrize("signs", [1, 2])
@pytest.mark.parametrize("wires", [Wires(1e3, 0), Wires(0, 1e3), Wires(1e3, 1e3), Wires(1e3, 1e-6)])
def test_extreme_attenuation_stays_finite(signs, wires):
    g, v = random_case(signs, 3, 2000, seed=19)
    currents = ladder_currents(g, v, wires)
    assert np.isfinite(currents).all()
    assert (np.abs(currents) <= np.abs(v) @ g.sum(axis=0).T).all()


@pytest.mark.parametrize(
    ("g", "v", "error", "words"),
    [
        (np.ones((3, 2, 4)), np.ones((1, 4)), ShapeError, "g has shape"),
        (np.ones((2, 4)), np.ones((1, 4)), ShapeError, "g has shape"),
        (np.ones((1, 2, 4)), np.ones((1, 3)), ShapeError, "v has shape"),
        (np.ones((1, 2, 4)), np.ones(4), ShapeError, "v has shape"),
    ],
)
def test_shapes_that_do_not_fit_are_named(g, v, error, words):
    with pytest.raises(error, match=words):
        ladder_currents(g, v, WIRES)


def test_an_unknown_side_is_named():
    with pytest.raises(CrossOhmError, match="'top' or 'bottom'"):
        ladder_currents(np.ones((1, 2, 4)), np.ones((1, 4)), WIRES, 1, "left")


@pytest.mark.parametrize("signs", [1, 2])
@pytest.mark.parametrize("unused_at", ["top", "bottom"])
@pytest.mark.parametrize("resistances", [(1e-9, 1e-9, 0, 0), (1e3, 1e3, 1e3, 1e3), (1e6, 0, 0, 1), (0, 1e6, 1, 0)])
def test_the_residual_check_passes_what_is_right(signs, unused_at, resistances, monkeypatch):
    """Rounding leaves far less than the check accepts, from resistances that vanish to those that dominate."""
    monkeypatch.setattr(ladder, "RESIDUAL", 1e-12)
    g, v = random_case(signs, 5, 200, seed=15)
    assert np.all(np.isfinite(ladder_currents(g, v, Wires(*resistances), 7, unused_at)))


@pytest.mark.parametrize("signs", [1, 2])
def test_a_wrong_elimination_is_an_error_with_size_and_resistances(signs, monkeypatch):
    right = ladder._divide
    monkeypatch.setattr(ladder, "_divide", lambda system, columns: right(system, columns) * (1 + 1e-7))
    g, v = random_case(signs, 5, 12, seed=16)
    with pytest.raises(CrossOhmError, match=r"5 outputs x 12 inputs.*input=0\.02, output=0\.05.*residual"):
        ladder_currents(g, v, WIRES)


@pytest.mark.parametrize("signs", [1, 2])
def test_every_vector_may_find_other_cells(signs):
    g, v = random_case(signs, 5, 12, seed=17)
    read = g * np.random.default_rng(18).uniform(0.8, 1.2, (len(v), *g.shape))
    v[1] = 0.0
    expected = np.concatenate([ladder_currents(one, x[None], WITH_ENDS) for one, x in zip(read, v, strict=True)])
    np.testing.assert_allclose(ladder_currents(read, v, WITH_ENDS), expected, rtol=0, atol=1e-14)
    assert ladder_currents(read[:0], v[:0], WITH_ENDS).shape == (0, 5)
    with pytest.raises(ShapeError, match="4 vectors as g has"):
        ladder_currents(read, v[:3], WITH_ENDS)
