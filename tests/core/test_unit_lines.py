"""Unit lines are cells like others: wherever arrays or their sizes are shown, they are there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from core_hardware import STYLES, core_on

from crossohm.chain.inspection.operating_point import operating_point
from crossohm.costs.occupancy import layer_report

MATRIX = np.random.default_rng(0).uniform(-1, 1, (7, 10))
WITH = ["unit-column", "sliced-unit-column"]
PARTS: dict[str, dict[str, Any]] = {"one array": {}, "partitions": {"core.rows_max": 4, "core.cols_max": 3}}
EVERY_PART = pytest.mark.parametrize("parts", list(PARTS))
ERRORS = {
    "xbar.device.programming_error.enable": True,
    "xbar.device.programming_error.model": "NormalIndependentDevice",
    "xbar.device.programming_error.magnitude": 0.02,
}


@EVERY_PART
@pytest.mark.parametrize("style", list(STYLES))
def test_arrays_have_the_unit_lines_that_decode_them(style: str, parts: str) -> None:
    """With its unit lines every array decodes to the part of the matrix it holds, as `get_matrix` says."""
    core = core_on(MATRIX, STYLES[style], PARTS[parts], ERRORS)
    for array in core.arrays:
        assert (array.unit_column is None) == (array.unit_row is None) == (style not in WITH)
        outputs, inputs = array.conductance.shape
        assert (array.rows, array.columns) == (inputs, outputs + (style in WITH))
        if array.unit_column is not None and array.unit_row is not None:
            assert array.unit_column.shape == (inputs,)
            assert array.unit_row.shape == (outputs,)
    if style == "unit-column":
        read, scale = core.get_matrix(), core.max - core.min
        usable = core.params.xbar.device.Grange_norm
        for array in core.arrays:
            r, c = array.partition
            here = read[_part(core.NrowsVec, r), _part(core.NcolsVec, c)]
            found = (array.conductance - array.unit_column) / usable * scale
            np.testing.assert_allclose(found, here, atol=1e-12)


def _part(sizes: list[int], index: int) -> slice:
    return slice(sum(sizes[:index]), sum(sizes[: index + 1]))


@EVERY_PART
@pytest.mark.parametrize("style", list(STYLES))
def test_sizes_count_unit_lines_everywhere(style: str, parts: str) -> None:
    core = core_on(MATRIX, STYLES[style], PARTS[parts])
    rows, columns = (max(sizes) for sizes in (core.NcolsVec, core.NrowsVec))
    unit = int(style in WITH)
    assert f"up to {rows} rows x {columns + unit} columns" in str(core.explain("mvm"))
    assert f"up to {rows + unit} rows x {columns} columns" in str(core.explain("vmm"))
    assert ("unit column" in str(core.explain("mvm"))) == ("unit row" in str(core.explain("vmm"))) == bool(unit)
    report = layer_report("fc", "Linear", core, 1)
    assert (report.array_rows, report.array_columns) == (rows, columns + unit)
    assert report.devices == sum(array.rows * array.columns for array in core.arrays)


@pytest.mark.parametrize("style", WITH)
def test_unit_lines_are_those_of_the_circuit(style: str) -> None:
    """Line 0 of an operating point, in either direction."""
    core, device = core_on(MATRIX, STYLES[style], ERRORS), core_on(MATRIX).params.xbar.device
    array = core.arrays[0]
    for operation, x, line in (("mvm", np.ones(10), array.unit_column), ("vmm", np.ones(7), array.unit_row)):
        point = operating_point(core, x, operation)
        np.testing.assert_allclose(point.cell_current[0, 0], line * device.Vread / device.Rmin, rtol=1e-12)
