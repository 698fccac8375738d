"""A recurrent layer that runs over padding is told the lengths, and its output is read anew.

Plain PyTorch takes up to three statements for it:

    packed = pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
    packed_output, state = self.lstm(packed)
    output, _ = pad_packed_sequence(packed_output, batch_first=True, total_length=x.size(1))

It is written all the same unless the companion is asked for, whose `run_recurrent` is one: these
three are what the tutorials show and reviewers know by heart, two of them often suffice, as the
last step is read from the final state, and a project gets no new dependency for a bug to be gone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

import msgspec

from rnnlint.fixing import operations
from rnnlint.fixing.code import Code
from rnnlint.fixing.layout import CannotPlaceError, Layout, Statement
from rnnlint.fixing.scopes import Scope, chain_to, runs_once
from rnnlint.lowering import ir
from rnnlint.remedies.readings import Mend, ReadSteps, Way, mended
from rnnlint.remedies.told import Told
from rnnlint.semantics.values import Place

_PACK = "{from torch.nn.utils.rnn import pack_padded_sequence}"
_UNPACK = "{from torch.nn.utils.rnn import pad_packed_sequence}"
_RUN = "{from rnnlint.runtime import run_recurrent}"
_IMPORTED = re.compile(r"\{from [\w.]+ import (\w+)\}")
_CALL = re.compile(r"(?P<head>[^()]+\()(?P<arguments>.+)\)")
_WIDTH, _MAX_WIDTH = 88, 120
"""How long a line may be at least, and at most."""
_SIMPLE = re.compile(r"[A-Za-z_]\w*(?:\.\w+)*")
_UNNAMED = re.compile(r"_+")


class Recurrence(msgspec.Struct, frozen=True):
    """A call of a recurrent layer, and what is known of the layer."""

    place: Place
    batch_first: bool
    bidirectional: bool | None
    has_cell: bool


def packed(
    code: Code, layer: Recurrence, told: Told, readings: Sequence[ReadSteps]
) -> list[operations.AnyOperation]:
    """What makes a layer's call one that knows the lengths, and its output be read accordingly.

    Raises:
        CannotPlaceError: there is no place for it.
    """
    call = _Call(code, layer)
    if code.fix_style == "runtime":
        return _with_companion(call, told, readings)
    return _with_pytorch(call, told, readings)


class _Call:
    """The call with its statement."""

    def __init__(self, code: Code, layer: Recurrence) -> None:
        self.code = code
        self.layer = layer
        self.layout: Layout = code.layout(layer.place.path)
        self.statement: Statement = code.statement(layer.place)
        self.scope = Scope(self.layout, self.statement)
        chain = chain_to(self.statement.node, layer.place.start, layer.place.end)
        if not chain or not isinstance(chain[-1], ir.Call):
            raise CannotPlaceError("the layer is not called here")
        if not isinstance(self.statement.node, (ir.Assign, ir.Return, ir.ExprStmt)):
            raise CannotPlaceError("the layer is called in the head of a block")
        if not runs_once(chain):
            raise CannotPlaceError("the layer is not called once in its statement")
        self.node: ir.Call = chain[-1]
        self.item = self._item(chain)
        self.argument = self._argument()

    def _item(self, chain: list[ir.Node]) -> ir.Subscript | None:
        """`self.lstm(x)[0]`"""
        around = chain[-2] if len(chain) > 1 else None
        if not isinstance(around, ir.Subscript) or around.value is not self.node:
            return None
        index = around.index[0] if len(around.index) == 1 else None
        return around if isinstance(index, ir.Const) and index.value in (0, 1) else None

    def _argument(self) -> ir.Expr:
        for argument in self.node.args:
            if argument.star:
                raise CannotPlaceError("the layer's input is not written out")
        named = [one.value for one in self.node.args if one.keyword == "input"]
        given = [one.value for one in self.node.args if one.keyword is None]
        if not named and not given:
            raise CannotPlaceError("the layer has no input")
        return (named or given)[0]

    @property
    def is_item(self) -> str:
        """ "output" or "state" where one of both is taken at once."""
        if self.item is None:
            return ""
        index = self.item.index[0]
        return "state" if isinstance(index, ir.Const) and index.value == 1 else "output"

    @property
    def whole(self) -> ir.Expr:
        """The call, or the item that is taken of its result."""
        return self.item or self.node

    @property
    def target(self) -> ir.Expr | None:
        """What the call's result, or the item of it, is assigned to and nothing else."""
        node = self.statement.node
        if isinstance(node, ir.Assign) and node.value is self.whole and len(node.targets) == 1:
            return node.targets[0]
        return None

    def text(self, node: ir.Node) -> str:
        return self.layout.text[node.start : node.end]

    def replace(self, node: ir.Node, text: str) -> operations.Replace:
        return operations.Replace(self.layer.place.path, node.start, node.end, text)

    def insert(self, lines: Sequence[str], where: Literal["before", "after"]) -> operations.Insert:
        place = self.layer.place
        wrapped = [short for line in lines for short in self._wrapped(line)]
        return operations.Insert(place.path, place.start, place.end, tuple(wrapped), where)

    def _wrapped(self, line: str) -> list[str]:
        """A call on three lines where one would be longer than the lines of the file are."""
        width = max(_WIDTH, min(max(map(len, self.layout.text.splitlines())), _MAX_WIDTH))
        indent = self.layout.indent_width(self.statement.start)
        written = _IMPORTED.sub(r"\1", line)
        match = _CALL.fullmatch(line)
        if indent + len(written) <= width or match is None:
            return [line]
        return [match["head"], f"    {match['arguments']}", ")"]

    def uses_after(self, name: str) -> int:
        """How often a name may be used with what the statement binds it to."""
        loops = [one for one in self.statement.parents if isinstance(one, (ir.For, ir.While))]
        uses = self.scope.uses(name)
        if loops:
            return len(uses) - 1
        return sum(1 for use in uses if use.start > self.statement.end)

    @property
    def time_axis(self) -> int:
        return 1 if self.layer.batch_first else 0


# --- plain PyTorch ----------------------------------------------------------


class _Names(msgspec.Struct):
    """What the parts of the layer's result are called."""

    output: str = ""
    """The name of the output, where it has one that is its alone."""
    hidden: str = ""
    """Code for the final hidden state, where it is at hand."""
    new_target: str = ""
    """The target of the state with a name for it, where it had none."""


def _with_pytorch(
    call: _Call, told: Told, readings: Sequence[ReadSteps]
) -> list[operations.AnyOperation]:
    names = _names(call)
    mends = [mended(call.code, call.layer, one, _way(call, names, told, one)) for one in readings]
    hidden_wanted = any(mend.uses_hidden for mend in mends)
    output_read = _output_is_read(call, names, mends)
    packed_name = call.scope.fresh("packed", "packed_input", "packed_sequence")
    source = call.text(call.argument)
    before: list[str] = []
    if output_read and not _SIMPLE.fullmatch(source):
        padded = call.scope.fresh("padded", "padded_input", besides=(packed_name,))
        before.append(f"{padded} = {_one_line(source)}")
        source = padded
    first = ", batch_first=True" if call.layer.batch_first else ""
    before.append(
        f"{packed_name} = {_PACK}({_one_line(source)}, {told.for_packing}{first}, "
        "enforce_sorted=False)"
    )
    filler = ', padding_value=float("-inf")' if any(mend.fills for mend in mends) else ""
    if filler and not all(mend.fills for mend in mends):
        raise CannotPlaceError("the padded steps would have to be zero and minus infinity")
    total = f", total_length={source}.size({call.time_axis})"
    unpacking = f"{first}{total}{filler}"
    changes = [operation for mend in mends for operation in mend.operations]
    return [
        *_placed(call, names, before, packed_name, unpacking, output_read, hidden_wanted),
        *changes,
    ]


def _one_line(text: str) -> str:
    if "\n" in text or "\r" in text:
        raise CannotPlaceError("the layer's input stretches over several lines")
    return text


def _names(call: _Call) -> _Names:
    """What the statement calls the layer's output and final state, or could call them."""
    target = call.target
    if call.item is not None:
        output = target.id if isinstance(target, ir.Name) and call.is_item == "output" else ""
        hidden = call.scope.fresh("hidden", "h_n", "last_hidden")
        new = f"({hidden}, _)" if call.layer.has_cell else hidden
        return _Names(output, hidden if call.is_item == "output" else "", new)
    if not isinstance(target, ir.Sequence) or len(target.elements) != 2:
        return _Names()
    first, second = target.elements
    output = first.id if isinstance(first, ir.Name) else ""
    return _Names(output, *_hidden(call, second))


def _hidden(call: _Call, target: ir.Expr) -> tuple[str, str]:
    """Code for the hidden state, and the target that gives it a name where it has none."""
    free = call.scope.fresh("hidden", "h_n", "last_hidden")
    if isinstance(target, ir.Name):
        if _UNNAMED.fullmatch(target.id):
            return free, f"({free}, _)" if call.layer.has_cell else free
        if call.scope.bindings(target.id) != 1:
            return "", ""
        return (f"{target.id}[0]" if call.layer.has_cell else target.id), ""
    if not isinstance(target, ir.Sequence) or len(target.elements) != 2:
        return "", ""
    if not call.layer.has_cell:
        return "", ""
    first, second = target.elements
    if not isinstance(first, ir.Name):
        return "", ""
    if _UNNAMED.fullmatch(first.id):
        return free, f"({free}, {call.text(second)})"
    return (first.id, "") if call.scope.bindings(first.id) == 1 else ("", "")


def _way(call: _Call, names: _Names, told: Told, reading: ReadSteps) -> Way:
    """How one reading is to be mended: by the final state where that is the same thing."""
    direct = bool(names.output) and call.scope.bindings(names.output) == 1
    whole = call.text(call.whole) if call.is_item == "output" and call.target is None else ""
    return Way(
        lengths=told.lengths,
        counts=told.counts,
        output=names.output if direct else whole,
        hidden=names.hidden,
        uses=call.uses_after(names.output) if direct else 0,
    )


def _output_is_read(call: _Call, names: _Names, mends: Sequence[Mend]) -> bool:
    """Whether something else reads the output than what reads the final state from now on."""
    taken = sum(mend.uses_hidden for mend in mends)
    if call.is_item == "state":
        return False
    if call.target is None:
        return not (call.item is not None and taken)
    if _UNNAMED.fullmatch(names.output):
        return False
    if names.output:
        return call.uses_after(names.output) > taken
    return True


def _placed(
    call: _Call,
    names: _Names,
    before: list[str],
    packed_name: str,
    unpacking: str,
    output_read: bool,
    hidden_wanted: bool,
) -> list[operations.AnyOperation]:
    """The statements around the call, and the call itself."""
    target = call.target
    packed_output = call.scope.fresh("packed_output", "packed_outputs")
    argument = call.replace(call.argument, packed_name)
    state = names.new_target if hidden_wanted and names.new_target else ""
    if isinstance(target, ir.Sequence) and call.item is None and len(target.elements) == 2:
        first, second = target.elements
        changes: list[operations.AnyOperation] = [call.insert(before, "before"), argument]
        if state:
            changes.append(call.replace(second, state))
        if output_read:
            changes.append(call.replace(first, packed_output))
            line = f"{call.text(first)}, _ = {_UNPACK}({packed_output}{unpacking})"
            changes.append(call.insert([line], "after"))
        elif hidden_wanted and names.output and not _UNNAMED.fullmatch(names.output):
            changes.append(call.replace(first, "_"))
        return changes
    if target is not None and call.item is not None:
        index = operations.Replace(call.layer.place.path, call.node.end, call.item.end, "")
        changes = [call.insert(before, "before"), argument, index]
        if call.is_item == "state":
            changes.append(call.replace(target, f"_, {_grouped(call, target)}"))
            return changes
        left = packed_output if output_read else "_"
        changes.append(call.replace(target, f"{left}, {state or '_'}"))
        if output_read:
            line = f"{call.text(target)}, _ = {_UNPACK}({packed_output}{unpacking})"
            changes.append(call.insert([line], "after"))
        return changes
    return _lifted(call, before, packed_name, unpacking, output_read, state)


def _grouped(call: _Call, target: ir.Expr) -> str:
    text = call.text(target)
    bare = isinstance(target, ir.Sequence) and not text.startswith("(")
    return f"({text})" if bare else text


def _lifted(
    call: _Call,
    before: list[str],
    packed_name: str,
    unpacking: str,
    output_read: bool,
    state: str,
) -> list[operations.AnyOperation]:
    """The call becomes a statement of its own before the one in which it stands."""
    text = call.layout.text
    node, argument = call.node, call.argument
    called = text[node.start : argument.start] + packed_name + text[argument.end : node.end]
    packed_output = call.scope.fresh("packed_output", "packed_outputs")
    output = call.scope.fresh("output", "outputs", "rnn_output")
    both = call.item is None
    if both or call.is_item == "state":
        state = call.scope.fresh("state", "final_state", besides=(output,))
    left = packed_output if output_read else "_"
    lines = [*before, f"{left}, {state or '_'} = {_one_line(called)}"]
    if output_read:
        lines.append(f"{output}, _ = {_UNPACK}({packed_output}{unpacking})")
    inserted = call.insert(lines, "before")
    if both:
        bare = isinstance(call.statement.node, (ir.Return, ir.Assign)) and (
            call.statement.node.value is node
        )
        pair = f"{output}, {state}"
        return [inserted, call.replace(node, pair if bare else f"({pair})")]
    if call.is_item == "state":
        return [inserted, call.replace(call.whole, state)]
    return [inserted, call.replace(call.whole, output)] if output_read else [inserted]


# --- the companion ----------------------------------------------------------


def _with_companion(
    call: _Call, told: Told, readings: Sequence[ReadSteps]
) -> list[operations.AnyOperation]:
    node, argument = call.node, call.argument
    if node.args[0].value is not argument or any(
        one.keyword not in (None, "hx") for one in node.args
    ):
        raise CannotPlaceError("the layer's arguments are given by other names")
    changes: list[operations.AnyOperation] = [
        operations.Replace(
            call.layer.place.path,
            node.start,
            argument.start,
            f"{_RUN}({call.text(node.func)}, ",
        ),
        operations.Replace(call.layer.place.path, argument.end, argument.end, f", {told.lengths}"),
    ]
    changes += [
        operations.Replace(call.layer.place.path, one.start, one.value.start, "state=")
        for one in node.args
        if one.keyword == "hx"
    ]
    for reading in readings:
        way = Way(told.lengths, told.counts, companion=True)
        changes += mended(call.code, call.layer, reading, way).operations
    return changes
