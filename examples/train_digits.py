"""Train the network `digits_cnn` that crossohm ships, in a quarter of a minute on one core.

    python examples/train_digits.py

Data: scikit-learn's digits, the train split of `crossohm.datasets`.
"""

from __future__ import annotations

import torch
from _training import Recipe, arguments, produce


def main() -> None:
    options = arguments("Train digits_cnn on scikit-learn's digits.", model="digits_cnn", epochs=60).parse_args()
    torch.set_num_threads(options.threads)
    recipe = Recipe(
        epochs=options.epochs, batch=64, rate=1e-2, weight_decay=1e-2, degrees=10, stretch=0.1, shift=0.08,
        noise=0.1, clip=2.0, seed=options.seed,
    )  # fmt: skip
    command = f"python examples/train_digits.py --seed {options.seed} --epochs {options.epochs}"
    produce("digits_cnn", "digits", None, recipe, options.output, command)


if __name__ == "__main__":
    main()
