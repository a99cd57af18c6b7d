"""Weights on cells: one matrix that is read in both directions and written, on the devices of one array or two."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from crossohm.circuits.grid import Wires, effective_matrix
from crossohm.errors import DataError, ShapeError
from crossohm.training.arrays.batched import describe_writes, write_in_order
from crossohm.training.arrays.cells import Cells
from crossohm.training.arrays.interfaces import Interface
from crossohm.training.arrays.settings import ArraySettings
from crossohm.training.checks import require_number
from crossohm.training.updates.stream import DrawStream

Numbers = NDArray[np.floating]


class WeightArray(ABC):
    """A matrix of weights ``(m, n)`` for ``m`` outputs (rows) and ``n`` inputs (columns), one replica for each seed.

    Args:
        settings: Kind of array.
        shape: ``(m, n)``.
        limit: Weights from ``-limit`` to ``limit`` fill the range that the devices are mapped to.
        seeds: The chips.
        name: The array's name; with the seed it keys everything that is drawn.
    """

    #: Factor of the difference of currents.
    _share: float
    #: Gains before the converters of the two currents, undone after them.
    _gains: tuple[float, float]

    def __init__(
        self, settings: ArraySettings, shape: tuple[int, int], limit: float, seeds: Sequence[int], name: str
    ) -> None:
        require_number("limit", limit, above=0)
        self.settings, self.shape, self.limit, self.name = settings, shape, float(limit), name
        window = settings.model.window
        #: Change of the state of a device per unit of weight.
        self.unit = window.width / 2 / self.limit
        self._arrays = self._physical()
        count, rows, columns = self._arrays
        self.cells = Cells(
            settings.model,
            (count * rows, columns),
            seeds,
            name,
            dtype=settings.numpy_dtype,
            pulses=settings.pulses,
            compiled=settings.compiled,
        )
        self._read_streams = [DrawStream(seed, name, "reads") for seed in seeds]
        self._line_streams = [DrawStream(seed, name, "lines") for seed in seeds]
        self._met: Numbers | None = None
        self._matrices: dict[bool, Numbers] = {}

    @property
    def replicas(self) -> int:
        """How many replicas there are."""
        return len(self.cells.seeds)

    @property
    def pulse(self) -> float:
        """Change of a weight by one average pulse; 0 if the model has none."""
        return self.settings.model.pulse / self.unit

    @abstractmethod
    def _physical(self) -> tuple[int, int, int]:
        """Number of arrays, their rows, their columns."""

    @abstractmethod
    def _states(self, v: Numbers) -> Numbers:
        """States that hold normalised weights ``(replicas, m, n)``."""

    @abstractmethod
    def _lines(self, g: Numbers, transposed: bool) -> tuple[Numbers, Numbers]:
        """Conductances that give the currents to subtract, each ``(replicas, outputs or 1, inputs)``.

        Args:
            g: ``(replicas, arrays, rows, columns)``.
            transposed: Rows are driven.
        """

    @abstractmethod
    def _operands(self, rows: Numbers, columns: Numbers) -> tuple[Numbers, Numbers]:
        """Operands ``(replicas, B, lines)`` of all devices for those of the weights."""

    @abstractmethod
    def _requests(self, changes: Numbers) -> Numbers:
        """Requests of all devices for those of the weights."""

    @final
    def set(self, weights: Numbers, where: NDArray[np.bool_] | None = None) -> None:
        """Set weights exactly, but for the limits of the devices.

        Args:
            weights: ``(replicas, m, n)``, or what broadcasts to it.
            where: Weights to set, ``(replicas, m, n)``; None: all.
        """
        v = np.broadcast_to(np.asarray(weights), (self.replicas, *self.shape)) * self.unit
        states = self._states(v)
        if where is not None:
            states = np.where(self._requests(where.astype(np.float64)) != 0, states, self.cells.state)
        self.cells.set(states)
        self._changed()

    @final
    def shift(self, changes: Numbers) -> None:
        """Change weights exactly by ``changes`` ``(replicas, m, n)``, but for the limits of the devices."""
        self.cells.set(self.cells.state + self._requests(changes * self.unit))
        self._changed()

    @final
    def read(self) -> Numbers:
        """All weights exactly as reads see them, ``(replicas, m, n)``."""
        g = self.cells.visible.reshape(self.replicas, *self._arrays)
        plus, minus = self._lines(g, transposed=False)
        return np.asarray((plus - minus) * g.dtype.type(self._share / self.unit))

    @final
    def forward(self, x: Numbers) -> Numbers:
        """Read with driven columns.

        Args:
            x: Inputs ``(replicas, B, n)``.

        Returns:
            ``(replicas, B, m)``.
        """
        return self._read(x, transposed=False)

    @final
    def backward(self, p: Numbers) -> Numbers:
        """Read with driven rows: ``(replicas, B, m)`` to ``(replicas, B, n)``."""
        return self._read(p, transposed=True)

    def _read(self, x: Numbers, transposed: bool) -> Numbers:
        interfaces, noise = self.settings.interfaces, self.settings.read_noise
        driven, out = interfaces.column_input, interfaces.row_output
        if transposed:
            driven, out = interfaces.row_input, interfaces.column_output
        inputs = self.shape[0 if transposed else 1]
        if x.shape[-1] != inputs:
            raise ShapeError(f"{self.name}: {x.shape[-1]} inputs for {inputs} lines")
        x = self._converted(driven, x)
        if noise.silent and self.settings.subtraction == "analog":
            return self._converted(out, x @ self._matrix(transposed))
        plus, minus = (current / self.unit for current in self._currents(x, transposed))
        if self.settings.subtraction == "digital":
            plus, minus = (
                self._converted(out, current * gain) / gain
                for current, gain in zip((plus, minus), self._gains, strict=True)
            )
            return np.asarray((plus - minus) * self._share)
        return self._converted(out, (plus - minus) * self._share)

    def _matrix(self, transposed: bool) -> Numbers:
        """What inputs are multiplied by from the right, worked out again when the states have changed."""
        if transposed not in self._matrices:
            plus, minus = self._lines(self._conductances(), transposed)
            factor = plus.dtype.type(self._share / self.unit)
            self._matrices[transposed] = ((plus - minus) * factor).transpose(0, 2, 1)
        return self._matrices[transposed]

    def _conductances(self) -> Numbers:
        """What inputs meet, ``(replicas, arrays, rows, columns)``: of the wires too."""
        g = self.cells.visible.reshape(self.replicas, *self._arrays)
        return g if self.settings.wires == Wires() else self._through_wires(g)

    def _through_wires(self, g: Numbers) -> Numbers:
        if self._met is None:
            names = [f"{self.name}, replica {r}" for r in range(self.replicas) for _ in range(self._arrays[0])]
            flat = g.reshape(-1, 1, *self._arrays[1:])
            self._met = effective_matrix(flat, self.settings.wires, names).reshape(g.shape).astype(g.dtype)
        return self._met

    def _currents(self, x: Numbers, transposed: bool) -> tuple[Numbers, Numbers]:
        """The two currents that are subtracted, with read noise, ``(replicas, B, outputs or 1)``."""
        noise = self.settings.read_noise
        if noise.per_device:
            return self._sampled(x, transposed)
        plus, minus = (x @ of.transpose(0, 2, 1) for of in self._lines(self._conductances(), transposed))
        if noise.silent:
            return plus, minus
        g = self.cells.visible.reshape(self.replicas, *self._arrays)
        variances = self._lines(noise.variance(g, self.settings.model.window), transposed)
        plus, minus = (
            current + np.sqrt((x * x) @ variance.transpose(0, 2, 1)) * self._normal(current)
            for current, variance in zip((plus, minus), variances, strict=True)
        )
        return plus, minus

    def _normal(self, like: Numbers) -> Numbers:
        drawn = [np.asarray(stream.draw("normal", like[0].size)) for stream in self._read_streams]
        return np.stack(drawn).reshape(like.shape).astype(like.dtype)

    def _sampled(self, x: Numbers, transposed: bool) -> tuple[Numbers, Numbers]:
        """Currents of reads for each of which every device draws its own noise."""
        noise, window = self.settings.read_noise, self.settings.model.window
        g = self._conductances()
        found = []
        for b in range(x.shape[1]):
            disturbed = [noise.disturbed(of, window, stream) for of, stream in zip(g, self._read_streams, strict=True)]
            lines = self._lines(np.stack(disturbed), transposed)
            found.append([x[:, b : b + 1] @ of.transpose(0, 2, 1) for of in lines])
        plus, minus = (np.concatenate(of, axis=1) for of in zip(*found, strict=True))
        return plus, minus

    def _converted(self, interface: Interface, values: Numbers) -> Numbers:
        """What passes an interface; each replica draws its own numbers."""
        if not interface.draws:
            return interface.convert(values, _nothing)
        found = [
            interface.convert(of, lambda shape, s=stream: s.uniform(int(np.prod(shape))).reshape(shape))  # type: ignore[misc]
            for of, stream in zip(values, self._line_streams, strict=True)
        ]
        return np.stack(found).astype(values.dtype)

    @final
    def update(self, rows: Numbers, columns: Numbers, lr: float | Numbers) -> None:
        """Outer-product writes, one after the other: write ``b`` asks for ``lr * rows[b] * columns[b]``.

        Args:
            rows: Errors, ``(replicas, B, m)``; writes add to the weights.
            columns: Inputs of the layer, ``(replicas, B, n)``.
            lr: Learning rate, or one for each replica; stretches the drive, and is not rounded.
        """
        interfaces = self.settings.interfaces
        rows = self._converted(interfaces.row_update, rows)
        self.write_outer(rows, self._converted(interfaces.column_update, columns), lr)

    @final
    def write_outer(self, rows: Numbers, columns: Numbers, lr: float | Numbers) -> None:
        """`update` past the interfaces."""
        write_in_order(self.cells, *self._operands(rows, columns), lr * self.unit, self.settings.arithmetic)
        self._changed()

    @final
    def burst(self, changes: Numbers, lr: float | Numbers = 1.0) -> None:
        """One write of a full matrix of changes ``lr * changes``, ``(replicas, m, n)``."""
        changes = self._converted(self.settings.interfaces.burst, changes)
        self.write(changes * np.reshape(lr, (-1, 1, 1)))

    @final
    def write(self, changes: Numbers) -> None:
        """One write of a full matrix of changes, past the interfaces."""
        self.cells.write(self._requests(changes * self.unit))
        self._changed()

    @final
    def write_calibrated(self, changes: Numbers) -> None:
        """`write` that asks each device for what changes it by ``changes`` on average at its state.

        A device whose mean step has the wrong sign there is asked for the change itself.

        Raises:
            UnsupportedError: the model does not say its moments.
        """
        requests = self._requests(changes * self.unit)
        for replica, (request, devices) in enumerate(zip(requests, self.cells.devices, strict=True)):
            moments = self.settings.model.moments(self.cells.state[replica].astype(np.float64), devices)
            per_unit = np.where(request > 0, moments.mean_up, -moments.mean_down)
            requests[replica] = np.divide(request, per_unit, out=request.copy(), where=per_unit > 0)
        self.cells.write(requests)
        self._changed()

    def _changed(self) -> None:
        self._met = None
        self._matrices.clear()

    def explain(self) -> str:
        """What the array is and how its writes are computed, as text."""
        settings, (m, n) = self.settings, self.shape
        return "\n".join(
            [
                f"{self.name}: {m} x {n} weights of ±{self.limit:g} on {settings.weights} cells",
                f"  devices: {type(settings.model).__name__}, states {settings.dtype}, {settings.pulses} pulses",
                f"  interfaces: {settings.interfaces.describe()}; subtraction {settings.subtraction}",
                f"  read noise: {settings.read_noise.describe()}",
                f"  wires: {'none' if settings.wires == Wires() else settings.wires}",
                f"  writes: {describe_writes(self.cells, settings.arithmetic)}",
            ]
        )

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Everything that reads and writes change and everything drawn once, as arrays."""
        streams = {
            "reads": np.stack([stream.state for stream in self._read_streams]),
            "lines": np.stack([stream.state for stream in self._line_streams]),
        }
        return {**{f"cells/{name}": of for name, of in self.cells.state_dict().items()}, **streams}

    def load_state_dict(self, values: Mapping[str, NDArray[Any]]) -> None:
        """Go on from what `state_dict` gave.

        Raises:
            DataError: it is not of such an array; nothing is changed.
        """
        wanted = (self.replicas, 2)
        for name in ("reads", "lines"):
            if name not in values or values[name].shape != wanted:
                raise DataError(f"array {self.name!r}: {name} is not an array of shape {wanted}")
        self.cells.load_state_dict(below("cells", values))
        for name, streams in (("reads", self._read_streams), ("lines", self._line_streams)):
            for stream, state in zip(streams, values[name], strict=True):
                stream.state[...] = state
        self._changed()


def below(name: str, values: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """What stands under ``name/`` in a dictionary of arrays, without it."""
    return {key.removeprefix(f"{name}/"): of for key, of in values.items() if key.startswith(f"{name}/")}


def _nothing(shape: tuple[int, ...]) -> NDArray[np.float64]:
    raise AssertionError("an interface that draws nothing has drawn")


@final
class BalancedArray(WeightArray):
    """A weight is half the difference of two devices; both are written, one up and one down, each with its own noise.

    The two arrays are the upper and the lower half of the rows of the cells.
    """

    _share, _gains = 0.5, (0.5, 0.5)

    def _physical(self) -> tuple[int, int, int]:
        return 2, *self.shape

    def _states(self, v: Numbers) -> Numbers:
        middle = self.settings.model.window.middle
        return np.concatenate([middle + v, middle - v], axis=1)

    def _lines(self, g: Numbers, transposed: bool) -> tuple[Numbers, Numbers]:
        plus, minus = g[:, 0], g[:, 1]
        return (plus.transpose(0, 2, 1), minus.transpose(0, 2, 1)) if transposed else (plus, minus)

    def _operands(self, rows: Numbers, columns: Numbers) -> tuple[Numbers, Numbers]:
        return np.concatenate([rows, -rows], axis=2), columns

    def _requests(self, changes: Numbers) -> Numbers:
        return np.concatenate([changes, -changes], axis=1)


@final
class OffsetArray(WeightArray):
    """A weight is one device; a further row and column hold zero, are never written, and are subtracted."""

    _share, _gains = 1.0, (1.0, 2.0)

    def _physical(self) -> tuple[int, int, int]:
        return 1, self.shape[0] + 1, self.shape[1] + 1

    def _states(self, v: Numbers) -> Numbers:
        return self.settings.model.window.middle + self._requests(v)

    def _lines(self, g: Numbers, transposed: bool) -> tuple[Numbers, Numbers]:
        array = g[:, 0]
        if transposed:
            return array[:, :-1, :-1].transpose(0, 2, 1), array[:, :-1, -1:].transpose(0, 2, 1)
        return array[:, :-1, :-1], array[:, -1:, :-1]

    def _operands(self, rows: Numbers, columns: Numbers) -> tuple[Numbers, Numbers]:
        longer = ((0, 0), (0, 0), (0, 1))
        return np.pad(rows, longer), np.pad(columns, longer)

    def _requests(self, changes: Numbers) -> Numbers:
        return np.pad(changes, ((0, 0), (0, 1), (0, 1)))


def weight_array(
    settings: ArraySettings, shape: tuple[int, int], limit: float, seeds: Sequence[int], name: str
) -> WeightArray:
    """An array of the kind that ``settings`` names, holding zeros; see `WeightArray`."""
    kind = BalancedArray if settings.weights == "balanced" else OffsetArray
    array = kind(settings, shape, limit, seeds, name)
    array.set(np.zeros(shape))
    return array
