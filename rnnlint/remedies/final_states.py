"""The final states of both directions take the place of the last output step."""

from __future__ import annotations

from collections.abc import Iterator

from rnnlint.diagnostic import Applicability, Fix
from rnnlint.fixing import operations
from rnnlint.fixing.layout import CannotPlaceError, Layout
from rnnlint.fixing.scopes import Scope
from rnnlint.lowering import ir
from rnnlint.remedies.indexing import is_last, is_whole
from rnnlint.semantics import values
from rnnlint.semantics.events import LayerCall, Reading
from rnnlint.semantics.program import Program
from rnnlint.semantics.values import Place

_BIDIRECTIONAL = {"LSTM": 6, "GRU": 6, "RNN": 7}
"""The argument's position when a layer is built."""
_REORDERED = frozenset({"permute", "transpose", "contiguous"})
"""Methods behind which the last step holds the same numbers."""
MAX_STEPS = 5
"""How often the output may change its name before it is read."""


def join_final_states(program: Program, place: Place) -> Fix | None:
    """Replace the last output step by the final states of both directions, side by side."""
    call = _only_call(program, place)
    if call is None:
        return None
    try:
        wanted = _Exchange(program, call, place).changes()
    except CannotPlaceError:
        return None
    message = "join the final states of both directions"
    return program.code.repair(message, wanted, Applicability.UNSAFE)


def _only_call(program: Program, place: Place) -> LayerCall | None:
    """The call whose output is read there, if it is of one kind, and surely bidirectional."""
    readings = [one for one in program.possible(Reading) if one.place == place]
    calls = [one.tensor.output_of for one in readings]
    found = [one for one in calls if one is not None]
    if len(found) < len(calls) or len({(one.place, _is_lstm(one)) for one in found}) != 1:
        return None
    if not all(_is_bidirectional(program, one.layer) for one in found):
        return None
    return found[0]


def _is_lstm(call: LayerCall) -> bool:
    return call.layer.kind == "LSTM"


def _is_bidirectional(program: Program, layer: values.Layer) -> bool:
    """Whether the construction says so itself: a variable could say something else."""
    if layer.place is None:
        return False
    try:
        position = _BIDIRECTIONAL.get(layer.kind)
        given = program.code.argument(layer.place, "bidirectional", position)
    except CannotPlaceError:
        return False
    return given is not None and program.code.text(given) == "True"


class _Exchange:
    """What changes at a layer's call, and where its last output step is read.

    Raises:
        CannotPlaceError: the call's results have no names that hold where the step is read.
    """

    def __init__(self, program: Program, call: LayerCall, place: Place) -> None:
        if call.place.path != place.path:
            raise CannotPlaceError("the output is read in another file")
        self._path = place.path
        self._layout: Layout = program.code.layout(place.path)
        self._call = self._layout.statement_at(call.place.start)
        self._reading = self._layout.statement_at(place.start)
        self._scope = Scope(self._layout, self._reading)
        self._is_lstm = _is_lstm(call)
        self._check_order()
        self._output, self._state = _targets(self._call.node, call.place)
        self._step = last_step(self._reading.node, place)
        self._check_origin()

    def changes(self) -> list[operations.AnyOperation]:
        name, changed = self._hidden_state()
        if self._output.id != "_" and self._is_read_once():
            changed.append(self._replaced(self._output, "_"))
        joined = f"{{torch.cat}}([{name}[-2], {name}[-1]], dim=-1)"
        return [*changed, self._replaced(self._step, joined)]

    def _replaced(self, node: ir.Node, code: str) -> operations.AnyOperation:
        return operations.Replace(self._path, node.start, node.end, code)

    # --- what runs before what ---

    def _check_order(self) -> None:
        around = self._reading.parents[: len(self._call.parents)]
        if around != self._call.parents or self._call.end > self._reading.start:
            raise CannotPlaceError("the layer may not have run where its output is read")
        inner = self._reading.parents[len(around) :]
        if any(isinstance(one, (ir.FunctionDef, ir.ClassDef)) for one in inner):
            raise CannotPlaceError("the output is read in another function")

    def _check_origin(self) -> None:
        """Follow the output's name back to the call."""
        assert isinstance(self._step.value, ir.Name)  # `last_step` has seen to that
        name, before = self._step.value.id, self._reading.start
        for _ in range(MAX_STEPS):
            binding = max(self._bindings(name, before), key=lambda one: one.start)
            if binding == self._call.node and name == self._output.id:
                return
            if not isinstance(binding, ir.Assign):
                break
            name, before = _source(binding, name), binding.start
        raise CannotPlaceError("the output is something else by then")

    def _bindings(self, name: str, before: int) -> list[ir.Node]:
        """The statements that give a name its value, from the call on."""
        found = [
            node
            for node in self._scope.nodes()
            if self._call.start <= node.start < before and name in _bound_by(node)
        ]
        if not found:
            raise CannotPlaceError("the name is not bound between the call and the reading")
        return found

    # --- names ---

    def _hidden_state(self) -> tuple[str, list[operations.AnyOperation]]:
        """What the final hidden state is called, and what to change so that it is."""
        fresh = self._scope.fresh("h_n", "final_state")
        state = self._state
        if isinstance(state, ir.Name):
            if state.id == "_" or len(self._scope.uses(state.id)) == 1:
                return fresh, [self._replaced(state, f"({fresh}, _)" if self._is_lstm else fresh)]
            self._check_kept(state.id)
            return (f"{state.id}[0]" if self._is_lstm else state.id), []
        if not self._is_lstm or not isinstance(state, ir.Sequence) or len(state.elements) != 2:
            raise CannotPlaceError("the state goes to no name")
        hidden = state.elements[0]
        if not isinstance(hidden, ir.Name):
            raise CannotPlaceError("the state goes to no name")
        if hidden.id == "_":
            return fresh, [self._replaced(hidden, fresh)]
        self._check_kept(hidden.id)
        return hidden.id, []

    def _check_kept(self, name: str) -> None:
        if self._bindings(name, self._reading.start) != [self._call.node]:
            raise CannotPlaceError("the state is something else by then")

    def _is_read_once(self) -> bool:
        """Whether nothing else reads the output than the step that goes."""
        if any(isinstance(one, (ir.For, ir.While)) for one in self._reading.parents):
            return False
        uses = [use for use in self._scope.uses(self._output.id) if use.start > self._output.start]
        if self._rebinds():
            uses = [use for use in uses if use.start < self._reading.end]
            uses = [use for use in uses if use.start != self._reading.start]
        return uses == [self._step.value]

    def _rebinds(self) -> bool:
        """`out = out[:, -1]`: from here on the name means something else."""
        node = self._reading.node
        targets = node.targets if isinstance(node, ir.Assign) else ()
        same = [isinstance(one, ir.Name) and one.id == self._output.id for one in targets]
        return same == [True] and self._reading.parents == self._call.parents


def _targets(node: ir.Stmt, call: Place) -> tuple[ir.Name, ir.Expr]:
    """The names of a call's two results: the output, and the state."""
    if isinstance(node, ir.Assign) and isinstance(node.value, ir.Call) and len(node.targets) == 1:
        target, value = node.targets[0], node.value
        if (value.start, value.end) == (call.start, call.end) and isinstance(target, ir.Sequence):
            output = target.elements[0]
            if len(target.elements) == 2 and isinstance(output, ir.Name):
                return output, target.elements[1]
    raise CannotPlaceError("the results of the call have no names")


def last_step(node: ir.Stmt, place: Place) -> ir.Subscript:
    """`out[:, -1]`, `out[-1]`, `out[:, -1, :]`: one step, all of its features.

    Raises:
        CannotPlaceError: the code reads something else, or not from a name.
    """
    for one in ir.nodes_in(node):
        if isinstance(one, ir.Subscript) and (one.start, one.end) == (place.start, place.end):
            steps = [part for part in one.index if not is_whole(part) and not _is_ellipsis(part)]
            if len(steps) == 1 and is_last(steps[0]) and isinstance(one.value, ir.Name):
                return one
    raise CannotPlaceError("this is another kind of reading")


def _is_ellipsis(part: ir.Expr) -> bool:
    return isinstance(part, ir.Const) and part.kind == "ellipsis"


def _source(node: ir.Assign, name: str) -> str:
    """What a name was before a statement that unpacks it, or orders its axes anew."""
    value, target = node.value, node.targets[0]
    if isinstance(value, ir.Call) and isinstance(value.func, ir.Attribute):
        owner = value.func.value
        if value.func.attr in _REORDERED and isinstance(owner, ir.Name):
            return owner.id
    if isinstance(value, ir.Call) and ir.last_name(value.func) == "pad_packed_sequence":
        given = value.args[0].value if value.args else None
        first = target.elements[0] if isinstance(target, ir.Sequence) else None
        if isinstance(given, ir.Name) and isinstance(first, ir.Name) and first.id == name:
            return given.id
    raise CannotPlaceError("the output is something else by then")


def _bound_by(node: ir.Node) -> Iterator[str]:
    targets: tuple[object, ...] = ()
    if isinstance(node, ir.Assign):
        targets = node.targets
    elif isinstance(node, (ir.AugAssign, ir.For, ir.WithItem, ir.NamedExpr, ir.Generator)):
        targets = (node.target,)
    return (one.id for one in ir.nodes_in(targets) if isinstance(one, ir.Name))
