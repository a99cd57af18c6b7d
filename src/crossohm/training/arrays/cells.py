"""One array of devices: their states, and writes in order."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from crossohm._random import chip_rng
from crossohm.errors import DataError, MissingDependencyError, ParameterError, ShapeError
from crossohm.training.checks import require_one_of
from crossohm.training.kernels import available, vectorised
from crossohm.training.updates.model import Devices, UpdateModel
from crossohm.training.updates.program import Program
from crossohm.training.updates.stream import LAWS, DrawStream

#: How a request of part of a pulse, or of several, is written: as it is, or as whole pulses.
PULSES = ("fractional", "counted")
#: How near to a limit a state is at it, over the width of the window.
_NEAR = 0.01
_NO_ROWS = np.zeros((1, 1))
#: States at which the steepness of mean steps is looked for.
_STATES = 33
_DRAWN = ("writes", "rounding", "levels")


@final
class Cells:
    """Devices in rows and columns, one replica for each seed.

    A replica has the devices and draws the numbers that it has alone.

    Args:
        model: What a write does.
        shape: Rows and columns.
        seeds: The chips.
        name: The array's name; with the seed it keys everything that is drawn.
        dtype: Of the states, float32 or float64.
        pulses: ``"fractional"``: a request is one write; ``"counted"``: it is as many whole pulses as it is worth,
            rounded stochastically, one after the other.
        compiled: Compute writes by numba; None: if it is installed and the model can be compiled.

    Raises:
        ParameterError: counted pulses of a model without pulses.
        MissingDependencyError: ``compiled=True`` without numba.
    """

    def __init__(
        self,
        model: UpdateModel,
        shape: tuple[int, int],
        seeds: Sequence[int],
        name: str,
        *,
        dtype: Any = np.float32,
        pulses: str = "fractional",
        compiled: bool | None = None,
    ) -> None:
        require_one_of("pulses", pulses, PULSES, "way to write")
        if pulses == "counted" and not model.pulse:
            raise ParameterError(
                "pulses", pulses, f"{type(model).__name__} has no smallest change", allowed="fractional"
            )
        self.model, self.shape, self.seeds, self.name = model, shape, tuple(seeds), name
        self.counted = pulses == "counted"
        #: States, shape ``(replicas, rows, columns)``.
        self.state: NDArray[np.floating] = np.full((len(self.seeds), *shape), model.window.middle, dtype=dtype)
        self.devices: list[Devices] = [model.devices(shape, chip_rng(seed, name, "devices")) for seed in self.seeds]
        self._streams = [_streams(seed, name) for seed in self.seeds]
        self._sight = _Sight(self.state, model.visible_deviation, self.seeds, name) if model.visible_deviation else None
        self.compiled = _compiled(model, compiled)
        self._program = model.compiled() or Program(-1)
        self._ready: list[tuple[Any, ...] | None] = [None] * len(self.seeds)
        self._steepness: dict[int, float] = {}
        self.set(self.state)

    def set(self, w: NDArray[np.floating]) -> None:
        """Set all states exactly, but clipped to the limits of their devices.

        Args:
            w: ``(replicas, rows, columns)``, or what broadcasts to it.
        """
        for state, target, devices in zip(self.state, np.broadcast_to(w, self.state.shape), self.devices, strict=True):
            state[...] = np.clip(target, *self.model.limits(devices))
        self.show()

    @property
    def visible(self) -> NDArray[np.floating]:
        """States as reads see them, the shape of `state`; not to be changed."""
        return self.state if self._sight is None else self._sight.visible

    def show(self) -> None:
        """Let reads see what the last writes of single replicas have changed; other writes do so by themselves."""
        if self._sight is not None:
            self._sight.follow(self.state)

    def write_outer(
        self, rows: NDArray[np.floating], columns: NDArray[np.floating], factor: float | NDArray[np.floating]
    ) -> None:
        """Outer-product writes, one after the other: write ``b`` asks for ``factor * rows[b] * columns[b]``.

        Args:
            rows: Row operands ``(replicas, B, rows)``.
            columns: Column operands ``(replicas, B, columns)``.
            factor: Scale of the requests, or one for each replica.
        """
        for replica, scale in enumerate(np.broadcast_to(factor, len(self.seeds))):
            self.write_outer_of(replica, rows[replica], columns[replica], scale)
        self.show()

    def write_outer_of(
        self, replica: int, rows: NDArray[np.floating], columns: NDArray[np.floating], factor: float = 1.0
    ) -> None:
        """`write_outer` in one replica, see `show`; operands ``(B, rows)`` and ``(B, columns)``."""
        state, operands = self.state[replica], (rows, columns)
        if self.compiled:
            doubles = (np.ascontiguousarray(of, dtype=np.float64) for of in operands)
            self._write(state, *doubles, float(factor), False, *self._arguments(replica))
        else:
            model, devices, streams = self._twin(replica)
            vectorised.write_outer(state, *operands, factor, model, devices, streams, counted=self.counted)

    def write(self, requests: NDArray[np.floating]) -> None:
        """One write of all devices whose request is not zero.

        Args:
            requests: ``(replicas, rows, columns)``.

        Raises:
            ShapeError: the requests are not those of these cells.
        """
        if requests.shape != self.state.shape:
            raise ShapeError(f"requests of shape {requests.shape} for cells of shape {self.state.shape}")
        for replica, request in enumerate(requests):
            self.write_of(replica, request)
        self.show()

    def write_of(self, replica: int, requests: NDArray[np.floating]) -> None:
        """`write` in one replica, see `show`; requests ``(rows, columns)``."""
        state, wanted = self.state[replica], np.ascontiguousarray(requests, dtype=np.float64)
        if self.compiled:
            self._write(state, _NO_ROWS, wanted, 1.0, True, *self._arguments(replica))
        else:
            vectorised.write(state, wanted[:, None, :], *self._twin(replica), counted=self.counted)

    def normals(self, replica: int) -> NDArray[np.float64]:
        """Standard normal numbers for the noise of one write of all devices of a replica, from its stream."""
        return np.asarray(self._streams[replica][0].draw("normal", self.state[replica].size)).reshape(self.shape)

    def steepness(self, replica: int) -> float:
        """Largest change of a mean step with the state, per unit of request and of state, in the used range."""
        if replica not in self._steepness:
            self._steepness[replica] = _steepness_of(self.model, self.devices[replica], self.shape)
        return self._steepness[replica]

    def at_limits(self) -> int:
        """Number of devices, of all replicas, within a hundredth of the width of the window of a limit of theirs."""
        near, found = _NEAR * self.model.window.width, 0
        for state, devices in zip(self.state, self.devices, strict=True):
            low, high = self.model.limits(devices)
            found += int(np.count_nonzero((state <= low + near) | (state >= high - near)))
        return found

    def _twin(self, replica: int) -> tuple[UpdateModel, Devices, vectorised.Streams]:
        """What NumPy's writes need to know of a replica."""
        return self.model, self.devices[replica], self._streams[replica]

    @cached_property
    def _write(self) -> Callable[..., None]:
        """The compiled loop for such devices; importing it imports numba."""
        program, model = self._program, self.model
        found: Callable[..., None] = importlib.import_module("crossohm.training.kernels.compiled").writer(
            program.kind,
            LAWS.index(model.draws),
            nearest=program.nearest,
            even=program.even,
            nonlinear=program.nonlinear,
            counted=self.counted,
            levelled=model.levels > 0,
            stochastic=model.stochastic_levels,
        )
        return found

    def _arguments(self, replica: int) -> tuple[Any, ...]:
        """What compiled writes need to know of a replica, put together once."""
        if self._ready[replica] is None:
            self._ready[replica] = self._put_together(replica)
        return self._ready[replica]  # type: ignore[return-value]

    def _put_together(self, replica: int) -> tuple[Any, ...]:
        program, devices = self._program, self.devices[replica]
        fields = np.stack([devices[name] for name in program.fields]) if program.fields else np.zeros((1, 1, 1), "f4")
        limits = (np.atleast_2d(np.asarray(limit, dtype=np.float64)) for limit in self.model.limits(devices))
        return (
            program.scalars,
            fields.astype(np.float32, copy=False),
            devices[program.index] if program.index else np.zeros((1, 1), np.uint16),
            program.grids,
            program.means,
            program.errors,
            program.cdf,
            program.density,
            program.guide,
            *limits,
            self.model.pulse if self.counted else 0.0,
            self.model.levels,
            self._streams[replica][0].state.base,
        )

    def __deepcopy__(self, memo: object) -> Cells:
        pulses = "counted" if self.counted else "fractional"
        other = Cells(
            self.model, self.shape, self.seeds, self.name, dtype=self.state.dtype, pulses=pulses, compiled=self.compiled
        )
        other.load_state_dict(self.state_dict())
        return other

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Everything that writes change and everything drawn once, as arrays; see `load_state_dict`."""
        found: dict[str, NDArray[Any]] = {"state": self.state.copy()}
        for replica, (devices, streams) in enumerate(zip(self.devices, self._streams, strict=True)):
            found |= {f"devices/{replica}/{name}": np.array(of) for name, of in devices.items()}
            found[f"streams/{replica}"] = np.stack([stream.state for stream in streams])
        return found if self._sight is None else found | self._sight.state_dict()

    def load_state_dict(self, values: Mapping[str, NDArray[Any]]) -> None:
        """Go on from what `state_dict` gave.

        Raises:
            DataError: it is not of such cells; nothing is changed.
        """
        mine = self.state_dict()
        for name, of in mine.items():
            other = values.get(name)
            if other is None or other.shape != of.shape or other.dtype != of.dtype:
                found = "nothing" if other is None else f"{other.dtype} of shape {other.shape}"
                raise DataError(f"cells {self.name!r}: {name} is {found}; {of.dtype} of shape {of.shape} wanted")
        self.state[...] = values["state"]
        self.devices = [
            {name: np.array(values[f"devices/{replica}/{name}"]) for name in devices}
            for replica, devices in enumerate(self.devices)
        ]
        for replica, streams in enumerate(self._streams):
            for stream, state in zip(streams, values[f"streams/{replica}"], strict=True):
                stream.state[...] = state
        if self._sight is not None:
            self._sight.load_state_dict(values)
        self._ready = [None] * len(self.seeds)
        self._steepness.clear()


@final
class _Sight:
    """What reads see of states that they do not see exactly: normal noise, drawn again for each state that changes."""

    def __init__(self, state: NDArray[np.floating], noise: float, seeds: Sequence[int], name: str) -> None:
        self.visible = state.copy()
        self._noise = noise
        self._seen = np.full_like(state, np.nan)
        self._streams = [DrawStream(seed, name, "sight") for seed in seeds]

    def follow(self, state: NDArray[np.floating]) -> None:
        """See the states that have changed."""
        for visible, now, seen, stream in zip(self.visible, state, self._seen, self._streams, strict=True):
            changed = now != seen
            drawn = np.asarray(stream.draw("normal", int(changed.sum())))
            visible[changed] = now[changed] + self._noise * drawn
        self._seen[...] = state

    def state_dict(self) -> dict[str, NDArray[Any]]:
        streams = np.stack([stream.state for stream in self._streams])
        return {"visible/states": self.visible.copy(), "visible/of": self._seen.copy(), "visible/streams": streams}

    def load_state_dict(self, values: Mapping[str, NDArray[Any]]) -> None:
        self.visible[...], self._seen[...] = values["visible/states"], values["visible/of"]
        for stream, state in zip(self._streams, values["visible/streams"], strict=True):
            stream.state[...] = state


def _streams(seed: int, name: str) -> vectorised.Streams:
    """The streams of a replica; their states are the rows of one array."""
    streams = tuple(DrawStream(seed, name, what) for what in _DRAWN)
    together = np.stack([stream.state for stream in streams])
    for stream, state in zip(streams, together, strict=True):
        stream.state = state
    return streams  # type: ignore[return-value]


def _compiled(model: UpdateModel, wanted: bool | None) -> bool:
    """True if writes are to be compiled."""
    if wanted and not available():
        raise MissingDependencyError("numba", "training", "compiled=True")
    return wanted is not False and model.compiled() is not None and available()


def _steepness_of(model: UpdateModel, devices: Devices, shape: tuple[int, int]) -> float:
    """See `Cells.steepness`."""
    states = np.linspace(model.window.low, model.window.high, _STATES)
    found = [model.moments(np.full(shape, w), devices) for w in states]
    steps = np.array([(of.mean_up, of.mean_down) for of in found])
    return float(np.abs(np.diff(steps, axis=0)).max() / (states[1] - states[0]))
