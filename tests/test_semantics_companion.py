"""What the analyser knows of rnnlint's own companion: repaired programs import it."""

from __future__ import annotations

import pytest
from programs import IMPORTS, PADDED, analysed, calls, happenings, only, the_call, the_input

import rnnlint.runtime
from rnnlint.semantics import catalogue, events, modules, tensors, values

COMPANION = f"{IMPORTS}from rnnlint.runtime import *\n"


def run(text: str) -> events.LayerCall:
    return the_call(analysed({"main.py": COMPANION + text}))


def test_everything_that_it_exports_is_known() -> None:
    exported = {name: getattr(rnnlint.runtime, name) for name in rnnlint.runtime.__all__}
    failures = {
        name
        for name, value in exported.items()
        if isinstance(value, type) and issubclass(value, Exception)
    }
    unknown = {name for name in exported if catalogue.find(f"rnnlint.runtime.{name}") is None}
    assert unknown == failures


@pytest.mark.parametrize(
    "module", ["rnnlint.runtime.sequences", "rnnlint.runtime.sequences.running"]
)
def test_a_utility_is_known_by_the_module_that_it_comes_from(module: str) -> None:
    program = analysed(
        {
            "main.py": f"{IMPORTS}{PADDED}from {module} import run_recurrent\n"
            "run_recurrent(nn.GRU(8, 16, batch_first=True), embedded, lengths)\n"
        }
    )
    assert the_input(program).packed


# --- sequences -------------------------------------------------------------

GRU = f"{PADDED}gru = nn.GRU(8, 16, batch_first=True)\n"

PACKING = {
    "a function": "output, h = run_recurrent(gru, embedded, lengths)\n",
    "a function with a state": "output, h = run_recurrent(gru, embedded, lengths, state=None)\n",
    "a wrapper": "gru = PackedRNN(gru)\noutput, h = gru(embedded, lengths=lengths)\n",
    "a wrapper with a state": "gru = PackedRNN(gru)\n"
    "output, h = gru(embedded, h, lengths=lengths)\n",
    "a wrapper with its own state": "gru = StatefulRNN(gru)\n"
    "output, h = gru(embedded, lengths=lengths)\n",
}


@pytest.mark.parametrize("how", PACKING)
def test_sequences_are_run_alone(how: str) -> None:
    call = run(f"{GRU}{PACKING[how]}")
    assert call.input.packed
    assert call.input.padding is None


@pytest.mark.parametrize("how", PACKING)
def test_its_output_has_zeros_on_the_padding(how: str) -> None:
    program = analysed({"main.py": f"{COMPANION}{GRU}{PACKING[how]}last = output[:, -1]\n"})
    reading = only(each for each in program.of(events.Reading) if each.how == "last-step")
    assert reading.tensor.unpacked
    assert reading.tensor.batch_axis == 0
    assert reading.tensor.padding is not None
    assert reading.tensor.padding.side == "right"


@pytest.mark.parametrize("wrapper", ["PackedRNN", "StatefulRNN"])
def test_a_wrapper_that_is_told_no_lengths_is_its_layer(wrapper: str) -> None:
    call = run(f"{GRU}{wrapper}(gru)(embedded)\n")
    assert not call.input.packed
    assert call.input.padding is not None


def test_left_padding_stays_on_the_left() -> None:
    program = analysed(
        {
            "main.py": f"{COMPANION}{GRU}output, h = run_recurrent(gru, embedded, lengths, "
            'padding_side="left")\nlast = output[:, -1]\n'
        }
    )
    reading = only(each for each in program.of(events.Reading) if each.how == "last-step")
    assert reading.tensor.padding is not None
    assert reading.tensor.padding.side == "left"


@pytest.mark.parametrize("reader", ["last_valid", "masked_mean", "masked_max"])
def test_what_reads_real_steps_has_no_padding_and_keeps_the_graph(reader: str) -> None:
    call = run(
        f"{GRU}output, h = gru(embedded)\nlayer = nn.LSTM(16, 8)\n"
        f"{reader}(output, lengths).sum().backward()\n"
    )
    assert call.layer.kind == "GRU"
    program = analysed(
        {"main.py": f"{COMPANION}{GRU}output, h = gru(embedded)\nx = {reader}(output, lengths)\n"
         "nn.LSTM(16, 8)(x)\n"}
    )  # fmt: skip
    second = calls(program)[1].input
    assert second.padding is None
    assert second.calls == {calls(program)[0]}


def test_a_wrapper_has_the_attributes_of_its_layer() -> None:
    program = analysed(
        {
            "main.py": f"{COMPANION}{GRU}gru = PackedRNN(gru)\n"
            "nn.init.orthogonal_(gru.weight_hh_l0)\nnn.LSTM(gru.hidden_size, 8)(x)\n"
        }
    )
    assert only(program.of(events.Init)).parameter.layer.kind == "GRU"
    assert the_call(program).layer.options["input_size"] == values.Const(16)


def test_the_layer_in_a_wrapper_is_trained_with_it() -> None:
    program = analysed(
        {
            "main.py": f"{COMPANION}class Net(nn.Module):\n    def __init__(self):\n"
            "        super().__init__()\n        self.gru = PackedRNN(nn.GRU(8, 16))\n"
            "optimizer = optim.Adam(Net().parameters())\n"
        }
    )
    built = only(program.of(events.OptimizerEvent))
    assert [layer.kind for layer in modules.layers_in(built.optimizer)] == ["GRU"]


# --- state -----------------------------------------------------------------


@pytest.mark.parametrize("state", ["h", "(h, h)", "[h]", "{'h': h}"])
def test_a_detached_state_has_no_graph(state: str) -> None:
    program = analysed(
        {
            "main.py": f"{COMPANION}{GRU}output, h = gru(embedded)\n"
            f"nn.LSTM(16, 8)(x, detach_state({state}))\n"
        }
    )
    carried = calls(program)[1].state
    assert carried is not None
    assert tensors.tensors_in(carried)
    assert not tensors.graph_of(carried)


def test_a_stateful_layer_carries_no_graph() -> None:
    call = run(
        f"{GRU}gru = StatefulRNN(gru)\nfor x in loader:\n    output, h = gru(x)\n"
        "    output.sum().backward()\n"
    )
    assert call.state is None


# --- initialisation --------------------------------------------------------


def inits(text: str) -> set[tuple[str, str, str]]:
    program = analysed({"main.py": COMPANION + text})
    return {
        (init.parameter.name, init.parameter.part, init.how) for init in program.of(events.Init)
    }


def test_each_gate_is_filled_on_its_own_and_the_forget_gate_raised() -> None:
    found = inits("init_recurrent_(nn.LSTM(8, 16))\n")
    gates = ("input", "forget", "cell", "output")
    assert {("weight_hh_l0", gate, "orthogonal") for gate in gates} <= found
    assert {("weight_ih_l0", gate, "xavier_uniform") for gate in gates} <= found
    assert ("bias_ih_l0", "forget", "constant") in found
    assert ("bias_hh_l0", "forget", "constant") not in found
    assert ("weight_hh_l0", "", "orthogonal") not in found


def test_every_layer_and_direction_of_a_module_is_filled() -> None:
    found = inits(
        "model = nn.Sequential(nn.Linear(3, 8), nn.GRU(8, 16, 2, bidirectional=True))\n"
        "init_recurrent_(model)\n"
    )
    names = {name for name, _, _ in found if name.startswith("weight_hh")}
    assert names == {
        "weight_hh_l0", "weight_hh_l0_reverse", "weight_hh_l1", "weight_hh_l1_reverse",
    }  # fmt: skip


def test_a_relu_rnn_gets_the_identity() -> None:
    found = inits("init_recurrent_(nn.RNN(8, 16, nonlinearity='relu'))\n")
    assert ("weight_hh_l0", "", "eye") in found


@pytest.mark.parametrize(
    ("arguments", "how"),
    [
        ("recurrent='xavier_normal'", "xavier_normal"),
        ("recurrent=nn.init.normal_", "normal"),
        ("recurrent='identity'", "eye"),
        ("recurrent=lambda gate: gate.zero_()", "function"),
    ],
)
def test_another_initialiser(arguments: str, how: str) -> None:
    found = inits(f"init_recurrent_(nn.RNN(8, 16), {arguments})\n")
    assert ("weight_hh_l0", "", how) in found


def test_what_is_left_alone_is_no_initialisation() -> None:
    found = inits("init_recurrent_(nn.LSTM(8, 16), recurrent=None, forget_bias=None)\n")
    assert {name for name, _, _ in found} == {"weight_ih_l0"}


def test_frozen_weights_are_left_alone() -> None:
    assert not inits("lstm = nn.LSTM(8, 16).requires_grad_(False)\ninit_recurrent_(lstm)\n")


# --- batches ---------------------------------------------------------------

DATA = "data = [(torch.randint(1, 100, (n,)), n % 2) for n in range(1, 50)]\n"
LOOP = f"{DATA}gru = nn.GRU(8, 16, batch_first=True)\nembedding = nn.Embedding(100, 8)\n"


def test_batches_are_padded_and_come_with_their_lengths() -> None:
    call = run(
        f"{LOOP}for (ids, labels), lengths in DataLoader(data, 8, collate_fn=pad_collate):\n"
        "    gru(embedding(ids))\n"
    )
    assert call.input.padding is not None
    assert call.input.padding.side == "right"
    assert call.input.batch_axis == 0


def test_the_options_of_a_collate_function() -> None:
    call = run(
        f"{LOOP}import functools\ncollate = functools.partial(pad_collate, batch_first=False, "
        "padding_side='left')\nfor (ids, labels), lengths in DataLoader(data, 8, "
        "collate_fn=collate):\n    gru(embedding(ids))\n"
    )
    assert call.input.padding is not None
    assert call.input.padding.side == "left"
    assert call.input.batch_axis == 1


def test_its_lengths_can_be_packed_by() -> None:
    program = analysed(
        {
            "main.py": f"{COMPANION}{LOOP}loader = DataLoader(data, 8, collate_fn=pad_collate)\n"
            "for (ids, labels), lengths in loader:\n"
            "    gru(pack_padded_sequence(embedding(ids), lengths, batch_first=True))\n"
        }
    )
    packing = program.of(events.Packing)[0]
    assert isinstance(packing.lengths, values.Tensor)
    assert packing.lengths.lengths
    assert packing.lengths.device == "cpu"
    assert packing.lengths.order == "arbitrary"


def test_lengths_of_each_sequence_have_the_structure_of_a_sample() -> None:
    program = analysed(
        {
            "main.py": f"{COMPANION}{LOOP}import functools\n"
            "collate = functools.partial(pad_collate, lengths='each')\n"
            "for (ids, labels), (lengths, nothing) in DataLoader(data, 8, collate_fn=collate):\n"
            "    if nothing is None:\n"
            "        gru(pack_padded_sequence(embedding(ids), lengths, batch_first=True))\n"
        }
    )
    packing = program.of(events.Packing)[0]
    assert isinstance(packing.lengths, values.Tensor)
    assert packing.lengths.lengths


# --- training --------------------------------------------------------------

TRAINING = """\
model = nn.LSTM(8, 16)
optimizer = optim.Adam(model.parameters())
scaler = torch.cuda.amp.GradScaler()
clipper = AdaptiveClipper()
for x in loader:
    optimizer.zero_grad()
    loss = model(x)[0].sum()
    loss.backward()
    {}
    optimizer.step()
"""

CLIPS = {
    "clip_gradients(model.parameters(), 1.0)": ["clip"],
    "clip_gradients(optimizer, max_norm=1.0)": ["clip"],
    "clip_gradients(optimizer, 1.0, scaler)": ["unscale", "clip"],
    "clipper.clip(optimizer)": ["clip"],
    "clipper.clip(model.parameters())": ["clip"],
    "clipper.clip(optimizer, scaler=scaler)": ["unscale", "clip"],
}


@pytest.mark.parametrize("clip", CLIPS)
def test_gradients_are_clipped(clip: str) -> None:
    program = analysed({"main.py": COMPANION + TRAINING.format(clip)})
    happened = happenings(program)
    between = happened[happened.index("backward") + 1 : happened.index("step")]
    assert between == CLIPS[clip]
    assert program.of(events.Clip)[0].layers


SCHEDULES = (
    "warmup_cosine(optimizer, 10, 100)",
    "warmup_linear(optimizer, 10, 100)",
    "warmup_inverse_sqrt(optimizer, 10)",
    "warmup_constant(optimizer, 10)",
    "plateau(optimizer)",
)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_rate_is_scheduled(schedule: str) -> None:
    program = analysed(
        {
            "main.py": f"{COMPANION}optimizer = optim.Adam(nn.GRU(8, 8).parameters())\n"
            f"scheduler = {schedule}\nscheduler.step(1.0)\n"
        }
    )
    assert happenings(program) == ["built", "attached", "schedule"]


LOSSES = {
    "sequence_cross_entropy(output, y, lengths)": "CrossEntropyLoss",
    "sequence_cross_entropy(output, y, ignore_index=-100)": "CrossEntropyLoss",
    "masked_mse_loss(output, y, lengths)": "MSELoss",
    "masked_l1_loss(output, targets=y, mask=y > 0)": "L1Loss",
    "masked_binary_cross_entropy_with_logits(logits=output, targets=y)": "BCEWithLogitsLoss",
}


@pytest.mark.parametrize("loss", LOSSES)
def test_losses(loss: str) -> None:
    program = analysed(
        {"main.py": f"{COMPANION}{GRU}output, h = gru(embedded)\n{loss}.backward()\n"}
    )
    computed = only(program.of(events.LossComputed))
    assert computed.kind == LOSSES[loss]
    assert isinstance(computed.prediction, values.Tensor)
    assert computed.prediction.output_of is not None


@pytest.mark.parametrize(
    ("call", "name"),
    [
        ("run_recurrent(gru, embedded, lengths)", "run_recurrent"),
        ("PackedRNN(gru)(embedded, lengths=lengths)", "PackedRNN"),
        ("last_valid(embedded, lengths)", "last_valid"),
        ("masked_mean(embedded, lengths=lengths)", "masked_mean"),
        ("reverse_padded(embedded, lengths)", "reverse_padded"),
        ("lengths_to_mask(lengths, 9)", "lengths_to_mask"),
        ("masked_mse_loss(embedded, embedded, lengths)", "masked_mse_loss"),
    ],
)
def test_what_it_is_told_of_lengths_is_noted(call: str, name: str) -> None:
    program = analysed({"main.py": f"{COMPANION}{GRU}{call}\n"})
    use = only(program.of(events.LengthsUsed))
    assert (use.how, use.name) == ("given", name)
    assert isinstance(use.lengths, values.ListObject)
