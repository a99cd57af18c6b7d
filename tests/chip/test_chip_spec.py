"""A chip is described by numbers that fit together, and survives a file."""

from __future__ import annotations

import json
from typing import Any

import pytest

from crossohm.chip import ChipSpec, Energies, Timings
from crossohm.errors import ParameterError, UnknownNameError


@pytest.mark.parametrize(
    "chip",
    [
        ChipSpec(),
        ChipSpec((8, 8), 128, 64, 8, 4, "nonnegative", 5, 6, 784, Timings(2e-9, 9), Energies(voltage=0.2, source="me")),
    ],
)
def test_a_chip_survives_a_file(chip: ChipSpec) -> None:
    assert ChipSpec.from_dict(json.loads(json.dumps(chip.as_dict()))) == chip
    assert ChipSpec.from_dict({}) == ChipSpec()


def test_what_follows_from_the_numbers() -> None:
    chip = ChipSpec(grid=(4, 8), core_in=128, slot=8)
    assert (chip.slots, chip.cores, chip.physical_per_logical) == (16, 32, 2)
    assert ChipSpec(sign="nonnegative").physical_per_logical == 1
    assert Timings().pass_time == pytest.approx(41.25e-9)


def test_the_energy_of_cells_is_charge_times_voltage() -> None:
    # The figure published, 1.28 pJ, is the charge, in pC.
    assert Energies().cells(256, Timings().read_pulse) == pytest.approx(0.128e-12)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("grid", 256), ("core_in", 0), ("core_out", 25.6), ("slot", True), ("slot", 15), ("input_bits", "1"),
        ("sign", "both"), ("max_phases", 0), ("readout_bits", -8), ("input_lines", None),
    ],
)  # fmt: skip
def test_numbers_that_no_chip_has_are_refused_by_name(parameter: str, value: Any) -> None:
    with pytest.raises(ParameterError, match=rf"chip\.{parameter} = .*allowed: "):
        ChipSpec(**{parameter: value})


@pytest.mark.parametrize("numbers", [{"clock": 0.0}, {"read_pulse": float("inf")}, {"cycles": 1.5}])
def test_times_are_positive(numbers: Any) -> None:
    with pytest.raises(ParameterError, match=r"chip\.timings\."):
        Timings(**numbers)


@pytest.mark.parametrize("numbers", [{"resistance": 0.0}, {"bus": -1.0}, {"static_power": float("nan")}])
def test_energies_are_not_negative(numbers: Any) -> None:
    with pytest.raises(ParameterError, match=r"chip\.energies\."):
        Energies(**numbers)


@pytest.mark.parametrize("found", [{"rows": 16}, {"timings": {"clocks": 1e-9}}])
def test_a_parameter_that_chips_do_not_have_is_named(found: Any) -> None:
    with pytest.raises(UnknownNameError, match="no such parameter"):
        ChipSpec.from_dict(found)
