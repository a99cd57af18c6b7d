"""`AnalogCore`: a matrix in simulated analog hardware that multiplies like an array."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self, final

import numpy as np

from crossohm._random import OperationStream
from crossohm.backends import Array, backend_of
from crossohm.chain.contraction.contraction import Contraction, Dense, Kernel
from crossohm.chain.dtypes import compute_dtype, output_dtype
from crossohm.chain.face import MatrixFace
from crossohm.chain.indexing import Region, whole
from crossohm.chain.inspection.clipping import FirstInputs
from crossohm.chain.inspection.explain import Explanation, explain_plans
from crossohm.chain.inspection.profile import Profile, output_per_current
from crossohm.chain.inspection.spice import to_spice
from crossohm.chain.intake import as_array, chip_seed, host_matrix, snapshot
from crossohm.chain.lowering.inputs import keeps_zeros
from crossohm.chain.lowering.lower import check_hardware
from crossohm.chain.lowering.lowered import Amend, Lowered
from crossohm.chain.lowering.wires import networks_vary
from crossohm.chain.operation import Operation
from crossohm.chain.programming.parts import Block, PhysicalArray
from crossohm.chain.programming.state import CoreState, program_core
from crossohm.chain.programming.storage import pack_core, unpack_core
from crossohm.chain.running.core_plan import CorePlan
from crossohm.chain.running.plan import Plan, Tap
from crossohm.chain.running.plan import multiply as run_plan
from crossohm.chain.running.sequence import begun, longest
from crossohm.chain.siblings import siblings_of
from crossohm.chain.successors import SUCCESSORS
from crossohm.chain.vectors import multiply_vectors
from crossohm.errors import DataError, UnsupportedError
from crossohm.params import CrossSimParameters


@final
class AnalogCore(MatrixFace):
    """A matrix written into analog hardware once, then multiplied with as if it were an array.

    Args:
        matrix: The weights, ``(M, N)``: an array of any supported library, or nested lists. Complex matrices need
            ``core.complex_matrix``.
        params: The hardware: `CrossSimParameters`, None for ideal hardware, or a list with one description per array
            (row by row over output, then input partitions). Copied: later changes to the argument have no effect.
        seed: The chip. The same seed programs the same chip in every array library; None draws one, kept in
            ``core.seed``.
        name: Name of the core; cores of one chip need different names to have independent errors. Two of one name that
            hold different matrices warn.
        empty_matrix: Allocate only; ``matrix`` gives shape and dtype, its values are not written (all weights zero).
        row_groups: Matrix rows come in this many equal runs, and no array holds rows of two of them: front ends drive
            each run with inputs of its own (grouped convolutions).

    Raises:
        ShapeError: ``matrix`` is not two-dimensional.
        InputError: ``matrix`` holds NaN, infinity, or complex numbers on hardware not declared complex.
        ParameterError: the hardware description contradicts itself, or ``row_groups`` does not divide the rows.

    Example:
        >>> core = AnalogCore([[0.5, -1.0], [0.1, 0.0]])
        >>> core @ [1.0, 1.0]
        array([-0.5,  0.1])
    """

    def __init__(
        self,
        matrix: Any,
        params: CrossSimParameters | Sequence[CrossSimParameters] | None = None,
        *,
        seed: int | None = None,
        name: str = "core",
        empty_matrix: bool = False,
        row_groups: int = 1,
    ) -> None:
        hardware = snapshot(params)
        host, dtype = host_matrix(matrix)
        given = np.zeros_like(host) if empty_matrix else host
        state = program_core(given, dtype, hardware, chip_seed(seed), name, row_groups)
        for block in state.blocks:
            check_hardware(block.record, block.params)
        self._begin(state)
        if not empty_matrix:
            self._siblings.join(self)

    def _begin(self, state: CoreState) -> None:
        self._lowered = Lowered(state)
        self._region = whole(state.shape)
        self._siblings = siblings_of(state.seed, state.name)
        self._reads = OperationStream(state.seed, state.name, "reads")
        self._first_inputs = FirstInputs()
        self._tap: Tap | None = None

    @property
    def _core(self) -> Self:  # type: ignore[override] # as an attribute it would be a cycle that keeps the core
        return self

    # --- what it is ---------------------------------------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        hint = f"; use {SUCCESSORS[name]}" if name in SUCCESSORS else ""
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}{hint}", name=name, obj=self)

    @property
    def state(self) -> CoreState:
        """What is programmed now, as a value: later writes give the core another."""
        return self._lowered.state

    @property
    def params(self) -> CrossSimParameters:
        """The hardware (of the first array, if arrays differ). Read only: build a new core to change it."""
        return self.state.params

    @property
    def seed(self) -> int:
        """The chip."""
        return self.state.seed

    @property
    def name(self) -> str:
        """Name of the core."""
        return self.state.name

    @property
    def dtype(self) -> Any:
        """Dtype of the matrix, as NumPy knows it (``"bfloat16"`` as a string)."""
        name = self.state.dtype
        return name if name == "bfloat16" else np.dtype(name)

    @property
    def complex_valued(self) -> bool:
        """True if the arrays hold real and imaginary parts side by side."""
        return self.state.complex_valued

    @property
    def min(self) -> float:
        """Lowest representable weight."""
        return self.state.limits[0]

    @property
    def max(self) -> float:
        """Highest representable weight."""
        return self.state.limits[1]

    @property
    def nrow(self) -> int:
        """Rows of the stored matrix (doubled in complex mode): output lines over all arrays."""
        return self.state.stored_shape[0]

    @property
    def ncol(self) -> int:
        """Columns of the stored matrix (doubled in complex mode): input lines over all arrays."""
        return self.state.stored_shape[1]

    @property
    def NrowsVec(self) -> list[int]:
        """Outputs held by each output partition."""
        return [part.stop - part.start for part in self.state.parts(0)]

    @property
    def NcolsVec(self) -> list[int]:
        """Inputs held by each input partition."""
        return [part.stop - part.start for part in self.state.parts(1)]

    @property
    def num_cores_row(self) -> int:
        """Number of output partitions."""
        return len(self.state.parts(0))

    @property
    def num_cores_col(self) -> int:
        """Number of input partitions."""
        return len(self.state.parts(1))

    @property
    def Ncores(self) -> int:
        """Number of partitions."""
        return self.num_cores_row * self.num_cores_col

    @property
    def blocks(self) -> tuple[Block, ...]:
        """Programmed state: one block, or one per array if arrays have descriptions of their own."""
        return self.state.blocks

    @property
    def arrays(self) -> list[PhysicalArray]:
        """Every physical crossbar with its conductances."""
        return list(self.state.arrays())

    @property
    def array_count(self) -> int:
        """How many physical crossbars there are; unlike `arrays`, nothing of them is worked out."""
        return sum(1 for block in self.blocks for _ in block.record.places())

    def __str__(self) -> str:
        return str(self.get_matrix())

    def __repr__(self) -> str:
        style = self.params.core.style.name
        return (
            f"AnalogCore(shape={self.shape}, dtype={self.state.dtype}, style={style}, partitions={self.Ncores}, "
            f"seed={self.seed})"
        )

    # --- files --------------------------------------------------------------------------------------------------------

    def save(self, path: str | Path) -> None:
        """Write the programmed chip (hardware, conductances, converter errors) to a safetensors file.

        `load` gives a core that multiplies bit-identically; noise drawn per operation starts as in a core newly built.
        """
        Path(path).write_bytes(self.to_bytes())

    @classmethod
    def load(cls, path: str | Path) -> AnalogCore:
        """The core that `save` wrote.

        Raises:
            DataError: the file is missing, damaged, or no saved core.
        """
        if not Path(path).is_file():
            raise DataError(f"{path}: no such file; give the path that AnalogCore.save wrote")
        return cls.from_bytes(Path(path).read_bytes(), str(path))

    def to_bytes(self) -> bytes:
        """The programmed chip as `save` writes it."""
        return pack_core(self.state)

    @classmethod
    def from_bytes(cls, data: bytes, source: str = "saved core") -> AnalogCore:
        """The core of `to_bytes`.

        Args:
            data: The bytes.
            source: Where they come from, for messages.

        Raises:
            DataError: the bytes are damaged, or no saved core.
        """
        core = cls.__new__(cls)
        core._begin(unpack_core(data, source))
        return core

    # --- writing and reading ------------------------------------------------------------------------------------------

    def set_matrix(self, matrix: Any, parts: Sequence[tuple[slice, slice]] | None = None) -> None:
        """Write a whole matrix of the same shape; draws new programming errors, keeps the converters' errors.

        Args:
            matrix: The weights.
            parts: Rows and columns outside which nothing has changed. Cells there keep their conductances bit for bit
                if the weight range still suits the matrix: holds it and is not more than twice as wide as needed.
        """
        host, dtype = host_matrix(matrix)
        state = self.state
        if parts is None or not state.may_write_parts(host, dtype):
            self._lowered = Lowered(state.rewritten(host, dtype))
            return
        every_row, every_column = map(np.arange, state.shape)
        written = [(every_row[rows], every_column[columns]) for rows, columns in parts]
        self._lowered = self._lowered.after(state.rewritten(host, dtype, parts), written)

    def write(self, region: Region, values: np.ndarray) -> None:
        """Write ``values`` at ``region``, as ``core[...] = values`` does; all other cells stay as they are."""
        state = self.state.updated(region, values)
        whole = region.covers(state.shape)
        rows, columns = state.stored_region(region)
        self._lowered = self._lowered.after(state, None if whole else [(np.sort(rows), np.sort(columns))])

    def get_matrix(self) -> np.ndarray:
        """The matrix the programmed conductances represent, ``(M, N)``, in the matrix's units and dtype.

        Includes quantisation, clipping, programming errors and drift; not read noise, not circuit effects.
        """
        return self.state.read()

    def effective_matrix(self) -> np.ndarray:
        """`get_matrix` with the wires in it: what ``core @ x`` multiplies with before its converters, ``(M, N)``.

        Raises:
            UnsupportedError: with these wires no one matrix describes the core, or the core is complex.
            CrossOhmError: a network was not solved; names the array.
        """
        state = self.state
        if state.complex_valued or any(networks_vary(block.params) for block in state.blocks):
            raise UnsupportedError(
                "there is no one effective matrix: complex cores have two products, and wires with gate-selected rows, "
                "read noise or nonlinear cells a network per input vector; use get_matrix() for the programmed weights"
            )
        records = self._lowered.wires(Operation.MVM).records(np.zeros(0))
        return state.stored(records).astype(compute_dtype(state.dtype))

    # --- multiplying --------------------------------------------------------------------------------------------------

    def __matmul__(self, x: Any) -> Array:
        # The plain cases first: one matrix or one plan, no noise, matching NumPy dtype. Everything else, and every
        # error message, takes the general way.
        if type(x) is np.ndarray:
            direct = self._lowered.direct.get(x.dtype)
            if isinstance(direct, np.ndarray):
                if 0 < x.ndim <= 2 and x.shape[0] == direct.shape[1]:
                    return direct @ x
            elif direct is not None and x.shape == (self.state.stored_shape[1],):
                return run_plan(direct, x[None])[0]
        return self.matmul(x)

    def multiply(self, operation: Operation, x: Array, rng: Any = None) -> Array:
        """Products with vectors ``(count, length)``, by the user's dtype rules; views call it.

        Args:
            operation: Which product.
            x: The vectors.
            rng: Generator of their library, for noise drawn per operation.

        Returns:
            ``(count, outputs)``.
        """
        lowered = self._lowered
        solves = lowered.has_wires and lowered.wires(operation).solves(x)
        y = multiply_vectors(
            lowered.state, operation, x, lambda v: self._run(operation, v, Dense(v.shape[1]), rng, solves=solves)
        )
        if operation is Operation.MVM and type(x) is np.ndarray and x.dtype not in lowered.direct:
            self._remember_direct(x)
        return y

    def apply(
        self,
        x: Array,
        contraction: Contraction,
        rng: Any = None,
        amend: Amend | None = None,
        plan: CorePlan | None = None,
    ) -> Array:
        """The MVM of a front end: any linear map of the stored matrix.

        Args:
            x: ``(batch, features, *positions)`` of a floating dtype, in the user's units.
            contraction: How inputs meet the matrix.
            rng: Generator of the inputs' library for noise drawn per operation.
            amend: Changes the plan of each block before it runs (gradients by the matrix).
            plan: What `plan` says of such inputs, while `lowered` is the same; by default it is looked up.

        Returns:
            ``(batch, outputs, *positions)``, in the user's units and the dtype of ``x``.
        """
        return self._run(Operation.MVM, x, contraction, rng, amend, plan=plan)

    def sequence(
        self, early: Array, contraction: Dense, late: slice, sizes: Sequence[int], rng: Any = None
    ) -> Callable[[Array], Array] | None:
        """MVMs one after another, of inputs that are known beforehand but for some late features.

        They are those that `apply` makes one by one, with the same random draws, up to the rounding of their sums, in
        less time.

        Args:
            early: The other features of all products, in the user's units, ``(vectors, features)``.
            contraction: How whole inputs meet the matrix.
            late: The matrix columns that meet the late features.
            sizes: Vectors of each product.
            rng: As for `apply`.

        Returns:
            A function that takes the late features ``(size, features)`` of the next product and returns its outputs;
            None where only whole inputs can be converted, or where somebody looks at them.
        """
        plan = None if self._tap is not None else self._lowered.parted(early, contraction, late)
        if plan is None or not sizes or max(sizes) > longest(plan):
            return None
        if Operation.MVM in self._first_inputs.unseen:
            self._first_inputs.look(self.state, Operation.MVM, early[: sizes[0]], contraction.constants)
        if plan.needs_draw:
            rng = backend_of(early).operation_rng(rng, self._reads.generator, early)
        return begun(plan, early, sizes, rng)

    def plan(self, like: Any, operation: str = "mvm", contraction: Contraction | None = None) -> CorePlan:
        """What a product does, every number worked out: a function of arrays that other frameworks may trace.

        `crossohm.chain.split` takes it apart into a structure, which is hashable and stays the same while weights are
        rewritten, and leaves, the arrays. Wires are in the matrix where one describes them.

        Args:
            like: Any array of the library, dtype (float32 or float64) and device of the inputs to come.
            operation: ``"mvm"`` (``core @ x``) or ``"vmm"`` (``x @ core``).
            contraction: How inputs meet the matrix; by default as a product with vectors.

        Example:
            >>> from crossohm.chain import join, split
            >>> core = AnalogCore([[0.5, -1.0], [0.1, 0.0]])
            >>> structure, leaves = split(core.plan(np.ones(2)))
            >>> join(structure, leaves)(np.ones((1, 2)))
            array([[-0.5,  0.1]])
        """
        which, x = Operation(operation), as_array(like)
        if self.complex_valued:
            raise UnsupportedError("a complex core has no one plan; build cores of the real and the imaginary part")
        map_ = contraction or Dense(self.state.stored_shape[1 - which.axis])
        return self._lowered.plan(which, x, map_, self._tap is not None)

    @property
    def lowered(self) -> Lowered | None:
        """What is worked out for the present state: another object after each write. None while somebody looks on."""
        return self._lowered if self._tap is None else None

    def direct_kernel(self, x: Array, contraction: Contraction) -> Kernel | None:
        """The kernel with which ``contraction`` by itself does all of `apply`, or None if more has to happen."""
        if self._tap is not None:
            return None
        plans = self._lowered.plan(Operation.MVM, x, contraction, tapped=False).plans
        return plans[0].direct if len(plans) == 1 else None

    @property
    def ignores_zeros(self) -> bool:
        """True if zeros may be left out of the inputs of an MVM: they drive nothing, and nobody takes note of them."""
        return self._tap is None and self._keeps_zeros

    @cached_property
    def _keeps_zeros(self) -> bool:
        return all(keeps_zeros(block.params) for block in self.blocks)

    def _run(
        self,
        operation: Operation,
        x: Array,
        contraction: Contraction,
        rng: Any,
        amend: Amend | None = None,
        solves: bool = False,
        plan: CorePlan | None = None,
    ) -> Array:
        if plan is None:
            plan = self._lowered.plan(operation, x, contraction, self._tap is not None, solves)
        if amend is not None:
            amended = tuple(amend(own, block) for own, block in zip(plan.plans, self.blocks, strict=True))
            plan = replace(plan, plans=amended)
        if self._tap is None and operation in self._first_inputs.unseen:
            self._first_inputs.look(self.state, operation, x, contraction.constants)
        if plan.needs_draw:
            rng = backend_of(x).operation_rng(rng, self._reads.generator, x)
        return plan(x, rng, self._tap)

    def _remember_direct(self, x: np.ndarray) -> None:
        """Keep the plan of a real MVM without noise or change of dtype; the effective matrix if it is one product."""
        if self._tap is not None or self._lowered.wires(Operation.MVM).open:
            return
        dtype, own, found = x.dtype.name, self.state.dtype, None
        same = dtype == own == output_dtype(self.params.core.output_dtype, dtype, dtype) == compute_dtype(dtype)
        if same and not self.complex_valued and len(self.blocks) == 1:
            (plan,) = self._lowered.plan(Operation.MVM, x, Dense(self.ncol), tapped=False).plans
            kernel = plan.direct
            found = plan if kernel is None else np.ascontiguousarray(kernel.weights.T)
        noisy = isinstance(found, Plan) and found.needs_draw
        self._lowered.direct[x.dtype] = None if noisy else found

    # --- looking inside -----------------------------------------------------------------------------------------------

    def explain(self, operation: str = "mvm") -> Explanation:
        """What an operation computes, stage by stage, with levels, ranges and the reason for the path chosen.

        Args:
            operation: ``"mvm"`` (``core @ x``) or ``"vmm"`` (``x @ core``).
        """
        which = Operation(operation)
        left = self._lowered.wires(which).vectors_left
        like, map_ = np.zeros(1, compute_dtype(self.state.dtype)), Dense(self.state.stored_shape[1 - which.axis])
        plan = self._lowered.plan(which, like, map_, self._tap is not None, left > 0)
        return explain_plans(self.state, which, plan.plans, left)

    def to_spice(
        self, path: str | Path, x: Any, operation: str = "mvm", *, input_slice: int | None = None
    ) -> list[Path]:
        """Write one SPICE netlist per physical array for the input vector ``x``.

        See `crossohm.chain.inspection.spice.to_spice`.

        Args:
            path: Folder for the files.
            x: One input vector, in the user's units.
            operation: ``"mvm"`` (``core @ x``) or ``"vmm"`` (``x @ core``).
            input_slice: With input bit slicing, the slice to apply, 0 = least significant.
        """
        return to_spice(self.state, path, x, operation, input_slice=input_slice)

    @contextmanager
    def profile(self, bins: int = 4096, floor: np.ndarray | None = None) -> Iterator[Profile]:
        """Record, in bounded memory, the inputs and what the ADCs see during the operations in a ``with`` block.

        Args:
            bins: Resolution of the streaming histograms.
            floor: Smallest value of each output of an MVM that has an effect on what follows, ``(outputs,)``, e.g. zero
                if a ReLU follows. Where each output is made by one conversion, currents below are recorded apart
                (`Profile.floors`); elsewhere all currents matter and are recorded as always.

        Example:
            >>> with core.profile() as seen:  # doctest: +SKIP
            ...     core @ x
            >>> seen.inputs["mvm"].percentile(99.9)  # doctest: +SKIP
        """
        scale = None if floor is None else output_per_current((b.record for b in self.blocks), self.params)
        seen = Profile(bins, None if scale is None else np.asarray(floor) / scale)
        with self.tapped(seen):
            yield seen

    @property
    def is_tapped(self) -> bool:
        """True while somebody looks at what passes."""
        return self._tap is not None

    @contextmanager
    def tapped(self, tap: Tap) -> Iterator[None]:
        """Let ``tap`` look at inputs and ADC inputs while they pass, during a ``with`` block."""
        outer, self._tap = self._tap, tap
        self._lowered.direct.clear()
        try:
            yield
        finally:
            self._tap = outer
