"""torchtext's Field and BucketIterator, still the commonest source of padded batches."""

from __future__ import annotations

from rnnlint.semantics.catalogue import Entry, Table, entries

ALIASES = {
    "torchtext.legacy": "torchtext",
    "torchtext.data.field": "torchtext.data",
    "torchtext.data.iterator": "torchtext.data",
}

_FIELD = (
    "sequential use_vocab init_token eos_token fix_length dtype preprocessing postprocessing lower "
    "tokenize tokenizer_language include_lengths batch_first pad_token unk_token pad_first"
)

TABLE: Table = {
    **entries("field", "Field ReversibleField SubwordField NestedField", "torchtext.data.", _FIELD),
    **entries("field", "LabelField RawField", "torchtext.data.", _FIELD),
    **entries("text_dataset", "TabularDataset Dataset", "torchtext.data."),
    **entries("iterator", "BucketIterator Iterator", "torchtext.data."),
    **entries("iterators", "BucketIterator.splits Iterator.splits", "torchtext.data."),
    "torchtext.data.BPTTIterator": Entry("unknown"),
}
