"""The contract of a front end's networks, as tests to inherit.

In a test file of your own package::

    from crossohm.testing.network import NetworkContract

    class TestNetwork(NetworkContract):
        def network(self, batch_size=250):
            return front_end.network(model, batch_size)     # a convolution and a dense layer, say, with BatchNorm

        def images(self):
            return np.random.default_rng(0).normal(size=(5, 1, 6, 6)).astype("float32")

        def changed(self, network):
            ...                                             # the same network with one parameter changed
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from crossohm import CrossSimParameters
from crossohm.layers.network import Calibratable, Network, TakesBatches, silent
from crossohm.layers.profiling import profiled
from crossohm.testing.hardware import CONVERTERS, PROGRAMMING_ERROR, hardware

#: Largest deviation of outputs in single precision, relative to the largest.
ROUNDING = 1e-4


class NetworkContract:
    """Laws every network of every front end keeps; inherit, and say which networks."""

    def network(self, batch_size: int = 250) -> Network:
        """A digital network with at least two layers for hardware, made anew at every call, always the same."""
        raise NotImplementedError

    def images(self) -> NDArray[Any]:
        """Some images for it, at least four."""
        raise NotImplementedError

    def changed(self, network: Network) -> Network:
        """The network with one parameter changed."""
        raise NotImplementedError

    # ------------------------------------------------------------------------------------------------------------------

    def _chip(self, seed: int = 1, **changes: object) -> Network:
        network = self.network().seeing(self.images()[:2])
        return network.on_hardware([hardware(changes) for _ in network.convertible], seed)

    def _outputs(self, network: Network) -> NDArray[Any]:
        return network.outputs(self.images(), "", silent)

    def test_has_all_members(self) -> None:
        """The protocols that calibration looks for."""
        assert isinstance(self.network(), Calibratable)
        assert isinstance(self.network(), TakesBatches)

    def test_names_are_those_of_the_layers(self) -> None:
        """One name means one layer, digital and on hardware."""
        digital, chip = self.network(), self._chip()
        assert len(digital.convertible) >= 2
        assert not digital.cores and not digital.hardware and not digital.kinds
        assert chip.convertible == digital.convertible
        assert list(chip.cores) == list(chip.kinds)
        assert set(chip.convertible) == {self._layer(name, chip) for name in chip.cores}
        assert set(chip.convertible) <= set(chip.recordable)
        assert set(chip.floors) <= set(chip.convertible)

    def _layer(self, core: str, chip: Network) -> str:
        return next(name for name in chip.convertible if core == name or core.startswith(f"{name}."))

    def test_hardware_comes_back_as_it_was_given(self) -> None:
        """Layer by layer, and every core of a layer is built of it."""
        digital = self.network().seeing(self.images()[:2])
        given = [hardware({"core.rows_max": 5 + number}) for number, _ in enumerate(digital.convertible)]
        chip = digital.on_hardware(given, 1)
        assert list(chip.hardware) == given
        for own, name in zip(given, chip.convertible, strict=True):
            assert {core.params.core.rows_max for core in self._cores(chip, name)} == {own.core.rows_max}

    def _cores(self, chip: Network, layer: str) -> list[Any]:
        return [core for name, core in chip.cores.items() if self._layer(name, chip) == layer]

    def test_layers_without_hardware_stay_digital(self) -> None:
        """None is no hardware."""
        digital = self.network().seeing(self.images()[:2])
        first, *others = digital.convertible
        chip = digital.on_hardware([CrossSimParameters(), *[None for _ in others]], 1)
        assert chip.convertible == (first,)
        np.testing.assert_allclose(self._outputs(chip), self._outputs(digital), atol=self._close(digital))

    def _close(self, network: Network) -> float:
        return ROUNDING * float(np.abs(self._outputs(network)).max())

    def test_ideal_hardware_answers_as_the_digital_network(self) -> None:
        """Up to rounding."""
        digital = self.network()
        np.testing.assert_allclose(self._outputs(self._chip()), self._outputs(digital), atol=self._close(digital))

    def test_one_seed_is_one_chip(self) -> None:
        """Conductances and answers repeat with the seed, and differ without."""
        one, same, other = (self._chip(seed, **PROGRAMMING_ERROR) for seed in (1, 1, 2))
        for name, core in one.cores.items():
            np.testing.assert_array_equal(np.asarray(core), np.asarray(same.cores[name]))
            assert not np.array_equal(np.asarray(core), np.asarray(other.cores[name]))
        np.testing.assert_array_equal(self._outputs(one), self._outputs(same))
        assert not np.array_equal(self._outputs(one), self._outputs(other))

    def test_a_chip_moves_to_another_chip(self) -> None:
        """A network on hardware on another chip is as if it had been put there at once."""
        chip = self._chip(1, **PROGRAMMING_ERROR)
        moved = chip.on_hardware(chip.hardware, 2)
        np.testing.assert_array_equal(self._outputs(moved), self._outputs(self._chip(2, **PROGRAMMING_ERROR)))

    def test_digest_follows_the_parameters(self) -> None:
        """And nothing else."""
        assert self.network().digest == self.network().digest
        assert self.changed(self.network()).digest != self.network().digest

    @pytest.mark.parametrize("on_chip", [False, True])
    def test_batches_do_not_matter(self, on_chip: bool) -> None:
        """Outputs in batches are the outputs whole."""
        answers = []
        for size in (3, 250):
            network = self.network(size)
            if on_chip:
                network = network.seeing(self.images()[:2])
                network = network.on_hardware([hardware(PROGRAMMING_ERROR) for _ in network.convertible], 1)
            answers.append(self._outputs(network))
        assert len(answers[0]) == len(self.images())
        np.testing.assert_allclose(answers[0], answers[1], rtol=0, atol=ROUNDING * float(np.abs(answers[1]).max()))

    def test_answers_come_batch_by_batch(self) -> None:
        """Of the main output, the same as all at once."""
        found: list[NDArray[Any]] = []
        network, images = self.network(3), self.images()
        network.each_answer(images, lambda batch: found.append(batch[""]), "", silent)
        assert [len(answers) for answers in found] == [min(3, len(images) - at) for at in range(0, len(images), 3)]
        np.testing.assert_array_equal(np.concatenate(found), self._outputs(network))

    def test_progress_covers_all_images(self) -> None:
        """From none to all."""
        told: list[tuple[str, int, int]] = []
        self.network(3).outputs(self.images(), "stage", lambda *step: told.append(step))
        count = len(self.images())
        assert {stage for stage, _, _ in told} == {"stage"} and {total for _, _, total in told} == {count}
        done = [number for _, number, _ in told]
        assert done == sorted(done) and done[0] == 0 and done[-1] == count

    def test_folding_changes_no_answer(self) -> None:
        """Up to rounding."""
        digital = self.network().seeing(self.images()[:2])
        np.testing.assert_allclose(self._outputs(digital.folded()), self._outputs(digital), atol=self._close(digital))
        assert digital.folded().convertible == digital.convertible

    def test_biases_of_many_bits_are_the_biases(self) -> None:
        """Up to rounding."""
        digital = self.network().seeing(self.images()[:2])
        fine = self._outputs(digital.with_bias_bits(24))
        np.testing.assert_allclose(fine, self._outputs(digital), atol=self._close(digital))

    def test_nothing_changes_the_network_it_starts_from(self) -> None:
        """The user's model stays as it is, on whatever hardware copies of it are."""
        digital = self.network()
        before, answers = digital.digest, self._outputs(digital)
        shown = digital.seeing(self.images()[:2])
        shown.on_hardware([hardware(CONVERTERS) for _ in shown.convertible], 1).outputs(self.images(), "", silent)
        shown.folded()
        shown.with_bias_bits(1)
        assert digital.digest == before and not digital.cores
        np.testing.assert_array_equal(self._outputs(digital), answers)

    def test_records_are_what_layers_put_out(self) -> None:
        """On ideal hardware those of the folded digital network, image by image."""
        chip, digital = self._chip(), self.network().seeing(self.images()[:2]).folded()
        records = []
        for network in (chip, digital):
            with network.record(chip.convertible) as kept:
                self._outputs(network)
            records.append({name: np.concatenate(parts) for name, parts in kept.items()})
        assert list(records[0]) == list(chip.convertible)
        for name, found in records[0].items():
            assert len(found) == len(self.images())
            np.testing.assert_allclose(found, records[1][name], atol=ROUNDING * float(np.abs(found).max()))

    def test_records_end_with_the_block(self) -> None:
        """Nothing is kept afterwards."""
        digital = self.network()
        with digital.record(digital.convertible) as kept:
            pass
        self._outputs(digital)
        assert all(parts == [] for parts in kept.values())

    def test_comparison_finds_errors_and_nothing_else(self) -> None:
        """No noise on ideal hardware, some in every layer with programming errors."""
        folded = self.network().seeing(self.images()[:2]).folded()
        for changes, found_noise in (({}, False), (PROGRAMMING_ERROR, True)):
            chip = self._chip(1, **changes)
            with chip.compared(folded) as found:
                self._outputs(chip)
            assert list(found) == list(chip.convertible)
            for deviation in found.values():
                assert deviation.signal > 0
                assert (deviation.noise > ROUNDING * deviation.signal) == found_noise

    def test_arrays_see_every_image(self) -> None:
        """Every core multiplies some vectors of every image, as many of each."""
        chip = self._chip()
        vectors = chip.vectors_per_image(self.images()[0])
        assert list(vectors) == list(chip.cores)
        with profiled(chip.cores) as seen:
            self._outputs(chip)
        for name, profile in seen.items():
            assert vectors[name] > 0 and profile.inputs["mvm"].total > 0
            assert profile.inputs["mvm"].total % len(self.images()) == 0

    def test_whatever_loaders_give_is_taken(self) -> None:
        """Images with their labels."""
        steps: list[int] = []
        self.network().take([self.images(), np.zeros(len(self.images()))], "", lambda _, done, __: steps.append(done))
        assert steps[-1] == len(self.images())
