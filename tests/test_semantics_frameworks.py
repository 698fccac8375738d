"""Frameworks that run the loop: what they are given, and what they do on their own."""

from __future__ import annotations

import pytest
from programs import analysed, happenings, only, option_of, side_of, the_call

from rnnlint.semantics import events, values
from rnnlint.semantics.program import Program

NET = """
class Net(nn.Module):
    def __init__(self, size=8):
        super().__init__()
        self.rnn = nn.LSTM(size, 16, batch_first=True)
        self.head = nn.Linear(16, 2)
    def forward(self, x):
        out, (h, c) = self.rnn(x)
        return self.head(h[-1])
"""
COLLATE = """
def collate(batch):
    xs, ys = zip(*batch)
    return pad_sequence(xs, batch_first=True), torch.tensor(ys)
"""


def the_fit(program: Program) -> events.Fit:
    return only(program.of(events.Fit))


def test_fitting(program: Program | None = None) -> None:
    """A module that no framework fits has no such event."""
    assert analysed(NET + "Net()(x)\n").of(events.Fit) == ()


# --- Lightning -------------------------------------------------------------

LIGHTNING = (
    "import pytorch_lightning as pl\n"
    + NET
    + COLLATE
    + """
class Model(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = Net()
    def forward(self, x):
        return self.net(x)
    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self(x), y)
        self.log("loss", loss)
        return loss
    def configure_optimizers(self):
        {configured}
"""
)
PLAIN = LIGHTNING.format(configured="return optim.Adam(self.parameters())")


def test_a_lightning_trainer_fits_the_module_with_its_loader() -> None:
    program = analysed(
        PLAIN
        + """
loader = DataLoader(rows, batch_size=4, collate_fn=collate)
trainer = pl.Trainer(max_epochs=3, gradient_clip_val=0.5)
trainer.fit(Model(), loader)
"""
    )
    fit = the_fit(program)
    assert fit.trainer.name == "lightning"
    assert fit.trainer.options["gradient_clip_val"] == values.Const(0.5)
    assert program.recurrent_layers(fit.module) == frozenset(program.layers)
    assert side_of(program) == "right"
    assert program.is_stepped(only(program.optimizers))
    backward = program.of(events.Backward)[0]
    assert backward.implicit
    assert backward.calls


def test_a_data_module_provides_the_batches() -> None:
    program = analysed(
        PLAIN
        + """
class Data(pl.LightningDataModule):
    def setup(self, stage):
        self.rows = load()
    def train_dataloader(self):
        return DataLoader(self.rows, batch_size=4, collate_fn=collate)
trainer = pl.Trainer()
trainer.fit(Model(), datamodule=Data())
"""
    )
    assert side_of(program) == "right"


def test_a_module_may_bring_its_own_loader() -> None:
    program = analysed(
        PLAIN
        + """
    def train_dataloader(self):
        return DataLoader(rows, batch_size=4, collate_fn=collate)
pl.Trainer().fit(Model())
"""
    )
    assert side_of(program) == "right"


@pytest.mark.parametrize(
    "imports",
    [
        "import lightning as L\nL.Trainer().fit(Model(), loader)",
        "import lightning.pytorch as pl\npl.Trainer().fit(Model(), loader)",
        "from pytorch_lightning import Trainer\nTrainer().fit(Model(), loader)",
        "from lightning.pytorch import Trainer\nTrainer().fit(Model(), loader)",
    ],
)
def test_every_name_of_the_trainer_is_known(imports: str) -> None:
    assert the_fit(analysed(f"{PLAIN}\n{imports}\n")).trainer.name == "lightning"


def test_a_module_that_no_trainer_fits_is_run_all_the_same() -> None:
    program = analysed(PLAIN)
    assert program.of(events.Fit) == ()
    assert the_call(program).layer is only(program.layers)
    assert program.is_stepped(only(program.optimizers))


SCHEDULED = {
    "a pair of lists": ("opt = optim.Adam(self.parameters())", "[opt], [StepLR(opt, 1)]", 0),
    "a dict": (
        "opt = optim.Adam(self.parameters())",
        '{{"optimizer": opt, "lr_scheduler": StepLR(opt, 1)}}',
        0,
    ),
    "a dict in a dict": (
        "opt = optim.Adam(self.parameters())",
        '{{"optimizer": opt, "lr_scheduler": {{"scheduler": StepLR(opt, 1), "monitor": "l"}}}}',
        1,
    ),
    "a monitor beside it": (
        "opt = optim.Adam(self.parameters())",
        '{{"optimizer": opt, "lr_scheduler": StepLR(opt, 1), "monitor": "loss"}}',
        1,
    ),
    "dicts in a list": (
        "opt = optim.Adam(self.parameters())",
        '[opt], [{{"scheduler": StepLR(opt, 1), "interval": "step"}}]',
        0,
    ),
}


@pytest.mark.parametrize(("before", "returned", "arguments"), SCHEDULED.values(), ids=SCHEDULED)
def test_lightning_steps_the_schedulers_it_is_handed(
    before: str, returned: str, arguments: int
) -> None:
    configured = f"{before}\n        return {returned.replace('{{', '{').replace('}}', '}')}"
    program = analysed(
        "from torch.optim.lr_scheduler import StepLR\n"
        + LIGHTNING.replace("{configured}", configured)
        + "pl.Trainer().fit(Model(), loader)\n"
    )
    scheduled = program.optimizer_events(only(program.optimizers), "schedule")
    assert [event.scheduler for event in scheduled] == [only(program.schedulers)]
    assert scheduled[0].arguments == arguments


def test_manual_optimisation_runs_its_own_steps() -> None:
    program = analysed(
        "import pytorch_lightning as pl\n"
        + NET
        + """
class Model(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = Net()
        self.automatic_optimization = False
    def training_step(self, batch, batch_idx):
        x, y = batch
        opt = self.optimizers()
        opt.zero_grad()
        loss = F.cross_entropy(self.net(x), y)
        self.manual_backward(loss)
        self.clip_gradients(opt, gradient_clip_val=0.5)
        opt.step()
    def configure_optimizers(self):
        return optim.Adam(self.parameters())
pl.Trainer().fit(Model(), loader)
"""
    )
    assert happenings(program) == ["built", "zero_grad", "forward", "backward", "clip", "step"]
    assert not any(backward.implicit for backward in program.of(events.Backward))
    assert program.optimizer_events(only(program.optimizers), "step")


@pytest.mark.parametrize(
    "hook",
    [
        "on_before_optimizer_step(self, optimizer)",
        "on_after_backward(self)",
        "configure_gradient_clipping(self, *args, **kwargs)",
    ],
)
def test_a_hook_may_clip(hook: str) -> None:
    program = analysed(
        PLAIN
        + f"""
    def {hook}:
        clip_grad_norm_(self.parameters(), 1.0)
pl.Trainer().fit(Model(), loader)
"""
    )
    clip = program.of(events.Clip)[0]
    assert clip.layers is not None
    assert only(program.layers) in clip.layers


def test_options_of_a_trainer_that_were_not_seen_are_open() -> None:
    program = analysed(PLAIN + "pl.Trainer(**unseen).fit(Model(), loader)\n")
    assert "<open>" in the_fit(program).trainer.options


def test_an_argparse_namespace_leaves_a_trainer_open() -> None:
    program = analysed(
        PLAIN
        + """
args = argparse.ArgumentParser().parse_args()
pl.Trainer.from_argparse_args(args).fit(Model(), loader)
"""
    )
    assert the_fit(program).trainer.name != "lightning"


def test_a_module_loaded_from_a_checkpoint_is_loaded() -> None:
    program = analysed(PLAIN + 'model = Model.load_from_checkpoint("a.ckpt")\nmodel(x)\n')
    assert only(program.of(events.Load)).layers & frozenset(program.layers)


def test_the_command_line_of_lightning_fits() -> None:
    program = analysed(
        PLAIN + "from pytorch_lightning.cli import LightningCLI\nLightningCLI(Model)\n"
    )
    assert the_call(program).layer is only(program.layers)


# --- Hugging Face ----------------------------------------------------------


def test_a_hugging_face_trainer_runs_the_model_on_collated_samples() -> None:
    program = analysed(
        NET
        + """
from transformers import Trainer, TrainingArguments
class Rows(Dataset):
    def __getitem__(self, i):
        return self.rows[i]
def collate(batch):
    return {"x": pad_sequence([row["x"] for row in batch], batch_first=True)}
args = TrainingArguments("out", learning_rate=1e-3)
trainer = Trainer(model=Net(), args=args, train_dataset=Rows(), data_collator=collate)
trainer.train()
"""
    )
    assert the_fit(program).trainer.name == "Trainer"
    assert side_of(program) == "right"


def test_a_subclass_of_the_trainer_computes_its_own_loss() -> None:
    program = analysed(
        NET
        + """
from transformers import Trainer
class Mine(Trainer):
    def compute_loss(self, model, inputs, return_outputs=False):
        return F.cross_entropy(model(inputs["x"]), inputs["y"])
Mine(model=Net(), train_dataset=rows).train()
"""
    )
    assert the_call(program).layer is only(program.layers)
    assert program.of(events.LossComputed)
    assert program.recurrent_layers(the_fit(program).module) == frozenset(program.layers)


# --- Accelerate and Fabric -------------------------------------------------


@pytest.mark.parametrize(
    ("imports", "made", "prepare"),
    [
        ("from accelerate import Accelerator", "Accelerator()", "prepare"),
        ("from lightning.fabric import Fabric", "Fabric()", "setup"),
    ],
)
def test_prepared_objects_stay_what_they_were(imports: str, made: str, prepare: str) -> None:
    program = analysed(
        NET
        + COLLATE
        + f"""
{imports}
tool = {made}
net = Net()
optimizer = optim.Adam(net.parameters())
net, optimizer = tool.{prepare}(net, optimizer)
loader = DataLoader(rows, batch_size=4, collate_fn=collate)
for x, y in loader:
    loss = F.cross_entropy(net(x), y)
    tool.backward(loss)
    optimizer.step()
    optimizer.zero_grad()
"""
    )
    assert happenings(program) == ["built", "forward", "backward", "step", "zero_grad"]
    assert program.layers_of(program.of(events.Backward)[0]) == frozenset(program.layers)


@pytest.mark.parametrize(
    "call",
    [
        "accelerator.clip_grad_norm_(net.parameters(), 1.0)",
        "accelerator.clip_grad_value_(net.parameters(), 1.0)",
    ],
)
def test_an_accelerator_clips(call: str) -> None:
    program = analysed(
        NET
        + f"from accelerate import Accelerator\naccelerator, net = Accelerator(), Net()\n{call}\n"
    )
    clip = only(program.of(events.Clip))
    assert clip.layers is not None
    assert only(program.layers) in clip.layers


def test_accumulation_is_a_context_like_any_other() -> None:
    program = analysed(
        NET
        + """
from accelerate import Accelerator
accelerator, net = Accelerator(gradient_accumulation_steps=2), Net()
optimizer = optim.Adam(net.parameters())
for x, y in loader:
    with accelerator.accumulate(net):
        accelerator.backward(F.cross_entropy(net(x), y))
        optimizer.step()
"""
    )
    assert happenings(program) == ["built", "forward", "backward", "step"]


# --- Ignite, skorch, fastai, AllenNLP --------------------------------------


def test_an_ignite_engine_runs_its_function_on_each_batch() -> None:
    program = analysed(
        NET
        + COLLATE
        + """
from ignite.engine import Engine, Events
net = Net()
optimizer = optim.Adam(net.parameters())
def update(engine, batch):
    x, y = batch
    optimizer.zero_grad()
    loss = F.cross_entropy(net(x), y)
    loss.backward()
    optimizer.step()
    return loss.item()
trainer = Engine(update)
trainer.run(DataLoader(rows, batch_size=4, collate_fn=collate), max_epochs=3)
"""
    )
    assert happenings(program) == ["built", "zero_grad", "forward", "backward", "step"]
    assert side_of(program) == "right"


def test_a_scheduler_handed_to_an_ignite_engine_is_stepped() -> None:
    program = analysed(
        NET
        + """
from ignite.engine import Events, create_supervised_trainer
net = Net()
optimizer = optim.Adam(net.parameters())
scheduler = optim.lr_scheduler.StepLR(optimizer, 1)
trainer = create_supervised_trainer(net, optimizer, F.cross_entropy)
trainer.add_event_handler(Events.EPOCH_STARTED, scheduler)
trainer.run(loader, max_epochs=3)
"""
    )
    assert program.optimizer_events(only(program.optimizers), "schedule")
    fit = the_fit(program)
    assert fit.trainer.name == "ignite"
    assert program.recurrent_layers(fit.module) == frozenset(program.layers)


def test_skorch_builds_the_module_from_its_arguments() -> None:
    program = analysed(
        NET
        + """
from skorch import NeuralNetClassifier
from skorch.callbacks import GradientNormClipping
net = NeuralNetClassifier(Net, module__size=32, callbacks=[GradientNormClipping(1.0)])
net.fit(X, y)
"""
    )
    fit = the_fit(program)
    assert fit.trainer.name == "skorch"
    assert option_of(only(program.layers), "input_size") == 32
    assert program.recurrent_layers(fit.module) == frozenset(program.layers)
    callbacks = fit.trainer.options["callbacks"]
    assert isinstance(callbacks, values.ListObject)
    callback = only(callbacks.fields["items"])
    assert isinstance(callback, values.Thing)
    assert callback.name == "GradientNormClipping"


@pytest.mark.parametrize("method", ["fit", "fit_one_cycle", "fine_tune"])
def test_a_fastai_learner_fits(method: str) -> None:
    program = analysed(
        NET
        + f"""
from fastai.learner import Learner
learner = Learner(data, Net(), loss_func=F.cross_entropy)
learner.{method}(3)
"""
    )
    fit = the_fit(program)
    assert fit.trainer.name == "fastai"
    assert program.recurrent_layers(fit.module) == frozenset(program.layers)


def test_an_allennlp_trainer_trains() -> None:
    program = analysed(
        NET
        + """
from allennlp.training import GradientDescentTrainer
net = Net()
trainer = GradientDescentTrainer(model=net, optimizer=optim.Adam(net.parameters()), grad_norm=5.0)
trainer.train()
"""
    )
    fit = the_fit(program)
    assert fit.trainer.name == "allennlp"
    assert fit.trainer.options["grad_norm"] == values.Const(5.0)


def test_a_wrapper_that_packs_hides_the_padding() -> None:
    program = analysed(
        """
from allennlp.modules.seq2seq_encoders import PytorchSeq2SeqWrapper
encoder = PytorchSeq2SeqWrapper(nn.LSTM(8, 16, batch_first=True))
encoder(pad_sequence(rows, batch_first=True), mask)
"""
    )
    assert side_of(program) is None


def test_a_framework_that_no_table_lists_is_opaque() -> None:
    program = analysed(
        NET + "import newframework\nnet = Net()\nnewframework.Trainer(net).fit(loader)\n"
    )
    assert program.of(events.Fit) == ()
    assert any("Trainer" in event.callee for event in program.of(events.Opaque))
