"""Which rules hold for which file, and which repairs of theirs are offered there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from rnnlint import selection
from rnnlint.diagnostic import Applicability, Diagnostic, Edit, Fix, Span
from rnnlint.project.config import ConfigError, Settings, holds, seen
from rnnlint.project.patterns import per_file_ignores
from rnnlint.project.source import HALF_A_PAIR
from rnnlint.registry import RuleInfo

UNPARSABLE = ("RNN001", "unparsable-file")

Locate = Callable[[str, int, int], Span]
"""The row and column of an offset in a file."""


class Scope:
    """What the settings of a project's folders say of each file.

    Args:
        root: the project's folder.
        settings: the settings at the root.
        nested: those of folders with their own, by folder with a slash.
        infos: the rules that there are.
    """

    def __init__(
        self,
        root: Path,
        settings: Settings,
        nested: Mapping[str, Settings],
        infos: Sequence[RuleInfo],
    ) -> None:
        self.infos = infos
        self._by_folder = {"": settings, **nested}
        self._selected: dict[str, frozenset[str]] = {}
        self._fixable: dict[str, frozenset[str]] = {}
        self._trusted: dict[str, tuple[frozenset[str], frozenset[str]]] = {}
        self._ignored: dict[str, Callable[[str], frozenset[str]]] = {}
        for folder, own in self._by_folder.items():
            with _saying_where(own):
                ignores = selection.expanded(own.per_file_ignores, infos)
                self._selected[folder] = _codes_selected(infos, own)
                self._fixable[folder] = _codes_fixable(infos, own)
                self._trusted[folder] = _codes_trusted(infos, own)
                self._ignored[folder] = per_file_ignores(ignores, Path(own.directory), root)

    @property
    def wanted(self) -> frozenset[str]:
        """The codes that are selected anywhere."""
        return frozenset().union(*self._selected.values())

    def codes(self, path: str) -> frozenset[str]:
        """The codes that are selected for a file."""
        folder = self._folder(path)
        return self._selected[folder] - self._ignored[folder](path)

    def may_fix(self, code: str, paths: Iterable[str]) -> bool:
        """Whether repairs of a rule may touch all these files."""
        return all(code in self._fixable[self._folder(path)] for path in paths)

    def applicability(self, diagnostic: Diagnostic, fix: Fix) -> Applicability:
        """Whether a repair wants a look: the settings have the last word."""
        safe, unsafe = self._trusted[self._folder(diagnostic.span.path)]
        if diagnostic.code in unsafe:
            return Applicability.UNSAFE
        return Applicability.SAFE if diagnostic.code in safe else fix.applicability

    def _folder(self, path: str) -> str:
        return max((f for f in self._by_folder if path.startswith(f)), key=len)


@contextmanager
def _saying_where(settings: Settings) -> Iterator[None]:
    """Let a message about an unknown rule begin with the settings file that it stands in."""
    try:
        yield
    except selection.UnknownRuleError as error:
        if settings.source is None or not holds(settings.source, error.key, error.selector):
            raise
        raise ConfigError(f"{seen(settings.source)}: {error}") from error


def _codes_selected(infos: Sequence[RuleInfo], settings: Settings) -> frozenset[str]:
    """The codes that the settings select.

    That a file cannot be parsed is said whatever they select, unless they ignore it: a file
    that was not analysed must not look like one without problems.
    """
    also, ignored = settings.extend_select, settings.ignore
    selected = selection.select(infos, chosen=settings.select, also=also, ignored=ignored)
    always = selection.select(infos, ignored=ignored)
    return selected | (always & {UNPARSABLE[0]})


def _codes_fixable(infos: Sequence[RuleInfo], settings: Settings) -> frozenset[str]:
    """The codes whose repairs are wanted."""
    return selection.select(
        infos,
        chosen=settings.fixable,
        also=settings.extend_fixable,
        ignored=settings.unfixable,
        names=("fixable", "unfixable"),
    )


def _codes_trusted(
    infos: Sequence[RuleInfo], settings: Settings
) -> tuple[frozenset[str], frozenset[str]]:
    """The codes whose repairs the settings call safe, and those that they call unsafe."""
    safe, unsafe = settings.extend_safe_fixes, settings.extend_unsafe_fixes
    names = ("extend-safe-fixes", "extend-unsafe-fixes")
    trusted = selection.select(infos, chosen=safe, ignored=unsafe, names=names)
    return trusted, selection.select(infos, chosen=unsafe, names=names[::-1]) - trusted


def offered(
    diagnostic: Diagnostic, scope: Scope, texts: Mapping[str, str], locate: Locate
) -> Diagnostic:
    """The diagnostic with its repair as it is offered, or without.

    A repair stays within the files that were analysed, so that nothing is written to those
    that are excluded or lie elsewhere.

    Args:
        diagnostic: what a rule found.
        scope: where whose repairs are wanted.
        texts: the files that may be edited.
        locate: finds rows and columns.
    """
    fix = diagnostic.fix
    if fix is None:
        return diagnostic
    touched = {diagnostic.span.path, *(edit.path for edit in fix.edits)}
    located: Fix | None = None
    if (
        touched <= texts.keys()
        and _is_sound(fix, texts)
        and scope.may_fix(diagnostic.code, touched)
    ):
        located = msgspec.structs.replace(
            fix,
            applicability=scope.applicability(diagnostic, fix),
            edits=_located(fix.edits, locate),
        )
    return msgspec.structs.replace(diagnostic, fix=located)


def _is_sound(fix: Fix, texts: Mapping[str, str]) -> bool:
    """Whether the edits are text, lie within their files, and apart from each other."""
    if any(HALF_A_PAIR.search(edit.replacement) for edit in fix.edits):
        return False
    ends: dict[str, int] = {}
    for edit in sorted(fix.edits, key=lambda one: (one.path, one.start, one.end)):
        if not ends.get(edit.path, 0) <= edit.start <= edit.end <= len(texts[edit.path]):
            return False
        ends[edit.path] = edit.end
    return bool(fix.edits)


def _located(edits: Iterable[Edit], locate: Locate) -> tuple[Edit, ...]:
    spans = [(edit, locate(edit.path, edit.start, edit.end)) for edit in edits]
    return tuple(
        msgspec.structs.replace(
            edit, location=span.location, end_location=span.end_location, cell=span.cell
        )
        for edit, span in spans
    )
