"""Which errors a cell collects from the write to the read: every combination of what is enabled, and when."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest

from crossohm._random import ChipDraw
from crossohm.devices import (
    DEVICES,
    ROLES,
    Cell,
    active_device,
    cell_of,
    check_devices,
    clip_conductance,
    error_at_write,
    write,
)
from crossohm.errors import ParameterError, UnknownNameError
from crossohm.params.device import DeviceParameters


def parameters(*enabled: str, **fields: Any) -> DeviceParameters:
    """An ``xbar.device`` group; ``enabled`` are roles played by SONOS."""
    roles = {role: {"enable": role in enabled, "model": "SONOS"} for role in ROLES}
    return DeviceParameters(**({"Rmin": 1e5, "Rmax": 1e7, "clip_conductance": False} | roles | fields))


def group(model: str, magnitude: float = 0.0, enable: bool = True) -> dict[str, Any]:
    return {"enable": enable, "model": model, "magnitude": magnitude}


def draw() -> ChipDraw:
    return ChipDraw(np.random.default_rng(8))


TARGET = np.linspace(0.05, 1.0, 12)


def written(params: Any, target: np.ndarray = TARGET) -> Any:
    return write(target, params, draw())


def test_cell_of_reads_the_group() -> None:
    params = parameters(Rmin=2e3, Rmax=8e3, Vread=0.3, time=2, read_noise=group("NormalIndependentDevice", 0.07))
    assert cell_of(params, "read_noise") == Cell(r_min=2e3, rho=0.25, v_read=0.3, magnitude=0.07, time=2)
    assert cell_of(params, "drift_error").magnitude == 0
    params.infinite_on_off_ratio = True
    assert cell_of(params, "read_noise").rho == 0


@pytest.mark.parametrize(
    ("enabled", "time", "role", "warns"),
    [
        ((), 0, None, False),
        ((), 3, None, True),
        (("programming_error",), 0, "programming_error", False),
        (("programming_error",), 3, "programming_error", True),
        (("drift_error",), 0, "drift_error", False),
        (("drift_error",), 3, "drift_error", False),
        (("programming_error", "drift_error"), 0, "programming_error", False),
        (("programming_error", "drift_error"), 3, "drift_error", False),
    ],
)
@pytest.mark.parametrize("noisy", [False, True])
def test_life_cycle(enabled: tuple[str, ...], time: int, role: str | None, warns: bool, noisy: bool) -> None:
    """The table of the module; read noise never changes what is stored."""
    params = parameters(*enabled, *(["read_noise"] if noisy else []), time=time, programming_error=group(
        "NormalProportionalDevice", 0.1, enable="programming_error" in enabled))  # fmt: skip
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        g = written(params)
    assert error_at_write(params) == role
    assert [warning.category for warning in caught] == [UserWarning] * warns
    if role is None:
        assert g is TARGET
        return
    model = DEVICES.create(getattr(params, role).model, "")
    expected = getattr(model, role)(TARGET, cell_of(params, role), draw())
    assert np.array_equal(g, np.maximum(expected, 0))
    assert not np.array_equal(g, TARGET)


def test_warning_says_what_to_do() -> None:
    with pytest.warns(UserWarning, match=r"time = 5.0 has no effect.*programming error is kept.*drift_error\.model"):
        written(parameters("programming_error", time=5))
    with pytest.warns(UserWarning, match=r"\(no error\)"):
        written(parameters(time=5))


def test_warning_comes_once_for_all_arrays_of_a_chip() -> None:
    params = parameters("programming_error", time=5)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(4):
            write(TARGET, params, draw())
    assert len(caught) == 1


def test_a_disabled_programming_model_does_not_hide_drift() -> None:
    """Naming a programming model without enabling it leaves the enabled drift model at t = 0 in force."""
    params = parameters("drift_error", programming_error=group("PCMJoshi", enable=False))
    assert error_at_write(params) == "drift_error"


def test_the_enabled_ideal_device_counts_as_absent() -> None:
    params = parameters("drift_error", programming_error=group("IdealDevice"))
    assert error_at_write(params) == "drift_error"
    params = parameters("programming_error", drift_error=group("IdealDevice"), time=2)
    assert error_at_write(params) == "programming_error"
    assert active_device(params, "drift_error") is None


def test_magnitude_belongs_to_the_role() -> None:
    params = parameters(
        programming_error=group("NormalIndependentDevice", 0.01), read_noise=group("NormalIndependentDevice", 1.0)
    )
    assert 0 < np.abs(written(params) - TARGET).max() < 0.05


@pytest.mark.parametrize("infinite", [False, True])
@pytest.mark.parametrize("clip", [False, True])
def test_clipping(clip: bool, infinite: bool) -> None:
    params = parameters(
        programming_error=group("NormalIndependentDevice", 2.0),
        clip_conductance=clip,
        infinite_on_off_ratio=infinite,
        Rmax=4e5,
    )
    g = written(params, np.full(200, 0.5))
    lowest = 0.25 if clip and not infinite else 0.0
    assert g.min() == lowest
    assert g.max() == 1.0 if clip else g.max() > 2


@pytest.mark.parametrize("library", ["numpy", "torch", "jax", "tensorflow"])
def test_clip_conductance_in_every_library(library: str) -> None:
    g: Any = np.asarray([-0.5, 0.1, 0.6, 1.5], dtype="float32")
    if library != "numpy":
        pytest.importorskip(library)
    if library == "torch":
        g = pytest.importorskip("torch").as_tensor(g)
    elif library == "jax":
        g = pytest.importorskip("jax").numpy.asarray(g)
    elif library == "tensorflow":
        g = pytest.importorskip("tensorflow").constant(g)
    params = parameters(Rmin=1.0, Rmax=4.0)
    kept = clip_conductance(g, params)
    params.clip_conductance = True
    clipped = clip_conductance(g, params)
    assert type(kept) is type(clipped) is type(g)
    assert kept.dtype == clipped.dtype == g.dtype
    np.testing.assert_array_equal(np.asarray(kept), np.float32([0, 0.1, 0.6, 1.5]))
    np.testing.assert_array_equal(np.asarray(clipped), np.float32([0.25, 0.25, 0.6, 1.0]))


def test_off_cells_without_clipping_never_turn_negative() -> None:
    g = written(parameters(programming_error=group("NormalIndependentDevice", 0.1)), np.zeros(100))
    assert g.min() == 0
    assert math.isclose((g == 0).mean(), 0.5, abs_tol=0.2)


def test_what_is_disabled_is_not_checked() -> None:
    """Unknown names, missing roles and cells out of range matter only where a role is enabled."""
    out_of_range = dict.fromkeys(ROLES, group("PCMJoshi", enable=False))
    params = parameters(Rmin=1.0, Rmax=2.0, **out_of_range)
    check_devices(params)
    params.read_noise = group("NoSuchDevice", enable=False)
    check_devices(params)
    assert written(params) is TARGET
    params.read_noise.enable = True
    with pytest.raises(UnknownNameError, match=r"xbar\.device\.read_noise\.model = 'NoSuchDevice'"):
        check_devices(params)


@pytest.mark.parametrize("role", ROLES)
def test_enabled_roles_are_checked(role: str) -> None:
    model = {"nonlinear_IV": "CubicDevice"}.get(role, "SONOS")
    params = parameters(**{role: group(model)}, Vread=1e3)
    with pytest.raises(ParameterError, match=model):
        check_devices(params)
    with pytest.raises(ParameterError, match=model):
        active_device(params, role)


def test_a_write_out_of_range_is_an_error() -> None:
    with pytest.raises(ParameterError, match=r"xbar\.device\.Rmin"):
        written(parameters("programming_error", Rmin=1e3))


@pytest.mark.parametrize("role", ["programming_error", "drift_error"])
@pytest.mark.parametrize("library", ["torch", "jax", "tensorflow"])
def test_the_same_chip_in_every_library(role: str, library: str) -> None:
    params = parameters(role, time=2 if role == "drift_error" else 0)
    target: Any = TARGET.astype("float32")
    array = pytest.importorskip(library)
    make = {"torch": "as_tensor", "tensorflow": "constant"}.get(library)
    target = getattr(array, make)(target) if make else array.numpy.asarray(target)
    g = write(target, params, draw())
    assert isinstance(g, type(target))
    np.testing.assert_allclose(np.asarray(g), written(params, TARGET.astype("float32")), rtol=0, atol=1e-6)
