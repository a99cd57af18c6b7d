"""`HeldMatrix`: one matrix in analog arrays that follows Keras variables, and products with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, final

import keras
import numpy as np

from crossohm.backends import Array, backend_of
from crossohm.chain import split
from crossohm.chain.dtypes import joint_dtype
from crossohm.chain.lowering.following import Following
from crossohm.chain.running.core_plan import CorePlan
from crossohm.chain.running.leaves import Structure
from crossohm.errors import UnsupportedError
from crossohm.keras.arrays.compiled import CompiledArrays
from crossohm.layers.held_matrix import HeldArrays, Owner
from crossohm.layers.layout import Layout
from crossohm.layers.maps.convolution import with_all_cells
from crossohm.layers.product import DifferentiableContraction, chain_product, followed, followings, programmed_product
from crossohm.layers.wires import through_wires

#: A product with inputs ``(batch, features, *positions)``; ``rng``, if given, takes the place of the layer's draws.
Multiply = Callable[..., Array]


class Layer(Owner, Protocol):
    """A layer of Keras that has a matrix."""

    @property
    def compute_dtype(self) -> str:
        """Dtype that Keras casts inputs to."""

    def contraction(self, layout: Layout) -> DifferentiableContraction:
        """How inputs meet the matrix of ``layout``."""

    def noise_seed(self) -> Any:
        """A seed for the draws of one product, in the form the array library takes; None: its own generator."""


@final
class HeldMatrix(HeldArrays):
    """One matrix of a layer in analog arrays; see `HeldArrays` for how it follows parameters.

    Where values are known, products run on the arrays. In functions that Keras compiles, the leaves of the arrays' plan
    are variables, which the function brings up to date by a call of the host whenever parameters have changed.
    """

    _layer: Layer
    _compiled: CompiledArrays | None = None
    #: The gradient that variables of compiled functions have been loaded for; None: they are behind the arrays.
    _loaded_for: str | None = None

    @property
    def variables(self) -> list[Any]:
        """State of compiled functions: no parameters, nothing to be saved."""
        return self._for_compiled().variables

    def product(self, x: Array, contraction: DifferentiableContraction) -> Array:
        """The analog product, with gradients as the layer's ``gradient`` says.

        Args:
            x: ``(batch, features, *positions)``, with ones for the bias columns.
            contraction: How inputs meet the matrix.

        Returns:
            ``(batch, outputs, *positions)``.
        """
        return self.multiplier(contraction)(x)

    def multiplier(self, contraction: DifferentiableContraction) -> Multiply:
        """`product` for several inputs in a row: parameters are looked at only once."""
        matrix, self._passing = self.form(), ()  # what was to be loaded is here
        traced = any(backend_of(value).is_traced(value) for value in self._values().values())
        multiply = (self._compiled_product if traced else self._present_product)(contraction, matrix)

        def product(x: Array, rng: Any = None) -> Array:
            return self._converted(self.built, x, lambda working: multiply(working, rng))

        return product

    def _present_product(self, contraction: DifferentiableContraction, matrix: Array) -> Multiply:
        """A product on the arrays themselves, whose parameters have values."""
        with self._backend.eager():  # also in a function that is compiled for other things than the parameters
            core, chain = self.core, self._layer.gradient == "chain"
        held = None if chain else self.read_for_inputs(core)
        if self._layer.gradient == "wires":
            matrix, contraction = through_wires(lambda: core, matrix), with_all_cells(contraction)

        def multiply(x: Array, rng: Any) -> Array:
            draws = self._layer.noise_seed() if rng is None else rng
            if held is None:
                return chain_product(core, contraction, matrix, x, draws)
            return programmed_product(
                lambda v, rng: core.apply(v, contraction, rng), contraction, matrix, lambda: held, x, draws
            )

        return multiply

    def _compiled_product(self, contraction: DifferentiableContraction, matrix: Array) -> Multiply:
        """A product in a function that is being compiled."""
        plan, held, how = self._compiled_plan(contraction)
        if self._layer.gradient == "wires":
            written = backend_of(held).detached(held)[:1, :1]  # of leaves that are up to date
            matrix, contraction = through_wires(lambda: self.built, matrix, written), with_all_cells(contraction)

        def multiply(x: Array, rng: Any) -> Array:
            draws = self._layer.noise_seed() if rng is None and plan.needs_draw else rng
            if how:
                working = backend_of(x).astype(matrix, backend_of(x).dtype_name(x))
                return followed(plan, how, working)(x, draws)
            return programmed_product(plan, contraction, matrix, lambda: held, x, draws)

        return multiply

    # --- in compiled functions ----------------------------------------------------------------------------------------

    def mark_written(self) -> None:
        """Take the present values of the parameters for what the arrays hold; tell compiled functions."""
        super().mark_written()
        if self._given is None:
            self._tell()

    def succeed(self, old: HeldMatrix) -> None:
        """Take the place of other arrays, also in functions that have been compiled."""
        self._compiled = old._compiled
        self._tell()

    def renew(
        self, structure: Structure, contraction: DifferentiableContraction, values: Sequence[np.ndarray]
    ) -> tuple[np.ndarray, ...]:
        """Leaves for the values of parameters that a compiled function calls the host with.

        Args:
            structure: What the function has been compiled for.
            contraction: How its inputs meet the matrix.
            values: Of all parameters.

        Raises:
            StaleArraysError: the policy is ``"error"``.
            UnsupportedError: the arrays have become others than those the function was compiled for.
        """
        with self.given(dict(zip(self.layout.parameters, values, strict=True))):
            self._follow()
            now, leaves = self._plan(contraction)
        if now != structure:
            raise UnsupportedError(
                f"the arrays of {type(self._layer).__name__} {self._layer.name!r} compute in another way than when the "
                "model was compiled (other hardware, or noise that now needs single draws); compile it again with "
                "model.compile(...)"
            )
        return leaves

    def _for_compiled(self) -> CompiledArrays:
        if self._compiled is None:
            with self._backend.eager():
                self._compiled = CompiledArrays(self, *self._lowered(), self._stored())
        elif self._loaded_for != self._layer.gradient:
            with self._backend.eager():
                self._compiled.load(self, *self._lowered(), self._stored())
        return self._compiled

    def _tell(self) -> None:
        """Let compiled functions know of other arrays or numbers.

        Those of TensorFlow read variables when they run; JAX is handed all state before, and asks for `variables`.
        """
        self._loaded_for = None
        if self._compiled is not None and keras.backend.backend() == "tensorflow":
            self._for_compiled()

    def _compiled_plan(self, contraction: DifferentiableContraction) -> tuple[CorePlan, Array, tuple[Following, ...]]:
        """What `_plan` lowers, as leaves of the function, brought up to date."""
        structure, _ = self._plan(contraction)
        values = self._values()
        present = [values[name] for name in self.layout.parameters]
        follows = self._layer.sync != "manual"
        return self._for_compiled().joined(structure, contraction, present, self._stored(), follows)

    def _lowered(self) -> tuple[Structure, tuple[np.ndarray, ...]]:
        self._loaded_for = self._layer.gradient
        return self._plan(self._layer.contraction(self.layout))

    def _plan(self, contraction: DifferentiableContraction) -> tuple[Structure, tuple[np.ndarray, ...]]:
        """The plan, the matrix that gradients of inputs use, and how plans follow weights, lowered on the host."""
        (stored, *_), given = self.dtypes, self._layer.compute_dtype
        like, core, gradient = np.zeros(1, joint_dtype(stored, given)), self.built, self._layer.gradient
        plan = core.plan(like, contraction=contraction)
        if gradient == "chain":
            return split((plan, np.zeros(0, like.dtype), followings(core, plan)))
        matrix = core.effective_matrix() if gradient == "wires" else core.get_matrix()
        return split((plan, np.asarray(matrix, like.dtype), ()))
