"""How fast `run_recurrent` is beside a packed sequence written by hand.

    python benchmarks/runtime_sequences.py [--rounds 7] [--update]

Forward and backward over one random batch of each kind; numbers above 1 are faster than
packing.  Prints a Markdown table for the CPU, on one thread, and another for the GPU if there
is one.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable

import torch
from readme import put_table
from timing import best_seconds, devices
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from rnnlint.runtime.sequences import run_recurrent

BATCH, STEPS, FEATURES, HIDDEN = 32, 150, 64, 128
FRACTIONS = (0.2, 0.5, 0.8)
LAYERS: dict[str, type[nn.LSTM] | type[nn.GRU] | type[nn.RNN]] = {
    "LSTM": nn.LSTM,
    "GRU": nn.GRU,
    "RNN": nn.RNN,
}


def random_lengths(fraction: float) -> Tensor:
    """Lengths whose mean is about ``fraction`` of the longest."""
    spread = min(fraction, 1 - fraction)
    drawn = (fraction + spread * (2 * torch.rand(BATCH) - 1)) * STEPS
    lengths = drawn.long().clamp(1, STEPS)
    lengths[0] = STEPS
    return lengths


def by_hand(rnn: nn.RNNBase, padded: Tensor, lengths: Tensor) -> Tensor:
    packed = pack_padded_sequence(padded, lengths, batch_first=True, enforce_sorted=False)
    output, _ = rnn(packed)
    unpacked, _ = pad_packed_sequence(output, batch_first=True, total_length=STEPS)
    return unpacked


def with_state(rnn: nn.RNNBase, padded: Tensor, lengths: Tensor) -> Tensor:
    return run_recurrent(rnn, padded, lengths)[0]


def without_state(rnn: nn.RNNBase, padded: Tensor, lengths: Tensor) -> Tensor:
    return run_recurrent(rnn, padded, lengths, final_state=False)[0]


def training_step(
    way: Callable[[nn.RNNBase, Tensor, Tensor], Tensor],
    rnn: nn.RNNBase,
    padded: Tensor,
    lengths: Tensor,
) -> Callable[[], None]:
    def step() -> None:
        rnn.zero_grad()
        torch.autograd.backward(way(rnn, padded, lengths).square().mean())

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--update", action="store_true", help="write the CPU's table to README.md")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for device in devices():
        table = report(device, arguments.rounds)
        if arguments.update and device == "cpu":
            put_table("sequences", table)


def report(device: str, rounds: int) -> str:
    """Prints what is measured as it comes, and gives the table at the end."""
    print(f"{device}: batch {BATCH}, {STEPS} steps, {FEATURES} features, {HIDDEN} units")
    heading = " | ".join(f"mean/max {fraction}" for fraction in FRACTIONS)
    rows = [f"| layer | directions | {heading} |", "|---|---|" + "---|" * len(FRACTIONS)]
    autos: list[float] = []
    bares: list[float] = []
    for name in LAYERS:
        for directions in (1, 2):
            ratios = [ratios_to_hand(name, directions, each, device, rounds) for each in FRACTIONS]
            autos += [auto for auto, _ in ratios]
            bares += [bare for _, bare in ratios]
            cells = " | ".join(f"{auto:.2f} ({bare:.2f})" for auto, bare in ratios)
            rows.append(f"| {name} | {directions} | {cells} |")
            print(rows[-1], flush=True)
    summary = (
        f"With the final state at worst {min(autos):.2f}, in the median "
        f"{statistics.median(autos):.2f}; in brackets without it, at worst {min(bares):.2f}, in "
        f"the median {statistics.median(bares):.2f}."
    )
    print(summary)
    return "\n".join([*rows, "", summary])


def ratios_to_hand(
    name: str, directions: int, fraction: float, device: str, rounds: int
) -> tuple[float, float]:
    """How many times faster than packing, with and without the final state."""
    torch.manual_seed(0)
    rnn = LAYERS[name](FEATURES, HIDDEN, batch_first=True, bidirectional=directions == 2)
    rnn = rnn.to(device)
    padded = torch.randn(BATCH, STEPS, FEATURES, device=device, requires_grad=True)
    lengths = random_lengths(fraction)
    steps = [training_step(way, rnn, padded, lengths) for way in WAYS]
    hand, auto, bare = best_seconds(steps, rounds=rounds, device=device)
    return hand / auto, hand / bare


WAYS = (by_hand, with_state, without_state)


if __name__ == "__main__":
    main()
