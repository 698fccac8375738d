"""Lightning and Fabric."""

from __future__ import annotations

from rnnlint.semantics.catalogue import Entry, Table, entries

ALIASES = {
    "pytorch_lightning": "lightning.pytorch",
    "lightning.pytorch.core.lightning": "lightning.pytorch",
    "lightning.pytorch.core": "lightning.pytorch",
    "lightning.LightningModule": "lightning.pytorch.LightningModule",
    "lightning.LightningDataModule": "lightning.pytorch.LightningDataModule",
    "lightning.Trainer": "lightning.pytorch.Trainer",
    "lightning.pytorch.trainer.Trainer": "lightning.pytorch.Trainer",
    "lightning.Fabric": "lightning.fabric.Fabric",
    "lightning_fabric": "lightning.fabric",
    "lightning.seed_everything": "lightning.pytorch.seed_everything",
    "lightning.pytorch.core.datamodule": "lightning.pytorch",
    "lightning.pytorch.core.module": "lightning.pytorch",
}

TABLE: Table = {
    "lightning.pytorch.LightningModule": Entry("module_base", "LightningModule"),
    "lightning.pytorch.LightningDataModule": Entry("data_module"),
    "lightning.pytorch.Trainer": Entry("trainer", "lightning"),
    "lightning.pytorch.Trainer.from_argparse_args": Entry("trainer", "lightning-open"),
    "lightning.pytorch.seed_everything": Entry("nothing"),
    "lightning.pytorch.cli.LightningCLI": Entry("lightning_cli"),
    "lightning.fabric.Fabric": Entry("fabric", "fabric"),
    **entries(
        "callback",
        "GradientAccumulationScheduler StochasticWeightAveraging LearningRateMonitor",
        "lightning.pytorch.callbacks.",
    ),
}
