"""Training frameworks: who runs the loop, and what it does on its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnlint.semantics import (
    attributes,
    axes,
    calls,
    data,
    events,
    iteration,
    modules,
    notes,
    tensors,
    torchtext,
    values,
)
from rnnlint.semantics.catalogue import Entry
from rnnlint.semantics.frames import Arguments, Effect, Method
from rnnlint.semantics.values import NONE, UNKNOWN, Axis, Padding, Place, Step, Tensor, Value

if TYPE_CHECKING:
    from rnnlint.semantics.interpreter import Interpreter

LIGHTNING_METHODS = frozenset(
    "optimizers lr_schedulers manual_backward clip_gradients toggle_optimizer untoggle_optimizer "
    "save_hyperparameters log log_dict print".split()
)


def call_lightning_method(
    run: Interpreter, module: values.Instance, name: str, arguments: Arguments, place: Place
) -> Value:
    """A method that a LightningModule inherits."""
    if name == "manual_backward":
        tensors.backward(run, arguments.get(0, "loss") or UNKNOWN, Arguments(), place)
    elif name == "clip_gradients":
        run.emit(
            events.Clip(place, run.context, "clip_gradients", modules.layers_in(module) or None)
        )
    elif name in ("optimizers", "lr_schedulers"):
        configured = module.fields.get("<optimizers>")
        if name == "lr_schedulers" or not isinstance(configured, Value):
            return UNKNOWN
        found = modules.optimizers_in(configured)
        return found[0] if len(found) == 1 else values.ListObject(tuple(found))
    elif name == "save_hyperparameters":
        return NONE
    return UNKNOWN


def _trainer(
    run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place
) -> Value:
    options = arguments.bind(entry.parameters)
    if arguments.open:
        options["<open>"] = values.TRUE
    made = values.Thing("trainer", entry.kind, place, options)
    made.options["<class>"] = values.Const(name.rsplit(".", 1)[-1])
    run.things.append(made)
    if entry.kind == "skorch":
        _build_skorch_module(run, made, place)
    return made


def _build_skorch_module(run: Interpreter, trainer: values.Thing, place: Place) -> None:
    """skorch builds the module itself, from `module__*` arguments."""
    module = trainer.options.get("module")
    keywords = {
        key.removeprefix("module__"): value
        for key, value in trainer.options.items()
        if key.startswith("module__")
    }
    if isinstance(module, values.Class):
        trainer.fields["module"] = calls.call(run, module, Arguments([], keywords), place)
    elif module is not None:
        trainer.fields["module"] = module


def call_trainer(
    run: Interpreter, trainer: values.Thing, name: str, arguments: Arguments, place: Place
) -> Value:
    """A method of a framework's trainer."""
    kind = trainer.name
    if kind.startswith("lightning"):
        if name in ("fit", "tune"):
            return _lightning_fit(run, trainer, arguments, place)
    elif kind == "Trainer" or kind == "Seq2SeqTrainer":
        if name == "train":
            _run_hugging_face(run, trainer, place)
            _fit(run, trainer, trainer.options.get("model", UNKNOWN), place)
    elif kind == "skorch":
        if name in ("fit", "partial_fit"):
            _fit(run, trainer, trainer.fields.get("module", UNKNOWN), place)
            return trainer
    elif kind == "ignite":
        if name == "run":
            _ignite_run(run, trainer, arguments, place)
        elif name in ("add_event_handler", "on"):
            return _ignite_handler(run, trainer, name, arguments, place)
    elif (kind == "allennlp" and name == "train") or (
        kind == "fastai" and name.startswith(("fit", "fine_tune"))
    ):
        _fit(run, trainer, trainer.options.get("model", UNKNOWN), place)
    return UNKNOWN


def _fit(run: Interpreter, trainer: values.Thing, module: Value, place: Place) -> None:
    run.emit(events.Fit(place, run.context, trainer, module))


# --- Lightning -------------------------------------------------------------

_CLIPPING_HOOKS = (
    "configure_gradient_clipping",
    "on_before_optimizer_step",
    "on_after_backward",
    "optimizer_step",
    "on_before_zero_grad",
    "on_train_batch_end",
    "on_train_epoch_end",
)


def _lightning_fit(
    run: Interpreter, trainer: values.Thing, arguments: Arguments, place: Place
) -> Value:
    model = arguments.get(0, "model")
    for module in values.members(model) if model is not None else ():
        if isinstance(module, values.Instance):
            loaders = arguments.get(1, "train_dataloaders", "train_dataloader")
            source = arguments.get(None, "datamodule")
            run_lightning_module(run, module, loaders, source, place)
    _fit(run, trainer, model if model is not None else UNKNOWN, place)
    return UNKNOWN


def run_lightning_module(
    run: Interpreter,
    module: values.Instance,
    loaders: Value | None,
    source: Value | None,
    place: Place,
) -> None:
    """Run the hooks that a Lightning trainer would call."""
    configured = _hook(run, module, "configure_optimizers", Arguments(), place)
    if configured is not None:
        module.fields["<optimizers>"] = configured
        for optimizer in modules.optimizers_in(configured):
            optimizer.options["<function>"] = values.Const("configure_optimizers")
        _schedule_configured(run, configured, run.returned_at or place)
    if isinstance(loaders, values.Instance):
        source, loaders = loaders, None
    loader = loaders
    if loader is None and isinstance(source, values.Instance):
        for hook in ("prepare_data", "setup"):
            _hook(
                run, source, hook, Arguments([UNKNOWN]) if hook == "setup" else Arguments(), place
            )
        loader = _hook(run, source, "train_dataloader", Arguments(), place)
    if loader is None:
        for hook in ("prepare_data", "setup"):
            _hook(
                run, module, hook, Arguments([UNKNOWN]) if hook == "setup" else Arguments(), place
            )
        loader = _hook(run, module, "train_dataloader", Arguments(), place)
    batch = iteration.element(run, loader) if loader is not None else UNKNOWN
    run.loop_counter += 1
    number = run.loop_counter
    for turn in range(2):
        with run.loop(place, number, turn):
            loss = _hook(run, module, "training_step", Arguments([batch, UNKNOWN]), place)
            if loss is not None and module.fields.get("automatic_optimization") != values.FALSE:
                graph = tensors.graph_of(loss)
                run.emit(events.Backward(place, run.context, graph, implicit=True))
            for hook in _CLIPPING_HOOKS:
                _hook(run, module, hook, Arguments(open_ended=True), place)
    notes.note_mode(run, module, False, place)
    with run.without_gradients():
        _hook(run, module, "validation_step", Arguments([batch, UNKNOWN]), place)
    notes.note_mode(run, module, True, place)


def _schedule_configured(run: Interpreter, configured: Value, place: Place) -> None:
    """Record that the trainer steps the schedulers that `configure_optimizers` returns."""
    told: Value | None = None
    handed: list[Value] = [configured]
    if isinstance(configured, values.DictObject):
        told = configured.fields["entries"].get("monitor")
        handed = [configured.fields["entries"].get("lr_scheduler", UNKNOWN)]
    elif isinstance(configured, (values.Tuple, values.ListObject)):
        handed = list(iteration.known_items(run, configured) or ())
    while handed:
        item = handed.pop()
        if isinstance(item, values.DictObject):
            entries = item.fields["entries"]
            inner = entries.get("scheduler", entries.get("lr_scheduler", UNKNOWN))
            monitor = entries.get("monitor", told)
            interval = entries.get("interval", values.Const("epoch"))
        else:
            inner, monitor, interval = item, told, values.Const("epoch")
        for member in values.members(inner):
            if isinstance(member, values.Thing) and member.kind == "scheduler":
                member.options["<interval>"] = interval
                optimizer = member.options.get("optimizer", UNKNOWN)
                count = 0 if monitor is None else 1
                run.emit(
                    events.OptimizerEvent(place, run.context, "schedule", optimizer, member, count)
                )
            elif isinstance(member, (values.Tuple, values.ListObject)):
                handed.extend(iteration.known_items(run, member) or ())


def fit_unseen(run: Interpreter, arguments: Arguments, place: Place) -> bool:
    """`trainer.fit(model)` with a trainer that comes from a configuration file.

    Its options are unknown, so it may clip.
    """
    model = arguments.get(0, "model")
    candidates = [m for m in values.members(model or UNKNOWN) if isinstance(m, values.Instance)]
    if not any(is_lightning_module(module) for module in candidates):
        return False
    trainer = values.Thing("trainer", "lightning", place, {"<open>": values.TRUE})
    _lightning_fit(run, trainer, arguments, place)
    return True


def is_lightning_module(instance: values.Instance) -> bool:
    """Whether a LightningModule is among the bases of an object's class."""
    return any(
        base.rsplit(".", 1)[-1] == "LightningModule" for base in instance.cls.external_bases()
    )


def _hook(
    run: Interpreter, module: values.Instance, name: str, arguments: Arguments, place: Place
) -> Value | None:
    method = attributes.find_in_class(module.cls, name)
    if not isinstance(method, values.Function):
        return None
    wanted = len(method.node.params) - 1
    if not arguments.open:
        arguments = Arguments(arguments.positional[: max(wanted, 0)])
    return run.call_function(method, arguments, place, module)


def _lightning_cli(
    run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place
) -> Value:
    model = arguments.get(0, "model_class")
    if isinstance(model, values.Class):
        instance = run.fabricate(model)
        if isinstance(instance, values.Instance):
            source = arguments.get(1, "datamodule_class")
            made = run.fabricate(source) if isinstance(source, values.Class) else None
            run_lightning_module(run, instance, None, made, place)
    return UNKNOWN


# --- Hugging Face Trainer --------------------------------------------------


def _run_hugging_face(run: Interpreter, trainer: values.Thing, place: Place) -> None:
    """One batch of the loop that a Hugging Face Trainer runs."""
    model = trainer.options.get("model", UNKNOWN)
    dataset = trainer.options.get("train_dataset", UNKNOWN)
    sample = iteration.element(run, dataset)
    collator = trainer.options.get("data_collator")
    if collator is None or collator == NONE:
        batch = data.default_collate(sample, place)
    else:
        batch = calls.call(run, collator, Arguments([values.ListObject(None, sample)]), place)
    owner = trainer.fields.get("<owner>")
    if isinstance(owner, values.Instance):
        method = attributes.find_in_class(owner.cls, "compute_loss")
        if isinstance(method, values.Function):
            run.call_function(method, Arguments([model, batch]), place, owner)
            return
    keywords = batch.fields["entries"] if isinstance(batch, values.DictObject) else {}
    named = {key: value for key, value in keywords.items() if isinstance(key, str)}
    calls.call(run, model, Arguments([], named, open_ended=not named), place)


# --- Accelerate and Fabric -------------------------------------------------


def _fabric(run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place) -> Value:
    return values.Thing("fabric", entry.kind, place, dict(arguments.keywords))


def call_fabric(
    run: Interpreter, fabric: values.Thing, name: str, arguments: Arguments, place: Place
) -> Value:
    """A method of an Accelerator or a Fabric."""
    given = arguments.positional
    if name == "backward":
        tensors.backward(run, given[0] if given else UNKNOWN, Arguments(), place)
    elif name in ("clip_grad_norm_", "clip_grad_value_", "clip_gradients"):
        layers = modules.layers_in(given[0]) if given else frozenset()
        run.emit(events.Clip(place, run.context, name, layers or None))
    elif name in ("prepare", "setup", "setup_dataloaders", "prepare_model", "prepare_optimizer",
                  "prepare_data_loader", "prepare_scheduler", "setup_module", "setup_optimizers",
                  "unwrap_model"):  # fmt: skip
        return given[0] if len(given) == 1 else values.Tuple(tuple(given))
    elif name in ("accumulate", "autocast", "no_sync", "main_process_first"):
        return values.Thing("context", name, place, {})
    elif name == "device":
        return values.Device("gpu")
    return UNKNOWN


# --- Ignite ----------------------------------------------------------------


def _engine_of(
    run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place
) -> Value:
    made = values.Thing("trainer", "ignite", place, arguments.bind(entry.parameters))
    made.options["<class>"] = values.Const("Engine")
    run.things.append(made)
    return made


def _ignite_run(run: Interpreter, engine: values.Thing, arguments: Arguments, place: Place) -> None:
    function = engine.options.get("process_function")
    loader = arguments.get(0, "data")
    batch = iteration.element(run, loader) if loader is not None else UNKNOWN
    run.loop_counter += 1
    number = run.loop_counter
    for turn in range(2):
        with run.loop(place, number, turn):
            if function is not None:
                calls.call(run, function, Arguments([engine, batch]), place)
            for handler in _handlers(engine):
                if isinstance(handler, values.Thing) and handler.kind == "scheduler":
                    _step_scheduler(run, handler, place)
                elif isinstance(handler, (values.Function, values.Bound)):
                    calls.call(run, handler, Arguments([engine]), place)
    if function is None:
        _fit(run, engine, engine.options.get("model", UNKNOWN), place)


def _handlers(engine: values.Thing) -> list[Value]:
    known = engine.fields.get("<handlers>")
    return list(known.items) if isinstance(known, values.Tuple) else []


def _step_scheduler(run: Interpreter, scheduler: values.Thing, place: Place) -> None:
    optimizer = scheduler.options.get("optimizer", UNKNOWN)
    run.emit(events.OptimizerEvent(place, run.context, "schedule", optimizer, scheduler, 1))


def _ignite_handler(
    run: Interpreter, engine: values.Thing, name: str, arguments: Arguments, place: Place
) -> Value:
    handler = arguments.get(1, "handler") if name == "add_event_handler" else None
    if name == "on":
        # `@trainer.on(event)` decorates a function that the engine will call.
        return values.Native("<handles>", engine)
    if handler is not None:
        run.state.set(engine.fields, "<handlers>", values.Tuple((*_handlers(engine), handler)))
    return NONE


# --- Hugging Face tokenizers and models ------------------------------------


def is_tokenizer_call(name: str, arguments: Arguments) -> bool:
    """Whether a call pads like a Hugging Face tokenizer: `tokenizer(texts, padding=True)`."""
    padding = arguments.get(None, "padding", "pad_to_max_length")
    if padding is None:
        return False
    if isinstance(padding, values.Const) and padding.value in (False, None, "do_not_pad"):
        return False
    return bool(
        {"return_tensors", "truncation", "max_length", "pad_to_max_length"}
        & set(arguments.keywords)
    ) or name in ("pad", "batch_encode_plus", "encode_plus")


def encode(run: Interpreter, arguments: Arguments, place: Place) -> Value:
    """A padded batch of token ids with its attention mask."""
    return values.Thing("encoding", "BatchEncoding", place, {})


def encoding_item(thing: values.Thing, name: str) -> Value:
    place = thing.place or Place("", 0, 0)
    if name in ("input_ids", "token_type_ids"):
        step = Step(place, "this tokenizer pads every text")
        return Tensor(
            padding=Padding("right", (step,)), axes=axes.of_batch(0, place)[:2], open=False
        )
    if name == "attention_mask":
        return Tensor(mask=True, axes=axes.of_batch(0, place)[:2], open=False)
    return values.Native(name, thing)


def call_encoding(
    run: Interpreter, thing: values.Thing, name: str, arguments: Arguments, place: Place
) -> Value:
    if name == "to":
        return thing
    if name in ("items", "values", "keys"):
        return UNKNOWN
    return UNKNOWN


def run_transformer(
    run: Interpreter, thing: values.Thing, arguments: Arguments, place: Place
) -> Value:
    """A pretrained encoder keeps the axes and the padding of its input."""
    source = next((t for v in arguments.all() for t in tensors.tensors_in(v)), Tensor())
    run.passages.note_lookup(thing, source, place)
    alone = tensors.changed(source, mask=False, values_of=None)
    hidden = axes.appended(alone, Axis("feature"))
    made = values.Thing("model_output", "BaseModelOutput", place, {})
    made.fields.update({"last_hidden_state": hidden, 0: hidden, "pooler_output": Tensor()})
    return made


def unknown_external(run: Interpreter, name: str, arguments: Arguments, place: Place) -> Value:
    """A library function that no table lists."""
    if is_tokenizer_call(name.rsplit(".", 1)[-1], arguments):
        return encode(run, arguments, place)
    if name.startswith("torchtext.") and arguments.all():
        made = torchtext.text_dataset(run, arguments, place)
        if name.endswith(".iters"):
            iterator = values.Thing("text_iterator", "BucketIterator", place, made.options)
            return values.Tuple((iterator, iterator, iterator))
        if name.endswith(".splits"):
            return values.ListObject(None, made)
        return made
    if name.startswith("transformers.") and name.endswith(".from_pretrained"):
        head = name.split(".")[-2]
        if head.endswith("Model"):
            return values.Thing("transformer", head, place, {})
    last = name.rsplit(".", 1)[-1]
    if name.startswith(_CALLBACK_HOMES) and last[:1].isupper():
        return values.Thing("callback", last, place, dict(arguments.keywords))
    if name.startswith(("torch.", "numpy.", "math.", "random.", "os.", "json.", "logging.")):
        return tensors.mixed(arguments.all())
    return calls.opaque(run, name, arguments, place)


_CALLBACK_HOMES = (
    "skorch.callbacks.",
    "lightning.pytorch.callbacks.",
    "pytorch_lightning.callbacks.",
    "fastai.callback.",
)


def _padding_collator(
    run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place
) -> Value:
    return values.Thing("padding_collator", "DataCollator", place, {})


def _callback(
    run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place
) -> Value:
    return values.Thing("callback", entry.kind, place, dict(arguments.keywords))


def _engine(run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place) -> Value:
    made = values.Thing("engine", "engine", place, {})
    return values.Tuple((made, UNKNOWN, UNKNOWN, UNKNOWN))


def call_engine(
    run: Interpreter, thing: values.Thing, name: str, arguments: Arguments, place: Place
) -> Value:
    """A DeepSpeed engine clips and schedules as its configuration file says."""
    return UNKNOWN


EFFECTS: dict[str, Effect] = {
    "trainer": _trainer,
    "lightning_cli": _lightning_cli,
    "fabric": _fabric,
    "engine_of": _engine_of,
    "padding_collator": _padding_collator,
    "callback": _callback,
    "engine": _engine,
}

METHODS: dict[str, Method] = {
    "trainer": call_trainer,
    "fabric": call_fabric,
    "encoding": call_encoding,
    "engine": call_engine,
}
