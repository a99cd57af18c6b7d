"""What a finite number of images leaves open: sampling errors of accuracies, and comparisons image by image.

Chips of a study answer the same images. More chips average the errors of the chips, but not the choice of the images.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

#: Normal quantile of a two-sided interval of 95 %.
_Z = 1.959963984540054


def interval(share: float, images: int) -> tuple[float, float]:
    """The 95 % interval of an accuracy over all images that could have been asked, if these are a random choice.

    Wilson's score interval (J. Am. Stat. Assoc. 22, 209, 1927): within 0..1, and not empty at 0 or 1. For the mean of
    several chips, which answer the same images, it is an upper bound.

    Args:
        share: Right answers, 0..1.
        images: How many were asked, at least one.
    """
    ratio = _Z**2 / images
    middle = share + ratio / 2
    half = _Z * math.sqrt(share * (1 - share) / images + ratio / (4 * images))
    low, high = (middle - half) / (1 + ratio), (middle + half) / (1 + ratio)
    return max(0.0, min(low, share)), min(1.0, max(high, share))  # rounding at 0 and 1


@final
@dataclass(frozen=True)
class Paired:
    """The answers of a chip, or of several, beside those of the digital network to the same images.

    Attributes:
        lost: Images that the digital network gets right and the chip wrong; the mean over several chips.
        gained: Images that the chip gets right and the digital network wrong; the mean over several chips.
        p_value: Of the exact sign test (McNemar): how likely at least so unequal numbers are if both are equally good.
            The largest of several chips.
    """

    lost: float
    gained: float
    p_value: float

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for files."""
        return {"lost": self.lost, "gained": self.gained, "p_value": self.p_value}


def discordant(digital: NDArray[np.bool_], analog: NDArray[np.bool_]) -> tuple[int, int]:
    """How many images only the digital network gets right, and how many only the chip; both ``(images,)``."""
    return int(np.sum(digital & ~analog)), int(np.sum(analog & ~digital))


def paired(counts: Sequence[tuple[int, int]]) -> Paired:
    """The comparison from what `discordant` counted for every chip."""
    lost, gained = zip(*counts, strict=True)
    return Paired(sum(lost) / len(counts), sum(gained) / len(counts), max(_sign_test(*pair) for pair in counts))


def _sign_test(lost: int, gained: int) -> float:
    """Two-sided p-value of the exact binomial test with equal odds."""
    from scipy.special import bdtr

    return min(1.0, 2 * float(bdtr(min(lost, gained), lost + gained, 0.5)))
