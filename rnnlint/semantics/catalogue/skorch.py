"""skorch."""

from __future__ import annotations

from rnnlint.semantics.catalogue import Entry, Table, entries

ALIASES = {
    "skorch.net": "skorch",
    "skorch.classifier": "skorch",
    "skorch.regressor": "skorch",
    "skorch.callbacks.lr_scheduler": "skorch.callbacks",
    "skorch.callbacks.regularization": "skorch.callbacks",
}

_NET = tuple("module criterion optimizer lr max_epochs".split())

TABLE: Table = {
    **{
        f"skorch.{name}": Entry("trainer", "skorch", _NET)
        for name in (
            "NeuralNet",
            "NeuralNetClassifier",
            "NeuralNetRegressor",
            "NeuralNetBinaryClassifier",
        )
    },
    **entries("callback", "GradientNormClipping LRScheduler", "skorch.callbacks."),
}
