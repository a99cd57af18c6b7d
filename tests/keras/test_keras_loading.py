"""`load_model`: what files hold comes back, nothing in them is executed, and what is missing is named."""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from keras.src.backend.common import global_state

from crossohm import CrossSimParameters
from crossohm.errors import DataError, UnsupportedError
from crossohm.keras import AnalogDense, from_keras
from crossohm.keras.loading import load_model

pytestmark = pytest.mark.plain_keras


class Limit(keras.constraints.Constraint):
    """A constraint that a process which loads does not know."""

    def __call__(self, w: Any) -> Any:
        return keras.ops.clip(w, -1, 1)

    def get_config(self) -> dict[str, Any]:
        return {}


class Doubled(keras.layers.Layer):
    """A layer that a process which loads does not know."""

    def call(self, x: Any) -> Any:
        return 2 * x


def _network(**dense: Any) -> Any:
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, **dense), keras.layers.Dense(2)])


def _answers(model: Any) -> Any:
    x = np.linspace(-1, 1, 12, dtype="float32").reshape(3, 4)
    return keras.ops.convert_to_numpy(model(x))


def _changed_hdf5(path: Path, change: Any) -> Path:
    """The file with its description changed."""
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        change(config)
        file.attrs["model_config"] = json.dumps(config)
    return path


def test_a_graph_with_values_in_calls_comes_back(tmp_path: Path) -> None:
    """Tensors, arrays and slices among the arguments of calls are no classes to be known."""
    inputs = keras.Input((4,))
    hidden = keras.layers.Dense(4)(inputs) * np.full(4, 2, "float32")
    model = keras.Model(inputs, keras.layers.Add()([hidden[:, 1:3], hidden[..., ::2]]))
    model.save(tmp_path / "net.keras")
    np.testing.assert_array_equal(_answers(load_model(tmp_path / "net.keras")), _answers(model))


@pytest.mark.parametrize("ending", [".keras", ".h5"])
@pytest.mark.filterwarnings("ignore::UserWarning")  # Keras on HDF5
class TestFiles:
    """Both formats."""

    def _saved(self, model: Any, folder: Path, ending: str) -> Path:
        model.save(folder / f"net{ending}")
        return folder / f"net{ending}"

    def test_a_network_comes_back(self, tmp_path: Path, ending: str) -> None:
        """With its answers, and without a warning."""
        model = _network(activation="relu", kernel_regularizer="l2")
        path = self._saved(model, tmp_path, ending)
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            again = load_model(str(path))
        np.testing.assert_array_equal(_answers(again), _answers(model))
        assert [layer.name for layer in again.layers] == [layer.name for layer in model.layers]
        assert again.layers[0].kernel_regularizer is not None

    def test_the_format_is_seen_in_the_content(self, tmp_path: Path, ending: str) -> None:
        """Whatever the file is called."""
        model = _network()
        path = self._saved(model, tmp_path, ending).rename(tmp_path / "net.model")
        np.testing.assert_array_equal(_answers(load_model(path)), _answers(model))

    def test_what_only_training_needs_is_left_out(self, tmp_path: Path, ending: str) -> None:
        """With one warning that names it."""
        model = _network(kernel_constraint=Limit())
        path = self._saved(model, tmp_path, ending)
        with pytest.warns(RuntimeWarning, match="kernel_constraint Limit") as seen:
            again = load_model(path)
        assert len([one for one in seen if issubclass(one.category, RuntimeWarning)]) == 1
        assert seen[0].filename == __file__
        np.testing.assert_array_equal(_answers(again), _answers(model))
        kept = load_model(path, custom_objects={"Limit": Limit})
        assert isinstance(kept.layers[0].kernel_constraint, Limit)

    def test_unknown_layers_are_named(self, tmp_path: Path, ending: str) -> None:
        """With how to pass them."""
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2), Doubled()])
        path = self._saved(model, tmp_path, ending)
        with pytest.raises(UnsupportedError, match=r"Doubled.*custom_objects=\{'Doubled': Doubled\}"):
            load_model(path)
        again = load_model(path, custom_objects={"Doubled": Doubled})
        np.testing.assert_array_equal(_answers(again), _answers(model))

    def test_unknown_activations_are_named(self, tmp_path: Path, ending: str) -> None:
        """With how to pass them."""

        def halved(x: Any) -> Any:
            return x / 2

        model = _network(activation=halved)
        path = self._saved(model, tmp_path, ending)
        with pytest.raises(UnsupportedError, match=r"activation halved.*custom_objects=\{'halved': halved\}"):
            load_model(path)
        np.testing.assert_array_equal(_answers(load_model(path, {"halved": halved})), _answers(model))

    def test_code_is_refused(self, tmp_path: Path, ending: str) -> None:
        """Also where Keras was told to execute it."""
        model = keras.Sequential([keras.Input((4,)), keras.layers.Lambda(lambda x: 2 * x)])
        path = self._saved(model, tmp_path, ending)
        keras.config.enable_unsafe_deserialization()
        try:
            with pytest.raises(UnsupportedError, match="holds code"):
                load_model(path)
        finally:
            global_state.set_global_attribute("safe_mode_saving", None)

    def test_damaged_files_say_so(self, tmp_path: Path, ending: str) -> None:
        """With their path, wherever they are cut off."""
        whole = self._saved(_network(), tmp_path, ending).read_bytes()
        for share in (0.02, 0.5, 0.95):
            path = tmp_path / f"cut{ending}"
            path.write_bytes(whole[: int(share * len(whole))])
            with pytest.raises(DataError, match="cut"):
                load_model(path)


def test_foreign_files_say_what_they_are(tmp_path: Path) -> None:
    """No network, no file, a folder, another archive, weights alone."""
    with pytest.raises(DataError, match="No such file"):
        load_model(tmp_path / "none.keras")
    with pytest.raises(UnsupportedError, match="SavedModel"):
        load_model(tmp_path)
    (tmp_path / "text.h5").write_text("words")
    with pytest.raises(DataError, match="neither"):
        load_model(tmp_path / "text.h5")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("other", "words")
    (tmp_path / "other.keras").write_bytes(archive.getvalue())
    with pytest.raises(DataError, match="no description"):
        load_model(tmp_path / "other.keras")
    _network().save_weights(tmp_path / "net.weights.h5")
    with pytest.raises(DataError, match="weights only"):
        load_model(tmp_path / "net.weights.h5")


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_options_of_old_layers_are_dropped(tmp_path: Path) -> None:
    """Where they have no effect; tf.keras wrote them."""
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            layers.DepthwiseConv2D(3),
            layers.SeparableConv2D(3, 2),
            layers.Reshape((9, 3)),
            layers.LSTM(3),
        ]
    )
    x = np.linspace(-1, 1, 72, dtype="float32").reshape(1, 6, 6, 2)
    path = tmp_path / "old.h5"
    model.save(path)

    def age(config: dict[str, Any]) -> None:
        by_kind = {layer["class_name"]: layer["config"] for layer in config["config"]["layers"]}
        zeros = {"class_name": "GlorotUniform", "config": {"seed": None}}
        by_kind["DepthwiseConv2D"] |= {"groups": 1, "kernel_initializer": zeros, "kernel_constraint": None}
        by_kind["SeparableConv2D"] |= {"groups": 1, "kernel_initializer": zeros, "kernel_constraint": None}
        by_kind["LSTM"] |= {"time_major": False, "implementation": 2}

    again = load_model(_changed_hdf5(path, age))
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(again(x)), keras.ops.convert_to_numpy(model(x)))


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_sequential_of_a_list_comes_back(tmp_path: Path) -> None:
    """As Keras before 2.2.3 wrote it."""
    model = _network()
    path = tmp_path / "old.h5"
    model.save(path)
    again = load_model(_changed_hdf5(path, lambda config: config.update(config=config["config"]["layers"])))
    np.testing.assert_array_equal(_answers(again), _answers(model))


#: Third-party networks of tf.keras 2.4, and the number of their weights.
_PUBLISHED = {
    "mnist_CNN6.h5": 61622,
    "mnist_CNN6_v2.h5": 119322,
    "resnet14v1_cifar10.h5": 176554,
    "resnet20v1_cifar10.h5": 274442,
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", _PUBLISHED)
def test_published_networks_load(name: str, shared: Path) -> None:
    """Whole, with a constraint of their authors that nobody else has."""
    model = load_model(shared / "data" / "models" / name)
    assert model.count_params() == _PUBLISHED[name]
    answers = keras.ops.convert_to_numpy(model(np.zeros((1, *model.input_shape[1:]), "float32")))
    assert answers.shape == (1, 10) and np.isfinite(answers).all()


def test_arrays_are_written_once(tmp_path: Path) -> None:
    """Not with the weights that layers have before those of the file are read."""
    params = CrossSimParameters()
    params.update(
        {
            "xbar.device.programming_error.enable": True,
            "xbar.device.programming_error.model": "NormalIndependentDevice",
            "xbar.device.programming_error.magnitude": 0.05,
        }
    )
    model = from_keras(keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]), params, seed=1)
    wanted = model.predict(np.ones((2, 4), "float32"), verbose=0)
    model.save(tmp_path / "net.keras")
    written = []
    with pytest.MonkeyPatch.context() as patch:
        install = AnalogDense.install
        patch.setattr(AnalogDense, "install", lambda self, *given: (written.append(self.name), install(self, *given)))
        again = load_model(tmp_path / "net.keras")
    assert not written
    np.testing.assert_array_equal(again.predict(np.ones((2, 4), "float32"), verbose=0), wanted)
