"""Program a matrix into arrays, lower each operation to a plan, multiply.

`program` writes, `lower` chooses the stages, `multiply` runs them; `AnalogCore` is the NumPy-like face of the three.
"""

from crossohm.chain.blocks import PhysicalArray
from crossohm.chain.contraction import Contraction, Dense
from crossohm.chain.core import AnalogCore
from crossohm.chain.explain import Explanation
from crossohm.chain.face import MatrixFace, View
from crossohm.chain.lower import lower
from crossohm.chain.operating_point import OperatingPoint, operating_point
from crossohm.chain.plan import Plan, Tap, multiply
from crossohm.chain.profile import Profile
from crossohm.chain.programmed import Programmed, program

__all__ = [
    "AnalogCore",
    "Contraction",
    "Dense",
    "Explanation",
    "MatrixFace",
    "OperatingPoint",
    "PhysicalArray",
    "Plan",
    "Profile",
    "Programmed",
    "Tap",
    "View",
    "lower",
    "multiply",
    "operating_point",
    "program",
]
