"""Dead reckoning: where a cart has got to, from the speeds it drove at."""

import argparse

import torch
from torch.utils.data import DataLoader, TensorDataset


def drive(count, steps=60):
    speeds = torch.rand(count, steps, 1) - 0.3
    return TensorDataset(speeds, speeds.sum(dim=1) / 10)


class Odometer(torch.nn.Module):
    def __init__(self, units=50):
        super().__init__()
        self.rnn = torch.nn.RNN(1, units, nonlinearity="relu", batch_first=True)
        self.position = torch.nn.Linear(units, 1)
        torch.nn.init.eye_(self.rnn.weight_hh_l0)
        torch.nn.init.zeros_(self.rnn.bias_ih_l0)
        torch.nn.init.zeros_(self.rnn.bias_hh_l0)

    def forward(self, speeds):
        states, _ = self.rnn(speeds)
        return self.position(states[:, -1])


class Trainer:
    def __init__(self, model, lr=0.01, max_norm=1.0):
        self.model = model
        self.max_norm = max_norm
        self.criterion = torch.nn.MSELoss()
        self.optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
        self.scheduler = torch.optim.lr_scheduler.ExponentialLR(self.optimizer, gamma=0.6)

    def train_epoch(self, loader):
        total = 0.0
        for speeds, positions in loader:
            self.optimizer.zero_grad()
            loss = self.criterion(self.model(speeds), positions)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.max_norm)
            self.optimizer.step()
            total += loss.item()
        self.scheduler.step()
        return total / len(loader)

    def evaluate(self, loader):
        with torch.no_grad():
            losses = [self.criterion(self.model(speeds), positions) for speeds, positions in loader]
        return torch.stack(losses).mean().item()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=8)
    args = parser.parse_args()
    torch.manual_seed(args.seed)

    train_loader = DataLoader(drive(1600), batch_size=32, shuffle=True)
    test_loader = DataLoader(drive(400), batch_size=100)
    trainer = Trainer(Odometer())
    for epoch in range(args.epochs):
        print(f"epoch {epoch + 1}: training error {trainer.train_epoch(train_loader):.4f}")
    print(f"test error {trainer.evaluate(test_loader):.4f} (target: at most 0.02)")


if __name__ == "__main__":
    main()
