"""Findings as articles: what is wrong, how the data got there, what it does and what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rnnlint.diagnostic import Applicability, Diagnostic, Span
from rnnlint.reporting.html.elements import element, text
from rnnlint.reporting.html.source import excerpt, repair
from rnnlint.reporting.page import Page
from rnnlint.reporting.report import Report, place


def article(diagnostic: Diagnostic, rank: int, report: Report) -> str:
    """Render one finding; `rank` counts from 1."""
    level = diagnostic.level.value
    heading = element(
        "h3",
        element("a", str(rank), class_="rank", href=f"#finding-{rank}"),
        text(_sentence(diagnostic.message)),
        id=f"title-{rank}",
    )
    labels = element(
        "p",
        element("span", level, class_=f"level {level}"),
        " ",
        _rule(diagnostic, report.rules),
        " ",
        element("span", text(place(diagnostic.span)), class_="place"),
        class_="labels",
    )
    return element(
        "article",
        labels,
        heading,
        _path(diagnostic, rank, report),
        *_notes(diagnostic, report),
        id=f"finding-{rank}",
        class_=f"finding {level}",
        tabindex="-1",
        aria_labelledby=f"title-{rank}",
    )


def _rule(diagnostic: Diagnostic, pages: Mapping[str, Page]) -> str:
    words = element("code", text(diagnostic.code)) + f" {text(diagnostic.name)}"
    if diagnostic.code not in pages:
        return element("a", words, href=diagnostic.url)
    return element("a", words, href=f"#rule-{diagnostic.code}")


def _path(diagnostic: Diagnostic, rank: int, report: Report) -> str:
    """The way of the data as steps that open one at a time; the last is the finding itself."""
    if not diagnostic.trail:
        return excerpt(diagnostic.span, report)
    steps = [(step.span, step.message) for step in diagnostic.trail]
    steps.append((diagnostic.span, "here it shows"))
    items = [
        _step(span, words, report, name=f"path-{rank}", is_last=index == len(steps))
        for index, (span, words) in enumerate(steps, start=1)
    ]
    return element("ol", *items, class_="path", aria_label="The path that the data takes")


def _step(span: Span, words: str, report: Report, *, name: str, is_last: bool) -> str:
    summary = element(
        "summary",
        element("span", text(words), class_="words"),
        " ",
        element("span", text(place(span)), class_="place"),
    )
    return element(
        "li", element("details", summary, excerpt(span, report), name=name, open=is_last)
    )


def _notes(diagnostic: Diagnostic, report: Report) -> Iterator[str]:
    """Yield what it does to training, how often it is the reason, and what to do."""
    if diagnostic.effect:
        often = ""
        if diagnostic.cause.share:
            often = (
                f" Of real failures whose reason was found, {diagnostic.cause.share} in 100 were "
                f"about {diagnostic.cause.value}."
            )
        yield _note("Effect", element("p", text(_sentence(diagnostic.effect) + often)))
    if diagnostic.help:
        head, _, code = diagnostic.help.partition("\n")
        block = element("pre", text(code), class_="example", tabindex="0") if code else ""
        yield _note("Remedy", element("p", text(_sentence(head))) + block)
    fix = diagnostic.fix
    if fix is not None:
        unsafe = fix.applicability is Applicability.UNSAFE
        command = (
            f"rnnlint check --fix{' --unsafe-fixes' if unsafe else ''} --select {diagnostic.code}"
        )
        kind = "It wants a look: " if unsafe else ""
        words = element("p", text(_sentence(fix.message)), " ", kind, element("code", command))
        yield _note("Repair", words + repair(fix, report))


def _note(title: str, content: str) -> str:
    return element("div", element("h4", title), element("div", content), class_="note")


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:] + ("" if words.endswith((".", ":", "?")) else ".")
