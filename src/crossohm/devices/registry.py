"""Device models by name: the built-in ones, a user's own, and installed plug-ins.

A plug-in package announces its models under the entry-point group ``crossohm.devices``.
"""

from __future__ import annotations

from dataclasses import fields

from crossohm._names import Registry
from crossohm.devices.model import Cell, Device
from crossohm.errors import ParameterError

DEVICES: Registry[Device] = Registry("device model", "crossohm.devices", Device, [field.name for field in fields(Cell)])
device = DEVICES.register


def get_device(name: str, role: str, path: str) -> Device:
    """The device model called ``name``, known to have ``role``.

    Args:
        name: Registered name, e.g. ``"SONOS"``.
        role: One of `crossohm.devices.ROLES`.
        path: Parameter that holds the name, for messages, e.g. ``"xbar.device.read_noise.model"``.

    Raises:
        UnknownNameError: No model has this name; the nearest and all known names are listed.
        ParameterError: The model lacks the role; the models that have it are listed.
    """
    model = DEVICES.create(name, path)
    if not model.models(role):
        capable = ", ".join(other for other in DEVICES if DEVICES.create(other, path).models(role))
        raise ParameterError(
            path,
            name,
            f"this device model has no {role} model",
            allowed=capable,
            remedy=f"Choose one of these or set {path.rpartition('.')[0]}.enable to False",
        )
    return model
