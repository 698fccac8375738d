"""Forecasts the next reading of a power meter from one endless stream of readings."""

import argparse
import math

import torch
from torch import nn

WINDOW = 48
STREAMS = 16


def make_streams(hours):
    """Loads of several households, (STREAMS, hours, 1): a day, a week and noise."""
    time = torch.arange(hours) + torch.randint(0, 168, (STREAMS, 1))
    day = torch.sin(2 * math.pi * time / 24)
    week = torch.sin(2 * math.pi * time / 168)
    return (day + 0.5 * week + 0.1 * torch.randn(STREAMS, hours)).unsqueeze(-1)


class Forecaster(nn.Module):
    def __init__(self, hidden_size=32):
        super().__init__()
        self.gru = nn.GRU(1, hidden_size, batch_first=True)
        self.linear = nn.Linear(hidden_size, 1)
        for gate in self.gru.weight_hh_l0.chunk(3):
            nn.init.orthogonal_(gate)

    def forward(self, readings, state):
        output, state = self.gru(readings, state)
        return self.linear(output), state

    def initial_state(self):
        return torch.zeros(1, STREAMS, self.gru.hidden_size)


def windows(streams):
    for start in range(0, streams.size(1) - WINDOW, WINDOW):
        yield (
            streams[:, start : start + WINDOW],
            streams[:, start + 1 : start + WINDOW + 1],
        )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=4)
    args = parser.parse_args()
    torch.manual_seed(args.seed)

    train_streams, test_streams = make_streams(2400), make_streams(600)
    model = Forecaster()
    criterion = nn.MSELoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.7)

    for epoch in range(args.epochs):
        state = model.initial_state()
        for inputs, targets in windows(train_streams):
            forecast, state = model(inputs, state)
            loss = criterion(forecast, targets)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
        scheduler.step()
        print(f"epoch {epoch + 1}: loss {loss.item():.4f}")

    state = model.initial_state()
    errors = []
    with torch.no_grad():
        for inputs, targets in windows(test_streams):
            forecast, state = model(inputs, state)
            errors.append(criterion(forecast, targets).item())
    print(f"test error {sum(errors) / len(errors):.4f} (target: at most 0.04)")


if __name__ == "__main__":
    main()
