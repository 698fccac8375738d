"""Padding that embeddings look up, the numbers that it gets, and single steps of padded batches."""

from __future__ import annotations

import pytest
from programs import analysed, only, the_input

from rnnlint.semantics import events, modules, values
from rnnlint.semantics.program import Program

COLLATE = """
def collate(batch):
    return pad_sequence(batch, batch_first=True)

words, tags = nn.Embedding(100, 8), nn.Embedding(9, 8)
lstm = nn.LSTM(8, 16, batch_first=True)
loader = DataLoader(rows, batch_size=4, collate_fn=collate)
"""


def fed_by(expression: str) -> Program:
    """A layer reads what is made of a padded batch of ids."""
    return analysed(f"{COLLATE}\nfor ids in loader:\n    lstm({expression})\n")


def looked_up_by(program: Program) -> list[str]:
    """How large the embeddings are whose vectors the padding of the input consists of."""
    padding = the_input(program).padding
    assert padding is not None
    sizes = [embedding.options["num_embeddings"] for embedding in padding.embeddings]
    return [str(size.value) for size in sizes if isinstance(size, values.Const)]


LOOKED_UP = {
    "words(ids)": ["100"],
    "F.dropout(words(ids), 0.5)": ["100"],
    "nn.Linear(8, 8)(words(ids))": ["100"],
    "words(ids) * 8 ** 0.5": ["100"],
    "words(ids) + tags(ids)": ["100", "9"],
    "words(ids) + words(ids)": ["100"],
    "torch.cat([words(ids), tags(ids)], dim=-1)": ["100", "9"],
    "torch.cat([words(ids), torch.zeros(4, 9, 3)], dim=2)": ["100"],
    "ids.float()": [],
    "words(ids).detach()": [],
    "words(ids).data": [],
}


@pytest.mark.parametrize("expression", LOOKED_UP)
def test_padding_knows_the_embeddings_that_learn_by_it(expression: str) -> None:
    assert looked_up_by(fed_by(expression)) == LOOKED_UP[expression]


def test_nothing_is_learnt_where_autograd_is_off() -> None:
    looking_up = "    with torch.no_grad():\n        x = words(ids)\n"
    program = analysed(f"{COLLATE}\nfor ids in loader:\n{looking_up}    lstm(x)\n")
    assert looked_up_by(program) == []


def test_what_a_mask_overwrites_is_no_vector_any_more() -> None:
    program = analysed(
        f"{COLLATE}\nfor ids in loader:\n    x = words(ids)\n    x[ids == 0] = 0\n    lstm(x)\n"
    )
    assert looked_up_by(program) == []


# --- numbers ---------------------------------------------------------------


def filler_of(rows: str) -> values.Value:
    """What a batch of tags is padded with that is made of `rows`."""
    program = analysed(
        f"""
PAD, NUMBERS = "<pad>", {{"<pad>": 3, "B": 0}}

def collate(batch):
    longest = max(len(tags) for tags in batch)
    padded = [tags + [PAD] * (longest - len(tags)) for tags in batch]
    return torch.tensor({rows})

lstm = nn.LSTM(8, 16, batch_first=True)
for tags in DataLoader(rows, batch_size=4, collate_fn=collate):
    lstm(tags)
"""
    )
    padding = the_input(program).padding
    assert padding is not None
    return padding.filler


def test_padding_gets_the_number_of_its_symbol() -> None:
    assert filler_of("padded") == values.Const("<pad>")
    assert filler_of("[[NUMBERS[tag] for tag in tags] for tags in padded]") == values.Const(3)
    assert filler_of("[[tag for tag in tags] for tags in padded]") == values.Const("<pad>")


def test_a_number_that_was_not_seen_is_not_known() -> None:
    assert filler_of("[[vocabulary[tag] for tag in tags] for tags in padded]") == values.UNKNOWN


@pytest.mark.parametrize(
    ("given", "filler"),
    [("*rows, fillvalue=9", values.Const(9)), ("a, b", values.NONE), ("**all", values.UNKNOWN)],
)
def test_what_zip_longest_pads_with(given: str, filler: values.Value) -> None:
    padding = the_input(
        analysed(f"nn.LSTM(8, 16)(torch.tensor(list(itertools.zip_longest({given}))))")
    ).padding
    assert padding is not None
    assert padding.filler == filler


# --- single steps ----------------------------------------------------------

STEPS = {
    "ids[:, t]": True,
    "ids[:, 3]": True,
    "ids[:, -1]": True,
    "ids[:, t].view(1, -1)": True,
    "ids.t()[t]": True,
    "ids[:, t].long().to('cuda')": True,
    "ids[:, 0]": False,
    "ids[:n, t]": False,
    "ids[:, t] * 2": True,
    "ids[:, t][ids[:, t] != 0]": False,
}


@pytest.mark.parametrize("expression", STEPS)
def test_at_a_step_some_sequences_have_ended(expression: str) -> None:
    program = analysed(
        f"""
ids = pad_sequence(rows, batch_first=True)
for t in range(ids.size(1)):
    F.cross_entropy(scores, {expression})
"""
    )
    target = program.of(events.LossComputed)[0].target
    assert isinstance(target, values.Tensor)
    assert target.padding is None
    assert (target.padding_of_step is not None) is STEPS[expression]


# --- learning --------------------------------------------------------------

FROZEN = {
    "": (False, False),
    "embedding.weight.requires_grad = False": (True, True),
    "embedding.requires_grad_(False)": (True, True),
    "embedding.weight = nn.Parameter(vectors, requires_grad=False)": (True, True),
    "embedding.weight = nn.Parameter(vectors)": (False, False),
    "embedding.weight = nn.Parameter(vectors.detach())": (False, False),
    "embedding.weight.requires_grad = learns": (False, True),
    "embedding.weight.requires_grad = options.learns": (False, False),
    "embedding.weight.requires_grad = not options.learns": (False, True),
    "if unknown: embedding.weight.requires_grad = False": (False, True),
    "if not options.learns: embedding.weight.requires_grad = False": (False, False),
}


@pytest.mark.parametrize("statement", FROZEN)
def test_whether_a_layer_learns(statement: str) -> None:
    program = analysed(
        f"""
parser = argparse.ArgumentParser()
parser.add_argument("--learns", default=True, type=bool)
options = parser.parse_args()
vectors = torch.randn(100, 8)
embedding = nn.Embedding(100, 8)
{statement}
nn.LSTM(8, 8)(embedding(pad_sequence(rows)))
"""
    )
    embedding = only(program.passages.lookups.values()).embedding
    assert isinstance(embedding, values.Layer)
    assert (modules.is_frozen(embedding), modules.may_be_frozen(embedding)) == FROZEN[statement]
