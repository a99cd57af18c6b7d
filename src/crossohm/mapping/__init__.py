"""From a matrix to target conductances, and back.

A matrix in the user's units is limited to a weight range (`limits`), divided by the range (giving weights in [-1, 1]),
split over physical arrays (`partition`), and written as normalised conductances by one of three schemes: a
differential pair per weight (`balanced`), one cell plus an offset (`offset`), or several cells per weight
(`bitsliced`). Every scheme decodes linearly: ``w = sum(coefficients * g) - offset``.
"""

from crossohm.mapping.build import build_mapping
from crossohm.mapping.complexes import expand_complex, join_complex, region_blocks
from crossohm.mapping.limits import magnitude_limit, weight_limits
from crossohm.mapping.partition import partition, partition_lengths
from crossohm.mapping.scheme import Mapping

__all__ = [
    "Mapping",
    "build_mapping",
    "expand_complex",
    "join_complex",
    "magnitude_limit",
    "partition",
    "partition_lengths",
    "region_blocks",
    "weight_limits",
]
