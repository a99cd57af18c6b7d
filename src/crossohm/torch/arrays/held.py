"""`HeldMatrix`: one matrix in analog arrays that follows PyTorch parameters, and products with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any, TypeVar, final

import torch
import torch.nn.functional as F
from torch import Tensor

from crossohm.backends import backend_of
from crossohm.backends.torch_gradient import is_transforming
from crossohm.chain import AnalogCore, Dense
from crossohm.chain.dtypes import counts_steps, output_dtype
from crossohm.layers.held_matrix import HeldArrays
from crossohm.layers.maps.convolution import Convolution, with_all_cells
from crossohm.layers.product import (
    DifferentiableContraction,
    chain_product,
    has_common_range,
    programmed_product,
    with_ones,
)
from crossohm.layers.wires import through_wires
from crossohm.params import OutputDType
from crossohm.torch.arrays.witness import token
from crossohm.torch.tracing import untraced
from crossohm.torch.transforms import refuse_transforms

Form = TypeVar("Form")

#: Of a matrix whose parameters have not been looked at. No parameters have these tokens: there are some.
_NO_LOOK: tuple[tuple[int, ...], tuple[int, ...]] = (), ()


@final
class HeldMatrix(HeldArrays):
    """One matrix of a layer in analog arrays; see `HeldArrays` for how it follows parameters.

    Products have the gradients that `AnalogLayer.gradient` asks for.
    """

    #: Parameters as they were looked at with those of the whole model: each with its version then, and fingerprint.
    glance: list[tuple[Tensor, int, int]] | None = None

    #: Tokens of the parameters when they were last looked at, and what was found.
    _last_look: tuple[tuple[int, ...], tuple[int, ...]] = _NO_LOOK

    #: A kernel, and what was made of it.
    _formed: tuple[Any, Any] = (None, None)

    def looked_at(self) -> list[Tensor]:
        """What fingerprints are taken of: what the matrix holds of each parameter, with actual values."""
        return [backend_of(value).concrete(value) for value in self._stored()]

    def ideal(self) -> Tensor:
        """The ideal matrix without gradient, in memory of its own.

        NumPy gets this one when arrays are written: changes of a parameter that NumPy has had cannot be counted.
        """
        return super().ideal().clone()

    def _stamps(self) -> tuple[int, ...]:
        if self.glance is None:
            return self._looked_at_if_changed()
        pairs = zip(self.looked_at(), self.glance, strict=True)
        same = all(now.data_ptr() == then.data_ptr() and now._version == version for now, (then, version, _) in pairs)
        return tuple(stamp for *_, stamp in self.glance) if same else super()._stamps()

    def _looked_at_if_changed(self) -> tuple[int, ...]:
        tokens = tuple(token(value) for value in self._values().values())
        if tokens != self._last_look[0]:
            self._last_look = tokens, super()._stamps()
        return self._last_look[1]

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "glance": None, "_last_look": _NO_LOOK, "_formed": (None, None)}

    @untraced
    def product(self, x: Tensor, contraction: DifferentiableContraction) -> Tensor:
        """The analog product, with gradients as `AnalogLayer.gradient` says.

        The gradient of the matrix goes on through `form`.

        Args:
            x: ``(batch, features, *positions)``, with ones for the bias columns.
            contraction: How inputs meet the matrix.

        Returns:
            ``(batch, outputs, *positions)``.
        """
        return self.multiplier(contraction)(x)

    @untraced
    def plain_product(
        self, x: Tensor, contraction: DifferentiableContraction, bias: Tensor | None = None
    ) -> Tensor | None:
        """The product and a digital bias as one call of torch's own, without gradient; None if that is not the same."""
        if bias is not None and bias.dtype != x.dtype:
            return None
        kernel = self.plain_kernel(x, contraction)
        if kernel is None:
            return None
        if isinstance(contraction, Convolution):
            return contraction.contract(x, kernel, bias)
        return F.linear(x, kernel.weights.T, bias)

    @untraced
    def plain_kernel(self, x: Tensor, contraction: DifferentiableContraction) -> Any:
        """What ``x`` meets without gradient where nothing but the matrix acts: no converters, no noise, one array.

        Returns:
            The kernel that ``contraction`` takes; None elsewhere.
        """
        if not isinstance(contraction, Convolution | Dense):
            return None
        core = self._plain_core(x)
        kernel = None if core is None else core.direct_kernel(x, contraction)
        return kernel if isinstance(contraction, Convolution) or kernel is None or kernel.features is None else None

    def _plain_core(self, x: Tensor) -> AnalogCore | None:
        """The arrays, if products with ``x`` are theirs: without gradient, in one dtype, and not counted."""
        plain_call = not (torch.is_grad_enabled() or is_transforming() or torch.is_autocast_enabled(x.device.type))
        if not plain_call or self.vectors is not None:
            return None
        core = self.core
        same = x.dtype == self._like.dtype and _keeps_dtype(core.params.core.output_dtype, x.dtype)
        return core if same else None

    @untraced
    def sequence(self, inputs: Sequence[Tensor], ones: int, late: slice) -> Callable[[Tensor], Tensor] | None:
        """Products one after another without gradient, whose inputs are known beforehand but for late features.

        Only in single precision: sums are rounded otherwise than in whole products, which in double precision may tell
        on which side of a decision level they lie (`counts_steps`).

        Args:
            inputs: The other features of each product but the ones, ``(batch, features)``.
            ones: Features of constant one.
            late: The matrix columns that meet the late features.

        Returns:
            A function that takes the late features of the next product; None where that is not the same as `product`.
        """
        core = self._plain_core(inputs[0]) if counts_steps(backend_of(inputs[0]).dtype_name(inputs[0])) else None
        if core is None:
            return None
        early, sizes = with_ones(torch.cat(list(inputs)), ones), [len(x) for x in inputs]
        found = core.sequence(early, Dense(self.built.shape[1], ones), late, sizes)
        return None if found is None else partial(self._next, found)

    @untraced
    def _next(self, product: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        return product(x)

    def plain_form(self, x: Tensor, ones: int, form: Callable[[Tensor], Form]) -> Form | None:
        """What ``form`` makes of the weights ``(outputs, features)`` where vectors ``x`` meet nothing else.

        It is kept until the arrays are written again.

        Args:
            x: As for `plain_kernel`.
            ones: Features of constant one.
            form: What is wanted of the weights.
        """
        kernel = self.plain_kernel(x, Dense(self.built.shape[1], ones))
        if kernel is None:
            return None
        if self._formed[0] is not kernel:
            self._formed = kernel, form(kernel.weights.T)
        return self._formed[1]

    @untraced
    def multiplier(self, contraction: DifferentiableContraction) -> Callable[[Tensor], Tensor]:
        """`product` for several inputs in a row: parameters are looked at, and the matrix formed, only once."""
        core = self.core
        trained = torch.is_grad_enabled() and any(parameter.requires_grad for parameter in self._stored())
        matrix = self.form() if trained else None
        if self._layer.gradient == "wires":
            matrix, contraction = None if matrix is None else _through_wires(core, matrix), with_all_cells(contraction)
        product = self._through_chain if self._layer.gradient == "chain" else self._programmed
        return partial(product, core, contraction, matrix)

    @untraced
    def _programmed(
        self, core: AnalogCore, contraction: DifferentiableContraction, matrix: Tensor | None, x: Tensor
    ) -> Tensor:
        if matrix is None and not (x.requires_grad and torch.is_grad_enabled()) and not is_transforming():
            return self.multiply(core, contraction, x)

        def multiply(x: Tensor, _: None) -> Tensor:
            return self.multiply(core, contraction, x)

        held = partial(self.read_for_inputs, core)
        return programmed_product(multiply, contraction, matrix, held, x, in_common=has_common_range(core))

    def multiply(self, core: AnalogCore, contraction: DifferentiableContraction, x: Tensor) -> Tensor:
        """What the arrays of ``core`` return, without gradient."""
        return self._converted(core, x, _exactly(lambda working: core.apply(working, contraction)))

    @untraced
    def _through_chain(
        self, core: AnalogCore, contraction: DifferentiableContraction, matrix: Tensor | None, x: Tensor
    ) -> Tensor:
        refuse_transforms("chain")
        if not torch.is_grad_enabled() or (matrix is None and not x.requires_grad):
            return self.multiply(core, contraction, x)
        if matrix is None:
            x = x.clone()  # a layer without trained weights lets its input be changed afterwards
        return self._converted(core, x, _exactly(lambda working: chain_product(core, contraction, matrix, working)))


@cache  # asked for in every product
def _keeps_dtype(output: OutputDType, dtype: torch.dtype) -> bool:
    name = str(dtype).removeprefix("torch.")
    return output_dtype(output, name, name) == name


def _through_wires(core: AnalogCore, matrix: Tensor) -> Tensor:
    refuse_transforms("wires")
    return through_wires(lambda: core, matrix)


def _exactly(product: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """``product`` in the dtype of its inputs, whatever autocast wants."""

    def call(x: Tensor) -> Tensor:
        if not torch.is_autocast_enabled(x.device.type):
            return product(x)
        with torch.autocast(x.device.type, enabled=False):
            return product(x)

    return call
