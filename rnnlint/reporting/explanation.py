"""The end of a report that explains itself: why training may fail, the likeliest cause first."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from rnnlint.diagnostic import Applicability, Cause, Diagnostic, Level
from rnnlint.reporting.layout import counted, labelled, printable, sentence, wrapped
from rnnlint.reporting.report import Report, place
from rnnlint.reporting.style import Style

_EXPLAINED = 3
"""The causes that are explained; of others only the place is named."""
_THREADS = 149
"""The failures with a known cause in which causes were counted (`Cause.share`)."""
_NOTHING = (
    "Nothing was found that keeps a recurrent network from training. What reading code cannot "
    "show, a batch may: rnnlint.runtime.probe(model, batch, loss) looks for it."
)
_ADVICE_ALONE = (
    "Nothing was found that keeps a recurrent network from training; what is left is advice, "
    "which makes training steadier and is rarely the reason why it fails. What reading code "
    "cannot show, a batch may: rnnlint.runtime.probe(model, batch, loss) looks for it."
)


def render(report: Report, paths: Sequence[str], style: Style) -> str:
    """Say what is the likeliest reason why training fails, what it does, and how to repair it.

    Args:
        report: what was found, ranked.
        paths: what was asked about, as the user wrote it, for the command that repairs.
        style: how it looks.
    """
    causes = _causes(report)
    suspects = [each for each in causes if each[0].level is not Level.ADVICE]
    lines = [style.strong("Why training may fail")]
    for number, findings in enumerate(suspects[:_EXPLAINED], start=1):
        lines += ["", *_cause(number, findings, paths, style)]
    if len(suspects) > _EXPLAINED:
        others = "; ".join(_named(findings) for findings in suspects[_EXPLAINED:])
        lines += ["", *wrapped(f"Less likely: {others}.", style.width)]
    advice = [each for each in causes if each[0].level is Level.ADVICE]
    if not suspects:
        lines += ["", *wrapped(_ADVICE_ALONE if advice else _NOTHING, style.width)]
    if advice:
        rules = ", ".join(f"{each[0].code} ({each[0].name})" for each in advice)
        label = "Advice" if not suspects else "Rarely the reason by itself"
        lines += ["", *wrapped(f"{label}: {rules}.", style.width)]
    return "".join(line + "\n" for line in lines)


def _causes(report: Report) -> list[list[Diagnostic]]:
    """The findings of each rule, in the order of the likeliest of each."""
    causes: dict[tuple[str, bool], list[Diagnostic]] = {}
    for diagnostic in report.diagnostics:
        if diagnostic.cause is not Cause.NONE:
            is_advice = diagnostic.level is Level.ADVICE
            causes.setdefault((diagnostic.code, is_advice), []).append(diagnostic)
    return list(causes.values())


def _cause(
    number: int, findings: Sequence[Diagnostic], paths: Sequence[str], style: Style
) -> Iterator[str]:
    """Yield the likeliest of the findings with its trail, what it does, and its repair."""
    first = findings[0]
    label = f"{number}. "
    pad = " " * len(label)
    room = style.width - len(pad)
    lines = wrapped(f"{first.code} ({first.name}): {first.message}", room)
    yield (
        style.strong(label)
        + style.level(first.code, first.level)
        + style.strong(lines[0][len(first.code) :])
    )
    for line in lines[1:]:
        yield pad + style.strong(line)
    more = f", and {len(findings) - 1:,} more" if len(findings) > 1 else ""
    yield pad + style.place(printable(place(first.span))) + more
    for step in first.trail:
        where = f"- {printable(place(step.span))} {step.message}"
        for line in wrapped(where, room, indent=2):
            yield pad + line
    if first.effect:
        yield from labelled("Effect: ", sentence(first.effect), pad, style, indent=2)
    if first.cause.share:
        yield from labelled("How often: ", _frequency(first.cause), pad, style, indent=2)
    yield from _repair(findings, paths, pad, style)


def _frequency(cause: Cause) -> str:
    return (
        f"{cause.share} % of {_THREADS} failures whose reason was found were about {cause.value}."
    )


def _repair(
    findings: Sequence[Diagnostic], paths: Sequence[str], pad: str, style: Style
) -> Iterator[str]:
    fixes = [each.fix for each in findings if each.fix is not None]
    if not fixes:
        if findings[0].help:
            by_hand = sentence(findings[0].help)
            yield from labelled("Repair by hand: ", by_hand, pad, style, indent=2)
        return
    unsafe = any(fix.applicability is Applicability.UNSAFE for fix in fixes)
    # One line, however long, so that it can be copied.
    words = ["rnnlint", "check", "--fix", *(["--unsafe-fixes"] if unsafe else [])]
    words += ["--select", findings[0].code, *paths]
    some = "" if len(fixes) == len(findings) else f" ({len(fixes):,} of {len(findings):,} places)"
    yield f"{pad}{style.remedy('Repair:')} {printable(shlex.join(words))}{some}"


def _named(findings: Sequence[Diagnostic]) -> str:
    first = findings[0]
    places = "" if len(findings) == 1 else f" and {counted(len(findings) - 1, 'other place')}"
    return f"{first.code} ({first.name}) at {place(first.span)}{places}"
