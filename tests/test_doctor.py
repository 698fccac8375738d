"""What a run says of findings: made-up runs and findings, and the diagnosis that comes of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rnnlint.diagnostic import Cause, Diagnostic, Level, Location, Span, TrailStep
from rnnlint.doctor import page, structured, text
from rnnlint.doctor.diagnosing import Diagnosis, Judged, diagnose
from rnnlint.doctor.evidence import (
    Curve,
    History,
    LayerSample,
    LayerSeen,
    Observation,
    Probe,
    RangeTest,
    Run,
    Spread,
    Watched,
)
from rnnlint.doctor.verdicts import Judgement, verdict
from rnnlint.reporting.style import PLAIN

CWD = Path("/project")
CONFIRMED, DISMISSED, UNSEEN = Judgement.CONFIRMED, Judgement.DISMISSED, Judgement.UNSEEN
LOSSES = Curve(((0, 1.5), (1, None), (2, 1.25)))
RATES = Curve(((0, 0.1), (1, 0.1), (2, 0.1)))


def span(row: int, path: str = "train.py") -> Span:
    return Span(path, Location(row, 5), Location(row, 20))


def finding(
    code: str, level: Level = Level.WARNING, row: int = 9, trail: Sequence[int] = ()
) -> Diagnostic:
    return Diagnostic(
        code=code,
        name=f"name-of-{code.lower()}",
        level=level,
        message=f"message of {code}",
        span=span(row),
        trail=tuple(TrailStep(span(each), f"step {each}") for each in trail),
        cause=Cause.OTHER,
        effect=f"effect of {code}",
        help=f"help of {code}",
    )


def run(ended: str = "finished", **parts: Any) -> Run:
    return Run(ended=ended, code=0, raised=parts.pop("raised", ""), **parts)


def ran(steps: int = 3, **parts: Any) -> Run:
    """A run whose history is given in part."""
    return run(history=History(steps=steps, losses=LOSSES, **parts))


def watched(*samples: LayerSample, name: str = "lstm", **seen: Any) -> Watched:
    return Watched(name, LayerSeen("LSTM", **seen), samples)


def probed(name: str, status: str) -> Run:
    probe = Probe(name, status, "a sequence depends on others. Look for batch_first.")
    return run(history=History(), probes=(probe,))


PADDED = watched(LayerSample(0, padding=0.4, into_padding=0.9))
READ_WELL = watched(LayerSample(0, padding=0.4, into_padding=0.0))
DENSE = watched(LayerSample(0, padding=0.0, into_padding=0.0))
PACKED = watched(LayerSample(0, packed=True))
EXPLODING = Observation("exploding", "warning", "the norm rose to 400", "clip", codes=("RNN201",))
EXPLODED = run(history=History(steps=3), observations=(EXPLODING,))
SECOND = "RuntimeError: Trying to backward through the graph a second time (or so). Saved values"

Case = tuple[str, Run, list[Watched], Judgement, str]
Said = tuple[Run, list[Watched], Judgement, str]


def of_each(codes: str, *said: Said) -> list[Case]:
    """The same cases for several rules."""
    return [(code, *each) for code in codes.split() for each in said]


def of_probe(name: str, codes: str) -> list[Case]:
    return of_each(
        codes,
        (probed(name, "failed"), [], CONFIRMED, "a sequence depends on others (probe"),
        (probed(name, "passed"), [], DISMISSED, f"the probe {name}"),
        (probed(name, "error"), [], UNSEEN, ""),
        (probed("another", "failed"), [], UNSEEN, ""),
    )


VERDICTS: list[Case] = [
    *of_each(
        "RNN101 RNN102 RNN103",
        (ran(), [PADDED], CONFIRMED, "40% of the steps that lstm ran over were padding"),
        (ran(), [DENSE, PADDED], CONFIRMED, "90% of the gradient went there"),
        (ran(), [READ_WELL], DISMISSED, "no gradient went there"),
        (ran(), [DENSE], DISMISSED, "hardly any padding"),
        (ran(), [PACKED], DISMISSED, "was packed in every step that was sampled"),
        (ran(), [watched(LayerSample(0))], UNSEEN, ""),
    ),
    *of_probe("batch_order", "RNN104 RNN105 RNN112 RNN509"),
    *of_probe("padding", "RNN113"),
    *of_probe("causality", "RNN117"),
    *of_probe("determinism", "RNN506"),
    ("RNN110", ran(), [watched(bidirectional=True, silent=True)], CONFIRMED, "exactly zero"),
    ("RNN110", ran(), [watched(LayerSample(0), bidirectional=True)], DISMISSED, "got a gradient"),
    ("RNN110", ran(), [watched(LayerSample(0))], UNSEEN, ""),
    ("RNN201", ran(clip_calls=3), [], DISMISSED, "in all of 3 steps"),
    ("RNN201", ran(nonfinite_step=2), [], CONFIRMED, "NaN or infinite from step 2 on"),
    ("RNN201", ran(norms=Curve(((0, 2.0), (1, 3.0), (2, 900.0)))), [], CONFIRMED, "300 times"),
    ("RNN201", ran(norms=Curve(((0, 2.0), (1, 3.0), (2, 200.0)))), [], UNSEEN, ""),
    ("RNN201", ran(norms=Curve(((0, 0.0), (1, 0.0)))), [], UNSEEN, ""),
    ("RNN201", EXPLODED, [], CONFIRMED, "the norm rose to 400"),
    ("RNN201", ran(clip_calls=2), [], UNSEEN, ""),
    *(
        ("RNN202", run(history=History(), events=tuple(events.split())), [], judgement, said)
        for events, judgement, said in (
            ("zero_grad clip backward step", CONFIRMED, "zero_grad, clip, backward, step"),
            ("backward step clip zero_grad backward step clip", CONFIRMED, "clip, zero_grad"),
            ("zero_grad backward clip step", DISMISSED, "zero_grad, backward, clip, step"),
            ("backward backward clip step", DISMISSED, "backward, backward, clip, step"),
            # Two optimizers, one of which is clipped.
            ("backward step backward clip step", DISMISSED, "backward, clip, step"),
            ("backward step", UNSEEN, ""),
            ("", UNSEEN, ""),
        )
    ),
    *of_each(
        "RNN205 RNN207 RNN209",
        (run(history=History(steps=1), raised=SECOND), [], CONFIRMED, "step 2 ended"),
        (ran(), [watched(LayerSample(2, carried=True))], CONFIRMED, "began step 2"),
        (ran(), [watched(LayerSample(0))], DISMISSED, "no state brought"),
        (ran(1), [watched(LayerSample(0))], UNSEEN, ""),
    ),
    ("RNN206", run(history=History(), looked=4, accumulated=4), [], CONFIRMED, "4 steps of 4"),
    ("RNN206", run(history=History(), looked=4, accumulated=3), [], DISMISSED, "without gradients"),
    ("RNN206", ran(), [], UNSEEN, ""),
    ("RNN301", ran(rates=RATES, rate_changed=2), [], DISMISSED, "changed at step 2"),
    ("RNN301", ran(rates=RATES), [], CONFIRMED, "0.1 at all 3 steps"),
    ("RNN301", run("budget", history=History(rates=RATES)), [], UNSEEN, ""),
    ("RNN302", ran(), [], UNSEEN, ""),
    *of_each(
        "RNN401 RNN402 RNN403 RNN404 RNN405 RNN501 RNN502",
        (ran(), [watched(LayerSample(0, early_to_late=1e-6))], CONFIRMED, "got 1e-06"),
        (ran(), [watched(LayerSample(0, early_to_late=0.2))], DISMISSED, "got 0.2"),
        (ran(), [watched(LayerSample(0))], UNSEEN, ""),
    ),
    ("RNN504", ran(spreads=(Spread(0, "cross_entropy", True),)), [], CONFIRMED, "summed to one"),
    ("RNN504", ran(spreads=(Spread(0, "cross_entropy"),)), [], DISMISSED, "did not sum"),
    ("RNN504", ran(spreads=(Spread(0, "mse_loss"),)), [], UNSEEN, ""),
    ("RNN602", ran(), [watched(LayerSample(0, training=False))], CONFIRMED, "evaluation mode"),
    ("RNN602", ran(), [watched(LayerSample(0))], UNSEEN, ""),
    ("RNN604", ran(left_out=("a.weight", "a.bias")), [], CONFIRMED, "2 parameters"),
    ("RNN604", ran(), [], UNSEEN, ""),
    ("RNN607", ran(), [], DISMISSED, "made 3 steps"),
    ("RNN607", run(history=History(), events=("backward",)), [], CONFIRMED, "no step"),
    ("RNN607", run(history=History(), events=("backward", "step")), [], DISMISSED, "its steps"),
    ("RNN607", run(history=History()), [], UNSEEN, ""),
    ("RNN608", run(history=History(), broadcast=("(3, 1) with (3,)",)), [], CONFIRMED, "(3, 1)"),
    ("RNN608", ran(), [], DISMISSED, "no loss had to broadcast"),
    ("RNN608", run(history=History()), [], UNSEEN, ""),
    ("RNN999", ran(), [PADDED], UNSEEN, ""),
]


@pytest.mark.parametrize(
    ("code", "seen", "layers", "judgement", "evidence"),
    VERDICTS,
    ids=[f"{number}-{each[0]}-{each[3].value}" for number, each in enumerate(VERDICTS)],
)
def test_a_run_confirms_dismisses_or_says_nothing(
    code: str, seen: Run, layers: list[Watched], judgement: Judgement, evidence: str
) -> None:
    said = verdict(finding(code), seen, layers)
    assert said.judgement is judgement
    assert evidence in said.evidence
    assert bool(said.evidence) is (judgement is not UNSEEN)


# --- put together ----------------------------------------------------------------------


def diagnosed(seen: Run, *findings: Diagnostic) -> Diagnosis:
    return diagnose(("train.py",), seen, findings, CWD)


def codes(kept: Sequence[Judged | Observation]) -> list[str]:
    return [each.signal if isinstance(each, Observation) else each.diagnostic.code for each in kept]


def two_layers(**parts: Any) -> Run:
    """The first layer reads padding, and is built in row 3 and called in row 9; the other not."""
    history = History(
        steps=3,
        losses=LOSSES,
        rates=RATES,
        layers={"first": PADDED.samples, "second": DENSE.samples},
    )
    path = str(CWD / "train.py")
    layers = {
        "first": LayerSeen("LSTM", built=(path, 3), called=((path, 9),)),
        "second": LayerSeen("GRU", built=(path, 4)),
    }
    return run(history=history, layers=layers, **parts)


@pytest.mark.parametrize(
    ("row", "trail", "expected"),
    [(9, [], CONFIRMED), (4, [], DISMISSED), (30, [4], DISMISSED), (30, [3], CONFIRMED)],
)
def test_a_finding_is_judged_by_the_layer_that_it_points_at(
    row: int, trail: list[int], expected: Judgement
) -> None:
    diagnosis = diagnosed(two_layers(), finding("RNN101", row=row, trail=trail))
    said = [*diagnosis.reasons, *diagnosis.dismissed]
    assert len(said) == 1
    judged = said[0]
    assert isinstance(judged, Judged)
    assert judged.verdict.judgement is expected


def test_one_that_points_at_none_is_judged_by_all() -> None:
    diagnosis = diagnosed(two_layers(), finding("RNN101", row=30))
    assert codes(diagnosis.reasons) == ["RNN101"]
    assert diagnosis.reasons[0].layers == {"first", "second"}  # type: ignore[union-attr]


def test_the_worst_that_is_confirmed_comes_first_and_what_only_the_run_shows_after_it() -> None:
    seen = two_layers(
        looked=2,
        accumulated=2,
        observations=(
            Observation("saturated", "warning", "units are saturated", "scale", codes=("RNN7",)),
            Observation("noisy", "advice", "the loss is noisy", "average"),
        ),
        broadcast=("(3, 1) with (3,)",),
    )
    diagnosis = diagnosed(
        seen,
        finding("RNN101"),
        finding("RNN608", Level.ERROR),
        finding("RNN301", Level.ADVICE),
        finding("RNN999"),
        finding("RNN998", Level.ADVICE),
        finding("RNN207"),
        msgspec.structs.replace(finding("RNN001"), cause=Cause.NONE),
    )
    assert codes(diagnosis.reasons) == ["RNN608", "RNN101", "gradients never cleared", "saturated"]
    assert codes(diagnosis.suspicions) == ["RNN999"]
    assert codes(diagnosis.dismissed) == ["RNN207"]
    assert codes(diagnosis.advice) == ["RNN301", "RNN998", "noisy"]
    assert not diagnosis.passed


@pytest.mark.parametrize(
    ("layer", "level", "reasons"),
    [
        (None, "warning", ["RNN401"]),
        ("first", "error", ["RNN401"]),
        # Of another layer.
        ("second", "warning", ["forgetful"]),
        (None, "advice", []),
    ],
)
def test_advice_that_a_harmful_observation_bears_out_is_more(
    layer: str | None, level: str, reasons: list[str]
) -> None:
    seen = two_layers(
        observations=(Observation("forgetful", level, "m", "r", layer=layer, codes=("RNN401",)),)
    )
    early = LayerSample(0, early_to_late=1e-6)
    history = msgspec.structs.replace(seen.history, layers={"first": (early,)})
    seen = msgspec.structs.replace(seen, history=history)
    diagnosis = diagnosed(seen, finding("RNN401", Level.ADVICE, row=3))
    assert codes(diagnosis.reasons) == reasons
    assert diagnosis.passed is (not reasons)


def test_what_two_signals_show_is_said_once() -> None:
    seen = two_layers(
        observations=(Observation("padding", "error", "m", "r", layer="first", codes=("RNN101",)),),
        probes=(Probe("padding", "failed", "it changes. Pack it.", codes=("RNN101",)),),
    )
    assert codes(diagnosed(seen).reasons) == ["padding"]


def test_a_probe_alone_is_a_reason_with_its_repair() -> None:
    diagnosis = diagnosed(probed("causality", "failed"))
    (reason,) = diagnosis.reasons
    assert isinstance(reason, Observation)
    assert reason.message == "on the first batch, a sequence depends on others (probe causality)"
    assert reason.remedy == "Look for batch_first"


def test_a_learning_rate_that_is_far_off_is_a_reason() -> None:
    seen = run(history=History(), range_test=RangeTest(8.0, 0.004, off=True))
    assert codes(diagnosed(seen).reasons) == ["learning rate"]
    near = run(history=History(), range_test=RangeTest(0.01, 0.004))
    assert diagnosed(near).passed


# --- as it is written ------------------------------------------------------------------

TEXT = """\
Why training fails
train.py: 3 steps watched; to its end; loss 1.5 to 1.25; learning rate 0.1.

1. RNN101 (name-of-rnn101): message of RNN101
   train.py:9:5
   Confirmed: 40% of the steps that first ran over were padding, and 90% of the
     gradient went there.
   Effect: Effect of RNN101.
   Repair by hand: Help of RNN101.

2. RNN103 (name-of-rnn103): message of RNN103
   train.py:9:5
   Confirmed: By the same as 1.
   Effect: Effect of RNN103.
   Repair by hand: Help of RNN103.

Suspected by reading; the run neither shows nor refutes it:
- RNN999 (name-of-rnn999) at train.py:9:5

Not looked at, as something was in the way:
- a recurrent layer (RuntimeError: no)
"""


def example() -> Diagnosis:
    seen = two_layers(surprises=("a recurrent layer (RuntimeError: no)",))
    return diagnosed(seen, finding("RNN101"), finding("RNN103"), finding("RNN999"))


def test_the_text_says_the_likeliest_first_and_the_same_evidence_once() -> None:
    assert text.render(example(), PLAIN) == TEXT


def test_a_run_without_steps_says_what_to_do() -> None:
    said = text.render(diagnosed(run(history=History())), PLAIN)
    assert "No optimizer made a step" in said
    assert "--steps or --seconds" in " ".join(said.split())


def test_an_error_is_told_in_brief() -> None:
    said = text.summary(diagnosed(run("raised", history=History(steps=1), raised=SECOND)))
    assert said.endswith("it raised RuntimeError: Trying to backward through the graph a second "
                         "time (or so).")  # fmt: skip


def test_json_holds_all_of_it() -> None:
    found = json.loads(structured.render(example()))
    assert [each["code"] for each in found["reasons"]] == ["RNN101", "RNN103"]
    assert found["reasons"][0]["verdict"] == "confirmed"
    assert found["run"]["surprises"] == ["a recurrent layer (RuntimeError: no)"]
    assert found["passed"] is False


class _Page(HTMLParser):
    """The tags of a page, each of which is closed where it should be."""

    def __init__(self, written: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.feed(written)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_a_page_draws_what_has_two_points_and_nothing_else() -> None:
    written = page.render(example())
    parsed = _Page(written)
    # The loss and the learning rate; of padding there is one sample.
    assert parsed.tags.count("polyline") == 2
    assert parsed.tags.count("article") == 2
    assert "script" not in parsed.tags
    assert "nan" not in written.lower().split('points="')[1]


def test_a_page_says_words_of_others_as_words() -> None:
    seen = run("raised", history=History(), raised="ValueError: <b>&", surprises=("<i>",))
    written = page.render(diagnosed(seen))
    _Page(written)
    assert "<b>" not in written
    assert "<i>" not in written
