"""Advice: what is legal but probably not meant gives a warning, and nothing else does. Ranges given in any order."""

from __future__ import annotations

import warnings

import pytest

from crossohm.params import CrossSimParameters
from crossohm.params.root import ADVICE, RULES

SLICED = {"core.style": "BITSLICED", "core.weight_bits": 8}
INPUT_SLICES = {"model": "SignMagnitudeDAC", "bits": 8, "input_bitslicing": True}
CALIBRATED = {"model": "QuantizerADC", "bits": 8}


def adc(**fields):
    return {"xbar.adc.mvm": fields}


def dac(**fields):
    return {"xbar.dac.mvm": fields}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"core.weight_bits": 8}, r"core\.weight_bits = 8 does not quantise.*cell_bits = 7"),
        ({"core.weight_bits": 8, "core.style": "OFFSET", "xbar.device.cell_bits": 7}, r"cells of 7 bits; .*bits = 8"),
        (SLICED | {"core.bit_sliced.num_slices": 8}, r"num_slices = 8: .*fill only 7 of them"),
        (SLICED | {"core.balanced.style": "TWO_SIDED"}, r"always one-sided"),
        (SLICED | adc(**CALIBRATED, calibrated_range=[[-1, 1], [-3, 3]]), r"do not differ by powers of two"),
    ],
)
def test_what_is_probably_not_meant_gives_one_warning_at_the_callers_line(values, message):
    params = CrossSimParameters()
    params.update(values)
    with pytest.warns(UserWarning, match=message) as caught:
        params.validate()
    assert len(caught) == 1
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    "values",
    [
        {"core.weight_bits": 8, "xbar.device.cell_bits": 7},
        {"core.weight_bits": 8, "core.style": "OFFSET", "xbar.device.cell_bits": 8},
        {"core.weight_bits": 8} | adc(adc_range_option="GRANULAR", adc_per_ibit=True) | dac(**INPUT_SLICES),
        SLICED,
        SLICED | {"core.bit_sliced.num_slices": 7},
        SLICED | adc(**CALIBRATED, calibrated_range=[[-1, 1], [-8, 8]]),
    ],
)
def test_what_is_meant_gives_no_warning(values):
    params = CrossSimParameters()
    params.update(values)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        params.validate()


def test_every_rule_and_advice_says_why_it_exists():
    for check in (*RULES, *ADVICE):
        assert len(check.__doc__) > 30


@pytest.mark.parametrize("order", [1, -1])
def test_limits_and_percentile_given_at_once_both_stay_whatever_their_order(order):
    given = [("percentile", 0.9), ("min", -1.0), ("max", 1.0)][::order]
    params = CrossSimParameters()
    params.update({f"core.mapping.weights.{name}": value for name, value in given})
    weights = params.core.mapping.weights
    assert (weights.percentile, weights.min, weights.max) == (0.9, -1.0, 1.0)


def test_one_default_set_whether_or_not_the_group_is_spelt_out():
    for weights in (None, {}, {"clipping": True}, {"percentile": 1.0}):
        assert CrossSimParameters(core={"mapping": {"weights": weights}}) == CrossSimParameters()
