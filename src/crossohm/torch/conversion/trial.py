"""What one pass does with the layers of a model: drives them, passes them by, or reads their parameters digitally.

A module's own code may multiply with the weight of a layer instead of calling the layer:
``F.linear(x, self.qkv.weight)``. Such products are digital whatever hardware the layer has. They are found by watching
all torch functions of a pass: what is computed from parameters alone is followed, and noted where it meets data.
"""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import takewhile
from types import FrameType
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakIdKeyDictionary

from crossohm.errors import ParameterError
from crossohm.layers.batches import Call
from crossohm.torch.conversion.dataflow import evaluating
from crossohm.torch.conversion.kinds import MULTIPLYING, is_convertible
from crossohm.torch.conversion.obstacles import obstacle_of_operation, obstacle_of_product
from crossohm.torch.conversion.operations import Operation, OperationWatch
from crossohm.torch.layers.layer import AnalogLayer
from crossohm.torch.products.calls import STEPWISE, call_of, in_steps, multiplications_of, tensors_among
from crossohm.torch.products.calls import Call as Product
from crossohm.torch.products.derivation import (
    Derived,
    Expression,
    Key,
    Leaf,
    Origin,
    Step,
    apart,
    key_of,
    name_of,
    number_of,
    origin_after,
    plain_function,
    replaced,
    results_of,
    step,
)

#: Where the operands of products are among the positional arguments; others (biases) are added.
_OPERANDS = {
    name: where
    for where, names in (
        (slice(2), "matmul __matmul__ __rmatmul__ __imatmul__ linalg_matmul mm bmm mv dot vdot inner linalg_vecdot"),
        (slice(2), "grouped_mm _grouped_mm tensordot linear cdist cosine_similarity"),
        (slice(2), "conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d"),
        (slice(1, 3), "addmm addmm_ addmv addmv_ addbmm addbmm_ baddbmm baddbmm_"),
        (slice(3), "bilinear"),
        (slice(1, None), "einsum"),
        (slice(None), "linalg_multi_dot chain_matmul multi_head_attention_forward"),
        (slice(None), "lstm gru rnn_tanh rnn_relu lstm_cell gru_cell rnn_tanh_cell rnn_relu_cell"),
    )
    for name in names.split()
}
#: Products of single numbers: of matrices they are written-out matrix products.
_ELEMENTWISE = ("mul", "mul_", "multiply", "multiply_", "__mul__", "__rmul__", "__imul__")
#: Table look-ups: their results are data.
_LOOKUPS = ("embedding", "embedding_bag")
#: Mark of what depends on the inputs.
_DATA = "data"


@final
@dataclass(frozen=True, eq=False)
class Made:
    """What a tensor was made of that depends on no data.

    Attributes:
        parameters: By identity; none: buffers alone.
        expression: How; None: with what no module of the model holds.
        origin: What the tensor is called; see `Origin`.
        steps: What calls it so only because a trial saw it; see `Step`.
        within: The modules inside of whose calls all of it was done, from the outermost on; None: everywhere.
        methods: The methods, by identity of their module and name, in which all of it was done; None: in all.
    """

    parameters: frozenset[int]
    expression: Expression | None = None
    origin: Origin | None = None
    steps: frozenset[Step] = frozenset()
    within: tuple[nn.Module, ...] | None = None
    methods: frozenset[tuple[int, str]] | None = None


#: What a tensor was made of; None: of nothing that is watched.
Mark = str | Made | None

#: The models a thread watches.
_watched = threading.local()


@final
@dataclass(frozen=True, eq=False)
class FoundProduct:
    """A product with a kernel computed from parameters.

    Attributes:
        product: The product.
        kernel: Its operand.
        made: What this was made of.
        within: The modules inside of whose calls kernel and product are computed, from the outermost on.
        methods: The methods in which they are, see `Made`.
    """

    product: Product
    kernel: Tensor
    made: Made
    within: tuple[nn.Module, ...]
    methods: frozenset[tuple[int, str]]

    @cached_property
    def key(self) -> Key:
        """What its arrays are found by."""
        origin, expression = self.made.origin, self.made.expression
        assert origin is not None and expression is not None
        return key_of(origin, self.product, None if origin.entry is None else next(expression.leaves()).value())

    @property
    def key_apart(self) -> Key:
        """That where other kernels have the same key."""
        assert self.made.origin is not None
        return apart(self.key, self.made.origin)


@final
@dataclass(frozen=True)
class DigitalUse:
    """Digital products with weights of one kind in one place.

    Attributes:
        where: Function and module, in words.
        keys: What arrays would be found by, one or the other; none: no products that arrays could hold were found.
        reason: Why arrays cannot hold them; empty: they can.
    """

    where: str
    keys: frozenset[Key] = frozenset()
    reason: str = ""


@final
@dataclass
class Trial:
    """What a pass did.

    Attributes:
        reached: Names of the layers that data drove.
        reads: By name of a parameter: the digital products with it outside of the layer that owns it, as
            ``"linear in blocks.0 (Block)"``.
        strangers: The same for parameters that no module of the model has, by their shape.
        products: Products with kernels computed from parameters that arrays could hold.
        analog: Multiplications with weights on arrays, by name of the layer.
        digital: The others.
    """

    reached: set[str] = field(default_factory=set)
    reads: dict[str, set[str]] = field(default_factory=dict)
    strangers: dict[tuple[int, ...], set[str]] = field(default_factory=dict)
    products: list[FoundProduct] = field(default_factory=list)
    analog: Counter[str] = field(default_factory=Counter)
    digital: Counter[DigitalUse] = field(default_factory=Counter)

    @property
    def share(self) -> float | None:
        """Of the multiplications with weights, those on arrays; None if there are none."""
        whole = self.analog.total() + self.digital.total()
        return self.analog.total() / whole if whole else None

    def readers_of(self, layer: str, module: nn.Module) -> set[str]:
        """The digital products with parameters of a layer."""
        names = module.named_parameters(layer, recurse=is_layer(module), remove_duplicate=False)
        return set().union(*(self.reads.get(name, ()) for name, _ in names))


def is_watched(model: nn.Module) -> bool:
    """True during a pass of ``model`` that a `Recorder` watches."""
    return any(one is model for one in _models_watched())


def _models_watched() -> list[nn.Module]:
    found: list[nn.Module] = _watched.__dict__.setdefault("models", [])
    return found


def is_layer(module: nn.Module) -> bool:
    """True if products inside of the forward of ``module`` are its own, analog or known to be digital."""
    return isinstance(module, (AnalogLayer, *MULTIPLYING)) or is_convertible(module)


def try_out(model: nn.Module, example: Any) -> Trial:
    """Let ``model`` answer an example, in eval mode and without gradient, and see what that does.

    The model's modes and torch's generators are left as they were.

    Args:
        model: Digital or analog.
        example: The input: a tensor, a tuple of positional inputs or a dictionary of keyword inputs.

    Raises:
        ParameterError: ``example`` is none of these.
    """
    args, kwargs = _arguments(example)
    layers = {name: module for name, module in model.named_modules(remove_duplicate=False) if is_layer(module)}
    recorder = Recorder(model)
    driven: set[int] = set()
    with ExitStack() as stack:
        devices = {p.device.index or 0 for p in model.parameters() if p.device.type == "cuda"}
        stack.enter_context(torch.random.fork_rng(devices=devices))
        for block in (
            torch.no_grad(),
            evaluating(model),
            _without_fused_kernels(),
            _counting(layers, driven, recorder.trial),
        ):
            stack.enter_context(block)
        try:
            with recorder.running((args, kwargs)), recorder.watching_operations():
                model(*args, **kwargs)
        except Exception as error:
            error.add_note("while the model answered the example")
            raise
    driven |= recorder.driven
    recorder.trial.reached.update(name for name, module in layers.items() if id(module) in driven)
    return recorder.trial


def called_with(model: nn.Module, example: Any) -> Any:
    """What ``model`` answers to an example, see `try_out`."""
    args, kwargs = _arguments(example)
    return model(*args, **kwargs)


def _arguments(example: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if isinstance(example, Tensor):
        return (example,), {}
    if isinstance(example, tuple):
        return example, {}
    if isinstance(example, Mapping):
        return (), dict(example)
    if isinstance(example, Call):
        return example.inputs, example.named
    allowed = "a tensor, a tuple of positional inputs, or a dictionary of keyword inputs"
    raise ParameterError("example", type(example).__name__, "is no input of a model", allowed=allowed)


@contextmanager
def _without_fused_kernels() -> Iterator[None]:
    """Without torch's fused transformer kernels, which read the weights of layers past their forward."""
    enabled = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(enabled)


@contextmanager
def _counting(layers: Mapping[str, nn.Module], driven: set[int], trial: Trial) -> Iterator[None]:
    """Note layers, by identity, that something passes: analog ones by the vectors their arrays multiply."""
    analog = {id(layer): layer for layer in layers.values() if isinstance(layer, AnalogLayer)}
    matrices = [matrix for layer in analog.values() for matrix in layer.matrices]
    before = [matrix.vectors for matrix in matrices]
    with ExitStack() as hooks:
        for layer in {id(layer): layer for layer in layers.values()}.values():
            if id(layer) not in analog:
                note = partial(_note, driven)
                hooks.callback(layer.register_forward_pre_hook(note, with_kwargs=True).remove)
        for matrix in matrices:
            matrix.vectors = 0
        try:
            yield
            driven.update(key for key, layer in analog.items() if any(matrix.vectors for matrix in layer.matrices))
            for name, layer in layers.items():
                if analog.pop(id(layer), None) is not None:
                    trial.analog[name] = sum(matrix.vectors * matrix.layout.weights for matrix in layer.matrices)
        finally:
            for matrix, vectors in zip(matrices, before, strict=True):
                matrix.vectors = vectors


def _note(driven: set[int], layer: nn.Module, args: Any, kwargs: Any) -> None:
    if any(tensor.numel() for tensor in tensors_in((args, kwargs))):
        driven.add(id(layer))


def tensors_in(value: Any) -> Iterator[Tensor]:
    """The tensors in nested lists, tuples, dictionaries and objects of inputs."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from tensors_in(item)
    elif isinstance(value, Mapping):
        yield from tensors_in(list(value.values()))
    elif hasattr(value, "__dataclass_fields__"):
        yield from tensors_in([getattr(value, name) for name in value.__dataclass_fields__])


@final
class Recorder(TorchFunctionMode):
    """Watches the torch functions of one pass.

    Args:
        model: Its parameters are followed.
        frame: The call during which the pass takes place, where nothing else tells that it ended.

    Attributes:
        trial: What was seen; layers that were reached are not noted.
        driven: Identities of layers whose forward was called past the module's call.
    """

    def __init__(self, model: nn.Module, frame: FrameType | None = None) -> None:
        super().__init__()
        self.trial = Trial()
        self.driven: set[int] = set()
        self._frame = frame
        self._model = model
        self._names: dict[int, list[str]] = {}
        self._matrices: set[int] = set()  # parameters of layers that could be in arrays
        self._modules = {id(module): name for name, module in model.named_modules()}
        self._layers = [m for m in model.modules() if isinstance(m, AnalogLayer) or is_convertible(m)]
        self._calls: list[nn.Module] = [model]
        self._marks: Any = WeakIdKeyDictionary()
        self._strangers: dict[int, Tensor] = {}
        self._depth = self._analog_depth = 0
        self._function: str | None = None  # that is running
        self._operations: list[Operation] = []  # products inside of it
        for name, parameter in model.named_parameters(remove_duplicate=False):
            self._names.setdefault(id(parameter), []).append(name)
            self._marks[parameter] = Made(frozenset([id(parameter)]))
        for rank, leaf in enumerate(ranked_leaves(model)):
            value = leaf.value()
            parameters = frozenset([id(value)] if leaf.is_parameter else [])
            self._marks[value] = Made(parameters, leaf, Origin(rank))
        for layer in model.modules():
            if is_layer(layer):
                self._matrices.update(id(parameter) for parameter in layer.parameters() if parameter.ndim > 1)

    @contextmanager
    def running(self, inputs: Any) -> Iterator[None]:
        """Watch what is done in the ``with`` block, which is a pass with these inputs."""
        with ExitStack() as stack:
            if "torch._dynamo" in sys.modules:  # compiled parts would not be seen, and compile the watching
                stack.enter_context(torch.compiler.set_stance("force_eager"))
            for tensor in tensors_in(inputs):
                self._marks[tensor] = _DATA
            watched = _models_watched()
            watched.append(self._model)
            stack.callback(watched.remove, self._model)
            for layer in self._layers:
                stack.callback(layer.register_forward_pre_hook(self._enter, prepend=True).remove)
                stack.callback(layer.register_forward_hook(self._leave, always_call=True).remove)
            for module in list(self._model.modules())[1:]:  # the hooks of the first one may be running
                if isinstance(module, torch.jit.ScriptModule):
                    continue  # takes no hooks
                stack.callback(module.register_forward_pre_hook(self._begin, prepend=True).remove)
                stack.callback(module.register_forward_hook(self._end, always_call=True).remove)
            stack.enter_context(self)
            yield

    def watching_operations(self) -> OperationWatch:
        """What also sees products that no torch function tells of, in a ``with`` block inside of `running`."""
        return OperationWatch(self._parameters_of, self._mark_made, self._meet, lambda: self._analog_depth > 0)

    def is_over(self) -> bool:
        """True if the pass was left without a word, as by Ctrl-C, of which hooks are not told."""
        return self._frame is not None and all(frame is not self._frame for frame in _frames())

    def _begin(self, module: nn.Module, args: Any) -> None:
        self._calls.append(module)

    def _end(self, module: nn.Module, args: Any, outputs: Any) -> None:
        self._calls.pop()

    def _enter(self, layer: nn.Module, args: Any) -> None:
        self._depth += 1
        self._analog_depth += isinstance(layer, AnalogLayer)

    def _leave(self, layer: nn.Module, args: Any, outputs: Any) -> None:
        self._depth -= 1
        self._analog_depth -= isinstance(layer, AnalogLayer)
        if not self._depth:
            for tensor in tensors_in(outputs):
                self._marks[tensor] = _DATA

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Compute, and follow parameters through what was computed."""
        kwargs = kwargs or {}
        function = name_of(func)
        if function in STEPWISE and not self._depth:
            with self:
                found = in_steps(function, args, kwargs, lambda operand: isinstance(self._mark(operand), Made))
            if found is not None:
                return found
        outer, self._function, self._operations = self._function, function, []
        try:
            result = func(*args, **kwargs)
        finally:
            self._function = outer
        counted = False
        if not self._depth and not self.is_over():
            counted = self._follow(func, args, kwargs, result)
        elif not self._analog_depth and function in _OPERANDS:
            counted = self._count(function, args, kwargs, _factors(function, args, kwargs))
        for operation in [] if counted else self._operations:
            self._count_operation(function, operation)
        self._operations = []
        return result

    # --- what the dispatcher shows ------------------------------------------------------------------------------------

    def _parameters_of(self, tensor: Tensor) -> frozenset[int] | None:
        mark = self._mark(tensor)
        return mark.parameters if isinstance(mark, Made) else None

    def _mark_made(self, tensor: Tensor, parameters: frozenset[int]) -> None:
        if self._marks.get(tensor) is None:
            self._marks[tensor] = Made(parameters)

    def _meet(self, operation: Operation) -> None:
        """Inside of a function that is known, this counts."""
        if self._function is None:
            self._count_operation(operation.name, operation)
        else:
            self._operations.append(operation)

    def _count_operation(self, function: str, operation: Operation) -> None:
        inside = self._depth or self._is_forward()
        reason = "" if inside else obstacle_of_operation(function, self._is_held(operation.parameters))
        use = DigitalUse(self._where(function, self._caller()), reason=reason)
        self.trial.digital[use] += operation.multiplications
        if not inside:
            self._record(function, operation.parameters)

    # --- what functions show ------------------------------------------------------------------------------------------

    def _count(
        self,
        function: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        factors: list[Tensor],
        found: FoundProduct | None = None,
    ) -> bool:
        """Count the multiplications of a digital product with weights; False if there are none."""
        kernels = [factor for factor in factors if isinstance(mark := self._mark(factor), Made) and mark.parameters]
        if not kernels:
            return False
        fits = self._depth or found is not None or self._is_forward()
        held = self._is_held(_parameters([self._mark(kernel) for kernel in kernels]))
        reason = "" if fits else obstacle_of_product(function, held)
        keys = frozenset([found.key, found.key_apart]) if found is not None else frozenset()
        use = DigitalUse(self._where(function, self._caller()), keys, reason)
        self.trial.digital[use] += multiplications_of(function, args, kwargs, kernels)
        return True

    def _is_held(self, parameters: frozenset[int]) -> bool:
        """True if modules of the model have all of these parameters."""
        return parameters.isdisjoint(self._strangers)

    def _follow(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> bool:
        """Note a product, and mark its result; True if a product was counted."""
        function = name_of(func)
        marks = [self._mark(operand) for operand in tensors_in((args, kwargs))]
        is_data, read, counted = _DATA in marks or function in _LOOKUPS, frozenset[int](), False
        if function in _OPERANDS:
            factors = _factors(function, args, kwargs)
            if not all(isinstance(self._mark(factor), Made) for factor in factors):
                read = _parameters([self._mark(factor) for factor in factors])
                found = None if self._is_forward() else self._find(function, args, kwargs, factors)
                counted = self._count(function, args, kwargs, factors, found)
        elif function in _ELEMENTWISE and is_data:
            read = _parameters(marks) & self._matrices
            if read:
                counted = True
                use = DigitalUse(self._where(function, self._caller()), reason=obstacle_of_product(function, True))
                self.trial.digital[use] += result.numel()
        if read:
            self._record(function, read)
        if is_data and not read and self._is_entry(function, args):
            is_data = False  # data say which entry, and no more
        if is_data or read:
            for tensor in tensors_in(result):
                self._marks[tensor] = _DATA
        elif any(isinstance(one, Made) for one in marks):
            for pick, tensor in results_of(result):
                self._marks[tensor] = self._made(func, args, kwargs, tensor, pick)
        return counted

    def _is_entry(self, function: str, args: tuple[Any, ...]) -> bool:
        """True for an entry of a tensor made of parameters, under a number that is a tensor."""
        return function == "__getitem__" and isinstance(self._mark(args[0]), Made) and number_of(args[1]) is not None

    def _made(
        self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Tensor, pick: tuple[int, ...]
    ) -> Made:
        """What a result was made of."""
        found = [
            (tensor, mark) for tensor in tensors_among(args, kwargs) if isinstance(mark := self._mark(tensor), Made)
        ]
        parameters = frozenset().union(*(mark.parameters for _, mark in found))
        named = [(tensor, mark) for tensor, mark in found if mark.origin is not None and mark.expression is not None]
        if not found or len(named) < len(found):
            return Made(parameters)

        def expression_of(value: Any) -> Any:
            mark = self._mark(value) if isinstance(value, Tensor) else None
            if isinstance(mark, Made):
                return mark.expression
            return value.detach().clone() if isinstance(value, Tensor) else value

        if name_of(func) == "__getitem__" and number_of(args[1]) is not None:
            args = (args[0], number_of(args[1]))
        expression = Derived(plain_function(func), replaced(args, expression_of), replaced(kwargs, expression_of), pick)
        first, *_ = named = sorted(named, key=lambda one: one[1].origin.leaf)  # type: ignore[union-attr]
        origins = [mark.origin for _, mark in named if mark.origin is not None]
        origin = origin_after(name_of(func), args, kwargs, origins, isinstance(first[1].expression, Leaf), pick)
        steps = frozenset().union(*(mark.steps for _, mark in named), [step(name_of(func), origins[0], result)])
        within = common_beginning([tuple(self._calls), *(mark.within for _, mark in named if mark.within is not None)])
        methods = self._methods().intersection(*(mark.methods for _, mark in named if mark.methods is not None))
        return Made(parameters, expression, origin, steps, within, methods)

    def _find(
        self, function: str, args: tuple[Any, ...], kwargs: dict[str, Any], factors: list[Tensor]
    ) -> FoundProduct | None:
        """Note a product that arrays could compute."""
        for factor in factors:
            made = self._mark(factor)
            if not isinstance(made, Made) or not made.parameters or made.origin is None:
                continue
            product = call_of(function, args, kwargs, factor)
            if product is not None:
                calls = [tuple(self._calls), *([made.within] if made.within is not None else [])]
                methods = self._methods() if made.methods is None else self._methods() & made.methods
                found = FoundProduct(product, factor, made, common_beginning(calls), methods)
                self.trial.products.append(found)
                return found
        return None

    def _mark(self, tensor: Tensor) -> Mark:
        if tensor not in self._marks and isinstance(tensor, nn.Parameter):
            self._strangers[id(tensor)] = tensor
            self._marks[tensor] = Made(frozenset([id(tensor)]))
        return self._marks.get(tensor)

    def _record(self, function: str, parameters: frozenset[int]) -> None:
        module = self._caller()
        if is_layer(module):
            return  # its own business, though it was not called as a module
        where = self._where(function, module)
        for key in parameters:
            if key in self._strangers:
                self.trial.strangers.setdefault(tuple(self._strangers[key].shape), set()).add(where)
            for name in self._names.get(key, ()):
                self.trial.reads.setdefault(name, set()).add(where)

    def _where(self, function: str, module: nn.Module) -> str:
        return f"{function} in {self._modules[id(module)] or 'the model'} ({type(module).__name__})"

    def _caller(self) -> nn.Module:
        """The innermost module of the model whose code is running."""
        return next((module for module, _ in self._running()), self._model)

    def _is_forward(self) -> bool:
        """True if a layer that can be converted is computing, though it was not called as a module."""
        layer = self._caller()
        if not is_convertible(layer):
            return False
        own = takewhile(lambda one: one[0] is layer, self._running())
        if all(frame.f_code.co_name != "forward" for _, frame in own):
            return False
        self.driven.add(id(layer))
        return True

    def _methods(self) -> frozenset[tuple[int, str]]:
        return frozenset((id(module), frame.f_code.co_name) for module, frame in self._running())

    def _running(self) -> Iterator[tuple[nn.Module, FrameType]]:
        """Modules of the model whose code is running, and where, from the innermost one on."""
        for frame in _frames():
            module = frame.f_locals.get("self")
            if isinstance(module, nn.Module) and id(module) in self._modules:
                yield module, frame


def _frames() -> Iterator[FrameType]:
    """The running calls, from the innermost one."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield frame
        frame = frame.f_back


def _factors(function: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Tensor]:
    """What a product multiplies."""
    named = {key: value for key, value in kwargs.items() if "bias" not in key}
    return list(tensors_in((args[_OPERANDS[function]], named)))


def _parameters(marks: list[Mark]) -> frozenset[int]:
    return frozenset().union(*(mark.parameters for mark in marks if isinstance(mark, Made)))


def ranked_leaves(model: nn.Module) -> list[Leaf]:
    """Parameters, the largest ones first, then buffers; each once."""
    found: dict[int, Leaf] = {}
    for module in model.modules():
        if isinstance(module, torch.jit.ScriptModule):
            continue  # whose code is not followed
        for key, value in (*module._parameters.items(), *module._buffers.items()):
            if value is not None:
                found.setdefault(id(value), Leaf(module, key))
    return sorted(found.values(), key=lambda leaf: (not leaf.is_parameter, -leaf.value().numel()))


def common_beginning(calls: list[tuple[nn.Module, ...]]) -> tuple[nn.Module, ...]:
    """What several stacks of calls have in common, from the outermost on."""
    together = takewhile(lambda modules: all(one is modules[0] for one in modules), zip(*calls, strict=False))
    return tuple(modules[0] for modules in together)
