"""Chips of layers as bytes: what was saved is found again, and files of earlier versions can be read."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from crossohm import AnalogCore, CrossSimParameters, DataError
from crossohm.layers.hardware import PerArray, PerMatrix, layer_hardware
from crossohm.layers.saved_chip import SavedChip

#: The chip of a torch attention layer of one channel, saved before this module existed.
OLD = Path(__file__).with_name("attention.chip.gz")


def hardware(bits: int) -> CrossSimParameters:
    params = CrossSimParameters()
    error = {"enable": True, "model": "NormalIndependentDevice", "magnitude": 0.05}
    params.xbar.device.programming_error.update(error)
    params.xbar.device.cell_bits = bits
    return params


@pytest.fixture
def chip() -> SavedChip:
    matrices = [np.linspace(-1, 1, 6).reshape(2, 3), np.ones((1, 4))]
    cores = tuple(
        AnalogCore(matrix, hardware(3), seed=5, name=f"lstm.{index}") for index, matrix in enumerate(matrices)
    )
    params = layer_hardware([[hardware(3)], [hardware(3)]])
    return SavedChip((1, 0), "lstm", params, cores, ((1, 2), (3,)), (["float32"], []), (True, False), 2)


def test_everything_comes_back(chip: SavedChip) -> None:
    back = SavedChip.from_bytes(chip.to_bytes(), "here")
    assert (list(back.rows), back.name, back.params) == ([1, 0], "lstm", chip.params)
    assert (back.written, back.dtypes, back.current, back.fingerprints) == (
        chip.written, chip.dtypes, chip.current, chip.fingerprints,
    )  # fmt: skip
    for own, other in zip(back.cores, chip.cores, strict=True):
        np.testing.assert_array_equal(own.get_matrix(), other.get_matrix())


def test_damage_is_noticed(chip: SavedChip) -> None:
    data = chip.to_bytes()
    for wrong in (b"", data[:-1], data.replace(b"lstm", b"lsdm", 1), bytes(100)):
        with pytest.raises(DataError, match=r"the fc layer"):
            SavedChip.from_bytes(wrong, "the fc layer")


def test_a_layer_of_another_shape_is_refused(chip: SavedChip) -> None:
    chip.require_shapes([(2, 3), (1, 4)], "AnalogLSTM")
    with pytest.raises(DataError, match=r"'lstm' holds .*\(2, 3\), \(1, 4\).* but the AnalogGRU .*\(3, 3\)"):
        chip.require_shapes([(3, 3)], "AnalogGRU")


def test_chips_of_earlier_versions_can_be_read() -> None:
    found = SavedChip.from_bytes(gzip.decompress(OLD.read_bytes()), "old")
    assert (found.rows, found.name, found.fingerprints) == (1, "attention", 2)
    assert found.params == PerMatrix(
        [PerArray([hardware(4)]), PerArray([hardware(0)]), hardware(2), PerArray([hardware(3)])]
    )
    assert [core.name for core in found.cores] == [
        f"attention.{name}" for name in ("query", "key", "value", "out_proj")
    ]
    held = [[1.425315, 0.45893762], [-0.16025776, -1.0971243], [-2.3151724, -1.305443], [0.42075077, 0.87632024]]
    np.testing.assert_array_equal(
        np.concatenate([core.get_matrix() for core in found.cores]), np.array(held, dtype=np.float32)
    )
