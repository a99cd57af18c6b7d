"""Hardware named on a command line: presets, files, single parameters."""

from __future__ import annotations

from pathlib import Path

import pytest

from crossohm import CrossSimParameters, DataError, ParameterError, UnknownNameError
from crossohm.params import preset_names
from crossohm.studies import load_hardware, parse_override


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a.b=8", 8),
        ("a.b=1e4", 1e4),
        ("a.b=true", True),
        ("a.b=False", False),
        ("a.b=None", None),
        ("a.b=null", None),
        ("a.b=[-1, 1.5]", [-1, 1.5]),
        ("a.b=OFFSET", "OFFSET"),
        ('a.b="8"', "8"),
        (" a.b = 8 ", 8),
        ("a.b=x=y", "x=y"),
    ],
)
def test_values_keep_their_type(text: str, value: object) -> None:
    path, found = parse_override(text)
    assert path == "a.b"
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("text", ["", "a.b", "=8", "a.b=", "="])
def test_malformed_override(text: str) -> None:
    with pytest.raises(ParameterError, match="path=value"):
        parse_override(text)


@pytest.mark.parametrize("name", preset_names())
def test_presets_load(name: str) -> None:
    assert load_hardware(name) == CrossSimParameters.from_json(name)


@pytest.mark.parametrize("suffix", ["json", "yaml", "yml"])
def test_files_load(tmp_path: Path, suffix: str) -> None:
    params, path = load_hardware("PRIME"), tmp_path / f"hardware.{suffix}"
    params.to_json(path) if suffix == "json" else params.to_yaml(path)
    assert load_hardware(str(path)) == params


def test_overrides_apply_in_order() -> None:
    params = load_hardware("rram-8bit", ["xbar.adc.mvm.bits=5", "core.rows_max=64", "xbar.adc.mvm.bits=6"])
    assert params.diff(load_hardware("rram-8bit")) == {"xbar.adc.mvm.bits": (6, 8), "core.rows_max": (64, 256)}


def test_unknown_path_is_named() -> None:
    with pytest.raises(UnknownNameError, match=r"xbar\.adc\.mvm\.bit\b"):
        load_hardware("default", ["xbar.adc.mvm.bit=6"])


def test_wrong_type_is_named() -> None:
    with pytest.raises(ParameterError, match=r"xbar\.adc\.mvm\.bits"):
        load_hardware("default", ["xbar.adc.mvm.bits=many"])


@pytest.mark.parametrize("name", ["no-such-preset", "missing.json", "missing.yaml"])
def test_missing_hardware(name: str) -> None:
    with pytest.raises(DataError, match=name):
        load_hardware(name)
