"""What conversions decide before any framework is asked."""

from __future__ import annotations

import pytest

from crossohm import CrossOhmError, CrossSimParameters, ParameterError
from crossohm.layers.conversion import conversions, folding_obstacle, known_foldings
from crossohm.layers.hardware import CalibratedHardware
from crossohm.layers.kinds import Kinds
from crossohm.layers.report import ConversionReport, ReportedLayer

NAMES = ["conv", "head"]
FINE, COARSE = CrossSimParameters(), CrossSimParameters()
COARSE.xbar.adc.mvm.bits = 3


def calibrated(folded: bool | None) -> CrossSimParameters:
    params = CrossSimParameters()
    params.batchnorm_folded = folded
    return params


def test_every_layer_gets_what_was_chosen_for_it() -> None:
    found = conversions(NAMES, {"conv": COARSE, "*": FINE}, [2, 0], {"conv": "per_group"}, "net")
    assert [(one.name, one.bias_rows, one.grouping) for one in found.values()] == [
        ("net.conv", 2, "per_group"), ("net.head", 0, None),
    ]  # fmt: skip
    assert found["conv"].hardware is COARSE and found["head"].hardware is FINE


def test_layers_without_hardware_stay_digital() -> None:
    assert list(conversions(NAMES, {"head": None}, 0, "dense", "")) == ["head"]


def test_a_list_for_a_single_layer_is_one_per_array() -> None:
    assert conversions([""], [FINE, COARSE], 0, "dense", "").popitem()[1].hardware == [FINE, COARSE]


def test_calibrated_hardware_of_another_network_is_noticed() -> None:
    with pytest.warns(RuntimeWarning, match="describes conv, and not head: these stay digital"):
        assert list(conversions(NAMES, CalibratedHardware(conv=FINE), 0, "dense", "")) == ["conv"]


@pytest.mark.parametrize(
    ("fuse", "states", "allowed"),
    [
        (False, (True, True), None),
        (None, (None, None), None),
        (None, (True, None), (True, False)),
        (None, (True, False), (True, False)),
        (True, (None, False), (True, False)),
        (True, (None, None), (True, True)),
    ],
)
def test_batchnorm_is_folded_as_the_hardware_was_calibrated(
    fuse: bool | None, states: tuple[bool | None, ...], allowed: tuple[bool, ...] | None
) -> None:
    known = known_foldings(NAMES, [calibrated(state) for state in states], fuse)
    if allowed is None:
        assert known is None
    else:
        assert known is not None
        assert tuple(not folding_obstacle(known[name], fuse) for name in NAMES) == allowed


def test_other_words_about_folding_are_refused() -> None:
    with pytest.raises(ParameterError, match="fuse_batchnorm = 'yes'"):
        known_foldings(NAMES, None, "yes")  # type: ignore[arg-type]


class Base:
    pass


class Dense:
    pass


class AnalogDense(Base, Dense):
    digital_type = Dense


def test_kinds_stand_for_exact_types_of_which_they_are() -> None:
    kinds: Kinds[type[Base]] = Kinds(Base, [AnalogDense])
    assert kinds[Dense] is AnalogDense and kinds.register(AnalogDense) is AnalogDense
    with pytest.raises(CrossOhmError, match="needs Base as a base, and a digital_type"):
        kinds.register(Base)
    other = type("Other", (Base, Dense), {"digital_type": Dense})
    with pytest.raises(CrossOhmError, match=r"AnalogDense already stands for Dense"):
        kinds.register(other)
    with pytest.raises(CrossOhmError, match=r"it is no Dense, its digital_type; write class Stray\(Base, Dense\)"):
        kinds.register(type("Stray", (Base,), {"digital_type": Dense}))


def test_reports_say_where_products_run() -> None:
    analog = ReportedLayer("conv", "AnalogConv2d", ((8, 27),), 2, "", False)
    digital = ReportedLayer("", "Bilinear", (), 0, "no analog kind stands for it: register one", False)
    report = ConversionReport(
        (analog.tried(True, ()), digital, analog.tried(False, ("addmm",))), ("matmul, shape (2, 2)",)
    )
    assert str(report).splitlines() == [
        "1 layers in arrays, 2 digital",
        "  conv (AnalogConv2d): 8 x 27 in 2 arrays",
        "  (model) (Bilinear): no analog kind stands for it: register one",
        "  conv (AnalogConv2d): 8 x 27 in 2 arrays; its arrays are not used: read digitally by addmm",
        "  digital, with parameters of no module: matmul, shape (2, 2)",
    ]
    assert "not reached by the example" in str(analog.tried(False, ()))
