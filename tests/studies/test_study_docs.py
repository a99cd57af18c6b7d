"""The page about studies says what is true: every path exists, every option of the reference has its row."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from crossohm.params import CrossSimParameters
from crossohm.params.text import paths
from crossohm.studies.file.sections import Study
from crossohm.studies.file.tree import HARDWARE_GROUPS

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "studies.md").read_text(encoding="utf-8")

#: Options of the reference's inference_config.py (its manual and shared/spec/dnn.md, section 4.2).
OPTIONS = re.findall(
    r"\w+",
    """
    useGPU gpu_num Nruns task model_name ntest ntest_batch nstart randomSampling count_interval time_interval topk
    return_network_output show_model_summary show_HW_config export_conductances conductances_dir disable_SW_packing
    weight_bits weight_percentile Nslices NrowsMax NcolsMax style balanced_style subtract_current_in_xbar
    digital_offset Rp_row Rp_col gate_input interleaved_posneg Icol_max Icell_max fold_batchnorm digital_bias bias_bits
    Rmin Rmax infinite_on_off_ratio error_model alpha_error proportional_error noise_model alpha_noise
    proportional_noise drift_model t_drift adc_bits dac_bits input_bitslicing input_slice_size ADC_per_ibit
    adc_range_option adc_type
    """,
)


def rows(title: str) -> list[list[str]]:
    """Cells of the first table under a heading."""
    table = PAGE.split(f"## {title}\n", 1)[1].split("\n## ")[0]
    return [line.strip("|").split("|") for line in table.splitlines() if line.startswith("| `")]


def test_every_option_of_the_reference_has_its_row() -> None:
    told = [
        name for row in rows("Coming from the reference's configuration file") for name in re.findall("`(.*?)`", row[0])
    ]
    assert sorted(told) == sorted(OPTIONS)


def test_every_entry_of_a_study_is_told() -> None:
    told = {row[0].strip().strip("`"): row[1] for row in rows("Study files")}
    assert list(told)[: len(Study.model_fields)] == list(Study.model_fields)
    for section, field in Study.model_fields.items():
        entries = getattr(field.annotation, "model_fields", {})
        assert all(f"`{name}`" in told[section] for name in entries), section


def test_every_path_exists() -> None:
    text = PAGE.replace("`.", "`xbar.")  # brief forms are checked by their last names
    found = set(re.findall(r"`((?:core|xbar|simulation)\.[\w.]+?)(?:: \w+)?`", text))
    known = set(paths(CrossSimParameters))
    leaves = {path.rpartition(".")[2] for path in known}
    assert len(found) > 25
    for path in found - known:
        assert path.startswith("xbar.") and path.count(".") == 1 and path.partition(".")[2] in leaves, path


@pytest.mark.parametrize("name", ["QuantizerADC", "SignMagnitudeADC", "RampADC", "SarADC", "PipelineADC", "CyclicADC"])
def test_every_adc_exists(name: str) -> None:
    from crossohm.circuits.adc import ADCS

    assert name in ADCS
    assert f"`{name}`" in PAGE


def test_groups_of_parameters_are_told() -> None:
    assert all(f"`{group}`" in PAGE for group in HARDWARE_GROUPS)
