"""Files that no one should have to read, and what is to become of each of them."""

from __future__ import annotations

import json

TORCH = "import torch\nfrom torch import nn\n"
FAULT = "probe = nn.GRU(3, 4, dropout=0.5)\n"
"""A line that is always found fault with (RNN503)."""
SOUND = TORCH + FAULT

ANALYSED, UNPARSABLE, UNREADABLE, SKIPPED = "analysed", "unparsable", "unreadable", "skipped"
"""What becomes of a file: its fault is found; it is an RNN001; a notice, fatal or not."""


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
"""Files that are hardly programs, and their fates."""


def indented(head: str, count: int, last: str) -> str:
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
    "deep-conditions": (indented("if x:", 95, "pass\n"), ANALYSED),
    "deep-functions": (indented("def f{}():", 90, "return nn.LSTM(1, 2)\n"), ANALYSED),
    "deep-loops": (indented("for a{} in b:", 30, "probe(a1)\n"), ANALYSED),
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
"""What no one writes behind a sound beginning, and the fate of the file."""


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
        + indented(" if x{}:", 30, " probe(x)\n")
        + "".join(f"{' ' * i} else:\n{' ' * i}  f(probe(x))\n" for i in reversed(range(30)))
        + "f(1)\n"
    ),
}
"""What would never end, or never fit into memory, if it were executed."""


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
"""What would raise if it were executed."""


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
"""Projects whose files refer to each other in circles; `a.py` is at fault."""


def notebook(*cells: str, **more: object) -> str:
    raw = [{"cell_type": "code", "source": cell, "metadata": {}, "outputs": []} for cell in cells]
    return json.dumps({"cells": raw, "metadata": {}, "nbformat": 4, "nbformat_minor": 5, **more})


IN_R = {"kernelspec": {"language": "R"}}
DEEP = f'{{"cells": [], "metadata": {{"kernelspec": {"[" * 400_000}{"]" * 400_000}}}}}'
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
"""Notebooks that are hardly any, and their fates."""


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
"""Cells that do not parse."""
