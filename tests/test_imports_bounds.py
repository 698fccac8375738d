"""Files made to be slow to look at: what is read of them grows with their size, no faster."""

from __future__ import annotations

import time

import pytest

from rnnlint.project.facts import facts_of, module_uses
from rnnlint.project.notebook import mask_magics

SLOW = {
    "statements-in-a-string": f"x = '{'import a;' * 14_000}'\n",
    "imports-in-one-line": "import a, :" * 14_000,
    "words-in-one-line": "from a import " * 10_000,
    "torch-in-a-comment": f"# {'torch.nn import ' * 4_000}\n",
    "torch-in-one-word": "torch.nn" * 20_000,
    "star-imports": "from torch.nn import *\n" * 8_000,
    "stars-in-one-line": "torch.nn import *" * 8_000,
    "open-lists": "from x import (\n" * 8_000,
    "open-lists-of-layers": "from torch.nn import (\n" * 8_000,
    "lists-in-comments": "#;import(#\n" * 12_000,
    "lists-in-a-long-comment": f"#{'_' * 400}{';import(' * 14_000}",
    "a-list-of-comments": "from x import (\n" + "# abcdefghijklmnop\n" * 400,
    "blanks-behind-from": f"from{' ' * 280}!import a\n" * 400,
    "dots-behind-from": f"from{' .' * 140}!import a\n" * 400,
    "continuations": "import a, \\\n" * 10_000,
    "layers-in-one-line": "torch.nn import RNN_ LSTM_ " * 5_000,
    "choices": "torch getattr(" * 10_000,
}
"""Programs of a hundred kilobytes or so that once took minutes."""


@pytest.mark.parametrize("program", SLOW.values(), ids=SLOW)
def test_facts_are_gathered_in_a_moment(program: str) -> None:
    begun = time.process_time()
    facts_of("a.py", program.encode())
    assert time.process_time() - begun < 3


def test_uses_in_one_long_line_are_found_in_a_moment() -> None:
    program = " " * 200_000 + "net.a, (net, " * 40_000
    begun = time.process_time()
    assert len(list(module_uses(program, "net"))) == 80_000
    assert time.process_time() - begun < 3


@pytest.mark.parametrize("option", ["-n100 ", "-n 100 ", "-nnnnn ", "-n1 0 ", "-n_ "])
def test_options_of_magics_are_read_in_a_moment(option: str) -> None:
    cell = "%timeit " + option * 2_000
    begun = time.process_time()
    assert len(mask_magics(cell)) == len(cell)
    assert time.process_time() - begun < 3
