"""Program a matrix into arrays, lower each operation to a plan, multiply.

`program` writes, `lower` chooses the stages, `multiply` runs them; `AnalogCore` is the NumPy-like face of the three.
"""

from crossohm.chain.contraction.contraction import Contraction, Dense, dense_map
from crossohm.chain.core import AnalogCore
from crossohm.chain.face import MatrixFace, View
from crossohm.chain.inspection.explain import Explanation
from crossohm.chain.inspection.operating_point import OperatingPoint, operating_point
from crossohm.chain.inspection.profile import Profile
from crossohm.chain.lowering.lower import lower
from crossohm.chain.operation import Operation
from crossohm.chain.programming.parts import PhysicalArray
from crossohm.chain.programming.record import Programmed, program
from crossohm.chain.programming.state import CoreState
from crossohm.chain.running.core_plan import CorePlan
from crossohm.chain.running.leaves import join, split
from crossohm.chain.running.plan import Plan, Tap, multiply

__all__ = [
    "AnalogCore",
    "Contraction",
    "CorePlan",
    "CoreState",
    "Dense",
    "Explanation",
    "MatrixFace",
    "OperatingPoint",
    "Operation",
    "PhysicalArray",
    "Plan",
    "Profile",
    "Programmed",
    "Tap",
    "View",
    "dense_map",
    "join",
    "lower",
    "multiply",
    "operating_point",
    "program",
    "split",
]
