"""A recurrent layer that the loss depends on is in no optimizer.

## What it does
Follows the loss of a training loop back to the recurrent layers that it goes through, and looks
for each of them in the optimizers of the program. A layer that is in none stays as it was
initialised. Where a module keeps it in a plain list or dict, which registers nothing, that
assignment is reported; otherwise the optimizer that was built without it.

## Why it matters
`model.parameters()` knows what is registered: attributes that are modules, and the contents of
`ModuleList`, `ModuleDict` and `Sequential`. Of layers in a plain list PyTorch 2.13 says nothing at
all: forward runs, backward gives them gradients, and the other layers learn around features that
stay random. `state_dict()` leaves the layers out, so that a checkpoint cannot restore what was
run, and `model.to(device)` does not move them.

Of 149 settled threads of people whose recurrent network did not train, 12 were about the loop,
parameters that no optimizer has among them.

## Example
```python
import torch
from torch import nn


class Stack(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = [nn.LSTM(4, 4), nn.LSTM(4, 4)]
        self.fc = nn.Linear(4, 1)

    def forward(self, x):
        for layer in self.layers:
            x, _ = layer(x)
        return self.fc(x)


model = Stack()
optimizer = torch.optim.Adam(model.parameters())
for _ in range(100):
    optimizer.zero_grad()
    model(torch.randn(35, 2, 4)).pow(2).mean().backward()
    optimizer.step()
```

## Use instead
```python
import torch
from torch import nn


class Stack(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.LSTM(4, 4), nn.LSTM(4, 4)])
        self.fc = nn.Linear(4, 1)

    def forward(self, x):
        for layer in self.layers:
            x, _ = layer(x)
        return self.fc(x)


model = Stack()
optimizer = torch.optim.Adam(model.parameters())
for _ in range(100):
    optimizer.zero_grad()
    model(torch.randn(35, 2, 4)).pow(2).mean().backward()
    optimizer.step()
```

## When it stays silent
- Another optimizer has the layer: an encoder and a decoder, a generator and a discriminator.
- The layer is frozen, comes from a checkpoint, or runs without gradients: a teacher that a list
  hides on purpose.
- The list is wrapped in a `ModuleList` later, or its layers are registered one by one.
- Not all that an optimizer was given is known.

## Fix safety
The fix is unsafe: it makes the list a `ModuleList`, or the dict a `ModuleDict`. The model then has
parameters that old checkpoints lack. It is offered where the list or dict is written out.

An optimizer that lacks a module is given its parameters beside those that it has, where these are
written out: `Adam([*decoder.parameters(), *encoder.parameters()])`. There is no fix where the
module has no name there, or is one with what the optimizer has: then a part of it may be meant.

What nothing trained was not judged either. Rules that look at training, such as RNN201 and RNN301,
see the layers from then on, and their advice is repaired in turn where it can be.

## References
- [torch.nn.ModuleList](https://pytorch.org/docs/stable/generated/torch.nn.ModuleList.html)
"""

from __future__ import annotations

from collections.abc import Iterator

from rnnlint.api import (
    Applicability,
    Backward,
    Cause,
    Diagnostic,
    Kept,
    Level,
    Load,
    OptimizerEvent,
    Program,
    Rule,
    Step,
    events,
    modules,
    optimise_too,
    register_layers,
    values,
)


class ParametersNotOptimised(Rule):
    level = Level.ERROR
    fixable = Applicability.UNSAFE
    cause = Cause.LOOP
    effect = "the layer keeps its random weights, and the others learn around it"

    def check(self, program: Program) -> Iterator[Diagnostic]:
        known = {
            layer for optimizer in program.optimizers for layer in program.layers_in(optimizer)
        }
        loaded = {layer.place for load in program.possible(Load) for layer in load.layers}
        found: set[values.Place] = set()
        for backward in program.of(Backward):
            steps = _steps(program, backward)
            if not steps or not all(_is_traced(step) for step in steps):
                continue
            reached = {call.layer for call in backward.calls if not modules.is_frozen(call.layer)}
            missed = [layer for layer in reached - known if layer.place not in loaded]
            for layer in sorted(missed, key=lambda one: one.place or backward.place):
                kept = _kept(program, layer)
                place = _optimizer_place(steps[0]) if kept is None else kept.place
                if place not in found:
                    found.add(place)
                    yield self._found(program, backward, layer, steps, kept, missed)

    def _found(
        self,
        program: Program,
        backward: Backward,
        layer: values.Layer,
        steps: list[OptimizerEvent],
        kept: Kept | None,
        missed: list[values.Layer],
    ) -> Diagnostic:
        never = Step(layer.place or backward.place, f"the {layer.kind} that never changes")
        trained = Step(backward.place, "the loss depends on it")
        if kept is not None:
            return self.report(
                program,
                kept.place,
                f"a plain container hides this {layer.kind} from parameters(): no optimizer has it",
                help="keep the layers in a torch.nn.ModuleList or ModuleDict",
                trail=[never, trained],
                fix=register_layers(program, kept),
            )
        step = steps[0]
        return self.report(
            program,
            _optimizer_place(step),
            f"the loss depends on {_article(layer.kind)} that is in no optimizer",
            help="give the optimizer the parameters of all modules that are trained",
            trail=[never, trained, Step(step.place, "this step leaves it as it is")],
            fix=optimise_too(program, steps, [one for one in missed if not _kept(program, one)]),
        )


def _optimizer_place(step: OptimizerEvent) -> values.Place:
    """Where the optimizer is built that takes a step."""
    built = (one.place for one in values.members(step.optimizer) if isinstance(one, values.Thing))
    return next((place for place in built if place is not None), step.place)


def _article(kind: str) -> str:
    return f"a{'n' if kind[0] in 'LR' else ''} {kind}"


def _steps(program: Program, backward: Backward) -> list[OptimizerEvent]:
    return [
        event
        for event in program.iteration_of(backward)
        if events.is_step(event) and event.goes_with(backward)
    ]


def _kept(program: Program, layer: values.Layer) -> Kept | None:
    """Where a module puts a layer into a container that registers nothing."""
    for note in program.possible(Kept):
        inside = program.layers_in(note.container)
        if layer in inside and layer not in program.layers_in(note.owner):
            return note
    return None


def _is_traced(step: OptimizerEvent) -> bool:
    """Whether all that an optimizer updates is known."""
    return all(
        isinstance(member, values.Thing)
        and "<added>" not in member.fields
        and _is_whole(member.options.get("params", values.UNKNOWN))
        for member in values.members(step.optimizer)
    )


def _is_whole(value: values.Value, depth: int = 4) -> bool:
    """Whether parameters are those of modules that were seen, and no others."""
    if isinstance(value, values.Parameter):
        return True
    if isinstance(value, values.Parameters):
        return bool(modules.layers_in(value)) and all(
            isinstance(member, (values.Instance, values.Layer, values.Container))
            for module in value.modules
            for member in values.members(module)
        )
    if isinstance(value, values.DictObject):
        given = value.fields["entries"].get("params")
        return isinstance(given, values.Value) and _is_whole(given, depth - 1)
    inner = modules.contained(value)
    return bool(inner) and depth > 0 and all(_is_whole(one, depth - 1) for one in inner)
