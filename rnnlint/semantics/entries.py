"""Where an abstract run begins: modules, `__main__` blocks, then what nobody calls."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from functools import partial
from itertools import chain, islice

from rnnlint.lowering import ir
from rnnlint.semantics import attributes, frameworks, values
from rnnlint.semantics.frames import Arguments
from rnnlint.semantics.interpreter import Interpreter
from rnnlint.semantics.values import UNKNOWN, Place, Value

MAX_HEIRS = 8
"""Subclasses for which a method that nobody calls is run."""


def run_project(run: Interpreter) -> None:
    """Run everything that could be where the program starts, callers before callees."""
    for path in sorted(run.files):
        run.enter(partial(run.module, path))
        _run_mains(run)
    known, matters = (-1, -1), frozenset[str]()
    for _ in range(2):
        defined = (len(run.functions), len(run.classes))
        if defined != known:
            matters = relevant_names(run.functions.values(), run.classes.values())
        known = defined
        _run_uncalled(run, matters)


def _run_mains(run: Interpreter) -> None:
    while run.mains:
        body, frame = run.mains.pop(0)
        run.enter(partial(run.execute, body, frame))


def _run_uncalled(run: Interpreter, matters: frozenset[str]) -> None:
    """Run functions and methods that no run has reached, callers before callees."""
    pending = [
        function
        for key, function in run.functions.items()
        if key not in run.executed and _matters(function, matters)
    ]
    mentioned: set[str] = set()
    for function in pending:
        own = function.owner.name if function.owner is not None else ""
        mentioned |= {*function.mentions} - {own}
    roots = [function for function in pending if _known_as(function) not in mentioned]
    rest = [function for function in pending if _known_as(function) in mentioned]
    for function in (*roots, *rest):
        if id(function.node) not in run.executed and not isinstance(function.node, ir.Lambda):
            _run_function(run, function)


def _run_function(run: Interpreter, function: values.Function) -> None:
    place = Place(function.module.path, function.node.start, function.node.end)
    for receiver in _receivers(run, function):
        if isinstance(receiver, values.Instance) and _run_lightning(run, receiver):
            continue
        unknown = Arguments(open_ended=True)
        run.enter(partial(run.call_function, function, unknown, place, receiver))


def _receivers(run: Interpreter, function: values.Function) -> list[Value | None]:
    """What an uncalled function is called on: its class's instances, those of heirs too."""
    owner = function.owner
    if owner is None or function.kind == "static":
        return [None]
    if function.kind == "class":
        return [owner]
    heirs = (
        cls
        for cls in owner.heirs.values()
        if attributes.find_in_class(cls, function.name) is function
    )
    receivers: list[Value | None] = []
    for cls in list(islice(heirs, MAX_HEIRS)) or [owner]:
        known = attributes.known_instance(run, cls)
        receivers.append(known if known is not None else _fabricated(run, cls))
    return [] if id(function.node) in run.executed else receivers


def _run_lightning(run: Interpreter, module: values.Instance) -> bool:
    """Run a LightningModule that no trainer was seen to fit; False for other objects."""
    if not frameworks.is_lightning_module(module) or "<ran>" in module.cls.fields:
        return False
    module.cls.fields["<ran>"] = values.TRUE
    place = module.cls.place or Place("", 0, 0)
    run.enter(partial(frameworks.run_lightning_module, run, module, None, None, place))
    return True


def _fabricated(run: Interpreter, owner: values.Class) -> Value:
    result: list[Value] = [UNKNOWN]
    run.enter(lambda: result.append(run.fabricate(owner)))
    return result[-1]


# --- what is worth running -------------------------------------------------

_EVIDENCE = frozenset(
    "LSTM GRU RNN LSTMCell GRUCell RNNCell backward manual_backward training_step "
    "pack_padded_sequence pad_packed_sequence pack_sequence pad_sequence clip_grad_norm_ "
    "clip_grad_norm clip_grad_value_ clip_grad_value lr_scheduler ReduceLROnPlateau Trainer".split()
)
"""Names that code of interest to a rule mentions."""
_RUN_BY_OTHERS = frozenset({"forward", "training_step"})
"""Methods that matter when their class does, though they name no layer themselves."""


def _known_as(function: values.Function) -> str:
    """The name by which callers of a function mention it."""
    if function.owner is not None and function.name in _RUN_BY_OTHERS:
        return function.owner.name
    return function.name


def _matters(function: values.Function, relevant: frozenset[str]) -> bool:
    if function.owner is not None and function.name in _RUN_BY_OTHERS:
        return function.owner.name in relevant
    return not relevant.isdisjoint(function.mentions)


def relevant_names(
    functions: Collection[values.Function], classes: Collection[values.Class]
) -> frozenset[str]:
    """Names of functions and classes that lead, by what they mention, to `_EVIDENCE`.

    A class leads there when one of its methods does, or one of its bases.
    """
    namers: defaultdict[str, list[tuple[str, ...]]] = defaultdict(list)
    for function in functions:
        own = () if function.name == "__init__" else (function.name,)
        names = own if function.owner is None else (*own, function.owner.name)
        for name in function.mentions:
            namers[name].append(names)
    for cls in classes:
        for base in cls.bases:
            if isinstance(base, values.Class):
                namers[base.name].append((cls.name,))
    relevant = set(_EVIDENCE)
    pending = list(_EVIDENCE)
    while pending:
        found = set(chain.from_iterable(namers.get(pending.pop(), ()))) - relevant
        relevant |= found
        pending.extend(found)
    return frozenset(relevant)
