"""Sequences of different length in one padded batch: running over them and reading them out.

>>> output, state = run_recurrent(lstm, padded, lengths)     # as if each were alone
>>> summary = last_valid(output, lengths, bidirectional=True)
"""

from rnnlint.runtime.lengths import lengths_to_mask, mask_to_lengths
from rnnlint.runtime.sequences.packed import PackedRNN
from rnnlint.runtime.sequences.pooling import (
    last_valid,
    masked_max,
    masked_mean,
    reverse_padded,
)
from rnnlint.runtime.sequences.running import run_recurrent

__all__ = [
    "PackedRNN",
    "last_valid",
    "lengths_to_mask",
    "mask_to_lengths",
    "masked_max",
    "masked_mean",
    "reverse_padded",
    "run_recurrent",
]
