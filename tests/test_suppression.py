"""Suppression comments: what they cover, which are unused, and that nothing breaks them."""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rnnlint.diagnostic import Diagnostic, Level, Location, Span
from rnnlint.registry import RuleInfo
from rnnlint.suppression import Suppressed, apply

NAMES = {
    "RNN002": "unused-suppression",
    "RNN101": "unpacked-padded-input",
    "RNN103": "last-step-of-padded-output",
    "RNN201": "missing-gradient-clipping",
}
INFOS = tuple(RuleInfo(code, name, f"rules.{code}", "rules") for code, name in NAMES.items())


def run(text: str, *found: tuple[int, str], selected: frozenset[str] | None = None) -> Suppressed:
    """Apply the comments of `text` to diagnostics given by row and code."""

    def locate(start: int, end: int) -> Span:
        places = []
        for offset in (start, end):
            before = text[:offset].replace("\r\n", "\n").replace("\r", "\n")
            row = before.count("\n") + 1
            places.append(Location(row, len(before) - before.rfind("\n")))
        return Span("train.py", places[0], places[1])

    diagnostics = [
        (row, Diagnostic(code, NAMES[code], Level.WARNING, "m", locate(0, 0)))
        for row, code in found
    ]
    codes = frozenset(NAMES) if selected is None else selected
    return apply(text, diagnostics, infos=INFOS, selected=codes, locate=locate)


def rows_silenced(text: str, code: str = "RNN101") -> list[int]:
    """The rows of `text` at which a diagnostic would be silenced."""
    rows = range(1, text.count("\n") + 2)
    return [row for row in rows if not run(text, (row, code)).kept]


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        pytest.param("a\nb  # rnnlint: ignore[RNN101]\nc\n", [2], id="code"),
        pytest.param("a  # rnnlint: ignore[unpacked-padded-input]\n", [1], id="name"),
        pytest.param("a  # rnnlint: ignore[RNN201, RNN101] because\n", [1], id="list and reason"),
        pytest.param("a  # rnnlint: ignore\n", [1], id="every rule"),
        pytest.param("a  #rnnlint:ignore[RNN101]\n", [1], id="no spaces"),
        pytest.param("a  # type: ignore # rnnlint: ignore[RNN101]\n", [1], id="behind another"),
        pytest.param("a  # rnnlint: ignore[RNN201]\n", [], id="another rule"),
        pytest.param("a  # rnnlint: ignore[RNN1]\n", [1], id="start of a code"),
        pytest.param("# rnnlint: file-ignore[RNN1]\na", [1, 2], id="start of a code, file"),
        pytest.param("a  # rnnlint: ignore[RNN2]\n", [], id="start of another code"),
        pytest.param("a  # rnnlint: ignore RNN101\n", [], id="no brackets"),
        pytest.param("a  # rnnlint: ignore: unpacked-padded-input\n", [], id="name, no brackets"),
        pytest.param("a  # rnnlint: ignore lengths are equal\n", [1], id="a reason, no brackets"),
        pytest.param("a  # rnnlint: ignore RNN is fine\n", [1], id="a reason on RNNs"),
        pytest.param("a  # rnnlint: ignore[]\n", [], id="no rule"),
        pytest.param("a  # rnnlint: ignore[RNN101\n", [1], id="bracket left open"),
        pytest.param("a  # rnnlint: ignore[RNN201\n", [], id="bracket left open, another rule"),
        pytest.param("a = '# rnnlint: ignore[RNN101]'\n", [], id="in a string"),
        pytest.param(
            "f(\n  a,\n)  # rnnlint: ignore[RNN101]\nb\n", [1, 2, 3], id="statement of rows"
        ),
        pytest.param(
            "f(\n  # rnnlint: ignore[RNN101]\n  a,\n)\nb\n", [1, 2, 3, 4], id="in a statement"
        ),
        pytest.param("# rnnlint: ignore[RNN101]\na\nb\n", [2], id="above"),
        pytest.param("# rnnlint: ignore[RNN101]\n# why\n\na\nb\n", [4], id="above, further"),
        pytest.param(
            "# rnnlint: ignore[RNN201]\n# rnnlint: ignore[RNN101]\na\n", [3], id="two above"
        ),
        pytest.param(
            "# rnnlint: ignore[RNN101]\nfor x in y:\n    a\n\n    b\nc\n", [2, 3, 4, 5], id="block"
        ),
        pytest.param(
            "# rnnlint: ignore[RNN101]\nif a:\n    b\nelif c:\n    d\nelse:\n    e\nf\n",
            [2, 3, 4, 5, 6, 7],
            id="block with clauses",
        ),
        pytest.param(
            "# rnnlint: ignore[RNN101]\n@a\n@b(\n)\ndef f():\n    c\nd\n",
            [2, 3, 4, 5, 6],
            id="decorated",
        ),
        pytest.param(
            "def f():\n    # rnnlint: ignore[RNN101]\n    a\n    b\n", [3], id="above, indented"
        ),
        pytest.param(
            "def f():\n    a\n    # rnnlint: ignore[RNN101]\nb\n", [3], id="last in a block"
        ),
        pytest.param("for x in y:  # rnnlint: ignore[RNN101]\n    a\n", [1], id="head alone"),
        pytest.param("# rnnlint: file-ignore[RNN101]\na\nb", [1, 2, 3], id="file"),
        pytest.param("a\nb # rnnlint: file-ignore", [1, 2], id="file, every rule"),
        pytest.param("a  # noqa: RNN101\nb\n", [1], id="noqa"),
        pytest.param("a  # NOQA:E501,RNN101\nb\n", [1], id="noqa list"),
        pytest.param("a  # noqa: RNN1\n", [1], id="noqa start of a code"),
        pytest.param("a  # noqa\nb\n", [1], id="bare noqa"),
        pytest.param("f(\n  a)  # noqa: RNN101\n", [1, 2], id="noqa, statement"),
        pytest.param("f(\n  a)  # noqa\n", [2], id="bare noqa, line only"),
        pytest.param("a  # noqa: E501\n", [], id="noqa of others"),
        pytest.param("a  # noqa: some words\n", [], id="noqa without codes"),
        pytest.param("a  # noqa-free\n", [], id="no noqa"),
        pytest.param("# noqa\na\n", [1], id="noqa above covers nothing"),
        pytest.param("a = (\nb  # rnnlint: ignore[RNN101]\n", [2], id="unclosed"),
        pytest.param(
            "a = '''\n# rnnlint: ignore[RNN101]\n\n# c\nb\n", [5], id="unclosed, line above"
        ),
        pytest.param("a\r\nb  # rnnlint: ignore[RNN101]\r\nc\r\n", [2], id="CRLF"),
        pytest.param("a\x0c\nb  # rnnlint: ignore[RNN101]\n", [2], id="form feed"),
    ],
)
def test_what_a_comment_covers(text: str, rows: list[int]) -> None:
    assert [row for row in rows_silenced(text) if row <= text.count("\n") + 1] == rows


@pytest.mark.parametrize("after", ["", "("], ids=["tokens", "lines"])
def test_thousands_of_comments_take_a_moment(after: str) -> None:
    text = "# rnnlint: ignore[RNN101]\n" * 8_000 + "@a\n" * 8_000 + "def f(): pass\n" + after
    begun = time.process_time()
    assert run(text, (8_001, "RNN101")).kept == ()
    assert time.process_time() - begun < 3


def test_old_mac_line_ends_are_line_ends() -> None:
    text = "a\rb  # rnnlint: ignore[RNN101]\rc"
    assert [row for row in (1, 2, 3) if not run(text, (row, "RNN101")).kept] == [2]


def unused(text: str, *found: tuple[int, str], selected: frozenset[str] | None = None) -> list[str]:
    """What is said of the comments of `text`, as 'row:column message; remedy'."""
    return [
        f"{report.span.location.row}:{report.span.location.column} {report.message}; {report.help}"
        for report in run(text, *found, selected=selected).unused
    ]


def test_an_unused_code_is_reported_where_it_stands() -> None:
    text = "a\nb  # rnnlint: ignore[RNN101, RNN103]\n"
    assert unused(text, (2, "RNN101")) == [
        "2:30 the suppression of RNN103 (last-step-of-padded-output) silences no diagnostic; "
        "remove 'RNN103' from the comment"
    ]
    assert unused(text, (2, "RNN101"), (2, "RNN103")) == []


def test_a_report_is_advice_of_rnn002() -> None:
    (report,) = run("a  # rnnlint: ignore[RNN101]\n").unused
    assert (report.code, report.name) == ("RNN002", "unused-suppression")
    assert report.level is Level.ADVICE
    assert report.span.end_location.column - report.span.location.column == len("RNN101")


def test_an_unused_comment_for_every_rule_is_reported_if_all_were_looked_for() -> None:
    text = "a  # rnnlint: ignore\n"
    assert unused(text) == ["1:4 this comment silences no diagnostic; remove it"]
    assert unused(text, (1, "RNN201")) == []
    assert unused(text, selected=frozenset({"RNN002", "RNN101"})) == []


def test_rules_that_were_not_looked_for_are_not_called_unused() -> None:
    text = "a  # rnnlint: ignore[RNN101]\n"
    assert unused(text, selected=frozenset({"RNN002", "RNN201"})) == []
    assert unused(text, selected=frozenset({"RNN101"})) == []


@pytest.mark.parametrize(
    ("comment", "said"),
    [
        ("rnnlint: ignore[RNN102]", "unknown rule 'RNN102'; did you mean 'RNN103'?"),
        (
            "rnnlint: ignore[unpacked-paded-input]",
            "unknown rule 'unpacked-paded-input'; did you mean 'unpacked-padded-input'?",
        ),
        ("rnnlint: ignore[E501]", "unknown rule 'E501'; remove 'E501' from the comment"),
        (
            "rnnlint: ignroe[RNN101]",
            "'ignroe' is no suppression that rnnlint knows; write '# rnnli",
        ),
        ("rnnlint: disable[RNN101]", "'disable' is no suppression that rnnlint knows"),
        (
            "rnnlint: ignore RNN201",
            "no brackets, so this comment silences nothing; write '# rnnlint",
        ),
        ("rnnlint: ignore RNN2", "write '# rnnlint: ignore[RNN2]'"),
        ("rnnlint: ignore(rnn201)", "write '# rnnlint: ignore[RNN201]'"),
        ("rnnlint: file-ignore RNN999", "write '# rnnlint: file-ignore[RNN999]'"),
        ("rnnlint: ignore[]", "the brackets of this comment name no rule"),
        ("rnnlint: ignore[RNN2]", "the suppression of RNN2 silences no diagnostic"),
        ("noqa: RNN102", "unknown rule 'RNN102'; did you mean"),
        ("noqa: RNN101", "suppression of RNN101 (unpacked-padded-input) silences no diagnostic"),
    ],
)
def test_what_is_misspelt_or_needless_is_said(comment: str, said: str) -> None:
    (report,) = unused(f"a  # {comment}\n")
    assert said in report


@pytest.mark.parametrize(
    "comment",
    [
        "noqa",
        "noqa: E501",
        "noqa: RNN1",
        "rnnlint: reads this file too",
        "rnnlint: ignore[RNN101, RNN002]",
        "rnnlint: file-ignore[unused-suppression]",
    ],
)
def test_what_is_never_called_unused(comment: str) -> None:
    assert unused(f"a  # {comment}\n") == []


def test_one_diagnostic_uses_every_comment_that_covers_it() -> None:
    text = "# rnnlint: file-ignore[RNN101]\na  # rnnlint: ignore[RNN101]\n"
    assert unused(text, (2, "RNN101")) == []


PIECES = st.sampled_from(
    [
        *("if a:", "else:", "x = 1", "@d", "def f():", "(", ")", "'''", "\\", "class", "print x"),
        *("\n", "\r\n", "\r", "\n    ", "\n        ", "\t", " ", "\x0c", "\u2028", "漢", "f'{"),
        *("# rnnlint: ignore", "# rnnlint: ignore[RNN101]", "# noqa", "# noqa: RNN101"),
        *("# rnnlint: file-ignore[RNN201]", "# rnnlint: ignore[", "# c"),
    ]
)


@given(st.lists(PIECES, max_size=25).map("".join), st.integers(1, 12))
@example("if a:\n        b\n    c  # rnnlint: ignore\n", 3)
def test_no_text_stops_it_and_nothing_is_lost_or_made_up(text: str, row: int) -> None:
    found = [(row, "RNN101"), (1, "RNN201")]
    result = run(text, *found)
    assert [report.code for report in result.kept] == [
        code for row_, code in found if run(text, (row_, code)).kept
    ]
    for report in result.unused:
        assert report.span.location < report.span.end_location


@given(st.text(max_size=60))
def test_text_without_comments_of_ours_changes_nothing(text: str) -> None:
    if "rnnlint:" not in text.lower() and "noqa" not in text.lower():
        result = run(text, (1, "RNN101"))
        assert len(result.kept) == 1
        assert result.unused == ()
