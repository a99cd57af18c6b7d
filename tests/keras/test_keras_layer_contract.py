"""The layer contract, for every layer kind of `keras_cases`, on the backend that Keras runs on."""

from __future__ import annotations

from typing import Any

import pytest
from keras_cases import Case, of_backend

from crossohm.keras.harness import KerasHarness
from crossohm.testing.layer import LayerContract


@pytest.fixture(params=of_backend().values(), ids=of_backend())
def case(request: pytest.FixtureRequest) -> Case:
    return request.param


class TestEveryLayer(LayerContract):
    harness = KerasHarness()

    @pytest.fixture(autouse=True)
    def _of_case(self, case: Case) -> None:
        self.case = case
        self.shapes, self.choices, self.rounding = case.shapes, case.choices, case.rounding

    def digital(self, dtype: str) -> Any:
        return self.case.digital(dtype)
