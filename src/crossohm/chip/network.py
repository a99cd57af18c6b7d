"""What a network is for a chip: stages of cores, without any weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal, Self, final, get_args

from crossohm._names import unknown
from crossohm.chip.spec import ChipSpec, require_count
from crossohm.chip.wiring import Pattern, SlotPattern, slot_pattern
from crossohm.errors import ParameterError

#: How class scores are read from the last columns: means of groups of them, or the first ones.
Readout = Literal["population", "first"]
#: What the two states of a bit stand for: 0 and 1, or -1 and 1.
Encoding = Literal["unipolar", "bipolar"]


@final
@dataclass(frozen=True)
class Stage:
    """Cores that work at the same time, and what their columns end in.

    Args:
        name: E.g. ``"layer1.dense"``.
        kind: ``"dense"``: a core for each pair of an input and an output block; ``"accumulator"``: a core for each
            output block, which gets the sum of the bits of that block's dense cores.
        inputs: Lines that carry something, of all blocks.
        outputs: Columns that are used, of all blocks.
        blocks_in: Blocks of inputs; of an accumulator, the dense cores whose bits it adds.
        blocks_out: Blocks of outputs.
        pattern: How slots are wired to cores; None: as they come.
        ends_in: ``"comparator"`` (bits), or ``"readout"`` (class scores).
        input_bits: Of each input, in the first stage; None: bits of comparators.
        adds_currents: Columns of several cores are added before they end.
    """

    name: str
    kind: Literal["dense", "accumulator"]
    inputs: int
    outputs: int
    blocks_in: int
    blocks_out: int
    pattern: SlotPattern | None = None
    ends_in: str = "comparator"
    input_bits: int | None = None
    adds_currents: bool = False

    @property
    def cores(self) -> int:
        """Logical cores: of signed weights where the chip has pairs."""
        return self.blocks_out * (self.blocks_in if self.kind == "dense" else 1)

    @property
    def phases(self) -> int:
        """Passes before a comparator decides: an accumulator gets the bits of one dense core after another."""
        return 1 if self.kind == "dense" else self.blocks_in

    @property
    def levels(self) -> int:
        """Levels of what a line carries, over all phases."""
        levels = 2 ** (self.input_bits or 1) if self.kind == "dense" else self.blocks_in + 1
        return levels if self.pattern is None else 2 * levels - 1

    @property
    def weights(self) -> int:
        """Weights between lines and columns that are used."""
        return self.inputs * self.outputs // (1 if self.kind == "dense" else self.blocks_out)


@final
@dataclass(frozen=True)
class NetworkShape:
    """A network of layers, each of dense cores and the accumulators that merge their bits.

    Args:
        chip: The chip.
        sizes: Inputs of the network, and outputs of each layer.
        classes: Class scores.
        readout: How they are read from the outputs of the last layer: ``"population"``, means of ``outputs // classes``
            neighbours each, or ``"first"``.
        permute: How slots are wired to dense cores: `crossohm.chip.slot_pattern`, for each layer by its name.
        permute_accumulator: Also to accumulators.
        encoding: What bits stand for.
        input_bits: Of each input of the network; 1: binary images.
        pattern_seed: Of the wiring.

    Raises:
        ParameterError: a size is no number, or a choice does not exist.
    """

    chip: ChipSpec
    sizes: tuple[int, ...] = (1024, 2048, 256)
    classes: int = 10
    readout: Readout = "population"
    permute: Pattern = "cycle"
    permute_accumulator: bool = False
    encoding: Encoding = "unipolar"
    input_bits: int = 1
    pattern_seed: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.sizes, tuple) or len(self.sizes) < 2:
            allowed = "a tuple of two or more: inputs, and outputs of each layer"
            raise ParameterError("sizes", self.sizes, "is no network", allowed=allowed)
        for index, size in enumerate(self.sizes):
            require_count(f"sizes[{index}]", size)
        for name in ("classes", "input_bits"):
            require_count(name, getattr(self, name))
        for name, known in (("readout", get_args(Readout)), ("encoding", get_args(Encoding))):
            if getattr(self, name) not in known:
                raise unknown(name, getattr(self, name), known, name)
        _ = self.stages  # patterns are read now, so that what is wrong with them is said here

    @property
    def columns_per_class(self) -> int:
        """Outputs of the last layer whose mean is a class score; 0 if there are too few."""
        return self.sizes[-1] // self.classes if self.readout == "population" else 1

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        """Dense cores and accumulators of all layers, ``layer1.dense`` first."""
        layers = list(pairwise(self.sizes))
        return tuple(
            stage
            for number, (inputs, outputs) in enumerate(layers, 1)
            for stage in self._layer(number, inputs, outputs, final=number == len(layers))
        )

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Self:
        """What `as_dict` made, also when it has been a file.

        Raises:
            ParameterError: as the constructor.
        """
        values = {**found, "chip": ChipSpec.from_dict(found["chip"]), "sizes": tuple(found["sizes"])}
        permute = found["permute"]
        if isinstance(permute, Mapping):
            values["permute"] = SlotPattern(tuple(permute["plus"]), tuple(permute["minus"]), permute["slot"])
        elif not isinstance(permute, str):
            values["permute"] = tuple(map(tuple, permute))
        return cls(**values)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for files; `from_dict` reads them."""
        return {**asdict(self), "chip": self.chip.as_dict(), "sizes": list(self.sizes)}

    def _layer(self, number: int, inputs: int, outputs: int, final: bool) -> tuple[Stage, Stage]:
        chip, name = self.chip, f"layer{number}"
        blocks_in, blocks_out = -(-inputs // chip.core_in), -(-outputs // chip.core_out)
        columns = blocks_out * chip.core_out
        dense = Stage(
            f"{name}.dense", "dense", inputs, columns, blocks_in, blocks_out,
            pattern=self._pattern(self.permute, f"{name}.dense"), input_bits=self.input_bits if number == 1 else None,
        )  # fmt: skip
        accumulator = Stage(
            f"{name}.accumulator", "accumulator", columns, outputs, blocks_in, blocks_out,
            pattern=self._pattern(self.permute if self.permute_accumulator else "none", f"{name}.accumulator"),
            ends_in="readout" if final else "comparator",
        )  # fmt: skip
        return dense, accumulator

    def _pattern(self, pattern: Pattern, name: str) -> SlotPattern | None:
        return slot_pattern(self.chip, pattern, self.pattern_seed, name)
