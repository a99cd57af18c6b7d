"""What modules put out, seen while a model answers, eagerly or while it is traced."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import jax
from flax import nnx

#: Takes the place of the call of a module: gets that, and its arguments.
Around = Callable[..., Any]
#: Attribute of modules under which they are known while nothing is traced.
_MARK = "_crossohm_mark"


@contextmanager
def around(pairs: Sequence[tuple[Any, Around]]) -> Iterator[None]:
    """Let functions take the place of the calls of modules in the ``with`` block.

    How a module is called is said by its class, which says something else meanwhile, for these modules only, and where
    nothing is traced also for what loops make of them.

    Args:
        pairs: Modules, and what is called instead.
    """
    places = {id(module): other for module, other in pairs}
    if jax.config.jax_disable_jit:
        for module, _ in pairs:
            setattr(module, _MARK, id(module))  # goes with what is made of it
    before = {kind: vars(kind).get("__call__") for kind in {type(module) for module, _ in pairs}}
    for kind in before:
        kind.__call__ = _dispatched(kind, places)
    try:
        yield
    finally:
        for kind, call in before.items():
            if call is None:
                del kind.__call__
            else:
                kind.__call__ = call


@contextmanager
def outputs_of(modules: Mapping[str, Any]) -> Iterator[dict[str, list[Any]]]:
    """What modules put out in the ``with`` block, call by call; of several outputs the first, of cells no state."""
    kept: dict[str, list[Any]] = {name: [] for name in modules}

    def keeping(name: str) -> Around:
        def keep(call: Any, *arguments: Any, **options: Any) -> Any:
            result = call(*arguments, **options)
            kept[name].append(jax.tree.leaves(result)[-1 if isinstance(modules[name], nnx.RNNCellBase) else 0])
            return result

        return keep

    with around([(module, keeping(name)) for name, module in modules.items()]):
        yield kept


def _dispatched(kind: Any, places: Mapping[int, Around]) -> Callable[..., Any]:
    """The call of a class in which some of its modules have another one."""
    usual = kind.__call__

    def call(module: Any, *arguments: Any, **options: Any) -> Any:
        other = places.get(vars(module).get(_MARK, id(module))) if type(module) is kind else None
        if other is None:
            return usual(module, *arguments, **options)
        return other(lambda *given, **named: usual(module, *given, **named), *arguments, **options)

    return call
