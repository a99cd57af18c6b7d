"""Every built-in model keeps the contract that users' models inherit."""

from __future__ import annotations

from dataclasses import replace

import pytest

from crossohm.devices import DEVICES, Cell, Device
from crossohm.testing.device import DeviceContract

GENERIC = Cell(r_min=1e4, rho=0.1, v_read=0.1, magnitude=0.05)
CELLS = {
    "CubicDevice": Cell(r_min=1e4, rho=0.1, v_read=1.0),
    "IdealDevice": GENERIC,
    "NormalIndependentDevice": GENERIC,
    "NormalInverseProportionalDevice": GENERIC,
    "NormalProportionalDevice": GENERIC,
    "PCMJoshi": Cell(r_min=4e4, rho=0.01, v_read=0.1),
    "RRAMMilo": Cell(r_min=1e6 / 225, rho=1 / 4.5, v_read=0.5),
    "RRAMWan": Cell(r_min=1e6 / 39, rho=0.02, v_read=0.1),
    "SONOS": Cell(r_min=1e9 * 0.1 / 1600, rho=1e-7, v_read=0.1, time=2.5),
    "UniformIndependentDevice": GENERIC,
    "UniformInverseProportionalDevice": GENERIC,
    "UniformProportionalDevice": GENERIC,
}


@pytest.fixture(params=sorted(CELLS), autouse=True)
def model(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class TestBuiltIn(DeviceContract):
    @pytest.fixture(autouse=True)
    def _choose(self, model: str) -> None:
        self.name = model
        self.cell = CELLS[model]
        self.ideal_cell = replace(GENERIC, magnitude=0.0) if CELLS[model] is GENERIC else None

    def make(self) -> Device:
        return DEVICES.create(self.name, "xbar.device")


def test_every_built_in_model_is_listed(model: str) -> None:
    built_in = {name for name in DEVICES if type(DEVICES.create(name, "")).__module__.startswith("crossohm.")}
    assert model in built_in
    assert built_in == {*CELLS, "table"}  # test_device_tables.py has one for each role
