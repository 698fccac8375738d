"""No input stops a run: whatever one file holds, it is named, and the others are analysed."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rnnlint import engine
from rnnlint.diagnostic import Notice

TORCH = "import torch\nfrom torch import nn\n"
FAULT = "probe = nn.GRU(3, 4, dropout=0.5)\n"
"""A line that is always found fault with (RNN503)."""
SOUND = TORCH + FAULT

ANALYSED, UNPARSABLE, UNREADABLE, SKIPPED = "analysed", "unparsable", "unreadable", "skipped"
"""What becomes of a file: its fault is found; it is an RNN001; a notice, fatal or not."""


def check(folder: Path, *paths: str) -> engine.Outcome:
    return engine.check(engine.Request(paths=paths, cwd=str(folder), no_cache=True))


def codes(outcome: engine.Outcome, path: str) -> list[str]:
    return [d.code for d in outcome.diagnostics if d.span.path == path]


def notices(outcome: engine.Outcome, path: str) -> list[Notice]:
    return [notice for notice in outcome.notices if notice.path == path]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with one ordinary, faulty file, `sibling.py`."""
    (tmp_path / "rnnlint.toml").write_text("")
    (tmp_path / "sibling.py").write_text(SOUND)
    return tmp_path


def assert_fate(outcome: engine.Outcome, path: str, fate: str) -> None:
    """The hostile file met its fate, and its sibling's fault is found all the same."""
    assert codes(outcome, "sibling.py") == ["RNN503"]
    here, found = notices(outcome, path), codes(outcome, path)
    if fate in (ANALYSED, UNPARSABLE):
        assert found == ["RNN503" if fate == ANALYSED else "RNN001"]
        assert not any(notice.fatal or notice.skips for notice in outcome.notices)
    else:
        assert found == []
        assert [notice.fatal for notice in here] == [fate == UNREADABLE]
        assert outcome.summary.skipped == 1


# --- bytes that are hardly a program --------------------------------------------------

BYTES = {
    "binary": (bytes(range(256)) * 40 + b"torch nn.LSTM", UNREADABLE),
    "null-byte": (SOUND.encode() + b"x = '\0'\n", UNREADABLE),
    "utf-16": (SOUND.encode("utf-16"), UNREADABLE),
    "not-utf-8": (SOUND.encode() + "# caf\u00e9\n".encode("latin-1"), UNREADABLE),
    "surrogate-bytes": (SOUND.encode() + b"x = '\xed\xa0\x80'\n", UNREADABLE),
    "unknown-encoding": (b"# coding: klingon\n" + SOUND.encode(), UNREADABLE),
    "bytes-encoding": (b"# coding: hex\n" + SOUND.encode(), UNREADABLE),
    "refusing-encoding": (b"# coding: undefined\n" + SOUND.encode(), UNREADABLE),
    "dots-as-encoding": (b"# coding: ..\n" + SOUND.encode(), UNREADABLE),
    "half-a-pair": (b"# coding: utf-7\n" + SOUND.encode() + b"x = '+2AA-'\n", UNREADABLE),
    "half-an-escaped-pair": (
        b"# coding: raw_unicode_escape\n" + SOUND.encode() + b"x = '\\ud800'\n",
        UNREADABLE,
    ),
    "latin-1": (b"# coding: latin-1\n" + SOUND.encode() + b"# caf\xe9\n", ANALYSED),
    "byte-order-mark": (b"\xef\xbb\xbf" + SOUND.encode(), ANALYSED),
    "carriage-returns": (SOUND.replace("\n", "\r").encode(), ANALYSED),
    "all-line-ends": (f"import torch\r\nfrom torch import nn\r{FAULT}".encode(), ANALYSED),
    "other-separators": (SOUND.encode() + "x = '\u2028\x0b\x1c\x85'\n".encode(), ANALYSED),
    "form-feeds": (SOUND.replace("\n", "\n\f").encode(), ANALYSED),
    "no-last-line-end": (SOUND.rstrip().encode(), ANALYSED),
    "half-a-pair-as-escape": (SOUND.encode() + b"x = '\\ud800'\n", ANALYSED),
    "five-megabytes": (SOUND.encode() + b"x = 1\n" * 900_000, SKIPPED),
}


@pytest.mark.parametrize(("content", "fate"), BYTES.values(), ids=BYTES)
def test_bytes_that_are_hardly_a_program(project: Path, content: bytes, fate: str) -> None:
    (project / "hostile.py").write_bytes(content)
    assert_fate(check(project), "hostile.py", fate)
    assert_fate(check(project, "hostile.py", "sibling.py"), "hostile.py", fate)


def test_empty_files_are_sound(project: Path) -> None:
    for name, content in (
        ("empty.py", b""),
        ("blank.py", b" \n\t\n"),
        ("mark.py", b"\xef\xbb\xbf"),
    ):
        (project / name).write_bytes(content)
    outcome = check(project)
    assert (outcome.notices, outcome.summary.analysed) == ((), 4)
    assert codes(outcome, "sibling.py") == ["RNN503"]


# --- programs that no one writes ------------------------------------------------------


def _indented(head: str, count: int, last: str) -> str:
    lines = [f"{' ' * level}{head.format(level)}\n" for level in range(count)]
    return "".join(lines) + " " * count + last


PROGRAMS = {
    "syntax-error": ("def f(:\n", UNPARSABLE),
    "python-2": ("print 'loss', loss\n", UNPARSABLE),
    "conflict": ("<<<<<<< HEAD\na = 1\n=======\n", UNPARSABLE),
    "open-bracket": ("x = (1,\n", UNPARSABLE),
    "backslash-at-the-end": ("x = 1\\", UNPARSABLE),
    "deep-parentheses": (f"x = {'(' * 3000}{')' * 3000}\n", UNPARSABLE),
    "endless-sum": (f"x = {'+'.join(['1'] * 10_000)}\n", UNPARSABLE),
    "endless-sum-in-lines": (f"x = ({' +' + chr(10)}{'1 +' * 9_999} 1)\n", UNPARSABLE),
    "long-sum": (f"x = {'+'.join(['probe'] * 400)}\n", ANALYSED),
    "long-chain": (f"x = probe{'.a()[0]' * 150}\n", ANALYSED),
    "deep-lists": (f"x = {'[' * 90}{']' * 90}\n", ANALYSED),
    "deep-conditions": (_indented("if x:", 95, "pass\n"), ANALYSED),
    "deep-functions": (_indented("def f{}():", 90, "return nn.LSTM(1, 2)\n"), ANALYSED),
    "deep-loops": (_indented("for a{} in b:", 30, "probe(a1)\n"), ANALYSED),
    "many-elifs": ("if a:\n pass\n" + "elif b:\n x = probe\n" * 400, ANALYSED),
    "huge-dictionary": (
        f"x = { {str(i): [i, {'a': i}] for i in range(3_000)} }\nfor k, v in x.items(): probe(v)\n",
        ANALYSED,
    ),
    "huge-list": (f"x = {list(range(20_000))}\nfor i in x: probe(i)\ny = [*x, *x]\n", ANALYSED),
    "many-functions": (
        "".join(
            f"def f{i}(x): return f{i * 7 % 500}(f{i * 3 % 500}(probe(x)))\n" for i in range(500)
        ),
        ANALYSED,
    ),
    "many-heirs": (
        "class C0(nn.Module):\n  def forward(self, x): return probe(x)\n"
        + "".join(
            f"class C{i}(C{i - 1}):\n  def forward(self, x): return super().forward(x)\n"
            for i in range(1, 200)
        )
        + "C199()(1)\n",
        ANALYSED,
    ),
}


@pytest.mark.parametrize(("text", "fate"), PROGRAMS.values(), ids=PROGRAMS)
def test_programs_that_no_one_writes(project: Path, text: str, fate: str) -> None:
    (project / "hostile.py").write_text(SOUND + text, newline="")
    begun = time.monotonic()
    assert_fate(check(project), "hostile.py", fate)
    assert time.monotonic() - begun < 20


# --- programs that would never end, or never fit --------------------------------------

ENDLESS = {
    "while-true": """
while True: probe(1)
while 1:
    while probe: continue
for i in iter(int, 1): probe(i)
for i in range(10 ** 12): probe(i)
""",
    "generators": """
def g():
    while True: yield probe
def h(): yield from h()
for i in g(): i(i)
list(g()), [x for x in g()], next(h()), sum(h())
for i in h(): pass
async def z():
    async for x in z(): await x
    async with z() as y: yield y
z()
""",
    "recursion": """
def f(n): return f(n)(f)(f(f))
f(f)
g = lambda g: g(g)
g(g)
def a(): return b()
def b(): return a()
a()
Y = lambda f: (lambda x: f(lambda v: x(x)(v)))(lambda x: f(lambda v: x(x)(v)))
Y(Y)(Y)
""",
    "values-that-hold-themselves": """
x = []
x.append(x)
x[0][0](x)
d = {}
d['a'] = d
d['a']['a']['b'](d)
class O: pass
o = O()
o.o = o
o.o.o.o.probe(o)
for i in x:
    for j in i: x.extend(j); x += x
print(*x, **d, sep=[*x, *x], end={**d, **d})
x == x
nn.Sequential(*x), nn.ModuleList(x)
m = nn.Module()
m.m = m
for p in m.parameters(): p.data.uniform_()
torch.optim.Adam(m.parameters())
m.apply(m), m(m), m.to(m)
""",
    "doubling-lists": "x = [probe, probe]\n" + "x = x + x\n" * 60 + "y = x * 10 ** 9\n",
    "doubling-tuples": "x = (probe, probe)\n" + "x = (*x, *x)\n" * 60,
    "nesting-tuples": (
        "x = (probe,)\ny = (probe,)\n"
        + "x = (x, x)\ny = (y, y)\n" * 60
        + "z = x if u else y\nif u:\n    z = x\nelse:\n    z = y\nx == y\nprobe(z)\n"
    ),
    "doubling-in-a-loop": """
x = [probe]
for i in range(100):
    x = x + x
    x = (x, x)
    y = [x, *x, x]
    x = {'a': x, 'b': y, **{'c': x}}
    x = [x for _ in x for _ in x]
""",
    "doubling-texts": (
        "s = 'a'\nk = f'{s}'\nj = '%s'\nt = '{}'\nr = 'a' * 1000\nu = 'a'\n"
        + "s = s + s\nk = f'{k}{k}'\nj = '%s%s' % (j, j)\nt = '{}{}'.format(t, t)\n" * 60
        + "r = r.replace('a', 'aaaaaaaaaaaa')\nu = u.join([u, u, u])\n" * 30
    ),
    "enormous-texts": """
x = 'a' * 10 ** 10
x = 10 ** 10 * 'a'
x = b'a' * 10 ** 10
x = 'a' * 9999999999
x = b'a' * 9999999999
x = 'a'.ljust(9999999999), 'a'.zfill(9999999999), 'a'.center(9999999999)
x = '%9999999999d' % 3
x = '%*d' % (9999999999, 3)
x = f'{3:>9999999999}'
x = '{:>9999999999}'.format(3)
""",
    "enormous-numbers": (
        "n = 3\n"
        + "n = n * n\n" * 60
        + "n = n ** n\n" * 5
        + "n = 1 << 9999999999\nn = 10 ** 10 ** 10\nn = int('9' * 5000)\n"
        + "n = 1e308 * 1e308\nn = int(1e999)\nn = list(range(10 ** 12))\nn = [0] * 10 ** 12\n"
        + f"n = {'9' * 5000}\nn = 0x{'f' * 5000}\nn = -n\nn = n + 0.5\nn = n / 3\n"
    ),
    "nested-comprehensions": (
        "x = [probe] * 3\ny = [probe "
        + " ".join(f"for a{i} in [probe, probe, probe]" for i in range(30))
        + "]\n"
    ),
    "branching": (
        "def f(x):\n"
        + _indented(" if x{}:", 30, " probe(x)\n")
        + "".join(f"{' ' * i} else:\n{' ' * i}  f(probe(x))\n" for i in reversed(range(30)))
        + "f(1)\n"
    ),
}


@pytest.mark.parametrize("text", ENDLESS.values(), ids=ENDLESS)
def test_programs_that_would_never_end_or_never_fit(project: Path, text: str) -> None:
    (project / "hostile.py").write_text(SOUND + text)
    begun = time.monotonic()
    assert_fate(check(project), "hostile.py", ANALYSED)
    assert time.monotonic() - begun < 20


# --- programs that would raise --------------------------------------------------------

RAISING = {
    "operators": """
x = 1 / 0, 1 % 0, 1 // 0, 0 ** -1, 1.0 // 0.0, 1 << -1, (-1) ** 0.5
x = 'a' % 3, '%d' % 'a', '%' % 1, '%(a)s' % 1, '%(a)s' % {}, '%c' % 10 ** 9
x = -'a', ~1.5, 'a' < 1, None < None, 1j < 2, 3 in 5, 3 in 'abc', 'a' - 'b'
x = 10 ** 400 * 1.0, 10.0 ** 400, not [], - (), + {}
""",
    "subscripts": """
x = [1][5], {}[[]], {[]: 1}, [1, 2][::0], 'abc'[::0], (1, 2)[::0], [1]['a'], [][0], ()[-1]
x = probe[1], probe.a[0], torch.zeros(1)[99, 99, 99, ..., None, None], None[0], 3[4:5:6]
""",
    "functions": """
x = set([[]]), int('x'), int(float('inf')), round(float('nan')), chr(10 ** 10), ord('ab')
x = max([]), min(), sum('a'), len(5), range('a'), range(0, 10, 0), zip(1), sorted([1, 'a'])
x = divmod(1, 0), pow(0, -1), abs('a'), enumerate(), int(), str(1, 2, 3), iter(), next()
x = '{0[a]}'.format(1), '{'.format(1), 'a'.encode('no'), 'a'.split(''), 'a'.index('b'), f'{1:z}'
x = eval('1+'), exec('x = ('), getattr(), getattr(probe, 3), setattr(probe), isinstance(), super()
x = dict([1]), list(5), tuple(None), map(), filter(1), open(), type(), vars(3), print(file=3)
""",
    "star-arguments": """
def f(*a, **k): return f(*a, *a, **k, **k)
f(*[1] * 100, **{str(i): i for i in range(100)})
nn.LSTM(*f(1), **f(2))
nn.LSTM(**{'input_size': 1, 'hidden_size ': 2, 3: 4})
a, *b, (c, *d) = f(1)
*a, = [1]
(a, b), c = 1, 2
[] = ()
a, b = 1, 2, 3
for a, (b, *c), d in [1, (2, 3), (4, 5, 6)]: pass
probe(*[], **{}), probe(*probe, **probe), f(**1), f(*1)
""",
    "layers": """
nn.LSTM(), nn.LSTM(None), nn.LSTM(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)
nn.RNN(1, 2, nonlinearity=3)
nn.LSTM(-1, 'a', dropout='b', bidirectional=[], num_layers=0, batch_first=None, proj_size=())
nn.GRU(hidden_size=probe, input_size=nn), nn.LSTMCell(), nn.Sequential(1, None, probe)()
probe(), probe(1, 2, 3, 4), probe(probe), probe.forward(), probe.foo.bar[0](), probe.weight_hh_l99
nn.utils.clip_grad_norm_(), nn.utils.rnn.pack_padded_sequence(), nn.utils.rnn.pad_sequence([])
torch.optim.Adam(), torch.optim.SGD(3).step(4), torch.optim.lr_scheduler.StepLR().step()
torch.utils.data.DataLoader(), nn.init.orthogonal_(), nn.CrossEntropyLoss()(), torch.save()
""",
    "tensors": """
x = torch.zeros(1, 2, 3)
x.size(99), x.size(None), x.size('a'), x.shape[99], x.view(), x.permute(), x.permute(None)
x.transpose(), x.transpose('a', 'b'), x.transpose(5, -9), x.unsqueeze(10 ** 9), x.squeeze('a')
torch.cat(), torch.stack([]), torch.cat([], 'x'), x[x], x[[x]], x['a'], x[::-1], x[...] @ 3
for _ in range(3):
    x = torch.stack([x, x]).unsqueeze(0).permute(*range(50)).view(-1, *x.shape)[None, ..., None, 0]
probe(x)
""",
    "decorators": """
import functools
@property
def f(): return f
@f
@f()
@nn.LSTM
@undefined.x(1)[2]
class A:
    @property
    def p(self): return self.p
    @p.setter
    def p(self, v): self.p = v
    @staticmethod
    def s(): return A.s()
    @classmethod
    def c(cls): return cls.c()
    def __new__(cls): return cls()
    def __getattr__(self, n): return getattr(self, n)
    def __call__(self, *a): return self(*a)
    def __enter__(self): return self
    def __iter__(self): return self
    def __next__(self): return next(self)
    def __getitem__(self, i): return self[i]
    def __len__(self): return len(self)
    def __add__(self, o): return self + o
a = A()
a.p, a.s(), a.c(), a.x.y, a(), a[0], a + a, len(a)
a.p = 1
with a as b: b
for x in torch.utils.data.DataLoader(a, collate_fn=a): probe(x)
@functools.wraps(f)
@functools.lru_cache
def k(*a): return k
k()()()()
functools.partial(functools.partial, functools.partial)()()()
""",
    "classes": """
class A(A, nn.LSTM): pass
A(1, 2)(3)
class A(A): pass
A(1, 2).x.y.z
class B(None, 3, *[A], metaclass=B): x = B.x
B().x()
class C(C.C): C = C
C.C.C()
class D(nn.Module):
    def __init__(self): D.__init__(self); super(D, self).__init__(); super(3).__init__()
    def forward(self, x): return D.forward(self, x)
D()(D)
""",
    "odd-statements": """
global x
del probe.a, x[0], (y, z)
assert probe, probe
raise probe from probe
try: pass
except* ValueError: raise
finally: probe()
match probe:
    case nn.GRU(a, b=c) | [a, *b, c] | {'a': a, **b}: pass
    case 'a' | None | -1 + 2j: pass
    case _ if probe: pass
with (a as b, c as (d, *e)): pass
lambda *a, b=1, **k: (yield)
x: int
y: (z := 3) = 4
type X[T: int, *U, **P] = list[T]
nonlocal_ = await_ = 0
print(f'{probe!r:>{probe}} {{}} {"a" "b"}', rb'', *())
""",
}


@pytest.mark.parametrize("text", RAISING.values(), ids=RAISING)
def test_programs_that_would_raise(project: Path, text: str) -> None:
    (project / "hostile.py").write_text(SOUND + text)
    outcome = check(project)
    assert outcome.notices == ()
    assert codes(outcome, "sibling.py") == ["RNN503"]
    rows = [
        d.span.location.row
        for d in outcome.diagnostics
        if (d.span.path, d.code) == ("hostile.py", "RNN503")
    ]
    assert 3 in rows


# --- projects whose files go in circles -----------------------------------------------

CIRCLES = {
    "imports-itself": {
        "a.py": f"import a\nfrom a import *\nfrom . import a\nfrom .a import x\n{SOUND}a.a.a.x(1)\n"
    },
    "mutual-imports": {
        "a.py": f"from b import *\nfrom b import f\n{SOUND}def g(): return f()\ng()\n",
        "b.py": "from a import *\nfrom a import g\nfrom b import *\ndef f(): return g()\nf()\n",
    },
    "mutual-heirs": {
        "a.py": f"from b import B\n{SOUND}class A(B):\n    def forward(self, x): return B(x)\n",
        "b.py": (
            "from a import A\nclass B(A):\n"
            "    def forward(self, x): return A.forward(self, x)\nB()(1)\nA()\n"
        ),
    },
    "a-circle-of-heirs": {
        "a.py": f"import b\n{SOUND}class A(b.B, nn.Module): pass\nA(probe)(1).x\nA().x()\n",
        "b.py": "import c\nclass B(c.C): pass\nB().x\n",
        "c.py": (
            "import a\nclass C(a.A):\n"
            "    def forward(self, x): return super().forward(x)\nC()(1)\nC.x\n"
        ),
    },
    "a-package-and-its-parts": {
        "a.py": f"from pkg import *\nimport pkg.inner.deep as d\n{SOUND}d.f(probe)\n",
        "pkg/__init__.py": "from .inner import *\nfrom . import inner\nfrom a import *\n",
        "pkg/inner/__init__.py": "from .. import *\nfrom ...... import far\nfrom .deep import f\n",
        "pkg/inner/deep.py": "from pkg import f as g\ndef f(x): return g(x)\n",
    },
}


@pytest.mark.parametrize("files", CIRCLES.values(), ids=CIRCLES)
def test_projects_that_go_in_circles(project: Path, files: dict[str, str]) -> None:
    for path, text in files.items():
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).write_text(text)
    outcome = check(project)
    assert_fate(outcome, "a.py", ANALYSED)


# --- notebooks ------------------------------------------------------------------------


def notebook(*cells: str, **more: object) -> str:
    raw = [{"cell_type": "code", "source": cell, "metadata": {}, "outputs": []} for cell in cells]
    return json.dumps({"cells": raw, "metadata": {}, "nbformat": 4, "nbformat_minor": 5, **more})


IN_R = {"kernelspec": {"language": "R"}}
DEEP = f'{{"cells": [], "metadata": {{"kernelspec": {"[" * 5_000}{"]" * 5_000}}}}}'
NOTEBOOKS = {
    "empty": (b"", UNREADABLE),
    "no-json": (b"{", UNREADABLE),
    "a-list": (b"[]", UNREADABLE),
    "null": (b"null", UNREADABLE),
    "no-cells": (b"{}", UNREADABLE),
    "old-format": (b'{"worksheets": [], "nbformat": 3, "metadata": {}}', UNREADABLE),
    "cells-that-are-none": (b'{"cells": [1, null], "nbformat": 4}', UNREADABLE),
    "source-that-is-none": (b'{"cells": [{"cell_type": "code", "source": 5}]}', UNREADABLE),
    "not-utf-8": (notebook("x = 'caf\u00e9'").encode("utf-16"), UNREADABLE),
    "deep-metadata": (DEEP.encode(), UNREADABLE),
    "half-a-pair": (notebook(SOUND, "x = '\ud800'").encode(), UNREADABLE),
    "null-byte": (notebook(SOUND, "x = '\0'").encode(), UNREADABLE),
    "another-language": (notebook(SOUND, metadata=IN_R).encode(), SKIPPED),
    "odd-metadata": (notebook(SOUND, metadata={"kernelspec": "python"}).encode(), ANALYSED),
    "byte-order-mark": (b"\xef\xbb\xbf" + notebook(SOUND).encode(), ANALYSED),
    "carriage-returns": (notebook(SOUND.replace("\n", "\r")).encode(), ANALYSED),
    "magics": (notebook("!ls\n%matplotlib inline\nx?", "%%bash\nfor (", SOUND).encode(), ANALYSED),
}  # fmt: skip


@pytest.mark.parametrize(("content", "fate"), NOTEBOOKS.values(), ids=NOTEBOOKS)
def test_notebooks_that_are_hardly_any(project: Path, content: bytes, fate: str) -> None:
    (project / "hostile.ipynb").write_bytes(content)
    assert_fate(check(project), "hostile.ipynb", fate)


BROKEN_CELLS = {
    "a-syntax-error": "def f(:\n",
    "python-2": "print 'a'",
    "no-body": "if x:\n",
    "an-open-bracket": "x = (1,",
    "an-open-text": "s = '''abc",
    "a-backslash": "x = 1 + \\",
    "deep-parentheses": f"x = {'(' * 3000}{')' * 3000}",
    "an-endless-sum": f"x = {'+'.join(['1'] * 10_000)}",
}


@pytest.mark.parametrize("broken", BROKEN_CELLS.values(), ids=BROKEN_CELLS)
def test_a_broken_cell_costs_no_other(project: Path, broken: str) -> None:
    (project / "a.ipynb").write_text(notebook(TORCH, FAULT, broken, FAULT, "", FAULT))
    outcome = check(project)
    found = [(d.code, d.span.cell) for d in outcome.diagnostics if d.span.path == "a.ipynb"]
    assert sorted(found) == [("RNN001", 2), ("RNN503", 1), ("RNN503", 3), ("RNN503", 5)]
    assert outcome.notices == ()


def test_many_broken_cells_cost_no_other(project: Path) -> None:
    cells = [cell for number in range(30) for cell in ("def f(:", FAULT)]
    (project / "a.ipynb").write_text(notebook(TORCH, *cells))
    found = [(d.code, d.span.cell) for d in check(project).diagnostics if d.span.path == "a.ipynb"]
    expected = [("RNN001", 2 * n + 1) for n in range(30)] + [
        ("RNN503", 2 * n + 2) for n in range(30)
    ]
    assert sorted(found) == sorted(expected)


# --- things that are no files ---------------------------------------------------------


def _link(folder: Path) -> None:
    (folder / "hostile.py").symlink_to(folder / "nowhere.py")


def _loop(folder: Path) -> None:
    (folder / "hostile.py").symlink_to(folder / "hostile.py")


def _pipe(folder: Path) -> None:
    os.mkfifo(folder / "hostile.py")


def _socket(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        here = os.getcwd()
        os.chdir(folder)  # the address of a socket may not be long
        try:
            server.bind("hostile.py")
        finally:
            os.chdir(here)


@pytest.mark.parametrize("make", [_link, _loop, _pipe, _socket])
def test_things_that_are_no_files(project: Path, make: Callable[[Path], None]) -> None:
    make(project)
    assert_fate(check(project), "hostile.py", SKIPPED)
    assert_fate(check(project, "hostile.py", "sibling.py"), "hostile.py", UNREADABLE)


def test_a_folder_may_be_called_like_a_file(project: Path) -> None:
    (project / "hostile.py").mkdir()
    (project / "hostile.py" / "inner.py").write_text(SOUND)
    (project / "linked.py").symlink_to(project / "hostile.py", target_is_directory=True)
    outcome = check(project)
    assert (outcome.notices, outcome.summary.analysed) == ((), 2)
    assert codes(outcome, "hostile.py/inner.py") == ["RNN503"]
    assert codes(check(project, "hostile.py"), "hostile.py/inner.py") == ["RNN503"]


def test_links_in_circles_are_not_followed(project: Path) -> None:
    (project / "pkg").mkdir()
    for name in ("up", "self"):
        (project / "pkg" / name).symlink_to(project, target_is_directory=True)
    (project / "pkg" / "round").symlink_to(project / "pkg" / "round")
    outcome = check(project)
    assert (outcome.notices, outcome.summary.analysed) == ((), 1)
    assert codes(outcome, "sibling.py") == ["RNN503"]


@pytest.mark.parametrize("name", [b"\xff.py", b"\xff/inner.py", b"caf\xe9.ipynb"])
def test_names_that_are_no_text(project: Path, name: bytes) -> None:
    path = os.path.join(os.fsencode(project), name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write(SOUND)
    outcome = check(project)
    assert codes(outcome, "sibling.py") == ["RNN503"]
    (notice,) = outcome.notices
    assert "rename it" in notice.message
    assert notice.path.isascii()
    asked = check(project, os.fsdecode(path), "sibling.py")
    assert any(notice.fatal for notice in asked.notices)
    assert codes(asked, "sibling.py") == ["RNN503"]


def test_a_project_in_a_folder_whose_name_is_no_text(tmp_path: Path) -> None:
    folder = Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), b"\xff")))
    folder.mkdir()
    (folder / "rnnlint.toml").write_text("")
    (folder / "a.py").write_text(SOUND)
    outcome = engine.check(engine.Request(cwd=str(folder)))
    assert (codes(outcome, "a.py"), outcome.notices) == (["RNN503"], ())
    assert engine.check(engine.Request(cwd=str(folder))).summary.cached


def test_odd_but_proper_names(project: Path) -> None:
    names = ["a\nb.py", "a b.py", "-.py", "\u00e9\U0001f600.py", "[x]*.py", "a:b.py", "'\".py"]
    for name in names:
        (project / name).write_text(SOUND)
    outcome = check(project)
    assert outcome.notices == ()
    assert all(codes(outcome, name) == ["RNN503"] for name in names)
    assert all(codes(check(project, name), name) == ["RNN503"] for name in names)


# --- what changes while it is looked at -----------------------------------------------


def test_a_folder_that_vanishes_during_the_scan(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "gone").mkdir()
    (project / "gone" / "a.py").write_text(SOUND)
    scandir = os.scandir

    def vanishing(path: str) -> Iterator[os.DirEntry[str]]:
        if os.path.basename(path) == "gone":
            (project / "gone" / "a.py").unlink()
            (project / "gone").rmdir()
        return scandir(path)

    monkeypatch.setattr(os, "scandir", vanishing)
    outcome = check(project)
    assert codes(outcome, "sibling.py") == ["RNN503"]
    assert [(notice.path, notice.fatal) for notice in outcome.notices] == [("gone", False)]


def test_a_file_that_vanishes_after_the_scan(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "hostile.py").write_text(SOUND)

    def vanishing(path: str, *arguments: object, **named: object) -> object:
        (project / "hostile.py").unlink(missing_ok=True)
        return open(path, "rb", buffering=0)

    monkeypatch.setattr("rnnlint.project.source.open", vanishing, raising=False)
    assert_fate(check(project), "hostile.py", UNREADABLE)


@pytest.mark.parametrize("asked", [(), ("hostile.py", "sibling.py"), ("sibling.py",)])
def test_a_file_that_may_not_be_read(
    project: Path, monkeypatch: pytest.MonkeyPatch, asked: tuple[str, ...]
) -> None:
    (project / "hostile.py").write_text(SOUND)

    def refusing(path: str, *arguments: object, **named: object) -> object:
        if path.endswith("hostile.py"):
            raise PermissionError(13, "Permission denied")
        return open(path, "rb", buffering=0)

    monkeypatch.setattr("rnnlint.project.source.open", refusing, raising=False)
    outcome = check(project, *asked)
    fate = SKIPPED if asked == ("sibling.py",) else UNREADABLE
    assert_fate(outcome, "hostile.py", fate)
    assert "Permission denied" in outcome.notices[0].message


# --- many files -----------------------------------------------------------------------


def test_ten_thousand_files(tmp_path: Path) -> None:
    (tmp_path / "rnnlint.toml").write_text("")
    for folder in range(100):
        (tmp_path / f"pkg{folder}").mkdir()
        for number in range(100):
            text = SOUND if number == folder else "" if number % 2 else "import os\n"
            (tmp_path / f"pkg{folder}" / f"m{number}.py").write_text(text)
    request = engine.Request(cwd=str(tmp_path))
    first, second = engine.check(request), engine.check(request)
    assert [d.code for d in first.diagnostics] == ["RNN503"] * 100
    assert (first.notices, first.summary.analysed, first.summary.lowered) == ((), 10_000, 100)
    assert (first.summary.cached, second.summary.cached) == (False, True)
    assert second.diagnostics == first.diagnostics


# --- faults of our own ----------------------------------------------------------------


def test_a_rule_that_fails_costs_no_other(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rnnlint import registry

    info = next(info for info in registry.available() if info.code == "RNN401")
    monkeypatch.setattr(type(registry.load(info)), "check", lambda self, program: 1 // 0)
    (notice,) = check(project).notices
    assert notice.fatal
    assert "rule RNN401 failed" in notice.message
    assert "ZeroDivisionError" in notice.message
    assert codes(check(project), "sibling.py") == ["RNN503"]
    monkeypatch.setenv("RNNLINT_TRACEBACK", "1")
    with pytest.raises(ZeroDivisionError):
        check(project)


def test_an_analysis_that_fails_costs_no_other_entry_point(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "hostile.py").write_text(f"{TORCH}x = -probe\n{FAULT}")
    monkeypatch.setattr("rnnlint.semantics.operations.unary", lambda op, operand: 1 // 0)
    request = engine.Request(cwd=str(project))
    outcome = engine.check(request)
    assert codes(outcome, "sibling.py") == ["RNN503"]
    (notice,) = outcome.notices
    assert notice.fatal
    assert "the analysis failed" in notice.message
    monkeypatch.undo()
    assert codes(engine.check(request), "hostile.py") == ["RNN503"]


def test_a_bound_that_is_hit_is_told(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rnnlint.semantics.interpreter.MAX_ENTRY_STEPS", 50)
    (project / "hostile.py").write_text(SOUND + "for i in [probe] * 4: i(1)\n" + "x = 1\n" * 100)
    (notice,) = check(project).notices
    assert not notice.fatal
    assert "findings may be missing" in notice.message


# --- the command line -----------------------------------------------------------------


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "rnnlint", "check", "--no-cache", *arguments]
    checkout = str(Path(__file__).parent.parent)
    environment = {**os.environ, "PYTHONPATH": checkout, "NO_COLOR": "1", "COLUMNS": "100"}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_the_command_line_survives_it_all_at_once(project: Path) -> None:
    for name, (content, _) in BYTES.items():
        (project / f"{name}.py").write_bytes(content)
    for name, (text, _) in PROGRAMS.items():
        (project / f"{name}.py").write_text(SOUND + text, newline="")
    for name, (content, _) in NOTEBOOKS.items():
        (project / f"{name}.ipynb").write_bytes(content)
    (project / "link.py").symlink_to(project / "link.py")
    os.mkfifo(project / "pipe.py")
    completed = run(project, "--output-format", "json")
    assert completed.returncode == 2, completed.stderr
    assert "Traceback" not in completed.stderr
    found = {(d["path"], d["code"]) for d in json.loads(completed.stdout)}
    fates = {f"{name}.py": fate for name, (_, fate) in (*BYTES.items(), *PROGRAMS.items())}
    fates |= {f"{name}.ipynb": fate for name, (_, fate) in NOTEBOOKS.items()}
    expected = {(path, "RNN503") for path, fate in fates.items() if fate == ANALYSED}
    expected |= {(path, "RNN001") for path, fate in fates.items() if fate == UNPARSABLE}
    assert found == {*expected, ("sibling.py", "RNN503")}
    refused = [path for path, fate in fates.items() if fate in (UNREADABLE, SKIPPED)]
    for path in (*refused, "link.py", "pipe.py"):
        assert f": {path}: " in completed.stderr
    assert f"skipped {len(refused) + 2}: " in completed.stderr.replace("\n", " ")


@pytest.mark.parametrize(
    ("paths", "code"),
    [
        (["sibling.py"], 1),
        (["absent.py"], 2),
        (["absent.py", "sibling.py"], 2),
        (["nul.py"], 2),
        (["."], 2),
        (["broken.py"], 1),
        (["sound.py"], 0),
        (["nothing"], 0),
    ],
)
def test_exit_codes(project: Path, paths: list[str], code: int) -> None:
    (project / "nul.py").write_bytes(b"\0")
    (project / "broken.py").write_text(f"{TORCH}nn.LSTM(1, 2\n")
    (project / "sound.py").write_text("")
    (project / "nothing").mkdir()
    completed = run(project, *paths)
    assert completed.returncode == code, completed.stderr
    assert "Read " in completed.stdout
    if "sibling.py" in paths:
        assert "RNN503" in completed.stdout
