"""SARIF 2.1.0, which code scanning, editors and other tools read."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from rnnlint import __version__
from rnnlint.diagnostic import Cause, Diagnostic, Edit, Fix, Level, Location, Notice, Span
from rnnlint.reporting.fingerprints import fingerprints
from rnnlint.reporting.layout import sentence
from rnnlint.reporting.page import Page
from rnnlint.reporting.report import Report, file_or_cell
from rnnlint.reporting.structured import indented
from rnnlint.reporting.style import Style

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
FINGERPRINT = "rnnlint/v1"
"""Names the way in which fingerprints are made; another way needs another name."""
_HOME = "https://github.com/rnnlint/rnnlint"
_ROOT = "SRCROOT"
_LEVELS = {Level.ERROR: "error", Level.WARNING: "warning", Level.ADVICE: "note"}
_SEVERITIES = {Level.ERROR: "error", Level.WARNING: "warning", Level.ADVICE: "recommendation"}
_PRECISIONS = {Level.ERROR: "very-high", Level.WARNING: "high", Level.ADVICE: "high"}
_LONGEST_TEXT = 1024
"""What GitHub takes of a description."""
_MARKUP = re.compile(r"`([^`]*)`")

_Object = dict[str, Any]


def render(report: Report, style: Style) -> str:
    """Render `report` as a SARIF log; `style` has no say."""
    log = {"$schema": SCHEMA, "version": "2.1.0", "runs": [_run(report)]}
    return indented(log)


def _run(report: Report) -> _Object:
    rules = _rules(report)
    numbers = {rule["id"]: number for number, rule in enumerate(rules)}
    names = fingerprints(report.diagnostics, report.excerpts)
    return {
        "tool": {
            "driver": {
                "name": "rnnlint",
                "semanticVersion": __version__,
                "informationUri": _HOME,
                "rules": rules,
            }
        },
        "invocations": [
            {
                "executionSuccessful": not any(notice.fatal for notice in report.notices),
                "toolExecutionNotifications": [_notification(each) for each in report.notices],
            }
        ],
        "originalUriBaseIds": {_ROOT: {"description": {"text": "The root of the repository."}}},
        "columnKind": "unicodeCodePoints",
        "results": [
            _result(diagnostic, numbers[diagnostic.code], name)
            for diagnostic, name in zip(report.diagnostics, names, strict=True)
        ],
    }


# --- rules -----------------------------------------------------------------


def _rules(report: Report) -> list[_Object]:
    """The rules that found something, with their pages where these are at hand."""
    found: dict[str, Diagnostic] = {}
    for diagnostic in report.diagnostics:
        found.setdefault(diagnostic.code, diagnostic)
    return [_rule(found[code], report.rules.get(code)) for code in sorted(found)]


def _rule(diagnostic: Diagnostic, page: Page | None) -> _Object:
    level = diagnostic.level if page is None else page.level
    summary = diagnostic.message + "." if page is None else page.summary
    about = summary if page is None else _section(page, "What it does") or summary
    help_text = (diagnostic.help or summary) if page is None else page.explanation
    return {
        "id": diagnostic.code,
        "name": _pascal(diagnostic.name),
        "shortDescription": {"text": _plain(summary)},
        "fullDescription": {"text": _plain(about)},
        "help": {"text": help_text, "markdown": help_text},
        "helpUri": diagnostic.url,
        "defaultConfiguration": {"level": _LEVELS[level]},
        "properties": {
            "tags": _tags(diagnostic),
            "precision": _PRECISIONS[level],
            "problem.severity": _SEVERITIES[level],
        },
    }


def _tags(diagnostic: Diagnostic) -> list[str]:
    family = [] if diagnostic.cause is Cause.NONE else [diagnostic.cause.value]
    return ["correctness", "pytorch", "recurrent networks", diagnostic.name, *family]


def _section(page: Page, title: str) -> str:
    """The first paragraph below a heading of a page."""
    _, _, rest = page.explanation.partition(f"## {title}\n")
    return " ".join(rest.strip().split("\n\n", 1)[0].split())


def _plain(markdown: str) -> str:
    text = _MARKUP.sub(r"\1", markdown)
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 3] + "..."


def _pascal(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("-"))


# --- results ---------------------------------------------------------------


def _result(diagnostic: Diagnostic, rule: int, fingerprint: str) -> _Object:
    result: _Object = {
        "ruleId": diagnostic.code,
        "ruleIndex": rule,
        "level": _LEVELS[diagnostic.level],
        "message": {"text": _message(diagnostic)},
        "locations": [_location(diagnostic.span)],
        "partialFingerprints": {FINGERPRINT: fingerprint},
    }
    if diagnostic.trail:
        result["codeFlows"] = [_flow(diagnostic)]
        result["relatedLocations"] = [
            {"id": number, **_location(step.span, step.message)}
            for number, step in enumerate(diagnostic.trail, start=1)
        ]
    if diagnostic.fix is not None and all(_is_placed(edit) for edit in diagnostic.fix.edits):
        result["fixes"] = [_fix(diagnostic.fix)]
    return result


def _message(diagnostic: Diagnostic) -> str:
    """The message as sentences, with what to do and the evidence, each linked to its place."""
    where = ""
    if diagnostic.span.cell is not None:
        row = diagnostic.span.location.row
        where = f"{file_or_cell(diagnostic.span.path, diagnostic.span.cell)}:{row}: "
    sentences = [where + _escaped(sentence(diagnostic.message))]
    sentences += [
        f"{number}. [{_escaped(step.message)}]({number})"
        for number, step in enumerate(diagnostic.trail, start=1)
    ]
    if diagnostic.help:
        sentences.append(_escaped(sentence(diagnostic.help)))
    return "\n".join(sentences)


def _escaped(text: str) -> str:
    """Brackets of code are no links."""
    return re.sub(r"([\\\[\]])", r"\\\1", text)


def _flow(diagnostic: Diagnostic) -> _Object:
    """The way of the data, from where it begins to where the fault shows."""
    places = [_location(step.span, step.message) for step in diagnostic.trail]
    places.append(_location(diagnostic.span, diagnostic.message))
    return {"threadFlows": [{"locations": [{"location": place} for place in places]}]}


def _location(span: Span, message: str = "") -> _Object:
    physical: _Object = {"artifactLocation": _artifact(span.path)}
    location: _Object = {"physicalLocation": physical}
    if span.cell is None:
        physical["region"] = _region(span.location, span.end_location)
    else:
        # Rows of a notebook's cell are no lines of its file, but readers want a line there.
        physical["region"] = {"startLine": 1}
        name = f"cell {span.cell}, line {span.location.row}"
        location["logicalLocations"] = [{"name": name, "kind": "module"}]
    if message:
        location["message"] = {"text": message}
    return location


def _artifact(path: str) -> _Object:
    return {"uri": quote(path.encode("utf-8", "surrogateescape")), "uriBaseId": _ROOT}


def _region(start: Location, end: Location) -> _Object:
    return {
        "startLine": start.row,
        "startColumn": start.column,
        "endLine": end.row,
        "endColumn": end.column,
    }


# --- repairs and notices ---------------------------------------------------


def _is_placed(edit: Edit) -> bool:
    """Whether an edit has rows and columns in its file, which those of a cell are not."""
    return edit.location is not None and edit.end_location is not None and edit.cell is None


def _fix(fix: Fix) -> _Object:
    by_path: dict[str, list[Edit]] = {}
    for edit in fix.edits:
        by_path.setdefault(edit.path, []).append(edit)
    return {
        "description": {"text": f"{sentence(fix.message)[:-1]} ({fix.applicability.value} fix)."},
        "artifactChanges": [
            {"artifactLocation": _artifact(path), "replacements": _replacements(edits)}
            for path, edits in by_path.items()
        ],
    }


def _replacements(edits: Sequence[Edit]) -> list[Mapping[str, Any]]:
    return [
        {
            "deletedRegion": _region(edit.location, edit.end_location),
            "insertedContent": {"text": edit.replacement},
        }
        for edit in edits
        if edit.location is not None and edit.end_location is not None
    ]


def _notification(notice: Notice) -> _Object:
    notification: _Object = {
        "level": "error" if notice.fatal else "warning",
        "message": {"text": sentence(f"{notice.path}: {notice.message}")},
    }
    if notice.path != ".":
        notification["locations"] = [
            {"physicalLocation": {"artifactLocation": _artifact(notice.path)}}
        ]
    return notification
