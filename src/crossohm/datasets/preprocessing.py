"""What a network was trained to see: how images are cut to size, scaled and shifted before its first layer.

A checkpoint answers nonsense if its images are prepared in another way than in its training, and nothing in the
checkpoint tells. So the pairing is declared: by name, from the table `PREPROCESSINGS`, or as a `Preprocessing`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from crossohm._names import unknown
from crossohm.errors import ParameterError, ShapeError

INTERPOLATIONS = ("nearest", "box", "bilinear", "bicubic", "lanczos")


def _numbers(path: str, value: Any) -> tuple[float, ...]:
    try:
        found = np.atleast_1d(np.asarray(value, np.float64))
    except (TypeError, ValueError, OverflowError):
        found = np.empty((0, 0))
    if isinstance(value, str) or found.ndim != 1 or not found.size or not np.isfinite(found).all():
        raise ParameterError(path, value, "not a list of numbers", allowed="one finite number per channel, or one")
    return tuple(found.tolist())


def _positive_integer(path: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ParameterError(path, value, "not a number of pixels", allowed="a positive integer")


@final
@dataclass(frozen=True)
class Normalisation:
    """Images as a network takes them: ``(image - mean) / std``, image 0..1 in RGB order.

    Args:
        mean: Subtracted; one number per channel, or one for all.
        std: Divided by; one number per channel, or one for all.
        bgr: The channels are reversed, after ``mean`` and ``std`` (given in RGB order) were applied.
        pixel_mean: The mean of the training images is subtracted, pixel by pixel, before ``mean``.

    Raises:
        ParameterError: a number is not finite, or a ``std`` is not positive.
    """

    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    bgr: bool = False
    pixel_mean: bool = False

    def __post_init__(self) -> None:
        for name in ("mean", "std"):
            object.__setattr__(self, name, _numbers(f"normalisation.{name}", getattr(self, name)))
        if min(self.std) <= 0:
            raise ParameterError("normalisation.std", self.std, "divides images", allowed="positive numbers")

    def apply(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """The images ``(n, channels, height, width)`` normalised; ``pixel_mean`` is the caller's, who has the mean.

        Raises:
            ShapeError: the images have another number of channels, or are none.
        """
        if (self.mean, self.std, self.bgr) == ((0.0,), (1.0,), False):
            return images
        if images.ndim != 4:
            raise ShapeError(f"inputs {images.shape} are no images (n, channels, height, width); use 'unit'")
        channels = images.shape[1]
        for name in ("mean", "std"):
            if len(getattr(self, name)) not in (1, channels):
                raise ShapeError(
                    f"normalisation.{name} has {len(getattr(self, name))} numbers, images of shape {images.shape} "
                    f"have {channels} channels; give {channels} numbers or one"
                )
        mean, std = (np.asarray(numbers, np.float32)[:, np.newaxis, np.newaxis] for numbers in (self.mean, self.std))
        scaled = (images - mean) / std
        return scaled[:, ::-1] if self.bgr else scaled


@final
@dataclass(frozen=True)
class Framing:
    """How image files of any size become images of one size.

    Args:
        resize: Length of the shorter side after resizing, pixels; None: images are not resized.
        crop: Side of the square cut from the middle, pixels.
        interpolation: Of the resizing: nearest, box (area average), bilinear, bicubic or lanczos.

    Raises:
        ParameterError: a size is not a positive integer, the crop does not fit, or no such interpolation.
    """

    resize: int | None = 256
    crop: int = 224
    interpolation: str = "bilinear"

    def __post_init__(self) -> None:
        for name, value in (("crop", self.crop), ("resize", self.resize)):
            if name == "crop" or value is not None:
                _positive_integer(f"framing.{name}", value)
        if self.resize is not None and self.resize < self.crop:
            raise ParameterError("framing.crop", self.crop, "does not fit", allowed=f"1 to {self.resize} (resize)")
        if self.interpolation not in INTERPOLATIONS:
            raise unknown("framing.interpolation", self.interpolation, INTERPOLATIONS, "interpolation")


@final
@dataclass(frozen=True)
class Preprocessing:
    """What a network was trained to see.

    Args:
        normalisation: What happens to the values.
        framing: How image files are cut to size; None for data sets of one size.
        background: The network has a class 0 for "nothing of these", and all others one higher.
    """

    normalisation: Normalisation = field(default_factory=Normalisation)
    framing: Framing | None = None
    background: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for files; `read_preprocessing` reads them."""
        return asdict(self)


#: Mean and spread of the values of ImageNet's training images, R, G, B.
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
#: Means in 0..255 used by networks that keep that scale.
_BYTE_MEAN = (123.68 / 255, 116.78 / 255, 103.94 / 255)
_CAFFE_MEAN = (123.68 / 255, 116.779 / 255, 103.939 / 255)
_TO_BYTE = (1 / 255,)

_HALF = Normalisation((0.5,), (0.5,))

PREPROCESSINGS: dict[str, Preprocessing] = {
    "unit": Preprocessing(),
    "symmetric": Preprocessing(_HALF),
    "imagenet_statistics": Preprocessing(Normalisation(_MEAN, _STD)),
    "pixel_mean": Preprocessing(Normalisation(pixel_mean=True)),
    "torchvision": Preprocessing(Normalisation(_MEAN, _STD), Framing()),
    "keras_caffe": Preprocessing(Normalisation(_CAFFE_MEAN, _TO_BYTE, bgr=True), Framing(interpolation="bicubic")),
    "keras_tf": Preprocessing(_HALF, Framing(interpolation="bicubic")),
    "keras_inception": Preprocessing(_HALF, Framing(342, 299, "bicubic")),
    "mlperf_resnet50": Preprocessing(Normalisation(_BYTE_MEAN, _TO_BYTE), Framing(interpolation="box"), True),
    "mlperf_resnet50_torch": Preprocessing(Normalisation(_BYTE_MEAN, _TO_BYTE), Framing(interpolation="bicubic"), True),
    "mlperf_mobilenet": Preprocessing(_HALF, Framing(), True),
}


def read_preprocessing(value: str | Mapping[str, Any] | Preprocessing) -> Preprocessing:
    """The preprocessing called by a name of `PREPROCESSINGS`, or described by a mapping, as in a study file.

    Raises:
        UnknownNameError: no such name or entry.
        ParameterError: an entry is out of range or of the wrong type.
    """
    if isinstance(value, Preprocessing):
        return value
    if isinstance(value, Mapping):
        parts = dict(value)
        for name, kind in (("normalisation", Normalisation), ("framing", Framing)):
            if isinstance(parts.get(name), Mapping):
                parts[name] = _build(kind, parts[name], f"preprocessing.{name}")
        return _build(Preprocessing, parts, "preprocessing")
    if value not in PREPROCESSINGS:
        raise unknown("preprocessing", value, PREPROCESSINGS, "preprocessing")
    return PREPROCESSINGS[value]


_TYPES = {
    "normalisation": (Normalisation,), "framing": (Framing, type(None)), "background": (bool,), "bgr": (bool,),
    "pixel_mean": (bool,),
}  # fmt: skip


def _build(kind: Any, parts: Mapping[str, Any], path: str) -> Any:
    for name, value in parts.items():
        if name not in kind.__dataclass_fields__:
            raise unknown(path, name, kind.__dataclass_fields__, "entry")
        types = _TYPES.get(name)
        if types is not None and not isinstance(value, types):
            allowed = " or ".join("null" if kind is type(None) else kind.__name__.lower() for kind in types)
            raise ParameterError(f"{path}.{name}", value, "of the wrong type", allowed=allowed)
    return kind(**parts)
