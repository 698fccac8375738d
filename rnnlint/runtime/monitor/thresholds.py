"""From where on what is seen in a run is worth a word."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Thresholds:
    """The bounds of :class:`rnnlint.runtime.monitor.Monitor`.

    Small gradients and saturated gates harm nothing where the loss has halved, and are not told of
    then: a sine is forecast from its last steps, and a healthy LSTM that does so has an
    early-to-late ratio of 3e-5.

    Attributes:
        padding: the share of padding among the steps that a layer runs over, from which on the
            layer wastes them, or worse, is read after them.  At mean lengths of half the longest
            it is 0.5; sorted into batches of like length, 0.02 to 0.1.
        vanishing: the smallest early-to-late ratio of dLoss/dx.  Of networks that could not
            learn, 4e-14 to 4e-6 was measured; of their repairs, 0.2 to 1.2.
        forgotten: the same, from where on nothing can be left of the first steps in single
            precision, whose smallest relative difference is 1.2e-7.
        exploding: the largest norm of gradients, in what was usual before it and at first, where
            nothing clips, and the loss is no lower after it.  A network that trains stays within
            some ten of that; torch-audit speaks of norms above 100.
        saturated: the share of the values of a gate, or of a tanh state, that are within 0.05 of
            an end of their range, where their derivative is less than a fifth of its largest.
        dead: the share of the units of a ReLU layer that are zero in all sampled steps.
        clipped: the share of steps that are clipped, from which on the bound is the learning
            rate.  AutoClip (arXiv 2007.14469) clips nine steps in ten on purpose.
        constant: the spread of the predictions, in that of the targets, below which a network
            says the same of all samples, unless its loss still falls.
        falling: by how much, of itself, a loss that falls has fallen between the first tenth of
            the steps and the last.  One that has halved since its first values has fallen: it
            may have reached its floor within that tenth.
        steps: how many steps a run must have made before its loss, its predictions and its
            learning rate are judged; twice as many for a flat loss, ten times for a learning rate
            that never changes.
    """

    padding: float = 0.3
    vanishing: float = 1e-3
    forgotten: float = 1e-6
    exploding: float = 100.0
    saturated: float = 0.8
    dead: float = 0.9
    clipped: float = 0.95
    constant: float = 0.01
    falling: float = 0.02
    steps: int = 50
