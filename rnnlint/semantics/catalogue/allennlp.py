"""AllenNLP: its wrappers pack by the mask, its trainers clip and schedule when asked."""

from __future__ import annotations

from rnnlint.semantics.catalogue import Entry, Table, entries

_VECTORS = "allennlp.modules.seq2vec_encoders"
_SEQUENCES = "allennlp.modules.seq2seq_encoders"

ALIASES = {
    f"{_VECTORS}.pytorch_seq2vec_wrapper": _VECTORS,
    f"{_SEQUENCES}.pytorch_seq2seq_wrapper": _SEQUENCES,
    "allennlp.training.trainer": "allennlp.training",
    "allennlp.training.gradient_descent_trainer": "allennlp.training",
    "allennlp.models.model": "allennlp.models",
}

_TRAINER = (
    "model optimizer data_loader train_dataset validation_dataset patience num_epochs cuda_device "
    "grad_norm grad_clipping learning_rate_scheduler"
)

TABLE: Table = {
    **entries("module_base", "Model", "allennlp.models."),
    "allennlp.modules.seq2vec_encoders.PytorchSeq2VecWrapper": Entry("packing_wrapper"),
    "allennlp.modules.seq2seq_encoders.PytorchSeq2SeqWrapper": Entry("packing_wrapper"),
    "allennlp.training.Trainer": Entry("trainer", "allennlp", tuple(_TRAINER.split())),
    "allennlp.training.GradientDescentTrainer": Entry(
        "trainer", "allennlp", tuple(_TRAINER.split())
    ),
}
