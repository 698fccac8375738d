"""The programs that show what a fault costs: they are there, they differ, and they run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parent.parent
BENCHMARKS = CHECKOUT / "benchmarks"
PROGRAMS = BENCHMARKS / "programs"
FOLDERS = sorted(path.name for path in PROGRAMS.iterdir() if path.is_dir())
VARIANTS = ("faulty.py", "repaired.py")

sys.path.insert(0, str(BENCHMARKS))

from faults import CLOSING, FAULTS, Outcome, Pair, Variant, repair, run, table  # noqa: E402


def outcome(value: float | None, reached: bool, failure: str = "") -> Outcome:
    return Outcome(value, reached, "test accuracy ≥ 0.9" if value else "", failure, 3.0)


def variant(reached: int, missed: int) -> Variant:
    return Variant((*[outcome(0.95, True)] * reached, *[outcome(0.3, False)] * missed))


def write(folder: Path, text: str) -> Path:
    program = folder / "program.py"
    program.write_text(text, encoding="utf-8")
    return program


def test_every_fault_of_the_table_has_its_folder() -> None:
    assert len(FOLDERS) >= 12
    assert sorted(FAULTS) == FOLDERS


@pytest.mark.parametrize("name", FOLDERS)
def test_a_pair_is_one_program_with_a_repair(name: str) -> None:
    faulty, repaired = ((PROGRAMS / name / file).read_text(encoding="utf-8") for file in VARIANTS)
    for text in (faulty, repaired):
        compile(text, name, "exec")
        assert "--seed" in text
        assert "(target: at " in text
    before, after = set(faulty.splitlines()), set(repaired.splitlines())
    assert faulty != repaired
    assert len(before - after) <= 2
    assert len(after - before) <= 3


@pytest.mark.parametrize("name", FOLDERS)
def test_a_faulty_program_needs_torch_alone(name: str) -> None:
    assert "rnnlint" not in (PROGRAMS / name / "faulty.py").read_text(encoding="utf-8")


def test_a_program_says_what_it_reached() -> None:
    threads = {**os.environ, "OMP_NUM_THREADS": "1"}
    program = PROGRAMS / "batch_first_missing" / "repaired.py"
    completed = subprocess.run(
        [sys.executable, str(program), "--seed", "3", "--epochs", "1"],
        env=threads,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert completed.returncode == 0, completed.stderr
    assert CLOSING.match(completed.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    ("program", "value", "reached", "target"),
    [
        ('print("accuracy 0.93 (target: at least 0.9)")', 0.93, True, "accuracy ≥ 0.9"),
        ('print("accuracy 0.87 (target: at least 0.9)")', 0.87, False, "accuracy ≥ 0.9"),
        ('print("test mse 0.01 (target: at most 0.05)")', 0.01, True, "test mse ≤ 0.05"),
        ('print("test mse 0.12 (target: at most 0.05)")', 0.12, False, "test mse ≤ 0.05"),
    ],
)
def test_the_closing_line_is_read(
    tmp_path: Path, program: str, value: float, reached: bool, target: str
) -> None:
    ended = run(write(tmp_path, program), seed=0)
    assert (ended.value, ended.reached, ended.target) == (value, reached, target)


def test_nan_misses_every_target(tmp_path: Path) -> None:
    ended = run(write(tmp_path, 'print("test mse nan (target: at most 0.05)")'), seed=0)
    assert not ended.reached
    assert "(NaN)" in str(Variant((ended,)))


@pytest.mark.parametrize(
    ("program", "failure"),
    [
        ('raise ValueError("no: never")', "raises ValueError"),
        ('print("epoch 3")', "no closing line"),
        ("", "no closing line"),
        ("raise SystemExit(3)", "ends with an error"),
    ],
)
def test_a_program_that_does_not_get_there_has_missed(
    tmp_path: Path, program: str, failure: str
) -> None:
    ended = run(write(tmp_path, program), seed=0)
    assert (ended.value, ended.reached, ended.failure) == (None, False, failure)


@pytest.mark.parametrize(
    ("faulty", "repaired", "separates"),
    [
        (variant(0, 10), variant(10, 0), True),
        (variant(1, 9), variant(9, 1), True),
        (variant(2, 8), variant(10, 0), False),
        (variant(0, 10), variant(8, 2), False),
        (variant(0, 2), variant(2, 0), True),
    ],
)
def test_a_pair_separates_at_nine_of_ten(
    faulty: Variant, repaired: Variant, separates: bool
) -> None:
    assert Pair("missing_clipping", faulty, repaired, None).separates is separates


def test_the_table_has_a_row_for_each_pair() -> None:
    raising = Variant((outcome(None, False, "raises RuntimeError"),) * 10)
    pairs = [
        Pair("state_not_detached", raising, variant(10, 0), None),
        Pair("missing_clipping", variant(0, 10), variant(9, 1), None),
    ]
    assert table(pairs).splitlines()[2:] == [
        "| [state not detached](benchmarks/programs/state_not_detached) | RNN205 | "
        "test accuracy ≥ 0.9 | 0 of 10 (raises RuntimeError) | 10 of 10 (0.950) | 3.0 |",
        "| [missing clipping](benchmarks/programs/missing_clipping) | RNN201 | "
        "test accuracy ≥ 0.9 | 0 of 10 (0.300) | 9 of 10 (0.950) | 3.0 |",
    ]
    third = [Pair("missing_clipping", variant(0, 10), variant(9, 1), variant(10, 0))]
    assert "| repaired by rnnlint |" in table(third)


def test_what_rnnlint_repairs_still_is_a_program(tmp_path: Path) -> None:
    faulty = PROGRAMS / "missing_clipping" / "faulty.py"
    before = faulty.read_bytes()
    copy = repair(faulty, tmp_path)
    compile(copy.read_bytes(), str(copy), "exec")
    assert faulty.read_bytes() == before
