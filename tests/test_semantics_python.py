"""Python itself: names, calls, classes, branches, loops and imports."""

from __future__ import annotations

import pytest
from programs import analysed, calls, happenings, only, option_of, the_call
from rnnlint.semantics import events, tensors, values


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


# --- branches --------------------------------------------------------------


def test_both_arms_of_an_open_test_are_run() -> None:
    program = analysed(
        """
if unseen():
    layer = nn.LSTM(8, 16)
else:
    layer = nn.GRU(8, 16)
layer(x)
"""
    )
    assert {call.layer.kind for call in calls(program)} == {"LSTM", "GRU"}


def test_what_happens_in_one_arm_is_conditional() -> None:
    program = analysed("layer = nn.LSTM(8, 16)\nif unseen():\n    layer(x)\nlayer(x)\n")
    assert [call.conditional for call in calls(program)] == [True, False]


def test_an_arm_that_a_constant_switches_off_is_hypothetical() -> None:
    program = analysed("layer = nn.LSTM(8, 16)\nif 1 > 2:\n    layer(x)\n")
    assert program.of(events.LayerCall) == ()
    assert only(program.possible(events.LayerCall)).hypothetical


def test_layers_of_a_switched_off_arm_are_possible_only() -> None:
    program = analysed("if 1 > 2:\n    layer = nn.LSTM(8, 16)\n")
    assert program.layers == ()
    assert len(program.possible_layers) == 1


OPTIONS = {
    "an argparse flag": (
        'parser = argparse.ArgumentParser()\nparser.add_argument("--pack", action="store_true")\n'
        "args = parser.parse_args()\n",
        "args.pack",
    ),
    "a module's switch": ("pack = False\n", "pack"),
    "a setting in capitals": ("PACK = 0\n", "PACK"),
    "a dict of settings": ('config = {"pack": False}\n', 'config["pack"]'),
}


@pytest.mark.parametrize(("before", "test"), OPTIONS.values(), ids=OPTIONS)
def test_the_arm_that_an_option_would_choose_is_unlikely_but_real(before: str, test: str) -> None:
    program = analysed(
        f"{before}\nlayer = nn.LSTM(8, 16)\nif {test}:\n    layer(x)\nelse:\n    layer(y)\n"
    )
    assert len(program.of(events.LayerCall)) == 2
    assert [call.context.unlikely for call in calls(program)] == [False, True]
    assert len(program.chosen(events.LayerCall)) == 1


def test_the_default_of_an_option_comes_first_among_alternatives() -> None:
    program = analysed(
        """
parser = argparse.ArgumentParser()
parser.add_argument("--kind", default="GRU", choices=["LSTM", "GRU"])
args = parser.parse_args()
if args.kind == "LSTM":
    layer = nn.LSTM(8, 16)
else:
    layer = nn.GRU(8, 16)
layer(x)
"""
    )
    assert calls(program)[0].layer.kind == "GRU"


def test_isinstance_narrows_the_alternatives() -> None:
    program = analysed(
        """
layer = nn.LSTM(8, 16) if unseen else nn.GRU(8, 16)
if isinstance(layer, nn.LSTM):
    layer(x)
"""
    )
    assert [call.layer.kind for call in calls(program)] == ["LSTM"]


@pytest.mark.parametrize(
    "test", ["layer is not None", "layer", "not layer is None", "layer is not None and unseen"]
)
def test_none_is_ruled_out_by_a_test(test: str) -> None:
    program = analysed(
        f"""
layer = None
if unseen:
    layer = nn.LSTM(8, 16)
if {test}:
    chosen = layer
    optimizer = optim.Adam(chosen.parameters())
"""
    )
    assert program.recurrent_layers(only(program.optimizers)) == frozenset(program.layers)


def test_a_return_in_one_arm_leaves_the_rest_to_the_other() -> None:
    program = analysed(
        """
def build(kind):
    if kind == "lstm":
        return nn.LSTM(8, 16)
    if kind == "gru":
        return nn.GRU(8, 16)
    raise ValueError(kind)
layer = build("gru")
layer(x)
"""
    )
    assert the_call(program).layer.kind == "GRU"


def test_a_match_statement_chooses_by_its_subject() -> None:
    program = analysed(
        """
def build(kind):
    match kind:
        case "lstm":
            return nn.LSTM(8, 16)
        case "gru":
            return nn.GRU(8, 16)
build("gru")(x)
"""
    )
    assert the_call(program).layer.kind == "GRU"


def test_both_ways_out_of_a_try_are_possible() -> None:
    program = analysed(
        """
try:
    layer = nn.LSTM(8, 16)
except RuntimeError:
    layer = nn.GRU(8, 16)
layer(x)
"""
    )
    assert {call.layer.kind for call in calls(program)} == {"LSTM", "GRU"}


def test_the_clauses_of_a_try_that_always_run_do_so_once() -> None:
    program = analysed(
        """
layer = nn.LSTM(8, 16)
try:
    prepare()
finally:
    layer(x)
"""
    )
    assert len(program.of(events.LayerCall)) == 1


# --- loops -----------------------------------------------------------------


def test_a_loop_over_unknown_items_takes_two_turns() -> None:
    program = analysed("layer = nn.LSTM(8, 16)\nfor x in unseen:\n    layer(x)\n")
    assert [call.loops[0][2] for call in program.of(events.LayerCall)] == [0, 1]


def test_known_items_are_visited_one_by_one() -> None:
    program = analysed(
        """
layers = [nn.LSTM(8, 16), nn.GRU(8, 16), nn.RNN(8, 16)]
for layer in layers:
    layer(x)
"""
    )
    assert [call.layer.kind for call in calls(program)] == ["LSTM", "GRU", "RNN"]


def test_a_state_that_is_carried_shows_in_the_second_turn() -> None:
    program = analysed(
        """
layer, h = nn.GRU(8, 16), None
for x in unseen:
    out, h = layer(x, h)
"""
    )
    first, second = program.of(events.LayerCall)
    assert second.state is not None
    assert _graph(second.state) == {first}


def _graph(state: values.Value | None) -> frozenset[events.LayerCall]:
    assert state is not None
    return tensors.graph_of(state)


DETACHED = [
    "h = h.detach()",
    "h = h.data",
    "h = h.clone().detach()",
    "h = torch.autograd.Variable(h.data)",
    "h = repackage(h)",
    "h = torch.zeros(1, 4, 16)",
    "h = None",
    "h.detach_()",
]


@pytest.mark.parametrize("statement", DETACHED)
def test_a_detached_state_leaves_the_graph(statement: str) -> None:
    program = analysed(
        f"""
def repackage(h):
    if isinstance(h, torch.Tensor):
        return h.detach()
    return tuple(repackage(v) for v in h)
layer, h = nn.GRU(8, 16), torch.zeros(1, 4, 16)
for x in unseen:
    out, h = layer(x, h)
    {statement}
"""
    )
    assert _graph(program.of(events.LayerCall)[1].state) == frozenset()


@pytest.mark.parametrize(
    "statement",
    [
        "h = tuple(v.detach() for v in h)",
        "h = tuple([v.data for v in h])",
        "h = [v.detach() for v in h]",
        "h = (h[0].detach(), h[1].detach())",
        "h, c = h; h = (h.detach(), c.detach())",
        "h = repackage(h)",
        "h = tuple(map(lambda v: v.detach(), h))",
        "h[0].detach_(); h[1].detach_()",
        "for v in h: v.detach_()",
        "h, c = h; h.detach_(); c.detach_(); h = (h, c)",
    ],
)
def test_the_pair_of_an_lstm_is_detached_too(statement: str) -> None:
    program = analysed(
        f"""
def repackage(h):
    if isinstance(h, torch.Tensor):
        return h.detach()
    else:
        return tuple(repackage(v) for v in h)
layer, h = nn.LSTM(8, 16), None
for x in unseen:
    out, h = layer(x, h)
    {statement}
"""
    )
    assert _graph(program.of(events.LayerCall)[1].state) == frozenset()


def test_detach_without_assignment_detaches_nothing() -> None:
    program = analysed(
        """
layer, h = nn.GRU(8, 16), None
for x in unseen:
    out, h = layer(x, h)
    h.detach()
"""
    )
    assert _graph(program.of(events.LayerCall)[1].state)


def test_a_state_that_lives_in_the_module_is_carried_too() -> None:
    program = analysed(
        """
class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn, self.h = nn.GRU(8, 16), None
    def forward(self, x):
        out, self.h = self.rnn(x, self.h)
        return out
model = Model()
for x in unseen:
    model(x)
"""
    )
    assert _graph(program.of(events.LayerCall)[1].state)


def test_no_grad_leaves_no_graph() -> None:
    program = analysed(
        """
layer, h = nn.GRU(8, 16), None
with torch.no_grad():
    for x in (1, 2):
        out, h = layer(unseen, h)
@torch.no_grad()
def evaluate(h):
    for x in (1, 2):
        out, h = layer(unseen, h)
evaluate(None)
"""
    )
    assert len(calls(program)) == 2
    assert not any(_graph(call.state) for call in calls(program))
    assert not any(call.context.gradients for call in calls(program))


def test_break_and_continue_end_a_turn() -> None:
    program = analysed(
        """
layer = nn.LSTM(8, 16)
for x in unseen:
    if x is None:
        continue
    layer(x)
    break
layer.eval()
layer(y)
"""
    )
    assert len(calls(program)) == 2


def test_a_while_loop_is_run() -> None:
    program = analysed("layer = nn.LSTM(8, 16)\nwhile True:\n    layer(x)\n")
    assert len(program.of(events.LayerCall)) == 2


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
    assert the_call(program).input.padding is not None  # type: ignore[attr-defined]


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
    assert the_call(program).input.padding is not None  # type: ignore[attr-defined]


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


def test_what_lies_beyond_the_bounds_is_admitted() -> None:
    body = "".join(f"    x{i} = [x for x in rows]\n" for i in range(40))
    nested = "".join(
        f"def f{i}():\n{body}    f{i + 1}()\n    f{i + 1}()\n    layer(x)\n" for i in range(30)
    )
    program = analysed(f"layer = nn.LSTM(8, 16)\n{nested}def f30():\n    pass\nf0()\n")
    assert program.of(events.LayerCall)


# --- files -----------------------------------------------------------------

MODEL = """
from torch import nn
class Model(nn.Module):
    def __init__(self, hidden=16):
        super().__init__()
        self.rnn = nn.LSTM(8, hidden)
    def forward(self, x):
        return self.rnn(x)
"""
LAYOUTS = {
    "from a file": {"model.py": MODEL, "train.py": "from model import Model\nModel(32)(x)\n"},
    "from a file, renamed": {
        "model.py": MODEL,
        "train.py": "from model import Model as Net\nNet(32)(x)\n",
    },
    "through its module": {"model.py": MODEL, "train.py": "import model\nmodel.Model(32)(x)\n"},
    "through a renamed module": {
        "model.py": MODEL,
        "train.py": "import model as m\nm.Model(32)(x)\n",
    },
    "by a star": {"model.py": MODEL, "train.py": "from model import *\nModel(32)(x)\n"},
    "from a package": {
        "net/__init__.py": "",
        "net/model.py": MODEL,
        "train.py": "from net.model import Model\nModel(32)(x)\n",
    },
    "from a package that exports it": {
        "net/__init__.py": "from .model import Model\n",
        "net/model.py": MODEL,
        "train.py": "from net import Model\nModel(32)(x)\n",
    },
    "from a package that exports all": {
        "net/__init__.py": "from .model import *\n",
        "net/model.py": MODEL,
        "train.py": "import net\nnet.Model(32)(x)\n",
    },
    "from a folder without an init": {
        "net/model.py": MODEL,
        "train.py": "from net.model import Model\nModel(32)(x)\n",
    },
    "as a submodule": {
        "net/__init__.py": "",
        "net/model.py": MODEL,
        "train.py": "from net import model\nmodel.Model(32)(x)\n",
    },
    "by its dotted name": {
        "net/__init__.py": "",
        "net/model.py": MODEL,
        "train.py": "import net.model\nnet.model.Model(32)(x)\n",
    },
    "from a sibling": {
        "net/__init__.py": "",
        "net/model.py": MODEL,
        "net/train.py": "from .model import Model\nModel(32)(x)\n",
    },
    "from a folder above": {
        "net/__init__.py": "",
        "net/model.py": MODEL,
        "net/run/__init__.py": "",
        "net/run/train.py": "from ..model import Model\nModel(32)(x)\n",
    },
    "inside a function": {
        "model.py": MODEL,
        "train.py": "def main():\n    from model import Model\n    Model(32)(x)\nmain()\n",
    },
    "from a src layout": {
        "src/net/__init__.py": "",
        "src/net/model.py": MODEL,
        "train.py": "from net.model import Model\nModel(32)(x)\n",
    },
    "in a cycle": {
        "model.py": "import train\n" + MODEL,
        "train.py": "import model\ndef main():\n    model.Model(32)(x)\n"
        'if __name__ == "__main__":\n    main()\n',
    },
    "from a folder of scripts": {
        "code/model.py": MODEL,
        "code/train.py": "from model import Model\nModel(32)(x)\n",
    },
}


@pytest.mark.parametrize("files", LAYOUTS.values(), ids=LAYOUTS)
def test_a_model_of_another_file_is_found(files: dict[str, str]) -> None:
    program = analysed(files)
    called = the_call(program)
    assert option_of(called.layer, "hidden_size") == 32
    assert called.place.path.endswith("model.py")
    assert called.layer.place is not None
    assert called.layer.place.path.endswith("model.py")


def test_a_star_import_shares_settings() -> None:
    program = analysed(
        {
            "config.py": "hidden = 64\nlayers = 2\n",
            "train.py": "from config import *\nfrom torch import nn\nnn.LSTM(8, hidden, layers)\n",
        }
    )
    layer = only(program.layers)
    assert option_of(layer, "hidden_size") == 64
    assert option_of(layer, "num_layers") == 2


def test_a_file_that_is_not_there_is_unknown() -> None:
    program = analysed(
        {
            "train.py": "from torch import nn\nfrom .missing import build, size\n"
            "layer = build()\nlayer(x)\nnn.LSTM(8, size)\n"
        }
    )
    assert program.of(events.LayerCall) == ()
    assert only(program.layers).options["hidden_size"] == values.UNKNOWN


def test_each_module_runs_once() -> None:
    program = analysed(
        {
            "model.py": "from torch import nn\nlayer = nn.LSTM(8, 16)\n",
            "one.py": "from model import layer\n",
            "two.py": "import model\n",
        }
    )
    assert len(program.layers) == 1


def test_the_same_project_always_gives_the_same_events() -> None:
    files = LAYOUTS["in a cycle"]
    names = [
        [(type(event).__name__, event.place) for event in analysed(files).events] for _ in range(2)
    ]
    assert names[0] == names[1]
    assert happenings(analysed(files)) == ["forward"]
