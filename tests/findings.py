"""Hand-made diagnostics of a small project, for the tests of reports and command line."""

from __future__ import annotations

import msgspec

from rnnlint.diagnostic import (
    Applicability,
    Cause,
    Diagnostic,
    Edit,
    Fix,
    Level,
    Location,
    Notice,
    Span,
    Stage,
    TrailStep,
    Withheld,
)
from rnnlint.flow import Flow, Stop
from rnnlint.reporting.page import Page

SOURCES = {
    "data.py": """\
from torch.nn.utils.rnn import pad_sequence

def collate(batch):
    sequences, labels = zip(*batch)
    lengths = [len(sequence) for sequence in sequences]
    return pad_sequence(sequences, batch_first=True), lengths, labels
""",
    "model.py": """\
class Tagger(nn.Module):
\tdef forward(self, ids, lengths):
\t\tembedded = self.embedding(ids)  # 词嵌入
\t\toutput, (hidden, _) = self.lstm(embedded)
\t\treturn self.linear(hidden[-1])
""",
    "train.py": """\
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
for ids, lengths, labels in loader:
    loss = criterion(model(ids, lengths), labels) + regularisation_weight * sum(p.pow(2).sum() for p in model.parameters())
    loss.backward()
    optimizer.step()
""",  # noqa: E501
    "explore.ipynb:2": """\
名前 = '日本語'; scheduler.step(); optimizer.step()
""",
}


def span_of(key: str, words: str, until: str = "") -> Span:
    """The place of `words` in a source, or from `words` to the end of `until`."""
    path, _, cell = key.partition(":")
    source = SOURCES[key]
    start = source.index(words)
    last = until or words
    end = source.index(last, start) + len(last)
    return Span(path, _location(source, start), _location(source, end), int(cell) if cell else None)


def edit_of(path: str, words: str, replacement: str) -> Edit:
    """Other text for `words`, or before them where they are to stay."""
    start = SOURCES[path].index(words)
    end = start if replacement.endswith(words) else start + len(words)
    text = replacement.removesuffix(words) if end == start else replacement
    source = SOURCES[path]
    return Edit(path, start, end, text, _location(source, start), _location(source, end))


def _location(source: str, offset: int) -> Location:
    before = source[:offset]
    return Location(before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1)


MISMATCH = Diagnostic(
    code="RNN104",
    name="batch-first-mismatch",
    level=Level.ERROR,
    message="the data has the batch first, the layer takes the time first",
    span=span_of("model.py", "self.lstm(embedded)"),
    help="build the layer with batch_first=True",
    trail=(
        TrailStep(
            span_of("data.py", "pad_sequence(sequences, batch_first=True)"),
            "pads the sequences of a batch to a common length, with the batch first",
        ),
        TrailStep(span_of("train.py", "model(ids, lengths)"), "hands them to the model"),
    ),
    fix=Fix(
        "give the layer the time first",
        Applicability.UNSAFE,
        (
            edit_of("model.py", "self.lstm(embedded)", "self.lstm(embedded.transpose(0, 1))"),
            edit_of("data.py", ", batch_first=True), lengths", "), lengths"),
        ),
    ),
    cause=Cause.AXES,
    effect="the layer runs along the samples, so that the state of one flows into the next",
)
PADDED = Diagnostic(
    code="RNN101",
    name="unpacked-padded-input",
    level=Level.WARNING,
    message=(
        "the LSTM runs over the padding of this batch, so that its final state has read "
        "steps that belong to no sequence"
    ),
    span=span_of("model.py", "self.lstm(embedded)"),
    help=(
        "pack the batch before the layer and unpack its output:\n"
        "    packed = pack_padded_sequence(embedded, lengths, batch_first=True)"
    ),
    trail=MISMATCH.trail[:1],
    cause=Cause.PADDING,
    effect="the layer forgets its sequence over the padding",
)
UNCLIPPED = Diagnostic(
    code="RNN201",
    name="missing-gradient-clipping",
    level=Level.ADVICE,
    message="nothing clips the gradients of this recurrent model, 100% of the time",
    span=span_of("train.py", "sum(", "model.parameters())"),
    fix=Fix(
        "clip between backward and step",
        Applicability.SAFE,
        (
            edit_of(
                "train.py",
                "    optimizer.step()",
                "    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)\n    optimizer.step()",
            ),
        ),
    ),
    cause=Cause.CLIPPING,
    effect="one huge gradient can undo what was learnt",
    lacks=Stage.CLIP,
)
NOTEBOOK = Diagnostic(
    code="RNN303",
    name="scheduler-before-optimizer",
    level=Level.ERROR,
    message="the scheduler steps before the optimizer",
    span=span_of("explore.ipynb:2", "scheduler.step()"),
    help="step the optimizer first",
    cause=Cause.SCHEDULE,
    effect="the first value of the schedule is skipped",
)
MULTILINE = Diagnostic(
    code="RNN301",
    name="missing-lr-scheduler",
    level=Level.ADVICE,
    message="nothing ever changes the learning rate",
    span=span_of("train.py", "torch.optim.Adam", "in loader:"),
    help="add a scheduler",
    cause=Cause.SCHEDULE,
    lacks=Stage.SCHEDULE,
)
SKIPPED = (
    Notice("broken.ipynb", "is not valid JSON"),
    Notice("legacy/latin.py", "is not valid UTF-8"),
    Notice("legacy/old.py", "is not valid UTF-8"),
)


class Summary(msgspec.Struct, frozen=True):
    """How much was looked at."""

    analysed: int = 0
    lowered: int = 0
    skipped: int = 0


class Report(msgspec.Struct, frozen=True):
    """The least that a report can be made of."""

    diagnostics: tuple[Diagnostic, ...] = ()
    notices: tuple[Notice, ...] = ()
    excerpts: dict[str, dict[int, str]] = {}
    summary: Summary = Summary(analysed=12, lowered=3)
    unsafe_fixes: bool = False
    fixed: tuple[Diagnostic, ...] = ()
    withheld: tuple[Withheld, ...] = ()
    known: int = 0
    rules: dict[str, Page] = {}
    flows: tuple[Flow, ...] = ()


def excerpts() -> dict[str, dict[int, str]]:
    """Every line of the sources, as the engine hands over those that are needed."""
    return {key: dict(enumerate(source.split("\n"), start=1)) for key, source in SOURCES.items()}


FLOW = Flow(
    (
        Stop(Stage.DATA, span_of("data.py", "pad_sequence(", "True)"), "padding"),
        Stop(Stage.BATCH, span_of("train.py", "loader"), "loop"),
        Stop(Stage.LAYERS, span_of("model.py", "self.lstm(embedded)"), "LSTM"),
        Stop(Stage.LOSS, span_of("train.py", "criterion(", "labels)"), "CrossEntropyLoss"),
        Stop(Stage.BACKWARD, span_of("train.py", "loss.backward()"), "backward"),
        Stop(Stage.STEP, span_of("train.py", "torch.optim.Adam(", "1e-3)"), "Adam"),
        Stop(Stage.STEP, span_of("train.py", "optimizer.step()"), "Adam"),
    )
)
REPORT = Report(
    (MISMATCH, NOTEBOOK, PADDED, UNCLIPPED, MULTILINE),
    SKIPPED,
    excerpts(),
    Summary(analysed=1200, lowered=3, skipped=3),
    flows=(FLOW,),
)
