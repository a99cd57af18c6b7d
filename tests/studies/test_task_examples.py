"""The studies in examples/tasks say what they measure, and run; untrained here, on few samples."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

from crossohm.studies import load_study, run_study

TASKS = Path(__file__).parents[2] / "examples" / "tasks"
PAGE = (TASKS.parents[1] / "docs" / "tasks.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "measures"),
    [
        ("tabular_regression", ("r2", "rmse", "close")),
        ("signal_denoising", ("snr", "psnr")),
        ("characters", ("perplexity", "token_agreement", "token_accuracy")),
        ("segmentation", ("miou", "pixel_accuracy")),
    ],
)
def test_an_example_is_a_study(tmp_path: Path, name: str, measures: tuple[str, ...]) -> None:
    few = ["dataset.images=6", "calibration.images=6", "repeats=1"]
    loaded = load_study(TASKS / f"{name}.yaml", few)
    assert loaded.axes
    results = run_study(loaded.without_sweep(), tmp_path)
    assert results.measures == measures and results.chips[0].output_snr > 10
    assert f"python examples/tasks/{name}.py" in PAGE
