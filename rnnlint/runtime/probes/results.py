"""What a probe found, and the report of several, which prints as a table."""

from __future__ import annotations

import math
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, overload

Status: TypeAlias = Literal["passed", "failed", "not applicable", "error"]

_WIDTH = 88


@dataclass(frozen=True)
class ProbeResult:
    """What one probe found.

    Attributes:
        name: the probe's name.
        status: ``passed``; ``failed``; ``not applicable``, where the probe cannot be made on this
            model or batch; ``error``, where the model or the loss raised.
        measured: the number that decided, None where nothing was measured.
        tolerance: what it was compared with, None likewise.
        bound: whether ``measured`` must be at most or at least ``tolerance``.
        quantity: what the number is, in words.
        codes: the rules of rnnlint that the probe speaks for; of a failure, those that may
            explain it.
        explanation: what this means and what to do; why it is not applicable; what was raised.
    """

    name: str
    status: Status
    measured: float | None
    tolerance: float | None
    codes: tuple[str, ...]
    explanation: str
    quantity: str = ""
    bound: Literal["at most", "at least"] = "at most"

    @property
    def passed(self) -> bool:
        """Whether the probe was made, and found nothing."""
        return self.status == "passed"

    @property
    def failed(self) -> bool:
        """Whether the probe was made, and found something."""
        return self.status == "failed"

    def __str__(self) -> str:
        measured = (
            f" ({self.quantity} {_number(self.measured)})" if self.measured is not None else ""
        )
        return f"{self.name}: {self.status}{measured}: {self.explanation}"


class ProbeReport(Sequence[ProbeResult]):
    """The results of several probes, in the order in which they were made.

    A sequence of results, indexed by position or by the name of the probe.  Prints as a table,
    with what to do about each failure below it.
    """

    def __init__(self, results: Iterable[ProbeResult]) -> None:
        self._results = tuple(results)

    @property
    def passed(self) -> bool:
        """Whether no probe failed, and none was stopped by an error."""
        return all(result.status in ("passed", "not applicable") for result in self)

    @property
    def failures(self) -> tuple[ProbeResult, ...]:
        """The results that failed."""
        return tuple(result for result in self if result.failed)

    def __len__(self) -> int:
        return len(self._results)

    @overload
    def __getitem__(self, index: int | str) -> ProbeResult: ...
    @overload
    def __getitem__(self, index: slice) -> ProbeReport: ...
    def __getitem__(self, index: int | str | slice) -> ProbeResult | ProbeReport:
        if isinstance(index, str):
            for result in self:
                if result.name == index:
                    return result
            raise KeyError(f"no probe {index!r} was made; {', '.join(r.name for r in self)} were")
        if isinstance(index, slice):
            return ProbeReport(self._results[index])
        return self._results[index]

    def __iter__(self) -> Iterator[ProbeResult]:
        return iter(self._results)

    def __repr__(self) -> str:
        counts = Counter(result.status for result in self)
        return f"ProbeReport({', '.join(f'{n} {status}' for status, n in counts.items())})"

    def __str__(self) -> str:
        return "\n".join([_table(self._results), "", *_notes(self._results), self._conclusion()])

    def _conclusion(self) -> str:
        errors = sum(result.status == "error" for result in self)
        codes = sorted({code for result in self.failures for code in result.codes})
        advice = "Nothing was found."
        if self.failures:
            advice = f"{len(self.failures)} of {len(self)} probes found something."
        if errors:
            advice += f" {errors} could not be made, because the model or the loss raised."
        if codes:
            advice += f" Look for it in the code: rnnlint check --select {','.join(codes)}"
        return _wrapped(advice, "")


def _table(results: Sequence[ProbeResult]) -> str:
    rows = [("probe", "result", "measured", "must be", "rules"), *map(_row, results)]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join(
        "  ".join(
            [
                row[0].ljust(widths[0]),
                row[1].ljust(widths[1]),
                row[2].rjust(widths[2]),
                row[3].rjust(widths[3]),
                row[4],
            ]
        ).rstrip()
        for row in rows
    )


def _row(result: ProbeResult) -> tuple[str, str, str, str, str]:
    wrong = result.status in ("failed", "error")
    sign = "<=" if result.bound == "at most" else ">="
    return (
        result.name,
        result.status.upper() if wrong else result.status,
        "" if result.measured is None else _number(result.measured),
        "" if result.tolerance is None else f"{sign} {_number(result.tolerance)}",
        " ".join(result.codes) if result.failed else "",
    )


def _notes(results: Sequence[ProbeResult]) -> Iterator[str]:
    """What is wrong first, then what was not made; what passed has said all in the table."""
    for result in sorted(results, key=lambda result: result.status == "not applicable"):
        if result.status != "passed":
            what = f" ({result.quantity})" if result.quantity else ""
            yield _wrapped(f"{result.name}{what}: {result.explanation}", "    ")
            yield ""


def _wrapped(text: str, indent: str) -> str:
    return textwrap.fill(
        " ".join(text.split()),
        _WIDTH,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.0f}" if math.isfinite(value) and value == int(value) else f"{value:.2g}"
