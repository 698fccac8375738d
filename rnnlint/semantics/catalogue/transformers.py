"""Hugging Face Transformers."""

from __future__ import annotations

from rnnlint.semantics.catalogue import Entry, Table, entries

ALIASES = {
    "transformers.optimization": "transformers",
    "transformers.trainer": "transformers",
    "pytorch_transformers": "transformers",
    "pytorch_pretrained_bert": "transformers",
}

_SCHEDULES = (
    "get_linear_schedule_with_warmup get_cosine_schedule_with_warmup "
    "get_constant_schedule_with_warmup get_constant_schedule get_inverse_sqrt_schedule "
    "get_polynomial_decay_schedule_with_warmup WarmupLinearSchedule "
    "get_cosine_with_hard_restarts_schedule_with_warmup"
)

TABLE: Table = {
    **entries("optimizer", "AdamW Adafactor", "transformers.", "params lr"),
    **entries("foreign_optimizer", "BertAdam OpenAIAdam", "transformers.", "params lr"),
    **entries("scheduler", _SCHEDULES, "transformers.",
              "optimizer num_warmup_steps num_training_steps"),
    "transformers.get_scheduler": Entry(
        "scheduler", "get_scheduler", ("name", "optimizer", "num_warmup_steps",
                                       "num_training_steps")),
    **entries("trainer", "Trainer Seq2SeqTrainer", "transformers.",
              "model args data_collator train_dataset eval_dataset"),
    **entries("module_base", "PreTrainedModel BertPreTrainedModel RobertaPreTrainedModel",
              "transformers."),
    "transformers.DataCollatorWithPadding": Entry("padding_collator"),
    "transformers.DataCollatorForTokenClassification": Entry("padding_collator"),
    "transformers.DataCollatorForSeq2Seq": Entry("padding_collator"),
}  # fmt: skip
