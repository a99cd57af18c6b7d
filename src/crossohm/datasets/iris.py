"""The 150 irises that come with scikit-learn: lengths and widths of sepals and petals in centimetres.

Source: R. A. Fisher, Iris, UCI Machine Learning Repository (1936), https://doi.org/10.24432/C56C76.

The split is ours: of each class, in file order, every fifth sample is test, which makes 30 test and 120 train samples.
The file is sorted by class; here classes take turns.
"""

from __future__ import annotations

from crossohm.datasets.raw import Raw
from crossohm.datasets.shipped import read_shipped
from crossohm.datasets.turns import every_nth, in_turn

_TEST_EVERY = 5
_FULL_SCALE = 8  # centimetres; the longest sepal has 7.9


def read_iris(split: str) -> Raw:
    """The irises of one split, samples ``(n, 4)``.

    Raises:
        MissingDependencyError: scikit-learn is not installed.
    """
    raw = read_shipped("iris")
    order = in_turn(raw.target)
    chosen = order[every_nth(raw.target, _TEST_EVERY)[order] == (split == "test")]
    return Raw(raw.data[chosen], raw.target[chosen], tuple(str(name) for name in raw.target_names), _FULL_SCALE)
