"""What NumPy, and libraries that build on it, do with a core: multiply in analog, read its matrix, or are refused.

The rule: what multiplies by the matrix is analog (``@``, ``np.matmul``, ``np.dot``) or refused by name, since a digital
product would pass the converters by in silence. So is arithmetic, whose result would multiply digitally in the core's
place. Every other function reads `get_matrix`.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from types import FrameType
from typing import Any, final

import numpy as np

from crossohm.errors import OperandError

#: NumPy's products; some of them have an analog form.
PRODUCTS = {
    np.cross, np.convolve, np.correlate, np.dot, np.einsum, np.inner, np.kron, np.outer, np.tensordot, np.vdot,
    np.linalg.cross, np.linalg.matmul, np.linalg.matrix_power, np.linalg.multi_dot, np.linalg.outer,
    np.linalg.tensordot, np.linalg.vecdot,
}  # fmt: skip
#: Functions that write on their first argument.
WRITERS = {np.copyto, np.fill_diagonal, np.place, np.put, np.put_along_axis, np.putmask}
#: Functions that rearrange axes: the result is a view that multiplies in analog.
REARRANGING = {np.transpose, np.swapaxes, np.moveaxis, np.matrix_transpose, np.linalg.matrix_transpose}
#: What functions of other libraries are called that convert an operand in order to multiply by it.
PRODUCT_NAMES = {
    "dot", "vdot", "multi_dot", "tensordot", "einsum", "matmul", "rmatmul", "imatmul", "matmul_dispatch",
    "rmatmul_dispatch", "matvec", "rmatvec", "matmat", "rmatmat", "rdot", "mul", "rmul", "binary_op_wrapper",
    "r_binary_op_wrapper",
}  # fmt: skip
#: The same in NumPy, whose functions for masked arrays convert as well; elsewhere these names mean other things.
NUMPY_PRODUCT_NAMES = PRODUCT_NAMES | {"inner", "outer", "convolve", "correlate"}


class NumpyOperand(ABC):
    """A matrix in analog hardware as NumPy meets it."""

    #: Makes ``ndarray @ core`` ask the core.
    __array_priority__ = 101

    ndim: int

    @property
    @abstractmethod
    def T(self) -> Any:
        """The transpose, without copying; of a vector, the vector itself."""

    @abstractmethod
    def get_matrix(self) -> np.ndarray:
        """The values the programmed conductances represent."""

    @abstractmethod
    def matmul(self, x: Any, *, rng: Any = None) -> Any:
        """``np.matmul(A, x)`` in analog."""

    @abstractmethod
    def rmatmul(self, x: Any, *, rng: Any = None) -> Any:
        """``np.matmul(x, A)`` in analog."""

    @abstractmethod
    def dot(self, x: Any, *, rng: Any = None) -> Any:
        """``np.dot(A, x)`` in analog."""

    @abstractmethod
    def rdot(self, x: Any, *, rng: Any = None) -> Any:
        """``np.dot(x, A)`` in analog."""

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("a core has no array to share: its matrix is read from conductances; use copy=None")
        _refuse_product_of(sys._getframe(1))
        return np.asarray(self.get_matrix(), dtype=dtype).view(Reading)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        if method == "at" or _has_operand(options.get("out", ())):
            raise _cannot_write(f"np.{ufunc.__name__}")
        if ufunc is np.matmul and method == "__call__" and not options:
            return _pair(inputs, "matmul")
        if method in ("__call__", "outer") and ufunc.nin > 1 and not _compares(ufunc):
            name = f"np.{ufunc.__name__}" + (".outer" if method == "outer" else "")
            raise _is_digital(" with ".join([name, *options]))
        return getattr(ufunc, method)(*_read(inputs), **{key: _read(value) for key, value in options.items()})

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        if len(args) == 2 and not options and function in (np.dot, np.linalg.matmul):
            return _pair(args, function.__name__)
        if len(args) == 1 and not options and function in (np.shape, np.ndim, np.size):
            return getattr(self, function.__name__)
        if function in REARRANGING and args and args[0] is self:
            probe = np.empty((2, 3)[: self.ndim])
            return self.T if function(probe, *args[1:], **options).shape == (3, 2) else self
        name = f"{function.__module__}.{function.__name__}".replace("numpy", "np", 1)
        if function in PRODUCTS:
            raise _is_digital(name)
        if _has_operand(options.get("out")) or (function in WRITERS and _has_operand(args[:1])):
            raise _cannot_write(name)
        return function(*_read(args), **{key: _read(value) for key, value in options.items()})


@final
class Reading(np.ndarray):
    """The matrix as a core gives it to NumPy, which makes an ordinary array of it for ``np.asarray``.

    ``x.dot(core)`` does not: the method of an array asks nobody before it multiplies. But for its result it takes the
    kind of array that names the highest priority, and that is where it is caught.
    """

    _asked: bool = False

    @property
    def __array_priority__(self) -> float:
        self._asked = True
        return float("inf")

    def __array_finalize__(self, origin: Any) -> None:
        if isinstance(origin, Reading) and origin._asked:
            raise _is_digital("x.dot")

    def dot(self, *args: Any) -> Any:
        """Refused, as the method of any other array."""
        raise _is_digital("x.dot")

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        return getattr(ufunc, method)(*_plain(inputs), **{key: _plain(value) for key, value in options.items()})

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        return function(*_plain(args), **{key: _plain(value) for key, value in options.items()})


def _pair(operands: Any, operation: str) -> Any:
    """The analog product of two operands, one of which is a core."""
    left, right = operands
    if isinstance(left, NumpyOperand):
        return getattr(left, operation)(right)
    return getattr(right, f"r{operation}")(left)


def _compares(ufunc: Any) -> bool:
    return "dd->?" in ufunc.types


def _has_operand(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(map(_has_operand, value))
    return isinstance(value, NumpyOperand)


def _read(value: Any) -> Any:
    """``value`` with the matrices of cores in their place."""
    if isinstance(value, NumpyOperand):
        return value.get_matrix()
    return _each(_read, value)


def _plain(value: Any) -> Any:
    """``value`` with ordinary arrays in the place of `Reading` ones."""
    return value.view(np.ndarray) if isinstance(value, Reading) else _each(_plain, value)


def _each(function: Any, value: Any) -> Any:
    return type(value)(map(function, value)) if type(value) in (list, tuple) else value


def _refuse_product_of(caller: FrameType | None) -> None:
    """Refuse if a library converts a core in order to multiply by it: a data frame, a sparse matrix, a masked array.

    Such operands are asked before the core, and then ask it for an array. Nothing but the name of the function that
    asks tells this from an explicit ``np.asarray(core)``; looked at are NumPy's own frames and those of the one package
    that called it.
    """
    asking = "numpy"
    while caller is not None:
        package = str(caller.f_globals.get("__name__", "")).partition(".")[0]
        if package not in ("numpy", asking) and asking != "numpy":
            return
        asking = asking if package == "numpy" else package
        name = caller.f_code.co_name.strip("_")
        if name in (NUMPY_PRODUCT_NAMES if package == "numpy" else PRODUCT_NAMES):
            raise _is_digital(f"{caller.f_code.co_name} of {package}")
        caller = caller.f_back


def _is_digital(name: str) -> OperandError:
    return OperandError(
        f"{name}: with a core this would compute digitally and pass its converters by; write core @ x or x @ core with "
        "an array x of NumPy, PyTorch, JAX or TensorFlow (core.rmatmul(x) takes data frames and sparse matrices as "
        "well), or use core.get_matrix() where digital numbers are wanted"
    )


def _cannot_write(name: str) -> OperandError:
    return OperandError(f"{name} cannot write on a core; assign to it, core[...] = values, to program its arrays")
