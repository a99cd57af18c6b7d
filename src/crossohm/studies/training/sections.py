"""What a training study can say: names, types, defaults and limits."""

from __future__ import annotations

from typing import Annotated, Any, Literal, final

from pydantic import Field

from crossohm.studies.file.sections import Overrides, PositiveCount, Section, Seed, Text

Choices = Annotated[dict[Text, Any] | list[Any], Field(min_length=1)]


@final
class CoresSection(Section):
    """Chips that a network of fixed-size cores is programmed into when it is judged."""

    base: Text = "rram-cores"
    """A preset (see: crossohm presets), or a .json, .yaml or .yml file; relative paths start at the study file."""
    set: Overrides = Field(default_factory=dict)
    """Parameters that differ from it, by path: xbar.device.cell_bits: 3."""
    comparator_offset: Annotated[float, Field(ge=0)] = 0.1
    """Standard deviation of the comparators' offsets, in the units of their noise."""


@final
class ChipSection(Section):
    """A network of fixed-size cores and how it is trained."""

    sizes: Annotated[list[PositiveCount], Field(min_length=2)] = Field(default_factory=lambda: [1024, 2048, 256])
    """Inputs, the square of a side that images are padded to, and outputs of each layer."""
    input_bits: PositiveCount = 8
    """Of each input; 1: binary images."""
    classes: PositiveCount = 10
    """Class scores."""
    spec: Overrides = Field(default_factory=dict)
    """The chip: grid, core_in, core_out, slot, sign, ... of crossohm.chip.ChipSpec."""
    recipe: Overrides = Field(default_factory=dict)
    """batch, rate, warm_up, sd, seed, and a table augmentation, see crossohm.flax.Recipe."""
    hardware: CoresSection | None = None
    """Chips to judge it on, one for each seed, with thresholds calibrated again; None: by noise of comparators."""


@final
class TrainingStudy(Section):
    """A network trained on devices, for several seeds, and what is varied."""

    name: Text | None = None
    """Of the results folder; None: that of the file."""
    recipe: Text = "digits"
    """Network, data set, weight limits and rates: digits, iris, mnist, fashion_mnist, cyber, spectf or uci_har."""
    network: Text | None = None
    """A network of yours in place of the recipe: module:function or file.py:function that makes one of PyTorch."""
    dataset: Text | None = None
    """Data set of that network, see crossohm.datasets."""
    data_dir: Text | None = None
    """Folder with the files of the data set; a relative path starts at the folder of the study file."""
    chip: ChipSection | None = None
    """A network of fixed-size cores in place of the recipe, on a data set of images; then seeds are those of the noise,
    or of the chips, when the one network that is trained is judged."""
    epochs: PositiveCount | None = None
    """Passes over the training set; None: as the recipe."""
    seeds: PositiveCount | list[Seed] = 3
    """How many seeds (0, 1, ...), or the seeds; each has devices, initial weights and draws of its own."""
    semantics: Literal["per_sample", "minibatch_sequential", "burst"] = "per_sample"
    """At which weights errors are taken, and how many writes happen."""
    batch: PositiveCount = 1
    """Samples in a batch; per_sample has one."""
    learning_rate: Annotated[float, Field(gt=0)] | None = None
    """None: as the recipe for such devices."""
    train_samples: PositiveCount | None = None
    """Training samples used, the first ones; None: all."""
    test_samples: PositiveCount | None = None
    """Test samples used, the first ones; None: all."""
    device: Overrides | Text = "ideal"
    """The devices: model (ideal, analytic, lookup with path, ...) and its parameters."""
    array: Overrides = Field(default_factory=dict)
    """Weights on devices, interfaces, read noise, wires, see ArraySettings."""
    rule: Overrides | Text = "parallel"
    """The algorithm: model (parallel, carry, mixed_precision, tiki_taka, ...) and its parameters."""
    sweep: dict[Text, Choices] = Field(default_factory=dict)
    """What is varied: for a setting, a table of names and values, or a list of values. All combinations are trained."""
    vary: dict[Text, Choices] = Field(default_factory=dict)
    """What is varied alone, one setting after another: each combination of the sweep is trained as it is, and with each
    of these values."""
