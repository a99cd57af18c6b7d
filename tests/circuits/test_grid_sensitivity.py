"""Arrays with wires whose cells deviate: against one elimination per vector, and against the adjoint formula."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from crossohm import CrossOhmError
from crossohm.circuits.grid import DisturbedNetwork, Wires, cell_currents, effective_matrix, sensitivity

RNG = np.random.default_rng(41)
WIRES = [
    Wires(0.02, 0.05),
    Wires(0.02, 0.05, 0.1, 0.2),
    Wires(0.02, 0),
    Wires(0, 0.05, 0.1),
    Wires(0, 0, 0.1, 0.2),
    Wires(),
    Wires(1e-9, 1e-9),
    Wires(50, 80),
]


def case(signs: int, vectors: int, strength: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Programmed conductances (some cells open), the same as found by each vector, and the vectors."""
    g = RNG.uniform(0, 1, (signs, 5, 7)) * (RNG.random((signs, 5, 7)) < 0.8)
    read = np.maximum(g + strength * RNG.normal(size=(vectors, *g.shape)), 0)
    return g, read, RNG.uniform(-1, 1, (vectors, 7))


def eliminated(read: np.ndarray, v: np.ndarray, wires: Wires) -> np.ndarray:
    return np.stack([effective_matrix(one, wires) @ x for one, x in zip(read, v, strict=True)])


@pytest.mark.parametrize("signs", [1, 2])
@pytest.mark.parametrize("wires", WIRES)
@pytest.mark.parametrize("strength", [1e-3, 0.05, 3.0])
def test_exact_is_the_elimination_of_every_vector(signs: int, wires: Wires, strength: float) -> None:
    g, read, v = case(signs, 6, strength)
    found, expected = DisturbedNetwork(g, wires).exact(read, v), eliminated(read, v, wires)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)


def test_vectors_that_do_not_converge_are_eliminated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Far from the programmed cells the step diverges; the result is right all the same, or an error."""
    called: list[int] = []

    def counted(g: np.ndarray, wires: Wires) -> np.ndarray:
        called.append(1)
        return effective_matrix(g, wires)

    monkeypatch.setattr(sensitivity, "effective_matrix", counted)
    wires = Wires(2.0, 2.0)
    g, read, v = case(1, 4, 0.001)
    read[1:3] *= 50
    found = DisturbedNetwork(g, wires).exact(read, v)
    np.testing.assert_allclose(found, eliminated(read, v, wires), rtol=0, atol=1e-10)
    assert len(called) == 2
    read[1, 0, 0, 0] = np.nan
    with pytest.raises(CrossOhmError, match="5 outputs x 7 inputs"):
        DisturbedNetwork(g, wires).exact(read, v)


def test_arrays_too_large_to_factorise_are_eliminated(monkeypatch: pytest.MonkeyPatch) -> None:
    g, read, v = case(2, 3, 0.05)
    factorised = DisturbedNetwork(g, WIRES[1]).exact(read, v)
    monkeypatch.setattr(sensitivity, "MOST_CELLS", 10)
    monkeypatch.setattr(sensitivity, "splu", None)
    np.testing.assert_allclose(DisturbedNetwork(g, WIRES[1]).exact(read, v), factorised, rtol=0, atol=1e-11)


@pytest.mark.parametrize("signs", [1, 2])
@pytest.mark.parametrize("wires", WIRES[:6])
def test_what_the_first_order_misses_is_quadratic(signs: int, wires: Wires) -> None:
    g, read, v = case(signs, 6, 1e-3)
    network, still = DisturbedNetwork(g, wires), np.broadcast_to(g, read.shape)
    calm = network.first_order(still, v)
    np.testing.assert_allclose(calm, v @ effective_matrix(g, wires).T, rtol=0, atol=1e-12)
    half, full = (still + scale * (read - g) for scale in (0.5, 1.0))
    np.testing.assert_allclose(
        network.first_order(full, v) - calm, 2 * (network.first_order(half, v) - calm), rtol=0, atol=1e-13
    )
    errors = [np.abs(network.first_order(one, v) - eliminated(one, v, wires)).max() for one in (half, full)]
    assert errors[1] < 1e-4
    assert 3 < errors[1] / errors[0] < 5 or errors[1] < 1e-14


def test_first_order_is_the_adjoint_formula() -> None:
    """``dy_i = -a_ik w_k dg_k`` with the cell voltages of the array and of its adjoint, cell by cell, line by line."""
    wires = Wires(0.02, 0.05, 0.1, 0.2)
    g = RNG.uniform(0.1, 1, (1, 4, 6))
    v = RNG.uniform(-1, 1, 6)
    across = cell_currents(g, v, wires, np.multiply)[0] / g[0]
    # Exchanging sources and ammeters: line i driven with 1 V, all inputs at 0 V.
    mirrored = g[0, ::-1, ::-1].T[np.newaxis]
    for k in [(0, 0), (1, 4), (3, 5)]:
        read = g[np.newaxis].copy()
        read[0, 0, k[0], k[1]] += 1e-3
        change = DisturbedNetwork(g, wires).first_order(read, v[np.newaxis])[0] - effective_matrix(g, wires) @ v
        for i in range(4):
            drive = np.eye(4)[i][::-1]
            adjoint = (cell_currents(mirrored, drive, wires.mirrored, np.multiply)[0] / mirrored[0]).T[::-1, ::-1]
            # Seen from the cell, the adjoint source drives it the other way.
            assert change[i] == pytest.approx(adjoint[k] * across[k] * 1e-3, abs=1e-14)
        assert np.count_nonzero(np.abs(change) > 1e-9) == 4  # output lines share what a cell does


def test_no_vectors_and_no_voltage() -> None:
    g, read, v = case(2, 3, 0.05)
    network = DisturbedNetwork(g, WIRES[0])
    for method in (network.exact, network.first_order):
        assert method(read[:0], v[:0]).shape == (0, 5)
        np.testing.assert_array_equal(method(read, np.zeros_like(v)), np.zeros((3, 5)))


def test_a_copy_solves_the_same() -> None:
    g, read, v = case(1, 3, 0.05)
    network = DisturbedNetwork(g, WIRES[0])
    found = network.exact(read, v)
    np.testing.assert_array_equal(copy.deepcopy(network).exact(read, v), found)


def test_factors_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    g, read, v = case(1, 3, 0.05)
    for wires in WIRES:
        DisturbedNetwork(g, wires).first_order(read, v)
    monkeypatch.setattr(sensitivity, "FACTOR_RESIDUAL", -1.0)
    with pytest.raises(CrossOhmError, match=r"5 outputs x 7 inputs with Wires\(input=0\.02.*residual"):
        DisturbedNetwork(g, WIRES[0]).first_order(read, v)


@pytest.mark.parametrize("signs", [1, 2])
@pytest.mark.parametrize("wires", WIRES)
def test_the_gradient_is_that_of_the_elimination(signs: int, wires: Wires) -> None:
    torch = pytest.importorskip("torch")
    (g, _, _), grad = case(signs, 1, 0.0), RNG.normal(size=(5, 7))
    leaf = torch.tensor(g, requires_grad=True)
    effective_matrix(leaf, wires).backward(torch.tensor(grad))
    found = DisturbedNetwork(g, wires).matrix_gradient(grad)
    np.testing.assert_allclose(found, leaf.grad.numpy(), rtol=0, atol=1e-7)
