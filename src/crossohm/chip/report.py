"""What a network takes of a chip: cores, passes, time, energy, and which core sits where."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any, final

from crossohm.chip.network import Stage
from crossohm.chip.spec import ChipSpec

#: Bytes of a weight or threshold while a network is trained: float32.
_PARAMETER_BYTES = 4


@final
@dataclass(frozen=True)
class StageReport:
    """What one stage takes.

    Attributes:
        stage: The stage.
        physical_cores: Its cores on the grid.
        utilisation: Part of its cells whose line and column are used.
        comparators: Comparator banks, one per logical core; 0 where columns are read out.
        routes: Connections from a slot of its inputs to a slot of a core.
        parameters: Weights its cores hold, and a threshold for each comparator.
        latency: Of all phases, s.
        energy: Of all phases, J, at most.
    """

    stage: Stage
    physical_cores: int
    utilisation: float
    comparators: int
    routes: int
    parameters: int
    latency: float
    energy: float

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for files."""
        stage = self.stage
        names = ("cores", "phases", "levels", "weights")
        derived: dict[str, Any] = {name: getattr(stage, name) for name in names}
        if stage.pattern is not None:
            derived |= {"rank": stage.pattern.rank, "dead_lines": stage.pattern.dead_lines}
        return {**asdict(self), "stage": {**asdict(stage), **derived}}


def stage_report(stage: Stage, chip: ChipSpec) -> StageReport:
    """What a stage takes of a chip."""
    cells = stage.cores * chip.core_in * chip.core_out
    columns = stage.cores * chip.core_out
    decides = stage.ends_in == "comparator"
    energies, timings = chip.energies, chip.timings
    in_a_pass = chip.physical_per_logical * energies.cells(chip.core_in, timings.read_pulse) + energies.control
    energy = columns * (stage.phases * (in_a_pass + energies.bus) + (energies.comparator if decides else 0.0))
    latency = stage.phases * timings.pass_time
    return StageReport(
        stage=stage,
        physical_cores=stage.cores * chip.physical_per_logical,
        utilisation=stage.weights / cells,
        comparators=stage.cores if decides else 0,
        routes=stage.cores * chip.slots * (1 if stage.pattern is None else 2),
        parameters=cells + (columns if decides else 0),
        latency=latency,
        energy=energy + latency * energies.static_power,
    )


@final
@dataclass(frozen=True)
class PlacedCore:
    """One physical core of the grid.

    Attributes:
        row: Of the grid.
        column: Of the grid.
        stage: Name of the stage it belongs to.
        block_out: Which block of outputs.
        block_in: Which block of inputs; 0 for accumulators.
        sign: ``"+"`` or ``"-"`` of a pair; empty without pairs.
    """

    row: int
    column: int
    stage: str
    block_out: int
    block_in: int
    sign: str


@final
@dataclass(frozen=True)
class ResourceReport:
    """What a network takes of a chip; as text with ``print``.

    Attributes:
        chip: The chip.
        stages: What each stage takes, in order.
        violations: Rules that the network breaks; empty: it fits.
        warnings: What else is odd.
    """

    chip: ChipSpec
    stages: tuple[StageReport, ...]
    violations: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def fits(self) -> bool:
        """True if no rule is broken."""
        return not self.violations

    @property
    def logical_cores(self) -> int:
        """Cores with weights of their own."""
        return sum(row.stage.cores for row in self.stages)

    @property
    def physical_cores(self) -> int:
        """Cores of the grid that are needed."""
        return sum(row.physical_cores for row in self.stages)

    @property
    def utilisation(self) -> float:
        """Part of the cells of all these cores that is used."""
        return sum(row.stage.cores * row.utilisation for row in self.stages) / self.logical_cores

    @property
    def phases(self) -> int:
        """Passes of all stages, one after another."""
        return sum(row.stage.phases for row in self.stages)

    @property
    def latency(self) -> float:
        """From inputs to class scores, s."""
        return sum(row.latency for row in self.stages)

    @property
    def energy(self) -> float:
        """Of one vector of inputs, J, at most; without the converter of the readout, of which nothing is known."""
        return sum(row.energy for row in self.stages)

    @property
    def parameters(self) -> int:
        """Weights and thresholds."""
        return sum(row.parameters for row in self.stages)

    @property
    def bytes(self) -> int:
        """Of the parameters in float32."""
        return _PARAMETER_BYTES * self.parameters

    @property
    def placement(self) -> tuple[PlacedCore, ...]:
        """Which core sits where: row by row in the order of stages, pairs side by side, as many as have a place."""
        rows, columns = self.chip.grid
        places = product(range(rows), range(columns))
        cores = zip(places, self._in_order(), strict=False)
        return tuple(PlacedCore(row, column, *core) for (row, column), core in cores)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for files."""
        names = (
            "fits", "logical_cores", "physical_cores", "utilisation", "phases", "latency", "energy", "parameters",
            "bytes",
        )  # fmt: skip
        return {
            "chip": self.chip.as_dict(),
            "stages": [row.as_dict() for row in self.stages],
            "totals": {name: getattr(self, name) for name in names},
            "energy_source": f"upper bound: {self.chip.energies.source}",
            "violations": list(self.violations),
            "warnings": list(self.warnings),
        }

    def __str__(self) -> str:
        rows = [("stage", "cores", "physical", "used", "levels", "phases", "rank", "dead", "ends in", "ns", "nJ")]
        for row in self.stages:
            stage, pattern = row.stage, row.stage.pattern
            wiring = ("-", "0") if pattern is None else (str(pattern.rank), str(pattern.dead_lines))
            counts = (str(stage.cores), str(row.physical_cores), f"{100 * row.utilisation:.0f} %")
            passes = (str(stage.levels), str(stage.phases))
            ends = (stage.ends_in, f"{1e9 * row.latency:.2f}", f"{1e9 * row.energy:.3g}")
            rows.append((stage.name, *counts, *passes, *wiring, *ends))
        counts = (str(self.logical_cores), str(self.physical_cores), f"{100 * self.utilisation:.0f} %")
        ends = ("", f"{1e9 * self.latency:.2f}", f"{1e9 * self.energy:.3g}")
        rows.append(("total", *counts, "", str(self.phases), "", "", *ends))
        return "\n".join([*_aligned(rows), *self._remarks()])

    def _remarks(self) -> Iterator[str]:
        rows, columns = self.chip.grid
        verdict = "fits" if self.fits else "does not fit"
        yield f"{verdict}: {self.physical_cores} of {self.chip.cores} physical cores (grid {rows} x {columns})"
        yield f"{self.parameters:,} parameters, {self.bytes / 1e6:.1f} MB"
        yield f"energy is an upper bound: {self.chip.energies.source}"
        yield from (f"broken: {text}" for text in self.violations)
        yield from (f"warning: {text}" for text in self.warnings)

    def _in_order(self) -> Iterator[tuple[str, int, int, str]]:
        """Stage, blocks and sign of every physical core."""
        signs = ("+", "-") if self.chip.sign == "pair" else ("",)
        for row in self.stages:
            blocks_in = row.stage.blocks_in if row.stage.kind == "dense" else 1
            for block_out, block_in, sign in product(range(row.stage.blocks_out), range(blocks_in), signs):
                yield row.stage.name, block_out, block_in, sign


def _aligned(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Columns of one width each: names to the left, all else to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *others in rows:
        cells = [text.rjust(width) for text, width in zip(others, widths[1:], strict=True)]
        yield "  ".join([first.ljust(widths[0]), *cells])
