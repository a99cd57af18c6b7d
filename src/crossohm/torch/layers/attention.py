"""`AnalogMultiheadAttention`: attention whose four projections run on simulated arrays."""

from __future__ import annotations

from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crossohm.chain import Dense
from crossohm.errors import ParameterError, ShapeError, UnsupportedError
from crossohm.layers.array_layer import BiasRows
from crossohm.layers.hardware import Hardware
from crossohm.layers.layout import Layout
from crossohm.layers.layouts import dense
from crossohm.torch.layers.layer import AnalogLayer, reshaped
from crossohm.torch.layers.scores import attend, joint_mask

#: The inputs, and their weights where these have different sizes.
_SIDES = {"query": "q_proj_weight", "key": "k_proj_weight", "value": "v_proj_weight"}


def _owns_weights(module: nn.MultiheadAttention) -> bool:
    """True if the weights are parameters of the layer's own."""
    found = {name for name, _ in module.named_parameters(remove_duplicate=False)}
    return "out_proj.weight" in found and ("in_proj_weight" in found or found.issuperset(_SIDES.values()))


@final
class AnalogMultiheadAttention(BiasRows, AnalogLayer, nn.MultiheadAttention):
    """`torch.nn.MultiheadAttention` whose projections run on analog arrays.

    There are four matrices, named ``query``, ``key``, ``value`` and ``out_proj`` behind the name of the layer. The
    scores, their softmax and the sums of values multiply two signals and stay digital, as do ``bias_k``, ``bias_v``,
    which are appended to projected keys and values. ``attn_mask`` is obeyed as it is given; ``is_causal`` adds nothing.

    Args:
        params: The hardware.
        embed_dim: Size of queries and outputs.
        num_heads: Heads that divide it.
        dropout: Share of the attention weights set to zero in training.
        bias: If True, the projections have learnable biases.
        add_bias_kv: If True, one learnable key and value follow the projected ones.
        add_zero_attn: If True, a key and value of zeros follow.
        kdim: Size of the keys; by default that of the queries.
        vdim: Size of the values; by default that of the queries.
        batch_first: If True, inputs and outputs are ``(batch, steps, features)``.
        device: Of the parameters.
        dtype: Of the parameters.
        bias_rows: Matrix columns that hold each bias, driven with one; 0 adds it digitally.
        seed: The chip; None draws one.
        name: Beginning of the names of the cores; layers of one chip need different names to have independent errors.
    """

    digital_type = nn.MultiheadAttention
    convertible = staticmethod(_owns_weights)

    in_proj_weight: nn.Parameter | None
    in_proj_bias: nn.Parameter | None

    def __init__(
        self,
        params: Hardware,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        bias_rows: int = 0,
        *,
        seed: int | None = None,
        name: str = "core",
    ) -> None:
        shape = (embed_dim, num_heads, dropout, bias, add_bias_kv, add_zero_attn, kdim, vdim, batch_first)
        nn.MultiheadAttention.__init__(self, *shape, device=device, dtype=dtype)
        self.install(params, bias_rows, seed, name)

    # --- biases -------------------------------------------------------------------------------------------------------

    @property
    def analog_bias(self) -> bool:
        """True if the arrays hold the biases."""
        return self.in_proj_bias is not None and self._rows > 0

    # --- matrices -----------------------------------------------------------------------------------------------------

    def layouts(self, rows: int) -> dict[str, Layout]:
        """The projections of queries, keys and values, and that of the outputs."""
        columns = rows if self.in_proj_bias is not None else 0
        size, found = self.embed_dim, {}
        for number, (side, weight) in enumerate(_SIDES.items()):
            third = (number, 3)
            found[f".{side}"] = (
                dense(size, size, columns, weight="in_proj_weight", bias="in_proj_bias", part=third, bias_part=third)
                if self.in_proj_weight is not None
                else dense(size, self._widths[number], columns, weight=weight, bias="in_proj_bias", bias_part=third)
            )
        found[".out_proj"] = dense(size, size, columns, weight="out_proj.weight", bias="out_proj.bias")
        return found

    @property
    def _widths(self) -> tuple[int, int, int]:
        """Sizes of queries, keys and values."""
        return self.embed_dim, self.kdim, self.vdim

    def _bias(self, number: int) -> Tensor | None:
        if number == len(_SIDES):
            return self.out_proj.bias
        return None if self.in_proj_bias is None else self.in_proj_bias.chunk(3)[number]

    @property
    def _lines(self) -> int:
        """Bias columns of each matrix."""
        return self._rows if self.analog_bias else 0

    def get_core_weights(self) -> tuple[Tensor | None, ...]:
        """The projections as the arrays hold them, in torch's shapes; digital biases are themselves, missing ones None.

        Weights (``in_proj_weight``, or those of query, key and value; then ``out_proj.weight``), then biases
        (``in_proj_bias``, ``out_proj.bias``).
        """
        held, given = self._held_values(), dict(self.named_parameters(remove_duplicate=False))
        sides = list(_SIDES.values()) if self.in_proj_weight is None else ["in_proj_weight"]
        names = [*sides, "out_proj.weight", "in_proj_bias", "out_proj.bias"]
        return tuple(held.get(name, given.get(name)) for name in names)

    # --- the product --------------------------------------------------------------------------------------------------

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Outputs and, if ``need_weights``, attention weights, as `torch.nn.MultiheadAttention` has them.

        Args:
            query: ``(targets, batch, embed_dim)``, or batch first if ``batch_first``, or without batch.
            key: ``(sources, batch, kdim)``, ordered likewise.
            value: ``(sources, batch, vdim)``, ordered likewise.
            key_padding_mask: ``(batch, sources)``: True where not to look, or floats that are added to the scores.
            need_weights: If True, return the weights too.
            attn_mask: ``(targets, sources)``, or ``(batch * heads, targets, sources)``: as ``key_padding_mask``.
            average_attn_weights: If True, the weights are averaged over the heads.
            is_causal: A hint that ``attn_mask``, which it requires, is causal.

        Raises:
            ShapeError: inputs or masks do not fit.
            ParameterError: ``is_causal`` without a mask.
        """
        if is_causal and attn_mask is None:
            raise ParameterError("is_causal", True, "is a hint about a mask", allowed="only together with attn_mask")
        self._require_inputs(query, key, value)
        batched = query.ndim == 3
        if not batched and key_padding_mask is not None:
            key_padding_mask = key_padding_mask[None]
        sides = (self._batch_first(x) for x in (query, key, value))
        q, k, v = (self._project(number, x) for number, x in enumerate(sides))
        shape = (q.shape[0], self.num_heads, q.shape[1], k.shape[1])
        mask = joint_mask(key_padding_mask, attn_mask, shape, q.dtype)
        k, v = self._extended(k, self.bias_k), self._extended(v, self.bias_v)
        if mask is not None:
            mask = F.pad(mask, (0, k.shape[1] - shape[3]))  # what was appended is always seen
        q, k, v = (x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for x in (q, k, v))
        sums, weights = attend(q, k, v, mask, self.dropout if self.training else 0.0, need_weights)
        ordered = sums.transpose(1, 2) if self.batch_first or not batched else sums.permute(2, 0, 1, 3)
        y = self._project(len(_SIDES), ordered.flatten(2))
        if weights is not None and average_attn_weights:
            weights = weights.mean(dim=1)
        if not batched:
            return y[0], None if weights is None else weights[0]
        return y, weights

    def _batch_first(self, x: Tensor) -> Tensor:
        if x.ndim == 2:
            return x[None]
        return x if self.batch_first else x.transpose(0, 1)

    def _project(self, number: int, x: Tensor) -> Tensor:
        """One projection of ``(batch, steps, features)``, or of steps first."""
        matrix, vectors = self.matrices[number], x.flatten(0, 1)
        if self._lines:
            vectors = torch.cat([vectors, vectors.new_ones(vectors.shape[0], self._lines)], dim=1)
        y = matrix.product(vectors, Dense(vectors.shape[1], self._lines))
        bias = None if self._lines else self._bias(number)
        return reshaped(y if bias is None else y + bias, (*x.shape[:2], y.shape[1]))

    def _extended(self, x: Tensor, learned: Tensor | None) -> Tensor:
        """Projected keys or values, with the learned one and the zeros behind them."""
        parts = [x]
        if learned is not None:
            parts.append(learned.expand(x.shape[0], 1, -1))
        if self.add_zero_attn:
            parts.append(x.new_zeros(x.shape[0], 1, x.shape[2]))
        return torch.cat(parts, dim=1) if len(parts) > 1 else x

    def _require_inputs(self, query: Tensor, key: Tensor, value: Tensor) -> None:
        sides = {"query": (query, self.embed_dim), "key": (key, self.kdim), "value": (value, self.vdim)}
        if any(x.is_nested for x, _ in sides.values()):
            raise UnsupportedError(
                "nested tensors are not available; use padded ones with key_padding_mask, and in "
                "torch.nn.TransformerEncoder enable_nested_tensor=False"
            )
        shapes = {side: tuple(x.shape) for side, (x, _) in sides.items()}
        for side, (x, size) in sides.items():
            if x.ndim not in (2, 3) or x.ndim != query.ndim:
                raise ShapeError(f"inputs have shapes {shapes}; expected three of 3 axes, or three of 2")
            if x.shape[-1] != size:
                raise ShapeError(f"{side} of shape {shapes[side]} does not fit; its last axis must be {size}")
        if key.shape[:-1] != value.shape[:-1]:
            both = f"{shapes['key'][:-1]} and {shapes['value'][:-1]}"
            raise ShapeError(f"key and value have steps and batches {both}; they must be the same")
        batch = 0 if self.batch_first else 1
        if query.ndim == 3 and query.shape[batch] != key.shape[batch]:
            raise ShapeError(f"query and key have batches of {query.shape[batch]} and {key.shape[batch]}")
