"""Recurrent layers: how they are built, their options, their parameters, and what fills those."""

from __future__ import annotations

import pytest
from programs import analysed, calls, only, option_of
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


# --- parameters ------------------------------------------------------------

MODEL = """
class Model(nn.Module):
    def __init__(self, layers=1, both=False):
        super().__init__()
        self.embedding = nn.Embedding(100, 8, padding_idx=0)
        self.rnn = nn.LSTM(8, 16, layers, bidirectional=both)
        self.head = nn.Linear(16, 2)
    def forward(self, x):
        out, (h, c) = self.rnn(self.embedding(x))
        return self.head(h[-1])
model = Model()
"""


def filled(code: str, model: str = MODEL) -> list[tuple[str, str]]:
    """(layer.parameter, how) of each parameter that `code` overwrites, in order."""
    program = analysed(model + code)
    return [
        (f"{init.parameter.layer.kind}.{init.parameter.name}", init.how)
        for init in program.of(events.Init)
    ]


ALL = [
    "Embedding.weight",
    "LSTM.weight_ih_l0",
    "LSTM.weight_hh_l0",
    "LSTM.bias_ih_l0",
    "LSTM.bias_hh_l0",
    "Linear.weight",
    "Linear.bias",
]


@pytest.mark.parametrize(
    "loop",
    [
        "for p in model.parameters():\n    nn.init.uniform_(p, -0.1, 0.1)",
        "for p in model.parameters():\n    p.data.uniform_(-0.1, 0.1)",
        "for name, p in model.named_parameters():\n    nn.init.uniform_(p.data)",
        "for name, p in model.state_dict().items():\n    nn.init.uniform_(p)",
        "[nn.init.uniform_(p) for p in model.parameters()]",
        "with torch.no_grad():\n    for p in list(model.parameters()):\n        p.uniform_()",
    ],
)
def test_a_loop_over_all_parameters_fills_each(loop: str) -> None:
    assert filled(loop) == [(name, "uniform") for name in ALL]


def test_a_test_on_the_name_chooses_parameters() -> None:
    found = filled(
        """
for name, p in model.named_parameters():
    if "weight_hh" in name:
        nn.init.orthogonal_(p)
    elif "rnn" in name and name.endswith("bias_ih_l0"):
        nn.init.constant_(p, 1.0)
    elif name.startswith("rnn.weight"):
        nn.init.xavier_uniform_(p)
"""
    )
    assert found == [
        ("LSTM.weight_ih_l0", "xavier_uniform"),
        ("LSTM.weight_hh_l0", "orthogonal"),
        ("LSTM.bias_ih_l0", "constant"),
    ]


@pytest.mark.parametrize("test", ["p.dim() > 1", "len(p.shape) > 1", "p.ndim >= 2", "p.dim() != 1"])
def test_a_test_on_the_rank_chooses_parameters(test: str) -> None:
    found = filled(
        f"""
for p in model.parameters():
    if {test}:
        nn.init.xavier_uniform_(p)
"""
    )
    assert [name for name, _ in found] == [name for name in ALL if "weight" in name]


def test_names_follow_layers_and_directions() -> None:
    found = filled(
        """
for name, p in Model(2, True).rnn.named_parameters():
    if name.startswith("weight_hh"):
        nn.init.orthogonal_(p)
"""
    )
    assert [name.split(".")[1] for name, _ in found] == [
        "weight_hh_l0",
        "weight_hh_l0_reverse",
        "weight_hh_l1",
        "weight_hh_l1_reverse",
    ]


def test_apply_hands_every_module_to_a_function() -> None:
    found = filled(
        """
def init(m):
    if isinstance(m, nn.Linear):
        nn.init.xavier_uniform_(m.weight)
        m.bias.data.fill_(0)
    elif type(m) == nn.LSTM:
        for name, p in m.named_parameters():
            if "weight" in name:
                nn.init.orthogonal_(p)
model.apply(init)
"""
    )
    assert found == [
        ("LSTM.weight_ih_l0", "orthogonal"),
        ("LSTM.weight_hh_l0", "orthogonal"),
        ("Linear.weight", "xavier_uniform"),
        ("Linear.bias", "fill"),
    ]


@pytest.mark.parametrize(
    "loop",
    [
        "for m in model.modules():",
        "for name, m in model.named_modules():",
        "for m in model.children():",
        "for name, m in model.named_children():",
    ],
)
def test_a_loop_over_modules_meets_the_recurrent_layer(loop: str) -> None:
    found = filled(
        f"{loop}\n    if isinstance(m, (nn.LSTM, nn.GRU)):\n"
        "        nn.init.orthogonal_(m.weight_hh_l0)\n"
    )
    assert found == [("LSTM.weight_hh_l0", "orthogonal")]


def test_a_class_may_initialise_itself() -> None:
    found = filled(
        "",
        """
class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.GRU(8, 16)
        self.init_weights()
    def init_weights(self):
        for weight in self.rnn.all_weights[0]:
            weight.data.normal_(0, 0.1)
Model()
""",
    )
    assert len(found) == 4
    assert {how for _, how in found} == {"normal"}


def test_a_subclass_may_override_reset_parameters() -> None:
    found = filled(
        "",
        """
class Mine(nn.LSTM):
    def reset_parameters(self):
        for p in self.parameters():
            nn.init.orthogonal_(p)
Mine(8, 16)
""",
    )
    assert {how for _, how in found} == {"orthogonal"}


GATES = [
    ("bias[n // 4 : n // 2]", "forget"),
    ("bias[16:32]", "forget"),
    ("bias[model.rnn.hidden_size : 2 * model.rnn.hidden_size]", "forget"),
    ("bias[: n // 4]", "input"),
    ("bias[:]", ""),
    ("bias.chunk(4)[1]", "forget"),
    ("bias[n // 2 : 3 * n // 4]", "slice"),
]


@pytest.mark.parametrize(("target", "part"), GATES)
def test_a_slice_of_the_bias_is_a_gate(target: str, part: str) -> None:
    program = analysed(
        MODEL
        + f"""
bias = model.rnn.bias_ih_l0.data
n = bias.size(0)
{target}.fill_(1.0)
"""
    )
    init = only(program.of(events.Init))
    assert init.parameter.part == part
    assert init.value == values.Const(1.0)


def test_assigning_to_a_slice_fills_it() -> None:
    found = filled("n = 16\nmodel.rnn.bias_hh_l0.data[n:2 * n] = 1.0\n")
    assert found == [("LSTM.bias_hh_l0", "assign")]


def test_what_a_switch_turns_off_does_not_count_as_initialised() -> None:
    program = analysed(
        MODEL
        + """
orthogonal = False
if 1 > 2:
    nn.init.orthogonal_(model.rnn.weight_hh_l0)
"""
    )
    assert program.of(events.Init) == ()
    assert len(program.inits_of(only(program.layers))) == 1


# --- freezing, loading, copying --------------------------------------------

FREEZING = [
    "model.requires_grad_(False)",
    "model.rnn.requires_grad_(False)",
    "for p in model.parameters():\n    p.requires_grad = False",
    "for p in model.rnn.parameters():\n    p.requires_grad_(False)",
    'for name, p in model.named_parameters():\n    if "rnn" in name:\n        p.requires_grad = False',
]


@pytest.mark.parametrize("code", FREEZING)
def test_a_frozen_layer_is_not_trained(code: str) -> None:
    program = analysed(MODEL + code)
    layer = only(program.layers)
    assert modules.is_frozen(layer)
    assert program.recurrent_layers(layer) == frozenset()


@pytest.mark.parametrize(
    "code",
    [
        "for p in model.head.parameters():\n    p.requires_grad = False",
        "model.requires_grad_(False)\nmodel.requires_grad_(True)",
        "model.eval()",
    ],
)
def test_a_layer_that_is_not_frozen_may_be_trained(code: str) -> None:
    program = analysed(MODEL + code)
    layer = only(program.layers)
    assert program.recurrent_layers(layer) == frozenset({layer})


def test_loading_a_checkpoint_names_its_layers() -> None:
    program = analysed(MODEL + 'model.load_state_dict(torch.load("model.pt"))\n')
    load = only(program.of(events.Load))
    assert only(program.layers) in load.layers


def test_a_deep_copy_has_layers_of_its_own() -> None:
    program = analysed(
        MODEL
        + """
target = copy.deepcopy(model)
for p in target.parameters():
    p.requires_grad = False
target(x)
model(x)
"""
    )
    one, two = (call.layer for call in calls(program))
    assert one is not two
    assert one.place == two.place
    assert {modules.is_frozen(one), modules.is_frozen(two)} == {True, False}


def test_a_wrapped_model_leads_to_its_layers() -> None:
    program = analysed(
        MODEL
        + """
model = nn.DataParallel(model).cuda()
model = torch.compile(model)
optimizer = optim.Adam(model.module.parameters())
model(x)
"""
    )
    optimizer = only(program.optimizers)
    assert program.recurrent_layers(optimizer) == frozenset(program.layers)
    assert len(calls(program)) == 1
