"""Counts a reader feels: files on the way of a call, siblings in a room, circles, overridden methods, test lines.

A habit, not a gate::

    python scripts/house.py
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "crossohm"

#: Classes whose methods are there to be overridden: what a model of this kind declares.
ROLES = ("ADC", "DAC", "Device")
#: What is done before and what is counted: every file of crossohm that runs code of its own in between.
JOURNEYS = {
    "core @ x, first": (
        "import numpy as np; from crossohm import AnalogCore, CrossSimParameters\n"
        "p = CrossSimParameters(xbar={'dac': {'mvm': {'model': 'QuantizerDAC', 'bits': 8}}, 'adc': {'mvm': {'model': "
        "'QuantizerADC', 'bits': 8, 'adc_range_option': 'MAX'}}})\n"
        "core, x = AnalogCore(np.eye(4), p, seed=1), np.ones(4)",
        "core @ x",
    ),
    "core @ x, second": (
        "import numpy as np; from crossohm import AnalogCore, CrossSimParameters\n"
        "p = CrossSimParameters(xbar={'dac': {'mvm': {'model': 'QuantizerDAC', 'bits': 8}}, 'adc': {'mvm': {'model': "
        "'QuantizerADC', 'bits': 8, 'adc_range_option': 'MAX'}}})\n"
        "core, x = AnalogCore(np.eye(4), p, seed=1), np.ones(4)\n"
        "core @ x",
        "core @ x",
    ),
    "from_torch(model)(x)": (
        "import torch; from crossohm import CrossSimParameters; from crossohm.torch import from_torch\n"
        "p = CrossSimParameters.from_json('rram-8bit')\n"
        "m = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.Flatten(), torch.nn.Linear(8, 2))\n"
        "x = torch.rand(1, 1, 4, 4)",
        "from_torch(m, p, seed=1)(x)",
    ),
    "crossohm sweep": (
        "import tempfile; from typer.testing import CliRunner; from pathlib import Path; from crossohm.cli import app\n"
        "folder = Path(tempfile.mkdtemp()); study = folder / 's.yaml'\n"
        "study.write_text('dataset: {name: digits, images: 5}\\ncalibration: {images: 5}\\nrepeats: 1\\n"
        "sweep: {grid: {xbar.adc.mvm.bits: [4, 8]}}\\n')\n"
        "run = CliRunner()",
        "run.invoke(app, ['sweep', str(study), '--output', str(folder / 'out'), '-q'], catch_exceptions=False)",
    ),
}

_WATCH = """
import sys
{before}
import crossohm
root, seen = crossohm.__path__[0], set()
def watch(frame, event, _):
    code = frame.f_code
    function = code.co_flags & 1  # CO_OPTIMIZED: bodies of modules and classes, which run when imported, have it not
    if event == "call" and code.co_filename.startswith(root) and function:
        seen.add(code.co_filename[len(root) + 1:])
sys.setprofile(watch)
{counted}
sys.setprofile(None)
print(len(seen))
"""


def files_on_the_way(journey: str) -> int:
    """Files of crossohm in which a function runs."""
    before, counted = JOURNEYS[journey]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _WATCH.format(before=before, counted=counted)],
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout.splitlines()[-1])


def trees() -> Iterator[tuple[str, ast.Module]]:
    """Every module by its dotted name."""
    for path in sorted(SOURCE.rglob("*.py")):
        name = ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts).removesuffix(".__init__")
        yield name, ast.parse(path.read_text(encoding="utf-8"))


def circles(modules: dict[str, ast.Module]) -> list[list[str]]:
    """Groups of modules that import each other, imports inside functions and for type checking included."""
    import networkx

    graph = networkx.DiGraph()
    for name, tree in modules.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("crossohm"):
                for alias in node.names:
                    inner = f"{node.module}.{alias.name}"
                    target = inner if inner in modules else node.module
                    if target in modules and target != name and not name.startswith(target + "."):
                        graph.add_edge(name, target)
    return [sorted(group) for group in networkx.strongly_connected_components(graph) if len(group) > 1]


def overridden(modules: dict[str, ast.Module]) -> list[str]:
    """Methods that replace a concrete one of a class of ours, declared roles and dunders aside."""
    classes = {
        node.name: node for tree in modules.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)
    }
    found = []
    for node in classes.values():
        bases = [classes[name] for name in _ancestors(node, classes) if name not in ROLES]
        for method in _methods(node):
            for base in bases:
                twin = _methods(base).get(method)
                if twin is not None and not method.startswith("__") and not _declares_a_role(twin):
                    found.append(f"{node.name}.{method} over {base.name}")
                    break
    return found


def _ancestors(node: ast.ClassDef, classes: dict[str, ast.ClassDef]) -> list[str]:
    names = [getattr(base, "id", getattr(base, "attr", "")) for base in node.bases]
    direct = [name for name in names if name in classes and classes[name] is not node]
    return [ancestor for name in direct for ancestor in (name, *_ancestors(classes[name], classes))]


def _methods(node: ast.ClassDef) -> dict[str, ast.FunctionDef]:
    return {item.name: item for item in node.body if isinstance(item, ast.FunctionDef)}


def _declares_a_role(method: ast.FunctionDef) -> bool:
    """True if the method is abstract, raises, or has no body of its own: made to be overridden."""
    if any("abstract" in ast.unparse(decorator) for decorator in method.decorator_list):
        return True
    body = [item for item in method.body if not (isinstance(item, ast.Expr) and isinstance(item.value, ast.Constant))]
    return not body or isinstance(body[0], ast.Raise)


def lines(folder: str) -> int:
    """Lines of all Python files below a folder."""
    return sum(path.read_text(encoding="utf-8").count("\n") for path in (ROOT / folder).rglob("*.py"))


def main() -> None:
    """Print the counts."""
    for journey in JOURNEYS:
        print(f"files to open, {journey + ':':24} {files_on_the_way(journey)}")
    modules = dict(trees())
    rooms = [(len(list(folder.glob("*.py"))), folder) for folder in SOURCE.rglob("*") if folder.is_dir()]
    for count, folder in sorted(rooms, reverse=True)[:5]:
        print(f"siblings in {folder.relative_to(SOURCE)!s:24} {count}")
    for group in circles(modules):
        print(f"circle: {', '.join(group)}")
    replaced = overridden(modules)
    print(f"overrides of concrete methods: {len(replaced)}")
    for line in replaced:
        print(f"  {line}")
    source, tests = lines("src"), lines("tests") + lines("src/crossohm/testing")
    print(f"lines: {source} source, {tests} tests, {tests / source:.2f} per source line")


if __name__ == "__main__":
    main()
