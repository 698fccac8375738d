"""Gradients are clipped between a backward pass and the steps that use them."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from rnnlint.diagnostic import Applicability, Fix
from rnnlint.fixing import operations
from rnnlint.fixing.layout import CannotPlaceError, Statement, blocks_of
from rnnlint.fixing.scopes import Scope
from rnnlint.lowering import ir
from rnnlint.remedies import parameters, updates
from rnnlint.remedies.updates import Step
from rnnlint.semantics import values
from rnnlint.semantics.events import Backward, Fit
from rnnlint.semantics.program import Program
from rnnlint.semantics.values import Place

NORM = "1.0"
_ACCUMULATION = ("gradient_accumulation_steps", "gradient_accumulation_plugin")
_CLIP = "{torch.nn.utils.clip_grad_norm_}"


def clip_after(program: Program, place: Place) -> Fix | None:
    """Clip what a backward pass computes, before the optimizers step.

    The parameters are those that the optimizers update, by the names that hold in every call
    of the code; where none do, they are read from the optimizers.
    """
    ways = _ways(program, place)
    for by_name in (True, False):
        try:
            wanted = {_operations(program, way, by_name) for way in ways}
        except CannotPlaceError:
            continue
        if len(wanted) == 1:
            message = "clip the gradients before the step"
            return program.code.repair(message, wanted.pop(), Applicability.SAFE)
    return None


class _Way(msgspec.Struct, frozen=True):
    """One way in which the program reaches a backward pass, and the steps that follow."""

    backward: Backward
    steps: tuple[Step, ...]


def _ways(program: Program, place: Place) -> list[_Way]:
    ways: list[_Way] = []
    for backward in updates.backwards_at(program, place):
        steps = updates.steps_after(program, backward)
        if any(_is_sparse(program, step) for step in steps):
            return []  # the norm of a sparse gradient cannot be computed
        if steps:
            ways.append(_Way(backward, tuple(steps)))
    return ways


def _is_sparse(program: Program, step: Step) -> bool:
    layers = program.layers_in(step.event.optimizer)
    return any(layer.options.get("sparse") == values.TRUE for layer in layers)


def _operations(program: Program, way: _Way, by_name: bool) -> tuple[operations.AnyOperation, ...]:
    found: dict[operations.AnyOperation, None] = {}
    sites = [program.code.statement(step.place) for step in way.steps]
    for step, statement in zip(way.steps, sites, strict=True):
        first = _first_of_its_run(statement, sites)
        lines = _lines(program, way.backward, step, by_name)
        found[_inserted(program, step, first, lines)] = None
    return tuple(found)


def _first_of_its_run(statement: Statement, sites: Sequence[Statement]) -> Statement:
    """The first of several steps that follow each other in one block."""
    first = statement
    while True:
        before = _before(first)
        found = [site for site in sites if site.node is before]
        if not found:
            return first
        first = found[0]


def _before(statement: Statement) -> ir.Stmt | None:
    return statement.block[statement.number - 1] if statement.number else None


def _inserted(
    program: Program, step: Step, statement: Statement, lines: tuple[str, ...]
) -> operations.Insert:
    """Before the step, and before what is said of it where the backward pass comes just before."""
    path = step.place.path
    backward = program.code.statement(step.backward)
    if step.within:
        return operations.Insert(path, backward.start, backward.end, lines)
    if backward.node is statement.node:
        raise CannotPlaceError("backward pass and step are one statement")
    if _before(statement) is backward.node and not blocks_of(backward.node):
        return operations.Insert(path, backward.start, backward.end, lines)
    return operations.Insert(path, statement.start, statement.end, lines, "before")


# --- what is written -----------------------------------------------------------


def _lines(program: Program, backward: Backward, step: Step, by_name: bool) -> tuple[str, ...]:
    code = program.code
    optimizer = _optimizer(program, step)
    target = None
    if by_name:
        target = parameters.of_its_own_names(program, step.event.optimizer, step.scope)
    receiver = code.receiver(backward.place)
    owner = code.text(receiver) if receiver is not None else ""
    library = step.scope.value(owner) if receiver is not None else None
    if isinstance(library, values.Thing) and library.kind == "fabric":
        target = target or parameters.of_its_groups(_known(optimizer))
        return _for_library(library, owner, target, optimizer)
    if code.text(backward.place).startswith("self.manual_backward("):
        return (
            f"self.clip_gradients({_known(optimizer)}, gradient_clip_val={NORM}, "
            'gradient_clip_algorithm="norm")',
        )
    lines: tuple[str, ...] = ()
    scaling = _scaled_by_apex(program, backward, owner)
    if scaling is not None:
        target = f"{scaling}.master_params({_known(optimizer)})"
    elif target is None:
        name = _fresh(program, step)
        lines = (f"{name} = {parameters.of_its_groups(_known(optimizer))}",)
        target = name
    unscale = _unscale(program, backward, step)
    if unscale is not None:
        lines = (unscale, *lines)
    return (*lines, f"{_CLIP}({target}, max_norm={NORM})")


def _known(optimizer: str | None) -> str:
    if optimizer is None:
        raise CannotPlaceError("neither the optimizer nor its parameters have a name here")
    return optimizer


def _fresh(program: Program, step: Step) -> str:
    """A name for the parameters that the code has not used for anything."""
    layout = program.code.layout(step.place.path)
    scope = Scope(layout, layout.statement_at(step.place.start))
    return scope.fresh("parameters", "parameters_to_clip")


def _optimizer(program: Program, step: Step) -> str | None:
    """The optimizer's name where the step is taken; None if it has none there."""
    if step.is_direct:
        part = program.code.receiver(step.place)
        if _is_scalers(program, step):
            part = program.code.argument(step.place, "optimizer", 0)
        name = program.code.text(part) if part is not None else ""
        # Not everything that has a `step` is an optimizer.
        if parameters.is_plain_name(name) and (step.is_traced or "opt" in name.lower()):
            return name
    optimizer = step.event.optimizer
    if not step.is_traced:
        return None
    return next(step.scope.names_of(lambda value: value == optimizer), None)


def _is_scalers(program: Program, step: Step) -> bool:
    """Whether a scaler takes the step: `scaler.step(optimizer)`."""
    given = program.code.argument(step.event.place, "optimizer", 0)
    part = program.code.receiver(step.event.place)
    if given is None or part is None:
        return False
    scope = step.event.scopes[-1]
    known = scope.value(program.code.text(part))
    members = values.members(known) if known is not None else ()
    return not any(isinstance(one, values.Thing) and one.kind == "optimizer" for one in members)


def _unscale(program: Program, backward: Backward, step: Step) -> str | None:
    """What divides scaled gradients by their scale, if nothing has done it yet."""
    if not backward.scaled or step.unscaled:
        return None
    if not step.is_direct or not _is_scalers(program, step):
        raise CannotPlaceError("the scaler is not seen beside the step")
    scaler = program.code.receiver(step.place)
    optimizer = program.code.argument(step.place, "optimizer", 0)
    if scaler is None or optimizer is None:
        raise CannotPlaceError("the scaler has no name here")
    return f"{program.code.text(scaler)}.unscale_({program.code.text(optimizer)})"


def _for_library(
    library: values.Thing, name: str, target: str, optimizer: str | None
) -> tuple[str, ...]:
    """Accelerate and Fabric clip by methods of their own, which know about scaling."""
    if library.name == "fabric":
        module = target.removesuffix(".parameters()")
        if not parameters.is_plain_name(module):
            raise CannotPlaceError("Fabric wants the module and the optimizer")
        return (f"{name}.clip_gradients({module}, {_known(optimizer)}, max_norm={NORM})",)
    clip = f"{name}.clip_grad_norm_({target}, max_norm={NORM})"
    if library.options.keys().isdisjoint(_ACCUMULATION):
        return (clip,)
    return (f"if {name}.sync_gradients:", f"    {clip}")


def _scaled_by_apex(program: Program, backward: Backward, owner: str) -> str | None:
    """The name of `amp` in `with amp.scale_loss(loss, optimizer) as scaled:` around backward."""
    for parent in reversed(program.code.statement(backward.place).parents):
        if not isinstance(parent, ir.With):
            continue
        for item in parent.items:
            context = item.context
            if not isinstance(context, ir.Call) or not isinstance(item.target, ir.Name):
                continue
            text = program.code.text(
                Place(backward.place.path, context.func.start, context.func.end)
            )
            if item.target.id == owner and text.endswith(".scale_loss"):
                return text.removesuffix(".scale_loss")
    return None


# --- trainers ------------------------------------------------------------------

_VERSION_2 = re.compile(r"from fastai\.(?:\w+\.)*all import|fastai\.callback\.|\bDataLoaders\b")
"""Names that fastai has had since its second version, when `GradientClip` came."""
_CALLBACK = "{skorch.callbacks.GradientNormClipping}(gradient_clip_value=1.0)"


def clip_in_trainer(program: Program, fit: Fit) -> Fix | None:
    """Tell a framework's trainer to clip."""
    trainer = fit.trainer
    if trainer.place is None:
        return None
    try:
        wanted = _for_trainer(program, fit, trainer.place)
    except CannotPlaceError:
        return None
    if wanted is None:
        return None
    return program.code.repair("let the trainer clip", [wanted], Applicability.SAFE)


def _for_trainer(program: Program, fit: Fit, place: Place) -> operations.AnyOperation | None:
    name = fit.trainer.name
    if name == "lightning" and not _optimises_by_hand(fit):
        return _set(place, "gradient_clip_val", NORM)
    if name == "allennlp":
        return _set(place, "grad_norm", NORM)
    if name == "skorch":
        return _with_callback(program, place, "callbacks", _CALLBACK)
    if name == "fastai" and _VERSION_2.search(program.code.layout(place.path).text):
        callback = f"{{fastai.callback.training.GradientClip}}({NORM})"
        return _with_callback(program, place, "cbs", callback)
    return None


def _set(place: Place, keyword: str, code: str) -> operations.SetArgument:
    return operations.SetArgument(place.path, place.start, place.end, keyword, code)


def _optimises_by_hand(fit: Fit) -> bool:
    """Whether the module does without the trainer's own steps, so that it must clip itself."""
    return any(
        isinstance(module, values.Instance)
        and module.fields.get("automatic_optimization") == values.FALSE
        for module in values.members(fit.module)
    )


def _with_callback(
    program: Program, place: Place, keyword: str, code: str
) -> operations.AnyOperation | None:
    """One more callback, in a list that is written out or in one of its own."""
    if program.code.spreads(place):
        return None
    given = program.code.argument(place, keyword)
    if given is None:
        return _set(place, keyword, f"[{code}]")
    text = program.code.text(given)
    if parameters.is_plain_name(text) and text != "None":
        return _set(place, keyword, f"[*{text}, {code}]")
    if not text.startswith("[") or not text.endswith("]") or "#" in text:
        return None
    inner = text[1:-1].rstrip()
    end = given.start + 1 + len(inner)
    separator = "" if not inner.strip() else " " if inner.endswith(",") else ", "
    return operations.Replace(given.path, end, end, separator + code)
