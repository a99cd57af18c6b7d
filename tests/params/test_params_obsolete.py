"""What files and scripts of CrossSim hold beyond this tree: negative bits, and fields of other releases."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crossohm import AnalogCore, CrossSimParameters, ParameterError, UnknownNameError
from crossohm.params.base import Group
from crossohm.params.text import group_of


def obsolete_paths(group: type[Group], prefix: str = "") -> list[str]:
    inner = {f"{prefix}{name}.": group_of(field) for name, field in group.model_fields.items()}
    below = [path for start, kind in inner.items() if kind for path in obsolete_paths(kind, start)]  # type: ignore[arg-type]
    return [*(prefix + name for name in group.obsolete), *below]


OBSOLETE = obsolete_paths(CrossSimParameters)


def nested(path: str, value: Any) -> dict[str, Any]:
    for name in reversed(path.split(".")):
        value = {name: value}
    return dict(value)


def write(way: str, params: CrossSimParameters, path: str, value: Any, folder: Path) -> CrossSimParameters:
    """Set a parameter in one of the ways there are."""
    parent, _, name = path.rpartition(".")
    if way == "attribute":
        setattr(params.get(parent), name, value)
    elif way == "update":
        params.update({path: value})
    elif way == "dict in update":
        params.update({parent: {name: value}})
    elif way == "dict":
        top, _, rest = path.partition(".")
        setattr(params, top, nested(rest, value))
    elif way == "constructor":
        return CrossSimParameters(**nested(path, value))
    else:
        file = folder / f"saved.{way}"
        file.write_text(json.dumps(nested(path, value)), encoding="utf-8")
        return CrossSimParameters.from_json(file) if way == "json" else CrossSimParameters.from_yaml(file)
    return params


WAYS = ["attribute", "update", "dict in update", "dict", "constructor", "json", "yaml"]


def test_the_fields_that_published_scripts_set_are_among_them() -> None:
    assert {
        "simulation.convolution.conv_matmul", "simulation.convolution.stride", "simulation.convolution.weight_reorder",
        "simulation.fast_balanced", "xbar.array.parasitics.gate_input",
    } <= set(OBSOLETE)  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("path", OBSOLETE)
def test_obsolete_fields_are_passed_over_with_one_notice(way: str, path: str, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="obsolete") as caught:
        params = write(way, CrossSimParameters(), path, True, tmp_path)
    (warning,) = caught
    assert path in str(warning.message)
    assert warning.filename == __file__
    assert params == CrossSimParameters()
    assert json.dumps(path.rpartition(".")[2]) not in params.to_json()


def test_one_notice_for_a_whole_file_and_the_rest_of_it_counts(tmp_path: Path) -> None:
    tree: dict[str, Any] = CrossSimParameters().as_dict()
    tree["simulation"]["convolution"] |= {"conv_matmul": True, "stride": 1, "Kx": 3}
    tree["xbar"]["array"]["parasitics"] |= {"gate_input": True, "Rp_row": 2.0}
    (tmp_path / "old.json").write_text(json.dumps(tree))
    with pytest.warns(UserWarning, match=r"conv_matmul.*gate_input \(set current_from_input") as caught:
        params = CrossSimParameters.from_json(tmp_path / "old.json")
    assert len(caught) == 1
    assert params.xbar.array.parasitics.Rp_row == 2.0


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("path", ["simulation.convolution.x_parr", "xbar.array.parasitics.gate_inputs", "core.stride"])
def test_other_unknown_names_are_errors_as_ever(way: str, path: str, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=path.rpartition(".")[2]):
        write(way, CrossSimParameters(), path, True, tmp_path)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("bits", [-1, -8, np.int64(-1)])
def test_cells_of_negative_bits_are_continuous(way: str, bits: Any, tmp_path: Path) -> None:
    value = int(bits) if way in ("json", "yaml") else bits
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        params = write(way, CrossSimParameters(), "xbar.device.cell_bits", value, tmp_path)
        assert params == CrossSimParameters()
    matrix = np.random.default_rng(0).normal(size=(4, 5))
    np.testing.assert_allclose(AnalogCore(matrix, params).get_matrix(), matrix, rtol=1e-12)


@pytest.mark.parametrize("path", ["xbar.adc.mvm.bits", "xbar.dac.mvm.bits", "core.weight_bits"])
def test_converters_and_weights_of_negative_bits_are_refused(path: str) -> None:
    with pytest.raises(ParameterError, match="-1"):
        CrossSimParameters().update({path: -1})


def test_what_only_crosssim_needs_warns_where_hardware_is_built() -> None:
    params = CrossSimParameters(simulation={"useGPU": True, "analytics": {"profile_adc_inputs": True, "ntest": 10}})
    with pytest.warns(UserWarning, match="no effect") as caught:
        AnalogCore(np.eye(2), params)
    said = " ".join(str(warning.message) for warning in caught)
    assert len(caught) == 2
    for part in ("simulation.useGPU", "GPU", "profile_adc_inputs", "core.profile()"):
        assert part in said
