"""Which beacon was it?  It sends its code once, then there is only hiss until the end."""

import argparse

import torch
from torch import nn

BEACONS = 8
STEPS = 40


def receive(count):
    """Signals of shape (count, STEPS, BEACONS), and the number of the beacon in each."""
    beacons = torch.randint(BEACONS, (count,))
    signals = 0.1 * torch.randn(count, STEPS, BEACONS)
    signals[:, 0] += nn.functional.one_hot(beacons, BEACONS)
    return signals, beacons


class Receiver(nn.Module):
    def __init__(self, hidden=64):
        super().__init__()
        self.rnn = nn.RNN(BEACONS, hidden, batch_first=True)
        self.out = nn.Linear(hidden, BEACONS)

    def forward(self, signals):
        _, last = self.rnn(signals)
        return self.out(last.squeeze(0))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--log-every", type=int, default=50)
    args = parser.parse_args()
    torch.manual_seed(args.seed)

    model = Receiver()
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=args.steps)

    for step in range(1, args.steps + 1):
        signals, beacons = receive(64)
        loss = criterion(model(signals), beacons)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
        if step % args.log_every == 0:
            print(f"step {step:4d}  loss {loss.item():.3f}")

    model.eval()
    signals, beacons = receive(1000)
    with torch.no_grad():
        correct = model(signals).argmax(dim=1) == beacons
    print(f"accuracy {correct.float().mean():.3f} (target: at least 0.9)")


if __name__ == "__main__":
    main()
