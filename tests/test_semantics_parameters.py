"""The parameters of layers: what fills, freezes, loads and copies them."""

from __future__ import annotations

import pytest
from programs import analysed, calls, only

from rnnlint.semantics import events, modules, values

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
    "for n, p in model.named_parameters():\n    if 'rnn' in n:\n        p.requires_grad = False",
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
