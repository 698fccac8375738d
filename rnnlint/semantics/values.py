"""Abstract values: what the interpreter knows of a Python object.

A value is either an immutable record (`Const`, `Tensor`, `Tuple`, ...) or an
*object* with identity (`Instance`, `Layer`, `ListObject`, ...), whose state
lives in a `fields` dictionary.  All writes to fields and scopes go through
`state.State`, so that a branch can be undone and joined with another.

`UNKNOWN` is the honest answer for everything that was not seen; it is never
evidence.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from rnnlint.lowering import ir

if TYPE_CHECKING:
    from rnnlint.semantics.events import Context, LayerCall


class Place(msgspec.Struct, frozen=True, order=True):
    """A stretch of one file, in code points of its text."""

    path: str
    start: int
    end: int


class Step(msgspec.Struct, frozen=True):
    """One step of a provenance: a place and what happened there."""

    place: Place
    words: str


Provenance = tuple[Step, ...]


class Value:
    """Base of all abstract values."""

    __slots__ = ()


class Record(Value, msgspec.Struct, frozen=True):
    """Base of immutable values, compared by content."""


class Unknown(Record, frozen=True):
    """Anything."""


UNKNOWN = Unknown()


class Excerpt(Record, frozen=True):
    """Which steps of a longer sequence something has, one by one and in their order.

    `of` identifies the sequence, and the first step is the one so many (`start`) after what
    `after` identifies: the value of an expression, or the front where it is None.
    """

    of: Any
    after: Any = None
    start: int = 0
    axis: int | None = None
    """Where its time is, if that is known; `ANY_AXIS` for a whole that was not cut."""

    def precedes(self, other: Excerpt) -> bool:
        """Whether the other has the steps that follow these, each by one."""
        same = (self.of, self.after, self.start + 1)
        return same == (other.of, other.after, other.start)


ANY_AXIS = -1


class UnknownExcerpt(Unknown, frozen=True):
    """Anything, but known steps of it."""

    excerpt: Excerpt


class DrawnNumber(Unknown, frozen=True):
    """A whole number drawn at random: another one for each sequence that is made with it."""


class LengthTest(Unknown, frozen=True):
    """The outcome of a test on a length: it differs from sequence to sequence."""


class Const(Record, frozen=True):
    """A Python constant: a number, string, bool or None.

    `option` marks a default that the user of the program can change: an argparse
    default, a command-line flag, an environment variable.
    """

    value: Any
    option: bool = False

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Const)
            and type(self.value) is type(other.value)
            and self.value == other.value
            and self.option == other.option
        )

    def __hash__(self) -> int:
        return hash((type(self.value), self.value, self.option))


MAX_TEXT = 1000
MAX_BITS = 64
_WIDE = re.compile(r"\d{4}|\{[^{}]+\{")


def is_unwieldy(constant: object) -> bool:
    """Whether a computed constant is larger than any that matters: loops make them grow."""
    if isinstance(constant, str):
        return len(constant) > MAX_TEXT
    return isinstance(constant, int) and constant.bit_length() > MAX_BITS


def formats_widely(template: str) -> bool:
    """Whether formatting with this template could fill the memory: `"%999999999d"`."""
    return _WIDE.search(template) is not None


NONE = Const(None)
TRUE = Const(True)
FALSE = Const(False)


class Tuple(Record, frozen=True):
    items: tuple[Value, ...]


class NamedTuple(Tuple, frozen=True):
    """What `collections.namedtuple` makes."""

    names: tuple[str, ...] = ()


def of_its_kind(value: Tuple, items: Iterable[Value]) -> Tuple:
    """A tuple of other items under the same names."""
    return msgspec.structs.replace(value, items=tuple(items))


def mapped(value: Value, change: Callable[[Value], Value]) -> Value:
    """A tuple or dict with each of its items changed; anything else as it is."""
    if isinstance(value, Tuple):
        return of_its_kind(value, map(change, value.items))
    if isinstance(value, DictObject):
        entries = {key: change(item) for key, item in value.fields["entries"].items()}
        return DictObject(entries, value.fields["rest"])
    return value


def is_nested(value: Value, levels: int) -> bool:
    """Whether a tuple holds tuples more than so many levels deep."""
    if not isinstance(value, Tuple):
        return False
    return levels == 0 or any(is_nested(item, levels - 1) for item in value.items)


class Prefix(Record, frozen=True):
    """A string of which only the beginning is known."""

    text: str


class Union(Record, frozen=True):
    """One of several values; the first is what the program's defaults choose."""

    members: tuple[Value, ...]


class Relative(Record, frozen=True):
    """Lengths as shares of the longest, or what they are times the padded length."""

    steps: Provenance
    cut: Place | None = None
    """Where they become whole numbers, and whatever follows the point is cut off."""
    presumed: bool = False
    """Whether it is only from what is done with them that they must be shares."""
    repeated: bool = False
    """Whether this may be no product, but a list that is repeated."""


class Size(Record, frozen=True):
    """The number of elements of something: `len(x)`, `x.size(0)`, `x.shape[1]`.

    `of` identifies what is measured where that is known: the abstract object or
    tensor root, with the axis.  `relative` says that it is a share of another size.
    """

    of: Any = None
    axis: int | None = None
    relative: Relative | None = None


class Shape(Record, frozen=True):
    """`x.shape`, `x.size()`: the sizes that are known from the front, and of how many."""

    sizes: tuple[Value, ...] = ()
    rank: int | None = None

    def axis(self, index: int) -> Value:
        """The size of one axis."""
        if index >= len(self.sizes) or index < (0 if self.rank is None else -len(self.sizes)):
            return Size()
        size = self.sizes[index]
        return Size() if isinstance(size, Unknown) else size


class Shortfall(Record, frozen=True):
    """`longest - len(x)`: how many padding elements one sequence lacks."""


class Filler(Record, frozen=True):
    """A run of padding elements, as in `[0] * (longest - len(x))`."""

    place: Place
    value: Value = UNKNOWN


class Slice(Record, frozen=True):
    lower: Value | None
    upper: Value | None
    step: Value | None
    single: bool = False
    """Whether it takes one position, wherever that is: `x[i : i + 1]`."""


class External(Record, frozen=True):
    """Something of a library, by its full dotted name: `torch.nn.LSTM`."""

    name: str


class Device(Record, frozen=True):
    """`kind` is "cpu" or "gpu" (an accelerator, where there is one)."""

    kind: str


class Padding(Record, frozen=True):
    """Who pads, on which side, and how the padded batch came here."""

    side: str
    """"right", "left" or "" where it was not seen."""
    steps: Provenance
    filler: Value = UNKNOWN
    """What it consists of: the id of padding, where that is known."""
    embeddings: tuple[Layer, ...] = ()
    """Those that looked it up and learn by it, where it consists of their vectors now."""


RENUMBERS = "gives padding another number"
"""The words of a step that leaves padding where it is, with another filler."""


TO_LONGEST = "pads every batch to its longest sequence"
"""The words of a step that leaves no step in which the whole batch is padding."""


class Activation(Record, frozen=True):
    """The last activation that a tensor went through."""

    kind: str
    place: Place


class Drawn(Record, frozen=True):
    """Random numbers, drawn at a place in some turn of the loops under way."""

    place: Place
    loops: tuple[tuple[Place, int, int], ...]


class Axis(Record, frozen=True):
    """What one axis of a tensor runs over, and how long it is; `axes` has the names."""

    name: str = ""
    size: Value = UNKNOWN


class Tensor(Record, frozen=True):
    """What is known of a tensor or array."""

    padding: Padding | None = None
    padding_of_step: Padding | None = None
    """Of one step of a padded batch: the padding of the sequences that ended before it."""
    packed: bool = False
    axes: tuple[Axis, ...] = ()
    open: bool = True
    """Whether the number of axes is not known."""
    batch_axis_steps: Provenance = ()
    calls: frozenset[LayerCall] = frozenset()
    """Recurrent layer calls whose graph this tensor still hangs on."""
    output_of: LayerCall | None = None
    part: str = ""
    """With `output_of`: "output", "state", "hidden" or "cell"."""
    values_of: LayerCall | None = None
    """The recurrent call whose outputs it still holds: selected, rearranged, dropped out,
    and nothing else."""
    unpacked: bool = False
    """Whether pad_packed_sequence made it: zeros follow each sequence's end."""
    activation: Activation | None = None
    lengths: bool = False
    counted: Provenance = ()
    """Of lengths: where they were counted in a mask, if nothing keeps them above zero."""
    relative: Relative | None = None
    """Of lengths: how they came to be shares of the longest, until they are rounded."""
    mask: bool = False
    penalty: bool = False
    """Whether it was computed from a mask alone: `(1 - mask) * -1e9`."""
    order: str = ""
    """Of a batch or its lengths: "sorted", "arbitrary" or "" (unknown); an index
    that sorts has the order "permutation", and one that undoes this "inverse"."""
    order_steps: Provenance = ()
    device: str = ""
    device_steps: Provenance = ()
    loss: Any = None
    """The loss computation it came from."""
    attached: bool = True
    sorted_by: Provenance = ()
    """The sorts that took its rows out of the order in which the loader gave them."""
    fresh: bool = False
    """Made from sizes and numbers alone (zeros, randn): holds no data."""
    filled: Value = UNKNOWN
    """The number that a fresh tensor consists of."""
    made_at: Place | None = None
    """Where a fresh tensor was given its sizes."""
    drawn: Drawn | None = None
    """The random numbers that it consists of, and of nothing else."""
    excerpt: Excerpt | None = None
    """The steps of a sequence of which it is an excerpt, or for each of which it was computed."""

    @property
    def rank(self) -> int | None:
        """How many axes it has, where that is known."""
        return None if self.open else len(self.axes)

    @property
    def batch_axis(self) -> int | None:
        """Which axis is the batch, where that is known."""
        return self._axis("batch")

    @property
    def time_axis(self) -> int | None:
        """Which axis is time, where that is known."""
        return self._axis("time")

    def _axis(self, name: str) -> int | None:
        for number, axis in enumerate(self.axes):
            if axis.name == name:
                return number
        return None

    def name_of(self, number: int) -> str:
        """What an axis runs over, "" where that is not known."""
        return self.axes[number].name if 0 <= number < len(self.axes) else ""


TENSOR = Tensor()


# --- objects ---------------------------------------------------------------


class Object(Value):
    """A value with identity and mutable fields."""

    __slots__ = ("fields", "place")

    def __init__(self, place: Place | None = None) -> None:
        self.fields: dict[Any, Any] = {}
        self.place = place


class ListObject(Object):
    """A list, set, deque or generator.

    `fields["items"]` holds the known items as a tuple, or None when only
    `fields["element"]`, the join of all elements, is known.  `fields["order"]`
    is "arbitrary", "sorted" or "" as for `Tensor.order`.  What `enumerate` or `zip`
    goes over is the tuple `fields["over"]`, the bounds of a `range` `fields["bounds"]`.
    """

    __slots__ = ("kind",)

    def __init__(
        self,
        items: tuple[Value, ...] | None,
        element: Value | None = None,
        kind: str = "list",
        order: str = "",
        order_steps: Provenance = (),
    ) -> None:
        super().__init__()
        self.kind = kind
        self.fields["items"] = items
        self.fields["element"] = element
        self.fields["order"] = order
        self.fields["order_steps"] = order_steps


class DictObject(Object):
    """A dict: `fields["entries"]` maps constant keys to values, `fields["rest"]`
    joins the values under unknown keys (None when there are none)."""

    __slots__ = ()

    def __init__(self, entries: dict[Any, Value] | None = None, rest: Value | None = None) -> None:
        super().__init__()
        self.fields["entries"] = entries or {}
        self.fields["rest"] = rest


class ModuleScope(Object):
    """A file of the project: its global names are its fields."""

    __slots__ = ("path",)

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path


class Folder(Record, frozen=True):
    """A namespace package: a folder of the project without `__init__.py`."""

    path: str


class Function(Value):
    """A function or lambda of the project."""

    __slots__ = (
        "closure", "decorators", "defaults", "kind", "module", "node", "owner", "stops_gradients",
    )  # fmt: skip

    def __init__(
        self,
        node: ir.FunctionDef | ir.Lambda,
        module: ModuleScope,
        closure: tuple[dict[Any, Any], ...],
        defaults: dict[str, Value],
        owner: Class | None = None,
        kind: str = "",
        decorators: tuple[Value, ...] = (),
    ) -> None:
        self.node = node
        self.module = module
        self.closure = closure
        self.defaults = defaults
        self.owner = owner
        self.kind = kind
        """"", "static", "class" or "property"."""
        self.decorators = decorators
        self.stops_gradients = any(_stops_gradients(mark) for mark in decorators)
        """Whether a decorator switches autograd off: `@torch.no_grad()`."""

    @property
    def name(self) -> str:
        return self.node.name if isinstance(self.node, ir.FunctionDef) else "<lambda>"

    @property
    def mentions(self) -> tuple[str, ...]:
        """The names and attributes that stand in its body."""
        return self.node.mentions if isinstance(self.node, ir.FunctionDef) else ()


_NO_GRADIENT_DECORATORS = {"torch.no_grad", "torch.inference_mode", "torch.autograd.no_grad"}


def _stops_gradients(mark: Value) -> bool:
    """`@torch.no_grad` and `@torch.no_grad()`."""
    if isinstance(mark, Thing):
        return mark.kind == "no_grad"
    return isinstance(mark, External) and mark.name in _NO_GRADIENT_DECORATORS


class Bound(Record, frozen=True):
    """A method of the project bound to its receiver."""

    function: Function
    receiver: Value


class Native(Record, frozen=True):
    """A method of a built-in or abstract object: `items.append`."""

    name: str
    receiver: Value


class Partial(Value):
    """`functools.partial(function, ...)`."""

    __slots__ = ("args", "function", "keywords")

    def __init__(
        self, function: Value, args: tuple[Value, ...], keywords: dict[str, Value]
    ) -> None:
        self.function = function
        self.args = args
        self.keywords = keywords


class Class(Object):
    """A class of the project; its namespace is its fields."""

    __slots__ = ("ancestry", "bases", "decorators", "heirs", "lineage", "module", "node")

    def __init__(
        self, node: ir.ClassDef, module: ModuleScope, bases: tuple[Value, ...], place: Place
    ) -> None:
        super().__init__(place)
        self.node = node
        self.module = module
        self.bases = bases
        self.decorators: tuple[Value, ...] = ()
        self.ancestry = tuple(self._ancestry())
        """This class and its bases, in the order in which names are looked up."""
        self.lineage = tuple(base for base in self.ancestry if isinstance(base, Class))
        """Those of them that are the project's."""
        self.heirs: dict[int, Class] = {}
        """The project's classes below it, by the identity of the code that defines them."""
        for base in self.lineage[1:]:
            base.heirs[id(node)] = self

    @property
    def name(self) -> str:
        return self.node.name

    def _ancestry(self) -> Iterator[Value]:
        found: list[Value] = [self]
        for base in (member for given in self.bases for member in members(given)):
            found.extend(base.ancestry if isinstance(base, Class) else (base,))
        # A base that several share comes after all of them, as in Python.
        last = {id(base): position for position, base in enumerate(found)}
        return (base for position, base in enumerate(found) if last[id(base)] == position)

    def external_bases(self) -> tuple[str, ...]:
        """Names of the library classes it inherits from."""
        return tuple(base.name for base in self.ancestry if isinstance(base, External))

    def is_opaque(self) -> bool:
        """Whether a base class could not be resolved."""
        return any(not isinstance(base, (Class, External)) for base in self.ancestry)


class Instance(Object):
    """An object of one of the project's classes."""

    __slots__ = ("cls",)

    def __init__(self, cls: Class, place: Place | None) -> None:
        super().__init__(place)
        self.cls = cls


class Super(Record, frozen=True):
    """`super()` inside a method of `cls`."""

    cls: Class
    receiver: Value


class Layer(Object):
    """A torch module of a library: `kind` is its class name, such as "LSTM".

    `options` holds the constructor's arguments by parameter name.
    """

    __slots__ = ("context", "kind", "options", "stack")

    def __init__(
        self, kind: str, place: Place, options: dict[str, Value], stack: tuple[Place, ...]
    ) -> None:
        super().__init__(place)
        self.kind = kind
        self.options = options
        self.stack = stack
        """Where the calls stand that led to its construction, outermost first."""
        self.context: Context | None = None
        """Where in the run it was built."""


class Container(Object):
    """Sequential, ModuleList, ModuleDict: children in `fields["children"]`."""

    __slots__ = ("kind",)

    def __init__(self, kind: str, place: Place, children: dict[Any, Value]) -> None:
        super().__init__(place)
        self.kind = kind
        self.fields["children"] = children


class Parameter(Record, frozen=True):
    """A parameter of a layer: `name` is its own name there ("weight_hh_l0").

    `part` says which of its stacked gates are meant: "" for all of it, or the
    gate's name for a slice such as `bias[n//4:n//2]`.
    """

    layer: Layer
    name: str
    rank: int | None = None
    part: str = ""
    place: Place | None = None


class Gradient(Record, frozen=True):
    """`parameter.grad`; of an unknown parameter when None."""

    parameter: Parameter | None = None


class Parameters(Record, frozen=True):
    """An iterable over the parameters of modules: `model.parameters()`.

    `named` ones come as (name, parameter) pairs.
    """

    modules: tuple[Value, ...]
    named: bool = False


class Thing(Object):
    """An object of a library that is no module: an optimizer, a scheduler, a
    loader, a trainer, a parser.  `kind` says which, `name` is its class."""

    __slots__ = ("kind", "name", "options")

    def __init__(self, kind: str, name: str, place: Place, options: dict[str, Value]) -> None:
        super().__init__(place)
        self.kind = kind
        self.name = name
        self.options = options


def members(value: Value) -> tuple[Value, ...]:
    """The alternatives of a value."""
    return value.members if isinstance(value, Union) else (value,)


def fresh_copy(value: Value) -> Value:
    """A list or dict of its own with the same content; other values as they are."""
    twin: ListObject | DictObject
    if isinstance(value, Tuple):
        return of_its_kind(value, map(fresh_copy, value.items))
    if isinstance(value, ListObject):
        twin = ListObject(None, kind=value.kind)
    elif isinstance(value, DictObject):
        twin = DictObject()
    else:
        return value
    twin.fields.update(value.fields)
    return twin


def integer(value: Value | None) -> int | None:
    """The number that a value is, if it is a known one."""
    if isinstance(value, Const) and type(value.value) is int:
        return value.value
    return None


def default_truth(value: Value) -> bool | None:
    """Whether the value is true when every option has its default."""
    return bool(value.value) if isinstance(value, Const) else truth(value)


def truth(value: Value) -> bool | None:
    """Whether the value is true; None where that depends on what is not known.

    An option's default is not a fact: the user can switch it.
    """
    if isinstance(value, Const):
        return None if value.option else bool(value.value)
    if isinstance(value, (Function, Class, Instance, Layer, Bound, Parameter, Thing)):
        return True
    if isinstance(value, Tuple):
        return bool(value.items)
    if isinstance(value, Union):
        answers = {truth(member) for member in value.members}
        return answers.pop() if len(answers) == 1 else None
    return None
