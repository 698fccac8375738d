"""Settings: which file holds, what it inherits, and how its faults are told."""

from __future__ import annotations

from pathlib import Path

import pytest
from closed import close

from rnnlint.project.config import ConfigError, Settings, load_settings, settings_digest
from rnnlint.project.patterns import per_file_ignores


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_defaults_hold_where_there_is_no_file(tmp_path: Path) -> None:
    settings = load_settings(tmp_path, isolated=True)
    assert settings.select == ("ALL",)
    assert settings.fail_on == "advice"
    assert settings.source is None
    assert settings.directory == str(tmp_path)
    assert "node_modules" in settings.exclude


def test_the_nearest_file_wins_as_a_whole(tmp_path: Path) -> None:
    write(tmp_path / "rnnlint.toml", 'ignore = ["RNN401"]\nfail-on = "error"\n')
    near = write(tmp_path / "inner" / "pyproject.toml", '[tool.rnnlint]\nselect = ["RNN1"]\n')
    settings = load_settings(tmp_path / "inner" / "deep.py")
    assert settings.select == ("RNN1",)
    assert settings.ignore == ()
    assert settings.fail_on == "advice"
    assert settings.source == str(near)
    assert settings.directory == str(near.parent)


def test_a_pyproject_without_our_table_is_passed_over(tmp_path: Path) -> None:
    write(tmp_path / "rnnlint.toml", 'ignore = ["RNN401"]')
    write(tmp_path / "inner" / "pyproject.toml", "this is [not TOML")
    write(tmp_path / "inner" / "deep" / "pyproject.toml", "# tool.rnnlint\n[tool.ruff]\n")
    assert load_settings(tmp_path / "inner" / "deep").ignore == ("RNN401",)


@pytest.mark.parametrize("names", [(".rnnlint.toml", "rnnlint.toml"), ("rnnlint.toml",)])
def test_our_own_file_is_stronger_than_pyproject(tmp_path: Path, names: tuple[str, ...]) -> None:
    write(tmp_path / "pyproject.toml", '[tool.rnnlint]\nignore = ["RNN999"]')
    for number, name in enumerate(names):
        write(tmp_path / name, f'ignore = ["RNN{number}"]')
    assert load_settings(tmp_path).ignore == ("RNN0",)


def test_extend_inherits_and_overrides(tmp_path: Path) -> None:
    write(tmp_path / "base" / "pyproject.toml", '[tool.rnnlint]\nignore = ["A"]\nplugins = ["p"]\n')
    write(tmp_path / "middle.toml", 'extend = "base/pyproject.toml"\ncache-dir = "c"\n')
    write(tmp_path / "rnnlint.toml", 'extend = "middle.toml"\nignore = ["B"]\n')
    settings = load_settings(tmp_path)
    assert settings.ignore == ("B",)
    assert settings.plugins == ("p",)
    assert settings.cache_dir == "c"
    assert settings.directory == str(tmp_path)


def test_globs_that_are_inherited_keep_their_folder(tmp_path: Path) -> None:
    write(
        tmp_path / "rnnlint.toml",
        'exclude = ["sub/gen/", "other/gen", "*_pb2.py"]\nextend-exclude = ["**/old/x"]\n'
        '[per-file-ignores]\n"sub/tests/*" = ["A"]\n"!other/x" = ["B"]\n"other/y" = ["C"]\n',
    )
    write(tmp_path / "sub" / "rnnlint.toml", 'extend = "../rnnlint.toml"\n')
    settings = load_settings(tmp_path / "sub")
    assert settings.exclude == ("/gen/", "*_pb2.py")
    assert settings.extend_exclude == ("/**/old/x",)
    assert settings.per_file_ignores == {"/tests/*": ("A",), "**": ("B",)}


def test_globs_of_a_file_below_hold_below(tmp_path: Path) -> None:
    write(tmp_path / "ci" / "base.toml", 'exclude = ["/gen", "old"]\n')
    write(tmp_path / "rnnlint.toml", 'extend = "ci/base.toml"\n')
    assert load_settings(tmp_path).exclude == ("/ci/gen", "old")


def test_the_cache_may_lie_in_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    write(tmp_path / "rnnlint.toml", 'cache-dir = "~/x"\n')
    assert load_settings(tmp_path).cache_dir == str(tmp_path / "home") + "/x"
    inline = load_settings(tmp_path, inline=['cache-dir = "~/y"'])
    assert inline.cache_dir == str(tmp_path / "home") + "/y"


@pytest.mark.parametrize(
    "text",
    [
        '[tool]\nrnnlint.ignore = ["A"]\n',
        '[tool."rnnlint"]\nignore = ["A"]\n',
        '[ tool . rnnlint ]\nignore = ["A"]\n',
        'tool = { rnnlint = { ignore = ["A"] } }\n',
    ],
)
def test_our_table_is_found_however_it_is_spelled(tmp_path: Path, text: str) -> None:
    write(tmp_path / "pyproject.toml", text)
    assert load_settings(tmp_path).ignore == ("A",)


def test_a_folder_that_must_not_be_read_holds_no_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "rnnlint.toml", 'ignore = ["A"]')
    (tmp_path / "closed").mkdir()
    close(tmp_path / "closed", monkeypatch)
    assert load_settings(tmp_path / "closed").ignore == ("A",)


def test_a_circle_of_extends_is_an_error(tmp_path: Path) -> None:
    write(tmp_path / "rnnlint.toml", 'extend = "other.toml"')
    write(tmp_path / "other.toml", 'extend = "rnnlint.toml"')
    with pytest.raises(ConfigError, match=r"'extend' goes in a circle: .*other\.toml -> "):
        load_settings(tmp_path)


def test_inline_settings_override_the_file(tmp_path: Path) -> None:
    write(tmp_path / "rnnlint.toml", 'ignore = ["A"]\nfail-on = "error"')
    settings = load_settings(tmp_path, inline=['ignore = ["RNN401"]', "force-exclude = true"])
    assert settings.ignore == ("RNN401",)
    assert settings.force_exclude
    assert settings.fail_on == "error"


def test_an_explicit_file_leaves_globs_relative_to_the_project(tmp_path: Path) -> None:
    named = write(tmp_path / "elsewhere" / "strict.toml", 'select = ["RNN2"]')
    (tmp_path / "project").mkdir()
    settings = load_settings(tmp_path / "project", explicit=named)
    assert settings.select == ("RNN2",)
    assert settings.directory == str(tmp_path / "project")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[tool.rnnlint]\nselct = ["A"]', "unknown key 'selct' in [tool.rnnlint]; did you mean"),
        ("[tool.rnnlint]\nfail_on = 'error'", "did you mean 'fail-on'?"),
        ("[tool.rnnlint]\ndirectory = '/'", "unknown key 'directory'"),
        ("[tool.rnnlint]\nzzzzzz = 1", "known keys are select, "),
        ("[tool.rnnlint]\nignore = 'RNN401'", "must be a list of strings, not 'RNN401'"),
        ("[tool.rnnlint]\nignore = [401]", "must be a list of strings, not [401]"),
        ("[tool.rnnlint]\nfail-on = 'never'", 'must be "error", "warning" or "advice"'),
        ("[tool.rnnlint]\nmax-file-size = 0", "must be a positive whole number of bytes"),
        ("[tool.rnnlint]\nextend = 1", "must be the path of another settings file"),
        ("[tool.rnnlint]\nforce-exclude = 'yes'", "must be true or false"),
        ("[[tool.rnnlint]]\nignore = []", "[[tool.rnnlint]] is no table; write the settings"),
        ("[tool]\nrnnlint = 'x'", "rnnlint = 'x' is no table; write the settings below"),
        ("[tool.rnnlint]\nignore = [", "this is not valid TOML"),
    ],
)
def test_faults_name_the_file_the_key_and_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str
) -> None:
    write(tmp_path / "pyproject.toml", text)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as caught:
        load_settings(tmp_path)
    assert str(caught.value).startswith("pyproject.toml: ")
    assert message in str(caught.value)


def test_a_syntax_error_names_its_line(tmp_path: Path) -> None:
    write(tmp_path / "rnnlint.toml", 'ignore = []\n\nselect == "A"\n')
    with pytest.raises(ConfigError, match="line 3"):
        load_settings(tmp_path)


def test_a_file_in_another_encoding_is_told(tmp_path: Path) -> None:
    (tmp_path / "rnnlint.toml").write_bytes(b"# a\n# caf\xe9\n")
    with pytest.raises(ConfigError, match=r"line 2 is not UTF-8"):
        load_settings(tmp_path)


def test_a_file_that_is_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.toml: cannot be read"):
        load_settings(tmp_path, explicit=tmp_path / "absent.toml")


@pytest.mark.parametrize("inline", ["selct = []", "ignore = [", "extend = 'a.toml'"])
def test_faults_of_inline_settings_quote_them(tmp_path: Path, inline: str) -> None:
    with pytest.raises(ConfigError, match="--config"):
        load_settings(tmp_path, inline=[inline])


def test_equal_settings_have_equal_digests() -> None:
    assert settings_digest(Settings(ignore=("A",))) == settings_digest(Settings(ignore=("A",)))
    assert settings_digest(Settings(ignore=("A",))) != settings_digest(Settings())


def test_per_file_ignores_follow_globs_and_their_negation(tmp_path: Path) -> None:
    ignores = {"tests/*": ("A",), "*.ipynb": ("B",), "!src/": ("C",)}
    ignored = per_file_ignores(ignores, tmp_path, tmp_path)
    assert ignored("tests/a.py") == {"A", "C"}
    assert ignored("src/a.py") == frozenset()
    assert ignored("src/deep/a.ipynb") == {"B"}


def test_per_file_ignores_are_relative_to_their_settings(tmp_path: Path) -> None:
    ignored = per_file_ignores({"/a.py": ("A",)}, tmp_path / "sub", tmp_path)
    assert ignored("sub/a.py") == {"A"}
    assert ignored("a.py") == frozenset()
