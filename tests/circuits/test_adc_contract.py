"""The converter contract for every built-in ADC and for a user's."""

from __future__ import annotations

from typing import ClassVar

import pytest
from converter_specs import ALL_ERRORS

from crossohm.circuits import ADC, ADCS, adc
from crossohm.circuits.adc import CyclicADC, IdealADC, PipelineADC, QuantizerADC, RampADC, SarADC, SignMagnitudeADC
from crossohm.testing.converter import ADCContract


class TestQuantizerADC(ADCContract):
    limits = (-0.7, 1.5)

    def make(self):
        return QuantizerADC()


class TestSignMagnitudeADC(ADCContract):
    def make(self):
        return SignMagnitudeADC()


class TestRampADC(ADCContract):
    noisy = ALL_ERRORS

    def make(self):
        return RampADC()


class TestPlainRampADC(TestRampADC):
    fields: ClassVar = {"symmetric_cdac": False}


class TestSarADC(ADCContract):
    noisy = ALL_ERRORS

    def make(self):
        return SarADC()


class TestPlainSarADC(TestSarADC):
    fields: ClassVar = {"split_cdac": False}
    bits = 8


class TestPipelineADC(ADCContract):
    noisy = ALL_ERRORS

    def make(self):
        return PipelineADC()


class TestCyclicADC(ADCContract):
    noisy = ALL_ERRORS

    def make(self):
        return CyclicADC()


class TestOneBitConverters:
    """The smallest converters there are keep the contract, too."""

    @pytest.mark.parametrize("model", [RampADC, SarADC, PipelineADC, CyclicADC, QuantizerADC])
    def test_one_bit_tells_the_sign(self, model):
        contract = ADCContract()
        contract.make = model
        x = contract.currents()
        y = contract.build(bits=1)(x)
        assert ((y > 0) == (x > 0)).all()


@adc("TruncatingADC")
class TruncatingADC(ADC):
    def convert(self, x, low, high, bits):
        lsb = (high - low) / 2**bits
        return low + (x - low) // lsb * lsb


class TestUsersADC(ADCContract):
    half_lsb = False
    idempotent = False  # rounding may put a level just below itself

    def make(self):
        return ADCS.create("TruncatingADC", "adc.model")


def test_ideal_adc_passes_everything_on():
    contract = ADCContract()
    contract.make = IdealADC
    x = contract.currents()
    assert contract.build()(x) is x
