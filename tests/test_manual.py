"""The help: what it shows can be done as it is shown, and nothing that counts is left out."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import pytest
from click.testing import CliRunner
from published import CHECKOUT
from trained import FAULTY, lay

from rnnlint.cli import application
from rnnlint.commands import doctoring, manual
from rnnlint.doctor.running import Budget, CannotObserveError

EXAMPLES = [line for _, rows in (manual.COMMANDS, manual.CHECKS, manual.RULES) for line, _ in rows]


@pytest.mark.parametrize("line", EXAMPLES)
def test_an_example_does_what_it_says(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay(tmp_path, {"train.py": FAULTY})
    monkeypatch.chdir(tmp_path)
    command, _, text = line.partition(" <")
    program, *arguments = shlex.split(command)
    assert program == "rnnlint"
    given = (tmp_path / text).read_bytes() if text else None
    result = CliRunner().invoke(application, arguments, prog_name=program, input=given)
    assert result.exit_code in (0, 1), result.output
    assert "error" not in result.stderr.lower()


@pytest.mark.parametrize("command", [(), ("check",)])
def test_the_help_ends_with_what_a_manual_ends_with(command: tuple[str, ...]) -> None:
    result = CliRunner().invoke(application, [*command, "--help"], prog_name="rnnlint")
    assert result.exit_code == 0
    places = [result.stdout.index(f"\n{each}:\n") for each in ("Examples", "Exit codes")]
    assert places == sorted(places)
    _, rows = manual.EXIT_CODES
    for code, _ in rows:
        assert f"\n  {code} " in result.stdout


@pytest.mark.parametrize("line", [line for line, _ in manual.DOCTOR[1]])
def test_an_example_of_the_doctor_is_taken(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Sequence[str], Budget]] = []

    def observe(command: Sequence[str], budget: Budget, python: str | None) -> NoReturn:
        asked.append((command, budget))
        raise CannotObserveError("not now")

    monkeypatch.setattr(doctoring, "observe", observe)
    result = CliRunner().invoke(application, shlex.split(line)[1:], prog_name="rnnlint")
    assert (result.exit_code, result.stderr) == (2, "error: not now\n")
    ((command, budget),) = asked
    assert budget.module is ("-m" in line)
    # What stands behind the script is the script's.
    assert line.endswith(" ".join(command))


@pytest.mark.parametrize(
    ("typed", "command", "steps"),
    [
        (
            "train.py --steps 3 -m -- --safe",
            ("train.py", "--steps", "3", "-m", "--", "--safe"),
            200,
        ),
        ("--steps 3 train.py --help", ("train.py", "--help"), 3),
        ("--steps 3 -- -odd.py -x", ("-odd.py", "-x"), 3),
    ],
)
def test_options_behind_the_script_are_the_script_s(
    typed: str, command: tuple[str, ...], steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Sequence[str], int]] = []

    def observe(command: Sequence[str], budget: Budget, python: str | None) -> NoReturn:
        asked.append((command, budget.steps))
        raise CannotObserveError("not now")

    monkeypatch.setattr(doctoring, "observe", observe)
    CliRunner().invoke(application, ["doctor", *typed.split()], prog_name="rnnlint")
    assert asked == [(command, steps)]


def test_a_mistyped_option_of_the_doctor_is_no_script() -> None:
    result = CliRunner().invoke(application, ["doctor", "--stpes", "3", "train.py"])
    assert result.exit_code == 2
    assert "--steps" in result.stderr


def test_the_help_of_the_doctor_ends_as_a_manual_does() -> None:
    result = CliRunner().invoke(application, ["doctor", "--help"], prog_name="rnnlint")
    places = [result.stdout.index(f"\n{each}:\n") for each in ("Examples", "Exit codes")]
    assert places == sorted(places)
    assert all(len(line) <= 80 for line in result.stdout.splitlines())


def test_every_variable_that_is_heeded_is_told() -> None:
    read = re.compile(r'environ(?:\.get\(|\[)"([A-Z_]+)"|envvar="([A-Z_]+)"')
    found = {
        "".join(groups)
        for folder in ("rnnlint", "rules")
        for file in (CHECKOUT / folder).rglob("*.py")
        for groups in read.findall(file.read_text(encoding="utf-8"))
    }
    told = {name for names, _ in manual.ENVIRONMENT[1] for name in names.split(", ")}
    # Terminals set TERM themselves.
    assert found - {"TERM"} == told


def test_exit_codes_are_those_of_the_readme() -> None:
    readme = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    _, _, table = readme.partition("| exit code | |\n|---|---|\n")
    rows = re.findall(r"(?m)^\| (\d+) \|", table.partition("\n\n")[0])
    assert rows == [code for code, _ in manual.EXIT_CODES[1]]
