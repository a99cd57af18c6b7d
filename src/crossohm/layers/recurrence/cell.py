"""Time steps of recurrent cells on arrays: their matrices, digital biases and step function, in every framework."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import final

from crossohm.backends import Array, backend_of
from crossohm.layers.layout import Layout
from crossohm.layers.layouts import Blocks, CellParameters, Names, recurrent
from crossohm.layers.recurrence.gates import Gates, State

#: Analog outputs ``(batch, rows)`` for inputs, what takes the place of the state, and ones, ``(batch, columns)``.
Product = Callable[[Array], Array]

#: Next state for inputs ``(batch, features)`` and the present state.
Step = Callable[[Array, State], State]

#: What follows the name of a cell in those of its matrices.
_SUFFIXES = ("", ".candidate")


@final
@dataclass(frozen=True)
class RecurrentCell:
    """A recurrent cell of given sizes, and how its parameters are held.

    Attributes:
        gates: The kind of cell.
        sizes: Units, inputs, hidden inputs.
        parameters: Names and forms of the parameters; biases without a name do not exist.
        bias_columns: Matrix columns that hold the bias of the inputs and that of the state; 0 adds it digitally.
    """

    gates: Gates
    sizes: tuple[int, int, int]
    parameters: CellParameters
    bias_columns: tuple[int, int] = (0, 0)

    def layouts(self) -> dict[str, Layout]:
        """The matrices, by what follows the name of the cell in theirs."""
        return {
            suffix: recurrent(self.sizes, blocks, self._columns, self.parameters)
            for suffix, blocks in zip(_SUFFIXES, self.gates.matrices, strict=False)
        }

    @cached_property
    def ones(self) -> int:
        """Bias columns of each matrix, which are driven with one."""
        return sum(self._columns)

    @property
    def _columns(self) -> tuple[int, int]:
        """Columns per bias: none for one that does not exist."""
        (of_input, of_hidden), (first, second) = self.parameters.biases, self.bias_columns
        return first if of_input else 0, second if of_hidden else 0

    @cached_property
    def digital_biases(self) -> tuple[str, ...]:
        """Names of the parameters that are added digitally."""
        return tuple(dict.fromkeys(name for names, _ in self._digital for name in _every(names)))

    @cached_property
    def _digital(self) -> list[tuple[Names, int]]:
        """The biases that are added digitally, and whose they are: of the inputs (0), of the state (1)."""
        named = zip(self.parameters.biases, self.bias_columns, strict=True)
        return [(name, side) for side, (name, columns) in enumerate(named) if name is not None and not columns]

    @property
    def of_state(self) -> slice:
        """The columns of each matrix that meet what takes the place of the state."""
        _, inputs, hidden = self.sizes
        return slice(inputs, inputs + hidden)

    def stepping(
        self,
        products: Sequence[Product],
        values: Mapping[str, Array],
        project: Product | None = None,
        begun: bool = False,
    ) -> Step:
        """The step function, for parameters as they are now.

        Args:
            products: One per matrix.
            values: The parameters of `digital_biases`, by name.
            project: Makes the hidden state the product of one more matrix.
            begun: Products know the inputs of every step, and the ones; they take only what takes the state's place.
        """
        advance, drive = self.gates.advance, _continued if begun else partial(_driven, self.ones)
        drives = tuple(
            partial(drive, product, self.digital_bias(blocks, values))
            for product, blocks in zip(products, self.gates.matrices, strict=True)
        )

        def step(x: Array, state: State) -> State:
            state = advance(drives, x, state)
            return state if project is None else (project(state[0]), *state[1:])

        return step

    def digital_bias(self, blocks: Blocks, values: Mapping[str, Array]) -> Array | None:
        """The digital biases of one matrix together, ``(rows,)``."""
        parts = []
        for names, side in self._digital:
            given = [values[name] for name in _every(names)]
            bias = given[0] if len(given) == 1 else backend_of(given[0]).xp.concat(given, axis=0)
            bias = bias[side] if self.parameters.joint_bias else bias
            parts.append(_in_blocks(bias, (blocks.of_input, blocks.of_hidden)[side], blocks.count))
        return sum(parts[1:], parts[0]) if parts else None


def _every(names: Names) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else names


def _in_blocks(bias: Array, gates: tuple[int | None, ...], count: int) -> Array:
    """A bias ``(gates * units,)`` at its rows of the matrix, zeros at the others."""
    if gates == tuple(range(count)):
        return bias
    backend = backend_of(bias)
    parts = dict(zip(gates, backend.parted(bias, len(gates)), strict=True))
    nothing = backend.xp.zeros_like(parts[gates[0]])
    return backend.xp.concat([parts.get(block, nothing) for block in range(count)], axis=0)


def _driven(ones: int, product: Product, bias: Array | None, x: Array, hidden: Array) -> Array:
    """Pre-activations for inputs and what takes the place of the state, ``(batch, features)`` each."""
    xp = backend_of(x).xp
    lines = [xp.ones_like(x[:, :1])] * ones if ones else []
    return _continued(product, bias, x, xp.concat([x, hidden, *lines], axis=1))


def _continued(product: Product, bias: Array | None, _: Array, vectors: Array) -> Array:
    """Pre-activations for what the product takes."""
    sums = product(vectors)
    return sums if bias is None else sums + bias
