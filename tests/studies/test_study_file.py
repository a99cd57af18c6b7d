"""What a study file may say, and how it is told what it may not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from crossohm.errors import CrossOhmError, DataError, StudyError
from crossohm.studies import LoadedStudy, load_study, study_schema
from crossohm.studies.file.axes import combinations
from crossohm.studies.file.hardware import describe

YAML = """
model: digits_cnn
dataset: {name: digits, images: 20}
hardware:
  base: rram-8bit
  set:
    xbar:
      adc: {mvm: {bits: 6}}
      device.Rmin: 1e4
  layers:
    conv1: {digital: true}
calibration: false
repeats: 2
sweep:
  grid:
    xbar.adc.mvm.bits: [4, 5, 6]
"""


def written(folder: Path, text: str, name: str = "study.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def loaded(folder: Path, text: str = YAML, *overrides: str) -> LoadedStudy:
    return load_study(written(folder, text), overrides)


# --- what it says -----------------------------------------------------------------------------------------------------


def test_short_forms_and_nested_groups(tmp_path: Path) -> None:
    found = loaded(tmp_path)
    study = found.study
    assert (study.model.name, study.dataset.name, study.repeats.chips) == ("digits_cnn", "digits", 2)
    assert (study.calibration.inputs, study.calibration.adc) == (False, False)
    assert study.hardware.set == {"xbar.adc.mvm.bits": 6, "xbar.device.Rmin": 1e4}
    params = describe(study.hardware, tmp_path)
    assert (params.xbar.adc.mvm.bits, params.xbar.device.Rmin) == (6, 1e4)
    assert found.name == "study"


def test_an_empty_section_is_the_default(tmp_path: Path) -> None:
    assert loaded(tmp_path, "hardware:\nsweep:\n").study == loaded(tmp_path, "{}").study == load_study({}).study


def test_formats_say_the_same(tmp_path: Path) -> None:
    text = json.dumps({"model": "digits_cnn", "hardware": {"set": {"xbar": {"adc": {"mvm": {"bits": 6}}}}}})
    toml = 'model = "digits_cnn"\n[hardware.set]\nxbar.adc.mvm.bits = 6\n'
    yaml = "model: digits_cnn\nhardware: {set: {xbar.adc.mvm.bits: 6}}\n"
    found = [load_study(written(tmp_path, body, f"study.{kind}")).study for kind, body in
             (("json", text), ("toml", toml), ("yaml", yaml))]  # fmt: skip
    assert found[0] == found[1] == found[2]


def test_relative_hardware_files_lie_beside_the_study(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("core: {rows_max: 20}\n", encoding="utf-8")
    assert describe(loaded(tmp_path, "hardware: mine.yaml").study.hardware, tmp_path).core.rows_max == 20


def test_overrides(tmp_path: Path) -> None:
    changes = [
        "repeats.chips=7",
        "xbar.adc.mvm.bits=3",
        "conv*:core.rows_max=9",
        "conv1:digital=false",
        "dataset=mnist",
    ]
    study = loaded(tmp_path, YAML, *changes).study
    assert (study.repeats.chips, study.hardware.set["xbar.adc.mvm.bits"], study.dataset.name) == (7, 3, "mnist")
    assert study.hardware.layers["conv*"].set == {"core.rows_max": 9}
    assert study.hardware.layers["conv1"].digital is False


# --- sweeps -----------------------------------------------------------------------------------------------------------


def test_grid_zip_and_points_are_combined() -> None:
    sweep = {
        "grid": {"xbar.adc.mvm.bits": [4, 5], "core.rows_max": [64, 128]},
        "zip": {"fc:xbar.adc.mvm.bits": [6, 7], "calibration.percentile": [99, 99.9]},
        "points": [{"hardware": "default"}, {"hardware": "ISAAC", "dataset.images": 5}],
    }
    axes = load_study({"calibration": {"objective": "percentile"}, "sweep": sweep}).axes
    assert [(axis.name, len(axis)) for axis in axes] == [
        ("xbar.adc.mvm.bits", 2), ("core.rows_max", 2), ("zip", 2), ("point", 2),
    ]  # fmt: skip
    found = list(combinations(axes))
    assert len(found) == 16
    assert found[0] == {
        "xbar.adc.mvm.bits": 4, "core.rows_max": 64, "fc:xbar.adc.mvm.bits": 6, "calibration.percentile": 99,
        "hardware": "default",
    }  # fmt: skip
    assert found[1]["hardware"] == "ISAAC"  # the last axis varies fastest
    assert found[-1]["xbar.adc.mvm.bits"] == 5


def test_spans_are_spaced_as_asked() -> None:
    spans = {
        "xbar.device.Rmin": {"from": 10, "to": 1000, "count": 3, "scale": "log"},
        "xbar.device.Vread": {"from": 1, "to": 2, "count": 5},
    }
    axes = load_study({"hardware": "default", "sweep": {"grid": spans}}).axes
    values = [[next(iter(position.values())) for position in axis.positions] for axis in axes]
    assert values[0] == pytest.approx([10, 100, 1000])
    assert values[1] == [1, 1.25, 1.5, 1.75, 2]


def test_without_a_sweep_there_is_one_point() -> None:
    assert list(combinations(load_study({}).axes)) == [{}]


def test_a_point_changes_what_it_says_and_nothing_else() -> None:
    study = load_study({"hardware": {"set": {"core.rows_max": 64}}})
    point = study.point({"xbar.adc.mvm.bits": 4, "fc:digital": True, "model.bias_bits": 3, "hardware": "PRIME"})
    assert point.hardware.base == "PRIME"
    assert point.hardware.layers["fc"].digital
    assert point.model.bias_bits == 3
    assert study.study.hardware.layers == {}  # the study itself stays as it is


# --- what it must not say ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("bits: 6", "bit: 6", 8, r"xbar\.adc\.mvm\.bit = 6.*Did you mean 'xbar\.adc\.mvm\.bits'"),
        ("bits: 6", "bits: many", 8, r"xbar\.adc\.mvm\.bits = 'many': not an integer; allowed: integer >= 0"),
        ("repeats", "repeat", 13, r"repeat = 2: there is no such section; allowed: name.*Did you mean 'repeats'"),
        ("digital", "digitl", 11, r"hardware\.layers\.conv1\.digitl.*Did you mean 'hardware\.layers\.conv1\.digital'"),
        ("images: 20", "images: 0", 3, r"dataset\.images = 0: too small; allowed: integer >= 1"),
        ("images: 20", "images: '20'", 3, r"dataset\.images = '20': not an integer"),
        ("base: rram-8bit", "base: rram8bit", 5, r"rram8bit: no such file, and no preset.*rram-8bit"),
        ("[4, 5, 6]", "[4, 99]", 16, r"xbar\.adc\.mvm\.bits = 99: too large; allowed"),
        ("[4, 5, 6]", "[4, 4]", 16, r"sweep\.grid\.xbar\.adc\.mvm\.bits = 4: given twice"),
        ("[4, 5, 6]", "[]", 16, r"no values to vary; allowed: a list, or \{from"),
        ("[4, 5, 6]", "{from: 4, to: 6}", 16, r"not a span of numbers; allowed: \{from: number"),
        ("    xbar.adc.mvm.bits: [4", "    repeats.seed: [4", 14, r"repeats\.seed.*cannot be varied"),
        ("calibration: false", "calibration: {percentile: 10}", 12, r"percentile = 10: too small.*> 50"),
        ("calibration: false", "calibration: {inputs: false}", 12, r"calibration = .*adc must be false too"),
        ("calibration: false", "calibration: {percentile: 99}", 12, r"calibration = .*no effect with objective L2"),
        ("calibration: false", "calibration: {file: x.json, adc: false}", 12, r"calibration = .*leave inputs and adc"),
        ("model: digits_cnn", "model: {name: 3}", 2, r"model\.name = 3: not a string"),
        ("repeats: 2", "repeats: 2\nrepeats: 3", 14, "'repeats' is given twice"),
        ("repeats: 2", "repeats: [2", 14, "not valid YAML"),
        ("repeats: 2", "3: 2", 13, "the name 3 is not text"),
        ("repeats: 2", "repeats: &a [*a]", 13, "aliases"),
        ("model: digits_cnn", "model: !!python/object:os.system {}", 2, "the tag .* is not used"),
    ],
)  # fmt: skip
def test_mistakes_are_named_with_their_line(tmp_path: Path, old: str, new: str, line: int, message: str) -> None:
    assert old in YAML
    path = written(tmp_path, YAML.replace(old, new, 1))
    with pytest.raises(CrossOhmError, match=message) as caught:
        load_study(path)
    assert str(caught.value).startswith(f"{path}, line {line}: ")


def test_lines_of_json(tmp_path: Path) -> None:
    path = written(tmp_path, '{\n\t"model": "digits_cnn",\n\t"hardware": {"base": 3}\n}', "study.json")
    with pytest.raises(StudyError, match=r"line 3: hardware\.base = 3: not a string"):
        load_study(path)
    path.write_text('{"model": "a",\n "model": "b"}', encoding="utf-8")
    with pytest.raises(DataError, match="'model' is given twice"):
        load_study(path)
    path.write_text('{"model":\n }', encoding="utf-8")
    with pytest.raises(DataError, match="line 2: not valid JSON"):
        load_study(path)


def test_toml_has_paths(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"study\.toml: dataset\.imags = 3.*dataset\.images"):
        load_study(written(tmp_path, "[dataset]\nimags = 3", "study.toml"))
    with pytest.raises(DataError, match=r"study\.toml: not valid TOML .*line 1"):
        load_study(written(tmp_path, "x = = 1", "study.toml"))


def test_lists_of_unlike_length_do_not_zip(tmp_path: Path) -> None:
    sweep = "sweep:\n  zip:\n    core.rows_max: [1, 2]\n    core.cols_max: [1, 2, 3]\n"
    with pytest.raises(StudyError, match=r"line 2: sweep\.zip.*unlike length"):
        loaded(tmp_path, sweep)


def test_a_path_belongs_to_one_axis(tmp_path: Path) -> None:
    sweep = "sweep:\n  grid: {core.rows_max: [1, 2]}\n  points: [{core.rows_max: 3}]\n"
    with pytest.raises(StudyError, match=r"core\.rows_max.*2 places"):
        loaded(tmp_path, sweep)


def test_mistakes_of_the_command_line_are_not_blamed_on_the_file(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"study\.yaml with --set: repeats\.chips = 0"):
        loaded(tmp_path, YAML, "repeats.chips=0")


@pytest.mark.parametrize(("name", "message"), [("study.txt", r"ends in \.yaml"), ("no.yaml", "cannot be read")])
def test_files_that_are_none(tmp_path: Path, name: str, message: str) -> None:
    if name == "study.txt":
        (tmp_path / name).touch()
    with pytest.raises(DataError, match=message):
        load_study(tmp_path / name)


@pytest.mark.parametrize(
    ("content", "message"), [(b"\xff\xfe\n", "not UTF-8"), (b"", "holds nothing"), (b"- 1", "holds a list")]
)
def test_content_that_is_no_study(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "study.yaml").write_bytes(content)
    with pytest.raises(DataError, match=f"line 1: .*{message}"):
        load_study(tmp_path / "study.yaml")


# --- for editors ------------------------------------------------------------------------------------------------------


def test_the_schema_explains_every_entry() -> None:
    schema = study_schema()
    assert schema["$schema"].endswith("2020-12/schema")
    for name, entry in schema["properties"].items():
        assert "description" in entry or "$ref" in entry or name == "name", name
    for section in schema["$defs"].values():
        assert section["additionalProperties"] is False
        for name, entry in section["properties"].items():
            assert "description" in entry, name


def test_the_schema_allows_short_forms() -> None:
    properties = study_schema()["properties"]
    kinds = {name: entry["anyOf"][0]["type"] for name, entry in properties.items() if "anyOf" in entry}
    assert kinds.pop("name") == "string"
    assert kinds == {
        "model": "string", "dataset": "string", "hardware": "string", "calibration": "boolean", "repeats": "integer",
    }  # fmt: skip
