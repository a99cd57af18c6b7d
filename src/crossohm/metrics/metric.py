"""What a metric is: words for people, a direction, and a tally that is fed batch by batch."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, Protocol, final

import numpy as np
from numpy.typing import NDArray

from crossohm.errors import DataError, ParameterError, ShapeError


@dataclass(frozen=True)
class Words:
    """How people write a measure, and which way is better.

    Attributes:
        name: As results call it, e.g. ``"top1"``.
        label: As people call it.
        unit: ``"%"`` for shares (kept as 0..1), ``"dB"``, a unit of the task's, or nothing.
        higher_is_better: False for errors.
        counted: It is the share of the samples that are answered right: other samples give another one, by chance.
    """

    name: str
    label: str
    unit: str = ""
    higher_is_better: bool = True
    counted: bool = False


class Tally(Protocol):
    """Sums over the batches of one network's answers."""

    def add(self, answers: NDArray[Any], targets: NDArray[Any]) -> None:
        """Count a batch, ``(samples, ...)`` each; a metric against the digital network gets its answers as a third.

        Raises:
            ShapeError: answers and targets do not fit together.
        """

    def value(self) -> float:
        """The metric over everything counted."""


@final
@dataclass(frozen=True)
class Metric:
    """A number that says how good answers are.

    Attributes:
        words: Name, label, unit and direction.
        start: Makes a tally; its keywords are the options of the metric.
        against_digital: The tally's ``add`` takes the answers of the digital network, too.
        per: What ``parts()`` of the tally, ``{number: value}``, are numbered by; None: it has none.
    """

    words: Words
    start: Callable[..., Any]
    against_digital: bool = False
    per: Literal["class", "output"] | None = None

    def with_options(self, options: Mapping[str, Any], path: str = "metrics") -> Metric:
        """The same metric with some options fixed.

        Raises:
            ParameterError: it has no such option, or cannot do without another one.
        """
        if not options:
            return self
        takes = inspect.signature(self.start)
        try:
            takes.bind(**options)
        except TypeError as error:
            raise ParameterError(
                path, dict(options), f"{self.words.name}: {error}", allowed=", ".join(takes.parameters) or "no options"
            ) from None
        return Metric(self.words, partial(self.start, **options), self.against_digital, self.per)

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """The tally of a metric; of a decorated function, what the function answers."""
        if isinstance(self.start, _Means):
            return self.start.function(*arguments, **options)
        return self.start(*arguments, **options)


@final
@dataclass
class MeanTally:
    """The mean of a value for each sample.

    Attributes:
        function: ``(answers, targets) -> (samples,)``.
    """

    function: Callable[..., Any]
    _sum: float = field(default=0.0, init=False)
    _count: int = field(default=0, init=False)

    def add(self, *given: NDArray[Any]) -> None:
        """Count a batch.

        Raises:
            ShapeError: the function answers something else than one value for each sample.
        """
        values = np.asarray(self.function(*given), np.float64)
        if values.shape != (len(given[0]),):
            raise ShapeError(
                f"metric {getattr(self.function, '__name__', 'function')}: answers {values.shape} to a batch of "
                f"{len(given[0])} samples; expected one value for each, ({len(given[0])},). For a metric that is no "
                "mean over samples, decorate a class with add(answers, targets) and value()"
            )
        self._sum += float(values.sum())
        self._count += len(values)

    def value(self) -> float:
        """Mean over all samples."""
        return self._sum / self._count


@final
@dataclass(frozen=True)
class _Means:
    """Starts tallies of a function of a user's."""

    function: Callable[..., Any]

    def __call__(self, **options: Any) -> MeanTally:
        return MeanTally(partial(self.function, **options) if options else self.function)

    @property
    def __signature__(self) -> inspect.Signature:
        """Options: the keywords that the function has."""
        found = inspect.signature(self.function)
        kept = [one for one in found.parameters.values() if one.kind is one.KEYWORD_ONLY]
        return found.replace(parameters=kept)


def metric(
    *,
    higher_is_better: bool,
    label: str = "",
    unit: str = "",
    against_digital: bool = False,
    per: Literal["class", "output"] | None = None,
) -> Callable[[Callable[..., Any]], Metric]:
    """Decorator that makes a metric of a function or of a class.

    Args:
        higher_is_better: Which way is better.
        label: As people call it; by default the name of the function.
        unit: ``"%"`` for shares in 0..1, or what the values are in, e.g. ``"mg/dL"``.
        against_digital: A third argument has the answers of the digital network.
        per: ``"class"`` or ``"output"``: a decorated class has ``parts()``, a value for each of them by number.

    Returns:
        The decorator. A function takes ``(answers, targets)`` of a batch, ``(samples, ...)`` each, and answers
        ``(samples,)``; the metric is their mean. A class is a `Tally`. Keyword-only arguments of the function, or
        arguments of the class, are options that a study may set.

    >>> import numpy as np
    >>> @metric(label="Largest error", unit="mm", higher_is_better=False)
    ... def largest(answers, targets):
    ...     return np.abs(answers - targets).max(axis=1)
    """

    def make(decorated: Callable[..., Any]) -> Metric:
        name = decorated.__name__
        start = decorated if inspect.isclass(decorated) else _Means(decorated)
        return Metric(Words(name, label or name, unit, higher_is_better), start, against_digital, per)

    return make


def require_metric(found: Any, name: str) -> Metric:
    """What a name stands for, if it is a metric.

    Raises:
        DataError: it is not.
    """
    if isinstance(found, Metric):
        return found
    raise DataError(
        f"metric {name!r}: is a {type(found).__name__}, not a metric. Decorate it with "
        "@crossohm.metrics.metric(higher_is_better=True or False, unit=...)"
    )
