"""The input side of an operation, as the hardware description asks for it."""

from __future__ import annotations

from crossohm.chain.operation import Operation
from crossohm.chain.running.drive import Drive
from crossohm.circuits.dac import build_dac
from crossohm.params import CrossSimParameters


def build_drive(params: CrossSimParameters, operation: Operation) -> Drive:
    """The input side of ``operation`` as the hardware description asks for."""
    mapping, dac = operation.inputs(params), operation.dac(params)
    path = f"xbar.dac.{operation}"
    if mapping.limits is None:
        per_vector = mapping.percentile_scope == "vector"
        converter = build_dac(dac, -1.0 if dac.signed else 0.0, 1.0, path)
        return Drive(None, 1.0, mapping.percentile, per_vector, converter)
    low, high = mapping.limits
    scale = max(abs(low), abs(high))
    clip = mapping.limits if mapping.clipping else None
    return Drive(clip, scale, None, False, build_dac(dac, low / scale, high / scale, path))


def clipping_range(params: CrossSimParameters, operation: Operation) -> tuple[float, float] | None:
    """Inputs beyond which more than half a DAC step is clipped off; None: nothing is, or the data set the range."""
    mapping, dac = operation.inputs(params), operation.dac(params)
    if mapping.limits is None or not (mapping.clipping or dac.converts):
        return None
    low, high = mapping.limits
    slack = (high - low) / 2 ** (dac.bits + 1) if dac.converts else 0.0
    return low - slack, high + slack


def keeps_zeros(params: CrossSimParameters) -> bool:
    """True if inputs of zero drive nothing in an MVM on this hardware."""
    return build_drive(params, Operation.MVM).keeps_zero
