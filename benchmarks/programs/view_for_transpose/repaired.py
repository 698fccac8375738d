"""Machine monitoring: tells a bearing's condition from a window of vibration readings."""

import argparse

import torch
from torch import nn, optim
from torch.utils.data import DataLoader, TensorDataset

CONDITIONS = ["sound", "unbalanced", "worn", "loose"]
STEPS = 40
SENSORS = 3


def simulate(count):
    """Windows of shape (count, STEPS, SENSORS): each condition vibrates at its own rate."""
    labels = torch.randint(len(CONDITIONS), (count,))
    rates = torch.tensor([0.15, 0.3, 0.5, 0.8])[labels]
    time = torch.arange(STEPS)
    phases = 6.28 * torch.rand(count, 1, SENSORS)
    windows = torch.sin(rates.view(-1, 1, 1) * time.view(1, -1, 1) + phases)
    return windows + 0.2 * torch.randn(count, STEPS, SENSORS), labels


class ConditionMonitor(nn.Module):
    def __init__(self, hidden_size=32):
        super().__init__()
        self.gru = nn.GRU(SENSORS, hidden_size)
        for gate in self.gru.weight_hh_l0.chunk(3):
            nn.init.orthogonal_(gate)
        self.fc = nn.Linear(hidden_size, len(CONDITIONS))

    def forward(self, windows):
        # The GRU wants (steps, batch, sensors).
        _, hidden = self.gru(windows.transpose(0, 1))
        return self.fc(hidden[-1])


def train(model, loader, epochs, lr):
    criterion = nn.CrossEntropyLoss()
    optimizer = optim.Adam(model.parameters(), lr=lr)
    scheduler = optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=lr, total_steps=epochs * len(loader)
    )
    for epoch in range(epochs):
        running = 0.0
        for windows, labels in loader:
            optimizer.zero_grad()
            loss = criterion(model(windows), labels)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            scheduler.step()
            running += loss.item()
        print(f"[{epoch + 1}/{epochs}] loss: {running / len(loader):.4f}")


def test(model, windows, labels):
    model.eval()
    with torch.no_grad():
        predicted = model(windows).argmax(dim=1)
    return (predicted == labels).float().mean().item()


parser = argparse.ArgumentParser()
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--epochs", type=int, default=6)
parser.add_argument("--lr", type=float, default=0.01)
args = parser.parse_args()

torch.manual_seed(args.seed)
loader = DataLoader(TensorDataset(*simulate(1000)), batch_size=50, shuffle=True)
model = ConditionMonitor()
train(model, loader, args.epochs, args.lr)
print(f"test accuracy {test(model, *simulate(400)):.3f} (target: at least 0.7)")
