"""The network of the recipes: plain gradient descent on ideal devices, replicas by themselves, runs that go on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from crossohm.errors import DataError, ParameterError, ShapeError
from crossohm.training.arrays.interfaces import Interfaces
from crossohm.training.arrays.reads import ReadNoise
from crossohm.training.arrays.settings import ArraySettings
from crossohm.training.perceptron import Perceptron
from crossohm.training.rules import AGAD, MixedPrecision, Parallel, PeriodicCarry, Rule
from crossohm.training.updates.analytic import AnalyticUpdate
from crossohm.training.updates.converting import table_of
from crossohm.training.updates.ideal import IdealUpdate
from crossohm.training.updates.lookup import LookupUpdate
from crossohm.training.updates.model import UpdateModel
from crossohm.training.updates.pulsed import SoftBounds

IDEAL = ArraySettings(model=IdealUpdate(), dtype="float64")
NOISY = ArraySettings(model=AnalyticUpdate(nonlinearity=1.5, write_noise=0.05))
SIZES, LIMITS = (5, 4, 3), (20.0, 20.0)


def _samples(count: int = 30) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(count, 5)), rng.integers(3, size=count)


def _network(settings: ArraySettings = NOISY, seeds: tuple[int, ...] = (1,), **options: Any) -> Perceptron:
    return Perceptron(SIZES, LIMITS, settings, Parallel(), seeds, **options)


def _plain(weights: list[Any], x: Any, labels: Any, lr: float, batch: int, hidden: str) -> None:
    """Gradient descent written out for two layers, in place."""
    for start in range(0, len(x), batch):
        part = slice(start, start + batch)
        first = np.column_stack([x[part], np.ones(len(x[part]))])
        drive = first @ weights[0].T
        values = 1 / (1 + np.exp(-drive)) if hidden == "sigmoid" else np.maximum(drive, 0)
        second = np.column_stack([values, np.ones(len(values))])
        powers = np.exp(second @ weights[1].T)
        errors = np.eye(3)[labels[part]] - powers / powers.sum(axis=1, keepdims=True)
        slope = values * (1 - values) if hidden == "sigmoid" else drive > 0
        below = (errors @ weights[1])[:, :-1] * slope
        weights[1] += lr * errors.T @ second
        weights[0] += lr * below.T @ first


@pytest.mark.parametrize("hidden", ["sigmoid", "relu"])
@pytest.mark.parametrize("weights", ["balanced", "offset"])
@pytest.mark.parametrize(("semantics", "batch"), [("per_sample", 1), ("minibatch_sequential", 4), ("burst", 4)])
def test_ideal_devices_descend_the_gradient(hidden: str, weights: str, semantics: str, batch: int) -> None:
    """To rounding, for all semantics."""
    settings = ArraySettings(model=IdealUpdate(), dtype="float64", weights=weights)
    network, (x, labels) = _network(settings, hidden=hidden), _samples()
    expected = [layer.read()[0].copy() for layer in network.layers]
    network.train(x, labels, 0.1, semantics=semantics, batch=batch)
    _plain(expected, x, labels, 0.1, batch, hidden)
    for layer, wanted in zip(network.layers, expected, strict=True):
        np.testing.assert_allclose(layer.read()[0], wanted, rtol=1e-9, atol=1e-9)


def test_ideal_devices_learn_as_torch_does() -> None:
    """Its own gradients and optimiser, to rounding."""
    torch = pytest.importorskip("torch")
    network, (x, labels) = _network(IDEAL), _samples()
    layers = [torch.nn.Linear(5, 4, dtype=torch.float64), torch.nn.Linear(4, 3, dtype=torch.float64)]
    for layer, array in zip(layers, network.layers, strict=True):
        weights = torch.tensor(array.read()[0])
        layer.weight.data, layer.bias.data = weights[:, :-1].clone(), weights[:, -1].clone()
    model = torch.nn.Sequential(layers[0], torch.nn.Sigmoid(), layers[1])
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    for sample, label in zip(torch.tensor(x), torch.tensor(labels), strict=True):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(model(sample[None]), label[None]).backward()
        optimiser.step()
    network.train(x, labels, 0.1)
    for layer, array in zip(layers, network.layers, strict=True):
        wanted = np.column_stack([layer.weight.detach().numpy(), layer.bias.detach().numpy()])
        np.testing.assert_allclose(array.read()[0], wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("semantics", "batch"), [("per_sample", 1), ("minibatch_sequential", 8), ("burst", 8)])
def test_a_replica_learns_as_it_does_alone(semantics: str, batch: int) -> None:
    """Bit for bit, though all are computed at once, with noise in reads and at random rounded operands too."""
    interfaces = Interfaces.preset("RELU", stochastic_updates=True)
    settings = replace(NOISY, read_noise=ReadNoise(0.01), interfaces=interfaces)
    together, (x, labels) = _network(settings, seeds=(3, 1, 2)), _samples()
    together.train(x, labels, 0.1, semantics=semantics, batch=batch)
    for replica, seed in enumerate((3, 1, 2)):
        alone = _network(settings, seeds=(seed,))
        alone.train(x, labels, 0.1, semantics=semantics, batch=batch)
        for mine, others in zip(alone.layers, together.layers, strict=True):
            np.testing.assert_array_equal(mine.read()[0], others.read()[replica])


@pytest.mark.parametrize(
    "rule",
    [Parallel(), PeriodicCarry(2, 4.0, (7,)), MixedPrecision(0.01), AGAD(granularity=0.01, period=3)],
    ids=lambda rule: type(rule).__name__,
)
def test_a_stopped_run_goes_on_bit_for_bit(rule: Rule) -> None:
    """In a network made anew, with every stream and every digital number where it was."""
    settings = replace(NOISY, read_noise=ReadNoise(0.01))
    whole, first, second = (Perceptron(SIZES, LIMITS, settings, rule, (1, 2)) for _ in range(3))
    x, labels = _samples()
    whole.train(x, labels, 0.1)
    whole.train(x, labels, 0.1)
    first.train(x, labels, 0.1)
    second.load_state_dict(first.state_dict())
    second.train(x, labels, 0.1)
    for mine, others in zip(second.state_dict().items(), whole.state_dict().items(), strict=True):
        assert mine[0] == others[0]
        np.testing.assert_array_equal(mine[1], others[1])


def test_a_state_carries_its_devices() -> None:
    """Tables of pulses, too: it goes on in a network made without them, and in one of other devices."""
    tables = [table_of(SoftBounds(asymmetry_spread=0.0, step_size=size), title=f"{size}") for size in (0.01, 0.02)]
    settings = ArraySettings(model=LookupUpdate(tables, low=0.2))
    whole = _network(settings)
    x, labels = _samples()
    whole.train(x, labels, 0.1)
    state = whole.state_dict()
    assert not any(values.dtype.hasobject for values in state.values())
    expected = whole.train(x, labels, 0.1)
    for other in (ArraySettings(), NOISY):
        again = _network(other)
        again.load_state_dict(state)
        assert again.model.low == 0.2
        np.testing.assert_array_equal(again.train(x, labels, 0.1), expected)
        for mine, others in zip(again.layers, whole.layers, strict=True):
            np.testing.assert_array_equal(mine.read(), others.read())
    damaged = {**state, "model/tables/1/increasing": np.zeros(3)}
    before = _network(NOISY)
    with pytest.raises(DataError, match="device 1"):
        before.load_state_dict(damaged)
    assert before.model == NOISY.model


def test_devices_of_the_users_own_stay() -> None:
    """A model without a registered name is not in the state; the network that goes on has it."""

    class Halved(UpdateModel):
        def step(self, w: Any, request: Any, drawn: Any, devices: Any) -> Any:
            return w + 0.5 * request

    settings = ArraySettings(model=Halved())
    first, second = _network(settings), _network(settings)
    first.train(*_samples(), 0.1)
    state = first.state_dict()
    assert not any(name.startswith("model/") for name in state)
    second.load_state_dict(state)
    assert second.model is settings.model


def test_the_transposed_read_may_come_after_the_write() -> None:
    """Then the errors of the first layer are those at the new weights of the second."""
    (x, labels), networks = _samples(1), [_network(IDEAL, backward_read=when) for when in ("before", "after")]
    start = [layer.read()[0].copy() for layer in networks[0].layers]
    for network in networks:
        network.train(x, labels, 0.1)
    before, after = ([layer.read()[0] - was for layer, was in zip(n.layers, start, strict=True)] for n in networks)
    np.testing.assert_array_equal(before[1], after[1])
    values = networks[0].outputs(x)
    assert values.shape == (1, 1, 3)
    assert np.abs(before[0] - after[0]).max() > 1e-6


def test_watched_writes_are_those_of_training() -> None:
    """What ideal devices do is what they are asked to."""
    network, (x, labels) = _network(IDEAL), _samples(1)
    other = _network(IDEAL)
    before = network.layers[0].read()
    requested, realised, seen = network.watched(x, labels, 0.1)
    np.testing.assert_array_equal(seen, before)
    other.train(x, labels, 0.1)
    np.testing.assert_allclose(requested, realised, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(network.layers[0].read(), other.layers[0].read())


def test_large_drives_are_no_overflow() -> None:
    """A sigmoid far from zero is 0 or 1."""
    answers = _network(ArraySettings(model=IdealUpdate())).outputs(np.array([[1e4] * 5, [-1e4] * 5]))
    assert np.isfinite(answers).all()


def test_learning_learns() -> None:
    """Noisy devices too, on classes that are apart."""
    rng = np.random.default_rng(0)
    labels = rng.integers(3, size=300)
    x = rng.normal(size=(300, 5)) * 0.3 + 2 * np.eye(5)[labels]
    network = _network(seeds=(1, 2))
    for _ in range(5):
        network.train(x, labels, 0.1)
    assert (network.accuracy(x, labels) > 0.95).all()


def test_what_cannot_be_is_said() -> None:
    """With what to do."""
    network, (x, labels) = _network(), _samples()
    with pytest.raises(ParameterError, match="minibatch_sequential"):
        network.train(x, labels, 0.1, batch=2)
    with pytest.raises(ShapeError, match="3 weight limits for 2 layers"):
        Perceptron(SIZES, (1.0, 1.0, 1.0), NOISY, Parallel(), (1,))
    with pytest.raises(DataError, match="layer1"):
        network.load_state_dict({})
    with pytest.raises(ParameterError, match="sigmoid"):
        _network(hidden="tanh")
