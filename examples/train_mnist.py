"""Train the network `mnist_cnn` that crossohm ships, in two minutes on one core.

    python examples/train_mnist.py --data-dir FOLDER

Data: the four IDX files of MNIST in FOLDER, plain or gzip-compressed.
"""

from __future__ import annotations

from pathlib import Path

import torch
from _training import Recipe, arguments, produce


def main() -> None:
    parser = arguments("Train mnist_cnn on MNIST.", model="mnist_cnn", epochs=8)
    parser.add_argument("--data-dir", type=Path, required=True, help="folder with MNIST's IDX files")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    recipe = Recipe(
        epochs=options.epochs, batch=128, rate=5e-3, weight_decay=5e-2, degrees=10, stretch=0.1, shift=0.06,
        noise=0.1, clip=2.0, seed=options.seed,
    )  # fmt: skip
    command = f"python examples/train_mnist.py --data-dir FOLDER --seed {options.seed} --epochs {options.epochs}"
    produce("mnist_cnn", "mnist", options.data_dir, recipe, options.output, command)


if __name__ == "__main__":
    main()
