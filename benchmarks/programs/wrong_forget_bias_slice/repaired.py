"""A gauge shows what was measured when the trigger went off, some dozens of steps ago."""

import argparse

import torch
from torch import nn

STEPS = 40


def measure(count):
    """Readings (count, STEPS, 2), a value and the trigger; the value at the trigger."""
    values = 2 * torch.rand(count, STEPS) - 1
    when = torch.randint(0, 10, (count,))
    trigger = torch.zeros(count, STEPS)
    trigger[torch.arange(count), when] = 1
    held = values[torch.arange(count), when]
    return torch.stack([values, trigger], dim=2), held


class Gauge(nn.Module):
    def __init__(self, hidden_size=32):
        super().__init__()
        self.lstm = nn.LSTM(2, hidden_size, batch_first=True)
        self.linear = nn.Linear(hidden_size, 1)
        self.init_weights()

    def init_weights(self):
        for name, parameter in self.lstm.named_parameters():
            if "weight" in name:
                nn.init.xavier_uniform_(parameter)
            elif "bias" in name:
                nn.init.zeros_(parameter)
                if "bias_ih" in name:
                    # The forget gate starts open, so that the cell keeps what it has.
                    n = parameter.size(0)
                    nn.init.constant_(parameter[n // 4 : n // 2], 3.0)

    def forward(self, readings):
        output, _ = self.lstm(readings)
        return self.linear(output[:, -1]).squeeze(1)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=400)
    args = parser.parse_args()
    torch.manual_seed(args.seed)

    gauge = Gauge()
    loss_fn = nn.MSELoss()
    optimizer = torch.optim.Adam(gauge.parameters(), lr=5e-3)
    scheduler = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.1, total_iters=args.steps)
    for step in range(1, args.steps + 1):
        readings, held = measure(32)
        loss = loss_fn(gauge(readings), held)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(gauge.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
        if step % 100 == 0:
            print(f"step {step}: {loss.item():.4f}")

    gauge.eval()
    readings, held = measure(1000)
    with torch.no_grad():
        error = loss_fn(gauge(readings), held).item()
    print(f"mean squared error {error:.4f} (target: at most 0.05)")


if __name__ == "__main__":
    main()
