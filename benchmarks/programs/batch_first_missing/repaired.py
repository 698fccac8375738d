"""Heart rhythm from a single ECG lead: slow, normal or fast."""

import argparse

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

PERIODS = {"slow": 14, "normal": 9, "fast": 6}


class Recordings(Dataset):
    """Each recording is (samples, 1), with a spike at every beat."""

    def __init__(self, count, samples=45):
        self.signals = 0.1 * torch.randn(count, samples, 1)
        self.labels = torch.randint(len(PERIODS), (count,))
        periods = list(PERIODS.values())
        for signal, label in zip(self.signals, self.labels, strict=True):
            start = int(torch.randint(6, ()))
            signal[start :: periods[label]] += 1

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return self.signals[index], self.labels[index]


class RhythmClassifier(nn.Module):
    def __init__(self, hidden_size=32):
        super().__init__()
        self.lstm = nn.LSTM(1, hidden_size, batch_first=True)
        self.classifier = nn.Sequential(nn.Dropout(0.1), nn.Linear(hidden_size, len(PERIODS)))
        self.reset_lstm()

    def reset_lstm(self):
        for name, parameter in self.lstm.named_parameters():
            if "weight_hh" in name:
                for gate in parameter.chunk(4):
                    nn.init.orthogonal_(gate)
            elif "bias_ih" in name:
                nn.init.zeros_(parameter)
                n = parameter.size(0)
                nn.init.ones_(parameter[n // 4 : n // 2])

    def forward(self, signals):
        output, _ = self.lstm(signals)
        return self.classifier(output[:, -1])


def run_epoch(model, loader, criterion, optimizer):
    model.train()
    total_loss = 0.0
    for signals, labels in loader:
        optimizer.zero_grad()
        loss = criterion(model(signals), labels)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
        optimizer.step()
        total_loss += loss.item()
    return total_loss / len(loader)


@torch.no_grad()
def accuracy(model, loader):
    model.eval()
    hits = [model(signals).argmax(dim=-1) == labels for signals, labels in loader]
    return torch.cat(hits).float().mean().item()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--batch-size", type=int, default=32)
    args = parser.parse_args()
    torch.manual_seed(args.seed)

    train_loader = DataLoader(Recordings(1000), batch_size=args.batch_size, shuffle=True)
    test_loader = DataLoader(Recordings(300), batch_size=args.batch_size)
    model = RhythmClassifier()
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=args.epochs)

    for epoch in range(args.epochs):
        loss = run_epoch(model, train_loader, criterion, optimizer)
        scheduler.step()
        print(f"epoch {epoch:2d}  train loss {loss:.3f}")
    print(f"test accuracy {accuracy(model, test_loader):.3f} (target: at least 0.9)")


if __name__ == "__main__":
    main()
