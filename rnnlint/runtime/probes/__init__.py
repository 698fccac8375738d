"""Probes: what no reading of code can find, on a model and one batch.

- :func:`probe`: all of them, and a table
- :func:`batch_order`: the sequences of a batch do not know of each other
- :func:`padding`: padding changes nothing
- :func:`causality`: the future changes nothing
- :func:`determinism`: two evaluations agree
- :func:`gradients`: the loss reaches every parameter, and the first steps
- :func:`inputs`: what the model is given is used
- :func:`loss`: the loss is given what it takes
- :func:`overfit_one_batch`: one batch can be learnt by heart
"""

from rnnlint.runtime.probes.probing import (
    batch_order,
    causality,
    determinism,
    gradients,
    inputs,
    loss,
    overfit_one_batch,
    padding,
    probe,
)
from rnnlint.runtime.probes.results import ProbeReport, ProbeResult
from rnnlint.runtime.probes.sample import Options

__all__ = [
    "Options",
    "ProbeReport",
    "ProbeResult",
    "batch_order",
    "causality",
    "determinism",
    "gradients",
    "inputs",
    "loss",
    "overfit_one_batch",
    "padding",
    "probe",
]
