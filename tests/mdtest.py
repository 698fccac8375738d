"""Reads and rewrites fixtures: Markdown whose code blocks are small projects.

`fixtures/README.md` describes the notation.  This module knows Markdown and
assertions and nothing of the engine; `test_fixtures.py` brings the two together.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

_HEADING = re.compile(r"(?P<marks>#{1,6})\s+(?P<title>.+?)\s*#*")
_FENCE = re.compile(r"(?P<marks>`{3,}|~{3,})\s*(?P<language>[\w+-]*).*")
_FILE_NAME = re.compile(r"`(?P<name>[^`]+)`(?P<fixed> \(fixed\))?:")
_ASSERTION = re.compile(
    r"#\s*(?P<level>error|warning|advice):\s*\[(?P<code>[A-Z]{1,3}\d{3})\]"
    r'(?:\s*"(?P<words>[^"]*)")?\s*'
)
_MEANT_AS_ASSERTION = re.compile(r"#\s*(?:error|warning|advice):\s*(?:\[|[A-Z]{1,3}\d{3})")
_PYTHON = ("python", "py")
_DEFAULT_FILE = "main.py"


class MalformedFixtureError(Exception):
    """The fixture is not written as `fixtures/README.md` says."""


@dataclass(frozen=True, order=True)
class Finding:
    """What was reported at one line: the part of a diagnostic that fixtures speak of."""

    path: str
    row: int
    level: str
    code: str
    message: str = ""

    def __str__(self) -> str:
        words = f' "{self.message}"' if self.message else ""
        return f"{self.path}:{self.row}: {self.level}: [{self.code}]{words}"


@dataclass(frozen=True)
class Block:
    """A code block: the file it belongs to and the rows of Markdown it fills, from 0."""

    path: str
    language: str
    fixed: bool
    first_line: int
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Case:
    """A section with code: the files of a project and what must be found in it."""

    name: str
    blocks: tuple[Block, ...]
    toml: str = ""

    @property
    def files(self) -> dict[str, str]:
        """The text of each file of the project, before its repair."""
        texts: dict[str, str] = {}
        for block in self._blocks_to_analyse():
            texts[block.path] = texts.get(block.path, "") + "".join(f"{x}\n" for x in block.lines)
        return texts

    @property
    def expected(self) -> tuple[Finding, ...]:
        """What the comments assert; `message` holds the words that must occur."""
        found: list[Finding] = []
        for path, text in self.files.items():
            found += _assertions(path, text.splitlines())
        return tuple(sorted(found))

    @property
    def bare_files(self) -> dict[str, str]:
        """The same texts without the comments that assert."""
        return {path: _without_assertions(text) for path, text in self.files.items()}

    @property
    def fixed_files(self) -> dict[str, str]:
        """The text of each file that the repair changes, after it."""
        return {
            block.path: "".join(f"{line}\n" for line in block.lines)
            for block in self.blocks
            if block.fixed
        }

    def markdown_line(self, path: str, row: int) -> int:
        """Where in the Markdown the `row` of a file stands, from 0."""
        for block in self._blocks_to_analyse():
            if block.path == path:
                if row <= len(block.lines):
                    return block.first_line + row - 1
                row -= len(block.lines)
        raise MalformedFixtureError(f"{self.name}: no line {row} in {path}")

    def _blocks_to_analyse(self) -> Iterator[Block]:
        return (block for block in self.blocks if not block.fixed)


@dataclass
class _Section:
    depth: int
    title: str
    toml: str
    blocks: list[Block] = field(default_factory=list)


def parse(markdown: str) -> tuple[Case, ...]:
    """Return the cases of a fixture, in order.

    Raises:
        MalformedFixtureError: the text says something that the notation does not know.
    """
    lines = markdown.splitlines()
    path = [_Section(0, "", "")]
    cases: list[tuple[str, _Section]] = []
    name = None
    number = 0
    while number < len(lines):
        line = lines[number]
        if fence := _FENCE.fullmatch(line):
            end = _closing_fence(lines, number, fence["marks"])
            _add_block(path[-1], fence["language"], name, number + 1, lines[number + 1 : end])
            number, name = end, None
        elif heading := _HEADING.fullmatch(line):
            depth = len(heading["marks"])
            while path[-1].depth >= depth:
                path.pop()
            path.append(_Section(depth, heading["title"], path[-1].toml))
            cases.append((" > ".join(section.title for section in path[1:]), path[-1]))
        elif line.strip():
            name = _FILE_NAME.fullmatch(line.strip())
        number += 1
    if path[0].blocks or (len(path) > 1 and not cases):
        raise MalformedFixtureError("code stands before the first heading; a case needs a name")
    return _named_once(
        Case(title, tuple(section.blocks), section.toml)
        for title, section in cases
        if section.blocks
    )


def unmatched(
    expected: Iterable[Finding], found: Iterable[Finding]
) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
    """Pair assertions with findings; return those assertions and findings left alone."""
    left = list(found)
    missing = []
    # Assertions with words choose first, so that one without takes what they leave.
    for assertion in sorted(expected, key=lambda wanted: not wanted.message):
        satisfying = next((one for one in left if _satisfies(one, assertion)), None)
        if satisfying is None:
            missing.append(assertion)
        else:
            left.remove(satisfying)
    return tuple(sorted(missing)), tuple(sorted(left))


def rewrite(markdown: str, name: str, found: Sequence[Finding]) -> str:
    """Return the fixture with the assertions of one case changed to what was found.

    Lines whose assertions hold stay as they are.
    """
    case = next(case for case in parse(markdown) if case.name == name)
    missing, unexpected = unmatched(case.expected, found)
    lines: list[str | None] = list(markdown.splitlines())
    for path, row in sorted({(one.path, one.row) for one in (*missing, *unexpected)}):
        here = case.markdown_line(path, row)
        kept = [one for one in case.expected if (one.path, one.row) == (path, row)]
        kept = [one for one in kept if one not in missing]
        new = [one for one in unexpected if (one.path, one.row) == (path, row)]
        _remove_own_line_assertions(lines, here)
        assertions = [_as_comment(one) for one in kept]
        assertions += [_as_comment(replace(one, message="")) for one in new]
        lines[here] = _with_assertions(lines[here] or "", assertions)
    return "".join(f"{line}\n" for line in lines if line is not None)


def rewrite_fixed(markdown: str, name: str, fixed: Mapping[str, str]) -> str:
    """Return the fixture with the fixed blocks of one case changed to what its repair gives.

    A block of a file that the repair leaves alone shows it as it is.
    """
    case = next(case for case in parse(markdown) if case.name == name)
    lines = markdown.splitlines()
    for block in sorted(case.blocks, key=lambda block: -block.first_line):
        if block.fixed:
            text = fixed.get(block.path, case.bare_files.get(block.path, ""))
            end = block.first_line + len(block.lines)
            lines[block.first_line : end] = text.splitlines()
    return "".join(f"{line}\n" for line in lines)


def _without_assertions(text: str) -> str:
    kept: list[str] = []
    for line in text.splitlines():
        bare = _ASSERTION.sub("", line).rstrip() if _ASSERTION.search(line) else line
        if bare or not line:
            kept.append(bare)
    return "".join(f"{line}\n" for line in kept)


def _closing_fence(lines: Sequence[str], start: int, marks: str) -> int:
    for number in range(start + 1, len(lines)):
        line = lines[number].rstrip()
        if line.startswith(marks) and not line.strip(marks[0]):
            return number
    raise MalformedFixtureError(f"line {start + 1}: the code block is never closed")


def _add_block(
    section: _Section,
    language: str,
    name: re.Match[str] | None,
    first_line: int,
    lines: Sequence[str],
) -> None:
    if name is None and language == "toml":
        section.toml = "".join(f"{line}\n" for line in lines)
    elif name is not None or language in _PYTHON:
        path = name["name"] if name is not None else _DEFAULT_FILE
        fixed = name is not None and name["fixed"] is not None
        if name is not None and any((b.path, b.fixed) == (path, fixed) for b in section.blocks):
            raise MalformedFixtureError(f"line {first_line}: a second {path} in '{section.title}'")
        section.blocks.append(Block(path, language, fixed, first_line, tuple(lines)))


def _named_once(cases: Iterable[Case]) -> tuple[Case, ...]:
    seen: dict[str, Case] = {}
    for case in cases:
        if case.name in seen:
            raise MalformedFixtureError(f"two cases are called '{case.name}'; rename one")
        seen[case.name] = case
    return tuple(seen.values())


def _assertions(path: str, lines: Sequence[str]) -> Iterator[Finding]:
    waiting: list[re.Match[str]] = []
    for row, line in enumerate(lines, start=1):
        here = list(_ASSERTION.finditer(line))
        if len(here) != len(_MEANT_AS_ASSERTION.findall(line)):
            raise MalformedFixtureError(
                f"{path}:{row}: an assertion reads '# error: [RNN101]': {line}"
            )
        if here and not _ASSERTION.sub("", line).strip():
            waiting += here
            continue
        for match in (*waiting, *here):
            yield Finding(path, row, match["level"], match["code"], match["words"] or "")
        waiting = []
    if waiting:
        raise MalformedFixtureError(f"{path}: the last line asserts something of a line after it")


def _satisfies(found: Finding, assertion: Finding) -> bool:
    return (
        replace(found, message="") == replace(assertion, message="")
        and assertion.message in found.message
    )


def _remove_own_line_assertions(lines: list[str | None], below: int) -> None:
    number = below - 1
    while (line := lines[number]) is not None:
        if not _ASSERTION.search(line) or _ASSERTION.sub("", line).strip():
            return
        lines[number] = None
        number -= 1


def _as_comment(assertion: Finding) -> str:
    words = f' "{assertion.message}"' if assertion.message else ""
    return f"# {assertion.level}: [{assertion.code}]{words}"


def _with_assertions(line: str, assertions: Sequence[str]) -> str:
    bare = _ASSERTION.sub("", line).rstrip()
    if not assertions:
        return bare
    comment = " ".join(assertions)
    if bare.endswith("\\"):  # nothing may follow the backslash: assert from the line above
        indent = bare[: len(bare) - len(bare.lstrip())]
        return f"{indent}{comment}\n{bare}"
    return f"{bare}  {comment}"


def cases_of(fixture: Path) -> tuple[Case, ...]:
    """Read the cases of one file; a malformed one is named in the error."""
    try:
        return parse(fixture.read_text(encoding="utf-8"))
    except MalformedFixtureError as problem:
        raise MalformedFixtureError(f"{fixture.name}: {problem}") from problem
