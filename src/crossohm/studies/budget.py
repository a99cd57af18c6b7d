"""The error budget: what each cause of errors costs by itself, and what the rest costs without it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from crossohm.calibration.model import Progress, silent
from crossohm.errors import StudyError
from crossohm.studies.file.study_file import LoadedStudy
from crossohm.studies.nonidealities import EVERYWHERE, NONIDEALITIES
from crossohm.studies.results.results import OUTPUT_SNR, ChipResult, Results, spread_of
from crossohm.studies.results.statistics import Spread
from crossohm.studies.work.checks import check_study
from crossohm.studies.work.session import Session
from crossohm.studies.work.sweep import Executor, run_study
from crossohm.studies.work.units import Cures, layer_hardware, unpacked

if TYPE_CHECKING:
    import pandas as pd


@final
@dataclass(frozen=True)
class Contribution:
    """What one cause of errors does.

    Attributes:
        cause: Its name in `NONIDEALITIES`.
        layer: Where it was switched; ``"*"``: in all layers.
        alone: The measure with nothing else wrong, over the chips.
        absent: The measure with everything else wrong, over the chips.
        loss_alone: How much worse than the perfect hardware it is alone (mean over chips; positive is worse).
        gain_absent: How much better than the complete hardware its absence is (mean; positive is better).
        snr_alone: Signal-to-noise ratio of the network's outputs with nothing else wrong, dB.
        snr_absent: The same with everything else wrong, dB.
        share: Its noise power alone, relative to that of the complete hardware. The shares of all causes add up to 1
            only where errors are independent and small.
    """

    cause: str
    layer: str
    alone: Spread
    absent: Spread
    loss_alone: float
    gain_absent: float
    snr_alone: float
    snr_absent: float
    share: float

    @property
    def label(self) -> str:
        """The cause in words."""
        return NONIDEALITIES[self.cause].label


@final
@dataclass(frozen=True)
class ErrorBudget:
    """What costs accuracy, or whatever the study measures.

    Attributes:
        measure: The measure, e.g. ``top1``.
        digital: Of the digital network.
        complete: With everything wrong, over the chips.
        perfect: With nothing wrong, over the chips: mapped onto arrays, but ideal ones.
        snr_complete: Signal-to-noise ratio of the network's outputs with everything wrong, dB.
        contributions: By cause, for all layers together first.
        results: All chips behind the numbers.
    """

    measure: str
    digital: float
    complete: Spread
    perfect: Spread
    snr_complete: float
    contributions: tuple[Contribution, ...]
    results: Results

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for files; ratios without noise are None."""
        rows = [{name: _plain(value) for name, value in row.items()} for row in map(asdict, self.contributions)]
        return {
            "measure": self.measure,
            "digital": self.digital,
            "complete": self.complete.as_dict(),
            "perfect": self.perfect.as_dict(),
            "snr_complete": _plain(self.snr_complete),
            "contributions": rows,
        }

    def to_dataframe(self) -> pd.DataFrame:
        """One row per cause and layer, spreads as their means.

        Raises:
            MissingDependencyError: pandas is not installed.
        """
        from crossohm.studies.results.results import frame

        return frame(
            [
                {name: value.mean if isinstance(value, Spread) else value for name, value in vars(row).items()}
                for row in self.contributions
            ]
        )


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def error_budget(
    loaded: LoadedStudy,
    folder: Path,
    *,
    per_layer: bool = False,
    executor: Executor | None = None,
    progress: Progress = silent,
) -> ErrorBudget:
    """Switch every cause of errors that the hardware has on alone and off alone.

    Converter ranges are those calibrated for the complete hardware, and all variants meet the same chips. A drift model
    includes the programming error of its device.

    Args:
        loaded: The study; must not vary anything.
        folder: For the results; goes on where it stopped, as `run_study` does.
        per_layer: Switch them layer by layer as well.
        executor: Where to compute; by default in this process.
        progress: Told how many chips are done.

    Raises:
        StudyError: the study has a sweep, or its hardware nothing wrong.
        CrossOhmError: as for `run_study`.
    """
    if loaded.axes:
        raise StudyError(
            loaded.source.place("sweep"), "sweep", [axis.name for axis in loaded.axes],
            "an error budget is made for one description", remedy="Leave the section out",
        )  # fmt: skip
    switches = switchable(loaded, per_layer)
    every = tuple(switch for switch in switches if switch[0] == EVERYWHERE)
    variants = list(_variants(switches, every, loaded))
    results = run_study(loaded, folder, executor=executor, progress=progress, points=[cures for _, cures in variants])
    chips = {name: results.points[number] for number, (name, _) in enumerate(variants)}
    return _budget(chips, switches, results)


def switchable(loaded: LoadedStudy, per_layer: bool = False) -> Cures:
    """Pairs ``(layer or "*", cause)`` that the hardware of a study has.

    Raises:
        StudyError: it has nothing wrong.
    """
    session = Session(loaded.source.folder, device="cpu")
    check_study(loaded, session, elsewhere=True).advise()  # where it is computed is looked at there
    network = session.network(loaded.study)
    described, _ = layer_hardware(loaded.study, loaded, network.convertible)
    layers = {name: params for name, params in unpacked(described).items() if params is not None}
    found = [
        (EVERYWHERE, cause)
        for cause, kind in NONIDEALITIES.items()
        if any(kind.present(params) for params in layers.values())
    ]
    if not found:
        raise StudyError(loaded.source.place("hardware"), "hardware", loaded.study.hardware.base, "has nothing wrong")
    if per_layer:
        found += [(name, cause) for name, params in layers.items() for _, cause in found
                  if NONIDEALITIES[cause].present(params)]  # fmt: skip
    return tuple(found)


Variant = tuple[str, str, str]


def _variants(switches: Cures, every: Cures, loaded: LoadedStudy) -> Iterator[tuple[Variant, Cures]]:
    """Every variant of the hardware by name, and what is taken away from it."""
    yield ("complete", "", ""), ()
    yield ("perfect", "", ""), every
    names = sorted({layer for layer, _ in switches} - {EVERYWHERE})
    for layer, cause in switches:
        yield ("absent", layer, cause), ((layer, cause),)
        rest = tuple(switch for switch in every if switch[1] != cause)
        elsewhere = tuple((other, cause) for other in names if other != layer) if layer != EVERYWHERE else ()
        yield ("alone", layer, cause), (*rest, *elsewhere)


def _budget(chips: Mapping[Variant, Sequence[ChipResult]], switches: Cures, results: Results) -> ErrorBudget:
    measure = results.measures[0]
    better = 1.0 if results.words[measure].higher_is_better else -1.0

    def over(name: Variant) -> Spread:
        return spread_of(chips[name], measure)

    complete, perfect = over(("complete", "", "")), over(("perfect", "", ""))
    total = _noise(chips["complete", "", ""])

    def contribution(layer: str, cause: str) -> Contribution:
        alone, absent = over(("alone", layer, cause)), over(("absent", layer, cause))
        return Contribution(
            cause=cause,
            layer=layer,
            alone=alone,
            absent=absent,
            loss_alone=better * (perfect.mean - alone.mean),
            gain_absent=better * (absent.mean - complete.mean),
            snr_alone=spread_of(chips["alone", layer, cause], OUTPUT_SNR).mean,
            snr_absent=spread_of(chips["absent", layer, cause], OUTPUT_SNR).mean,
            share=_noise(chips["alone", layer, cause]) / total if total else 0.0,
        )

    return ErrorBudget(
        measure=measure,
        digital=chips["complete", "", ""][0].digital[measure],
        complete=complete,
        perfect=perfect,
        snr_complete=spread_of(chips["complete", "", ""], OUTPUT_SNR).mean,
        contributions=tuple(contribution(layer, cause) for layer, cause in switches),
        results=results,
    )


def _noise(chips: Sequence[ChipResult]) -> float:
    """Power of the noise at the network's outputs, over all chips."""
    return math.fsum(chip.record["output"]["noise"] for chip in chips)
