"""A `view` or `reshape` is used to swap axes, which it cannot do.

## What it does
Reports a `view` or `reshape` whose sizes are those of the tensor in another order, and one that
puts other axes before the first: `x.view(steps, batch, features)` of (batch, steps, features). It
also reports one that puts the batch first where other axes stand before it:
`h_n.view(batch, -1)` of a final state, which is (layers * directions, batch, hidden), or
`output.view(batch, -1)` of an output with time first.

## Why it matters
These methods cut the same numbers, in the same order, into other axes. Shapes are right
afterwards and nothing raises, but a row holds numbers of several samples: the classifier gets half
of its features from another sample, and the labels are worth nothing. Swapping axes is what
`transpose` and `permute` do.

A bidirectional GRU with 32 units whose task is to name the last of 12 tokens, out of 10, was left
at an accuracy of 0.09 to 0.11, which is chance, in each of five runs with `h_n.view(batch, -1)`.
With `h_n.transpose(0, 1).reshape(batch, -1)` it came to 1.00 in each.

## Example
```python
import torch
from torch import nn

gru = nn.GRU(8, 32, batch_first=True, bidirectional=True)
head = nn.Linear(64, 2)
optimizer = torch.optim.Adam([*gru.parameters(), *head.parameters()])
for _ in range(100):
    x, y = torch.randn(16, 20, 8), torch.randint(0, 2, (16,))
    _, h_n = gru(x)
    loss = nn.functional.cross_entropy(head(h_n.view(x.size(0), -1)), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
```

## Use instead
```python
import torch
from torch import nn

gru = nn.GRU(8, 32, batch_first=True, bidirectional=True)
head = nn.Linear(64, 2)
optimizer = torch.optim.Adam([*gru.parameters(), *head.parameters()])
for _ in range(100):
    x, y = torch.randn(16, 20, 8), torch.randint(0, 2, (16,))
    _, h_n = gru(x)
    summary = h_n.transpose(0, 1).reshape(x.size(0), -1)
    loss = nn.functional.cross_entropy(head(summary), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
```

## When it stays silent
- The order of the axes, or where a size comes from, is not known.
- The axes that would be swapped have one element: a layer and a direction, a batch of one sample, a
  single step.
- Neighbouring axes are split or merged: `h_n.view(layers, directions, batch, hidden)`,
  `output.view(-1, hidden)`, `output.view(time * batch, hidden)`.

## Fix safety
Where the sizes are those of all axes, `transpose` or `permute` takes the place of the call; where
the batch shall come first, `.transpose(0, 1).reshape(...)` does. It is unsafe: what is computed
afterwards is something else, and weights that were trained on mixed rows are of no use. There is no
fix where the same line also reshapes tensors that it does not mix up.

## References
- [torch.Tensor.view](https://pytorch.org/docs/stable/generated/torch.Tensor.view.html)
- [torch.nn.GRU](https://pytorch.org/docs/stable/generated/torch.nn.GRU.html), the shapes of its
  outputs
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rnnlint.api import (
    Applicability,
    Cause,
    Diagnostic,
    Level,
    Place,
    Program,
    Reshaped,
    Rule,
    Step,
    transpose_instead,
    values,
)

Order = tuple[int | None, ...]
"""Which axis of a tensor each size of its new shape is."""


class ViewInsteadOfTranspose(Rule):
    level = Level.ERROR
    fixable = Applicability.UNSAFE
    cause = Cause.AXES
    effect = (
        "rows hold numbers of several samples, so the targets are worth nothing to what stands "
        "in them"
    )

    def check(self, program: Program) -> Iterator[Diagnostic]:
        seen: set[Place] = set()
        for reshaped in program.chosen(Reshaped):
            order = _disorder(program, reshaped)
            if order is None or reshaped.place in seen:
                continue
            seen.add(reshaped.place)
            count = len(reshaped.tensor.axes)
            axes = ", ".join(_name(reshaped.tensor, place) for place in range(count))
            wanted = ", ".join(_shown(reshaped.tensor, size) for size in reshaped.sizes)
            same = [one for one in program.possible(Reshaped) if one.place == reshaped.place]
            agree = all(order == _disorder(program, one) or _has_order(one, order) for one in same)
            yield self.report(
                program,
                reshaped.place,
                f"{reshaped.name} cuts ({axes}) into ({wanted}) without moving a number: it mixes "
                "them up",
                help="swap axes with transpose or permute, and reshape then",
                trail=_trail(reshaped),
                fix=transpose_instead(program, reshaped, order) if agree else None,
            )


def _disorder(program: Program, reshaped: Reshaped) -> Order | None:
    """The order in which a new shape has the axes, if that mixes them up."""
    order = tuple(_axis_of(reshaped.tensor, size) for size in reshaped.sizes)
    if _swaps(program, reshaped.tensor, order):
        return order
    if _puts_first_behind(program, reshaped, order):
        return _completed(reshaped, order)
    if _gathers_layers(program, reshaped):
        return (1, *order[1:])
    if _puts_later_first(program, reshaped, order):
        return order
    return None


def _axis_of(tensor: values.Tensor, size: values.Value) -> int | None:
    """The axis whose size it surely is; None where that may be another, or none."""
    number = values.integer(size)
    if number in (-1, 1) or not _is_identity(size):
        return None
    found = [place for place, axis in enumerate(tensor.axes) if axis.size == size]
    return found[0] if len(found) == 1 else None


def _is_identity(size: values.Value) -> bool:
    """Whether two axes of this size are as long as each other."""
    if isinstance(size, values.Size):
        return size.of is not None
    return isinstance(size, values.Const) and not size.option


def _swaps(program: Program, tensor: values.Tensor, order: Order) -> bool:
    """Whether two axes, longer than 1, come in each other's order."""
    known = [place for place in order if place is not None]
    return any(
        _are_told_apart(tensor.axes[first], tensor.axes[second])
        and program.is_many(tensor.axes[first].size)
        and program.is_many(tensor.axes[second].size)
        for number, first in enumerate(known)
        for second in known[number + 1 :]
        if first > second
    )


def _are_told_apart(first: values.Axis, second: values.Axis) -> bool:
    """Whether two axes have names, or the program asked for the size of each."""
    sizes = (first.size, second.size)
    return bool(first.name and second.name) or all(isinstance(one, values.Size) for one in sizes)


def _puts_later_first(program: Program, reshaped: Reshaped, order: Order) -> bool:
    """Whether the first size is that of the batch, or of time, and something stands before it."""
    axes, first = reshaped.tensor.axes, order[0]
    if not first or axes[first].name not in ("batch", "time"):
        return False
    before = [axis.size for axis in axes[:first]]
    is_split = isinstance(axes[first].size, values.Const) and len(order) > 2
    return (
        not is_split
        and program.is_many(axes[first].size)
        and any(program.is_many(size) for size in before)
    )


def _puts_first_behind(program: Program, reshaped: Reshaped, order: Order) -> bool:
    """Whether the size of the first axis, which the program asked for, comes behind others.

    All of a row of the first axis lies together, so that nothing longer than 1 can stand before it.
    """
    axes, behind = reshaped.tensor.axes, order.index(0) if 0 in order else 0
    return (
        behind > 0
        and isinstance(axes[0].size, values.Size)
        and program.is_many(axes[0].size)
        and any(program.is_many(size) for size in reshaped.sizes[:behind])
    )


def _completed(reshaped: Reshaped, order: Order) -> Order:
    """The order with the axes that have the same number for a size, by whatever name."""
    sizes = [axis.size for axis in reshaped.tensor.axes]
    found = list(order)
    for number, size in enumerate(reshaped.sizes):
        alike = [place for place, one in enumerate(sizes) if one == size and place not in found]
        if found[number] is None and isinstance(size, values.Const) and len(alike) == 1:
            found[number] = alike[0]
    return tuple(found)


def _has_order(reshaped: Reshaped, order: Order) -> bool:
    """Whether the sizes of a new shape are those of the axes in this order, as far as it goes."""
    axes, sizes = reshaped.tensor.axes, reshaped.sizes
    return len(sizes) == len(order) and all(
        place is None or (place < len(axes) and axes[place].size == size)
        for place, size in zip(order, sizes, strict=True)
    )


def _gathers_layers(program: Program, reshaped: Reshaped) -> bool:
    """`h_n.view(-1, layers * hidden)`, also with axes of one element behind.

    It asks for as many rows as there are, so it is not meant for one sample alone.
    """
    axes, sizes = reshaped.tensor.axes, list(reshaped.sizes)
    while sizes and sizes[-1] == values.Const(1):
        sizes.pop()
    if [axis.name for axis in axes] != ["layers", "batch", "feature"] or len(sizes) != 2:
        return False
    layers, features = values.integer(axes[0].size), values.integer(axes[2].size)
    if layers is None or features is None or layers == 1:
        return False
    batch = axes[1].size
    return sizes == [values.Const(-1), values.Const(layers * features)] and (
        program.is_many(batch) or isinstance(batch, values.Unknown)
    )


def _name(tensor: values.Tensor, place: int) -> str:
    return tensor.name_of(place) or f"axis {place}"


def _shown(tensor: values.Tensor, size: values.Value) -> str:
    """A size by the axis that it is of, or as a number."""
    place, number = _axis_of(tensor, size), values.integer(size)
    if place is not None:
        return _name(tensor, place)
    return "..." if number is None else str(number)


def _trail(reshaped: Reshaped) -> Sequence[Step]:
    """Where the axes come from."""
    tensor = reshaped.tensor
    call = tensor.output_of
    if call is None:
        return tensor.batch_axis_steps
    built = Step(call.layer.place or call.place, f"the {call.layer.kind} is built here")
    what = "state" if tensor.part in ("hidden", "cell") else "output"
    return [*tensor.batch_axis_steps, built, Step(call.place, f"its {what} is reshaped")]
