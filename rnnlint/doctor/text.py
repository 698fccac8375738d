"""A diagnosis as text."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from rnnlint.diagnostic import Applicability, Diagnostic, Level
from rnnlint.doctor.diagnosing import Diagnosis, Judged
from rnnlint.doctor.evidence import Observation, Run, brief
from rnnlint.reporting.layout import counted, labelled, printable, sentence, wrapped
from rnnlint.reporting.report import place
from rnnlint.reporting.style import Style

_NOTHING = "Nothing was read or seen that keeps a recurrent network from training."
_EXPLAINED = 3


def render(diagnosis: Diagnosis, style: Style) -> str:
    """Say why training fails, the likeliest cause first, and how to repair it."""
    lines = [style.strong("Why training fails"), *wrapped(summary(diagnosis), style.width), ""]
    told: dict[str, int] = {}
    for number, reason in enumerate(diagnosis.reasons, start=1):
        whole = number <= _EXPLAINED
        lines += [*_reason(number, reason, style, whole, told), *([""] if whole else [])]
    if len(diagnosis.reasons) > _EXPLAINED:
        lines.append("")
    if not diagnosis.reasons:
        lines += [*wrapped(_nothing(diagnosis), style.width), ""]
    for heading, kept in (
        ("Suspected by reading; the run neither shows nor refutes it", diagnosis.suspicions),
        ("Dismissed by the run", diagnosis.dismissed),
        ("Rarely the reason by itself", diagnosis.advice),
        ("Not looked at, as something was in the way", diagnosis.run.surprises),
    ):
        if kept:
            lines.append(style.strong(f"{heading}:"))
            for each in kept:
                lines += _listed(each, style)
            lines.append("")
    return "".join(line + "\n" for line in lines[:-1])


def summary(diagnosis: Diagnosis) -> str:
    """What was run, how far, and what became of the loss, as a sentence."""
    run = diagnosis.run
    losses, rates = run.history.losses.numbers, run.history.rates.numbers
    said = [f"{shlex.join(diagnosis.command)}: {counted(run.history.steps, 'step')} watched"]
    said.append(_END[run.ended])
    if losses:
        said.append(f"loss {losses[0]:.4g} to {losses[-1]:.4g}")
    if rates:
        changed = run.history.rate_changed is not None
        said.append(f"learning rate {rates[0]:.3g}" + (f" to {rates[-1]:.3g}" if changed else ""))
    if not run.layers:
        said.append("no recurrent layer was built")
    if run.raised:
        said.append(f"it raised {brief(run.raised)}")
    return "; ".join(said) + "."


_END = {
    "finished": "to its end",
    "budget": "then the budget was spent",
    "interrupted": "then it was interrupted",
    "raised": "then it failed",
}


def _nothing(diagnosis: Diagnosis) -> str:
    return _unwatched(diagnosis.run) or _NOTHING


def _unwatched(run: Run) -> str:
    if run.history.steps:
        return ""
    return (
        "No optimizer made a step, so that nothing could be seen: give the script the arguments "
        "with which it trains, and more --steps or --seconds."
    )


def _reason(
    number: int,
    reason: Judged | Observation,
    style: Style,
    whole: bool,
    told: dict[str, int],
) -> Iterator[str]:
    label = f"{number}. "
    pad = " " * len(label)
    title, level = title_of(reason)
    lines = wrapped(title, style.width - len(pad))
    yield style.strong(label) + style.level(lines[0], level)
    for line in lines[1:]:
        yield pad + style.level(line, level)
    if isinstance(reason, Observation):
        yield from labelled("Repair: ", sentence(reason.remedy), pad, style, indent=2)
        return
    diagnostic = reason.diagnostic
    yield pad + style.place(printable(place(diagnostic.span)))
    evidence = reason.verdict.evidence
    # One number may bear out several findings.
    first = told.setdefault(evidence, number)
    said = sentence(evidence) if first == number else f"By the same as {first}."
    yield from labelled("Confirmed: ", said, pad, style, indent=2)
    if not whole:
        return
    for step in diagnostic.trail:
        where = f"- {printable(place(step.span))} {step.message}"
        yield from (pad + line for line in wrapped(where, style.width - len(pad), indent=2))
    if diagnostic.effect:
        yield from labelled("Effect: ", sentence(diagnostic.effect), pad, style, indent=2)
    yield from _repair(diagnostic, pad, style)


def _repair(diagnostic: Diagnostic, pad: str, style: Style) -> Iterator[str]:
    command = repair_of(diagnostic)
    if command:
        # One line, however long, so that it can be copied.
        yield f"{pad}{style.remedy('Repair:')} {printable(command)}"
    elif diagnostic.help:
        yield from labelled("Repair by hand: ", sentence(diagnostic.help), pad, style, indent=2)


def repair_of(diagnostic: Diagnostic) -> str:
    """The command that repairs a finding; empty where it has no repair."""
    if diagnostic.fix is None:
        return ""
    unsafe = diagnostic.fix.applicability is Applicability.UNSAFE
    words = ["rnnlint", "check", "--fix", *(["--unsafe-fixes"] if unsafe else [])]
    return shlex.join([*words, "--select", diagnostic.code, diagnostic.span.path])


def title_of(reason: Judged | Observation) -> tuple[str, Level]:
    """What a reason is, in a line, and how much it matters."""
    if isinstance(reason, Observation):
        return f"seen in the run: {reason.message}", Level(reason.level)
    diagnostic = reason.diagnostic
    return f"{diagnostic.code} ({diagnostic.name}): {diagnostic.message}", reason.level


def _listed(each: Judged | Observation | str, style: Style) -> Iterator[str]:
    if isinstance(each, str):
        yield from wrapped(f"- {printable(each)}", style.width, indent=2)
        return
    if isinstance(each, Observation):
        yield from wrapped(f"- {each.message}", style.width, indent=2)
        return
    diagnostic = each.diagnostic
    said = f"- {diagnostic.code} ({diagnostic.name}) at {printable(place(diagnostic.span))}"
    evidence = each.verdict.evidence
    yield from wrapped(f"{said}: {evidence}" if evidence else said, style.width, indent=2)
