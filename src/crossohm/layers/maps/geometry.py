"""Margins of convolutions, as the frameworks mean them, and the inputs that transposed convolutions convolve."""

from __future__ import annotations

from collections.abc import Sequence

from crossohm.backends import Array, backend_of
from crossohm.errors import ParameterError

#: Numbers added before and after, along each axis.
Margins = list[tuple[int, int]]


def torch_margins(padding: str | Sequence[int], taps: Sequence[int], dilation: Sequence[int]) -> Margins:
    """The padding of torch's convolutions: numbers for both sides, ``"valid"``, or ``"same"`` (of stride one)."""
    if padding == "valid":
        return [(0, 0)] * len(taps)
    if padding == "same":
        return [_halves(step * (count - 1)) for count, step in zip(taps, dilation, strict=True)]
    return [(int(width), int(width)) for width in padding]


def keras_margins(
    padding: str, size: Sequence[int], taps: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> Margins:
    """The padding of convolutions in Keras, for inputs of ``size``.

    ``"valid"`` adds nothing. ``"same"`` gives ``ceil(size / stride)`` outputs along each axis; what an odd number of
    zeros has more goes to the end. ``"causal"`` adds all in front, so that no output depends on later inputs.

    Raises:
        ParameterError: another padding.
    """
    axes = list(zip(size, taps, stride, dilation, strict=True))
    if padding == "valid":
        return [(0, 0) for _ in axes]
    if padding == "same":
        return [_halves(max(0, (-(-n // by) - 1) * by + step * (count - 1) + 1 - n)) for n, count, by, step in axes]
    if padding == "causal":
        return [(step * (count - 1), 0) for _, count, _, step in axes]
    raise ParameterError("padding", padding, "is no padding", allowed="valid, same, causal")


def transposed_margins(margins: Margins, extra: Sequence[int], taps: Sequence[int], dilation: Sequence[int]) -> Margins:
    """What surrounds the spread inputs of a transposed convolution, for a convolution of stride one.

    It is less than zero where inputs are cut off.

    Args:
        margins: What is cut off the output on both sides.
        extra: Added to the size of the output at the end of each axis.
        taps: Of the kernel.
        dilation: Distance of neighbouring taps.
    """
    axes = zip(margins, extra, taps, dilation, strict=True)
    reach = ((step * (count - 1), cut, more) for cut, more, count, step in axes)
    return [(width - before, width - after + more) for width, (before, after), more in reach]


def keras_transposed_margins(
    padding: str,
    taps: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
    output_padding: Sequence[int] | None,
) -> Margins:
    """What surrounds the spread inputs of a transposed convolution of Keras, for a convolution of stride one.

    With ``reach = dilation * (taps - 1) + 1``, the output has ``(n - 1) * stride + max(reach, stride)`` positions along
    each axis if ``"valid"``, ``n * stride`` if ``"same"``. ``output_padding`` replaces these rules: it is added to ``(n
    - 1) * stride + reach`` if ``"valid"``, to ``(n - 1) * stride + reach % 2`` if ``"same"``.

    Raises:
        ParameterError: another padding.
    """
    found = []
    for index, (count, by, step) in enumerate(zip(taps, stride, dilation, strict=True)):
        reach = step * (count - 1) + 1
        extra = None if output_padding is None else output_padding[index]
        if padding == "valid":
            more = max(reach, by) - reach if extra is None else extra
            found.append((reach - 1, reach - 1 + more))
        elif padding == "same":
            total = by + reach - 2 if extra is None else reach + reach % 2 - 2 + extra
            before = min(total - total // 2, reach - 1)
            found.append((before, total - before))
        else:
            raise ParameterError("padding", padding, "is no padding", allowed="valid, same")
    return found


def spread(x: Array, stride: Sequence[int]) -> Array:
    """Inputs ``(batch, channels, *size)`` with ``stride - 1`` zeros between neighbours along each axis."""
    for axis, step in enumerate(stride, start=2):
        x = _spread(x, axis, step)
    return x


def _spread(x: Array, axis: int, stride: int) -> Array:
    if stride == 1:
        return x
    xp, size = backend_of(x).xp, x.shape[axis]
    apart = xp.expand_dims(x, axis=axis + 1)
    zeros = xp.broadcast_to(xp.zeros_like(apart), (*x.shape[: axis + 1], stride - 1, *x.shape[axis + 1 :]))
    joined = xp.reshape(
        xp.concat([apart, zeros], axis=axis + 1), (*x.shape[:axis], size * stride, *x.shape[axis + 1 :])
    )
    return joined[(slice(None),) * axis + (slice(0, (size - 1) * stride + 1),)]


def _halves(total: int) -> tuple[int, int]:
    return total // 2, total - total // 2
