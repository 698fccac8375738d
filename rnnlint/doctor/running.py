"""Has a script run under observation, in a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from textwrap import indent

import msgspec

from rnnlint.doctor.evidence import Run

_PACKAGE = Path(__file__).resolve().parents[1]
# Another interpreter has this rnnlint, and of its own whatever else it imports.
_BORROWED = """\
import sys, importlib.util
if sys.path[0] == "": del sys.path[0]
folder = sys.argv.pop(1)
spec = importlib.util.spec_from_file_location("rnnlint", folder + "/__init__.py",
    submodule_search_locations=[folder])
sys.modules["rnnlint"] = package = importlib.util.module_from_spec(spec)
spec.loader.exec_module(package)
from rnnlint.runtime.observing.__main__ import main
"""
_OBSERVE = f"""\
import sys
try:
{indent(_BORROWED, "    ")}
except ImportError:
    sys.exit(1)  # the reason is asked for
sys.path.insert(0, "")
main()
"""


class CannotObserveError(Exception):
    """The script could not be run, or nothing of it was seen; says why, and the remedy."""


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """How a script is observed."""

    steps: int = 0
    """Steps of the optimizer after which it is ended; 0 for none."""
    seconds: float = 0.0
    """Seconds after which it is ended; 0 for none."""
    probes: bool = True
    range_test: bool = False
    safe: bool = False
    module: bool = False
    """Whether the script is the name of a module."""


def observe(command: Sequence[str], budget: Budget, python: str | None = None) -> Run:
    """Run a script with its arguments, and return what it showed.

    Its output goes where it would go without observation.

    Raises:
        CannotObserveError: there is no such script, no PyTorch, or no report was written.
    """
    if not budget.module and not Path(command[0]).is_file():
        raise CannotObserveError(f"there is no file '{command[0]}': name a script, or -m a module")
    interpreter = python or sys.executable
    with tempfile.TemporaryDirectory(prefix="rnnlint-doctor-") as folder:
        report = Path(folder) / "run.json"
        with _interrupts_left_to_the_script():
            try:
                process = subprocess.run(
                    [interpreter, "-c", _OBSERVE, str(_PACKAGE), *_flags(report, budget), *command],
                    check=False,
                )
            except OSError as error:
                raise CannotObserveError(
                    f"cannot start '{interpreter}': {error.strerror}"
                ) from error
        try:
            return msgspec.json.decode(report.read_bytes(), type=Run)
        except FileNotFoundError:
            raise CannotObserveError(_why_not(interpreter, process.returncode)) from None


def _flags(report: Path, budget: Budget) -> Iterator[str]:
    yield from ("--report", str(report), "--steps", str(budget.steps))
    yield from ("--seconds", str(budget.seconds))
    if not budget.probes:
        yield "--no-probes"
    if budget.range_test:
        yield "--range-test"
    if budget.safe:
        yield "--safe"
    if budget.module:
        yield "--module"
    yield "--"


@contextmanager
def _interrupts_left_to_the_script() -> Iterator[None]:
    """Ctrl-C reaches both; the script ends, and its report is still written."""
    # A handler that does nothing is not inherited, as being ignored would be.
    before = signal.signal(signal.SIGINT, lambda number, frame: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _why_not(interpreter: str, code: int) -> str:
    tried = subprocess.run(
        [interpreter, "-c", _BORROWED, str(_PACKAGE)], capture_output=True, text=True, check=False
    )
    if tried.returncode:
        last = (tried.stderr.strip().splitlines() or ["rnnlint.runtime cannot be imported"])[-1]
        return f"'{interpreter}' cannot observe: {last}"
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    return (
        f"the script ended with {how} before anything could be written down: it may have been "
        "killed, or have left by os._exit"
    )
