"""From what is seen on real inputs to converter ranges."""

from crossohm.calibration.histogram import StreamingHistogram
from crossohm.calibration.ranges import percentile_range

__all__ = ["StreamingHistogram", "percentile_range"]
