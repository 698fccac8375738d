"""Text: what torchtext's iterators and Hugging Face's tokenizers pad."""

from __future__ import annotations

import pytest
from programs import analysed, side_of, the_input

from rnnlint.semantics import events, values

# --- torchtext -------------------------------------------------------------

TORCHTEXT = """
from torchtext.legacy import data
TEXT = data.Field({field})
LABEL = data.LabelField()
train, test = data.TabularDataset.splits(path=".", train="a.csv", test="b.csv", format="csv",
    fields=[("text", TEXT), ("label", LABEL)])
train_iter, test_iter = data.BucketIterator.splits((train, test), batch_size=32, {iterator})
lstm = nn.LSTM(8, 16)
embedding = nn.Embedding(100, 8)
for batch in train_iter:
    {body}
"""


def test_a_bucket_iterator_pads_what_a_field_processes() -> None:
    program = analysed(TORCHTEXT.format(field="", iterator="", body="lstm(embedding(batch.text))"))
    given = the_input(program)
    assert given.padding is not None
    assert given.padding.side == "right"
    assert given.batch_axis == 1


def test_a_field_with_lengths_yields_a_pair() -> None:
    program = analysed(
        TORCHTEXT.format(
            field="include_lengths=True, batch_first=True",
            iterator="sort_within_batch=True",
            body="text, n = batch.text; lstm(pack_padded_sequence(embedding(text), n))",
        )
    )
    packing = program.of(events.Packing)[0]
    assert isinstance(packing.given, values.Tensor)
    assert packing.given.batch_axis == 0
    assert isinstance(packing.lengths, values.Tensor)
    assert packing.lengths.lengths
    assert packing.lengths.order == "sorted"
    assert the_input(program).packed


def test_lengths_of_an_iterator_on_the_accelerator_live_there() -> None:
    program = analysed(
        TORCHTEXT.format(
            field="include_lengths=True",
            iterator='device="cuda"',
            body="text, n = batch.text; lstm(pack_padded_sequence(embedding(text), n))",
        )
    )
    lengths = program.of(events.Packing)[0].lengths
    assert isinstance(lengths, values.Tensor)
    assert lengths.device == "gpu"


def test_labels_of_an_iterator_are_not_padded() -> None:
    program = analysed(TORCHTEXT.format(field="", iterator="", body="lstm(embedding(batch.label))"))
    assert side_of(program) is None


# --- tokenizers ------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "padded"),
    [
        ('tokenizer(texts, padding=True, return_tensors="pt")', True),
        ('tokenizer(texts, padding="max_length", truncation=True, return_tensors="pt")', True),
        ('tokenizer.batch_encode_plus(texts, padding="longest", return_tensors="pt")', True),
        ('tokenizer(texts, padding=False, return_tensors="pt")', False),
        ('tokenizer(texts, return_tensors="pt")', False),
    ],
)
def test_a_tokenizer_pads_when_it_is_told_to(call: str, padded: bool) -> None:
    program = analysed(
        f"""
from transformers import AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained("bert-base-uncased")
lstm, embedding = nn.LSTM(8, 16, batch_first=True), nn.Embedding(100, 8)
encoded = {call}
lstm(embedding(encoded["input_ids"]))
"""
    )
    assert side_of(program) == ("right" if padded else None)


def test_a_padding_collator_pads_and_gives_a_mask() -> None:
    program = analysed(
        """
from transformers import AutoTokenizer, DataCollatorWithPadding
tokenizer = AutoTokenizer.from_pretrained("bert-base-uncased")
lstm, embedding = nn.LSTM(8, 16, batch_first=True), nn.Embedding(100, 8)
loader = DataLoader(rows, batch_size=4, collate_fn=DataCollatorWithPadding(tokenizer))
for batch in loader:
    n = batch["attention_mask"].sum(1)
    lstm(pack_padded_sequence(embedding(batch["input_ids"]), n, batch_first=True))
"""
    )
    packing = program.of(events.Packing)[0]
    assert isinstance(packing.given, values.Tensor)
    assert packing.given.padding is not None
    assert isinstance(packing.lengths, values.Tensor)
    assert packing.lengths.lengths


def test_a_pretrained_encoder_hands_its_padding_on() -> None:
    program = analysed(
        """
from transformers import AutoTokenizer, BertModel
tokenizer = AutoTokenizer.from_pretrained("bert-base-uncased")
bert = BertModel.from_pretrained("bert-base-uncased")
lstm = nn.LSTM(768, 16, batch_first=True)
encoded = tokenizer(texts, padding=True, return_tensors="pt")
hidden = bert(encoded["input_ids"], attention_mask=encoded["attention_mask"])[0]
lstm(hidden)
"""
    )
    assert side_of(program) == "right"
