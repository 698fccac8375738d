"""What is said to somebody who mistypes: what is wrong, where, and what to do about it."""

# ruff: noqa: E501

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from published import CHECKOUT
from trained import FAULTY, lay

from rnnlint.cli import application


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    lay(tmp_path, {"src/model.py": FAULTY, "notes.txt": "hello\n", "ok.toml": "fix = false\n"})
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RNNLINT_OUTPUT_FORMAT", raising=False)
    return tmp_path


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(application, arguments, prog_name="rnnlint", input="x = 1\n")
    assert "fault of rnnlint" not in result.stderr, result.stderr
    return result


LINES = {
    "chek": "No such command 'chek'. Did you mean 'check'?",
    "src": "'src' is a path, not a command: write 'rnnlint check src'",
    "lib/gone.py --fix": "'lib/gone.py' is a path, not a command: write 'rnnlint check lib/gone.py --fix'",
    "--fix": "--fix is an option of check: write 'rnnlint check --fix'",
    "--no-fix src": "--no-fix is an option of check: write 'rnnlint check --no-fix src'",
    "--fixx": "No such option '--fixx'.",
    "check --diff-base main": "; run it in a repository, or leave --diff-base out",
    "check nowhere.py": "nowhere.py: no such file or folder; check the spelling",
    "check *.pyx": "*.pyx: no file or folder matches; check the pattern",
    "check src/[": "src/[: no file or folder matches; check the pattern",
    "check --selct RNN1": "No such option '--selct'. (Did you mean one of:",
    "check --select": "Option '--select' requires an argument.",
    "check --select RNN9": "unknown rule 'RNN9' in select; list the rules with 'rnnlint rule --all'",
    "check --select rnn101": "unknown rule 'rnn101' in select; did you mean 'RNN101'?",
    "check --select RNN503x": "unknown rule 'RNN503x' in select; list the rules with",
    "check --select unpacked-paded": "unknown rule 'unpacked-paded' in select; did you mean 'unpacked-padded-input'?",
    "check --ignore ,": "the value of --ignore is empty: give one, or leave it out",
    "check --ignore RNN1,RNN999": "unknown rule 'RNN999' in ignore; list the rules with",
    "check --fixable E501": "unknown rule 'E501' in fixable; list the rules with",
    "check --per-file-ignores tests/*": "'tests/*' is not GLOB:RULES, as in 'tests/*:RNN401,RNN403'",
    "check --per-file-ignores *:RNN7": "unknown rule 'RNN7' in per-file-ignores of '*'; list the rules with",
    "check --per-file-ignores [a:RNN1": "--per-file-ignores has '[a', which can match nothing: close",
    "check --exclude [": "--exclude has '[', which can match nothing: close its '[', or write '\\['",
    "check --extend-exclude a/[b-": "--extend-exclude has 'a/[b-', which can match nothing: close",
    "check --fail-on warnings": "'warnings' is not one of 'error', 'warning', 'advice'",
    "check --output-format xml": "'xml' is not one of 'full', 'concise', 'json', 'jsonl', 'github'",
    "check --output-file src": "cannot write the report to 'src': Is a directory; name another file",
    "check -o no/such/report": "cannot write the report to 'no/such/report': No such file or directory; name another file",
    "check --color yes": "Invalid value for '--color': 'yes' is not one of 'auto', 'always', 'never'",
    "check --fix=yes": "Option '--fix' does not take a value.",
    "check --config gone.toml": "gone.toml: cannot be read: No such file or directory; check the path",
    "check --config src": "src: cannot be read: Is a directory; check the path",
    "check --config notes.txt": "notes.txt: this is not valid TOML: Expected '=' after a key",
    "check --config a --config b": "--config names several files, a, b: give one",
    "check --config select=RNN1": "(at line 1, column 8); write it as in --config 'ignore = [\"RNN401\"]'",
    'check --config select="RNN1"': "'select' must be a list of strings, not 'RNN1'; write [\"RNN1\"]",
    "check --config fix=1": "--config 'fix=1': 'fix' must be true or false, not 1",
    "check --config max-file-size=true": "must be a positive whole number of bytes, not true",
    "check --config selct=[]": "--config 'selct=[]': unknown key 'selct'; did you mean 'select'?",
    "check --config extend='x'": "'extend' belongs in a settings file; use --config FILE",
    "check --isolated --config ok.toml": "--isolated reads no settings files, and --config names one",
    "check --add-noqa --fix": "--add-noqa and --fix exclude each other: give one",
    "check --diff --statistics": "--diff and --statistics exclude each other: give one",
    "check --fix-only --explain": "--fix-only and --explain exclude each other: give one",
    "check --show-files --show-settings": "--show-files and --show-settings exclude each other",
    "check --quiet --verbose": "--quiet and --verbose exclude each other: give one",
    "check --exit-zero --exit-non-zero-on-fix": "--exit-zero and --exit-non-zero-on-fix exclude",
    "check --stdin-filename x.py": "--stdin-filename wants the standard input: give '-' as the path",
    "check - src": "'-' stands alone: give either it or paths",
    "check - --stdin-filename src": "'src', for standard input, is a folder; name a file",
    "rule": "name one rule by its code or its name, or give --all",
    "rule RNN101 --all": "name one rule by its code or its name, or give --all",
    "rule RNN": "rules' codes begin so, and 'rnnlint rule --all' has them",
    "rule RNN50": "unknown rule 'RNN50'; the rules whose codes begin so are RNN501, RNN502,",
    "rule RNN999": "unknown rule 'RNN999'; 'rnnlint rule --all' has them all",
    "rule RNN101 RNN102": "Got unexpected extra argument (RNN102)",
    "clean src": "Got unexpected extra argument (src)",
}


@pytest.mark.parametrize("line", LINES)
def test_a_wrong_command_line_is_answered(line: str) -> None:
    result = run(*line.split())
    assert result.exit_code == 2, result.output
    assert LINES[line] in result.stderr
    assert "Traceback" not in result.stderr


SETTINGS = {
    "select = [": "pyproject.toml: this is not valid TOML: ",
    "select = 'RNN1'": "'select' in [tool.rnnlint] must be a list of strings, not 'RNN1'; write [\"RNN1\"]",
    "select = [1]": "'select' in [tool.rnnlint] must be a list of strings, not [1]",
    "select = []\nselect = []": "this is not valid TOML: Cannot overwrite a value (at line 3,",
    "selct = []": "unknown key 'selct' in [tool.rnnlint]; did you mean 'select'?",
    "fail_on = 'error'": "unknown key 'fail_on' in [tool.rnnlint]; did you mean 'fail-on'?",
    "line-length = 100": "unknown key 'line-length' in [tool.rnnlint]; known keys are select, ignore,",
    "[tool.rnnlint.lint]\nselect = []": "unknown key 'lint' in [tool.rnnlint]; write its keys below [tool.rnnlint] itself",
    "ignore = ['RNN99']": "pyproject.toml: unknown rule 'RNN99' in ignore; list the rules with 'rnnlint rule --all'",
    "unfixable = ['X']": "pyproject.toml: unknown rule 'X' in unfixable; list the rules with",
    "per-file-ignores = ['RNN1']": "must be a table of globs to lists of codes, not ['RNN1']",
    "per-file-ignores = { 'a' = 'RNN1' }": "must be a table of globs to lists of codes, not {'a': 'RNN1'}",
    "per-file-ignores = { 'a' = ['Z'] }": "pyproject.toml: unknown rule 'Z' in per-file-ignores of 'a'; list the rules with",
    "per-file-ignores = { '[' = ['RNN1'] }": "'per-file-ignores' in [tool.rnnlint] has '[', which can match nothing: close its '['",
    "exclude = ['[']": "'exclude' in [tool.rnnlint] has '[', which can match nothing: close its '['",
    "exclude = 'old'": "'exclude' in [tool.rnnlint] must be a list of strings, not 'old'; write [\"old\"]",
    "fail-on = 'warnings'": 'must be "error", "warning" or "advice", not \'warnings\'',
    "output-format = 'xml'": '\'output-format\' in [tool.rnnlint] must be "full", "concise"',
    "fix = 'yes'": "'fix' in [tool.rnnlint] must be true or false, not 'yes'",
    "max-file-size = '1MB'": "must be a positive whole number of bytes, not '1MB'",
    "cache-dir = 3": "'cache-dir' in [tool.rnnlint] must be a string, not 3",
    "extend = 'gone.toml'": "pyproject.toml: 'extend' names gone.toml, which is no file; check the path",
    "extend = 'pyproject.toml'": "pyproject.toml: 'extend' goes in a circle: pyproject.toml -> pyproject.toml; remove one",
    "extend = ['a']": "'extend' in [tool.rnnlint] must be the path of another settings file, not ['a']",
    "plugins = ['no_such']": "plugin 'no_such' named in the configuration cannot be imported: there is no such module; install it beside rnnlint",
    "plugins = ['json']": "plugin 'json' holds no rules; a rule is a module named like 'acm001_some_name.py'",
    "\n[[tool.rnnlint.x]]": "unknown key 'x' in [tool.rnnlint]; known keys are",
}


@pytest.mark.parametrize("settings", SETTINGS)
def test_wrong_settings_are_answered(project: Path, settings: str) -> None:
    lay(project, {"pyproject.toml": f"[tool.rnnlint]\n{settings}\n"})
    result = run("check")
    assert result.exit_code == 2, result.output
    assert SETTINGS[settings] in result.stderr


def test_whose_rule_is_unknown_is_said(project: Path) -> None:
    """That of the command line is not that of the file."""
    lay(project, {"pyproject.toml": "[tool.rnnlint]\nextend = 'base.toml'\n"})
    lay(project, {"base.toml": "ignore = ['RNN1']\n"})
    assert run("check", "--ignore", "RNN9").stderr.startswith(
        "error: unknown rule 'RNN9' in ignore"
    )
    lay(project, {"base.toml": "ignore = ['RNN9']\n"})
    assert run("check").stderr.startswith("error: pyproject.toml: unknown rule 'RNN9' in ignore")


def test_a_mark_of_the_encoding_is_no_mistake(project: Path) -> None:
    lay(project, {"rnnlint.toml": "\ufeffselect = ['RNN504']\n"})
    result = run("check")
    assert (result.exit_code, result.stderr) == (0, "")


# Root may read everything, unless it does without the right to.
HUMBLY = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]
IS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0


@pytest.mark.skipif(sys.platform == "win32", reason="rights are others there")
@pytest.mark.skipif(IS_ROOT and not shutil.which(HUMBLY[0]), reason="root may read everything")
@pytest.mark.parametrize(
    ("paths", "said"),
    [
        (["secret"], "error: secret: the folder cannot be read: Permission denied"),
        (["secret/model.py"], "error: secret/model.py: cannot be read: Permission denied"),
        (["."], "error: secret: the folder cannot be read: Permission denied"),
        (["closed.py"], "error: closed.py: cannot be read: Permission denied"),
        (["src"], ""),
    ],
)
def test_what_must_not_be_read_is_said(project: Path, paths: list[str], said: str) -> None:
    lay(project, {"secret/model.py": FAULTY, "closed.py": FAULTY})
    (project / "secret").chmod(0)
    (project / "closed.py").chmod(0)
    command = [sys.executable, "-m", "rnnlint", "check", "--no-cache", *paths]
    done = subprocess.run(
        [*(HUMBLY if IS_ROOT else ()), *command],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        check=False,
    )
    (project / "secret").chmod(0o700)
    assert "Traceback" not in done.stderr
    assert said in done.stderr
    assert done.returncode == (2 if said else 1)
