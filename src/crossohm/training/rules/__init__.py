"""Algorithms: which arrays hold a matrix of weights, and what an update writes where."""

from crossohm.training.rules.buffered import AGAD, ChoppedTikiTakaV2, TikiTakaV2
from crossohm.training.rules.carry import PeriodicCarry
from crossohm.training.rules.mixed_precision import MixedPrecision
from crossohm.training.rules.model import Rule, TrainedMatrix
from crossohm.training.rules.parallel import Parallel
from crossohm.training.rules.registry import RULES, rule
from crossohm.training.rules.tiki_taka import TikiTaka

__all__ = [
    "AGAD",
    "RULES",
    "ChoppedTikiTakaV2",
    "MixedPrecision",
    "Parallel",
    "PeriodicCarry",
    "Rule",
    "TikiTaka",
    "TikiTakaV2",
    "TrainedMatrix",
    "rule",
]
