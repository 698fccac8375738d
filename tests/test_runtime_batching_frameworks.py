"""Batches under Lightning and Accelerate: all sequences, once, in all processes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.data_loader import (  # type: ignore[import-untyped]  # it has no types
    prepare_data_loader,
    skip_first_batches,
)
from together import run_together
from torch import Tensor
from torch.utils.data import DataLoader

from rnnlint.runtime.batching import LengthBucketBatchSampler, pad_collate

LENGTHS = [1 + (7 * number) % 23 for number in range(101)]
OPTIONS: list[dict[str, Any]] = [{"batch_size": 4, "pool": 5}, {"max_tokens": 60, "pool": 3}]


def make_loader(**options: Any) -> DataLoader[Any]:
    dataset: Any = [(torch.full((length, 1), 0.1), number) for number, length in enumerate(LENGTHS)]
    sampler = LengthBucketBatchSampler(LENGTHS, **options)
    return DataLoader(dataset, batch_sampler=sampler, collate_fn=pad_collate)


def assert_complete(epochs: list[list[list[list[int]]]]) -> None:
    """What each process has seen in each epoch: each sequence once, in equally many batches."""
    for ranks in zip(*epochs, strict=True):
        seen = Counter(number for batches in ranks for batch in batches for number in batch)
        assert seen == Counter(range(len(LENGTHS)))
        assert len({len(batches) for batches in ranks}) == 1
    assert epochs[0][0] != epochs[0][1]


# --- Lightning --------------------------------------------------------------------------

LIGHTNING = """
import json, sys, warnings
import lightning.pytorch as pl
import torch
from torch import nn
from test_runtime_batching_frameworks import OPTIONS, make_loader

warnings.simplefilter("ignore")

class Model(pl.LightningModule):
    def __init__(self, options):
        super().__init__()
        self.options = options
        self.layer = nn.Linear(1, 1)
        self.epochs = []

    def on_train_epoch_start(self):
        self.epochs.append([])

    def training_step(self, batch, index):
        (padded, numbers), lengths = batch
        self.epochs[-1].append(numbers.tolist())
        return self.layer(padded).mean()

    def predict_step(self, batch, index):
        return batch[0][1].tolist()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

class InHook(Model):
    def train_dataloader(self):
        return make_loader(**self.options)

seen = {}
for kind in (Model, InHook):
    for number, options in enumerate(OPTIONS):
        # Made before there is a process group, or inside the hook.
        model = kind(options)
        trainer = pl.Trainer(
            accelerator="cpu", devices=2, strategy="ddp", max_epochs=3, logger=False,
            enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        )
        trainer.fit(model, *([make_loader(**options)] if kind is Model else []))
        seen[f"{kind.__name__} {number}"] = model.epochs
predicted = trainer.predict(model, make_loader(batch_size=4, drop_last=True))
seen["predicted"] = [number for batch in predicted for number in batch]
with open(f"{sys.argv[1]}/{trainer.global_rank}.json", "w") as file:
    json.dump(seen, file)
"""


def test_lightning_trains_in_two_processes(tmp_path: Path) -> None:
    ranks = run_together(LIGHTNING, tmp_path, NODE_RANK="0")
    for kind in ("Model", "InHook"):
        for number, _ in enumerate(OPTIONS):
            assert_complete([rank[f"{kind} {number}"] for rank in ranks])
    predicted = [number for rank in ranks for number in rank["predicted"]]
    assert sorted(predicted) == list(range(len(LENGTHS)))


@pytest.mark.filterwarnings("ignore")  # Lightning's own, of many kinds
def test_lightning_trains_and_predicts_in_one_process() -> None:
    import lightning.pytorch as pl

    class Model(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(1, 1)
            self.epochs: list[list[list[int]]] = []

        def on_train_epoch_start(self) -> None:
            self.epochs.append([])

        def training_step(self, batch: Any, index: int) -> Tensor:
            (padded, numbers), _ = batch
            self.epochs[-1].append(numbers.tolist())
            loss: Tensor = self.layer(padded).mean()
            return loss

        def predict_step(self, batch: Any, index: int) -> Any:
            return batch[0][1].tolist()

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=2,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    model = Model()
    loader = make_loader(batch_size=4, seed=3)
    trainer.fit(model, loader)
    assert_complete([model.epochs])
    expected = LengthBucketBatchSampler(LENGTHS, 4, seed=3)
    assert model.epochs == [list(expected), list(expected)]
    predicted: Any = trainer.predict(model, make_loader(batch_size=4, drop_last=True))
    assert sorted(number for batch in predicted for number in batch) == list(range(len(LENGTHS)))


# --- Accelerate -------------------------------------------------------------------------

ACCELERATE = """
import json, sys, warnings
warnings.simplefilter("ignore")
from accelerate import Accelerator
from test_runtime_batching_frameworks import OPTIONS, make_loader

accelerator = Accelerator(cpu=True)
assert accelerator.num_processes == 2
seen, gathered = [], []
for options in OPTIONS:
    loader = accelerator.prepare(make_loader(**options))
    epochs = []
    for epoch in range(3):
        epochs.append([])
        for (padded, numbers), lengths in loader:
            epochs[-1].append(numbers.tolist())
            if options is OPTIONS[0]:
                gathered += [
                    number for batch in accelerator.gather_for_metrics([numbers.tolist()], True)
                    for number in batch
                ]
    seen.append(epochs)
with open(f"{sys.argv[1]}/{accelerator.process_index}.json", "w") as file:
    json.dump({"seen": seen, "gathered": gathered}, file)
"""


def test_accelerate_shards_among_two_processes(tmp_path: Path) -> None:
    ranks = run_together(ACCELERATE, tmp_path)
    for number, _ in enumerate(OPTIONS):
        assert_complete([rank["seen"][number] for rank in ranks])
    for rank in ranks:
        assert Counter(rank["gathered"]) == Counter(list(range(len(LENGTHS))) * 3)


@pytest.mark.parametrize("even_batches", [True, False])
@pytest.mark.parametrize("options", OPTIONS)
def test_accelerate_shards_where_the_number_of_processes_is_told(
    options: dict[str, Any], even_batches: bool
) -> None:
    ranks = [
        prepare_data_loader(
            make_loader(**options, num_replicas=3),
            num_processes=3,
            process_index=rank,
            even_batches=even_batches,
        )
        for rank in range(3)
    ]
    epochs: list[list[list[list[int]]]] = [[], [], []]
    for _ in range(2):
        for rank, loader in enumerate(ranks):
            epochs[rank].append([numbers.tolist() for (_, numbers), _ in loader])
    assert_complete(epochs)


def test_accelerate_repeats_whole_batches_where_it_is_not_told_of() -> None:
    """What the documentation warns of; if this fails, the warning can go."""
    ranks = [
        prepare_data_loader(make_loader(batch_size=4), num_processes=3, process_index=rank)
        for rank in range(3)
    ]
    seen = Counter(
        number for loader in ranks for (_, numbers), _ in loader for number in numbers.tolist()
    )
    assert set(seen) == set(range(len(LENGTHS)))
    assert 0 < seen.total() - len(LENGTHS) <= 4


def test_accelerate_skips_batches_of_the_epoch_that_is_resumed() -> None:
    loader = prepare_data_loader(make_loader(batch_size=4), num_processes=1, process_index=0)
    list(loader)
    second = [numbers.tolist() for (_, numbers), _ in loader]
    loader.set_epoch(1)
    skipping = skip_first_batches(loader, 5)
    skipping.set_epoch(1)  # Accelerate 1.8 to 1.14 forget it
    rest = [numbers.tolist() for (_, numbers), _ in skipping]
    assert rest == second[5:]
