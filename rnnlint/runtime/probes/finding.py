"""What a probe returns to whoever makes it, and how that becomes a result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from torch import nn

from rnnlint.runtime.probes.layout import OptionError
from rnnlint.runtime.probes.preserving import preserved
from rnnlint.runtime.probes.results import ProbeResult
from rnnlint.runtime.probes.sample import Loss, NotApplicable, Options
from rnnlint.runtime.probes.subject import Subject
from rnnlint.runtime.unwrapping import unwrapped

CODES: dict[str, tuple[str, ...]] = {
    "batch_order": ("RNN104", "RNN105", "RNN112", "RNN509"),
    "padding": ("RNN101", "RNN103", "RNN110", "RNN113", "RNN118"),
    "causality": ("RNN117",),
    "determinism": ("RNN506", "RNN603"),
    "gradients": ("RNN110", "RNN401", "RNN403", "RNN501", "RNN502", "RNN604", "RNN609"),
    "inputs": ("RNN101", "RNN110", "RNN113"),
    "loss": ("RNN102", "RNN504", "RNN509", "RNN608"),
    "overfit_one_batch": ("RNN404", "RNN504", "RNN508", "RNN604"),
}
"""The rules that each probe speaks for."""


@dataclass(frozen=True)
class Finding:
    """What a probe measured; the attributes are those of a result.

    ``codes`` are those that may explain a failure, all of the probe's where it is None.
    """

    failed: bool
    measured: float | None
    tolerance: float | None
    quantity: str
    explanation: str
    bound: Literal["at most", "at least"] = "at most"
    codes: tuple[str, ...] | None = None


Measure: TypeAlias = Callable[[Subject], Finding]


def made(
    name: str, measure: Measure, model: nn.Module, batch: Any, loss: Loss | None, options: Options
) -> ProbeResult:
    """The result of one probe, by itself.

    Raises:
        TypeError: this is no model, or an option has another name.
        ValueError: which axis is the batch cannot be told, an option does not fit the batch, or a
            lazy layer has no shape yet.
    """
    model = checked_model(model)
    with preserved(model) as snapshot:
        return attempted(name, measure, Subject(model, batch, loss, options, snapshot))


def attempted(name: str, measure: Measure, subject: Subject) -> ProbeResult:
    """The result of a probe, whatever the model raises.

    Raises:
        OptionError: which axis is the batch cannot be told, or an option does not fit the batch.
    """
    codes = CODES[name]
    try:
        finding = measure(subject)
    except NotApplicable as reason:
        return ProbeResult(name, "not applicable", None, None, codes, str(reason))
    except OptionError:
        raise
    except Exception as error:
        return ProbeResult(name, "error", None, None, codes, _raised(error, subject))
    return ProbeResult(
        name,
        "failed" if finding.failed else "passed",
        finding.measured,
        finding.tolerance,
        codes if finding.codes is None else finding.codes,
        finding.explanation,
        finding.quantity,
        finding.bound,
    )


def _raised(error: Exception, subject: Subject) -> str:
    said = f"{type(error).__name__}: {error}"
    if isinstance(error, TypeError) and subject.call is None and "argument" in str(error):
        said += (
            ".  The model is called with all that the batch holds but the last item, which is the "
            "target: pass call=lambda model, batch: ... where it is called otherwise"
        )
    return said


def checked_model(model: Any) -> nn.Module:
    """The model itself, inside what wraps it for training in parallel, or compiles it.

    Raises:
        TypeError: it is no module.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"a model is an nn.Module, and this is a {type(model).__name__}")
    # The reducer of DistributedDataParallel waits for gradients of all after each forward pass.
    return unwrapped(model)
