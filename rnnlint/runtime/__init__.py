"""The companion of rnnlint: what a repaired training script imports.

Everything here is plain PyTorch (2.4 or newer), and each module is usable alone:

- `sequences`: recurrent layers over sequences of different length, and reading them out
- `initialization`: recurrent weights that carry a signal from the first step
- `clipping`: gradients bounded, whatever they are
- `schedules`: learning rates that warm up, and a plateau that looks at its metric
- `losses`: losses that count real steps only
- `batching`: padding, and batches of sequences of like length
- `state`: state that goes on from batch to batch
- `monitor`: what a training run shows of its recurrent layers
- `plugins`: the monitor under Lightning, transformers, Ignite and skorch
- `probes`: what a model and one batch show, and no reading of code does

Install it with `pip install rnnlint[runtime]`.
"""

try:
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise ImportError(
        "rnnlint.runtime needs PyTorch, which the linter does not: pip install 'rnnlint[runtime]'"
    ) from error

from rnnlint.runtime.batching import LengthBucketBatchSampler, pad_collate
from rnnlint.runtime.clipping import AdaptiveClipper, NonFiniteGradientError, clip_gradients
from rnnlint.runtime.initialization import (
    RecurrentInitializationWarning,
    describe_recurrent,
    init_recurrent_,
)
from rnnlint.runtime.losses import (
    masked_binary_cross_entropy_with_logits,
    masked_l1_loss,
    masked_mse_loss,
    sequence_cross_entropy,
)
from rnnlint.runtime.monitor import Monitor, RunReport
from rnnlint.runtime.probes import ProbeReport, ProbeResult, probe
from rnnlint.runtime.schedules import (
    plateau,
    warmup_constant,
    warmup_cosine,
    warmup_inverse_sqrt,
    warmup_linear,
)
from rnnlint.runtime.sequences import (
    PackedRNN,
    last_valid,
    lengths_to_mask,
    mask_to_lengths,
    masked_max,
    masked_mean,
    reverse_padded,
    run_recurrent,
)
from rnnlint.runtime.state import StatefulRNN, detach_state

__all__ = [
    "AdaptiveClipper",
    "LengthBucketBatchSampler",
    "Monitor",
    "NonFiniteGradientError",
    "PackedRNN",
    "ProbeReport",
    "ProbeResult",
    "RecurrentInitializationWarning",
    "RunReport",
    "StatefulRNN",
    "clip_gradients",
    "describe_recurrent",
    "detach_state",
    "init_recurrent_",
    "last_valid",
    "lengths_to_mask",
    "mask_to_lengths",
    "masked_binary_cross_entropy_with_logits",
    "masked_l1_loss",
    "masked_max",
    "masked_mean",
    "masked_mse_loss",
    "pad_collate",
    "plateau",
    "probe",
    "reverse_padded",
    "run_recurrent",
    "sequence_cross_entropy",
    "warmup_constant",
    "warmup_cosine",
    "warmup_inverse_sqrt",
    "warmup_linear",
]
