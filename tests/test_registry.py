"""Finding rules by their files, ours and plugins', and selecting them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trained import FAULT, TORCH, check, codes, lay

from rnnlint import registry, selection
from rnnlint.project.config import ConfigError
from rnnlint.registry import RuleInfo

ROOT = Path(__file__).resolve().parent.parent
RULE_SOURCE = '''"""Some rule."""
from rnnlint.api import Level, Rule

class SomeRule(Rule):
    level = Level.ADVICE

    def check(self, program):
        yield from ()
'''


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An importable package without rules, forgotten afterwards."""
    folder = tmp_path / "acme_rules"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == "acme_rules"]:
        del sys.modules[name]


def test_every_file_of_the_rules_folder_is_a_rule() -> None:
    stems = {path.stem for path in (ROOT / "rules").glob("*.py")} - {"__init__"}
    infos = registry.available()
    assert {info.module.rpartition(".")[2] for info in infos} == stems
    assert [info.code for info in infos] == sorted(info.code for info in infos)


def test_every_rule_loads_as_what_its_file_is_called() -> None:
    infos = registry.available()
    for info, rule in zip(infos, registry.rules(infos), strict=True):
        assert (rule.code, rule.name) == (info.code, info.name)
        assert registry.page(info)


def test_listing_imports_no_rule() -> None:
    program = (
        "import sys; from rnnlint import registry, selection\n"
        "infos = registry.available(); selection.select(infos, ignored=['RNN1'])\n"
        "loaded = [name for name in sys.modules if name.startswith('rnnlint.rules')]\n"
        "assert infos and not loaded, loaded\n"
        "registry.rules(infos[:1])\n"
        "loaded = [name for name in sys.modules if name.startswith('rnnlint.rules.')]\n"
        "assert loaded == [infos[0].module], loaded\n"
        "assert 'libcst' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_plugin_adds_its_rules(plugin: Path) -> None:
    (plugin / "acm001_some_rule.py").write_text(RULE_SOURCE)
    (plugin / "shared.py").write_text("raise RuntimeError\n")
    info = registry.find("some-rule", registry.available(["acme_rules"]))
    assert info == RuleInfo("ACM001", "some-rule", "acme_rules.acm001_some_rule", "acme_rules")
    assert registry.load(info).code == "ACM001"
    assert registry.page(info) == "Some rule."


def test_a_missing_plugin_is_named() -> None:
    with pytest.raises(ConfigError, match=r"plugin 'acme_missing' .* install it beside rnnlint"):
        registry.available(["acme_missing"])


def test_a_plugin_without_rules_is_named(plugin: Path) -> None:
    with pytest.raises(ConfigError, match=r"plugin 'acme_rules' holds no rules"):
        registry.available([plugin.name])


def test_a_plugin_that_is_a_module_is_named(plugin: Path) -> None:
    (plugin.parent / "acme_module.py").write_text("")
    with pytest.raises(ConfigError, match=r"'acme_module' .* make it a package"):
        registry.available(["acme_module"])


def test_a_plugin_whose_parent_fails_is_named(plugin: Path) -> None:
    (plugin / "__init__.py").write_text("1 / 0\n")
    with pytest.raises(ConfigError, match=r"'acme_rules.more' .* cannot be imported: ZeroDiv"):
        registry.available(["acme_rules.more"])


def test_a_rule_that_fails_is_named(plugin: Path) -> None:
    (plugin / "acm001_some_rule.py").write_text("import acme_unknown\n")
    info = registry.find("ACM001", registry.available(["acme_rules"]))
    assert info is not None
    with pytest.raises(ConfigError, match=r"ACM001 of plugin 'acme_rules' cannot be imported"):
        registry.load(info)


@pytest.mark.parametrize("ending", ["raise SystemExit(0)\n", "import sys\nsys.exit(0)\n"])
def test_a_plugin_that_ends_the_process_is_named(plugin: Path, ending: str) -> None:
    (plugin / "acm001_some_rule.py").write_text(ending)
    info = registry.find("ACM001", registry.available(["acme_rules"]))
    assert info is not None
    with pytest.raises(ConfigError, match=r"plugin 'acme_rules' cannot be imported: SystemExit"):
        registry.load(info)
    (plugin / "__init__.py").write_text(ending)
    del sys.modules["acme_rules"]
    with pytest.raises(ConfigError, match=r"'acme_rules.more' .* cannot be imported: SystemExit"):
        registry.available(["acme_rules.more"])


def test_a_rule_without_a_level_is_named(plugin: Path) -> None:
    (plugin / "acm001_some_rule.py").write_text(RULE_SOURCE.replace("level = Level", "l = Level"))
    info = registry.find("ACM001", registry.available(["acme_rules"]))
    assert info is not None
    with pytest.raises(ConfigError, match=r"ACM001 of plugin 'acme_rules' has no level"):
        registry.load(info)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("yield 3", "it yields 3, which is no Diagnostic"),
        ("return None", "'NoneType' object is not iterable"),
        ("raise SystemExit(0)", "it ended the process with 0"),
        ("yield 1 / 0", "ZeroDivisionError"),
    ],
)
def test_a_plugin_that_fails_costs_nothing_else_and_is_named(
    plugin: Path, tmp_path: Path, body: str, said: str
) -> None:
    (plugin / "acm001_some_rule.py").write_text(RULE_SOURCE.replace("yield from ()", body))
    root = lay(tmp_path / "project", {"a.py": TORCH + FAULT})
    lay(root, {"rnnlint.toml": 'plugins = ["acme_rules"]\n'})
    outcome = check(root)
    assert codes(outcome) == ["RNN503"]
    (notice,) = outcome.notices
    assert said in notice.message
    assert "this is a fault of plugin 'acme_rules'" in notice.message
    assert notice.fatal


def test_the_start_of_codes_suggests_them() -> None:
    assert registry.suggestion("rnn1", INFOS).endswith(" begin so are RNN101, RNN103")
    assert registry.suggestion("", INFOS) == ""


@pytest.mark.parametrize(("times", "count"), [(0, 0), (2, 2)])
def test_a_module_holds_one_rule(plugin: Path, times: int, count: int) -> None:
    second = RULE_SOURCE.replace("SomeRule", "OtherRule")
    (plugin / "acm001_some_rule.py").write_text((RULE_SOURCE + second) if times else "")
    (info,) = [i for i in registry.available(["acme_rules"]) if i.package == "acme_rules"]
    with pytest.raises(ConfigError, match=rf"defines {count} subclasses of Rule"):
        registry.load(info)


@pytest.mark.parametrize(
    ("stem", "word"),
    [
        ("rnn101_other_name", "RNN101"),
        ("acm001_unpacked_padded_input", "unpacked-padded-input"),
    ],
)
def test_two_rules_of_one_name_are_both_named(plugin: Path, stem: str, word: str) -> None:
    (plugin / f"{stem}.py").write_text(RULE_SOURCE)
    with pytest.raises(ConfigError, match=rf"two rules are called '{word}': .*acme_rules\.{stem}"):
        registry.available(["acme_rules"])


CODES = ("ACM001", "RNN001", "RNN101", "RNN103", "RNN201", "RNN401")
INFOS = tuple(RuleInfo(code, f"rule-{code.lower()}", f"rules.{code}", "rules") for code in CODES)


@pytest.mark.parametrize(
    ("chosen", "also", "ignored", "expected"),
    [
        (["ALL"], [], [], "ACM001 RNN001 RNN101 RNN103 RNN201 RNN401"),
        (["RNN1"], [], [], "RNN101 RNN103"),
        (["RNN1"], ["rule-rnn201"], [], "RNN101 RNN103 RNN201"),
        (["ALL"], [], ["RNN"], "ACM001"),
        (["ALL"], [], ["RNN1", "rule-rnn401"], "ACM001 RNN001 RNN201"),
        (["RNN103"], [], ["RNN1"], "RNN103"),
        (["RNN1"], ["RNN401"], ["RNN", "RNN103"], "RNN101 RNN401"),
        (["RNN103"], [], ["RNN103"], ""),
        (["ALL"], [], ["ALL"], ""),
        (["RNN"], [], ["ALL"], "RNN001 RNN101 RNN103 RNN201 RNN401"),
        ([], [], [], ""),
    ],
)
def test_the_more_specific_selector_wins(
    chosen: list[str], also: list[str], ignored: list[str], expected: str
) -> None:
    selected = selection.select(INFOS, chosen=chosen, also=also, ignored=ignored)
    assert sorted(selected) == expected.split()


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        ("RNN104", "unknown rule 'RNN104' in ignore; did you mean 'RNN1"),
        ("rnn101", "unknown rule 'rnn101' in ignore; did you mean 'RNN101'?"),
        ("rule-rn101", "unknown rule 'rule-rn101' in ignore; did you mean 'rule-rnn101'?"),
        ("RNN9", "unknown rule 'RNN9' in ignore; list the rules with 'rnnlint rule --all'"),
        ("", "unknown rule '' in ignore; list the rules"),
    ],
)
def test_an_unknown_selector_is_an_error_with_a_suggestion(selector: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        selection.select(INFOS, ignored=[selector])
    assert str(caught.value).startswith(message)


SELECTORS = st.lists(
    st.sampled_from(["ALL", "RNN", "RNN1", "RNN10", "ACM", *CODES, "rule-rnn401"]), max_size=5
)


@given(SELECTORS, SELECTORS, SELECTORS)
def test_selection_does_not_depend_on_the_order_of_selectors(
    chosen: list[str], also: list[str], ignored: list[str]
) -> None:
    selected = selection.select(INFOS, chosen=chosen, also=also, ignored=ignored)
    turned = selection.select(INFOS, chosen=also[::-1], also=chosen[::-1], ignored=ignored[::-1])
    assert selected == turned
    assert selected <= selection.select(INFOS, chosen=chosen, also=also)


def test_per_file_ignores_become_codes() -> None:
    expanded = selection.expanded({"tests/*": ("RNN1", "rule-rnn401"), "a.py": ()}, INFOS)
    assert expanded == {"tests/*": ("RNN101", "RNN103", "RNN401"), "a.py": ()}
    with pytest.raises(ConfigError, match=r"'RNN7' in per-file-ignores of 'tests/\*'"):
        selection.expanded({"tests/*": ("RNN7",)}, INFOS)
