"""Runs a script under observation; see the package."""

from __future__ import annotations

import argparse
import builtins
import io
import json
import math
import os
import runpy
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from importlib.machinery import SourceFileLoader
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from rnnlint.runtime.observing.session import BudgetReached, Session
from rnnlint.runtime.observing.traces import without_observation

_INTERRUPTED = 130


def main() -> None:
    """Run what the command line names, write the report, and end as the script would."""
    options = _options()
    session = Session(
        options.steps,
        options.seconds,
        probes=not options.no_probes,
        range_test=options.range_test,
        safe=options.safe,
    )
    process = os.getpid()

    def write(ended: str, code: int, raised: str) -> None:
        if os.getpid() != process:
            # What was forked off, and comes out here, has seen nothing.
            return
        with suppress(ValueError):  # in a thread of the script's
            # Impatience must not cost the report.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        session.end()
        found = {**session.found(), "ended": ended, "code": code, "raised": raised}
        Path(options.report).write_text(json.dumps(_plain(found)), encoding="utf-8")

    leave: Callable[[int], NoReturn] = os._exit
    exits: Any = os
    exits._exit = _leaving(leave, write)
    session.begin()
    ended, code, error = _outcome(options, session)
    exits._exit = leave
    write(ended, code, f"{type(error).__name__}: {error}" if error is not None else "")
    if error is not None:
        without_observation(error)
        sys.excepthook(type(error), error, error.__traceback__)
    sys.stdout.flush()
    sys.exit(code)


def _outcome(
    options: argparse.Namespace, session: Session
) -> tuple[str, int, BaseException | None]:
    """How the script ended, its exit code, and what it raised."""
    try:
        _run(options, session)
    except BudgetReached:
        return "budget", 0, None
    except KeyboardInterrupt:
        return "interrupted", _INTERRUPTED, None
    except SystemExit as leaving:
        return "finished", _code_of(leaving), None
    except BaseException as error:
        return "raised", 1, error
    return "finished", 0, None


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m rnnlint.runtime.observing")
    parser.add_argument("--report", required=True)
    parser.add_argument("--steps", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--no-probes", action="store_true")
    parser.add_argument("--range-test", action="store_true")
    parser.add_argument("--safe", action="store_true")
    parser.add_argument("--module", action="store_true")
    parser.add_argument("script")
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    return parser.parse_args()


def _remember_main(name: str, session: Session) -> None:
    """Tell of the file of a module, which is no longer among the modules once it has run."""
    with suppress(ImportError, ValueError):  # runpy says better what is wrong
        spec = find_spec(name)
        if spec is not None and spec.submodule_search_locations is not None:
            spec = find_spec(f"{name}.__main__")
        if spec is not None and spec.origin is not None:
            session.main_file = os.path.realpath(spec.origin)


def _run(options: argparse.Namespace, session: Session) -> None:
    sys.argv = [options.script, *options.arguments]
    if options.module:
        sys.path[0] = os.getcwd()
        _remember_main(options.script, session)
        runpy.run_module(options.script, run_name="__main__", alter_sys=True)
        return
    sys.path[0] = str(Path(options.script).resolve().parent)
    # As Python does it, so that what is pickled or runs at exit finds its module.
    path = os.path.abspath(options.script)
    module = ModuleType("__main__")
    module.__dict__.update(
        __file__=path, __builtins__=builtins, __loader__=SourceFileLoader("__main__", path)
    )
    sys.modules["__main__"] = module
    with io.open_code(path) as file:
        code = compile(file.read(), path, "exec", dont_inherit=True)
    exec(code, module.__dict__)


def _leaving(leave: Callable[[int], NoReturn], write: Callable[[str, int, str], None]) -> Any:
    @wraps(leave)
    def leave_at_once(status: int) -> NoReturn:
        write("finished", status, "")
        leave(status)

    return leave_at_once


def _code_of(leaving: SystemExit) -> int:
    if leaving.code is None or isinstance(leaving.code, int):
        return int(leaving.code or 0)
    print(leaving.code, file=sys.stderr)
    return 1


def _plain(value: Any) -> Any:
    """JSON has no NaN and no infinity."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    return value


if __name__ == "__main__":
    main()
