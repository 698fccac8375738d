"""The loop over a run's epochs: what may stand before it, and once in each of its turns."""

from __future__ import annotations

from rnnlint.fixing import operations
from rnnlint.fixing.bindings import names_bound
from rnnlint.fixing.layout import CannotPlaceError, Layout, Statement, blocks_of, place_in
from rnnlint.fixing.scopes import Scope
from rnnlint.lowering import ir
from rnnlint.remedies.updates import site
from rnnlint.semantics import naming
from rnnlint.semantics.events import OptimizerEvent
from rnnlint.semantics.program import Program
from rnnlint.semantics.values import Place

_LOOPS = (ir.For, ir.While)


class Epochs:
    """The outermost loop around an optimizer's step that does not build the optimizer anew.

    Args:
        program: the program.
        step: the step.
        level: which of the loops around the step it is, from the outermost.

    Raises:
        CannotPlaceError: it is no loop of the project's own.
    """

    def __init__(self, program: Program, step: OptimizerEvent, level: int) -> None:
        loop, number, _ = step.loops[level]
        depth = program.calls_around(number)
        self.layout: Layout = program.code.layout(loop.path)
        self.statement: Statement = self.layout.statement_at(loop.start)
        if not isinstance(self.statement.node, _LOOPS):
            raise CannotPlaceError("a framework runs the loop")
        self.path = loop.path
        self.node: ir.For | ir.While = self.statement.node
        self.scope = Scope(self.layout, self.statement)
        self.names: naming.Scope = step.scopes[depth]
        self.turns: int | None = program.turns_of(number)
        """How many there are, where that is a number in the code."""
        self.is_innermost = level == len(step.loops) - 1
        """Whether each turn is one step of the optimizer."""
        self._training = self._training_at(site(step, depth))

    def _training_at(self, place: Place) -> Statement:
        """The statement that trains for a turn: an inner loop, a call, the step itself."""
        step = self.layout.statement_at(place.start)
        around = (*step.parents, step.node)
        level = next((n for n, node in enumerate(around) if node is self.node), None)
        if level is None or step.node is self.node:
            raise CannotPlaceError("the step does not stand in the body of the loop")
        for number in range(level + 1, len(around)):
            node = around[number]
            if isinstance(node, _LOOPS) or node is step.node:
                return self._statement(around[:number], node)
        raise CannotPlaceError("the step does not stand in the body of the loop")

    def _statement(self, parents: tuple[ir.Stmt, ...], node: ir.Stmt) -> Statement:
        for block in blocks_of(parents[-1]):
            if any(one is node for one in block):
                return Statement(node, *self.layout.extent(node), block, parents)
        raise CannotPlaceError("the step does not stand in a block of the loop")

    # --- once in each turn ---

    def in_each_turn(self, lines: tuple[str, ...]) -> operations.Insert:
        """What happens once in each turn, after the training.

        That is at the end of the turn if the end is always reached, and behind the training
        itself if not, or if each turn is but one step.
        """
        start, end = self.layout.extent(self.last_in_turn())
        return operations.Insert(self.path, start, end, lines)

    def last_in_turn(self) -> ir.Stmt:
        """The statement behind which that stands.

        Raises:
            CannotPlaceError: only some of the turns train.
        """
        training = self._training
        if self.is_innermost and self._is_rationed(training):
            raise CannotPlaceError("the optimizer steps in some of the turns only")
        stands_here = training.parents[-1] is self.node
        if stands_here and not self.is_innermost and not self._may_be_left_early(training):
            return training.block[-1]
        return training.node

    def is_beside_the_training(self, statement: Statement) -> bool:
        """Whether a statement stands in the block of what trains for a turn."""
        return any(one is statement.node for one in self._training.block)

    def _is_rationed(self, training: Statement) -> bool:
        """Whether a count decides in which turns the optimizer steps."""
        level = next(n for n, node in enumerate(training.parents) if node is self.node)
        return any(
            isinstance(node, ir.If) and counts_turns(node.test)
            for node in training.parents[level + 1 :]
        )

    def _may_be_left_early(self, training: Statement) -> bool:
        """Whether the rest of the turn is skipped now and then though the loop goes on."""
        following = training.block[training.number + 1 :]
        return any(_jumps(node, "continue") for node in following) or (
            bool(following) and isinstance(following[-1], (ir.Return, ir.Raise, ir.Jump))
        )

    # --- before the first turn ---

    def before(
        self, lines: tuple[str, ...], after: str, needs: frozenset[str]
    ) -> operations.Insert:
        """What happens before the loop: behind what binds a name, or just before the loop.

        Args:
            lines: what is to be done.
            after: the name that it belongs to, with its attributes.
            needs: the other names that have to be bound there.
        """
        for block, around in self._outwards():
            number = place_in(block, around)
            assert number is not None  # each lies in the block that is given with it
            for position in range(number - 1, -1, -1):
                if not self._binds(block[position], after):
                    continue
                between = block[position + 1 : number]
                if needs.isdisjoint(names_bound(between)):
                    return self._behind(block[position], lines)
                return self._just_before(lines)
        own = set(names_bound(self.scope.body))
        if after.partition(".")[0] in own and not self._is_parameter(after):
            raise CannotPlaceError(f"{after} is bound within the loop")
        return self._just_before(lines)

    def _is_parameter(self, dotted: str) -> bool:
        return self.scope.parameter(dotted.partition(".")[0]) is not None

    def _outwards(self) -> list[tuple[tuple[ir.Stmt, ...], ir.Stmt]]:
        """The blocks around the loop within its function, each with what holds the loop."""
        found = [(self.statement.block, self.statement.node)]
        parents = self.statement.parents
        for number in range(len(parents) - 1, -1, -1):
            node = parents[number]
            if isinstance(node, (ir.FunctionDef, ir.ClassDef)):
                return found
            blocks = blocks_of(parents[number - 1]) if number else [self.layout.body]
            found += [(block, node) for block in blocks if any(one is node for one in block)]
        return found

    def _binds(self, node: ir.Stmt, dotted: str) -> bool:
        if isinstance(node, (ir.FunctionDef, ir.ClassDef)):
            return False
        if dotted.partition(".")[0] in set(names_bound((node,))):
            return True
        return any(
            isinstance(one, ir.Assign)
            and any(self.layout.text[t.start : t.end] == dotted for t in one.targets)
            for one in ir.nodes_in(node)
        )

    def _behind(self, node: ir.Stmt, lines: tuple[str, ...]) -> operations.Insert:
        start, end = self.layout.extent(node)
        return operations.Insert(self.path, start, end, lines)

    def _just_before(self, lines: tuple[str, ...]) -> operations.Insert:
        return just_before(self.path, self.layout, self.statement, lines)


def counts_turns(test: ir.Expr) -> bool:
    """Whether a test holds once in so many turns: `(i + 1) % accumulate == 0`."""
    return any(isinstance(node, ir.Binary) and node.op == "%" for node in ir.nodes_in(test))


def just_before(
    path: str, layout: Layout, statement: Statement, lines: tuple[str, ...]
) -> operations.Insert:
    """Before a statement, and before a comment that introduces it where that is possible."""
    number = statement.number
    start = layout.line_start(statement.start)
    above = layout.text[layout.line_above(start) : start].strip()
    before = statement.block[number - 1] if number else None
    if above.startswith("#") and before is not None and not blocks_of(before):
        return operations.Insert(path, *layout.extent(before), lines)
    return operations.Insert(path, statement.start, statement.end, lines, "before")


def _jumps(node: ir.Stmt, kind: str) -> bool:
    """Whether a statement may jump in the loop around it."""
    if isinstance(node, ir.Jump):
        return node.kind == kind
    if isinstance(node, (*_LOOPS, ir.FunctionDef, ir.ClassDef)):
        return False
    return any(_jumps(inner, kind) for block in blocks_of(node) for inner in block)
