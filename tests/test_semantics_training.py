"""The steps of training, in their order: what the loop does to which layers."""

from __future__ import annotations

import pytest
from programs import IMPORTS, analysed, happenings, only

from rnnlint.semantics import events, values
from rnnlint.semantics.program import Program

MODEL = """
class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(100, 8)
        self.rnn = nn.LSTM(8, 16, batch_first=True)
        self.head = nn.Linear(16, 2)
    def forward(self, x):
        out, (h, c) = self.rnn(self.embedding(x))
        return self.head(h[-1])
model = Model()
criterion = nn.CrossEntropyLoss()
optimizer = optim.Adam(model.parameters(), lr=1e-3)
"""
LOOP = """
for epoch in range(10):
    for x, y in loader:
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
"""


def trained(loop: str) -> Program:
    return analysed(MODEL + loop)


def test_a_loop_is_a_sequence_of_events() -> None:
    assert happenings(trained(LOOP)) == ["built", "zero_grad", "forward", "backward", "step"]


def test_a_backward_pass_knows_the_layers_whose_graph_it_crosses() -> None:
    program = trained(LOOP)
    backward = program.of(events.Backward)[0]
    layer = only(program.layers)
    assert {call.layer for call in backward.calls} == {layer}
    assert program.layers_of(backward) == frozenset({layer})
    assert layer in program.trained_by


LOSSES = [
    "loss = criterion(model(x), y)",
    "loss = F.cross_entropy(model(x), y)",
    "loss = criterion(model(x), y) + 0.1 * penalty",
    "loss = 0\n    for part in parts:\n        loss += criterion(model(part), y)",
    "losses = []\n    losses.append(criterion(model(x), y))\n    loss = sum(losses)",
    "losses = [criterion(model(x), y) for x in parts]\n    loss = torch.stack(losses).mean()",
    "loss = criterion(model(x), y) / accumulation",
    "loss = {'ce': criterion(model(x), y)}['ce']",
    "loss = (model(x) - y).pow(2).mean()",
    "loss = torch.mean((model(x) - y) ** 2)",
    "loss = unseen_loss(model(x), y)",
    "output = model(x)\n    loss = criterion(output.view(-1, 2), y.view(-1))",
    "output, _ = torch.max(model(x), 1)\n    loss = criterion(output, y)",
    "loss = compute(model, x, y)",
    "loss, accuracy = evaluate(model, x, y)",
]


@pytest.mark.parametrize("loss", LOSSES)
def test_the_graph_is_followed_to_the_loss(loss: str) -> None:
    program = trained(
        f"""
def compute(model, x, y):
    return criterion(model(x), y)
def evaluate(model, x, y):
    output = model(x)
    return criterion(output, y), (output.argmax(1) == y).float().mean()
for x, y in loader:
    {loss}
    loss.backward()
    optimizer.step()
"""
    )
    assert program.of(events.Backward)[0].calls


@pytest.mark.parametrize(
    "loss",
    [
        "loss = criterion(model(x).detach(), y)",
        "loss = criterion(other(x), y)",
        "loss = unseen(x, y)",
    ],
)
def test_no_graph_is_invented(loss: str) -> None:
    program = trained(f"for x, y in loader:\n    {loss}\n    loss.backward()\n")
    assert not program.of(events.Backward)[0].calls


BACKWARDS = [
    "loss.backward()",
    "torch.autograd.backward(loss)",
    "accelerator.backward(loss)",
    "scaler.scale(loss).backward()",
    "loss.mean().backward()",
    "loss.backward(retain_graph=True)",
    "with amp.scale_loss(loss, optimizer) as scaled:\n        scaled.backward()",
]


@pytest.mark.parametrize("call", BACKWARDS)
def test_a_backward_pass_is_recognised(call: str) -> None:
    program = trained(
        f"""
from accelerate import Accelerator
from apex import amp
accelerator, scaler = Accelerator(), torch.cuda.amp.GradScaler()
for x, y in loader:
    loss = criterion(model(x), y)
    {call}
"""
    )
    backward = program.of(events.Backward)[0]
    assert backward.calls
    assert backward.retains_graph == ("retain_graph" in call)
    assert backward.scaled == ("scaler" in call)


STEPS = {
    "optimizer.zero_grad()": ["zero_grad"],
    "model.zero_grad()": ["zero_grad"],
    "optimizer.step()": ["step"],
    "scaler.step(optimizer)": ["step"],
    "scaler.unscale_(optimizer)": ["unscale"],
    "scheduler.step()": ["schedule"],
    "scheduler.step(loss)": ["schedule"],
    "clip_grad_norm_(model.parameters(), 1.0)": ["clip"],
    "nn.utils.clip_grad_norm(model.parameters(), 1.0)": ["clip"],
    "torch.nn.utils.clip_grad_value_(model.parameters(), 1.0)": ["clip"],
    "for p in model.rnn.bias_hh_l0, model.head.bias: p.grad.data.clamp_(-1, 1)": ["clip"],
    "for p in model.parameters(): p.grad.data.clamp_(-1, 1)": ["clip"],
    "for p in optimizer.param_groups[0]['params']: p.grad.clamp_(-1, 1)": ["clip"],
    "for group in optimizer.param_groups: group['lr'] = 0.1": ["rate"],
    "optimizer.param_groups[0]['lr'] *= 0.5": ["rate"],
    "adjust(optimizer, 0.1)": ["rate"],
    "for p in model.parameters(): p.grad.zero_()": ["zero_grad"],
}


@pytest.mark.parametrize(("statement", "what"), STEPS.items())
def test_a_step_of_training_is_recognised(statement: str, what: list[str]) -> None:
    program = trained(
        f"""
scaler = torch.amp.GradScaler("cuda")
scheduler = optim.lr_scheduler.StepLR(optimizer, 10)
def adjust(optimizer, rate):
    for group in optimizer.param_groups:
        group["lr"] = rate
loss = unseen
{statement}
model(x)
"""
    )
    assert happenings(program)[2:-1] == what


def test_the_optimizer_of_each_event_is_known() -> None:
    program = trained(LOOP)
    optimizer = only(program.optimizers)
    assert program.is_stepped(optimizer)
    assert len(program.optimizer_events(optimizer, "step")) == len(
        program.optimizer_events(optimizer, "zero_grad")
    )


CLIPPED = [
    ("clip_grad_norm_(model.parameters(), 1.0)", True),
    ("clip_grad_norm_(model.rnn.parameters(), 1.0)", True),
    ("clip_grad_norm_([p for p in model.parameters() if p.requires_grad], 1.0)", True),
    ("clip_grad_norm_(filter(lambda p: p.requires_grad, model.parameters()), 1.0)", True),
    ("clip_grad_norm_(list(model.parameters()), 1.0)", True),
    ("clip_grad_norm_(params, 1.0)", True),
    ("clip_grad_norm_(optimizer.param_groups[0]['params'], 1.0)", True),
    ("clip_grad_norm_(parameters=model.parameters(), max_norm=1.0)", True),
    ("clip_grad_norm_(model.head.parameters(), 1.0)", False),
]


@pytest.mark.parametrize(("call", "covers"), CLIPPED)
def test_a_clip_knows_whose_gradients_it_bounds(call: str, covers: bool) -> None:
    program = trained(f"params = [p for p in model.parameters()]\n{call}\n")
    clip = only(program.of(events.Clip))
    assert clip.layers is not None
    assert (only(program.layers) in clip.layers) is covers


def test_a_clip_of_something_unseen_is_a_clip_of_nobody_knows_what() -> None:
    assert only(trained("clip_grad_norm_(unseen, 1.0)\n").of(events.Clip)).layers is None


OPTIMIZERS = [
    "optim.SGD(model.parameters(), lr=0.1)",
    "torch.optim.AdamW(params=model.parameters())",
    "optim.Adam(list(model.parameters()))",
    "optim.Adam(filter(lambda p: p.requires_grad, model.parameters()))",
    "optim.Adam([p for p in model.parameters() if p.requires_grad])",
    "optim.Adam([p for n, p in model.named_parameters() if 'bias' not in n])",
    "optim.Adam(itertools.chain(model.parameters(), other.parameters()))",
    "optim.Adam(list(model.rnn.parameters()) + list(model.head.parameters()))",
    "optim.Adam([{'params': model.rnn.parameters()}, {'params': model.head.parameters()}])",
    "optim.Adam([{'params': [p for p in model.parameters()], 'weight_decay': 0.1}])",
    "optim.Adam(model.rnn.parameters())",
    "optim.Adam([*model.embedding.parameters(), *model.rnn.parameters()])",
    "getattr(optim, 'Adam')(model.parameters())",
    "getattr(optim, unseen)(model.parameters())",
    "{'adam': optim.Adam, 'sgd': optim.SGD}['adam'](model.parameters())",
    "build(model)",
    "partial(optim.Adam, lr=0.1)(model.parameters())",
    "transformers.AdamW(model.parameters())",
    "unseen_library.Lion(model.parameters())",
    "optim.Adam(group_of(model))",
]


@pytest.mark.parametrize("expression", OPTIMIZERS)
def test_an_optimizer_knows_whose_parameters_it_updates(expression: str) -> None:
    model = MODEL.replace("optimizer = optim.Adam(model.parameters(), lr=1e-3)\n", "")
    program = analysed(
        f"""
import transformers, unseen_library
from functools import partial
{model}
def build(model):
    return optim.Adam(model.parameters(), lr=0.1)
def group_of(model):
    decay, rest = [], []
    for name, p in model.named_parameters():
        if "bias" in name:
            rest.append(p)
        else:
            decay.append(p)
    return [dict(params=decay), dict(params=rest)]
optimizer = {expression}
optimizer.step()
"""
    )
    optimizer = only(program.optimizers)
    assert program.recurrent_layers(optimizer) == frozenset(program.layers)
    assert program.is_stepped(optimizer)


def test_an_optimizer_of_other_parameters_leads_to_no_recurrent_layer() -> None:
    program = trained("second = optim.SGD(model.head.parameters(), lr=0.1)\n")
    _, second = program.optimizers
    assert program.recurrent_layers(second) == frozenset()


def test_a_group_added_later_counts() -> None:
    program = trained(
        "second = optim.SGD(model.head.parameters(), lr=0.1)\n"
        "second.add_param_group({'params': model.rnn.parameters()})\n"
    )
    _, second = program.optimizers
    assert program.recurrent_layers(second) == frozenset(program.layers)


SCHEDULERS = [
    ("optim.lr_scheduler.StepLR(optimizer, 10)", "StepLR"),
    ("torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, 'min')", "ReduceLROnPlateau"),
    ("optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1, total_steps=9)", "OneCycleLR"),
    ("LambdaLR(optimizer, lambda step: 1 / (step + 1))", "LambdaLR"),
    ("CosineAnnealingLR(optimizer=optimizer, T_max=9)", "CosineAnnealingLR"),
]


@pytest.mark.parametrize(("expression", "name"), SCHEDULERS)
def test_a_scheduler_is_attached_to_its_optimizer(expression: str, name: str) -> None:
    program = trained(
        f"""
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR
scheduler = {expression}
for x, y in loader:
    criterion(model(x), y).backward()
    optimizer.step()
    scheduler.step()
"""
    )
    optimizer, scheduler = only(program.optimizers), only(program.schedulers)
    assert scheduler.name == name
    assert scheduler.options["optimizer"] is optimizer
    attached = only(program.optimizer_events(optimizer, "attached"))
    assert attached.scheduler is scheduler
    assert {e.scheduler for e in program.optimizer_events(optimizer, "schedule")} == {scheduler}


def test_a_schedule_by_hand_edits_the_rate() -> None:
    program = trained(
        """
class Noam:
    def __init__(self, optimizer):
        self.optimizer = optimizer
    def step(self):
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate()
        self.optimizer.step()
    def zero_grad(self):
        self.optimizer.zero_grad()
wrapped = Noam(optimizer)
for x, y in loader:
    wrapped.zero_grad()
    criterion(model(x), y).backward()
    wrapped.step()
"""
    )
    assert happenings(program) == ["built", "zero_grad", "forward", "backward", "rate", "step"]
    assert len(program.optimizer_events(only(program.optimizers), "rate")) > 0


def test_schedulers_in_a_chain_are_stepped_by_it() -> None:
    program = trained(
        """
S = optim.lr_scheduler
warm, cool = S.LinearLR(optimizer), S.ExponentialLR(optimizer, 0.9)
chain = S.SequentialLR(optimizer, [warm, cool], milestones=[5])
"""
    )
    handed_on = [s.name for s in program.schedulers if "<handed on>" in s.fields]
    assert sorted(handed_on) == ["ExponentialLR", "LinearLR"]


def test_a_closure_is_part_of_the_step() -> None:
    program = trained(
        """
lbfgs = optim.LBFGS(model.parameters())
def closure():
    lbfgs.zero_grad()
    loss = criterion(model(x), y)
    loss.backward()
    return loss
lbfgs.step(closure)
"""
    )
    assert happenings(program)[1:] == ["built", "zero_grad", "forward", "backward", "step"]


def test_the_iteration_is_the_innermost_loop_that_steps() -> None:
    program = trained(
        """
for epoch in range(3):
    for x, y in loader:
        for part in x.split(10):
            loss = criterion(model(part), y)
            loss.backward()
        clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
"""
    )
    backward = program.of(events.Backward)[0]
    inside = program.iteration_of(backward)
    assert any(isinstance(event, events.Clip) for event in inside)
    assert not any(
        isinstance(event, events.OptimizerEvent) and event.what == "built" for event in inside
    )


def test_a_step_in_another_file_belongs_to_the_loop() -> None:
    program = analysed(
        {
            "model.py": IMPORTS + MODEL.split("model = ")[0],
            "engine.py": IMPORTS
            + """
def train_one(model, batch, optimizer, criterion):
    x, y = batch
    optimizer.zero_grad()
    loss = criterion(model(x), y)
    loss.backward()
    clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return loss.item()
""",
            "main.py": IMPORTS
            + """
from model import Model
from engine import train_one
model = Model().to("cuda")
optimizer = optim.Adam(model.parameters())
for batch in loader:
    train_one(model, batch, optimizer, nn.CrossEntropyLoss())
""",
        }
    )
    assert happenings(program) == ["built", "zero_grad", "forward", "backward", "clip", "step"]
    backward = program.of(events.Backward)[0]
    assert program.layers_of(backward) == frozenset(program.layers)


def test_a_trainer_object_keeps_what_it_was_given() -> None:
    program = trained(
        """
class Trainer:
    def __init__(self, model, optimizer, **options):
        self.model, self.optimizer = model, optimizer
        self.__dict__.update(options)
    def fit(self, loader):
        for x, y in loader:
            self.step(x, y)
    def step(self, x, y):
        self.optimizer.zero_grad()
        criterion(self.model(x), y).backward()
        self.optimizer.step()
Trainer(model, optimizer, clip=1.0).fit(loader)
"""
    )
    assert happenings(program) == ["built", "zero_grad", "forward", "backward", "step"]


def test_objects_that_enter_unseen_code_are_noted() -> None:
    program = trained("unseen_library.train(model, optimizer, loader)\n")
    opaque = [event for event in program.of(events.Opaque) if event.callee.endswith("train")]
    assert len(opaque) == 1
    assert any(isinstance(given, values.Instance) for given in opaque[0].given)


def test_steps_of_an_unknown_optimizer_are_kept_apart() -> None:
    program = trained("for x, y in loader:\n    unseen.step()\n")
    step = program.of(events.OptimizerEvent)[-1]
    assert step.what == "step"
    assert step.optimizer == values.UNKNOWN
    assert program.unknown_optimizer_events(step.context.entry, "step")
    assert program.optimizer_events(only(program.optimizers), "step") == []


PROCESSES = [
    "torch.multiprocessing.spawn(work, args=(model,), nprocs=2)",
    "torch.multiprocessing.Process(target=work_alone, args=(model,)).start()",
    "import threading\nthreading.Thread(target=work_alone, args=(model,)).start()",
]


@pytest.mark.parametrize("start", PROCESSES)
def test_the_target_of_a_process_runs(start: str) -> None:
    program = trained(
        f"""
def work(rank, model):
    work_alone(model)
def work_alone(model):
    criterion(model(x), y).backward()
{start}
"""
    )
    assert program.of(events.Backward)[0].calls


def test_evaluation_without_gradients_trains_nothing() -> None:
    program = trained(
        """
model.eval()
with torch.no_grad():
    for x, y in loader:
        criterion(model(x), y)
"""
    )
    assert program.trained_by == {}


def test_a_model_that_only_runs_is_not_trained() -> None:
    program = trained("model(x)\n")
    assert only(program.layers) not in program.trained_by
