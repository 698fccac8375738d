"""PyTorch-Ignite."""

from __future__ import annotations

from rnnlint.semantics.catalogue import Entry, Table

ALIASES = {"ignite.engine.engine": "ignite.engine"}

TABLE: Table = {
    "ignite.engine.Engine": Entry("engine_of", "ignite", ("process_function",)),
    "ignite.engine.create_supervised_trainer": Entry(
        "trainer", "ignite", ("model", "optimizer", "loss_fn")
    ),
    "ignite.engine.create_supervised_evaluator": Entry("unknown"),
    "ignite.handlers.param_scheduler.LRScheduler": Entry(
        "scheduler", "LRScheduler", ("optimizer",)
    ),
    "ignite.handlers.LRScheduler": Entry("scheduler", "LRScheduler", ("optimizer",)),
    "ignite.handlers.create_lr_scheduler_with_warmup": Entry(
        "scheduler", "create_lr_scheduler_with_warmup", ("optimizer",)
    ),
    "ignite.handlers.PiecewiseLinear": Entry("scheduler", "PiecewiseLinear", ("optimizer",)),
    "ignite.handlers.CosineAnnealingScheduler": Entry(
        "scheduler", "CosineAnnealingScheduler", ("optimizer",)
    ),
    "ignite.handlers.LinearCyclicalScheduler": Entry(
        "scheduler", "LinearCyclicalScheduler", ("optimizer",)
    ),
}
