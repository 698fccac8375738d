"""Excerpts of sequences: which steps inputs and targets have of one."""

from __future__ import annotations

import pytest
from programs import analysed, only

from rnnlint.semantics import events, values
from rnnlint.semantics.values import Excerpt

LAYER = """
gru = nn.GRU(8, 8, batch_first=True)
"""


def of_loss(text: str) -> tuple[Excerpt | None, Excerpt | None]:
    """The steps of the prediction, and those of the target, of the only loss."""
    loss = only(analysed(LAYER + text).of(events.LossComputed))
    return excerpt(loss.prediction), excerpt(loss.target)


def excerpt(value: values.Value) -> Excerpt | None:
    return value.excerpt if isinstance(value, (values.Tensor, values.UnknownExcerpt)) else None


def follows(text: str) -> bool:
    prediction, target = of_loss(text)
    return prediction is not None and target is not None and prediction.precedes(target)


SHIFTED = {
    "slices": "F.mse_loss(gru(x[:, :-1])[0], x[:, 1:])",
    "slices with ends": "F.mse_loss(gru(x[:, 0:20])[0], x[:, 1:21])",
    "slices from somewhere": "F.mse_loss(gru(x[:, i:i + n])[0], x[:, i + 1:i + n + 1])",
    "the other way round": "F.mse_loss(gru(x[:, i:i + n])[0], x[:, 1 + i:1 + i + n])",
    "a slice of a slice": "x = x[:, k:]\nF.mse_loss(gru(x[:, :-1])[0], x[:, 1:])",
    "an attribute": "F.mse_loss(gru(batch.x[:, :-1])[0], batch.x[:, 1:])",
    "an entry": "F.mse_loss(gru(batch['x'][:, :-1])[0], batch['x'][:, 1:])",
    "features": "F.mse_loss(gru(x[:, :-1])[0], x[:, 1:, :8])",
    "moved": "F.mse_loss(gru(x[:, :-1].cuda())[0].relu(), x[:, 1:].float().cuda())",
    "flat": "F.mse_loss(gru(x[:, :-1])[0].reshape(-1), x[:, 1:].contiguous().view(-1))",
    "transposed": "x = x.transpose(0, 1)\n"
    "F.mse_loss(gru(x[:-1].transpose(0, 1))[0], x[1:].transpose(0, 1))",
    "all of it": "F.mse_loss(gru(x)[0][:, :-1], x[:, 1:])",
    "all of it, filled up": "F.mse_loss(gru(x)[0], torch.cat([x[:, 1:], end], dim=1))",
    "later steps of both": "F.mse_loss(gru(x[:, :-1])[0][:, 5:], x[:, 1:][:, 5:])",
    "written": "y = torch.zeros_like(x)\ny[:, :-1] = x[:, 1:]\ny[:, -1] = x[:, 0]\n"
    "F.mse_loss(gru(x)[0], y)",
    "stacked": "xs = torch.stack([row[:-1] for row in rows])\n"
    "ys = torch.stack([row[1:] for row in rows])\nF.mse_loss(gru(xs)[0], ys)",
    "padded": "xs = pad_sequence([row[:-1] for row in rows], batch_first=True)\n"
    "ys = pad_sequence([row[1:] for row in rows], batch_first=True)\nF.mse_loss(gru(xs)[0], ys)",
    "one by one": "xs, ys = [], []\nfor row in rows:\n"
    "    xs.append(row[:-1])\n    ys.append(row[1:])\n"
    "F.mse_loss(gru(torch.tensor(xs))[0], torch.tensor(ys))",
    "packed": "packed = pack_padded_sequence(x[:, :-1], lengths, batch_first=True)\n"
    "out = pad_packed_sequence(gru(packed)[0], batch_first=True)[0]\nF.mse_loss(out, x[:, 1:])",
}
OTHERS = {
    "the same steps": "F.mse_loss(gru(x[:, :-1])[0], x[:, :-1])",
    "two steps later": "F.mse_loss(gru(x[:, :-2])[0], x[:, 2:])",
    "a step earlier": "F.mse_loss(gru(x[:, 1:])[0], x[:, :-1])",
    "another sequence": "F.mse_loss(gru(x[:, :-1])[0], y[:, 1:])",
    "a sequence of the same name": "a = x[:, :-1]\nx = more\nF.mse_loss(gru(a)[0], x[:, 1:])",
    "another beginning": "a = x[:, i:i + n]\ni = other\n"
    "F.mse_loss(gru(a)[0], x[:, i + 1:i + n + 1])",
    "another row": "F.mse_loss(gru(x[i, :, :-1])[0], x[j, :, 1:])",
    "other rows": "F.mse_loss(gru(x[:-1])[0], x[1:])",
    "one step of both": "F.mse_loss(gru(x[:, 0:1])[0], x[:, 1:2])",
    "every other step": "F.mse_loss(gru(x[:, ::2])[0], x[:, 1::2])",
    "the last step": "F.mse_loss(gru(x[:, :-1])[0][:, -1], x[:, 1:])",
    "a mean": "F.mse_loss(gru(x[:, :-1])[0].mean(1), x[:, 1:])",
    "half of the features": "F.mse_loss(gru(x[:, :-1])[0][:, :, :4], x[:, 1:, :4])",
    "backwards": "F.mse_loss(gru(x[:, :-1])[0], x[:, 1:].flip(1))",
    "the state": "F.mse_loss(gru(x[:, :-1])[1], x[:, 1:])",
    "the difference": "F.mse_loss(gru(x[:, :-1])[0], x[:, 1:] - x[:, :-1])",
    "loops of the same name": "a = [row[:-1] for row in rows]\nb = [row[1:] for row in others]\n"
    "F.mse_loss(gru(torch.stack(a))[0], torch.stack(b))",
}


@pytest.mark.parametrize("how", SHIFTED)
def test_a_target_has_the_steps_that_follow(how: str) -> None:
    assert follows(SHIFTED[how])


@pytest.mark.parametrize("how", OTHERS)
def test_a_target_has_other_steps(how: str) -> None:
    assert not follows(OTHERS[how])


def test_a_dataset_returns_both() -> None:
    assert follows(
        """
class Windows(Dataset):
    def __getitem__(self, i):
        x = torch.tensor(self.data[i:i + 9])
        y = torch.tensor(self.data[i + 1:i + 10])
        return x, y
for x, y in DataLoader(Windows(), 4):
    F.mse_loss(gru(x)[0], y)
    break
"""
    )


def test_a_dataset_shifts_what_it_returns() -> None:
    assert follows(
        """
class Windows(Dataset):
    def __getitem__(self, i):
        x = self.data[i]
        y = np.zeros_like(x)
        y[:-1], y[-1] = x[1:], x[0]
        return x, y
for x, y in DataLoader(Windows(), 4):
    F.mse_loss(gru(x)[0], y)
    break
"""
    )


def test_what_comes_from_other_calls_of_a_function_is_something_else() -> None:
    assert not follows(
        """
def first(x):
    return x[:, :-1]
def second(x):
    return x[:, 1:]
F.mse_loss(gru(first(a))[0], second(b))
"""
    )
