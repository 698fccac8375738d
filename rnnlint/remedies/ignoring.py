"""A loss is told which of its targets are padding."""

from __future__ import annotations

from pathlib import PurePosixPath

from rnnlint.diagnostic import Applicability, Fix
from rnnlint.fixing import operations
from rnnlint.fixing.layout import CannotPlaceError, Layout
from rnnlint.fixing.scopes import Scope, chain_to
from rnnlint.lowering import ir
from rnnlint.semantics import modules, values
from rnnlint.semantics.events import LossComputed, PaddingTested
from rnnlint.semantics.program import Program
from rnnlint.semantics.values import Padding, Place

_FILLERS = {
    "pad_sequence": ("padding_value", 2),
    "pad_sequences": ("value", 5),
    "full": ("fill_value", 1),
    "zip_longest": ("fillvalue", -1),
}
"""Where functions are told what they pad with."""


def ignore_padding(program: Program, loss: LossComputed, padding: Padding) -> Fix | None:
    """`ignore_index=`, where the number with which targets are padded is surely no class."""
    call = loss.place if loss.criterion is None else loss.criterion.place
    if call is None or (loss.criterion is not None and call in loss.criterion.stack):
        return None  # a class of the project may do more with its arguments
    if not _is_always_padded(program, loss, padding):
        return None
    try:
        if program.code.spreads(call):
            return None
        number = number_of(program, padding, call)
    except CannotPlaceError:
        return None
    if number is None:
        return None
    change = operations.SetArgument(call.path, call.start, call.end, "ignore_index", number)
    message = f"leave the padding out: ignore_index={number}"
    return program.code.repair(message, [change], Applicability.UNSAFE)


def _is_always_padded(program: Program, loss: LossComputed, padding: Padding) -> bool:
    """Whether the same loss is given no targets of which some may be real."""
    others = [
        other
        for other in program.possible(LossComputed)
        if (other.place == loss.place if loss.criterion is None else _shares(other, loss))
    ]
    return all(_is_padded_with(other.target, padding.filler) for other in others)


def _shares(other: LossComputed, loss: LossComputed) -> bool:
    return (
        other.criterion is not None
        and loss.criterion is not None
        and other.criterion.place == loss.criterion.place
    )


def _is_padded_with(target: values.Value, filler: values.Value) -> bool:
    found = [
        one.padding or one.padding_of_step if isinstance(one, values.Tensor) else None
        for one in values.members(target)
    ]
    return all(one is not None and one.filler == filler for one in found)


def number_of(program: Program, padding: Padding, call: Place) -> str | None:
    """Code for the number of padding at a call; None if it may be that of something else too.

    Raises:
        CannotPlaceError: the code around is not to be seen.
    """
    number = values.integer(padding.filler)
    if number is None or not isinstance(padding.filler, values.Const):
        return None
    name = name_of(program, padding)
    if name is not None and _means_the_same(program, name, padding.steps[0].place, call):
        return name
    if padding.filler.option:
        return None  # it would go on to mean this number when the program's means another
    reserved = number != 0 or name is not None or _is_no_token(program, padding)
    return str(number) if reserved else None


def name_of(program: Program, padding: Padding) -> str | None:
    """What the program calls the number where it pads: a number that has a name means something.

    Raises:
        CannotPlaceError: the code around is not to be seen.
    """
    if any(step.words == values.RENUMBERS for step in padding.steps):
        return None
    place = padding.steps[0].place
    layout = program.code.layout(place.path)
    statement = layout.statement_at(place.start)
    chain = chain_to(statement.node, place.start, place.end)
    written = _written(chain[-1]) if chain else None
    if isinstance(written, ir.Sequence) and len(written.elements) == 1:
        written = written.elements[0]
    if isinstance(written, ir.Name):
        written = _default_of(program, Scope(layout, statement), written.id) or written
    if not isinstance(written, (ir.Name, ir.Attribute)):
        return None
    return layout.text[written.start : written.end]


def _default_of(program: Program, scope: Scope, name: str) -> ir.Expr | None:
    """The default of a parameter that is always left at it: `fillvalue=PAD`."""
    given = [one.name for one in scope.parameters]
    parameter = scope.parameter(name)
    if scope.node is None or parameter is None or parameter.default is None:
        return None
    for site in program.passages.sites_of(scope.node):
        call = program.code.node_at(site.place)
        arguments = call.args if isinstance(call, ir.Call) else ()
        named = any(one.star or one.keyword == name for one in arguments)
        if named or len(arguments) > given.index(name):
            return None
    return parameter.default


def _written(node: ir.Node) -> ir.Expr | None:
    """The expression that says what is padded with: in `[PAD] * n`, or an argument."""
    if isinstance(node, ir.Binary):
        return next((one for one in (node.left, node.right) if isinstance(one, ir.Sequence)), None)
    if not isinstance(node, ir.Call):
        return None
    keyword, position = _FILLERS.get(ir.last_name(node.func), ("", -1))
    named = [one.value for one in node.args if one.keyword == keyword]
    unnamed = [one.value for one in node.args if one.keyword is None and not one.star]
    return next(iter([*named, *(unnamed[position : position + 1] if position >= 0 else [])]), None)


def _means_the_same(program: Program, name: str, there: Place, here: Place) -> bool:
    """Whether a name of one place is known at another, as a name of the whole file."""
    if "." in name:
        return False
    defined, wanted = (program.code.layout(place.path) for place in (there, here))
    origin = _module_of(defined, name)
    if there.path != here.path:
        module = PurePosixPath(there.path).stem if name in defined.names_bound else origin
        if module is None or _module_of(wanted, name) != module:
            return False
    elif origin is None and name not in defined.names_bound:
        return False
    scopes = [
        Scope(layout, layout.statement_at(place.start))
        for layout, place in ((defined, there), (wanted, here))
    ]
    return all(scope.node is None or not scope.bindings(name) for scope in scopes)


def _module_of(layout: Layout, name: str) -> str | None:
    """The last name of the module from which a file has a name: `from data import PAD`."""
    for node in layout.body:
        if isinstance(node, ir.ImportFrom) and any(
            alias.name == name and alias.asname is None for alias in node.names
        ):
            return node.module.rpartition(".")[2]
    return None


def _is_no_token(program: Program, padding: Padding) -> bool:
    """Whether the program keeps this number for padding.

    It leaves it out of the targets somewhere, or they are ids of which an embedding keeps it.
    """
    root = padding.steps[0].place
    tests = program.possible(PaddingTested)
    if any(one.padding.steps and one.padding.steps[0].place == root for one in tests):
        return True
    return any(
        modules.option(lookup.embedding, "padding_idx") == padding.filler
        for lookup in program.passages.lookups.values()
        if isinstance(lookup.embedding, values.Layer)
        and lookup.ids.padding is not None
        and lookup.ids.padding.steps[0].place == root
    )
