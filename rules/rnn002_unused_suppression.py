"""A comment silences a rule where there is nothing to silence.

## What it does
Reports each rule that a suppression comment names and that would not have fired there, and each
name that no rule has, with a suggestion. Comments of rnnlint's own form are checked, and codes
of rnnlint in a `noqa` comment; everything else in a `noqa` belongs to other tools. A comment
that begins with `rnnlint:` and says nothing that rnnlint understands is reported, too.

## Why it matters
A suppression that outlives its fault is a trap. The comment says that the fault is known and
accepted; when it comes back, in the same place and for another reason, nobody hears of it. A
misspelt one does nothing from its first day.

## Example
```python
import torch
from torch import nn

lstm = nn.LSTM(4, 8)
optimizer = torch.optim.Adam(lstm.parameters())
for _ in range(100):
    optimizer.zero_grad()
    lstm(torch.randn(9, 2, 4))[0].pow(2).mean().backward()
    nn.utils.clip_grad_norm_(lstm.parameters(), 1.0)  # rnnlint: ignore[deprecated-clip]
    optimizer.step()
```

## Use instead
```python
import torch
from torch import nn

lstm = nn.LSTM(4, 8)
optimizer = torch.optim.Adam(lstm.parameters())
for _ in range(100):
    optimizer.zero_grad()
    lstm(torch.randn(9, 2, 4))[0].pow(2).mean().backward()
    nn.utils.clip_grad_norm_(lstm.parameters(), 1.0)
    optimizer.step()
```

## When it stays silent
- The rule is not selected in this run: nobody knows whether the comment is needed.
- The comment belongs to another tool: a bare `noqa`, codes that are not rnnlint's.
- The words stand in a string.

## Fix safety
There is no automatic fix yet. Removing a name, or a comment that has none left, changes nothing
that runs and nothing that is reported.

## References
- [Suppression comments of ruff](https://docs.astral.sh/ruff/linter/), whose habits this rule
  follows. Tell ruff about our codes with `lint.external = ["RNN"]`, or it reports them as unknown.
"""

from __future__ import annotations

from collections.abc import Iterator

from rnnlint.api import Diagnostic, Level, Program, Rule


class UnusedSuppression(Rule):
    level = Level.ADVICE

    def check(self, program: Program) -> Iterator[Diagnostic]:
        """Nothing: suppressions are matched once every rule has reported."""
        yield from ()
