"""The thread in which analyses run: one at a time, of the newest state."""

from __future__ import annotations

import gc
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from rnnlint.server.state import State

QUIET = 0.02
"""Seconds without a change after which an analysis begins; who types on is waited for."""
LONGEST_WAIT = 0.3
"""Seconds after which it begins whatever is typed."""
STACK_SIZE = 256 * 1024 * 1024
"""Room for what is nested deeply, as a process has it; only what is used is taken."""

_Answer = TypeVar("_Answer")
_log = logging.getLogger(__name__)


class SupersededError(BaseException):
    """A newer state has come, so that this analysis need not be finished.

    It is no `Exception`, of which an analysis survives any, so that it ends wherever it is.
    """


class Worker:
    """Analyses the newest state that was submitted, and answers questions about it.

    Args:
        analyse: called with a state, and with what raises `SupersededError` once it is not the
            newest any more.
    """

    def __init__(self, analyse: Callable[[State, Callable[[], None]], None]) -> None:
        self._analyse = analyse
        self._changed = threading.Condition()
        self._newest: State | None = None
        self._taken: State | None = None
        self._since = self._last = 0.0
        self._questions: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._stopped = False
        size = threading.stack_size(STACK_SIZE)
        try:
            self._thread = threading.Thread(target=self._run, name="analysis", daemon=True)
            self._thread.start()
        finally:
            threading.stack_size(size)

    def submit(self, state: State) -> None:
        """Have a state analysed, unless a newer one comes before it is its turn."""
        with self._changed:
            self._last = time.monotonic()
            if self._newest is self._taken:
                self._since = self._last
            self._newest = state
            self._changed.notify_all()

    def ask(self, question: Callable[[], _Answer]) -> Future[_Answer]:
        """Ask something once the newest state is analysed; the thread works out the answer."""
        future: Future[_Answer] = Future()
        with self._changed:
            self._questions.append((future, question))
            self._changed.notify_all()
        return future

    def stop(self) -> None:
        """Let the thread end; what it is at is not waited for."""
        with self._changed:
            self._stopped = True
            for future, _ in self._questions:
                future.cancel()
            self._questions.clear()
            self._changed.notify_all()

    # --- in the thread ---

    def _run(self) -> None:
        # What an analysis makes is looked through once it is done, and never while it runs.
        gc.disable()
        is_first = True
        while True:
            with self._changed:
                self._changed.wait_for(self._has_work)
                if self._stopped:
                    return
            self._work()
            gc.collect()
            if is_first:  # what is there now stays, so that it need not be looked through again
                gc.freeze()
            is_first = False

    def _has_work(self) -> bool:
        return self._stopped or self._newest is not self._taken or bool(self._questions)

    def _work(self) -> None:
        with self._changed:
            if self._newest is self._taken:
                future, question = self._questions.popleft()
                state = None
            else:
                self._wait_for_quiet()
                state = self._taken = self._newest
        if state is None:
            _answer(future, question)
            return
        try:
            self._analyse(state, lambda: self._check(state))
        except SupersededError:
            return
        except Exception:
            # Nobody would start the thread again.
            _log.exception("the analysis failed")

    def _wait_for_quiet(self) -> None:
        while not self._stopped and not self._questions:
            now = time.monotonic()
            left = min(self._last + QUIET, self._since + LONGEST_WAIT) - now
            if left <= 0:
                return
            self._changed.wait(left)

    def _check(self, state: State) -> None:
        if self._newest is not state or self._stopped:
            raise SupersededError


def _answer(future: Future[Any], question: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(question())
    except Exception as error:
        future.set_exception(error)
