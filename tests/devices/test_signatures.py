"""Models that cannot be called as crossohm calls them are refused when registered; all that can be called are not."""

from __future__ import annotations

import inspect
import warnings
from functools import partialmethod
from typing import Any

import numpy as np
import pytest

from crossohm import AnalogCore, CrossOhmError, CrossSimParameters, ParameterError
from crossohm._names import Registry
from crossohm.circuits import ADC, DAC
from crossohm.circuits.adc.base import ADCS
from crossohm.circuits.dac import DACS
from crossohm.devices import DEVICES, Device

KINDS: dict[type, Registry[Any]] = {Device: DEVICES, ADC: ADCS, DAC: DACS}
METHODS = [
    (base, name) for base in KINDS for name, value in vars(base).items()
    if inspect.isfunction(value) and not name.startswith("_")
]  # fmt: skip
every_method = pytest.mark.parametrize(("base", "name"), METHODS, ids=lambda value: getattr(value, "__name__", value))


@pytest.fixture(autouse=True)
def own_registries(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is forgotten afterwards."""
    for registry in KINDS.values():
        monkeypatch.setattr(registry, "_classes", dict(registry._classes))
        monkeypatch.setattr(registry, "_refused", {})


def arguments(base: type, name: str) -> list[str]:
    return list(inspect.signature(getattr(base, name)).parameters)


def method(signature: str) -> Any:
    """A method with these arguments."""
    namespace: dict[str, Any] = {}
    exec(f"def made({signature}): return 'called'", namespace)
    return namespace["made"]


def register(base: type, name: str, value: Any) -> None:
    KINDS[base].register("Lab")(type("Lab", (base,), {name: value}))


def refused(base: type, name: str, value: Any) -> str:
    """What is said at registration, which is also what is said where the model is used."""
    with pytest.warns(UserWarning, match="'Lab' is refused") as caught:
        register(base, name, value)
    (warning,) = caught
    assert warning.filename == __file__
    with pytest.raises(ParameterError, match=r"some\.path = 'Lab'") as raised:
        KINDS[base].create("Lab", "some.path")
    said = str(warning.message).partition("refused: ")[2]
    assert said in str(raised.value)
    assert "Lab" not in KINDS[base]
    return said


@every_method
def test_an_argument_too_few_or_too_many_is_refused_with_the_wanted_signature(base: type, name: str) -> None:
    wanted = arguments(base, name)
    for wrong in ("self", ", ".join(wanted[:-1]), ", ".join([*wanted, "more"]), ", ".join([*wanted, "*", "more"])):
        assert f"write def {name}({', '.join(wanted)})" in refused(base, name, method(wrong))


@every_method
def test_what_can_be_called_is_taken(base: type, name: str) -> None:
    wanted = arguments(base, name)
    others = ["self", *(f"own{index}" for index in range(len(wanted) - 1))]
    for right in (
        method(", ".join(wanted)),
        method(", ".join(others)),
        method(", ".join([*wanted, "more=1", "*rest"])),
        method("self, *args"),
        method("self, *args, **kwargs"),
        method(f"{', '.join(wanted)}, *, more=1"),
        staticmethod(method(", ".join(wanted[1:]))),
        classmethod(method(", ".join(["cls", *wanted[1:]]))),
        partialmethod(method(", ".join([*wanted, "more"])), more=1),
        lambda self, *args: args,
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            register(base, name, right)
        assert getattr(KINDS[base].create("Lab", "path"), name)(*wanted[1:])


@every_method
def test_arguments_in_another_order_are_refused(base: type, name: str) -> None:
    wanted = arguments(base, name)
    if len(wanted) < 3:
        pytest.skip("one argument has one order")
    assert f"write def {name}" in refused(base, name, method(", ".join(["self", wanted[2], wanted[1], *wanted[3:]])))


@every_method
def test_what_is_no_method_is_refused(base: type, name: str) -> None:
    assert f"write def {name}" in refused(base, name, 0.05)


@pytest.mark.parametrize("role", ["programming_error", "read_noise", "drift_error"])
@pytest.mark.parametrize("signature", ["self, Gnorm", "self, Gnorm, time", "self, Gnorm, time, draw"])
def test_device_methods_as_crosssim_has_them_are_refused(role: str, signature: str) -> None:
    said = refused(Device, role, method(signature))
    assert f"write def {role}(self, g, cell, draw) in place of {role}({signature})" in said


def test_all_methods_that_do_not_fit_are_named_at_once() -> None:
    body = {"programming_error": method("self, Gnorm"), "drift_error": method("self, Gnorm, time")}
    with pytest.warns(UserWarning, match=r"def programming_error\(self, g, cell, draw\).*def drift_error") as caught:
        DEVICES.register("Lab")(type("Lab", (Device,), body))
    assert len(caught) == 1


@pytest.mark.parametrize("base", KINDS, ids=lambda base: base.__name__)
def test_classes_of_another_kind_are_refused(base: type) -> None:
    other = next(kind for kind in KINDS if kind is not base)
    for wrong in (object, type("Lab", (), {}), other, "Lab", Device()):
        with pytest.warns(UserWarning, match=f"derived from .*{base.__name__}"):
            KINDS[base].register("Lab")(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("base", KINDS, ids=lambda base: base.__name__)
def test_a_constructor_that_wants_something_is_refused(base: type) -> None:
    assert "created without arguments" in refused(base, "__init__", method("self, params"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        register(base, "__init__", lambda self, params=None: None)


def test_a_corrected_class_takes_the_place_of_the_refused_one_and_the_other_way_round() -> None:
    right, wrong = method("self, g, cell, draw"), method("self, Gnorm")
    refused(Device, "programming_error", wrong)
    register(Device, "programming_error", right)
    assert DEVICES.create("Lab", "path").models("programming_error")
    refused(Device, "programming_error", wrong)


def test_a_refused_model_does_not_hide_what_other_models_can_do() -> None:
    refused(Device, "drift_error", method("self, Gnorm, time"))
    params = CrossSimParameters()
    params.xbar.device.drift_error = {"enable": True, "model": "PCMJoshi"}  # type: ignore[assignment]
    with pytest.raises(ParameterError, match="allowed: IdealDevice, SONOS"):
        AnalogCore(np.eye(2), params)
    params.xbar.device.drift_error.model = "Lab"
    with pytest.raises(ParameterError, match=r"xbar\.device\.drift_error\.model = 'Lab'.*self, g, cell, draw"):
        AnalogCore(np.eye(2), params)


def test_names_of_others_stay_theirs() -> None:
    with pytest.raises(CrossOhmError, match="already registered"):
        DEVICES.register("SONOS")(type("Lab", (Device,), {"read_noise": method("self, Gnorm")}))
    assert DEVICES.create("SONOS", "path").models("read_noise")
