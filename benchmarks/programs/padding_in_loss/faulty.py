"""Part-of-speech tags for short messages, a few of which are very long."""

import argparse

import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader

PAD = 0
TAGS = 9
WORDS = 30


def make_messages(count, first_tag, second_tag):
    """A word's tag depends on itself and, for every third word, on the word before."""
    messages = []
    for _ in range(count):
        length = int(torch.randint(2, 9, ()))
        if torch.rand(()) < 0.05:
            length = int(torch.randint(50, 80, ()))
        words = torch.randint(1, WORDS, (length,))
        before = torch.cat([torch.zeros(1, dtype=torch.long), words[:-1]])
        ambiguous = (words % 3 == 0) & (before % 2 == 1)
        tags = torch.where(ambiguous, second_tag[words], first_tag[words])
        messages.append((words, tags))
    return messages


def collate(messages):
    words = pad_sequence([words for words, _ in messages], batch_first=True, padding_value=PAD)
    tags = pad_sequence([tags for _, tags in messages], batch_first=True, padding_value=PAD)
    return words, tags


class Tagger(nn.Module):
    def __init__(self, embedding_dim=32, hidden_dim=48):
        super().__init__()
        self.embedding = nn.Embedding(WORDS, embedding_dim, padding_idx=PAD)
        self.gru = nn.GRU(embedding_dim, hidden_dim, batch_first=True)
        self.to_tags = nn.Linear(hidden_dim, TAGS)
        nn.init.xavier_uniform_(self.gru.weight_hh_l0)

    def forward(self, words):
        output, _ = self.gru(self.embedding(words))
        return self.to_tags(output)


def train_epoch(model, loader, loss_fn, optimizer):
    model.train()
    for words, tags in loader:
        scores = model(words)
        loss = loss_fn(scores.reshape(-1, TAGS), tags.reshape(-1))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
    return loss.item()


def evaluate(model, loader):
    model.eval()
    right = total = 0
    with torch.no_grad():
        for words, tags in loader:
            real = words != PAD
            right += (model(words).argmax(-1) == tags)[real].sum().item()
            total += real.sum().item()
    return right / total


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=5)
    args = parser.parse_args()
    torch.manual_seed(args.seed)

    first_tag, second_tag = torch.randint(1, TAGS, (2, WORDS))
    train_loader = DataLoader(
        make_messages(1000, first_tag, second_tag), batch_size=64, shuffle=True, collate_fn=collate
    )
    test_loader = DataLoader(
        make_messages(300, first_tag, second_tag), batch_size=64, collate_fn=collate
    )

    model = Tagger()
    loss_fn = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.9)
    for epoch in range(1, args.epochs + 1):
        loss = train_epoch(model, train_loader, loss_fn, optimizer)
        scheduler.step()
        print(f"epoch {epoch}  loss {loss:.3f}")
    print(f"accuracy on words {evaluate(model, test_loader):.3f} (target: at least 0.75)")


if __name__ == "__main__":
    main()
