"""Lowering many files in worker processes that may die.

The native parser kills its process on absurdly nested text, so a file is parsed
in this process only if it cannot be one of those; a worker that dies takes one
file with it, which becomes a `SyntaxProblem`.  Each worker has a pipe of its own
and answers file by file, so it is always known which file it was at.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, TypeAlias

from rnnlint.lowering import ir
from rnnlint.lowering.ir import SyntaxProblem

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import BaseContext
    from multiprocessing.process import BaseProcess

Lowered: TypeAlias = "bytes | SyntaxProblem"
"""The encoded representation of a file (`ir.decode` reads it), or why there is none."""

SMALL_BATCH = 200_000
"""Code points that are not worth a worker's start."""
CHUNK = 64_000
"""Code points sent to a worker at once: few messages, and no worker idle at the end."""
LARGEST_FILE = 1_000_000
"""Code points, unless told otherwise; a tree takes up to 280 times the memory of its text."""
FILE_TIMEOUT = 60.0
"""Seconds that one file may take."""
START_TIMEOUT = 60.0
"""Seconds that a worker may take to start."""
_SIMPLIFY = "simplify its longest expression or exclude the file"


def lower_all(
    texts: Mapping[str, str] | Iterable[tuple[str, str]],
    *,
    jobs: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    timeout: float = FILE_TIMEOUT,
    largest: int = LARGEST_FILE,
) -> Iterator[tuple[str, Lowered]]:
    """Lower files, and yield each one's result as soon as it is there.

    Args:
        texts: the files' texts by path.
        jobs: how many processes may work at once; by default as many as there are processors.
        progress: called after each file with how many are done, and of how many.
        timeout: seconds after which a file is given up.
        largest: how many code points a file may have.

    Yields:
        A path and its result, every path once, in no particular order.
    """
    files = dict(texts)
    results = _results(files, jobs or available_processors(), timeout, largest)
    for done, (path, result) in enumerate(results, start=1):
        if progress is not None:
            progress(done, len(files))
        yield path, result


def available_processors() -> int:
    affinity = getattr(os, "sched_getaffinity", None)  # not on every platform
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def _results(
    files: dict[str, str], jobs: int, timeout: float, largest: int
) -> Iterator[tuple[str, Lowered]]:
    remote: dict[str, str] = {}
    is_small = sum(map(len, files.values())) < SMALL_BATCH
    for path, text in files.items():
        if len(text) > largest:
            yield path, _too_large(text, largest)
        elif (begin := _endless_expression(text)) is not None:
            yield path, _too_long(text, begin)
        elif is_small and _is_tame(text):
            yield path, lower_encoded(text)
        else:
            remote[path] = text
    if remote:
        yield from _Pool(remote, jobs, timeout).results()


def _is_tame(text: str) -> bool:
    from rnnlint.lowering.nesting import is_tame

    return is_tame(text)


def _endless_expression(text: str) -> int | None:
    from rnnlint.lowering.nesting import endless_expression

    return endless_expression(text)


def _too_long(text: str, begin: int) -> SyntaxProblem:
    from rnnlint.lowering.problems import problem_at

    message = "an expression of thousands of operands begins here"
    return problem_at(text, begin, message, "move its data to another file")


def _too_large(text: str, largest: int) -> SyntaxProblem:
    return SyntaxProblem(
        f"the file is too large to analyse: {len(text):,} characters, where "
        f"{largest:,} are allowed",
        remedy="exclude it, split it, or raise max-file-size in the settings",
    )


def lower_safely(text: str) -> ir.FileIR | None:
    """Lower a part of a file in this process; None if that fails, or might crash the parser."""
    if not _is_tame(text) or _endless_expression(text) is not None:
        return None
    encoded = lower_encoded(text)
    return None if isinstance(encoded, SyntaxProblem) else ir.decode(encoded)


def lower_encoded(text: str) -> Lowered:
    """Lower one file in this process; the parser may crash unless the text is tame."""
    from rnnlint.lowering.lower import lower

    try:
        result = lower(text)
        return result if isinstance(result, SyntaxProblem) else ir.encode(result)
    except Exception as error:
        # No file may stop a run, not even by a fault of ours.
        return SyntaxProblem(
            f"rnnlint failed on this file with {type(error).__name__}: {error}",
            remedy="please report it, and exclude the file meanwhile",
        )


# --- the worker's side -------------------------------------------------------------


def _work(connection: Connection, inherited: list[Connection], timeout: float) -> None:
    """Lower the chunks of texts that arrive, until there is no one to send any."""
    # An interrupt is the parent's to handle: it ends its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _die_quietly()
    for other in inherited:
        other.close()
    gc.disable()
    connection.send(None)
    try:
        while True:
            for text in connection.recv():
                _die_after(2 * timeout)
                connection.send(lower_encoded(text))
            gc.collect()
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return


def _die_after(seconds: float) -> None:
    """End this process after so much work, in case the parent was killed and cannot do it."""
    if sys.platform != "win32":
        signal.setitimer(signal.ITIMER_PROF, seconds)


def _die_quietly() -> None:
    """Leave no trace of a crash but the exit code: it is expected, and reported."""
    import faulthandler

    faulthandler.disable()
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


# --- the parent's side -------------------------------------------------------------


class _Worker:
    """A process, its pipe, and the files that it has yet to answer for."""

    def __init__(self, context: BaseContext, siblings: list[_Worker], timeout: float) -> None:
        pipe = context.Pipe()
        self.connection: Connection = pipe[0]
        theirs = pipe[1]
        # A forked worker must not hold the pipes' other ends open when the parent is gone.
        inherited = [self.connection, *(sibling.connection for sibling in siblings)]
        self.process: BaseProcess = context.Process(  # type: ignore[attr-defined]
            target=_work,
            args=(theirs, inherited if _is_forking(context) else [], timeout),
            daemon=True,
        )
        self.process.start()
        theirs.close()
        self.timeout = timeout
        self.deadline = time.monotonic() + START_TIMEOUT
        self.paths: list[str] = []
        self.is_ready = False

    def give(self, paths: list[str], texts: list[str]) -> None:
        """Send a chunk; a worker that has died in the meantime is found out later."""
        self.paths = paths
        self.deadline = time.monotonic() + self.timeout
        try:
            self.connection.send(texts)
        except OSError:
            return

    def take(self) -> Lowered | None:
        """Receive one answer.

        Raises:
            EOFError: the worker has died.
        """
        try:
            answer: Lowered | None = self.connection.recv()
        except OSError as error:
            raise EOFError from error
        self.deadline = time.monotonic() + self.timeout
        return answer

    def end(self) -> int | None:
        """End the process, and return its exit code."""
        self.connection.close()
        self.process.kill()
        self.process.join()
        return self.process.exitcode


class _Pool:
    """The workers, and the files that none of them has."""

    def __init__(self, texts: dict[str, str], jobs: int, timeout: float) -> None:
        self.texts = texts
        self.timeout = timeout
        # Largest first, so that no worker is left alone with a large file at the end.
        self.waiting = sorted(texts, key=lambda path: len(texts[path]))
        size = sum(map(len, texts.values()))
        self.size = max(1, min(jobs, len(texts), 1 + size // (SMALL_BATCH // 2)))
        self.workers: list[_Worker] = []
        self.context = _context()

    def results(self) -> Iterator[tuple[str, Lowered]]:
        """Every file's result; the workers are ended, come what may."""
        from multiprocessing.connection import wait

        try:
            while self._staff():
                soonest = min(worker.deadline for worker in self.workers)
                connections = [worker.connection for worker in self.workers]
                ready = wait(connections, max(0.0, soonest - time.monotonic()))
                now = time.monotonic()
                for worker in tuple(self.workers):
                    if worker.connection in ready:
                        yield from self._answer(worker)
                    elif now > worker.deadline:
                        yield from self._give_up(worker)
        finally:
            for worker in self.workers:
                worker.end()

    def _staff(self) -> bool:
        """Start missing workers and dismiss idle ones; False when all is done."""
        for worker in tuple(self.workers):
            if worker.is_ready and not worker.paths and not self._employ(worker):
                self.workers.remove(worker)
                worker.end()
        busy = len(self.workers)
        for _ in range(min(self.size - busy, len(self.waiting))):
            self.workers.append(_Worker(self.context, self.workers, self.timeout))
        return bool(self.workers)

    def _employ(self, worker: _Worker) -> bool:
        """Give a worker its next chunk, if anything is waiting."""
        paths: list[str] = []
        size = 0
        while self.waiting and (not paths or size + len(self.texts[self.waiting[-1]]) <= CHUNK):
            path = self.waiting.pop()
            paths.append(path)
            size += len(self.texts[path])
        if paths:
            worker.give(paths, [self.texts[path] for path in paths])
        return bool(paths)

    def _answer(self, worker: _Worker) -> Iterator[tuple[str, Lowered]]:
        try:
            answer = worker.take()
        except EOFError:
            yield from self._bury(worker)
            return
        if answer is None:
            worker.is_ready = True
        else:
            yield worker.paths.pop(0), answer

    def _bury(self, worker: _Worker) -> Iterator[tuple[str, Lowered]]:
        """Blame the file that a dead worker was at, and put back what it had not begun."""
        self.workers.remove(worker)
        worker.process.join(1.0)
        code = worker.end()
        if not worker.paths:
            if not worker.is_ready:
                raise RuntimeError(
                    f"a process that parses could not start (exit code {code}); "
                    "check the limits on processes and memory"
                )
            return
        path, *rest = worker.paths
        self.waiting.extend(reversed(rest))
        yield path, _death(code)

    def _give_up(self, worker: _Worker) -> Iterator[tuple[str, Lowered]]:
        """End a worker that takes too long, and go on without the file it was at."""
        self.workers.remove(worker)
        worker.end()
        if not worker.is_ready:
            raise RuntimeError(
                f"a process that parses did not start within {START_TIMEOUT:g} seconds; "
                "check the load of the machine"
            )
        path, *rest = worker.paths
        self.waiting.extend(reversed(rest))
        message = f"parsing this file took more than {self.timeout:g} seconds"
        yield path, SyntaxProblem(message, remedy=_SIMPLIFY)


def _death(exit_code: int | None) -> SyntaxProblem:
    if sys.platform != "win32" and exit_code == -signal.SIGKILL:
        return SyntaxProblem(
            "the process that parsed this file was killed, probably for want of memory",
            remedy="split the file or exclude it",
        )
    return SyntaxProblem(
        f"the parser crashed on this file (exit code {exit_code}): nested too deeply",
        remedy=_SIMPLIFY,
    )


def _context() -> BaseContext:
    """How to start processes: forked with LibCST in place where that is safe."""
    import multiprocessing

    if sys.platform == "linux" and threading.active_count() == 1:
        import libcst  # noqa: F401

        import rnnlint.lowering.lower  # noqa: F401

        return multiprocessing.get_context("fork")
    return multiprocessing.get_context("spawn")


def _is_forking(context: BaseContext) -> bool:
    return context.get_start_method() == "fork"
