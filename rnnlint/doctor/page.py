"""A diagnosis as one HTML page that needs nothing beside itself, with plots of the run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rnnlint.doctor.diagnosing import Diagnosis, Judged
from rnnlint.doctor.evidence import Observation, Run
from rnnlint.doctor.plots import Series, plot
from rnnlint.doctor.text import repair_of, summary, title_of
from rnnlint.reporting.html import document
from rnnlint.reporting.html.elements import element, text
from rnnlint.reporting.layout import sentence
from rnnlint.reporting.report import place


def render(diagnosis: Diagnosis) -> str:
    """Render a diagnosis as a page."""
    header = element(
        "header",
        element("h1", "Why training fails"),
        element("p", text(summary(diagnosis)), class_="counts"),
    )
    main = element("main", *_sections(diagnosis))
    return document("rnnlint doctor: why training fails", header, main)


def _sections(diagnosis: Diagnosis) -> Iterator[str]:
    reasons = [_article(each, rank) for rank, each in enumerate(diagnosis.reasons, start=1)]
    nothing = element("p", "Nothing was read or seen that keeps a recurrent network from training.")
    yield element("section", element("h2", "Reasons"), *(reasons or [nothing]), id="reasons")
    for heading, kept in (
        ("Suspected by reading", diagnosis.suspicions),
        ("Dismissed by the run", diagnosis.dismissed),
        ("Rarely the reason by itself", diagnosis.advice),
    ):
        if kept:
            items = [element("li", text(_line(each))) for each in kept]
            yield element("section", element("h2", heading), element("ul", *items))
    if diagnosis.run.surprises:
        items = [element("li", text(each)) for each in diagnosis.run.surprises]
        heading = element("h2", "Not looked at, as something was in the way")
        yield element("section", heading, element("ul", *items))
    plots = list(_plots(diagnosis.run))
    if plots:
        yield element("section", element("h2", "The run"), *plots, id="run")


def _article(each: Judged | Observation, rank: int) -> str:
    title, level = title_of(each)
    notes = [element("h3", element("span", str(rank), class_="rank"), " ", text(title))]
    if isinstance(each, Observation):
        notes.append(_note("Repair", each.remedy))
    else:
        diagnostic = each.diagnostic
        notes.append(element("p", text(place(diagnostic.span)), class_="place"))
        notes.append(_note("Confirmed", each.verdict.evidence))
        steps = [
            element("li", element("span", text(place(step.span)), class_="place"), " ",
                    text(step.message))
            for step in diagnostic.trail
        ]  # fmt: skip
        if steps:
            notes.append(element("ol", *steps))
        if diagnostic.effect:
            notes.append(_note("Effect", diagnostic.effect))
        command = repair_of(diagnostic)
        if command:
            code = element("code", text(command))
            notes.append(element("p", element("strong", "Repair:"), " ", code))
        elif diagnostic.help:
            notes.append(_note("Repair by hand", diagnostic.help))
    return element("article", *notes, class_=f"finding {level.value}")


def _note(label: str, words: str) -> str:
    return element("p", element("strong", f"{label}:"), " ", text(sentence(words)))


def _line(each: Judged | Observation) -> str:
    title, _ = title_of(each)
    if isinstance(each, Observation):
        return each.message
    evidence = f": {each.verdict.evidence}" if each.verdict.evidence else ""
    return f"{title} ({place(each.diagnostic.span)}){evidence}"


def _plots(run: Run) -> Iterator[str]:
    history = run.history
    yield from _drawn("Loss", [Series("", history.losses.values)])
    yield from _drawn("Learning rate", [Series("", history.rates.values)])
    norms = [Series("all gradients", history.norms.values)]
    norms += _of_layers(run, "gradient_norm")
    yield from _drawn("Norm of the gradients", norms, logarithmic=True)
    yield from _drawn("Share of padding", _of_layers(run, "padding"))
    yield from _drawn("State at the end of the sequences", _of_layers(run, "state_at_end"))
    profiles = [
        Series(name, tuple(enumerate(samples[-1].profile)))
        for name, samples in history.layers.items()
        if samples and samples[-1].profile
    ]
    yield from _drawn(
        "Gradient of the loss over the steps of the input, last sample", profiles,
        logarithmic=True, across="from the first step of the sequences to the last",
    )  # fmt: skip
    if run.range_test is not None:
        pairs = zip(run.range_test.rates, run.range_test.losses, strict=True)
        values = tuple((number, loss) for number, (_, loss) in enumerate(pairs))
        span = f"learning rate from {run.range_test.rates[0]:.0e} to {run.range_test.rates[-1]:.0e}"
        yield from _drawn("Loss of a copy as the rate rises", [Series("", values)], across=span)


def _of_layers(run: Run, name: str) -> list[Series]:
    return [
        Series(layer, tuple((sample.step, getattr(sample, name)) for sample in samples))
        for layer, samples in run.history.layers.items()
    ]


def _drawn(
    title: str, series: Sequence[Series], *, logarithmic: bool = False, across: str = "step"
) -> Iterator[str]:
    picture = plot(title, series, logarithmic=logarithmic, across=across)
    if picture:
        yield element("figure", element("figcaption", text(title)), picture, class_="plot")
