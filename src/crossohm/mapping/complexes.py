"""Complex matrices on real hardware: ``W -> [[Re, -Im], [Im, Re]]``."""

from __future__ import annotations

import numpy as np


def expand_complex(matrix: np.ndarray) -> np.ndarray:
    """Real matrix of twice the size that multiplies ``[Re x, Im x]`` into ``[Re y, Im y]``."""
    real, imag = np.real(matrix), np.imag(matrix)
    return np.block([[real, -imag], [imag, real]])


def join_complex(expanded: np.ndarray) -> np.ndarray:
    """The complex matrix held by the left half of an expanded one."""
    rows, columns = expanded.shape[0] // 2, expanded.shape[1] // 2
    return np.asarray(expanded[:rows, :columns] + 1j * expanded[rows:, :columns])


def region_blocks(rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Where a region of a complex matrix of ``shape`` lies in the expanded one (its four images)."""
    return np.concatenate([rows, rows + shape[0]]), np.concatenate([columns, columns + shape[1]])
