"""What a programmed core is: its hardware, its size, and the arrays it is cut into."""

from __future__ import annotations

from typing import Any

import numpy as np

from crossohm.chain.face import MatrixFace
from crossohm.chain.programming.parts import Block, PhysicalArray, block_parts, physical_arrays
from crossohm.params import CrossSimParameters

#: What CrossSim's cores have under names that there are not here, and where it is.
SUCCESSORS = {
    "cores": "core.arrays lists the physical arrays with their conductances, core.blocks the parts that have hardware "
    "of their own",
    "core_pos": "core.arrays[i].conductance, of the arrays whose sign is '+'",
    "core_neg": "core.arrays[i].conductance, of the arrays whose sign is '-'",
    "core_slices": "core.arrays[i].conductance; .slice is 0 for the least significant slice",
    "adc": "core.params.xbar.adc; core.explain() has limits and levels",
    "dac": "core.params.xbar.dac; core.explain() has the range and levels",
    "adc_inputs": "core.profile() records what ADCs see, in a with block",
    "mat_multivec": "core @ X, of all vectors at once",
    **{f"_{name}": f"core.{name}" for name in ("matvec", "vecmat", "matmat", "rmatmat", "matmul", "rmatmul", "dot")},
}


class Geometry(MatrixFace):
    """The properties of an `AnalogCore` that say what it is; what it does stands in the core."""

    _params: tuple[CrossSimParameters, ...]
    _blocks: tuple[Block, ...]
    _dtype: str

    def __getattr__(self, name: str) -> Any:
        hint = f"; use {SUCCESSORS[name]}" if name in SUCCESSORS else ""
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}{hint}", name=name, obj=self)

    @property
    def params(self) -> CrossSimParameters:
        """The hardware (of the first array, if arrays differ). Read only: build a new core to change it."""
        return self._params[0]

    @property
    def dtype(self) -> Any:
        """Dtype of the matrix, as NumPy knows it (``"bfloat16"`` as a string)."""
        return self._dtype if self._dtype == "bfloat16" else np.dtype(self._dtype)

    @property
    def min(self) -> float:
        """Lowest representable weight."""
        return self._blocks[0].record.limits[0]

    @property
    def max(self) -> float:
        """Highest representable weight."""
        return self._blocks[0].record.limits[1]

    @property
    def nrow(self) -> int:
        """Rows of the stored matrix (doubled in complex mode): output lines over all arrays."""
        return int(max(block.rows.stop for block in self._blocks))

    @property
    def ncol(self) -> int:
        """Columns of the stored matrix (doubled in complex mode): input lines over all arrays."""
        return int(max(block.columns.stop for block in self._blocks))

    @property
    def NrowsVec(self) -> list[int]:
        """Outputs held by each output partition."""
        return [part.stop - part.start for part in self._parts(0)]

    @property
    def NcolsVec(self) -> list[int]:
        """Inputs held by each input partition."""
        return [part.stop - part.start for part in self._parts(1)]

    @property
    def num_cores_row(self) -> int:
        """Number of output partitions."""
        return len(self._parts(0))

    @property
    def num_cores_col(self) -> int:
        """Number of input partitions."""
        return len(self._parts(1))

    @property
    def Ncores(self) -> int:
        """Number of partitions."""
        return self.num_cores_row * self.num_cores_col

    def _parts(self, axis: int) -> tuple[slice, ...]:
        return block_parts(self._blocks, axis)

    @property
    def blocks(self) -> tuple[Block, ...]:
        """Programmed state: one block, or one per array if arrays have descriptions of their own."""
        return self._blocks

    @property
    def arrays(self) -> list[PhysicalArray]:
        """Every physical crossbar with its conductances."""
        return list(physical_arrays(self._blocks))
