"""State not detached.
"""

from __future__ import annotations

from collections.abc import Iterator

from rnnlint.api import Backward, Diagnostic, LayerCall, Level, Program, Rule, Step, tensors


class StateNotDetached(Rule):
    level = Level.ERROR

    def check(self, program: Program) -> Iterator[Diagnostic]:
        backwards = program.of(Backward)
        for call in program.of(LayerCall):
            if call.state is None:
                continue
            for origin in tensors.graph_of(call.state):
                found = self._backward_between(backwards, origin, call)
                if found is None:
                    continue
                backward, loop = found
                yield self.report(
                    program,
                    program.receives_state(call, loop),
                    "this state comes from the previous iteration with its graph: the second "
                    "backward pass runs into a graph that is already freed",
                    help="detach the state before it is used again: "
                    "h = h.detach(), or tuple(s.detach() for s in state)",
                    trail=[
                        Step(origin.place, "the state is made here, one iteration earlier"),
                        Step(backward.place, "each iteration runs backward"),
                        *program.call_path(call, "it comes back here"),
                    ],
                )
                break

    def _backward_between(
        self, backwards: tuple[Backward, ...], origin: LayerCall, call: LayerCall
    ) -> tuple[Backward, int] | None:
        """A backward pass through `origin` before `call` uses its state, and their loop."""
        for backward in backwards:
            if not origin.time < backward.time < call.time:
                continue
            loop = _shared_loop(origin, backward, call)
            if origin in backward.calls and loop is not None:
                return backward, loop
        return None


def _shared_loop(origin: LayerCall, backward: Backward, call: LayerCall) -> int | None:
    """The loop that the three lie in, the call in a later turn."""
    for place, number, turn in origin.loops:
        later = any((p, n) == (place, number) and t > turn for p, n, t in call.loops)
        same = any((p, n, t) == (place, number, turn) for p, n, t in backward.loops)
        if later and same:
            return number
    return None
