"""Begins a rule: writes its file and its fixture, with everything that they have to hold.

    python tests/new_rule.py RNN120 lengths-longer-than-batch

What has to be written is marked, and the tests of the rule fail until it is.  This is no command
of rnnlint because it is of use in a checkout alone: an installed rnnlint has no fixtures.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from conventions import CHECKOUT, SECTIONS, UNWRITTEN, fault_of_stem

_PROGRAM = """\
import torch
from torch import nn

model = nn.LSTM(4, 8)
optimizer = torch.optim.Adam(model.parameters())
for _ in range(1000):
    optimizer.zero_grad()
    model(torch.randn(50, 2, 4))[0].pow(2).mean().backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
"""
_MODEL = """\
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(4, 8, batch_first=True)

    def forward(self, x):
        return self.lstm(x)[0]
"""
_TRAIN = """\
import torch
from torch import nn

from model import Net

net = Net()
optimizer = torch.optim.Adam(net.parameters())
for _ in range(1000):
    optimizer.zero_grad()
    net(torch.randn(2, 50, 4)).pow(2).mean().backward()
    nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    optimizer.step()
"""
_MEANINGS = {
    "What it does": "which programs are reported, and at which place",
    "Why it matters": "what it does to training, with a figure or a source that can be checked",
    "When it stays silent": "what looks alike and is right, or cannot be seen",
    "Fix safety": "what the repair does, whether it is safe, and when there is none",
    "References": "where this can be read",
}
_RULE = '''\
"""{todo}: in one sentence, what is wrong.

{page}
"""

from __future__ import annotations

from collections.abc import Iterator

from rnnlint.api import Cause, Diagnostic, Level, Program, Rule


class {title}(Rule):
    level = Level.WARNING  # {todo}: how sure it is, and how much it matters
    cause = Cause.OTHER  # {todo}: the family of the fault
    effect = "{todo}"

    def check(self, program: Program) -> Iterator[Diagnostic]:
        yield from ()  # {todo}: a short query, see rnnlint/api.py
'''
_FAULTY = (
    "Faulty: a script",
    "Faulty: a class that trains, {todo}",
    "Faulty: a framework, {todo}",
)
_CLEAN = tuple(f"Clean: a look-alike, {{todo}} {number}" for number in range(1, 5))


class CannotBeginError(Exception):
    """The rule that was asked for cannot be; the message says why."""


def begin(code: str, name: str, checkout: Path) -> tuple[Path, Path]:
    """Write the file and the fixture of a rule and return their paths.

    Raises:
        CannotBeginError: the code or the name is taken, or is none.
    """
    if not re.fullmatch(r"RNN\d{3}", code):
        raise CannotBeginError(f"{code} is no code: one reads RNN120")
    stem = f"{code.lower()}_{name.replace('-', '_')}"
    fault = fault_of_stem(stem)
    if fault is not None:
        raise CannotBeginError(f"{name} is no name for a rule: {fault}")
    for other in sorted((checkout / "rules").glob("rnn*.py")):
        taken_code, _, taken_name = other.stem.partition("_")
        if taken_code.upper() == code or taken_name == name.replace("-", "_"):
            raise CannotBeginError(f"there is {other.name} already; choose another code and name")
    rule = checkout / "rules" / f"{stem}.py"
    fixture = checkout / "fixtures" / f"{stem}.md"
    rule.write_text(_rule(name), encoding="utf-8")
    fixture.write_text(_fixture(code, name), encoding="utf-8")
    return rule, fixture


def _rule(name: str) -> str:
    title = "".join(word.capitalize() for word in name.split("-"))
    page = "\n\n".join(f"## {section}\n{_section(section)}" for section in SECTIONS)
    return _RULE.format(todo=UNWRITTEN, page=page, title=title)


def _section(title: str) -> str:
    if title in _MEANINGS:
        return f"{UNWRITTEN}: {_MEANINGS[title]}."
    return f"```python\n# {UNWRITTEN}\n{_PROGRAM}```"


def _fixture(code: str, name: str) -> str:
    asserted = _PROGRAM.replace("nn.LSTM(4, 8)", f"nn.LSTM(4, 8)  # warning: [{code}]")
    model = _MODEL.replace("batch_first=True)", f"batch_first=True)  # warning: [{code}]")
    parts = [f"# {code} {name}\n", f"{UNWRITTEN}: what is wrong, and where it is reported.\n"]
    parts += [f"## {title}\n\n{_fence(asserted)}" for title in _FAULTY]
    parts.append(
        f"## Faulty: a project of several files\n\n`model.py`:\n{_fence(model)}\n"
        f"`train.py`:\n{_fence(_TRAIN)}"
    )
    parts += [f"## {title}\n\n{_fence(_PROGRAM)}" for title in _CLEAN]
    return "\n".join(parts).replace("{todo}", UNWRITTEN)


def _fence(program: str) -> str:
    return f"```python\n{program}```\n"


def main() -> None:
    """Begin the rule that the command line names."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("code", help="such as RNN120")
    parser.add_argument("name", help="what is wrong, such as lengths-longer-than-batch")
    options = parser.parse_args()
    try:
        written = begin(options.code.upper(), options.name, CHECKOUT)
    except CannotBeginError as error:
        sys.exit(f"new_rule: {error}")
    for path in written:
        print(f"wrote {path.relative_to(CHECKOUT)}")
    stem = options.code.lower()
    print(f"see what is missing: pytest tests/test_fixtures.py tests/test_rules.py -k {stem}")


if __name__ == "__main__":
    main()
