"""Memory cells: what they hold after a write, after a while, and what a read sees of it.

`model` defines what a device model is, `registry` finds one by name, `lifecycle` applies it. Every other module
is one published or generic model, or (`measured`) one's own measurements.
"""

from crossohm.devices.cubic import CubicDevice
from crossohm.devices.generic import (
    NormalIndependentDevice,
    NormalInverseProportionalDevice,
    NormalProportionalDevice,
    UniformIndependentDevice,
    UniformInverseProportionalDevice,
    UniformProportionalDevice,
)
from crossohm.devices.ideal import IdealDevice
from crossohm.devices.lifecycle import (
    active_device,
    cell_of,
    check_devices,
    clip_conductance,
    conductance_limits,
    error_at_write,
    is_active,
    write,
)
from crossohm.devices.measured import TableDevice
from crossohm.devices.model import ROLES, Cell, Device
from crossohm.devices.pcm_joshi import PCMJoshi
from crossohm.devices.reading import read_moments
from crossohm.devices.registry import DEVICES, device, get_device
from crossohm.devices.rram_milo import RRAMMilo
from crossohm.devices.rram_wan import RRAMWan
from crossohm.devices.sonos import SONOS
from crossohm.devices.tables import read_device_table

__all__ = [
    "DEVICES",
    "ROLES",
    "SONOS",
    "Cell",
    "CubicDevice",
    "Device",
    "IdealDevice",
    "NormalIndependentDevice",
    "NormalInverseProportionalDevice",
    "NormalProportionalDevice",
    "PCMJoshi",
    "RRAMMilo",
    "RRAMWan",
    "TableDevice",
    "UniformIndependentDevice",
    "UniformInverseProportionalDevice",
    "UniformProportionalDevice",
    "active_device",
    "cell_of",
    "check_devices",
    "clip_conductance",
    "conductance_limits",
    "device",
    "error_at_write",
    "get_device",
    "is_active",
    "read_device_table",
    "read_moments",
    "write",
]
