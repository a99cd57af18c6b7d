"""Tables for people."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from crossohm.cli.failures import failed_points, failures_as_dicts
from crossohm.cli.sheet import Kind, Sheet

if TYPE_CHECKING:
    from crossohm.calibration import Calibration, ChosenRange
    from crossohm.params import CrossSimParameters
    from crossohm.report import Measure
    from crossohm.studies import ErrorBudget, HardwareReport, LayerReport, Results
    from crossohm.studies.results.sampling import Paired

#: Columns about the images of the main accuracy, and what they mean.
PAIRED = ("lost, gained", "p")
_SPREAD = "±: standard deviation over chips"
_SAMPLING = (
    _SPREAD + "; 95 % of {samples}: where the accuracy may lie for other {samples} (Wilson interval); "
    "lost, gained: {samples} that only the digital network, that only the chip gets right (mean over chips); p: exact "
    "sign test of the two (largest of the chips)"
)


def hardware_table(report: HardwareReport, title: str) -> Sheet:
    """What every layer occupies."""
    counts = ("matrix", "arrays", "size", "cells", "MVMs", "levels")
    headings = _headings(("layer",), ("kind",), counts, ("DAC", "ADC"))
    caption = (
        "matrix: outputs x inputs; size: rows x columns of the largest array; MVMs: array operations per input; "
        "levels: of a cell; ranges: DAC in the layer's units, ADC in currents of one fully driven cell"
    )
    rows, columns = report.largest_array
    totals = (f"{report.arrays:,}", f"{rows}x{columns}", f"{report.devices:,}", f"{report.mvms:,}")
    return Sheet(
        title, headings, caption, list(map(_layer_cells, report.layers)), ("total", "", "", *totals, "", "", "")
    )


def _layer_cells(layer: LayerReport) -> tuple[str, ...]:
    return (
        layer.layer,
        layer.kind,
        f"{layer.outputs}x{layer.inputs}",
        f"{layer.arrays:,}",
        f"{layer.array_rows}x{layer.array_columns}",
        f"{layer.devices:,}",
        f"{layer.mvms:,}",
        f"{layer.cell_levels}" if layer.cell_levels else "continuous",
        _converter(layer.dac, layer.dac_levels, [layer.input_range] if layer.input_range else []),
        _converter(layer.adc, layer.adc_levels, layer.adc_ranges),
    )


def _converter(model: str, levels: int | None, ranges: Iterable[tuple[float, float]]) -> str:
    """Levels and limits, e.g. ``255, ±1.5``; the model where it does not tell its levels."""
    if model == "ideal":
        return model
    texts = [f"±{high:.3g}" if high == -low else f"{low:.3g}..{high:.3g}" for low, high in ranges]
    limits = texts[0] if len(set(texts)) == 1 else ", ".join(texts)
    return ", ".join(filter(None, (str(levels or model), limits)))


def measures_table(results: Results) -> Sheet:
    """Digital and analog measures of the only point of a study, side by side."""
    ((point, chips),) = results.points.items()
    network, dataset = _pair(results)
    kinds, samples = _measures(results), chips[0].samples
    counts = any(kind.counted for kind in kinds)
    title = f"{network} on {chips[0].record['images']:,} test {samples} of {dataset}"
    columns = ["digital", _chips(len(chips)), "loss (points)" if _shares(kinds) else "loss"]
    columns += [_of_samples(samples), *PAIRED] if counts else []
    heading = "accuracy" if all(kind.counted for kind in kinds) else "measure"
    table = Sheet(title, _headings((heading,), numbers=columns), _caption(samples) if counts else _SPREAD)
    for kind in kinds:
        digital, analog = chips[0].digital[kind.name], results.spread(point, kind.name)
        limits = results.interval(point, kind.name)
        about = (
            (kind.interval_text(limits) if limits else "", *_pair_cells(results.paired(point, kind.name)))
            if counts
            else ()
        )
        name = kind.name.replace("top", "top-") if heading == "accuracy" else _named(kind)
        table.rows.append((name, kind.text(digital), kind.cell(analog), _loss(kind, digital, analog.mean), *about))
    return table


def parts_tables(results: Results) -> Iterable[Sheet]:
    """Measures by class or output at the only point of a study, a table for each measure that has such parts.

    Nothing of ranks, whose classes are many: results and pages have them.
    """
    ((point, chips),) = results.points.items()
    for kind in (kind for kind in _measures(results) if not kind.counted):
        rows: list[tuple[str, ...]] = [
            (name, kind.text(digital), kind.cell(analog), _loss(kind, digital, analog.mean))
            for name, (digital, analog) in results.parts(point, kind.name).items()
        ]
        if rows:
            columns = ("digital", _chips(len(chips)), "loss (points)" if _shares([kind]) else "loss")
            yield Sheet(_named(kind), _headings(("class or output",), numbers=columns), _SPREAD, rows)


def _loss(kind: Measure, digital: float, analog: float) -> str:
    """How much worse than the digital network, in points of a share or the unit of the measure."""
    worse = digital - analog if kind.higher_is_better else analog - digital
    return f"{100 * worse:.2f}" if kind.unit == "%" else kind.amount(worse)


def _measures(results: Results) -> list[Measure]:
    from crossohm.report.measure import measure

    return [measure(results.words[name]) for name in results.measures]


def _named(kind: Measure) -> str:
    """A measure with its unit, where cells do not have it, and which way is better."""
    return f"{kind.label} ({_better(kind)})"


def _legend(kinds: Iterable[Measure]) -> str:
    """What names of measures mean, but those of accuracies, which everyone knows."""
    return "; ".join(
        f"{kind.name}: {kind.label}{f' ({kind.unit})' if kind.unit else ''}, {_better(kind)}"
        for kind in kinds
        if not kind.counted
    )


def _better(kind: Measure) -> str:
    return f"{'higher' if kind.higher_is_better else 'lower'} is better"


def _shares(kinds: Iterable[Measure]) -> bool:
    return all(kind.unit == "%" for kind in kinds)


def _of_samples(samples: str) -> str:
    return f"95 % of {samples}"


def _caption(samples: str) -> str:
    return _SAMPLING.format(samples=samples)


def measure_line(results: Results) -> str:
    """The main result of the only point of a study in one line."""
    ((point, chips),) = results.points.items()
    kind = _measures(results)[0]
    return (
        f"{_pair(results)[0]}: digital {kind.text(chips[0].digital[kind.name])}, "
        f"analog {kind.cell(results.spread(point))} ({_chips(len(chips))})"
    )


def _pair(results: Results) -> tuple[str, str]:
    """The network and the data set of a study that varies neither."""
    asked = results.chips[0].record["facts"]["asked"]
    return asked["model"]["name"], asked["dataset"]["name"]


def points_table(results: Results) -> Sheet:
    """Every point of a study: its settings, or what is wrong with its hardware, and the measures over its chips."""
    from crossohm.report.budget import budget_labels
    from crossohm.report.measure import SNR

    paths, labels = [path for axis in results.axes for path in axis.paths], budget_labels(results)
    measures, samples = _measures(results), results.chips[0].samples if results.chips else ""
    missing = "" if results.complete else f", {results.planned - len(results.chips)} chips missing"
    names = ["hardware"] if labels else [_brief(path, paths) for path in paths]
    numbers = [name for each in measures for name in (each.name, f"digital {each.name}")]
    counts = any(results.interval(point) for point in results.points)
    pairs = counts and any(results.paired(point) for point in results.points)
    numbers += [*((_of_samples(samples),) if counts else ()), *(PAIRED if pairs else ())]
    table = Sheet(
        f"{results.name}: {'error budget, ' if labels else ''}{len(results.points)} points{missing}",
        _headings(names, numbers=("chips", *numbers, "output SNR (dB)")),
        "; ".join(filter(None, (_legend(measures), _caption(samples) if counts else ""))),
    )
    for point, chips in results.points.items():
        cells = []
        for each in measures:
            cells += [each.cell(results.spread(point, each.name)), each.text(chips[0].digital[each.name])]
        limits, answers = results.interval(point), results.paired(point)
        cells += [measures[0].interval_text(limits)] if limits else []
        cells += _pair_cells(answers) if pairs else []
        ratio = results.spread(point, SNR.name).mean
        table.rows.append((*_settings(results, point, paths, labels), str(len(chips)), *cells, _decibels(ratio)))
    for point in failed_points(results):
        empty = [""] * (len(numbers) + 1)
        table.rows.append((*_settings(results, point, paths, labels), "failed", *empty))
    return table


def _settings(results: Results, point: int, paths: Sequence[str], labels: Mapping[int, str]) -> list[str]:
    """What a point of a study is: its settings, or what an error budget changed."""
    texts = results.settings(point)
    return [labels.get(point, f"point {point + 1}")] if labels else [texts.get(path, "") for path in paths]


def points_as_dict(results: Results) -> dict[str, Any]:
    """The same as plain values; no noise at all is an output SNR of None. A single point has its hardware as well."""
    from crossohm.report.budget import budget_labels
    from crossohm.studies.results.results import OUTPUT_SNR

    labels = budget_labels(results)
    ratios = {point: results.spread(point, OUTPUT_SNR).mean for point in results.points}
    return {
        "name": results.name,
        "folder": str(results.folder),
        "complete": results.complete,
        "measures": [asdict(results.words[name]) for name in results.measures],
        "points": [
            {
                **({"hardware": labels[point]} if labels else {}),
                "settings": chips[0].coordinates,
                "seeds": [chip.seed for chip in chips],
                "analog": {name: results.spread(point, name).as_dict() for name in results.measures},
                "digital": chips[0].digital,
                "interval": {name: results.interval(point, name) for name in results.measures},
                "paired": {name: _plain(results.paired(point, name)) for name in results.measures},
                "parts": {name: found for name in results.measures if (found := _parts(results, point, name))},
                "output_snr": ratios[point] if math.isfinite(ratios[point]) else None,
            }
            for point, chips in results.points.items()
        ],
        "failures": failures_as_dicts(results),
        **({} if labels or results.axes or not results.chips else {"hardware": _occupied(results)}),
    }


def _parts(results: Results, point: int, name: str) -> dict[str, Any]:
    found = results.parts(point, name)
    return {part: {"digital": digital, "analog": analog.as_dict()} for part, (digital, analog) in found.items()}


def _occupied(results: Results) -> dict[str, Any]:
    """What the layers occupy at the only point of a study."""
    return results.hardware_report(results.chips[0])


def _plain(found: Paired | None) -> dict[str, Any] | None:
    return None if found is None else found.as_dict()


def _brief(path: str, others: Sequence[str]) -> str:
    """As many last names of a path as tell it from the others."""
    names = path.split(".")
    for count in range(1, len(names)):
        brief = ".".join(names[-count:])
        if sum(other.endswith(brief) for other in others) == 1:
            return brief
    return path


def budget_table(budget: ErrorBudget) -> Sheet:
    """What each cause of errors does, alone and by its absence."""
    from crossohm.studies.nonidealities import EVERYWHERE

    kind = next(kind for kind in _measures(budget.results) if kind.name == budget.measure)
    ends = " ".join(
        f"{title} {kind.cell(found)}"
        for title, found in (("complete hardware", budget.complete), ("perfect", budget.perfect))
    )
    title = f"{kind.name}: digital {kind.text(budget.digital)}, {ends}; output {_decibels(budget.snr_complete)} dB"
    caption = (
        f"alone: nothing else wrong; absent: everything else wrong; losses and gains in {_points_of(kind)}; "
        "noise share: noise power alone over that of the complete hardware"
    )
    columns = ("alone", "loss alone", "absent", "gain absent", "SNR alone (dB)", "noise share")
    table = Sheet(title, _headings(("cause", "layer"), numbers=columns), caption)
    for one in budget.contributions:
        table.rows.append((
            one.label, "all" if one.layer == EVERYWHERE else one.layer,
            kind.cell(one.alone), kind.amount(one.loss_alone), kind.cell(one.absent), kind.amount(one.gain_absent),
            _decibels(one.snr_alone), f"{100 * one.share:.1f} %",
        ))  # fmt: skip
    return table


def _points_of(kind: Measure) -> str:
    if kind.counted:
        return "points of accuracy"
    unit = f" ({kind.unit})" if kind.unit and kind.unit != "%" else ""
    points = "points of " if kind.unit == "%" else ""
    return f"{points}{kind.label[0].lower()}{kind.label[1:]}{unit}, a loss is worse, a gain better"


def ranges_table(found: Calibration) -> Sheet:
    """Converter ranges of every layer, with what they lose."""
    ends = f"objective {found.objective.measure}, {found.images:,} training samples"
    headings = _headings(("layer",), (), ("inputs", "error"), ("ADC inputs, least significant slice first",))
    table = Sheet(f"Converter ranges: {ends}", headings)
    for name, layer in found.layers.items():
        own = layer.hardware.core.mapping.inputs.mvm.percentile
        kept = "as described" if own is None else "a range per vector"
        inputs = (kept, "") if layer.inputs is None else _limits(layer.inputs)
        adcs = ", ".join("{} (error {})".format(*_limits(one)) for one in layer.adc) or "as described"
        table.rows.append((name, *inputs, adcs))
    return table


def _limits(chosen: ChosenRange) -> tuple[str, str]:
    """Range and error of a converter."""
    return f"{chosen.low:.4g}..{chosen.high:.4g}", f"{chosen.error:.2g}"


def presets_table(presets: Mapping[str, CrossSimParameters]) -> Sheet:
    """The hardware descriptions that come with crossohm, in a few words each."""
    columns = ("mapping", "arrays", "cells", "DAC", "ADC", "errors")
    rows = [(name, *_preset_cells(params)) for name, params in presets.items()]
    return Sheet("", _headings(("preset",), columns), rows=rows)


def _preset_cells(params: CrossSimParameters) -> tuple[str, ...]:
    core, xbar = params.core, params.xbar
    device, dac, adc = xbar.device, xbar.dac.mvm, xbar.adc.mvm
    style = core.style.name.lower()
    if style == "bitsliced":
        style = f"{core.bit_sliced.num_slices} slices, {core.bit_sliced.style.name.lower()}"
    effects = ("programming_error", "drift_error", "read_noise")
    enabled = [effect.replace("_", " ") for effect in effects if getattr(device, effect).enable]
    return (
        style,
        f"{core.rows_max or 'any'} x {core.cols_max or 'any'}",
        f"{device.cell_bits} bit" if device.cell_bits else "continuous",
        f"{dac.bits} bit" if dac.converts else "ideal",
        f"{adc.bits} bit {adc.model.removesuffix('ADC')}" if adc.converts else "ideal",
        ", ".join(enabled) or "none",
    )


def _headings(
    names: Iterable[str], texts: Iterable[str] = (), numbers: Iterable[str] = (), last: Iterable[str] = ()
) -> tuple[tuple[str, Kind], ...]:
    """Columns of names, texts and numbers, and texts at the end."""
    kinds = ((Kind.NAME, names), (Kind.TEXT, texts), (Kind.NUMBER, numbers), (Kind.TEXT, last))
    return tuple((heading, kind) for kind, headings in kinds for heading in headings)


def _pair_cells(found: Paired | None) -> tuple[str, str]:
    """Images lost and gained, and the p-value."""
    from crossohm.report.measure import p_text
    from crossohm.studies.file.wording import number

    return ("", "") if found is None else (f"{number(found.lost)}, {number(found.gained)}", p_text(found.p_value))


def _decibels(value: float) -> str:
    return f"{value:.1f}"


def _chips(count: int) -> str:
    return "1 chip" if count == 1 else f"{count} chips"
