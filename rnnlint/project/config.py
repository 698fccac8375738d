"""The settings: where they are found, how they are read, and what is wrong with them."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, TypeAlias

import msgspec

from rnnlint.project.patterns import moved
from rnnlint.project.wildmatch import is_broken

CONFIG_NAMES = (".rnnlint.toml", "rnnlint.toml", "pyproject.toml")
"""The files that may hold settings, the strongest first."""

DEFAULT_EXCLUDE = (
    ".bzr",
    ".direnv",
    ".eggs",
    ".git",
    ".git-rewrite",
    ".hg",
    ".ipynb_checkpoints",
    ".mypy_cache",
    ".nox",
    ".pants.d",
    ".pyenv",
    ".pytest_cache",
    ".pytype",
    ".rnnlint_cache",
    ".ruff_cache",
    ".svn",
    ".tox",
    ".venv",
    ".vscode",
    "__pycache__",
    "__pypackages__",
    "_build",
    "buck-out",
    "build",
    "dist",
    "node_modules",
    "site-packages",
    "venv",
)


FixStyle: TypeAlias = Literal["auto", "torch", "runtime"]
"""What repairs are written in: plain PyTorch, the companion, or whichever is shorter."""


class ConfigError(Exception):
    """The settings cannot be used; the message names the file, the key and the remedy."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, rename="kebab"):
    """What the user decides.  Globs are relative to `directory`, in the syntax of `.gitignore`.

    What stands below a field is its documentation: what it means, and an example in TOML.
    """

    select: tuple[str, ...] = ("ALL",)
    """The rules to look for: codes, starts of codes, names, or ALL.

        select = ["RNN1", "softmax-before-cross-entropy"]
    """
    ignore: tuple[str, ...] = ()
    """Rules not to look for.  Where it disagrees with `select` or `extend-select`, the more
    specific of the two wins, and this one if they are equally specific.

        ignore = ["RNN301", "default-recurrent-init"]
    """
    extend_select: tuple[str, ...] = ()
    """Rules to look for besides those that `select` names, which another file may do.

        extend-select = ["RNN4"]
    """
    exclude: tuple[str, ...] = DEFAULT_EXCLUDE
    """Globs of files and folders that are left out, instead of the usual ones: neither reported
    nor read.

        exclude = ["build", ".venv"]
    """
    extend_exclude: tuple[str, ...] = ()
    """Globs of files and folders that are left out besides those of `exclude`.

        extend-exclude = ["third_party"]
    """
    per_file_ignores: dict[str, tuple[str, ...]] = {}
    """Rules not to look for in files that match a glob; `!` before a glob means all others.

        per-file-ignores = { "notebooks/*" = ["RNN2"], "!src/**" = ["RNN3"] }
    """
    respect_gitignore: bool = True
    """Whether what `.gitignore` files name is left out.

        respect-gitignore = false
    """
    force_exclude: bool = False
    """Whether excluded files are left out even when the command line names them, as pre-commit
    does.

        force-exclude = true
    """
    plugins: tuple[str, ...] = ()
    """Installed packages with rules of their own, one module for each.

        plugins = ["acme_rules"]
    """
    fail_on: Literal["error", "warning", "advice"] = "advice"
    """The mildest level that makes the exit code 1.  What is milder is shown all the same.

        fail-on = "warning"
    """
    output_format: Literal[
        "full", "concise", "json", "jsonl", "github", "gitlab", "html", "junit", "sarif"
    ] = "full"
    """How the report is written.

        output-format = "concise"
    """
    baseline: str = ""
    """The file with the findings that are known already and not reported, beside the file that
    names it.  `--write-baseline` writes it.

        baseline = "rnnlint-baseline.json"
    """
    cache_dir: str = ".rnnlint_cache"
    """The folder of the cache, relative to the project; `~` is your own folder.

        cache-dir = "~/.cache/rnnlint"
    """
    max_file_size: int = 1_000_000
    """The most bytes of program text in a file; larger files are skipped with a notice.

        max-file-size = 2000000
    """
    fix: bool = False
    """Whether a run repairs what it finds.

        fix = true
    """
    fix_only: bool = False
    """Whether a run repairs, says nothing of what is left, and does not fail for it.

        fix-only = true
    """
    unsafe_fixes: bool = False
    """Whether repairs that want a look are offered, and made, like those that need none.

        unsafe-fixes = true
    """
    show_fixes: bool = False
    """Whether a run that repairs lists what it did, and what it did not and why.

        show-fixes = true
    """
    fixable: tuple[str, ...] = ("ALL",)
    """The rules whose findings are repaired.

        fixable = ["RNN1", "RNN2"]
    """
    extend_fixable: tuple[str, ...] = ()
    """Rules whose findings are repaired besides those of `fixable`.

        extend-fixable = ["RNN503"]
    """
    unfixable: tuple[str, ...] = ()
    """Rules whose findings are not repaired.  The more specific of the two wins, as it does
    with `select` and `ignore`.

        unfixable = ["missing-lr-scheduler"]
    """
    extend_safe_fixes: tuple[str, ...] = ()
    """Rules whose repairs need no look, whatever the rules say.

        extend-safe-fixes = ["RNN101"]
    """
    extend_unsafe_fixes: tuple[str, ...] = ()
    """Rules whose repairs want a look, whatever the rules say.

        extend-unsafe-fixes = ["RNN201"]
    """
    fix_style: FixStyle = "auto"
    """What repairs are written in: plain PyTorch (`torch`), the companion `rnnlint.runtime`
    (`runtime`), or PyTorch where that takes a line or two and else the companion (`auto`).

        fix-style = "torch"
    """
    directory: str = "."
    """The absolute folder that globs are relative to: that of the settings file."""
    source: str | None = None
    """The settings file, None when there is none."""


EXTEND = "extend"
"""The path of another settings file, relative to this one.  What it says holds wherever this
one says nothing.

    extend = "../rnnlint.toml"
"""
_GLOBS = ("exclude", "extend-exclude", "per-file-ignores")
_INTERNAL = {"directory", "source"}
_EXPECTED: dict[str, str] = {
    "per-file-ignores": "a table of globs to lists of codes",
    "respect-gitignore": "true or false",
    "force-exclude": "true or false",
    "fail-on": '"error", "warning" or "advice"',
    "output-format": (
        '"full", "concise", "json", "jsonl", "github", "gitlab", "html", "junit" or "sarif"'
    ),
    "baseline": "the path of a file",
    "cache-dir": "a string",
    "max-file-size": "a positive whole number of bytes",
    "fix": "true or false",
    "fix-only": "true or false",
    "unsafe-fixes": "true or false",
    "show-fixes": "true or false",
    "fix-style": '"auto", "torch" or "runtime"',
    EXTEND: "the path of another settings file",
}
KEYS = (
    *(
        field.encode_name
        for field in msgspec.structs.fields(Settings)
        if field.name not in _INTERNAL
    ),
    EXTEND,
)
"""Every key of a settings file."""


def expected(key: str) -> str:
    """What the value of a key has to be."""
    return _EXPECTED.get(key, "a list of strings")


def load_settings(
    start: Path,
    *,
    explicit: Path | None = None,
    inline: Sequence[str] = (),
    isolated: bool = False,
) -> Settings:
    """The settings that hold for `start`, a file or a folder.

    The nearest settings file, walking up, wins as a whole; it inherits only what it asks for
    with `extend`.  `explicit` names a file to use instead, `isolated` uses none at all, and
    `inline` holds TOML such as `ignore = ["RNN401"]`, which overrides what files say.

    Raises:
        ConfigError: a file cannot be read, or says something that is not understood.
    """
    path = explicit if explicit is not None else None if isolated else _nearest(start)
    table: dict[str, Any] = {}
    directory = start if os.path.isdir(start) else start.parent
    if path is not None:
        table = _inherited(path)
        # Globs of a file that was named by hand concern the project at hand, not its own folder.
        directory = path.parent if explicit is None else directory
    for text in inline:
        table.update(_inline_table(text))
    if table.get("baseline"):  # on the command line, it is relative to the working directory
        table["baseline"] = os.path.abspath(os.path.expanduser(table["baseline"]))
    if "cache-dir" in table:
        table["cache-dir"] = os.path.expanduser(table["cache-dir"])
    return msgspec.convert(
        {
            **table,
            "directory": os.path.abspath(directory),
            "source": None if path is None else os.path.abspath(path),
        },
        Settings,
    )


def settings_digest(settings: Settings) -> str:
    """A short name for these settings: equal settings have equal digests."""
    from hashlib import blake2b

    # A folder's name may be any bytes, which `repr` escapes and msgpack refuses.
    return blake2b(repr(settings).encode("utf-8", "backslashreplace"), digest_size=16).hexdigest()


def _nearest(start: Path) -> Path | None:
    absolute = Path(os.path.abspath(start))
    folder = absolute if os.path.isdir(absolute) else absolute.parent
    for candidate in (folder, *folder.parents):
        for name in CONFIG_NAMES:
            path = candidate / name
            if os.path.isfile(path) and (name != "pyproject.toml" or _concerns_us(path)):
                return path
    return None


def _concerns_us(path: Path) -> bool:
    """Whether a pyproject.toml has our table; most do not, and are not parsed to learn it."""
    data = _read(path)
    if b"rnnlint" not in data:
        return False
    where = seen(path)
    return _table_of(_parse(data, where), where) is not None


def _inherited(path: Path) -> dict[str, Any]:
    """The table of `path` laid over those that it extends."""
    first = Path(os.path.abspath(path)).parent
    chain: list[Path] = []
    tables: list[dict[str, Any]] = []
    while True:
        resolved = path.resolve()
        if resolved in chain:
            cycle = " -> ".join(seen(link) for link in (*chain, resolved))
            raise ConfigError(f"{seen(path)}: 'extend' goes in a circle: {cycle}; remove one")
        chain.append(resolved)
        table = _file_table(path)
        if table.get("baseline"):
            beside = os.path.expanduser(table["baseline"])
            table["baseline"] = os.path.abspath(path.parent / beside)
        extended = table.pop(EXTEND, None)
        tables.append(_with_moved_globs(table, Path(os.path.abspath(path)).parent, first))
        if extended is None:
            break
        path, extending = path.parent / os.path.expanduser(extended), path
        if not path.is_file():
            raise ConfigError(
                f"{seen(extending)}: 'extend' names {seen(path)}, which is no file; check the path"
            )
    merged: dict[str, Any] = {}
    for table in reversed(tables):
        merged.update(table)
    return merged


def _with_moved_globs(table: dict[str, Any], origin: Path, target: Path) -> dict[str, Any]:
    """A table of a file in `origin`, for one in `target` that extends it."""
    if origin == target:
        return table
    changed = dict(table)
    for key in ("exclude", "extend-exclude"):
        if key in table:
            globs = (moved(glob, origin, target) for glob in table[key])
            changed[key] = [glob for glob in globs if glob is not None]
    if "per-file-ignores" in table:
        ignores = changed["per-file-ignores"] = {}
        for glob, codes in table["per-file-ignores"].items():
            # What a `!glob` can match nothing of, it stands for altogether.
            kept = moved(glob, origin, target) or ("**" if glob.startswith("!") else None)
            if kept is not None:
                ignores[kept] = [*ignores.get(kept, ()), *codes]
    return changed


def _file_table(path: Path) -> dict[str, Any]:
    where = seen(path)
    parsed = _parse(_read(path), where)
    if path.name != "pyproject.toml":
        return _checked(parsed, where, "")
    table = _table_of(parsed, where)
    if table is None:
        raise ConfigError(f"{where}: there is no [tool.rnnlint] table; add one")
    return _checked(table, where, " in [tool.rnnlint]")


def _table_of(parsed: Mapping[str, Any], where: str) -> dict[str, Any] | None:
    """Our table in a pyproject.toml, however it is spelled; None when there is none."""
    tool = parsed.get("tool")
    table = tool.get("rnnlint") if isinstance(tool, dict) else None
    if table is None or isinstance(table, dict):
        return table
    found = "[[tool.rnnlint]]" if isinstance(table, list) else f"rnnlint = {table!r}"
    raise ConfigError(f"{where}: {found} is no table; write the settings below [tool.rnnlint]")


def _inline_table(text: str) -> dict[str, Any]:
    where = f"--config {text!r}"
    try:
        parsed = _parse(text.encode(), where)
    except ConfigError as error:
        raise ConfigError(f"{error}; write it as in --config 'ignore = [\"RNN401\"]'") from error
    table = _checked(parsed, where, "")
    if EXTEND in table:
        raise ConfigError(f"{where}: 'extend' belongs in a settings file; use --config FILE")
    return table


def _checked(table: Mapping[str, Any], where: str, within: str) -> dict[str, Any]:
    for key, value in table.items():
        if key not in KEYS:
            raise ConfigError(f"{where}: unknown key {key!r}{within}{_suggestion(key)}")
        if not _fits(key, value):
            raise ConfigError(f"{where}: {key!r}{within} must be {_wanted(key, value)}")
        for glob in value if key in _GLOBS else ():
            reject_unusable(glob, f"{where}: {key!r}{within}")
    return dict(table)


def _wanted(key: str, value: object) -> str:
    """What a value has to be, what it is, and how it is written where that is clear."""
    found = str(value).lower() if isinstance(value, bool) else repr(value)
    is_list = key not in _EXPECTED and isinstance(value, str)
    return f"{expected(key)}, not {found}" + (f'; write ["{value}"]' if is_list else "")


def reject_unusable(glob: str, where: str) -> None:
    """A glob that is broken matches nothing, which nobody means."""
    if is_broken(glob):
        raise ConfigError(
            f"{where} has {glob!r}, which can match nothing: close its '[', or write '\\[' for a "
            "bracket in a name"
        )


def _fits(key: str, value: object) -> bool:
    if key == EXTEND:
        return isinstance(value, str)
    if key == "max-file-size" and (not isinstance(value, int) or value < 1):
        return False
    try:
        msgspec.convert({key: value}, Settings)
    except msgspec.ValidationError:
        return False
    return True


def _suggestion(key: str) -> str:
    if key in ("lint", "check"):  # ruff has one
        return "; write its keys below [tool.rnnlint] itself"
    from difflib import get_close_matches

    close = get_close_matches(key.replace("_", "-").lower(), KEYS, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known keys are {', '.join(KEYS)}"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(f"{seen(path)}: cannot be read: {reason}; check the path") from error


def _parse(data: bytes, where: str) -> dict[str, Any]:
    toml = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    try:
        # Some editors on Windows begin a file with a mark of its encoding.
        parsed: dict[str, Any] = toml.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        row = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{where}: line {row} is not UTF-8; save the file as UTF-8") from error
    except ValueError as error:
        raise ConfigError(f"{where}: this is not valid TOML: {error}") from error
    return parsed


def seen(path: Path | str) -> str:
    """The path as a message shows it: relative to the working directory when below it."""
    absolute, here = os.path.abspath(path), os.path.join(os.getcwd(), "")
    return absolute.removeprefix(here)


def holds(source: str, key: str, word: str) -> bool:
    """Whether a settings file, or one that it extends, has a word under a key."""
    value = _inherited(Path(source)).get(key, ())
    lists = value.values() if isinstance(value, dict) else (value,)
    return any(word in each for each in lists)
