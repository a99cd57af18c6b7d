"""Tiki-Taka: gradients go to a fast array, which is read column by column and written to a slow one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from crossohm.training.arrays.settings import ArraySettings
from crossohm.training.checks import require_count, require_flag, require_number
from crossohm.training.rules.model import Numbers, Rule, RuleMatrix
from crossohm.training.rules.registry import rule
from crossohm.training.rules.transfer import TransferMatrix


@rule("tiki_taka")
@final
@dataclass(frozen=True, eq=False)
class TikiTaka(Rule):
    """The first version: what is read of a column of the fast array is written to that of the slow one.

    The fast array must hold zero where its steps up and down are equal: its asymmetry then acts as decay.

    Attributes:
        every: Number of updates between transfers.
        fast_lr: Learning rate of the fast array over that of the layer.
        transfer_lr: Scale of what is written to the slow array.
        scale_transfers: ``transfer_lr`` is over the learning rate of the layer.
        gamma: Share of the fast array in the weights that are read.

    Raises:
        ParameterError: a parameter is out of its range.
    """

    every: int = 1
    fast_lr: float = 1.0
    transfer_lr: float = 1.0
    scale_transfers: bool = True
    gamma: float = 0.0

    source = "T. Gokmen, W. Haensch, Front. Neurosci. 14:103, 2020, https://doi.org/10.3389/fnins.2020.00103"

    def __post_init__(self) -> None:
        require_count("every", self.every, at_least=1)
        require_number("fast_lr", self.fast_lr, above=0)
        require_number("transfer_lr", self.transfer_lr, above=0)
        require_flag("scale_transfers", self.scale_transfers)
        require_number("gamma", self.gamma, at_least=0)

    def matrix(
        self, settings: ArraySettings, shape: tuple[int, int], limit: float, seeds: Sequence[int], name: str
    ) -> RuleMatrix:
        return _TikiTakaMatrix(self, settings, shape, limit, seeds, name)


@final
class _TikiTakaMatrix(TransferMatrix):
    def __init__(
        self,
        rule: TikiTaka,
        settings: ArraySettings,
        shape: tuple[int, int],
        limit: float,
        seeds: Sequence[int],
        name: str,
    ) -> None:
        super().__init__(settings, shape, limit, seeds, name, every=rule.every)
        self._rule = rule

    def _mixed(self, slow: Numbers, fast: Numbers) -> Numbers:
        return np.asarray(slow + self._dtype.type(self._rule.gamma) * fast)

    def forward(self, x: Numbers) -> Numbers:
        slow = self.slow.forward(x)
        return self._mixed(slow, self.fast.forward(x)) if self._rule.gamma else slow

    def backward(self, p: Numbers) -> Numbers:
        slow = self.slow.backward(p)
        return self._mixed(slow, self.fast.backward(p)) if self._rule.gamma else slow

    def read(self) -> Numbers:
        return self._mixed(self.slow.read(), self.fast.read())

    def _learn(self, rows: Numbers, columns: Numbers, lr: float) -> None:
        self.fast.update(rows, columns, lr * self._rule.fast_lr)

    def _learn_burst(self, changes: Numbers, lr: float) -> None:
        self.fast.burst(changes, lr * self._rule.fast_lr)

    def _transfer(self, column: int, found: Numbers, lr: float) -> None:
        rate = self._rule.transfer_lr * (lr if self._rule.scale_transfers else 1.0)
        self.slow.update(found[:, None], self.one_hot(column), rate)
