"""Converters at the edges of a physical array: `build_dac` for its inputs, `get_adc` for its outputs."""

from crossohm.circuits.adc import ADC, ADCS, Converter, adc, get_adc
from crossohm.circuits.dac import DAC, DACS, DACConverter, build_dac, dac

__all__ = ["ADC", "ADCS", "DAC", "DACS", "Converter", "DACConverter", "adc", "build_dac", "dac", "get_adc"]
