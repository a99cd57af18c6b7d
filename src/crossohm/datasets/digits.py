"""The 1797 handwritten digits of 8x8 pixels that come with scikit-learn.

Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository (1998),
https://doi.org/10.24432/C50P49 (its test part, 13 writers).

The split is ours, and fixed by counting instead of by a random generator: of each class, in file order, every third
image is test and the others are train. That makes 596 test and 1201 train images, the same fraction of every class.
"""

from __future__ import annotations

import numpy as np

from crossohm.datasets.raw import Raw
from crossohm.datasets.shipped import read_shipped
from crossohm.datasets.turns import every_nth

_TEST_EVERY = 3
_FULL_SCALE = 16  # every pixel counts the dark dots of a 4x4 block


def read_digits(split: str) -> Raw:
    """The digits of one split, images ``(n, 1, 8, 8)``.

    Raises:
        MissingDependencyError: scikit-learn is not installed.
    """
    raw = read_shipped("digits")
    chosen = every_nth(raw.target, _TEST_EVERY) == (split == "test")
    classes = tuple(str(digit) for digit in raw.target_names)
    return Raw(raw.images[chosen, np.newaxis], raw.target[chosen], classes, _FULL_SCALE)
