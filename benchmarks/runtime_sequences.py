"""How fast `run_recurrent` is beside a packed sequence written by hand.

    python benchmarks/runtime_sequences.py [--rounds 7]

Forward and backward over one random batch of each kind; numbers above 1 are faster than
packing.  Prints a Markdown table for the CPU, on one thread, and another for the GPU if there
is one.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable

import torch
from timing import best_seconds, devices
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from rnnlint.runtime.sequences import run_recurrent

BATCH, STEPS, FEATURES, HIDDEN = 32, 150, 64, 128
FRACTIONS = (0.2, 0.5, 0.8)
LAYERS: dict[str, type[nn.RNNBase]] = {"LSTM": nn.LSTM, "GRU": nn.GRU, "RNN": nn.RNN}


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
        way(rnn, padded, lengths).square().mean().backward()

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for device in devices():
        report(device, arguments.rounds)


def report(device: str, rounds: int) -> None:
    print(f"\n{device}: batch {BATCH}, {STEPS} steps, {FEATURES} features, {HIDDEN} units\n")
    print("| layer | directions | mean/max | packed by hand, ms | auto | without final state |")
    print("|---|---|---|---|---|---|")
    autos, bares = [], []
    for name, kind in LAYERS.items():
        for directions in (1, 2):
            for fraction in FRACTIONS:
                torch.manual_seed(0)
                rnn = kind(FEATURES, HIDDEN, batch_first=True, bidirectional=directions == 2)
                rnn = rnn.to(device)
                padded = torch.randn(BATCH, STEPS, FEATURES, device=device, requires_grad=True)
                lengths = random_lengths(fraction)
                ways = (by_hand, with_state, without_state)
                hand, auto, bare = best_seconds(
                    [training_step(way, rnn, padded, lengths) for way in ways],
                    rounds=rounds,
                    device=device,
                )
                autos.append(hand / auto)
                bares.append(hand / bare)
                print(
                    f"| {name} | {directions} | {fraction} | {1e3 * hand:.1f} "
                    f"| {hand / auto:.2f} | {hand / bare:.2f} |",
                    flush=True,
                )
    print(
        f"\nauto: at worst {min(autos):.2f}, in the median {statistics.median(autos):.2f}; without "
        f"the final state: at worst {min(bares):.2f}, in the median {statistics.median(bares):.2f}"
    )


if __name__ == "__main__":
    main()
