"""A file cannot be parsed, so nothing in it was analysed.

## What it does
Reports a file, or a cell of a notebook, that may hold recurrent training code and that is not
valid Python 3, at the line where the parser gave up. Code of Python 2, arguments named `async`
and marks of a merge conflict are named as what they are. So are files that are too large, nested
too deeply or too slow to be read.

## Why it matters
rnnlint follows a batch from the loader to the layer and the loss. If one file on the way is
missing, it sees less in all of them: the clip may be in the file that does not parse. A report
with no findings would then be a false comfort, so such a file is an error and never a silent
pass. The other files are analysed all the same.

Old recurrent code often carries the two best-known cases. `print loss` is Python 2, and
`.cuda(async=True)` is a syntax error since `async` became a keyword in Python 3.7: PyTorch calls
the argument `non_blocking`.

## Example
```python
import torch
from torch import nn

lstm = nn.LSTM(4, 8).cuda()
optimizer = torch.optim.Adam(lstm.parameters())
for batch in torch.randn(10, 9, 2, 4):
    out, _ = lstm(batch.cuda(async=True))
    optimizer.zero_grad()
    out.pow(2).mean().backward()
    optimizer.step()
```

## Use instead
```python
import torch
from torch import nn

lstm = nn.LSTM(4, 8).cuda()
optimizer = torch.optim.Adam(lstm.parameters())
for batch in torch.randn(10, 9, 2, 4):
    out, _ = lstm(batch.cuda(non_blocking=True))
    optimizer.zero_grad()
    out.pow(2).mean().backward()
    optimizer.step()
```

## When it stays silent
- The file has nothing to do with recurrent networks: it is not read in depth, so whether it
  parses is left to other tools.
- The file is excluded, by `.gitignore` or by `exclude` in the configuration.

## Fix safety
There is no automatic fix: an edit to a file that does not parse cannot be checked. Mend the line,
convert old code with a tool of your choice, or exclude the file.

## References
- [Python 3.7](https://docs.python.org/3/whatsnew/3.7.html): `async` and `await` are keywords
- [Tensor.cuda](https://pytorch.org/docs/stable/generated/torch.Tensor.cuda.html), argument
  `non_blocking`
"""

from __future__ import annotations

from collections.abc import Iterator

from rnnlint.api import Diagnostic, Level, Program, Rule


class UnparsableFile(Rule):
    level = Level.ERROR

    def check(self, program: Program) -> Iterator[Diagnostic]:
        """Nothing: files that cannot be parsed are reported before a program exists."""
        yield from ()
