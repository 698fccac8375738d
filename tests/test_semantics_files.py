"""Projects of several files: who imports what, and under which name."""

from __future__ import annotations

import pytest
from programs import analysed, happenings, only, option_of, the_call

from rnnlint.semantics import events, values

MODEL = """
from torch import nn
class Model(nn.Module):
    def __init__(self, hidden=16):
        super().__init__()
        self.rnn = nn.LSTM(8, hidden)
    def forward(self, x):
        return self.rnn(x)
"""
LAYOUTS = {
    "from a file": {"model.py": MODEL, "train.py": "from model import Model\nModel(32)(x)\n"},
    "from a file, renamed": {
        "model.py": MODEL,
        "train.py": "from model import Model as Net\nNet(32)(x)\n",
    },
    "through its module": {"model.py": MODEL, "train.py": "import model\nmodel.Model(32)(x)\n"},
    "through a renamed module": {
        "model.py": MODEL,
        "train.py": "import model as m\nm.Model(32)(x)\n",
    },
    "by a star": {"model.py": MODEL, "train.py": "from model import *\nModel(32)(x)\n"},
    "from a package": {
        "net/__init__.py": "",
        "net/model.py": MODEL,
        "train.py": "from net.model import Model\nModel(32)(x)\n",
    },
    "from a package that exports it": {
        "net/__init__.py": "from .model import Model\n",
        "net/model.py": MODEL,
        "train.py": "from net import Model\nModel(32)(x)\n",
    },
    "from a package that exports all": {
        "net/__init__.py": "from .model import *\n",
        "net/model.py": MODEL,
        "train.py": "import net\nnet.Model(32)(x)\n",
    },
    "from a folder without an init": {
        "net/model.py": MODEL,
        "train.py": "from net.model import Model\nModel(32)(x)\n",
    },
    "as a submodule": {
        "net/__init__.py": "",
        "net/model.py": MODEL,
        "train.py": "from net import model\nmodel.Model(32)(x)\n",
    },
    "by its dotted name": {
        "net/__init__.py": "",
        "net/model.py": MODEL,
        "train.py": "import net.model\nnet.model.Model(32)(x)\n",
    },
    "from a sibling": {
        "net/__init__.py": "",
        "net/model.py": MODEL,
        "net/train.py": "from .model import Model\nModel(32)(x)\n",
    },
    "from a folder above": {
        "net/__init__.py": "",
        "net/model.py": MODEL,
        "net/run/__init__.py": "",
        "net/run/train.py": "from ..model import Model\nModel(32)(x)\n",
    },
    "inside a function": {
        "model.py": MODEL,
        "train.py": "def main():\n    from model import Model\n    Model(32)(x)\nmain()\n",
    },
    "from a src layout": {
        "src/net/__init__.py": "",
        "src/net/model.py": MODEL,
        "train.py": "from net.model import Model\nModel(32)(x)\n",
    },
    "in a cycle": {
        "model.py": "import train\n" + MODEL,
        "train.py": "import model\ndef main():\n    model.Model(32)(x)\n"
        'if __name__ == "__main__":\n    main()\n',
    },
    "from a folder of scripts": {
        "code/model.py": MODEL,
        "code/train.py": "from model import Model\nModel(32)(x)\n",
    },
}


@pytest.mark.parametrize("files", LAYOUTS.values(), ids=LAYOUTS)
def test_a_model_of_another_file_is_found(files: dict[str, str]) -> None:
    program = analysed(files)
    called = the_call(program)
    assert option_of(called.layer, "hidden_size") == 32
    assert called.place.path.endswith("model.py")
    assert called.layer.place is not None
    assert called.layer.place.path.endswith("model.py")


def test_a_star_import_shares_settings() -> None:
    program = analysed(
        {
            "config.py": "hidden = 64\nlayers = 2\n",
            "train.py": "from config import *\nfrom torch import nn\nnn.LSTM(8, hidden, layers)\n",
        }
    )
    layer = only(program.layers)
    assert option_of(layer, "hidden_size") == 64
    assert option_of(layer, "num_layers") == 2


def test_a_file_that_is_not_there_is_unknown() -> None:
    program = analysed(
        {
            "train.py": "from torch import nn\nfrom .missing import build, size\n"
            "layer = build()\nlayer(x)\nnn.LSTM(8, size)\n"
        }
    )
    assert program.of(events.LayerCall) == ()
    assert only(program.layers).options["hidden_size"] == values.UNKNOWN


def test_each_module_runs_once() -> None:
    program = analysed(
        {
            "model.py": "from torch import nn\nlayer = nn.LSTM(8, 16)\n",
            "one.py": "from model import layer\n",
            "two.py": "import model\n",
        }
    )
    assert len(program.layers) == 1


def test_the_same_project_always_gives_the_same_events() -> None:
    files = LAYOUTS["in a cycle"]
    names = [
        [(type(event).__name__, event.place) for event in analysed(files).events] for _ in range(2)
    ]
    assert names[0] == names[1]
    assert happenings(analysed(files)) == ["forward"]
