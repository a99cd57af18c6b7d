"""`calibrate`: data in any form, better ranges than a percentile, results that are kept and checked."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from two_layers import HIDDEN, IMAGES, SECOND, TwoLayers, hardware

import crossohm
from crossohm import (
    Calibration,
    CrossSimParameters,
    DataError,
    InputError,
    ParameterError,
    ShapeError,
    UnsupportedError,
)
from crossohm.calibration import Objective
from crossohm.errors import UnknownNameError

NETWORK = TwoLayers({})
EXACT = HIDDEN @ SECOND.T


def ranges(found: Calibration) -> dict[str, Any]:
    return {name: (layer.inputs, layer.adc) for name, layer in found.layers.items()}


def error(found: Calibration) -> float:
    y = NETWORK.on_hardware(list(found.hardware.values()), seed=1).outputs(IMAGES, "", lambda *_: None)
    return float(np.mean((y - EXACT) ** 2))


@pytest.mark.parametrize("bits", [3, 4, 5, 6, 8])
@pytest.mark.parametrize("model", ["QuantizerADC", "SignMagnitudeADC", "SarADC"])
def test_least_squares_ranges_beat_the_maximum_and_the_extremes(model: str, bits: int) -> None:
    params = hardware(xbar__adc__mvm__bits=bits, xbar__adc__mvm__model=model, xbar__adc__mvm__adc_range_option="MAX")
    least = error(crossohm.calibrate(NETWORK, IMAGES, params))
    assert least < error(crossohm.calibrate(NETWORK, IMAGES, params, keep_adc_ranges=True)) / 3
    # With many levels both hold nearly everything, and what one clipped value does to the network is a matter of luck.
    slack = 1.0 if bits < 8 else 1.2
    extremes = crossohm.calibrate(NETWORK, IMAGES, params, objective="percentile", percentile=100.0)
    assert least < slack * error(extremes)


def test_a_relu_saves_levels() -> None:
    params = hardware(xbar__adc__mvm__bits=5)
    aware, plain = (crossohm.calibrate(NETWORK, IMAGES, params, relu_aware=aware) for aware in (True, False))
    assert aware.layers["first"].adc[0].low > plain.layers["first"].adc[0].low / 3
    assert aware.layers["second"].adc[0].low == pytest.approx(plain.layers["second"].adc[0].low, rel=0.1)
    assert error(aware) < error(plain)


def test_floors_follow_the_digital_bias() -> None:
    shifted = TwoLayers({}, bias=6.0)
    found = crossohm.calibrate(shifted, IMAGES, hardware(xbar__adc__mvm__bits=6)).layers["first"]
    core = shifted.on_hardware([found.hardware] * 2, seed=1).cores["first"]
    lowest = found.adc[0].low * core.max * found.inputs.high  # output of the lowest code
    assert lowest == pytest.approx(-6.0, abs=1.0)


def test_reported_errors_are_those_of_the_converters() -> None:
    params = hardware(xbar__dac__mvm__bits=4, xbar__adc__mvm__bits=0)
    found = crossohm.calibrate(NETWORK, IMAGES, params).layers["first"].inputs
    assert found is not None
    step = found.high / 7
    converted = step * np.clip(np.rint(IMAGES / step), -7, 7)
    wanted = np.sqrt(np.mean((converted - IMAGES) ** 2) / np.mean(IMAGES**2))
    assert found.error == pytest.approx(wanted, rel=0.01)


@pytest.mark.parametrize("form", ["data set", "batches", "labelled batches", "iterator", "double precision"])
def test_images_come_in_any_form(form: str) -> None:
    parts = np.array_split(IMAGES, 4)
    data: Any = {
        "data set": SimpleNamespace(images=IMAGES, labels=np.zeros(150)),
        "batches": parts,
        "labelled batches": [(part, np.zeros(len(part))) for part in parts],
        "iterator": iter([[part, 0] for part in parts]),
        "double precision": IMAGES.astype(np.float64),
    }[form]
    found = crossohm.calibrate(NETWORK, data, hardware())
    assert found.images == 150
    expected = crossohm.calibrate(NETWORK, IMAGES, hardware())
    for (mine, adc), (theirs, others) in zip(ranges(found).values(), ranges(expected).values(), strict=True):
        assert mine.limits == pytest.approx(theirs.limits, rel=1e-6)
        assert adc[0].limits == pytest.approx(others[0].limits, rel=1e-3)


@pytest.mark.parametrize("data", [IMAGES, np.array_split(IMAGES, 4), iter(np.array_split(IMAGES, 4))])
def test_a_limit_takes_the_first_images(data: Any) -> None:
    found = crossohm.calibrate(NETWORK, data, hardware(), limit=50)
    assert found.images == 50
    assert found.layers["first"].inputs == crossohm.calibrate(NETWORK, IMAGES[:50], hardware()).layers["first"].inputs


@pytest.mark.parametrize("data", [[], 5, ["text"], IMAGES[:0], [5.0], None])
def test_what_holds_no_images_is_refused(data: Any) -> None:
    with pytest.raises(InputError):
        crossohm.calibrate(NETWORK, data, hardware())


def test_progress_of_a_loader() -> None:
    told: list[tuple[str, int, int]] = []
    crossohm.calibrate(NETWORK, np.array_split(IMAGES, 4), hardware(), progress=lambda *step: told.append(step))
    assert [stage for stage, done, total in told if done == total == 150] == ["input ranges", "ADC ranges"]
    assert all(done <= total for _, done, total in told)


def test_descriptions_come_in_any_form() -> None:
    coarse, fine = hardware(xbar__adc__mvm__bits=4), hardware(xbar__adc__mvm__bits=10)
    listed = crossohm.calibrate(NETWORK, IMAGES, [coarse, fine])
    assert ranges(crossohm.calibrate(NETWORK, IMAGES, {"second": fine, "first": coarse})) == ranges(listed)
    assert ranges(crossohm.calibrate(NETWORK, IMAGES, {"f*": coarse, "*": fine})) == ranges(listed)
    assert [params.xbar.adc.mvm.bits for params in listed.hardware.values()] == [4, 10]
    on_hardware = TwoLayers({}, hardware=(coarse, fine))
    assert ranges(crossohm.calibrate(on_hardware, IMAGES)) == ranges(listed)


def test_wrong_descriptions_are_refused() -> None:
    with pytest.raises(ParameterError, match="params = None: the model is not on hardware"):
        crossohm.calibrate(NETWORK, IMAGES)
    with pytest.raises(ShapeError, match="3 hardware descriptions for 2 layers"):
        crossohm.calibrate(NETWORK, IMAGES, [hardware()] * 3)
    for table in ({"first": hardware()}, {"first": hardware(), "second": hardware(), "third": hardware()}):
        with pytest.raises(UnknownNameError, match=r"second|third"):
            crossohm.calibrate(NETWORK, IMAGES, table)
    with pytest.raises(UnsupportedError, match=r"model of type builtins\.str"):
        crossohm.calibrate("resnet", IMAGES, hardware())


# --- kept and used again ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def found() -> Calibration:
    sliced = hardware(core__style="BITSLICED", core__weight_bits=7, xbar__adc__mvm__bits=6)
    return crossohm.calibrate(NETWORK, IMAGES, [hardware(), sliced], objective="L1")


def test_a_calibration_survives_a_file(found: Calibration, tmp_path: Path) -> None:
    found.save(tmp_path / "ranges.json")
    again = Calibration.load(tmp_path / "ranges.json")
    assert again == found
    assert again.objective == Objective("L1")
    assert again.hardware == found.hardware


def test_ranges_are_used_on_hardware_with_errors(found: Calibration) -> None:
    noisy = [params.copy() for params in found.hardware.values()]
    for params in noisy:
        params.update(
            {
                "xbar.device.programming_error.enable": True,
                "xbar.device.programming_error.model": "NormalProportionalDevice",
                "xbar.device.programming_error.magnitude": 0.05,
                "xbar.adc.mvm.calibrated_range": [],
                "core.mapping.inputs.mvm.min": -9.0,
                "core.mapping.inputs.mvm.max": 9.0,
            }
        )
    for name, params in found.on(noisy).items():
        kept = found.hardware[name]
        assert params.xbar.device.programming_error.enable
        assert params.xbar.adc.mvm.calibrated_range == kept.xbar.adc.mvm.calibrated_range
        assert params.core.mapping.inputs.mvm.max == kept.core.mapping.inputs.mvm.max


@pytest.mark.parametrize(
    "change",
    [
        "core.rows_max=5", "core.cols_max=3", "core.style=OFFSET", "core.mapping.weights.percentile=0.99",
        "core.balanced.subtract_current_in_xbar=0", "xbar.device.cell_bits=7", "xbar.device.Rmax=50000.0",
        "xbar.dac.mvm.bits=6", "xbar.dac.mvm.input_bitslicing=1", "xbar.adc.mvm.bits=7",
        "xbar.adc.mvm.model=SignMagnitudeADC", "xbar.adc.mvm.adc_per_ibit=1", "xbar.array.Icol_max=3.0",
        "xbar.array.parasitics.Rp_col=0.5",
    ],
)  # fmt: skip
def test_other_hardware_is_refused(found: Calibration, change: str) -> None:
    path, text = change.split("=")
    other = {name: params.copy() for name, params in found.hardware.items()}
    value: Any = text
    if not text[0].isalpha():
        value = bool(int(text)) if text in "01" else float(text) if "." in text else int(text)
    other["first"].update({path: value})
    with pytest.raises(ParameterError, match=rf"^{path} = .*layer 'first' were calibrated with"):
        found.on(other)


def test_ranges_belong_to_layers(found: Calibration) -> None:
    with pytest.raises(ShapeError, match="1 hardware descriptions for 2 layers: first, second"):
        found.on([hardware()])
    with pytest.raises(UnknownNameError, match="third"):
        found.on({"first": hardware(), "third": hardware(), "second": hardware()})
    with pytest.raises(ParameterError, match="layer 'first'"):
        found.on(CrossSimParameters())


@pytest.mark.parametrize("damage", ["missing", "no JSON", "other format", "list", "no layers", "wrong value"])
def test_damaged_calibrations_are_an_error(found: Calibration, damage: str, tmp_path: Path) -> None:
    path = tmp_path / "ranges.json"
    found.save(path)
    values = json.loads(path.read_text())
    values["layers"]["first"]["hardware"]["xbar"]["adc"]["mvm"]["bits"] = "many"
    texts = {
        "no JSON": "{",
        "other format": '{"format": "other"}',
        "list": "[]",
        "no layers": '{"format": "crossohm-calibration-1"}',
        "wrong value": json.dumps(values),
    }
    if damage == "missing":
        path.unlink()
    else:
        path.write_text(texts[damage])
    with pytest.raises(DataError, match=r"ranges\.json"):
        Calibration.load(path)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *((name, value) for name in ("keep_adc_ranges", "zero_level", "relu_aware", "fuse_batchnorm")
          for value in ("False", "no", 2)),
        *(("limit", value) for value in (0, -3, 2.5, True, "5")),
        *((name, value) for name in ("percentile", "input_percentile") for value in ("99", None, True, 40)),
        ("objective", "l2"), ("objective", ["L2"]),
    ],
)  # fmt: skip
def test_wrong_options_are_refused(option: str, value: Any) -> None:
    with pytest.raises(ParameterError, match=f"^{option.removeprefix('input_')} = "):
        crossohm.calibrate(NETWORK, IMAGES, hardware(), **{option: value})


@pytest.mark.parametrize(
    ("params", "place"),
    [
        ("rram-8bit", "params = 'rram-8bit'.*from_json"),
        ("ab", "params = 'ab'"),
        (["rram-8bit", "rram-8bit"], r"params\[0\] = "),
        ({"first": hardware(), "second": {"xbar": {}}}, r"params\['second'\] = \{"),
        ([hardware(), None], r"params\[1\] = None"),
        (5, "params = 5"),
    ],
)
def test_what_is_no_hardware_is_refused(params: Any, place: str) -> None:
    with pytest.raises(ParameterError, match=place):
        crossohm.calibrate(NETWORK, IMAGES, params)
