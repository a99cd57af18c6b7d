"""What a network is for a chip follows from its sizes and choices."""

from __future__ import annotations

import json
from typing import Any

import pytest

from crossohm.chip import ChipSpec, NetworkShape, SlotPattern
from crossohm.errors import ParameterError

CHIP = ChipSpec()
SWAP = (tuple(range(16)), (*range(1, 16), 0))


@pytest.mark.parametrize(
    ("sizes", "cores"),
    [
        ((1024, 2048, 256), [32, 8, 8, 1]),
        ((1024, 2048, 1024, 256), [32, 8, 32, 4, 4, 1]),
        ((1024, 2048, 2048, 256), [32, 8, 64, 8, 8, 1]),
        ((1024, 4096, 256), [64, 16, 16, 1]),
        ((256, 4096, 2048, 256), [16, 16, 128, 8, 8, 1]),
        ((1024, 4096, 2048, 256), [64, 16, 128, 8, 8, 1]),
        ((4096, 4096), [256, 16]),
        ((784, 300, 10), [8, 2, 2, 1]),  # the notebook cut these to whole cores (D1)
    ],
)
def test_cores_of_every_stage(sizes: tuple[int, ...], cores: list[int]) -> None:
    assert [stage.cores for stage in NetworkShape(CHIP, sizes).stages] == cores


def test_every_block_of_a_layer_adds_a_level_and_a_phase() -> None:
    dense, accumulator, *_ = NetworkShape(CHIP, (784, 300, 10), permute="none").stages
    assert (dense.levels, dense.phases, accumulator.levels, accumulator.phases) == (2, 1, 5, 4)
    dense, accumulator, *_ = NetworkShape(CHIP, (784, 300, 10), permute_accumulator=True).stages
    assert (dense.levels, accumulator.levels) == (3, 9)


def test_grey_inputs_have_more_levels_in_the_first_stage_only() -> None:
    stages = NetworkShape(CHIP, permute="none", input_bits=8).stages
    assert [stage.levels for stage in stages] == [256, 5, 2, 9]


def test_what_is_used_is_what_was_asked_for() -> None:
    stages = NetworkShape(CHIP, (784, 300, 10)).stages
    assert [(stage.inputs, stage.outputs) for stage in stages] == [(784, 512), (512, 300), (300, 256), (256, 10)]
    assert [stage.weights for stage in stages] == [784 * 512, 256 * 300, 300 * 256, 256 * 10]


def test_only_the_last_stage_is_read_out() -> None:
    ends = [stage.ends_in for stage in NetworkShape(CHIP, (256, 256, 256)).stages]
    assert ends == ["comparator", "comparator", "comparator", "readout"]


@pytest.mark.parametrize(("readout", "columns"), [("population", 25), ("first", 1)])
def test_columns_of_a_class(readout: Any, columns: int) -> None:
    assert NetworkShape(CHIP, readout=readout).columns_per_class == columns


@pytest.mark.parametrize("permute", ["random", SWAP, SlotPattern(*SWAP, slot=16)])
def test_a_shape_survives_a_file(permute: Any) -> None:
    shape = NetworkShape(ChipSpec(sign="nonnegative"), (784, 300, 10), 7, "first", permute, True, "bipolar", 8, 3)
    found = NetworkShape.from_dict(json.loads(json.dumps(shape.as_dict())))
    assert found == shape
    assert found.stages == shape.stages


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sizes", (1024,)), ("sizes", [1024, 256]), ("sizes", (1024, 0)), ("sizes", (1024, 25.6)), ("classes", 0),
        ("readout", "last"), ("permute", "cycles"), ("permute", (SWAP[0], SWAP[0])), ("encoding", "ternary"),
        ("input_bits", 0),
    ],
)  # fmt: skip
def test_choices_that_do_not_exist_are_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(ParameterError, match=rf"^{name}.*allowed: "):
        NetworkShape(CHIP, **{name: value})
