"""What a fault costs: small training programs with it, and the same ones repaired.

    python benchmarks/faults.py [--seeds 10] [--only NAME] [--jobs 1] [--update]
    python benchmarks/faults.py --repaired-by-rnnlint

Each folder of `benchmarks/programs/` holds a training script with one fault and the same script
with the fault repaired.  Each runs with every seed, on one thread, and says at its end what it
reached and what it should have.  The pair separates the two if the faulty one misses its target
with at least nine seeds of ten and the repaired one reaches it with at least nine.  Prints a
Markdown table; ends with 1 if a pair does not separate.

With `--repaired-by-rnnlint` a copy of the faulty script that `rnnlint check --fix
--unsafe-fixes` has repaired runs as well.
"""

from __future__ import annotations

import argparse
import math
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from readme import put_table

BENCHMARKS = Path(__file__).resolve().parent
CHECKOUT = BENCHMARKS.parent
PROGRAMS = BENCHMARKS / "programs"

FAULTS = {
    "last_step_of_padding": "RNN101, RNN103",
    "order_not_restored": "RNN105",
    "padding_in_loss": "RNN102",
    "view_for_transpose": "RNN112",
    "batch_first_missing": "RNN104",
    "tanh_default_init": "RNN401",
    "relu_default_init": "RNN501",
    "lstm_default_init": "RNN401",
    "wrong_forget_bias_slice": "RNN403",
    "missing_clipping": "RNN201",
    "clip_before_backward": "RNN202",
    "state_not_detached": "RNN205",
    "softmax_before_cross_entropy": "RNN504",
    "bidirectional_last_step": "RNN110",
}
"""The folders, and the rules that report what is wrong in them."""

SHARE = 0.9
PATIENCE = 120.0
"""Seconds on the clock after which a program counts as stuck, on however busy a machine."""
CLOSING = re.compile(
    r"^(?P<measure>.+) (?P<value>\S+) \(target: at (?P<side>least|most) (?P<target>\S+)\)$"
)


@dataclass(frozen=True)
class Outcome:
    """What one run came to."""

    value: float | None
    """The figure of the closing line; None where a run did not get there."""
    reached: bool
    target: str
    failure: str
    """Why there is no closing line."""
    seconds: float
    """Of a processor, from the start of the interpreter to its end."""

    def __str__(self) -> str:
        found = self.failure if self.value is None else _figure(self.value)
        return f"{found}, {'reached' if self.reached else 'missed'}, {self.seconds:.1f} s"


@dataclass(frozen=True)
class Variant:
    """A program over all seeds."""

    outcomes: tuple[Outcome, ...]

    @property
    def reached(self) -> int:
        return sum(outcome.reached for outcome in self.outcomes)

    @property
    def share(self) -> float:
        return self.reached / len(self.outcomes)

    @property
    def seconds(self) -> float:
        return statistics.median(outcome.seconds for outcome in self.outcomes)

    @property
    def target(self) -> str:
        return next((outcome.target for outcome in self.outcomes if outcome.target), "")

    def __str__(self) -> str:
        return f"{self.reached} of {len(self.outcomes)} ({self._median()})"

    def _median(self) -> str:
        values = [outcome.value for outcome in self.outcomes if outcome.value is not None]
        if len(values) < len(self.outcomes) / 2:
            return statistics.mode(outcome.failure for outcome in self.outcomes if outcome.failure)
        comparable = [math.inf if math.isnan(value) else value for value in values]
        median = statistics.median(comparable)
        return "NaN" if math.isinf(median) else _figure(median)


def _figure(value: float) -> str:
    return f"{value:.3f}" if value < 1000 else f"{value:.0e}"


@dataclass(frozen=True)
class Pair:
    name: str
    faulty: Variant
    repaired: Variant
    by_rnnlint: Variant | None

    @property
    def separates(self) -> bool:
        return self.faulty.share <= 1 - SHARE + 1e-9 and self.repaired.share >= SHARE - 1e-9

    def row(self) -> str:
        seconds = max(self.faulty.seconds, self.repaired.seconds)
        cells = [
            f"[{self.name.replace('_', ' ')}](benchmarks/programs/{self.name})",
            FAULTS[self.name],
            self.repaired.target or self.faulty.target,
            str(self.faulty),
            str(self.repaired),
            *([] if self.by_rnnlint is None else [str(self.by_rnnlint)]),
            f"{seconds:.1f}",
        ]
        return f"| {' | '.join(cells)} |"


def run(program: Path, seed: int) -> Outcome:
    """Runs a program on one thread and reads how it ended."""
    path = os.pathsep.join(filter(None, [str(CHECKOUT), os.environ.get("PYTHONPATH")]))
    threads = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    before = _seconds_of_children()
    try:
        completed = subprocess.run(
            [sys.executable, str(program), "--seed", str(seed)],
            env={**os.environ, **threads, "PYTHONPATH": path},
            cwd=program.parent,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Outcome(None, False, "", "takes too long", _seconds_of_children() - before)
    seconds = _seconds_of_children() - before
    if completed.returncode != 0:
        return Outcome(None, False, "", _exception(completed.stderr), seconds)
    lines = completed.stdout.splitlines()
    closing = CLOSING.match(lines[-1]) if lines else None
    if closing is None:
        return Outcome(None, False, "", "no closing line", seconds)
    value, target = float(closing["value"]), float(closing["target"])
    reached = value >= target if closing["side"] == "least" else value <= target
    sign = "≥" if closing["side"] == "least" else "≤"
    wanted = f"{closing['measure']} {sign} {closing['target']}"
    return Outcome(value, reached, wanted, "", seconds)


def _seconds_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _exception(errors: str) -> str:
    last = errors.strip().rpartition("\n")[2]
    return f"raises {last.partition(':')[0]}" if last else "ends with an error"


def measure(program: Path, name: str, seeds: int, executor: Executor) -> Variant:
    outcomes = []
    for seed, outcome in enumerate(executor.map(partial(run, program), range(seeds))):
        print(f"{name}, {program.stem}, seed {seed}: {outcome}", file=sys.stderr, flush=True)
        outcomes.append(outcome)
    return Variant(tuple(outcomes))


def repair(faulty: Path, folder: Path) -> Path:
    """A copy of a program, in a folder of its own, that rnnlint has repaired as far as it can."""
    copy = folder / "by_rnnlint.py"
    copy.write_bytes(faulty.read_bytes())
    command = [sys.executable, "-m", "rnnlint", "check", "--no-cache", "--fix", "--unsafe-fixes"]
    completed = subprocess.run(
        [*command, copy.name],
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        cwd=folder,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    if completed.returncode not in (0, 1):
        print(f"{faulty}: {completed.stderr.strip()}", file=sys.stderr)
    return copy


def measure_repaired(
    faulty: Path, already: Variant, measured: Callable[[Path], Variant]
) -> Variant:
    with tempfile.TemporaryDirectory() as folder:
        copy = repair(faulty, Path(folder))
        # The same program with the same seeds does the same.
        return already if copy.read_bytes() == faulty.read_bytes() else measured(copy)


def measure_pair(name: str, seeds: int, executor: Executor, by_rnnlint: bool) -> Pair:
    folder = PROGRAMS / name
    measured = partial(measure, name=name, seeds=seeds, executor=executor)
    faulty = measured(folder / "faulty.py")
    repaired = measured(folder / "repaired.py")
    third = measure_repaired(folder / "faulty.py", faulty, measured) if by_rnnlint else None
    return Pair(name, faulty, repaired, third)


def table(pairs: Sequence[Pair]) -> str:
    columns = ["fault", "rule", "target", "faulty", "repaired"]
    if any(pair.by_rnnlint is not None for pair in pairs):
        columns.append("repaired by rnnlint")
    columns.append("seconds")
    rows = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    return "\n".join(rows + [pair.row() for pair in pairs])


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=10, help="how many, from 0 on")
    parser.add_argument("--only", action="append", choices=FAULTS, help="may be given repeatedly")
    parser.add_argument("--jobs", type=int, default=1, help="programs that run at the same time")
    parser.add_argument("--update", action="store_true", help="write the table to README.md")
    parser.add_argument(
        "--repaired-by-rnnlint", action="store_true", help="measure what `--fix` makes of it, too"
    )
    arguments = parser.parse_args()
    if arguments.update and arguments.only:
        parser.error("README.md shows all of them: --update goes without --only")
    if arguments.seeds < 1:
        parser.error("at least one seed")
    # One process of the pool waits for one program, whose seconds are then the only ones.
    with ProcessPoolExecutor(arguments.jobs) as executor:
        pairs = [
            measure_pair(name, arguments.seeds, executor, arguments.repaired_by_rnnlint)
            for name in arguments.only or FAULTS
        ]
    print(table(pairs))
    if arguments.update:
        put_table("faults", table(pairs))
    unclear = [pair.name for pair in pairs if not pair.separates]
    if unclear:
        print(f"These do not separate: {', '.join(unclear)}", file=sys.stderr)
    return 1 if unclear else 0


if __name__ == "__main__":
    sys.exit(main())
