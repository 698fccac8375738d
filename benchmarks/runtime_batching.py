"""What batches of sequences of like length save, beside random ones.

    python benchmarks/runtime_batching.py [--rounds 5] [--sequences 1024]

An LSTM runs forward and backward over a corpus whose batches are padded beforehand.  Prints a
Markdown table for the CPU, on one thread, and another for the GPU if there is one.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import torch
from timing import best_seconds, devices
from torch import Tensor, nn

from rnnlint.runtime.batching import LengthBucketBatchSampler, pad_collate
from rnnlint.runtime.lengths import lengths_to_mask

BATCH, STEPS, FEATURES, HIDDEN = 32, 150, 64, 128
FRACTIONS = (0.2, 0.5, 0.8)

Batch = tuple[Tensor, Tensor]


def random_lengths(count: int, fraction: float) -> Tensor:
    """Lengths whose mean is about ``fraction`` of the longest: lognormal, or its mirror image."""
    is_long = fraction > 0.5
    drawn = torch.randn(count).mul(0.6).exp()
    share = drawn / drawn.mean() * (1 - fraction if is_long else fraction)
    lengths = ((1 - share if is_long else share) * STEPS).round().clamp(1, STEPS).long()
    lengths[0] = STEPS
    return lengths


def batches_of(corpus: list[Tensor], numbers: list[list[int]], device: str) -> list[Batch]:
    batches = []
    for batch in numbers:
        padded, lengths = pad_collate([corpus[number] for number in batch])
        batches.append((padded.to(device), lengths_to_mask(lengths).to(device)))
    return batches


def padding_fraction(batches: list[Batch]) -> float:
    real = sum(int(mask.sum()) for _, mask in batches)
    return 1 - real / sum(mask.numel() for _, mask in batches)


def epoch_of(lstm: nn.LSTM, batches: list[Batch]) -> Callable[[], None]:
    def epoch() -> None:
        for padded, mask in batches:
            lstm.zero_grad()
            output, _ = lstm(padded)
            loss: Any = output.square().mean(-1).masked_fill(~mask, 0).sum()
            loss.backward()

    return epoch


def report(device: str, count: int, rounds: int) -> None:
    print(
        f"\n{device}: {count} sequences of at most {STEPS} steps in batches of {BATCH}; "
        f"{FEATURES} features, {HIDDEN} units\n"
    )
    print("| mean/max | padding: random | bucketed | sequences/s: random | bucketed | ratio |")
    print("|---|---|---|---|---|---|")
    for fraction in FRACTIONS:
        torch.manual_seed(0)
        lengths = random_lengths(count, fraction)
        corpus = [torch.randn(length, FEATURES) for length in lengths.tolist()]
        lstm = nn.LSTM(FEATURES, HIDDEN, batch_first=True).to(device)
        drawn: list[list[int]] = [
            part.tolist() for part in torch.split(torch.randperm(count), BATCH)
        ]
        random = batches_of(corpus, drawn, device)
        sampler = LengthBucketBatchSampler(lengths, BATCH)
        bucketed = batches_of(corpus, list(sampler), device)
        slow, fast = best_seconds(
            [epoch_of(lstm, random), epoch_of(lstm, bucketed)], rounds=rounds, device=device
        )
        print(
            f"| {float(lengths.float().mean()) / STEPS:.2f} | {padding_fraction(random):.0%} "
            f"| {padding_fraction(bucketed):.0%} | {count / slow:.0f} | {count / fast:.0f} "
            f"| {slow / fast:.2f} |",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sequences", type=int, default=1024)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for device in devices():
        report(device, arguments.sequences, arguments.rounds)


if __name__ == "__main__":
    main()
