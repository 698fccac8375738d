"""rnnlint's own companion, which repaired programs import."""

from __future__ import annotations

from rnnlint.semantics.catalogue import Entry, Table, entries

_RUNTIME = "rnnlint.runtime"
_MODULES = (
    "batching batching.collation batching.sampling clipping description initialization lengths "
    "losses schedules sequences sequences.packed sequences.pooling sequences.running state"
)

ALIASES = {f"{_RUNTIME}.{module}": _RUNTIME for module in _MODULES.split()}

_LOSSES = {
    "sequence_cross_entropy": ("CrossEntropyLoss", "logits targets lengths"),
    "masked_mse_loss": ("MSELoss", "predictions targets lengths"),
    "masked_l1_loss": ("L1Loss", "predictions targets lengths"),
    "masked_binary_cross_entropy_with_logits": ("BCEWithLogitsLoss", "logits targets lengths"),
}

TABLE: Table = {
    f"{_RUNTIME}.init_recurrent_": Entry("init_recurrent", "init_recurrent_"),
    f"{_RUNTIME}.describe_recurrent": Entry("unknown"),
    **entries("nothing", "Monitor ProbeReport ProbeResult RunReport probe", f"{_RUNTIME}."),
    # sequences
    f"{_RUNTIME}.run_recurrent": Entry(
        "run_recurrent", "run_recurrent", ("rnn", "padded", "lengths", "state")
    ),
    **entries("recurrent_wrapper", "PackedRNN StatefulRNN", f"{_RUNTIME}.", "rnn"),
    f"{_RUNTIME}.StatefulRNN.reset": Entry("nothing"),
    f"{_RUNTIME}.StatefulRNN.fresh_state": Entry("context"),
    **entries("reads_real_steps", "last_valid masked_mean masked_max", f"{_RUNTIME}."),
    f"{_RUNTIME}.reverse_padded": Entry("reverse_padded", "reverse_padded"),
    f"{_RUNTIME}.lengths_to_mask": Entry("lengths_to_mask", "lengths_to_mask"),
    f"{_RUNTIME}.mask_to_lengths": Entry("mask_to_lengths"),
    f"{_RUNTIME}.detach_state": Entry("detach_state"),
    f"{_RUNTIME}.pad_collate": Entry("pad_collate"),
    f"{_RUNTIME}.LengthBucketBatchSampler": Entry("unknown"),
    # training
    f"{_RUNTIME}.clip_gradients": Entry("clip_gradients", "clip_gradients"),
    f"{_RUNTIME}.AdaptiveClipper": Entry("clipper", "AdaptiveClipper"),
    **entries(
        "scheduler",
        "warmup_cosine warmup_linear warmup_inverse_sqrt warmup_constant",
        f"{_RUNTIME}.",
        "optimizer warmup_steps total_steps",
    ),
    f"{_RUNTIME}.plateau": Entry("scheduler", "ReduceLROnPlateau", ("optimizer", "mode")),
    **{
        f"{_RUNTIME}.{name}": Entry("sequence_loss", kind, tuple(parameters.split()))
        for name, (kind, parameters) in _LOSSES.items()
    },
}
