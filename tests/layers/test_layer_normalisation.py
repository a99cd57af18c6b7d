"""A folded layer answers what the layer and its normalisation answered."""

from __future__ import annotations

import numpy as np
import pytest

from crossohm.layers.normalisation import folded_bias, folding_factors

RNG = np.random.default_rng(6)


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("affine", [False, True])
def test_a_folded_layer_is_the_layer_and_its_normalisation(biased: bool, affine: bool) -> None:
    weight, x = RNG.normal(size=(4, 3)), RNG.normal(size=(10, 3))
    bias = RNG.normal(size=4) if biased else None
    mean, deviation = RNG.normal(size=4), RNG.uniform(0.1, 3, size=4)
    gamma, beta = (RNG.normal(size=4), RNG.normal(size=4)) if affine else (None, None)
    y = x @ weight.T + (0 if bias is None else bias)
    wanted = (1 if gamma is None else gamma) * (y - mean) / deviation + (0 if beta is None else beta)
    scale, shift = folding_factors(1 / deviation, mean, gamma, beta)
    found = x @ (weight * scale[:, None]).T + folded_bias(bias, scale, shift)
    np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12)
