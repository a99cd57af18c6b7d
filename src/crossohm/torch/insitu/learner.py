"""A network of PyTorch as training studies see it: NumPy samples in, every seed a replica."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from crossohm.errors import DataError
from crossohm.torch.insitu.convert import to_in_situ
from crossohm.torch.insitu.layer import InSituLayer
from crossohm.torch.insitu.optimizer import AnalogSGD
from crossohm.training.arrays.settings import ArraySettings
from crossohm.training.rules.model import Rule
from crossohm.training.semantics import PER_SAMPLE

#: Samples answered at a time.
_AT_A_TIME = 500


@final
class TorchLearner:
    """Copies of a network whose linear and convolutional layers are on devices, one for each seed.

    All start from the network's own weights. The loss is cross-entropy, summed over the samples of a batch.

    Args:
        model: The network; answers are one number per class.
        settings: How weights lie on devices.
        rule: The algorithm.
        seeds: The chips; dropout and the like draw from them, too.

    Raises:
        UnsupportedError: the network has no layer that can be put on devices.
    """

    def __init__(self, model: nn.Module, settings: ArraySettings, rule: Rule, seeds: Sequence[int]) -> None:
        self.models = [to_in_situ(copy.deepcopy(model), settings, rule=rule, seed=seed) for seed in seeds]
        self._generators = [torch.Generator().manual_seed(seed).get_state() for seed in seeds]

    def train(
        self,
        x: NDArray[np.floating],
        labels: NDArray[np.integer],
        lr: float,
        *,
        semantics: str = PER_SAMPLE,
        batch: int = 1,
    ) -> NDArray[np.float64]:
        """See `crossohm.training.learner.Learner`."""
        samples, classes = torch.from_numpy(np.asarray(x, np.float32)), torch.from_numpy(np.asarray(labels, np.int64))
        return np.array(
            [self._trained(replica, samples, classes, lr, semantics, batch) for replica in range(len(self.models))]
        )

    def _trained(self, replica: int, samples: Tensor, classes: Tensor, lr: float, semantics: str, batch: int) -> float:
        """Mean loss of a replica over an epoch; it draws from a stream of its own."""
        model, total = self.models[replica].train(), 0.0
        optimizer = AnalogSGD(model, lr, semantics=semantics)
        with torch.random.fork_rng(devices=[]):
            torch.random.set_rng_state(self._generators[replica])
            for part, truth in zip(samples.split(batch), classes.split(batch), strict=True):
                optimizer.zero_grad()
                loss = F.cross_entropy(model(part), truth, reduction="sum")
                loss.backward()
                optimizer.step()
                total += loss.item()
            self._generators[replica] = torch.random.get_rng_state()
        return total / max(len(samples), 1)

    @torch.no_grad()
    def accuracy(self, x: NDArray[np.floating], labels: NDArray[np.integer]) -> NDArray[np.float64]:
        """See `crossohm.training.learner.Learner`."""
        samples, classes = torch.from_numpy(np.asarray(x, np.float32)), torch.from_numpy(np.asarray(labels, np.int64))
        found = []
        for model in self.models:
            model.eval()
            right = [
                (model(part).argmax(dim=1) == truth).sum().item()
                for part, truth in zip(samples.split(_AT_A_TIME), classes.split(_AT_A_TIME), strict=True)
            ]
            found.append(sum(right) / len(samples))
        return np.array(found)

    def explain(self) -> str:
        """See `crossohm.training.learner.Learner`."""
        layers = [module for module in self.models[0].modules() if isinstance(module, InSituLayer)]
        return "\n".join(layer.matrix.explain() for layer in layers)

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """See `crossohm.training.learner.Learner`."""
        found = {f"draws/{replica}": state.numpy() for replica, state in enumerate(self._generators)}
        for replica, model in enumerate(self.models):
            found |= {f"{replica}/{name}": value.numpy().copy() for name, value in model.state_dict().items()}
        return found

    def load_state_dict(self, values: Mapping[str, NDArray[Any]]) -> None:
        """See `crossohm.training.learner.Learner`.

        Raises:
            DataError: it is not of such a network.
        """
        for replica, model in enumerate(self.models):
            own = {
                name: torch.from_numpy(np.array(values[f"{replica}/{name}"]))
                for name in model.state_dict()
                if f"{replica}/{name}" in values
            }
            try:
                model.load_state_dict(own)
                self._generators[replica] = torch.from_numpy(np.array(values[f"draws/{replica}"]))
            except (RuntimeError, KeyError) as error:
                raise DataError(f"the state to load is not of this network: {error}") from error


def learner(model: nn.Module, settings: ArraySettings, rule: Rule, seeds: Sequence[int]) -> TorchLearner:
    """A module as a `crossohm.training.learner.Learner`."""
    return TorchLearner(model, settings, rule, seeds)
