"""Repairs of training loops, in the loops that people write."""

from __future__ import annotations

from pathlib import Path

import pytest
from repaired import repaired

HEAD = """\
import torch
from torch import nn

net = nn.GRU(4, 4)
optimizer = torch.optim.Adam(net.parameters())
"""
STEP = """\
{indent}optimizer.zero_grad()
{indent}loss = net(torch.randn(9, 2, 4))[0].pow(2).mean()
{indent}loss.backward()
{indent}optimizer.step()
"""


def repaired_text(folder: Path, program: str, rule: str) -> str:
    """The program as the repair of a rule leaves it."""
    (folder / "main.py").write_text(program, encoding="utf-8")
    result = repaired(folder, inline_config=(f'select = ["{rule}"]',))
    assert not result.withheld
    return result.texts.get("main.py", program)


@pytest.mark.parametrize(
    ("before", "loop", "milestone"),
    [
        ("", "for _ in range(100):", "75"),
        ("n = 70", "for epoch in range(1, n + 1):", "n * 3 // 4 or 1"),
        ("n = 70", "for epoch in range(n, 2 * n):", "(2 * n - n) * 3 // 4 or 1"),
        ("n, start = 70, 2", "for epoch in range(start, n + 1):", "(n - start + 1) * 3 // 4 or 1"),
        ("n = 70", "for epoch in range(0, n):", "n * 3 // 4 or 1"),
        ("n, done = 70, 2", "for epoch in range(done + 1, done + n + 1):", "n * 3 // 4 or 1"),
        ("", "for epoch in range(10, 110):", "75"),
        ("n = 70", "for epoch in range(0, n, 2):", "len(range(0, n, 2)) * 3 // 4 or 1"),
        ("import tqdm\nn = 70", "for epoch in tqdm.trange(n, desc='epochs'):", "n * 3 // 4 or 1"),
        (
            "from tqdm import tqdm\nn = 70",
            "for _, _ in enumerate(tqdm(range(n))):",
            "n * 3 // 4 or 1",
        ),
        ("epochs = range(3, 43)", "for epoch in epochs:", "30"),
        ("to = {'end': 70}", "for _ in range(to['end']):", "to['end'] * 3 // 4 or 1"),
        ("data = [1, 2]", "for _ in range(len(data) * 5):", "(len(data) * 5) * 3 // 4 or 1"),
    ],
)
def test_a_schedule_takes_as_long_as_the_loop(
    tmp_path: Path, before: str, loop: str, milestone: str
) -> None:
    program = f"{HEAD}{before}\n{loop}\n{STEP.format(indent='    ')}"
    text = repaired_text(tmp_path, program, "RNN301")
    assert f"MultiStepLR(optimizer, milestones=[{milestone}])\n" in text
    assert text.endswith("    optimizer.step()\n    scheduler.step()\n")


@pytest.mark.parametrize(
    ("before", "loop"),
    [
        ("import itertools", "for _ in itertools.count():"),
        ("EPOCHS = 1", "for _ in range(EPOCHS):"),
        ("EPOCHS = 4", "for _ in range(EPOCHS):"),
        ("def ask():\n    return int(input())", "for _ in range(ask()):"),
        ("loss = torch.ones(1)", "while loss.item() > 0.1:"),
        ("names = open('names')", "for name in names:"),
    ],
)
def test_no_schedule_is_made_up_for_a_loop_of_unknown_or_little_length(
    tmp_path: Path, before: str, loop: str
) -> None:
    program = f"{HEAD}{before}\n{loop}\n{STEP.format(indent='    ')}"
    assert repaired_text(tmp_path, program, "RNN301") == program


@pytest.mark.parametrize("counted", [False, True])
def test_a_plateau_watches_no_loss_that_is_never_counted(tmp_path: Path, counted: bool) -> None:
    step = STEP.format(indent="        ")
    program = (
        f"{HEAD}scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)\n"
        f"for _ in range(100):\n    epoch_loss = 0\n    for _ in range(10):\n{step}"
        + ("        epoch_loss += loss.item()\n" if counted else "")
    )
    end = "    scheduler.step(epoch_loss)\n" if counted else ""
    assert repaired_text(tmp_path, program, "RNN302") == program + end


def test_a_count_that_decides_when_to_step_makes_no_schedule(tmp_path: Path) -> None:
    program = (
        f"{HEAD}for turn in range(100):\n"
        "    net(torch.randn(9, 2, 4))[0].pow(2).mean().backward()\n"
        "    if turn % 4 == 0:\n"
        "        optimizer.step()\n"
        "        optimizer.zero_grad()\n"
    )
    assert repaired_text(tmp_path, program, "RNN301") == program


def test_what_names_an_epoch_is_bound_before_the_schedule(tmp_path: Path) -> None:
    program = f"{HEAD}epochs = 70\nfor _ in range(epochs):\n{STEP.format(indent='    ')}"
    text = repaired_text(tmp_path, program, "RNN301")
    assert text.index("epochs = 70") < text.index("scheduler = ")


@pytest.mark.parametrize(
    ("written", "clipped"),
    [
        (
            "    loss.backward(); optimizer.step()\n",
            "    loss.backward(); {clip}; optimizer.step()\n",
        ),
        (
            "    loss.backward(\n    )  # all of it\n    # and now\n    optimizer.step()\n",
            "    loss.backward(\n    )  # all of it\n    {clip}\n    # and now\n"
            "    optimizer.step()\n",
        ),
        (
            "    with torch.enable_grad():\n        loss.backward()\n\n    optimizer.step()\n",
            "    with torch.enable_grad():\n        loss.backward()\n\n    {clip}\n"
            "    optimizer.step()\n",
        ),
        (
            "    if loss > 0: loss.backward()\n    if loss > 0: optimizer.step()\n",
            "    if loss > 0: loss.backward()\n    if loss > 0: {clip}; optimizer.step()\n",
        ),
    ],
)
def test_a_clip_lands_between_backward_and_step(tmp_path: Path, written: str, clipped: str) -> None:
    start = (
        f"{HEAD}for _ in range(100):\n    optimizer.zero_grad()\n"
        "    loss = net(torch.randn(9, 2, 4))[0].pow(2).mean()\n"
    )
    text = repaired_text(tmp_path, start + written, "RNN201")
    clip = "nn.utils.clip_grad_norm_(net.parameters(), max_norm=1.0)"
    assert text == start + clipped.replace("{clip}", clip)


def test_sparse_gradients_are_not_clipped(tmp_path: Path) -> None:
    program = (
        "import torch\nfrom torch import nn\n\n"
        "net = nn.ModuleList([nn.Embedding(9, 4, sparse=True), nn.GRU(4, 4)])\n"
        "optimizer = torch.optim.SGD(net.parameters(), lr=0.1)\n"
        "for _ in range(100):\n    optimizer.zero_grad()\n"
        "    net[1](net[0](torch.randint(9, (5, 2))))[0].pow(2).mean().backward()\n"
        "    optimizer.step()\n"
    )
    assert repaired_text(tmp_path, program, "RNN201") == program


LIGHTNING = """\
import pytorch_lightning as pl
import torch
from torch import nn
from torch.optim.lr_scheduler import ReduceLROnPlateau


class Lit(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(3, 8, batch_first=True)

    def training_step(self, batch, batch_idx):
        loss = self.rnn(batch)[0].pow(2).mean()
        self.log("train_loss", loss)
        return loss

    def configure_optimizers(self):
        optimizer = torch.optim.Adam(self.parameters())
        {built}
        return {returned}


pl.Trainer(max_epochs=10).fit(Lit(), [torch.randn(4, 7, 3)])
"""
NAMED = "scheduler = ReduceLROnPlateau(optimizer)"
TOLD = '{"scheduler": %s, "monitor": "train_loss"}'


@pytest.mark.parametrize(
    ("built", "returned", "repaired"),
    [
        (NAMED, "[optimizer], [scheduler]", f"[optimizer], [{TOLD % 'scheduler'}]"),
        (
            "self.scheduler = ReduceLROnPlateau(optimizer)",
            "[optimizer], [self.scheduler]",
            f"[optimizer], [{TOLD % 'self.scheduler'}]",
        ),
        (
            "pass",
            '{"optimizer": optimizer, "lr_scheduler": ReduceLROnPlateau(optimizer)}',
            f'{{"optimizer": optimizer, "lr_scheduler": {TOLD % "ReduceLROnPlateau(optimizer)"}}}',
        ),
        (NAMED, '[optimizer], [{"scheduler": scheduler}]', f"[optimizer], [{TOLD % 'scheduler'}]"),
        # The name is that of a dictionary already.
        ('plan = {"scheduler": ReduceLROnPlateau(optimizer)}', "[optimizer], [plan]", None),
    ],
)
def test_lightning_is_told_what_to_watch(
    tmp_path: Path, built: str, returned: str, repaired: str | None
) -> None:
    program = LIGHTNING.format(built=built, returned=returned)
    expected = LIGHTNING.format(built=built, returned=repaired or returned)
    assert repaired_text(tmp_path, program, "RNN304") == expected
