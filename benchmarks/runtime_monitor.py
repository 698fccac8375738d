"""What a monitor costs a training loop, sampling as it does unless told otherwise.

    python benchmarks/runtime_monitor.py [--repeats 7] [--steps 1000] [--device cpu] [--update]

Two copies of a model train by turns, 25 steps each, one with a monitor and one without, so that
what disturbs one disturbs the other.  The first steps, each of which is sampled, count.  Compared
is the time of the processor, on one thread; on a GPU, the time until it is done.  Prints a
Markdown table of the median over the repeats, the least and the most.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from readme import put_table
from torch import Tensor, nn

from rnnlint.runtime.monitor import Monitor

WORDS, CLASSES, TURN = 500, 5, 25


@dataclass(frozen=True)
class Size:
    """The sizes of a batch and of a layer."""

    batch: int
    steps: int
    hidden: int


SIZES = (Size(16, 20, 64), Size(32, 50, 128))


class Reader(nn.Module):
    """An embedding, an LSTM whose last step is read, and a linear layer."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding = nn.Embedding(WORDS, size.hidden, padding_idx=0)
        self.lstm = nn.LSTM(size.hidden, size.hidden, batch_first=True)
        self.head = nn.Linear(size.hidden, CLASSES)

    def forward(self, ids: Tensor) -> Tensor:
        read: Tensor = self.head(self.lstm(self.embedding(ids))[0][:, -1])
        return read


def trainer(size: Size, device: str, *, monitored: bool) -> Callable[[], None]:
    """Makes one turn of a loop that clips gradients and keeps the mean of its losses."""
    model = Reader(size).to(device)
    optimizer = torch.optim.Adam(model.parameters())
    criterion = nn.CrossEntropyLoss()
    if monitored:
        Monitor(model, optimizer, criterion=criterion)
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(1, WORDS, (size.batch, size.steps), generator=generator).to(device)
    labels = torch.randint(0, CLASSES, (size.batch,), generator=generator).to(device)

    def turn() -> None:
        for _ in range(TURN):
            optimizer.zero_grad()
            loss = criterion(model(ids), labels)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()

    return turn


def seconds(turn: Callable[[], None], device: str) -> float:
    if device == "cpu":
        start = time.process_time()
        turn()
        return time.process_time() - start
    torch.cuda.synchronize()
    start = time.perf_counter()
    turn()
    torch.cuda.synchronize()
    return time.perf_counter() - start


def compared(size: Size, device: str, steps: int) -> tuple[float, float]:
    """Seconds of a step without a monitor, and the share that one adds."""
    warm = trainer(size, device, monitored=False)
    warm()
    turns = [trainer(size, device, monitored=monitored) for monitored in (False, True)]
    spent = [0.0, 0.0]
    for number in range(steps // TURN):
        # Each comes first as often as second.
        for which in (0, 1) if number % 2 else (1, 0):
            spent[which] += seconds(turns[which], device)
    return spent[0] / steps, spent[1] / spent[0] - 1


def row(size: Size, device: str, repeats: int, steps: int) -> str:
    found = [compared(size, device, steps) for _ in range(repeats)]
    step = statistics.median(each for each, _ in found)
    shares = sorted(share for _, share in found)
    return (
        f"| {size.batch} | {size.steps} | {size.hidden} | {step * 1e3:.1f} ms "
        f"| {statistics.median(shares):+.1%} | {shares[0]:+.1%} to {shares[-1]:+.1%} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--update", action="store_true", help="write the table to README.md")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    device = arguments.device
    name = torch.cuda.get_device_name() if device == "cuda" else "CPU, one thread"
    print(f"{name}, PyTorch {torch.__version__}, {arguments.repeats} x {arguments.steps} steps\n")
    rows = ["| batch | steps | units | a step | with a monitor | all runs |", "|" + "---|" * 6]
    for size in SIZES:
        rows.append(row(size, device, arguments.repeats, arguments.steps))
        print(rows[-1], flush=True)
    if arguments.update:
        put_table("monitor", "\n".join(rows))


if __name__ == "__main__":
    main()
