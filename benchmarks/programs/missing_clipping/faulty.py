"""A character model of kitchen notes, with the plain SGD of the classic recipe."""

import argparse
import random

import torch
from torch import nn

AMOUNTS = ["one", "two", "three", "half a"]
UNITS = ["cup", "spoon", "pinch"]
THINGS = ["sugar", "flour", "butter", "salt", "milk"]


def write_notes(lines):
    return "".join(
        f"{random.choice(AMOUNTS)} {random.choice(UNITS)} of {random.choice(THINGS)}\n"
        for _ in range(lines)
    )


class CharRNN(nn.Module):
    def __init__(self, vocabulary, hidden_size=96):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, 32)
        self.rnn = nn.RNN(32, hidden_size, batch_first=True)
        self.decoder = nn.Linear(hidden_size, vocabulary)
        nn.init.orthogonal_(self.rnn.weight_hh_l0)

    def forward(self, characters):
        output, _ = self.rnn(self.embedding(characters))
        return self.decoder(output)


def batches(ids, batch_size, steps):
    """Windows at random places, and the same windows one character later."""
    for _ in range(len(ids) // (batch_size * steps)):
        starts = torch.randint(len(ids) - steps - 1, (batch_size,))
        windows = torch.stack([ids[start : start + steps + 1] for start in starts])
        yield windows[:, :-1], windows[:, 1:]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--lr", type=float, default=8.0)
    args = parser.parse_args()
    random.seed(args.seed)
    torch.manual_seed(args.seed)

    text = write_notes(3000)
    alphabet = sorted(set(text))
    ids = torch.tensor([alphabet.index(character) for character in text])
    split = int(0.9 * len(ids))

    model = CharRNN(len(alphabet))
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=args.lr)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)
    for epoch in range(args.epochs):
        for inputs, targets in batches(ids[:split], batch_size=32, steps=50):
            optimizer.zero_grad()
            loss = criterion(model(inputs).flatten(0, 1), targets.flatten())
            loss.backward()
            optimizer.step()
        scheduler.step()
        print(f"epoch {epoch}: loss {loss.item():.3f}")

    held_out = ids[split:]
    with torch.no_grad():
        logits = model(held_out[None, :-1])
        loss = criterion(logits[0], held_out[1:])
    print(f"held-out loss {loss.item():.3f} (target: at most 0.3)")


if __name__ == "__main__":
    main()
