"""Optimizers, schedulers, scalers and clipping."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnlint.semantics import calls, events, modules, tensors, values
from rnnlint.semantics.catalogue import Entry
from rnnlint.semantics.frames import Arguments, Effect, Method
from rnnlint.semantics.values import NONE, UNKNOWN, Place, Value

if TYPE_CHECKING:
    from rnnlint.semantics.interpreter import Interpreter


def leads_to_parameters(value: Value, depth: int = 3) -> bool:
    """Whether a value is, or holds, parameters of modules."""
    return any(
        isinstance(member, (values.Parameters, values.Parameter))
        or (depth > 0 and any(leads_to_parameters(i, depth - 1) for i in modules.contained(member)))
        for member in values.members(value)
    )


def build_optimizer(
    run: Interpreter, name: str, arguments: Arguments, place: Place, foreign: bool = False
) -> values.Thing:
    """Construct an optimizer; `foreign` ones may schedule their own rate."""
    options = arguments.bind(("params", "lr"))
    made = values.Thing("optimizer", name, place, options)
    if foreign:
        made.options["<foreign>"] = values.TRUE
    frame = _enclosing(run)
    if frame:
        made.options["<function>"] = values.Const(frame)
    run.things.append(made)
    run.emit(events.OptimizerEvent(place, run.context, "built", made))
    return made


def _enclosing(run: Interpreter) -> str:
    """The name of the project's function that runs now, if any."""
    return run.calls[-1].function.name if run.calls else ""


def _optimizer(
    run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place
) -> Value:
    return build_optimizer(run, entry.kind, arguments, place)


def _foreign_optimizer(
    run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place
) -> Value:
    return build_optimizer(run, entry.kind, arguments, place, foreign=True)


def _scheduler(
    run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place
) -> Value:
    options = arguments.bind(entry.parameters)
    made = values.Thing("scheduler", entry.kind, place, options)
    frame = _enclosing(run)
    if frame:
        made.options["<function>"] = values.Const(frame)
    run.things.append(made)
    for value in arguments.all():
        _hand_on(value)
    optimizer = options.get("optimizer", UNKNOWN)
    run.emit(events.OptimizerEvent(place, run.context, "attached", optimizer, made))
    return made


def _hand_on(value: Value) -> None:
    """Schedulers that a scheduler is built from are stepped by it."""
    for member in (*values.members(value), *modules.contained(value)):
        if isinstance(member, values.Thing) and member.kind == "scheduler":
            member.fields["<handed on>"] = values.TRUE


def _scaler(run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place) -> Value:
    return values.Thing("scaler", "GradScaler", place, dict(arguments.keywords))


def call_optimizer(
    run: Interpreter, thing: values.Thing, name: str, arguments: Arguments, place: Place
) -> Value:
    if name in ("step", "zero_grad"):
        closure = arguments.get(0, "closure")
        if name == "step" and isinstance(closure, (values.Function, values.Bound)):
            calls.call(run, closure, Arguments(), place)
        run.emit(events.OptimizerEvent(place, run.context, name, thing))
        return UNKNOWN
    if name == "add_param_group":
        group = arguments.get(0, "param_group")
        if group is not None:
            run.state.set(thing.fields, "<added>", group)
        return NONE
    if name in ("state_dict", "load_state_dict", "train", "eval", "share_memory"):
        return UNKNOWN
    return UNKNOWN


def optimizer_attribute(thing: values.Thing, name: str) -> Value:
    if name == "param_groups":
        group = values.Thing("group", "param_group", thing.place or Place("", 0, 0), {"of": thing})
        return values.ListObject((group,))
    if name == "defaults":
        return UNKNOWN
    return values.Native(name, thing)


def group_item(group: values.Thing, key: Value) -> Value:
    optimizer = group.options["of"]
    if (
        isinstance(key, values.Const)
        and key.value == "params"
        and isinstance(optimizer, values.Thing)
    ):
        return optimizer.options.get("params", UNKNOWN)
    return UNKNOWN


def set_group_item(run: Interpreter, group: values.Thing, key: Value, place: Place) -> None:
    """`group["lr"] = ...`: a schedule by hand."""
    if not isinstance(key, values.Const) or key.value == "lr":
        run.emit(events.OptimizerEvent(place, run.context, "rate", group.options["of"]))


def set_unknown_item(run: Interpreter, key: Value, place: Place) -> None:
    """`group["lr"] = ...` where the group's optimizer could not be traced."""
    if isinstance(key, values.Const) and key.value == "lr":
        run.emit(events.OptimizerEvent(place, run.context, "rate", UNKNOWN))


def call_scheduler(
    run: Interpreter, thing: values.Thing, name: str, arguments: Arguments, place: Place
) -> Value:
    if name in ("step", "step_update", "__call__"):
        optimizer = thing.options.get("optimizer", UNKNOWN)
        given = len(arguments.all())
        run.emit(events.OptimizerEvent(place, run.context, "schedule", optimizer, thing, given))
        return NONE
    return UNKNOWN


def note_override(
    run: Interpreter, method: values.Bound, arguments: Arguments, place: Place
) -> None:
    """A project's own `step` of a scheduler or optimizer class is a step too."""
    receiver = method.receiver
    if method.function.name != "step" or not isinstance(receiver, values.Instance):
        return
    base = receiver.fields.get("<base>")
    if isinstance(base, values.Thing) and base.kind == "scheduler":
        call_scheduler(run, base, "step", arguments, place)
    elif isinstance(base, values.Thing) and base.kind == "optimizer":
        call_optimizer(run, base, "step", Arguments(), place)


def call_scaler(
    run: Interpreter, thing: values.Thing, name: str, arguments: Arguments, place: Place
) -> Value:
    first = arguments.get(0, "outputs", "optimizer")
    if name == "scale":
        found = tensors.tensors_in(first) if first is not None else []
        base = found[0] if found else values.TENSOR
        return tensors.changed(base, part="scaled", output_of=None)
    if name in ("step", "unscale_"):
        what = "step" if name == "step" else "unscale"
        run.emit(events.OptimizerEvent(place, run.context, what, first or UNKNOWN))
    return UNKNOWN


def _clip(run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place) -> Value:
    target = arguments.get(0, "parameters")
    record_clip(run, entry.kind, target, place)
    return UNKNOWN


def record_clip(run: Interpreter, name: str, target: Value | None, place: Place) -> None:
    """Note that the gradients of some parameters are clipped."""
    layers = modules.layers_in(target) if target is not None else frozenset()
    run.emit(events.Clip(place, run.context, name, layers or None))


def call_gradient_method(
    run: Interpreter, gradient: values.Gradient, name: str, arguments: Arguments, place: Place
) -> Value:
    """`p.grad.clamp_(-1, 1)` clips; `p.grad.zero_()` clears."""
    layers = frozenset({gradient.parameter.layer}) if gradient.parameter is not None else None
    if name in ("clamp_", "clip_", "clamp", "clamp_min_", "clamp_max_", "mul_", "div_"):
        run.emit(events.Clip(place, run.context, f"grad.{name}", layers))
        return gradient
    if name == "zero_":
        run.emit(events.OptimizerEvent(place, run.context, "zero_grad", UNKNOWN))
        return gradient
    if name in ("detach", "detach_", "clone", "cpu", "to", "contiguous", "view"):
        return gradient
    if name == "norm":
        run.note(events.Measured(place, run.context, gradient=True))
    return UNKNOWN


def scale_gradient(run: Interpreter, gradient: values.Gradient, op: str, place: Place) -> None:
    """`p.grad *= coefficient`"""
    if op in ("*", "/"):
        call_gradient_method(run, gradient, "mul_", Arguments(), place)


def replace_gradient(run: Interpreter, place: Place) -> None:
    """`p.grad = None`: what had accumulated is gone."""
    run.emit(events.OptimizerEvent(place, run.context, "zero_grad", UNKNOWN))


def _backward(
    run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place
) -> Value:
    loss = arguments.get(0, "tensors")
    rest = Arguments([UNKNOWN, *arguments.positional[1:]], arguments.keywords)
    tensors.backward(run, loss or UNKNOWN, rest, place)
    return NONE


def _prepare(
    run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place
) -> Value:
    """`amp.initialize(model, optimizer)` hands back what it was given."""
    if len(arguments.positional) == 1:
        return arguments.positional[0]
    return values.Tuple(tuple(arguments.positional))


def _scaled_loss(
    run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place
) -> Value:
    return arguments.positional[0] if arguments.positional else UNKNOWN


def _parameters_of(
    run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place
) -> Value:
    first = arguments.positional[0] if arguments.positional else UNKNOWN
    if isinstance(first, values.Thing):
        return first.options.get("params", UNKNOWN)
    return UNKNOWN


EFFECTS: dict[str, Effect] = {
    "optimizer": _optimizer,
    "foreign_optimizer": _foreign_optimizer,
    "scheduler": _scheduler,
    "scaler": _scaler,
    "clip": _clip,
    "backward": _backward,
    "prepare": _prepare,
    "scaled_loss": _scaled_loss,
    "parameters_of": _parameters_of,
}

METHODS: dict[str, Method] = {
    "optimizer": call_optimizer,
    "scheduler": call_scheduler,
    "scaler": call_scaler,
}
