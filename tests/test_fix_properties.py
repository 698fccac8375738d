"""Whatever a file looks like, a repair changes its edits and nothing else.

The programs are those of the rules' own fixtures and pages, written in another style each
time: other indentation, line ends, encodings, comments, and code around them that has
nothing to do with training.
"""

from __future__ import annotations

import ast
import io
import re
import tempfile
import tokenize
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mdtest import cases_of
from repaired import repaired

from rnnlint import engine, registry, repair
from rnnlint.diagnostic import Edit
from rnnlint.fixing.choosing import Repair
from rnnlint.opening import Project
from rnnlint.project.source import LINE_END, Source, source_from_bytes
from rnnlint.repair import Read, Wishes

FIXTURES = Path(__file__).parent.parent / "fixtures"
AROUND = (
    "def unused_{0}(a, b=1, *c, d: int = 2, **e): return a; b = 2",
    "class Unused{0}:\n    x = 1; y = 2\n\n    @property\n    def z(self):\n        '''é'''\n",
    "if len('{0}') > 3: unused_{0} = 1\nelif not '{0}': pass\nelse: unused_{0} = 2; other_{0} = 3",
    "unused_{0} = [\n    1,  # one\n    2,\n]  # two",
    "unused_{0} = 1 + \\\n    2",
    "unused_{0} = '''\n  # no comment\n'''",
    "match '{0}':\n    case 'a' | 'b' if len('c'):\n        unused_{0} = 1\n    case _: pass",
    "unused_{0} = f'{{len(\"{0}\")!r:>{{10}}}}'  # type: str",
    "unused_{0} = (lambda n_{0}=1: (n_{0}, n_{0} + 1))()\nif (größe_{0} := len('日本')): pass",
    "try: unused_{0} = 1\nexcept ValueError as error_{0}: pass\nfinally: other_{0} = 1",
    "def outer_{0}():\n    class Inner:\n        def a(self):\n            return [x for x in 'a']",
    "with open(__file__) as unused_{0}: pass",
    "\f\nunused_{0} = {{'a': 1, **{{'b': 2}}}}",
)
"""What has nothing to do with training."""


def programs() -> Iterator[Mapping[str, str]]:
    """The faulty programs of fixtures that show a repair, and those of the rules' pages."""
    for fixture in sorted(FIXTURES.glob("[a-z]*[0-9][0-9][0-9]_*.md")):
        for case in cases_of(fixture):
            if case.fixed_files:
                yield case.bare_files
    for info in registry.available():
        if registry.load(info).fixable is not None:
            example = re.search(r"## Example\n```python\n(.*?)```", registry.page(info), re.DOTALL)
            if example is not None:
                yield {"main.py": example[1]}


PROGRAMS = list(programs())


# --- the same program in another style --------------------------------------------------


@st.composite
def files(draw: st.DrawFn) -> dict[str, bytes]:
    program = draw(st.sampled_from(PROGRAMS))
    return {path: draw(styled(text)) for path, text in program.items() if path.endswith(".py")}


@st.composite
def styled(draw: st.DrawFn, text: str) -> bytes:
    unit = draw(st.sampled_from(["    ", "  ", "\t"]))
    lines = text.rstrip("\n").split("\n")
    if "'''" not in text and '"""' not in text:
        lines = [re.sub(r"^(?:    )+", lambda m: unit * (len(m[0]) // 4), line) for line in lines]
    first, last = logical_rows("\n".join(lines) + "\n")
    for row in draw(st.sets(st.sampled_from(last), max_size=6)):
        if "#" not in lines[row - 1]:
            lines[row - 1] += draw(st.sampled_from(["  # é", " #", "  # noqa: E501", "   "]))
    for row in sorted(draw(st.sets(st.sampled_from(first), max_size=6)), reverse=True):
        indentation = re.match(r"[ \t]*", lines[row - 1])
        assert indentation is not None
        extra = draw(st.sampled_from(["", "# é", "\f", "   "]))
        lines.insert(row - 1, (indentation[0] if "#" in extra else "") + extra)
    for number in draw(st.lists(st.integers(0, len(AROUND) - 1), max_size=3, unique=True)):
        lines += ["", *AROUND[number].format(number).split("\n")]
    encoding = draw(st.sampled_from(["utf-8", "utf-8-sig", "latin-1"]))
    if encoding == "latin-1":
        lines.insert(0, "# coding: latin-1")
    ending = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    whole = ending.join(lines) + draw(st.sampled_from(["", ending, ending * 2]))
    return whole.encode(encoding, "replace")


def logical_rows(text: str) -> tuple[list[int], list[int]]:
    """The rows in which statements begin, and those in which they end."""
    first, last = [], []
    begins = True
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.NEWLINE:
            last.append(token.start[0])
            begins = True
        elif begins and token.type not in (
            tokenize.NL,
            tokenize.COMMENT,
            tokenize.INDENT,
            tokenize.DEDENT,
            tokenize.ENDMARKER,
        ):
            first.append(token.start[0])
            begins = False
    return first, last


# --- what a step changes ----------------------------------------------------------------


class Stretch(msgspec.Struct, frozen=True):
    """A statement without its blocks, or the head of a handler or case."""

    start: int
    end: int
    depth: int
    dump: str

    def touches(self, stretches: Sequence[tuple[int, int]]) -> bool:
        return any(self.start < end and start < self.end for start, end in stretches)


def stretches_of(text: str) -> list[Stretch]:
    starts = [0, *(end.end() for end in LINE_END.finditer(text))]
    ends = [*starts[1:], len(text)]

    def offset(row: int | None, column: int | None) -> int:
        assert row is not None
        line = text[starts[row - 1] : ends[row - 1]]
        return starts[row - 1] + len(line.encode()[:column].decode())

    def walk(block: Sequence[ast.AST], depth: int) -> Iterator[Stretch]:
        for node in block:
            nested = [child for child in ast.iter_child_nodes(node) if is_nested(child)]
            place = node.pattern if isinstance(node, ast.match_case) else node
            assert isinstance(place, (ast.stmt, ast.excepthandler, ast.pattern))
            heads = [place, *getattr(node, "decorator_list", ())]
            start = min(offset(each.lineno, each.col_offset) for each in heads)
            if nested:
                inside = list(walk(nested, depth + 1))
                yield Stretch(start, inside[0].start, depth, ast.dump(bare(node)))
                yield from inside
            else:
                end = offset(place.end_lineno, place.end_col_offset)
                yield Stretch(start, end, depth, ast.dump(node))

    return list(walk(ast.parse(text).body, 0))


def is_nested(node: ast.AST) -> bool:
    return isinstance(node, (ast.stmt, ast.excepthandler, ast.match_case))


def bare(node: ast.AST) -> ast.AST:
    """A statement without its blocks."""
    fields = {
        name: value
        for name, value in ast.iter_fields(node)
        if not (isinstance(value, list) and value and is_nested(value[0]))
    }
    return type(node)(**fields)


def edited(before: str, edits: Sequence[Edit]) -> str:
    """A text with edits; without the statements that they touch it is the same program."""
    old: list[tuple[int, int]] = []
    new: list[tuple[int, int]] = []
    after, end = "", 0
    for edit in sorted(edits, key=lambda one: (one.start, one.end)):
        after += before[end : edit.start]
        # One more name to import stands behind the statement that it changes.
        grows = edit.start == edit.end and edit.replacement.startswith(",")
        old.append((edit.start - grows, edit.end))
        new.append((len(after), len(after) + len(edit.replacement)))
        after, end = after + edit.replacement, edit.end
    after += before[end:]
    # What an edit makes of a statement may be several.
    new += [
        (moved(each.start, edits), moved(each.end, edits))
        for each in stretches_of(before)
        if each.touches(old)
    ]
    assert untouched(before, old) == untouched(after, new)
    return after


def moved(offset: int, edits: Sequence[Edit]) -> int:
    shift = 0
    for edit in edits:
        if edit.end <= offset:
            shift += len(edit.replacement) - (edit.end - edit.start)
        elif edit.start < offset:
            shift -= offset - edit.start
    return offset + shift


def untouched(text: str, edits: Sequence[tuple[int, int]]) -> list[tuple[int, str]]:
    return [(each.depth, each.dump) for each in stretches_of(text) if not each.touches(edits)]


def one_at_a_time(project: Project) -> Wishes:
    """The repairs that rules offer, the first of them alone."""
    every = repair.fixes(project)

    def wishes(findings: engine.Findings, read: Read) -> list[Repair]:
        return sorted(every(findings, read), key=lambda one: one.order)[:1]

    return wishes


def source_of(path: str, data: bytes) -> Source:
    source = source_from_bytes(path, data)
    assert isinstance(source, Source)
    return source


@settings(max_examples=40, deadline=None)
@given(files())
def test_a_repair_changes_its_edits_and_nothing_else(given_files: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for path, data in given_files.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(data)
        (root / "rnnlint.toml").write_text("unsafe-fixes = true\n")
        opened = engine.open_request(engine.Request(cwd=folder, no_cache=True))
        (result,) = repair.repair(opened, one_at_a_time)
        sources = {path: source_of(path, data) for path, data in given_files.items()}
        texts = {path: source.text for path, source in sources.items()}
        for done in result.done:
            for path in done.paths:
                edits = [edit for edit in done.edits if edit.path == path]
                texts[path] = edited(texts[path], edits)
        for path in result.after:
            assert result.after[path].text == texts[path]
            assert result.data(path) == sources[path].encoded(texts[path])
        at_once = repaired(root)
        for path, text in at_once.texts.items():
            (root / path).write_bytes(sources[path].encoded(text))
        again = repaired(root)
        assert not again.texts, "a second repair changes more"
        assert set(again.codes) <= set(at_once.codes)


@pytest.mark.parametrize(
    ("words", "replacement"),
    [
        ("a = 1\n", "if a:\n    "),
        ("b = 2", "b = 2\n    d = 4\n"),
        ("= 2", "= '''"),
        ("a = 1\n", "def a():\n    return 1\n    "),
    ],
)
def test_the_check_itself_sees_a_change(words: str, replacement: str) -> None:
    text = "a = 1\nb = 2\nc = ''''''\n"
    start = text.index(words)
    with pytest.raises((AssertionError, SyntaxError)):
        edited(text, [Edit("main.py", start, start + len(words), replacement)])
