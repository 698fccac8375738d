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
                backward = self._backward_between(backwards, origin, call)
                if backward is None:
                    continue
                yield self.report(
                    program,
                    call.place,
                    "this state comes from the previous iteration with its graph: the second "
                    "backward pass runs into a graph that is already freed",
                    help="detach the state before it is used again: "
                    "h = h.detach(), or tuple(s.detach() for s in state)",
                    trail=[
                        Step(origin.place, "the state is made here, one iteration earlier"),
                        Step(backward.place, "each iteration runs backward"),
                        *program.call_path(call),
                    ],
                )
                break

    def _backward_between(
        self, backwards: tuple[Backward, ...], origin: LayerCall, call: LayerCall
    ) -> Backward | None:
        """A backward pass through `origin` that ends before `call` uses its state."""
        for backward in backwards:
            if not origin.time < backward.time < call.time:
                continue
            if origin in backward.calls and _share_a_loop(origin, backward, call):
                return backward
        return None


def _share_a_loop(origin: LayerCall, backward: Backward, call: LayerCall) -> bool:
    """Whether the three lie in one loop, the call in a later turn."""
    for place, number, turn in origin.loops:
        later = any((p, n) == (place, number) and t > turn for p, n, t in call.loops)
        same = any((p, n, t) == (place, number, turn) for p, n, t in backward.loops)
        if later and same:
            return True
    return False
