"""JUnit's XML, which build servers show as tests: a suite for each file, a failure a finding."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape, quoteattr

from rnnlint.diagnostic import Diagnostic
from rnnlint.reporting.report import Report, place
from rnnlint.reporting.style import Style

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What no XML may hold, escaped or not."""


def render(report: Report, style: Style) -> str:
    """Render `report` as XML; `style` has no say.

    Where nothing was found there is one test that passed: servers take none for a failure.
    """
    by_path: dict[str, list[Diagnostic]] = {}
    for diagnostic in report.diagnostics:
        by_path.setdefault(diagnostic.span.path, []).append(diagnostic)
    total = len(report.diagnostics)
    lines = ['<?xml version="1.0" encoding="UTF-8"?>']
    lines += [f'<testsuites name="rnnlint" tests="{total or 1}" failures="{total}" errors="0">']
    if not by_path:
        lines += ['  <testsuite name="rnnlint" tests="1" failures="0" errors="0" skipped="0">']
        lines += ['    <testcase name="no problems" classname="rnnlint" time="0"/>']
        lines += ["  </testsuite>"]
    for path, found in by_path.items():
        lines += _suite(path, found)
    return "\n".join([*lines, "</testsuites>", ""])


def _suite(path: str, found: Sequence[Diagnostic]) -> Iterator[str]:
    count = len(found)
    yield (
        f'  <testsuite name={_attribute(path)} tests="{count}" failures="{count}" '
        'errors="0" skipped="0">'
    )
    for diagnostic in found:
        name = f"{diagnostic.code} {diagnostic.name} ({place(diagnostic.span)})"
        kind, message = diagnostic.level.value, diagnostic.message
        yield f'    <testcase name={_attribute(name)} classname={_attribute(path)} time="0">'
        yield (
            f'      <failure type="{kind}" message={_attribute(message)}>'
            f"{_text(_details(diagnostic))}</failure>"
        )
        yield "    </testcase>"
    yield "  </testsuite>"


def _details(diagnostic: Diagnostic) -> str:
    lines = [f"{place(diagnostic.span)}: {diagnostic.message}"]
    lines += [
        f"{number}. {place(step.span)} {step.message}"
        for number, step in enumerate(diagnostic.trail, start=1)
    ]
    if diagnostic.help:
        lines.append(f"help: {diagnostic.help}")
    return "\n".join([*lines, diagnostic.url])


def _attribute(text: str) -> str:
    return quoteattr(_FORBIDDEN.sub("?", text))


def _text(text: str) -> str:
    return escape(_FORBIDDEN.sub("?", text))
