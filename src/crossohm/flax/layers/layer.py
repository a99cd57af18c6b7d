"""What all analog layers of Flax have in common: matrices in arrays, formed from the layer's parameters."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from operator import attrgetter
from typing import Any, ClassVar, Self, TypeVar, get_args

import jax.numpy as jnp
import numpy as np
from flax import nnx

from crossohm.backends import Array, backend_of
from crossohm.chain import Dense, join
from crossohm.chain.dtypes import cast_output, joint_dtype, output_dtype
from crossohm.chain.intake import chip_seed
from crossohm.chain.running.leaves import Structure
from crossohm.errors import ParameterError, UnsupportedError
from crossohm.flax.chip import (
    Description,
    OnHost,
    Programmed,
    mark_of,
    of_any_chip,
    on_device,
    packed,
    renewed,
    stamp_of,
    unpacked,
)
from crossohm.flax.held import Computing, Form, HeldMatrix, Rewriting
from crossohm.layers.array_layer import ArrayLayer, Gradient, Sync, checked_choice, is_folded, require_same_folding
from crossohm.layers.given import Given
from crossohm.layers.hardware import Hardware, MatrixHardware, hardware_of_matrices, own_hardware
from crossohm.layers.held_matrix import next_chip
from crossohm.layers.layout import Layout
from crossohm.layers.product import DifferentiableContraction, followed, programmed_product, with_ones
from crossohm.layers.saved_chip import SavedChip

Layer = TypeVar("Layer")

#: What a matrix returns for inputs ``(batch, features, *positions)``.
Product = Callable[[Array], Array]

#: What says how the Flax layer would compute its product, which arrays do not.
_DIGITAL = (
    "conv_general_dilated",
    "dot_general",
    "dot_general_cls",
    "einsum_op",
    "precision",
    "preferred_element_type",
    "promote_dtype",
)
#: Attributes an analog layer has beyond those of the Flax layer.
_ANALOG = ("arrays", "noise", "_description", "_sync", "_gradient")


class AnalogLayer(ArrayLayer):
    """Base of the analog layers: a mixin before the Flax layer, which owns the parameters.

    A kind says where its parameters lie in its matrices (`layouts`; `layout` if there is one with kernel and bias) and
    how inputs meet them (`contraction`), and multiplies by its `_products`.

    The arrays are written when the layer is made, and again before they are next used whenever the values of a
    parameter they hold have changed; each write draws new programming errors. What they hold is one variable of type
    `Programmed`, part of the state of the layer. A function that was compiled for a layer keeps its arrays on the host
    for as long as JAX keeps the function.

    Args:
        params: The hardware: one description, or a list with one per array; None: ideal hardware.
        bias_rows: Matrix columns that hold the bias, driven with one; 0 adds it digitally.
        seed: The chip; None draws one.
        core_name: Name of the core.
        sync: What happens when parameters have changed since the arrays were written, see `sync`.
        gradient: ``"programmed"`` or ``"chain"``, see `gradient`.
        rngs: Of the layer; noise is drawn from its stream ``noise``.
        **layer: What the Flax layer takes, but for ``precision`` and other ways to compute the product, and
            `own_choices`.

    Raises:
        ParameterError: the hardware is impossible, or a choice is none.
        UnsupportedError: ``layer`` says how the product is to be computed, or ``gradient`` is ``"wires"``.
    """

    #: The Flax layer this kind stands for.
    digital_type: ClassVar[type[Any]]
    #: True: arrays are driven from both sides, which takes a second plan in the state.
    reads_back: ClassVar[bool] = False
    #: Arguments that only this kind takes, kept under their names.
    own_choices: ClassVar[tuple[str, ...]] = ()

    kernel: Any
    bias: Any
    dtype: Any
    param_dtype: Any
    use_bias: bool
    arrays: Programmed
    noise: Any
    _description: Description

    def __init__(
        self,
        *arguments: Any,
        params: Hardware = None,
        bias_rows: int = 0,
        seed: int | None = None,
        core_name: str = "core",
        sync: Sync = "auto",
        gradient: Gradient = "programmed",
        rngs: nnx.Rngs,
        **layer: Any,
    ) -> None:
        for name in sorted(set(layer).intersection(_DIGITAL)):
            raise _refusal(type(self), name, layer[name])
        own = {name: layer.pop(name) for name in self.own_choices if name in layer}
        super().__init__(*arguments, rngs=rngs, **layer)  # type: ignore[call-arg]
        self._choose(sync, gradient, rngs, **own)
        self.install(params, bias_rows, seed, core_name)

    @classmethod
    def obstacle(cls, layer: Any) -> str:
        """Why ``layer``, of the type this kind stands for, cannot be converted; empty if it can."""
        return ""

    @classmethod
    def from_flax(
        cls,
        layer: Any,
        params: Hardware = None,
        bias_rows: int = 0,
        *,
        seed: int | None = None,
        core_name: str = "core",
        sync: Sync = "auto",
        gradient: Gradient = "programmed",
        rngs: nnx.Rngs,
        **own: Any,
    ) -> Self:
        """A copy of ``layer`` on arrays; arguments as of the class, of ``own`` those in `own_choices`.

        Raises:
            ParameterError: ``layer`` is no `digital_type`, the hardware is impossible, or a choice is none.
            UnsupportedError: ``layer`` says how the product is to be computed, or ``gradient`` is ``"wires"``.
        """
        if type(layer) is not cls.digital_type:
            allowed = cls.digital_type.__name__
            raise ParameterError("layer", type(layer).__name__, f"is no layer for {cls.__name__}", allowed=allowed)
        usual = inspect.signature(cls.digital_type.__init__).parameters
        for name in _DIGITAL:
            if name in usual and getattr(layer, name) is not usual[name].default:
                raise _refusal(cls, name, getattr(layer, name))
        made = _as_kind(layer, cls)
        made._choose(sync, gradient, rngs, **own)
        made.install(params, bias_rows, seed, core_name)
        return made

    def to_flax(self, physical_weights: bool = False) -> Any:
        """The plain Flax layer again, with parameters of its own.

        Args:
            physical_weights: Take the weights the arrays hold, errors included, instead of the ideal ones.
        """
        held = self._held_values() if physical_weights else {}
        plain = _as_kind(self, self.digital_type)
        for name in (*_ANALOG, *self.own_choices):
            delattr(plain, name)
        for name, value in held.items():
            variable = attrgetter(name)(plain)
            variable.set_value(jnp.asarray(value, variable.get_value().dtype))
        return plain

    def __setattr__(self, name: str, value: Any) -> None:
        """Set properties past nnx, which would record them as attributes of the plain layer too."""
        if isinstance(getattr(type(self), name, None), property):
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    def _choose(self, sync: Sync, gradient: Gradient, rngs: nnx.Rngs) -> None:
        """Keep what is chosen besides hardware; a kind with `own_choices` takes these too."""
        self.sync, self.gradient, self.noise = sync, gradient, rngs["noise"].fork()

    # --- what a kind supplies -----------------------------------------------------------------------------------------

    def layout(self, bias_columns: int) -> Layout:
        """Where kernel and bias lie in the matrix, with so many columns for the bias."""
        raise NotImplementedError

    def contraction(self, layout: Layout) -> DifferentiableContraction:
        """How inputs, with ones for the bias columns behind them, meet the matrix."""
        return Dense(layout.shape[1], layout.bias_columns)

    def layouts(self, rows: int) -> dict[str, Layout]:
        """The one matrix, with kernel and bias."""
        return {"": self.layout(rows if self.use_bias else 0)}

    def parameter_values(self, names: Sequence[str]) -> dict[str, Array]:
        """Parameters by name."""
        return {name: attrgetter(name)(self).get_value() for name in names}

    @property
    def gradient(self) -> Gradient:
        """As `ArrayLayer.gradient`, without ``"wires"``."""
        return self._gradient

    @gradient.setter
    def gradient(self, value: Gradient) -> None:
        chosen = checked_choice("gradient", value, get_args(Gradient))
        if chosen == "wires":
            raise UnsupportedError("gradient = 'wires' is not there for layers of Flax; use 'programmed' or 'chain'")
        self._gradient = chosen
        if "arrays" in vars(self):
            _ = self._matrices  # those of the state, which may have come from elsewhere
            self.keep()

    # --- the arrays ---------------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """That of the core: modules of Flax have none."""
        return self._core_name

    @property
    def _params(self) -> Any:  # type: ignore[override]
        return self._description.host.params

    @property
    def _given(self) -> Given:  # type: ignore[override]
        return self._description.given

    @property
    def _rows(self) -> Any:
        return self._description.host.rows

    @property
    def _core_name(self) -> str:  # type: ignore[override]
        return self._description.host.core_name

    @property
    def _matrices(self) -> tuple[HeldMatrix, ...]:  # type: ignore[override]
        """The matrices of the state, on the host."""
        known, state = self._description, self.arrays.get_value()
        serial = np.asarray(state["serial"]).tobytes()
        if known.serial != serial:
            chip = unpacked(np.asarray(state["chip"]), f"chip of {self._label}")
            matrices = chip.matrices(self, self.layouts(self._checked_rows(chip.rows)).values(), HeldMatrix)
            host = OnHost(chip.params, chip.rows, chip.name, matrices)
            if np.array_equal(np.asarray(state["stamp"])[-known.mark.size :], known.mark):
                known.host, known.serial = host, serial
            else:
                self._describe(host, Given(None))
        for matrix in self._description.host.matrices:
            matrix._layer = self  # clones share what lies on the host
        return self._description.host.matrices  # type: ignore[return-value]

    def install(self, params: Hardware, rows: Any, seed: int | None, name: str) -> None:
        """Write the parameters into new arrays. Nothing changes if the hardware is impossible."""
        checked, chip, own = self._checked_rows(rows), chip_seed(seed), own_hardware(params)
        require_same_folding(name, own, is_folded(self))
        layouts = self.layouts(checked)
        pairs = zip(layouts.items(), hardware_of_matrices(own, len(layouts)), strict=True)
        matrices = tuple(self._held(layout, hardware, chip, name + suffix) for (suffix, layout), hardware in pairs)
        self._describe(OnHost(own, checked, name, matrices), Given(params))

    def reinitialize(self, seed: int | None = None, params: Hardware = None) -> None:
        """As `ArrayLayer.reinitialize`."""
        if params is not None:
            self.install(params, self._rows, next_chip(self.seed) if seed is None else seed, self._core_name)
            return
        super().reinitialize(seed)
        self.keep()

    def _held(self, layout: Layout, hardware: MatrixHardware, seed: int, name: str) -> HeldMatrix:
        return HeldMatrix(self, layout, hardware, seed, name)

    def _describe(self, host: OnHost, given: Given) -> None:
        """Put the layer on other hardware."""
        self._description = Description(host, given)
        self.keep()

    def keep(self) -> None:
        """Let the state be what lies on the host."""
        known, computing = self._description, self._computing
        matrices = known.host.matrices
        for matrix in matrices:
            matrix._layer = self
        found = [computing.lowered(matrix, self.contraction(matrix.layout)) for matrix in matrices]
        forms, leaves = tuple(form for form, _ in found), tuple(on_device(own) for _, own in found)
        mark = mark_of(known.host, computing.gradient, computing.dtype)
        if known.forms and (forms != known.forms or not np.array_equal(mark, known.mark)):
            self._description = known = Description(known.host, known.given)  # functions are compiled for the other one
        saved = SavedChip.of(known.host)
        chip, serial = packed(saved)
        values = [
            value if current else None
            for form, current in zip(forms, saved.current, strict=True)
            for value in form.layout.stored(self.parameter_values(form.layout.parameters))
        ]
        state = {
            "leaves": leaves,
            "stamp": stamp_of(values, mark),
            "chip": jnp.array(chip),
            "serial": jnp.array(serial),
        }
        known.forms, known.mark, known.serial = forms, mark, serial.tobytes()
        if "arrays" in vars(self):
            self.arrays.set_value(state)
        else:
            self.arrays = Programmed(state)

    def form_matrix(self) -> Array | list[Array]:
        """As `ArrayLayer.form_matrix`."""
        return self._one_or_all([jnp.asarray(matrix.ideal()) for matrix in self._matrices])

    def leave_host(self) -> None:
        """Keep only what multiplies, in place: arrays are not written any more.

        Functions that are compiled for the layer are those for all layers on such hardware, and hold none of its chip.
        """
        self._description = of_any_chip(self._description)
        leaves, nothing = self.arrays.get_value()["leaves"], jnp.zeros(0, jnp.uint32)
        self.arrays = Programmed({"leaves": leaves, **dict.fromkeys(("stamp", "chip", "serial"), nothing)})
        self.sync = "manual"

    # --- the product --------------------------------------------------------------------------------------------------

    def _products(self) -> list[Product]:
        """What each matrix returns for ``(batch, features, *positions)``, with ones for bias columns behind.

        Parameters are looked at, and arrays written, here.
        """
        values, state = self._stored_values(), self.arrays.get_value()
        if _are_traced((*values.values(), state["serial"])):
            state = self._renewed(state, values)
        else:
            seen = [matrix.core.is_tapped or matrix.vectors is not None for matrix in self._matrices]  # written now
            if any(seen):
                held = zip(self._matrices, self._description.forms, strict=True)
                return [partial(matrix.shown, form.contraction, self.noise) for matrix, form in held]
            values, state = self._stored_values(), self.arrays.get_value()  # of a state that came from elsewhere
        pairs = zip(self._description.forms, state["leaves"], strict=True)
        return [partial(self._multiplied, form, leaves, values) for form, leaves in pairs]

    def _stored_values(self) -> dict[str, Array]:
        """What the matrices hold, by name."""
        names = dict.fromkeys(name for form in self._description.forms for name in form.layout.parameters)
        return dict(self.parameter_values(tuple(names)))

    def _through_arrays(self, x: Array) -> Array:
        """What the only matrix returns for ``(batch, features, *positions)``; bias columns are driven with one."""
        (product,) = self._products()
        return product(with_ones(x, self._ones))

    @property
    def _ones(self) -> int:
        """Features of constant one that each matrix is driven with."""
        return self._description.forms[0].contraction.constants

    def _finished(self, y: Array) -> Array:
        """``(*, outputs)`` with a bias that arrays do not hold, in the dtype of the layer."""
        if self.use_bias and not self._rows:
            y = y + self._digital_bias().astype(y.dtype)
        return y if self.dtype is None else y.astype(self.dtype)

    def _digital_bias(self) -> Array:
        """The bias for ``(*, outputs)``."""
        return jnp.ravel(self.bias.get_value())

    def _renewed(self, state: Any, values: dict[str, Array]) -> Any:
        """The state for the parameters of a function that is being traced."""
        known = self._description
        size = state["chip"].shape[0]
        work = Rewriting(self._label, self.name, self.sync, self._computing, known.forms, tuple(values), size)
        work.require_forms(state["leaves"])
        if self.sync == "manual":
            return state
        stored = [value for form in known.forms for value in form.layout.stored(values)]
        found = renewed(state, stamp_of(stored, known.mark), work, list(values.values()))
        self.arrays.set_value(found)
        return found

    @property
    def _label(self) -> str:
        return f"{type(self).__name__} {self.name!r}"

    @property
    def _computing(self) -> Computing:
        names = [np.dtype(d).name for d in (self.param_dtype, self.dtype) if d is not None]
        return Computing(self.gradient, joint_dtype(names[0], names[-1]), self.reads_back)

    def _back_through_arrays(self, x: Array) -> Array:
        """What the columns of the only matrix return for ``(batch, outputs)`` at its rows, see `reads_back`.

        Gradients are those of the ideal product, whatever `gradient` is.
        """
        self._products()  # arrays hold the parameters now
        (form,), (leaves,) = self._description.forms, self.arrays.get_value()["leaves"]
        return self._multiplied(form, leaves, self._stored_values(), x, back=True)

    def _multiplied(
        self, form: Form, leaves: Sequence[Array], values: dict[str, Array], x: Array, back: bool = False
    ) -> Array:
        plan, held, how, backward = join(form.structure, leaves)
        working = x.astype(held.dtype if held.size else self._computing.dtype)
        draws = self.noise() if (backward if back else plan).needs_draw else None
        if how and not back:
            y = followed(plan, how, form.layout.matrix(values).astype(working.dtype))(working, draws)
        else:
            contraction, matrix = form.contraction, form.layout.matrix(values) if _are_traced(values.values()) else None
            if back:
                contraction, held = Dense(form.layout.shape[0]), held.T
                matrix = None if matrix is None else matrix.T
            own = (leaves, draws)  # handed on: in a loop, what the loop computes is no constant of a product
            multiply = partial(_planned, form.structure, back)
            y = programmed_product(multiply, contraction, matrix, lambda: held, working, own)
        stored = str(values[form.layout.parameters[0]].dtype)
        return cast_output(y, output_dtype(form.output_dtype, stored, str(x.dtype)))


def _are_traced(values: Iterable[Array]) -> bool:
    """True if values are not known: a function is being traced."""
    return any(backend_of(value).is_traced(value) for value in values)


def _planned(structure: Structure, back: bool, x: Array, own: tuple[Sequence[Array], Any]) -> Array:
    """The product of the plan with these leaves, and what random draws are made from."""
    leaves, draws = own
    plan, _, _, backward = join(structure, leaves)
    return (backward if back else plan)(x, draws)


def _as_kind(layer: nnx.Module, kind: type[Layer]) -> Layer:
    """A copy of ``layer`` in another class: nnx refuses to have the class of a module changed."""
    made = kind.__new__(kind)
    vars(made).update(vars(nnx.clone(layer)))
    return made


def _refusal(kind: type[AnalogLayer], name: str, value: Any) -> UnsupportedError:
    return UnsupportedError(
        f"{name} = {value!r}: {kind.__name__} multiplies on arrays, in the dtype of its parameters; leave {name} out"
    )


def require_unsharded(layer: AnalogLayer, sharding: Any) -> None:
    """Refuse to say where outputs lie.

    Raises:
        UnsupportedError: ``sharding`` is given.
    """
    if sharding is not None:
        raise UnsupportedError(
            f"out_sharding = {sharding!r}: {type(layer).__name__} {layer.name!r} computes where its arrays are; leave "
            "it out, and put sharding constraints on what the layer returns"
        )
