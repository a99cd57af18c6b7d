"""Which layers of a model run on arrays, which stay digital, and why; as a table."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Self, final

from crossohm.layers.array_layer import ArrayLayer
from crossohm.layers.given import users_level

#: Why what a conversion puts on arrays is digital.
CONVERTIBLE = "it can be converted"


@final
@dataclass(frozen=True)
class ReportedLayer:
    """A layer with weights.

    Attributes:
        name: Place in the model.
        kind: Its class.
        shapes: Matrices it holds in arrays, ``(outputs, inputs with bias columns)`` each; empty if it has none.
        arrays: Physical arrays they occupy.
        reason: Why its products are digital; empty if they are analog.
        convertible: True if a conversion puts it in arrays.
        driven: Whether data of the example reached it; None without an example, and for modules of unknown kinds.
        readers: Digital products that other code computed with its parameters for the example.
        multiplications: With its weights in arrays, for the example; None without one.
        also: Other layers that have the same weights in arrays of their own.
    """

    name: str
    kind: str
    shapes: tuple[tuple[int, int], ...]
    arrays: int
    reason: str
    convertible: bool
    driven: bool | None = None
    readers: tuple[str, ...] = ()
    multiplications: int | None = None
    also: tuple[str, ...] = ()

    def __str__(self) -> str:
        shapes = ", ".join(f"{rows} x {columns}" for rows, columns in self.shapes)
        where = [f"{shapes} in {self.arrays} arrays"] if self.shapes else []
        where += [self.reason] if self.reason else []
        if self.driven is False and not self.readers:
            where.append("not reached by the example")
        if self.readers and (self.driven or not self.shapes):
            where.append(_read_by(self.readers))
        if self.also:
            where.append(f"other arrays for the same weights: {', '.join(self.also)}")
        return f"{self.name or '(model)'} ({self.kind}): {'; '.join(where)}"

    def tried(self, driven: bool | None, readers: tuple[str, ...], multiplications: int | None = None) -> Self:
        """The same with what an example showed; layers in arrays that are only read count as digital."""
        passed_by = bool(self.shapes and readers and not driven)
        reason = f"its arrays are not used: {_read_by(readers)}" if passed_by else self.reason
        return replace(self, reason=reason, driven=driven, readers=readers, multiplications=multiplications)


@final
@dataclass(frozen=True)
class ReportedNorm:
    """A BatchNorm, which is computed digitally.

    Attributes:
        name: Place in the model.
        reason: Why it cannot be folded into the layer before it; empty: a conversion with ``fuse_batchnorm=True`` does.
    """

    name: str
    reason: str

    def __str__(self) -> str:
        state = f"not folded: {self.reason}" if self.reason else "fuse_batchnorm=True folds it into the layer before"
        return f"{self.name or '(model)'} (BatchNorm): digital; {state}"


@final
@dataclass(frozen=True)
class ReportedProduct:
    """Digital products with weights.

    Attributes:
        where: Function and module, in words.
        multiplications: How many, for the example.
        reason: Why they are digital.
        convertible: True if a conversion with this example puts them on arrays.
    """

    where: str
    multiplications: int
    reason: str
    convertible: bool

    def __str__(self) -> str:
        return f"{self.where}, {self.multiplications} multiplications: {self.reason}"


def in_percent(share: float) -> str:
    """A share in words; only the whole is 100 %."""
    return "100 %" if share == 1 else "less than 1 %" if 0 < share < 0.01 else f"{int(100 * share)} %"


@final
@dataclass(frozen=True)
class ConversionReport:
    """The layers with weights of a model, in order of definition; prints as a table.

    Attributes:
        layers: All that have matrices.
        others: Digital products of the example with parameters that no module of the model has.
        products: Digital products with weights in the example, the largest ones first.
        norms: BatchNorm layers that are not folded, where a graph (Keras, Flax) or an example (torch) shows what they
            follow.
    """

    layers: tuple[ReportedLayer, ...]
    others: tuple[str, ...] = ()
    norms: tuple[ReportedNorm, ...] = ()
    products: tuple[ReportedProduct, ...] = ()

    @property
    def share(self) -> float | None:
        """Of the multiplications with weights in the example, those on arrays; None if none were seen."""
        return self._share_without(self.products)

    @property
    def convertible_share(self) -> float | None:
        """The same once all that can be is converted with this example; None if no multiplications were seen."""
        return self._share_without([product for product in self.products if not product.convertible])

    def _share_without(self, digital: Iterable[ReportedProduct]) -> float | None:
        """The share of all but these digital products."""
        left = sum(product.multiplications for product in digital)
        whole = sum(layer.multiplications or 0 for layer in self.layers)
        whole += sum(product.multiplications for product in self.products)
        return (whole - left) / whole if whole else None

    @property
    def analog(self) -> tuple[ReportedLayer, ...]:
        """Layers in arrays."""
        return tuple(layer for layer in self.layers if not layer.reason)

    @property
    def digital(self) -> tuple[ReportedLayer, ...]:
        """Layers that stay digital."""
        return tuple(layer for layer in self.layers if layer.reason)

    def __str__(self) -> str:
        lines = [f"{len(self.analog)} layers in arrays, {len(self.digital)} digital{self._shares()}"]
        lines += [f"  {layer}" for layer in self.layers]
        lines += [f"  {norm}" for norm in self.norms]
        lines += [f"  digital, with parameters of no module: {product}" for product in self.others]
        lines += [f"  digital: {product}" for product in self.products]
        return "\n".join(lines)

    def _shares(self) -> str:
        if self.share is None or self.convertible_share is None:
            return ""
        now = f"; {in_percent(self.share)} of the multiplications with weights on arrays"
        if not any(product.convertible for product in self.products):
            return now
        return f"{now}, {in_percent(self.convertible_share)} after a conversion with this example"


def reported(name: str, layer: Any, convertible: bool, obstacle: Callable[[Any], str]) -> Iterator[ReportedLayer]:
    """What becomes of a layer, if it has matrices.

    Args:
        name: Its place.
        layer: Digital or analog.
        convertible: True if a conversion puts it in arrays.
        obstacle: Says of another digital layer why it stays so; empty: it has no matrices of its own.
    """
    kind = type(layer).__name__
    if isinstance(layer, ArrayLayer):
        cores = [matrix.built for matrix in layer.matrices] if getattr(layer, "built", True) else []
        shapes = tuple((core.shape[0], core.shape[1]) for core in cores)
        yield ReportedLayer(name, kind, shapes, sum(core.array_count for core in cores), "", False)
        return
    reason = CONVERTIBLE if convertible else obstacle(layer)
    if reason:
        yield ReportedLayer(name, kind, (), 0, reason, convertible)


def warn_of_digital(layers: Iterable[ReportedLayer]) -> None:
    """Warn of layers with weights that no conversion puts on arrays.

    Warns:
        RuntimeWarning: there are some.
    """
    left = [layer for layer in layers if layer.reason and not layer.convertible]
    if left:
        names = "; ".join(f"{layer.name} ({layer.kind}): {layer.reason}" for layer in left)
        message = f"layers with weights that stay digital (see conversion_report): {names}"
        warnings.warn(message, RuntimeWarning, stacklevel=users_level())


def _read_by(readers: tuple[str, ...]) -> str:
    return f"read digitally by {', '.join(readers)}"
