"""`HeldMatrix`: one matrix in analog arrays that follows PyTorch parameters, and products with it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, final

import torch
from torch import Tensor

from crossohm.backends import backend_of
from crossohm.backends.torch_gradient import is_transforming
from crossohm.chain import AnalogCore
from crossohm.chain.dtypes import output_dtype
from crossohm.layers.held_matrix import HeldArrays
from crossohm.layers.maps.convolution import Convolution, with_all_cells
from crossohm.layers.product import DifferentiableContraction, chain_product, has_common_range, programmed_product
from crossohm.layers.wires import through_wires
from crossohm.torch.tracing import untraced
from crossohm.torch.transforms import refuse_transforms


@final
class HeldMatrix(HeldArrays):
    """One matrix of a layer in analog arrays; see `HeldArrays` for how it follows parameters.

    Products have the gradients that `AnalogLayer.gradient` asks for.
    """

    #: Parameters as they were looked at with those of the whole model: each with its version then, and fingerprint.
    glance: list[tuple[Tensor, int, int]] | None = None

    def looked_at(self) -> list[Tensor]:
        """What fingerprints are taken of: what the matrix holds of each parameter, with actual values."""
        return [backend_of(value).concrete(value) for value in self._stored()]

    def _stamps(self) -> tuple[int, ...]:
        if self.glance is None:
            return super()._stamps()
        pairs = zip(self.looked_at(), self.glance, strict=True)
        same = all(now.data_ptr() == then.data_ptr() and now._version == version for now, (then, version, _) in pairs)
        return tuple(stamp for *_, stamp in self.glance) if same else super()._stamps()

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "glance": None}

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
    def product_and_bias(self, x: Tensor, contraction: DifferentiableContraction, bias: Tensor) -> Tensor | None:
        """The product plus a digital bias in one pass and without gradient, or None if that cannot be had.

        Torch's convolutions add a bias while they write; where converters or noise come between, there is no such pass.
        """
        plain_call = not (torch.is_grad_enabled() or is_transforming() or torch.is_autocast_enabled(x.device.type))
        if not plain_call or self.vectors is not None or not isinstance(contraction, Convolution):
            return None
        core, dtype = self.core, backend_of(bias).dtype_name(bias)
        same = x.dtype == bias.dtype == self._like.dtype
        if not same or output_dtype(core.params.core.output_dtype, dtype, dtype) != dtype:
            return None
        kernel = core.direct_kernel(x, contraction)
        return None if kernel is None else contraction.contract(x, kernel, bias)

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


def _through_wires(core: AnalogCore, matrix: Tensor) -> Tensor:
    refuse_transforms("wires")
    return through_wires(lambda: core, matrix)


def _exactly(product: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """``product`` in the dtype of its inputs, whatever autocast wants."""

    def call(x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return product(x)

    return call
