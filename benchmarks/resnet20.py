"""Time and memory of ResNet-20 on simulated arrays over plain PyTorch, in one run.

Usage: ``python benchmarks/resnet20.py [--data-dir DIR] [--rounds N] [--only TEXT] [--no-memory]``
(``--threads 1 --cpu-time`` on a machine that is busy with other work: threads that wait for each other are then slow)

Batch 64 of 32x32 images, BatchNorm folded in both networks, float32, inference, two threads. Each round runs the plain
and the analog network in turn; a row reports the median of the rounds' ratios, so that a drift of the machine's speed
cancels. Rows after the first have 8-bit weights and inputs (signed in the first layer, whose inputs are images;
unsigned after ReLU) and 8-bit ADCs. ``DIR/resnet20_cifar10.pth`` supplies the weights if it is there, otherwise they
are random; ranges are fixed. Neither matters to the time.

Memory is what one forward pass adds to the resident set of a fresh process that has already run the network on one
image (libraries loaded, arrays programmed, plans made): the kernel's high-water mark, reset before the pass, minus the
resident set at that moment. It counts everything, scratch memory of the convolutions included. The column is the
analog network's figure over the plain network's. Linux only; elsewhere the column is empty.

Wire resistance is compared with the same hardware without wires; its set-up is not part of the time.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import multiprocessing
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from crossohm import CrossSimParameters
from crossohm.models.torch.resnet_cifar10 import ResNetCifar10
from crossohm.torch import convertible_modules, from_torch
from crossohm.torch.conversion.batchnorm import fold_batchnorm

BATCH = 64


@dataclass(frozen=True)
class Row:
    """One setting of the table: its hardware, the ratios it must and should reach, and to what.

    Attributes:
        name: For people.
        overrides: What differs from the 8-bit converters.
        must: Largest acceptable ratio.
        aim: Ratio aimed at.
        converters: True if there are 8-bit converters.
        over: The ratio is to the time of the row of this name instead of plain PyTorch's.
    """

    name: str
    overrides: dict[str, object]
    must: float
    aim: float
    converters: bool = True
    over: str = ""


SLICES = {"core.style": "BITSLICED", "core.weight_bits": 8, "core.bit_sliced.num_slices": 4}
BITWISE = {"xbar.dac.mvm.input_bitslicing": True, "xbar.adc.mvm.adc_per_ibit": True}
PROGRAMMING_ERROR = {
    "xbar.device.programming_error.enable": True,
    "xbar.device.programming_error.model": "NormalProportionalDevice",
    "xbar.device.programming_error.magnitude": 0.05,
}
READ_NOISE = {
    "xbar.device.read_noise.enable": True,
    "xbar.device.read_noise.model": "NormalProportionalDevice",
    "xbar.device.read_noise.magnitude": 0.02,
}
WIRES = {
    "xbar.array.parasitics.enable": True,
    "xbar.array.parasitics.Rp_row": 0.1,
    "xbar.array.parasitics.Rp_col": 0.1,
    "xbar.array.parasitics.current_from_input": True,
}
ROWS = (
    Row("ideal", {}, 1.15, 1.05, converters=False),
    Row("8-bit ADC", {}, 2.5, 1.8),
    Row("8-bit ADC, 144-row arrays", {"core.rows_max": 144}, 4, 3),
    Row("8-bit ADC, 5 % programming error", PROGRAMMING_ERROR, 2.5, 1.8),
    Row("4 weight slices", SLICES, 8, 5),
    Row("8 input bits, ADC per bit", BITWISE, 14, 10),
    Row("4 slices x 8 input bits", SLICES | BITWISE, 60, 40),
    Row("2 % read noise", READ_NOISE, 4.5, 3.5),
    Row("wire resistance, input source, over 8-bit ADC", WIRES, 1.2, 1.0, over="8-bit ADC"),
)


def plain_network(data_dir: Path | None) -> nn.Module:
    """ResNet-20 with its BatchNorm folded."""
    torch.manual_seed(1)
    model = ResNetCifar10(20).eval()
    if data_dir is not None:
        model.load_state_dict(torch.load(data_dir / "resnet20_cifar10.pth", "cpu", weights_only=True))
    fold_batchnorm(model)
    return model


def hardware(row: Row, first: bool) -> CrossSimParameters:
    """What one layer runs on."""
    params = CrossSimParameters()
    if row.converters:
        params.update(
            {
                "core.mapping.inputs.mvm.min": -4.0 if first else 0.0,
                "core.mapping.inputs.mvm.max": 4.0,
                "core.mapping.inputs.mvm.clipping": True,
                "xbar.dac.mvm.model": "SignMagnitudeDAC" if first else "QuantizerDAC",
                "xbar.dac.mvm.signed": first,
                "xbar.dac.mvm.bits": 8,
                "xbar.adc.mvm.model": "QuantizerADC",
                "xbar.adc.mvm.bits": 8,
                "xbar.adc.mvm.adc_range_option": "MAX",
                "xbar.device.cell_bits": 0 if "core.style" in row.overrides else 8,
            }
        )
    params.update(row.overrides)
    return params


def analog_network(plain: nn.Module, row: Row) -> nn.Module:
    """The same network on the hardware of ``row``."""
    layers = len(convertible_modules(plain))
    analog: nn.Module = from_torch(plain, [hardware(row, index == 0) for index in range(layers)], seed=1)
    return analog


def seconds(network: nn.Module, x: Tensor, clock: Callable[[], float], calls: int = 3) -> float:
    """Median time of one pass."""
    times = []
    for _ in range(calls):
        start = clock()
        network(x)
        times.append(clock() - start)
    return statistics.median(times)


def ratio(plain: nn.Module, analog: nn.Module, rounds: int, clock: Callable[[], float]) -> tuple[float, float, float]:
    """Median seconds of both networks, and the median ratio over the rounds."""
    x = torch.randn(BATCH, 3, 32, 32)
    found = []
    plain(x)
    analog(x)
    for _ in range(rounds):
        found.append((seconds(plain, x, clock), seconds(analog, x, clock)))
    return (
        statistics.median(p for p, _ in found),
        statistics.median(a for _, a in found),
        statistics.median(a / p for p, a in found),
    )


def peak_memory(data_dir: Path | None, row: Row | None, threads: int) -> int | None:
    """Bytes one pass adds to the process it runs in; meant for a fresh process."""
    torch.set_num_threads(threads)
    with torch.no_grad():
        model = plain_network(data_dir)
        if row is not None:
            model = analog_network(model, row)
        x = torch.randn(BATCH, 3, 32, 32)
        model(x[:1])
        try:
            Path("/proc/self/clear_refs").write_text("5")
        except OSError:
            return None
        before = _status("VmRSS")
        model(x)
        return _status("VmHWM") - before


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field + ":"))


def in_fresh_process(data_dir: Path | None, row: Row | None, threads: int) -> int | None:
    """`peak_memory` of one row, in a process of its own."""
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(peak_memory, data_dir, row, threads).result()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, help="folder of resnet20_cifar10.pth")
    parser.add_argument("--rounds", type=int, default=15, help="rounds per row")
    parser.add_argument("--only", default="", help="rows whose name contains this text")
    parser.add_argument("--no-memory", action="store_true", help="leave out the memory column")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--cpu-time", action="store_true", help="time used by the process; with one thread, busy machines"
    )
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    clock = time.process_time if options.cpu_time else time.perf_counter
    plain = plain_network(options.data_dir)
    bytes_of_plain = None if options.no_memory else in_fresh_process(options.data_dir, None, options.threads)
    print("| setting | base | analog | ratio | must | aim | memory |\n|---|---|---|---|---|---|---|")
    for row in ROWS:
        if options.only not in row.name:
            continue
        with torch.no_grad():
            other = next((analog_network(plain, base) for base in ROWS if base.name == row.over), plain)
            p, a, r = ratio(other, analog_network(plain, row), options.rounds, clock)
        memory = in_fresh_process(options.data_dir, row, options.threads) if bytes_of_plain else None
        share = f"{memory / bytes_of_plain:.1f}" if memory and bytes_of_plain else ""
        print(
            f"| {row.name} | {p * 1e3:.1f} ms | {a * 1e3:.1f} ms | {r:.2f} | {row.must:g} | {row.aim:g} | {share} |",
            flush=True,
        )
    if bytes_of_plain:
        print(f"\nplain PyTorch: {bytes_of_plain / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
