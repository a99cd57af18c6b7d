"""Small tables of measurements, one for each role, and cells they hold for."""

from __future__ import annotations

from crossohm.devices import Cell
from crossohm.params import Measurements

MOMENTS = """# made up
conductance_uS, mean_uS, sd_nS
0, 0.2, 100
5, 5.5, 500
20, 20, 900
50, 49, 1000
100, 98, 2000
"""
QUANTILES = """conductance_uS,q0_uS,q25_uS,q50_uS,q90_uS,q100_uS
0,0,0,0.1,0.3,1
30,26,29,30,33,40
100,80,95,99,104,110
"""
NOISE = """conductance_uS,sd_uS
0,0.01
10,0.5
100,1.5
"""
RETENTION = """time_h,conductance_uS,mean_uS,sd_uS
0,0,0,0.1
0,100,100,1
1,0,1,0.2
1,100,97,2
100,0,3,0.3
100,100,80,4
"""
CURRENT = """conductance_uS,voltage_mV,current_uA
1,100,0.1
1,200,0.24
50,100,5.2
50,200,11
100,100,10.1
100,200,21
"""
BOTH_SIGNS = """conductance_uS,voltage_V,current_uA
1,-0.2,-0.3
1,0,0
1,0.2,0.22
100,-0.2,-19
100,0,0
100,0.2,21
"""

TABLES = {
    "moments": ("programming_error", MOMENTS),
    "quantiles": ("programming_error", QUANTILES),
    "noise": ("read_noise", NOISE),
    "retention": ("drift_error", RETENTION),
    "current": ("nonlinear_IV", CURRENT),
    "both signs": ("nonlinear_IV", BOTH_SIGNS),
}


def cell_with(content: str, name: str = "table.csv", time: float = 7.0) -> Cell:
    """A cell of 1 to 100 uS, read at 0.2 V."""
    return Cell(r_min=1e4, rho=0.01, v_read=0.2, time=time, table=Measurements(content, name))
