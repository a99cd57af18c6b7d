"""The contract every training rule keeps, as tests to inherit.

In a test file of your own package::

    from crossohm.testing.rule import RuleContract

    class TestHalved(RuleContract):
        def make(self):
            return Halved()
"""

from __future__ import annotations

import copy

import numpy as np
import pytest

from crossohm.errors import DataError
from crossohm.training.arrays.settings import WEIGHTS, ArraySettings
from crossohm.training.rules.model import Numbers, Rule, TrainedMatrix
from crossohm.training.updates.analytic import AnalyticUpdate
from crossohm.training.updates.ideal import IdealUpdate
from crossohm.training.updates.model import UpdateModel
from crossohm.training.updates.pulsed import SoftBounds

_SHAPE, _LIMIT = (4, 3), 1.0
#: Devices that a rule is tried on.
_MODELS: dict[str, UpdateModel] = {
    "ideal": IdealUpdate(),
    "analytic": AnalyticUpdate(nonlinearity=1.0, write_noise=0.05),
    "pulsed": SoftBounds(step_size=0.01, step_spread=0.1, cycle_noise=0.1, bound_spread=0.1),
}


class RuleContract:
    """Tests inherited by the tests of one rule: override `make`.

    Attributes:
        updates: Updates after which a rule has learned a direction.
        lr: Learning rate of these updates.
        learns_on: Devices on which the rule descends; Tiki-Taka needs those whose asymmetry makes the past fade.
    """

    updates = 400
    lr = 0.05
    learns_on: tuple[str, ...] = tuple(_MODELS)

    def make(self) -> Rule:
        """A rule to test; two calls give equal rules. It works with devices that have no smallest change."""
        raise NotImplementedError(f"{type(self).__name__} does not say which rule is tested; define make()")

    def _matrix(self, device: str, seeds: tuple[int, ...] = (1,), dtype: str = "float64") -> TrainedMatrix:
        settings = ArraySettings(model=_MODELS[device], dtype=dtype)
        return self.make().matrix(settings, _SHAPE, _LIMIT, seeds, "matrix")

    def _learn(self, matrix: TrainedMatrix, replicas: int, updates: int) -> None:
        rng = np.random.default_rng(2)
        for _ in range(updates):
            rows, columns = (np.repeat(rng.normal(size=(1, 2, n)), replicas, axis=0) for n in _SHAPE)
            matrix.update(rows, columns, self.lr)

    def _descend(self, matrix: TrainedMatrix, target: Numbers, updates: int) -> None:
        """Move the weights towards ``target`` as regression on random inputs does."""
        rng = np.random.default_rng(3)
        for _ in range(updates):
            x = rng.normal(size=(1, 1, _SHAPE[1]))
            matrix.update(x @ target.T - matrix.forward(x), x, self.lr)

    def test_rules_made_alike_are_equal(self) -> None:
        """So that a study knows its points again."""
        assert self.make() == self.make()
        assert hash(self.make()) == hash(self.make())

    @pytest.mark.parametrize("device", _MODELS)
    def test_weights_that_are_set_are_read(self, device: str) -> None:
        """Exactly, forward and back."""
        matrix = self._matrix(device)
        weights = np.random.default_rng(0).uniform(-0.3, 0.3, _SHAPE)
        matrix.set(weights[None])
        x, p = np.random.default_rng(1).normal(size=(1, 5, 3)), np.random.default_rng(1).normal(size=(1, 5, 4))
        np.testing.assert_allclose(matrix.read()[0], weights, atol=1e-6)
        np.testing.assert_allclose(matrix.forward(x)[0], x[0] @ weights.T, atol=1e-5)
        np.testing.assert_allclose(matrix.backward(p)[0], p[0] @ weights, atol=1e-5)

    @pytest.mark.parametrize("device", _MODELS)
    def test_regression_learns(self, device: str) -> None:
        """The weights come closer to those that made the data."""
        if device not in self.learns_on:
            pytest.skip("the rule does not descend on such devices")
        matrix = self._matrix(device)
        target = np.random.default_rng(4).uniform(-0.4, 0.4, _SHAPE)
        self._descend(matrix, target, self.updates)
        assert np.abs(matrix.read()[0] - target).mean() < 0.6 * np.abs(target).mean()

    @pytest.mark.parametrize("device", _MODELS)
    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_a_replica_learns_as_it_does_alone(self, device: str, dtype: str) -> None:
        """Bit for bit."""
        together = self._matrix(device, (3, 1), dtype)
        self._learn(together, 2, 20)
        for replica, seed in enumerate((3, 1)):
            alone = self._matrix(device, (seed,), dtype)
            self._learn(alone, 1, 20)
            np.testing.assert_array_equal(alone.read()[0], together.read()[replica])

    @pytest.mark.parametrize("weights", WEIGHTS)
    def test_a_batch_is_its_updates_in_order(self, weights: str) -> None:
        """Where nothing is drawn in a write, to rounding."""
        settings = ArraySettings(
            model=AnalyticUpdate(nonlinearity=0.5), weights=weights, dtype="float64", arithmetic="sequential"
        )
        one, other = (self.make().matrix(settings, _SHAPE, _LIMIT, (1, 2), "matrix") for _ in range(2))
        rows, columns = (np.random.default_rng(n).normal(size=(2, 25, n)) for n in _SHAPE)
        one.update(rows, columns, self.lr)
        for b in range(25):
            other.update(rows[:, b : b + 1], columns[:, b : b + 1], self.lr)
        np.testing.assert_allclose(one.read(), other.read(), atol=1e-12)

    @pytest.mark.parametrize("device", _MODELS)
    def test_without_errors_nothing_is_learned(self, device: str) -> None:
        """Updates and bursts of zero leave the weights alone."""
        matrix = self._matrix(device)
        matrix.set(np.random.default_rng(0).uniform(-0.3, 0.3, _SHAPE)[None])
        before = matrix.read()
        matrix.update(np.zeros((1, 20, _SHAPE[0])), np.ones((1, 20, _SHAPE[1])), self.lr)
        matrix.burst(np.zeros((1, *_SHAPE)), self.lr)
        np.testing.assert_array_equal(matrix.read(), before)

    @pytest.mark.parametrize("device", _MODELS)
    def test_saved_states_go_on_bit_for_bit(self, device: str) -> None:
        """In a matrix made anew, and in a copy."""
        whole, first, second = (self._matrix(device) for _ in range(3))
        for matrix in (whole, first):
            self._learn(matrix, 1, 15)
        second.load_state_dict(first.state_dict())
        copied = copy.deepcopy(first)
        for matrix in (whole, second, copied):
            self._learn(matrix, 1, 15)
        wanted = whole.state_dict()
        for other in (second, copied):
            found = other.state_dict()
            assert found.keys() == wanted.keys()
            for name, of in wanted.items():
                np.testing.assert_array_equal(found[name], of, err_msg=name)

    def test_states_of_others_are_refused(self) -> None:
        """With an error that says so."""
        with pytest.raises(DataError):
            self._matrix("ideal").load_state_dict({})

    def test_a_matrix_says_what_it_is(self) -> None:
        """Its arrays among it."""
        assert "4 x 3 weights" in self._matrix("ideal").explain()

    def test_a_full_matrix_of_changes_is_learned(self) -> None:
        """As a burst."""
        matrix = self._matrix("ideal")
        before, changes = matrix.read(), np.random.default_rng(5).normal(size=(1, *_SHAPE))
        for _ in range(self.updates):
            matrix.burst(changes, self.lr)
        moved = matrix.read() - before
        assert (moved * changes).sum() > 0
