"""How long `clip_gradients` takes beside `torch.nn.utils.clip_grad_norm_`.

    python benchmarks/runtime_clipping.py [--rounds 200]

Both clip the same gradients, once where the norm is within the bound and once where it is
beyond; numbers below 1 are faster than PyTorch.  Prints a Markdown table for the CPU, on one
thread, and another for the GPU if there is one.  There, both are waited for, so that the host's
reading of the norm is not what is compared.
"""

from __future__ import annotations

import argparse
import itertools
import math
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from timing import best_seconds, devices
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # what stands beside is measured

from rnnlint.runtime.clipping import clip_gradients

LAYERS_OF_MANY = 500


def recurrent_model() -> nn.Module:
    lstm = nn.LSTM(128, 256, num_layers=2, batch_first=True)
    return nn.ModuleList([nn.Embedding(5000, 128), lstm, nn.Linear(256, 5000)])


def model_of_many_parameters() -> nn.Module:
    return nn.ModuleList(nn.Linear(4, 4) for _ in range(LAYERS_OF_MANY))


MODELS = {
    "2-layer LSTM with embedding": recurrent_model,
    f"{2 * LAYERS_OF_MANY} parameters of 4 to 16 numbers": model_of_many_parameters,
}


def ratio(model: nn.Module, bounds: Callable[[], float], *, rounds: int, device: str) -> float:
    parameters = list(model.parameters())
    for parameter in parameters:
        parameter.grad = torch.randn_like(parameter)

    def pytorch() -> Tensor:
        return clip_grad_norm_(parameters, bounds())

    def companion() -> Tensor:
        return clip_gradients(parameters, bounds())

    theirs, ours = best_seconds([pytorch, companion], rounds=rounds, device=device)
    return ours / theirs


def never_reached() -> Callable[[], float]:
    return lambda: math.inf


def always_exceeded() -> Callable[[], float]:
    """A bound that falls with every call, below the norm that the call before has left."""
    bounds = (0.99**exponent for exponent in itertools.count())
    return lambda: next(bounds)


def table(device: str, rounds: int) -> str:
    rows = ["| model | within the bound | clipped |", "|---|---|---|"]
    for name, build in MODELS.items():
        within, clipped = (
            ratio(build().to(device), bounds(), rounds=rounds, device=device)
            for bounds in (never_reached, always_exceeded)
        )
        rows.append(f"| {name} | x{within:.2f} | x{clipped:.2f} |")
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=200)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    torch.manual_seed(0)
    for device in devices():
        name = torch.cuda.get_device_name() if device == "cuda" else "CPU, one thread"
        print(f"{name}, PyTorch {torch.__version__}, best of {rounds} rounds\n")
        print(f"{table(device, rounds)}\n")


if __name__ == "__main__":
    main()
