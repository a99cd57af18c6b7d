"""`AnalogCore`: a matrix in simulated analog hardware that multiplies like an array."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, final

import numpy as np

from crossohm._random import OperationStream
from crossohm.backends import Array, backend_of
from crossohm.chain.contraction.contraction import Contraction, Dense, Kernel
from crossohm.chain.contraction.part import ColumnPart
from crossohm.chain.dtypes import cast_output, compute_dtype, joint_dtype, output_dtype
from crossohm.chain.geometry import Geometry
from crossohm.chain.indexing import Region, whole
from crossohm.chain.inspection.clipping import look_for_clipping
from crossohm.chain.inspection.explain import Explanation, explain_plans
from crossohm.chain.inspection.profile import BlockTap, Profile, output_per_current
from crossohm.chain.inspection.spice import to_spice
from crossohm.chain.intake import chip_seed, host_matrix, snapshot
from crossohm.chain.lowering.lower import check_hardware, lower
from crossohm.chain.lowering.wire_setup import WireSetup
from crossohm.chain.lowering.wires import networks_vary
from crossohm.chain.programming.parts import (
    Block,
    program_blocks,
    read_blocks,
    rewrite_blocks,
    rewrite_parts,
    update_blocks,
)
from crossohm.chain.programming.record import OPERATIONS, Programmed
from crossohm.chain.programming.storage import pack_blocks, unpack_blocks
from crossohm.chain.running.drive import Drive, build_drive
from crossohm.chain.running.plan import Plan, Tap, multiply
from crossohm.chain.siblings import siblings_of
from crossohm.errors import DataError, InputError, ParameterError, ShapeError, UnsupportedError
from crossohm.mapping import expand_complex, join_complex, region_blocks
from crossohm.params import CrossSimParameters

#: Makes the plan to run of the plan of a block.
Amend = Callable[[Plan, Block], Plan]


@final
class AnalogCore(Geometry):
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
        self._params = snapshot(params)
        host, dtype = host_matrix(matrix)
        self._begin((int(host.shape[0]), int(host.shape[1])), dtype, chip_seed(seed), name)
        self._require_complex_mode(host)
        stored = self._stored(np.zeros_like(host) if empty_matrix else host)
        if row_groups < 1 or host.shape[0] % row_groups:
            raise ParameterError("row_groups", row_groups, f"does not divide {host.shape[0]} rows", allowed="a divisor")
        # Real and imaginary rows share arrays unless groups keep rows apart anyway.
        runs = 2 * row_groups if self.complex_valued and row_groups > 1 else row_groups
        self._blocks = program_blocks(stored, self._params, self.seed, name, runs)
        for block in self._blocks:
            check_hardware(block.record, block.params)
        if not empty_matrix:
            self._siblings.join(self)

    def _begin(self, shape: tuple[int, int], dtype: str, seed: int, name: str) -> None:
        """Everything but the programmed arrays."""
        self.seed = seed
        self.name = name
        self._dtype = dtype
        self._shape = shape
        self._region = whole(shape)
        mapping = self.params.core
        self.complex_valued = mapping.complex_matrix or mapping.complex_input
        self._siblings = siblings_of(seed, name)
        self._reads = OperationStream(seed, name, "reads")
        self._wires: dict[str, WireSetup] = {}
        self._plans: dict[Any, tuple[Plan, ...]] = {}
        self._direct: dict[Any, Any] = {}
        self._profile: Tap | None = None
        self._unseen = set(OPERATIONS)

    @property
    def _core(self) -> AnalogCore:  # type: ignore[override] # as an attribute it would be a cycle that keeps the core
        return self

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
        facts = {"shape": self._shape, "dtype": self._dtype, "seed": self.seed, "name": self.name}
        return pack_blocks(self._blocks, facts)

    @classmethod
    def from_bytes(cls, data: bytes, source: str = "saved core") -> AnalogCore:
        """The core of `to_bytes`.

        Args:
            data: The bytes.
            source: Where they come from, for messages.

        Raises:
            DataError: the bytes are damaged, or no saved core.
        """
        blocks, facts = unpack_blocks(data, source)
        core = cls.__new__(cls)
        core._params = tuple(block.params for block in blocks)
        core._begin((facts["shape"][0], facts["shape"][1]), facts["dtype"], facts["seed"], facts["name"])
        core._blocks = blocks
        return core

    # --- what it does -------------------------------------------------------------------------------------------------

    def explain(self, operation: str = "mvm") -> Explanation:
        """What an operation computes, stage by stage, with levels, ranges and the reason for the path chosen.

        Args:
            operation: ``"mvm"`` (``core @ x``) or ``"vmm"`` (``x @ core``).
        """
        size = self.ncol if operation == "mvm" else self.nrow
        left = self._wires_of(operation).vectors_left
        plans = self._plans_of(operation, np.zeros(1, compute_dtype(self._dtype)), Dense(size), left > 0)
        return explain_plans(self, operation, plans, left)

    # --- writing and reading ------------------------------------------------------------------------------------------

    def set_matrix(self, matrix: Any, parts: Sequence[tuple[slice, slice]] | None = None) -> None:
        """Write a whole matrix of the same shape; draws new programming errors, keeps the converters' errors.

        Args:
            matrix: The weights.
            parts: Rows and columns outside which nothing has changed. Cells there keep their conductances bit for bit
                if the weight range still suits the matrix: holds it and is not more than twice as wide as needed.
        """
        host, dtype = host_matrix(matrix)
        if host.shape != self._shape:
            raise ShapeError(f"matrix of shape {host.shape} does not fit a core of shape {self._shape}")
        self._require_complex_mode(host)
        if parts is None or self.complex_valued or dtype != self._dtype:
            written = rewrite_blocks(self._blocks, self._stored(host))
        else:
            written = rewrite_parts(self._blocks, self._stored(host), parts)
        self._dtype = dtype
        self._replace(written)

    def get_matrix(self) -> np.ndarray:
        """The matrix the programmed conductances represent, ``(M, N)``, in the matrix's units and dtype.

        Includes quantisation, clipping, programming errors and drift; not read noise, not circuit effects.
        """
        stored = read_blocks(self._blocks)
        matrix = join_complex(stored) if self.complex_valued else stored
        dtype = self._numpy_dtype()
        if dtype.kind in "iub":
            matrix = np.rint(matrix.real)
        elif dtype.kind == "f":
            matrix = matrix.real  # a real matrix on complex hardware: its imaginary blocks are not the user's
        return matrix.astype(dtype)

    def effective_matrix(self) -> np.ndarray:
        """`get_matrix` with the wires in it: what ``core @ x`` multiplies with before its converters, ``(M, N)``.

        Raises:
            UnsupportedError: with these wires no one matrix describes the core, or the core is complex.
            CrossOhmError: a network was not solved; names the array.
        """
        if self.complex_valued or any(networks_vary(block.params) for block in self._blocks):
            raise UnsupportedError(
                "there is no one effective matrix: complex cores have two products, and wires with gate-selected rows, "
                "read noise or nonlinear cells a network per input vector; use get_matrix() for the programmed weights"
            )
        records = self._wires_of("mvm").records(np.zeros(0))
        wired = (replace(block, record=record) for block, record in zip(self._blocks, records, strict=True))
        return read_blocks(tuple(wired)).astype(compute_dtype(self._dtype))

    def _write(self, region: Region, values: np.ndarray) -> None:
        self._require_complex_mode(values)
        if np.iscomplexobj(values) and self._numpy_dtype().kind != "c":
            raise InputError(
                f"value has dtype {values.dtype}, but the core holds {self._dtype}; set a complex matrix "
                "with set_matrix first, or assign real numbers"
            )
        values = values.astype(self._numpy_dtype())
        if region.covers(self._shape):
            self._replace(rewrite_blocks(self._blocks, self._stored(values)))
            return
        rows, columns = region.rows, region.columns
        if self.complex_valued:
            rows, columns = region_blocks(rows, columns, self._shape)
        self._replace(update_blocks(self._blocks, rows, columns, self._stored(values)))

    def _numpy_dtype(self) -> np.dtype[Any]:
        return np.dtype("float32" if self._dtype == "bfloat16" else self._dtype)

    def _replace(self, blocks: tuple[Block, ...]) -> None:
        self._blocks = blocks
        self._wires.clear()
        self._plans.clear()
        self._direct.clear()

    def _stored(self, matrix: np.ndarray) -> np.ndarray:
        """The real matrix the arrays hold, in a floating dtype."""
        real = expand_complex(matrix) if self.complex_valued else matrix
        return np.asarray(real, dtype=compute_dtype(self._dtype))

    def _require_complex_mode(self, matrix: np.ndarray) -> None:
        if np.iscomplexobj(matrix) and not self.complex_valued:
            raise InputError(
                f"matrix has dtype {matrix.dtype}, but core.complex_matrix is False; set it to True to store the real "
                "and imaginary parts in arrays of twice the size, or pass a real matrix"
            )

    @property
    def ignores_zeros(self) -> bool:
        """True if zeros may be left out of the inputs of an MVM: they drive nothing, and nobody takes note of them."""
        return self._profile is None and all(drive.keeps_zero for drive in self._drives)

    @cached_property
    def _drives(self) -> tuple[Drive, ...]:
        return tuple(build_drive(params, "mvm") for params in self._params)

    # --- multiplying --------------------------------------------------------------------------------------------------

    def apply(self, x: Array, contraction: Contraction, rng: Any = None, amend: Amend | None = None) -> Array:
        """The MVM of a front end: any linear map of the stored matrix.

        Args:
            x: ``(batch, features, *positions)`` of a floating dtype, in the user's units.
            contraction: How inputs meet the matrix.
            rng: Generator of the inputs' library for noise drawn per operation.
            amend: Changes the plan of each block before it runs (gradients by the matrix).

        Returns:
            ``(batch, outputs, *positions)``, in the user's units and the dtype of ``x``.
        """
        return self._run("mvm", x, contraction, rng, amend)

    def direct_kernel(self, x: Array, contraction: Contraction) -> Kernel | None:
        """The kernel with which ``contraction`` by itself does all of `apply`, or None if more has to happen."""
        if self._profile is not None:
            return None
        plans = self._plans_of("mvm", x, contraction)
        return plans[0].direct if len(plans) == 1 else None

    def _run(
        self,
        operation: str,
        x: Array,
        contraction: Contraction,
        rng: Any,
        amend: Amend | None = None,
        solves: bool = False,
    ) -> Array:
        plans = self._plans_of(operation, x, contraction, solves)
        if amend is not None:
            plans = tuple(amend(plan, block) for plan, block in zip(plans, self._blocks, strict=True))
        if operation in self._unseen and self._profile is None:
            look_for_clipping(self, operation, x, contraction.constants)
        if plans[0].needs_draw:
            rng = backend_of(x).operation_rng(rng, self._reads.generator, x)
        if len(plans) == 1:
            return multiply(plans[0], x, rng, self._profile)
        return self._run_blocks(operation, plans, x, rng)

    def _run_blocks(self, operation: str, plans: tuple[Plan, ...], x: Array, rng: Any) -> Array:
        """Arrays with hardware of their own: add over input partitions, concatenate over output partitions."""
        axis = 0 if operation == "mvm" else 1
        inputs = self._parts(1 - axis)
        if self._profile is not None:
            self._profile.xbar_inputs(x, operation, plans[0].contraction.constants)
        sums: dict[int, Any] = {}
        for block, plan in zip(self._blocks, plans, strict=True):
            driven, start = block.part(1 - axis), block.part(axis).start
            tap = None if self._profile is None else BlockTap(self._profile, inputs.index(driven))
            part = multiply(plan, x, rng, tap)
            sums[start] = sums[start] + part if start in sums else part
        return backend_of(x).xp.concat([sums[start] for start in sorted(sums)], axis=1)

    def _plans_of(
        self, operation: str, like: Array, contraction: Contraction, solves: bool = False
    ) -> tuple[Plan, ...]:
        key = (operation, contraction, self._profile is not None, solves, *backend_of(like).key(like))
        plans = self._plans.get(key)
        if plans is None:
            tapped = self._profile is not None
            with backend_of(like).eager():
                records = self._records(operation, like, solves)
                plans = tuple(
                    lower(record, b.params, operation, self._piece(contraction, b, operation), like, tapped, solves)
                    for b, record in zip(self._blocks, records, strict=True)
                )
            self._plans[key] = plans
        return plans

    def _records(self, operation: str, like: Array, solves: bool) -> tuple[Programmed, ...]:
        """The arrays that are lowered: as programmed, or with their wires, a set-up that all other plans share."""
        if solves:
            return tuple(block.record for block in self._blocks)
        wires = self._wires_of(operation)
        if wires.open:
            self._plans.clear()  # no vector is solved by itself any more
        return wires.records(like)

    def _wires_of(self, operation: str) -> WireSetup:
        found = self._wires.get(operation)
        if found is None:
            found = self._wires[operation] = WireSetup(self._blocks, operation)
        return found

    def _piece(self, contraction: Contraction, block: Block, operation: str) -> Contraction:
        """The map restricted to one block."""
        if len(self._blocks) == 1:
            return contraction
        axis = 1 if operation == "mvm" else 0
        inputs, first = block.part(axis), block.part(1 - axis).start
        group = first * contraction.row_groups // self._blocks[-1].part(1 - axis).stop
        return ColumnPart(contraction.row_group(group), inputs.start, inputs.stop)

    def _vectors(self, operation: str, x: Array, rng: Any) -> Array:
        """Products with vectors ``(count, length)``, in the user's dtype rules."""
        backend = backend_of(x)
        given = backend.dtype_name(x)
        is_complex = given.startswith("complex")
        if is_complex and not self.complex_valued:
            raise InputError(
                f"input has dtype {given}, but core.complex_input is False; set it to True, or multiply the real and "
                "imaginary parts separately"
            )
        dtype = output_dtype(self.params.core.output_dtype, self._dtype, given)
        working = joint_dtype(self._dtype, given)
        solves = self._wires_of(operation).solves(x)
        if not self.complex_valued:
            y = self._run(operation, backend.astype(x, working), Dense(x.shape[1]), rng, solves=solves)
            return cast_output(y, dtype)
        y = self._complex_vectors(operation, x, is_complex, working, rng, solves)
        if not dtype.startswith("complex"):
            if is_complex or self._dtype.startswith("complex"):
                raise InputError(
                    f"core.output_dtype makes {dtype} of a complex result, which would lose its imaginary part; "
                    "choose NATIVE"
                )
            y = backend.xp.real(y)
        return cast_output(y, dtype)

    def _complex_vectors(
        self, operation: str, x: Array, is_complex: bool, working: str, rng: Any, solves: bool
    ) -> Array:
        """Drive real and imaginary parts side by side on the stored matrix ``[[Re, -Im], [Im, Re]]``."""
        backend = backend_of(x)
        xp = backend.xp
        real = backend.astype(xp.real(x) if is_complex else x, working)
        imag = backend.astype(xp.imag(x), working) if is_complex else xp.zeros_like(real)
        parts = [real, imag] if operation == "mvm" else [imag, real]
        y = self._run(operation, xp.concat(parts, axis=1), Dense(2 * x.shape[1]), rng, solves=solves)
        half = y.shape[1] // 2
        first, second = y[:, :half], y[:, half:]
        return first + 1j * second if operation == "mvm" else second + 1j * first

    def matmul(self, x: Any, *, rng: Any = None) -> Array:
        """``np.matmul(core, x)`` in analog; see `matvec`."""
        y = super().matmul(x, rng=rng)
        self._remember_direct(x)
        return y

    def __matmul__(self, x: Any) -> Array:
        # The plain case first: one matrix, one contraction, no noise, matching NumPy dtype. Everything else, and
        # every error message, takes the general way.
        if type(x) is np.ndarray:
            weights = self._direct.get(x.dtype)
            if weights is not None and 0 < x.ndim <= 2 and x.shape[0] == weights.shape[1]:
                return weights @ x
        return self.matmul(x)

    def _remember_direct(self, x: Any) -> None:
        """Keep the effective matrix where a whole MVM is one noise-free real product without change of dtype."""
        if type(x) is not np.ndarray or self._profile is not None or x.dtype in self._direct:
            return
        if self._wires_of("mvm").open:
            return
        dtype, kernel = x.dtype.name, None
        own = dtype == self._dtype == output_dtype(self.params.core.output_dtype, dtype, dtype) == compute_dtype(dtype)
        if own and not self.complex_valued and len(self._blocks) == 1:
            kernel = self._plans_of("mvm", x, Dense(self.ncol))[0].direct
        self._direct[x.dtype] = None if kernel is None else np.ascontiguousarray(kernel.weights.T)

    # --- looking inside -----------------------------------------------------------------------------------------------

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
        return to_spice(self, path, x, operation, input_slice=input_slice)

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
        scale = None if floor is None else output_per_current((b.record for b in self._blocks), self.params)
        seen = Profile(bins, None if scale is None else np.asarray(floor) / scale)
        with self.tapped(seen):
            yield seen

    @contextmanager
    def tapped(self, tap: Tap) -> Iterator[None]:
        """Let ``tap`` look at inputs and ADC inputs while they pass, during a ``with`` block."""
        outer, self._profile = self._profile, tap
        self._direct.clear()
        try:
            yield
        finally:
            self._profile = outer

    def __str__(self) -> str:
        return str(self.get_matrix())

    def __repr__(self) -> str:
        style = self.params.core.style.name
        return (
            f"AnalogCore(shape={self.shape}, dtype={self._dtype}, style={style}, partitions={self.Ncores}, "
            f"seed={self.seed})"
        )
