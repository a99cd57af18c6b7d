"""What all analog layers of Keras have in common: matrices in arrays, formed from the layer's variables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from operator import attrgetter
from typing import Any, ClassVar, Self

import keras
import numpy as np

from crossohm.backends import Array, backend_of
from crossohm.chain import Dense
from crossohm.chain.intake import chip_seed
from crossohm.errors import UnsupportedError
from crossohm.keras.arrays.compiled import tensor_of
from crossohm.keras.arrays.held import HeldMatrix
from crossohm.layers.array_layer import ArrayLayer, Gradient, Sync, is_folded
from crossohm.layers.given import Given
from crossohm.layers.hardware import (
    Hardware,
    MatrixHardware,
    hardware_as_data,
    hardware_from_data,
    own_hardware,
)
from crossohm.layers.layout import Layout
from crossohm.layers.product import DifferentiableContraction
from crossohm.layers.saved_chip import SavedChip

#: Entry of a layer's saved variables that holds its chip.
CHIP = "chip"
#: What is ``seed`` in layers of Keras that draw dropout themselves: here it is that of the chip.
DROPOUT_SEED = "dropout_seed"
#: Ends of configuration keys whose values are objects: they are passed on, whether Keras' registry knows them or not.
_OBJECTS = ("activation", "_initializer", "_regularizer", "_constraint")

#: True while a model is read from a file.
_reading: ContextVar[bool] = ContextVar("reading", default=False)


@contextmanager
def chips_to_come() -> Iterator[None]:
    """Inside, looking at variables writes no arrays: Keras does so before it reads the chips of the layers it made."""
    token = _reading.set(True)
    try:
        yield
    finally:
        _reading.reset(token)


class AnalogLayer(ArrayLayer):
    """Base of the analog layers: a mixin before the Keras layer, which owns the variables.

    The arrays are written when they are first used, and again before they are next used whenever the values of a
    variable they hold have changed in any way (optimizer step, ``assign``, ``set_weights``); see `sync`. Each write
    draws new programming errors.

    A layer kind says where its variables lie in its matrices (`layouts`) and how inputs meet them (`contraction`), and
    multiplies with these in its ``call``: ``self.matrices[i].product(x, contraction)``.

    Args:
        params: The hardware: one description, or a list with one per array; None: ideal hardware.
        bias_rows: Matrix columns that hold the bias, driven with one; 0 adds it digitally.
        seed: The chip; None draws one.
        core_name: Name of the core; layers of one chip need different names to have independent errors. By default the
            name of the layer.
        sync: What happens when variables have changed since the arrays were written, see `sync`.
        gradient: Which derivative training uses, see `gradient`.
        batchnorm_folded: A BatchNorm was folded into the weights, see `crossohm.keras.from_keras`.
        **layer: What the Keras layer takes; ``dropout_seed`` is what it calls ``seed``.

    Raises:
        ParameterError: the hardware is impossible, or a choice is none.
    """

    #: The Keras layer this kind stands for.
    digital_type: ClassVar[type[Any]]
    #: What must hold of a layer of that type so that it can be converted.
    convertible: ClassVar[staticmethod[[Any], bool]] = staticmethod(lambda layer: True)

    name: str
    built: bool
    compute_dtype: str
    variable_dtype: str
    weights: list[Any]

    _own = (*ArrayLayer._own, "_seed", "_present", DROPOUT_SEED)
    _present: tuple[HeldMatrix, ...]

    def __init__(
        self,
        *,
        params: Hardware = None,
        bias_rows: Any = 0,
        seed: int | None = None,
        core_name: str | None = None,
        sync: Sync = "auto",
        gradient: Gradient = "programmed",
        batchnorm_folded: bool = False,
        **layer: Any,
    ) -> None:
        if DROPOUT_SEED in layer:
            layer["seed"] = layer.pop(DROPOUT_SEED)
        super().__init__(**layer)
        self.sync, self.gradient, self.batchnorm_folded = sync, gradient, batchnorm_folded
        self._present, self._rows = (), self._checked_rows(bias_rows)
        self._params, self._given = own_hardware(params), Given(params)
        self._seed, self._core_name = chip_seed(seed), self.name if core_name is None else core_name
        if keras.backend.backend() != "torch":  # which has a generator of its own
            self._noise = keras.random.SeedGenerator()
        if keras.backend.backend() == "tensorflow":
            self.supports_jit = False  # XLA has no calls of the host, which writes the arrays

    def __setattr__(self, name: str, value: Any) -> None:
        """What an analog layer has beyond the Keras layer is not looked through for variables."""
        name = DROPOUT_SEED if name == "seed" else name  # Keras' own one: ours is part of the chip
        if name in self._own:
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    # --- what a kind supplies -----------------------------------------------------------------------------------------

    def contraction(self, layout: Layout) -> DifferentiableContraction:
        """How inputs, with ones for the bias columns behind them, meet the matrix of ``layout``."""
        return Dense(layout.shape[1], layout.bias_columns)

    def parameter_values(self, names: Sequence[str]) -> dict[str, Array]:
        """Variables, or the expressions that stand for them, by name."""
        return {name: tensor_of(attrgetter(name)(self)) for name in names}

    # --- conversion ---------------------------------------------------------------------------------------------------

    @classmethod
    def converts(cls, layer: Any) -> bool:
        """True if ``layer`` is exactly the layer this kind stands for, in full precision, and nothing forbids it."""
        plain = type(layer) is cls.digital_type and getattr(layer, "quantization_mode", None) is None
        return plain and cls.convertible(layer)

    @classmethod
    def from_keras(
        cls,
        layer: Any,
        params: Hardware = None,
        bias_rows: Any = 0,
        *,
        seed: int | None = None,
        core_name: str | None = None,
        **choices: Any,
    ) -> Self:
        """An analog layer of the same configuration, name and weights; ``layer`` is left alone.

        Args:
            layer: Exactly of the type this kind stands for. Where it is not built, neither is the analog layer.
            params: The hardware.
            bias_rows: Matrix columns that hold the bias; 0 adds it digitally.
            seed: The chip.
            core_name: Name of the core.
            **choices: What only some kinds have: ``grouping`` of convolutions.

        Raises:
            UnsupportedError: ``layer`` is of another type.
        """
        if not cls.converts(layer):
            raise UnsupportedError(
                f"{cls.__name__}.from_keras takes a plain keras.layers.{cls.digital_type.__name__} of full precision, "
                f"got {type(layer).__name__}; convert a whole model with crossohm.keras.from_keras"
            )
        hardware = {"params": params, "bias_rows": bias_rows, "seed": seed, "core_name": core_name}
        hardware["batchnorm_folded"] = is_folded(layer)
        analog = cls(**_own_names(_configuration(layer), layer), **hardware, **choices)
        _take_weights(analog, layer)
        if analog.built:
            analog.matrices  # noqa: B018 # written now, so that impossible hardware is found here
        return analog

    def to_keras(self, physical_weights: bool = False) -> Any:
        """The plain Keras layer, with variables of its own.

        Args:
            physical_weights: Take the weights the arrays hold, programming errors included, instead of the ideal ones.
        """
        config = _configuration(self)
        for name in self._choices():
            del config[name]
        if DROPOUT_SEED in config:
            config["seed"] = config.pop(DROPOUT_SEED)
        layer = self.digital_type(**config)
        if self.batchnorm_folded:
            layer.batchnorm_folded = True
        _take_weights(layer, self)
        if physical_weights:
            for name, value in self._held_values().items():
                attrgetter(name)(layer).assign(value)
        return layer

    # --- the arrays ---------------------------------------------------------------------------------------------------

    @property  # type: ignore[override]
    def _matrices(self) -> tuple[HeldMatrix, ...]:
        """The arrays, written now if they have not been yet."""
        if not self._present:
            self._write_first()
        return self._present

    @_matrices.setter
    def _matrices(self, matrices: tuple[HeldMatrix, ...]) -> None:
        for new, old in zip(matrices, self._present, strict=False):  # none at first
            new.succeed(old)
        self._present = matrices

    def _written(self) -> tuple[HeldMatrix, ...]:
        return self._present

    @property
    def seed(self) -> int:
        """The chip."""
        return self._present[0].seed if self._present else self._seed

    def install(self, params: Hardware, rows: Any, seed: int | None, name: str) -> None:
        """Write the variables into new arrays: at once, or when they are first used if they have no values yet."""
        if self._has_values():
            super().install(params, rows, seed, name)
            return
        self._rows, self._params, self._seed = self._checked_rows(rows), own_hardware(params), chip_seed(seed)
        self._given = Given(params)

    def _write_first(self) -> None:
        if not self._has_values():
            raise UnsupportedError(
                f"{type(self).__name__} {self.name!r} has no weights yet, and so no arrays; build it first: call "
                "it, or build(input_shape)"
            )
        with backend_of(keras.ops.zeros(())).eager():
            self.install(self._params, self._rows, self._seed, self._core_name)

    def _has_values(self) -> bool:
        """False before the layer is built, and while Keras works out the shapes of a model that is being built."""
        return bool(self._present) or (self.built and all(weight._value is not None for weight in self.weights))

    def _held(self, layout: Layout, hardware: MatrixHardware, seed: int, name: str) -> HeldMatrix:
        return HeldMatrix(self, layout, hardware, seed, name)

    @property
    def variables(self) -> list[Any]:
        """All state: weights, and what compiled functions know of arrays and noise, which is not saved."""
        found: list[Any] = super().variables  # type: ignore[misc]
        if keras.backend.backend() == "torch" or not self._has_values() or (_reading.get() and not self._present):
            return found
        return found + [variable for matrix in self.matrices for variable in matrix.variables]

    def add_weight(self, *arguments: Any, **options: Any) -> Any:
        """As Keras does, but without casting to another dtype for computing: arrays hold the variable's values."""
        return super().add_weight(*arguments, **{**options, "autocast": False})  # type: ignore[misc]

    def noise_seed(self) -> Any:
        """A seed for the draws of one product from Keras' generator; None on PyTorch, which uses its own."""
        return None if keras.backend.backend() == "torch" else self._noise.next()

    def get_core_weights(self) -> list[Any]:
        """The weights as the arrays hold them, in Keras' shapes and order; digital ones are themselves."""
        held = self._held_values()
        names = {id(attrgetter(name)(self)): name for name in held}
        return [held[names[id(weight)]] if id(weight) in names else weight for weight in self.weights]

    def quantize(self, mode: Any = None, type_check: bool = True, config: Any = None) -> None:
        """Refused.

        Raises:
            UnsupportedError: always; the hardware decides how many bits weights have.
        """
        raise UnsupportedError(
            f"{type(self).__name__} {self.name!r} cannot be quantised by Keras: how many bits weights and inputs "
            "have is said by its hardware, params.core.weight_bits and the converters"
        )

    # --- configuration and files --------------------------------------------------------------------------------------

    def _choices(self) -> dict[str, Any]:
        """What an analog layer has in its configuration beyond that of the Keras layer."""
        return {
            "params": hardware_as_data(self._params),
            "bias_rows": self._rows,
            "seed": self.seed,
            "core_name": self._core_name,
            "sync": self.sync,
            "gradient": self.gradient,
            "batchnorm_folded": self.batchnorm_folded,
        }

    def get_config(self) -> dict[str, Any]:
        """That of the Keras layer, with the hardware as data."""
        config: dict[str, Any] = super().get_config()  # type: ignore[misc]
        return {**_own_names(config, self), **self._choices()}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Inverse of `get_config`: the same chip, written when first used."""
        return cls(**{**config, "params": hardware_from_data(config["params"])})

    def save_own_variables(self, store: Any) -> None:
        """The weights, and the chip as bytes that run no code when they are read."""
        super().save_own_variables(store)  # type: ignore[misc]
        if self._has_values():
            if self.sync == "auto":
                for matrix in self.matrices:
                    matrix.core  # noqa: B018 # written now: Keras looks at properties while it saves, and again at loading
            store[CHIP] = np.frombuffer(SavedChip.of(self).to_bytes(), dtype=np.uint8)

    def load_own_variables(self, store: Any) -> None:
        """The weights, and the chip if there is one: without it the arrays follow the weights as `sync` says.

        Raises:
            DataError: the chip is damaged, or belongs to a layer of another kind or shape.
        """
        weights = {key: store[key] for key in store.keys() if key != CHIP}  # noqa: SIM118 # HDF5 groups are no mappings
        super().load_own_variables(weights)  # type: ignore[misc]
        if CHIP in store.keys():  # noqa: SIM118
            source = f"chip of {type(self).__name__} {self.name!r}"
            chip = SavedChip.from_bytes(np.asarray(store[CHIP], dtype=np.uint8).tobytes(), source)
            rows = self._checked_rows(chip.rows)
            matrices = chip.matrices(self, self.layouts(rows).values(), HeldMatrix)
            for matrix, current in zip(matrices, chip.current, strict=True):
                if current and not matrix.is_written():
                    matrix.await_parameters()  # Keras loads those of inner layers next, and looks at `core` meanwhile
            self._matrices, self._params, self._rows, self._core_name = matrices, chip.params, rows, chip.name


def _configuration(layer: Any) -> dict[str, Any]:
    """What makes a layer like this one; activations and the like are the layer's own objects."""
    config: dict[str, Any] = layer.get_config()
    own = {key: getattr(layer, key) for key in config if key.endswith(_OBJECTS) and hasattr(layer, key)}
    return {**config, **own}


def _own_names(config: dict[str, Any], layer: Any) -> dict[str, Any]:
    """A configuration in which ``seed`` is left for the chip."""
    if "seed" in config:
        config[DROPOUT_SEED] = getattr(layer, DROPOUT_SEED, config.pop("seed"))
    return config


def _take_weights(layer: Any, source: Any) -> None:
    """Build ``layer`` as ``source`` is built, with equal weights."""
    if not source.built:
        return
    layer.build_from_config(source.get_build_config())
    for own, given in zip(layer.weights, source.weights, strict=True):
        own.assign(np.array(keras.ops.convert_to_numpy(given)))  # memory of its own: JAX deletes what training replaces
        own.trainable = given.trainable
