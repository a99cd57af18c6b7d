"""Every field, by its schema: documented, refuses wrong types and values, and names its full path when it does."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import pytest

from crossohm import ParameterError
from crossohm.params import CrossSimParameters
from crossohm.params.text import group_of, join


def leaves(group: Any = CrossSimParameters, prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Path and JSON schema of every single value in the tree."""
    schema = group.model_json_schema()["properties"]
    for name, field in group.model_fields.items():
        path = join(prefix, field.alias or name)
        inner = group_of(field)
        if inner:
            yield from leaves(inner, path)
        else:
            yield path, schema[field.alias or name]


def wrong_values(schema: dict[str, Any]) -> list[Any]:
    """Values that a field of this schema must refuse."""
    if "anyOf" in schema:  # a value or None, or a range of either shape
        kinds = {kind.get("type") for kind in schema["anyOf"]}
        number = next((kind for kind in schema["anyOf"] if kind.get("type") == "number"), None)
        return (
            [value for value in wrong_values(number) if value is not None] if number and "null" in kinds else [3, "x"]
        )
    if "enum" in schema:
        return ["nonsense", 99, True, None, 1.5]
    match schema["type"]:
        case "boolean":
            return [1, 0, "true", None]
        case "string":
            return [3, "", None]
        case "array":
            return [3, "x", [None], [-1], None]
        case "integer":
            return [True, "8", 1.5, 8.0, None, *out_of_range(schema, 1)]
        case "number":
            return [True, "1.0", None, math.nan, math.inf, -math.inf, 10**400, *out_of_range(schema, 1e-3)]
    raise AssertionError(f"no wrong values known for {schema}")


def out_of_range(schema: dict[str, Any], step: float) -> list[Any]:
    beyond = []
    if "minimum" in schema:
        beyond.append(schema["minimum"] - max(step, abs(schema["minimum"])))
    if "exclusiveMinimum" in schema:
        beyond.append(schema["exclusiveMinimum"])
    if "maximum" in schema:
        beyond.append(schema["maximum"] * 2)
    return beyond


def nested(path: str, value: Any) -> dict[str, Any]:
    for name in reversed(path.split(".")):
        value = {name: value}
    return value


def unmatched() -> CrossSimParameters:
    """Defaults with both sides of every pair told apart, so that errors name the side."""
    params = CrossSimParameters()
    params.update({"xbar.adc._match": False, "xbar.dac._match": False, "core.mapping.inputs._match": False})
    return params


LEAVES = dict(leaves())


@pytest.mark.parametrize("path", LEAVES)
def test_wrong_values_are_refused_with_the_full_path_and_change_nothing(path):
    params = unmatched()
    parent, _, name = path.rpartition(".")
    for value in wrong_values(LEAVES[path]):
        for attempt in (
            lambda value=value: setattr(params.get(parent), name, value),
            lambda value=value: params.update({path: value}),
            lambda value=value: CrossSimParameters(**nested(path, value)),
        ):
            with pytest.raises(ParameterError) as caught:
                attempt()
            named = caught.value.path.partition("[")[0]
            assert named.replace("_match", "match") == path.replace("_match", "match"), value
            assert caught.value.allowed
            assert params == unmatched()


def test_every_field_has_a_bounded_type_and_a_meaning():
    assert len(LEAVES) > 100
    for path, schema in LEAVES.items():
        assert len(schema.get("description", "")) > 15, f"{path} has no description"
        if schema.get("type") in ("integer", "number"):
            assert {"minimum", "exclusiveMinimum"} & set(schema), f"{path} has no lowest value"
            assert "maximum" in schema, f"{path} has no highest value"


@pytest.mark.parametrize("path", [path for path, schema in LEAVES.items() if "enum" in schema and 1 in schema["enum"]])
def test_choices_are_read_as_member_name_or_integer_and_written_as_integer(path):
    for member in type(CrossSimParameters().get(path)):
        for spelling in (member, member.name, member.value):
            params = CrossSimParameters()
            params.update({path: spelling})
            assert params.get(path) is member
        written = params.as_dict()
        for name in path.split("."):
            written = written[name]
        assert written == member.value
        with pytest.raises(ParameterError, match=f"did you mean '{member.name}'"):
            params.update({path: member.name.lower()})


@pytest.mark.parametrize(
    ("path", "default"),
    [
        ("core.style", 1), ("core.rows_max", 0), ("core.weight_bits", 0), ("core.output_dtype", 1),
        ("core.balanced.subtract_current_in_xbar", True), ("core.bit_sliced.num_slices", 2),
        ("core.mapping.weights.clipping", True), ("core.mapping.weights.percentile", 1.0),
        ("core.mapping.weights.min", None), ("core.mapping.weights.row_partition_strategy", 2),
        ("core.mapping.inputs.mvm.min", -1.0), ("core.mapping.inputs.vmm.max", 1.0),
        ("core.mapping.inputs.mvm.percentile", None), ("core.mapping.inputs._match", True),
        ("simulation.Niters_max_parasitics", 100), ("simulation.Verr_matmul_criterion", "max_max"),
        ("simulation.convolution.x_par", 1), ("xbar.device.Rmin", 1000.0), ("xbar.device.Rmax", 10000.0),
        ("xbar.device.Vread", 0.1), ("xbar.device.read_noise.model", "IdealDevice"),
        ("xbar.array.Icol_max", 0.0), ("xbar.array.parasitics.current_from_input", True),
        ("xbar.array.parasitics.selected_rows", "top"), ("xbar.array.parasitics.disable_slices", []),
        ("xbar.adc.mvm.model", "IdealADC"), ("xbar.adc.mvm.calibrated_range", []), ("xbar.adc.vmm.gain_db", 100.0),
        ("xbar.adc.mvm.adc_range_option", 1), ("xbar.adc.mvm.group_size", 8), ("xbar.adc.mvm.symmetric_cdac", True),
        ("xbar.dac.mvm.slice_size", 1), ("xbar.dac.mvm.signed", True),
    ],
)  # fmt: skip
def test_defaults_are_those_of_the_reference(path, default):
    value = CrossSimParameters().as_dict()
    for name in path.split("."):
        value = value[name]
    assert value == default and type(value) is type(default)


def test_the_json_schema_is_json_and_describes_files():
    schema = json.loads(json.dumps(CrossSimParameters.json_schema()))
    assert set(schema["properties"]) == {"core", "simulation", "xbar"}
    assert "_match" in schema["$defs"]["ADCPair"]["properties"]
    assert schema["additionalProperties"] is False
