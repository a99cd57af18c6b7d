"""The matrices of a layer on the host, and what compiled functions know of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, final

import jax
import numpy as np

from crossohm.backends import Array, backend_of
from crossohm.chain import AnalogCore, split
from crossohm.chain.running.leaves import Structure
from crossohm.errors import UnsupportedError
from crossohm.flax.chip import OnHost, packed, unpacked
from crossohm.layers.held_matrix import HeldArrays, Owner
from crossohm.layers.layout import Layout
from crossohm.layers.product import DifferentiableContraction, followings
from crossohm.layers.saved_chip import SavedChip
from crossohm.params import OutputDType


class KeepingOwner(Owner, Protocol):
    """A layer whose state follows its arrays."""

    def keep(self) -> None:
        """Let the state be what lies on the host."""


@final
class HeldMatrix(HeldArrays):
    """A matrix of a layer on the host, formed in NumPy: JAX would compile every operation for its shapes."""

    _layer: KeepingOwner

    def _values(self) -> dict[str, Array]:
        values = super()._values()
        return {name: np.asarray(backend_of(value).concrete(value)) for name, value in values.items()}

    def shown(self, contraction: DifferentiableContraction, noise: Callable[[], Any], x: Array) -> Array:
        """The product on the arrays themselves, where somebody looks at what passes; without gradients."""

        def product(working: Array) -> Array:
            needs_draw = self.built.plan(working, contraction=contraction).needs_draw
            return self.built.apply(working, contraction, noise() if needs_draw else None)

        return self._converted(self.built, x, product)

    def _write(self, parts: Any) -> None:
        super()._write(parts)
        self._layer.keep()


@final
@dataclass(frozen=True)
class Form:
    """How a matrix multiplies, whatever its cells hold.

    Attributes:
        layout: Where parameters lie in it.
        contraction: How inputs meet it.
        structure: Of its plan, see `lowered`.
        leaves: Shapes of the leaves.
        output_dtype: What the hardware says of the dtype of outputs.
    """

    layout: Layout
    contraction: DifferentiableContraction
    structure: Structure
    leaves: tuple[tuple[int, ...], ...]
    output_dtype: OutputDType


@final
@dataclass(frozen=True)
class Computing:
    """What a layer says of its products.

    Attributes:
        gradient: Which derivative backward computes.
        dtype: The dtype that arrays compute in.
        reads_back: Arrays are driven from both sides.
    """

    gradient: str
    dtype: str
    reads_back: bool

    def lowered(
        self, matrix: HeldArrays, contraction: DifferentiableContraction
    ) -> tuple[Form, tuple[np.ndarray, ...]]:
        """Form and leaves of a matrix.

        They are those of its plan, what gradients of inputs use, how the plan follows weights, and the plan back.
        """
        core = matrix.built
        with jax.ensure_compile_time_eval():
            structure, leaves = split(self._parts(core, contraction))
        rule = core.params.core.output_dtype
        return Form(matrix.layout, contraction, structure, shapes_of(leaves), rule), leaves

    def _parts(self, core: AnalogCore, contraction: DifferentiableContraction) -> tuple[Any, ...]:
        like, chain = np.zeros(1, self.dtype), self.gradient == "chain"
        plan = core.plan(like, contraction=contraction)
        held = np.zeros(0, self.dtype) if chain and not self.reads_back else np.asarray(core.get_matrix(), self.dtype)
        return plan, held, followings(core, plan) if chain else (), core.plan(like, "vmm") if self.reads_back else ()


def shapes_of(leaves: Sequence[Array]) -> tuple[tuple[int, ...], ...]:
    """Shapes."""
    return tuple(tuple(leaf.shape) for leaf in leaves)


@final
@dataclass(frozen=True)
class Rewriting:
    """Writes parameters into arrays that come as bytes: what a compiled function asks of the host.

    Attributes:
        label: Of the layer, for messages.
        name: Of its core.
        sync: What happens when parameters have changed.
        computing: How the layer multiplies.
        forms: Of its matrices when the function was compiled.
        parameters: Names of the parameters that come.
        size: Of the bytes.
    """

    label: str
    name: str
    sync: str
    computing: Computing
    forms: tuple[Form, ...]
    parameters: tuple[str, ...]
    size: int

    def __call__(self, chip: np.ndarray, *given: np.ndarray) -> tuple[np.ndarray, ...]:
        """Leaves of all matrices, the chip and its serial.

        Raises:
            UnsupportedError: the arrays multiply in another way than when the function was compiled.
            StaleArraysError: parameters changed and the policy is ``"error"``.
        """
        saved = unpacked(chip, f"chip of {self.label}")
        owner = _Owner(self.name, self.sync, self.computing.gradient, dict(zip(self.parameters, given, strict=True)))
        self._require([core.shape for core in saved.cores] == [form.layout.shape for form in self.forms])
        matrices = saved.matrices(owner, [form.layout for form in self.forms], HeldMatrix)
        for matrix in matrices:
            matrix.core  # noqa: B018 # written now, where parameters have changed
        pairs = zip(matrices, self.forms, strict=True)
        found = [self.computing.lowered(matrix, form.contraction) for matrix, form in pairs]
        self._require(tuple(form for form, _ in found) == self.forms)
        now = OnHost(saved.params, saved.rows, saved.name, matrices)
        return (*(leaf for _, leaves in found for leaf in leaves), *packed(SavedChip.of(now), self.size))

    def require_forms(self, leaves: Sequence[Sequence[Array]]) -> None:
        """Refuse a state that is not of these forms.

        Raises:
            UnsupportedError: leaves have other shapes.
        """
        self._require([shapes_of(own) for own in leaves] == [form.leaves for form in self.forms])

    def _require(self, equal: bool) -> None:
        if not equal:
            raise UnsupportedError(
                f"the arrays of {self.label} multiply in another way than those the function was compiled for (a state "
                "of other hardware or bias rows, or weights that decide about noise): outside of it call the layer's "
                "get_matrix(), which brings the layer up to date, then the function again"
            )


@final
class _Owner:
    """What the host knows of a layer while a compiled function calls it."""

    def __init__(self, name: str, sync: str, gradient: str, values: dict[str, Array]) -> None:
        self.name, self.sync, self.gradient, self.values = name, sync, gradient, values

    def parameter_values(self, names: Sequence[str]) -> dict[str, Array]:
        """Parameters by name."""
        return {name: self.values[name] for name in names}

    def keep(self) -> None:
        """Nothing: the state is what the host returns."""
