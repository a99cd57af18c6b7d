"""The life of a cell: written once, then read many times.

Which error a write applies follows from what is enabled, and from the time since programming:

==============================  ============  ===================  ====================================
enabled                         at time 0     at time t > 0        remark
==============================  ============  ===================  ====================================
nothing                         none          none, with warning   the time has no effect
programming error               programming   programming, with    drift is assumed absent
                                              warning
drift error                     drift at 0    drift at t
both                            programming   drift at t           drift models include the programming
==============================  ============  ===================  ====================================

An enabled `IdealDevice` counts as not enabled. Read noise and nonlinear currents belong to each operation, not to
the write.
"""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

from crossohm._random import Draw
from crossohm.backends import Array, backend_of
from crossohm.devices.guarded import guarded
from crossohm.devices.model import ROLES, Cell, Device
from crossohm.devices.registry import get_device

if TYPE_CHECKING:
    from crossohm.params import DeviceParameters


def cell_of(device_params: DeviceParameters, role: str) -> Cell:
    """The electrical frame of the cells, with the magnitude and the table that ``role`` is given."""
    group = _group(device_params, role)
    return Cell(
        r_min=device_params.Rmin,
        rho=device_params.Gmin_norm,
        v_read=device_params.Vread,
        magnitude=group.magnitude,
        time=device_params.time,
        table=group.path,
    )


def is_active(device_params: DeviceParameters, role: str) -> bool:
    """True if the role is enabled with a model other than the ideal device."""
    return bool(_group(device_params, role).active)


def active_device(device_params: DeviceParameters, role: str) -> Device | None:
    """The model that plays ``role``, checked against the cell it is used in; None if the role is not active.

    Raises:
        UnknownNameError: No such model.
        ParameterError: The model lacks the role, or the cell lies outside the range of the model.
    """
    return _checked_device(device_params, role) if is_active(device_params, role) else None


def check_devices(device_params: DeviceParameters) -> None:
    """Raise what `active_device` raises for any role; roles that are not enabled are not looked at."""
    for role in ROLES:
        active_device(device_params, role)


def error_at_write(device_params: DeviceParameters) -> str | None:
    """The role whose model a write applies, ``"programming_error"``, ``"drift_error"`` or None (module table)."""
    programming, drift = (is_active(device_params, role) for role in ("programming_error", "drift_error"))
    if drift and (device_params.time != 0 or not programming):
        return "drift_error"
    return "programming_error" if programming else None


def write(target_g: Array, device_params: DeviceParameters, draw: Draw) -> Array:
    """Conductances as they are ``time`` after writing ``target_g``.

    Args:
        target_g: Target conductances, any shape, normalised.
        device_params: The group ``xbar.device``.
        draw: Random numbers of this write.

    Returns:
        Conductances like ``target_g``, limited to [rho, 1] with ``clip_conductance``, else to [0, inf); the target
        itself if no error model is enabled.

    Raises:
        ParameterError: As `active_device`.
    """
    if device_params.time != 0 and not is_active(device_params, "drift_error"):
        _warn_time_without_drift(device_params)
    role = error_at_write(device_params)
    if role is None:
        return target_g
    model = _checked_device(device_params, role)
    apply = model.drift_error if role == "drift_error" else model.programming_error
    return clip_conductance(apply(target_g, cell_of(device_params, role), draw), device_params)


def clip_conductance(g: Array, device_params: DeviceParameters) -> Array:
    """``g`` limited to `conductance_limits`."""
    return backend_of(g).clip(g, *conductance_limits(device_params))


def conductance_limits(device_params: DeviceParameters) -> tuple[float, float]:
    """Conductances that cells may have: [rho, 1] if ``clip_conductance`` is set, else [0, inf)."""
    return (device_params.Gmin_norm, 1.0) if device_params.clip_conductance else (0.0, math.inf)


def _checked_device(device_params: DeviceParameters, role: str) -> Device:
    model = get_device(_group(device_params, role).model, role, f"xbar.device.{role}.model")
    model.check(role, cell_of(device_params, role))
    return guarded(model)


def _group(device_params: DeviceParameters, role: str) -> Any:
    return getattr(device_params, role)


def _warn_time_without_drift(device_params: DeviceParameters) -> None:
    kept = "the programming error is kept as it was" if is_active(device_params, "programming_error") else "no error"
    warnings.warn(
        f"xbar.device.time = {device_params.time!r} has no effect because no drift model is enabled ({kept}); "
        "set xbar.device.drift_error.model and .enable, or set the time to 0",
        UserWarning,
        stacklevel=3,
    )
