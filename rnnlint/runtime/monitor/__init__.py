"""What a training run shows of its recurrent layers; see :class:`Monitor`."""

from rnnlint.runtime.monitor.failures import MonitorWarning
from rnnlint.runtime.monitor.observations import Observation
from rnnlint.runtime.monitor.records import History, LayerSample, Spread
from rnnlint.runtime.monitor.reports import RunReport
from rnnlint.runtime.monitor.thresholds import Thresholds
from rnnlint.runtime.monitor.watching import Monitor

__all__ = [
    "History",
    "LayerSample",
    "Monitor",
    "MonitorWarning",
    "Observation",
    "RunReport",
    "Spread",
    "Thresholds",
]
