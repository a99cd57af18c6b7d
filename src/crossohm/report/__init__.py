"""Results as one HTML file to look at, and as figures to print.

    >>> from crossohm.report import from_results, write_report
    >>> write_report(from_results(open_results("results")), "report.html")  # doctest: +SKIP

The file needs nothing beside itself: no network, no server, no other file. `write_figures` draws the same data with
matplotlib (extra ``plot``).
"""

from crossohm.report.data import (
    Axis,
    Histogram,
    LayerHardware,
    Point,
    ReportData,
)
from crossohm.report.figures import write_figures
from crossohm.report.gather import from_results, report_of
from crossohm.report.html import render, write_report
from crossohm.report.measure import Measure

__all__ = [
    "Axis",
    "Histogram",
    "LayerHardware",
    "Measure",
    "Point",
    "ReportData",
    "from_results",
    "render",
    "report_of",
    "write_figures",
    "write_report",
]
