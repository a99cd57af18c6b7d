"""The contract every ADC model keeps, as tests to inherit.

In a test file of your own package::

    from crossohm.testing.converter import ADCContract

    class TestTruncatingADC(ADCContract):
        half_lsb = False                 # it rounds down

        def make(self):
            return TruncatingADC()

Tests that need an array library which is not installed are skipped.
"""

from __future__ import annotations

import importlib
import importlib.util
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest

from crossohm.circuits import ADC, Converter

_TOLERANCE = {"float32": 1e-5, "float64": 1e-12}
_IDEAL_CIRCUIT = {
    "signed": True,
    "stochastic_rounding": False,
    "gain_db": 300.0,
    "symmetric_cdac": True,
    "split_cdac": True,
    "group_size": 4,
    "sigma_capacitor": 0.0,
    "sigma_comparator": 0.0,
    "sigma_C1": 0.0,
    "sigma_C2": 0.0,
    "sigma_Cpar": 0.0,
}


class ADCContract:
    """Tests inherited by the tests of one model: override `make`, and what follows where your model differs.

    Attributes:
        bits: Resolution tested.
        limits: Range tested; use an asymmetric one only if the model can have it.
        lines: Output lines of the array; not a multiple of the group size.
        fields: Parameters beyond, or other than, those of an error-free circuit.
        noisy: Parameters that switch all random hardware errors on; empty if the model has none.
        half_lsb: The error inside the range is at most half an LSB.
        idempotent: Converting twice changes nothing.
    """

    bits: int = 5
    limits: tuple[float, float] = (-1.5, 1.5)
    lines: int = 6
    fields: ClassVar[dict[str, Any]] = {}
    noisy: ClassVar[dict[str, Any]] = {}
    half_lsb: bool = True
    idempotent: bool = True

    def make(self) -> ADC:
        """A new instance of the model."""
        raise NotImplementedError("override make() so that it returns the ADC model")

    def build(self, seed: int = 0, **fields: Any) -> Converter:
        """A converter for the limits, with the errors of chip ``seed``."""
        spec, model = self._spec(**fields), self.make()
        model.check(spec, *self.limits, "xbar.adc.mvm")
        return model.build(spec, *self.limits, model.mismatch(spec, self.lines, np.random.default_rng(seed)))

    def _spec(self, **fields: Any) -> Any:
        return SimpleNamespace(**{**_IDEAL_CIRCUIT, "bits": self.bits, **self.fields, **fields})

    def currents(self, *positions: int, batch: int = 7, dtype: str = "float64") -> np.ndarray:
        """Currents over the range and 20 % beyond it, (batch, lines, *positions)."""
        low, high = 1.2 * np.asarray(self.limits)
        return np.random.default_rng(5).uniform(low, high, (batch, self.lines, *positions)).astype(dtype)

    def variants(self) -> list[Converter]:
        """The converter without errors, and with them if it can have any."""
        return [self.build()] + ([self.build(**self.noisy)] if self.noisy else [])

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_keeps_shape_and_dtype(self, dtype: str) -> None:
        """Outputs look like inputs, for dense layers, images and empty batches."""
        for converter in self.variants():
            for x in (
                self.currents(dtype=dtype),
                self.currents(2, 3, dtype=dtype),
                self.currents(batch=0, dtype=dtype),
            ):
                y = converter(x)
                assert y.shape == x.shape
                assert y.dtype == x.dtype

    def test_does_not_change_its_input(self) -> None:
        """The caller's array stays as it was, in any array library; it may be read only."""
        before = self.currents()
        for converter in self.variants():
            held, locked = before.copy(), before.copy()
            locked.flags.writeable = False
            np.testing.assert_array_equal(converter(held), converter(locked))
            np.testing.assert_array_equal(held, before)
            if importlib.util.find_spec("torch") is not None:
                tensor = importlib.import_module("torch").tensor(before)
                converter(tensor)
                np.testing.assert_array_equal(tensor.numpy(), before)

    def test_leaves_the_errors_of_the_chip_alone(self) -> None:
        """Converters are built from one chip again and again, for other limits and array libraries."""
        spec, model = self._spec(**self.noisy), self.make()
        mismatch = model.mismatch(spec, self.lines, np.random.default_rng(0))
        before = {name: errors.copy() for name, errors in mismatch.items()}
        model.build(spec, *self.limits, mismatch)(self.currents())
        for name, errors in before.items():
            np.testing.assert_array_equal(mismatch[name], errors)

    def test_batches_do_not_matter(self) -> None:
        """Each vector and position is converted on its own."""
        for converter in self.variants():
            x = self.currents(4)
            whole = converter(x)
            np.testing.assert_array_equal(whole, np.concatenate([converter(x[:3]), converter(x[3:])]))
            np.testing.assert_array_equal(whole[..., 1], converter(x[..., 1]))

    def test_lines_that_do_not_differ_need_no_lines(self) -> None:
        """A converter that says it is not per line takes any shape."""
        converter = self.build()
        if not converter.per_line:
            x = self.currents()
            np.testing.assert_array_equal(converter(x.ravel()), converter(x).ravel())

    def test_is_monotone_without_errors(self) -> None:
        """More current, no smaller number."""
        low, high = self.limits
        x = np.linspace(1.2 * low, 1.2 * high, 2001)[:, None].repeat(self.lines, 1)
        assert np.all(np.diff(self.build()(x), axis=0) >= 0)

    def test_saturates(self) -> None:
        """Beyond the limits nothing changes any more."""
        for converter in self.variants():
            for limit in self.limits:
                at_limit = np.full((1, self.lines), limit)
                np.testing.assert_array_equal(converter(at_limit), converter(at_limit * 1e3))

    def test_error_is_at_most_half_an_lsb(self) -> None:
        """Inside the range, with no hardware errors."""
        converter = self.build()
        if self.half_lsb and converter.lsb is not None:
            x = np.clip(self.currents(), *self.limits)
            assert np.max(np.abs(converter(x) - x)) <= converter.lsb / 2 * (1 + 1e-9)

    def test_is_idempotent(self) -> None:
        """Its own levels are converted to themselves."""
        if self.idempotent:
            y = self.build()(self.currents())
            np.testing.assert_allclose(self.build()(y), y, rtol=1e-12, atol=1e-12)

    def test_outputs_are_the_levels_it_names(self) -> None:
        """What is reported is what was simulated."""
        for converter in self.variants():
            if converter.output_levels is not None:
                assert len(converter.output_levels) == converter.levels
                assert np.all(np.diff(converter.output_levels) > 0)
                y = converter(self.currents())
                distance = np.abs(y[..., None] - converter.output_levels).min(-1)
                assert distance.max() <= 1e-12 * max(map(abs, self.limits))

    def test_the_same_chip_converts_the_same(self) -> None:
        """Hardware errors come from the seed alone, and do change with it."""
        if self.noisy:
            x = self.currents()
            first, again, other = (self.build(seed, **self.noisy)(x) for seed in (1, 1, 2))
            np.testing.assert_array_equal(first, again)
            assert np.any(first != other)

    def test_zero_bits_convert_nothing(self) -> None:
        """``bits = 0`` is the identity for every model."""
        x = self.currents()
        np.testing.assert_array_equal(self.build(bits=0)(x), x)

    def test_nan_stays_nan(self) -> None:
        """An invalid current must not turn into a valid number."""
        for converter in self.variants():
            x = self.currents()
            x[2, 3] = np.nan
            y = converter(x)
            assert np.isnan(y[2, 3])
            assert np.isnan(y).sum() == 1

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_torch_agrees(self, dtype: str) -> None:
        """The same numbers, in the same library and dtype."""
        torch = pytest.importorskip("torch")
        for converter in self.variants():
            x = self.currents(3, dtype=dtype)
            y = converter(torch.from_numpy(x))
            assert str(y.dtype) == f"torch.{dtype}"
            self._agree(y.numpy(), converter(x), dtype)

    def test_jax_agrees_under_jit(self) -> None:
        """The same numbers, traced or not."""
        jax = pytest.importorskip("jax")
        for converter in self.variants():
            x = self.currents(3, dtype="float32")
            for function in (converter, jax.jit(converter)):
                y = function(jax.numpy.asarray(x))
                assert str(y.dtype) == "float32"
                self._agree(np.asarray(y), converter(x), "float32")

    def test_gradient_passes_straight_through_in_torch(self) -> None:
        """One inside the range, zero where the input clips."""
        torch = pytest.importorskip("torch")
        for converter in self.variants():
            x = torch.from_numpy(self.currents()).requires_grad_()
            y = converter(x)
            (slope,) = torch.autograd.grad(y.sum(), x)
            np.testing.assert_allclose(slope.numpy(), self._inside(x.detach().numpy()), atol=1e-12)
            self._agree(y.detach().numpy(), converter(x.detach().numpy()), "float64")

    def test_gradient_passes_straight_through_in_jax(self) -> None:
        """One inside the range, zero where the input clips."""
        jax = pytest.importorskip("jax")
        for converter in self.variants():
            x = self.currents(dtype="float32")
            slope = jax.grad(lambda v, f=converter: f(v).sum())(jax.numpy.asarray(x))
            np.testing.assert_allclose(np.asarray(slope), self._inside(x), atol=1e-6)

    def _inside(self, x: np.ndarray) -> np.ndarray:
        return ((x > self.limits[0]) & (x < self.limits[1])).astype(x.dtype)

    def _agree(self, actual: np.ndarray, expected: np.ndarray, dtype: str) -> None:
        np.testing.assert_allclose(actual, expected, rtol=0, atol=_TOLERANCE[dtype] * max(map(abs, self.limits)))
