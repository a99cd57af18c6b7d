"""Arrays that hold one matrix of a layer and follow the parameters it is formed from, in any framework."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from math import prod
from types import MappingProxyType
from typing import Any, Protocol, Self

from crossohm._random import chip_rng
from crossohm.backends import Array, Backend, backend_of
from crossohm.chain import AnalogCore
from crossohm.chain.dtypes import cast_output, joint_dtype, output_dtype
from crossohm.chain.siblings import replace_soon
from crossohm.errors import StaleArraysError
from crossohm.layers.layout import Layout, Region
from crossohm.params import CrossSimParameters


class Owner(Protocol):
    """The layer that has a matrix: its parameters, and what it wants of the arrays."""

    @property
    def name(self) -> str:
        """Of the layer."""

    @property
    def sync(self) -> str:
        """What happens when parameters have changed since the arrays were written."""

    @property
    def gradient(self) -> str:
        """Which derivative backward computes."""

    def parameter_values(self, names: Sequence[str]) -> Mapping[str, Array]:
        """Parameters, or the expressions that stand for them, by name."""


class HeldArrays:
    """One matrix of a layer in analog arrays; a front end adds products with gradients in its own framework.

    The arrays are written at once, and again before they are next used whenever the values of a parameter they hold are
    others than those written, if the layer's ``sync`` is ``"auto"``.

    Args:
        layer: The layer that owns the parameters.
        layout: Where they lie in the matrix.
        params: The hardware: one description, or a list with one per array.
        seed: The chip; None draws one.
        name: Name of the core; it keys the chip's errors.
    """

    #: Input vectors multiplied since this was set to a number; None: they are not counted.
    vectors: int | None = None

    _core: AnalogCore
    _written: tuple[int, ...]
    _passing: tuple[int, ...] = ()
    _copy: tuple[Any, Any, Array] | None
    #: Values of the parameters that somebody handed over; None: the layer is asked for them.
    _given: Mapping[str, Array] | None = None

    def __init__(
        self,
        layer: Owner,
        layout: Layout,
        params: CrossSimParameters | list[CrossSimParameters],
        seed: int | None,
        name: str,
    ) -> None:
        self.params = params
        self.layout = layout
        self._layer = layer
        self._install(self._built(seed, name))

    @classmethod
    def around(
        cls,
        layer: Owner,
        layout: Layout,
        params: CrossSimParameters | list[CrossSimParameters],
        core: AnalogCore,
        written: tuple[int, ...] | None,
    ) -> Self:
        """A matrix whose arrays exist already.

        Args:
            layer: As for a new matrix, like ``layout`` and ``params``.
            layout: See ``layer``.
            params: See ``layer``.
            core: The arrays.
            written: Fingerprints of the parameters they were written from; None: the present parameters.
        """
        held = cls.__new__(cls)
        held.params, held._layer, held.layout = params, layer, layout
        held._install(core)
        if written is not None:
            held._written = written
        return held

    @property
    def seed(self) -> int:
        """The chip."""
        return self._core.seed

    @property
    def name(self) -> str:
        """Name of the core."""
        return self._core.name

    @property
    def core(self) -> AnalogCore:
        """The arrays, holding the present parameters as far as the layer's policy wants.

        Raises:
            StaleArraysError: parameters changed and the policy is ``"error"``.
        """
        self._follow()
        return self._core

    @property
    def built(self) -> AnalogCore:
        """The arrays as they are, whatever the parameters have become since."""
        return self._core

    @contextmanager
    def given(self, values: Mapping[str, Array]) -> Iterator[None]:
        """During a ``with`` block, parameters have the values that a compiled function hands to the host.

        Args:
            values: All parameters of the layout.
        """
        self._given = values
        try:
            yield
        finally:
            self._given = None

    # --- the matrix ---------------------------------------------------------------------------------------------------

    def form(self) -> Array:
        """The ideal matrix, ``(outputs, inputs + bias columns)``, differentiable."""
        return self.layout.matrix(self._values())

    def _values(self) -> Mapping[str, Array]:
        return self._given or self._layer.parameter_values(self.layout.parameters)

    def _stored(self) -> tuple[Array, ...]:
        """What the matrix holds of each parameter."""
        return self.layout.stored(self._values())

    @property
    def _like(self) -> Array:
        """A parameter: it has the library, dtype and device of the matrix."""
        first = self.layout.parameters[0]
        return self._given[first] if self._given else self._layer.parameter_values((first,))[first]

    @property
    def _backend(self) -> Backend:
        return backend_of(self._like)

    def ideal(self) -> Array:
        """The ideal matrix without gradient."""
        values = {name: backend_of(value).concrete(value) for name, value in self._values().items()}
        with self._backend.eager():
            return self.layout.matrix(values)

    def programmed(self) -> Array:
        """The matrix the arrays hold, in dtype and on the device of the parameters; one common copy per write."""
        return self.read(self.core)

    def synchronize(self) -> None:
        """Write the parameters into the arrays again, with new programming errors; converters keep theirs."""
        self._write(None)

    def reinitialize(self, seed: int | None = None) -> None:
        """Build another chip from `params` and write the parameters into it.

        Args:
            seed: The chip; by default the one that follows the present chip in a fixed random sequence.
        """
        chip = next_chip(self.seed) if seed is None else seed
        replace_soon(self._core)
        self._install(self._built(chip, self.name))

    def _built(self, seed: int | None, name: str) -> AnalogCore:
        return AnalogCore(self.ideal(), self.params, seed=seed, name=name, row_groups=self.layout.row_groups)

    def _write(self, parts: list[Region] | None) -> None:
        """Write the matrix, or only these rows and columns of it."""
        matrix = self.ideal()
        with self._backend.eager():
            self._core.set_matrix(matrix, parts)
        self.mark_written()

    def _install(self, core: AnalogCore) -> None:
        self._core = core
        self.mark_written()

    def read(self, core: AnalogCore, through_wires: bool = False) -> Array:
        """What ``core`` holds, as `programmed`; on request what inputs meet behind its wires."""
        like = self._like
        key = (backend_of(like).key(like), through_wires)
        if self._copy is None or self._copy[0] is not core.blocks or self._copy[1] != key:
            found = core.effective_matrix() if through_wires else core.get_matrix()
            with self._backend.eager():
                copied = self._backend.asarray(found, like)
            self._copy = (core.blocks, key, copied)
        return self._copy[2]

    def read_for_inputs(self, core: AnalogCore) -> Array:
        """The matrix of ``core`` that the gradient of the inputs uses, as the layer's ``gradient`` says."""
        return self.read(core, through_wires=self._layer.gradient == "wires")

    # --- keeping arrays and parameters together -----------------------------------------------------------------------

    def is_written(self, moves: Mapping[int, int] = MappingProxyType({})) -> bool:
        """True if the arrays hold the present values of the parameters.

        Args:
            moves: For fingerprints, those of the same values in another dtype.
        """
        now = self._stamps()
        return len(now) == len(self._written) and all(
            stamp in (then, moves.get(then)) for stamp, then in zip(now, self._written, strict=True)
        )

    def mark_written(self) -> None:
        """Take the present values of the parameters for what the arrays hold."""
        self._written = self._stamps()
        self._copy = None

    def await_parameters(self) -> None:
        """Let the arrays be until other parameters are here than now: those they hold are about to be loaded."""
        self._passing = self._stamps()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_copy": None}

    @property
    def written(self) -> tuple[int, ...]:
        """Fingerprints of the parameters as they were when the arrays were written."""
        return self._written

    @property
    def dtypes(self) -> list[str]:
        """Dtypes of the parameters."""
        return [backend_of(parameter).dtype_name(parameter) for parameter in self._stored()]

    def _stamps(self) -> tuple[int, ...]:
        return tuple(backend_of(parameter).fingerprint(parameter) for parameter in self._stored())

    def _follow(self) -> None:
        """Bring arrays and parameters together, as the layer's policy asks for."""
        policy = self._layer.sync
        if policy == "manual":
            return
        changed = self._changed()
        if not changed:
            return
        if policy == "error":
            found = [self.layout.parameters[index] for index in changed]
            which = ", ".join(dict.fromkeys(found))
            raise StaleArraysError(
                f"{which} of {type(self._layer).__name__} {self._layer.name!r} changed after the arrays were written "
                "(sync = 'error'); write them with synchronize(), or set layer.sync = 'auto' to have it done before "
                "the next product"
            )
        names = self.layout.parameters
        whole = len(changed) == len(names)
        self._write(None if whole else [region for i in changed for region in self.layout.regions(names[i])])

    def _changed(self) -> list[int]:
        """Which of the stored parameters have other values than those written."""
        present = self._stamps()
        if self._passing == present:
            return []
        self._passing = ()
        pairs = zip_longest(present, self._written)
        return [index for index, (now, then) in enumerate(pairs) if now != then]

    # --- the product --------------------------------------------------------------------------------------------------

    def _converted(self, core: AnalogCore, x: Array, product: Callable[[Array], Array]) -> Array:
        """A product in the dtype that holds parameters and inputs, its result in the dtype the hardware returns."""
        backend, like = backend_of(x), self._like
        stored, given = backend_of(like).dtype_name(like), backend.dtype_name(x)
        y = product(backend.astype(x, joint_dtype(stored, given)))
        if self.vectors is not None:
            self.vectors += y.shape[0] * prod(y.shape[2:])
        return cast_output(y, output_dtype(core.params.core.output_dtype, stored, given))


def next_chip(seed: int) -> int:
    """The chip that follows ``seed`` in a fixed random sequence."""
    return int(chip_rng(seed, "next chip").integers(2**63))
