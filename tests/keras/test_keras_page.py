"""The examples of docs/keras.md run as printed, on the backend of this process."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "keras.md"


def test_examples_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = PAGE.read_text(encoding="utf-8")
    blocks = list(re.finditer(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
    assert len(blocks) > 3
    namespace = {"__name__": "__main__"}
    for block in blocks:
        line = text.count("\n", 0, block.start(1))  # those of a traceback are those of the page
        exec(compile("\n" * line + block[1], str(PAGE), "exec"), namespace)
