"""Pulse tables: what is read is what was written, and what is wrong is named with its place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from damaged_tables import good
from hypothesis import given
from hypothesis import strategies as st

from crossohm.errors import DataError
from crossohm.training.tables import (
    PulseTable,
    read_pair,
    read_table,
    read_tables,
    table_facts,
    write_pair,
    write_tables,
)

G = [1.0, 2.0, 3.0]
CDF = [0.0, 0.5, 1.0]
UP = [[0.1] * 3, [0.2] * 3, [0.3] * 3]
DOWN = [[-0.3] * 3, [-0.2] * 3, [-0.1] * 3]


def arrays(**changed: object) -> dict[str, np.ndarray]:
    return {
        name: np.array(changed.get(name, values), dtype=float)
        for name, values in (("g", G), ("cdf", CDF), ("increasing", UP), ("decreasing", DOWN))
    }


def same(one: PulseTable, other: PulseTable) -> bool:
    return one == other and one.title == other.title


# -- files --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["device.npz", "device", "deep/er/device.npz", "deep/er/device"])
def test_one_device_is_read_back_bit_for_bit(tmp_path: Path, name: str) -> None:
    (table,) = good()
    write_tables([table], tmp_path / name)
    assert same(read_table(tmp_path / name), table)


@pytest.mark.parametrize("name", ["devices.npz", "devices"])
def test_devices_are_read_back_in_their_order(tmp_path: Path, name: str) -> None:
    tables = good(12)
    write_tables(tables, tmp_path / name)
    assert all(map(same, read_tables(tmp_path / name), tables))


def test_every_form_can_be_converted_into_every_other(tmp_path: Path) -> None:
    tables = good(3)
    write_tables(tables, tmp_path / "a.npz")
    write_tables(read_tables(tmp_path / "a.npz"), tmp_path / "b")
    write_tables(read_tables(tmp_path / "b"), tmp_path / "c.npz")
    assert all(map(same, read_tables(tmp_path / "c.npz"), tables))


def test_either_file_of_a_pair_names_the_device(tmp_path: Path) -> None:
    (table,) = good()
    write_tables([table], tmp_path)
    for name in ("dG_increasing.txt", "dG_decreasing.txt"):
        assert read_table(tmp_path / name) == table


def test_published_folders_of_numbered_pairs(tmp_path: Path) -> None:
    """ENODe_multi has folder i + 1 with files of number i, DWMTJ_STT one folder with all pairs."""
    tables = good(11)
    for number, table in enumerate(tables):
        for folder in (tmp_path / "enode" / str(number + 1), tmp_path / "dwmtj"):
            folder.mkdir(parents=True, exist_ok=True)
            write_pair(table, folder / f"dG_increasing{number}.txt", folder / f"dG_decreasing{number}.txt")
    for name in ("enode", "dwmtj"):
        assert read_tables(tmp_path / name) == tables


def test_separators_blank_lines_and_line_ends_do_not_matter(tmp_path: Path) -> None:
    write_tables(good(), tmp_path / "a")
    tables = []
    for separator, end in ((",", "\n"), (",\t", "\r\n"), ("  ,  ", "\n\n")):
        for name in ("dG_increasing.txt", "dG_decreasing.txt"):
            text = (tmp_path / "a" / name).read_text().replace(", ", separator).replace("\n", end)
            (tmp_path / name).write_text(text, newline="")
        tables.append(read_table(tmp_path))
    assert tables == [read_table(tmp_path / "a")] * 3


def test_a_table_is_not_changed_from_outside() -> None:
    given_arrays = arrays()
    table = PulseTable(**given_arrays)
    given_arrays["g"][0] = 5
    assert table.g[0] == 1
    with pytest.raises(ValueError, match="read-only"):
        table.increasing[0, 0] = 7


def test_tables_are_equal_by_their_numbers() -> None:
    assert PulseTable(**arrays(), title="a") == PulseTable(**arrays(), title="b")
    assert hash(PulseTable(**arrays())) == hash(PulseTable(**arrays()))
    assert PulseTable(**arrays()) != PulseTable(**arrays(g=[1, 2, 4]))


# -- mistakes --------------------------------------------------------------------------------


def lines_of(table: PulseTable, tmp_path: Path) -> list[str]:
    write_tables([table], tmp_path)
    return (tmp_path / "dG_increasing.txt").read_text().split("\n")


@pytest.mark.parametrize(
    ("line", "text", "message"),
    [
        (2, "1, 2, x", r":2: column 3 has 'x'; a number"),
        (2, "1, 2, ", r":2: column 3 has nothing"),
        (2, "1, nan, 3", r":2: column 2 has 'nan'"),
        (2, "1, 3, 2", r":2: g .* does not ascend: number 2 is 3, number 3 is 2"),
        (2, "-1, 2, 3", r":2: g .* begins with -1"),
        (3, "0, 0.5, 0.9", r":3: cdf .* from 0 to 0.9"),
        (6, "1, 2", r":6: 2 numbers; one for each of the 3 conductances"),
        (6, "1, 2, 1e999", r":6: column 3 has '1e999'"),
        (6, "1, 2, 1_0", r":6: column 3 has '1_0'"),
        (6, "", r":7: the last of 2 lines of changes; one for each of the 3 probabilities"),
        (1, "1, 2, 3", r":1: numbers where the title is wanted"),
    ],
)
def test_a_mistake_is_named_with_line_and_column(tmp_path: Path, line: int, text: str, message: str) -> None:
    lines = lines_of(PulseTable(**arrays()), tmp_path)
    lines[line - 1] = text
    (tmp_path / "dG_increasing.txt").write_text("\n".join(lines))
    with pytest.raises(DataError, match=r"dG_increasing\.txt" + message):
        read_table(tmp_path)


def test_files_that_do_not_belong_together(tmp_path: Path) -> None:
    """CrossSim notices only if every number differs."""
    table, other = PulseTable(**arrays()), PulseTable(**arrays(g=[1, 2, 3.0001]))
    write_tables([table], tmp_path / "a")
    write_tables([other], tmp_path / "b")
    with pytest.raises(DataError, match="its conductances are not those of"):
        read_pair(tmp_path / "a" / "dG_increasing.txt", tmp_path / "b" / "dG_decreasing.txt")


def test_grids_that_differ_in_the_last_digits_are_the_same(tmp_path: Path) -> None:
    write_tables([PulseTable(**arrays())], tmp_path / "a")
    write_tables([PulseTable(**arrays(g=[1, 2, 3.000001]))], tmp_path / "b")
    read_pair(tmp_path / "a" / "dG_increasing.txt", tmp_path / "b" / "dG_decreasing.txt")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"g": [[1, 2, 3]]}, r"g .* has shape \(1, 3\)"),
        ({"g": [1]}, "at least two"),
        ({"g": [0, 0, 1]}, "does not ascend"),
        ({"g": [0, 1e-200, 1e-199]}, "usual unit"),
        ({"cdf": [0, 1]}, r"increasing .* shape \(3, 3\); \(2, 3\) wanted"),
        ({"cdf": [0.1, 0.5, 1]}, "from 0.1 to 1"),
        ({"increasing": DOWN}, "increasing .* must be positive"),
        ({"decreasing": UP}, "decreasing .* must be negative"),
        ({"increasing": np.zeros((3, 3))}, "increasing .* must be positive"),
        ({"increasing": [[0, 0, np.nan]] * 3}, "increasing .* finite"),
        ({"increasing": [[0, 0, 1e101]] * 3}, "increasing .* beyond"),
    ],
)
def test_numbers_that_are_no_table(changed: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        PulseTable(**arrays(**changed))


def test_set_and_reset_the_wrong_way_round_are_exchanged() -> None:
    with pytest.warns(UserWarning, match="the other way round"):
        table = PulseTable(**arrays(increasing=DOWN, decreasing=UP))
    assert table == PulseTable(**arrays())


def test_missing_places_say_what_is_looked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no pulse tables; a folder has dG_increasing\*\.txt"):
        read_tables(tmp_path)
    with pytest.raises(DataError, match=r"nothing\.npz: cannot be read"):
        read_tables(tmp_path / "nothing.npz")
    (tmp_path / "table.txt").write_text("")
    with pytest.raises(DataError, match="must begin with dG_increasing or dG_decreasing"):
        read_tables(tmp_path / "table.txt")


def test_several_devices_where_one_is_wanted(tmp_path: Path) -> None:
    write_tables(good(2), tmp_path / "two.npz")
    with pytest.raises(DataError, match="2 devices where one is wanted"):
        read_table(tmp_path / "two.npz")


# -- what a table says --------------------------------------------------------------------------------


def test_facts_of_the_published_devices(shared: Path) -> None:
    """Table 1.2 of the specification, and the normalised means of its section 2.8."""
    enode, taox = (table_facts(read_table(shared / "data" / "lut" / name)) for name in ("ENODe", "TaOx_1"))
    assert (enode.lowest, enode.highest) == pytest.approx((298e-6, 978e-6), rel=1e-3)
    assert (enode.up.steps, enode.down.steps) == pytest.approx((110, 196), rel=0.005)
    assert (enode.up.noise, enode.down.noise) == pytest.approx((0.19, 0.22), abs=0.006)
    assert (enode.up.fall, enode.down.fall) == pytest.approx((4.9, 2.1), rel=0.01)
    assert enode.symmetry == pytest.approx(0.78, abs=0.005)
    assert not enode.regular and enode.points == (48, 122)
    assert taox.regular and taox.points == (501, 501)
    assert taox.up.step / taox.high == pytest.approx(0.562401, rel=0.002)
    assert taox.down.step / taox.high == pytest.approx(-0.0936454, rel=0.01)
    assert 0.57 < taox.symmetry < 0.94
    assert 0.05 < taox.down.wrong < 0.38


@given(st.floats(0.1, 10), st.floats(-0.8, 0.8), st.floats(1e-3, 0.3))
def test_facts_of_a_device_in_closed_form(size: float, slope: float, noise: float) -> None:
    """Steps of both directions are linear in the conductance and have an even spread around the mean."""
    g, cdf = np.linspace(0, 1, 101), np.linspace(0, 1, 101)
    up, down = size * (1 - slope * g), -size * (1 + slope * (g - 1))
    spread = noise * size * (cdf - 0.5)[:, None]
    found = table_facts(PulseTable(g, cdf, up + spread, down + spread))
    assert found.up.step == pytest.approx(size * (1 - slope / 2))
    assert found.up.steps == pytest.approx(0.8 / found.up.step)
    assert found.up.noise == pytest.approx(noise * size / np.sqrt(12) / found.up.step, rel=1e-3)
    assert found.up.fall == pytest.approx((1 - 0.1 * slope) / (1 - 0.9 * slope))
    if slope > 0.01:
        assert found.symmetry == pytest.approx(0.5)
    if slope < -0.01:
        assert found.symmetry is None


def test_pulses_of_the_wrong_sign_are_counted() -> None:
    cdf = np.linspace(0, 1, 1001)
    changes = np.repeat(np.where(cdf < 0.25, -0.01, 0.02)[:, None], 3, axis=1)
    found = table_facts(PulseTable(np.array(G), cdf, changes, -changes[::-1]))
    assert (found.up.wrong, found.down.wrong) == pytest.approx((0.25, 0.25), abs=0.002)


def test_units_are_told_where_they_look_like_siemens() -> None:
    assert not PulseTable(**arrays()).siemens
    assert good()[0].siemens


def test_devices_in_any_unit_and_on_any_grid_are_drawn() -> None:
    plot = pytest.importorskip("crossohm.plot")
    figures = plot.table_figures(PulseTable(**arrays(g=[1, 2, 4], cdf=[0, 0.2, 1]), title="mine"))
    for figure in figures.values():
        figure.canvas.draw()
        assert "mine" in figure.get_suptitle()
    assert figures["mean"].axes[0].get_xlabel() == "G"
