"""What each cause of errors costs, against hardware whose causes are known."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

from crossohm import CrossSimParameters
from crossohm.errors import StudyError
from crossohm.studies import ErrorBudget, error_budget, load_hardware, load_study
from crossohm.studies.nonidealities import NONIDEALITIES, without

SMALL: dict[str, Any] = {"dataset": {"images": 40}, "calibration": {"images": 30}, "repeats": 3}
NOISY = {
    "base": "default",
    "set": {
        "xbar.device.infinite_on_off_ratio": True,
        "xbar.device.programming_error": {"enable": True, "model": "NormalIndependentDevice", "magnitude": 0.03},
        "xbar.device.read_noise": {"enable": True, "model": "NormalIndependentDevice", "magnitude": 0.03},
    },
}


def budget(folder: Path, hardware: Any, per_layer: bool = False, **sections: Any) -> ErrorBudget:
    return error_budget(load_study({**SMALL, "hardware": hardware, **sections}), folder / "budget", per_layer=per_layer)


def test_independent_errors_of_equal_size_share_the_noise(tmp_path: Path) -> None:
    found = budget(tmp_path, NOISY, repeats=6)
    shares = {one.cause: one.share for one in found.contributions}
    assert set(shares) == {"programming_error", "read_noise"}
    assert shares["programming_error"] == pytest.approx(0.5, abs=0.2)
    assert sum(shares.values()) == pytest.approx(1, abs=0.25)  # cells at zero can only err upwards
    for one in found.contributions:  # two causes: one alone is the other absent
        (other,) = (another for another in found.contributions if another is not one)
        assert one.alone.values == other.absent.values
        assert one.snr_alone == other.snr_absent == pytest.approx(found.snr_complete + 3, abs=1.5)
        assert one.loss_alone == pytest.approx(found.perfect.mean - one.alone.mean)
        assert one.gain_absent == pytest.approx(one.absent.mean - found.complete.mean)
    assert found.perfect.mean == found.digital


def test_layers_add_up(tmp_path: Path) -> None:
    found = budget(tmp_path, NOISY, per_layer=True, repeats=2)
    layers = [one for one in found.contributions if one.cause == "programming_error" and one.layer != "*"]
    assert [one.layer for one in layers] == ["conv1", "conv2", "fc"]
    (everywhere,) = (one for one in found.contributions if one.cause == "programming_error" and one.layer == "*")
    assert sum(one.share for one in layers) == pytest.approx(everywhere.share, rel=0.3)
    assert all(one.snr_alone > everywhere.snr_alone for one in layers)


def test_a_coarse_adc_is_found(tmp_path: Path) -> None:
    found = budget(tmp_path, {"base": "rram-8bit", "set": {"xbar.adc.mvm.bits": 2}})
    worst = max(found.contributions, key=lambda one: one.share)
    assert worst.cause == "adc"
    assert worst.share > 0.8
    assert worst.gain_absent >= 0
    assert {one.cause for one in found.contributions} == {
        "programming_error", "read_noise", "weight_quantisation", "on_off_ratio", "dac", "adc",
    }  # fmt: skip


def test_plain_values_and_table(tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    found = budget(tmp_path, NOISY, repeats=1)
    plain = found.as_dict()
    assert plain["measure"] == "top1"
    assert [row["cause"] for row in plain["contributions"]] == ["programming_error", "read_noise"]
    frame = found.to_dataframe()
    assert frame.share.tolist() == [one.share for one in found.contributions]
    assert frame.alone.tolist() == [one.alone.mean for one in found.contributions]


def test_it_goes_on_where_it_stopped(tmp_path: Path) -> None:
    first = budget(tmp_path, NOISY, repeats=1)
    again = budget(tmp_path, NOISY, repeats=1)
    assert again.results.rows() == first.results.rows()  # seconds included: nothing was computed


def test_nothing_wrong(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="nothing wrong"):
        budget(tmp_path, {"base": "default", "set": {"xbar.device.infinite_on_off_ratio": True}})


def test_one_description_at_a_time(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="one description"):
        budget(tmp_path, NOISY, sweep={"grid": {"xbar.adc.mvm.bits": [4, 5]}})


EVERYTHING = {
    "xbar.device.programming_error": {"enable": True, "model": "NormalIndependentDevice", "magnitude": 0.1},
    "xbar.device.read_noise": {"enable": True, "model": "NormalIndependentDevice", "magnitude": 0.1},
    "xbar.device.drift_error": {"enable": True, "model": "SONOS"},
    "xbar.device.nonlinear_IV.enable": True,
    "xbar.device.cell_bits": 4,
    "core.mapping.weights.percentile": 0.9,
    "xbar.array.parasitics": {"enable": True, "Rp_row": 1.0},
    "xbar.array.Icol_max": 3.0,
    "xbar.dac.mvm": {"model": "SignMagnitudeDAC", "bits": 4},
    "xbar.adc.mvm": {"model": "QuantizerADC", "bits": 4},
}


@pytest.mark.parametrize("name", NONIDEALITIES)
def test_every_cause_can_be_told_and_taken_away(name: str) -> None:
    params = CrossSimParameters()
    params.update(EVERYTHING)
    assert NONIDEALITIES[name].present(params)
    cured = without(params, [name])
    assert not NONIDEALITIES[name].present(cured)
    others = set(NONIDEALITIES) - {name}
    assert all(NONIDEALITIES[other].present(cured) for other in others)
    assert NONIDEALITIES[name].present(params)  # the description itself stays


def test_ideal_hardware_has_none() -> None:
    params = without(CrossSimParameters(), NONIDEALITIES)
    assert not any(kind.present(params) for kind in NONIDEALITIES.values())


def test_digits_of_slices_are_no_cause() -> None:
    params = load_hardware("ISAAC")
    assert not NONIDEALITIES["weight_quantisation"].present(params)
    assert not NONIDEALITIES["dac"].present(params)
    assert math.isclose(params.xbar.device.Rmin, without(params, NONIDEALITIES).xbar.device.Rmin)
