"""Reports: goldens of each format, and what must hold of any text on a terminal."""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec
import pytest
from findings import (
    MISMATCH,
    MULTILINE,
    NOTEBOOK,
    PADDED,
    REPORT,
    UNCLIPPED,
    Report,
    Summary,
    excerpts,
)
from hypothesis import given
from hypothesis import strategies as st

from rnnlint.diagnostic import Cause, Diagnostic, Level, Location, Notice, Span, TrailStep
from rnnlint.reporting import FORMATS, explanation, renderer, statistics
from rnnlint.reporting.closing import closing, coverage
from rnnlint.reporting.layout import cropped, printable, width_of, wrapped
from rnnlint.reporting.page import Page, render_json, render_markdown, render_terminal
from rnnlint.reporting.style import PLAIN, Style

Golden = Callable[[str, str], None]
ANSI = re.compile(r"\x1b\[[0-9;]*m")

PAGE = Page(
    "RNN104",
    "batch-first-mismatch",
    Level.ERROR,
    None,
    "The data and the layer disagree about which axis is\nthe batch.\n\n"
    "## What it does\n\nIt compares `batch_first` of [packing](https://example.org/pack) and "
    "of the layer, wherever either is built, in whichever file.\n\n"
    "- the first `item`, which is long enough to be wrapped at the width of a usual terminal\n"
    "- the second\n\n```python\nlayer = nn.LSTM(8, 8)\n\nlayer(x)\n```\n",
)


@pytest.mark.parametrize("output_format", FORMATS)
def test_each_format_has_a_golden(output_format: str, golden: Golden) -> None:
    golden(f"{output_format}.txt", renderer(output_format)(REPORT, PLAIN))


def test_narrow_terminals_have_a_golden(golden: Golden) -> None:
    golden("full-narrow.txt", renderer("full")(REPORT, Style(width=50)))


def test_colour_has_a_golden(golden: Golden) -> None:
    golden("full-colour.txt", renderer("full")(REPORT, Style(colour=True)))


def test_statistics_have_goldens(golden: Golden) -> None:
    golden("statistics.txt", statistics.render(REPORT, PLAIN))
    golden("statistics.json", statistics.render_json(REPORT, PLAIN))


def test_closing_has_a_golden(golden: Golden) -> None:
    golden("closing.txt", closing(REPORT, PLAIN))


def test_an_explanation_has_a_golden(golden: Golden) -> None:
    golden("explanation.txt", explanation.render(REPORT, ("src", "my notebooks"), PLAIN))


def test_an_explanation_takes_findings_of_a_rule_together() -> None:
    again = msgspec.structs.replace(PADDED, span=NOTEBOOK.span, trail=(), fix=UNCLIPPED.fix)
    text = explanation.render(Report((PADDED, again)), (), PLAIN)
    assert text.count("RNN101 (unpacked-padded-input)") == 1
    assert "model.py:4:25, and 1 more" in text
    assert "rnnlint check --fix --select RNN101 (1 of 2 places)" in text


def test_an_explanation_asks_for_unsafe_fixes_where_one_is_unsafe() -> None:
    text = explanation.render(Report((MISMATCH,)), ("a b.py",), PLAIN)
    assert "rnnlint check --fix --unsafe-fixes --select RNN104 'a b.py'\n" in text


def test_an_explanation_names_what_is_less_likely_by_its_place() -> None:
    codes = ("RNN104", "RNN105", "RNN106", "RNN107", "RNN109")
    found = tuple(msgspec.structs.replace(MISMATCH, code=code) for code in codes)
    text = explanation.render(Report(found), (), Style(width=200))
    assert "\n3. RNN106" in text
    assert "\n4. " not in text
    assert "Less likely: RNN107 (batch-first-mismatch) at model.py:4:25; RNN109" in text


@pytest.mark.parametrize("found", [(), (UNCLIPPED,)])
def test_an_explanation_blames_no_advice(found: tuple[Diagnostic, ...]) -> None:
    text = explanation.render(Report(found), (), PLAIN)
    assert "Nothing was found that keeps a recurrent network from training" in text
    assert "1. " not in text
    assert ("Advice: RNN201" in text) == bool(found)


def test_what_says_nothing_of_training_explains_nothing() -> None:
    unread = msgspec.structs.replace(MISMATCH, code="RNN001", cause=Cause.NONE)
    assert "RNN001" not in explanation.render(Report((unread,)), (), PLAIN)


def test_pages_have_goldens(golden: Golden) -> None:
    golden("page.md", render_markdown([PAGE, PAGE]))
    golden("page.json", render_json([PAGE]))
    golden("page-terminal.txt", render_terminal([PAGE], PLAIN))
    golden("page-colour.txt", render_terminal([PAGE], Style(colour=True)))


def test_tables_of_a_page_are_left_as_they_are() -> None:
    table = "| a | b |\n|---|---|\n| `c` | d |"
    page = msgspec.structs.replace(PAGE, explanation=f"Some.\n\nText above\n{table}\nand below.")
    lines = render_terminal([page], PLAIN).splitlines()
    assert lines[4:] == ["Text above", *table.splitlines(), "and below."]


def test_code_that_is_broken_over_lines_is_painted() -> None:
    page = msgspec.structs.replace(PAGE, explanation="- say `one two three four` often")
    text = render_terminal([page], Style(colour=True, width=14))
    assert "`" not in text
    plain = render_terminal([page], Style(width=14)).replace("`", "")
    assert ANSI.sub("", text) == plain


@pytest.mark.parametrize("output_format", ["full", "concise"])
def test_colour_changes_nothing_but_colour(output_format: str) -> None:
    render = renderer(output_format)
    coloured = render(REPORT, Style(colour=True))
    assert coloured != render(REPORT, PLAIN)
    assert ANSI.sub("", coloured) == render(REPORT, PLAIN)


@pytest.mark.parametrize("width", [45, 60, 80, 120])
def test_full_report_keeps_to_the_width(width: int) -> None:
    prose = msgspec.structs.replace(REPORT, diagnostics=(MISMATCH, NOTEBOOK, UNCLIPPED))
    text = renderer("full")(prose, Style(width=width)) + closing(prose, Style(width=width))
    late = msgspec.structs.replace(prose, diagnostics=(NOTEBOOK,))
    text += explanation.render(late, (), Style(width=width))
    assert max(map(width_of, text.splitlines())) <= width


def test_carets_stand_below_what_they_mean_behind_wide_characters() -> None:
    lines = renderer("full")(Report((NOTEBOOK,), excerpts=excerpts()), PLAIN).splitlines()
    index = next(index for index, line in enumerate(lines) if "^" in line)
    assert width_of(lines[index].rstrip("^")) == width_of(
        lines[index - 1].split("scheduler.step()")[0]
    )
    assert lines[index].count("^") == len("scheduler.step()")


def test_carets_stand_below_what_they_mean_behind_tabs() -> None:
    lines = renderer("full")(Report((MISMATCH,), excerpts=excerpts()), PLAIN).splitlines()
    index = next(index for index, line in enumerate(lines) if "^" in line)
    assert lines[index].index("^") == lines[index - 1].index("self.lstm")
    assert not any("\t" in line for line in lines)


def test_a_span_of_several_rows_is_underlined_to_the_end_of_its_first() -> None:
    lines = renderer("full")(Report((MULTILINE,), excerpts=excerpts()), PLAIN).splitlines()
    index = next(index for index, line in enumerate(lines) if "^" in line)
    assert len(lines[index]) == len(lines[index - 1])


def test_a_diagnostic_without_its_source_is_still_reported() -> None:
    text = renderer("full")(Report((MISMATCH,)), PLAIN)
    assert "model.py:4:25" in text
    assert "^" not in text


def test_source_and_paths_cannot_command_the_terminal() -> None:
    start, end = Location(1, 1), Location(1, 3)
    span = Span("\x1b[2Jevil.py", start, end)
    hostile = msgspec.structs.replace(
        MISMATCH, span=span, message="\x1b]0;owned\x07", trail=(TrailStep(span, "\x1b[31m"),)
    )
    report = Report((hostile,), (Notice("\x1bx", "\x07"),), {span.path: {1: "a\x1b[2J\r\x08b"}})
    for output_format in ("full", "concise"):
        assert renderer(output_format)(report, PLAIN).replace("\n", "").isprintable()
    assert closing(report, PLAIN).replace("\n", "").isprintable()


def test_json_objects_have_the_promised_keys() -> None:
    objects = msgspec.json.decode(renderer("json")(REPORT, PLAIN))
    lines = renderer("jsonl")(REPORT, PLAIN).splitlines()
    assert [msgspec.json.decode(line) for line in lines] == objects
    first = objects[0]
    promised = "code name level message path location end_location cell trail fix url"
    assert set(promised.split()) <= set(first)
    assert first["location"] == {"row": 4, "column": 25}
    assert set(first["trail"][0]) >= {"path", "location", "message"}
    assert objects[1]["cell"] == 2


def test_an_empty_report_is_valid_in_every_format() -> None:
    rendered = {name: renderer(name)(Report(), PLAIN) for name in FORMATS}
    assert msgspec.json.decode(rendered.pop("json")) == []
    assert msgspec.json.decode(rendered.pop("gitlab")) == []
    assert msgspec.json.decode(rendered.pop("sarif"))["runs"][0]["results"] == []
    assert "no problems" in rendered.pop("junit")
    assert "Nothing was found." in rendered.pop("html")
    assert set(rendered.values()) == {""}


def test_github_shows_the_worst_first_and_escapes() -> None:
    mixed = Report((UNCLIPPED, NOTEBOOK, MISMATCH))
    lines = renderer("github")(mixed, PLAIN).splitlines()
    assert [line.split(" ")[0] for line in lines] == ["::error", "::error", "::notice"]
    assert "line=" not in lines[0]
    assert "100%25 of" in lines[2]
    hostile = msgspec.structs.replace(
        MISMATCH, span=Span("a:b,c.py", Location(1, 1), Location(1, 2))
    )
    assert "file=a%3Ab%2Cc.py," in renderer("github")(Report((hostile,)), PLAIN)


def test_statistics_keep_the_worst_level_of_a_rule() -> None:
    milder = msgspec.structs.replace(MISMATCH, level=Level.ADVICE)
    encoded = statistics.render_json(Report((milder, MISMATCH, milder)), PLAIN)
    (count,) = msgspec.json.decode(encoded)
    assert (count["code"], count["level"], count["count"]) == ("RNN104", "error", 3)


@pytest.mark.parametrize(
    ("summary", "said"),
    [
        (Summary(), "Read no Python file."),
        (Summary(analysed=1, lowered=1), "Read 1 file."),
        (Summary(analysed=7), "Read 7 files, none with recurrent training code."),
    ],
)
def test_coverage_never_hides_that_nothing_was_read(summary: Summary, said: str) -> None:
    assert coverage(Report(summary=summary)) == said


def test_coverage_names_few_of_many_skipped_files() -> None:
    notices = tuple(Notice(f"{number}.py", f"reason {number % 5}") for number in range(25))
    said = coverage(Report(notices=notices, summary=Summary(30, 1, 25)))
    assert said == (
        "Read 30 files; skipped 25: 0.py, 5.py, 10.py and 2 more (reason 0), "
        "1.py, 6.py, 11.py and 2 more (reason 1), 2.py, 7.py, 12.py and 2 more (reason 2) "
        "and 10 more."
    )


@given(st.text(), st.integers(0, 80), st.integers(0, 40), st.integers(20, 60))
def test_cropping_keeps_to_the_width_and_the_stretch_in_sight(
    line: str, start: int, length: int, width: int
) -> None:
    start = min(start, len(line))
    shown, first, last = cropped(line, start, min(start + length, len(line)), width)
    assert width_of(shown) <= width
    assert 0 <= first < last
    assert first <= width_of(shown)
    assert shown.isprintable()


@given(st.text(min_size=1, max_size=30), st.integers(0, 29))
def test_what_is_not_cropped_is_shown_from_its_own_column(line: str, start: int) -> None:
    start = min(start, len(line) - 1)
    shown, first, last = cropped(line, start, start + 1, 1000)
    assert shown == printable(line)
    assert first == width_of(printable(line[:start]))
    assert last - first == max(1, width_of(printable(line[start])))


@given(st.text(alphabet="ab 漢\n", max_size=80), st.integers(20, 60), st.integers(0, 8))
def test_wrapping_loses_no_word(text: str, width: int, indent: int) -> None:
    assert " ".join(wrapped(text, width, indent)).split() == text.split()
