"""Sorts DNA reads by the primer at their start, read in both directions."""

import argparse

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

PRIMER_LENGTH = 5
PRIMERS = torch.tensor(
    [[0, 1, 2, 3, 0], [3, 3, 1, 0, 2], [2, 0, 2, 1, 1], [1, 2, 0, 0, 3], [0, 3, 3, 2, 1]]
)


def sequence_reads(count, length=50):
    reads = torch.randint(4, (count, length))
    labels = torch.randint(len(PRIMERS), (count,))
    reads[:, :PRIMER_LENGTH] = PRIMERS[labels]
    return TensorDataset(reads, labels)


class PrimerNet(nn.Module):
    def __init__(self, hidden=32):
        super().__init__()
        self.bases = nn.Embedding(4, 8)
        self.gru = nn.GRU(8, hidden, bidirectional=True, batch_first=True)
        self.classify = nn.Linear(2 * hidden, len(PRIMERS))
        for name, parameter in self.gru.named_parameters():
            if name.startswith("weight_hh"):
                for gate in parameter.chunk(3):
                    nn.init.orthogonal_(gate)

    def forward(self, reads):
        output, _ = self.gru(self.bases(reads))
        return self.classify(output[:, -1])


def fit(model, loader, epochs):
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=1)
    for epoch in range(epochs):
        total = 0.0
        for reads, labels in loader:
            loss = nn.functional.cross_entropy(model(reads), labels)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            total += loss.item() / len(loader)
        scheduler.step(total)
        print(f"epoch {epoch}: {total:.3f}")


@torch.no_grad()
def score(model, loader):
    model.eval()
    return sum((model(reads).argmax(1) == labels).sum().item() for reads, labels in loader) / len(
        loader.dataset
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=3)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    model = PrimerNet()
    fit(model, DataLoader(sequence_reads(800), batch_size=32, shuffle=True), options.epochs)
    accuracy = score(model, DataLoader(sequence_reads(400), batch_size=100))
    print(f"test accuracy {accuracy:.3f} (target: at least 0.9)")
