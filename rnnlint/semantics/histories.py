"""What the calls of a function have given so far, so that none is run too often.

Programs call one function from many places, and most of these calls show nothing new.
"""

from __future__ import annotations

from collections.abc import Sequence

from rnnlint.semantics import events, tensors, values
from rnnlint.semantics.frames import Arguments
from rnnlint.semantics.values import UNKNOWN, Value

MAX_REPETITIONS = 4
"""How often a function is run on one object within one entry point; then it returns what
it returned before."""
MAX_EVALUATIONS = 1
"""The same where autograd is off, and nothing is carried on."""
MAX_TRAINING_REPETITIONS = 24
"""The same for functions that step, clip, schedule or initialise."""
MAX_STEPS = 2_000
"""What one function may take within one entry point, all its calls together."""
MAX_TRAINING_STEPS = 4_000
"""The same for functions that step, clip, schedule or initialise."""
MIN_RUNS = 2
"""How often it is run there whatever it takes."""


class _Account:
    """What all calls of one function took, within one entry point."""

    __slots__ = ("runs", "steps", "trains")

    def __init__(self) -> None:
        self.runs = 0
        self.steps = 0
        self.trains = False

    def is_spent(self, barren: int) -> bool:
        """Whether the function has had its share, or so many barren steps of it."""
        limit = MAX_TRAINING_STEPS if self.trains else MAX_STEPS
        return self.runs >= MIN_RUNS and (self.steps > limit or barren > MAX_STEPS)


class History:
    """What a function did on one object, within one entry point."""

    __slots__ = ("account", "count", "function", "gradients", "receiver", "result", "trains")

    def __init__(
        self,
        function: values.Function,
        receiver: Value | None,
        gradients: bool,
        account: _Account,
    ) -> None:
        self.function = function
        self.receiver = receiver
        """Kept alive, because the histories know it by its identity."""
        self.gradients = gradients
        self.account = account
        self.count = 0
        self.trains = False
        """Whether it does more than compute: steps, clips, initialises, ..."""
        self.result: Value = UNKNOWN

    def is_long(self) -> bool:
        """Whether the function has run on this object as often as it may."""
        if self.trains:
            return self.count >= MAX_TRAINING_REPETITIONS
        return self.count >= (MAX_REPETITIONS if self.gradients else MAX_EVALUATIONS)


class Histories:
    """What each function of the project has given and taken."""

    def __init__(self) -> None:
        self._histories: dict[tuple[int, int, bool, tuple[Value | bool, ...]], History] = {}
        self._accounts: dict[tuple[int, bool], _Account] = {}
        self._barren: dict[int, int] = {}
        """Steps of functions in whose calls nothing has happened, over the whole run."""
        self._fruitful: set[int] = set()
        """Functions in whose calls something has."""

    def begin(self) -> None:
        """Forget what belongs to one entry point; the next one begins."""
        self._histories.clear()
        self._accounts.clear()

    def of(
        self,
        function: values.Function,
        receiver: Value | None,
        arguments: Arguments,
        gradients: bool,
    ) -> History:
        """The history that a call continues.

        Calls are told apart by their constants, and padded batches from others.
        """
        told: list[Value | bool] = []
        for value in arguments.all():
            if isinstance(value, values.Const):
                told.append(value)
            elif isinstance(value, values.Tensor) and value.padding is not None:
                told.append(True)
        code = id(function.node)
        key = (code, id(receiver), gradients, tuple(told))
        history = self._histories.get(key)
        if history is None:
            account = self._accounts.setdefault((code, gradients), _Account())
            history = self._histories[key] = History(function, receiver, gradients, account)
        return history

    def remembered(self, history: History, arguments: Arguments) -> Value | None:
        """What a call returns without being run once more; None when it has to be run."""
        if history.is_long():
            for call in tensors.graph_of(history.result):
                call.remembered = True
            return values.fresh_copy(history.result)
        if history.account.is_spent(self._barren.get(id(history.function.node), 0)):
            # What went in may come out.
            return history.result if history.count else tensors.mixed(arguments.all())
        return None

    def note(self, history: History, steps: int, happened: Sequence[events.Event]) -> None:
        """Take down what one run of a function took, and what happened in it."""
        code = id(history.function.node)
        if happened:
            self._fruitful.add(code)
            self._barren.pop(code, None)
        elif code not in self._fruitful:
            self._barren[code] = self._barren.get(code, 0) + steps
        if not history.trains:
            history.trains = any(not isinstance(event, _COMPUTATIONS) for event in happened)
        account = history.account
        account.runs += 1
        account.steps += steps
        account.trains = account.trains or history.trains


_COMPUTATIONS = (events.LayerCall, events.Reading, events.Packing)
