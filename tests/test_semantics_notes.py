"""What is noted in passing, and what loops go over."""

from __future__ import annotations

import pytest
from programs import analysed, only

from rnnlint.semantics import events, values

LAYER = "lstm = nn.LSTM(4, 8)\nx = torch.randn(5, 2, 4)\n"
CARRIED = LAYER + "hidden = None\nfor _ in loader:\n    out, hidden = lstm(x, hidden)\n"

THROWN_AWAY = [
    ("hidden[0].detach()", False),
    ("[h.detach() for h in hidden]", False),
    ("for h in hidden:\n        h = h.detach()", True),
    ("for h in hidden:\n        h.detach()", True),
]


@pytest.mark.parametrize(("statement", "looped"), THROWN_AWAY)
def test_a_result_that_is_thrown_away_is_noted(statement: str, looped: bool) -> None:
    noted = analysed(f"{CARRIED}    {statement}").possible(events.Discarded)
    assert noted
    assert any(note.loop is not None and note.over is not None for note in noted) == looped
    assert any(values.members(note.value) for note in noted)


KEPT = [
    "hidden = tuple(h.detach() for h in hidden)",
    "out = out.detach()",
    "hidden[0].detach_()",
    "losses.append(out.detach())",
    "print(out.detach())",
    "for h in hidden:\n        state.append(h.detach())",
]


@pytest.mark.parametrize("statement", KEPT)
def test_a_result_that_is_used_is_not(statement: str) -> None:
    assert not analysed(f"{CARRIED}    {statement}").possible(events.Discarded)


SUMS = ["total += loss", "total = total + loss", "sums['loss'] += loss", "self.total += loss"]


@pytest.mark.parametrize("statement", SUMS)
def test_sums_that_keep_graphs_are_noted(statement: str) -> None:
    noted = analysed(
        f"{LAYER}total = 0\nfor _ in loader:\n    loss = lstm(x)[0].mean()\n    {statement}"
    ).possible(events.Accumulated)
    assert noted
    assert all(note.added.calls for note in noted if isinstance(note.added, values.Tensor))


@pytest.mark.parametrize(
    "statement",
    ["total += loss.item()", "total += float(loss)", "total += loss.detach()", "total -= loss"],
)
def test_sums_of_numbers_are_not(statement: str) -> None:
    program = analysed(
        f"{LAYER}total = 0\nfor _ in loader:\n    loss = lstm(x)[0].mean()\n    {statement}"
    )
    assert not program.possible(events.Accumulated)


def test_a_sum_grows_from_turn_to_turn() -> None:
    program = analysed(
        f"{LAYER}total = 0\nfor _ in loader:\n    loss = lstm(x)[0].mean()\n    total += loss"
    )
    first, second = program.possible(events.Accumulated)
    assert isinstance(first.before, values.Const)
    assert isinstance(second.before, values.Tensor)
    assert second.before.calls


@pytest.mark.parametrize(
    ("call", "training"),
    [("train()", True), ("eval()", False), ("train(False)", False), ("train(mode)", None)],
)
def test_modes_are_noted(call: str, training: bool | None) -> None:
    program = analysed(f"{LAYER}lstm.{call}")
    mode = only(program.possible(events.Mode))
    assert mode.training is training
    assert mode.layers == frozenset(program.layers)


MODAL = {
    "nn.Dropout(0.5)": True,
    "nn.Dropout()": True,
    "nn.Dropout(0.0)": False,
    "nn.Dropout(p)": False,
    "nn.BatchNorm1d(4)": True,
    "nn.BatchNorm1d(4, track_running_stats=False)": False,
    "nn.LayerNorm(4)": False,
    "nn.LSTM(4, 4, 2, dropout=0.1)": True,
    "nn.LSTM(4, 4, 1, dropout=0.1)": False,
}


@pytest.mark.parametrize(("layer", "modal"), MODAL.items())
def test_layers_that_depend_on_the_mode_are_noted_once_for_a_loop(layer: str, modal: bool) -> None:
    program = analysed(f"layer = {layer}\nfor x in loader:\n    layer(x)\n    layer(x)")
    assert len(program.possible(events.ModeRead)) == modal


def test_norms_of_weights_and_of_gradients_are_told_apart() -> None:
    program = analysed(
        f"""{LAYER}
for p in lstm.parameters():
    p.data.norm(2)
    torch.norm(p)
for p in lstm.parameters():
    p.grad.norm()
    torch.norm(p.grad.detach())
    unseen.grad.data.norm()
"""
    )
    noted = program.possible(events.Measured)
    places: dict[bool, set[values.Place]] = {False: set(), True: set()}
    for note in noted:
        places[note.gradient].add(note.place)
    assert (len(places[False]), len(places[True])) == (2, 3)


@pytest.mark.parametrize("cleared", ["p.grad = None", "unseen.grad = None"])
def test_a_gradient_that_is_replaced_is_cleared(cleared: str) -> None:
    program = analysed(f"{LAYER}for p in lstm.parameters():\n    {cleared}")
    assert {event.what for event in program.of(events.OptimizerEvent)} == {"zero_grad"}


def test_a_gradient_that_is_scaled_is_clipped() -> None:
    program = analysed(f"{LAYER}for p in lstm.parameters():\n    p.grad *= coefficient")
    assert {clip.name for clip in program.of(events.Clip)} == {"grad.mul_"}
    assert not program.of(events.OptimizerEvent)


@pytest.mark.parametrize(
    "layers", ["[nn.LSTM(4, 4)]", "{'a': nn.LSTM(4, 4)}", "(nn.LSTM(4, 4),)", "[]"]
)
def test_what_a_module_keeps_in_plain_containers_is_noted(layers: str) -> None:
    program = analysed(
        f"""
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = {layers}
        self.registered = nn.ModuleList([nn.GRU(4, 4)])
class Plain:
    def __init__(self):
        self.layers = {layers}
Net(), Plain()
"""
    )
    kept = only(program.possible(events.Kept))
    assert kept.owner.cls.name == "Net"


DRAWS = [
    "torch.randn(1, 2, 8)",
    "torch.rand(1, 2, 8).to(device)",
    "torch.randn_like(x)",
    "torch.empty(1, 2, 8).normal_()",
    "torch.zeros(1, 2, 8).uniform_(-1, 1)",
    "0.1 * torch.randn(1, 2, 8)",
    "torch.autograd.Variable(torch.randn(1, 2, 8)).cuda()",
]


@pytest.mark.parametrize("draw", DRAWS)
def test_random_numbers_are_known_as_such(draw: str) -> None:
    program = analysed(f"gru = nn.GRU(4, 8)\nfor x in loader:\n    gru(x, {draw})")
    call = program.of(events.LayerCall)[0]
    assert isinstance(call.state, values.Tensor)
    assert call.state.drawn is not None
    assert call.state.drawn.loops


@pytest.mark.parametrize(
    "state",
    [
        "torch.zeros(1, 2, 8)",
        "torch.randn(1, 2, 8).zero_()",
        "nn.Linear(8, 8)(torch.randn(1, 2, 8))",
        "encoded + torch.randn(1, 2, 8)",
        "torch.cat([torch.randn(1, 2, 8), encoded], -1)",
    ],
)
def test_what_is_made_of_them_and_more_is_not(state: str) -> None:
    program = analysed(f"gru = nn.GRU(4, 8)\nfor x in loader:\n    gru(x, {state})")
    call = program.of(events.LayerCall)[0]
    assert not isinstance(call.state, values.Tensor) or call.state.drawn is None


@pytest.mark.parametrize("over", ["batches", "enumerate(batches)", "enumerate(zip(batches, more))"])
def test_loops_over_loaders_are_known(over: str) -> None:
    program = analysed(
        f"{LAYER}batches = DataLoader(data, shuffle=True)\nfor item in {over}:\n    lstm(x)"
    )
    _, number, _ = program.of(events.LayerCall)[0].loops[0]
    loader = program.loader_of(number)
    assert loader is not None
    assert loader.options["shuffle"] == values.TRUE
    assert program.turns_of(number) is None


@pytest.mark.parametrize(
    ("over", "turns"),
    [("range(100)", 100), ("range(1, 11)", 10), ("range(3)", 3), ("range(n)", None)],
)
def test_the_turns_of_a_loop_are_counted(over: str, turns: int | None) -> None:
    program = analysed(f"{LAYER}for item in {over}:\n    lstm(x)")
    _, number, _ = program.of(events.LayerCall)[0].loops[0]
    assert program.turns_of(number) == turns
    assert program.loader_of(number) is None
    assert program.is_whole(number)


def test_notes_have_an_order_of_their_own() -> None:
    program = analysed("drop = nn.Dropout()\ndrop.train()\ndrop(x)\ndrop.eval()")
    read = only(program.possible(events.ModeRead))
    first, second = program.possible(events.Mode)
    assert first.number < read.number < second.number


def test_a_branch_parts_events() -> None:
    program = analysed(
        f"{LAYER}if flag:\n    lstm(x)\nelse:\n    lstm(x)\nif other:\n    lstm(x)\nlstm(x)"
    )
    left, right, other, after = program.of(events.LayerCall)
    assert not left.goes_with(right)
    assert not right.goes_with(left)
    assert left.goes_with(other)
    assert left.goes_with(after)


LOOP = """
model = nn.LSTM(4, 8)
optimizer = optim.Adam(model.parameters())
for epoch in range({epochs}):
    for x in loader:
        model(x)[0].mean().backward()
        {step}
"""


@pytest.mark.parametrize(("epochs", "again"), [("10", True), ("1", False), ("n", True)])
def test_what_comes_again(epochs: str, again: bool) -> None:
    program = analysed(LOOP.format(epochs=epochs, step="optimizer.step()"))
    backward = program.of(events.Backward)[0]
    (_, outer, _), (_, inner, _) = backward.loops
    assert program.training_loop(backward) == inner
    assert program.comes_again(backward, inner)
    assert program.comes_again(backward, outer) == again


def test_a_loop_without_a_step_trains_nothing() -> None:
    program = analysed(LOOP.format(epochs="10", step="pass"))
    assert program.training_loop(program.of(events.Backward)[0]) is None


def test_layers_of_a_sequential_that_is_inherited_from_are_found() -> None:
    program = analysed(
        """
class Head(nn.Sequential):
    def __init__(self):
        super().__init__()
        self.add_module("drop", nn.Dropout(0.5))
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = Head()
net = Net()
net.eval()
"""
    )
    mode = only(program.possible(events.Mode))
    assert {layer.kind for layer in mode.layers} == {"Dropout"}


def test_a_loss_times_a_length_is_still_a_loss() -> None:
    program = analysed(
        f"{LAYER}total = 0\nfor _ in loader:\n    total += lstm(x)[0].mean() * len(x)"
    )
    assert program.possible(events.Accumulated)


# --- tests that end a turn --------------------------------------------------


def diverted(text: str) -> int:
    return len(analysed(f"x = unseen()\n{text}").of(events.Diverted))


@pytest.mark.parametrize("end", ["continue", "break", "raise ValueError"])
def test_a_test_may_end_a_turn(end: str) -> None:
    assert diverted(f"for y in x:\n    if len(y) != 8:\n        {end}\n    print(y)\n")


def test_a_test_may_end_a_function() -> None:
    assert diverted("def f(y):\n    if y:\n        return 1\n    return print(y)\nf(x)\n")


@pytest.mark.parametrize("body", ["if len(y) != 8:\n        print(y)", "if False:\n        break"])
def test_other_tests_end_nothing(body: str) -> None:
    assert not diverted(f"for y in x:\n    {body}\n")


LEFT_OUT = [("tags != 0", 1), ("0 != tags", 1), ("tags != 1", 0), ("tags == 0", 0)]


@pytest.mark.parametrize(("test", "count"), LEFT_OUT)
def test_a_batch_whose_padding_is_left_out_is_noted(test: str, count: int) -> None:
    program = analysed(f"tags = pad_sequence(rows)\nreal = {test}\n")
    assert len(program.possible(events.PaddingTested)) == count
