"""Whether `rnnlint doctor` names the true cause, on the programs whose fault is known.

    python benchmarks/diagnoses.py [--steps 200] [--only NAME]

Each folder of `benchmarks/programs/` holds a training script with one fault and the same script
repaired.  Of the faulty one, the place of the true cause among the reasons is told; of the
repaired one, how many errors and warnings there are.  Prints a Markdown table; ends with 1 if the
true cause does not come first in at least ten of twelve and among the first three in all, or if
anything is held against a repaired one.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from faults import CHECKOUT, FAULTS, PROGRAMS

FIRST_IN = 10 / 12
FOREMOST = 3


def diagnosis(script: Path, steps: int) -> dict[str, Any]:
    """What the doctor says of a script, as JSON."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "diagnosis.json"
        command = [
            *(sys.executable, "-m", "rnnlint", "doctor", "--steps", str(steps)),
            *("--output-format", "json", "--output-file", str(report), script.name),
        ]
        process = subprocess.run(
            command,
            cwd=script.parent,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(CHECKOUT), "OMP_NUM_THREADS": "1"},
            check=False,
        )
        if not report.exists():
            sys.exit(f"no diagnosis of {script}: {process.stderr.strip()[-2000:]}")
        found: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
        return found


def codes_of(reason: dict[str, Any]) -> set[str]:
    """The rules that a reason speaks of; an observation of the run has several."""
    return {reason["code"]} if reason["kind"] == "finding" else set(reason["codes"])


def rank_of(found: dict[str, Any], codes: set[str]) -> int | None:
    """At which place from 1 on a reason, or else a suspicion, names one of these rules."""
    said = [*found["reasons"], *found["suspicions"], *found["advice"]]
    for rank, reason in enumerate(said, start=1):
        if codes & codes_of(reason):
            return rank
    return None


def main() -> None:
    """Diagnose every program, and judge the diagnoses."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--only", metavar="NAME", choices=sorted(FAULTS))
    options = parser.parse_args()
    chosen = [options.only] if options.only else list(FAULTS)
    ranks: list[int | None] = []
    held = 0
    print("| program | fault | first reason | place of the fault | held against the repaired |")
    print("|---|---|---|---:|---:|")
    for name in chosen:
        found = diagnosis(PROGRAMS / name / "faulty.py", options.steps)
        repaired = diagnosis(PROGRAMS / name / "repaired.py", options.steps)
        rank = rank_of(found, set(FAULTS[name].split(", ")))
        against = [*repaired["reasons"], *repaired["suspicions"]]
        first = (found["reasons"] or [{"signal": "none", "kind": ""}])[0]
        label = first.get("code") or first["signal"]
        print(f"| {name} | {FAULTS[name]} | {label} | {rank or '-'} | {len(against)} |", flush=True)
        for reason in against:
            print(f"  {reason['message']}", file=sys.stderr)
        ranks.append(rank)
        held += len(against)
    first_in = sum(rank == 1 for rank in ranks)
    foremost = sum(rank is not None and rank <= FOREMOST for rank in ranks)
    print(
        f"\nThe true cause came first in {first_in} of {len(ranks)}, and among the first "
        f"{FOREMOST} in {foremost}; {held} errors and warnings on repaired programs."
    )
    if first_in < FIRST_IN * len(ranks) or foremost < len(ranks) or held:
        sys.exit(1)


if __name__ == "__main__":
    main()
