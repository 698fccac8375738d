"""NumPy, Keras's preprocessing and other libraries that make or measure arrays."""

from __future__ import annotations

from rnnlint.semantics.catalogue import Entry, Table, entries

ALIASES = {
    "np": "numpy",
    "keras_preprocessing": "keras.preprocessing",
    "tensorflow.keras": "keras",
    "tensorflow.python.keras": "keras",
    "keras.utils.pad_sequences": "keras.preprocessing.sequence.pad_sequences",
    "keras.src.utils.sequence_utils.pad_sequences": "keras.preprocessing.sequence.pad_sequences",
}

_FRESH = "eye identity zeros ones empty full zeros_like ones_like"
_TENSOR = "array asarray ascontiguousarray"
_METHODS = (
    "transpose reshape squeeze expand_dims sum mean max min sort argsort abs exp log tanh clip "
    "round floor std var flip roll swapaxes argmax"
)

TABLE: Table = {
    **entries("fresh", _FRESH, "numpy."),
    **entries("tensor", _TENSOR, "numpy."),
    **entries("method_of_first", _METHODS, "numpy."),
    **entries("tests_finiteness", "isnan isinf isfinite", "numpy."),
    **entries("tests_finiteness", "isnan isinf isfinite", "math."),
    "numpy.concatenate": Entry("cat", "", ("tensors", "dim")),
    "numpy.hstack": Entry("cat", "", ("tensors",)),
    "numpy.append": Entry("cat_arguments"),
    "numpy.stack": Entry("stack", "", ("tensors", "dim")),
    "numpy.vstack": Entry("stack", "", ("tensors",)),
    "numpy.pad": Entry("pad", "", ("input", "pad", "mode")),
    "keras.preprocessing.sequence.pad_sequences": Entry(
        "keras_pad", "", tuple("sequences maxlen dtype padding truncating value".split())
    ),
    **entries(
        "runs_target", "multiprocessing.Process threading.Thread torch.multiprocessing.Process"
    ),
    **entries("spawns", "torch.multiprocessing.spawn torch.multiprocessing.start_processes"),
    "sklearn.model_selection.train_test_split": Entry("train_test_split"),
    "gym.make": Entry("environment"),
    "gymnasium.make": Entry("environment"),
    "torch.profiler.profile": Entry("context"),
    "torchinfo.summary": Entry("nothing"),
    "torchsummary.summary": Entry("nothing"),
    "wandb.watch": Entry("nothing"),
    "apex.amp.initialize": Entry("prepare"),
    "apex.amp.scale_loss": Entry("scaled_loss"),
    "apex.amp.master_params": Entry("parameters_of"),
    "deepspeed.initialize": Entry("engine"),
}
