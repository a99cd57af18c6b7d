"""Products with vectors by a user's rules: which dtype a result has, and what becomes of complex numbers."""

from __future__ import annotations

from collections.abc import Callable

from crossohm.backends import Array, backend_of
from crossohm.chain.dtypes import cast_output, joint_dtype, output_dtype
from crossohm.chain.operation import Operation
from crossohm.chain.programming.state import CoreState
from crossohm.errors import InputError


def multiply_vectors(state: CoreState, operation: Operation, x: Array, run: Callable[[Array], Array]) -> Array:
    """Outputs ``(count, outputs)`` of a core for vectors ``(count, length)`` of any dtype.

    Args:
        state: The core.
        operation: Which product.
        x: The vectors.
        run: The product with real vectors of a floating dtype, on the matrix as it is stored.

    Raises:
        InputError: complex numbers on real hardware, a result that does not fit the dtype asked for.
    """
    backend = backend_of(x)
    given = backend.dtype_name(x)
    is_complex = given.startswith("complex")
    if is_complex and not state.complex_valued:
        raise InputError(
            f"input has dtype {given}, but core.complex_input is False; set it to True, or multiply the real and "
            "imaginary parts separately"
        )
    dtype = output_dtype(state.params.core.output_dtype, state.dtype, given)
    working = joint_dtype(state.dtype, given)
    if not state.complex_valued:
        return cast_output(run(backend.astype(x, working)), dtype)
    real = backend.astype(backend.xp.real(x) if is_complex else x, working)
    imag = backend.astype(backend.xp.imag(x), working) if is_complex else backend.xp.zeros_like(real)
    y = _multiply_complex(operation, real, imag, run)
    if not dtype.startswith("complex"):
        if is_complex or state.dtype.startswith("complex"):
            raise InputError(
                f"core.output_dtype makes {dtype} of a complex result, which would lose its imaginary part; "
                "choose NATIVE"
            )
        y = backend.xp.real(y)
    return cast_output(y, dtype)


def _multiply_complex(operation: Operation, real: Array, imag: Array, run: Callable[[Array], Array]) -> Array:
    """Drive real and imaginary parts side by side on the stored matrix ``[[Re, -Im], [Im, Re]]``."""
    backend, forward = backend_of(real), operation.forward
    y = run(backend.xp.concat([real, imag] if forward else [imag, real], axis=1))
    half = y.shape[1] // 2
    first, second = y[:, :half], y[:, half:]
    return backend.complex_of(first, second) if forward else backend.complex_of(second, first)
