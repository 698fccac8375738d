"""What a run under observation wrote down; `rnnlint.runtime.observing` is who writes it."""

from __future__ import annotations

import statistics

import msgspec

_FIRST = 5
"""How many steps a run begins with that are all sampled."""

Place = tuple[str, int]
"""An absolute path, and a row from 1."""


class LayerSeen(msgspec.Struct, frozen=True):
    """A recurrent layer that was built while the script ran."""

    kind: str
    built: Place | None = None
    called: tuple[Place, ...] = ()
    bidirectional: bool = False
    silent: bool = False
    """Whether the recurrent weights of its backward direction got a gradient of exactly zero."""


class LayerSample(msgspec.Struct, frozen=True):
    """One layer in one sampled step."""

    step: int
    padding: float | None = None
    packed: bool = False
    early_to_late: float | None = None
    into_padding: float | None = None
    carried: bool = False
    training: bool = True
    gradient_norm: float | None = None
    state_at_start: float | None = None
    state_at_end: float | None = None
    profile: tuple[float | None, ...] = ()


class Spread(msgspec.Struct, frozen=True):
    """Predictions and targets of one sampled loss."""

    step: int
    loss: str
    probabilities: bool = False


class Curve(msgspec.Struct, frozen=True):
    """A number over the steps; None where it was not finite."""

    values: tuple[tuple[int, float | None], ...] = ()

    @property
    def numbers(self) -> list[float]:
        return [value for _, value in self.values if value is not None]


class History(msgspec.Struct, frozen=True):
    """The numbers of a run."""

    steps: int = 0
    layers: dict[str, tuple[LayerSample, ...]] = {}
    losses: Curve = Curve()
    norms: Curve = Curve()
    rates: Curve = Curve()
    spreads: tuple[Spread, ...] = ()
    clip_calls: int = 0
    clipped: int = 0
    rate_changed: int | None = None
    nonfinite_step: int | None = None
    without_gradient: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


class Observation(msgspec.Struct, frozen=True):
    """One thing that the run showed; see `rnnlint.runtime.monitor`."""

    signal: str
    level: str
    message: str
    remedy: str
    layer: str | None = None
    step: int | None = None
    codes: tuple[str, ...] = ()


class Probe(msgspec.Struct, frozen=True):
    """What a probe found on the first batch; see `rnnlint.runtime.probes`."""

    name: str
    status: str
    explanation: str = ""
    measured: float | None = None
    tolerance: float | None = None
    codes: tuple[str, ...] = ()


class RangeTest(msgspec.Struct, frozen=True):
    """Which learning rates a copy of the model took."""

    rate: float
    best: float
    rates: tuple[float, ...] = ()
    losses: tuple[float | None, ...] = ()
    off: bool = False


class Run(msgspec.Struct, frozen=True):
    """All that was seen of a run."""

    ended: str
    """`finished`, `budget`, `interrupted` or `raised`."""
    code: int
    raised: str
    history: History
    observations: tuple[Observation, ...] = ()
    layers: dict[str, LayerSeen] = {}
    events: tuple[str, ...] = ()
    """The first `backward`, `clip`, `step` and `zero_grad`, in the order in which they happened."""
    looked: int = 0
    """How many steps were looked at for gradients that were not cleared."""
    accumulated: int = 0
    """In how many of them the gradients of the step before were still there."""
    broadcast: tuple[str, ...] = ()
    """Shapes of predictions and targets that a loss had to broadcast."""
    probes: tuple[Probe, ...] = ()
    range_test: RangeTest | None = None
    files: tuple[str, ...] = ()
    """The files of the user's that were imported."""
    surprises: tuple[str, ...] = ()
    """What could not be looked at, and why."""

    @property
    def whole(self) -> bool:
        """Whether the script came to its own end."""
        return self.ended == "finished"


class Watched(msgspec.Struct, frozen=True):
    """One layer, with what its samples say together."""

    name: str
    seen: LayerSeen
    samples: tuple[LayerSample, ...]

    @property
    def packed(self) -> bool:
        return bool(self.samples) and all(sample.packed for sample in self.samples)

    @property
    def padding(self) -> float | None:
        """The share of padding among the steps that it ran over, on average."""
        shares = [sample.padding for sample in self.samples if sample.padding is not None]
        return statistics.fmean(shares) if shares else None

    @property
    def into_padding(self) -> float | None:
        """The share of the gradient that went to padding, in the median."""
        shares = [each.into_padding for each in self.samples if each.into_padding is not None]
        return statistics.median(shares) if shares else None

    @property
    def early_to_late(self) -> float | None:
        """How much of the gradient reached the first steps when training began.

        What an initialisation does shows before training has changed it, and the first steps are
        sampled whatever the machine is busy with.
        """
        first = self.samples[:_FIRST]
        ratios = [sample.early_to_late for sample in first if sample.early_to_late is not None]
        return statistics.median(ratios) if ratios else None


def brief(words: str) -> str:
    """The first sentence of what somebody said at length."""
    return words.partition("\n")[0].partition(". ")[0].rstrip(".")


def failed(probe: Probe) -> str:
    """What a probe found, as evidence; what else it says is advice."""
    return f"on the first batch, {brief(probe.explanation)} (probe {probe.name})"
