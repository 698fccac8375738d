"""What a monitor saw, as a page."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from rnnlint.runtime.monitor.observations import Observation
from rnnlint.runtime.monitor.records import History, LayerSample

_WIDTH = 88


@dataclass(frozen=True)
class RunReport:
    """What a run showed.

    Attributes:
        observations: what is wrong, worst first.
        history: the numbers that this was read off.
    """

    observations: tuple[Observation, ...]
    history: History

    @property
    def passed(self) -> bool:
        """Whether there was no error and no warning."""
        return all(seen.level == "advice" for seen in self.observations)

    def renamed(self, names: Mapping[str, str]) -> RunReport:
        """The same report of layers that are called otherwise."""
        observations = tuple(_renamed(seen, names) for seen in self.observations)
        layers = {names.get(key, key): samples for key, samples in self.history.layers.items()}
        return RunReport(observations, replace(self.history, layers=layers))

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, lists and dictionaries, as JSON has them."""
        return {
            "observations": [asdict(seen) for seen in self.observations],
            "history": self.history.to_dict(),
        }

    def __str__(self) -> str:
        lines = [_summary(self.history), ""]
        for seen in self.observations:
            lines += [
                _wrapped(f"{seen.level}: {seen.message}.", "  "),
                _wrapped(f"  {seen.remedy[0].upper()}{seen.remedy[1:]}.", "  "),
                "",
            ]
        codes = sorted({code for seen in self.observations for code in seen.codes})
        if codes:
            command = f"rnnlint check --select {','.join(codes)}"
            lines.append(_wrapped(f"Look for it in the code: {command}", ""))
        else:
            lines.append("Nothing was found.")
        return "\n".join(lines)


def _renamed(seen: Observation, names: Mapping[str, str]) -> Observation:
    if seen.layer is None or seen.layer not in names:
        return seen
    name = names[seen.layer]
    message = seen.message.replace(f"{seen.layer} (", f"{name} (", 1)
    return replace(seen, layer=name, message=message)


def _summary(history: History) -> str:
    lines = [f"{history.steps} steps were watched."]
    losses = history.losses.numbers
    if losses:
        lines.append(f"loss {losses[0]:.4g} -> {losses[-1]:.4g}")
    rates = history.rates.numbers
    if rates:
        moved = f"{rates[0]:.3g}"
        if history.rate_changed is not None:
            moved += f" -> {rates[-1]:.3g}"
        lines.append(f"learning rate {moved}")
    if history.clip_calls:
        lines.append(f"{history.clipped / history.clip_calls:.0%} of {history.clip_calls} clipped")
    head = [_wrapped("; ".join(lines), "")]
    if history.layers:
        head += ["", _table(history.layers)]
    return "\n".join(head)


def _table(layers: dict[str, list[LayerSample]]) -> str:
    rows = [("layer", "steps", "padding", "state, start", "end", "early/late", "gradient")]
    for name, samples in layers.items():
        newest = samples[-1]
        rows.append(
            (
                name or "(the model)",
                str(newest.steps),
                "packed" if newest.packed else _percent(newest.padding),
                _number(newest.state_at_start),
                _number(newest.state_at_end),
                _number(newest.early_to_late),
                _number(newest.gradient_norm),
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2g}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"


def _wrapped(text: str, indent: str) -> str:
    return textwrap.fill(
        text, _WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
