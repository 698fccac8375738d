"""Relative lengths: how they come about, and whether they are rounded."""

from __future__ import annotations

import pytest
from programs import analysed

from rnnlint.semantics import events, lengths
from rnnlint.semantics.values import Relative

RELATIVE = {
    "a division": "shares = sizes / sizes.max()",
    "a division by an axis": "shares = sizes.float() / x.size(1)",
    "a method": "shares = sizes.div(x.shape[1])",
    "number by number": "shares = torch.tensor([n / max(sizes) for n in sizes])",
    "row by row": "shares = torch.zeros(4)\n"
    "for i, row in enumerate(rows):\n    shares[i] = len(row) / max(sizes)",
}
WHOLE = ["{}.long()", "{}.int()", "{}.to(torch.int64)", "{}.cpu().type(torch.LongTensor)"]
ROUNDED = [
    "{}.round().long()",
    "torch.round({}).int()",
    "({} + 0.5).long()",
    "torch.ceil({}).int()",
]


def packed(text: str) -> Relative | None:
    program = analysed(
        f"""
x = pad_sequence(rows, batch_first=True)
sizes = torch.tensor([len(row) for row in rows])
{text}
pack_padded_sequence(x, told, batch_first=True)
"""
    )
    (packing,) = program.of(events.Packing)
    return lengths.relative_of(packing.lengths)


@pytest.mark.parametrize("how", RELATIVE)
@pytest.mark.parametrize("whole", WHOLE)
def test_shares_are_cut_off(how: str, whole: str) -> None:
    found = packed(f"{RELATIVE[how]}\ntold = {whole.format('(shares * x.size(1))')}")
    assert found is not None
    assert found.cut is not None
    assert found.steps
    assert not found.presumed


@pytest.mark.parametrize("rounded", ROUNDED)
def test_shares_are_rounded(rounded: str) -> None:
    assert (
        packed(f"shares = sizes / sizes.max()\ntold = {rounded.format('(shares * x.size(1))')}")
        is None
    )


def test_shares_stay_shares_until_they_are_whole() -> None:
    found = packed("told = sizes / sizes.max() * x.size(1)")
    assert found is not None
    assert found.cut is None


def test_what_is_cut_off_stays_so() -> None:
    found = packed("told = ((sizes / sizes.max() * x.size(1)).long() - 1) // 2 + 1")
    assert found is not None
    assert found.cut is not None


ABSOLUTE = [
    "told = sizes.long()",
    "told = (sizes / 4).long()",
    "told = (sizes / (x.size(1) // half.size(1))).long()",
    "told = (sizes * (half.size(1) / x.size(1))).long()",
    "told = [int(n * (half.size(1) / x.size(1))) for n in sizes]",
    "told = torch.div(sizes, x.size(1), rounding_mode='floor')",
    "told = torch.ones(4) * x.size(1)",
]


@pytest.mark.parametrize("text", ABSOLUTE)
def test_other_arithmetic_makes_no_shares(text: str) -> None:
    assert packed(text) is None


@pytest.mark.parametrize("whole", [*WHOLE, "{}.cpu()"])
def test_what_is_taken_times_the_padded_length_has_to_be_shares(whole: str) -> None:
    found = packed(f"told = {whole.format('(unseen * x.size(1))')}")
    assert found is not None
    assert found.presumed
    assert not found.repeated


def test_a_list_may_be_repeated() -> None:
    found = packed("told = unseen * x.size(0)")
    assert found is not None
    assert found.repeated


def test_one_way_on_which_they_are_whole_is_enough() -> None:
    assert (
        packed("told = sizes\nif unseen: told = (sizes / sizes.max() * x.size(1)).long()") is None
    )


@pytest.mark.parametrize(
    "mask",
    [
        "torch.arange(x.size(1)) < told[:, None]",
        "told.unsqueeze(1) > torch.arange(x.size(1)).expand(4, 9)",
        "torch.zeros(4, 9)\nfor i, n in enumerate(told):\n    mask[i, :n] = 1",
    ],
)
def test_a_mask_is_noted(mask: str) -> None:
    program = analysed(
        f"""
x = pad_sequence(rows, batch_first=True)
sizes = torch.tensor([len(row) for row in rows])
told = (sizes / sizes.max() * x.size(1)).long()
mask = {mask}
short = told < 3
"""
    )
    uses = program.of(events.LengthsUsed)
    assert uses
    assert {use.how for use in uses} == {"mask"}
    assert all(lengths.relative_of(use.lengths) for use in uses)
