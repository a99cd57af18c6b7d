"""Which networks fit a chip, what they take there, and what is said where they do not fit."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from crossohm.chip import ChipSpec, Energies, MappingError, NetworkShape, SlotPattern, Stage, Timings, check

CHIP = ChipSpec()
WIDE = ChipSpec(input_lines=4096)
BOTH, NONNEGATIVE, NEITHER = ("pair", "nonnegative"), ("nonnegative",), ()


@pytest.mark.parametrize(
    ("sizes", "total", "fits"),
    [
        ((1024, 2048, 256), 49, BOTH),
        ((1024, 2048, 1024, 256), 81, BOTH),
        ((1024, 2048, 2048, 256), 121, BOTH),
        ((1024, 4096, 256), 97, BOTH),
        ((256, 4096, 2048, 256), 177, NONNEGATIVE),
        ((1024, 4096, 2048, 256), 225, NONNEGATIVE),
        ((4096, 4096), 272, NEITHER),
    ],
)
@pytest.mark.parametrize("sign", BOTH)
def test_cores_of_the_networks_of_the_specification(sizes: tuple[int, ...], total: int, fits: Any, sign: Any) -> None:
    chip = replace(WIDE, sign=sign)
    report = check(NetworkShape(chip, sizes), strict=False)
    assert report.logical_cores == total
    assert report.physical_cores == total * (2 if sign == "pair" else 1)
    assert report.fits == (sign in fits)


def refused(stages: Any) -> MappingError:
    chip = None if isinstance(stages, NetworkShape) else CHIP
    with pytest.raises(MappingError) as raised:
        check(stages, chip)
    assert check(stages, chip, strict=False).violations[0] == str(raised.value)
    return raised.value


def changed(number: int, **changes: Any) -> list[Stage]:
    stages = list(NetworkShape(CHIP).stages)
    stages[number] = replace(stages[number], **changes)
    return stages


CROSSING = SlotPattern(tuple(range(64)), (*range(1, 64), 0), 16)


@pytest.mark.parametrize(
    ("make", "stage", "number", "limit"),
    [
        (lambda: refused(NetworkShape(CHIP, (1024, 4096, 2048, 256))), "layer2.dense", 450, "256 (grid 16 x 16)"),
        (lambda: refused(NetworkShape(CHIP, (1025, 256))), "layer1.dense", 1025, "1024 (input_lines)"),
        (lambda: refused(NetworkShape(CHIP, input_bits=8)), "layer1.dense", 8, "1 (input_bits)"),
        (lambda: refused(NetworkShape(CHIP, (256, 8))), "layer1.accumulator", 10, "8 (outputs of the last layer)"),
        (lambda: refused(changed(0, inputs=1025)), "layer1.dense", 1025, "1 to 1024 (blocks of core_in = 256)"),
        (lambda: refused(changed(2, outputs=257)), "layer2.dense", 257, "1 to 256 (blocks of core_out = 256)"),
        (
            lambda: refused(NetworkShape(ChipSpec(core_out=512))), "layer1.accumulator", 512, "256 (core_in)"
        ),
        (lambda: refused(changed(1, ends_in="relu")), "layer1.accumulator", "relu", "comparator"),
        (lambda: refused(changed(3, ends_in="softmax")), "layer2.accumulator", "softmax", "comparator, readout"),
        (lambda: refused(changed(0, adds_currents=True)), "layer1.dense", 4, "1 core"),
        (lambda: refused(changed(1, ends_in="readout")), "layer1.accumulator", 8, "1 bit (a comparator)"),
        (
            lambda: refused(changed(0, pattern=CROSSING)),
            "layer1.dense", "64 slots of 16 lines", "16 slots of 16 lines (a core)",
        ),
        (lambda: refused(NetworkShape(ChipSpec(max_phases=7))), "layer2.accumulator", 8, "7 (max_phases)"),
    ],
)  # fmt: skip
def test_a_broken_rule_names_stage_number_and_limit(
    make: Callable[[], MappingError], stage: str, number: object, limit: str
) -> None:
    error = make()
    assert (error.stage, error.number) == (stage, number)
    assert str(error).startswith(f"{stage}: ")
    assert f"{number!r}; allowed: " in str(error) and limit in str(error)


def test_all_broken_rules_are_reported() -> None:
    report = check(NetworkShape(CHIP, (1025, 4096, 4096), input_bits=8), strict=False)
    assert len(report.violations) == 3
    assert not report.fits


def test_dead_lines_are_a_warning() -> None:
    still = SlotPattern(tuple(range(16)), (*range(8), *range(9, 16), 8), 16)
    report = check(NetworkShape(CHIP, permute=still))
    assert report.fits
    assert [text.partition(":")[0] for text in report.warnings] == ["layer1.dense", "layer2.dense"]
    assert "128 lines" in report.warnings[0]


def test_the_same_network_on_another_chip() -> None:
    report = check(NetworkShape(CHIP, (1024, 512, 256)), ChipSpec(core_in=128, core_out=128))
    assert report.logical_cores == 8 * 4 + 4 + 4 * 2 + 2


def test_latency_is_passes_times_pass_time() -> None:
    report = check(NetworkShape(CHIP))
    assert report.phases == 1 + 4 + 1 + 8
    assert report.latency == pytest.approx(14 * 41.25e-9)


def test_energy_is_that_of_its_parts() -> None:
    # One accumulator core behind two dense cores of 4 x 4; V^2 t / R is 1 J, and a weight is a pair of cells.
    energies = Energies(1.0, 1.0, control=10.0, comparator=100.0, bus=1000.0, static_power=0.0)
    chip = ChipSpec(core_in=4, core_out=4, slot=2, timings=Timings(1.0, 1, 1.0), energies=energies)
    dense, accumulator = check(NetworkShape(chip, (8, 4), classes=2)).stages
    assert dense.energy == 2 * 4 * (2 * 4 + 10 + 1000 + 100)
    assert accumulator.energy == 4 * 2 * (2 * 4 + 10 + 1000)
    chip = replace(chip, sign="nonnegative", energies=replace(energies, static_power=3.0))
    dense, accumulator = check(NetworkShape(chip, (8, 4), classes=2)).stages
    assert dense.energy == 2 * 4 * (4 + 10 + 1000 + 100) + 3
    assert accumulator.energy == 4 * 2 * (4 + 10 + 1000) + 2 * 3


def test_utilisation_and_parameters() -> None:
    report = check(NetworkShape(CHIP, (784, 300, 10)))
    used = 784 * 512 + 256 * 300 + 300 * 256 + 256 * 10
    assert report.utilisation == pytest.approx(used / (13 * 65536))
    assert report.parameters == 13 * 65536 + (8 + 2 + 2) * 256
    assert report.bytes == 4 * report.parameters
    assert [row.comparators for row in report.stages] == [8, 2, 2, 0]
    assert [row.routes for row in report.stages] == [8 * 32, 2 * 16, 2 * 32, 16]


def test_a_report_is_text_and_json() -> None:
    report = check(NetworkShape(CHIP))
    text = str(report)
    for row in report.stages:
        assert row.stage.name in text
    assert "98 of 256 physical cores" in text and "upper bound" in text
    found = json.loads(json.dumps(report.as_dict(), allow_nan=False))
    assert found["totals"]["physical_cores"] == 98
    assert found["stages"][0]["stage"]["rank"] == 15
    assert found["energy_source"].startswith("upper bound")


@pytest.mark.parametrize(("sign", "signs"), [("pair", {"+", "-"}), ("nonnegative", {""})])
def test_every_core_has_a_place_of_its_own(sign: Any, signs: set[str]) -> None:
    report = check(NetworkShape(replace(CHIP, sign=sign)))
    places = report.placement
    assert len({(core.row, core.column) for core in places}) == len(places) == report.physical_cores
    assert {core.sign for core in places} == signs
    assert len({(core.stage, core.block_out, core.block_in, core.sign) for core in places}) == len(places)


@pytest.mark.parametrize("sizes", [(256, 256), (1024, 4096, 2048, 256)])
def test_the_picture_has_a_cell_for_each_core(sizes: tuple[int, ...]) -> None:
    pytest.importorskip("matplotlib")
    from crossohm.plot import chip_figure

    report = check(NetworkShape(CHIP, sizes), strict=False)
    (axes,) = chip_figure(report).axes
    assert len(axes.patches) == CHIP.cores
    assert len(axes.texts) == min(report.physical_cores, CHIP.cores)
