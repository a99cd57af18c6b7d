"""Netlists of arrays: their text, and the currents ngspice finds in them against the crossohm solvers."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crossohm.circuits.grid import Wires, effective_matrix, ladder_currents
from crossohm.circuits.grid.netlist import netlist
from crossohm.errors import CrossOhmError, ShapeError

R_MIN, V_READ = 2e4, 0.1
UNITS = {"r_min": R_MIN, "v_read": V_READ}
FULL = Wires(0.02, 0.05, 0.1, 0.2)
WIRES = {
    "all": FULL,
    "no terminals": Wires(0.02, 0.05),
    "rows only": Wires(input=0.02),
    "columns only": Wires(output=0.05),
    "terminals only": Wires(input_end=0.1, output_end=0.2),
    "input terminal only": Wires(0.0, 0.05, 0.1, 0.0),
    "output terminal only": Wires(0.02, 0.0, 0.0, 0.2),
    "none": Wires(),
}


def simulate(ngspice: str, text: str, folder: Path) -> np.ndarray:
    """Normalised ammeter currents in the order of the output lines."""
    file = folder / "array.cir"
    file.write_text(text, encoding="utf-8")
    done = subprocess.run([ngspice, "-b", str(file)], capture_output=True, text=True, timeout=60, check=True)
    found = dict(re.findall(r"^i\(vout(\d+)\) = (\S+)$", done.stdout, re.MULTILINE))
    assert sorted(map(int, found)) == list(range(text.count("\nVout"))), done.stdout + done.stderr
    return np.array([float(found[str(i)]) for i in range(len(found))]) / (V_READ / R_MIN)


def random_array(signs: int, seed: int = 3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.uniform(0.01, 1, (signs, 6, 5)) * (rng.random((signs, 6, 5)) > 0.15)  # some open cells


# --- text -------------------------------------------------------------------------------------------------------------


def test_text_of_a_driven_array() -> None:
    g = np.array([[[1.0, 0.5], [0.0, 0.25]]])
    text = netlist(g, np.array([1.0, -0.5]), Wires(0.5, 0.0, 0.25, 1.0), r_min=8.0, v_read=2.0, title="one\ntwo")
    assert text.splitlines() == [
        "* one",
        "* two",
        "* input line 0",
        "Vin0 in0 0 DC 2.0",
        "Rin0_0 in0 in0_0 6.0",
        "Rin0_1 in0_0 in0_1 4.0",
        "* input line 1",
        "Vin1 in1 0 DC -1.0",
        "Rin1_0 in1 in1_0 6.0",
        "Rin1_1 in1_0 in1_1 4.0",
        "* output line 0",
        "Vout0 out0 0 DC 0",
        "Rout0_1 out0 out0_1 8.0",
        "Rcell0_0 in0_0 out0_1 8.0",
        "Rcell0_1 in1_0 out0_1 16.0",
        "* output line 1",
        "Vout1 out1 0 DC 0",
        "Rout1_1 out1 out1_1 8.0",
        "Rcell1_1 in1_1 out1_1 32.0",
        ".op",
        ".control",
        "set numdgt=12",
        "run",
        "print i(Vout0)",
        "print i(Vout1)",
        "quit",
        ".endc",
        ".end",
    ]


def test_text_of_a_gated_pair() -> None:
    g = np.array([[[1.0, 0.5]], [[0.25, 0.125]]])
    text = netlist(
        g, np.array([0.0, 1.0]), Wires(1.0, 0.0), r_min=8.0, v_read=2.0, gated=True, unused=2, unused_at="bottom"
    )
    assert text.splitlines()[:12] == [
        "* crossbar array",
        "* output line 0",
        "Vout0 out0 0 DC 0",
        "* supply line p0",
        "Rsupp0_0 0 supp0_0 24.0",
        "Rsupp0_1 supp0_0 supp0_1 8.0",
        "Vemfp0_1 emfp0_1 supp0_1 DC 2.0",
        "Rcellp0_1 emfp0_1 out0 16.0",
        "* supply line n0",
        "Rsupn0_0 0 supn0_0 24.0",
        "Rsupn0_1 supn0_0 supn0_1 8.0",
        "Vemfn0_1 emfn0_1 supn0_1 DC -2.0",
    ]


@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("signs", [1, 2])
def test_element_names_are_unique_and_all_values_positive(signs: int, gated: bool) -> None:
    text = netlist(random_array(signs), np.ones(5), FULL, **UNITS, gated=gated)
    elements = [line.split() for line in text.split(".op")[0].splitlines() if not line.startswith("*")]
    names = [words[0].lower() for words in elements]
    assert len(set(names)) == len(names)
    assert all(float(words[3]) > 0 for words in elements if words[0].startswith("R"))
    assert text == netlist(random_array(signs), np.ones(5), FULL, **UNITS, gated=gated)


def test_title_cannot_add_elements() -> None:
    text = netlist(np.ones((1, 1, 1)), np.ones(1), FULL, **UNITS, title="a\nRbad 1 2 3\r.end")
    assert text.splitlines()[:3] == ["* a", "* Rbad 1 2 3", "* .end"]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"g": np.ones((3, 2, 2))}, ShapeError, r"g has shape \(3, 2, 2\)"),
        ({"g": np.ones((2, 2))}, ShapeError, "g has shape"),
        ({"g": np.ones((1, 0, 2))}, ShapeError, "none of them empty"),
        ({"v": np.ones(3)}, ShapeError, r"pass \(2,\)"),
        ({"v": np.ones((1, 2))}, ShapeError, "v has shape"),
        ({"v": np.array([0, np.nan])}, CrossOhmError, "v holds"),
        ({"g": np.full((1, 2, 2), -0.1)}, CrossOhmError, "negative"),
        ({"g": np.full((1, 2, 2), np.inf)}, CrossOhmError, "not finite"),
        ({"wires": Wires(-1.0)}, CrossOhmError, "wires are"),
        ({"r_min": 0.0}, CrossOhmError, "r_min is 0.0"),
        ({"v_read": np.inf}, CrossOhmError, "v_read is inf"),
        ({"unused_at": "left"}, CrossOhmError, "'top' or 'bottom'"),
    ],
)
def test_refused_arguments(changes: dict[str, Any], error: type[Exception], message: str) -> None:
    arguments = {"g": np.ones((1, 2, 2)), "v": np.ones(2), "wires": FULL, **UNITS, **changes}
    with pytest.raises(error, match=message):
        netlist(**arguments)


# --- ngspice ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wires", WIRES.values(), ids=WIRES)
@pytest.mark.parametrize("signs", [1, 2], ids=["plain", "interleaved"])
def test_ngspice_finds_the_currents_of_the_effective_matrix(
    signs: int, wires: Wires, ngspice: str, tmp_path: Path
) -> None:
    g, v = random_array(signs), np.array([1.0, -0.4, 0.0, 0.7, 0.3])
    expected = effective_matrix(g, wires) @ v
    np.testing.assert_allclose(simulate(ngspice, netlist(g, v, wires, **UNITS), tmp_path), expected, rtol=1e-5)


@pytest.mark.parametrize("unused_at", ["top", "bottom"])
@pytest.mark.parametrize("wires", WIRES.values(), ids=WIRES)
@pytest.mark.parametrize("signs", [1, 2], ids=["plain", "interleaved"])
def test_ngspice_finds_the_currents_of_the_ladders(
    signs: int, wires: Wires, unused_at: Any, ngspice: str, tmp_path: Path
) -> None:
    g, v = random_array(signs), np.array([1.0, 1e-10, -1.0, 0.0, 1.0])
    expected = ladder_currents(g, v[np.newaxis], wires, 3, unused_at)[0]
    text = netlist(g, v, wires, **UNITS, gated=True, unused=3, unused_at=unused_at)
    np.testing.assert_allclose(simulate(ngspice, text, tmp_path), expected, rtol=1e-5)


@pytest.mark.parametrize("gated", [False, True])
def test_ngspice_accepts_an_array_without_any_cell(gated: bool, ngspice: str, tmp_path: Path) -> None:
    text = netlist(np.zeros((1, 3, 2)), np.ones(2), FULL, **UNITS, gated=gated)
    np.testing.assert_allclose(simulate(ngspice, text, tmp_path), 0, atol=1e-7)
