"""The reference of the settings: what `rnnlint.project.config` says of each."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator, Mapping
from itertools import pairwise

import msgspec

from rnnlint.cli import check
from rnnlint.project import config
from rnnlint.reporting.toml import toml


class Documented(msgspec.Struct, frozen=True):
    """What there is to say of a setting."""

    key: str
    meaning: str
    """Markdown."""
    example: str
    """A line of TOML."""
    default: str | None
    """As TOML; None where there is none."""


def documented_settings() -> Iterator[Documented]:
    """Every setting in the order in which the code has them."""
    module = ast.parse(inspect.getsource(config))
    classes = [node for node in module.body if isinstance(node, ast.ClassDef)]
    (settings,) = (node for node in classes if node.name == config.Settings.__name__)
    meanings = _comments(settings.body) | {config.EXTEND: _comments(module.body)["EXTEND"]}
    defaults = {
        field.encode_name: toml(field.default)
        if field.default is not msgspec.NODEFAULT
        else toml(field.default_factory())
        for field in msgspec.structs.fields(config.Settings)
    }
    for key in config.KEYS:
        comment = meanings[key.replace("-", "_")]
        meaning, _, example = comment.rpartition("\n\n")
        yield Documented(key, meaning, textwrap.dedent(example), defaults.get(key))


def render() -> str:
    """A section for each setting."""
    options = {str(option.name): max(option.opts, key=len) for option in check.params[1:]}
    return "\n".join(_section(one, options) for one in documented_settings())


def _section(setting: Documented, options: Mapping[str, str]) -> str:
    default = f", by default `{setting.default}`" if setting.default is not None else ""
    option = options.get(setting.key.replace("-", "_"))
    said = f"; on the command line [`{option}`](command-line.md#check{option})" if option else ""
    facts = f"*{config.expected(setting.key)}*{default}{said}"
    fence = f"```toml\n[tool.rnnlint]\n{setting.example}\n```"
    return f"## `{setting.key}` {{ #{setting.key} }}\n\n{setting.meaning}\n\n{facts}\n\n{fence}\n"


def _comments(body: list[ast.stmt]) -> dict[str, str]:
    """The text below each field."""
    found: dict[str, str] = {}
    for field, below in pairwise(body):
        name = None
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            name = field.target.id
        elif isinstance(field, ast.Assign) and isinstance(field.targets[0], ast.Name):
            name = field.targets[0].id
        if name and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            found[name] = inspect.cleandoc(str(below.value.value))
    return found
