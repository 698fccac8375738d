"""Recurrent layers: how they are built, and with which options."""

from __future__ import annotations

import pytest
from programs import analysed, calls, only, option_of, the_call

from rnnlint.semantics import events, modules, values

# --- finding layers --------------------------------------------------------

BUILT = {
    "nn.LSTM(8, 16)": "LSTM",
    "torch.nn.LSTM(8, 16)": "LSTM",
    "torch.nn.modules.rnn.GRU(8, 16)": "GRU",
    "nn.RNN(input_size=8, hidden_size=16)": "RNN",
    "nn.LSTMCell(8, 16)": "LSTMCell",
    'getattr(nn, "GRU")(8, 16)': "GRU",
    'getattr(torch.nn, "LS" + "TM")(8, 16)': "LSTM",
    '{"lstm": nn.LSTM, "gru": nn.GRU}["gru"](8, 16)': "GRU",
    "partial(nn.LSTM, 8)(16)": "LSTM",
    "(nn.GRU if True else nn.LSTM)(8, 16)": "GRU",
    'make("GRU", 8, 16)': "GRU",
    "nn.Sequential(nn.Linear(4, 8), nn.LSTM(8, 16))": "LSTM",
    "nn.ModuleList([nn.GRU(8, 16)])": "GRU",
    "nn.ModuleDict({'a': nn.GRU(8, 16)})": "GRU",
    "[nn.GRU(8, 16) for _ in range(3)]": "GRU",
    "nn.DataParallel(nn.LSTM(8, 16))": "LSTM",
    "torch.jit.script(nn.LSTM(8, 16))": "LSTM",
    "nn.utils.weight_norm(nn.LSTM(8, 16), 'weight_hh_l0')": "LSTM",
    "Mine(8, 16)": "LSTM",
}


@pytest.mark.parametrize(("expression", "kind"), BUILT.items())
def test_a_layer_is_found_however_it_is_built(expression: str, kind: str) -> None:
    program = analysed(
        f"""
from functools import partial
def make(kind, *sizes):
    return getattr(nn, kind)(*sizes)
class Mine(nn.LSTM):
    pass
built = {expression}
modules = nn.ModuleList(built) if isinstance(built, list) else built
optimizer = optim.Adam(modules.parameters())
"""
    )
    assert {layer.kind for layer in program.layers} == {kind}
    assert program.recurrent_layers(only(program.optimizers)) == frozenset(program.layers)


@pytest.mark.parametrize(
    "imports",
    [
        "import torch.nn as nn\nnn.LSTM(8, 16)",
        "import torch\ntorch.nn.LSTM(8, 16)",
        "import torch as t\nt.nn.LSTM(8, 16)",
        "from torch.nn import LSTM\nLSTM(8, 16)",
        "from torch.nn import LSTM as Recurrent\nRecurrent(8, 16)",
        "from torch.nn import *\nLSTM(8, 16)",
        "import torch.nn\ntorch.nn.LSTM(8, 16)",
        "from torch import nn as layers\nlayers.LSTM(8, 16)",
        "from torch.nn.modules import LSTM\nLSTM(8, 16)",
        "import torch\nlayer = torch.nn.LSTM\nlayer(8, 16)",
        "try:\n    from torch.nn import LSTM\nexcept ImportError:\n    LSTM = None\nLSTM(8, 16)",
    ],
)
def test_a_layer_is_found_under_any_name(imports: str) -> None:
    program = analysed({"main.py": imports})
    assert only(program.layers).kind == "LSTM"


def test_another_librarys_lstm_is_none_of_torchs() -> None:
    program = analysed({"main.py": "from keras.layers import LSTM\nLSTM(8)\n"})
    assert program.layers == ()


# --- options ---------------------------------------------------------------

OPTIONS = {
    "by keyword": ("nn.LSTM(8, 16, num_layers=2, batch_first=True)", ""),
    "by position": ("nn.LSTM(8, 16, 2, True, True)", ""),
    "from a dict": ("nn.LSTM(8, 16, **config)", "config = dict(num_layers=2, batch_first=True)"),
    "from a literal dict": (
        "nn.LSTM(8, 16, **config)",
        'config = {"num_layers": 2, "batch_first": True}',
    ),
    "from a list": ("nn.LSTM(*sizes, batch_first=True)", "sizes = [8, 16, 2]"),
    "from a subscript": (
        'nn.LSTM(8, 16, config["layers"], batch_first=config["first"])',
        'config = {"layers": 2, "first": True}',
    ),
    "from a module constant": (
        "nn.LSTM(8, 16, layers, batch_first=first)",
        "layers, first = 2, True",
    ),
    "through a function": (
        "build(layers=2)",
        "def build(layers, **more):\n"
        '    return nn.LSTM(8, 16, num_layers=layers, batch_first=more.get("first", True))\n',
    ),
    "from arithmetic": ("nn.LSTM(8, 16, 1 + 1, batch_first=not False)", ""),
    "from a class attribute": (
        "nn.LSTM(8, 16, Config.layers, batch_first=Config.first)",
        "class Config:\n    layers = 2\n    first = True",
    ),
    "from a namespace": (
        "nn.LSTM(8, 16, config.layers, batch_first=True)",
        "from types import SimpleNamespace\nconfig = SimpleNamespace(layers=2)",
    ),
    "from a dataclass": (
        "nn.LSTM(8, 16, config.layers, batch_first=config.first)",
        "from dataclasses import dataclass\n@dataclass\nclass Config:\n    layers: int = 1\n"
        "    first: bool = True\nconfig = Config(layers=2)",
    ),
    "from dict.get": (
        'nn.LSTM(8, 16, config.get("layers", 1), batch_first=config.get("first", True))',
        'config = {"layers": 2}',
    ),
    "from an updated dict": (
        "nn.LSTM(8, 16, **config)",
        'config = {"num_layers": 1}\nconfig.update(num_layers=2, batch_first=True)',
    ),
}


@pytest.mark.parametrize(("expression", "before"), OPTIONS.values(), ids=OPTIONS)
def test_options_are_followed_to_the_layer(expression: str, before: str) -> None:
    program = analysed(f"{before}\nlayer = {expression}\n")
    layer = only(program.layers)
    assert option_of(layer, "num_layers") == 2
    assert option_of(layer, "batch_first") is True


def test_an_argparse_default_is_an_option() -> None:
    program = analysed(
        """
parser = argparse.ArgumentParser()
parser.add_argument("--layers", type=int, default=2)
parser.add_argument("--bidirectional", action="store_true")
args = parser.parse_args()
layer = nn.LSTM(8, 16, args.layers, bidirectional=args.bidirectional)
"""
    )
    layer = only(program.layers)
    assert layer.options["num_layers"] == values.Const(2, option=True)
    assert layer.options["bidirectional"] == values.Const(False, option=True)
    assert values.truth(layer.options["bidirectional"]) is None
    assert values.default_truth(layer.options["bidirectional"]) is False


def test_a_setting_in_capitals_is_an_option() -> None:
    program = analysed(
        "BIDIRECTIONAL = True\nlayer = nn.LSTM(8, 16, bidirectional=BIDIRECTIONAL)\n"
    )
    assert only(program.layers).options["bidirectional"] == values.Const(True, option=True)


def test_an_environment_variable_is_unknown() -> None:
    program = analysed('layer = nn.LSTM(8, 16, batch_first=os.environ["FIRST"])\n')
    assert values.default_truth(only(program.layers).options["batch_first"]) is None


def test_keyword_arguments_that_were_not_seen_make_every_option_unknown() -> None:
    program = analysed("layer = nn.LSTM(8, 16, **unseen)\n")
    layer = only(program.layers)
    assert modules.option(layer, "batch_first") == values.UNKNOWN
    assert modules.option(layer, "bidirectional") == values.UNKNOWN


def test_an_option_that_was_not_given_has_pytorchs_default() -> None:
    layer = only(analysed("layer = nn.LSTM(8, 16)\n").layers)
    assert modules.option(layer, "batch_first") == values.FALSE
    assert modules.option(layer, "num_layers") == values.Const(1)


def test_a_cells_third_argument_is_its_bias() -> None:
    layer = only(analysed("layer = nn.LSTMCell(8, 16, 2)\n").layers)
    assert option_of(layer, "bias") == 2
    assert "num_layers" not in layer.options


def test_the_options_of_a_subclass_reach_the_layer_through_super() -> None:
    program = analysed(
        """
class Encoder(nn.LSTM):
    def __init__(self, size, **options):
        super().__init__(size, 16, batch_first=True, **options)
encoder = Encoder(8, num_layers=3)
out, h = encoder(x)
"""
    )
    layer = only(program.layers)
    assert option_of(layer, "num_layers") == 3
    assert option_of(layer, "batch_first") is True
    assert only(calls(program)).layer is layer


def test_two_instances_of_a_class_have_layers_of_their_own() -> None:
    program = analysed(
        """
class Encoder(nn.Module):
    def __init__(self, bidirectional):
        super().__init__()
        self.rnn = nn.GRU(8, 16, bidirectional=bidirectional)
one, two = Encoder(True), Encoder(False)
"""
    )
    assert [option_of(layer, "bidirectional") for layer in program.layers] == [True, False]


def test_a_module_of_layers_in_a_sequential_runs_them_in_order() -> None:
    program = analysed(
        """
class Last(nn.Module):
    def forward(self, x):
        out, _ = x
        return out
net = nn.Sequential(nn.LSTM(8, 16), Last(), nn.GRU(16, 16))
net(torch.randn(5, 4, 8))
"""
    )
    assert [call.layer.kind for call in calls(program)] == ["LSTM", "GRU"]


def test_layers_in_a_module_list_all_run() -> None:
    program = analysed(
        """
class Stack(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList()
        for size in (8, 16, 32):
            self.layers.append(nn.LSTM(size, size * 2))
    def forward(self, x):
        for layer in self.layers:
            x, _ = layer(x)
        return x
Stack()(torch.randn(5, 4, 8))
"""
    )
    assert len({call.layer for call in program.of(events.LayerCall)}) == 3


def test_layers_registered_by_name_are_found() -> None:
    program = analysed(
        """
class Stack(nn.Module):
    def __init__(self):
        super().__init__()
        for i in range(2):
            setattr(self, f"rnn{i}", nn.LSTM(8, 8))
        self.add_module("last", nn.GRU(8, 8))
    def forward(self, x):
        x, _ = getattr(self, "rnn0")(x)
        x, _ = self.rnn1(x)
        return self.last(x)
Stack()(torch.randn(5, 4, 8))
"""
    )
    assert {call.layer.kind for call in program.of(events.LayerCall)} >= {"GRU"}


@pytest.mark.parametrize(
    ("built", "several"),
    [
        ("[nn.GRUCell(8, 8) for _ in unseen()][0]", True),
        ("nn.ModuleList(nn.GRUCell(8, 8) for _ in range(unseen()))[0]", True),
        ("[nn.GRUCell(8, 8) for _ in range(3)][0]", False),
        ("nn.GRUCell(8, 8)", False),
    ],
)
def test_a_layer_may_stand_for_several(built: str, several: bool) -> None:
    program = analysed(f"cell = {built}\ncell(torch.zeros(4, 8))\n")
    assert modules.is_one_of_several(the_call(program).layer) is several


@pytest.mark.parametrize(
    ("call", "state"),
    [
        ("gru(x)", None),
        ("gru(x, None)", values.NONE),
        ("gru(x, *unseen())", values.UNKNOWN),
        ("gru(x, **unseen())", values.UNKNOWN),
    ],
)
def test_a_state_may_be_among_arguments_that_are_not_seen(call: str, state: object) -> None:
    program = analysed(f"gru = nn.GRU(8, 8)\nx = torch.zeros(5, 4, 8)\n{call}\n")
    assert the_call(program).state == state


def test_a_loop_may_lead_to_a_layer() -> None:
    program = analysed(
        "cell, other = nn.GRUCell(8, 8), nn.GRUCell(8, 8)\nx = torch.zeros(4, 8)\n"
        "for number, one in enumerate([cell]):\n    cell(x)\n    other(x)\n"
    )
    leads = {call.layer: program.leads_to(call.loops[-1][1], call.layer) for call in calls(program)}
    assert sorted(leads.values()) == [False, True]
