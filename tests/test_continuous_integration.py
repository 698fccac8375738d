"""The action for GitHub and the job for GitLab, as far as they can be run without either."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from published import CHECKOUT, TAG, copy_of_checkout, environment, repository, snippets
from runner import Ran, Values, read_yaml, run_action
from trained import FAULTY, lay

import rnnlint

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="its bash is another")

SETTINGS = '[tool.rnnlint]\nselect = ["RNN503"]\n'
SECTION = "GitHub and GitLab"
ANNOTATION = "(RNN503 dropout-without-effect),file=work/model.py,line=3,"


class Job:
    """A repository, the project in a folder of it, and what the action uploads."""

    def __init__(self, checkout: Path, folder: Path, done: Mapping[str, Values]) -> None:
        self.root, self._temporary = folder / "repository", folder / "temporary"
        self._temporary.mkdir()
        lay(self.root, {"work/model.py": FAULTY, "work/pyproject.toml": SETTINGS})
        repository(self.root)
        self.uploaded: list[Values] = []
        self._checkout, self._done = checkout, done

    def run(self, **inputs: str) -> Ran:
        named = {name.replace("_", "-"): value for name, value in inputs.items()}
        given = {"working-directory": "work", **named}
        return run_action(self._checkout, self.root, self._temporary, self._used, given, self._done)

    def _used(self, name: str, inputs: Values) -> Values:
        action, _, _ = name.partition("@")
        if action == "github/codeql-action/upload-sarif":
            self.uploaded.append(inputs)
            return {}
        assert action == "actions/setup-python"
        assert inputs["python-version"] == "3.13"
        return {"python-path": sys.executable}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_of_checkout(tmp_path_factory.mktemp("action") / "rnnlint")


@pytest.fixture(scope="module")
def first(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """A job without any inputs, which installs rnnlint."""
    return Job(checkout, tmp_path_factory.mktemp("first"), done={}).run()


@pytest.fixture
def job(checkout: Path, tmp_path: Path, first: Ran) -> Job:
    """A job in which rnnlint is installed, which is what takes long."""
    done = {name: first.steps[name] for name in ("python", "install")}
    return Job(checkout, tmp_path, done)


def schema_holds(schema: str, path: Path) -> None:
    command = ["check_jsonschema", "--builtin-schema", f"vendor.{schema}", str(path)]
    done = subprocess.run(
        [sys.executable, "-m", *command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


# --- GitHub ----------------------------------------------------------------


def test_the_action_is_one_to_github() -> None:
    schema_holds("github-actions", CHECKOUT / "action.yml")


def test_findings_are_annotations_and_fail_the_job(first: Ran) -> None:
    assert not first.succeeded
    assert f"rnnlint {rnnlint.__version__}\n" in first.log
    assert ANNOTATION in first.log
    assert first.outputs == {"sarif-file": ""}


def test_paths_and_options_come_line_by_line(job: Job) -> None:
    lay(job.root, {"work/with space.py": FAULTY, "work/$(exit 3).py": FAULTY})
    ran = job.run(paths="with space.py\n$(exit 3).py\n", args="--fail-on\nerror\n")
    assert ran.succeeded, ran.log
    assert "file=work/with space.py" in ran.log
    assert "file=work/$(exit 3).py" in ran.log
    assert "model.py" not in ran.log


def test_findings_are_uploaded_though_they_fail_the_job(job: Job) -> None:
    ran = job.run(sarif="true")
    assert not ran.succeeded
    (upload,) = job.uploaded
    assert upload["category"] == "rnnlint"
    assert upload["sarif_file"] == ran.outputs["sarif-file"]
    report = json.loads(Path(upload["sarif_file"]).read_text(encoding="utf-8"))
    (result,) = report["runs"][0]["results"]
    assert result["ruleId"] == "RNN503"
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "work/model.py"


def test_what_cannot_be_done_fails_the_job(job: Job) -> None:
    ran = job.run(paths="gone.py", sarif="true")
    assert not ran.succeeded
    assert "gone.py: no such file or folder" in ran.log
    assert job.uploaded == []


def test_a_version_comes_from_the_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkout = copy_of_checkout(tmp_path / "checkout")
    lay(checkout, {"rnnlint/__init__.py": '__version__ = "0.0.1"\n'})
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    wheels = ["--wheel-dir", str(tmp_path / "wheels"), str(checkout)]
    subprocess.run([*pip, *wheels], env=environment(), check=True)
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    job = Job(checkout, tmp_path, done={})
    ran = job.run(version="0.0.1")
    assert "rnnlint 0.0.1\n" in ran.log
    assert ANNOTATION in ran.log

    ran = job.run(version="0.0.0")
    assert not ran.succeeded
    assert "No matching distribution found for rnnlint==0.0.0" in ran.log
    assert ANNOTATION not in ran.log


def test_the_readme_uses_the_action_as_it_is(tmp_path: Path) -> None:
    workflow = snippets("yaml", SECTION)[0]
    lay(tmp_path, {"workflow.yml": workflow})
    schema_holds("github-workflows", tmp_path / "workflow.yml")
    (ours,) = (
        step
        for step in read_yaml(workflow)["jobs"]["rnnlint"]["steps"]
        if step["uses"] == f"rnnlint/rnnlint@{TAG}"
    )
    known = read_yaml((CHECKOUT / "action.yml").read_text(encoding="utf-8"))["inputs"]
    assert ours["with"].keys() <= known.keys()


# --- GitLab ----------------------------------------------------------------


def test_the_readme_has_a_job_for_gitlab(tmp_path: Path) -> None:
    text = snippets("yaml", SECTION)[1]
    lay(tmp_path, {".gitlab-ci.yml": text, "model.py": FAULTY, "pyproject.toml": SETTINGS})
    schema_holds("gitlab-ci", tmp_path / ".gitlab-ci.yml")
    job = read_yaml(text)["rnnlint"]
    installed, *commands = job["script"]
    assert installed == "pip install rnnlint"
    # GitLab's runner stops at the first command that fails.
    script = f'rnnlint() {{ "{sys.executable}" -m rnnlint "$@"; }}; set -e\n' + "\n".join(commands)
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=repository(tmp_path),
        env=environment(PYTHONPATH=str(CHECKOUT), CI="true"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "model.py:3:9" in done.stdout
    report = tmp_path / job["artifacts"]["reports"]["codequality"]
    (finding,) = json.loads(report.read_text(encoding="utf-8"))
    assert finding["check_name"] == "RNN503"
    assert job["artifacts"]["when"] == "always"
