"""Finds the rules: ours in the top-level folder `rules/`, others' in plugin packages.

A rule's code and name are its file's stem, `rnn101_unpacked_padded_input.py`, so
that rules are listed and selected without importing one of them.  The installed
package maps the folder to `rnnlint.rules`; in a bare checkout nothing does, and
the folder beside this package is taken instead.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pkgutil
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from rnnlint.diagnostic import Level
from rnnlint.project.config import ConfigError

if TYPE_CHECKING:
    from types import ModuleType

    from rnnlint.api import Rule

OUR_PACKAGE = "rnnlint.rules"
_FAULTS = (Exception, SystemExit)
"""What foreign code may raise; a plugin that ends the process must not end the run in silence."""
_STEM = re.compile(r"(?P<prefix>[a-z]{1,3})(?P<number>[0-9]{3})_(?P<name>[a-z0-9]+(?:_[a-z0-9]+)*)")


class RuleInfo(msgspec.Struct, frozen=True, order=True):
    """What is known of a rule before it is imported."""

    code: str
    name: str
    module: str
    package: str


def available(plugins: Sequence[str] = ()) -> tuple[RuleInfo, ...]:
    """List every rule of rnnlint and of `plugins`, in the order of their codes."""
    found = list(_rules_in(OUR_PACKAGE, _our_folders()))
    for plugin in plugins:
        in_plugin = list(_rules_in(plugin, plugin_folders(plugin)))
        if not in_plugin:
            raise ConfigError(
                f"plugin '{plugin}' holds no rules; a rule is a module named like "
                "'acm001_some_name.py' in that package"
            )
        found += in_plugin
    _reject_duplicates(found)
    return tuple(sorted(found))


def rules(infos: Iterable[RuleInfo]) -> list[Rule]:
    """Import the rules that `infos` name, and none besides."""
    return [load(info) for info in infos]


def load(info: RuleInfo) -> Rule:
    """Import one rule."""
    from rnnlint.api import Rule

    module = _module_of(info)
    classes = [
        value
        for value in vars(module).values()
        if inspect.isclass(value)
        and issubclass(value, Rule)
        and value is not Rule
        and value.__module__ == module.__name__
    ]
    if len(classes) != 1:
        raise ConfigError(
            f"rule module '{info.module}' defines {len(classes)} subclasses of Rule; "
            "define exactly one"
        )
    rule: Rule = classes[0]()
    if not isinstance(getattr(rule, "level", None), Level):
        raise ConfigError(
            f"rule {info.code} of {owner(info)} has no level; write 'level = Level.WARNING' "
            f"in the class in '{info.module}'"
        )
    return rule


def owner(info: RuleInfo) -> str:
    """Say whose rule it is, for a message about a fault of it."""
    return "rnnlint" if info.package == OUR_PACKAGE else f"plugin '{info.package}'"


def page(info: RuleInfo) -> str:
    """Return the documentation of a rule, in Markdown: its module's docstring."""
    return inspect.cleandoc(_module_of(info).__doc__ or "")


def find(word: str, infos: Sequence[RuleInfo]) -> RuleInfo | None:
    """Return the rule whose code or name is `word`."""
    for info in infos:
        if word in (info.code, info.name):
            return info
    return None


_LISTED = 20
"""How many codes a message lists."""
_SHORT = 4
"""Up to so many characters, a word is the start of a code rather than one with a slip in it."""


def suggestion(word: str, infos: Sequence[RuleInfo]) -> str:
    """Return '; did you mean ...?' for a `word` close to a code or name, or nothing."""
    codes = [info.code for info in infos]
    names = [info.name for info in infos]
    inside = [code for code in codes if code.startswith(word.upper())]
    if word and inside and word.upper() not in inside:
        if len(inside) > _LISTED:
            return f"; {len(inside)} rules' codes begin so, and 'rnnlint rule --all' has them"
        return f"; the rules whose codes begin so are {', '.join(inside)}"
    close = (
        get_close_matches(word.upper(), codes, n=1, cutoff=0.75 if len(word) > _SHORT else 1)
        if word.isalnum() and word[-1:].isdigit()
        else get_close_matches(word.lower().replace("_", "-"), names, n=1)
    )
    return f"; did you mean '{close[0]}'?" if close else ""


def _rules_in(package: str, folders: Sequence[str]) -> Iterator[RuleInfo]:
    for module in pkgutil.iter_modules(folders):
        if match := _STEM.fullmatch(module.name):
            yield RuleInfo(
                code=match["prefix"].upper() + match["number"],
                name=match["name"].replace("_", "-"),
                module=f"{package}.{module.name}",
                package=package,
            )


def _reject_duplicates(found: Sequence[RuleInfo]) -> None:
    seen: dict[str, RuleInfo] = {}
    for info in found:
        for word in (info.code, info.name):
            other = seen.setdefault(word, info)
            if other is not info:
                raise ConfigError(
                    f"two rules are called '{word}': '{other.module}' and '{info.module}'; "
                    "rename one of them"
                )


def _our_folders() -> list[str]:
    specification = importlib.util.find_spec(OUR_PACKAGE)
    if specification is None or specification.submodule_search_locations is None:
        return [str(_checkout_folder())]
    return list(specification.submodule_search_locations)


def _checkout_folder() -> Path:
    return Path(__file__).resolve().parent.parent / "rules"


def plugin_folders(plugin: str) -> list[str]:
    """Return the folders that hold a plugin's modules."""
    try:
        specification = importlib.util.find_spec(plugin)
    except _FAULTS as error:  # a parent package runs here: whatever it raises is its fault
        raise ConfigError(
            f"plugin '{plugin}' named in the configuration cannot be imported: {error!r}"
        ) from error
    if specification is None:
        raise ConfigError(
            f"plugin '{plugin}' named in the configuration cannot be imported: there is no "
            "such module; install it beside rnnlint"
        )
    if specification.submodule_search_locations is None:
        raise ConfigError(
            f"plugin '{plugin}' named in the configuration is a module; make it a package "
            "with one module a rule"
        )
    return list(specification.submodule_search_locations)


def _module_of(info: RuleInfo) -> ModuleType:
    if info.package == OUR_PACKAGE:
        _ensure_our_package()
        return importlib.import_module(info.module)
    try:
        return importlib.import_module(info.module)
    except _FAULTS as error:  # others' code runs here: whatever it raises is its fault
        raise ConfigError(
            f"rule {info.code} of plugin '{info.package}' cannot be imported: {error!r}"
        ) from error


def _ensure_our_package() -> None:
    try:
        importlib.import_module(OUR_PACKAGE)
    except ModuleNotFoundError as error:
        if error.name != OUR_PACKAGE:
            raise
        _import_from_checkout()


def _import_from_checkout() -> None:
    folder = _checkout_folder()
    specification = importlib.util.spec_from_file_location(
        OUR_PACKAGE, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    if specification is None or specification.loader is None or not folder.is_dir():
        raise ModuleNotFoundError(
            f"rnnlint's rules are neither installed nor in '{folder}'; install rnnlint again",
            name=OUR_PACKAGE,
        )
    module = importlib.util.module_from_spec(specification)
    sys.modules[OUR_PACKAGE] = module
    try:
        specification.loader.exec_module(module)
    except BaseException:
        del sys.modules[OUR_PACKAGE]
        raise
