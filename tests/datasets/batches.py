"""Files in the forms in which CIFAR is published, made from noise."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

RECORDS = 7


def noise(classes: int, seed: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Images ``(n, 3, 32, 32)`` of bytes, and labels that include the first and the last class."""
    rng = np.random.default_rng(seed)
    labels = np.array([0, classes - 1, *rng.integers(0, classes, RECORDS - 2)])
    return rng.integers(0, 256, (RECORDS, 3, 32, 32), np.uint8), labels


def binary(images: np.ndarray, *labels: np.ndarray) -> bytes:
    """Records of the binary version: label bytes, coarse before fine, then the planes."""
    columns = [column.astype(np.uint8)[:, np.newaxis] for column in labels]
    return np.concatenate([*columns, images.reshape(len(images), -1)], axis=1).tobytes()


def python2_pickle(batch: dict[str, object]) -> bytes:
    """What Python 2's pickle wrote (protocol 2), as in the published files: byte strings, numpy.core, no codecs."""
    return b"\x80\x02" + _value(batch) + b"."


def _value(value: object) -> bytes:
    if isinstance(value, str):
        return b"T" + struct.pack("<i", len(value)) + value.encode()
    if isinstance(value, int):
        return b"J" + struct.pack("<i", value)
    if isinstance(value, list):
        return b"](" + b"".join(map(_value, value)) + b"e"
    if isinstance(value, dict):
        return b"}(" + b"".join(_value(part) for pair in value.items() for part in pair) + b"u"
    assert isinstance(value, np.ndarray)
    empty = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    dtype = b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    shape = b"(" + b"".join(_value(size) for size in value.shape) + b"t"
    data = value.tobytes()
    return empty + b"(K\x01" + shape + dtype + b"\x89T" + struct.pack("<i", len(data)) + data + b"tb"


def write_batches(folder: Path, form: str, classes: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Both splits in a folder, in the form "bin", "py" or "npz"; returns what they hold."""
    names = {10: {"train": [f"data_batch_{n}" for n in range(1, 6)], "test": ["test_batch"]}}.get(
        classes, {"train": ["train"], "test": ["test"]}
    )
    held = {}
    for split, files in names.items():
        parts = [noise(classes, seed) for seed in range(len(files))]
        for name, (images, labels) in zip(files, parts, strict=True):
            if form == "bin":
                coarse = [labels // 5] if classes == 100 else []
                (folder / f"{name}.bin").write_bytes(binary(images, *coarse, labels))
            elif form == "py":
                key = "fine_labels" if classes == 100 else "labels"
                flat = {"data": images.reshape(RECORDS, -1), key: labels.tolist(), "batch_label": name}
                (folder / name).write_bytes(python2_pickle(flat))
        held[split] = tuple(np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        if form == "npz":
            np.savez(folder / f"{split}_all.npz", x=held[split][0].transpose(0, 2, 3, 1), y=held[split][1])
    return held
