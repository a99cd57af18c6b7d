"""The contract every ADC model keeps, as tests to inherit.

In a test file of your own package::

    from crossohm.testing.converter import ADCContract

    class TestTruncatingADC(ADCContract):
        half_lsb = False                 # it rounds down

        def make(self):
            return TruncatingADC()

Tests that need an array library which is not installed are skipped. A test that fails says what the converter did, and
what to write.
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
_PORTABLE = (
    "use operators (+, *, **, abs) and, for functions, xp = crossohm.backends.backend_of(x).xp in place of numpy, "
    "torch or math; no if or loop over values of x"
)
_IN_PLACE = "the converter changes the array it is given: write y = x + 1, not x += 1"
_STRAIGHT = (
    "the gradient is not 1 inside the limits and 0 beyond: override convert() and leave the gradient to crossohm, or "
    "return crossohm.backends.backend_of(x).straight_through(y, x clipped to the limits)"
)
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
                self._assert_like(_called(converter, x, "NumPy arrays"), x)

    def test_does_not_change_its_input(self) -> None:
        """The caller's array stays as it was, in any array library; it may be read only."""
        before = self.currents()
        for converter in self.variants():
            held, locked = before.copy(), before.copy()
            locked.flags.writeable = False
            y = converter(held)
            np.testing.assert_array_equal(held, before, _IN_PLACE)
            np.testing.assert_array_equal(converter(locked), y, _IN_PLACE)
            if importlib.util.find_spec("torch") is not None:
                tensor = importlib.import_module("torch").tensor(before)
                converter(tensor)
                np.testing.assert_array_equal(tensor.numpy(), before, _IN_PLACE)

    def test_leaves_the_errors_of_the_chip_alone(self) -> None:
        """Converters are built from one chip again and again, for other limits and array libraries."""
        spec, model = self._spec(**self.noisy), self.make()
        mismatch = model.mismatch(spec, self.lines, np.random.default_rng(0))
        before = {name: errors.copy() for name, errors in mismatch.items()}
        model.build(spec, *self.limits, mismatch)(self.currents())
        for name, errors in before.items():
            message = f"building or converting changes mismatch[{name!r}]: write b = a + 1, not a += 1"
            np.testing.assert_array_equal(mismatch[name], errors, message)

    def test_batches_do_not_matter(self) -> None:
        """Each vector and position is converted on its own."""
        for converter in self.variants():
            x = self.currents(4)
            whole = converter(x)
            message = (
                "a current is converted differently beside other currents: use nothing of x but the current itself (no "
                "mean, max or number of vectors); limits are `low` and `high`"
            )
            np.testing.assert_array_equal(whole, np.concatenate([converter(x[:3]), converter(x[3:])]), message)
            np.testing.assert_array_equal(whole[..., 1], converter(x[..., 1]), message)

    def test_lines_that_do_not_differ_need_no_lines(self) -> None:
        """A converter that says it is not per line takes any shape."""
        converter = self.build()
        if not converter.per_line:
            x = self.currents()
            message = "lines are converted differently although per_line is False: set per_line = True"
            np.testing.assert_array_equal(converter(x.ravel()), converter(x).ravel(), message)

    def test_is_monotone_without_errors(self) -> None:
        """More current, no smaller number."""
        low, high = self.limits
        x = np.linspace(1.2 * low, 1.2 * high, 2001)[:, None].repeat(self.lines, 1)
        falling = np.diff(self.build()(x), axis=0).min(axis=1) < 0
        assert not falling.any(), (
            f"a larger current gives a smaller number near {x[:-1][falling].ravel()[:1]}: check the formula for "
            "signs, and what it does at zero, at the limits and beyond"
        )

    def test_saturates(self) -> None:
        """Beyond the limits nothing changes any more."""
        for converter in self.variants():
            for limit in self.limits:
                at_limit = np.full((1, self.lines), limit)
                message = f"currents beyond the limit {limit} give other numbers than the limit: clip x to [low, high]"
                np.testing.assert_array_equal(converter(at_limit), converter(at_limit * 1e3), message)

    def test_error_is_at_most_half_an_lsb(self) -> None:
        """Inside the range, with no hardware errors."""
        converter = self.build()
        if self.half_lsb and converter.lsb is not None:
            x = np.clip(self.currents(), *self.limits)
            error = np.max(np.abs(converter(x) - x))
            assert error <= converter.lsb / 2 * (1 + 1e-9), (
                f"the error reaches {error:.4g}, more than half of lsb = {converter.lsb:.4g}: correct the levels or "
                "lsb; if the model truncates or has unequal steps, set half_lsb = False in the test"
            )

    def test_is_idempotent(self) -> None:
        """Its own levels are converted to themselves."""
        if self.idempotent:
            y = self.build()(self.currents())
            message = (
                "a number that was converted is changed when it is converted again: a level must be the output for "
                "itself; if that is not meant, set idempotent = False in the test"
            )
            np.testing.assert_allclose(self.build()(y), y, rtol=1e-12, atol=1e-12, err_msg=message)

    def test_outputs_are_the_levels_it_names(self) -> None:
        """What is reported is what was simulated."""
        for converter in self.variants():
            if converter.output_levels is not None:
                assert len(converter.output_levels) == converter.levels, (
                    f"levels = {converter.levels}, but output_levels has {len(converter.output_levels)}: report "
                    "one for each code"
                )
                assert np.all(np.diff(converter.output_levels) > 0), "output_levels do not rise: sort them, each once"
                y = converter(self.currents())
                distance = np.abs(y[..., None] - converter.output_levels).min(-1)
                assert distance.max() <= 1e-12 * max(map(abs, self.limits)), (
                    f"outputs are up to {distance.max():.4g} away from output_levels: report the values that come out"
                )

    def test_the_same_chip_converts_the_same(self) -> None:
        """Hardware errors come from the seed alone, and do change with it."""
        if self.noisy:
            x = self.currents()
            first, again, other = (self.build(seed, **self.noisy)(x) for seed in (1, 1, 2))
            message = "one chip converts differently when built again: draw from `rng` in mismatch(), nowhere else"
            np.testing.assert_array_equal(first, again, message)
            assert np.any(first != other), (
                "two chips convert alike although `noisy` switches errors on: use what mismatch() drew in converter()"
            )

    def test_zero_bits_convert_nothing(self) -> None:
        """``bits = 0`` is the identity for every model."""
        x = self.currents()
        message = "bits = 0 changes currents: override converter() or convert(), not build()"
        np.testing.assert_array_equal(self.build(bits=0)(x), x, message)

    def test_nan_stays_nan(self) -> None:
        """An invalid current must not turn into a valid number."""
        for converter in self.variants():
            x = self.currents()
            x[2, 3] = np.nan
            y = converter(x)
            assert np.isnan(y[2, 3]), (
                f"an undefined current becomes {y[2, 3]}: a comparison takes NaN for a number; end with "
                "xp.where(x == x, y, x)"
            )
            assert np.isnan(y).sum() == 1, "an undefined current makes others undefined: convert each current by itself"

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_torch_agrees(self, dtype: str) -> None:
        """The same numbers, in the same library and dtype."""
        torch = pytest.importorskip("torch")
        for converter in self.variants():
            x = self.currents(3, dtype=dtype)
            tensor = torch.from_numpy(x)
            y = _called(converter, tensor, "PyTorch tensors")
            self._assert_like(y, tensor)
            self._agree(y.numpy(), converter(x), dtype)

    def test_jax_agrees_under_jit(self) -> None:
        """The same numbers, traced or not."""
        jax = pytest.importorskip("jax")
        for converter in self.variants():
            x = self.currents(3, dtype="float32")
            for function in (converter, jax.jit(converter)):
                array = jax.numpy.asarray(x)
                y = _called(function, array, "JAX arrays, under jax.jit too,")
                self._assert_like(y, array)
                self._agree(np.asarray(y), converter(x), "float32")

    def test_gradient_passes_straight_through_in_torch(self) -> None:
        """One inside the range, zero where the input clips."""
        torch = pytest.importorskip("torch")
        for converter in self.variants():
            x = torch.from_numpy(self.currents()).requires_grad_()
            y = _called(converter, x, "PyTorch tensors")
            (slope,) = torch.autograd.grad(y.sum(), x)
            np.testing.assert_allclose(slope.numpy(), self._inside(x.detach().numpy()), atol=1e-12, err_msg=_STRAIGHT)
            self._agree(y.detach().numpy(), converter(x.detach().numpy()), "float64")

    def test_gradient_passes_straight_through_in_jax(self) -> None:
        """One inside the range, zero where the input clips."""
        jax = pytest.importorskip("jax")
        for converter in self.variants():
            x = self.currents(dtype="float32")
            slope = jax.grad(lambda v, f=converter: f(v).sum())(jax.numpy.asarray(x))
            np.testing.assert_allclose(np.asarray(slope), self._inside(x), atol=1e-6, err_msg=_STRAIGHT)

    def _inside(self, x: np.ndarray) -> np.ndarray:
        return ((x > self.limits[0]) & (x < self.limits[1])).astype(x.dtype)

    def _agree(self, actual: np.ndarray, expected: np.ndarray, dtype: str) -> None:
        tolerance = _TOLERANCE[dtype] * max(map(abs, self.limits))
        np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance, err_msg=f"libraries differ: {_PORTABLE}")

    def _assert_like(self, y: Any, x: Any) -> None:
        library, found = (type(array).__module__.partition(".")[0] for array in (x, y))
        assert found == library, f"an array of {library} becomes one of {found}: {_PORTABLE}"
        assert y.shape == x.shape, f"shape {tuple(x.shape)} becomes {tuple(y.shape)}: return one number per current"
        assert y.dtype == x.dtype, (
            f"currents in {x.dtype} become {y.dtype}: combine x with Python numbers only; turn a comparison into "
            "numbers with xp.where or xp.sign, not by multiplying it"
        )


def _called(converter: Any, x: Any, what: str) -> Any:
    try:
        return converter(x)
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise AssertionError(f"{what} are not converted ({type(error).__name__}: {reason}): {_PORTABLE}") from error
