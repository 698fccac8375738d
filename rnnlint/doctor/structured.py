"""A diagnosis as JSON, for programs."""

from __future__ import annotations

import msgspec

from rnnlint.doctor.diagnosing import Diagnosis, Judged
from rnnlint.doctor.evidence import Observation
from rnnlint.reporting.structured import diagnostic_object, indented


def render(diagnosis: Diagnosis) -> str:
    """Render a diagnosis as one indented JSON object."""
    return indented(
        {
            "command": diagnosis.command,
            "passed": diagnosis.passed,
            "reasons": [_object(each) for each in diagnosis.reasons],
            "suspicions": [_object(each) for each in diagnosis.suspicions],
            "dismissed": [_object(each) for each in diagnosis.dismissed],
            "advice": [_object(each) for each in diagnosis.advice],
            "run": msgspec.to_builtins(diagnosis.run),
        }
    )


def _object(each: Judged | Observation) -> dict[str, object]:
    if isinstance(each, Observation):
        return {"kind": "observation", **msgspec.to_builtins(each)}
    return {
        "kind": "finding",
        **diagnostic_object(each.diagnostic),
        "level": each.level.value,
        "verdict": each.verdict.judgement.value,
        "evidence": each.verdict.evidence,
    }
