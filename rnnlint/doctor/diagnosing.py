"""What was read and what was seen, put together and in order."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from rnnlint.diagnostic import Cause, Diagnostic, Level, Span
from rnnlint.doctor.evidence import Observation, Run, Watched, failed
from rnnlint.doctor.verdicts import Judgement, Verdict, verdict

_HARMFUL = ("error", "warning")
_AGAIN = "try it again after a change, by rnnlint.runtime.probe(model, batch, loss)"


class Judged(msgspec.Struct, frozen=True):
    """A finding of the analysis, and what the run says of it."""

    diagnostic: Diagnostic
    verdict: Verdict
    level: Level
    """How much it matters, now that the run has spoken."""
    layers: frozenset[str] = frozenset()
    """The names of the layers that it is about."""


class Diagnosis(msgspec.Struct, frozen=True):
    """Why training fails, as far as reading and running show it.

    `reasons` are findings that the run confirms, and what only the run shows, likeliest first;
    `suspicions` are findings that it says nothing of, and `dismissed` those that it refutes.
    """

    command: tuple[str, ...]
    run: Run
    reasons: tuple[Judged | Observation, ...] = ()
    suspicions: tuple[Judged, ...] = ()
    dismissed: tuple[Judged, ...] = ()
    advice: tuple[Judged | Observation, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether neither reading nor running found an error or a warning."""
        return not self.reasons and not self.suspicions


def diagnose(
    command: Sequence[str],
    run: Run,
    diagnostics: Iterable[Diagnostic],
    cwd: Path,
) -> Diagnosis:
    """Judge each finding by the run, and find a place for what only the run shows.

    Args:
        command: the script and its arguments.
        run: what was seen.
        diagnostics: what was read in the files that were run, likeliest first.
        cwd: the folder that the paths of diagnostics are relative to.
    """
    watched = [
        Watched(name, seen, run.history.layers.get(name, ())) for name, seen in run.layers.items()
    ]
    judged = [
        _judged(diagnostic, run, watched, cwd)
        for diagnostic in diagnostics
        if diagnostic.cause is not Cause.NONE
    ]
    by_judgement = {
        judgement: [each for each in judged if each.verdict.judgement is judgement]
        for judgement in Judgement
    }
    confirmed = sorted(by_judgement[Judgement.CONFIRMED], key=lambda each: each.level.rank)
    alone = list(_new(_seen_alone(run), confirmed))
    unseen = by_judgement[Judgement.UNSEEN]
    return Diagnosis(
        command=tuple(command),
        run=run,
        reasons=(
            *(each for each in confirmed if each.level is not Level.ADVICE),
            *(seen for seen in alone if seen.level in _HARMFUL),
        ),
        suspicions=tuple(each for each in unseen if each.level is not Level.ADVICE),
        dismissed=tuple(by_judgement[Judgement.DISMISSED]),
        advice=(
            *(each for each in (*confirmed, *unseen) if each.level is Level.ADVICE),
            *(seen for seen in alone if seen.level not in _HARMFUL),
        ),
    )


def _judged(diagnostic: Diagnostic, run: Run, watched: Sequence[Watched], cwd: Path) -> Judged:
    layers = _concerned(diagnostic, watched, cwd)
    said = verdict(diagnostic, run, layers)
    level = diagnostic.level
    names = frozenset(layer.name for layer in layers)
    if said.judgement is Judgement.CONFIRMED:
        # Advice that a run bears out by something that keeps it from learning is more than advice.
        harms = [
            Level(seen.level)
            for seen in run.observations
            if seen.level in _HARMFUL
            and diagnostic.code in seen.codes
            and (seen.layer is None or seen.layer in names)
        ]
        level = min([level, *harms], key=lambda each: each.rank)
    return Judged(diagnostic, said, level, names)


def _concerned(diagnostic: Diagnostic, watched: Sequence[Watched], cwd: Path) -> list[Watched]:
    """The layers that are built or called where the finding points, all where none is."""
    spans = [diagnostic.span, *(step.span for step in diagnostic.trail)]
    found = [layer for layer in watched if any(_is_at(layer, span, cwd) for span in spans)]
    return found or list(watched)


def _is_at(layer: Watched, span: Span, cwd: Path) -> bool:
    path = os.path.realpath(cwd / span.path)
    places = [*layer.seen.called, *([layer.seen.built] if layer.seen.built else [])]
    rows = range(span.location.row, span.end_location.row + 1)
    return any(path == where and row in rows for where, row in places)


def _new(seen: Iterable[Observation], confirmed: Iterable[Judged]) -> Iterator[Observation]:
    """What is not explained by a confirmed finding, nor said by a worse observation already."""
    told = {
        (code, name)
        for each in confirmed
        for code in [each.diagnostic.code]
        for name in (None, *each.layers)
    }
    for observation in seen:
        about = {(code, observation.layer) for code in observation.codes}
        if not told.intersection(about):
            yield observation
        if observation.level in _HARMFUL:
            told |= about | {(code, None) for code in observation.codes}


def _seen_alone(run: Run) -> Iterator[Observation]:
    """All that a run shows without a finding, worst first."""
    found = [*run.observations, *_of_probes(run), *_of_order(run), *_of_rates(run)]
    for name, layer in run.layers.items():
        if layer.silent:
            found.append(
                Observation(
                    "unread direction",
                    "warning",
                    f"the recurrent weights of the backward direction of {name} get a gradient of "
                    "exactly zero: it is read at its first step, or not at all",
                    "read h_n[-2] and h_n[-1], the ends of both directions",
                    layer=name,
                    codes=("RNN110",),
                )
            )
    yield from sorted(found, key=lambda seen: Level(seen.level).rank)


def _of_probes(run: Run) -> Iterator[Observation]:
    for probe in run.probes:
        if probe.status == "failed":
            yield Observation(
                f"probe {probe.name}",
                "error" if probe.name == "batch_order" else "warning",
                failed(probe),
                probe.explanation.partition(". ")[2].rstrip(".") or _AGAIN,
                step=0,
                codes=probe.codes,
            )


def _of_order(run: Run) -> Iterator[Observation]:
    if run.broadcast:
        yield Observation(
            "broadcast loss",
            "error",
            f"a loss compares {run.broadcast[0]}: every prediction with every target",
            "give both one shape, as by predictions.squeeze(-1)",
            codes=("RNN608",),
        )
    if run.looked and run.accumulated == run.looked:
        yield Observation(
            "gradients never cleared",
            "error",
            f"gradients add up from step to step: {run.looked} of {run.looked} began with others",
            "call optimizer.zero_grad() before loss.backward()",
            codes=("RNN206",),
        )


def _of_rates(run: Run) -> Iterator[Observation]:
    test = run.range_test
    if test is not None and test.off:
        yield Observation(
            "learning rate",
            "error",
            f"the learning rate is {test.rate:.2g}; on the first batch, the loss falls at "
            f"{test.best:.2g}",
            f"begin from a rate of about {test.best:.1g}",
            step=0,
        )
