"""Path patterns: those of `.gitignore` files and of the settings.

Both use git's syntax.  Ordinary patterns (`build/`, `*.py[cod]`, `/docs/_build`) are translated
here; only unusual ones (`**`, escapes, ranges) need `pathspec`, whose import costs as much as the
rest of a warm run.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

_SPECIAL = frozenset("*?[]!/\\# ")


class Patterns:
    """The patterns of one file, relative to that file's folder; the last that matches decides."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = tuple(lines)
        self._compiled: tuple[tuple[bool, re.Pattern[str]], ...] | None = None

    def decide(self, path: str, is_folder: bool) -> bool | None:
        """True when `path` is matched, False when a `!pattern` takes it back, None for neither."""
        if self._compiled is None:
            self._compiled = _compile(self._lines)
        candidate = path + "/" if is_folder else path
        for included, expression in self._compiled:
            if expression.search(candidate):
                return included
        return None


class Exclusions:
    """The `exclude` globs of the settings, asked with paths relative to the project root."""

    def __init__(self, globs: Iterable[str], directory: Path, root: Path) -> None:
        plain: set[str] = set()
        others: list[str] = []
        for glob in globs:
            name = glob[:-1] if glob.endswith("/") else glob
            if name and _SPECIAL.isdisjoint(name):
                plain.add(name)
            else:
                others.append(glob)
        self._names = frozenset(plain)
        self._others = Patterns(others) if others else None
        self._rebase = rebasing(root, directory)

    def match(self, path: str, is_folder: bool) -> bool:
        """Whether `path` itself is excluded (its parent folders are not looked at)."""
        if path.rpartition("/")[2] in self._names:
            return True
        if self._others is None:
            return False
        rebased = self._rebase(path)
        return rebased is not None and self._others.decide(rebased, is_folder) is True


def rebasing(root: Path, directory: Path) -> Callable[[str], str | None]:
    """A function from paths relative to `root` to paths relative to `directory`.

    It gives None for paths outside `directory`.
    """
    origin, target = root.as_posix(), directory.as_posix()
    if origin == target:
        return lambda path: path
    base = target.rstrip("/") + "/"

    def rebase(path: str) -> str | None:
        absolute = posixpath.join(origin, path)
        return absolute[len(base) :] if absolute.startswith(base) else None

    return rebase


def per_file_ignores(
    ignores: Mapping[str, tuple[str, ...]], directory: Path, root: Path
) -> Callable[[str], frozenset[str]]:
    """A function that gives the codes which the settings ignore in a file.

    Its argument is a path relative to the project root.  A glob that starts with `!` stands for
    all files that it does not match.
    """
    rebase = rebasing(root, directory)
    entries = [
        (Patterns([glob.removeprefix("!")]), glob.startswith("!"), frozenset(codes))
        for glob, codes in ignores.items()
    ]

    def ignored(path: str) -> frozenset[str]:
        rebased = rebase(path) if entries else None
        found: frozenset[str] = frozenset()
        for patterns, negated, codes in entries:
            matched = rebased is not None and patterns.decide(rebased, False) is True
            if matched != negated:
                found |= codes
        return found

    return ignored


def _compile(lines: tuple[str, ...]) -> tuple[tuple[bool, re.Pattern[str]], ...]:
    """Fold neighbouring patterns of one sign into one expression each, last patterns first."""
    import re

    groups: list[tuple[bool, list[str]]] = []
    for line in reversed(lines):
        for included, expression in _expressions(line):
            if not groups or groups[-1][0] is not included:
                groups.append((included, []))
            groups[-1][1].append(expression)
    return tuple((included, re.compile("|".join(parts))) for included, parts in groups)


def _expressions(line: str) -> list[tuple[bool, str]]:
    """What a pattern says and the expression for it; none for a comment or an invalid pattern."""
    import re

    line = line.rstrip(" \t\r\n") if "\\" not in line else line
    if not line or line.startswith("#"):
        return []
    if re.fullmatch(_ORDINARY, line, re.ASCII):
        return [_translated(line)]
    from pathspec import GitIgnoreSpec

    try:
        patterns = GitIgnoreSpec.from_lines([line]).patterns
    except ValueError:
        return []  # git, too, passes over what it does not understand
    # Named groups must go: one name may stand only once in a joined expression.
    return [
        (pattern.include, re.sub(r"\(\?P<\w+>", "(?:", f"(?:{pattern.regex.pattern})"))
        for pattern in patterns
        if pattern.include is not None and pattern.regex is not None
    ]


# Names between slashes, with at most single stars, `?` and `[abc]`; nothing that can be escaped.
_ORDINARY = r"!?/?(?:(?:[\w.?$@+~-]|\*(?!\*)|\[[A-Za-z0-9]+\])+(?:/(?!/)|$))+"


def _translated(line: str) -> tuple[bool, str]:
    """What an ordinary pattern says and the expression for it."""
    import re

    included = not line.startswith("!")
    pattern = line.removeprefix("!")
    folders_only = pattern.endswith("/")
    pattern = pattern.rstrip("/")
    # A pattern with a slash is anchored to its folder, others match at any depth.
    start = "" if "/" in pattern else "(?:.+/)?"
    segments = [
        "[^/]+" if segment == "*" else re.sub(r"[*?.$+~@-]", _character, segment)
        for segment in pattern.removeprefix("/").split("/")
    ]
    return included, f"^{start}{'/'.join(segments)}{'/' if folders_only else '(?:/|$)'}"


def _character(match: re.Match[str]) -> str:
    return {"*": "[^/]*", "?": "[^/]"}.get(match[0], "\\" + match[0])
