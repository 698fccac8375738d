"""Which gesture is it?  Accelerometer traces of different length, packed for a GRU."""

import argparse
import math

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence
from torch.utils.data import DataLoader, Dataset

GESTURES = ("clockwise", "anticlockwise", "shake", "wave")


def record(gesture):
    steps = int(torch.randint(15, 60, ()))
    angle = 2 * math.pi * (torch.arange(steps) / 12 + torch.rand(()))
    trace = {
        "clockwise": (angle.cos(), -angle.sin()),
        "anticlockwise": (angle.cos(), angle.sin()),
        "shake": (angle.cos(), torch.zeros(steps)),
        "wave": (torch.zeros(steps), angle.cos()),
    }[gesture]
    return torch.stack(trace, dim=1) + 0.3 * torch.randn(steps, 2)


class Traces(Dataset):
    def __init__(self, count):
        self.labels = torch.randint(len(GESTURES), (count,))
        self.traces = [record(GESTURES[label]) for label in self.labels]

    def __len__(self):
        return len(self.traces)

    def __getitem__(self, index):
        return self.traces[index], self.labels[index]


def collate(batch):
    traces, labels = zip(*batch, strict=True)
    lengths = torch.tensor([len(trace) for trace in traces])
    return pad_sequence(traces, batch_first=True), lengths, torch.stack(labels)


class GestureNet(nn.Module):
    def __init__(self, hidden=32):
        super().__init__()
        self.gru = nn.GRU(2, hidden, batch_first=True)
        self.head = nn.Linear(hidden, len(GESTURES))
        nn.init.xavier_uniform_(self.gru.weight_hh_l0)

    def forward(self, traces, lengths):
        # Packing wants the longest trace first.
        lengths, order = lengths.sort(descending=True)
        packed = pack_padded_sequence(traces[order], lengths, batch_first=True)
        _, hidden = self.gru(packed)
        return self.head(hidden[-1])


class Trainer:
    def __init__(self, model, epochs):
        self.model = model
        self.epochs = epochs
        self.optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        self.scheduler = torch.optim.lr_scheduler.StepLR(self.optimizer, step_size=2, gamma=0.5)
        self.loss_fn = nn.CrossEntropyLoss()

    def fit(self, loader):
        self.model.train()
        for epoch in range(self.epochs):
            for traces, lengths, labels in loader:
                self.optimizer.zero_grad()
                loss = self.loss_fn(self.model(traces, lengths), labels)
                loss.backward()
                nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
                self.optimizer.step()
            self.scheduler.step()
            print(f"epoch {epoch}: loss {loss.item():.3f}")

    @torch.no_grad()
    def accuracy(self, loader):
        self.model.eval()
        right = total = 0
        for traces, lengths, labels in loader:
            right += (self.model(traces, lengths).argmax(1) == labels).sum().item()
            total += len(labels)
        return right / total


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=4)
    args = parser.parse_args()
    torch.manual_seed(args.seed)

    train_loader = DataLoader(Traces(600), batch_size=32, shuffle=True, collate_fn=collate)
    test_loader = DataLoader(Traces(300), batch_size=32, collate_fn=collate)
    trainer = Trainer(GestureNet(), args.epochs)
    trainer.fit(train_loader)
    print(f"test accuracy {trainer.accuracy(test_loader):.3f} (target: at least 0.9)")
