"""Runs the steps of a composite action as GitHub's runner does, but for actions that it uses."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from published import environment
from ruamel.yaml import YAML

Values = dict[str, str]
Used = Callable[[str, Values], Values]
"""Stands for an action that is used: its name and inputs give its outputs."""
_EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")
_COMPARISON = re.compile(r"(\S+) != ''")


class Ran(msgspec.Struct, frozen=True):
    """What became of a job that uses the action."""

    succeeded: bool
    log: str
    outputs: Values
    steps: dict[str, Values]
    """The outputs of its steps, by their ids."""


def read_yaml(text: str) -> Any:
    return YAML(typ="safe").load(text)


def run_action(
    checkout: Path,
    workspace: Path,
    temporary: Path,
    used: Used,
    inputs: Values,
    done: Mapping[str, Values],
) -> Ran:
    """Run the action that a checkout holds.

    Args:
        checkout: the action.
        workspace: the repository of the job that uses it.
        temporary: what the job may fill.
        used: stands for the actions that it uses.
        inputs: those that are not the default.
        done: the outputs of steps that an earlier run has done for this one.
    """
    action = read_yaml((checkout / "action.yml").read_text(encoding="utf-8"))
    unknown = inputs.keys() - action["inputs"].keys()
    assert not unknown, f"the action has no inputs {unknown}"
    defaults = {name: each["default"] for name, each in action["inputs"].items()}
    job = _Job(checkout, workspace, temporary, used, {**defaults, **inputs})
    for step in action["runs"]["steps"]:
        job.step(step, done.get(step.get("id", "")))
    outputs = {name: job.filled(each["value"]) for name, each in action["outputs"].items()}
    return Ran(not job.failed, job.log, outputs, job.steps)


class _Job:
    """The state of a job while its steps run."""

    def __init__(
        self, checkout: Path, workspace: Path, temporary: Path, used: Used, inputs: Values
    ) -> None:
        self.failed = False
        self.log = ""
        self.steps: dict[str, Values] = {}
        self._workspace = workspace
        self._temporary = temporary
        self._used = used
        self._known = {f"inputs.{name}": value for name, value in inputs.items()}
        self._known["github.action_path"] = str(checkout)

    def step(self, step: Mapping[str, Any], done: Values | None) -> None:
        if not self._is_wanted(step.get("if", "success()")):
            return
        outputs = self._outputs(step) if done is None else done
        if "id" in step:
            self.steps[step["id"]] = outputs
            for name, value in outputs.items():
                self._known[f"steps.{step['id']}.outputs.{name}"] = value

    def _outputs(self, step: Mapping[str, Any]) -> Values:
        if "uses" not in step:
            return self._shell(step)
        inputs = {name: self.filled(str(value)) for name, value in step["with"].items()}
        return self._used(step["uses"], inputs)

    def filled(self, text: str) -> str:
        """A text with its expressions replaced; what was never set is empty."""
        return _EXPRESSION.sub(lambda found: self._known.get(found[1], ""), text)

    def _is_wanted(self, condition: str) -> bool:
        """Whether a condition holds: of the few forms that there are, another is an error."""
        for part in _EXPRESSION.sub(r"\1", condition).split(" && "):
            if part == "success()" and self.failed:
                return False
            compared = _COMPARISON.fullmatch(part)
            assert compared or part in ("success()", "!cancelled()"), part
            if compared and not self._known.get(compared[1]):
                return False
        return True

    def _shell(self, step: Mapping[str, Any]) -> Values:
        assert step["shell"] == "bash"
        script = self._temporary / "step.sh"
        script.write_text(self.filled(step["run"]), encoding="utf-8")
        outputs = self._temporary / "outputs"
        outputs.write_text("", encoding="utf-8")
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)],
            cwd=self._workspace / self.filled(step.get("working-directory", ".")),
            env=environment(
                CI="true",
                GITHUB_ACTIONS="true",
                GITHUB_OUTPUT=str(outputs),
                GITHUB_WORKSPACE=str(self._workspace),
                RUNNER_TEMP=str(self._temporary),
                **{name: self.filled(value) for name, value in step.get("env", {}).items()},
            ),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        self.failed |= done.returncode != 0
        self.log += done.stdout
        lines = outputs.read_text(encoding="utf-8").splitlines()
        return dict(line.split("=", 1) for line in lines)
