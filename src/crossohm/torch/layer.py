"""What all analog layers have in common: arrays that hold the parameters, and follow them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from crossohm._random import chip_rng
from crossohm.chain import AnalogCore, Contraction
from crossohm.chain.dtypes import cast_output, joint_dtype, output_dtype
from crossohm.errors import ParameterError, UnsupportedError
from crossohm.params import CrossSimParameters
from crossohm.torch.gradient import differentiable_product

Hardware = CrossSimParameters | Sequence[CrossSimParameters] | None

#: Attributes an analog layer has beyond those of the torch layer it stands for.
_OWN = ("_params", "_bias_rows", "_core", "_written", "_read_back")


class AnalogLayer(nn.Module):
    """Base of the analog layers: a mixin before the torch layer, which owns ``weight`` and ``bias``.

    The arrays are written when the layer is made, and again before they are next used whenever a parameter they hold
    was replaced or changed in place (optimizer step, ``load_state_dict``, initialiser). Each write draws new
    programming errors. Changes hidden from autograd, ``layer.weight.data[...] = v``, need `synchronize`.

    A layer kind supplies the methods that raise NotImplementedError here.
    """

    #: The torch layer this kind stands for.
    digital_type: ClassVar[type[nn.Module]]
    #: True if every array may have a hardware description of its own.
    _takes_array_lists: ClassVar[bool] = False

    weight: nn.Parameter
    bias: nn.Parameter | None
    _params: CrossSimParameters | list[CrossSimParameters]
    _bias_rows: int
    _core: AnalogCore
    _written: tuple[tuple[nn.Parameter, tuple[int, int]], ...]
    _read_back: tuple[Any, Tensor] | None

    # --- conversion ---------------------------------------------------------------------------------------------------

    @classmethod
    def from_torch(
        cls, layer: nn.Module, params: Hardware, bias_rows: int = 0, *, seed: int | None = None, name: str = "core"
    ) -> Self:
        """An analog layer that shares the parameters of ``layer``, and has its training flag, hooks and attributes.

        Args:
            layer: Exactly of the type this kind stands for.
            params: The hardware.
            bias_rows: Matrix columns that hold the bias; 0 adds it digitally.
            seed: The chip.
            name: Name of the core.

        Raises:
            UnsupportedError: ``layer`` is of another type.
        """
        if not cls.converts(layer):
            raise UnsupportedError(
                f"{cls.__name__}.from_torch takes a plain torch.nn.{cls.digital_type.__name__} with an ordinary "
                f"weight, got {type(layer).__name__}; convert a whole model with crossohm.torch.from_torch"
            )
        analog = _recast(layer, cls)
        analog._install(params, bias_rows, seed, name)
        return analog

    @classmethod
    def converts(cls, module: nn.Module) -> bool:
        """True if ``module`` is exactly the layer this kind stands for, and its weight is a parameter of its own."""
        return type(module) is cls.digital_type and module._parameters.get("weight") is not None

    def to_torch(
        self,
        physical_weights: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> nn.Module:
        """The plain torch layer, with parameters of its own.

        Args:
            physical_weights: Take the weights the arrays hold, programming errors included, instead of the ideal ones.
            device: Where to put it; by default where this layer is.
            dtype: Of its parameters; by default as here.
        """
        weight, bias = self.get_core_weights() if physical_weights else (self.weight, self.bias)
        layer = _recast(self, self.digital_type)
        for attribute in _OWN:
            del layer.__dict__[attribute]
        layer.weight = _copied(weight, like=self.weight)
        layer.bias = None if bias is None else _copied(bias, like=self.bias)
        return layer.to(device=device, dtype=dtype)

    # --- the hardware -------------------------------------------------------------------------------------------------

    @property
    def params(self) -> CrossSimParameters | list[CrossSimParameters]:
        """The hardware: one description, or one per array. Edits need `reinitialize`; assignment acts at once."""
        return self._params

    @params.setter
    def params(self, value: Hardware) -> None:
        self._install(value, self._bias_rows, self._core.seed, self._core.name)

    @property
    def bias_rows(self) -> int:
        """Matrix columns that hold the bias; 0: it is added digitally. Assignment rebuilds the arrays."""
        return self._bias_rows

    @bias_rows.setter
    def bias_rows(self, value: int) -> None:
        self._install(self._params, value, self._core.seed, self._core.name)

    @property
    def analog_bias(self) -> bool:
        """True if the arrays hold the bias."""
        return self.bias is not None and self._bias_rows > 0

    @property
    def seed(self) -> int:
        """The chip."""
        return self._core.seed

    @property
    def core(self) -> AnalogCore:
        """The arrays, holding the present parameters."""
        if not self._is_written():
            self.synchronize()
        return self._core

    def synchronize(self) -> None:
        """Write the parameters into the arrays again, with new programming errors; converters keep theirs."""
        self._core.set_matrix(self.form_matrix())
        self._mark_written()

    def reinitialize(self, seed: int | None = None) -> None:
        """Build another chip from `params` and write the parameters into it.

        Args:
            seed: The chip; by default the one that follows the present chip in a fixed random sequence.
        """
        if seed is None:
            seed = int(chip_rng(self._core.seed, "next chip").integers(2**63))
        self._install(self._params, self._bias_rows, seed, self._core.name)

    # --- the matrix ---------------------------------------------------------------------------------------------------

    def form_matrix(self) -> Tensor:
        """The ideal matrix, ``(outputs, inputs + bias columns)``, each bias column holding its share of the bias."""
        return self._matrix(self._bias_rows)

    def get_matrix(self) -> Tensor:
        """The matrix the arrays hold, with quantisation, clipping, programming errors and drift; not read noise."""
        return torch.as_tensor(self.core.get_matrix(), dtype=self.weight.dtype, device=self.weight.device)

    def get_core_weights(self) -> tuple[Tensor, Tensor | None]:
        """Weight and bias as the arrays hold them, in torch's shapes; a digital bias is the parameter itself."""
        matrix = self.get_matrix()
        inputs = matrix.shape[1] - self._bias_columns
        bias = matrix[:, inputs:].sum(dim=1) if self.analog_bias else self.bias
        return self._weight_of(matrix[:, :inputs]), bias

    def _matrix(self, bias_rows: int) -> Tensor:
        with torch.no_grad():
            flat = self._flat_weight().detach()
            if self.bias is None or not bias_rows:
                return flat
            return torch.cat([flat, (self.bias.detach() / bias_rows)[:, None].expand(-1, bias_rows)], dim=1)

    def _programmed_weight(self) -> Tensor:
        """Weight as the arrays hold it, read once per write."""
        key = (self.core.blocks, self.weight.dtype, self.weight.device)
        if self._read_back is None or not _same(self._read_back[0], key):
            self._read_back = (key, self.get_core_weights()[0].detach())
        return self._read_back[1]

    @property
    def _bias_columns(self) -> int:
        return self._bias_rows if self.bias is not None else 0

    # --- keeping arrays and parameters together -----------------------------------------------------------------------

    def _install(self, params: Hardware, bias_rows: int, seed: int | None, name: str) -> None:
        """Write the parameters into new arrays. Nothing changes if the hardware is impossible."""
        own = self._own_params(params)
        core = AnalogCore(self._matrix(_checked_rows(bias_rows)), own, seed=seed, name=name)
        self._params, self._bias_rows, self._core = own, int(bias_rows), core
        self._mark_written()

    @classmethod
    def _own_params(cls, params: Hardware) -> CrossSimParameters | list[CrossSimParameters]:
        """A copy of the hardware description, if the layer can run on it."""
        if params is None:
            return CrossSimParameters()
        several = isinstance(params, list | tuple)
        given: list[Any] = list(params) if several else [params]
        if len(given) != 1 and not cls._takes_array_lists:
            problem = f"all arrays of a {cls.__name__} have one description"
            raise ParameterError("params", f"list of {len(given)}", problem, allowed="one CrossSimParameters")
        for item in given:
            _require_real_hardware(item)
        copies = [item.copy() for item in given]
        return copies if several else copies[0]

    def _stored(self) -> tuple[nn.Parameter, ...]:
        """The parameters the arrays hold."""
        return (self.weight, self.bias) if self.analog_bias else (self.weight,)

    def _mark_written(self) -> None:
        self._written = tuple((parameter, _stamp(parameter)) for parameter in self._stored())
        self._read_back = None

    def _is_written(self) -> bool:
        now = self._stored()
        return len(now) == len(self._written) and all(
            parameter is known and _stamp(parameter) == stamp
            for parameter, (known, stamp) in zip(now, self._written, strict=True)
        )

    def _apply(self, fn: Any, recurse: bool = True) -> Self:
        """Moving the parameters to another device or dtype leaves the chip as it is."""
        written = self._is_written()
        super()._apply(fn, recurse)
        if written:
            self._mark_written()
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_read_back": None, "_written": self._is_written()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        written = state.pop("_written")
        super().__setstate__(state)
        self._written = ()
        if written:
            self._mark_written()

    # --- the product --------------------------------------------------------------------------------------------------

    def _through_arrays(self, x: Tensor) -> Tensor:
        """Outputs ``(batch, outputs, *positions)`` for inputs ``(batch, features, *positions)``, bias included."""
        y = differentiable_product(self, x, self.bias if self.analog_bias else None)
        if self.bias is None or self.analog_bias:
            return y
        return y + self.bias.reshape(-1, *(1,) * (y.ndim - 2))

    def _product(self, x: Tensor) -> Tensor:
        """What the arrays return, without digital bias and without gradient."""
        stored, given = _dtype_name(self.weight), _dtype_name(x)
        x = x.to(getattr(torch, joint_dtype(stored, given)))
        if self._bias_columns:
            ones = x.new_ones(()).expand(x.shape[0], self._bias_lines, *x.shape[2:])
            x = torch.cat([x, ones], dim=1)
        core = self.core
        with torch.autocast(x.device.type, enabled=False):
            y = core.apply(x, self._contraction())
        return cast_output(y, output_dtype(core.params.core.output_dtype, stored, given))

    @property
    def _bias_lines(self) -> int:
        """Features of constant one that drive the bias columns."""
        raise NotImplementedError

    def _contraction(self) -> Contraction:
        """How inputs, with the bias lines behind them, meet the matrix."""
        raise NotImplementedError

    def _flat_weight(self) -> Tensor:
        """The weight as the matrix holds it, ``(outputs, inputs)``."""
        raise NotImplementedError

    def _weight_of(self, matrix: Tensor) -> Tensor:
        """Inverse of `_flat_weight`."""
        raise NotImplementedError

    def _input_gradient(self, grad: Tensor, weight: Tensor, shape: torch.Size) -> Tensor:
        """Gradient of inputs of ``shape`` for that of the outputs."""
        raise NotImplementedError

    def _weight_gradient(self, grad: Tensor, x: Tensor) -> Tensor:
        """Gradient of the weight for that of the outputs."""
        raise NotImplementedError

    def extra_repr(self) -> str:
        """Torch's text, then the hardware."""
        first, core = self._core.params, self._core
        parts = [super().extra_repr(), f"bias_rows={self._bias_rows}", first.core.style.name]
        slices, signs = core.blocks[0].record.conductance.shape[:2]
        parts.append(f"arrays={core.num_cores_row}x{core.num_cores_col}x{slices}x{signs}")
        bits = {"dac": first.get("xbar.dac.mvm.bits"), "adc": first.get("xbar.adc.mvm.bits")}
        parts += [f"{kind}={count} bits" if count else f"{kind}=ideal" for kind, count in bits.items()]
        return ", ".join(parts)


def _recast(layer: nn.Module, kind: Any) -> Any:
    """A layer of another class with the same parameters, buffers, hooks, flags and attributes."""
    twin = kind.__new__(kind)
    for name, value in vars(layer).items():
        twin.__dict__[name] = value.copy() if isinstance(value, dict | set) else value
    return twin


def _copied(value: Tensor, like: nn.Parameter | None) -> nn.Parameter:
    return nn.Parameter(value.detach().clone(), requires_grad=like is None or like.requires_grad)


def _require_real_hardware(params: Any) -> None:
    if not isinstance(params, CrossSimParameters):
        raise ParameterError(
            "params",
            type(params).__name__,
            "is no hardware description",
            allowed="CrossSimParameters, a list of them (one per array), or None for ideal hardware",
        )
    for path in ("core.complex_matrix", "core.complex_input"):
        if params.get(path):
            raise ParameterError(path, True, "weights and inputs of analog layers are real", allowed="False")


def _checked_rows(bias_rows: int) -> int:
    if isinstance(bias_rows, bool) or not isinstance(bias_rows, int) or bias_rows < 0:
        raise ParameterError("bias_rows", bias_rows, "is no number of rows", allowed="0 (digital bias), 1, 2, ...")
    return bias_rows


def _stamp(parameter: Tensor) -> tuple[int, int]:
    """Changes when the parameter is modified in place, or given other storage."""
    return (-1 if parameter.is_inference() else parameter._version, parameter.data_ptr())


def _same(left: tuple[Any, ...], right: tuple[Any, ...]) -> bool:
    return left[0] is right[0] and left[1:] == right[1:]


def _dtype_name(value: Tensor) -> str:
    return str(value.dtype).removeprefix("torch.")
