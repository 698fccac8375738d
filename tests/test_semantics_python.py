"""Python itself: expressions, functions and classes."""

from __future__ import annotations

import pytest
from programs import analysed, only, option_of, the_call, the_input

from rnnlint.semantics import events, values


def value_of(expression: str, before: str = "") -> values.Value:
    """What the interpreter knows of an expression: it becomes a layer's hidden size."""
    program = analysed(f"{before}\nobserved = nn.GRU(8, {expression})\n")
    return program.layers[-1].options["hidden_size"]


# --- expressions -----------------------------------------------------------

CONSTANTS = [
    ("4 * 2 + 1", 9),
    ("-3", -3),
    ("7 // 2", 3),
    ("(1, 2)[1]", 2),
    ("[1, 2, 3][-1]", 3),
    ("[1, 2, 3][1:][0]", 2),
    ("{'a': 5}['a']", 5),
    ("{'a': 5}.get('b', 6)", 6),
    ("dict(a=5)['a']", 5),
    ("{**{'a': 1}, 'a': 2}['a']", 2),
    ("5 if 2 > 1 else 6", 5),
    ("None or 7", 7),
    ("3 and 4", 4),
    ("[i for i in (4,)][0]", 4),
    ("list(zip([1, 2], [3, 4]))[1][0]", 2),
    ("list(enumerate([5, 6]))[1][1]", 6),
    ("list(map(lambda x: x, [3, 4]))[0]", 3),
    ("getattr(C, 'size')", 8),
    ("C().double()", 16),
    ("C().area", 64),
    ("C.made().size", 8),
    ("C.static(5)", 5),
    ("(lambda a, b=2: b)(1)", 2),
    ("f(*[1, 2])", 2),
    ("f(**{'a': 1, 'b': 4})", 4),
    ("f(1)", 3),
    ("(n := 5)", 5),
    ("closure()()", 12),
    ("wrapped()", 13),
    ("next(numbers())", 14),
    ("D(1).b", 15),
    ("D(b=3, a=1).b", 3),
]


@pytest.mark.parametrize(("expression", "value"), CONSTANTS)
def test_constants_are_computed(expression: str, value: object) -> None:
    before = """
import functools
from dataclasses import dataclass
class C:
    size = 8
    def double(self):
        return self.size * 2
    @property
    def area(self):
        return self.size * self.size
    @classmethod
    def made(cls):
        return cls()
    @staticmethod
    def static(x):
        return x
def f(a, b=3):
    return b
def closure():
    inner = 12
    def get():
        return inner
    return get
def keeps(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)
    return wrapper
@keeps
def wrapped():
    return 13
def numbers():
    yield 14
@dataclass
class D:
    a: int
    b: int = 15
"""
    assert value_of(expression, before) == values.Const(value)


UNKNOWNS = [
    "unseen",
    "unseen()",
    "unseen.size",
    "unseen[0]",
    "unseen + 1",
    "int(input())",
    "random.random()",
    "[unseen][0]",
    "{'a': unseen}['a']",
    "f(unseen)",
    "json.load(open('config.json'))['size']",
    "1 if unseen else 2",
    "os.environ['SIZE']",
]


@pytest.mark.parametrize("expression", UNKNOWNS)
def test_what_was_not_seen_decides_nothing(expression: str) -> None:
    found = value_of(expression, "import json, random\ndef f(a):\n    return a\n")
    assert values.truth(found) is None or isinstance(found, values.Union)
    assert not isinstance(found, values.Const)


def test_alternatives_are_all_remembered() -> None:
    found = value_of("n", "n = 1\nif unseen:\n    n = 2\n")
    assert set(values.members(found)) == {values.Const(1), values.Const(2)}


def test_a_module_that_nobody_runs_is_run_from_the_outermost_on() -> None:
    program = analysed(
        """
class Encoder(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.rnn = nn.LSTM(8, size)
    def forward(self, x):
        return self.rnn(x)
class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = Encoder(32)
    def forward(self, x):
        return self.encoder(x)
"""
    )
    assert option_of(the_call(program).layer, "hidden_size") == 32


@pytest.mark.parametrize(
    "name",
    ["builtins_only", "missing.attribute", "somewhere.config.flag", "somewhere.config['flag']"],
)
def test_a_library_value_is_no_evidence_of_a_switch(name: str) -> None:
    program = analysed(f"import somewhere\nlayer = nn.LSTM(8, 16, bidirectional={name})\n")
    assert values.default_truth(only(program.layers).options["bidirectional"]) is None


# --- functions and classes -------------------------------------------------


def test_a_function_that_nobody_calls_is_run_once() -> None:
    program = analysed("def train(loader):\n    layer = nn.LSTM(8, 16)\n    layer(unseen)\n")
    assert len(program.of(events.LayerCall)) == 1


def test_a_method_that_nobody_calls_is_run_on_the_object_that_was_built() -> None:
    program = analysed(
        """
class Trainer:
    def __init__(self, model):
        self.model = model
    def train(self, loader):
        for x in loader:
            self.model(x).sum().backward()
trainer = Trainer(nn.LSTM(8, 16))
"""
    )
    assert the_call(program).layer is only(program.layers)


def test_the_main_block_runs_after_the_module() -> None:
    program = analysed(
        """
def main():
    layer = build()
    layer(x)
if __name__ == "__main__":
    main()
def build():
    return nn.LSTM(8, 16)
"""
    )
    assert the_call(program).layer.kind == "LSTM"


def test_a_call_says_which_calls_led_to_it() -> None:
    program = analysed(
        """
class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(8, 16)
    def forward(self, x):
        return self.rnn(x)
def step(model, x):
    return model(x)
model = Model()
step(model, x)
"""
    )
    rows = [program.span(place).location.row for place in the_call(program).context.stack]
    assert len(rows) == 2
    assert rows[0] > rows[1]


INHERITANCE = {
    "from its base": (
        "class Model(Base):\n    pass\n",
        "LSTM",
    ),
    "from super": (
        "class Model(Base):\n    def __init__(self):\n        super().__init__()\n",
        "LSTM",
    ),
    "from super with arguments": (
        "class Model(Base):\n    def __init__(self):\n        super(Model, self).__init__()\n",
        "LSTM",
    ),
    "from its base by name": (
        "class Model(Base):\n    def __init__(self):\n        Base.__init__(self)\n",
        "LSTM",
    ),
    "from a hook that it overrides": (
        "class Model(Base):\n    def make(self):\n        return nn.GRU(8, 16)\n",
        "GRU",
    ),
    "from a mixin": (
        "class Mixin:\n    def make(self):\n        return nn.RNN(8, 16)\n"
        "class Model(Mixin, Base):\n    pass\n",
        "RNN",
    ),
}


@pytest.mark.parametrize(("model", "kind"), INHERITANCE.values(), ids=INHERITANCE)
def test_a_class_has_its_layer(model: str, kind: str) -> None:
    program = analysed(
        """
class Base(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = self.make()
    def make(self):
        return nn.LSTM(8, 16)
    def forward(self, x):
        return self.rnn(x)
"""
        + model
        + "Model()(x)\n"
    )
    assert the_call(program).layer.kind == kind


def test_a_generator_hands_out_what_it_yields() -> None:
    program = analysed(
        """
def batches(rows):
    for i in range(0, len(rows), 4):
        yield pad_sequence(rows[i:i + 4])
layer = nn.LSTM(8, 16)
for batch in batches(rows):
    layer(batch)
"""
    )
    assert the_call(program).input.padding is not None


@pytest.mark.parametrize(
    "loop",
    [
        "for batch in tqdm(batches):",
        "for i, batch in enumerate(batches):",
        "for i, batch in enumerate(tqdm(batches), 1):",
        "for batch, y in zip(batches, labels):",
        "for batch in iter(batches):",
        "for batch in list(batches):",
        "for batch in itertools.islice(batches, 10):",
        "for batch in map(to_device, batches):",
        "for batch in filter(None, batches):",
        "for batch in [to_device(b) for b in batches]:",
        "for batch in (b for b in batches if len(b)):",
        "for batch in reversed(batches):",
    ],
)
def test_wrappers_of_iterables_hand_out_the_same_items(loop: str) -> None:
    program = analysed(
        f"""
from tqdm import tqdm
def to_device(x):
    return x.to(device)
batches = [pad_sequence(rows[i]) for i in range(100)]
layer = nn.LSTM(8, 16)
{loop}
    layer(batch)
"""
    )
    assert the_call(program).input.padding is not None


def test_a_context_manager_of_the_project_gives_what_it_enters() -> None:
    program = analysed(
        """
class Session:
    def __enter__(self):
        return nn.LSTM(8, 16)
    def __exit__(self, *error):
        pass
with Session() as layer:
    layer(x)
"""
    )
    assert the_call(program).layer.kind == "LSTM"


def test_a_registry_filled_by_a_decorator_finds_the_class() -> None:
    program = analysed(
        """
MODELS = {}
def register(name):
    def keep(cls):
        MODELS[name] = cls
        return cls
    return keep
@register("rnn")
class Model(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.rnn = nn.LSTM(8, size)
    def forward(self, x):
        return self.rnn(x)
MODELS["rnn"](32)(x)
"""
    )
    assert option_of(the_call(program).layer, "hidden_size") == 32


def test_recursion_ends() -> None:
    program = analysed(
        """
def down(n, layer):
    layer(x)
    return down(n - 1, layer)
down(10, nn.LSTM(8, 16))
def forever():
    return forever()
"""
    )
    assert 1 <= len(program.of(events.LayerCall)) <= 4
    assert not program.exhausted


def test_calls_that_multiply_come_to_an_end() -> None:
    body = "    x = [x for x in rows]\n" * 5
    nested = "".join(
        f"def f{i}():\n{body}    f{i + 1}()\n    f{i + 1}()\n    layer(x)\n" for i in range(30)
    )
    program = analysed(f"layer = nn.LSTM(8, 16)\n{nested}def f30():\n    pass\nf0()\n")
    assert program.of(events.LayerCall)


NAMED = {
    "collated": """
class Rows(Dataset):
    def __getitem__(self, index):
        return Pair(torch.zeros(5, 8), torch.zeros(1))

for pair in DataLoader(Rows(), batch_size=4):
    read = pair.x
""",
    "with a tensor that was changed in place": """
pair = Pair(torch.zeros(4, 5, 8), torch.zeros(4))
pair.x.detach_()
read = pair.x
""",
    "detached": """
pair = detach_state(Pair(torch.zeros(4, 5, 8), torch.zeros(4)))
read = pair.x
""",
}


@pytest.mark.parametrize("how", NAMED)
def test_a_named_tuple_stays_one(how: str) -> None:
    program = analysed(
        f"""
from collections import namedtuple
from rnnlint.runtime import detach_state

Pair = namedtuple("Pair", "x y")
{NAMED[how]}
nn.LSTM(8, 16, batch_first=True)(read)
"""
    )
    assert not the_input(program).open
