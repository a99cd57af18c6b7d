"""PyTorch tensors, on whatever device they live."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import reduce
from typing import Any, final

import array_api_compat.torch as xp
import numpy as np
import torch
import torch.nn.functional as F
from torch.nn import grad as gradients

from crossohm.backends import Array, Work, beyond
from crossohm.backends.convolution import Steps
from crossohm.backends.quantile import Indexed
from crossohm.backends.torch_fingerprint import digest, fingerprint
from crossohm.backends.torch_gradient import WithGradient, is_transforming
from crossohm.errors import InputError, UnsupportedError

#: By number of axes of positions.
_CONVOLVE = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_INPUT_GRADIENT = {1: gradients.conv1d_input, 2: gradients.conv2d_input, 3: gradients.conv3d_input}
_KERNEL_GRADIENT = {1: gradients.conv1d_weight, 2: gradients.conv2d_weight, 3: gradients.conv3d_weight}


@contextmanager
def _apart() -> Iterator[None]:
    """Plain tensors, also inside `torch.inference_mode` and `torch.func` transforms: training may use them later."""
    with torch._C._DisableFuncTorch(), torch.inference_mode(False), torch.no_grad():
        yield


@final
class TorchStream:
    def __init__(self, generator: torch.Generator | None) -> None:
        self._generator = generator

    @classmethod
    def of_seeds(cls, seeds: torch.Tensor) -> TorchStream:
        """Draws that follow from two integers."""
        first, second = (int(seed) & 0xFFFFFFFF for seed in seeds)
        return cls(torch.Generator(seeds.device).manual_seed(first << 32 | second))

    def normal(self, like: Array) -> Array:
        return torch.empty_like(like, memory_format=torch.contiguous_format).normal_(generator=self._generator)

    def uniform(self, like: Array) -> Array:
        return torch.rand(like.shape, generator=self._generator, dtype=like.dtype, device=like.device)


@final
class TorchBackend(Indexed):
    name = "torch"
    xp = xp

    def asarray(self, value: Any, like: Array) -> Array:
        return torch.as_tensor(value, dtype=like.dtype, device=like.device)

    def indices(self, value: Any, like: Array) -> Array:
        return torch.as_tensor(np.asarray(value, dtype=np.int64), device=like.device)

    def to_numpy(self, value: Array) -> np.ndarray:
        host = value.detach().cpu()
        if host.dtype == torch.bfloat16:
            host = host.float()
        return host.numpy()  # type: ignore[no-any-return]

    def dtype_name(self, value: Array) -> str:
        return str(value.dtype).removeprefix("torch.")

    def astype(self, value: Array, dtype: str) -> Array:
        return value.to(getattr(torch, dtype))

    def eager(self) -> AbstractContextManager[Any]:
        return _apart()

    def concrete(self, value: Array) -> Array:
        functorch = torch._C._functorch
        if not functorch.is_functorch_wrapped_tensor(value):
            return value.detach()
        while functorch.is_functorch_wrapped_tensor(value):
            if functorch.is_batchedtensor(value):
                raise UnsupportedError(
                    "torch.func.vmap over the parameters of an analog layer: its arrays hold one matrix at a time; "
                    "loop over the parameters, or vmap over inputs only"
                )
            value = functorch.get_unwrapped(value)
        with torch._C._DisableFuncTorch():
            return value.detach()

    def fingerprint(self, value: Array) -> int:
        plain = self.concrete(value)
        with torch._C._DisableFuncTorch():
            return fingerprint(plain)

    def digest(self, value: Array) -> Array:
        return digest(value.detach())

    def is_traced(self, value: Array) -> bool:
        return False

    def round_within(self, x: Array, first: int, last: int) -> Array:
        if not (x.requires_grad and torch.is_grad_enabled()):
            return x.round_().clamp_(first, last)
        return self.convert(x, first, last, torch.round)

    def convert(self, x: Array, low: float, high: float, decide: Callable[[Array], Array]) -> Array:
        value = decide(torch.clamp(x.detach(), low, high))
        if not (x.requires_grad and torch.is_grad_enabled()):
            return value
        return self.straight_through(value, torch.clamp(x, *beyond(low, high, torch.finfo(x.dtype).eps)))

    def add_scaled(self, total: Array, x: Array, factor: Any) -> Array:
        return total.add_(x, alpha=factor) if isinstance(factor, float) else total.addcmul_(x, factor)

    def transposed(self, matrix: Array) -> Array:
        return matrix.T

    def padded(self, vectors: Array) -> Array:
        return F.pad(vectors, (0, 1))

    def complex_of(self, real: Array, imag: Array) -> Array:
        return real + 1j * imag

    def assigned(self, array: Array, index: tuple[Array, ...], values: Array) -> Array:
        return array.clone().index_put_(index, values)

    def assembled(self, shape: tuple[int, int], blocks: Sequence[tuple[slice, slice, Array]]) -> Array:
        dtype = reduce(torch.promote_types, (block.dtype for _, _, block in blocks))
        found = blocks[0][2].new_zeros(shape, dtype=dtype)
        for rows, columns, block in blocks:
            found[rows, columns] = block
        return found

    def parted(self, x: Array, count: int, axis: int = -1) -> Sequence[Array]:
        return x.chunk(count, axis)  # type: ignore[no-any-return]

    def root(self, x: Array) -> Array:
        if not (x.requires_grad and torch.is_grad_enabled()):
            return x.relu_().sqrt_()
        positive = x > 0
        return torch.where(positive, torch.where(positive, x, 1).sqrt(), 0)

    def clip(self, x: Array, low: float, high: float) -> Array:
        return torch.clamp(x, low, high)

    def straight_through(self, value: Array, surrogate: Array) -> Array:
        if not surrogate.requires_grad:
            return value
        return value.detach() + (surrogate - surrogate.detach())

    def differentiates(self, value: Array) -> bool:
        return (value.requires_grad and torch.is_grad_enabled()) or is_transforming()

    def with_gradient(
        self,
        forward: Callable[..., Array],
        backward: Callable[..., Sequence[Array | None]],
        inputs: Sequence[Array | None],
        kept: Sequence[Array | None],
        batched: bool = False,
    ) -> Array:
        return WithGradient.apply(forward, backward, len(inputs), batched, *inputs, *kept)

    def pulled_back(self, function: Callable[[Array], Array], value: np.ndarray, grad: np.ndarray, like: Array) -> Any:
        leaf, wanted = (torch.as_tensor(given, device=like.device) for given in (value, grad))
        with torch.enable_grad():
            result = function(leaf.requires_grad_())
        (found,) = torch.autograd.grad(result, leaf, wanted)
        return found.cpu().numpy()

    def on_accelerator(self, value: Array) -> bool:
        return value.is_cuda  # type: ignore[no-any-return]

    def detached(self, value: Array) -> Array:
        return value.detach()

    def inverse_of_positive(self, matrices: Array) -> Array:
        factor, failed = torch.linalg.cholesky_ex(matrices)
        inverse = torch.cholesky_inverse(factor)
        return torch.where(failed[..., None, None] == 0, inverse, torch.nan)

    def writable(self, value: Array) -> Array:
        return value.clone(memory_format=torch.contiguous_format)

    def share_outside(self, value: Array, low: float, high: float) -> float | None:
        wrapped = torch._C._functorch.is_functorch_wrapped_tensor(value)
        known = not (wrapped or value.is_meta or torch.jit.is_tracing())
        driven = int(torch.count_nonzero(value)) if known else 0
        return int(torch.count_nonzero(((value < low) | (value > high)) & (value != 0))) / driven if driven else None

    def key(self, like: Array) -> tuple[Any, ...]:
        return ("torch", like.dtype, like.device)

    def move(self, value: Array, like: Array) -> Array:
        return value.to(like.device)

    def operation_rng(self, rng: Any, host: np.random.Generator, x: Array) -> Any:
        return rng

    def convolve(self, x: Array, kernel: Array, steps: Steps, bias: Array | None = None) -> Array:
        function = _CONVOLVE[len(steps.stride)]
        return function(x, kernel, bias, steps.stride, steps.padding or 0, steps.dilation, steps.groups)

    def convolution_input_gradient(self, grad: Array, kernel: Array, shape: tuple[int, ...], steps: Steps) -> Array:
        function = _INPUT_GRADIENT[len(steps.stride)]
        return function(shape, kernel, grad, steps.stride, steps.margin, steps.dilation, steps.groups)

    def convolution_kernel_gradient(self, grad: Array, x: Array, shape: tuple[int, ...], steps: Steps) -> Array:
        function = _KERNEL_GRADIENT[len(steps.stride)]
        return function(x, shape, grad, steps.stride, steps.margin, steps.dilation, steps.groups)

    def taps_of(self, x: Array, taps: tuple[int, ...], steps: Steps) -> Array:
        if any(steps.margin):
            x = F.pad(x, [side for width in reversed(steps.margin) for side in (width, width)])
        for axis, (count, stride, step) in enumerate(zip(taps, steps.stride, steps.dilation, strict=True), start=2):
            x = x.unfold(axis, step * (count - 1) + 1, stride)[..., ::step]
        return x.movedim(1, 1 + len(taps))

    def renewed(self, stale: Array, kept: tuple[Array, ...], work: Work, inputs: Sequence[Array]) -> tuple[Array, ...]:
        if not stale:
            return kept
        found = work(*(value.detach().cpu().numpy() for value in inputs))
        return tuple(self.asarray(value, like) for value, like in zip(found, kept, strict=True))

    def stream(self, rng: Any) -> TorchStream:
        if isinstance(rng, torch.Tensor) and rng.shape == (2,) and not rng.is_floating_point():
            return TorchStream.of_seeds(rng)
        if rng is not None and not isinstance(rng, torch.Generator):
            raise InputError(
                f"rng = {rng!r}: PyTorch inputs take a torch.Generator, two integer seeds as a tensor of shape (2,), "
                "or None for torch's global generator (torch.manual_seed)"
            )
        return TorchStream(rng)


BACKEND = TorchBackend()
