"""The matrices of the usual layers: where each framework's parameters lie in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

from crossohm.layers.layout import Layout, Placement, View


def dense(
    outputs: int,
    inputs: int,
    bias_columns: int = 0,
    *,
    weight: str = "weight",
    bias: str = "bias",
    inputs_first: bool = False,
    part: tuple[int, int] = (0, 1),
    bias_part: tuple[int, int] = (0, 1),
) -> Layout:
    """A product with a matrix of parameters, and a bias.

    Args:
        outputs: Rows of the matrix.
        inputs: Columns of the matrix without those of the bias.
        bias_columns: Columns that hold the bias, with equal shares; 0: it is no part of the matrix.
        weight: Name of the parameter ``(outputs, inputs)``, or ``(inputs, outputs)`` if ``inputs_first``.
        bias: Name of the parameter ``(outputs,)``.
        inputs_first: See ``weight``.
        part: ``(index, count)``: the weight is ``count`` times as high, and the matrix is its part ``index``.
        bias_part: The same of the bias.
    """
    height, rows = outputs * part[1], slice(0, outputs)
    view = View.of((inputs, height), (1, 0)) if inputs_first else View.of((height, inputs))
    placements = [Placement(weight, view, _part(outputs, part[0]), rows, slice(0, inputs))]
    if bias_columns:
        own = _part(outputs, bias_part[0])
        placements.append(shared(bias, (outputs * bias_part[1],), own, rows, inputs, bias_columns))
    return Layout((outputs, inputs + bias_columns), tuple(placements))


def _part(size: int, index: int) -> slice:
    return slice(index * size, (index + 1) * size)


def convolutional(
    view: View, groups: int, bias_columns: int = 0, *, per_group: bool = False, weight: str = "weight"
) -> Layout:
    """A convolution whose kernel is seen as ``(outputs, channels of a group * taps)``.

    Args:
        view: The kernel, see `kernel_of_outputs`, `kernel_of_inputs` and `kernel_of_taps`.
        groups: Blocks of channels that are connected; matrix columns are those of all channels, group by group.
        bias_columns: Columns that hold ``bias``.
        per_group: Every group has arrays of its own; the columns are those of one group's channels.
        weight: Name of the kernel.
    """
    outputs, own = view.size
    inputs = own if per_group else own * groups
    rows, columns = slice(0, outputs), slice(0, inputs)
    kernel = Placement(weight, view, rows, rows, columns, diagonal=1 if per_group else groups)
    placements = (kernel, *_bias(outputs, inputs, bias_columns))
    return Layout((outputs, inputs + bias_columns), placements, groups if per_group else 1)


def kernel_of_outputs(outputs: int, channels: int, taps: Sequence[int]) -> View:
    """PyTorch's convolutions: ``(outputs, channels of a group, *taps)``."""
    return View.of((outputs, channels, *taps))


def kernel_of_inputs(inputs: int, outputs: int, groups: int, taps: Sequence[int]) -> View:
    """PyTorch's transposed convolutions: ``(inputs, outputs of a group, *taps)``, applied with reversed taps."""
    rank = len(taps)
    split = (groups, inputs // groups, outputs // groups, *taps)
    order = (0, 2, 1, *range(3, 3 + rank))
    return View((inputs, outputs // groups, *taps), split, order, tuple(range(3, 3 + rank)), lead=2)


def kernel_of_taps(taps: Sequence[int], channels: int, outputs: int) -> View:
    """Convolutions of Keras and Flax: ``(*taps, channels of a group, outputs)``."""
    rank = len(taps)
    return View.of((*taps, channels, outputs), (rank + 1, rank, *range(rank)))


def kernel_of_depths(taps: Sequence[int], channels: int, multiplier: int) -> View:
    """Depthwise convolutions of Keras, ``(*taps, channels, multiplier)``: each channel's outputs lie together."""
    rank = len(taps)
    return View.of((*taps, channels, multiplier), (rank, rank + 1, *range(rank)), lead=2)


def kernel_of_taps_transposed(taps: Sequence[int], outputs: int, channels: int) -> View:
    """Transposed convolutions of Keras: ``(*taps, outputs, channels)``, applied with reversed taps."""
    rank = len(taps)
    shape = (*taps, outputs, channels)
    return View(shape, shape, (rank, rank + 1, *range(rank)), tuple(range(2, 2 + rank)))


def _bias(outputs: int, inputs: int, columns: int) -> tuple[Placement, ...]:
    if not columns:
        return ()
    return (shared("bias", (outputs,), slice(0, outputs), slice(0, outputs), inputs, columns),)


def shared(parameter: str, shape: tuple[int, ...], part: slice, rows: slice, start: int, columns: int) -> Placement:
    """A vector of biases, or ``part`` of it, in ``columns`` columns from ``start`` on that share it equally."""
    view = View(shape, (prod(shape),), (0,))
    return Placement(parameter, view, part, rows, slice(start, start + columns), shares=True)


def recurrent(
    sizes: tuple[int, int, int],
    blocks: int,
    of_input: Sequence[int],
    of_hidden: Sequence[int],
    bias_columns: tuple[int, int] = (0, 0),
    suffix: str = "",
) -> Layout:
    """A recurrent cell: ``weight_ih`` and ``weight_hh`` side by side, then the columns of ``bias_ih`` and ``bias_hh``.

    The matrix has blocks of rows; parameters have their gates one below the other in the same way, but need not have
    all blocks: the others hold zeros.

    Args:
        sizes: Rows of a block, inputs, hidden inputs.
        blocks: Row blocks of the matrix.
        of_input: The blocks of ``weight_ih`` and ``bias_ih``, in the order of their gates.
        of_hidden: The blocks of ``weight_hh`` and ``bias_hh``.
        bias_columns: Columns that hold ``bias_ih`` and ``bias_hh``; 0: they are no part of the matrix.
        suffix: How the names of the parameters end.
    """
    height, inputs, hidden = sizes
    width = inputs + hidden
    sides = (("ih", of_input, 0, inputs), ("hh", of_hidden, inputs, width))
    starts = (width, width + bias_columns[0])
    placements: list[Placement] = []
    for kind, gates, start, stop in sides:
        view = View.of((len(gates) * height, stop - start))
        columns = slice(start, stop)
        placements += (
            Placement(f"weight_{kind}{suffix}", view, part, rows, columns) for part, rows in _runs(gates, height)
        )
    for (kind, gates, *_), start, count in zip(sides, starts, bias_columns, strict=True):
        if count:
            shape = (len(gates) * height,)
            placements += (
                shared(f"bias_{kind}{suffix}", shape, part, rows, start, count) for part, rows in _runs(gates, height)
            )
    return Layout((blocks * height, width + sum(bias_columns)), tuple(placements))


def _runs(gates: Sequence[int], height: int) -> Iterator[tuple[slice, slice]]:
    """Rows of a parameter, and rows of the matrix where they lie, for each run of gates with neighbouring blocks."""
    first = 0
    for gate in range(1, len(gates) + 1):
        if gate == len(gates) or gates[gate] != gates[gate - 1] + 1:
            block = gates[first]
            yield slice(first * height, gate * height), slice(block * height, (block + gate - first) * height)
            first = gate
