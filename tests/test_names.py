"""A name with a slip in it: whoever looks it up asks whether the right one was meant, and lists what there is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossohm import CrossSimParameters, UnknownNameError
from crossohm._names import nearest
from crossohm.circuits import ADCS, DACS
from crossohm.datasets import dataset_names, load_dataset
from crossohm.devices import DEVICES
from crossohm.models import load_model, model_names
from crossohm.params import ADCParameters, CoreStyle, dnn_inference_params, mvm_params

#: What looks a name up, and the names it knows.
LOOKS_UP: dict[str, tuple[Callable[[str], Any], list[str]]] = {
    "device": (lambda name: DEVICES.create(name, "path"), sorted(DEVICES)),
    "adc": (lambda name: ADCS.create(name, "path"), sorted(ADCS)),
    "dac": (lambda name: DACS.create(name, "path"), sorted(DACS)),
    "data set": (load_dataset, sorted(dataset_names())),
    "model": (load_model, sorted(model_names())),
    "choice": (lambda name: CrossSimParameters().update({"core.style": name}), sorted(CoreStyle.__members__)),
    "keyword": (lambda name: mvm_params(adc_type=name), ["cyclic", "generic", "pipeline", "ramp"]),
    "style": (lambda name: dnn_inference_params(core_style=name), ["BALANCED", "OFFSET"]),
    "parameter": (lambda name: CrossSimParameters().get(f"xbar.adc.mvm.{name}"), sorted(ADCParameters.model_fields)),
}
SLIPS = [(kind, name) for kind, (_, names) in LOOKS_UP.items() for name in names]


@pytest.mark.parametrize(("kind", "name"), SLIPS)
def test_a_sign_too_many_is_asked_about(kind: str, name: str) -> None:
    look_up, _ = LOOKS_UP[kind]
    with pytest.raises(UnknownNameError) as caught:
        look_up(f"{name}_")
    assert "did you mean" in str(caught.value).lower()
    assert f"{name}'?" in str(caught.value)


@pytest.mark.parametrize("kind", LOOKS_UP)
def test_what_is_like_nothing_is_answered_with_all_there_is(kind: str) -> None:
    look_up, names = LOOKS_UP[kind]
    with pytest.raises(UnknownNameError) as caught:
        look_up("qqqqqqqqqqqq")
    assert "did you mean" not in str(caught.value).lower()
    assert all(name in str(caught.value) for name in names)


@given(known=st.sets(st.text(min_size=1), min_size=1), data=st.data())
def test_a_known_name_is_nearest_to_itself(known: set[str], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(known)))
    assert nearest(name, known) == name
