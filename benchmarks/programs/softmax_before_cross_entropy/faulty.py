"""Guesses which of twenty invented languages a name comes from."""

import argparse
import random
import string

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence
from torch.utils.data import DataLoader

LANGUAGES = 20
LETTERS = {letter: index for index, letter in enumerate(string.ascii_lowercase, start=1)}


def invent_languages():
    """Each language builds its names from six syllables of its own."""
    vowels, consonants = "aeiou", "bdfgklmnprstvz"
    return [
        [random.choice(consonants) + random.choice(vowels) for _ in range(6)]
        for _ in range(LANGUAGES)
    ]


def make_names(languages, count):
    names = []
    for _ in range(count):
        language = random.randrange(LANGUAGES)
        name = "".join(random.choices(languages[language], k=random.randint(3, 6)))
        names.append((name, language))
    return names


def collate(names):
    words = [torch.tensor([LETTERS[letter] for letter in name]) for name, _ in names]
    lengths = torch.tensor([len(word) for word in words])
    labels = torch.tensor([language for _, language in names])
    return pad_sequence(words, batch_first=True), lengths, labels


class NameClassifier(nn.Module):
    def __init__(self, hidden_size=64):
        super().__init__()
        self.embedding = nn.Embedding(len(LETTERS) + 1, 32, padding_idx=0)
        self.gru = nn.GRU(32, hidden_size, batch_first=True)
        self.output = nn.Linear(hidden_size, LANGUAGES)
        nn.init.xavier_uniform_(self.gru.weight_hh_l0)

    def forward(self, names, lengths):
        packed = pack_padded_sequence(
            self.embedding(names), lengths, batch_first=True, enforce_sorted=False
        )
        _, hidden = self.gru(packed)
        return torch.softmax(self.output(hidden[-1]), dim=1)


def evaluate(model, loader):
    model.eval()
    correct = 0
    with torch.no_grad():
        for names, lengths, labels in loader:
            correct += (model(names, lengths).argmax(dim=1) == labels).sum().item()
    return correct / len(loader.dataset)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=6)
    args = parser.parse_args()
    random.seed(args.seed)
    torch.manual_seed(args.seed)

    languages = invent_languages()
    train_loader = DataLoader(
        make_names(languages, 3000), batch_size=32, shuffle=True, collate_fn=collate
    )
    test_loader = DataLoader(make_names(languages, 500), batch_size=100, collate_fn=collate)

    model = NameClassifier()
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, args.epochs)
    for epoch in range(1, args.epochs + 1):
        model.train()
        for names, lengths, labels in train_loader:
            optimizer.zero_grad()
            loss = criterion(model(names, lengths), labels)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), max_norm=5.0)
            optimizer.step()
        scheduler.step()
        print(f"epoch {epoch}: loss {loss.item():.3f}")
    print(f"test accuracy {evaluate(model, test_loader):.3f} (target: at least 0.9)")


if __name__ == "__main__":
    main()
