"""The command line: what it prints, what it writes, and how it says no."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import crossohm
from crossohm.cli import app
from crossohm.params import preset_names
from crossohm.studies import open_results

SOURCE = Path(crossohm.__file__).parent.parent
SMALL = ["--images", "30", "--draws", "2", "--calibration-images", "20"]


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def crossohm_(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def needs_torch_and_digits() -> None:
    pytest.importorskip("torch")
    pytest.importorskip("sklearn")


# --- help -------------------------------------------------------------------------------------------------------------


def test_help_names_every_command() -> None:
    done = crossohm_("--help")
    assert done.exit_code == 0
    assert all(command in done.stdout for command in ("run", "hardware", "presets", "--version"))


@pytest.mark.parametrize("command", ["run", "hardware", "presets"])
def test_every_option_is_explained(command: str) -> None:
    done = CliRunner().invoke(app, [command, "--help"], terminal_width=200, env={"COLUMNS": "200"})
    assert done.exit_code == 0
    options = [line for line in done.stdout.splitlines() if re.search(r"│ +--", line)]
    assert options
    assert all(len(line.split()) > 6 and "." in line for line in options), options


def test_version() -> None:
    assert crossohm_("--version").stdout == f"crossohm {crossohm.__version__}\n"


def test_help_imports_neither_frameworks_nor_numpy() -> None:
    code = "import sys, crossohm.cli; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(SOURCE)}, capture_output=True, text=True, check=True
    )
    assert not {"torch", "jax", "numpy", "scipy", "pydantic", "sklearn"} & set(done.stdout.split())


def test_presets_are_listed() -> None:
    done = crossohm_("presets")
    assert done.exit_code == 0
    assert all(re.search(rf"^ *{name} ", done.stdout, re.MULTILINE) for name in preset_names())
    assert re.search(r"rram-8bit +balanced +256 x 256 +7 bit +8 bit +8 bit", done.stdout)


# --- run --------------------------------------------------------------------------------------------------------------


def test_run_shows_tables_and_saves_results(tmp_path: Path) -> None:
    needs_torch_and_digits()
    done = crossohm_("run", *SMALL)
    assert done.exit_code == 0, done.output
    folder = next((tmp_path / "crossohm-results").iterdir())
    assert folder.name.startswith("digits-")
    results = open_results(folder)
    assert results.complete and set(results.arrays(results.chips[0])) == {"outputs", "digital", "labels"}
    top1 = results.spread(0, "top1")
    assert f"{100 * results.chips[0].digital['top1']:.2f} %" in done.stdout
    assert f"{100 * top1.mean:.2f} ± {100 * (top1.std or 0):.2f} %" in done.stdout
    for layer in results.hardware_report(results.chips[0])["layers"]:
        row = next(line for line in done.stdout.splitlines() if line.split()[:1] == [layer["layer"]])
        assert f" {layer['outputs']}x{layer['inputs']} " in row
        assert f" {layer['array_rows']}x{layer['array_columns']} " in row
        assert f" {layer['devices']:,} " in row
        assert f" {layer['adc_levels']}, " in row
    assert str(folder.relative_to(tmp_path)) in done.stdout.replace("\n", "")
    assert done.stderr == ""  # no terminal, no progress bar


def test_json_is_all_that_is_printed() -> None:
    needs_torch_and_digits()
    done = crossohm_("run", *SMALL, "--json", "--output", "here", "--top-k", "2", "--seed", "7")
    assert done.exit_code == 0
    found = json.loads(done.stdout)
    assert found["folder"] == "here" and found["complete"] and found["failures"] == []
    (point,) = found["points"]
    assert point["seeds"] == [7, 8]
    assert set(point["analog"]) == set(point["interval"]) == {"top1", "top2"}
    assert [layer["layer"] for layer in found["hardware"]["layers"]] == ["conv1", "conv2", "fc"]


def test_a_run_goes_on_where_it_stopped() -> None:
    """The chips that are there are not computed again, and its folder is read as that of any study."""
    needs_torch_and_digits()
    one = [*SMALL[:2], "--draws", "1", *SMALL[4:], "--output", "here"]
    assert crossohm_("run", *one, "-q").exit_code == 0
    before = open_results(Path("here")).chips[0]
    found = json.loads(crossohm_("run", *SMALL, "--output", "here", "--json").stdout)
    assert found["points"][0]["seeds"] == [1, 2]
    after = open_results(Path("here"))
    assert after.chips[0].provenance == before.provenance
    assert json.loads(crossohm_("report", "here", "--json").stdout)["points"] == found["points"]


def test_ctrl_c_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    needs_torch_and_digits()
    from crossohm.studies.work.evaluate import MeasuredPoint

    original = MeasuredPoint.measured

    def stopped(point: MeasuredPoint) -> Any:
        if point.unit.seed == 2:
            raise KeyboardInterrupt
        return original(point)

    with monkeypatch.context() as patch:
        patch.setattr(MeasuredPoint, "measured", stopped)
        done = crossohm_("run", *SMALL)
    assert done.exit_code == 130
    said = re.fullmatch(r"Stopped: 1 of 2 chips are in (.*); the same command with --output \1 goes on\n", done.stderr)
    assert said is not None
    assert "2 chips" in crossohm_("run", *SMALL, "-q", "--output", said[1]).stdout


def test_quiet_prints_one_line() -> None:
    needs_torch_and_digits()
    done = crossohm_("run", *SMALL, "--quiet", "--output", "here")
    assert done.exit_code == 0
    assert re.fullmatch(
        r"digits_cnn: digital [\d.]+ %, analog [\d.]+ ± [\d.]+ % \(2 chips\); results in here\n", done.output
    )


def test_two_runs_within_a_second_do_not_meet(tmp_path: Path) -> None:
    needs_torch_and_digits()
    for _ in range(2):
        assert crossohm_("run", *SMALL, "-q").exit_code == 0
    assert len(list((tmp_path / "crossohm-results").iterdir())) == 2


def test_set_reaches_the_hardware() -> None:
    needs_torch_and_digits()
    options = ["--set", "core.rows_max=50", "--set", "xbar.adc.mvm.bits=5", "--json", "--output", "here"]
    layers = json.loads(crossohm_("run", *SMALL, *options).stdout)["hardware"]["layers"]
    assert max(layer["array_rows"] for layer in layers) <= 50
    assert {layer["adc_levels"] for layer in layers} == {32}


def test_hardware_file() -> None:
    needs_torch_and_digits()
    Path("mine.yaml").write_text("core: {rows_max: 20}\n", encoding="utf-8")
    done = crossohm_("run", *SMALL, "--hardware", "mine.yaml", "--json", "--output", "here")
    layers = json.loads(done.stdout)["hardware"]["layers"]
    assert [layer["array_rows"] for layer in layers] == [9, 18, 20]


def test_mnist(shared: Path) -> None:
    needs_torch_and_digits()
    options = ["--dataset", "mnist", "--data-dir", str(shared / "data" / "mnist"), "--json", "--output", "here"]
    found = json.loads(crossohm_("run", *SMALL, *options).stdout)
    assert found["name"] == "mnist_cnn"
    assert found["points"][0]["analog"]["top3"]["mean"] > 0.9


def test_hardware_table_without_a_run(tmp_path: Path) -> None:
    needs_torch_and_digits()
    found = json.loads(crossohm_("hardware", "--calibration-images", "20", "--json").stdout)
    assert [layer["layer"] for layer in found["layers"]] == ["conv1", "conv2", "fc"]
    done = crossohm_("hardware", "--calibration-images", "20")
    assert f"{found['totals']['devices']:,}" in done.stdout
    assert list(tmp_path.iterdir()) == []


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dataset", "imagnet"], "dataset = 'imagnet'.*digits"),
        (["--dataset", "mnist"], "data_dir"),
        (["--dataset", "mnist", "--data-dir", "missing"], "missing: no such folder"),
        (["--model", "resnet"], "model = 'resnet'.*digits_cnn"),
        (["--model", "mnist_cnn"], "trained on 'mnist'"),
        (["--hardware", "no-such"], "no-such: .*rram-8bit"),
        (["--hardware", "missing.yaml"], "missing.yaml"),
        (["--set", "xbar.adc.mvm.bit=6"], r"xbar\.adc\.mvm\.bit = .*xbar\.adc\.mvm\.bits"),
        (["--set", "xbar.adc.mvm.bits=many"], r"xbar\.adc\.mvm\.bits = 'many'"),
        (["--set", "nonsense"], "--set = 'nonsense'.*path=value"),
        (["--draws", "0"], "draws = 0"),
        (["--images", "0"], "images = 0"),
        (["--percentile", "10"], "percentile = 10"),
        (["--draws", "100001"], "draws = 100001"),
        (["--top-k", "0"], "top_k = 0"),
        (["--top-k", "11"], "top_k = 11.*1 to 10"),
        (["--batch-size", "0"], "batch_size = 0"),
        (["--seed", "-1"], "seed = -1"),
        (["--calibration-images", "0"], "calibration_images = 0"),
        (["--objective", "L3"], "objective = 'L3'.*L2"),
        (["--percentile", "100.1", "--objective", "percentile"], r"percentile = 100\.1"),
        (["--percentile", "99"], r"percentile = 99\.0: has no effect with objective L2.*Set the objective"),
        (["--dataset", "fashion_mnist", "--data-dir", "."], "fashion_mnist.*no shipped network"),
        (["--set", "xbar.device.Rmax=5"], r"xbar\.device\.Rm"),
        (
            ["--set", "xbar.adc.mvm.adc_range_option=CALIBRATED", "--keep-adc-range"],
            r"xbar\.adc\.mvm\.calibrated_range",
        ),
    ],
)
def test_errors_are_one_line_and_leave_nothing(tmp_path: Path, arguments: list[str], message: str) -> None:
    needs_torch_and_digits()
    done = crossohm_("run", *SMALL, *arguments)
    assert done.exit_code == 2
    assert done.stdout == ""
    assert re.match(rf"Error: .*{message}", done.stderr), done.stderr
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_something_else_is_not_touched(tmp_path: Path) -> None:
    needs_torch_and_digits()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    done = crossohm_("run", *SMALL, "--output", "mine")
    assert done.exit_code == 2
    assert "mine: holds something else than results of a study" in done.stderr
    assert [path.name for path in tmp_path.rglob("*")] == ["mine", "thesis.txt"]


def test_warnings_are_one_line_each(monkeypatch: pytest.MonkeyPatch) -> None:
    import warnings

    import crossohm.params

    def warn() -> list[str]:
        warnings.warn("be careful", UserWarning, stacklevel=1)
        return []

    monkeypatch.setattr(crossohm.params, "preset_names", warn)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        done = crossohm_("presets")
    assert done.stderr == "Warning: be careful\n"


@pytest.mark.parametrize(("library", "extra"), [("torch", "torch"), ("sklearn", "data")])
def test_a_missing_library_comes_with_the_command_to_install_it(library: str, extra: str) -> None:
    code = f"import sys; sys.modules[{library!r}] = None; from crossohm.cli import app; app(['run'])"
    done = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(SOURCE)}, capture_output=True, text=True)
    assert done.returncode == 2
    assert f"pip install 'crossohm[{extra}]'" in done.stderr
    assert "Traceback" not in done.stderr
