"""The function that makes padded batches, and the lengths in it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from rnnlint.fixing import operations
from rnnlint.fixing.arguments import call_at
from rnnlint.fixing.code import Code
from rnnlint.fixing.layout import CannotPlaceError, Layout
from rnnlint.fixing.scopes import Scope, runs_before
from rnnlint.lowering import ir
from rnnlint.semantics.passages import Passages
from rnnlint.semantics.values import Padding

MAX_STEPS = 3
"""How many functions may lie between the padding and the one that returns the batch."""
LENGTHS = "lengths"
"""The key of the lengths in a batch that is a dict."""
Batch = ir.Sequence | ir.Dict
_PADS = ("pad_sequence", "pad_sequences")
_TOKENS = "input_ids"
_MADE_FROM = ("tensor", "as_tensor", "LongTensor", "FloatTensor", "IntTensor", "from_numpy")
_GOES_OVER = ("enumerate", "zip", "tqdm")
_CLOSED = re.compile(r"(?:[ \t]*\))*")


class Maker(msgspec.Struct, frozen=True):
    """The function that returns batches, and the place at which it has them padded."""

    path: str
    layout: Layout
    scope: Scope
    call: ir.Node
    batches: tuple[Batch, ...]

    @property
    def is_dict(self) -> bool:
        return isinstance(self.batches[0], ir.Dict)


def maker_of(code: Code, passages: Passages, padding: Padding) -> Maker:
    """The function that puts the batches together.

    Raises:
        CannotPlaceError: it was not found, or returns something else too.
    """
    place = padding.steps[0].place
    path, layout = place.path, code.layout(place.path)
    node: ir.Node = ir.Node(place.start, place.end)
    for _ in range(MAX_STEPS):
        scope = Scope(layout, layout.statement_at(node.start))
        if scope.node is None:
            raise CannotPlaceError("no function makes the batches")
        returned = [one for one in _own_nodes(scope.node.body) if isinstance(one, ir.Return)]
        found = tuple(
            one.value for one in returned if isinstance(one.value, (ir.Sequence, ir.Dict))
        )
        if found and len(found) == len(returned):
            return Maker(path, layout, scope, node, found)
        sites = passages.sites_of(scope.node)
        if len(sites) != 1:
            raise CannotPlaceError("several functions share the one that pads")
        path = sites[0].place.path
        layout = code.layout(path)
        node = call_at(layout, sites[0].place.start, sites[0].place.end)
    raise CannotPlaceError("the function that makes the batches was not found")


def with_lengths(maker: Maker) -> list[operations.AnyOperation]:
    """Let it return the lengths too; count them before the padding where nobody did.

    Raises:
        CannotPlaceError: it cannot be said what the lengths are.
    """
    changes: list[operations.AnyOperation] = []
    code = _counted_already(maker)
    if code is None:
        code = maker.scope.fresh("lengths", "seq_lengths")
        changes.append(_counting(maker, code))
    return [*changes, *(_appended(maker, batch, code) for batch in maker.batches)]


# --- lengths that are known ---


def _counted_already(maker: Maker) -> str | None:
    """Code for lengths that the function counts already: `lengths = [len(x) for x in xs]`."""
    for node in maker.scope.nodes():
        if not isinstance(node, ir.Assign) or len(node.targets) != 1 or node.value is None:
            continue
        target = node.targets[0]
        if not isinstance(target, ir.Name) or maker.scope.bindings(target.id) != 1:
            continue
        value, is_tensor = node.value, False
        if isinstance(value, ir.Call) and ir.last_name(value.func) in _MADE_FROM and value.args:
            value, is_tensor = value.args[0].value, True
        if not isinstance(value, ir.Comprehension) or value.kind != "list":
            continue
        if not _counts(value) or not _is_over_the_same(maker, value):
            continue
        binding = maker.layout.statement_at(node.start)
        returned = [maker.layout.statement_at(one.start) for one in maker.batches]
        if all(runs_before(binding, one) for one in returned):
            return target.id if is_tensor else f"{{torch.tensor}}({target.id})"
    return None


def _counts(value: ir.Comprehension) -> bool:
    """Whether it gives the length of each item: `len(x) for x in xs`, `x.size(0) for x in xs`."""
    element = value.element
    if len(value.generators) != 1 or value.generators[0].ifs:
        return False
    if isinstance(element, ir.Subscript):
        index = element.index[0]
        shape = isinstance(element.value, ir.Attribute) and element.value.attr == "shape"
        return shape and isinstance(index, ir.Const) and index.value == 0
    if not isinstance(element, ir.Call):
        return False
    if ir.last_name(element.func) == "len":
        return len(element.args) == 1
    first = element.args[0].value if len(element.args) == 1 else None
    is_first = isinstance(first, ir.Const) and first.value == 0
    return ir.last_name(element.func) == "size" and is_first


def _is_over_the_same(maker: Maker, value: ir.Comprehension) -> bool:
    """Whether it goes over what is padded, in the same order."""
    over = _text(maker, value.generators[0].iter)
    return over in set(_sources(maker))


def _sources(maker: Maker) -> Iterator[str]:
    """What is padded: the argument of `pad_sequence`, or what a loop fills rows from."""
    call = maker.call
    for node in maker.scope.nodes():
        if isinstance(node, ir.Call) and (node.start, node.end) == (call.start, call.end):
            yield from (_text(maker, one.value) for one in node.args[:1])
    for node in maker.scope.nodes():
        if isinstance(node, ir.For) and node.start <= call.start <= node.end:
            yield from _iterated(maker, node.iter)
        elif isinstance(node, ir.Comprehension) and node.start <= call.start < node.end:
            yield from (_text(maker, one.iter) for one in node.generators[:1])


def _iterated(maker: Maker, iterable: ir.Expr) -> Iterator[str]:
    """What a loop goes over, also in `enumerate(xs)` and `zip(xs, ys)`."""
    yield _text(maker, iterable)
    if isinstance(iterable, ir.Call) and ir.last_name(iterable.func) in _GOES_OVER:
        for argument in iterable.args:
            yield from _iterated(maker, argument.value)


# --- lengths that are to be counted ---


def _counting(maker: Maker, name: str) -> operations.Insert:
    """The statement that counts them: before the padding, or behind a tokenizer."""
    statement = maker.layout.statement_at(maker.call.start)
    masked = _attention_mask(maker)
    if masked is not None:
        node = statement.node
        return operations.Insert(maker.path, node.start, node.end, (f"{name} = {masked}",))
    loops = [one for one in statement.parents if isinstance(one, (ir.For, ir.While))]
    node = loops[0] if loops else statement.node
    line = f"{name} = {_count(maker)}"
    return operations.Insert(maker.path, node.start, node.start, (line,), "before")


def _count(maker: Maker) -> str:
    """Code for a tensor of the lengths."""
    filled = _filled(maker)
    if filled is not None:
        return filled
    longest = _longest(maker)
    if longest is not None:
        return f"{{torch.tensor}}([{longest}])"
    node = next(
        (
            one
            for one in maker.scope.nodes()
            if isinstance(one, ir.Call)
            and (one.start, one.end) == (maker.call.start, maker.call.end)
        ),
        None,
    )
    if node is None or not node.args or node.args[0].star:
        raise CannotPlaceError("the sequences before the padding have no name")
    return f"{{torch.tensor}}({_of_sequences(maker, node.args[0].value)})"


def _attention_mask(maker: Maker) -> str | None:
    """A tokenizer says which of its tokens are real."""
    for node in maker.scope.nodes():
        if not isinstance(node, ir.Assign) or node.value is None or len(node.targets) != 1:
            continue
        exact = (node.value.start, node.value.end) == (maker.call.start, maker.call.end)
        target = node.targets[0]
        if not exact or not isinstance(target, ir.Name):
            continue
        for use in maker.scope.nodes():
            if isinstance(use, ir.Subscript) and _is_named(use.value, target.id):
                index = use.index[0]
                if isinstance(index, ir.Const) and index.value == _TOKENS:
                    key = _text(maker, index).replace(_TOKENS, "attention_mask")
                    return f"{target.id}[{key}].sum(dim=1)"
    return None


def _longest(maker: Maker) -> str | None:
    """`max(len(x) for x in batch)` says how long each is that is padded to the longest."""
    for node in maker.scope.nodes():
        if not isinstance(node, ir.Call) or ir.last_name(node.func) != "max" or len(node.args) != 1:
            continue
        value = node.args[0].value
        listed = isinstance(value, ir.Comprehension) and value.kind in ("list", "generator")
        if listed and isinstance(value, ir.Comprehension) and _counts(value):
            if not _is_over_the_same(maker, value):
                continue
            last = value.generators[-1]
            return maker.layout.text[value.element.start : last.iter.end]
    return None


def _filled(maker: Maker) -> str | None:
    """How long what is copied into a row of padding is: `row[:n] = sequence`."""
    for node in maker.scope.nodes():
        if not isinstance(node, ir.Assign):
            continue
        for target in node.targets:
            here = (target.start, target.end) == (maker.call.start, maker.call.end)
            if here and isinstance(target, ir.Subscript) and _is_filled_once(maker, target):
                return _of_rows(maker, target)
    return None


def _is_filled_once(maker: Maker, target: ir.Subscript) -> bool:
    """Whether nothing else is written into the rows, which may be longer."""
    name = _text(maker, target.value)
    written = [
        one
        for node in maker.scope.nodes()
        if isinstance(node, (ir.Assign, ir.AugAssign))
        for one in (node.targets if isinstance(node, ir.Assign) else (node.target,))
        if isinstance(one, ir.Subscript) and _text(maker, one.value) == name
    ]
    return len(written) == 1


def _of_rows(maker: Maker, target: ir.Subscript) -> str | None:
    """The bound of the slice, for each sequence that a loop goes over."""
    slices = [one for one in target.index if isinstance(one, ir.Slice) and one.upper is not None]
    if not slices or slices[0].upper is None:
        return None
    bound = _text(maker, slices[0].upper)
    loops = [
        one
        for one in maker.layout.statement_at(target.start).parents
        if isinstance(one, (ir.For, ir.While))
    ]
    if not loops:
        only = len(target.index) == 1 or target.index[0] is slices[0]
        return bound if only and maker.scope.node is not None else None
    loop = loops[-1]
    if len(loops) > 1 or not isinstance(loop, ir.For):
        return None
    inner, over = loop.target, loop.iter
    if isinstance(over, ir.Call) and ir.last_name(over.func) == "enumerate" and len(over.args) == 1:
        if not isinstance(inner, ir.Sequence) or len(inner.elements) != 2:
            return None
        inner, over = inner.elements[1], over.args[0].value
    given = {one.id for one in ir.nodes_in(inner) if isinstance(one, ir.Name)}
    known = {one.id for one in ir.nodes_in(slices[0].upper) if isinstance(one, ir.Name)} - {"len"}
    if not known or not known <= given:
        return None
    names = _text(maker, inner).strip("()")
    return f"{{torch.tensor}}([{bound} for {names} in {_text(maker, over)}])"


def _of_sequences(maker: Maker, source: ir.Expr) -> str:
    """`[len(x) for x in sequences]`"""
    text = _text(maker, source)
    if isinstance(source, ir.Name):
        if not _can_be_read_twice(maker.scope, source.id):
            raise CannotPlaceError("the sequences may be read once only")
        item = "x" if source.id != "x" else "sequence"
        return f"[len({item}) for {item} in {text}]"
    if not isinstance(source, ir.Comprehension) or source.kind not in ("list", "generator"):
        raise CannotPlaceError("the sequences before the padding have no name")
    element = source.element
    if isinstance(element, ir.Call) and ir.last_name(element.func) in _MADE_FROM and element.args:
        element = element.args[0].value
    whole = maker.layout.text
    clauses = whole[source.element.end : source.generators[-1].end].strip(" )")
    counted = whole[element.start : element.end]
    if "\n" in clauses or "\n" in counted:
        raise CannotPlaceError("the sequences before the padding stretch over several lines")
    return f"[len({counted}) {clauses}]"


def _can_be_read_twice(scope: Scope, name: str) -> bool:
    """Whether a name surely stands for a list or tuple, not for what is used up by reading."""
    if scope.parameter(name) is not None and scope.bindings(name) == 1:
        return True
    found = False
    for node in scope.nodes():
        if not isinstance(node, ir.Assign):
            continue
        for target in node.targets:
            if isinstance(target, ir.Name) and target.id == name:
                found = True
                if not _is_kept(node.value):
                    return False
            elif any(isinstance(one, ir.Name) and one.id == name for one in ir.nodes_in(target)):
                found = True  # what is unpacked from `zip(*batch)` is a tuple
    return found


def _is_kept(value: ir.Expr | None) -> bool:
    if isinstance(value, ir.Call):
        return ir.last_name(value.func) in ("list", "tuple", "sorted", *_PADS)
    return isinstance(value, (ir.Sequence, ir.Comprehension)) and not (
        isinstance(value, ir.Comprehension) and value.kind == "generator"
    )


def _own_nodes(body: tuple[ir.Stmt, ...]) -> Iterator[ir.Node]:
    """The statements of a function, without those of functions in it."""
    waiting: list[object] = list(body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, (ir.FunctionDef, ir.ClassDef, ir.Lambda)):
            continue
        if isinstance(node, ir.Node):
            yield node
            waiting.extend(getattr(node, name) for name in node.__struct_fields__)
        elif isinstance(node, tuple):
            waiting.extend(node)


# --- one more item ---


def _appended(maker: Maker, batch: Batch, code: str) -> operations.Replace:
    if isinstance(batch, ir.Sequence):
        return with_element(maker.path, maker.layout, batch, code)
    keys = [one for one in batch.keys if isinstance(one, ir.Const)]
    if len(keys) != len(batch.keys) or not keys or any(one.value == LENGTHS for one in keys):
        raise CannotPlaceError("the keys of a batch are not written out")
    layout, last = maker.layout, batch.values[-1]
    quote = layout.text[keys[-1].start]
    text = layout.text[last.start : last.end]
    between = " "
    if layout.begins_line(keys[-1].start):
        between = layout.newline + layout.indentation(keys[-1].start)
    added = f"{text},{between}{quote}{LENGTHS}{quote}: {code}"
    return operations.Replace(maker.path, last.start, last.end, added)


def with_element(path: str, layout: Layout, row: ir.Sequence, code: str) -> operations.Replace:
    """One more element of a tuple or list."""
    last = row.elements[-1]
    closed = _CLOSED.match(layout.text, last.end, row.end)
    end = last.end if closed is None else closed.end()
    while layout.text.count("(", row.start, end) < layout.text.count(")", row.start, end):
        end = layout.text.rindex(")", last.end, end)
    if layout.text.startswith("(", row.start) and end == row.end:
        end = layout.text.rindex(")", last.end, end)
    text = layout.text[last.start : end].rstrip(" ,")
    return operations.Replace(path, last.start, end, f"{text}, {code}")


def _is_named(node: object, name: str) -> bool:
    return isinstance(node, ir.Name) and node.id == name


def _text(maker: Maker, node: ir.Node) -> str:
    return maker.layout.text[node.start : node.end]
