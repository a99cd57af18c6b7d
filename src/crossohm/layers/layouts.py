"""The matrices of the usual layers: where each framework's parameters lie in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import final

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


@final
@dataclass(frozen=True)
class Blocks:
    """Where the gates of a recurrent cell lie in one of its matrices, in blocks of as many rows as the cell has units.

    Attributes:
        count: Blocks of the matrix. Where one holds no gate of the inputs, or of the state, it holds zeros.
        of_input: The block of each gate of the parameters for the inputs, in their order; None: in another matrix.
        of_hidden: The same for the parameters for the state.
    """

    count: int
    of_input: tuple[int | None, ...]
    of_hidden: tuple[int | None, ...]


#: Name of one parameter for all gates of a cell, or names of one for each.
Names = str | tuple[str, ...]


@final
@dataclass(frozen=True)
class CellParameters:
    """Names and forms of the parameters of a recurrent cell: those for its inputs, and those for its state.

    Attributes:
        weights: Names of the weights ``(gates * units, inputs)``, or ``(inputs, gates * units)`` if ``inputs_first``.
            Where each gate has a weight of its own, a tuple of their names.
        biases: Names of the biases ``(gates * units,)``, None where there is none. One name for both is one parameter
            ``(2, gates * units)``; a tuple of names, as for ``weights``.
        inputs_first: See ``weights``.
    """

    weights: tuple[Names, Names] = ("weight_ih", "weight_hh")
    biases: tuple[Names | None, Names | None] = ("bias_ih", "bias_hh")
    inputs_first: bool = False

    @property
    def joint_bias(self) -> bool:
        """True if both biases are one parameter."""
        return self.biases[0] is not None and self.biases[0] == self.biases[1]


def recurrent(
    sizes: tuple[int, int, int],
    blocks: Blocks,
    bias_columns: tuple[int, int] = (0, 0),
    parameters: CellParameters = CellParameters(),
) -> Layout:
    """A matrix of a recurrent cell: weights of inputs and state side by side, then the columns of their biases.

    Args:
        sizes: Units, inputs, hidden inputs.
        blocks: Which gates the matrix holds, and where.
        bias_columns: Columns that hold the biases of inputs and state; 0: they are no part of the matrix.
        parameters: What the parameters are called and how they lie.
    """
    units, inputs, hidden = sizes
    placements: list[Placement] = []
    sides = zip(parameters.weights, (blocks.of_input, blocks.of_hidden), (0, inputs), (inputs, hidden), strict=True)
    for weights, every, start, size in sides:
        for weight, gates in _apart(weights, every):
            height, columns = len(gates) * units, slice(start, start + size)
            view = View.of((size, height), (1, 0)) if parameters.inputs_first else View.of((height, size))
            placements += (Placement(weight, view, part, rows, columns) for part, rows in _runs(gates, units))
    width = inputs + hidden
    placements += _biases(units, blocks, width, bias_columns, parameters)
    return Layout((blocks.count * units, width + sum(bias_columns)), tuple(placements))


def _biases(
    units: int, blocks: Blocks, start: int, columns: tuple[int, int], parameters: CellParameters
) -> Iterator[Placement]:
    """Both biases from column ``start`` on."""
    first, joint = 0, parameters.joint_bias
    for biases, every, count in zip(parameters.biases, (blocks.of_input, blocks.of_hidden), columns, strict=True):
        for bias, gates in _apart(biases, every) if count and biases is not None else ():
            height = len(gates) * units
            shape = (2, height) if joint else (height,)
            for part, rows in _runs(gates, units):
                own = slice(first + part.start, first + part.stop)
                yield shared(bias, shape, own, rows, start, count)
        start, first = start + count, len(every) * units if joint else 0


def _apart(names: Names, gates: tuple[int | None, ...]) -> Iterator[tuple[str, tuple[int | None, ...]]]:
    """Each parameter, with the blocks of its gates."""
    if isinstance(names, str):
        yield names, gates
        return
    for name, gate in zip(names, gates, strict=True):
        yield name, (gate,)


def _runs(gates: Sequence[int | None], height: int) -> Iterator[tuple[slice, slice]]:
    """Rows of a parameter, and rows of the matrix where they lie, for each run of gates with neighbouring blocks."""
    first = 0
    for gate in range(1, len(gates) + 1):
        block, before = gates[first], gates[gate - 1]
        if gate == len(gates) or before is None or gates[gate] != before + 1:
            if block is not None:
                yield slice(first * height, gate * height), slice(block * height, (block + gate - first) * height)
            first = gate
