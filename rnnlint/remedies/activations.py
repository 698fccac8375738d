"""An activation in front of a loss that has its own is taken away, or gets its logarithm."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator

from rnnlint.diagnostic import Applicability, Fix
from rnnlint.fixing import operations
from rnnlint.fixing.arguments import call_at
from rnnlint.fixing.constructions import path_to
from rnnlint.fixing.layout import CannotPlaceError, Layout
from rnnlint.lowering import ir
from rnnlint.semantics.events import Activated, LossComputed
from rnnlint.semantics.program import Program
from rnnlint.semantics.values import Activation, Place

_LOGARITHMS = {"softmax": "log_softmax", "Softmax": "LogSoftmax"}
_WITHIN_TORCH = {"log_softmax": "torch.nn.functional", "LogSoftmax": "torch.nn"}
_LAST_LINE = re.compile(r"[ \t]*,?[ \t]*(?:\r\n|\r|\n)")
_TIGHT = (ir.Name, ir.Attribute, ir.Call, ir.Subscript, ir.Const)
_LOOSE_PARENTS = (ir.Argument, ir.Assign, ir.Return, ir.ExprStmt)
_READ_AS_PROBABILITIES = frozenset({"round", "log", "log2", "log10", "bernoulli", "multinomial"})
"""What takes numbers between 0 and 1, and would take logits without a word."""


_RANDOM = frozenset({"random", "rand", "uniform"})
_MEASURES = frozenset("acc accuracy auc f1 loss perplexity dropout ratio rate lr fraction".split())
"""Words for what is measured of a model or told to it."""


def remove_activations(
    program: Program, loss: LossComputed, activations: Collection[Activation]
) -> Fix | None:
    """Hand the logits to a loss that applies the activation itself."""
    try:
        if any(_reads_probabilities(program, place) for place in _readers(loss, activations)):
            return None
        wanted = [one for each in activations for one in _Applied(program, each).removed()]
    except CannotPlaceError:
        return None
    kind = next(iter(activations)).kind
    return program.code.repair(f"remove the {kind}", wanted, Applicability.UNSAFE)


def take_logarithms(program: Program, activations: Collection[Activation]) -> Fix | None:
    """Hand log-probabilities to a loss that wants them."""
    try:
        wanted = [_Applied(program, each).with_logarithm() for each in activations]
    except CannotPlaceError:
        return None
    return program.code.repair("use log_softmax", wanted, Applicability.UNSAFE)


def _readers(loss: LossComputed, activations: Iterable[Activation]) -> set[Place]:
    """Places in the code that may read the activated output: around the loss and the model."""
    return {loss.place, *loss.context.stack, *(each.place for each in activations)}


def _reads_probabilities(program: Program, place: Place) -> bool:
    """Whether the code around a place treats something as a probability.

    A threshold of 0.5 would be another one for logits; the largest of them stays the largest.
    """
    layout = program.code.layout(place.path)
    return any(_is_for_probabilities(node) for node in ir.nodes_in(layout.body))


def _is_for_probabilities(node: ir.Node) -> bool:
    if isinstance(node, ir.Compare):
        sides = (node.left, *node.comparators)
        return any(_is_share(one) for one in sides) and not any(_is_no_output(one) for one in sides)
    if not isinstance(node, ir.Call) or not isinstance(node.func, ir.Attribute):
        return False
    owner = node.func.value
    of_torch = isinstance(owner, ir.Name) and owner.id == "torch"
    return node.func.attr in _READ_AS_PROBABILITIES and (of_torch or not node.args)


def _is_share(node: ir.Expr) -> bool:
    return isinstance(node, ir.Const) and node.kind == "float" and 0 < float(str(node.value)) < 1


def _is_no_output(node: ir.Expr) -> bool:
    """Whether something says of itself that no model put it out: `best_acc`, `random.random()`."""
    name = ir.last_name(node.func if isinstance(node, ir.Call) else node)
    if isinstance(node, ir.Call):
        return name in _RANDOM
    return any(word in _MEASURES for word in re.findall(r"[a-z]+\d*", name.lower()))


class _Applied:
    """Where an activation is applied, and where its module is built if it has one.

    Raises:
        CannotPlaceError: the code has another form.
    """

    def __init__(self, program: Program, activation: Activation) -> None:
        self._program = program
        self._place = activation.place
        self._kind = activation.kind
        self._layout = program.code.layout(activation.place.path)
        self._call = call_at(self._layout, activation.place.start, activation.place.end)
        notes = [
            one
            for one in program.possible(Activated)
            if one.place == activation.place and one.kind == activation.kind
        ]
        modules = {one.layer.place if one.layer is not None else None for one in notes}
        if len(modules) != 1:
            raise CannotPlaceError("it is not one activation that is applied here")
        self._built: Place | None = modules.pop()

    # --- away with it ---

    def removed(self) -> list[operations.AnyOperation]:
        if self._built is None:
            return self._unwrapped(self._operand())
        layout = self._program.code.layout(self._built.path)
        built = call_at(layout, self._built.start, self._built.end)
        statement = layout.statement_at(built.start).node
        if isinstance(statement, ir.Assign) and statement.value == built:
            return [*self._unwrapped(self._only_argument()), *self._unbuilt(layout, statement)]
        return [_without_last(self._built.path, layout, statement, built)]

    def _operand(self) -> ir.Expr:
        """`x` in `F.softmax(x, dim=1)` and in `x.softmax(1)`."""
        function, given = self._call.func, self._call.args
        if given and not given[0].star and given[0].keyword in (None, "input"):
            operand = given[0].value
            if not isinstance(operand, ir.Const):
                return operand
        if isinstance(function, ir.Attribute):
            return function.value
        raise CannotPlaceError("what is activated is not written here")

    def _only_argument(self) -> ir.Expr:
        given = self._call.args
        if len(given) != 1 or given[0].star:
            raise CannotPlaceError("what is activated is not written here")
        return given[0].value

    def _unwrapped(self, operand: ir.Expr) -> list[operations.AnyOperation]:
        path, call, layout = self._place.path, self._call, self._layout
        text = layout.text[operand.start : operand.end]
        statement = layout.statement_at(call.start).node
        if isinstance(statement, ir.Assign) and statement.value == call:
            names = [layout.text[one.start : one.end] for one in statement.targets]
            if names == [text]:
                comment = _comment_above(layout, statement.start, self._kind)
                return [operations.Remove(path, call.start, call.end, comment)]
        around = path_to(statement, call)
        parent = around[-2] if len(around) > 1 else statement
        if not isinstance(operand, _TIGHT) and not isinstance(parent, _LOOSE_PARENTS):
            text = f"({text})"
        return [operations.Replace(path, call.start, call.end, text)]

    def _unbuilt(self, layout: Layout, statement: ir.Assign) -> Iterator[operations.AnyOperation]:
        """A module that nothing else calls need not be built."""
        assert self._built is not None  # its statement was found
        target = statement.targets[0]
        name = ir.last_name(target)
        uses = [
            node
            for node in ir.nodes_in(layout.body)
            if (isinstance(node, ir.Attribute) and node.attr == name)
            or (isinstance(node, ir.Name) and node.id == name)
        ]
        if len(statement.targets) == 1 and len(uses) == 2 and self._built.path == self._place.path:
            yield operations.Remove(self._built.path, statement.start, statement.end)

    # --- with a logarithm ---

    def with_logarithm(self) -> operations.AnyOperation:
        path, call = self._place.path, self._call
        if self._built is not None:
            path = self._built.path
            call = call_at(self._program.code.layout(path), self._built.start, self._built.end)
        name = _LOGARITHMS.get(ir.last_name(call.func))
        if name is None:
            raise CannotPlaceError("the activation has another name here")
        if isinstance(call.func, ir.Attribute):
            end = call.func.end
            return operations.Replace(path, end - len(call.func.attr), end, name)
        code = f"{{{_WITHIN_TORCH[name]}.{name}}}"
        return operations.Replace(path, call.func.start, call.func.end, code)


def _comment_above(layout: Layout, offset: int, kind: str) -> int | None:
    """Where a comment begins that says nothing but that there is an activation below."""
    end = layout.line_start(offset)
    start = layout.line_above(end)
    words = layout.text[start:end].strip().lower()
    says = rf"#\W*(?:(?:apply|applying|the|a|then|use|take)\W+)*{kind}\W*"
    return start if re.fullmatch(says, words) else None


def _without_last(
    path: str, layout: Layout, statement: ir.Stmt, built: ir.Call
) -> operations.AnyOperation:
    """`nn.Sequential(..., nn.Linear(8, 3), nn.Softmax(-1))` without its last module."""
    around = path_to(statement, built)
    sequential = around[-3] if len(around) > 2 else None
    if not isinstance(sequential, ir.Call) or ir.last_name(sequential.func) != "Sequential":
        raise CannotPlaceError("the module is no part of a sequence")
    given = sequential.args
    if len(given) < 2 or given[-1].value != built or given[-2].star:
        raise CannotPlaceError("the module is not the last of a sequence")
    alone = _LAST_LINE.match(layout.text, built.end)
    if layout.begins_line(built.start) and alone is not None:
        return operations.Replace(path, layout.line_start(built.start), alone.end(), "")
    comma = layout.text.find(",", given[-2].end, built.start)
    return operations.Replace(path, comma, built.end, "")
