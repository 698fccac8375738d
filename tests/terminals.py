"""A program in a terminal of its own, as a person runs it."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
PATIENCE = 60.0
"""Seconds after which what was waited for will not come."""
_INTERRUPT = "\x03"
# The terminal becomes the one that Ctrl-C is typed at.
_ADOPT = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
_BECOME = _ADOPT + "os.execvp(sys.argv[1], sys.argv[1:])"


class Terminal:
    """What is shown by a program, and typed at it."""

    def __init__(self, process: subprocess.Popen[bytes], descriptor: int) -> None:
        self.process = process
        self._descriptor = descriptor
        self._unread = ""

    def until(self, words: str) -> str:
        """What is shown up to these words, which have to come."""
        end = time.monotonic() + PATIENCE
        while words not in self._unread:
            assert time.monotonic() < end, f"no {words!r} in {self._unread!r}"
            more = self._more()
            assert more is not None, f"it ended without {words!r}: {self._unread!r}"
            self._unread += more
        shown, _, self._unread = self._unread.partition(words)
        return shown + words

    def type(self, keys: str) -> None:
        os.write(self._descriptor, keys.encode())

    def interrupt(self) -> tuple[int, str]:
        """Type Ctrl-C; return the exit code and what is shown until then."""
        self.type(_INTERRUPT)
        return self.end()

    def end(self) -> tuple[int, str]:
        """Wait for the end; return the exit code and what is shown until then."""
        end = time.monotonic() + PATIENCE
        while (more := self._more()) is not None:
            assert time.monotonic() < end, self._unread
            self._unread += more
        return self.process.wait(PATIENCE), self._unread

    def _more(self) -> str | None:
        """What is shown within a moment; None when nothing ever will be."""
        if not select.select([self._descriptor], [], [], 0.1)[0]:
            return ""
        try:
            data = os.read(self._descriptor, 65536)
        except OSError:  # which is how Linux says that nobody writes any more
            return None
        return data.decode() if data else None


@contextmanager
def terminal(folder: Path, *command: str, **variables: str) -> Iterator[Terminal]:
    """Run a command in a terminal of its own."""
    ours, theirs = os.openpty()
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "RNNLINT_OUTPUT_FORMAT")
    }
    process = subprocess.Popen(
        [sys.executable, "-c", _BECOME, *command],
        cwd=folder,
        env={**kept, "PYTHONPATH": str(CHECKOUT), "TERM": "xterm", **variables},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        yield Terminal(process, ours)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
