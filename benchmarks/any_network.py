"""Do networks that others wrote run on arrays, and at what cost?

Usage: ``python benchmarks/any_network.py --rows FILE.jsonl [--published] [--only PART ...] [--again]
[--without STEP ...] [--table]``

Every network of ``networks.py`` is converted with an example, in an environment that has the packages they come from:

``pip install timm torchvision transformers torch_geometric diffusers segmentation-models-pytorch peft``

One row each: what share of the multiply-accumulates with weights runs on arrays (counted by watching torch's
dispatcher, independently of crossohm's report), how far outputs and gradients on ideal hardware are from the digital
ones in double precision, whether `to_torch` gives back the same network and a saved chip the same answers bit for bit,
whether `calibrate` takes the model as it is, and processor time as a multiple of plain torch's, one thread, float32.

``--published`` takes networks of the size they are published with, one image or sentence, for the time they need.

Rows are appended to the file as they come; a network that has a row is left out the next time, unless ``--again``: then
what is measured again takes the place of what was found before.
Networks of packages that are not installed are named and left out.
"""

from __future__ import annotations

import argparse
import io
import json
import logging
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import torch
from networks import Entry, entries
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry
from torch.utils.weak import WeakIdKeyDictionary

from crossohm import CrossSimParameters, calibrate
from crossohm.torch import analog_modules, conversion_report, from_torch, to_torch
from crossohm.torch.conversion.folded import is_norm
from crossohm.torch.conversion.places import copy_of

#: Seconds for which each side of a comparison of time runs.
SECONDS = 0.3
#: Columns of processor time.
TIMES = ("time ideal", "time rram-8bit")
#: What is measured, each by a method of `Row`; later ones need earlier ones.
STEPS = ("share", "outputs", "gradients", "back", "chip", "calibration", "generation", "folding", "times")
#: Those of networks of published size.
PUBLISHED_STEPS = ("share", "calibration", "times")
NOISY = {
    "xbar.device.programming_error.enable": True,
    "xbar.device.programming_error.model": "NormalProportionalDevice",
    "xbar.device.programming_error.magnitude": 0.05,
}


class WeightProducts(TorchDispatchMode):
    """Counts multiply-accumulates in which data meet something computed from parameters alone.

    Attributes:
        count: So many, outside of analog layers.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.count = 0
        self._constant: Any = WeakIdKeyDictionary()
        self._inside = 0
        for value in (*model.parameters(), *model.buffers()):
            self._constant[value] = any(value is one for one in model.parameters())
        self._hooks = []
        for layer in analog_modules(model):
            self._hooks.append(layer.register_forward_pre_hook(self._enter))
            self._hooks.append(layer.register_forward_hook(self._leave))

    def _enter(self, *_: object) -> None:
        self._inside += 1

    def _leave(self, *_: object) -> None:
        self._inside -= 1

    def close(self) -> None:
        """Take the hooks away."""
        for hook in self._hooks:
            hook.remove()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        given = list(tensors_in((args, kwargs or {})))
        known = [self._constant.get(tensor) for tensor in given]
        if given and all(one is not None for one in known):
            for tensor in tensors_in(result):
                self._constant[tensor] = any(known)
        packet = getattr(func, "overloadpacket", None)
        if not self._inside and any(known) and None in known:
            if packet in flop_registry:
                self.count += flop_registry[packet](*args, **(kwargs or {}), out_val=result) // 2
            elif packet is torch.ops.aten._grouped_mm:
                self.count += args[0].numel() * args[1].shape[-1]
        return result


def tensors_in(value: Any) -> Iterator[Tensor]:
    """The tensors in nested inputs or answers; of objects, those that are attributes."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        yield from tensors_in(list(value.values()))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from tensors_in(item)
    elif hasattr(value, "layers") or hasattr(value, "__dataclass_fields__"):
        yield from tensors_in([item for item in vars(value).values() if item is not value])


def answer(model: nn.Module, example: Any) -> list[Tensor]:
    """The floating tensors a network puts out."""
    found = model(**example) if isinstance(example, dict) else model(*example)
    return [tensor for tensor in tensors_in(found) if tensor.is_floating_point()]


def doubled(example: Any) -> Any:
    """The example in double precision; numbers of tokens stay."""
    if isinstance(example, dict):
        return {name: doubled(value) for name, value in example.items()}
    if isinstance(example, tuple):
        return tuple(map(doubled, example))
    return example.double() if example.is_floating_point() else example


def deviation(found: list[Tensor], expected: list[Tensor]) -> float:
    """Relative, of all tensors together."""
    scale = sum(float(one.detach().double().pow(2).sum()) for one in expected) ** 0.5
    pairs = zip(found, expected, strict=True)
    return sum(float((a.detach().double() - b.detach().double()).pow(2).sum()) for a, b in pairs) ** 0.5 / (scale or 1)


def gradients(model: nn.Module, example: Any) -> dict[str, Tensor]:
    """Of a fixed sum of all outputs, by the name of the parameter."""
    generator = torch.Generator().manual_seed(5)
    model.train().eval()  # drops what some keep of passes without gradients
    outputs = answer(model, example)
    loss = sum((y * torch.rand(y.shape, generator=generator, dtype=y.dtype)).sum() for y in outputs if y.requires_grad)
    model.zero_grad()
    loss.backward()  # type: ignore[union-attr]
    return {name: value.grad.clone() for name, value in model.named_parameters() if value.grad is not None}


def weight_products(model: nn.Module, example: Any) -> int:
    """Digital multiply-accumulates with weights."""
    counter = WeightProducts(model)
    with torch.no_grad(), torch.backends.mkldnn.flags(enabled=False), counter:
        answer(model, example)
    counter.close()
    return counter.count


def processor_time(run: Callable[[], object]) -> Callable[[], float]:
    """A function that takes the time of one more call."""

    def once() -> float:
        start = time.process_time()
        run()
        return time.process_time() - start

    return once


def ratio(ours: Callable[[], object], plain: Callable[[], object]) -> float:
    """Least processor time of ours over that of plain, taken in turn."""
    first, second = processor_time(ours), processor_time(plain)
    first(), second()
    found: list[tuple[float, float]] = []
    start = time.process_time()
    while len(found) < 3 or time.process_time() - start < 2 * SECONDS:
        found.append((first(), second()))
    return min(one for one, _ in found) / min(one for _, one in found)


class Row:
    """Measures one network; a step that fails leaves its message and the others run."""

    def __init__(self, entry: Entry) -> None:
        torch.manual_seed(0)
        self.model, self.example = entry.build()
        self.model.eval()
        for value in self.model.parameters():
            if value.ndim > 1 and not value.any():  # of networks that begin as zero nothing would be seen
                nn.init.normal_(value, std=0.1)
        self.found: dict[str, Any] = {"network": entry.name}
        self._analog: dict[str, nn.Module] = {}

    def measure(self, steps: Sequence[str]) -> dict[str, Any]:
        """All columns of some steps."""
        for name in steps:
            torch.manual_seed(1)
            start = time.process_time()
            try:
                getattr(self, name)()
            except Exception as error:  # the row says what cannot be done
                self.found.setdefault("failures", {})[name] = f"{type(error).__name__}: {error}"[:600]
            self.found.setdefault("seconds", {})[name] = round(time.process_time() - start, 2)
        return self.found

    def converted(self, model: nn.Module, example: Any, params: Any = None, seed: int = 1) -> nn.Module:
        """On hardware; what crossohm warns of is kept in the row."""
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            analog = from_torch(model, params, seed=seed, example=example, grouping="per_group", fuse_batchnorm=False)
        ours = [str(one.message)[:300] for one in told if one.category is RuntimeWarning]
        self.found.setdefault("warnings", ours)
        return analog  # type: ignore[no-any-return]

    def share(self) -> None:
        """Of the products with weights, how many are on arrays."""
        self.found["parameters"] = sum(value.numel() for value in self.model.parameters())
        whole = weight_products(self.model, self.example)
        self._analog["ideal"] = self.converted(self.model, self.example)
        left = weight_products(self._analog["ideal"], self.example)
        self.found |= {"products": whole, "share": 1 - left / whole}

    def outputs(self) -> None:
        """On ideal hardware, in double precision where the network itself works in it."""
        self._double, self._inputs = copy_of(self.model).double(), doubled(self.example)
        try:
            answer(self._double, self._inputs)
        except RuntimeError as error:
            self._double, self._inputs = self.model, self.example
            self.found["single precision"] = str(error)[:200]
        self._analog["double"] = self.converted(self._double, self._inputs)
        with torch.no_grad():
            found, expected = (answer(model, self._inputs) for model in (self._analog["double"], self._double))
        self.found["outputs"] = deviation(found, expected)

    def gradients(self) -> None:
        """Of all parameters, in double precision."""
        try:
            expected = gradients(self._double, self._inputs)
        except RuntimeError as error:
            self.found["no gradients"] = str(error)[:200]
            return
        found = gradients(self._analog["double"], self._inputs)
        assert len(found) == len(expected), f"{len(found)} parameters have gradients, {len(expected)} should"
        self.found["gradients"] = deviation(list(found.values()), list(expected.values()))

    @torch.no_grad()
    def back(self) -> None:
        """Whether the way back gives the same network."""
        plain = to_torch(self._analog["ideal"])
        before, after = self.model.state_dict(), plain.state_dict()
        same = before.keys() == after.keys() and all(torch.equal(value, after[name]) for name, value in before.items())
        pairs = zip(answer(plain, self.example), answer(self.model, self.example), strict=True)
        self.found["back"] = same and all(torch.equal(one, other) for one, other in pairs)

    @torch.no_grad()
    def chip(self) -> None:
        """Whether a chip with programming errors answers the same after it was saved and loaded."""
        params = CrossSimParameters()
        params.update(NOISY)
        chip, other = (self.converted(self.model, self.example, params, seed) for seed in (1, 2))
        expected = answer(chip, self.example)
        file = io.BytesIO()
        torch.save(chip.state_dict(), file)
        file.seek(0)
        other.load_state_dict(torch.load(file, weights_only=True))
        self.found["chip"] = all(map(torch.equal, answer(other, self.example), expected))
        self.found["noise"] = deviation(expected, answer(self.model, self.example))

    def calibration(self) -> None:
        """Whether ranges of converters are found for the model as it is, and what 8 bits then cost."""
        data = self.example if isinstance(self.example, dict) else [self.example]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = calibrate(self.model, data, CrossSimParameters.from_json("rram-8bit"), fuse_batchnorm=False)
        self._analog["rram-8bit"] = self.converted(self.model, self.example, found.hardware)
        with torch.no_grad():
            answers = [answer(model, self.example) for model in (self._analog["rram-8bit"], self.model)]
        self.found["calibrated"] = deviation(*answers)

    def generation(self) -> None:
        """Whether a language model writes the digital tokens, with its cache."""
        if not getattr(self.model, "can_generate", bool)() or "input_ids" not in self.example:
            return
        prompt = {name: self.example[name] for name in ("input_ids", "attention_mask") if name in self.example}
        models = (self._analog["ideal"], self.model)
        written = [model.generate(**prompt, max_new_tokens=6, min_new_tokens=6, do_sample=False) for model in models]
        self.found["generation"] = torch.equal(*written)

    @torch.no_grad()
    def folding(self) -> None:
        """How many BatchNorms are left after folding, why, and how far the answers are from the digital ones."""
        for norm in self._double.modules():
            if is_norm(norm) and norm.running_var is not None:
                norm.running_mean.uniform_(-0.1, 0.1)
                norm.running_var.uniform_(0.8, 1.2)
        norms = conversion_report(self._double, self._inputs).norms
        if not norms:
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            folded = from_torch(self._double, seed=1, example=self._inputs, fuse_batchnorm=True)
        kept = sorted({norm.reason.partition(":")[0] for norm in norms if norm.reason})
        left = sum(bool(norm.reason) for norm in norms)
        assert left == sum(map(is_norm, folded.modules()))
        error = deviation(answer(folded, self._inputs), answer(self._double, self._inputs))
        self.found["folding"] = {"norms": len(norms), "left": left, "reasons": kept, "outputs": error}

    @torch.inference_mode()
    def times(self) -> None:
        """Processor time over that of plain torch."""
        for name in ("ideal", "rram-8bit"):
            if name in self._analog:
                analog = self._analog[name]
                self.found[f"time {name}"] = ratio(
                    lambda model=analog: answer(model, self.example), lambda: answer(self.model, self.example)
                )


def table(rows: list[dict[str, Any]]) -> str:
    """The rows in Markdown, their medians, and what is to be said of single ones."""
    shown = ("share", "outputs", "gradients", "back", "chip", "generation", "calibrated", "folding", *TIMES)
    columns = [column for column in shown if any(column in row for row in rows)]
    lines = ["| network | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for row in rows:
        lines.append(f"| {row['network']} | " + " | ".join(_cell(row.get(column), column) for column in columns) + " |")
    for name in TIMES:
        found = [row[name] for row in rows if name in row]
        lines += ["", f"Median of {name}: {median(found):.2f} ({len(found)} networks)."] if found else []
    lines.append("")
    for row in rows:
        said = {name: row[name] for name in ("single precision", "no gradients") if name in row}
        for name, message in (said | row.get("failures", {})).items():
            lines.append(f"- {row['network']}, {name}: {' '.join(message.split())[:150]}")
    return "\n".join(lines)


def _cell(value: Any, column: str) -> str:
    if value is None:
        return ""
    if isinstance(value, dict):
        return f"{value['norms'] - value['left']} of {value['norms']}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if column == "share":
        return f"{value:.1%}"
    return f"{value:.2f}" if column.startswith(("time", "calibrated")) else f"{value:.0e}"


def _completed(before: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
    """A row with what an earlier one of the same network has found by other steps."""
    failures = {step: said for step, said in before.get("failures", {}).items() if step not in row["seconds"]}
    seconds = before.get("seconds", {}) | row["seconds"]
    return before | row | {"failures": failures | row.get("failures", {}), "seconds": seconds}


def main() -> None:
    """Measure what has no row yet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=Path, required=True)
    parser.add_argument("--published", action="store_true", help="networks of published size, their times")
    parser.add_argument("--only", nargs="*", default=[""], help="parts of names")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--without", nargs="*", default=[], choices=STEPS, help="steps left out")
    parser.add_argument("--table", action="store_true", help="print the rows and stop")
    given = parser.parse_args()
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    lines = given.rows.read_text().splitlines() if given.rows.exists() else []
    rows: dict[str, dict[str, Any]] = {}
    for row in map(json.loads, lines):
        rows[row["network"]] = _completed(rows.get(row["network"], {}), row)
    if given.table:
        print(table(list(rows.values())))
        return
    steps = [step for step in (PUBLISHED_STEPS if given.published else STEPS) if step not in given.without]
    for entry in entries(given.published):
        if not any(part in entry.name for part in given.only) or (entry.name in rows and not given.again):
            continue
        if find_spec(entry.package) is None:
            print(f"{entry.name}: left out, {entry.package} is not installed")
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            row = Row(entry).measure(steps)
        with given.rows.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
