"""Who uses what a module puts out, shown by one call of the model that is traced and computes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, final

import jax
from flax import nnx
from jax.ad_checkpoint import checkpoint_name

from crossohm.flax.batches import at_inference
from crossohm.flax.conversion.places import places
from crossohm.flax.taps import Around, around
from crossohm.layers.batches import Call

#: Marks of what goes into a module and comes out of it, in front of its name.
_INTO, _OUT_OF = "crossohm into ", "crossohm out of "
#: Operations that pass on what they get.
_TRANSPARENT = ("name", "reshape", "transpose", "squeeze", "convert_element_type", "copy", "stop_gradient")


@final
class DataFlow:
    """The uses of modules in one call of a model at inference.

    What functions that are compiled, rematerialised or mapped inside of the model do with modules is seen only where
    they are handed on as they are.

    Args:
        model: The model; it is not changed.
        call: Its arguments; shapes and dtypes matter.
    """

    def __init__(self, model: Any, call: Call) -> None:
        #: Names of norms that are told to use what is not known beforehand.
        self.told: set[str] = set()
        graph, state = nnx.split(model)

        def answer(inputs: Any, named: Any) -> Any:
            twin = nnx.merge(graph, state, copy=True)  # made here: what is traced may change what was made there only
            flags = at_inference(twin)
            with around([(module, self._marked(name)) for name, module in places(twin) if name]):
                return twin(*inputs, **named, **flags)

        traced = jax.make_jaxpr(answer)(call.inputs, call.named)
        self._scopes = [_Scope(jaxpr) for jaxpr in _all_of(traced.jaxpr)]

    def _marked(self, name: str) -> Around:
        def marked(call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
            if options.get("use_running_average") is False or options.get("mask") is not None or False in arguments[1:]:
                self.told.add(name)
            first, *others = arguments or (None,)
            if arguments:
                arguments = (jax.tree.map(lambda x: _named(x, _INTO + name), first), *others)
            return jax.tree.map(lambda y: _named(y, _OUT_OF + name), call(*arguments, **options))

        return marked

    def calls(self, name: str) -> int:
        """How often a module puts out something."""
        return sum(len(scope.marks(_OUT_OF + name)) for scope in self._scopes)

    def before(self, name: str) -> tuple[str, str, int]:
        """What a module gets.

        Returns:
            The module whose outputs go directly into it, and nowhere else; what speaks against that; axes of them.
        """
        uses = [(scope, mark) for scope in self._scopes for mark in scope.marks(_INTO + name)]
        if len(uses) != 1:
            return "", f"used {len(uses)} times by the example", 0
        ((scope, use),) = uses
        source = scope.makers.get(use.invars[0])
        made_by = _mark_of(source) if source is not None else ""
        if not made_by.startswith(_OUT_OF):
            return "", "does not directly follow a layer it can be folded into", 0
        layer = made_by.removeprefix(_OUT_OF)
        if self.calls(layer) != 1 or scope.users(use.invars[0]) != [use]:
            return "", f"{layer} or its output is also used elsewhere", 0
        return layer, "", use.invars[0].aval.ndim

    def is_rectified(self, name: str) -> bool:
        """True if everything a module puts out goes to a ReLU."""
        marks = [(scope, mark) for scope in self._scopes for mark in scope.marks(_OUT_OF + name)]
        return bool(marks) and all(_ends_in_relu(scope, mark.outvars[0]) for scope, mark in marks)


@final
class _Scope:
    """One list of operations: those of the call, or of a function inside of it."""

    def __init__(self, jaxpr: Any) -> None:
        self.equations = list(jaxpr.eqns)
        self.outputs = {id(value) for value in jaxpr.outvars}
        self.makers = {value: equation for equation in self.equations for value in equation.outvars}

    def marks(self, name: str) -> list[Any]:
        """Where this mark is."""
        return [equation for equation in self.equations if _mark_of(equation) == name]

    def users(self, value: Any) -> list[Any] | None:
        """What uses a value; None if it leaves the scope."""
        if id(value) in self.outputs:
            return None
        return [equation for equation in self.equations if any(value is used for used in equation.invars)]


def _named(value: Any, name: str) -> Any:
    return checkpoint_name(value, name) if hasattr(value, "dtype") else value


def _mark_of(equation: Any) -> str:
    return str(equation.params.get("name", "")) if equation.primitive.name == "name" else ""


def _all_of(jaxpr: Any) -> Iterator[Any]:
    """A list of operations, and those of all functions that it calls."""
    yield jaxpr
    for equation in jaxpr.eqns:
        for inner in jax.tree.leaves(list(equation.params.values()), is_leaf=_is_code):
            if _is_code(inner):
                yield from _all_of(getattr(inner, "jaxpr", inner))


def _is_code(value: Any) -> bool:
    return hasattr(value, "eqns") or hasattr(getattr(value, "jaxpr", None), "eqns")


def _ends_in_relu(scope: _Scope, value: Any) -> bool:
    """For every use of a value, behind operations that pass it on, whether it is a ReLU."""
    users = scope.users(value)
    return bool(users) and all(
        _ends_in_relu(scope, user.outvars[0]) if user.primitive.name in _TRANSPARENT else _is_relu(user, value)
        for user in users or []
    )


def _is_relu(equation: Any, value: Any) -> bool:
    """True for the larger of a value and zero, also in a function of its own."""
    if equation.primitive.name == "max":
        others = [used for used in equation.invars if used is not value]
        return len(others) == 1 and getattr(others[0], "val", None) == 0
    for inner in equation.params.values():
        if _is_code(inner):
            body = getattr(inner, "jaxpr", inner)
            arguments = [own for own, used in zip(body.invars, equation.invars, strict=False) if used is value]
            return len(body.invars) == len(equation.invars) and all(
                _ends_in_relu(_Scope(body), own) for own in arguments
            )
    return False
