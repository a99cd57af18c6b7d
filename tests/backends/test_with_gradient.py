"""Derivatives that a function gives: the same in every array library, under every transform."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from crossohm.backends import backend_of
from crossohm.errors import UnsupportedError

A = np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)
X = np.linspace(-2, 2, 12, dtype=np.float32).reshape(4, 3)


def rounded_product(a: Any, x: Any, batched: bool = True) -> Any:
    """``round(x) @ a.T`` with twice the derivatives of ``x @ a.T``."""
    backend = backend_of(x)

    def forward(a: Any, x: Any) -> Any:
        return backend.xp.round(x) @ a.T

    def backward(grad: Any, a: Any, x: Any) -> tuple[Any, Any]:
        return 2 * (grad.T @ x), 2 * (grad @ a)

    return backend.with_gradient(forward, backward, (a, x), (a, x), batched)


EXPECTED = 2 * np.ones((2, 4), dtype=np.float32) @ X, 2 * np.ones((4, 2), dtype=np.float32) @ A


def test_numpy_has_the_value() -> None:
    np.testing.assert_array_equal(rounded_product(A, X), X.round() @ A.T)


def test_torch() -> None:
    a, x = (torch.tensor(value, requires_grad=True) for value in (A, X))
    y = rounded_product(a, x)
    torch.testing.assert_close(y.detach(), torch.tensor(X.round() @ A.T))
    y.sum().backward()
    for leaf, expected in zip((a, x), EXPECTED, strict=True):
        np.testing.assert_allclose(leaf.grad, expected, rtol=1e-6)


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "jit"])
def test_jax(compiled: bool) -> None:
    def loss(a: Any, x: Any) -> Any:
        return rounded_product(a, x).sum()

    gradient = jax.grad(loss, argnums=(0, 1))
    found = (jax.jit(gradient) if compiled else gradient)(jnp.asarray(A), jnp.asarray(X))
    for ours, expected in zip(found, EXPECTED, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-6)


def test_tensorflow() -> None:
    tf = pytest.importorskip("tensorflow")

    def gradients(a: Any, x: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch([a, x])
            y = tf.reduce_sum(product(a, x))
        return tape.gradient(y, [a, x])

    def product(a: Any, x: Any) -> Any:
        def backward(grad: Any, a: Any, x: Any) -> Any:
            return 2 * tf.matmul(grad, x, transpose_a=True), 2 * grad @ a

        return backend_of(x).with_gradient(lambda a, x: tf.round(x) @ tf.transpose(a), backward, (a, x), (a, x))

    for call in (gradients, tf.function(gradients)):
        for ours, expected in zip(call(tf.constant(A), tf.constant(X)), EXPECTED, strict=True):
            np.testing.assert_allclose(ours, expected, rtol=1e-6)


@pytest.mark.parametrize("batched", [False, True], ids=["one by one", "at once"])
def test_vmap_is_the_loop(batched: bool) -> None:
    samples = np.stack([X, X + 1, X - 1])
    expected = np.stack([x.round() @ A.T for x in samples])
    found = torch.func.vmap(lambda x: rounded_product(torch.tensor(A), x, batched))(torch.tensor(samples))
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    found = jax.vmap(lambda x: rounded_product(jnp.asarray(A), x, batched))(jnp.asarray(samples))
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    each = torch.func.vmap(torch.func.grad(lambda x: rounded_product(torch.tensor(A), x, batched).sum()))
    np.testing.assert_allclose(each(torch.tensor(samples)), np.stack([EXPECTED[1]] * 3), rtol=1e-6)
    each = jax.vmap(jax.grad(lambda x: rounded_product(jnp.asarray(A), x, batched).sum()))
    np.testing.assert_allclose(each(jnp.asarray(samples)), np.stack([EXPECTED[1]] * 3), rtol=1e-6)


def test_torchs_vmap_over_another_input_is_refused() -> None:
    several = torch.tensor(np.stack([A, A]))
    with pytest.raises(UnsupportedError, match="vmap over inputs only"):
        torch.func.vmap(lambda a: rounded_product(a, torch.tensor(X)))(several)


def test_integers_and_absent_inputs_have_no_gradient() -> None:
    def chosen(index: Any, x: Any) -> Any:
        backend = backend_of(x)
        inputs = (None, index, x)
        return backend.with_gradient(lambda _, i, x: x[i], lambda grad: (None, None, 3 * grad), inputs, ())

    def loss(x: Any) -> Any:
        return chosen(jnp.asarray([2, 0, 1]), x).sum()

    np.testing.assert_array_equal(jax.jit(jax.grad(loss))(jnp.ones(3)), np.full(3, 3.0))
    leaf = torch.ones(3, requires_grad=True)
    chosen(torch.tensor([2, 0, 1]), leaf).sum().backward()
    np.testing.assert_array_equal(leaf.grad, np.full(3, 3.0))


def test_torch_keeps_only_what_it_is_told_to() -> None:
    """An input that backward does not use may be changed afterwards."""
    x = torch.tensor(X, requires_grad=True)
    inner = x * 1
    y = backend_of(x).with_gradient(lambda x: 2 * x, lambda grad: (2 * grad,), (inner,), ())
    inner.detach().zero_()
    y.sum().backward()
    np.testing.assert_array_equal(x.grad, np.full(X.shape, 2.0))
