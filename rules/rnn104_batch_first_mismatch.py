"""Two calls disagree about which axis is the batch and which is time.

## What it does
Follows the order of axes from the place that fixes it (`pad_sequence`, a loader that stacks
samples, a transposition) to the calls that assume one: a recurrent layer and its
`batch_first`, `pack_padded_sequence`, an initial state, an index on the output. It reports the
later call that disagrees. A single sequence has a batch too, of one: `x[i].unsqueeze(0)`.

## Why it matters
A layer that takes time for the batch runs along the samples: the state of one sample flows
into the next, and the steps of a sequence are treated as independent. Shapes often fit, so
nothing raises. A batch of shape (batch, time, features) into a layer without `batch_first`
never does, and `pack_padded_sequence` notices only when the batch is not as large as the
sequence is long. Axes that were mixed up are the cause in 23 of 149 threads of people whose
recurrent network did not train and who found out why.

`batch_first` says nothing about states: `h_0` and `h_n` are always
(layers * directions, batch, hidden).

## Example
```python
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

data = TensorDataset(torch.randn(64, 24, 4), torch.randint(0, 2, (64,)))
gru, head = nn.GRU(4, 32), nn.Linear(32, 2)
optimizer = torch.optim.Adam([*gru.parameters(), *head.parameters()])
for x, y in DataLoader(data, batch_size=8, shuffle=True):
    out, _ = gru(x)
    loss = nn.functional.cross_entropy(head(out[:, -1]), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
```

## Use instead
```python
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

data = TensorDataset(torch.randn(64, 24, 4), torch.randint(0, 2, (64,)))
gru, head = nn.GRU(4, 32, batch_first=True), nn.Linear(32, 2)
optimizer = torch.optim.Adam([*gru.parameters(), *head.parameters()])
for x, y in DataLoader(data, batch_size=8, shuffle=True):
    out, _ = gru(x)
    loss = nn.functional.cross_entropy(head(out[:, -1]), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
```

## When it stays silent
- One of the two orders is unknown, or an option sets it.
- A single step, (1, batch, ...) or (batch, 1, ...), has the axes that the layer takes.
- `h_n[-1]` of a batch-first layer: states never have the batch first.
- A packed sequence: it has no batch axis, so unpacking may choose another order, if what reads
  the output agrees.
- The axes are transposed between the two calls.

## Fix safety
The fix makes the later of the two agree: it sets or drops `batch_first` where the layer is built or
the batch is packed, or takes the last step along the other axis. It is unsafe, for which of the two
is wrong is for you to say, and whatever reads the output has to agree. Weights that were trained
with mixed axes are of no use afterwards.

There is no fix where a variable says which axis comes first; where the layer is also called on
batches of the other order, or given a state that would no longer fit; where a padded batch reaches
it without being packed (RNN101), for steps of padding would be read along the right axis; and for
an initial state that is shaped like the batch.

## References
- [torch.nn.LSTM](https://pytorch.org/docs/stable/generated/torch.nn.LSTM.html), inputs and outputs
- [PyTorch issue 4145](https://github.com/pytorch/pytorch/issues/4145): `batch_first` and the
  hidden state
"""

from __future__ import annotations

from collections.abc import Iterator

from rnnlint.api import (
    Applicability,
    Cause,
    Diagnostic,
    LayerCall,
    Level,
    Packing,
    Program,
    Reading,
    Rule,
    Step,
    modules,
    read_last_step,
    set_batch_first,
    values,
)

ORDER = {0: "(batch, time, ...)", 1: "(time, batch, ...)"}
ORDER_OF_ONE = {0: "one sequence, (1, time, ...),", 1: "one sequence, (time, 1, ...),"}


class BatchFirstMismatch(Rule):
    level = Level.ERROR
    fixable = Applicability.UNSAFE
    cause = Cause.AXES
    effect = (
        "the layer runs along the samples: the state of one flows into the next, and the steps "
        "of a sequence know nothing of each other"
    )

    def check(self, program: Program) -> Iterator[Diagnostic]:
        for call in program.chosen(LayerCall):
            if modules.is_recurrent(call.layer) and not call.input.packed:
                yield from self._layer_call(program, call)
        for packing in program.chosen(Packing):
            if not packing.unpacks and isinstance(packing.given, values.Tensor):
                yield from self._packing(program, packing, packing.given)
        for reading in program.chosen(Reading):
            yield from self._reading(program, reading)

    def _layer_call(self, program: Program, call: LayerCall) -> Iterator[Diagnostic]:
        wanted = _declared_axis(modules.option(call.layer, "batch_first"))
        given = call.input.batch_axis if _may_have_time(call.input) else None
        alone = _axis_of_one(call.input)
        declared = Step(call.layer.place or call.place, f"the {call.layer.kind} is built here")
        if wanted is not None and given is not None and wanted != given:
            yield self._mismatch(
                program, call, given, wanted, [*call.input.batch_axis_steps, declared]
            )
            return
        if wanted is not None and alone is not None and wanted != alone:
            origin = Step(call.place, "a single sequence enters here")
            yield self._mismatch(
                program, call, alone, wanted, [*call.input.batch_axis_steps, origin, declared]
            )
            return
        if given is not None and _state_is_batch_first(call, given):
            yield self.report(
                program,
                call.place,
                "the initial state has the batch on its first axis; a state is "
                "(layers * directions, batch, hidden) whatever batch_first says",
                help="build the state with the layers first and the batch second",
                trail=[declared],
            )

    def _packing(
        self, program: Program, packing: Packing, given: values.Tensor
    ) -> Iterator[Diagnostic]:
        wanted = _declared_axis(packing.batch_first)
        if wanted is not None and given.batch_axis is not None and wanted != given.batch_axis:
            yield self._mismatch(
                program, packing, given.batch_axis, wanted, list(given.batch_axis_steps)
            )

    def _reading(self, program: Program, reading: Reading) -> Iterator[Diagnostic]:
        tensor = reading.tensor
        if reading.how not in ("last-step", "half-step") or tensor.batch_axis is None:
            return
        if reading.axis == tensor.batch_axis and not self._is_mismatched(tensor):
            index = "[-1]" if reading.axis == 0 else "[:, -1]"
            yield self.report(
                program,
                reading.place,
                f"{index} takes the end of the batch axis, not the last time step: "
                f"the output is {ORDER[tensor.batch_axis]}",
                help="index the time axis, or set batch_first to match",
                trail=tensor.batch_axis_steps,
                fix=read_last_step(program, reading),
            )

    def _is_mismatched(self, tensor: values.Tensor) -> bool:
        """Whether the layer's own call is already reported."""
        call = tensor.output_of
        if call is None or call.input.packed:
            return False
        given = call.input.batch_axis
        given = _axis_of_one(call.input) if given is None else given
        wanted = _declared_axis(modules.option(call.layer, "batch_first"))
        return None not in (given, wanted) and wanted != given

    def _mismatch(
        self,
        program: Program,
        event: LayerCall | Packing,
        given: int,
        wanted: int,
        trail: list[Step],
    ) -> Diagnostic:
        where = "where the layer is built" if isinstance(event, LayerCall) else "here"
        is_one = isinstance(event, LayerCall) and event.input.batch_axis is None
        shape = ORDER_OF_ONE[given] if is_one else ORDER[given]
        return self.report(
            program,
            event.place,
            f"the input is {shape} but this expects {ORDER[wanted]}: batch and time are mixed up",
            help=f"set batch_first={given == 0} {where}, or transpose the input",
            trail=trail,
            fix=set_batch_first(program, event, given),
        )


def _may_have_time(given: values.Tensor) -> bool:
    """Whether the one of the first two axes that is no batch is time, or may be."""
    if given.time_axis is not None or given.batch_axis not in (0, 1):
        return given.time_axis in (0, 1)
    other = given.axes[1 - given.batch_axis] if len(given.axes) > 1 else None
    return other is None or (other.name == "" and other.size != values.Const(1))


def _axis_of_one(given: values.Tensor) -> int | None:
    """Where a single sequence has the batch: the axis of one element beside that of time."""
    time = given.time_axis
    if given.batch_axis is not None or time not in (0, 1) or len(given.axes) < 3:
        return None
    one = values.Const(1)
    sizes = [axis.size for axis in given.axes]
    return 1 - time if sizes[1 - time] == one and sizes[time] != one else None


def _declared_axis(batch_first: values.Value) -> int | None:
    if isinstance(batch_first, values.Const) and not batch_first.option:
        return 0 if batch_first.value else 1
    return None


def _state_is_batch_first(call: LayerCall, batch_axis: int) -> bool:
    """Whether a state made with `torch.zeros(x.size(0), ...)` starts with the batch."""
    state = call.state.items[0] if isinstance(call.state, values.Tuple) else call.state
    if not isinstance(state, values.Tensor) or state.rank != 3:
        return False
    first, batch = state.axes[0].size, call.input.axes[batch_axis].size
    return isinstance(first, values.Size) and first.of is not None and first == batch
