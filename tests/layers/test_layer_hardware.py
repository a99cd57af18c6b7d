"""What lists of hardware descriptions mean."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from crossohm import CrossSimParameters, ParameterError
from crossohm.layers.hardware import (
    PerArray,
    PerMatrix,
    calibrated_foldings,
    descriptions,
    each,
    hardware_as_data,
    hardware_from_data,
    hardware_of_matrices,
    layer_hardware,
    numbered,
    own_hardware,
)


def params(bits: int = 0) -> CrossSimParameters:
    made = CrossSimParameters()
    made.xbar.adc.mvm.bits = bits
    return made


ONE, TWO, THREE = params(1), params(2), params(3)
FORMS: list[tuple[Any, type]] = [
    (ONE, CrossSimParameters),
    ([ONE, TWO], PerArray),
    ((ONE, TWO), PerArray),
    ([[ONE], [TWO]], PerMatrix),
    ([ONE, (TWO, THREE)], PerMatrix),
]


@pytest.mark.parametrize(("given", "kind"), FORMS)
def test_nesting_says_what_a_list_means(given: Any, kind: type) -> None:
    found = layer_hardware(given)
    assert type(found) is kind
    assert list(descriptions(found)) == list(descriptions(given))
    assert layer_hardware(found) == found and type(layer_hardware(found)) is kind


@pytest.mark.parametrize("given", [form for form, _ in FORMS])
def test_hardware_survives_as_data_and_as_a_copy(given: Any) -> None:
    found = layer_hardware(given)
    back = hardware_from_data(json.loads(json.dumps(hardware_as_data(found))))
    assert back == found and type(back) is type(found)
    twin = own_hardware(given)
    assert twin == found and type(twin) is type(found) and type(copy.deepcopy(found)) is type(found)
    for mine, theirs in zip(descriptions(twin), descriptions(found), strict=True):
        assert mine is not theirs


def test_nothing_given_is_ideal_hardware() -> None:
    assert own_hardware(None) == CrossSimParameters()


def test_a_change_keeps_the_form() -> None:
    changed = each(layer_hardware([ONE, [TWO, THREE]]), lambda one: params(one.xbar.adc.mvm.bits + 4))
    assert changed == [params(5), [params(6), params(7)]] and isinstance(changed, PerMatrix)


def test_descriptions_are_numbered_where_there_are_several() -> None:
    assert list(numbered("conv", ONE)) == [("conv", ONE)]
    assert [name for name, _ in numbered("lstm", layer_hardware([[ONE], [TWO, THREE]]))] == [
        "lstm[0]", "lstm[1][0]", "lstm[1][1]",
    ]  # fmt: skip


def test_each_matrix_has_its_part_of_the_hardware() -> None:
    assert hardware_of_matrices(ONE, 2) == [ONE, ONE]
    assert hardware_of_matrices(layer_hardware([ONE, TWO]), 2) == [[ONE, TWO], [ONE, TWO]]
    assert hardware_of_matrices(layer_hardware([[ONE, TWO], THREE]), 2) == [[ONE, TWO], THREE]
    with pytest.raises(ParameterError, match=r"params = 'list of 2 lists': the layer has one matrix"):
        hardware_of_matrices(layer_hardware([[ONE], [TWO]]), 1)


def test_what_is_no_hardware_is_refused_with_its_place() -> None:
    with pytest.raises(ParameterError, match=r"params\['conv'\]\[1\]\[0\] = 3.*one per array"):
        layer_hardware([ONE, [3]], "params['conv']")
    with pytest.raises(ParameterError, match=r"params = 'rram\.json'.*from_json"):
        layer_hardware("rram.json")
    with pytest.raises(ParameterError, match=r"params\[0\]\[0\] = \["):
        layer_hardware([[[ONE]]])
    with pytest.raises(ParameterError, match=r"core\.complex_matrix"):
        made = params()
        made.core.complex_matrix = True
        own_hardware([ONE, made])


def test_foldings_of_calibrated_hardware() -> None:
    folded, unfolded = params(), params()
    folded.batchnorm_folded, unfolded.batchnorm_folded = True, False
    assert calibrated_foldings([ONE, [folded]]) == {True}
    assert calibrated_foldings([folded, unfolded]) == {True, False}
    assert calibrated_foldings(ONE) == set()
