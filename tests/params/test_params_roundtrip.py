"""Whatever values parameters hold, files keep them exactly."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from crossohm.params import CoreStyle, CrossSimParameters

LOADERS = [(CrossSimParameters.to_json, CrossSimParameters.from_json),
           (CrossSimParameters.to_yaml, CrossSimParameters.from_yaml)]  # fmt: skip


@settings(max_examples=40)
@example(rmin=1.0, limit=0.0, bits=0, style=CoreStyle.BALANCED, model="0E0")
@given(
    rmin=st.floats(1e-30, 1e30),
    limit=st.floats(-1e30, 1e30),
    bits=st.integers(0, 24),
    style=st.sampled_from(CoreStyle),
    model=st.text(min_size=1, alphabet=st.characters(codec="utf-8")),
)
def test_any_values_survive_both_formats(tmp_path_factory, rmin, limit, bits, style, model):
    params = CrossSimParameters(core={"style": style})
    params.update({"xbar.device.Rmin": rmin, "core.mapping.weights.min": limit, "xbar.adc.mvm.bits": bits})
    params.xbar.adc.mvm.model = model
    file = tmp_path_factory.mktemp("params", numbered=True) / "hardware"
    for save, load in LOADERS:
        save(params, file)
        assert load(file) == params
