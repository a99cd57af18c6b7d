"""Every Python example in the README and in docs/ runs as printed; the blocks of one page share one namespace.

A ``text`` block right after a ``python`` block is what that block prints. The examples of docs/keras.md run in
tests/keras, on each backend.
"""

from __future__ import annotations

import contextlib
import io
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted(page for page in (ROOT / "docs").glob("*.md") if page.name != "keras.md")]
BLOCK = re.compile(r"^```python\n(.*?)^```$(?:\n\n^```text\n(.*?)^```$)?", re.MULTILINE | re.DOTALL)


def _blocks(page: Path) -> list[tuple[int, str, str | None]]:
    """Line number, source and expected output of each example."""
    text = page.read_text(encoding="utf-8")
    return [(text.count("\n", 0, match.start(1)), match[1], match[2]) for match in BLOCK.finditer(text)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_examples_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = _blocks(page)
    needed = [("import torch", "torch"), ("crossohm.plot", "matplotlib"), ("from flax", "flax")]
    needed += [("run_study", library) for library in ("torch", "sklearn", "pandas", "xarray")]
    for used, library in needed:
        if any(used in source for _, source, _ in blocks):
            pytest.importorskip(library)
    namespace: dict[str, object] = {"__name__": "__main__"}
    for line, source, expected in blocks:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            # Line numbers in a traceback are those of the page.
            exec(compile("\n" * line + source, str(page), "exec"), namespace)
        assert expected is None or printed.getvalue() == expected


def test_the_models_of_the_page_pass_the_tests_it_tells_its_reader_to_run(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    sources = [source for _, source, _ in _blocks(ROOT / "docs" / "extending.md")]
    bases = ("(Device):", "(ADC):", "(AnalogLayer, ", "Contract")
    models = [source for source in sources if any(base in source for base in bases)]
    (tmp_path / "test_lab.py").write_text("\n".join(models), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_lab.py"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert all(f"Test{name}" in "".join(models) for name in ("HfO2Lab7", "CompandingADC", "LowRank"))
    assert "passed" in done.stdout


def test_readme_has_examples() -> None:
    assert len(_blocks(ROOT / "README.md")) >= 3


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_to_files_exist(page: Path) -> None:
    links = re.findall(r"\]\((?!https?://|#|mailto:)([^)#]+)", page.read_text(encoding="utf-8"))
    missing = [link for link in links if not (page.parent / link).exists()]
    assert not missing


def test_the_sweep_of_the_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("sklearn")
    from crossohm.studies import load_study, run_study

    monkeypatch.chdir(tmp_path)
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for language, name in (("python", "net.py"), ("yaml", "study.yaml")):
        found = re.search(rf"^```{language}\n(# {name}.*?)^```$", text, re.MULTILINE | re.DOTALL)
        assert found
        Path(name).write_text(found[1], encoding="utf-8")
    namespace: dict[str, Any] = {}
    exec(Path("net.py").read_text(encoding="utf-8"), namespace)
    torch.save(namespace["mlp"]().state_dict(), "mlp.pt")
    study = load_study("study.yaml", ["dataset.images=20", "repeats=2", "calibration.images=20"])
    assert [len(chips) for chips in run_study(study, Path("results")).points.values()] == [2, 2, 2, 2]
