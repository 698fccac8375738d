"""fastai, all generations: its learners clip and schedule by their own means."""

from __future__ import annotations

from rnnlint.semantics.catalogue import Entry, Table, entries

ALIASES = {
    "fastai.text.all": "fastai",
    "fastai.vision.all": "fastai",
    "fastai.basics": "fastai",
    "fastai.learner": "fastai",
    "fastai.text": "fastai",
    "fastai.text.learner": "fastai",
    "fastai.callback.all": "fastai",
    "fastai.callback.training": "fastai",
    "fastai.basic_train": "fastai",
}

TABLE: Table = {
    "fastai.Learner": Entry("trainer", "fastai", ("dls", "model", "loss_func", "opt_func")),
    "fastai.RNNLearner": Entry("trainer", "fastai", ("dls", "model", "loss_func", "opt_func")),
    **entries("unknown", "text_classifier_learner language_model_learner", "fastai."),
    "fastai.GradientClip": Entry("callback", "GradientClip"),
    "fastai.Module": Entry("module_base", "Module"),
}
