"""Devices whose steps per pulse follow a formula, with spread from device to device and from pulse to pulse.

The equations are those by which the resistive-processing-unit literature describes devices (T. Gokmen, Y. Vlasov,
Front. Neurosci. 10:333 (2016), https://doi.org/10.3389/fnins.2016.00333; M. J. Rasch et al., AICAS 2021,
https://doi.org/10.1109/AICAS51828.2021.9458494). States are signed: one device holds a weight by itself.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from crossohm.errors import ParameterError
from crossohm.training.checks import require_flag, require_levels, require_number
from crossohm.training.updates.model import Devices, Moments, UpdateModel, Window
from crossohm.training.updates.program import (
    EXPONENTIAL_STEP,
    LINEAR_STEP,
    PIECEWISE_STEP,
    POWER_STEP,
    REFERENCE_STEP,
    Program,
)
from crossohm.training.updates.registry import update_model
from crossohm.training.updates.stream import Law

_Pair = tuple[NDArray[np.float64], NDArray[np.float64]]

_FIELDS = ("up", "down", "floor", "ceiling", "shape_up", "shape_down")
_SOURCE = "T. Gokmen, Y. Vlasov 2016; M. J. Rasch et al. 2021"
#: Share of its nominal size that a bound keeps at least, so that zero stays between the bounds of every device.
_LEAST_BOUND = 0.01


@dataclass(frozen=True, eq=False)
class PulsedUpdate(UpdateModel, ABC):
    r"""Base of the family: a request is worth ``|request| / step`` pulses, each a step of the formula.

    Of ``s`` pulses the mean is ``s`` steps at the state before, and the spread from pulse to pulse adds up as in a
    random walk; arrays with ``pulses="counted"`` send whole pulses one after the other.

    Attributes:
        step_size: Mean step of a pulse at zero.
        step_spread: Standard deviation of the steps from device to device, over the step.
        log_normal: Steps differ by log-normal factors, whose logarithms have that deviation; False: by normal ones.
        asymmetry: Steps up over steps down, less one, split evenly: a positive one makes steps down smaller.
        asymmetry_spread: Standard deviation of the asymmetry from device to device.
        cycle_noise: Standard deviation from pulse to pulse, over the step.
        low: Lowest state (nominal).
        high: Highest state (nominal).
        bound_spread: Standard deviation of the bounds from device to device, over the bound.
        low_spread: The same of the lower bound; None: that of both.
        corrupt: Share of devices that take no steps.
        visible_noise: Standard deviation of the state that reads see from the one that writes go on from, over the
            step; drawn again when a write changes a device.
        levels: See `UpdateModel`.
        stochastic_levels: See `UpdateModel`.

    Raises:
        ParameterError: a parameter is out of its range.
    """

    step_size: float = 0.001
    step_spread: float = 0.3
    log_normal: bool = False
    asymmetry: float = 0.0
    asymmetry_spread: float = 0.01
    cycle_noise: float = 0.3
    low: float = -0.6
    high: float = 0.6
    bound_spread: float = 0.3
    low_spread: float | None = None
    corrupt: float = 0.0
    visible_noise: float = 0.0
    levels: int = 0
    stochastic_levels: bool = False

    source = _SOURCE

    def __post_init__(self) -> None:
        require_number("step_size", self.step_size, above=0)
        for name in ("step_spread", "asymmetry_spread", "cycle_noise", "bound_spread", "visible_noise"):
            require_number(name, getattr(self, name), at_least=0)
        require_flag("log_normal", self.log_normal)
        if self.low_spread is not None:
            require_number("low_spread", self.low_spread, at_least=0)
        require_number("asymmetry", self.asymmetry, at_least=-1, at_most=1)
        require_number("low", self.low, at_most=0)
        require_number("high", self.high, above=0)
        if self.low == 0:
            raise ParameterError("low", self.low, "states are signed", allowed="numbers below 0")
        require_number("corrupt", self.corrupt, at_least=0, at_most=1)
        require_levels(self.levels, self.stochastic_levels)

    @property
    def window(self) -> Window:
        return Window(self.low, self.high, self.low, self.high)

    @property
    def draws(self) -> Law:  # type: ignore[override]
        return "normal" if self.cycle_noise else "nothing"

    @property
    def visible_deviation(self) -> float:
        return self.visible_noise * self.step_size

    @property
    def pulse(self) -> float:
        return self.step_size

    def devices(self, shape: tuple[int, ...], rng: np.random.Generator) -> Devices:
        """Steps, bounds and shape of each device, by the names ``up, down, floor, ceiling, shape_up, shape_down``."""
        drawn = self.step_spread * rng.standard_normal(shape)
        gain = np.exp(drawn) if self.log_normal else 1 + drawn
        tilt = self.asymmetry_spread * rng.standard_normal(shape)
        working = rng.random(shape) >= self.corrupt
        up = self.step_size * np.abs(gain + tilt + min(self.asymmetry, 0.0)) * working
        down = self.step_size * np.abs(gain - tilt - max(self.asymmetry, 0.0)) * working
        low_spread = self.bound_spread if self.low_spread is None else self.low_spread
        ceiling, floor = (
            bound * np.maximum(1 + spread * rng.standard_normal(shape), _LEAST_BOUND)
            for bound, spread in ((self.high, self.bound_spread), (self.low, low_spread))
        )
        shapes = self._shapes(_Nominal(up, down, floor, ceiling), rng)
        found = dict(zip(_FIELDS, (up, down, floor, ceiling, *shapes), strict=True))
        return {name: of.astype(np.float32) for name, of in found.items()}

    def limits(self, devices: Devices) -> tuple[NDArray[np.floating] | float, NDArray[np.floating] | float]:
        """The bounds of each device."""
        return devices["floor"], devices["ceiling"]  # type: ignore[return-value]

    def _shapes(self, of: _Nominal, rng: np.random.Generator) -> _Pair:
        """The formula's own parameter of each device, for steps up and down; zeros if it has none."""
        return np.zeros(of.up.shape), np.zeros(of.up.shape)

    @abstractmethod
    def _amplitude(self, w: NDArray[np.float64], up: NDArray[np.bool_], of: _Steps) -> NDArray[np.float64]:
        """Size of a step at each state."""

    def _spread(self, w: NDArray[np.float64], amplitude: NDArray[np.float64], of: _Steps) -> NDArray[np.float64]:
        """What the noise from pulse to pulse is in proportion to."""
        return amplitude

    def step(
        self,
        w: NDArray[np.float64],
        request: NDArray[np.float64],
        drawn: NDArray[np.float64] | None,
        devices: Devices,
    ) -> NDArray[np.float64]:
        up = request > 0
        of = _steps(devices, up)
        pulses = np.abs(request) / self.step_size
        amplitude = self._amplitude(w, up, of)
        change = pulses * amplitude
        if drawn is not None:
            change = change + np.sqrt(pulses) * self.cycle_noise * self._spread(w, amplitude, of) * drawn
        return np.asarray(np.where(up, w + change, w - change))

    def moments(self, w: NDArray[np.float64], devices: Devices) -> Moments:
        found = []
        for up in (np.ones(w.shape, np.bool_), np.zeros(w.shape, np.bool_)):
            of = _steps(devices, up)
            amplitude = self._amplitude(w, up, of)
            noise = self.cycle_noise * self._spread(w, amplitude, of)
            found += [np.where(up, amplitude, -amplitude) / self.step_size, noise**2 / self.step_size]
        return Moments(*found)

    def _scalars(self, *others: float) -> NDArray[np.float64]:
        """Scalars of the compiled step: those of all formulas, and the formula's own from the third on."""
        return np.array([self.step_size, self.cycle_noise, *others], dtype=np.float64)


@dataclass(frozen=True)
class _Nominal:
    """Steps at zero and bounds of each device."""

    up: NDArray[np.float64]
    down: NDArray[np.float64]
    floor: NDArray[np.float64]
    ceiling: NDArray[np.float64]


def _spread_out(nominal: tuple[float, float], spread: float, shape: tuple[int, ...], rng: np.random.Generator) -> _Pair:
    """A parameter of steps up and one of steps down, of each device: positive, with a normal spread."""
    up, down = (np.abs(value + spread * rng.standard_normal(shape)) for value in nominal)
    return up, down


@dataclass(frozen=True)
class _Steps:
    """Each device's own numbers, for the direction of its request."""

    size: NDArray[np.float64]
    floor: NDArray[np.float64]
    ceiling: NDArray[np.float64]
    shape: NDArray[np.float64]


def _steps(devices: Devices, up: NDArray[np.bool_]) -> _Steps:
    floats = {name: devices[name].astype(np.float64) for name in _FIELDS}
    return _Steps(
        np.where(up, floats["up"], floats["down"]),
        floats["floor"],
        floats["ceiling"],
        np.where(up, floats["shape_up"], floats["shape_down"]),
    )


@update_model("linear_step")
@dataclass(frozen=True, eq=False)
class LinearStep(PulsedUpdate):
    """Steps that shrink linearly with the state: up ``step (1 - slope w / ceiling)``, down with the floor.

    Attributes:
        slope_up: How much of the step up is gone at the ceiling; 0: constant steps.
        slope_down: The same of the step down at the floor.
        slope_spread: Standard deviation of the slopes from device to device.
        additive_noise: Noise is in proportion to the step at zero; False: to the step at the state.
    """

    slope_up: float = 0.0
    slope_down: float = 0.0
    slope_spread: float = 0.0
    additive_noise: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("slope_up", "slope_down", "slope_spread"):
            require_number(name, getattr(self, name), at_least=0)
        require_flag("additive_noise", self.additive_noise)

    def _shapes(self, of: _Nominal, rng: np.random.Generator) -> _Pair:
        up, down = _spread_out((self.slope_up, self.slope_down), self.slope_spread, of.up.shape, rng)
        return -up * of.up / of.ceiling, -down * of.down / of.floor

    def _amplitude(self, w: NDArray[np.float64], up: NDArray[np.bool_], of: _Steps) -> NDArray[np.float64]:
        return of.size + of.shape * w

    def _spread(self, w: NDArray[np.float64], amplitude: NDArray[np.float64], of: _Steps) -> NDArray[np.float64]:
        return of.size if self.additive_noise else amplitude

    def compiled(self) -> Program:
        return Program(LINEAR_STEP, self._scalars(float(self.additive_noise)), _FIELDS)


@update_model("constant_step")
@final
@dataclass(frozen=True, eq=False)
class ConstantStep(LinearStep):
    """Steps that do not depend on the state; the bounds clip."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("slope_up", "slope_down", "slope_spread"):
            if getattr(self, name):
                raise ParameterError(name, getattr(self, name), "steps are constant", remedy="Take linear_step")


@update_model("soft_bounds")
@final
@dataclass(frozen=True, eq=False)
class SoftBounds(LinearStep):
    """Steps that shrink linearly to nothing at the bounds."""

    slope_up: float = 1.0
    slope_down: float = 1.0


@update_model("soft_bounds_reference")
@final
@dataclass(frozen=True, eq=False)
class SoftBoundsReference(LinearStep):
    """Soft bounds of a device from whose state that of a reference is taken: states are differences of the two.

    Attributes:
        at_symmetry: References are where the steps of their devices up and down are equal.
        reference: State of the references, beyond that.
        reference_spread: Standard deviation of the references from device to device.
    """

    slope_up: float = 1.0
    slope_down: float = 1.0
    at_symmetry: bool = True
    reference: float = 0.0
    reference_spread: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require_flag("at_symmetry", self.at_symmetry)
        require_number("reference", self.reference)
        require_number("reference_spread", self.reference_spread, at_least=0)

    def devices(self, shape: tuple[int, ...], rng: np.random.Generator) -> Devices:
        """What devices of the family have, of the state before the subtraction, and ``reference``."""
        found = super().devices(shape, rng)
        reference = self.reference + self.reference_spread * rng.standard_normal(shape)
        if self.at_symmetry:
            up, down, shape_up, shape_down = (
                found[name].astype(np.float64) for name in ("up", "down", "shape_up", "shape_down")
            )
            bend = shape_down - shape_up
            reference += np.divide(up - down, bend, out=np.zeros(shape), where=bend > 0)
        return {**found, "reference": reference.astype(np.float32)}

    def limits(self, devices: Devices) -> tuple[NDArray[np.floating] | float, NDArray[np.floating] | float]:
        floor, ceiling, reference = (
            np.asarray(devices[name], dtype=np.float32) for name in ("floor", "ceiling", "reference")
        )
        return floor - reference, ceiling - reference

    def step(
        self,
        w: NDArray[np.float64],
        request: NDArray[np.float64],
        drawn: NDArray[np.float64] | None,
        devices: Devices,
    ) -> NDArray[np.float64]:
        reference = devices["reference"].astype(np.float64)
        return super().step(w + reference, request, drawn, devices) - reference

    def moments(self, w: NDArray[np.float64], devices: Devices) -> Moments:
        return super().moments(w + devices["reference"].astype(np.float64), devices)

    def compiled(self) -> Program:
        return Program(REFERENCE_STEP, self._scalars(float(self.additive_noise)), (*_FIELDS, "reference"))


@update_model("exp_step")
@final
@dataclass(frozen=True, eq=False)
class ExpStep(PulsedUpdate):
    r"""Steps that fall off exponentially: up ``step max(0, 1 - a_up exp(rate_up z))``, down mirrored.

    ``z = 2 scale w / (ceiling - floor) + offset``.

    Attributes:
        a_up: Weight of the exponential of steps up.
        a_down: Weight of the exponential of steps down.
        rate_up: Rate of the exponential of steps up.
        rate_down: Rate of the exponential of steps down.
        scale: Scale of the state.
        offset: Offset of the state.
        noise_constant: Part of the noise from pulse to pulse that every step has, over `step_size`.
        noise_slope: Part of that noise in proportion to the size of the state, over `step_size`.
    """

    a_up: float = 0.00081
    a_down: float = 0.36833
    rate_up: float = 12.44625
    rate_down: float = 12.78785
    scale: float = 0.244
    offset: float = 0.2425
    noise_constant: float = 0.0
    noise_slope: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("a_up", "a_down", "rate_up", "rate_down", "scale", "offset"):
            require_number(name, getattr(self, name))
        for name in ("noise_constant", "noise_slope"):
            require_number(name, getattr(self, name), at_least=0)

    def _shapes(self, of: _Nominal, rng: np.random.Generator) -> _Pair:
        return np.full(of.up.shape, self.rate_up), np.full(of.up.shape, self.rate_down)

    def _amplitude(self, w: NDArray[np.float64], up: NDArray[np.bool_], of: _Steps) -> NDArray[np.float64]:
        z = 2 * self.scale * w / (of.ceiling - of.floor) + self.offset
        rising = 1 - self.a_up * np.exp(of.shape * z)
        falling = 1 - self.a_down * np.exp(-of.shape * z)
        return np.asarray(of.size * np.maximum(0.0, np.where(up, rising, falling)))

    def _spread(self, w: NDArray[np.float64], amplitude: NDArray[np.float64], of: _Steps) -> NDArray[np.float64]:
        if not self.noise_constant + self.noise_slope:
            return amplitude
        return np.abs(amplitude) + self.step_size * (self.noise_constant + self.noise_slope * np.abs(w))

    def compiled(self) -> Program:
        own = (self.scale, self.offset, self.a_up, self.a_down, self.noise_constant, self.noise_slope)
        return Program(EXPONENTIAL_STEP, self._scalars(0.0, *own), _FIELDS)


@update_model("pow_step")
@final
@dataclass(frozen=True, eq=False)
class PowStep(PulsedUpdate):
    """Steps that are a power of the room left: up ``step r**power_up``, down ``step (1 - r)**power_down``.

    ``r = (ceiling - w) / (ceiling - floor)``.

    Attributes:
        power_up: Power of steps up.
        power_down: Power of steps down.
        power_spread: Standard deviation of the powers from device to device.
    """

    power_up: float = 1.0
    power_down: float = 1.0
    power_spread: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("power_up", "power_down", "power_spread"):
            require_number(name, getattr(self, name), at_least=0)

    def _shapes(self, of: _Nominal, rng: np.random.Generator) -> _Pair:
        return _spread_out((self.power_up, self.power_down), self.power_spread, of.up.shape, rng)

    def _amplitude(self, w: NDArray[np.float64], up: NDArray[np.bool_], of: _Steps) -> NDArray[np.float64]:
        room = np.clip((of.ceiling - w) / (of.ceiling - of.floor), 0.0, 1.0)
        return np.asarray(of.size * np.where(up, room, 1 - room) ** of.shape)

    def compiled(self) -> Program:
        return Program(POWER_STEP, self._scalars(0.0), _FIELDS)


@update_model("piecewise_step")
@final
@dataclass(frozen=True, eq=False)
class PiecewiseStep(PulsedUpdate):
    """Steps given at equally spaced states from the floor to the ceiling, linear between them.

    Attributes:
        nodes_up: Steps up over `step_size`, from the floor to the ceiling; two or more.
        nodes_down: Steps down over `step_size`, as many.
    """

    nodes_up: Sequence[float] = (1.0, 1.0)
    nodes_down: Sequence[float] = (1.0, 1.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("nodes_up", "nodes_down"):
            nodes = tuple(getattr(self, name))
            object.__setattr__(self, name, nodes)
            for node in nodes:
                require_number(name, node)
        if len(self.nodes_up) != len(self.nodes_down) or len(self.nodes_up) < 2:
            raise ParameterError(
                "nodes_down", self.nodes_down, f"{len(self.nodes_up)} and {len(self.nodes_down)} nodes",
                allowed="as many as nodes_up, two or more",
            )  # fmt: skip

    def _amplitude(self, w: NDArray[np.float64], up: NDArray[np.bool_], of: _Steps) -> NDArray[np.float64]:
        last = len(self.nodes_up) - 1
        x = np.clip((w - of.floor) / (of.ceiling - of.floor) * last, 0.0, last)
        first = np.minimum(x.astype(np.intp), last - 1)
        curves = np.array([self.nodes_up, self.nodes_down], dtype=np.float64)
        direction = np.where(up, 0, 1)
        near = curves[direction, first]
        return np.asarray(of.size * (near + (x - first) * (curves[direction, first + 1] - near)))

    def compiled(self) -> Program:
        means = np.array([[self.nodes_up, self.nodes_down]], dtype=np.float64)
        return Program(PIECEWISE_STEP, self._scalars(0.0), _FIELDS, means=means)
