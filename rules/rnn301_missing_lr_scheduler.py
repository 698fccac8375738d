"""Missing lr scheduler.
"""

from __future__ import annotations

from collections.abc import Iterator

from rnnlint.api import (
    Diagnostic,
    Level,
    Opaque,
    OptimizerEvent,
    Program,
    Rule,
    Step,
    values,
)

HINTS = ("sched", "lr", "warm", "rate", "decay", "anneal", "train", "fit", "engine", "init")


class MissingLrScheduler(Rule):
    level = Level.ADVICE

    def check(self, program: Program) -> Iterator[Diagnostic]:
        by_place: dict[values.Place, list[values.Thing]] = {}
        for optimizer in program.optimizers:
            if optimizer.place is not None and self._is_built(program, optimizer):
                by_place.setdefault(optimizer.place, []).append(optimizer)
        for place, built in by_place.items():
            if any(self._scheduled(program, optimizer) for optimizer in built):
                continue
            for optimizer in built:
                layers = program.recurrent_layers(optimizer)
                if not layers or not program.is_stepped(optimizer):
                    continue
                layer = min(layers, key=lambda each: each.place or place)
                yield self.report(
                    program,
                    place,
                    f"nothing ever changes the learning rate of this {optimizer.name}",
                    help="add a scheduler, for instance "
                    "torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs), and "
                    "step it once an epoch",
                    trail=[Step(layer.place or place, f"it trains this {layer.kind}")],
                )
                break

    def _is_built(self, program: Program, optimizer: values.Thing) -> bool:
        """Whether the program really builds the optimizer, and steps it in a loop."""
        built = program.optimizer_events(optimizer, "built")
        steps = program.optimizer_events(optimizer, "step")
        if steps and not any(step.loops for step in steps):
            return False
        return any(not event.hypothetical for event in built)

    def _scheduled(self, program: Program, optimizer: values.Thing) -> bool:
        """Whether something changes the optimizer's rate, or may do so out of sight."""
        if "<foreign>" in optimizer.options:
            return True
        built = program.optimizer_events(optimizer, "built")
        if any(_rebuilt_each_turn(event, optimizer) for event in built):
            return True
        if self._replaced(program, optimizer):
            return True
        if program.optimizer_events(optimizer, "attached", "rate", "schedule"):
            return True
        entries = {event.context.entry for event in program.optimizer_events(optimizer, "step")}
        if any(
            program.unknown_optimizer_events(entry, "attached", "rate", "schedule")
            for entry in entries
        ):
            return True
        return any(
            optimizer in opaque.given and _hints(opaque.callee)
            for opaque in program.possible(Opaque)
        )

    def _replaced(self, program: Program, optimizer: values.Thing) -> bool:
        """Whether a loop builds another optimizer for these layers, at another rate."""
        layers = program.recurrent_layers(optimizer)
        for event in program.possible(OptimizerEvent):
            other = event.optimizer
            if event.what != "built" or not event.loops or not isinstance(other, values.Thing):
                continue
            changed = other.options.get("lr") != optimizer.options.get("lr")
            if changed and layers & program.recurrent_layers(other):
                return True
        return False


def _rebuilt_each_turn(event: OptimizerEvent, optimizer: values.Thing) -> bool:
    """Whether a loop builds the optimizer anew, with a rate that is no constant."""
    rate = optimizer.options.get("lr")
    return bool(event.loops) and rate is not None and not isinstance(rate, values.Const)


def _hints(callee: str) -> bool:
    name = callee.rsplit(".", 1)[-1].lower()
    return not name or any(hint in name for hint in HINTS)
