"""What is certain, what is open: a program whose layer is called shows that its code is live."""

from __future__ import annotations

import time

import pytest
from programs import IMPORTS, analysed, calls, only, the_input

from rnnlint.semantics import events, values

LAYER = "layer = nn.LSTM(8, 16)\n"

LIVE = {
    "a module that a branch imported first": {
        "main.py": "import sys\nif len(sys.argv) > 1:\n    from model import run as test\n"
        "from model import run\nrun(sys.argv)\n",
        "model.py": f"{IMPORTS}{LAYER}def run(x):\n    layer(x)\n",
    },
    "a list that one of two arms extended": f"{LAYER}found = []\nif unseen():\n"
    "    for t in unseen():\n        found.append(t)\nif len(found) > 0:\n    layer(x)\n",
    "numbers that are no sizes": f"{LAYER}x = torch.randint(0, 100, (32, 20))\n"
    "if x.size(0) > 0:\n    layer(x)\n",
    "a dict with defaults": f"{LAYER}import collections\nd = collections.defaultdict(list)\n"
    "d[key].append(1)\nif len(d) > 0:\n    layer(x)\n",
    "an update with what nobody knows": f"{LAYER}d = {{'on': False}}\nd.update(unseen())\n"
    "if d['on']:\n    layer(x)\n",
    "an entry under a key that nobody knows": f"{LAYER}d = {{'on': False}}\nd[unseen()] = True\n"
    "if d['on']:\n    layer(x)\n",
    "unpacked keywords that nobody knows": f"{LAYER}d = {{'on': False, **unseen()}}\n"
    "if d['on']:\n    layer(x)\n",
    "a library's attribute that may be None": f"{LAYER}import wandb\nif wandb.run is None:\n"
    "    layer(x)\n",
    "a main test that is turned around": f'{LAYER}if "__main__" == __name__:\n    layer(x)\n',
    "what is run where the file is imported": f'{LAYER}if __name__ == "__main__":\n    pass\n'
    "else:\n    layer(x)\n",
    "a while loop's else": f"{LAYER}n = 0\nwhile n < 3:\n    n += 1\nelse:\n    layer(x)\n",
    "a counter that passes a threshold": f"{LAYER}n = 0\nfor _ in unseen():\n    n = n + 1\n"
    "    if n > 100:\n        layer(x)\n",
    "a counter of an object": f"{LAYER}class Agent:\n    steps = 0\n    def act(self, x):\n"
    "        self.steps += 1\n        if self.steps > 100:\n            layer(x)\n"
    "agent = Agent()\nfor _ in unseen():\n    agent.act(x)\n",
    "a property with a setter": f"{LAYER}class Box:\n    @property\n    def rnn(self):\n"
    "        return layer\n    @rnn.setter\n    def rnn(self, value):\n        pass\n"
    "Box().rnn(x)\n",
    "an attribute that the nearer base has": f"{LAYER}class A:\n    run = None\n"
    "class B(A):\n    pass\nclass C(A):\n    def run(self, x):\n        layer(x)\n"
    "class D(B, C):\n    pass\nD().run(x)\n",
    "a star that another file hands on": {
        "main.py": "from common import *\nlayer = LSTM(8, 16)\nlayer(torch.randn(1, 2, 8))\n",
        "common.py": "import torch\nfrom torch.nn import *\n",
    },
    "layers of a comprehension in Sequential": "model = nn.Sequential("
    "*[nn.LSTM(8, 8) for _ in range(n)])\nmodel(x)\n",
    "a layer that is put into a container": "model = nn.Sequential()\nmodel.rnn = nn.LSTM(8, 8)\n"
    "model(x)\n",
    "a name that eval looks up": f'{LAYER}eval("layer")(x)\n',
    "a class that a package re-exports": {
        "main.py": "import nets\nmodel = getattr(nets, unseen())()\nmodel(1)\n",
        "nets/__init__.py": "from nets.lstm import Net\n",
        "nets/lstm.py": f"{IMPORTS}class Net(nn.Module):\n    def __init__(self):\n"
        "        super().__init__()\n        self.rnn = nn.LSTM(8, 16)\n"
        "    def forward(self, x):\n        return self.rnn(x)\n",
    },
}  # fmt: skip


@pytest.mark.parametrize("program", LIVE.values(), ids=LIVE)
def test_code_that_may_run_is_live(program: str | dict[str, str]) -> None:
    assert calls(analysed(program))


def test_a_class_that_is_built_in_a_dead_branch_has_no_instance_from_there() -> None:
    program = analysed(
        """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(8, 16)
    def forward(self, x):
        return self.rnn(x)
if 1 > 2:
    net = Net()
"""
    )
    assert calls(program)


def test_what_a_turn_changes_in_a_batch_is_not_changed_back_in_the_next() -> None:
    program = analysed(
        """
layer = nn.LSTM(8, 16)
def collate(rows):
    return {"x": pad_sequence(rows, batch_first=True)}
for batch in DataLoader(rows(), collate_fn=collate):
    batch["x"] = batch["x"].transpose(0, 1)
    layer(batch["x"])
"""
    )
    assert {call.input.batch_axis for call in program.of(events.LayerCall)} == {1}


def test_a_step_whose_result_is_unpacked_is_an_environments() -> None:
    program = analysed(
        "def act(o):\n    a, b, c = unseen(o)\n    return a\n"
        "obs, reward, done, info = env.step(act(obs))\n"
    )
    assert program.of(events.OptimizerEvent) == ()


def test_calls_are_told_apart_by_constants_under_keywords() -> None:
    program = analysed(
        "def make(batch_first=False):\n    return nn.LSTM(8, 16, batch_first=batch_first)\n"
        + "make(batch_first=False)\n" * 5
        + "make(batch_first=True)(x)\n"
    )
    assert only(calls(program)).layer.options["batch_first"] == values.TRUE


def test_a_loop_in_a_training_step_leaves_its_turns_alone() -> None:
    program = analysed(
        """
import pytorch_lightning as pl
class Net(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(8, 16)
        self.state = None
    def training_step(self, batch, number):
        for name in unseen():
            print(name)
        out, self.state = self.rnn(batch, self.state)
        return out.mean()
    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters())
    def train_dataloader(self):
        return DataLoader(unseen())
"""
    )
    loops = {call.loops[0][1] for call in program.of(events.LayerCall)}
    assert len(loops) == 1


def test_a_loader_without_a_sampler_and_one_sample_has_no_padding() -> None:
    program = analysed(
        """
layer = nn.LSTM(8, 16)
def collate(rows):
    return pad_sequence(rows)
for x in DataLoader(rows(), batch_size=1, sampler=None, collate_fn=collate):
    layer(x)
"""
    )
    assert the_input(program).padding is None


def test_a_new_axis_of_numpy_moves_the_batch() -> None:
    program = analysed(
        "layer = nn.LSTM(8, 16)\nfor x in DataLoader(TensorDataset(torch.randn(9, 5, 8))):\n"
        "    layer(x[0][np.newaxis])\n"
    )
    assert the_input(program).batch_axis == 1


ENDLESS = {
    "lists of lists": "a0 = [1]\n"
    + "".join(f"a{i} = [a{i - 1}, a{i - 1}]\n" for i in range(1, 26))
    + "import foo\nfoo.Optimizer(a25)\n",
    "settings of settings": "A0 = [1]\n"
    + "".join(f"A{i} = [A{i - 1}, A{i - 1}]\n" for i in range(1, 26)),
    "an axis beyond all others": "rows = torch.zeros(3, 4)\n"
    "rows.narrow(900000000, 0, 5).copy_(torch.ones(5))\n",
    "a width within a width": "'{:{}}'.format('x', 20000000000)\n",
    "a character that is none": "'{:c}'.format(99999999)\n",
    "a cast by keywords": "import typing\ntyping.cast(typ=int, val=x)\n",
    "a chain of callers": "def f0():\n    nn.LSTM(1, 1)\n"
    + "".join(f"def f{i}():\n    f{i - 1}()\n" for i in range(1, 1500)),
    "a ladder of bases": "class A0: pass\nclass B0: pass\n"
    + "".join(
        f"class A{i}(A{i - 1}, B{i - 1}): pass\nclass B{i}(A{i - 1}, B{i - 1}): pass\n"
        for i in range(1, 20)
    ),
}


@pytest.mark.parametrize("program", ENDLESS.values(), ids=ENDLESS)
def test_nothing_takes_forever_or_fails(program: str) -> None:
    begun = time.process_time()
    assert analysed(program + "layer = nn.LSTM(8, 16)\nlayer(x)\n").failures == ()
    assert time.process_time() - begun < 20


def test_a_tensor_is_what_it_became_in_place() -> None:
    program = analysed(
        "layer = nn.LSTM(8, 16)\ndef collate(rows):\n"
        "    return pad_sequence(rows, batch_first=True)\n"
        "for x in DataLoader(rows(), collate_fn=collate):\n    x.transpose_(0, 1)\n    layer(x)\n"
    )
    assert the_input(program).batch_axis == 1
