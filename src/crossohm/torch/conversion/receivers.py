"""What a BatchNorm can be folded into: layers, and products of a module's own code, also with computed weights.

The factors go into parameters, so that everything that is computed from these, there and back, stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, final

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.conv import _ConvTransposeNd
from torch.nn.utils.parametrize import type_before_parametrizations

from crossohm.layers.normalisation import folded_bias
from crossohm.torch.conversion.dataflow import DataFlow, name_of_step, users_of
from crossohm.torch.conversion.products import ProductSite
from crossohm.torch.layers.derived import foreign_kind, inherits_forward, is_dense
from crossohm.torch.products.calls import PRODUCTS, Call, Product
from crossohm.torch.products.convolutions import CONVOLUTIONS, ConvolutionCall, Kernels
from crossohm.torch.products.derivation import Leaf

#: Which normalisation sees the outputs of which layer along its channel axis.
FOLDABLE: dict[type[nn.Module], type[nn.Module]] = {
    nn.Linear: nn.BatchNorm1d,
    nn.Conv1d: nn.BatchNorm1d,
    nn.Conv2d: nn.BatchNorm2d,
    nn.Conv3d: nn.BatchNorm3d,
    nn.ConvTranspose1d: nn.BatchNorm1d,
    nn.ConvTranspose2d: nn.BatchNorm2d,
    nn.ConvTranspose3d: nn.BatchNorm3d,
}
#: Difference of folded kernels from what they should be, in units of the last place, that rounding alone can make.
_ROUNDING = 32
#: Functions that add their last operand to the product.
_WITH_BIAS = ("linear", *CONVOLUTIONS)
_AN_EXAMPLE = "an example shows whether it can be folded into that"


class Receiver(Protocol):
    """What takes the factors of a normalisation."""

    @property
    def name(self) -> str:
        """In the model; hardware is described by it."""
        ...

    @property
    def channels(self) -> int:
        """How many outputs it has."""
        ...

    def axis(self, axes: int) -> int:
        """Along which axis of as many its outputs lie."""
        ...

    def obstacle(self, scale: Tensor) -> str:
        """Why it cannot be multiplied by ``scale``, ``(channels,)``; empty: it can."""
        ...

    def take(self, scale: Tensor, shift: Tensor) -> nn.Parameter | None:
        """Multiply each output by ``scale`` and add ``shift``; what of this is left to be added behind."""
        ...


@final
@dataclass(frozen=True)
class LayerReceiver:
    """A layer with parameters ``weight`` and perhaps ``bias``."""

    name: str
    layer: Any

    @property
    def channels(self) -> int:
        """Its outputs."""
        if is_dense(self.layer):
            return int(self.layer.weight.shape[self._dense_axis])
        return int(self.layer.out_channels)

    @property
    def _dense_axis(self) -> int:
        kind = foreign_kind(type(self.layer))
        return 1 if kind is not None and kind.inputs_first else 0

    def axis(self, axes: int) -> int:
        """Along the last axis, or in front of the axes of size."""
        return axes - 1 if is_dense(self.layer) else axes - self.layer.weight.ndim + 1

    def obstacle(self, scale: Tensor) -> str:
        """Nothing."""
        return ""

    @torch.no_grad()
    def take(self, scale: Tensor, shift: Tensor) -> None:
        """``W' = s W``, ``b' = s b + t``, computed in double precision."""
        layer, weight = self.layer, self.layer.weight
        weight.copy_(weight.double() * self._along_outputs(scale))
        _give_bias(layer, scale, shift)
        layer.batchnorm_folded = True

    def _along_outputs(self, scale: Tensor) -> Tensor:
        weight = self.layer.weight
        if is_dense(self.layer):
            return scale if self._dense_axis else scale[:, None]
        groups = self.layer.groups if isinstance(self.layer, _ConvTransposeNd) else 0
        return _along_kernel(scale, weight.shape, groups)


def _give_bias(layer: Any, scale: Tensor, shift: Tensor) -> None:
    bias = folded_bias(None if layer.bias is None else layer.bias.double(), scale, shift)
    if layer.bias is None:
        layer.bias = nn.Parameter(bias.to(layer.weight.dtype), requires_grad=layer.weight.requires_grad)
    else:
        layer.bias.copy_(bias)


def _along_kernel(scale: Tensor, shape: Sequence[int], groups: int) -> Tensor:
    """A number per output channel, shaped to multiply the kernel of a convolution; ``groups`` if it is transposed."""
    rest = (1,) * (len(shape) - 2)
    if not groups:
        return scale.reshape(-1, 1, *rest)
    rows = scale.reshape(groups, -1).repeat_interleave(shape[0] // groups, dim=0)
    return rows.reshape(*rows.shape, *rest)


@final
@dataclass(frozen=True)
class ProductReceiver:
    """A product of a module's own code, whose kernel is computed from parameters."""

    site: ProductSite
    bias: nn.Parameter | None

    @property
    def name(self) -> str:
        """Of the arrays that will hold the kernel."""
        return self.site.name

    @property
    def _rows(self) -> int:
        """Axis of the kernel."""
        (call,) = self.site.calls
        return call.matrices.rows[0] if isinstance(call, Product) else 0

    @property
    def channels(self) -> int:
        """Rows of the kernel."""
        form = self.site.matrices
        if isinstance(form, Kernels):
            return form.one[1] * form.groups if form.transposed else form.one[0]
        return form.shape[self._rows]

    def axis(self, axes: int) -> int:
        """Where the rows of the kernel are in the product."""
        (call,) = self.site.calls
        if isinstance(call, Product):
            return call.outputs.index(call.kernel[self._rows])
        return axes - len(self.site.matrices.shape) + 1

    def obstacle(self, scale: Tensor) -> str:
        """There is no parameter that multiplies the rows of the kernel."""
        if self._handle(scale) is not None:
            return ""
        return f"the weights of {self.name} are computed, and no parameter multiplies what is computed for a channel"

    @torch.no_grad()
    def take(self, scale: Tensor, shift: Tensor) -> nn.Parameter | None:
        """Scale a parameter of the kernel, and the bias that the product has."""
        handle = self._handle(scale)
        assert handle is not None
        leaf, factors = handle
        scaled = leaf.value()
        scaled.copy_(scaled.double() * factors)
        leaf.mark_folded()
        if self.bias is None:
            return nn.Parameter(shift.to(scaled.dtype), requires_grad=scaled.requires_grad)
        self.bias.copy_(folded_bias(self.bias.double(), scale, shift))
        return None

    @torch.no_grad()
    def _handle(self, scale: Tensor) -> tuple[Leaf, Tensor] | None:
        """A parameter of the kernel, and what it is multiplied by so that the rows of the kernel are by ``scale``.

        It is found by trial, with copies of the parameters.
        """
        leaves = list(self.site.expression.leaves())
        twins = {id(leaf.owner): nn.Module() for leaf in leaves}
        for leaf in leaves:
            kept = twins[id(leaf.owner)]._parameters if leaf.is_parameter else twins[id(leaf.owner)]._buffers
            kept[leaf.key] = leaf.value().detach().clone()
        expression = self.site.expression.moved(twins)
        before = expression.value().clone()
        factors = self._along_rows(scale, before)
        wanted = before.double() * factors
        for own, leaf in zip(leaves, expression.leaves(), strict=True):
            value = leaf.value()
            for tried in _spread(scale, factors, value) if own.is_parameter else ():
                plain = value.clone()
                value.copy_(plain.double() * tried)
                if _agree(expression.value(), wanted, factors):
                    return own, tried
                value.copy_(plain)
        return None

    def _along_rows(self, scale: Tensor, kernel: Tensor) -> Tensor:
        form = self.site.matrices
        if isinstance(form, Kernels):
            return _along_kernel(scale, kernel.shape, form.groups if form.transposed else 0)
        return scale.reshape([-1 if axis == self._rows else 1 for axis in range(kernel.ndim)])


def _spread(scale: Tensor, factors: Tensor, value: Tensor) -> Iterator[Tensor]:
    """The ways to multiply a parameter by a number per channel: as the kernel, along first axes, along one axis."""
    if factors.ndim == value.ndim and _broadcasts(factors, value):
        yield factors
    for axes in range(1, value.ndim + 1):
        if value.shape[:axes].numel() == len(scale):
            yield scale.reshape(*value.shape[:axes], *(1,) * (value.ndim - axes))
    for axis in range(1, value.ndim):
        if value.shape[axis] == len(scale):
            yield scale.reshape([-1 if one == axis else 1 for one in range(value.ndim)])


def _broadcasts(factors: Tensor, value: Tensor) -> bool:
    return all(one in (1, size) for one, size in zip(factors.shape, value.shape, strict=True))


def _agree(found: Tensor, wanted: Tensor, factors: Tensor) -> bool:
    """True if nothing but rounding makes a difference in any channel."""
    apart = [axis for axis, size in enumerate(factors.shape) if size == 1]
    largest = wanted.abs().amax(apart, keepdim=True) if apart else wanted.abs()
    return bool(((found.double() - wanted).abs() <= _ROUNDING * torch.finfo(found.dtype).eps * largest).all())


# --- finding them -----------------------------------------------------------------------------------------------------


def receiver_at(
    flow: DataFlow, model: nn.Module, source: Any, sites: Sequence[ProductSite] | None
) -> tuple[Receiver | None, str]:
    """What computed a value, if a normalisation of it can be folded into that, or what speaks against it.

    Args:
        flow: The data flow.
        model: The model.
        source: Where the value was computed.
        sites: The products of modules' own code; None: not known.

    Returns:
        Nothing, and no reason, if it is no product.
    """
    module = flow.called(source)
    if module is not None:
        return _layer_at(flow, model, source, module, sites)
    if not isinstance(source, fx.Node) or name_of_step(source) not in PRODUCTS or not _made(source, True):
        return None, ""
    return _product_at(flow, model, source, sites)


def norm_behind(layer: nn.Module) -> type[nn.Module] | None:
    """Which normalisation sees the outputs of a layer along its channel axis, if it works as one of torch's does."""
    if foreign_kind(type(layer)) is not None:
        return nn.BatchNorm1d
    plain = type_before_parametrizations(layer)
    kinds = (kind for kind in FOLDABLE if issubclass(plain, kind) and inherits_forward(plain, kind))
    return FOLDABLE.get(next(kinds, plain))


def _layer_at(
    flow: DataFlow, model: nn.Module, source: fx.Node, layer: nn.Module, sites: Sequence[ProductSite] | None
) -> tuple[Receiver | None, str]:
    if norm_behind(layer) is None:
        return None, ""
    computed = layer._parameters.get("weight") is None
    hooks = [*layer._forward_hooks.values(), *layer._forward_pre_hooks.values()]
    if any(not (computed and type(hook).__module__.startswith("torch.nn.utils.")) for hook in hooks):
        return None, "hooks may change what passes"
    if _is_shared(flow, model, layer):
        return None, "the layer before has shared weights"
    if not computed:
        return LayerReceiver(str(source.target), layer), ""
    if sites is None:
        return None, f"the weights of {source.target} are computed: {_AN_EXAMPLE}"
    parts = {id(part) for part in layer.modules()}
    found = [site for site in sites if parts & {id(leaf.owner) for leaf in site.expression.leaves()}]
    bias: Any = getattr(layer, "bias", None)
    return _receiver_of(found, str(source.target), bias)


def _receiver_of(sites: Sequence[ProductSite], name: str, bias: Any) -> tuple[Receiver | None, str]:
    """A product with a kernel that no other product has."""
    if len(sites) != 1 or len(sites[0].calls) != 1:
        return None, f"the weights of {name} are used in {sum(len(site.calls) for site in sites)} products"
    site, call = sites[0], sites[0].calls[0]
    if not _has_rows(site, call):
        return None, f"the kernel of {site.name} has no axis that is the channels"
    if bias is not None and not isinstance(bias, nn.Parameter):
        return None, f"the bias of {name} is no parameter"
    receiver = ProductReceiver(site, bias)
    return (receiver, "") if _adds_only(call, receiver) else (None, f"{name} does more than multiply and add a bias")


def _has_rows(site: ProductSite, call: Call) -> bool:
    """True for one kernel with one axis of outputs."""
    if site.matrices.is_stack or call.index:
        return False
    return isinstance(call, ConvolutionCall) or (isinstance(call, Product) and len(call.matrices.rows) == 1)


def _adds_only(call: Call, receiver: ProductReceiver) -> bool:
    """True if what follows the product in a call is nothing but the addition of the bias of ``receiver``."""
    axes = len(call.outputs) if isinstance(call, Product) else len(call.matrices.shape)
    along = [1] * axes
    along[receiver.axis(axes)] = receiver.channels
    product = call.signal.new_ones(along)
    wanted = product if receiver.bias is None else product + receiver.bias.detach().reshape(along)
    found = call.finish(product).detach()
    return torch.equal(found.reshape(along), wanted) if found.numel() == wanted.numel() else False


def _product_at(
    flow: DataFlow, model: nn.Module, source: fx.Node, sites: Sequence[ProductSite] | None
) -> tuple[Receiver | None, str]:
    name = name_of_step(source)
    kernel, *others = _made(source, True)
    if sites is None:
        return None, f"it follows {name}, a product of a module's own code: {_AN_EXAMPLE}"
    if len(others) > (name in _WITH_BIAS) or len(_made(source, False)) != 1:
        return None, f"what {name} multiplies and adds is not told apart"
    reads, inside = flow.reads(), _before(kernel)
    held = {id(reads[node]) for node in inside if node in reads}
    used = [node for node, value in reads.items() if id(value) in held]
    if not _go_only_into(used, inside, kernel, source) or any(_is_held_twice(model, flow, key) for key in held):
        return None, "the product before has shared weights"
    found = [site for site in sites if held & {id(leaf.value()) for leaf in site.expression.leaves()}]
    bias: Any = reads.get(others[0], others[0]) if others else None
    if sum(value is bias for value in reads.values()) > 1 or _is_held_twice(model, flow, id(bias)):
        return None, "the product before has a shared bias"
    return _receiver_of(found, name, bias)


def _is_held_twice(model: nn.Module, flow: DataFlow, key: int) -> bool:
    """True if a parameter, by identity, is that of several modules, or of one that is called."""
    owners = [m for m in model.modules() if any(id(p) == key for p in (*m._parameters.values(), *m._buffers.values()))]
    return len(owners) > 1 or any(flow.calls(module) for module in owners)


def _before(node: fx.Node) -> set[fx.Node]:
    """A step and all that it needs."""
    found, more = {node}, [node]
    while more:
        new = [one for one in more.pop().all_input_nodes if one not in found]
        found.update(new)
        more += new
    return found


def _made(source: fx.Node, wanted: bool) -> list[fx.Node]:
    """The operands that are, or are not, computed from parameters alone."""
    alone = {
        node: all(one.op in ("get_attr", "call_function", "call_method") for one in _before(node))
        for node in source.all_input_nodes
    }
    return [node for node, made in alone.items() if made == wanted]


def _go_only_into(nodes: Sequence[fx.Node], inside: set[fx.Node], kernel: fx.Node, product: fx.Node) -> bool:
    """True if values are used for a kernel alone, and that in one product."""
    if not set(nodes) <= inside or users_of(kernel) != [product]:
        return False
    return all(set(users_of(node)) <= inside for node in inside if node is not kernel)


def _is_shared(flow: DataFlow, model: nn.Module, layer: nn.Module) -> bool:
    """True if another module, or the model's own code, uses a parameter of ``layer``."""
    own, parts = {id(p) for p in layer.parameters()}, {id(part) for part in layer.modules()}
    others = (module for module in model.modules() if id(module) not in parts)
    if any(own & {id(p) for p in module.parameters(recurse=False)} for module in others):
        return True
    paths = [name for name, m in model.named_modules(remove_duplicate=False) if m is layer]
    return any(map(flow.reads_inside, paths))
