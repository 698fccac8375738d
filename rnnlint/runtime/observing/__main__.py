"""Runs a script under observation; see the package."""

from __future__ import annotations

import argparse
import json
import math
import os
import runpy
import sys
import traceback
from pathlib import Path
from typing import Any

from rnnlint.runtime.observing.session import BudgetReached, Session

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
    session.begin()
    ended, code, said = "finished", 0, ""
    try:
        _run(options)
    except BudgetReached:
        ended = "budget"
    except KeyboardInterrupt:
        ended, code = "interrupted", _INTERRUPTED
    except SystemExit as leaving:
        code = _code_of(leaving)
    except BaseException as error:
        ended, code = "raised", 1
        said = f"{type(error).__name__}: {error}"
        _print_as_python_would(error)
    finally:
        session.end()
    found = {**session.found(), "ended": ended, "code": code, "raised": said}
    Path(options.report).write_text(json.dumps(_plain(found)), encoding="utf-8")
    sys.stdout.flush()
    sys.exit(code)


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


def _run(options: argparse.Namespace) -> None:
    sys.argv = [options.script, *options.arguments]
    if options.module:
        sys.path[0] = os.getcwd()
        runpy.run_module(options.script, run_name="__main__", alter_sys=True)
    else:
        sys.path[0] = str(Path(options.script).resolve().parent)
        runpy.run_path(options.script, run_name="__main__")


def _code_of(leaving: SystemExit) -> int:
    if leaving.code is None or isinstance(leaving.code, int):
        return leaving.code or 0
    print(leaving.code, file=sys.stderr)
    return 1


def _print_as_python_would(error: BaseException) -> None:
    """Without the frames of runpy, and of this file."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(
        (str(Path(__file__)), "<frozen runpy>")
    ):
        trace = trace.tb_next
    traceback.print_exception(type(error), error, trace)


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
