"""What recurrent cells and layers have in common: one matrix per cell that multiplies input and state at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from typing import Any, Self

from torch import Tensor, nn

from crossohm.chain import Dense
from crossohm.errors import ParameterError, ShapeError
from crossohm.layers.array_layer import checked_rows
from crossohm.layers.hardware import Hardware
from crossohm.layers.layout import Layout
from crossohm.layers.layouts import CellParameters, dense
from crossohm.layers.recurrence.cell import Product, RecurrentCell, Step
from crossohm.layers.recurrence.gates import Gates, State
from crossohm.torch.arrays.held import HeldMatrix
from crossohm.torch.layers.layer import AnalogLayer
from crossohm.torch.layers.sequence import Start

#: Matrix columns that hold a bias: one number, or one per layer.
BiasRows = int | Sequence[int]

#: How torch calls what belongs to the inputs, and to the state.
_KINDS = ("ih", "hh")


class AnalogRecurrent(AnalogLayer):
    """Base of recurrent cells and layers: a mixin before the torch layer.

    The matrix of a cell is ``(rows, inputs + hidden + bias columns)``: ``weight_ih`` and ``weight_hh`` side by side,
    then the columns of ``bias_ih``, then those of ``bias_hh``. Its rows are the gates in torch's order. A GRU has four
    blocks of rows: reset, update, and the new state's parts of the input and of the hidden state, which the reset gate
    keeps apart; the first of these holds programmed zeros at the hidden state, the second at the input. One product
    per time step multiplies ``[x_t, h_(t-1), 1...]``; nonlinearities and gates are digital. Errors of the programmed
    zeros act like all others, but a torch layer made with ``physical_weights`` has no place for them.
    """

    bias_kinds = 2
    #: How many numbers of bias rows each bias has: layers, or None for a cell, which has a plain number.
    num_layers: int | None = None

    input_size: int
    hidden_size: int
    bias: bool
    _rows: tuple[tuple[int, ...], tuple[int, ...]]

    # --- what a kind supplies -----------------------------------------------------------------------------------------

    def _gates(self) -> Gates:
        raise NotImplementedError

    def _suffixes(self) -> Iterator[tuple[str, int]]:
        """How the names of each cell's parameters end, and its layer."""
        raise NotImplementedError

    # --- conversion and biases ----------------------------------------------------------------------------------------

    @classmethod
    def from_torch(  # type: ignore[override]
        cls,
        layer: nn.Module,
        params: Hardware,
        bias_ih_rows: BiasRows = 0,
        bias_hh_rows: BiasRows = 0,
        *,
        seed: int | None = None,
        name: str = "core",
        **choices: Any,
    ) -> Self:
        """An analog layer that shares the parameters of ``layer``, and has its training flag, hooks and attributes.

        Args:
            layer: Exactly of the type this kind stands for.
            params: The hardware.
            bias_ih_rows: Matrix columns that hold ``bias_ih``; 0 adds it digitally. One number, or one per layer.
            bias_hh_rows: The same for ``bias_hh``.
            seed: The chip.
            name: Name of the core, or beginning of the names of the cores.
            **choices: Recurrent layers have none.

        Raises:
            UnsupportedError: ``layer`` is of another type.
        """
        return super().from_torch(layer, params, (bias_ih_rows, bias_hh_rows), seed=seed, name=name, **choices)

    @property
    def bias_ih_rows(self) -> int | list[int]:
        """Matrix columns that hold ``bias_ih``; 0: it is added digitally. Assignment rebuilds the arrays."""
        return self._plain(self._rows[0])

    @bias_ih_rows.setter
    def bias_ih_rows(self, value: BiasRows) -> None:
        self.install(self._params, (value, self._rows[1]), self.seed, self.name)

    @property
    def bias_hh_rows(self) -> int | list[int]:
        """Matrix columns that hold ``bias_hh``; 0: it is added digitally. Assignment rebuilds the arrays."""
        return self._plain(self._rows[1])

    @bias_hh_rows.setter
    def bias_hh_rows(self, value: BiasRows) -> None:
        self.install(self._params, (self._rows[0], value), self.seed, self.name)

    @property
    def analog_bias_ih(self) -> bool | list[bool]:
        """True if the arrays hold ``bias_ih``."""
        return self._plain([self.bias and rows > 0 for rows in self._rows[0]])

    @property
    def analog_bias_hh(self) -> bool | list[bool]:
        """True if the arrays hold ``bias_hh``."""
        return self._plain([self.bias and rows > 0 for rows in self._rows[1]])

    def _plain(self, values: Sequence[Any]) -> Any:
        return values[0] if self.num_layers is None else list(values)

    def _rows_text(self) -> str:
        return f"bias_ih_rows={self.bias_ih_rows}, bias_hh_rows={self.bias_hh_rows}"

    def _checked_rows(self, rows: Any) -> tuple[tuple[int, ...], ...]:
        return tuple(
            self._checked_per_layer(f"bias_{kind}_rows", given) for kind, given in zip(_KINDS, rows, strict=True)
        )

    def _checked_per_layer(self, argument: str, rows: Any) -> tuple[int, ...]:
        layers = self.num_layers or 1
        several = list(rows) if isinstance(rows, list | tuple) else [rows] * layers
        if len(several) != layers:
            problem = f"{type(self).__name__} has {layers} layers"
            raise ParameterError(argument, rows, problem, allowed=f"one number, or a list of {layers}")
        return tuple(checked_rows(argument, count) for count in several)

    # --- matrices -----------------------------------------------------------------------------------------------------

    def _cells(self, rows: tuple[tuple[int, ...], ...]) -> Iterator[tuple[str, RecurrentCell]]:
        """Each cell, behind how the names of its parameters end."""
        for suffix, number in self._suffixes():
            inputs, hidden = (self._part(f"weight_{kind}", suffix).shape[1] for kind in _KINDS)
            columns = (rows[0][number], rows[1][number])
            yield suffix, _cell(self._gates(), (self.hidden_size, inputs, hidden), suffix, self.bias, columns)

    @property
    def _projects(self) -> bool:
        """True if the hidden state is the product of one more matrix."""
        return bool(getattr(self, "proj_size", 0))

    def layouts(self, rows: Any) -> dict[str, Layout]:
        """A matrix per cell, followed by its projection if it has one."""
        found: dict[str, Layout] = {}
        for suffix, cell in self._cells(rows):
            name = suffix.replace("_", ".", 1)
            found |= {name + end: layout for end, layout in cell.layouts().items()}
            if self._projects:
                projection = self._part("weight_hr", suffix)
                found[f"{name}.projection"] = dense(*projection.shape, weight=f"weight_hr{suffix}")
        return found

    def _part(self, name: str, suffix: str) -> nn.Parameter:
        return getattr(self, name + suffix)

    def get_core_weights(self) -> tuple[Tensor | None, ...]:
        """The parameters as the arrays hold them, in torch's shapes; digital ones are themselves, missing ones None.

        First the weights, cell by cell, then the biases.
        """
        held, weights = self._held_values(), ["weight_ih", "weight_hh", *["weight_hr"] * self._projects]
        names = [
            name + suffix
            for group in (weights, ["bias_ih", "bias_hh"])
            for suffix, _ in self._suffixes()
            for name in group
        ]
        return tuple(held.get(name, self._parameters.get(name)) for name in names)

    # --- the product --------------------------------------------------------------------------------------------------

    def _starts(self) -> Iterator[Start]:
        """For every cell, what makes its step function; parameters are looked at once for all time steps."""
        matrices = iter(self.matrices)
        for _, cell in self._cells(self._rows):
            own = [next(matrices) for _ in cell.gates.matrices]
            project = _multiplier(next(matrices)) if self._projects else None
            values = self.parameter_values(cell.digital_biases)
            yield partial(_started, cell, own, values, project)

    def _states(self, given: Any, leading: tuple[int, ...], like: Tensor) -> State:
        """Initial states ``(*leading, size)`` from what the caller gave; zeros for None."""
        hidden = self.hidden_size
        sizes = (getattr(self, "proj_size", 0) or hidden, *[hidden] * self._gates().memories)
        shapes = [(*leading, size) for size in sizes]
        if given is None:
            return tuple(like.new_zeros(shape) for shape in shapes)
        parts = tuple(given) if isinstance(given, tuple | list) else (given,)
        found = [tuple(part.shape) for part in parts]
        if found != shapes:
            raise ShapeError(
                f"initial state of shape {' and '.join(map(str, found))} does not fit {type(self).__name__}; "
                f"expected {' and '.join(map(str, shapes))}"
            )
        return parts


def _started(
    cell: RecurrentCell,
    matrices: Sequence[HeldMatrix],
    values: Mapping[str, Tensor],
    project: Product | None,
    inputs: Sequence[Tensor],
) -> Step:
    """The step function of a cell for these inputs, one time step after the other."""
    if len(inputs) > 1:
        begun = [matrix.sequence(inputs, cell.ones, cell.of_state) for matrix in matrices]
        known = [product for product in begun if product is not None]
        if len(known) == len(matrices):
            return cell.stepping(known, values, project, begun=True)
    return cell.stepping([_multiplier(matrix, cell.ones) for matrix in matrices], values, project)


def _multiplier(matrix: HeldMatrix, ones: int = 0) -> Callable[[Tensor], Tensor]:
    return matrix.multiplier(Dense(matrix.built.shape[1], ones))


@cache  # asked for in every forward pass
def _cell(
    gates: Gates, sizes: tuple[int, int, int], suffix: str, biases: bool, bias_columns: tuple[int, int]
) -> RecurrentCell:
    """A cell whose parameters have names that end in ``suffix``."""
    weights = (f"weight_ih{suffix}", f"weight_hh{suffix}")
    names = (f"bias_ih{suffix}", f"bias_hh{suffix}") if biases else (None, None)
    return RecurrentCell(gates, sizes, CellParameters(weights, names), bias_columns)
