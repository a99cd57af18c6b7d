"""The sections of a study file: names, types, defaults and limits of everything a study can say."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, Self, final

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from crossohm.datasets import read_preprocessing

Text = Annotated[str, Field(min_length=1)]
Count = Annotated[int, Field(ge=0, le=2**31 - 1)]
PositiveCount = Annotated[int, Field(ge=1, le=2**31 - 1)]
Seed = Annotated[int, Field(ge=0, lt=2**62)]
Names = Annotated[tuple[Text, ...], Field(strict=False)]
Overrides = dict[str, Any]


class Section(BaseModel):
    """Part of a study. Values are checked when it is built and do not change afterwards."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True, allow_inf_nan=False
    )


@final
class ModelSection(Section):
    """The trained network. A text by itself is its name."""

    name: Text | None = None
    """A shipped network (digits_cnn, mnist_cnn), an architecture (resnet20_cifar10), module:function or
    file.py:function that makes one, or an exported program (.pt2); None: the shipped network that was trained on the
    data set."""
    checkpoint: Text | None = None
    """File with the weights of an architecture or of the network that a function makes."""
    options: Overrides = Field(default_factory=dict)
    """Keyword arguments of that function."""
    fold_batchnorm: bool = True
    """Fold BatchNorm into the layers before it where that changes nothing; False: BatchNorm stays digital."""
    bias_bits: Annotated[int, Field(ge=0, le=24)] | Literal["adc"] = 0
    """Resolution of the biases of analog layers, over the range of each layer's biases. 0: not quantised; adc: digital
    biases are multiples of the step of their layer's ADCs."""

    @field_validator("options")
    @classmethod
    def _check_options(cls, options: Overrides) -> Overrides:
        _require_plain(options)
        return options


def _require_plain(value: Any) -> None:
    """Refuse what has no place in results: infinite numbers, dates and other things that JSON does not have."""
    if isinstance(value, dict):
        for name, inner in value.items():
            _require_plain(name)
            _require_plain(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            _require_plain(inner)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} is not a finite number")
    elif not (value is None or isinstance(value, str | int | float)):
        raise ValueError(f"a {type(value).__name__} is neither number, text, list nor table")


@final
class DatasetSection(Section):
    """The images to answer. A text by itself is the name of the data set."""

    name: Text = "digits"
    """Name of the data set; module:function or file.py:function that returns one, a pair (inputs, targets) or a loader;
    or a file of arrays (.npz, .npy, .csv)."""
    data_dir: Text | None = None
    """Folder with its files, or an .npz file; a relative path starts at the folder of the study file."""
    preprocessing: Text | dict[str, Any] | None = None
    """What the network was trained to see: a name (unit, imagenet_statistics, torchvision, ...) or a description;
    None: what the network declares."""
    images: PositiveCount | None = None
    """How many test images; None: all."""
    first: Count = 0
    """Number of the first test image."""
    sample: Literal["first", "random"] = "first"
    """Which images: consecutive ones, or a random choice."""
    sample_seed: Seed = 0
    """Of the random choice."""
    inputs: Names = ()
    """Of a file: names of its arrays or columns that are inputs; several arrays go to arguments of these names. Empty:
    x, or all that are no targets."""
    targets: Names = ()
    """Of a file: what the network should answer; of .npy the other file. Empty: y, labels or targets, or the last
    column."""
    test_share: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Of a file without arrays x_train, x_test: share of the samples that are test samples, the last ones."""

    @field_validator("preprocessing")
    @classmethod
    def _check_preprocessing(cls, value: Any) -> Any:
        if value is not None:
            read_preprocessing(value)
        return value


@final
class LayerSection(Section):
    """Hardware of some layers, where it differs."""

    base: Text | None = None
    """A preset or file instead of that of the other layers."""
    set: Overrides = Field(default_factory=dict)
    """Parameters by path, as in the section hardware."""
    digital: bool = False
    """The layer stays digital and exact."""
    bias_rows: Count | None = None
    """Array rows that hold the bias; None: as in the section hardware."""


@final
class HardwareSection(Section):
    """The hardware. A text by itself is the preset or file."""

    base: Text = "rram-8bit"
    """A preset (see: crossohm presets), or a .json, .yaml or .yml file; relative paths start at the study file."""
    set: Overrides = Field(default_factory=dict)
    """Parameters that differ from it, by path: xbar.adc.mvm.bits: 6. Nested groups work as well."""
    bias_rows: Count = 0
    """Array rows that hold the bias of a layer; 0: biases are added digitally."""
    layers: dict[str, LayerSection] = Field(default_factory=dict)
    """Exceptions by name pattern ("conv1", "layer3.*"); where several match a layer, later ones win."""


@final
class CalibrationSection(Section):
    """Converter ranges found on training images. false by itself: all ranges as the hardware describes them."""

    inputs: bool = True
    """Find the input range of every layer."""
    adc: bool = True
    """Find the ADC ranges of every layer."""
    images: PositiveCount = 200
    """Training images looked at, the first ones."""
    objective: Literal["L2", "L1", "percentile"] = "L2"
    """What ranges are chosen by: mean square or magnitude of the errors of quantising and clipping, or percentiles."""
    percentile: Annotated[float, Field(gt=50, le=100)] | None = None
    """With objective percentile: of the currents that an ADC range holds; None: 99.99."""
    input_percentile: Annotated[float, Field(gt=50, le=100)] | None = None
    """With objective percentile: of a layer's inputs that its range holds; None: 100."""
    zero_level: bool = True
    """Only ranges with a level on zero, for converters that can have one."""
    relu_aware: bool = True
    """No ADC levels for currents that a ReLU right behind the layer makes zero."""
    file: Text | None = None
    """Ranges that crossohm calibrate has saved, instead of new ones; a relative path starts at the study file."""

    @model_validator(mode="after")
    def _everything_has_an_effect(self) -> Self:
        if self.adc and not self.inputs:
            raise ValueError("ADC ranges are found with inputs in their ranges: without inputs, adc must be false too")
        if self.objective != "percentile" and (self.percentile, self.input_percentile) != (None, None):
            raise ValueError(f"a percentile has no effect with objective {self.objective}; set objective: percentile")
        if self.file is not None and not (self.inputs and self.adc):
            raise ValueError("a file has the ranges of inputs and ADCs; leave inputs and adc out")
        return self


@final
class RepeatsSection(Section):
    """Chips: simulated copies with errors of their own. A number by itself is the number of chips."""

    chips: Annotated[int, Field(ge=1, le=100_000)] = 5
    """How many."""
    seed: Seed = 1
    """Number of the first chip; the others follow. Every sweep point meets the same chips."""


@final
class MetricSection(Section):
    """What is measured."""

    task: Literal["auto", "classification", "regression", "segmentation", "labelling", "language", "signal"] = "auto"
    """What the network is for, which says what is measured unless metrics does: right answers of a classification,
    errors of a regression, classes of pixels (segmentation) or tokens (labelling), tokens of a language model, noise of
    a signal; auto: classification or regression, by the type of the data set's labels."""
    top_k: Annotated[tuple[PositiveCount, ...], Field(strict=False, min_length=1)] = (1,)
    """Ranks that count as right answers; a number or a list of them."""
    threshold: float | None = None
    """Above it the single output of a network means class 1; None: 0 (logits), or 0.5 if all outputs of the digital
    network lie within 0..1 (probabilities)."""


@final
class NamedMetric(Section):
    """One of several metrics. A text by itself is its name."""

    name: Text
    """Of a metric of crossohm (r2, miou, perplexity ...), or module:object or file.py:object of yours."""
    options: Overrides = Field(default_factory=dict)
    """Its options: ignore, axis, peak, or those of yours."""
    output: Text | None = None
    """Which output of a network of several: key or number; None: the main one."""
    target: Text | None = None
    """Which of several targets: name or number; None: the only one, or that of the name of the output."""


@final
class SaveSection(Section):
    """What is kept of every chip beside its measures."""

    outputs: bool = False
    """Raw outputs of the network, (images, outputs)."""
    signals: Names = ()
    """Name patterns of layers whose outputs are kept, (images, ...)."""
    layer_snr: bool = True
    """Signal-to-noise ratio of every layer's output, against the digital network; before a ReLU, of what passes it."""
    adc_histograms: bool = False
    """Histograms of the ADC inputs of every layer and weight slice."""
    conductances: bool = False
    """Programmed conductances of all arrays, normalised to the highest."""


@final
class RunSection(Section):
    """How the simulation runs."""

    batch_size: PositiveCount = 250
    """Images computed at a time: memory and speed."""
    device: Text = "cpu"
    """Where PyTorch computes: cpu, cuda, cuda:1, mps."""


@final
class SweepSection(Section):
    """Settings to vary. A point is any combination of a position in the grid, in zip and in points."""

    grid: dict[str, Any] = Field(default_factory=dict)
    """Path: values; all combinations."""
    zip: dict[str, Any] = Field(default_factory=dict)
    """Path: values, lists of equal length that are gone through together."""
    points: tuple[dict[str, Any], ...] = Field(default=(), strict=False)
    """Single combinations, each a table of path: value."""


@final
class Study(Section):
    """A question asked of a network on hardware."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$")] | None = None
    """Name of the results folder; None: that of the file."""
    model: ModelSection = Field(default_factory=ModelSection)
    """The trained network."""
    dataset: DatasetSection = Field(default_factory=DatasetSection)
    """The images to answer."""
    hardware: HardwareSection = Field(default_factory=HardwareSection)
    """The hardware."""
    calibration: CalibrationSection = Field(default_factory=CalibrationSection)
    """Converter ranges."""
    repeats: RepeatsSection = Field(default_factory=RepeatsSection)
    """Chips."""
    metric: MetricSection = Field(default_factory=MetricSection)
    """What is measured, by the task."""
    metrics: Annotated[tuple[NamedMetric, ...], Field(strict=False)] = ()
    """What is measured, by name, the main one first; empty: what suits the task."""
    save: SaveSection = Field(default_factory=SaveSection)
    """What is kept."""
    run: RunSection = Field(default_factory=RunSection)
    """How the simulation runs."""
    sweep: SweepSection = Field(default_factory=SweepSection)
    """Settings to vary."""
    plugins: Names = ()
    """Python files that register models of your own; relative paths start at the study file. They are executed."""

    @model_validator(mode="after")
    def _measures_are_said_once(self) -> Self:
        without_effect = {"task", "top_k"} & self.metric.model_fields_set
        if self.metrics and without_effect:
            names = " and ".join(f"metric.{name}" for name in sorted(without_effect))
            raise ValueError(f"metrics says what is measured, {names} too; leave one of them out")
        return self


#: Sections that may be written as one value, and the field that value is.
SHORT_FORMS: dict[str, tuple[str, ...]] = {
    "model": ("name",),
    "dataset": ("name",),
    "hardware": ("base",),
    "calibration": ("inputs", "adc"),
    "repeats": ("chips",),
}

#: Types of those values, as JSON schema calls them.
_SHORT_TYPES = {"calibration": "boolean", "repeats": "integer"}


def study_schema() -> dict[str, Any]:
    """JSON schema of study files, for editors: names, types, limits, and what every entry means."""
    schema = Study.model_json_schema()
    for name in SHORT_FORMS:
        full = schema["properties"][name]
        brief = {"type": _SHORT_TYPES.get(name, "string")}
        schema["properties"][name] = {"description": full.pop("description", ""), "anyOf": [brief, full]}
    top_k = schema["$defs"]["MetricSection"]["properties"]["top_k"]
    schema["$defs"]["MetricSection"]["properties"]["top_k"] = {
        "description": top_k.pop("description"),
        "anyOf": [{"type": "integer", "minimum": 1}, top_k],
    }
    metrics = schema["properties"]["metrics"]
    metrics["items"] = {"anyOf": [{"type": "string"}, metrics["items"]]}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "crossohm study", **schema}
