"""The command line: what it asks of the engine, writes, and exits with."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result
from findings import MISMATCH, PADDED, UNCLIPPED, excerpts

import rnnlint
from rnnlint.cli import application
from rnnlint.diagnostic import Diagnostic, Notice, Withheld
from rnnlint.project.cache import Cache
from rnnlint.project.config import ConfigError, Settings, load_settings
from rnnlint.terminal import Progress, style_for

ROOT = Path(__file__).resolve().parent.parent
MISSING = Notice("gone.py", "no such file or folder", fatal=True)
SKIPPED = Notice("big.py", "is larger than max-file-size")


class FakeRequest(msgspec.Struct, frozen=True):
    """The engine's request, as the command line makes it."""

    paths: tuple[str, ...]
    cwd: str
    stdin: bytes | None = None
    stdin_filename: str | None = None
    config: str | None = None
    inline_config: tuple[str, ...] = ()
    relative_globs: tuple[str, ...] = ()
    isolated: bool = False
    no_cache: bool = False
    cache_dir: str | None = None
    ignore_noqa: bool = False
    diff_base: str | None = None


class FakeSummary(msgspec.Struct, frozen=True):
    """The engine's summary."""

    analysed: int
    lowered: int
    skipped: int
    cached: bool = False
    seconds: float = 0.25


class FakeOpened(msgspec.Struct, frozen=True):
    """What the engine opened for a request."""

    request: FakeRequest
    settings: Settings


class FakeOutcome(msgspec.Struct, frozen=True):
    """The engine's outcome."""

    diagnostics: tuple[Diagnostic, ...]
    notices: tuple[Notice, ...]
    excerpts: dict[str, dict[int, str]]
    summary: FakeSummary
    settings: Settings
    fixed: tuple[Diagnostic, ...] = ()
    withheld: tuple[Withheld, ...] = ()
    known: int = 0

    @property
    def unsafe_fixes(self) -> bool:
        return self.settings.unsafe_fixes


class FakeEngine(types.ModuleType):
    """An engine that finds what a test tells it to, and remembers what it was asked."""

    Request = FakeRequest

    def __init__(self) -> None:
        super().__init__("rnnlint.engine")
        self.requests: list[FakeRequest] = []
        self.diagnostics: tuple[Diagnostic, ...] = ()
        self.notices: tuple[Notice, ...] = ()
        self.error: BaseException | None = None

    def open_request(self, request: FakeRequest) -> FakeOpened:
        settings, _ = self.show_settings(request)
        return FakeOpened(request, settings)

    def examine(self, opened: FakeOpened, progress: object = None) -> FakeOutcome:
        if self.error:
            raise self.error
        summary = FakeSummary(12, 3, len(self.notices))
        return FakeOutcome(self.diagnostics, self.notices, excerpts(), summary, opened.settings)

    def from_repository(self, outcome: FakeOutcome, cwd: Path) -> FakeOutcome:
        return outcome

    def show_settings(self, request: FakeRequest) -> tuple[Settings, tuple[Notice, ...]]:
        self.requests.append(request)
        settings = load_settings(
            Path(request.cwd),
            explicit=Path(request.config) if request.config else None,
            inline=request.inline_config,
            isolated=request.isolated,
        )
        return settings, self.notices

    def show_files(self, request: FakeRequest) -> tuple[tuple[str, ...], tuple[Notice, ...]]:
        self.requests.append(request)
        return ("data.py", "model.py"), self.notices


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    """A fake engine in an empty folder, and an environment that asks for nothing."""
    fake = FakeEngine()
    monkeypatch.setitem(sys.modules, "rnnlint.engine", fake)
    monkeypatch.setattr(rnnlint, "engine", fake, raising=False)
    monkeypatch.chdir(tmp_path)
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "RNNLINT_OUTPUT_FORMAT"):
        monkeypatch.delenv(name, raising=False)
    return fake


def run(*arguments: str, **options: Any) -> Result:
    return CliRunner().invoke(application, arguments, prog_name="rnnlint", **options)


def test_a_clean_run_says_what_was_read(engine: FakeEngine) -> None:
    result = run("check")
    assert (result.exit_code, result.stdout) == (0, "Found no problems.\nRead 12 files.\n")
    assert result.stderr == ""
    assert engine.requests[0].paths == ()
    assert engine.requests[0].cwd == os.getcwd()


@pytest.mark.parametrize(
    ("found", "arguments", "code"),
    [
        ((UNCLIPPED,), [], 1),
        ((UNCLIPPED,), ["--fail-on", "warning"], 0),
        ((PADDED,), ["--fail-on", "warning"], 1),
        ((PADDED,), ["--fail-on", "error"], 0),
        ((MISMATCH,), ["--fail-on=error"], 1),
        ((MISMATCH,), ["--exit-zero"], 0),
        ((MISMATCH,), ["--statistics"], 1),
        ((MISMATCH,), ["-q", "--output-format", "json"], 1),
    ],
)
def test_findings_decide_the_exit_code(
    engine: FakeEngine, found: tuple[Diagnostic, ...], arguments: list[str], code: int
) -> None:
    engine.diagnostics = found
    assert run("check", *arguments).exit_code == code


@pytest.mark.parametrize("arguments", [[], ["-q"], ["--exit-zero"], ["--output-format=json"]])
def test_a_fatal_notice_is_never_a_pass(engine: FakeEngine, arguments: list[str]) -> None:
    engine.notices = (MISSING,)
    result = run("check", *arguments)
    assert result.exit_code == 2
    assert "error: gone.py: no such file or folder\n" in result.stderr


def test_skipped_files_are_named_with_the_reason(engine: FakeEngine) -> None:
    engine.notices = (SKIPPED,)
    result = run("check")
    assert result.exit_code == 0
    assert result.stderr == "warning: big.py: is larger than max-file-size\n"
    assert "Read 12 files; skipped 1: big.py (is larger than max-file-size).\n" in result.stdout


@pytest.mark.parametrize("output_format", ["json", "jsonl", "github"])
def test_programs_get_the_report_alone_and_people_the_rest(
    engine: FakeEngine, output_format: str
) -> None:
    engine.diagnostics, engine.notices = (MISMATCH,), (SKIPPED,)
    result = run("check", "--output-format", output_format)
    assert "Read 12" not in result.stdout
    found = "Found 1 problem (1 error) in 1 file.\n1 fixable with --fix --unsafe-fixes.\n"
    assert f"{found}Read 12 files; skipped 1" in result.stderr
    quiet = run("check", "-q", "--output-format", output_format)
    assert (quiet.stdout, quiet.stderr) == (result.stdout, "")


def test_quiet_text_is_the_problems_alone(engine: FakeEngine) -> None:
    engine.diagnostics = (MISMATCH,)
    result = run("check", "-q", "--output-format", "concise")
    assert result.stdout.startswith("model.py:4:25: error[RNN104]")
    assert result.stdout.count("\n") == 1


def test_verbose_says_how_the_run_went(engine: FakeEngine) -> None:
    stderr = run("check", "-v").stderr
    assert "12 files, 3 of them with recurrent training code, analysed afresh in 0.25 s" in stderr
    assert "settings from the defaults" in stderr


def test_options_become_settings_that_override_the_file(engine: FakeEngine) -> None:
    Path("rnnlint.toml").write_text('ignore = ["RNN401"]\nselect = ["RNN4"]\n')
    arguments = (
        *("--config", "max-file-size = 7", "--select", "RNN1, RNN2", "--select", "RNN301"),
        *("--extend-select", "missing-gradient-clipping", "--exclude", 'a"b\\c'),
        *("--extend-exclude", "d,e", "--force-exclude", "--no-respect-gitignore"),
        *("--per-file-ignores", "C:/x/*:RNN1,RNN2", "--per-file-ignores", "C:/x/*: RNN301"),
        *("--fail-on", "error", "--output-format", "json"),
    )
    assert run("check", *arguments).exit_code == 0
    settings, _ = engine.show_settings(engine.requests[0])
    assert settings == msgspec.structs.replace(
        settings,
        select=("RNN1", "RNN2", "RNN301"),
        ignore=(),
        extend_select=("missing-gradient-clipping",),
        exclude=('a"b\\c',),
        extend_exclude=("d", "e"),
        force_exclude=True,
        respect_gitignore=False,
        per_file_ignores={"C:/x/*": ("RNN1", "RNN2", "RNN301")},
        fail_on="error",
        output_format="json",
        max_file_size=7,
    )


def test_other_options_reach_the_engine(engine: FakeEngine) -> None:
    Path("other.toml").write_text("")
    arguments = ("a.py", "b", "-n", "--cache-dir", "c", "--ignore-noqa")
    run("check", *arguments, "--config", "other.toml")
    assert engine.requests[0] == FakeRequest(
        paths=("a.py", "b"),
        cwd=os.getcwd(),
        config="other.toml",
        no_cache=True,
        cache_dir="c",
        ignore_noqa=True,
    )
    run("check", "--isolated")
    assert engine.requests[1] == FakeRequest(paths=(), cwd=os.getcwd(), isolated=True)


def test_the_standard_input_is_read_as_bytes(engine: FakeEngine) -> None:
    run("check", "-", "--stdin-filename", "model.py", input=b"\xef\xbb\xbfx\r\n")
    assert engine.requests[0].stdin == b"\xef\xbb\xbfx\r\n"
    assert engine.requests[0].stdin_filename == "model.py"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["check", "-", "a.py"], "'-' stands alone"),
        (["check", "--stdin-filename", "a.py"], "give '-' as the path"),
        (["check", "--config", "a.toml", "--config", "b.toml"], "several files, a.toml, b.toml"),
        (["check", "--per-file-ignores", "RNN1"], "'RNN1' is not GLOB:RULES"),
        (["check", "--output-format", "sarif2"], "'sarif2' is not one of"),
        (["check", "--selekt", "RNN1"], "'--select'"),
        (["chek"], "'check'"),
        (["check", "--config", "selct = []"], "unknown key 'selct'; did you mean 'select'?"),
        (["check", "--config", "gone.toml"], "gone.toml: cannot be read"),
        (["check", "-o", "gone/report.txt"], "cannot write the report to 'gone/report.txt'"),
        (["check", ""], "a path is empty"),
        (["check", "--select", ""], "the value of --select is empty"),
        (["check", "--extend-exclude", " , "], "the value of --extend-exclude is empty"),
        (["check", "-o", ""], "the value of --output-file is empty"),
        (["check", "-", "--stdin-filename", ""], "the value of --stdin-filename is empty"),
        (["clean", "--cache-dir", ""], "the value of --cache-dir is empty"),
        (["rule", "RNN1"], "the rules whose codes begin so are RNN101, "),
        (["rule"], "name one rule"),
        (["rule", "RNN101", "--all"], "name one rule"),
        (["rule", "unpacked-paded-input"], "did you mean 'unpacked-padded-input'?"),
    ],
)
def test_what_cannot_be_done_is_said_with_exit_code_2(
    engine: FakeEngine, arguments: list[str], said: str
) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert said in result.stderr
    assert "Traceback" not in result.stderr


def test_a_settings_error_of_the_engine_is_an_error_message(engine: FakeEngine) -> None:
    engine.error = ConfigError("unknown rule 'RNN999' in select")
    result = run("check")
    assert (result.exit_code, result.stderr) == (2, "error: unknown rule 'RNN999' in select\n")


def test_a_crash_is_called_a_fault_of_rnnlint(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.error = ZeroDivisionError("division by zero")
    result = run("check")
    assert result.exit_code == 2
    assert "itself failed (ZeroDivisionError: division by zero)" in result.stderr
    assert "Traceback" not in result.stderr
    assert "Traceback (most recent call last)" in run("check", "--verbose").stderr
    monkeypatch.setenv("RNNLINT_TRACEBACK", "1")
    assert "Traceback (most recent call last)" in run("check").stderr


def test_an_interrupted_run_is_no_pass(engine: FakeEngine) -> None:
    engine.error = KeyboardInterrupt()
    assert run("check").exit_code == 130


def test_a_reader_that_went_away_is_no_crash(engine: FakeEngine) -> None:
    engine.error = BrokenPipeError(errno.EPIPE, "Broken pipe")
    result = run("check")
    assert (result.exit_code, result.stderr) == (1, "")


def test_the_report_goes_to_a_file(engine: FakeEngine) -> None:
    engine.diagnostics = (MISMATCH,)
    result = run("check", "-o", "report.txt", "--output-format", "concise")
    assert Path("report.txt").read_text().startswith("model.py:4:25: error[RNN104]")
    assert result.stdout == ""
    assert "Found 1 problem" in result.stderr


def test_statistics_follow_the_format(engine: FakeEngine) -> None:
    engine.diagnostics = (MISMATCH, PADDED, PADDED)
    assert run("check", "--statistics").stdout.splitlines()[:2] == [
        "2  RNN101  unpacked-padded-input",
        "1  RNN104  batch-first-mismatch",
    ]
    as_json = run("check", "--statistics", "--output-format", "json").stdout
    assert [entry["count"] for entry in msgspec.json.decode(as_json)] == [2, 1]


def test_the_format_may_come_from_the_environment_or_the_settings(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.diagnostics = (MISMATCH,)
    Path("rnnlint.toml").write_text('output-format = "concise"\n')
    assert run("check").stdout.startswith("model.py:4:25: error")
    monkeypatch.setenv("RNNLINT_OUTPUT_FORMAT", "json")
    assert run("check").stdout.startswith("[")
    assert run("check", "--output-format", "github").stdout.startswith("::error")


@pytest.mark.parametrize(
    ("environment", "arguments", "coloured"),
    [
        ({}, [], False),
        ({}, ["--color", "always"], True),
        ({"NO_COLOR": "1"}, ["--color", "always"], True),
        ({"FORCE_COLOR": "1"}, [], True),
        ({"FORCE_COLOR": "0"}, [], False),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, [], False),
        ({"FORCE_COLOR": "1"}, ["--color", "never"], False),
    ],
)
def test_colour_is_a_choice(
    engine: FakeEngine, environment: dict[str, str], arguments: list[str], coloured: bool
) -> None:
    engine.diagnostics = (MISMATCH,)
    result = run("check", *arguments, env=environment)
    assert ("\x1b[1;31m" in result.stdout) is coloured


def test_show_settings_is_toml_that_can_be_read_back(engine: FakeEngine) -> None:
    result = run("check", "--show-settings", "--per-file-ignores", "tests/*:RNN1")
    assert result.exit_code == 0
    Path("rnnlint.toml").write_text(result.stdout)
    settings = load_settings(Path.cwd())
    assert settings.per_file_ignores == {"tests/*": ("RNN1",)}
    assert msgspec.structs.replace(settings, source=None, per_file_ignores={}) == (
        msgspec.structs.replace(Settings(), directory=os.getcwd())
    )


def test_show_files_lists_them(engine: FakeEngine) -> None:
    assert run("check", "--show-files").stdout == "data.py\nmodel.py\n"


@pytest.mark.parametrize("option", ["--show-files", "--show-settings"])
def test_what_is_not_there_is_told_by_what_only_shows_too(engine: FakeEngine, option: str) -> None:
    engine.notices = (MISSING,)
    result = run("check", option, "gone.py")
    assert (result.exit_code, result.stderr) == (2, "error: gone.py: no such file or folder\n")
    assert result.stdout


def test_rule_explains_by_code_or_name(engine: FakeEngine) -> None:
    by_code = run("rule", "RNN101")
    assert by_code.exit_code == 0
    assert by_code.stdout.startswith("# RNN101 unpacked-padded-input\n\nLevel: warning.\n\n")
    assert run("rule", "rnn101").stdout == by_code.stdout
    assert run("rule", "unpacked-padded-input").stdout == by_code.stdout
    painted = run("rule", "RNN101", env={"FORCE_COLOR": "1"}).stdout
    assert painted.startswith("\x1b[1mRNN101 unpacked-padded-input\x1b[0m")


def test_rule_explains_all(engine: FakeEngine) -> None:
    pages = msgspec.json.decode(run("rule", "--all", "--output-format", "json").stdout)
    assert {"RNN001", "RNN002", "RNN101"} <= {page["code"] for page in pages}
    keys = {"code", "name", "level", "family", "fixable", "summary", "effect", "page", "url"}
    assert all(set(page) == keys and page["summary"] and page["family"] for page in pages)


def test_clean_removes_the_cache_and_nothing_else(engine: FakeEngine) -> None:
    Path("rnnlint.toml").write_text('cache-dir = "kept/here"\n')
    folder = Path.cwd() / "kept" / "here"
    folder.mkdir(parents=True)
    assert run("clean").stdout == f"There is no cache at {folder}.\n"
    assert folder.is_dir()
    Cache(folder, "1").store("findings", b"")
    result = run("clean")
    assert (result.exit_code, result.stdout) == (0, f"Removed {folder}.\n")
    assert not folder.exists()
    assert folder.parent.is_dir()
    Cache(Path("other"), "1").store("findings", b"")
    assert run("clean", "--cache-dir", "other").exit_code == 0
    assert not Path("other").exists()
    Cache(Path("real"), "1").store("findings", b"")
    Path("link").symlink_to("real")
    assert "symbolic link; remove it by hand" in run("clean", "--cache-dir", "link").stderr


def test_a_cache_that_cannot_be_removed_is_an_error(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(folder: Path) -> bool:
        raise PermissionError(errno.EACCES, "Permission denied", str(folder))

    monkeypatch.setattr("rnnlint.project.cache.clean", refuse)
    result = run("clean")
    assert result.exit_code == 2
    assert "Permission denied; remove it by hand" in result.stderr


def test_help_has_every_option_under_a_heading(engine: FakeEngine) -> None:
    text = run("check", "--help").stdout
    headings = ["Rules:", "Fixing:", "Files:", "Output:", "Settings:", "Other:"]
    assert [line for line in text.splitlines() if line in headings] == headings
    assert max(map(len, text.splitlines())) <= 80
    assert "[PATHS]...\n" not in text.partition("Rules:")[2]


def test_progress_is_shown_on_a_terminal_once_it_takes_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Terminal:
        written = ""

        def isatty(self) -> bool:
            return True

        def write(self, text: str) -> None:
            self.written += text

        def flush(self) -> None:
            """Everything is written at once."""

    now = [0.0]
    monkeypatch.setattr("rnnlint.terminal.time.monotonic", lambda: now[0])
    terminal: Any = Terminal()
    progress = Progress(terminal)
    progress("reading", 1, 2000)
    progress.clear()
    assert terminal.written == ""
    now[0] = 1.5
    progress("reading", 1234, 2000)
    progress("reading", 1235, 2000)
    assert terminal.written == "\r\x1b[Kreading 1,234 of 2,000"
    progress.clear()
    assert terminal.written.endswith("\r\x1b[K")
    now[0] = 0.0
    uncounted: Any = Terminal()
    Progress(uncounted)("analysing", 0, 0)
    assert uncounted.written == "\r\x1b[Kanalysing"
    silent: Any = Terminal()
    Progress(silent, wanted=False)("reading", 1, 2)
    assert silent.written == ""


@pytest.mark.parametrize(("columns", "width"), [("", 80), ("20", 40), ("100", 100), ("999", 120)])
def test_the_width_is_that_of_the_terminal_within_bounds(
    monkeypatch: pytest.MonkeyPatch, columns: str, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    with open(os.devnull, "w", encoding="utf-8") as stream:
        assert style_for(stream, "auto").width == width


def test_the_module_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "rnnlint", "--version"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, f"rnnlint {rnnlint.__version__}\n")


def test_the_command_line_imports_little_before_it_knows_what_to_do() -> None:
    program = (
        "import sys, rnnlint.cli\n"
        "heavy = {'libcst', 'tomllib', 'difflib', 'importlib.metadata',"
        " 'hashlib', 'rnnlint.registry', 'rnnlint.api', 'rnnlint.semantics',"
        " 'rnnlint.reporting.full', 'rnnlint.reporting.structured'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
