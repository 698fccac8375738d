"""Where does a parcel go?  Its first scan says so; from then on it mostly lies in a lorry."""

import argparse
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


@dataclass
class Config:
    seed: int = 0
    epochs: int = 5
    batch_size: int = 32
    regions: int = 8
    stations: int = 3
    scans: int = 16
    embedding: int = 16
    hidden: int = 48
    lr: float = 5e-3


def make_parcels(config, count):
    """Codes: the regions, then the stations on the way, then one for a scan of the lorry."""
    regions = torch.randint(config.regions, (count, 1))
    way = config.regions + torch.randint(config.stations, (count, config.scans - 1))
    lorry = config.regions + config.stations
    way[torch.rand(way.shape) < 0.8] = lorry
    return TensorDataset(torch.cat([regions, way], dim=1), regions.squeeze(1))


class RegionModel(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.embedding = nn.Embedding(config.regions + config.stations + 1, config.embedding)
        self.lstm = nn.LSTM(config.embedding, config.hidden, batch_first=True)
        self.region = nn.Linear(config.hidden, config.regions)

    def forward(self, scans):
        output, _ = self.lstm(self.embedding(scans))
        return self.region(output[:, -1, :])


def train(config, model, loader):
    loss_fn = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=config.lr)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.epochs)
    for epoch in range(config.epochs):
        model.train()
        losses = []
        for scans, regions in loader:
            loss = loss_fn(model(scans), regions)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
            optimizer.step()
            losses.append(loss.item())
        scheduler.step()
        print(f"epoch {epoch + 1}/{config.epochs}: loss {sum(losses) / len(losses):.3f}")


def accuracy(model, loader):
    model.eval()
    correct = total = 0
    with torch.no_grad():
        for scans, regions in loader:
            correct += (model(scans).argmax(dim=1) == regions).sum().item()
            total += regions.numel()
    return correct / total


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=Config.seed)
    parser.add_argument("--epochs", type=int, default=Config.epochs)
    args = parser.parse_args()
    config = Config(seed=args.seed, epochs=args.epochs)

    torch.manual_seed(config.seed)
    train_loader = DataLoader(make_parcels(config, 3000), config.batch_size, shuffle=True)
    test_loader = DataLoader(make_parcels(config, 500), config.batch_size)
    model = RegionModel(config)
    train(config, model, train_loader)
    print(f"test accuracy {accuracy(model, test_loader):.3f} (target: at least 0.9)")


if __name__ == "__main__":
    main()
