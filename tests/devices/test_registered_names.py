"""A name belongs to the model that had it first: nobody replaces it without a word."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from crossohm import _names
from crossohm._names import Registry
from crossohm.circuits import ADCS, DACS
from crossohm.datasets import Dataset, dataset_names, load_dataset
from crossohm.devices import DEVICES
from crossohm.errors import CrossOhmError, DataError
from crossohm.studies import load_plugin

KINDS = {
    "device": (DEVICES, "from crossohm.devices import Device as Base, device as register", "SONOS"),
    "adc": (ADCS, "from crossohm.circuits import ADC as Base, adc as register", "SarADC"),
    "dac": (DACS, "from crossohm.circuits import DAC as Base, dac as register", "SignMagnitudeDAC"),
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[Registry, str, str]:
    registry = KINDS[request.param][0]
    monkeypatch.setattr(registry, "_classes", dict(registry._classes))
    return KINDS[request.param]


def plugin(path: Path, imports: str, name: str, cls: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"{imports}\n\n@register({name!r})\nclass {cls}(Base):\n    pass\n")
    return path


def test_a_built_in_model_stays(kind: tuple[Registry, str, str], tmp_path: Path) -> None:
    registry, imports, builtin = kind
    before = type(registry.create(builtin, "path"))
    for cls in ("Mine", before.__name__):  # also a class of the same name
        with pytest.raises(DataError, match=rf"{builtin!r} is already registered by {before.__name__} of .*crossohm"):
            load_plugin(plugin(tmp_path / "mine.py", imports, builtin, cls))
    assert type(registry.create(builtin, "path")) is before


@pytest.mark.parametrize("other", ["b/lab.py", "a/other.py"])
def test_another_plug_in_stays(kind: tuple[Registry, str, str], tmp_path: Path, other: str) -> None:
    registry, imports, _ = kind
    load_plugin(plugin(tmp_path / "a" / "lab.py", imports, "Lab_Names", "Lab"))
    before = type(registry.create("Lab_Names", "path"))
    with pytest.raises(
        DataError, match=r"'Lab_Names' is already registered by Lab of .*a/lab\.py.*choose another name"
    ):
        load_plugin(plugin(tmp_path / other, imports, "Lab_Names", "Lab"))
    assert type(registry.create("Lab_Names", "path")) is before


def test_the_same_file_may_be_executed_again(kind: tuple[Registry, str, str], tmp_path: Path) -> None:
    registry, imports, _ = kind
    file = plugin(tmp_path / "lab.py", imports, "Lab_Names", "Lab")
    load_plugin(file)
    before = type(registry.create("Lab_Names", "path"))
    load_plugin(file)
    assert type(registry.create("Lab_Names", "path")) is not before
    (tmp_path / "link.py").symlink_to(file)
    load_plugin(tmp_path / "link.py")


def test_a_cell_of_a_notebook_may_be_run_again(kind: tuple[Registry, str, str]) -> None:
    registry, imports, _ = kind
    cell = f"{imports}\n@register('Lab_Names')\nclass Lab(Base):\n    pass\n"
    notebook = {"__name__": "a_notebook_without_file"}
    exec(cell, notebook)
    before = type(registry.create("Lab_Names", "path"))
    exec(cell, notebook)
    assert type(registry.create("Lab_Names", "path")) is not before
    with pytest.raises(CrossOhmError, match="by Lab of a_notebook_without_file, and would be replaced by Other"):
        exec(cell.replace("class Lab", "class Other"), notebook)


def test_packages_that_announce_a_built_in_model_are_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    registry: Registry = Registry("device model", "crossohm.devices", object)
    first = registry.register("Taken")(type("Taken", (), {}))
    point = EntryPoint("Taken", "collections:OrderedDict", "crossohm.devices")
    monkeypatch.setattr(_names, "entry_points", lambda group: [point])
    with pytest.warns(RuntimeWarning, match=r"'Taken' \(collections:OrderedDict\).*already registered"):
        found = registry.create("Taken", "path")
    assert type(found) is first


@pytest.mark.parametrize("name", ["digits", "lab_data"])
def test_names_of_data_sets(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    pytest.importorskip("sklearn")
    packages = ("second_lab",) if name == "digits" else ("first_lab", "second_lab")
    points = [EntryPoint(name, f"{package}:data", "crossohm.datasets") for package in packages]
    loaded: list[str] = []

    def data(data_dir: object = None, split: str = "test") -> Dataset:
        return load_dataset("digits", split=split)

    monkeypatch.setattr(EntryPoint, "load", lambda point: loaded.append(point.value) or data)
    monkeypatch.setattr(_names, "entry_points", lambda group: points if group == "crossohm.datasets" else [])
    owner = "crossohm" if name == "digits" else "first_lab:data"
    with pytest.warns(RuntimeWarning, match=rf"'{name}' of second_lab:data is not used; the name belongs to {owner}"):
        load_dataset(name)
    assert set(loaded) == (set() if name == "digits" else {"first_lab:data"})
    with pytest.warns(RuntimeWarning):
        assert dataset_names().count(name) == 1
