"""Parameter files: round trips, presets, files of other tools, and what is said about damaged ones."""

from __future__ import annotations

import copy
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crossohm import AnalogCore
from crossohm.errors import DataError, ParameterError, UnknownNameError
from crossohm.params import ADCRangeLimits, CoreStyle, CrossSimParameters, preset_names

CHANGES: dict[str, Any] = {
    "core.style": "BITSLICED",
    "core.weight_bits": 8,
    "core.mapping.inputs._match": False,
    "core.mapping.inputs.vmm.percentile": 0.99,
    "core.mapping.weights.row_partition_priority": [4, 2],
    "simulation.Verr_th_mvm": 1e-5,
    "xbar.device.Rmax": 6e12,
    "xbar.device.drift_error.model": "SONOS",
    "xbar.adc.mvm.calibrated_range": np.array([[-1.0, 1.0], [-0.5, 0.5]]),
    "xbar.dac._match": False,
    "xbar.dac.vmm.bits": 5,
}


def changed() -> CrossSimParameters:
    params = CrossSimParameters()
    params.update(CHANGES)
    return params


@pytest.mark.parametrize("kind", ["json", "yaml"])
def test_files_keep_everything(kind: str, tmp_path: Path) -> None:
    params = changed()
    path = tmp_path / f"hardware.{kind}"
    text = getattr(params, f"to_{kind}")(path)
    assert path.read_text(encoding="utf-8") == text
    again = getattr(CrossSimParameters, f"from_{kind}")(path)
    assert again == params
    assert again.xbar.adc.vmm is again.xbar.adc.mvm
    assert again.xbar.dac.vmm is not again.xbar.dac.mvm


def test_json_layout() -> None:
    tree = json.loads(changed().to_json())
    assert tree["core"]["style"] == 2
    assert tree["xbar"]["adc"]["_match"] is True
    assert tree["xbar"]["adc"]["vmm"] == tree["xbar"]["adc"]["mvm"]
    assert tree["xbar"]["adc"]["mvm"]["calibrated_range"] == [[-1.0, 1.0], [-0.5, 0.5]]
    assert tree["core"]["mapping"]["weights"]["min"] is None
    assert "match" not in tree["xbar"]["adc"]


def test_dicts_build_the_same_hardware() -> None:
    params = changed()
    assert CrossSimParameters(**params.as_dict()) == params


def test_copies_share_nothing_and_keep_the_match() -> None:
    params = changed()
    for twin in (params.copy(), copy.deepcopy(params)):
        assert twin == params
        assert twin.xbar.adc.vmm is twin.xbar.adc.mvm
        twin.xbar.adc.vmm.bits = 7
        twin.core.mapping.weights.row_partition_priority.append(1)
        assert params == changed()


def test_yaml_as_people_write_it(tmp_path: Path) -> None:
    path = tmp_path / "hardware.yml"
    path.write_text("# my chip\nxbar:\n  device: {Rmin: 1e4, Rmax: 1.5e+6}\n  adc:\n    mvm: {adc_range_option: MAX}\n")
    params = CrossSimParameters.from_yaml(path)
    assert (params.xbar.device.Rmin, params.xbar.device.Rmax) == (1e4, 1.5e6)
    assert params.xbar.adc.vmm.adc_range_option is ADCRangeLimits.MAX
    path.write_text("")
    assert CrossSimParameters.from_yaml(path) == CrossSimParameters()


# A file as older tools write it: both sides spelled out, integer choices, nulls, newer keys missing.
OLDER: dict[str, Any] = {
    "core": {
        "style": 2, "rows_max": 128, "cols_max": 128, "weight_bits": 16, "complex_matrix": False,
        "balanced": {"style": 1, "interleaved_posneg": False, "subtract_current_in_xbar": True},
        "bit_sliced": {"style": 3, "num_slices": 8},
        "offset": {"style": 2},
        "mapping": {
            "weights": {"clipping": True, "min": None, "max": None, "percentile": 1.0, "row_partition_strategy": 2},
            "inputs": {
                "_match": True,
                "mvm": {"clipping": False, "min": -152, "max": 152, "percentile": None},
                "vmm": {"clipping": False, "min": -152, "max": 152, "percentile": None},
            },
        },
    },
    "simulation": {
        "useGPU": True, "gpu_id": 0, "Niters_max_parasitics": 100, "disable_fast_matmul": True,
        "convolution": {"is_conv_core": True, "x_par": 1, "y_par": 1}, "analytics": {"ntest": 10},
    },
    "xbar": {
        "device": {
            "cell_bits": 2, "Rmin": 2000.0, "Rmax": 2000000.0, "time": 0,
            "read_noise": {"enable": False, "model": "IdealDevice", "magnitude": 0},
        },
        "array": {"Icol_max": 0, "parasitics": {"enable": False, "Rp_row": 0, "current_from_input": True}},
        "adc": {"_match": True, **{side: {
            "model": "SarADC", "bits": 9, "signed": True, "stochastic_rounding": False, "adc_per_ibit": True,
            "calibrated_range": None, "adc_range_option": 3, "gain_db": 100, "sigma_capacitor": 0.0,
            "split_cdac": True, "group_size": 128,
        } for side in ("mvm", "vmm")}},
        "dac": {"_match": True, **{side: {
            "model": "SignMagnitudeDAC", "bits": 16, "input_bitslicing": True, "signed": True, "slice_size": 1,
        } for side in ("mvm", "vmm")}},
    },
}  # fmt: skip


def test_older_files_load_and_missing_keys_take_defaults(tmp_path: Path) -> None:
    path = tmp_path / "older.json"
    path.write_text(json.dumps(OLDER, indent=4))
    params = CrossSimParameters.from_json(path)
    params.validate()
    assert params.core.style is CoreStyle.BITSLICED
    assert params.xbar.adc.vmm is params.xbar.adc.mvm
    assert params.xbar.adc.mvm.calibrated_range == []
    assert (params.xbar.device.Vread, params.simulation.Verr_matmul_criterion) == (0.1, "max_max")
    assert {
        path for path in params.diff(CrossSimParameters.from_json("ISAAC-SarADC")) if "simulation" not in path
    } == set()


def test_ignored_switches_are_reported_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tree = copy.deepcopy(OLDER)
    tree["simulation"]["hide_convergence_msg"] = True  # reported once per process for each set: no other has this
    path = tmp_path / "older.json"
    path.write_text(json.dumps(tree))
    with caplog.at_level(logging.INFO, logger="crossohm"):
        for _ in range(2):
            CrossSimParameters.from_json(path).validate()
    (record,) = caplog.records
    for name in ("useGPU", "disable_fast_matmul", "convolution.is_conv_core", "analytics.ntest"):
        assert f"simulation.{name}" in record.getMessage()
    assert "Niters" not in record.getMessage()  # the default


def test_presets() -> None:
    assert set(preset_names()) == {"default", "ISAAC", "ISAAC-SarADC", "PRIME", "SONOS-TCAS", "rram-8bit", "rram-cores"}


@pytest.mark.parametrize("name", preset_names())
@pytest.mark.filterwarnings("error")
def test_presets_are_consistent_and_build(name: str) -> None:
    params = CrossSimParameters.from_json(name)
    params.validate()
    assert CrossSimParameters.from_json(f"{name}.json") == params
    matrix = np.random.default_rng(0).uniform(-1, 1, (12, 20))
    core = AnalogCore(matrix, params, seed=1)
    x = np.linspace(-1, 1, 20) * (params.core.mapping.inputs.mvm.max or 1.0)
    y = core @ x
    exact = matrix @ x
    assert np.linalg.norm(y - exact) < 0.5 * np.linalg.norm(exact)


def test_presets_are_the_published_designs() -> None:
    isaac = CrossSimParameters.from_json("ISAAC")
    assert (isaac.core.weight_bits, isaac.core.bit_sliced.num_slices, isaac.xbar.device.cell_bits) == (16, 8, 2)
    assert (isaac.xbar.adc.mvm.model, isaac.xbar.adc.mvm.bits) == ("SignMagnitudeADC", 9)
    prime = CrossSimParameters.from_json("PRIME")
    assert prime.xbar.adc.mvm.calibrated_range == [[-36.75, 36.75], [-2.296875, 2.296875]]
    assert (prime.core.balanced.subtract_current_in_xbar, prime.xbar.dac.mvm.slice_size) == (False, 3)
    sonos = CrossSimParameters.from_json("SONOS-TCAS")
    assert sonos.xbar.adc.mvm.calibrated_range == [-2.9185207451767736, 4.271561324751555]
    assert (sonos.core.rows_max, sonos.core.cols_max, sonos.xbar.device.Rmin) == (1152, 256, 3.5e4)
    rram = CrossSimParameters.from_json("rram-8bit")
    assert (rram.xbar.device.programming_error.magnitude, rram.xbar.device.read_noise.magnitude) == (0.05, 0.01)
    assert (rram.core.style, rram.xbar.adc.mvm.adc_range_option) == (CoreStyle.BALANCED, ADCRangeLimits.MAX)


def test_a_file_goes_before_a_preset_of_the_same_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("ISAAC").write_text("{}")
    assert CrossSimParameters.from_json("ISAAC") == CrossSimParameters()


@pytest.mark.parametrize("name", ["ISAACC", "somewhere/ISAAC.json", "../presets/ISAAC"])
def test_missing_files_list_the_presets(name: str) -> None:
    with pytest.raises(DataError, match="ISAAC-SarADC") as caught:
        CrossSimParameters.from_json(name)
    assert isinstance(caught.value, FileNotFoundError)
    with pytest.raises(DataError, match="no such file"):
        CrossSimParameters.from_yaml(name)


@pytest.mark.parametrize(
    ("kind", "text", "line"),
    [
        ("json", '{\n  "core": {\n    "rows_max": 4,\n  }\n}', "line 4"),
        ("json", "", "line 1"),
        ("yaml", "core:\n  rows_max: [1\n", "line"),
        ("yaml", "core:\n\trows_max: 1\n", "line 2"),
    ],
)
def test_damaged_files_name_file_and_line(kind: str, text: str, line: str, tmp_path: Path) -> None:
    path = tmp_path / f"damaged.{kind}"
    path.write_text(text)
    with pytest.raises(DataError, match=rf"damaged\.{kind}.*{line}"):
        getattr(CrossSimParameters, f"from_{kind}")(path)


@pytest.mark.parametrize(("kind", "text"), [("json", "[1, 2]"), ("json", "null"), ("yaml", "- 1"), ("yaml", "1: {}")])
def test_files_that_hold_something_else(kind: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / f"other.{kind}"
    path.write_text(text)
    with pytest.raises(DataError, match="core, simulation, xbar"):
        getattr(CrossSimParameters, f"from_{kind}")(path)


def test_binary_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "binary.json"
    path.write_bytes(b"\xff\xfe\x00{")
    with pytest.raises(DataError, match="UTF-8"):
        CrossSimParameters.from_json(path)


@pytest.mark.parametrize(
    ("text", "error", "where"),
    [
        ('{"xbar": {"adc": {"mvm": {"bitz": 8}}}}', UnknownNameError, "xbar.adc.mvm.bitz"),
        ('{"xbar": {"device": {"Rmin": NaN}}}', ParameterError, "xbar.device.Rmin"),
        ('{"core": {"style": "NONE"}}', UnknownNameError, "core.style"),
        ('{"xbar": {"adc": {"mvm": {"bits": 8}, "vmm": {"bits": 6}}}}', ParameterError, "xbar.adc"),
    ],
)
def test_wrong_entries_name_path_and_file(text: str, error: type[Exception], where: str, tmp_path: Path) -> None:
    path = tmp_path / "wrong.json"
    path.write_text(text)
    with pytest.raises(error) as caught:
        CrossSimParameters.from_json(path)
    assert caught.value.path == where  # type: ignore[attr-defined]
    assert "wrong.json" in "".join(caught.value.__notes__)


def test_yaml_executes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "evil.yaml"
    path.write_text("core: !!python/object/apply:os.getcwd []\n")
    with pytest.raises(DataError):
        CrossSimParameters.from_yaml(path)
