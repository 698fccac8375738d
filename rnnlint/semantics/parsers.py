"""argparse."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnlint.semantics import operations, values
from rnnlint.semantics.frames import Arguments, Method
from rnnlint.semantics.values import NONE, UNKNOWN, Place, Value

if TYPE_CHECKING:
    from rnnlint.semantics.interpreter import Interpreter


def call_parser(
    run: Interpreter, parser: values.Thing, name: str, arguments: Arguments, place: Place
) -> Value:
    """A method of an argument parser."""
    if name in ("add_argument", "add_option"):
        _add_argument(parser, arguments)
        return UNKNOWN
    if name in ("add_argument_group", "add_mutually_exclusive_group", "add_subparsers",
                "add_parser"):  # fmt: skip
        return parser
    if name == "set_defaults":
        for key, value in arguments.keywords.items():
            parser.options[key] = operations.optional(value)
        return NONE
    if name in ("parse_args", "parse_known_args"):
        made = values.Thing("namespace", "namespace", place, {})
        made.fields.update(parser.options)
        return made if name == "parse_args" else values.Tuple((made, UNKNOWN))
    return UNKNOWN


def _add_argument(parser: values.Thing, arguments: Arguments) -> None:
    names = [
        value.value
        for value in arguments.positional
        if isinstance(value, values.Const) and isinstance(value.value, str)
    ]
    destination = arguments.get(None, "dest")
    if isinstance(destination, values.Const):
        name = str(destination.value)
    elif names:
        long = [n for n in names if n.startswith("--")] or names
        name = long[0].lstrip("-").replace("-", "_")
    else:
        return
    action = arguments.get(None, "action")
    default = arguments.get(None, "default")
    if default is None and isinstance(action, values.Const):
        default = {"store_true": values.FALSE, "store_false": values.TRUE}.get(str(action.value))
    if default is None:
        positional = names and not names[0].startswith("-")
        default = UNKNOWN if positional else NONE
    parser.options[name] = operations.optional(default)


METHODS: dict[str, Method] = {
    "parser": call_parser,
}
