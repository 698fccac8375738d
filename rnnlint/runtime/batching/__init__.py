"""Batches of sequences of different length: padding them, and keeping the padding small.

>>> sampler = LengthBucketBatchSampler([len(text) for text in texts], batch_size=32)
>>> loader = DataLoader(texts, batch_sampler=sampler, collate_fn=pad_collate)
>>> for padded, lengths in loader: ...
"""

from rnnlint.runtime.batching.collation import pad_collate
from rnnlint.runtime.batching.sampling import LengthBucketBatchSampler

__all__ = ["LengthBucketBatchSampler", "pad_collate"]
