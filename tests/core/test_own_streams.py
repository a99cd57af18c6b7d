"""Noise is fresh in every copy of a core, and cores that would share their errors say so.

A program repeats its numbers; copies of a core, made in any way, never repeat those of the original or of each other.
"""

from __future__ import annotations

import copy
import multiprocessing
import pickle
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
import torch
from core_hardware import STYLES, core_on, hardware

from crossohm import AnalogCore
from crossohm.torch import from_torch

MATRIX = np.random.default_rng(0).uniform(-1, 1, (3, 4))
OTHER = np.random.default_rng(1).uniform(-1, 1, (3, 4))
NOISE = {
    "xbar.device.read_noise.enable": True,
    "xbar.device.read_noise.model": "NormalIndependentDevice",
    "xbar.device.read_noise.magnitude": 0.02,
}
ROUNDING = {
    "xbar.adc.mvm.model": "QuantizerADC",
    "xbar.adc.mvm.bits": 2,
    "xbar.adc.mvm.adc_range_option": "MAX",
    "xbar.adc.mvm.stochastic_rounding": True,
}
ERRORS = {
    "xbar.device.programming_error.enable": True,
    "xbar.device.programming_error.model": "NormalIndependentDevice",
    "xbar.device.programming_error.magnitude": 0.02,
}
DRAWS = {
    "moments": NOISE,
    "explicit": {**NOISE, "simulation.read_noise_sampling": "explicit"},
    "rounding": ROUNDING,
}
EVERY_DRAW = pytest.mark.parametrize("draws", list(DRAWS))
READS = 200


def reads(core: AnalogCore) -> tuple[float, ...]:
    """One product per read of a batch: as good as a fingerprint of the stream."""
    return tuple((core @ np.full((4, READS), 0.37)).ravel())


def _read_in_worker(core: AnalogCore) -> tuple[float, ...]:
    return reads(core)


_HELD: list[AnalogCore] = []


def _read_held(_: int) -> tuple[float, ...]:
    return reads(_HELD[0])


def _read_copy_of_held(_: int) -> tuple[float, ...]:
    return reads(copy.deepcopy(_HELD[0]))


def distinct(results: list[tuple[float, ...]]) -> None:
    assert len(set(results)) == len(results)


@EVERY_DRAW
@pytest.mark.parametrize("work", [_read_held, _read_copy_of_held])
def test_forked_workers_draw_fresh_noise(draws: str, work: Any) -> None:
    _HELD[:] = [core_on(MATRIX, DRAWS[draws])]
    reads(_HELD[0])
    with multiprocessing.get_context("fork").Pool(3) as pool:
        found = pool.map(work, range(3), chunksize=1)
    distinct([*found, reads(_HELD.pop())])


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_cores_sent_to_workers_draw_fresh_noise(start: str) -> None:
    core = core_on(MATRIX, NOISE)
    with multiprocessing.get_context(start).Pool(2) as pool:
        found = pool.map(_read_in_worker, [core] * 3, chunksize=1)
    distinct([*found, reads(core)])


@EVERY_DRAW
def test_copies_in_one_process_draw_fresh_noise(draws: str) -> None:
    core = core_on(MATRIX, DRAWS[draws])
    data = pickle.dumps(core)
    copies = [copy.deepcopy(core), copy.deepcopy(core), copy.copy(core)]
    copies += [copy.deepcopy(copies[0]), pickle.loads(data), pickle.loads(data)]
    distinct([*map(reads, copies), reads(core)])
    for other in copies:
        np.testing.assert_array_equal(other.get_matrix(), core.get_matrix())


def test_jax_keys_of_copies_are_fresh() -> None:
    core = core_on(MATRIX.astype(np.float32), NOISE)
    x = jnp.ones(4)
    found = [tuple(np.asarray(one @ x)) for one in (core, copy.deepcopy(core), pickle.loads(pickle.dumps(core)))]
    assert len(set(found)) == 3


PROGRAM = """
import copy
import numpy as np
from crossohm import AnalogCore, CrossSimParameters
hardware = CrossSimParameters()
hardware.xbar.device.read_noise.update({"enable": True, "model": "NormalIndependentDevice", "magnitude": 0.02})
core = AnalogCore(np.eye(4), hardware, seed=1)
copies = [copy.deepcopy(core) for _ in range(2)]
print([(one @ np.ones(4)).tolist() for one in (core, *copies, copy.deepcopy(copies[0]), core)])
"""


def test_a_program_repeats_its_noise() -> None:
    """A fixed configuration, deep copies included, is reproducible; so is the stream of earlier versions."""
    runs = [subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True) for _ in "ab"]
    assert runs[0].stdout == runs[1].stdout
    first, again = core_on(MATRIX, NOISE), core_on(MATRIX, NOISE)
    assert [reads(first), reads(first)] == [reads(again), reads(again)]


def test_a_generator_given_decides_in_every_copy() -> None:
    core = core_on(MATRIX, NOISE)
    twin = pickle.loads(pickle.dumps(core))
    x = np.ones(4)
    np.testing.assert_array_equal(
        core.matvec(x, rng=np.random.default_rng(3)), twin.matvec(x, rng=np.random.default_rng(3))
    )


# --- cores of one name ------------------------------------------------------------------------------------------------


@contextmanager
def silent() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


RANDOM = {
    "programming": ERRORS,
    "read noise": NOISE,
    "converters": {
        "xbar.adc.mvm.model": "RampADC",
        "xbar.adc.mvm.bits": 4,
        "xbar.adc.mvm.adc_range_option": "MAX",
        "xbar.adc.mvm.sigma_comparator": 0.1,
    },
}


@pytest.mark.parametrize("name", ["core", "fc1"])
@pytest.mark.parametrize("what", list(RANDOM))
def test_two_matrices_under_one_name_warn_once(what: str, name: str) -> None:
    params = hardware(RANDOM[what])
    first = AnalogCore(MATRIX, params, seed=1, name=name)
    with pytest.warns(UserWarning, match=rf"'{name}' on chip 1.*name=") as caught:
        second = AnalogCore(OTHER, params, seed=1, name=name)
        third = AnalogCore(np.eye(5), params, seed=1, name=name)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    del first, second, third


@pytest.mark.parametrize("style", list(STYLES))
def test_one_matrix_on_many_kinds_of_hardware_is_fine(style: str) -> None:
    """Sweeps build core after core of one matrix, of any range, partition, library and dtype."""
    kept = []
    with silent():
        for changes in ({}, {"core.rows_max": 2}, {"core.mapping.weights.percentile": 0.8}):
            for matrix in (MATRIX, MATRIX.astype("float32"), torch.tensor(MATRIX), jnp.asarray(MATRIX)):
                kept.append(AnalogCore(matrix, hardware(STYLES[style], ERRORS, changes), seed=1))
        kept.append(AnalogCore(torch.tensor(MATRIX, dtype=torch.bfloat16), hardware(STYLES[style], ERRORS), seed=1))


def test_what_shares_no_errors_is_fine() -> None:
    noisy, ideal = hardware(ERRORS), hardware()
    with silent():
        kept = [AnalogCore(MATRIX, noisy, seed=1), AnalogCore(OTHER, noisy, seed=2), AnalogCore(OTHER, noisy)]
        kept += [AnalogCore(OTHER, noisy, seed=1, name="other"), AnalogCore(OTHER, ideal, seed=1)]
        kept[0].set_matrix(OTHER)
        kept[1][0, 0] = 0.5
        kept += [AnalogCore(MATRIX, noisy, seed=1), copy.deepcopy(kept[1]), pickle.loads(pickle.dumps(kept[1]))]


def test_cores_that_died_are_forgotten() -> None:
    with silent():
        AnalogCore(MATRIX, hardware(ERRORS), seed=1)
        for index in range(3):
            core = AnalogCore(index * MATRIX + OTHER, hardware(ERRORS), seed=1)
            assert core.shape == (3, 4)
            del core


def test_networks_do_not_warn_but_layers_of_one_name_do() -> None:
    """Layers of a network have names; layers built again for other hardware replace themselves."""
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.ReLU(), torch.nn.Linear(4, 4), torch.nn.LSTM(4, 4))
    with silent():
        analog = from_torch(model, hardware(ERRORS), seed=1)
        layer = analog[0]
        with torch.no_grad():
            layer.weight += 1.0
        layer.params = hardware(ERRORS, {"core.rows_max": 2})
        with torch.no_grad():
            layer.weight += 1.0
        layer.bias_rows = 2
        with torch.no_grad():
            layer.weight += 1.0
        layer.reinitialize(layer.seed)
        copy.deepcopy(analog)
    one = from_torch(torch.nn.Linear(4, 4), hardware(ERRORS), seed=1)
    with pytest.warns(UserWarning, match="'core' on chip 1"):
        two = from_torch(torch.nn.Linear(4, 4), hardware(ERRORS), seed=1)
    del one, two
