"""Study files with mistakes never raise anything but an error that says where."""

from __future__ import annotations

from pathlib import Path

import pytest
from fuzzed import GOOD, check_message, fuzzed_file

from crossohm.errors import CrossOhmError
from crossohm.studies import load_study


def test_the_study_that_is_fuzzed_is_good() -> None:
    assert len(load_study(GOOD).axes) == 4


@pytest.mark.parametrize("batch", range(6))
def test_mistakes_are_named(tmp_path: Path, batch: int) -> None:
    refused = 0
    for number in range(40 * batch, 40 * (batch + 1)):
        path = fuzzed_file(tmp_path, number)
        try:
            load_study(path)
        except CrossOhmError as error:
            check_message(path, str(error))
            refused += 1
    assert refused > 25
