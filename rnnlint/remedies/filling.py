"""Statements that fill parameters one by one, and what they should do to the gates."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

import msgspec

from rnnlint.diagnostic import Applicability, Fix
from rnnlint.fixing import operations
from rnnlint.fixing.initialising import free, names_around
from rnnlint.fixing.layout import CannotPlaceError, Layout, Statement
from rnnlint.lowering import ir
from rnnlint.semantics import parameters
from rnnlint.semantics.events import Init
from rnnlint.semantics.program import Program
from rnnlint.semantics.values import Place

_ON_TENSOR = re.compile(r"zero_|fill_")
_INPUT_GATE = re.compile(r"(?P<bias>.+)\[\s*0?\s*:\s*(?P<end>.+?)\s*\](?P<data>\.data)?", re.DOTALL)
_QUARTER = re.compile(r"(?P<size>.+?)\s*//\s*4", re.DOTALL)


class _Filling(msgspec.Struct, frozen=True):
    """A statement that is a call which fills a parameter."""

    place: Place
    call: ir.Call
    tensor: ir.Expr
    """What is filled, as the code has it."""
    statement: Statement
    layout: Layout
    inits: tuple[Init, ...]
    """All that the call fills when the program runs."""

    def text(self, node: ir.Node) -> str:
        return self.layout.text[node.start : node.end]

    @property
    def parameter(self) -> str:
        """The parameter, without `.data`."""
        return self.text(self.tensor).removesuffix(".data")

    @property
    def loop(self) -> str | None:
        """What a loop over named parameters calls the name of the parameter."""
        for parent in reversed(self.statement.parents):
            if isinstance(parent, ir.FunctionDef):
                return None
            if isinstance(parent, ir.For) and self.parameter in map(self.text, _targets(parent)):
                return self._named(parent)
        return None

    def _named(self, loop: ir.For) -> str | None:
        names = [self.text(one) for one in _targets(loop)]
        function = loop.iter.func if isinstance(loop.iter, ir.Call) else None
        if len(names) != 2 or names[1] != self.parameter:
            return None
        if not isinstance(function, ir.Attribute) or function.attr != "named_parameters":
            return None
        return names[0]


def _targets(loop: ir.For) -> Sequence[ir.Expr]:
    return loop.target.elements if isinstance(loop.target, ir.Sequence) else (loop.target,)


def _kind(init: Init) -> str:
    return init.parameter.layer.kind.removesuffix("Cell")


def _filling(program: Program, place: Place) -> _Filling:
    """The statement in which a parameter is filled.

    Raises:
        CannotPlaceError: it is no statement of its own.
    """
    layout = program.code.layout(place.path)
    statement = layout.statement_at(place.start)
    node = statement.node
    call = node.value if isinstance(node, ir.ExprStmt) else None
    if not isinstance(call, ir.Call) or (call.start, call.end) != (place.start, place.end):
        raise CannotPlaceError("this is no statement of its own")
    function = call.func
    tensor: ir.Expr | None = None
    if isinstance(function, ir.Attribute) and _ON_TENSOR.fullmatch(function.attr):
        tensor = function.value
    elif call.args and not call.args[0].star and call.args[0].keyword in (None, "tensor"):
        tensor = call.args[0].value
    if tensor is None:
        raise CannotPlaceError("what is filled is not written here")
    inits = tuple(init for init in program.possible(Init) if init.place == place)
    return _Filling(place, call, tensor, statement, layout, inits)


# --- orthogonal matrices ----------------------------------------------------------------


def fill_gate_by_gate(program: Program, place: Place) -> Fix | None:
    """Fill each gate of a recurrent matrix with the call that fills the whole."""
    try:
        filling = _filling(program, place)
        lines = _for_each_gate(filling)
    except CannotPlaceError:
        return None
    rewrite = operations.Rewrite(place.path, place.start, place.end, tuple(lines))
    return program.code.repair("initialise gate by gate", [rewrite], Applicability.SAFE)


def _for_each_gate(filling: _Filling) -> list[str]:
    text, tensor = filling.text(filling.call), filling.tensor
    function = filling.text(filling.call.func)
    if "\n" in text or "\r" in text or not function.rpartition(".")[2].startswith("orthogonal"):
        raise CannotPlaceError("the call cannot be written anew")
    gate = free(("gate", "matrix"), names_around(filling.layout, filling.place.start))
    start = tensor.start - filling.place.start
    for_gate = f"{text[:start]}{gate}{text[start + tensor.end - tensor.start :]}"
    matrix = filling.text(tensor)
    matrices = [init for init in filling.inits if init.parameter.rank != 1]
    vectors = any(init.parameter.rank == 1 and not init.hypothetical for init in filling.inits)
    counts = {len(parameters.GATES.get(_kind(init), ())) for init in matrices}
    if len(counts) == 1 and counts != {0}:
        lines = [f"for {gate} in {matrix}.chunk({counts.pop()}):", f"    {for_gate}"]
        test = [f"if {filling.parameter}.dim() > 1:"]
        return [*test, *(f"    {line}" for line in lines)] if vectors else lines
    if filling.loop is None:
        raise CannotPlaceError("the parameter's name is not known here")
    # A recurrent matrix is as wide as each of its gates is high.
    return [
        f'if "weight_hh" in {filling.loop}:',
        f"    for {gate} in {matrix}.split({filling.parameter}.size(1)):",
        f"        {for_gate}",
        f"elif {filling.parameter}.dim() > 1:" if vectors else "else:",
        f"    {text}",
    ]


# --- forget biases -----------------------------------------------------------------------


def raise_forget_bias(program: Program, places: Collection[Place]) -> Fix | None:
    """Raise the forget gate's bias once it was zeroed, in one of the two biases of a gate."""
    try:
        wanted = [_raise_after(program, _filling(program, place)) for place in sorted(places)]
    except CannotPlaceError:
        return None
    return program.code.repair("start the forget gate at a bias of 1", wanted, Applicability.SAFE)


def _raise_after(program: Program, filling: _Filling) -> operations.AnyOperation:
    biases = [init for init in filling.inits if init.parameter.name.startswith("bias_")]
    if any(init.parameter.part for init in filling.inits):
        raise CannotPlaceError("the gate was zeroed on purpose")
    others = {_kind(init) for init in biases} - {"LSTM"}
    if others and filling.loop is not None:
        raise CannotPlaceError("the loop meets gates of other kinds")
    raised = [_ones(filling.parameter)]
    at = filling.statement.start
    if filling.loop is not None:
        raised = [f'if "bias_ih" in {filling.loop}:', f"    {raised[0]}"]
    elif len({init.parameter.name for init in filling.inits}) > 1:
        at, raised = _behind_loop(program, filling)
    return operations.Insert(filling.place.path, at, at, tuple(raised))


def _behind_loop(program: Program, filling: _Filling) -> tuple[int, list[str]]:
    """Behind a loop over parameters without names: an offset in it, and what to do there.

    Raises:
        CannotPlaceError: the loop is not one over the parameters of a module with a name.
    """
    loops = [one for one in filling.statement.parents if isinstance(one, ir.For)]
    iterated = loops[0].iter if len(loops) == 1 else None
    function = iterated.func if isinstance(iterated, ir.Call) else None
    if not isinstance(function, ir.Attribute) or function.attr != "parameters":
        raise CannotPlaceError("this is no loop over parameters")
    if not isinstance(function.value, ir.Name):
        raise CannotPlaceError("the module has no name")
    module = function.value.id
    lines = _raise_in(program, filling, module)
    if module != "self":
        # Handed to `apply`, the function around the loop meets modules of every kind.
        lines = [f"if isinstance({module}, {{torch.nn.LSTM}}):", *(f"    {one}" for one in lines)]
    return loops[0].start, lines


def _raise_in(program: Program, filling: _Filling, module: str) -> list[str]:
    if program.code.fix_style != "torch":
        return [f"{{rnnlint.runtime.init_recurrent_}}({module}, recurrent=None, input=None)"]
    if any(_kind(init) in ("GRU", "RNN") for init in filling.inits):
        raise CannotPlaceError("not all that is recurrent has a forget gate")
    used = names_around(filling.layout, filling.place.start)
    name = free(("name", "parameter_name"), used)
    parameter = free(("parameter", "param", "tensor"), used)
    return [
        f"for {name}, {parameter} in {module}.named_parameters():",
        f'    if "bias_ih" in {name}:',
        f"        {_ones(parameter)}",
    ]


def _ones(bias: str) -> str:
    return f"{{torch.nn.init.ones_}}({bias}.chunk(4)[1])  # the forget gate"


def move_to_forget_gate(program: Program, place: Place) -> Fix | None:
    """Raise the second quarter of a bias instead of the first, which is the input gate's."""
    try:
        filling = _filling(program, place)
    except CannotPlaceError:
        return None
    match = _INPUT_GATE.fullmatch(filling.text(filling.tensor))
    if match is None:
        return None
    quarter = _QUARTER.fullmatch(match["end"])
    first, last = match["end"], f"2 * {match['end']}"
    if quarter is not None:
        first, last = f"{quarter['size']} // 4", f"{quarter['size']} // 2"
    elif not re.fullmatch(r"[\w.]+", match["end"]):
        return None
    code = f"{match['bias']}[{first} : {last}]{match['data'] or ''}"
    replace = operations.Replace(place.path, filling.tensor.start, filling.tensor.end, code)
    message = "raise the forget gate's bias instead"
    return program.code.repair(message, [replace], Applicability.SAFE)
