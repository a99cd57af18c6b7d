"""Choices by name: one for all, a list, or patterns."""

import pytest

from crossohm import ParameterError, UnknownNameError
from crossohm.layers.patterns import choice_of_layers, matches, patterns_of

NAMES = ("stem", "layer1.0", "layer1.1", "layer2.0", "head")


def test_one_choice_is_for_all_layers() -> None:
    assert choice_of_layers("rows", 3, NAMES) == dict.fromkeys(NAMES, 3)


def test_a_list_has_one_choice_per_layer() -> None:
    assert choice_of_layers("rows", [1, 2, 3, 4, 5], NAMES) == dict(zip(NAMES, (1, 2, 3, 4, 5), strict=True))
    with pytest.raises(ParameterError, match=r"rows = 'list of 2': the model has 5 .*stem, layer1\.0"):
        choice_of_layers("rows", [1, 2], NAMES)


def test_the_first_pattern_of_a_table_decides_and_layers_without_one_are_absent() -> None:
    found = choice_of_layers("rows", {"layer1.1": 1, "layer?.*": 2, "h*": 3}, NAMES)
    assert found == {"layer1.0": 2, "layer1.1": 1, "layer2.0": 2, "head": 3}
    assert choice_of_layers("rows", {"*": 0, "head": 1}, NAMES) == dict.fromkeys(NAMES, 0)


def test_all_patterns_of_a_name_keep_their_order() -> None:
    found = patterns_of({"*": "here", "layer1.*": "there"}, NAMES, "layer")
    assert found["layer1.0"] == ("*", "layer1.*") and found["head"] == ("*",)


def test_a_pattern_without_a_layer_is_refused_with_its_place_and_the_nearest_name() -> None:
    with pytest.raises(UnknownNameError, match=r"rows\['haed'\].*no convertible module.*Did you mean 'head'"):
        choice_of_layers("rows", {"haed": 1}, NAMES)
    with pytest.raises(UnknownNameError, match=r"save\.signals.*matches no layer; .* \(40 in all\)"):
        patterns_of({"x": "save.signals"}, [f"layer{index}" for index in range(40)], "layer")


def test_a_name_matches_itself_whatever_characters_it_has() -> None:
    assert matches("block[0]", "block[0]") and matches("block0", "block[0]")
    assert not matches("block", "bloc") and not matches("Head", "head")
