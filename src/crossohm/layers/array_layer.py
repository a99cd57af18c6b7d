"""What a layer whose matrices lie in arrays offers its user, in every framework."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, get_args

from crossohm.backends import Array, backend_of
from crossohm.chain import AnalogCore
from crossohm.chain.intake import chip_seed
from crossohm.chain.siblings import replace_soon
from crossohm.errors import ParameterError
from crossohm.layers.given import Given, warn_of_edits
from crossohm.layers.hardware import (
    Hardware,
    LayerHardware,
    MatrixHardware,
    calibrated_foldings,
    hardware_of_matrices,
    own_hardware,
)
from crossohm.layers.held_matrix import HeldArrays, next_chip
from crossohm.layers.layout import Layout, values_of

#: What happens when parameters have changed since the arrays were written.
Sync = Literal["auto", "manual", "error"]

#: Which derivative backward computes.
Gradient = Literal["programmed", "chain", "wires"]


class ArrayLayer:
    """A mixin before a framework's layer, which owns the parameters.

    A kind of layer says where its parameters lie in its matrices (`layouts`), a front end how it holds them
    (`_held`). Making a layer ends with `install`.
    """

    #: True: what is said of each matrix is a list also where there is only one.
    _lists: ClassVar[bool] = False
    #: How many numbers of bias rows a conversion takes: one per kind of bias.
    bias_kinds: ClassVar[int] = 1
    #: Attributes an analog layer has beyond those of the framework's layer.
    _own: ClassVar[tuple[str, ...]] = ("_params", "_given", "_rows", "_core_name", "_matrices", "_sync", "_gradient")

    _params: LayerHardware
    _given: Given
    _rows: Any
    _core_name: str
    _matrices: tuple[HeldArrays, ...]
    _sync: Sync = "auto"
    _gradient: Gradient = "programmed"

    # --- what a kind of layer, and a front end, supply ----------------------------------------------------------------

    def layouts(self, rows: Any) -> dict[str, Layout]:
        """The matrices of the layer: what follows its name in theirs, and where its parameters lie.

        Args:
            rows: Columns of each matrix that hold each bias, in the form that ``bias_rows`` has for this kind.
        """
        raise NotImplementedError

    def parameter_values(self, names: Sequence[str]) -> Mapping[str, Array]:
        """Parameters, or the expressions that stand for them, by name."""
        raise NotImplementedError

    def _held(self, layout: Layout, hardware: MatrixHardware, seed: int, name: str) -> HeldArrays:
        """New arrays that hold a matrix of the layer, in the form the front end multiplies with."""
        raise NotImplementedError

    def _written(self) -> tuple[HeldArrays, ...]:
        """The arrays there are; none before the layer is installed."""
        return vars(self).get("_matrices", ())  # type: ignore[no-any-return]

    def _checked_rows(self, rows: Any) -> Any:
        """The number of columns per bias in the kind's own form."""
        return checked_rows("bias_rows", rows)

    # --- the hardware -------------------------------------------------------------------------------------------------

    @property
    def params(self) -> LayerHardware:
        """The hardware: one description, one per array, or a list with such for each of several matrices.

        It is the layer's own copy of what was given. Edits need `reinitialize`; assignment acts at once.
        """
        return self._params

    @params.setter
    def params(self, value: Hardware) -> None:
        self.install(value, self._rows, self.seed, self._core_name)

    @property
    def seed(self) -> int:
        """The chip."""
        return self._matrices[0].seed

    @property
    def core_name(self) -> str:
        """Name of the core, or the beginning of the names of the cores."""
        return self._core_name

    @property
    def rows(self) -> Any:
        """How many matrix columns hold each bias: one number, or what else the kind of layer needs."""
        return self._rows

    @property
    def row_groups(self) -> int:
        """Equal runs of rows of the first matrix that have arrays and inputs of their own, see `AnalogCore`."""
        return self._matrices[0].layout.row_groups

    @property
    def matrices(self) -> tuple[Any, ...]:
        """The matrices the layer holds in arrays."""
        return self._matrices

    @property
    def core(self) -> AnalogCore:
        """The arrays, holding the present parameters; those of the first matrix if the layer has several."""
        return self._matrices[0].core

    @property
    def sync(self) -> Sync:
        """What happens when parameters have changed since the arrays were written.

        ``"auto"``: they are written again before they are next used. ``"error"``: using them raises
        `StaleArraysError`. ``"manual"``: they stay as they are until `synchronize`; nothing is looked at, which saves
        reading the parameters (some 20 us per product and 0.5 ns per weight on a CPU). PyTorch layers read them only
        where a change may have escaped torch's version counter; the documentation of parameters and chips says where
        ("When arrays are written"). A PyTorch model that was
        converted on an accelerator looks at all its parameters together, as a pass begins: changes during a pass are
        seen then if torch's version counter sees them, which changes through ``parameter.data`` escape until the next.
        """
        return self._sync

    @sync.setter
    def sync(self, value: Sync) -> None:
        self._sync = checked_choice("sync", value, get_args(Sync))

    @property
    def gradient(self) -> Gradient:
        """Which derivative backward computes, in train and eval mode alike.

        ``"programmed"``: that of the ideal product, with the programmed matrix for the inputs and the unconverted
        inputs for the parameters. ``"chain"``: that of the converter chain, straight through rounding and errors, zero
        where inputs, currents, conversions or weights are clipped. ``"wires"``: as ``"programmed"``, with the matrix
        that inputs meet behind the wire resistances, and for the parameters its exact dependence on all conductances
        of the array (resistance-aware training); costs an elimination per array and backward pass.
        """
        return self._gradient

    @gradient.setter
    def gradient(self, value: Gradient) -> None:
        self._gradient = checked_choice("gradient", value, get_args(Gradient))

    def synchronize(self) -> None:
        """Write the parameters into the arrays again, with new programming errors; converters keep theirs."""
        for matrix in self._matrices:
            matrix.synchronize()

    def reinitialize(self, seed: int | None = None, params: Hardware = None) -> None:
        """Build another chip from `params` and write the parameters into it.

        Args:
            seed: The chip; by default the one that follows the present chip in a fixed random sequence.
            params: The hardware from now on; by default the present one, edits of `params` included.

        Warns:
            UserWarning: the description that was given for the layer has been edited since, without effect.
        """
        chip = next_chip(self.seed) if seed is None else seed
        if params is not None:
            self.install(params, self._rows, chip, self._core_name)
            return
        warn_of_edits({self._core_name: self._given})
        for matrix in self._matrices:
            matrix.reinitialize(chip)

    # --- the matrices -------------------------------------------------------------------------------------------------

    def form_matrix(self) -> Array | list[Array]:
        """The ideal matrix, ``(outputs, inputs + bias columns)``, each bias column holding its share of the bias.

        A list if the layer has several.
        """
        return self._one_or_all([matrix.ideal() for matrix in self._matrices])

    def get_matrix(self) -> Array | list[Array]:
        """The matrix the arrays hold, with quantisation, clipping, programming errors and drift; not read noise.

        A list if the layer has several.
        """
        return self._one_or_all([_copied(matrix.programmed()) for matrix in self._matrices])

    def _held_values(self) -> dict[str, Array]:
        """Parameters as the arrays hold them, by name, in their own shapes; those held digitally are left out."""
        held = values_of([matrix.layout for matrix in self._matrices], [m.programmed() for m in self._matrices])
        return {name: _copied(value) for name, value in held.items()}

    def _one_or_all(self, matrices: list[Array]) -> Array | list[Array]:
        return matrices if self._lists or len(matrices) > 1 else matrices[0]

    def install(self, params: Hardware, rows: Any, seed: int | None, name: str) -> None:
        """Write the parameters into new arrays. Nothing changes if the hardware is impossible."""
        known = "_params" in vars(self) and params is self._params
        own: Any = params if known else own_hardware(params)
        checked, chip = self._checked_rows(rows), chip_seed(seed)
        require_same_folding(name, own, is_folded(self))
        layouts = self.layouts(checked)
        for old in self._written():
            replace_soon(old.built)
        matrices = tuple(
            self._held(layout, hardware, chip, name + suffix)
            for (suffix, layout), hardware in zip(layouts.items(), hardware_of_matrices(own, len(layouts)), strict=True)
        )
        self._params, self._rows, self._core_name, self._matrices = own, checked, name, matrices
        if not known:
            self._given = Given(params)


def is_folded(layer: Any) -> bool:
    """True if a BatchNorm was folded into ``layer``, or into the layer it was made from."""
    return bool(getattr(layer, "batchnorm_folded", False))


def matrices_of(layers: Mapping[str, Any]) -> dict[str, Any]:
    """The matrices of layers by the layer's name, followed by their own if it has several."""
    return {
        name + matrix.name.removeprefix(layer.core_name): matrix
        for name, layer in layers.items()
        for matrix in layer.matrices
    }


class BiasRows(ArrayLayer):
    """A mixin of the kinds for which one number says how many matrix columns hold each bias."""

    _rows: int

    @property
    def bias_rows(self) -> int:
        """Matrix columns that hold each bias; 0: they are added digitally. Assignment rebuilds the arrays."""
        return self._rows

    @bias_rows.setter
    def bias_rows(self, value: int) -> None:
        self.install(self._params, value, self.seed, self._core_name)


def checked_rows(argument: str, rows: Any) -> int:
    """A number of matrix columns that hold a bias, or an error."""
    if isinstance(rows, bool) or not isinstance(rows, int) or rows < 0:
        raise ParameterError(argument, rows, "is no number of rows", allowed="0 (digital bias), 1, 2, ...")
    return rows


def checked_choice(argument: str, value: Any, choices: tuple[str, ...]) -> Any:
    """One of ``choices``, or an error."""
    if value not in choices:
        raise ParameterError(argument, value, "is no policy", allowed=", ".join(map(repr, choices)))
    return value


def require_same_folding(name: str, params: LayerHardware, folded: bool) -> None:
    """Refuse ranges that were found for other weights."""
    if calibrated_foldings(params) - {folded}:
        found, here = ("folded into it", "digital") if not folded else ("digital", "folded")
        raise ParameterError(
            "params", "calibrated hardware",
            f"the ranges of layer {name!r} were found with BatchNorm {found}, here it is {here}",
            remedy="Leave fuse_batchnorm out of the conversion, which then does as the calibration did. Or calibrate "
            f"with fuse_batchnorm={folded}; in studies it is model.fold_batchnorm",
        )  # fmt: skip


def _copied(value: Array) -> Array:
    return backend_of(value).writable(value)
