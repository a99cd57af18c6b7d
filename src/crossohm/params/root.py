"""The whole hardware description, `CrossSimParameters`, and the rules and advice that are registered to check it."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, Self, final

from pydantic import Field, PrivateAttr

from crossohm.errors import ParameterError, warn_user
from crossohm.params import files
from crossohm.params.array import ArrayParameters
from crossohm.params.base import Group
from crossohm.params.converters import ADCPair, DACPair, DACParameters
from crossohm.params.core import CoreParameters
from crossohm.params.device import DeviceParameters
from crossohm.params.enums import CoreStyle
from crossohm.params.simulation import SimulationParameters


@final
class XbarParameters(Group):
    """The array and the converters at its edges."""

    device: DeviceParameters = Field(default_factory=DeviceParameters)
    """Memory cells."""
    array: ArrayParameters = Field(default_factory=ArrayParameters)
    """Wires and current limits."""
    adc: ADCPair = Field(default_factory=ADCPair)
    """Output converters."""
    dac: DACPair = Field(default_factory=DACPair)
    """Input converters."""


@final
class CrossSimParameters(Group):
    """Description of the simulated hardware; every default is ideal hardware with continuous cells.

    ``params.xbar.adc.mvm.bits = 8`` checks name, type and range at once. Rules that involve several parameters are
    checked by `validate`, which building a core calls.
    """

    root_path = ""

    core: CoreParameters = Field(default_factory=CoreParameters)
    """Mapping of matrices onto arrays."""
    simulation: SimulationParameters = Field(default_factory=SimulationParameters)
    """How the simulation runs."""
    xbar: XbarParameters = Field(default_factory=XbarParameters)
    """Cells, wires and converters."""

    _batchnorm_folded: bool | None = PrivateAttr(None)

    @property
    def batchnorm_folded(self) -> bool | None:
        """Whether the ranges are those of a layer that a BatchNorm was folded into; None: not known.

        Calibration says so, and layers refuse ranges of the other kind. Copies have it; of files, only those of
        `crossohm.Calibration.save`. It does not count in comparisons: no hardware depends on it.
        """
        return self._batchnorm_folded

    @batchnorm_folded.setter
    def batchnorm_folded(self, value: bool | None) -> None:
        self._batchnorm_folded = value

    def sees_both_signs(self, operation: str) -> bool:
        """True if ADCs need limits for currents of both signs, because inputs have a sign or pairs are subtracted.

        Slices of pairs count as subtracted, wherever that happens.

        Args:
            operation: ``"mvm"`` or ``"vmm"``.
        """
        dac: DACParameters = getattr(self.xbar.dac, operation)
        core = self.core
        return dac.signed or core.subtracts_in_array or (core.uses_pairs and core.style is CoreStyle.BITSLICED)

    def validate(self) -> None:  # type: ignore[override]  # replaces pydantic's deprecated method of other meaning
        """Check all rules that involve several parameters, and warn of what is legal but probably not meant.

        Raises:
            ParameterError: The first violation; others are attached as notes.
        """
        report_ignored(self)
        check_rules(self)
        for message in (message for hint in ADVICE for message in hint(self)):
            warn_user(message)

    def to_json(self, path: str | os.PathLike[str] | None = None) -> str:
        """All parameters as JSON text, also written to ``path`` if given."""
        return files.write(files.json_text(self.as_dict()), path)

    @classmethod
    def from_json(cls, source: str | os.PathLike[str]) -> Self:
        """Parameters from a JSON file, or the preset of that name (see `preset_names`).

        Args:
            source: Path of a file; if there is none, the name of a preset, with or without ``.json``.

        Raises:
            DataError: There is neither (then also a ``FileNotFoundError``), or the text is not JSON.
            ParameterError: A name or value in it is wrong.
        """
        return cls._from(files.read_json(source), str(source))

    def to_yaml(self, path: str | os.PathLike[str] | None = None) -> str:
        """All parameters as YAML text, also written to ``path`` if given."""
        return files.write(files.yaml_text(self.as_dict()), path)

    @classmethod
    def from_yaml(cls, path: str | os.PathLike[str]) -> Self:
        """Parameters from a YAML file; errors as of `from_json`."""
        return cls._from(files.read_yaml(path), str(path))

    @classmethod
    def _from(cls, values: dict[str, Any], source: str) -> Self:
        try:
            with files.relative_to(Path(source).parent):
                params = cls(**values)
        except ValueError as error:
            error.add_note(f"in {source}")
            raise
        report_ignored(params)
        return params


Violations = Iterator[ParameterError]
Rule = Callable[[CrossSimParameters], Violations]
Hint = Callable[[CrossSimParameters], Iterator[str]]

RULES: list[Rule] = []
"""What must hold between parameters: each yields an error for each violation, and says in its docstring why."""
ADVICE: list[Hint] = []
"""What is legal but probably not meant: each yields sentences for warnings, and says in its docstring why."""


def rule(check: Rule) -> Rule:
    """Register a rule."""
    RULES.append(check)
    return check


def advice(hint: Hint) -> Hint:
    """Register an advice."""
    ADVICE.append(hint)
    return hint


def check_rules(params: CrossSimParameters) -> None:
    """Raise the first violation, with the others as notes."""
    found = [violation for broken in RULES for violation in broken(params)]
    for other in found[1:]:
        found[0].add_note(f"also: {other}")
    if found:
        raise found[0]


def report_ignored(params: CrossSimParameters) -> None:
    """Log once which parameters are set but have no effect."""
    switches = params.simulation.ignored_switches()
    if switches:
        _log_ignored(switches)


@cache  # one message per process for each set of switches, however many cores are built
def _log_ignored(switches: tuple[str, ...]) -> None:
    names = ", ".join(f"simulation.{name}" for name in switches)
    logging.getLogger("crossohm").info("without effect, kept only for compatibility: %s", names)
