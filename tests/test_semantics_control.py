"""Branches and loops: what happens, what may happen, and what one turn hands to the next."""

from __future__ import annotations

import pytest
from programs import analysed, calls, only, the_call

from rnnlint.semantics import events, tensors, values

# --- branches --------------------------------------------------------------


def test_both_arms_of_an_open_test_are_run() -> None:
    program = analysed(
        """
if unseen():
    layer = nn.LSTM(8, 16)
else:
    layer = nn.GRU(8, 16)
layer(x)
"""
    )
    assert {call.layer.kind for call in calls(program)} == {"LSTM", "GRU"}


def test_what_happens_in_one_arm_is_conditional() -> None:
    program = analysed("layer = nn.LSTM(8, 16)\nif unseen():\n    layer(x)\nlayer(x)\n")
    assert [call.conditional for call in calls(program)] == [True, False]


def test_an_arm_that_a_constant_switches_off_is_hypothetical() -> None:
    program = analysed("layer = nn.LSTM(8, 16)\nif 1 > 2:\n    layer(x)\n")
    assert program.of(events.LayerCall) == ()
    assert only(program.possible(events.LayerCall)).hypothetical


def test_layers_of_a_switched_off_arm_are_possible_only() -> None:
    program = analysed("if 1 > 2:\n    layer = nn.LSTM(8, 16)\n")
    assert program.layers == ()
    assert len(program.possible_layers) == 1


OPTIONS = {
    "an argparse flag": (
        'parser = argparse.ArgumentParser()\nparser.add_argument("--pack", action="store_true")\n'
        "args = parser.parse_args()\n",
        "args.pack",
    ),
    "a module's switch": ("pack = False\n", "pack"),
    "a setting in capitals": ("PACK = 0\n", "PACK"),
    "a dict of settings": ('config = {"pack": False}\n', 'config["pack"]'),
    "a class of settings": ("class Params:\n    pack = False\n", "Params.pack"),
    "a dataclass of settings": (
        "@dataclasses.dataclass\nclass TrainingConfig:\n    pack: bool = False\n"
        "config = TrainingConfig()\n",
        "config.pack",
    ),
}


@pytest.mark.parametrize(("before", "test"), OPTIONS.values(), ids=OPTIONS)
def test_the_arm_that_an_option_would_choose_is_unlikely_but_real(before: str, test: str) -> None:
    program = analysed(
        f"{before}\nlayer = nn.LSTM(8, 16)\nif {test}:\n    layer(x)\nelse:\n    layer(y)\n"
    )
    assert len(program.of(events.LayerCall)) == 2
    assert [call.context.unlikely for call in calls(program)] == [False, True]
    assert len(program.chosen(events.LayerCall)) == 1


def test_the_default_of_an_option_comes_first_among_alternatives() -> None:
    program = analysed(
        """
parser = argparse.ArgumentParser()
parser.add_argument("--kind", default="GRU", choices=["LSTM", "GRU"])
args = parser.parse_args()
if args.kind == "LSTM":
    layer = nn.LSTM(8, 16)
else:
    layer = nn.GRU(8, 16)
layer(x)
"""
    )
    assert calls(program)[0].layer.kind == "GRU"


def test_isinstance_narrows_the_alternatives() -> None:
    program = analysed(
        """
layer = nn.LSTM(8, 16) if unseen else nn.GRU(8, 16)
if isinstance(layer, nn.LSTM):
    layer(x)
"""
    )
    assert [call.layer.kind for call in calls(program)] == ["LSTM"]


@pytest.mark.parametrize(
    "test", ["layer is not None", "layer", "not layer is None", "layer is not None and unseen"]
)
def test_none_is_ruled_out_by_a_test(test: str) -> None:
    program = analysed(
        f"""
layer = None
if unseen:
    layer = nn.LSTM(8, 16)
if {test}:
    chosen = layer
    optimizer = optim.Adam(chosen.parameters())
"""
    )
    assert program.recurrent_layers(only(program.optimizers)) == frozenset(program.layers)


def test_a_return_in_one_arm_leaves_the_rest_to_the_other() -> None:
    program = analysed(
        """
def build(kind):
    if kind == "lstm":
        return nn.LSTM(8, 16)
    if kind == "gru":
        return nn.GRU(8, 16)
    raise ValueError(kind)
layer = build("gru")
layer(x)
"""
    )
    assert the_call(program).layer.kind == "GRU"


def test_a_match_statement_chooses_by_its_subject() -> None:
    program = analysed(
        """
def build(kind):
    match kind:
        case "lstm":
            return nn.LSTM(8, 16)
        case "gru":
            return nn.GRU(8, 16)
build("gru")(x)
"""
    )
    assert the_call(program).layer.kind == "GRU"


def test_both_ways_out_of_a_try_are_possible() -> None:
    program = analysed(
        """
try:
    layer = nn.LSTM(8, 16)
except RuntimeError:
    layer = nn.GRU(8, 16)
layer(x)
"""
    )
    assert {call.layer.kind for call in calls(program)} == {"LSTM", "GRU"}


def test_the_clauses_of_a_try_that_always_run_do_so_once() -> None:
    program = analysed(
        """
layer = nn.LSTM(8, 16)
try:
    prepare()
finally:
    layer(x)
"""
    )
    assert len(program.of(events.LayerCall)) == 1


# --- loops -----------------------------------------------------------------


def test_a_loop_over_unknown_items_takes_two_turns() -> None:
    program = analysed("layer = nn.LSTM(8, 16)\nfor x in unseen:\n    layer(x)\n")
    assert [call.loops[0][2] for call in program.of(events.LayerCall)] == [0, 1]


def test_known_items_are_visited_one_by_one() -> None:
    program = analysed(
        """
layers = [nn.LSTM(8, 16), nn.GRU(8, 16), nn.RNN(8, 16)]
for layer in layers:
    layer(x)
"""
    )
    assert [call.layer.kind for call in calls(program)] == ["LSTM", "GRU", "RNN"]


def test_a_state_that_is_carried_shows_in_the_second_turn() -> None:
    program = analysed(
        """
layer, h = nn.GRU(8, 16), None
for x in unseen:
    out, h = layer(x, h)
"""
    )
    first, second = program.of(events.LayerCall)
    assert second.state is not None
    assert _graph(second.state) == {first}


def _graph(state: values.Value | None) -> frozenset[events.LayerCall]:
    assert state is not None
    return tensors.graph_of(state)


DETACHED = [
    "h = h.detach()",
    "h = h.data",
    "h = h.clone().detach()",
    "h = torch.autograd.Variable(h.data)",
    "h = repackage(h)",
    "h = torch.zeros(1, 4, 16)",
    "h = None",
    "h.detach_()",
]


@pytest.mark.parametrize("statement", DETACHED)
def test_a_detached_state_leaves_the_graph(statement: str) -> None:
    program = analysed(
        f"""
def repackage(h):
    if isinstance(h, torch.Tensor):
        return h.detach()
    return tuple(repackage(v) for v in h)
layer, h = nn.GRU(8, 16), torch.zeros(1, 4, 16)
for x in unseen:
    out, h = layer(x, h)
    {statement}
"""
    )
    assert _graph(program.of(events.LayerCall)[1].state) == frozenset()


@pytest.mark.parametrize(
    "statement",
    [
        "h = tuple(v.detach() for v in h)",
        "h = tuple([v.data for v in h])",
        "h = [v.detach() for v in h]",
        "h = (h[0].detach(), h[1].detach())",
        "h, c = h; h = (h.detach(), c.detach())",
        "h = repackage(h)",
        "h = tuple(map(lambda v: v.detach(), h))",
        "h[0].detach_(); h[1].detach_()",
        "for v in h: v.detach_()",
        "h, c = h; h.detach_(); c.detach_(); h = (h, c)",
    ],
)
def test_the_pair_of_an_lstm_is_detached_too(statement: str) -> None:
    program = analysed(
        f"""
def repackage(h):
    if isinstance(h, torch.Tensor):
        return h.detach()
    else:
        return tuple(repackage(v) for v in h)
layer, h = nn.LSTM(8, 16), None
for x in unseen:
    out, h = layer(x, h)
    {statement}
"""
    )
    assert _graph(program.of(events.LayerCall)[1].state) == frozenset()


def test_detach_without_assignment_detaches_nothing() -> None:
    program = analysed(
        """
layer, h = nn.GRU(8, 16), None
for x in unseen:
    out, h = layer(x, h)
    h.detach()
"""
    )
    assert _graph(program.of(events.LayerCall)[1].state)


def test_a_state_that_lives_in_the_module_is_carried_too() -> None:
    program = analysed(
        """
class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn, self.h = nn.GRU(8, 16), None
    def forward(self, x):
        out, self.h = self.rnn(x, self.h)
        return out
model = Model()
for x in unseen:
    model(x)
"""
    )
    assert _graph(program.of(events.LayerCall)[1].state)


def test_no_grad_leaves_no_graph() -> None:
    program = analysed(
        """
layer, h = nn.GRU(8, 16), None
with torch.no_grad():
    for x in (1, 2):
        out, h = layer(unseen, h)
@torch.no_grad()
def evaluate(h):
    for x in (1, 2):
        out, h = layer(unseen, h)
evaluate(None)
"""
    )
    assert len(calls(program)) == 2
    assert not any(_graph(call.state) for call in calls(program))
    assert not any(call.context.gradients for call in calls(program))


def test_break_and_continue_end_a_turn() -> None:
    program = analysed(
        """
layer = nn.LSTM(8, 16)
for x in unseen:
    if x is None:
        continue
    layer(x)
    break
layer.eval()
layer(y)
"""
    )
    assert len(calls(program)) == 2


def test_a_while_loop_is_run() -> None:
    program = analysed("layer = nn.LSTM(8, 16)\nwhile True:\n    layer(x)\n")
    assert len(program.of(events.LayerCall)) == 2


# --- the way of a batch ----------------------------------------------------

CARRIED = """
class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.GRU(8, 16)
    def forward(self, x, h):
        return self.rnn(x, h)
model, h = Model(), None
for x in unseen:
    out, h = model(x, h)
"""


def test_the_call_that_is_handed_a_carried_state_is_known() -> None:
    program = analysed(CARRIED)
    call = program.of(events.LayerCall)[1]
    receiver = program.receives_state(call, call.loops[0][1])
    assert receiver != call.place
    assert program.span(receiver).location.row > program.span(call.place).location.row


def test_the_way_of_a_batch_names_the_calls_inside_the_loop() -> None:
    program = analysed(CARRIED)
    call = program.of(events.LayerCall)[0]
    (step,) = program.call_path(call)
    assert step.words == "the batch enters here"
    assert step.place == call.context.stack[-1]
