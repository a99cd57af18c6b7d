"""Which products of a module's own code get arrays, where these stand in the model, and what they are called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import ParametrizationList

from crossohm.layers.array_layer import Gradient, Sync
from crossohm.layers.conversion import Conversion
from crossohm.layers.maps.grouped import USUAL_GROUPING
from crossohm.torch.conversion.obstacles import ONLY_BY_ORDER
from crossohm.torch.conversion.places import sites
from crossohm.torch.conversion.trial import FoundProduct, Trial, common_beginning, ranked_leaves, try_out
from crossohm.torch.products.calls import Call, Form
from crossohm.torch.products.derivation import Derived, Expression, Key, Leaf, Step
from crossohm.torch.products.layer import AnalogProduct, DigitalProduct
from crossohm.torch.products.routing import Routes, lead

#: Modules whose children are all called, or counted: no arrays are put among them.
_CONTAINERS = (
    nn.Sequential,
    nn.ModuleList,
    nn.ModuleDict,
    nn.ParameterList,
    nn.ParameterDict,
    ParametrizationList,
)


@final
@dataclass(frozen=True, eq=False)
class ProductSite:
    """Arrays to be made for products of a module's own code.

    Attributes:
        name: Of the arrays in the model.
        key: What finds them; see `Key`.
        expression: How the kernel is computed.
        matrices: What the kernel is.
        leaves: The parameters and buffers that takes, and those which other kernels take with these, by rank.
        steps: What calls the kernel so; see `Step`.
        host: The module inside of whose calls kernel and products are computed.
        calls: The products of the trial.
        methods: Names of the host's methods that do so, for which no other is needed.
    """

    name: str
    key: Key
    expression: Expression
    matrices: Form
    leaves: dict[int, Leaf]
    steps: frozenset[Step]
    host: nn.Module
    calls: tuple[Call, ...]
    methods: frozenset[str]


@final
@dataclass(frozen=True)
class Places:
    """What of a model can be put on arrays.

    Attributes:
        layers: By name.
        products: Products of modules' own code, as far as an example has shown them.
        names: Of all of them, in the order that they have once they are on arrays.
    """

    layers: dict[str, nn.Module]
    products: tuple[ProductSite, ...]
    names: tuple[str, ...]


def places_of(model: nn.Module, example: Any) -> Places:
    """What of a model can be put on arrays.

    Args:
        model: Every place has a module of its own, see `separate`.
        example: An input, see `try_out`; None: there is none.
    """
    layers = dict(sites(model))
    if example is None or "" in layers:
        return Places(layers, (), tuple(layers))
    trial = try_out(model, example)
    passed = passed_by(model, trial)
    driven = {name: layer for name, layer in layers.items() if name not in passed}
    products = tuple(product_sites(model, trial))
    return Places(driven, products, tuple(_in_order(model, driven, products)))


def _in_order(model: nn.Module, layers: Collection[str], products: Iterable[ProductSite]) -> Iterator[str]:
    """Names of layers and products: those stand before the other children of their module, see `_put_first`."""
    inside: dict[str, list[str]] = {}
    for site in products:
        inside.setdefault(site.name.rpartition(".")[0], []).insert(0, site.name)
    for name, _ in model.named_modules(remove_duplicate=False):
        if name in layers:
            yield name
        yield from inside.get(name, ())


def product_sites(model: nn.Module, trial: Trial) -> list[ProductSite]:
    """The arrays that hold the kernels of all products in a trial which arrays can hold.

    Kernels of one name that differ in value have none: they would be written again and again.
    """
    ranks = {(id(leaf.owner), leaf.key): rank for rank, leaf in enumerate(ranked_leaves(model))}
    names = {id(module): name for name, module in reversed(list(model.named_modules(remove_duplicate=False)))}
    converted = {name for name, _ in sites(model)} - passed_by(model, trial)
    taken = set(names.values())
    built = []
    used = [{ranks[id(leaf.owner), leaf.key]: leaf for leaf in _expression(one).leaves()} for one in trial.products]
    for key, group in _kernels(trial.products):
        first = group[0]
        leaves = {ranks[id(leaf.owner), leaf.key]: leaf for leaf in _expression(first).leaves()}
        # So that no other kernel in which a parameter of this one has a part is taken for it.
        beside = {rank: leaf for one in used if one.keys() & leaves.keys() for rank, leaf in one.items()}
        name = _free(_name(leaves[key[0]], names, model, converted), taken)
        host = common_beginning([found.within for found in group])[-1]
        steps = frozenset().union(*(found.made.steps for found in group))
        calls = tuple(found.product for found in group)
        methods = frozenset(name for found in group for module, name in found.methods if module == id(host))
        built.append(ProductSite(name, key, _expression(first), key[2], beside, steps, host, calls, methods))
    return built


def digital_products(model: nn.Module, trial: Trial) -> Counter[tuple[str, str]]:
    """Digital multiplications with weights in a trial, by function and module in words, and why arrays hold them not.

    Where there is no reason, a conversion with the example of the trial puts them on arrays.
    """
    keys = {site.key for site in product_sites(model, trial)}
    found: Counter[tuple[str, str]] = Counter()
    for use, count in trial.digital.items():
        found[use.where, use.reason if not use.keys or use.keys & keys else ONLY_BY_ORDER] += count
    return found


def passed_by(model: nn.Module, trial: Trial) -> set[str]:
    """Names of convertible layers that data did not reach, and whose parameters other code multiplies with."""
    owners = {id(leaf.owner) for found in trial.products for leaf in _expression(found).leaves()}
    return {name for name, layer in sites(model) if id(layer) in owners and name not in trial.reached}


def with_products(model: nn.Module) -> set[int]:
    """Identities of the modules whose parameters are held by arrays of products, which these stand in or beside."""
    found: set[int] = set()
    for module in model.modules():
        for child in module._modules.values():
            if isinstance(child, AnalogProduct):
                found |= {id(module), *(id(leaf.owner) for leaf in child.expression.leaves())}
    return found


def install_products(
    model: nn.Module,
    found: Sequence[ProductSite],
    chosen: Mapping[str, Conversion],
    table: Mapping[int, nn.Module],
    seed: int,
    sync: Sync,
    gradient: Gradient,
) -> None:
    """Make arrays for products, in place.

    Args:
        model: Its layers are converted.
        found: The products.
        chosen: What was chosen for each by name; those without a choice stay digital.
        table: What took the place of modules of the trial, by the identity of these.
        seed: The chip.
        sync: See `AnalogLayer.sync`.
        gradient: See `AnalogLayer.gradient`.
    """
    arrays: dict[str, AnalogProduct] = {}
    for site in found:
        choice = chosen.get(site.name)
        if choice is None:
            continue
        expression, grouping = site.expression.moved(table), choice.grouping or USUAL_GROUPING
        made = AnalogProduct(choice.hardware, expression, site.matrices, grouping, seed=seed, name=choice.name)
        made.sync, made.gradient = sync, gradient
        arrays[site.name] = made
    _lead(model, found, arrays, table)


def observe_products(model: nn.Module, found: Sequence[ProductSite]) -> None:
    """Let hooks see the results of products in a digital model, in place, under the names their arrays would have."""
    _lead(model, found, {site.name: DigitalProduct() for site in found}, {})


def _lead(
    model: nn.Module,
    found: Sequence[ProductSite],
    there: Mapping[str, AnalogProduct | DigitalProduct],
    table: Mapping[int, nn.Module],
) -> None:
    """Put something in the places of products, and lead these there."""
    routes: dict[int, tuple[nn.Module, Routes]] = {}
    methods: dict[int, frozenset[str]] = {}
    for site in reversed(found):  # each is put in front of the others
        if site.name not in there:
            continue
        home, _, key = site.name.rpartition(".")
        _put_first(model.get_submodule(home), key, there[site.name])
        host = table.get(id(site.host), site.host)
        _, routed = routes.setdefault(id(host), (host, Routes({}, set(), {})))
        routed.leaves |= {rank: leaf.moved(table) for rank, leaf in site.leaves.items()}
        routed.steps |= site.steps
        routed.table[site.key] = there[site.name]
        methods[id(host)] = methods.get(id(host), frozenset()) | site.methods
    for host, routed in routes.values():
        routed.told |= {site.key for site in found if site.name not in there}
        lead(host, routed, methods[id(host)])


def _put_first(home: nn.Module, key: str, arrays: nn.Module) -> None:
    """Register arrays before the other children, so that they see parameters before these are moved."""
    home.add_module(key, arrays)
    others = {name: child for name, child in home._modules.items() if name != key}
    home._modules.clear()
    home._modules.update({key: arrays, **others})


def _expression(found: FoundProduct) -> Expression:
    """How the kernel that the arrays hold is computed."""
    made = found.made
    assert made.expression is not None and made.origin is not None
    if made.origin.entry is not None:
        return next(made.expression.leaves())
    if found.product.index:
        return Derived(Tensor.__getitem__, (made.expression, found.product.index), {}, ())
    return made.expression


def _kernels(products: Iterable[FoundProduct]) -> Iterator[tuple[Key, list[FoundProduct]]]:
    """The products with each kernel, and what its arrays are found by."""
    for key, group in _grouped(products, lambda found: found.key):
        if _is_one_kernel(group):
            yield key, group
            continue
        for own, part in _grouped(group, lambda found: found.key_apart):
            if _is_one_kernel(part):
                yield own, part


def _grouped(
    products: Iterable[FoundProduct], key: Callable[[FoundProduct], Key]
) -> Iterable[tuple[Key, list[FoundProduct]]]:
    groups: dict[Key, list[FoundProduct]] = {}
    for found in products:
        groups.setdefault(key(found), []).append(found)
    return groups.items()


def _is_one_kernel(group: Iterable[FoundProduct]) -> bool:
    """True if the kernels have the same values."""
    first, *rest = group
    if first.made.origin is not None and first.made.origin.entry is not None:
        return True
    return all(torch.equal(first.kernel, found.kernel) for found in rest)


def _name(leaf: Leaf, names: Mapping[int, str], model: nn.Module, converted: Collection[str]) -> str:
    """Where the arrays of a parameter stand: beside it, and outside of containers and of other arrays."""
    home, key = names[id(leaf.owner)].split("."), _plain(leaf)
    if "parametrizations" in home:
        cut = home.index("parametrizations")
        home, key = home[:cut], home[cut + 1]
    while home and home != [""]:
        path = ".".join(home)
        if path not in converted and not isinstance(model.get_submodule(path), _CONTAINERS):
            break
        key = f"{home.pop()}_{key}"
    return ".".join([*filter(None, home), f"{key}_product"])


def _plain(leaf: Leaf) -> str:
    """Name of a weight, of which the parameter may be what normalisation or pruning has made of it."""
    for ending, partner in (("_orig", ""), ("_v", "_g")):
        stem = leaf.key.removesuffix(ending)
        if stem not in ("", leaf.key) and (not partner or stem + partner in leaf.owner._parameters):
            return stem
    return leaf.key


def _free(name: str, taken: set[str]) -> str:
    """``name``, with a number if there is such a one already."""
    number, found = 1, name
    while found in taken:
        number += 1
        found = f"{name}{number}"
    taken.add(found)
    return found
