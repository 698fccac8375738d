"""Whether two evaluations of the same batch agree."""

from __future__ import annotations

from torch import nn

from rnnlint.runtime.probes.finding import Finding
from rnnlint.runtime.probes.subject import Subject

_QUANTITY = "relative change"
_RESETTING = ("reset", "init_hidden", "init_state", "clear", "fresh_state", "detach", "repackage")


def determinism(subject: Subject) -> Finding:
    """See :func:`rnnlint.runtime.probes.determinism`."""
    noise, tolerance = subject.noise, subject.tolerance
    if noise > tolerance:
        return Finding(
            True,
            noise,
            tolerance,
            _QUANTITY,
            "two evaluations of the same batch differ: something draws random numbers in "
            "evaluation.  Look for F.dropout without training=self.training, and for a hidden "
            "state that begins at random.",
        )
    carried = subject.carried
    if carried <= tolerance:
        said = "two evaluations of the same batch agree"
        return Finding(False, max(noise, carried), tolerance, _QUANTITY, said)
    means = _means_to_reset(subject)
    if means is not None:
        said = f"state goes on from call to call, until {means}() is called"
        return Finding(False, noise, tolerance, _QUANTITY, said)
    return Finding(
        True,
        carried,
        tolerance,
        _QUANTITY,
        "the second of two evaluations of the same batch begins where the first ended, and the "
        "model has no method to begin anew: sequences that have nothing to do with each other "
        "share their state.  Begin each forward pass with zeros, or wrap the layer in StatefulRNN, "
        "which can be reset.",
        codes=("RNN603",),
    )


def _means_to_reset(subject: Subject) -> str | None:
    """A method by which state that is carried on purpose is begun anew."""
    own = set(dir(nn.Module))
    for module in subject.snapshot.modules:
        for name in dir(type(module)):
            bare = name.lstrip("_")
            if name not in own and bare.startswith(_RESETTING) and bare != "reset_parameters":
                return f"{type(module).__name__}.{name}"
    return None
