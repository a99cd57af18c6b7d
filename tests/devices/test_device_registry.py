"""Finding device models: built-in, a user's own, and plug-ins."""

from __future__ import annotations

import inspect
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crossohm import _names
from crossohm.devices import DEVICES, ROLES, Cell, Device, device, get_device
from crossohm.errors import CrossOhmError, ParameterError, UnknownNameError
from crossohm.testing.device import DeviceContract

PATH = "xbar.device.programming_error.model"
CELL = Cell(r_min=2e4, rho=0.01, v_read=0.1)


@pytest.fixture(autouse=True)
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is forgotten afterwards."""
    monkeypatch.setattr(DEVICES, "_classes", dict(DEVICES._classes))
    monkeypatch.setattr(DEVICES, "_plugins_loaded", False)


class HfO2Lab7(Device):
    """Five lines of a user. Source: our lab, wafer 7."""

    source = "our lab, wafer 7"

    def programming_error(self, g: Any, cell: Cell, draw: Any) -> Any:
        return g + 0.02 * g * draw.normal(g)


class TestUsersModel(DeviceContract):
    """The shipped contract, inherited as a user would."""

    cell = CELL

    def make(self) -> Device:
        return HfO2Lab7()


def test_users_model_by_name() -> None:
    assert device("HfO2_Lab7")(HfO2Lab7) is HfO2Lab7
    model = get_device("HfO2_Lab7", "programming_error", PATH)
    assert isinstance(model, HfO2Lab7)
    assert [role for role in ROLES if model.models(role)] == ["programming_error"]
    assert "HfO2_Lab7" in DEVICES


def test_taken_name() -> None:
    with pytest.raises(CrossOhmError, match="already registered"):
        device("SONOS")(HfO2Lab7)


def test_plugin(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "fefet_lab.py").write_text(
        "from crossohm.devices import Device\n\n\n"
        "class FeFET(Device):\n"
        "    def current(self, g, v, cell):\n"
        "        return g * v**3\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    points = [
        EntryPoint("FeFET_Lab", "fefet_lab:FeFET", "crossohm.devices"),
        EntryPoint("Broken_Lab", "fefet_lab:NoSuchClass", "crossohm.devices"),
    ]
    monkeypatch.setattr(_names, "entry_points", lambda group: [p for p in points if p.group == group])
    with pytest.warns(RuntimeWarning, match=r"'Broken_Lab' \(fefet_lab:NoSuchClass\)"):
        model = get_device("FeFET_Lab", "nonlinear_IV", "xbar.device.nonlinear_IV.model")
    assert model.current(2.0, 3.0, CELL) == 54
    assert not model.has_polynomial_current
    sys.modules.pop("fefet_lab")


def test_unknown_name_lists_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'PCMJoshi'") as caught:
        get_device("PCMJoschi", "programming_error", PATH)
    assert caught.value.path == PATH
    assert all(name in str(caught.value) for name in DEVICES)


def test_missing_role_lists_the_models_that_have_it() -> None:
    with pytest.raises(ParameterError) as caught:
        get_device("PCMJoshi", "drift_error", "xbar.device.drift_error.model")
    message = str(caught.value)
    assert message.startswith("xbar.device.drift_error.model = 'PCMJoshi'")
    assert "allowed: IdealDevice, SONOS" in message
    assert "xbar.device.drift_error.enable" in message
    assert "RRAMWan" not in message


ROLES_OF = {
    "CubicDevice": ["nonlinear_IV"],
    "IdealDevice": list(ROLES),
    "PCMJoshi": ["programming_error"],
    "RRAMMilo": ["programming_error", "nonlinear_IV"],
    "RRAMWan": ["programming_error"],
    "SONOS": ["programming_error", "drift_error", "read_noise"],
} | {
    f"{law}{dependence}Device": ["programming_error", "read_noise"]
    for law in ("Normal", "Uniform")
    for dependence in ("Independent", "Proportional", "InverseProportional")
}


@pytest.mark.parametrize("name", sorted(ROLES_OF))
def test_roles_of_the_built_in_models(name: str) -> None:
    for role in ROLES:
        if role in ROLES_OF[name]:
            assert get_device(name, role, f"xbar.device.{role}.model").models(role)
        else:
            with pytest.raises(ParameterError, match=f"no {role} model"):
                get_device(name, role, f"xbar.device.{role}.model")


def test_own_read_noise_is_not_taken_for_gaussian() -> None:
    """A model that draws its reads itself must be sampled, even if it also states a standard deviation."""

    class Telegraph(Device):
        def read_noise_std(self, g: Any, cell: Cell) -> Any:
            return 0.1 * g

        def read_noise(self, g: Any, cell: Cell, draw: Any) -> Any:
            return g * (1 + 0.2 * (draw.uniform(g) < 0.5))

    assert Telegraph().models("read_noise")
    assert not Telegraph().has_gaussian_read_noise


class InPlace(HfO2Lab7):
    """Modifies what it is given. Source: our lab, wafer 7."""

    def programming_error(self, g: Any, cell: Cell, draw: Any) -> Any:
        g *= 0.99
        return g


class HiddenGenerator(HfO2Lab7):
    """Draws from a generator of its own. Source: our lab, wafer 7."""

    generator = np.random.default_rng(0)

    def programming_error(self, g: Any, cell: Cell, draw: Any) -> Any:
        return g + 0.1 * self.generator.standard_normal(g.shape)


class Neighbours(HfO2Lab7):
    """Lets cells depend on each other. Source: our lab, wafer 7."""

    def programming_error(self, g: Any, cell: Cell, draw: Any) -> Any:
        return g - g.mean() if g.size else g


class Widens(HfO2Lab7):
    """Returns float64 for float32. Source: our lab, wafer 7."""

    def programming_error(self, g: Any, cell: Cell, draw: Any) -> Any:
        return g * np.float64(0.99)


class Singular(HfO2Lab7):
    """Divides by the conductance. Source: our lab, wafer 7."""

    def programming_error(self, g: Any, cell: Cell, draw: Any) -> Any:
        with np.errstate(divide="ignore"):
            return g + 0.01 / g


class NotTheSlope(Device):
    """A current that does not start with slope g. Source: our lab, wafer 7."""

    source = "our lab, wafer 7"

    def current_coefficients(self, g: Any, cell: Cell) -> dict[int, Any]:
        return {1: 0.5 * g}


class Anonymous(HfO2Lab7):
    """A model without a source."""

    source = ""


class OnlyNumPy(HfO2Lab7):
    """Calls NumPy on whatever comes."""

    def programming_error(self, g: Any, cell: Cell, draw: Any) -> Any:
        return np.exp(np.log(g + 1)) - 1


class Scalar(HfO2Lab7):
    """Returns one number for all cells."""

    def programming_error(self, g: Any, cell: Cell, draw: Any) -> Any:
        return g.sum()


class Rough(HfO2Lab7):
    """Another model in single precision."""

    def programming_error(self, g: Any, cell: Cell, draw: Any) -> Any:
        return g * (0.99 if str(g.dtype) == "float32" else 0.98)


class NegativeSpread(Device):
    """A standard deviation below zero."""

    def read_noise_std(self, g: Any, cell: Cell) -> Any:
        return g - 0.5


class Picky(HfO2Lab7):
    """Valid nowhere."""

    def check(self, role: str, cell: Cell) -> None:
        raise ParameterError("xbar.device.Vread", cell.v_read, "never measured")


class Hides(HfO2Lab7):
    """Has a method and denies it."""

    def models(self, role: str) -> bool:
        return False


class NeverIdeal(HfO2Lab7):
    """Has an error even without magnitude."""

    def programming_error(self, g: Any, cell: Cell, draw: Any) -> Any:
        return 0.9 * g


class Leaks(NotTheSlope):
    """A current without voltage."""

    def current_coefficients(self, g: Any, cell: Cell) -> dict[int, Any]:
        return {0: 0.1 * g, 1: g}


class Rigid(Device):
    """Multiplies matrices, not cells."""

    def current(self, g: Any, v: Any, cell: Cell) -> Any:
        return (g * v).sum(axis=-1, keepdims=True) if np.ndim(v) > 2 else g * v


class Steep(HfO2Lab7):
    """A slope that is infinite at g = 0."""

    def programming_error(self, g: Any, cell: Cell, draw: Any) -> Any:
        return g**0.5


Contract = DeviceContract
CAUGHT: list[tuple[type[Device], Any, str]] = [
    (InPlace, Contract.test_leaves_the_argument_alone, "programming_error.*write g = g "),
    (HiddenGenerator, Contract.test_same_draw_same_result, r"programming_error.*draw\.normal\(g\)"),
    (Neighbours, Contract.test_cells_are_independent, "programming_error.*use nothing of g but the cell's own value"),
    (Widens, lambda test: test.test_keeps_shape_and_dtype((3, 5), "float32"), "float64 of a g of float32.*Python num"),
    (Scalar, lambda test: test.test_keeps_shape_and_dtype((3, 5), "float64"), "return one number for every cell"),
    (Singular, lambda test: test.test_off_cells_are_finite(), r"at g = 0.*xp\.where"),
    (NotTheSlope, Contract.test_current_starts_with_the_conductance, "divide the curve by its slope"),
    (Leaks, Contract.test_current_starts_with_the_conductance, "leave power 0 out of current_coefficients"),
    (Rigid, Contract.test_current_broadcasts, "combine them with operators only"),
    (Anonymous, Contract.test_names_its_source, "add the class attribute source"),
    (Device, Contract.test_has_a_role, r"define at least one of programming_error\(self, g, cell, draw\)"),
    (Picky, Contract.test_accepts_the_cell, "never measured.*Set `cell` of the test"),
    (Hides, lambda test: test.test_absent_role_says_so("programming_error"), r"leave models\(\) to the base class"),
    (NegativeSpread, Contract.test_gaussian_read_noise_is_mean_and_spread, "return a standard deviation, 0 or more"),
    (Rough, Contract.test_float32_agrees_with_float64, "do not branch on the dtype"),
    (NeverIdeal, Contract.test_ideal_cell_is_ideal, r"scale every error.*cell\.magnitude"),
    (OnlyNumPy, lambda test: test.test_torch_agrees("float64"), r"PyTorch tensor fails.*backend_of\(g\)\.xp"),
    (Steep, lambda test: test.test_torch_agrees("float64"), "gradient of programming_error.*an argument away from 0"),
    (OnlyNumPy, Contract.test_jax_agrees, r"backend_of\(g\)\.xp"),
]


@pytest.mark.parametrize(("model", "test", "message"), CAUGHT, ids=lambda value: getattr(value, "__name__", ""))
def test_the_contract_catches_and_says_what_to_do(model: type[Device], test: Any, message: str) -> None:
    """Each broken model fails the contract test that is about its fault."""
    if test is Contract.test_jax_agrees:
        pytest.importorskip("jax")
    if "torch" in message.lower() or model is Steep:
        pytest.importorskip("torch")
    contract = type("Contract", (DeviceContract,), {"make": lambda self: model(), "cell": CELL, "ideal_cell": CELL})()
    with pytest.raises(AssertionError, match=f"(?s){message}"):
        test(contract)


@pytest.mark.parametrize("name", sorted(ROLES_OF))
def test_the_models_that_are_shipped_name_their_source_in_their_text(name: str) -> None:
    model = type(DEVICES.create(name, PATH))
    assert model.source in " ".join((inspect.getdoc(model) or "").split())
