"""Every error crossohm raises on purpose: what is wrong, what is allowed, what to do."""

from __future__ import annotations

import sys
import warnings
from typing import Any


class CrossOhmError(ValueError):
    """Base of all errors raised by crossohm; catching ``ValueError`` catches them too."""


class ParameterError(CrossOhmError):
    """A hardware parameter is unknown, of the wrong type, out of range or in conflict with another.

    Args:
        path: Dotted path of the parameter, e.g. ``"xbar.adc.mvm.bits"``.
        value: The offending value.
        problem: What is wrong with it.
        allowed: What would be accepted (optional).
        remedy: What to do about it (optional).
    """

    def __init__(self, path: str, value: object, problem: str, *, allowed: str = "", remedy: str = "") -> None:
        self.path = path
        self.value = value
        self.problem = problem
        self.allowed = allowed
        self.remedy = remedy
        message = f"{path} = {value!r}: {problem}"
        if allowed:
            message += f"; allowed: {allowed}"
        if remedy:
            message += f". {remedy}"
        super().__init__(message)


class UnknownNameError(ParameterError):
    """A model, preset or field name does not exist; the message lists the nearest valid ones."""


class ShapeError(CrossOhmError):
    """Operands do not fit together; the message names both shapes."""


class InputError(CrossOhmError):
    """A matrix or an input holds something no hardware can represent (NaN, complex, strings)."""


class KeyTypeError(CrossOhmError, TypeError):
    """An index is of a type a core does not accept (only integers and slices)."""


class KeyRangeError(CrossOhmError, IndexError):
    """An index lies outside the core, or there are too many of them."""


class OperandError(CrossOhmError, TypeError):
    """A function in which a core cannot take part; the message says what to use instead."""


class NetworkError(InputError):
    """A network's own code failed on an input; the error it raised is the cause."""


class UnsupportedError(CrossOhmError, NotImplementedError):
    """A combination that is meaningful but not available; the message says what is."""


class MappingError(CrossOhmError):
    """A network does not fit a chip.

    Args:
        stage: The stage that does not, e.g. ``"layer1.dense"``.
        number: What it needs.
        limit: What the chip has.
        problem: What is needed and what for, in words.
        remedy: What to do about it.
    """

    def __init__(self, stage: str, number: object, limit: object, problem: str, *, remedy: str) -> None:
        self.stage = stage
        self.number = number
        self.limit = limit
        super().__init__(f"{stage}: {problem}: {number!r}; allowed: {limit}. {remedy}")


class DataError(CrossOhmError):
    """A file is missing, damaged or not of the expected format."""


class StaleArraysError(CrossOhmError):
    """Parameters changed after the arrays were written, and the layer's policy is to be told."""


class ModelError(CrossOhmError):
    """A user's model answers what no hardware can do; the message names model and method."""


class WriteError(DataError):
    """Results cannot be written: the disk is full, or the folder is not one's own to write to."""


class FailedChipsError(DataError):
    """Some chips of a study have no result, and all others were computed.

    Args:
        message: What failed first, and how many more.
        results: `crossohm.studies.Results` with all that there is; its ``failures`` say why the others are not.
    """

    def __init__(self, message: str, results: Any) -> None:
        self.results = results
        super().__init__(message)


class StudyError(ParameterError):
    """A study asks for something impossible; the message starts with the file and, where it is known, the line."""

    def __init__(
        self, place: str, path: str, value: object, problem: str, *, allowed: str = "", remedy: str = ""
    ) -> None:
        super().__init__(path, value, problem, allowed=allowed, remedy=remedy)
        self.place = place
        self.args = (f"{place}: {self.args[0]}",)


class MissingDependencyError(CrossOhmError, ImportError):
    """An optional library is not installed; the message gives the install command."""

    def __init__(self, library: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs {library}, which is not installed. Install it with: pip install 'crossohm[{extra}]'"
        )


def warn_user(message: str) -> None:
    """Warn at the user's line: the first frame neither of this package nor of torch, which calls layers."""
    frame, level = sys._getframe(1), 2
    while frame.f_back and str(frame.f_globals.get("__name__", "")).partition(".")[0] in ("crossohm", "torch"):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, UserWarning, stacklevel=level)
