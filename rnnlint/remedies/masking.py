"""Attention is told which steps are padding, before its softmax gives each of them a weight."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

import msgspec

from rnnlint.diagnostic import Applicability, Fix
from rnnlint.fixing import operations
from rnnlint.fixing.bindings import binds
from rnnlint.fixing.code import Part
from rnnlint.fixing.layout import CannotPlaceError
from rnnlint.fixing.scopes import chain_to, runs_once
from rnnlint.lowering import ir
from rnnlint.remedies import counting, handing
from rnnlint.remedies.epochs import just_before
from rnnlint.remedies.told import Around, Told, at
from rnnlint.semantics.events import Packing, Reading
from rnnlint.semantics.program import Program
from rnnlint.semantics.values import Place, Tensor, Value

_LOWEST = 'float("-inf")'
_TO_MASK = "{from rnnlint.runtime import lengths_to_mask}"
_REAL, _PADDED = ("!=", ">"), ("==",)
"""How ids are compared: true where a step is real, or where it is padding."""


class _Scores(msgspec.Struct, frozen=True):
    """What the softmax is taken of, and on which axes it has the batch and time."""

    place: Place
    rank: int
    batch: int
    time: int

    def spread(self, mask: str) -> str:
        """A mask over two axes with the others that the scores have."""
        others = [axis for axis in range(self.rank) if axis not in (self.batch, self.time)]
        if others and " " in mask:
            mask = f"({mask})"
        for axis in others:
            mask += f".unsqueeze({-1 if axis == self.rank - 1 else axis})"
        return mask


def mask_padding(program: Program, attended: Reading) -> Fix | None:
    """Give the padded steps a score of minus infinity, by a mask or by lengths.

    They are looked for in the function of the softmax, then in those that call it.
    """
    readings = [
        one
        for one in program.possible(Reading)
        if one.place == attended.place and one.how == "attended"
    ]
    try:
        scores = _scores(program, readings)
        scopes = [one.scope for one in readings if one.scope is not None]
        layout = program.code.layout(scores.place.path)
        around = at(layout, scores.place.path, scores.place.start, scopes)
    except CannotPlaceError:
        return None
    for changes in _ways(program, around, scores, readings):
        fix = program.code.repair("leave the padding out", changes, Applicability.UNSAFE)
        if fix is not None:
            return fix
    return None


def _scores(program: Program, readings: Sequence[Reading]) -> _Scores:
    """What all ways to the softmax have in common.

    Raises:
        CannotPlaceError: they differ, or the axes are not known.
    """
    found = {(one.tensor.rank, one.tensor.batch_axis, one.axis) for one in readings}
    if len(found) != 1:
        raise CannotPlaceError("the softmax is taken over several layouts")
    rank, batch, time = found.pop()
    if rank is None or batch is None or time is None:
        raise CannotPlaceError("the axes of the scores are not known")
    part = _given(program, readings[0])
    return _Scores(Place(part.path, part.start, part.end), rank, batch, time)


def _given(program: Program, attended: Reading) -> Part:
    """The scores in `F.softmax(scores, dim=1)`, `self.softmax(scores)` or `scores.softmax(1)`.

    Raises:
        CannotPlaceError: they are not written out.
    """
    argument = program.code.argument(attended.place, "input", 0)
    if argument is not None and not _is_axis(attended, program.code.node_at(argument)):
        return argument
    receiver = program.code.receiver(attended.place)
    if receiver is None or program.code.spreads(attended.place):
        raise CannotPlaceError("the scores are not written out")
    return receiver


def _is_axis(attended: Reading, argument: ir.Node) -> bool:
    """Whether an argument is the axis: the softmax is a method of the scores."""
    if isinstance(argument, ir.Name):
        value = attended.scope.value(argument.id) if attended.scope is not None else None
        return not isinstance(value, Tensor)
    return isinstance(argument, (ir.Const, ir.Unary))


def _ways(
    program: Program, around: Around, scores: _Scores, readings: Sequence[Reading]
) -> Iterator[list[operations.AnyOperation]]:
    value = around.node(scores.place)
    if value is None:
        return
    masked = _Masked(program, around, scores)
    mask = _mask_here(program, around, scores)
    # What was unpacked may have fewer steps than the batch whose mask it is.
    if mask is not None and not masked.packs():
        yield masked.by(mask)
    sides = {one.tensor.padding.side for one in readings if one.tensor.padding is not None}
    if sides != {"right"}:
        return
    lookups = list(program.passages.lookups.values())
    wanted: tuple[Callable[[], Told | None], ...] = (
        lambda: around.lengths(value),
        lambda: handing.handed(program, scores.place, around.scopes),
        lambda: counting.counted(program.code, lookups, scores.place),
    )
    for told in wanted:
        with suppress(CannotPlaceError):
            known = told()
            if known is not None:
                yield [*known.before, *masked.by_lengths(known)]


class _Masked:
    """The scores where the softmax takes them."""

    def __init__(self, program: Program, around: Around, scores: _Scores) -> None:
        self.program = program
        self.around = around
        self.scores = scores
        self.text = program.code.text(scores.place)

    def by(self, padding: str) -> list[operations.AnyOperation]:
        """`scores.masked_fill(padding, float("-inf"))`, by a mask over batch and time."""
        place = self.scores.place
        filled = f".masked_fill({self.scores.spread(padding)}, {_LOWEST})"
        scores = self.program.code.operand(place)
        return [operations.Replace(place.path, place.start, place.end, scores + filled)]

    def by_lengths(self, told: Told) -> list[operations.AnyOperation]:
        """The same, with the mask made of lengths before the statement.

        Raises:
            CannotPlaceError: nothing can stand before it.
        """
        statement, place = self.around.statement, self.scores.place
        if not isinstance(statement.node, (ir.Assign, ir.Return, ir.ExprStmt)):
            raise CannotPlaceError("the softmax stands in the head of a block")
        if not runs_once(chain_to(statement.node, place.start, place.end)):
            raise CannotPlaceError("the softmax does not run once in its statement")
        if "\n" in self.text or "#" in self.text:
            raise CannotPlaceError("the scores stretch over several lines")
        fresh = self.around.scope.fresh
        padding = fresh("padding", "padding_mask")
        lines: list[str] = []
        scores = masked = self.text
        if not isinstance(self.program.code.node_at(place), ir.Name):
            scores = masked = fresh("scores", "attention_scores")
            lines.append(f"{scores} = {self.text}")
        elif self._is_read_elsewhere(scores):
            masked = fresh("masked_scores", "masked")
        lines += self._mask(told, scores, padding)
        lines.append(f"{masked} = {scores}.masked_fill({self.scores.spread(padding)}, {_LOWEST})")
        changes: list[operations.AnyOperation] = [
            just_before(place.path, self.around.layout, statement, tuple(lines))
        ]
        if masked != self.text:
            changes.append(operations.Replace(place.path, place.start, place.end, masked))
        return changes

    def _is_read_elsewhere(self, name: str) -> bool:
        """Whether something else than the softmax may read the scores behind the mask."""
        statement = self.around.statement
        if isinstance(statement.node, ir.Assign) and binds(statement.node, name):
            return False
        in_loop = any(isinstance(one, (ir.For, ir.While)) for one in statement.parents)
        written = [
            target.start
            for node in self.around.scope.nodes()
            if isinstance(node, ir.Assign)
            for target in node.targets
        ]
        return any(
            use.start != self.scores.place.start and use.start not in written
            for use in self.around.scope.uses(name)
            if in_loop or use.start > statement.start
        )

    def _mask(self, told: Told, scores: str, padding: str) -> list[str]:
        """Lines that give a mask of the padded steps a name."""
        batch, time = self.scores.batch, self.scores.time
        size, device = f"{scores}.size({time})", f"{scores}.device"
        lengths = told.lengths if self.packs() else told.counts
        if self.program.code.fix_style == "runtime":
            turned = "" if batch < time else ".t()"
            mask = f"~{_TO_MASK}({lengths}, {size}){turned}.to({device})"
            return [f"{padding} = {mask}"]
        steps = self.around.scope.fresh("steps", "time_steps")
        there = f"{lengths}.to({device})"
        compared = f"{steps} >= {there}.unsqueeze(1)"
        if time < batch:
            compared = f"{steps}.unsqueeze(1) >= {there}"
        arange = f"{{torch.arange}}({size}, device={device})"
        return [f"{steps} = {arange}", f"{padding} = {compared}"]

    def packs(self) -> bool:
        """Whether the function packs by the same lengths: then none of them is zero."""
        body = self.around.scope.body
        inside = [(one.start, one.end) for one in ir.nodes_in(body) if isinstance(one, ir.Call)]
        return any(
            packing.place.path == self.scores.place.path
            and (packing.place.start, packing.place.end) in inside
            for packing in self.program.possible(Packing)
        )


def _mask_here(program: Program, around: Around, scores: _Scores) -> str | None:
    """Code that is true where a step is padding, by a mask that the function knows."""
    turned = ".t()" if scores.time < scores.batch else ""
    for name in around.names_of(_is_mask):
        is_real = _says_real(program, around, name)
        if is_real is not None and around.is_bound(name):
            return f"{name}{turned} == 0" if is_real else f"{name}{turned}.bool()"
    return None


def _is_mask(value: Value) -> bool:
    """Whether a value is a mask over batch and time, in this order."""
    if not isinstance(value, Tensor) or not value.mask:
        return False
    return value.rank in (None, 2) and value.batch_axis == 0 and value.time_axis == 1


def _says_real(program: Program, around: Around, name: str) -> bool | None:
    """Whether a mask is true where a step is real: by how ids are compared, or by its name."""
    binding = around.binding(name)
    value = binding.value if isinstance(binding, ir.Assign) else None
    while isinstance(value, ir.Call) and isinstance(value.func, ir.Attribute) and not value.args:
        value = value.func.value  # `(ids != 0).float()`
    if not isinstance(value, ir.Compare) or len(value.ops) != 1:
        return True if name == "attention_mask" and value is None else None
    if around.text(value.left) not in _ids(program, around):
        return None
    if value.ops[0] in _REAL:
        return True
    return False if value.ops[0] in _PADDED else None


def _ids(program: Program, around: Around) -> set[str]:
    """What embeddings look up in the function: it has no more axes than batch and time."""
    body = around.scope.body
    calls = {(one.start, one.end): one for one in ir.nodes_in(body) if isinstance(one, ir.Call)}
    looked_up = [
        calls.get((place.start, place.end))
        for place in program.passages.lookups
        if place.path == around.path
    ]
    return {around.text(one.args[0].value) for one in looked_up if one is not None and one.args}
