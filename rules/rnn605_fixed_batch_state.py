"""A state or a view is made for one batch size, and the last batch of the loader is smaller.

## What it does
Reports the creation of an initial state whose batch is a constant, where the layer runs over the
batches of a loader with that batch size and without `drop_last`; and a `view` or `reshape` of such
a batch to that constant. The last batch has what is left over.

## Why it matters
An epoch runs to its last batch, and raises there: a GRU with 16 units that is given 4 samples and a
state for 8 says `RuntimeError: Expected hidden size (1, 4, 16), got [1, 8, 16]`. A view to
`(8, -1)` may not even raise: 4 samples of 2 steps become 8 rows. Evaluation with another batch
size, or of one sample, fails too. It is the cause in 7 threads of people whose recurrent network
did not train and who found out why.

## Example
```python
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

data = TensorDataset(torch.randn(100, 20, 4), torch.randint(0, 2, (100,)))
gru, head = nn.GRU(4, 16, batch_first=True), nn.Linear(16, 2)
optimizer = torch.optim.Adam([*gru.parameters(), *head.parameters()])
for x, y in DataLoader(data, batch_size=8, shuffle=True):
    out, h_n = gru(x, torch.zeros(1, 8, 16))
    loss = nn.functional.cross_entropy(head(h_n[-1]), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
```

## Use instead
```python
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

data = TensorDataset(torch.randn(100, 20, 4), torch.randint(0, 2, (100,)))
gru, head = nn.GRU(4, 16, batch_first=True), nn.Linear(16, 2)
optimizer = torch.optim.Adam([*gru.parameters(), *head.parameters()])
for x, y in DataLoader(data, batch_size=8, shuffle=True):
    out, h_n = gru(x, torch.zeros(1, x.size(0), 16))
    loss = nn.functional.cross_entropy(head(h_n[-1]), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
```

A state of zeros may be left out altogether: `gru(x)`.

## When it stays silent
- The loader drops the last batch, or may, or has a sampler or a batch sampler.
- The dataset is known to have a multiple of the batch size.
- A test may skip the batch before the call: `if x.size(0) != batch_size: continue`.
- The batch, its loader or its size is not known, or it is another number than the constant.

## Fix safety
The fix asks the layer's input, or the tensor that is reshaped, for its size. It is unsafe: other
code may rely on the constant. There is no fix where the state is made in another function than the
layer's call, or before its input has a name.

## References
- [torch.utils.data.DataLoader](https://pytorch.org/docs/stable/data.html#torch.utils.data.DataLoader),
  `drop_last`
- [torch.nn.GRU](https://pytorch.org/docs/stable/generated/torch.nn.GRU.html), `h_0`
"""

from __future__ import annotations

from collections.abc import Iterator

from rnnlint.api import (
    Applicability,
    Cause,
    Diagnostic,
    Diverted,
    Event,
    LayerCall,
    Level,
    Place,
    Program,
    Reshaped,
    Rule,
    Step,
    modules,
    size_of_input,
    size_of_tensor,
    values,
)

_KEPT_WHOLE = ("sampler", "batch_sampler", "<open>")


class FixedBatchState(Rule):
    level = Level.ERROR
    fixable = Applicability.UNSAFE
    cause = Cause.STATE
    effect = "the run stops at the last batch of an epoch, or mixes the samples of it"

    def check(self, program: Program) -> Iterator[Diagnostic]:
        seen: set[Place] = set()
        for call in program.chosen(LayerCall):
            for made, size in _fixed_states(call):
                axis = _batch_position(call)
                loader = None if axis is None else _uneven(program, call, call.input, axis, size)
                if loader is None or made in seen or axis is None:
                    continue
                seen.add(made)
                number = 1 if modules.is_recurrent(call.layer) else 0
                yield self.report(
                    program,
                    made,
                    f"the state is made for {size} samples, and the last batch of the loader may "
                    "have fewer: this raises an error",
                    help="take the size from the input, give no state at all where it is zeros, "
                    "or set drop_last=True",
                    trail=[*_built(loader), Step(call.place, "the state is given to the layer")],
                    fix=size_of_input(program, call, made, number, axis),
                )
        for reshaped in program.chosen(Reshaped):
            yield from self._reshaped(program, reshaped, seen)

    def _reshaped(
        self, program: Program, reshaped: Reshaped, seen: set[Place]
    ) -> Iterator[Diagnostic]:
        if reshaped.place in seen or not reshaped.tensor.calls:
            return
        for axis, given in enumerate(reshaped.sizes[: len(reshaped.tensor.axes)]):
            size = values.integer(given)
            if size is None or size < 2:
                continue
            loader = _uneven(program, reshaped, reshaped.tensor, axis, size)
            if loader is None:
                continue
            seen.add(reshaped.place)
            yield self.report(
                program,
                reshaped.place,
                f"{reshaped.name} expects {size} samples, and the last batch of the loader may "
                "have fewer",
                help=f"take the size from the tensor: .size({axis})",
                trail=_built(loader),
                fix=size_of_tensor(program, reshaped, axis),
            )


def _fixed_states(call: LayerCall) -> list[tuple[Place, int]]:
    """Where the states of a call are made from numbers, and for how many samples."""
    items = call.state.items if isinstance(call.state, values.Tuple) else (call.state,)
    number = 1 if modules.is_recurrent(call.layer) else 0
    found = []
    for item in items:
        if isinstance(item, values.Tensor) and item.fresh and item.made_at is not None:
            size = values.integer(item.axes[number].size) if len(item.axes) > number else None
            if size is not None and size > 1:
                found.append((item.made_at, size))
    return found


def _batch_position(call: LayerCall) -> int | None:
    """Which axis of its input a layer takes for the batch."""
    if not modules.is_recurrent(call.layer):
        return 0
    batch_first = modules.known_option(call.layer, "batch_first", bool)
    return None if batch_first is None or call.input.packed else 1 - batch_first


def _uneven(
    program: Program, event: Event, given: values.Tensor, axis: int, size: int
) -> values.Thing | None:
    """The loader whose batches, of this size but for the last, lie along an axis."""
    if len(given.axes) <= axis or event.conditional or event.context.attempted:
        return None
    found = given.axes[axis]
    if not isinstance(found.size, values.Size) or found.name not in ("batch", ""):
        return None
    numbers = [number for _, number, _ in event.loops if program.loader_of(number) is not None]
    loader = program.loader_of(numbers[-1]) if numbers else None
    owners = program.loaders_built_at(found.size.of)
    if loader is None and len(owners) == 1:
        loader = owners[0]
    if loader is None or not (_is_batch_of(found, loader) or (not owners and found.name)):
        return None
    if not _leaves_rest(loader, size) or _may_be_skipped(program, event, numbers):
        return None
    return loader


def _is_batch_of(axis: values.Axis, loader: values.Thing) -> bool:
    size = axis.size
    return isinstance(size, values.Size) and size.of == loader.place and size.axis == 0


def _leaves_rest(loader: values.Thing, size: int) -> bool:
    """Whether a loader's batches have this size, and the last may have less."""
    options = loader.options
    if values.integer(options.get("batch_size")) != size:
        return False
    if any(options.get(key, values.NONE) != values.NONE for key in _KEPT_WHOLE):
        return False
    if options.get("drop_last", values.FALSE) != values.FALSE:
        return False
    samples = _samples(options.get("dataset"))
    return samples is None or samples % size != 0


def _samples(dataset: values.Value | None) -> int | None:
    """How many samples a dataset has, where that is a number in the code."""
    if isinstance(dataset, values.ListObject) and dataset.fields["items"] is not None:
        return len(dataset.fields["items"])
    given = dataset.options.get("tensors") if isinstance(dataset, values.Thing) else dataset
    first = given.items[0] if isinstance(given, values.Tuple) and given.items else given
    if isinstance(first, values.Tensor) and first.axes:
        return values.integer(first.axes[0].size)
    return None


def _may_be_skipped(program: Program, event: Event, numbers: list[int]) -> bool:
    """Whether a test in this turn may have ended it, or a function, before."""
    within = numbers[-1] if numbers else None
    return any(
        note.context.entry == event.context.entry
        and note.time <= event.time
        and note.loops == event.loops[: len(note.loops)]
        and (within is None or within in {number for _, number, _ in note.loops})
        for note in program.possible(Diverted)
    )


def _built(loader: values.Thing) -> list[Step]:
    if loader.place is None:
        return []
    return [Step(loader.place, "this loader's last batch has what is left over")]
