"""Study files with random mistakes: what the tests try in small and ``benchmarks/survival.py`` in full."""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path
from typing import Any

import yaml

GOOD: dict[str, Any] = {
    "name": "fuzz",
    "model": {"name": "digits_cnn", "bias_bits": 6},
    "dataset": {"name": "digits", "images": 20, "sample": "random"},
    "hardware": {
        "base": "rram-8bit",
        "set": {"xbar.adc.mvm.bits": 6, "xbar": {"device": {"Rmin": 1e4, "read_noise": {"enable": True}}}},
        "layers": {"conv*": {"digital": True}, "fc": {"set": {"core.rows_max": 64}, "bias_rows": 1}},
    },
    "calibration": {"images": 30, "objective": "percentile", "percentile": 99.9},
    "repeats": {"chips": 2, "seed": 3},
    "metric": {"task": "auto", "top_k": [1, 5]},
    "save": {"signals": ["fc"], "outputs": True},
    "sweep": {
        "grid": {"xbar.adc.mvm.bits": [4, 5], "xbar.device.Rmax": {"from": 1e5, "to": 1e6, "count": 3, "scale": "log"}},
        "zip": {"fc:core.rows_max": [32, 64], "calibration.percentile": [99, 99.9]},
        "points": [{"hardware": "default"}, {"hardware": "ISAAC", "dataset.images": 5}],
    },
}
ODD: list[Any] = [
    None, True, False, 0, -1, 1, 2**40, 10**400, 1.5, 1e300, float("inf"), float("nan"), "", "x", "6", "rram-8bit",
    "a" * 300,
    "missing.json", "é\u2028ü", "\x00", "xbar.adc.mvm.bits", ":", "*", "conv1:", [], [[]], [1, "a"], {}, {"x": {}},
    {"from": 1, "to": 2, "count": 3}, {"from": 0, "to": 0, "count": 1e9}, [None], {"": 1}, {"a.b": 1},
]  # fmt: skip
INSERTED = [b"\t", b"\x00", b"\xff", b"{", b"]", b":", b"&a *a", b"!!set ", b"'", b"- ", b"<<: "]


def places(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of everything in a tree."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [path, *(place for key, value in items for place in places(value, (*path, key)))]


def mutated(generator: random.Random) -> Any:
    """A study with one to three mistakes in its content."""
    tree: Any = copy.deepcopy(GOOD)
    for _ in range(generator.randint(1, 3)):
        *way, last = generator.choice(places(tree)[1:]) if isinstance(tree, dict) and tree else (None,)
        owner = tree
        for key in way:
            owner = owner[key]
        kind = generator.randrange(4)
        if last is None:
            tree = generator.choice(ODD)
        elif kind == 0:
            owner[last] = copy.deepcopy(generator.choice(ODD))
        elif kind == 1 and isinstance(owner, dict):
            owner[misspelt(last, generator)] = owner.pop(last)
        elif kind == 2 and isinstance(owner, dict):
            owner[generator.choice(["x", "set", "grid", "bits", "", "a:b", "0", "core"])] = generator.choice(ODD)
        else:
            owner[last] = copy.deepcopy(generator.choice(list(GOOD.values())))
    return tree


def misspelt(name: str, generator: random.Random) -> str:
    """The name with a letter lost, doubled or changed."""
    if not name:
        return "x"
    at = generator.randrange(len(name))
    return name[:at] + generator.choice(["", 2 * name[at], "q"]) + name[at + 1 :]


def broken(text: str, generator: random.Random) -> bytes:
    """The text with some bytes lost, doubled or changed."""
    data = bytearray(text.encode())
    for _ in range(generator.randint(1, 4)):
        at = generator.randrange(len(data))
        kind = generator.randrange(4)
        if kind == 0:
            del data[at : at + generator.randint(1, 20)]
        elif kind == 1:
            data[at:at] = generator.choice(INSERTED)
        elif kind == 2:
            data[at] = generator.randrange(256)
        else:
            data = data[:at]
        data = data or bytearray(b"\n")
    return bytes(data)


def fuzzed_file(folder: Path, number: int) -> Path:
    """Study file ``number``; the same in every run."""
    generator = random.Random(number)
    suffix = generator.choice([".yaml", ".json", ".toml"])
    tree = mutated(generator) if generator.random() < 0.7 else GOOD
    if suffix == ".toml":
        text = toml_of(tree)
    elif suffix == ".json":
        text = json.dumps(tree, indent=1)
    else:
        text = yaml.safe_dump(tree, allow_unicode=True)
    path = folder / f"study{number}{suffix}"
    damage = tree is GOOD or generator.random() < 0.2
    path.write_bytes(broken(text, generator) if damage and text else text.encode())
    return path


def toml_of(tree: Any) -> str:
    """TOML with inline tables; what TOML cannot say becomes a mistake of its own."""
    if not isinstance(tree, dict):
        return value_of(tree)
    return "\n".join(f"{json.dumps(key)} = {value_of(value)}" for key, value in tree.items())


def value_of(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {value_of(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(value_of, value)) + "]"
    return {None: "null"}.get(value, json.dumps(value)) if not isinstance(value, str) else json.dumps(value)


def check_message(path: Path, message: str) -> None:
    """A message is one line that begins with the file, and names a line or a path of the study."""
    assert message.startswith(str(path)), message
    assert "\n" not in message, message
    assert len(message) < 2500, message
