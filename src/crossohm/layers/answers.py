"""What networks answer: one array, or several in a tuple, a table, or an object with fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from numpy.typing import NDArray

from crossohm.errors import UnsupportedError

#: The output that language models and classifiers of many libraries call so is the main one, wherever it stands.
_MAIN = "logits"


def output_of(
    answer: Any, name: str, size: int, on_host: Callable[[Any], NDArray[Any] | None], way_out: str
) -> NDArray[Any]:
    """One output of an answer to a batch.

    Args:
        answer: As the network gives it.
        name: Its key, field or number; ``""``: the main output, that is, the only one, ``logits``, or the first one
            that has an entry for each sample.
        size: Samples in the batch.
        on_host: A tensor as an array; None of anything else.
        way_out: What a user can do about an answer that does not suit.

    Raises:
        UnsupportedError: there is no such output with an entry for each sample.
    """
    single = on_host(answer)
    found = {"": answer} if single is not None else _outputs(answer)
    for key in [name] if name else [_MAIN, *found]:
        host = on_host(found[key]) if key in found else None
        if host is not None and host.ndim and len(host) == size:
            return host
    form = f"a {type(answer).__name__}" if single is None else str(single.shape)
    others = ", ".join(filter(None, found)) or "one without a name"
    wanted = f"; there is no output {name!r}, only {others}" if name and name not in found else ""
    raise UnsupportedError(
        f"the network answers {form} to {size} images{wanted}; runs and studies measure a tensor (images, outputs), "
        f"alone, in a tuple or in a table: {way_out}. crossohm.calibrate takes networks with any answers"
    )


def _outputs(answer: Any) -> dict[str, Any]:
    """Outputs by key, field or number."""
    if isinstance(answer, Mapping):
        return {str(key): value for key, value in answer.items()}
    if hasattr(answer, "_asdict"):
        return dict(answer._asdict())
    if isinstance(answer, list | tuple):
        return {str(number): value for number, value in enumerate(answer)}
    if is_dataclass(answer):
        return {field.name: getattr(answer, field.name) for field in fields(answer)}
    return {}
