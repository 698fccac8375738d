"""What a run has shown so far: plain numbers, bounded in memory, that a checkpoint can hold."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

KEPT = 2048
"""How many steps are remembered of a curve; beyond that, every other one is let go."""


@dataclass(frozen=True)
class LayerSample:
    """One recurrent layer in one sampled step.

    Attributes:
        step: the number of the optimizer's step, from 0 on.
        padding: the share of padding among the steps that it ran over, 0 to 1.
        packed: whether its input was packed.
        steps: over how many time steps it ran, in one call or in several.
        state_at_start: the root mean square of its output at the first real step.
        state_at_end: the same at the last.
        gates: the share of saturated values by gate of the lowest layer that is most saturated.
        dead: the share of units that are always zero, of a ReLU layer.
        early_to_late: the gradient of the loss with respect to the first tenth of the inputs, in
            that of the steps that get most.
        into_padding: the share of that gradient that goes to steps of padding: nothing where the
            loss reads real steps alone, and the layer runs forward.
        profile: that gradient over time, in at most 32 bins, largest 1.
        gradient_norm: the norm of the gradient of its parameters, as the optimizer found it.
        carried: whether its initial state brought the graph of an earlier step with it.
        training: whether it was in training mode.
    """

    step: int
    padding: float | None = None
    packed: bool = False
    steps: int = 0
    state_at_start: float | None = None
    state_at_end: float | None = None
    gates: Mapping[str, float] = field(default_factory=dict)
    dead: float | None = None
    early_to_late: float | None = None
    into_padding: float | None = None
    profile: tuple[float, ...] = ()
    gradient_norm: float | None = None
    carried: bool = False
    training: bool = True


@dataclass(frozen=True)
class Spread:
    """Predictions and targets of one sampled loss.

    Attributes:
        step: the number of the optimizer's step.
        loss: the name of the loss.
        predictions: their standard deviation over the samples, in the root mean square over what
            each sample has; of classes, the length of the standard deviation of the
            probabilities.
        targets: the same of the targets, whose probabilities are 0 and 1.
        probabilities: whether what a cross-entropy takes for logits sums to one.
    """

    step: int
    loss: str
    predictions: float
    targets: float
    probabilities: bool = False


@dataclass
class Curve:
    """A number over the steps, thinned where there are too many.

    Attributes:
        stride: of how many steps one is kept.
        values: step and number, in order.
    """

    stride: int = 1
    values: list[tuple[int, float]] = field(default_factory=list)

    def add(self, step: int, value: float) -> None:
        if step % self.stride == 0:
            self.values.append((step, value))
        if len(self.values) > KEPT:
            self.stride *= 2
            self.values = [kept for kept in self.values if kept[0] % self.stride == 0]

    @property
    def numbers(self) -> list[float]:
        """The numbers without their steps."""
        return [value for _, value in self.values]


@dataclass
class History:
    """All that is remembered of a run.

    Attributes:
        steps: how many steps the optimizers made.
        layers: the samples of each layer, by its name.
        losses: the loss, by step.
        norms: the norm of all gradients before clipping, by step.
        rates: the learning rate of the first group of parameters, by step.
        spreads: predictions and targets of sampled losses.
        clip_calls: how often gradients were clipped.
        clipped: how often that changed them.
        bounds: the bounds that they were clipped to.
        first_rates: the learning rates of all groups at the first step.
        rate_changed: the first step at which one differed.
        nonfinite_step: the first step whose loss was NaN or infinite.
        nonfinite_module: the first module that made such values.
        without_gradient: parameters that an optimizer holds and the loss never reached.
        left_out: trainable parameters that got a gradient and are in no optimizer.
    """

    steps: int = 0
    layers: dict[str, list[LayerSample]] = field(default_factory=dict)
    losses: Curve = field(default_factory=Curve)
    norms: Curve = field(default_factory=Curve)
    rates: Curve = field(default_factory=Curve)
    spreads: list[Spread] = field(default_factory=list)
    clip_calls: int = 0
    clipped: int = 0
    bounds: list[float] = field(default_factory=list)
    first_rates: list[float] = field(default_factory=list)
    rate_changed: int | None = None
    nonfinite_step: int | None = None
    nonfinite_module: str | None = None
    without_gradient: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def copied(self) -> History:
        """The same, which what comes does not change."""
        return History.from_dict(self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, lists and dictionaries, as JSON has them."""
        return asdict(self)

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> History:
        """What :meth:`to_dict` gave.

        Raises:
            ValueError: it is nothing of the kind.
        """
        names = set(cls.__dataclass_fields__)
        if not isinstance(state, Mapping) or set(state) != names:
            given = sorted(state) if isinstance(state, Mapping) else type(state).__name__
            raise ValueError(
                f"a history of a run has the keys {sorted(names)}, and this is {given}: pass what "
                "state_dict() of a monitor of this version gave"
            )
        history = cls(**copy.deepcopy(dict(state)))
        for curve in ("losses", "norms", "rates"):
            given = state[curve]
            pairs = [(int(step), float(value)) for step, value in given["values"]]
            setattr(history, curve, Curve(int(given["stride"]), pairs))
        history.layers = {
            name: [
                LayerSample(**{**sample, "profile": tuple(sample["profile"])}) for sample in samples
            ]
            for name, samples in state["layers"].items()
        }
        history.spreads = [Spread(**spread) for spread in state["spreads"]]
        return history
