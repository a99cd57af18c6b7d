"""``crossohm lut``: from raw ramps to a table, and what a table says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from damaged_tables import good
from typer.testing import CliRunner, Result

from crossohm.cli import app
from crossohm.training.described import update_model_of
from crossohm.training.tables import (
    TableSettings,
    example_ramps,
    read_table,
    read_tables,
    table_from_ramps,
    write_tables,
)
from crossohm.training.updates.fitting import KINDS, fit_table

FIGURES = {"ramps", "G_vs_dG", "table", "mean", "curves", "G_vs_CDF", "density"}


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def lut(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["lut", *arguments])


def done(*arguments: str) -> str:
    result = lut(*arguments)
    assert result.exit_code == 0, result.output
    return result.output


def test_the_example_becomes_a_device_with_plots() -> None:
    pytest.importorskip("matplotlib")
    proposal = done("example", "ex")
    command = proposal.strip().removeprefix("Now: crossohm lut ").split()
    printed = done(*command)
    assert "12 SET and 12 RESET ramps; table in ex/device.npz" in printed
    assert {path.stem for path in Path("ex/plots").glob("*.png")} == FIGURES
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in Path("ex/plots").iterdir())
    assert read_table("ex/device.npz").g.size == 501


def test_settings_arrive() -> None:
    done("example", "ex")
    options = (
        "--bins 20 --no-extrapolate --cdf-points 11 --cdf-end-points 2 --g-points 21 --filter-cdf 0.1 --title mine"
    )
    assert done("make", "ex/set.csv", "ex/reset.csv", "-o", "pair", "--quiet", *options.split()) == ""
    settings = TableSettings(bins=20, extrapolate=False, cdf_points=11, cdf_end_points=2, g_points=21, filter_cdf=0.1)
    expected = table_from_ramps(*example_ramps(), settings)
    found = read_table("pair")
    assert found.title == "mine"
    assert found.increasing == pytest.approx(expected.increasing, rel=1e-4, abs=1e-11)


def test_what_was_measured_in_siemens_is_read_at_one_volt() -> None:
    done("example", "ex")
    for voltage, name in (("0.1", "a.npz"), ("1", "b.npz")):
        done("make", "ex/set.csv", "ex/reset.csv", "-o", name, "--read-voltage", voltage)
    assert read_table("a.npz").g == pytest.approx(read_table("b.npz").g * 10)


def test_mistakes_in_ramps_name_file_line_and_column() -> None:
    done("example", "ex")
    text = Path("ex/set.csv").read_text().split("\n")
    text[4] = text[4].replace(text[4].split(",")[2], "broken")
    Path("ex/set.csv").write_text("\n".join(text))
    result = lut("make", "ex/set.csv", "ex/reset.csv", "-o", "a.npz")
    assert (result.exit_code, result.output.count("\n")) == (2, 1)
    assert "ex/set.csv:5: column 3 has 'broken'" in result.output
    assert not Path("a.npz").exists()


def test_ramps_that_do_not_fit_together_name_both_files() -> None:
    Path("a.csv").write_text("r\n1e-6\n2e-6\n")
    Path("b.csv").write_text("r\n9e-6\n8e-6\n")
    result = lut("make", "a.csv", "b.csv", "-o", "a.npz")
    assert result.exit_code == 2 and "Error: a.csv, b.csv: SET and RESET ramps have no" in result.output


def test_check_looks_at_all_files_and_says_which_are_wrong() -> None:
    done("example", "ex")
    write_tables(good(3), "three.npz")
    write_tables(good(), "broken")
    path = Path("broken/dG_decreasing.txt")
    path.write_text(path.read_text().replace(",", ";", 1))
    assert "three.npz: fine; 3 devices" in done("check", "three.npz", "ex/set.csv")
    result = lut("check", "three.npz", "broken", "nothing.npz", "ex/set.csv")
    assert result.exit_code == 2
    assert "three.npz: fine; 3 devices" in result.output
    assert "ex/set.csv: fine; 12 ramps of" in result.output
    assert "broken/dG_decreasing.txt:2: column 1 has" in result.output
    assert "nothing.npz: cannot be read (No such file" in result.output


def test_show_tells_the_facts(shared: Path) -> None:
    """Table 1.2 of the specification."""
    printed = done("show", str(shared / "data" / "lut"))
    enode = next(line for line in printed.splitlines() if "48 x 122" in line)
    assert "Conductances in µS" in printed
    assert " ".join(enode.split()) == "1 48 x 122, uneven 297.7 978.3 4.94 -2.78 110, 196 0.19, 0.22 0.1%, 0.0% 0.78"


def test_show_as_json() -> None:
    write_tables(good(2), "two.npz")
    found = json.loads(done("show", "two.npz", "--json"))
    assert [device["title"] for device in found] == ["device 0", "device 1"]
    assert found[0]["up"]["step"] > 0 > found[0]["down"]["step"]


@pytest.mark.parametrize("target", ["again.npz", "folder"])
def test_convert_keeps_every_number(target: str) -> None:
    write_tables(good(3), "three.npz")
    assert done("convert", "three.npz", target) == f"3 devices in {target}\n"
    assert read_tables(target) == good(3)


def test_plot_draws_every_device() -> None:
    pytest.importorskip("matplotlib")
    write_tables(good(2), "two.npz")
    done("plot", "two.npz", "figures")
    assert len(list(Path("figures").glob("[12]_*.png"))) == 10


def test_a_published_device_becomes_a_table_and_its_formula_is_found_again() -> None:
    """Of one whose noise is in proportion to its steps, as formulas are fitted."""
    proportional = '{"model": "reram_sb", "additive_noise": false}'
    done("model", proportional, "-o", "sb.npz", "--columns", "41", "--probabilities", "21")
    assert read_table("sb.npz").increasing.shape == (21, 41)
    fits = json.loads(done("fit", "sb.npz", "--json"))
    assert {of["device"]["model"] for of in fits} == set(KINDS)
    assert [of["error"] for of in fits] == sorted(of["error"] for of in fits)
    (soft,) = (of for of in fits if of["device"]["model"] == "soft_bounds")
    assert soft["r_squared"] > 0.999
    assert soft["device"]["cycle_noise"] == pytest.approx(3.75, rel=1e-6)
    printed = done("fit", "sb.npz", "--formula", "pow_step", "--formula", "soft_bounds")
    assert "pow_step" in printed
    assert "soft_bounds" in printed
    assert "linear_step" not in printed


def test_fitted_devices_can_be_given_to_a_study() -> None:
    """What is printed describes the very device that was fitted."""
    done("model", '{"model": "pow_step", "power_up": 2.0, "step_size": 0.01}', "-o", "power")
    table = read_table("power")
    for of in json.loads(done("fit", "power", "--json")):
        assert update_model_of(of["device"]) == fit_table(table, of["device"]["model"]).model


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("model", "ideal", "-o", "a.npz"), "has no pulses"),
        (("model", "reram", "-o", "a.npz"), "reram"),
        (("model", '{"model": "ecram"', "-o", "a.npz"), "no JSON"),
        (("fit", "sb", "--formula", "softbounds"), "soft_bounds"),
    ],
)
def test_mistakes_in_devices_and_formulas_are_one_line(arguments: tuple[str, ...], message: str) -> None:
    done("model", "reram_sb", "-o", "sb", "--columns", "5", "--probabilities", "5")
    result = lut(*arguments)
    assert (result.exit_code, result.output.count("\n")) == (2, 1)
    assert message in result.output
    assert not Path("a.npz").exists()
