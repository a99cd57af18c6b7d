"""What one read sees of a cell, by its moments: for sums over many cells, which then need no draw per cell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtr

from crossohm.devices.lifecycle import active_device, cell_of, conductance_limits
from crossohm.errors import ParameterError

if TYPE_CHECKING:
    from crossohm.params import DeviceParameters


def read_moments(g: np.ndarray, device_params: DeviceParameters) -> tuple[np.ndarray, np.ndarray] | None:
    """Mean and variance of the conductances that one read sees, the limits of the cells included.

    Args:
        g: Conductances as programmed, any shape, normalised.
        device_params: The group ``xbar.device``.

    Returns:
        Two arrays like ``g``; the mean is ``g`` where noise reaches no limit. None without read noise.

    Raises:
        ParameterError: the noise is not Gaussian.
    """
    model = active_device(device_params, "read_noise")
    if model is None:
        return None
    if not model.has_gaussian_read_noise:
        raise ParameterError(
            "xbar.device.read_noise.model",
            device_params.read_noise.model,
            "is not Gaussian, so that mean and variance do not describe it",
            allowed="a model with read_noise_std, e.g. 'NormalProportionalDevice'",
        )
    sigma = np.asarray(model.read_noise_std(g, cell_of(device_params, "read_noise")), dtype=np.float64)
    mean, variance = _clipped(g.astype(np.float64), sigma, *conductance_limits(device_params))
    return mean.astype(g.dtype), variance.astype(g.dtype)


def _clipped(g: np.ndarray, sigma: np.ndarray, low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of normal numbers around ``g`` that are clipped to ``low .. high``."""
    safe = np.where(sigma > 0, sigma, 1.0)
    shift, square = np.zeros_like(g), np.zeros_like(g)
    inside = np.ones_like(g)
    # Both ends alike: their distance from g in the direction away from it, the part of the law beyond, its density.
    for end, direction in ((low, -1.0), (high, 1.0)):
        if np.isfinite(end):
            away = direction * (end - g)
            beyond, density = ndtr(-away / safe), np.exp(-0.5 * (away / safe) ** 2) / np.sqrt(2 * np.pi)
            shift += direction * (away * beyond - safe * density)
            square += away * away * beyond - safe * away * density
            inside -= beyond
    noisy = sigma > 0
    mean = np.where(noisy, g + shift, g)
    return mean, np.where(noisy, np.maximum(square + safe * safe * inside - shift * shift, 0.0), 0.0)
