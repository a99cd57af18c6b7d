"""What all analog layers of Flax have in common: matrices in arrays, formed from the layer's parameters."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, ClassVar, Self, TypeVar, final, get_args

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from crossohm.backends import Array, backend_of
from crossohm.chain import AnalogCore, Dense, join, split
from crossohm.chain.dtypes import cast_output, joint_dtype, output_dtype
from crossohm.chain.intake import chip_seed
from crossohm.errors import ParameterError, UnsupportedError
from crossohm.flax.chip import Description, Programmed, on_device, packed, renewed, stamp_of, unpacked
from crossohm.layers.array_layer import ArrayLayer, Gradient, Sync, checked_choice, is_folded, require_same_folding
from crossohm.layers.given import Given
from crossohm.layers.hardware import Hardware, MatrixHardware, hardware_of_matrices, own_hardware
from crossohm.layers.held_matrix import HeldArrays, next_chip
from crossohm.layers.layout import Layout
from crossohm.layers.product import DifferentiableContraction, followed, followings, programmed_product, with_ones
from crossohm.layers.saved_chip import SavedChip

Layer = TypeVar("Layer")

#: What says how the Flax layer would compute its product, which arrays do not.
_DIGITAL = ("conv_general_dilated", "dot_general", "precision", "preferred_element_type", "promote_dtype")
#: Attributes an analog layer has beyond those of the Flax layer.
_ANALOG = ("arrays", "noise", "_description", "_sync", "_gradient")


class AnalogLayer(ArrayLayer):
    """Base of the analog layers with one matrix: a mixin before the Flax layer, which owns the parameters.

    The arrays are written when the layer is made, and again before they are next used whenever the values of a
    parameter they hold have changed; each write draws new programming errors. What they hold is a variable of type
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
        return self._description.core_name

    @property
    def _params(self) -> Any:  # type: ignore[override]
        return self._description.params

    @property
    def _given(self) -> Given:  # type: ignore[override]
        return self._description.given

    @property
    def _rows(self) -> Any:
        return self._description.rows

    @property
    def _core_name(self) -> str:  # type: ignore[override]
        return self._description.core_name

    @property
    def _matrices(self) -> tuple[HeldMatrix, ...]:  # type: ignore[override]
        """The matrices of the state, on the host."""
        known, state = self._description, self.arrays.get_value()
        if known.serial != np.asarray(state["serial"]).tobytes():
            chip = unpacked(np.asarray(state["chip"]), f"chip of {type(self).__name__} {known.core_name!r}")
            self._description = known = Description(chip.params, Given(None), chip.rows, chip.name)
            known.matrices = chip.matrices(self, self.layouts(chip.rows).values(), HeldMatrix)
            known.serial = np.asarray(state["serial"]).tobytes()
        for matrix in known.matrices:
            matrix._layer = self  # clones share what lies on the host
        return known.matrices  # type: ignore[return-value]

    def install(self, params: Hardware, rows: Any, seed: int | None, name: str) -> None:
        """Write the parameters into new arrays. Nothing changes if the hardware is impossible."""
        checked, chip, own = self._checked_rows(rows), chip_seed(seed), own_hardware(params)
        require_same_folding(name, own, is_folded(self))
        layouts, description = self.layouts(checked), Description(own, Given(params), checked, name)
        pairs = zip(layouts.items(), hardware_of_matrices(own, len(layouts)), strict=True)
        description.matrices = tuple(
            self._held(layout, hardware, chip, name + suffix) for (suffix, layout), hardware in pairs
        )
        self._description = description
        self.keep()

    def reinitialize(self, seed: int | None = None, params: Hardware = None) -> None:
        """As `ArrayLayer.reinitialize`."""
        if params is not None:
            self.install(params, self._rows, next_chip(self.seed) if seed is None else seed, self._core_name)
            return
        super().reinitialize(seed)
        self.keep()

    def _held(self, layout: Layout, hardware: MatrixHardware, seed: int, name: str) -> HeldMatrix:
        return HeldMatrix(self, layout, hardware, seed, name)

    def keep(self) -> None:
        """Let the state be what lies on the host."""
        known = self._description
        (matrix,) = known.matrices
        matrix._layer = self
        _, leaves = self._lowered(matrix, self.contraction(matrix.layout))
        chip, serial = packed(SavedChip.of(known))
        state = {"leaves": on_device(leaves), "stamp": stamp_of(matrix._stored())}
        state |= {"chip": jnp.array(chip), "serial": jnp.array(serial)}
        known.serial = serial.tobytes()
        if "arrays" in vars(self):
            self.arrays.set_value(state)
        else:
            self.arrays = Programmed(state)

    # --- the product --------------------------------------------------------------------------------------------------

    def _present(self) -> HeldArrays:
        """The matrix of the state; while a function is traced, the one that was last on the host."""
        serial = self.arrays.get_value()["serial"]
        (matrix,) = self._description.matrices if backend_of(serial).is_traced(serial) else self._matrices
        return matrix

    def _through_arrays(self, x: Array) -> Array:
        """What the matrix returns for ``(batch, features, *positions)``; bias columns are driven with one."""
        matrix = self._present()
        contraction = self.contraction(matrix.layout)
        values = self.parameter_values(matrix.layout.parameters)
        state = self.arrays.get_value()
        if not any(backend_of(v).is_traced(v) for v in (*values.values(), state["serial"])):
            (matrix,) = self._matrices
            core = matrix.core  # written now, where parameters have changed
            contraction, state = self.contraction(matrix.layout), self.arrays.get_value()
            if core.is_tapped or matrix.vectors is not None:
                return matrix.shown(with_ones(x, contraction.constants), contraction, self.noise)
        elif self.sync != "manual":
            state = self._renewed(matrix, contraction, state, values)
        structure, _ = self._lowered(matrix, contraction)
        return self._multiplied(join(structure, state["leaves"]), contraction, matrix.layout.matrix(values), x)

    def _finished(self, y: Array) -> Array:
        """``(*, outputs)`` with a bias that arrays do not hold, in the dtype of the layer."""
        if self.use_bias and not self._present().layout.bias_columns:
            y = y + self.bias.get_value().astype(y.dtype)
        return y if self.dtype is None else y.astype(self.dtype)

    def _renewed(self, matrix: HeldArrays, contraction: Any, state: Any, values: dict[str, Array]) -> Any:
        """The state for the parameters of a function that is being traced."""
        structure, _ = self._lowered(matrix, contraction)
        known, kind, sync = self._description, type(self).__name__, self.sync
        gradient, dtype, size = self.gradient, self._computes_in, state["chip"].shape[0]

        def work(chip: np.ndarray, *given: np.ndarray) -> tuple[np.ndarray, ...]:
            saved = unpacked(chip, f"chip of {kind} {known.core_name!r}")
            owner = _Owner(known.core_name, sync, gradient, dict(zip(matrix.layout.parameters, given, strict=True)))
            (held,) = saved.matrices(owner, [matrix.layout], HeldMatrix)
            held._follow()
            now, leaves = _lower(held.built, contraction, gradient, dtype)
            if now != structure:
                raise UnsupportedError(
                    f"the arrays of {kind} {known.core_name!r} compute in another way than when the function was "
                    "compiled; call the layer's synchronize() outside of it, then the function again"
                )
            written = Description(saved.params, known.given, saved.rows, saved.name)
            written.matrices = (held,)
            return (*leaves, *packed(SavedChip.of(written), size))

        found = renewed(state, stamp_of(matrix.layout.stored(values)), work, list(values.values()))
        self.arrays.set_value(found)
        return found

    @property
    def _computes_in(self) -> str:
        names = [np.dtype(d).name for d in (self.param_dtype, self.dtype) if d is not None]
        return joint_dtype(names[0], names[-1])

    def _lowered(self, matrix: HeldArrays, contraction: Any) -> Any:
        with jax.ensure_compile_time_eval():
            return _lower(matrix.built, contraction, self.gradient, self._computes_in)

    def _multiplied(self, parts: Any, contraction: Any, matrix: Array, x: Array) -> Array:
        plan, held, how = parts
        given, x = str(x.dtype), with_ones(x, contraction.constants)
        working = x.astype(held.dtype if held.size else self._computes_in)
        draws = self.noise() if plan.needs_draw else None
        if how:
            y = followed(plan, how, matrix.astype(working.dtype))(working, draws)
        else:
            y = programmed_product(plan, contraction, matrix, lambda: held, working, draws)
        rule = self._description.matrices[0].built.params.core.output_dtype
        return cast_output(y, output_dtype(rule, str(matrix.dtype), given))


@final
class HeldMatrix(HeldArrays):
    """The matrix of a layer on the host."""

    def shown(self, x: Array, contraction: DifferentiableContraction, noise: Callable[[], Any]) -> Array:
        """The product on the arrays themselves, where somebody looks at what passes; without gradients."""

        def product(working: Array) -> Array:
            needs_draw = self.built.plan(working, contraction=contraction).needs_draw
            return self.built.apply(working, contraction, noise() if needs_draw else None)

        return self._converted(self.built, x, product)

    def _write(self, parts: Any) -> None:
        super()._write(parts)
        if isinstance(self._layer, AnalogLayer):
            self._layer.keep()


@final
class _Owner:
    """What the host knows of a layer while a compiled function calls it."""

    def __init__(self, name: str, sync: str, gradient: str, values: dict[str, Array]) -> None:
        self.name, self.sync, self.gradient, self.values = name, sync, gradient, values

    def parameter_values(self, names: Sequence[str]) -> dict[str, Array]:
        """Parameters by name."""
        return {name: self.values[name] for name in names}


def _as_kind(layer: nnx.Module, kind: type[Layer]) -> Layer:
    """A copy of ``layer`` in another class: nnx refuses to have the class of a module changed."""
    made = kind.__new__(kind)
    vars(made).update(vars(nnx.clone(layer)))
    return made


def _refusal(kind: type[AnalogLayer], name: str, value: Any) -> UnsupportedError:
    return UnsupportedError(
        f"{name} = {value!r}: {kind.__name__} multiplies on arrays, in the dtype of its parameters; leave {name} out"
    )


def _lower(core: AnalogCore, contraction: Any, gradient: str, dtype: str) -> Any:
    """The plan, the matrix that gradients of inputs use, and how plans follow weights: structure and leaves."""
    like = np.zeros(1, dtype)
    plan = core.plan(like, contraction=contraction)
    if gradient == "chain":
        return split((plan, np.zeros(0, dtype), followings(core, plan)))
    return split((plan, np.asarray(core.get_matrix(), dtype), ()))
