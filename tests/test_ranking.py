"""What is reported first: the likeliest reason why training fails."""

from __future__ import annotations

import itertools
from pathlib import Path

import msgspec
from findings import MISMATCH, MULTILINE, NOTEBOOK, PADDED, UNCLIPPED
from hypothesis import given
from hypothesis import strategies as st

from rnnlint import engine
from rnnlint.diagnostic import Cause, Diagnostic, Level

replace = msgspec.structs.replace

diagnostics = st.builds(
    replace,
    st.sampled_from((MISMATCH, NOTEBOOK, PADDED, UNCLIPPED, MULTILINE)),
    level=st.sampled_from(Level),
    cause=st.sampled_from(Cause),
)


def ranked(*found: Diagnostic) -> list[Diagnostic]:
    return sorted(found, key=lambda each: each.rank)


@given(st.lists(diagnostics))
def test_no_frequent_cause_outranks_a_more_severe_finding(found: list[Diagnostic]) -> None:
    for before, after in itertools.pairwise(ranked(*found)):
        assert before.level.rank <= after.level.rank
        if before.level is after.level:
            assert before.cause.share >= after.cause.share


@given(st.permutations((MISMATCH, NOTEBOOK, PADDED, UNCLIPPED, MULTILINE)))
def test_the_order_of_the_search_does_not_matter(found: list[Diagnostic]) -> None:
    assert ranked(*found) == [MISMATCH, NOTEBOOK, PADDED, UNCLIPPED, MULTILINE]


def test_more_places_are_stronger_evidence() -> None:
    one, two = replace(MISMATCH, trail=MISMATCH.trail[:1]), MISMATCH
    assert ranked(one, two) == [two, one]
    # The same place, named twice, proves no more than once.
    twice = replace(one, trail=(*one.trail, *one.trail))
    assert twice.rank == one.rank


def test_shares_are_those_of_the_failures_that_were_counted() -> None:
    shares = {cause: cause.share for cause in Cause}
    assert max(shares, key=lambda cause: shares[cause]) is Cause.LENGTHS
    assert shares[Cause.SCHEDULE] == 0
    # 10 % were about what no family holds.
    assert sum(shares.values()) == 90


def test_a_project_is_reported_in_order(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(PROGRAM)
    outcome = engine.check(engine.Request(paths=(), cwd=str(tmp_path), no_cache=True))
    codes = [diagnostic.code for diagnostic in outcome.diagnostics]
    # An error about the loss, one about the schedule, which is rarely the reason, then advice.
    assert codes[:2] == ["RNN504", "RNN302"]
    assert codes[2:] == ["RNN201", "RNN401"]
    assert outcome.diagnostics[0].cause is Cause.LOSS
    assert "gradient is small" in outcome.diagnostics[0].effect


PROGRAM = """\
import torch
from torch import nn

lstm = nn.LSTM(8, 16, batch_first=True)
head = nn.Linear(16, 4)
optimizer = torch.optim.Adam([*lstm.parameters(), *head.parameters()])
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 10)
criterion = nn.CrossEntropyLoss()
for _ in range(100):
    output, (hidden, _) = lstm(torch.randn(32, 20, 8))
    loss = criterion(head(hidden[-1]).softmax(dim=-1), torch.randint(4, (32,)))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
