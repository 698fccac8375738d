"""Recurrent layers are initialised where they are built.

With the companion that is one line behind the construction, or a call around it.  In plain
PyTorch it is a loop over the parameters: each gate of the recurrent weights becomes orthogonal,
and the forget gate of an LSTM starts with a bias of 1.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import msgspec

from rnnlint.diagnostic import Applicability, Fix
from rnnlint.fixing import operations
from rnnlint.fixing.arguments import call_at
from rnnlint.fixing.bindings import names_bound
from rnnlint.fixing.code import Code, Stretch
from rnnlint.fixing.constructions import Named, named, path_to
from rnnlint.fixing.layout import CannotPlaceError, Layout
from rnnlint.lowering import ir

_COMPANION = "{rnnlint.runtime.init_recurrent_}"
_GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
_MESSAGE = "initialise the layer where it is built"


class Built(msgspec.Struct, frozen=True):
    """The recurrent layers that one construction builds: mostly one, or one of several."""

    kinds: frozenset[str]
    """"LSTM", "GRU" or "RNN", of cells too."""
    relu: bool = False
    """Whether it is an RNN with ReLU."""
    forgets: bool = True
    """Whether it has, or may have, biases for a gate that remembers."""


def initialise(
    code: Code, call: Stretch, built: Built, constructions: Collection[Stretch]
) -> Fix | None:
    """The repair that initialises a recurrent layer.

    Args:
        code: the project.
        call: the construction of the layer.
        built: what it builds.
        constructions: where the project builds recurrent layers.
    """
    try:
        layout = code.layout(call.path)
        node = call_at(layout, call.start, call.end)
        places = {(one.start, one.end) for one in constructions if one.path == call.path}
        inlined = code.fix_style == "torch"

        def is_layer(one: ir.Node) -> bool:
            return isinstance(one, ir.Call) and (one.start, one.end) in places

        name = named(layout, node, is_layer, in_any_case=not inlined)
        if inlined:
            wanted = _in_plain_torch(call.path, layout, node, name, built)
        else:
            wanted = _with_companion(call.path, layout, node, name, built)
    except CannotPlaceError:
        return None
    return code.repair(_MESSAGE, wanted, Applicability.SAFE)


# --- with the companion -----------------------------------------------------------------


def _with_companion(
    path: str, layout: Layout, call: ir.Call, name: Named | None, built: Built
) -> list[operations.AnyOperation]:
    # Asked for a forget bias, the companion warns of a layer without biases.
    options = ")" if built.forgets else ", forget_bias=None)"
    if name is not None and not name.is_list:
        return [_behind(path, name, [f"{_COMPANION}({name.name}{options}"])]
    return [
        _inserted(path, call.start, f"{_COMPANION}("),
        *_shifted(path, layout, call, len("init_recurrent_(")),
        _inserted(path, call.end, options),
    ]


def _behind(path: str, name: Named, lines: Iterable[str]) -> operations.Insert:
    return operations.Insert(path, name.anchor, name.anchor, tuple(lines))


def _inserted(path: str, offset: int, code: str) -> operations.Replace:
    return operations.Replace(path, offset, offset, code)


def _shifted(
    path: str, layout: Layout, call: ir.Call, width: int
) -> Iterable[operations.AnyOperation]:
    """Lines of a call that are aligned with its first argument stay so."""
    text = layout.text[call.start : call.end]
    if '"""' in text or "'''" in text:
        return
    column = call.start - layout.line_start(call.start)
    line = layout.next_line(call.start)
    while line < call.end:
        indentation = layout.indentation(line)
        if len(indentation) > column and "\t" not in indentation:
            yield _inserted(path, line, " " * width)
        line = layout.next_line(line)


# --- in plain PyTorch ---------------------------------------------------------------------


def _in_plain_torch(
    path: str, layout: Layout, call: ir.Call, name: Named | None, built: Built
) -> list[operations.AnyOperation]:
    used = names_around(layout, call.start)
    if name is not None and not name.is_alone:
        built = Built(frozenset(_GATES), forgets=False)
    if name is None:
        return _hoisted(path, layout, call, built, used)
    if not name.is_list:
        return [_behind(path, name, _loop(name.name, built, used))]
    one = free(("rnn", "layer", "recurrent_layer"), used)
    lines = [f"for {one} in {name.name}:", *_indented(_loop(one, built, used))]
    return [_behind(path, name, lines)]


def _hoisted(
    path: str, layout: Layout, call: ir.Call, built: Built, used: Collection[str]
) -> list[operations.AnyOperation]:
    """The layer gets a name in a statement of its own, before that which uses it."""
    statement = layout.statement_at(call.start).node
    text = layout.text[call.start : call.end]
    simple = isinstance(statement, (ir.Assign, ir.AugAssign, ir.ExprStmt, ir.Return))
    if not simple or "\n" in text or "\r" in text or "{" in text:
        raise CannotPlaceError("the layer has no name, and no place for one")
    between = path_to(statement, call)[1:-1]
    if any(isinstance(one, (ir.Comprehension, ir.Lambda, ir.IfExp, ir.BoolOp)) for one in between):
        raise CannotPlaceError("the layer is built several times, or perhaps not at all")
    name = free(("rnn", "layer", "recurrent_layer"), used)
    lines = (f"{name} = {text}", *_loop(name, built, used))
    return [
        operations.Insert(path, statement.start, statement.start, lines, where="before"),
        operations.Replace(path, call.start, call.end, name),
    ]


def _loop(target: str, built: Built, used: Collection[str]) -> list[str]:
    """The lines that initialise one layer, or all layers in a module."""
    name = free(("name", "parameter_name"), used)
    parameter = free(("parameter", "param", "tensor"), used)
    lines = [
        f"for {name}, {parameter} in {target}.named_parameters():",
        f'    if "weight_hh" in {name}:',
    ]
    if built.relu:
        return [
            *lines,
            f"        {{torch.nn.init.eye_}}({parameter})",
            f'    elif "bias_" in {name}:',
            f"        {{torch.nn.init.zeros_}}({parameter})",
        ]
    lines += _indented(_indented(_orthogonal(parameter, built.kinds, used)))
    if built.kinds == {"LSTM"} and built.forgets:
        lines += [
            f'    elif "bias_ih" in {name}:',
            f"        {{torch.nn.init.zeros_}}({parameter})",
            f"        {{torch.nn.init.ones_}}({parameter}.chunk(4)[1])  # the forget gate",
            f'    elif "bias_hh" in {name}:',
            f"        {{torch.nn.init.zeros_}}({parameter})",
        ]
    return lines


def _orthogonal(parameter: str, kinds: frozenset[str], used: Collection[str]) -> list[str]:
    if kinds == {"RNN"}:
        return [f"{{torch.nn.init.orthogonal_}}({parameter})"]
    counts = {_GATES[kind] for kind in kinds}
    # A recurrent matrix is as wide as each of its gates is high.
    parts = f"chunk({counts.pop()})" if len(counts) == 1 else f"split({parameter}.size(1))"
    gate = free(("gate", "matrix"), used)
    return [
        f"for {gate} in {parameter}.{parts}:",
        f"    {{torch.nn.init.orthogonal_}}({gate})",
    ]


def _indented(lines: Iterable[str]) -> list[str]:
    return [f"    {line}" for line in lines]


# --- names ----------------------------------------------------------------------------------


def names_around(layout: Layout, offset: int) -> frozenset[str]:
    """The names in use in the function around an offset, or in the file.

    A name that only other loops bind, each for itself, is free.
    """
    statement = layout.statement_at(offset)
    around = [one for one in statement.parents if isinstance(one, ir.FunctionDef)]
    scope: object = (around[-1].params, around[-1].body) if around else layout.body
    nodes = list(ir.nodes_in(scope))
    loops = [
        (one, frozenset(names_bound((one,))))
        for one in nodes
        if isinstance(one, ir.For) and one not in statement.parents
    ]
    names = {one.name for one in nodes if isinstance(one, ir.Parameter)}
    for one in nodes:
        if isinstance(one, ir.Name) and not any(
            loop.start <= one.start < loop.end and one.id in bound for loop, bound in loops
        ):
            names.add(one.id)
    return frozenset(names)


def free(candidates: Iterable[str], used: Collection[str]) -> str:
    """The first of some names that is not in use.

    Raises:
        CannotPlaceError: all of them are.
    """
    for name in candidates:
        if name not in used:
            return name
    raise CannotPlaceError("the names for a loop are taken")
