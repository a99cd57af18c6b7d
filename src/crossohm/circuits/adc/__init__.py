"""Analog-to-digital converters: normalised output currents to digital numbers. One file per architecture."""

from crossohm.circuits.adc.base import ADC, ADCS, Converter, adc, get_adc, lowered
from crossohm.circuits.adc.pipeline import CyclicADC, PipelineADC
from crossohm.circuits.adc.quantizer import IdealADC, QuantizerADC, SignMagnitudeADC, UniformConverter
from crossohm.circuits.adc.ramp import RampADC
from crossohm.circuits.adc.sar import SarADC

__all__ = [
    "ADC",
    "ADCS",
    "Converter",
    "CyclicADC",
    "IdealADC",
    "PipelineADC",
    "QuantizerADC",
    "RampADC",
    "SarADC",
    "SignMagnitudeADC",
    "UniformConverter",
    "adc",
    "get_adc",
    "lowered",
]
