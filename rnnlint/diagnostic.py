"""The values that leave a rule: diagnostics, their places, trails and fixes.

Everything here is an immutable plain value.  The cache stores them, reports
print them, the editor shows them; none of them knows how it was found.
"""

from __future__ import annotations

import enum

import msgspec


class Level(enum.Enum):
    """How sure a diagnostic is, and how much it matters."""

    ERROR = "error"
    """The code raises, or computes something else than it means."""
    WARNING = "warning"
    """Strong evidence that training suffers."""
    ADVICE = "advice"
    """A practice that the literature recommends and the code lacks."""

    @property
    def rank(self) -> int:
        """0 for the most severe level, growing as severity falls."""
        return _RANKS[self]


_RANKS = {Level.ERROR: 0, Level.WARNING: 1, Level.ADVICE: 2}


class Cause(enum.Enum):
    """What goes wrong, in families that are named as they stand in a sentence."""

    LENGTHS = "lengths and packing"
    AXES = "mixed-up axes"
    STATE = "carried state"
    PADDING = "padding"
    LOSS = "the loss"
    LOOP = "the training loop"
    CLIPPING = "clipping"
    DROPOUT = "dropout"
    BIDIRECTIONAL = "bidirectional layers"
    INITIALISATION = "initialisation"
    ARCHITECTURE = "the architecture"
    SCHEDULE = "the schedule of the learning rate"
    OTHER = "other causes"
    """A plugin's rule that names no family."""
    NONE = "no cause"
    """What says nothing of training, such as a comment that silences nothing."""

    @property
    def share(self) -> int:
        """How many real failures in a hundred had such a cause.

        Counted in 149 public threads in which somebody's recurrent network did not train and
        the reason was found.  It is 0 where no thread, or only a scattered few, were about it.
        """
        return _SHARES.get(self, 0)


_SHARES = {
    Cause.LENGTHS: 16,
    Cause.AXES: 15,
    Cause.STATE: 15,
    Cause.PADDING: 9,
    Cause.LOSS: 9,
    Cause.LOOP: 8,
    Cause.CLIPPING: 6,
    Cause.DROPOUT: 5,
    Cause.BIDIRECTIONAL: 4,
    Cause.INITIALISATION: 3,
}


class Stage(enum.Enum):
    """What a training step is made of, in the order in which data and gradients go."""

    DATA = "data"
    BATCH = "batch"
    LAYERS = "layers"
    LOSS = "loss"
    CLEAR = "clear"
    BACKWARD = "backward"
    CLIP = "clip"
    STEP = "step"
    SCHEDULE = "schedule"


class Location(msgspec.Struct, frozen=True, order=True):
    """A position in a text: row from 1, column from 1 in code points."""

    row: int
    column: int


class Span(msgspec.Struct, frozen=True, order=True):
    """A stretch of one file; `end` is the position just behind it.

    `path` is relative to the project root, with forward slashes.  In a notebook
    `cell` is its place in the list of cells from 0, and rows count from its start.
    """

    path: str
    location: Location
    end_location: Location
    cell: int | None = None


class TrailStep(msgspec.Struct, frozen=True):
    """One place that helps to prove a diagnostic, and what it proves."""

    span: Span
    message: str


class Applicability(enum.Enum):
    """Whether a fix may be applied without a look."""

    SAFE = "safe"
    UNSAFE = "unsafe"


class Edit(msgspec.Struct, frozen=True):
    """Replace the code points `start` to `end` of the source at `path`."""

    path: str
    start: int
    end: int
    replacement: str
    location: Location | None = None
    """The row and column of `start`, once the analysis has looked them up."""
    end_location: Location | None = None
    cell: int | None = None
    """In a notebook, the cell in which rows are counted, as `Span` has it."""


class Fix(msgspec.Struct, frozen=True):
    """A repair: what it does, in the imperative, and its edits."""

    message: str
    applicability: Applicability
    edits: tuple[Edit, ...]
    uncovers: bool = False
    """Whether other code is judged for the first time once this is done, as nothing trained it
    before: what is then found there was true of the program that was meant."""


class Diagnostic(msgspec.Struct, frozen=True):
    """What a rule found at one place, with its evidence and its remedy.

    `message` says what is wrong in one sentence without a full stop, `help` what
    to do about it, and `trail` lists the places that prove it, in the order in
    which the data reaches them.  `cause` is the family of the fault, `effect` says what
    it does to training, and `lacks` which stage is missing, where one is.
    """

    code: str
    name: str
    level: Level
    message: str
    span: Span
    help: str = ""
    trail: tuple[TrailStep, ...] = ()
    fix: Fix | None = None
    cause: Cause = Cause.NONE
    effect: str = ""
    lacks: Stage | None = None

    @property
    def url(self) -> str:
        """The rule's page."""
        return rule_url(self.code, self.name)

    @property
    def sort_key(self) -> tuple[object, ...]:
        """Orders diagnostics by place, then by code."""
        return (self.span, self.code, self.message)

    @property
    def rank(self) -> tuple[object, ...]:
        """Orders diagnostics by how likely each is the reason why training fails.

        By level, then by how often such a fault is the cause, then by the places that prove
        it, of which more are stronger evidence; what is equal in these by place.
        """
        evidence = len({step.span for step in self.trail})
        return (self.level.rank, -self.cause.share, -evidence, self.sort_key)


def rule_url(code: str, name: str) -> str:
    """The address of a rule's page."""
    return f"https://rnnlint.readthedocs.io/rules/{code.lower()}-{name}/"


class Notice(msgspec.Struct, frozen=True):
    """Something the run could not do: a file it could not read, a cap it hit.

    A notice is never a silent pass: every report says how many there are and why.
    """

    path: str
    message: str
    fatal: bool = False
    """Whether what the user asked for was left undone, so that the exit code is 2."""
    skips: bool = True
    """Whether a file or folder was left out."""


class Withheld(msgspec.Struct, frozen=True):
    """A repair that was not carried out, and why: it did not stand the test."""

    diagnostic: Diagnostic
    reason: str
