"""Images as the chip gets them: moved a little in training, padded to whole slots, of few bits."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import final

import jax
import jax.numpy as jnp


@final
@dataclass(frozen=True)
class Augmentation:
    """Random affine maps, each uniform up to a largest value.

    Args:
        rotation: Radians.
        scale: Relative.
        shear: Radians.
        shift: Pixels.
    """

    rotation: float = 0.2
    scale: float = 0.12
    shear: float = 0.15
    shift: float = 2.0

    def __call__(self, images: jax.Array, key: jax.Array) -> jax.Array:
        """Other images of the same shape ``(B, side, side)``; what comes from outside is 0."""
        limits = jnp.array([self.rotation, self.scale, self.scale, self.shear, self.shift, self.shift])
        draws = jax.random.uniform(key, (len(images), 6), minval=-1.0) * limits
        return jax.vmap(_moved)(images, draws)


def _moved(image: jax.Array, draws: jax.Array) -> jax.Array:
    angle, tall, wide, shear, down, right = draws
    middle = (image.shape[0] - 1) / 2
    y, x = jnp.meshgrid(*(jnp.arange(float(size)) - middle for size in image.shape), indexing="ij")
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    y, x = (cos * y - sin * x) * (1 + tall), (sin * y + cos * x) * (1 + wide) + jnp.tan(shear) * y
    at = [y + middle + down, x + middle + right]
    return jax.scipy.ndimage.map_coordinates(image, at, order=1, mode="constant")


@partial(jax.jit, static_argnums=1)
def encoded(images: jax.Array, bits: int) -> jax.Array:
    """Images ``(B, side, side)``, 0 to 1, as inputs ``(B, side**2)`` of 2**bits levels."""
    levels = 2**bits - 1
    return jnp.floor(images.reshape(len(images), -1) * levels + 0.5) / levels
