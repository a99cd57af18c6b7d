"""Two sides of one kind: the converters or input ranges of right (MVM) and left (VMM) multiplication."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from pydantic import Field, model_validator

from crossohm.errors import ParameterError
from crossohm.params.base import Flag, Group


class Pair(Group):
    """Fields ``mvm`` and ``vmm`` of a sub-class are one and the same group while ``match`` is True."""

    match: Flag = Field(default=True, alias="_match")
    """True: vmm is mvm, writing either changes both. False: vmm is independent, at first a copy. In files: _match."""

    @property
    def _match(self) -> bool:
        return self.match

    @_match.setter
    def _match(self, value: bool) -> None:
        self.match = value

    @model_validator(mode="before")
    @classmethod
    def _none_is_omitted(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        return {name: side for name, side in values.items() if side is not None or name not in ("mvm", "vmm")}

    def _settle(self, given: Collection[str]) -> None:
        """An omitted side follows the given one; given both, they must be equal."""
        mvm, vmm = self.__dict__["mvm"], self.__dict__["vmm"]
        if not self.match:
            if mvm is vmm:
                self._put("vmm", mvm.copy())
        elif "mvm" in given and "vmm" in given and mvm != vmm:
            raise ParameterError(
                self._where, f"{mvm} and {vmm}", "the sides mvm and vmm differ although match is True",
                remedy="Give one side only, make them equal, or set match to False",
            )  # fmt: skip
        elif "vmm" in given and "mvm" not in given:
            self._put("mvm", vmm)
        else:
            self._put("vmm", mvm)
