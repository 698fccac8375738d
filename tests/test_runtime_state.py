"""State that goes on from call to call, against layers that are run over it all at once."""

from __future__ import annotations

import copy
import io
from collections import OrderedDict, defaultdict
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from rnnlint.runtime.state import StatefulRNN, detach_state

FEATURES, SIZE = 3, 4


class Decoder(NamedTuple):
    hidden: Tensor
    attention: Tensor | None


@dataclass(frozen=True)
class Memory:
    keys: Tensor
    step: int


def attached(*shape: int) -> Tensor:
    return torch.randn(shape, requires_grad=True) * 2


def layer(kind: type[nn.RNNBase] = nn.LSTM, **options: Any) -> nn.RNNBase:
    torch.manual_seed(0)
    make: Any = kind
    made: nn.RNNBase = make(FEATURES, SIZE, **{"batch_first": True, **options})
    return made


def tensors(state: Any) -> tuple[Tensor, ...]:
    assert state is not None
    return state if isinstance(state, tuple) else (state,)


# --- detach_state -----------------------------------------------------------------------


def test_a_detached_state_keeps_its_types_and_memory() -> None:
    hidden = attached(1, 2, 3)
    state = {
        "decoder": Decoder(hidden, None),
        "layers": [(attached(2), attached(2)), [attached(1)]],
        "memory": Memory(attached(4), 7),
        "ordered": OrderedDict(a=attached(1), name="cell"),
        "grouped": defaultdict(list, a=[attached(1)]),
    }
    detached = detach_state(state)
    decoder = detached["decoder"]
    assert type(decoder) is Decoder
    assert decoder.attention is None
    assert not decoder.hidden.requires_grad
    assert decoder.hidden.data_ptr() == hidden.data_ptr()
    layers: Any = detached["layers"]
    assert [type(part) for part in layers] == [tuple, list]
    assert not any(part.requires_grad for part in (*layers[0], *layers[1]))
    memory: Any = detached["memory"]
    assert type(memory) is Memory and memory.step == 7 and not memory.keys.requires_grad
    ordered: Any = detached["ordered"]
    assert type(ordered) is OrderedDict and ordered["name"] == "cell"
    grouped: Any = detached["grouped"]
    assert type(grouped) is defaultdict and grouped["new"] == []
    assert not ordered["a"].requires_grad and not grouped["a"][0].requires_grad
    assert hidden.requires_grad and state["memory"].keys.requires_grad  # type: ignore[attr-defined]


def test_a_packed_sequence_is_detached_as_one() -> None:
    packed = pack_padded_sequence(
        attached(2, 3, 1), torch.tensor([1, 3]), batch_first=True, enforce_sorted=False
    )
    detached = detach_state(packed)
    assert isinstance(detached, PackedSequence)
    assert not detached.data.requires_grad
    assert pad_packed_sequence(detached)[1].tolist() == [1, 3]


def test_no_state_is_no_state() -> None:
    assert detach_state(None) is None


def test_what_cannot_be_detached_is_told_with_its_place() -> None:
    with pytest.raises(TypeError, match=r"the state\['h'\]\[1\] is of type set"):
        detach_state({"h": [attached(1), {attached(1)}]})
    with pytest.raises(TypeError, match="the state is of type generator"):
        detach_state(attached(1) for _ in range(2))


# --- StatefulRNN ------------------------------------------------------------------------

KINDS: list[tuple[type[nn.RNNBase], dict[str, Any]]] = [
    (nn.LSTM, {}),
    (nn.LSTM, {"num_layers": 2, "proj_size": 2, "batch_first": False}),
    (nn.GRU, {"num_layers": 2}),
    (nn.RNN, {"batch_first": False}),
]


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_windows_are_one_long_sequence(kind: type[nn.RNNBase], options: dict[str, Any]) -> None:
    rnn = layer(kind, **options)
    time = 1 if rnn.batch_first else 0
    shape = (2, 9, FEATURES) if rnn.batch_first else (9, 2, FEATURES)
    whole = torch.randn(shape)
    stateful = StatefulRNN(rnn)
    results = [stateful(window) for window in torch.split(whole, 4, time)]
    expected, final = rnn(whole)
    torch.testing.assert_close(torch.cat([output for output, _ in results], time), expected)
    for ours, carried, theirs in zip(
        tensors(results[-1][1]), tensors(stateful.state), tensors(final), strict=True
    ):
        torch.testing.assert_close(ours, theirs)
        assert torch.equal(ours, carried)
        assert ours.requires_grad and not carried.requires_grad


@settings(deadline=None, max_examples=40)
@given(data=st.data(), kind=st.sampled_from([nn.LSTM, nn.GRU]))
def test_each_stream_is_as_if_alone(data: st.DataObject, kind: type[nn.RNNBase]) -> None:
    """Streams that begin anew, stop, and stand still, against each of them alone."""
    count = data.draw(st.integers(1, 3))
    windows = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    rnn = layer(kind)
    stateful = StatefulRNN(rnn)
    alone: list[Any] = [None] * count
    for number, steps in enumerate(windows):
        window = torch.randn(count, steps, FEATURES)
        begins = data.draw(st.lists(st.booleans(), min_size=count, max_size=count))
        lengths = data.draw(st.lists(st.integers(0, steps), min_size=count, max_size=count))
        mask = begins if number % 2 else torch.tensor(begins)
        output, _ = stateful(window, reset=mask, lengths=lengths)
        for row, length in enumerate(lengths):
            if begins[row]:
                alone[row] = None
            if length:
                expected, alone[row] = rnn(window[row : row + 1, :length], alone[row])
                torch.testing.assert_close(output[row : row + 1, :length], expected)
    for row, state in enumerate(alone):
        for carried, own in zip(
            tensors(stateful.state), tensors(state) if state is not None else (), strict=False
        ):
            torch.testing.assert_close(carried[:, row], own[:, 0])
        if state is None:
            assert not any(part[:, row].any() for part in tensors(stateful.state))


def test_gradients_end_at_the_window() -> None:
    rnn = layer()
    first, second = torch.randn(2, 5, FEATURES, requires_grad=True), torch.randn(2, 5, FEATURES)
    stateful = StatefulRNN(rnn)
    optimizer = torch.optim.SGD(stateful.parameters(), lr=0.1)
    for window in (first, second):
        optimizer.zero_grad()
        stateful(window)[0].sum().backward()
        if window is first:
            reached, first.grad = first.grad, None
            optimizer.step()
    assert reached is not None and bool(reached.any())
    assert first.grad is None


def test_without_detaching_the_second_window_would_fail() -> None:
    rnn = layer()
    output, state = rnn(torch.randn(2, 5, FEATURES))
    output.sum().backward()
    with pytest.raises(RuntimeError, match="second time"):
        rnn(torch.randn(2, 5, FEATURES), state)[0].sum().backward()


def test_packed_windows_carry_their_state_in_the_order_of_the_batch() -> None:
    rnn = layer(nn.GRU)
    stateful = StatefulRNN(rnn)
    window = torch.randn(2, 4, FEATURES)
    packed = pack_padded_sequence(window, [2, 4], batch_first=True, enforce_sorted=False)
    stateful(packed)
    _, alone = rnn(window[:1, :2])
    torch.testing.assert_close(tensors(stateful.state)[0][:, :1], alone)
    output, _ = stateful(packed, reset=[True, False])
    padded, _ = pad_packed_sequence(output, batch_first=True)
    torch.testing.assert_close(padded[0, :2], rnn(window[:1, :2])[0][0])
    with pytest.raises(ValueError, match="lengths already"):
        stateful(packed, lengths=[2, 4])


def test_one_stream_without_an_axis_of_batch() -> None:
    rnn = layer()
    stateful = StatefulRNN(rnn)
    whole = torch.randn(6, FEATURES)
    stateful(whole[:3])
    output, _ = stateful(whole[3:])
    torch.testing.assert_close(output, rnn(whole)[0][3:])
    output, _ = stateful(whole[3:], reset=torch.tensor([True]))
    torch.testing.assert_close(output, rnn(whole[3:])[0])
    with pytest.raises(ValueError, match="one stream without an axis of batch is carried"):
        stateful(whole.unsqueeze(0))


def test_reset_begins_anew() -> None:
    rnn = layer()
    stateful = StatefulRNN(rnn)
    window = torch.randn(2, 3, FEATURES)
    fresh, _ = stateful(window)
    assert not torch.equal(stateful(window)[0], fresh)
    assert torch.equal(stateful(window, reset=True)[0], fresh)
    stateful.reset([False, True])
    output, _ = stateful(window, reset=False)
    assert not torch.equal(output[0], fresh[0])
    torch.testing.assert_close(output[1], fresh[1])
    stateful.reset()
    assert stateful.state is None
    stateful.reset([True])  # nothing to reset, whatever their number will be
    assert torch.equal(stateful(window)[0], fresh)


def test_another_number_of_streams_must_begin_anew() -> None:
    stateful = StatefulRNN(layer())
    stateful(torch.randn(3, 2, FEATURES))
    with pytest.raises(ValueError, match=r"3 streams is carried.*has 1 stream\..*drop_last=True"):
        stateful(torch.randn(1, 2, FEATURES))
    assert stateful(torch.randn(1, 2, FEATURES), reset=True)[0].shape == (1, 2, SIZE)
    stateful.reset()
    assert stateful(torch.randn(2, 2, FEATURES))[0].shape == (2, 2, SIZE)


@pytest.mark.parametrize("streams", [[True], torch.tensor([1, 0]), torch.tensor([[True, False]])])
@pytest.mark.parametrize("is_first", [True, False])
def test_streams_are_told_by_booleans(streams: Any, is_first: bool) -> None:
    stateful = StatefulRNN(layer())
    window = torch.randn(2, 3, FEATURES)
    if not is_first:
        stateful(window)
        with pytest.raises(ValueError, match="2 booleans, one a stream"):
            stateful.reset(streams)
    with pytest.raises(ValueError, match="2 booleans, one a stream"):
        stateful(window, reset=streams)


def test_a_call_that_fails_leaves_the_state_as_it_was() -> None:
    stateful = StatefulRNN(layer())
    stateful(torch.randn(2, 3, FEATURES))
    before = tensors(stateful.state)
    with pytest.raises(ValueError, match="padded to 3 steps"):
        stateful(torch.randn(2, 3, FEATURES), reset=[True, True], lengths=[4, 1])
    assert all(now is then for now, then in zip(tensors(stateful.state), before, strict=True))


def test_evaluation_sets_the_state_aside() -> None:
    stateful = StatefulRNN(layer())
    stateful(torch.randn(2, 3, FEATURES))
    kept = stateful.state
    evaluated = torch.randn(5, 3, FEATURES)
    with stateful.fresh_state(), torch.no_grad():
        assert torch.equal(stateful(evaluated)[0], stateful.rnn(evaluated)[0])
        assert not torch.equal(stateful(evaluated)[0], stateful.rnn(evaluated)[0])
    assert stateful.state is kept
    with pytest.raises(KeyError), stateful.fresh_state():
        raise KeyError
    assert stateful.state is kept


def test_a_state_can_be_kept_and_brought_back() -> None:
    stateful = StatefulRNN(layer())
    window = torch.randn(2, 3, FEATURES)
    _, state = stateful(window)
    expected, _ = stateful(window)
    stateful.state = state
    assert not any(part.requires_grad for part in tensors(stateful.state))
    assert torch.equal(stateful(window)[0], expected)


def test_the_state_follows_the_input() -> None:
    # An LSTM in bfloat16 on a CPU needs a processor that has it.
    stateful = StatefulRNN(layer(nn.GRU))
    window = torch.randn(2, 3, FEATURES)
    stateful(window)
    for dtype in (torch.float64, torch.bfloat16, torch.float32):
        stateful.to(dtype)
        assert stateful(window.to(dtype))[0].dtype == dtype
    begun = stateful.state
    stateful.state = tensors(begun)[0].bfloat16()  # as autocast leaves it
    assert stateful(window)[0].dtype == torch.float32


def test_training_goes_on_from_a_state_of_inference_mode() -> None:
    rnn = layer()
    stateful = StatefulRNN(rnn)
    window = torch.randn(2, 3, FEATURES)
    with torch.inference_mode():
        stateful(window)
        stateful(window)
    output, _ = stateful(window)
    output.sum().backward()
    assert rnn.weight_hh_l0.grad is not None
    torch.testing.assert_close(output, rnn(torch.cat([window] * 3, 1))[0][:, 6:])


def test_copies_go_their_own_way() -> None:
    stateful = StatefulRNN(layer())
    window = torch.randn(2, 3, FEATURES)
    stateful(window)
    twin = copy.deepcopy(stateful)
    stateful.reset()
    assert twin.state is not None
    assert not torch.equal(twin(window)[0], stateful(window)[0])


def test_checkpoints_go_either_way() -> None:
    plain, stateful = layer(num_layers=2), StatefulRNN(layer(num_layers=2))
    bare, wrapped = nn.ModuleDict({"encoder": plain}), nn.ModuleDict({"encoder": stateful})
    assert list(bare.state_dict()) == list(wrapped.state_dict())
    for value in wrapped.parameters():
        nn.init.normal_(value)
    bare.load_state_dict(wrapped.state_dict())
    name = "weight_hh_l1"
    assert torch.equal(plain.get_parameter(name), stateful.rnn.get_parameter(name))
    nn.init.zeros_(plain.get_parameter(name))
    wrapped.load_state_dict(bare.state_dict())
    assert not stateful.weight_hh_l1.any()
    file = io.BytesIO()
    torch.save(stateful, file)
    file.seek(0)
    assert type(torch.load(file, weights_only=False)) is StatefulRNN


def test_attributes_are_those_of_the_layer() -> None:
    stateful = StatefulRNN(layer(nn.LSTM, proj_size=2))
    assert (stateful.hidden_size, stateful.proj_size, stateful.batch_first) == (SIZE, 2, True)
    with pytest.raises(AttributeError, match="no_such_name"):
        stateful.no_such_name  # noqa: B018


def test_what_is_no_recurrent_layer() -> None:
    cell: Any = nn.LSTMCell(FEATURES, SIZE)
    with pytest.raises(TypeError, match=r"not LSTMCell"):
        StatefulRNN(cell)


def test_copies_that_are_thrown_away_are_refused() -> None:
    replica = StatefulRNN(layer())._replicate_for_data_parallel()  # type: ignore[no-untyped-call]
    with pytest.raises(RuntimeError, match="use DistributedDataParallel"):
        replica(torch.randn(2, 3, FEATURES))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_the_state_follows_to_an_accelerator_and_does_not_wait_for_it() -> None:
    rnn = layer()
    stateful = StatefulRNN(rnn)
    window = torch.randn(2, 3, FEATURES)
    expected, _ = rnn(torch.cat([window, window], 1))
    stateful(window)
    stateful.cuda()
    there = window.cuda()
    output, _ = stateful(there)
    torch.testing.assert_close(output.cpu(), expected[:, 3:], rtol=1e-4, atol=1e-4)
    begins = torch.tensor([True, False], device="cuda")
    torch.cuda.set_sync_debug_mode("error")
    try:
        stateful(there, reset=begins)
    finally:
        torch.cuda.set_sync_debug_mode("default")
