"""Tiki-Taka with a digital buffer: version 2, with choppers, and AGAD.

What is read of the fast array adds up in digital numbers; where they reach one, the slow array gets a pulse.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from crossohm.training.arrays.settings import ArraySettings
from crossohm.training.checks import require_count, require_flag, require_number
from crossohm.training.rules.model import Numbers, Rule, RuleMatrix, granularity_of
from crossohm.training.rules.registry import rule
from crossohm.training.rules.transfer import TransferMatrix
from crossohm.training.updates.stream import DrawStream

#: Share of the past in the running means of the largest operands.
_MEMORY = 0.99
#: Weight of the newest read in AGAD's running mean, over the chopping period: the end of a period counts most.
_TAIL = 5.0


@dataclass(frozen=True, eq=False)
class BufferedTransfer(Rule):
    """Base of the rules with a buffer.

    Attributes:
        every: Number of updates between transfers.
        fast_lr: Learning rate of the fast array: over that of the layer, or, with ``auto_scale``, in pulses.
        auto_scale: Choose the fast array's learning rate so that the largest operands, on average, ask for ``fast_lr``
            pulses.
        transfer_lr: Scale of what is added to the buffer.
        momentum: What stays in the buffer where pulses were sent, see ``forget``.
        forget: ``momentum`` times the buffer stays; False: all but ``1 - momentum`` of the pulses sent.
        most_pulses: Pulses that an element of the slow array gets at most in a transfer.
        granularity: Change of a weight that is worth a pulse; None: that of the devices, see `granularity_of`.
        auto_granularity: If not 0, a pulse is sent for ``granularity * auto_granularity / (inputs * every)`` of what is
            read, not for ``granularity``: sweeps of large and small layers then send alike.

    Raises:
        ParameterError: a parameter is out of its range.
    """

    every: int = 1
    fast_lr: float = 1.0
    auto_scale: bool = True
    transfer_lr: float = 1.0
    momentum: float = 0.1
    forget: bool = True
    most_pulses: int = 1
    granularity: float | None = None
    auto_granularity: float = 0.0

    def __post_init__(self) -> None:
        require_count("every", self.every, at_least=1)
        require_number("fast_lr", self.fast_lr, above=0)
        require_flag("auto_scale", self.auto_scale)
        require_number("transfer_lr", self.transfer_lr, above=0)
        require_number("momentum", self.momentum, at_least=0, at_most=1)
        require_flag("forget", self.forget)
        require_count("most_pulses", self.most_pulses, at_least=1)
        require_number("auto_granularity", self.auto_granularity, at_least=0)
        if self.granularity is not None:
            require_number("granularity", self.granularity, above=0)


class _BufferedMatrix(TransferMatrix):
    """Reads add up in ``buffer``; ``largest`` has the running means of the largest operands."""

    def __init__(
        self,
        rule: BufferedTransfer,
        settings: ArraySettings,
        shape: tuple[int, int],
        limit: float,
        seeds: Sequence[int],
        name: str,
        **digital: NDArray[Any],
    ) -> None:
        size = (len(seeds), *shape)
        super().__init__(
            settings, shape, limit, seeds, name,
            every=rule.every, buffer=np.zeros(size), largest=np.zeros((len(seeds), 2)), **digital,
        )  # fmt: skip
        self._rule = rule
        self._pulse = granularity_of(self.fast, rule.granularity)
        self._unit = self._pulse * (rule.auto_granularity / (shape[1] * rule.every) if rule.auto_granularity else 1)

    @final
    def _learn(self, rows: Numbers, columns: Numbers, lr: float) -> None:
        columns = self._chopped(columns)
        if not self._rule.auto_scale:
            self.fast.update(rows, columns, lr * self._rule.fast_lr)
            return
        for b in range(rows.shape[1]):
            here = slice(b, b + 1)
            rate = self._scaled_rate(np.abs(rows[:, b]).max(axis=1), np.abs(columns[:, b]).max(axis=1))
            self.fast.update(rows[:, here], columns[:, here], rate)

    @final
    def _learn_burst(self, changes: Numbers, lr: float) -> None:
        rate: float | Numbers = lr * self._rule.fast_lr
        if self._rule.auto_scale:
            largest = np.sqrt(np.abs(changes).max(axis=(1, 2)))
            rate = self._scaled_rate(largest, largest)
        self.fast.burst(self._chopped(changes), rate)

    def _scaled_rate(self, *largest: Numbers) -> Numbers:
        """Learning rates of the replicas at which the largest operands ask for ``fast_lr`` pulses on average."""
        means, now = self.digital["largest"], np.stack(largest, axis=1)
        means[...] = np.where(means > 0, _MEMORY * means + (1 - _MEMORY) * now, now)
        product, pulses = means.prod(axis=1), self._rule.fast_lr * self._pulse
        return np.asarray(np.divide(pulses, product, out=np.zeros_like(product), where=product > 0))

    def _chopped(self, values: Numbers) -> Numbers:
        """Numbers of columns (the last axis) with the signs of the choppers."""
        return values

    @abstractmethod
    def _signal(self, column: int, found: Numbers) -> Numbers:
        """What a read of a column says of its gradient, ``(replicas, m)``."""

    @final
    def _transfer(self, column: int, found: Numbers, lr: float) -> None:
        buffer, rule = self.digital["buffer"][:, :, column], self._rule
        buffer += rule.transfer_lr * lr / self._unit * self._signal(column, found)
        pulses = np.clip(np.trunc(buffer), -rule.most_pulses, rule.most_pulses)
        if not pulses.any():
            return
        if rule.forget:
            buffer[pulses != 0] *= rule.momentum
        else:
            buffer -= (1 - rule.momentum) * pulses
        self.slow.write_outer((pulses * self._pulse)[:, None].astype(self._dtype), self.one_hot(column), 1.0)


@rule("tiki_taka_v2")
@final
@dataclass(frozen=True, eq=False)
class TikiTakaV2(BufferedTransfer):
    """The second version: reads of the fast array are filtered by the buffer."""

    source = "T. Gokmen, Front. Artif. Intell. 4:699148, 2021, https://doi.org/10.3389/frai.2021.699148"

    def matrix(
        self, settings: ArraySettings, shape: tuple[int, int], limit: float, seeds: Sequence[int], name: str
    ) -> RuleMatrix:
        return _PlainMatrix(self, settings, shape, limit, seeds, name)


@final
class _PlainMatrix(_BufferedMatrix):
    def _signal(self, column: int, found: Numbers) -> Numbers:
        return found


@rule("chopped_tiki_taka_v2")
@final
@dataclass(frozen=True, eq=False)
class ChoppedTikiTakaV2(BufferedTransfer):
    """Version 2 whose columns change sign at random: what the fast array adds by itself averages out.

    Attributes:
        switch: Probability that a column changes sign after it was read.
    """

    switch: float = 0.1

    source = "M. J. Rasch et al., Nat. Commun. 15:7133, 2024, https://doi.org/10.1038/s41467-024-51221-z"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_number("switch", self.switch, at_least=0, at_most=1)

    def matrix(
        self, settings: ArraySettings, shape: tuple[int, int], limit: float, seeds: Sequence[int], name: str
    ) -> RuleMatrix:
        return _ChoppedMatrix(self, settings, shape, limit, seeds, name)


@final
class _ChoppedMatrix(_BufferedMatrix):
    """``signs`` has the choppers, ``draws`` the states of the streams that switch them."""

    def __init__(
        self,
        rule: ChoppedTikiTakaV2,
        settings: ArraySettings,
        shape: tuple[int, int],
        limit: float,
        seeds: Sequence[int],
        name: str,
    ) -> None:
        draws = np.stack([DrawStream(seed, name, "choppers").state for seed in seeds])
        self._switch, self._first = rule.switch, draws.copy()
        super().__init__(
            rule, settings, shape, limit, seeds, name, signs=np.ones((len(seeds), shape[1])), draws=draws
        )  # fmt: skip

    def _start(self, name: str) -> Any:
        return {"signs": 1.0, "draws": self._first}.get(name, 0.0)

    def _chopped(self, values: Numbers) -> Numbers:
        return np.asarray(values * self.digital["signs"][:, None], dtype=values.dtype)

    def _signal(self, column: int, found: Numbers) -> Numbers:
        signs = self.digital["signs"]
        signal = found * signs[:, column, None]
        for replica, state in enumerate(self.digital["draws"]):
            if DrawStream.resumed(state).uniform(1)[0] < self._switch:
                signs[replica, column] *= -1
        return np.asarray(signal)


@rule("agad")
@final
@dataclass(frozen=True, eq=False)
class AGAD(BufferedTransfer):
    """Columns change sign regularly; what a column held at the end of the last period is taken off what is read.

    The array's own drift needs no calibration. Nothing is sent to the slow array in the first period.

    Attributes:
        period: Reads of a column after which it changes sign.
    """

    period: int = 50

    source = "M. J. Rasch et al., Nat. Commun. 15:7133, 2024, https://doi.org/10.1038/s41467-024-51221-z"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_count("period", self.period, at_least=1)

    def matrix(
        self, settings: ArraySettings, shape: tuple[int, int], limit: float, seeds: Sequence[int], name: str
    ) -> RuleMatrix:
        return _AGADMatrix(self, settings, shape, limit, seeds, name)


@final
class _AGADMatrix(_BufferedMatrix):
    """``mean`` is the running mean of reads, ``past`` what it was when a column last changed sign."""

    def __init__(
        self, rule: AGAD, settings: ArraySettings, shape: tuple[int, int], limit: float, seeds: Sequence[int], name: str
    ) -> None:
        size = (len(seeds), *shape)
        super().__init__(
            rule, settings, shape, limit, seeds, name,
            signs=np.ones(shape[1]), reads=np.zeros(shape[1], np.int64), mean=np.zeros(size), past=np.zeros(size),
        )  # fmt: skip
        self._period = rule.period

    def _start(self, name: str) -> Any:
        return 1.0 if name == "signs" else 0.0

    def _chopped(self, values: Numbers) -> Numbers:
        return np.asarray(values * self.digital["signs"], dtype=values.dtype)

    def _signal(self, column: int, found: Numbers) -> Numbers:
        of, reads = self.digital, self.digital["reads"]
        mean, past = of["mean"][:, :, column], of["past"][:, :, column]
        signal = of["signs"][column] * (found - past) if reads[column] >= self._period else np.zeros_like(found)
        mean += min(1.0, _TAIL / self._period) * (found - mean)
        reads[column] += 1
        if not reads[column] % self._period:
            past[...] = mean
            of["signs"][column] *= -1
        return np.asarray(signal)
