"""skorch."""

from __future__ import annotations

from rnnlint.semantics.catalogue import Table, entries

ALIASES = {
    "skorch.net": "skorch",
    "skorch.classifier": "skorch",
    "skorch.regressor": "skorch",
    "skorch.callbacks.lr_scheduler": "skorch.callbacks",
    "skorch.callbacks.regularization": "skorch.callbacks",
}

TABLE: Table = {
    **entries(
        "trainer",
        "NeuralNet NeuralNetClassifier NeuralNetRegressor NeuralNetBinaryClassifier",
        "skorch.",
        "module criterion optimizer lr max_epochs",
    ),
    **entries("callback", "GradientNormClipping LRScheduler", "skorch.callbacks."),
}
