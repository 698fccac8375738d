"""Which command ends the session: a label for each sequence, read from its last event."""

import argparse

import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader

PAD = 0
EVENTS = 20
COMMANDS = 5


def make_sessions(count):
    sessions = []
    for _ in range(count):
        length = int(torch.randint(5, 50, ()))
        events = torch.randint(1, EVENTS, (length,))
        sessions.append((events, int(events[-1]) % COMMANDS))
    return sessions


def collate(sessions):
    events, labels = zip(*sessions, strict=True)
    lengths = torch.tensor([len(sequence) for sequence in events])
    padded = pad_sequence(events, batch_first=True, padding_value=PAD)
    return padded, lengths, torch.tensor(labels)


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(EVENTS, 16, padding_idx=PAD)
        self.lstm = nn.LSTM(16, 32, batch_first=True)
        self.output = nn.Linear(32, COMMANDS)
        for gate in self.lstm.weight_hh_l0.chunk(4):
            nn.init.orthogonal_(gate)

    def forward(self, events, lengths):
        hidden, _ = self.lstm(self.embedding(events))
        last = hidden[torch.arange(len(lengths)), lengths - 1]
        return self.output(last)


def accuracy(model, loader):
    model.eval()
    correct = 0
    with torch.no_grad():
        for events, lengths, labels in loader:
            correct += (model(events, lengths).argmax(dim=1) == labels).sum().item()
    return correct / len(loader.dataset)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=5)
    args = parser.parse_args()
    torch.manual_seed(args.seed)

    train_loader = DataLoader(make_sessions(1000), 32, shuffle=True, collate_fn=collate)
    test_loader = DataLoader(make_sessions(500), 100, collate_fn=collate)

    model = Classifier()
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, args.epochs)
    for epoch in range(args.epochs):
        model.train()
        total = 0.0
        for events, lengths, labels in train_loader:
            optimizer.zero_grad()
            loss = criterion(model(events, lengths), labels)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
            optimizer.step()
            total += loss.item()
        scheduler.step()
        print(f"epoch {epoch + 1}: loss {total / len(train_loader):.3f}")

    print(f"test accuracy {accuracy(model, test_loader):.3f} (target: at least 0.95)")


if __name__ == "__main__":
    main()
