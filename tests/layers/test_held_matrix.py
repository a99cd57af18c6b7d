"""Arrays follow the parameters of a layer of any framework: what is written, when, and what is left alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from crossohm import AnalogCore, CrossOhmError
from crossohm.errors import StaleArraysError
from crossohm.layers import dense
from crossohm.layers.held_matrix import HeldArrays, next_chip
from crossohm.testing.hardware import PROGRAMMING_ERROR, hardware


def of_torch(value: np.ndarray) -> Any:
    return pytest.importorskip("torch").tensor(value)


def of_jax(value: np.ndarray) -> Any:
    return pytest.importorskip("jax").numpy.asarray(value)


def of_tensorflow(value: np.ndarray) -> Any:
    return pytest.importorskip("tensorflow").constant(value)


LIBRARIES: dict[str, Callable[[np.ndarray], Any]] = {
    "numpy": np.array,
    "torch": of_torch,
    "jax": of_jax,
    "tensorflow": of_tensorflow,
}
WEIGHT = np.random.default_rng(1).normal(size=(4, 6)).astype(np.float32)
BIAS = np.random.default_rng(2).normal(size=4).astype(np.float32) / 10


@dataclass
class Layer:
    """The least a layer is: parameters by name, and what it wants of its arrays."""

    values: dict[str, Any]
    name: str = "layer"
    sync: str = "auto"
    gradient: str = "programmed"

    def parameter_values(self, names: Sequence[str]) -> dict[str, Any]:
        return {name: self.values[name] for name in names}


@pytest.fixture(params=LIBRARIES)
def library(request: pytest.FixtureRequest) -> Callable[[np.ndarray], Any]:
    return LIBRARIES[request.param]


def held_by(library: Callable[[np.ndarray], Any], *parts: Any, sync: str = "auto") -> tuple[Layer, HeldArrays]:
    layer = Layer({"weight": library(WEIGHT), "bias": library(BIAS)}, sync=sync)
    return layer, HeldArrays(layer, dense(4, 6, 2), hardware(*parts), 1, "layer.first")


def conductances(held: HeldArrays) -> np.ndarray:
    return held.core.blocks[0].record.conductance.copy()


def test_the_chip_is_that_of_the_matrix_alone(library):
    _, held = held_by(library, PROGRAMMING_ERROR)
    matrix = np.concatenate([WEIGHT, np.repeat(BIAS[:, None] / 2, 2, axis=1)], axis=1)
    np.testing.assert_array_equal(np.asarray(held.ideal()), matrix)
    alone = AnalogCore(matrix, hardware(PROGRAMMING_ERROR), seed=1, name="layer.first")
    np.testing.assert_array_equal(np.asarray(held.programmed()), alone.get_matrix())
    assert (held.seed, held.name, held.dtypes) == (1, "layer.first", ["float32", "float32"])
    assert type(held.programmed()) is type(library(WEIGHT))


def test_unchanged_parameters_leave_the_arrays_alone(library):
    layer, held = held_by(library, PROGRAMMING_ERROR)
    before = conductances(held)
    layer.values = {name: library(np.array(np.asarray(value))) for name, value in layer.values.items()}
    assert held.is_written()
    assert np.array_equal(before, conductances(held))
    held.synchronize()
    assert (before != conductances(held)).all()


def test_only_the_cells_of_a_changed_parameter_are_written(library):
    layer, held = held_by(library, PROGRAMMING_ERROR)
    before = conductances(held)
    layer.values["bias"] = library(BIAS * np.float32(0.9))
    assert not held.is_written()
    changed = (before != conductances(held)).any(axis=(0, 1, 2))
    assert changed.tolist() == [False] * 6 + [True] * 2
    assert held.is_written()
    np.testing.assert_array_equal(np.asarray(held.programmed()), np.asarray(held.core.get_matrix()))


def test_policies(library):
    layer, held = held_by(library, PROGRAMMING_ERROR, sync="manual")
    before = conductances(held)
    layer.values["weight"] = library(WEIGHT / 2)
    assert np.array_equal(before, conductances(held))
    layer.sync = "error"
    with pytest.raises(StaleArraysError, match="weight of Layer 'layer' changed") as error:
        held.core  # noqa: B018 - looks at the parameters
    assert isinstance(error.value, CrossOhmError)
    assert np.array_equal(before, held.built.blocks[0].record.conductance)
    held.synchronize()
    assert not np.array_equal(before, conductances(held))


def test_the_next_chip_is_the_same_for_all(library):
    _, held = held_by(library, PROGRAMMING_ERROR)
    before = conductances(held)
    held.reinitialize()
    assert held.seed == next_chip(1) != 1
    assert not np.array_equal(before, conductances(held))
    held.reinitialize(1)
    assert np.array_equal(before, conductances(held))


def test_traced_parameters_are_refused():
    jax = pytest.importorskip("jax")
    layer, held = held_by(of_jax)

    def total(weight: Any) -> Any:
        layer.values["weight"] = weight
        return held.programmed().sum()

    with pytest.raises(CrossOhmError, match="values are not known while"):
        jax.jit(total)(of_jax(WEIGHT))
