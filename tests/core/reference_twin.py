"""A second, slow implementation of the specification, sections 2 to 5, that shares no code with the library.

One array, one input slice and one vector at a time; every line follows a sentence of the specification. Nothing
random, no wires. It reads the same dotted parameter paths as the library. Where a current lies so close to a rounding
threshold that floating-point noise decides, the twin reports how far each output may therefore differ.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

TIE = 1e-7


@dataclass
class Trace:
    """What a product produced, and what each ADC saw.

    Attributes:
        y: Outputs in the user's units, ``(outputs,)``.
        doubt: How far each output may be off because a conversion was a near tie.
        adc_inputs: ``(input partition, bank, input slice or -1) -> currents of all lines of one output partition``,
            concatenated over output partitions; banks count slices, or slices and signs if both are digitised.
        saturated: True if a current left the ADC's range.
    """

    y: np.ndarray
    doubt: np.ndarray
    adc_inputs: dict[tuple[int, int, int], np.ndarray] = field(default_factory=dict)


class Twin:
    """The hardware described by dotted paths, holding a real matrix.

    Args:
        settings: Parameter overrides, as given to the library.
        matrix: Real weights, ``(M, N)``.
        row_sizes: Outputs of each output partition (MVM sense).
        column_sizes: Inputs of each input partition (MVM sense).
    """

    def __init__(
        self, settings: dict[str, Any], matrix: np.ndarray, row_sizes: list[int], column_sizes: list[int]
    ) -> None:
        self.settings = settings
        self.matrix = np.asarray(matrix, dtype=np.float64)
        self.row_sizes, self.column_sizes = row_sizes, column_sizes
        self.style = self.get("core.style", "BALANCED")
        self.sliced = self.style == "BITSLICED"
        self.offset_style = self.style == "OFFSET" or (
            self.sliced and self.get("core.bit_sliced.style", "BALANCED") == "OFFSET"
        )
        self.unit = self.offset_style and self.get("core.offset.style", "DIGITAL_OFFSET") == "UNIT_COLUMN_SUBTRACTION"
        self.cell_bits = self.get("xbar.device.cell_bits", 0)
        r_min, r_max = self.get("xbar.device.Rmin", 1000.0), self.get("xbar.device.Rmax", 10000.0)
        self.rho = 0.0 if self.get("xbar.device.infinite_on_off_ratio", False) else r_min / r_max
        self.span = 1.0 - self.rho
        self.weight_scale = self._weight_scale()
        self.arrays = self._program()

    def get(self, path: str, default: Any) -> Any:
        return self.settings.get(path, default)

    # --- section 2.2: weight range ----------------------------------------------------------------------------------

    def _weight_scale(self) -> float:
        low, high = self.get("core.mapping.weights.min", None), self.get("core.mapping.weights.max", None)
        if low is not None:
            return max(abs(low), abs(high))
        p = self.get("core.mapping.weights.percentile", 1.0)
        if p >= 1:
            return p * float(np.max(np.abs(self.matrix)))
        return max(abs(np.percentile(self.matrix, 100 * p)), abs(np.percentile(self.matrix, 100 - 100 * p)))

    def _clipped(self) -> np.ndarray:
        low, high = self.get("core.mapping.weights.min", None), self.get("core.mapping.weights.max", None)
        if low is None:
            low, high = -self.weight_scale, self.weight_scale
        return np.clip(self.matrix, low, high) / self.weight_scale

    # --- section 3: mapping -----------------------------------------------------------------------------------------

    def _program(self) -> list[list[np.ndarray]]:
        """Conductances, ``arrays[slice][sign]``, each ``(M, N)``."""
        w = self._clipped()
        if self.sliced:
            return self._program_sliced(w)
        if self.style == "OFFSET":
            return [[self._offset_cells(w)]]
        if self.get("core.balanced.style", "ONE_SIDED") == "TWO_SIDED":
            return [self._two_sided_cells(w)]
        positive = np.where(w > 0, w, 0.0)
        negative = np.where(w < 0, -w, 0.0)
        return [[self._on_grid(self.rho + self.span * part) for part in (positive, negative)]]

    def _on_grid(self, g: np.ndarray) -> np.ndarray:
        if self.cell_bits == 0:
            return g
        steps = 2**self.cell_bits - 1
        return self.rho + self.span * np.rint((g - self.rho) / self.span * steps) / steps

    def _two_sided_cells(self, w: np.ndarray) -> list[np.ndarray]:
        if self.cell_bits == 0:
            return [self.rho + self.span * (1 + w) / 2, self.rho + self.span * (1 - w) / 2]
        steps = 2**self.cell_bits - 1
        difference = np.rint(w * steps)  # Q24: the weight is rounded as a whole, then shared out
        upper = np.ceil((steps + difference) / 2)
        return [self.rho + self.span * upper / steps, self.rho + self.span * (upper - difference) / steps]

    @property
    def _offset_usable(self) -> float:
        """Conductance range of the OFFSET style: the lowest grid level is not used."""
        if self.cell_bits == 0:
            return self.span
        return self.span * (2**self.cell_bits - 2) / (2**self.cell_bits - 1)

    @property
    def _half(self) -> float:
        return 1.0 - self._offset_usable / 2

    def _offset_cells(self, w: np.ndarray) -> np.ndarray:
        if self.cell_bits == 0:
            return self.rho + self.span * (w + 1) / 2
        index = 2 ** (self.cell_bits - 1) + np.rint(w * (2 ** (self.cell_bits - 1) - 1))
        return self.rho + self.span * index / (2**self.cell_bits - 1)

    @property
    def weight_bits(self) -> int:
        return self.get("core.weight_bits", 0)

    @property
    def slices(self) -> int:
        return self.get("core.bit_sliced.num_slices", 2) if self.sliced else 1

    @property
    def slice_bits(self) -> int:
        b, s = self.weight_bits, self.slices
        if b % s == 0:
            return b // s
        return int(np.ceil(b / s)) if self.offset_style else int(np.ceil((b - 1) / s))

    def _digits(self, code: int) -> list[int]:
        digits = []
        for i in range(self.slices):
            quotient = code // 2 ** (i * self.slice_bits)
            digits.append(quotient if i == self.slices - 1 else quotient % 2**self.slice_bits)
        return digits

    def _program_sliced(self, w: np.ndarray) -> list[list[np.ndarray]]:
        signs = 1 if self.offset_style else 2
        arrays = [[np.full(w.shape, self.rho) for _ in range(signs)] for _ in range(self.slices)]
        top = 2 ** (self.weight_bits - 1) - 1
        for place, value in np.ndenumerate(w):
            if self.offset_style:
                code, sign = int(np.rint(value * top + 2 ** (self.weight_bits - 1))), 0
            else:
                code, sign = abs(int(np.rint(value * top))), int(value < 0)
            for i, digit in enumerate(self._digits(code)):
                arrays[i][sign][place] = self.rho + self.span * digit / (2**self.slice_bits - 1)
        return arrays

    def _unit_conductances(self) -> list[float]:
        if not self.sliced:
            return [self._half]
        code = 2 ** (self.weight_bits - 1)  # Q29: the code of weight zero, shared out over the slices
        return [self.rho + self.span * digit / (2**self.slice_bits - 1) for digit in self._digits(code)]

    def stored_matrix(self) -> np.ndarray:
        """Read-back, in the user's units."""
        if self.sliced:
            top = 2 ** (self.weight_bits - 1) - 1
            total = np.zeros(self.matrix.shape)
            for i, cells in enumerate(self.arrays):
                d = (cells[0] - (self.rho if self.offset_style else cells[1])) / self.span
                total += 2 ** (i * self.slice_bits) * (2**self.slice_bits - 1) * d
            if self.offset_style:
                total -= 2 ** (self.weight_bits - 1)
            return total / top * self.weight_scale
        (cells,) = self.arrays
        if self.style == "OFFSET":
            return 2 * (cells[0] - self._half) / self._offset_usable * self.weight_scale
        return (cells[0] - cells[1]) / self.span * self.weight_scale

    # --- sections 2.7 and 4: inputs ---------------------------------------------------------------------------------

    def _inputs(self, x: np.ndarray, op: str, data: np.ndarray) -> tuple[np.ndarray, float, tuple[float, float]]:
        """Quantised normalised inputs, user units per normalised input, and the DAC limits."""
        signed = self.get(f"xbar.dac.{op}.signed", True)
        p = self.get(f"core.mapping.inputs.{op}.percentile", None)
        if p is not None:
            if p >= 1:
                scale = p * float(np.max(np.abs(data)))
            else:
                scale = max(abs(np.percentile(data, 100 * p)), abs(np.percentile(data, 100 - 100 * p)))
            low, high = (-1.0 if signed else 0.0), 1.0
        else:
            bottom = self.get(f"core.mapping.inputs.{op}.min", -1.0)
            top = self.get(f"core.mapping.inputs.{op}.max", 1.0)
            scale = max(abs(bottom), abs(top))  # Q22
            low, high = bottom / scale, top / scale
            if self.get(f"core.mapping.inputs.{op}.clipping", False):
                x = np.clip(x, bottom, top)
        v = x / scale
        bits, model = self.get(f"xbar.dac.{op}.bits", 0), self.get(f"xbar.dac.{op}.model", "IdealDAC")
        if bits == 0 or model == "IdealDAC":
            return v, scale, (low, high)
        v = np.clip(v, low, high)
        if model == "SignMagnitudeDAC":
            half = 2 ** (bits - 1) - 1
            return np.rint(v * half) / half, scale, (low, high)
        q = (2**bits - 1) / (high - low)
        return low + np.rint((v - low) * q) / q, scale, (low, high)

    def _input_slices(self, xq: np.ndarray, limits: tuple[float, float], op: str) -> list[tuple[float, np.ndarray]]:
        """Pairs (weight, normalised inputs) that drive the arrays one after another, least significant first."""
        if not self.get(f"xbar.dac.{op}.input_bitslicing", False):
            return [(1.0, xq)]
        bits, s = self.get(f"xbar.dac.{op}.bits", 0), self.get(f"xbar.dac.{op}.slice_size", 1)
        if self.get(f"xbar.dac.{op}.model", "IdealDAC") == "SignMagnitudeDAC":
            m, low, span = bits - 1, 0.0, 1.0
        else:
            m, low, span = bits, limits[0], limits[1] - limits[0]
        found = []
        for k in range(int(np.ceil(m / s))):
            plane = np.zeros(len(xq))
            for j, value in enumerate(xq):
                code = int(np.rint(abs(value - low) / span * (2**m - 1)))
                plane[j] = np.sign(value - low) * ((code // 2 ** (s * k)) % 2**s) / (2**s - 1)
            found.append((span * 2 ** (s * k) * (2**s - 1) / (2**m - 1), plane))
        return found

    # --- section 5: ADC ---------------------------------------------------------------------------------------------

    def _adc_range(self, op: str, inputs: int, bank_slice: int) -> tuple[float, float]:
        option = self.get(f"xbar.adc.{op}.adc_range_option", "CALIBRATED")
        if option == "CALIBRATED":
            given = self.get(f"xbar.adc.{op}.calibrated_range", [])
            return tuple(given[bank_slice] if self.sliced else given)
        bipolar = self.get(f"xbar.dac.{op}.signed", True) or (
            not self.offset_style and (self.sliced or self._subtracts_before_adc)
        )
        if option == "MAX":
            return (-float(inputs) if bipolar else 0.0), float(inputs)
        b = self.get(f"xbar.adc.{op}.bits", 0)
        digits = 2 ** (self.slice_bits if self.sliced else self.cell_bits) - 1
        lsb = self.span / digits / (2 ** self.get(f"xbar.dac.{op}.slice_size", 1) - 1)  # Q37
        return (-lsb * (2 ** (b - 1) - 1), lsb * (2 ** (b - 1) - 1)) if bipolar else (0.0, lsb * (2**b - 1))

    @property
    def _interleaved(self) -> bool:
        return not self.offset_style and self.get("core.balanced.interleaved_posneg", False)

    @property
    def _subtracts_before_adc(self) -> bool:
        return self.get("core.balanced.subtract_current_in_xbar", True) or self._interleaved

    def _convert(self, current: np.ndarray, op: str, limits: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
        """Digitised currents, and one LSB where a near tie leaves the last bit in doubt."""
        bits, model = self.get(f"xbar.adc.{op}.bits", 0), self.get(f"xbar.adc.{op}.model", "IdealADC")
        if bits == 0 or model == "IdealADC":
            return current, np.zeros(current.shape)
        low, high = limits
        levels = 2**bits if model == "QuantizerADC" else 2**bits - 1
        lsb = (high - low) / (levels - 1)
        position = (np.clip(current, low, high) - low) / lsb
        fraction = position - np.floor(position)
        doubt = np.where(np.abs(fraction - 0.5) < TIE * levels, lsb, 0.0)
        return low + np.rint(position) * lsb, doubt

    # --- the order of events, section 6.1 ---------------------------------------------------------------------------

    def multiply(self, x: np.ndarray, op: str, call: np.ndarray | None = None) -> Trace:
        """``matrix @ x`` (``op = "mvm"``) or ``x @ matrix`` (``"vmm"``) for one vector of a ``call``."""
        scope = self.get(f"core.mapping.inputs.{op}.percentile_scope", "call")
        data = x if call is None or scope == "vector" else call
        forward = op == "mvm"
        outputs, inputs = (self.row_sizes, self.column_sizes) if forward else (self.column_sizes, self.row_sizes)
        cells = [[g if forward else g.T for g in pair] for pair in self.arrays]
        stored = self.stored_matrix() if forward else self.stored_matrix().T
        xq, scale, limits = self._inputs(np.asarray(x, dtype=np.float64), op, np.asarray(data))
        result = Trace(np.zeros(sum(outputs)), np.zeros(sum(outputs)))
        for c, columns in enumerate(_slices(inputs)):
            lines: dict[tuple[int, int, int], list[np.ndarray]] = {}
            for rows in _slices(outputs):
                part = [[g[rows, columns] for g in pair] for pair in cells]
                y, doubt, seen = self._one_array(part, xq[columns], limits, op)
                result.y[rows] += y * scale
                result.doubt[rows] += doubt * scale
                if self._dac_offset(limits, op):
                    result.y[rows] += limits[0] * stored[rows, columns].sum(axis=1) * scale
                for key, value in seen.items():
                    lines.setdefault((c, *key), []).append(value)
            result.adc_inputs.update({key: np.concatenate(value) for key, value in lines.items()})
        return result

    def _dac_offset(self, limits: tuple[float, float], op: str) -> bool:
        """Q33: a sliced unsigned DAC applies codes; where its range starts is added digitally."""
        return (
            self.get(f"xbar.dac.{op}.input_bitslicing", False)
            and self.get(f"xbar.dac.{op}.model", "IdealDAC") == "QuantizerDAC"
            and limits[0] > 0
        )

    def _one_array(
        self, cells: list[list[np.ndarray]], xq: np.ndarray, limits: tuple[float, float], op: str
    ) -> tuple[np.ndarray, np.ndarray, dict[tuple[int, int], np.ndarray]]:
        """Outputs per unit of normalised input, in the matrix's units, of one partition."""
        per_slice = self.get(f"xbar.adc.{op}.adc_per_ibit", False) and self.get(
            f"xbar.dac.{op}.input_bitslicing", False
        )
        planes = self._input_slices(xq, limits, op)
        driven = xq - limits[0] if self._dac_offset(limits, op) else xq
        unit = self._unit_conductances() if self.unit else None
        seen: dict[tuple[int, int], np.ndarray] = {}
        digital = []  # per weight slice: (value of each output line, doubt)
        for i, pair in enumerate(cells):
            if unit is not None:
                pair = [np.vstack([np.full((1, pair[0].shape[1]), unit[i]), pair[0]])]
            banks = 2 if len(pair) == 2 and not self._subtracts_before_adc else 1
            totals, doubts = [0.0] * banks, [0.0] * banks
            adc_range = None
            if self.get(f"xbar.adc.{op}.bits", 0) and self.get(f"xbar.adc.{op}.model", "IdealADC") != "IdealADC":
                adc_range = self._adc_range(op, len(xq), i)
            for k, (weight, plane) in enumerate(planes):
                for n, current in enumerate(self._line_currents(pair, plane)):
                    value, doubt = current, np.zeros(current.shape)
                    if per_slice:
                        seen[i * banks + n, k] = current
                        value, doubt = self._convert(current, op, adc_range)
                    totals[n] = totals[n] + weight * value
                    doubts[n] = doubts[n] + weight * doubt
            if not per_slice:
                for n in range(banks):
                    seen[i * banks + n, -1] = totals[n]
                    totals[n], doubts[n] = self._convert(totals[n], op, adc_range)
            digital.append((totals[0] - totals[1] if banks == 2 else totals[0], sum(doubts)))
        y, doubt = self._decode(digital, driven)
        return y, doubt, seen

    def _line_currents(self, pair: list[np.ndarray], v: np.ndarray) -> list[np.ndarray]:
        """Currents that reach the ADCs: after the line limit, and after analog subtraction where there is any."""
        limit = self.get("xbar.array.Icol_max", 0) or np.inf
        currents = [g @ v for g in pair]
        if len(pair) == 1:
            return [np.clip(currents[0], -limit, limit)]
        if self._interleaved:
            return [np.clip(currents[0] - currents[1], -limit, limit)]
        limited = [np.clip(current, -limit, limit) for current in currents]
        return [limited[0] - limited[1]] if self._subtracts_before_adc else limited

    def _decode(self, digital: list[tuple[np.ndarray, np.ndarray]], xq: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Slices together, offset away, in the matrix's units."""
        if self.sliced:
            factors = [(2**self.slice_bits - 1) * 2 ** (i * self.slice_bits) / self.span for i in range(self.slices)]
            gain = self.weight_scale / (2 ** (self.weight_bits - 1) - 1)
        else:
            factors = [1.0]
            usable = self._offset_usable if self.style == "OFFSET" else self.span
            gain = self.weight_scale * (2.0 if self.style == "OFFSET" else 1.0) / usable
        total = sum(f * value for f, (value, _) in zip(factors, digital, strict=True))
        doubt = sum(f * d for f, (_, d) in zip(factors, digital, strict=True))
        if self.unit:
            return (total[1:] - total[0]) * gain, (doubt[1:] + doubt[0]) * gain
        if self.style == "OFFSET":
            total = total - self._half * xq.sum()
        elif self.offset_style:
            total = total - sum(f * self.rho for f in factors) * xq.sum() - 2 ** (self.weight_bits - 1) * xq.sum()
        return total * gain, doubt * gain


def _slices(sizes: list[int]) -> list[slice]:
    stops = np.cumsum(sizes)
    return [slice(int(stop - size), int(stop)) for stop, size in zip(stops, sizes, strict=True)]
