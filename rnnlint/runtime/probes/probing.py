"""The probes as they are called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn

from rnnlint.runtime.probes import backward, losses, order, overfitting, stability, steps, usage
from rnnlint.runtime.probes.finding import Finding, Measure, attempted, checked_model, made
from rnnlint.runtime.probes.preserving import preserved
from rnnlint.runtime.probes.results import ProbeReport, ProbeResult
from rnnlint.runtime.probes.sample import Loss, NotApplicable, Options
from rnnlint.runtime.probes.subject import Subject

if TYPE_CHECKING:
    from typing_extensions import Unpack


def probe(
    model: nn.Module,
    batch: Any,
    loss: Loss | None = None,
    *,
    show: bool = True,
    **options: Unpack[Options],
) -> ProbeReport:
    """Run a model on one batch in all the ways that show a fault which the code does not.

    The batch is what the loader yields: ``(inputs, target)``, ``(inputs, lengths, target)``, a
    dictionary, nested.  The last item is the target, or what is under the key ``target``,
    ``targets``, ``label``, ``labels`` or ``y``; the model is called with the others::

        probe(model, next(iter(loader)), nn.CrossEntropyLoss())

    Nothing is left behind: parameters, gradients, buffers, training modes and state in attributes
    of the model, the batch, all generators of random numbers and cuDNN's switches are as they
    were, also where something raises.  Parameters take five times their memory meanwhile.  The
    model is run some twenty to fifty times, and trained for up to 200 steps: take a batch of
    usual size, once, before training.  Hooks of the model see these runs.

    Args:
        model: the model; inside ``DistributedDataParallel`` or compiled, the model in it is run.
        batch: one batch, on the CPU or where the model is, where it is copied to.
        loss: ``loss(output, target)``, one number; ``loss(output, batch)`` where the batch has no
            target.  None where the model returns its loss, as ``output.loss``,
            ``output["loss"]``, a tensor without axes in a tuple, or alone.
        show: whether to print the report.
        **options: ``call``, ``target``, ``batch_first``, ``lengths``, ``padding_value`` and
            ``causal``; see :class:`rnnlint.runtime.probes.Options`.

    Returns:
        The report: a sequence of results, which prints as a table.

    Raises:
        TypeError: ``model`` is no module, or an option has another name.
        ValueError: which axis is the batch cannot be told; ``lengths`` do not fit the batch; a
            lazy layer has no shape yet.
    """
    model = checked_model(model)
    with preserved(model) as snapshot:
        subject = Subject(model, batch, loss, options, snapshot)
        _check_options(subject)
        report = ProbeReport(
            [attempted(name, measure, subject) for name, measure in _MEASURES.items()]
        )
    if show:
        print(report)
    return report


def _check_options(subject: Subject) -> None:
    """Ask the user what only they know before any time is spent."""
    try:
        _ = subject.real
    except NotApplicable:
        return


_MEASURES: dict[str, Measure] = {
    "batch_order": order.batch_order,
    "padding": steps.padding,
    "causality": steps.causality,
    "determinism": stability.determinism,
    "gradients": backward.gradients,
    "inputs": usage.inputs,
    "loss": losses.loss,
    "overfit_one_batch": overfitting.overfit_one_batch,
}


def batch_order(
    model: nn.Module, batch: Any, loss: Loss | None = None, **options: Unpack[Options]
) -> ProbeResult:
    """Permute the batch: the outputs must be the same, permuted.

    Measured is the largest change of an output, relative to the largest output, of the batch in
    another order and of the batch with one sequence twice; in evaluation, so that batch
    statistics take no part.  Where the outputs do permute, the loss must not change: it would
    pair outputs with the targets of other sequences.

    Args and errors are those of :func:`probe`.
    """
    return made("batch_order", order.batch_order, model, batch, loss, options)


def padding(
    model: nn.Module, batch: Any, loss: Loss | None = None, **options: Unpack[Options]
) -> ProbeResult:
    """Append padding: outputs on real steps must not change.

    Lengths and masks go with it.  Only a batch that something says to be padded is probed: an
    input that holds lengths or a mask, ``lengths=``, the ``padding_idx`` of an embedding, or
    steps of zeros at the end of sequences and nowhere else.  Outputs that the loss does not read
    are left aside, as the final state of a layer of which only the steps are read.

    Args and errors are those of :func:`probe`.
    """
    return made("padding", steps.padding, model, batch, loss, options)


def causality(
    model: nn.Module, batch: Any, loss: Loss | None = None, **options: Unpack[Options]
) -> ProbeResult:
    """Change the future: the past must not change.

    Fails only where outputs are meant to be causal: where the target is the input of the next
    step, or with ``causal=True``.  A bidirectional layer may look ahead otherwise.

    Args and errors are those of :func:`probe`.
    """
    return made("causality", steps.causality, model, batch, loss, options)


def determinism(
    model: nn.Module, batch: Any, loss: Loss | None = None, **options: Unpack[Options]
) -> ProbeResult:
    """Evaluate twice: both must agree.

    They do not where something draws random numbers in evaluation, or where state is left from
    one call to the next.  The latter passes where the model has a method to reset it.

    Args and errors are those of :func:`probe`.
    """
    return made("determinism", stability.determinism, model, batch, loss, options)


def gradients(
    model: nn.Module, batch: Any, loss: Loss | None = None, **options: Unpack[Options]
) -> ProbeResult:
    """Go back from the loss: every trainable parameter must get a finite gradient, not zero.

    Then the early-to-late ratio of dLoss/dx is measured in models with recurrent layers: the root
    mean square over the first tenth of the real steps over that of the last tenth.  Where the
    loss reads each step, it is about one.  A network that cannot learn to remember has 1e-6 or
    less, and its total gradient norm looks healthy.

    Args and errors are those of :func:`probe`.
    """
    return made("gradients", backward.gradients, model, batch, loss, options)


def inputs(
    model: nn.Module, batch: Any, loss: Loss | None = None, **options: Unpack[Options]
) -> ProbeResult:
    """Change each input: some output must change.

    Lengths and masks are cut to half, numbers get noise, ids become other ids; what changes not
    one bit, in evaluation and in training, is not used.  A direction of a bidirectional layer
    whose recurrent weights get a gradient of exactly zero is never read.

    Args and errors are those of :func:`probe`.
    """
    return made("inputs", usage.inputs, model, batch, loss, options)


def loss(
    model: nn.Module, batch: Any, loss: Loss | None = None, **options: Unpack[Options]
) -> ProbeResult:
    """Look at what PyTorch's losses are given, wherever they are called.

    Probabilities in the place of logits, logits in the place of log-probabilities, shapes that
    broadcast every output against every target, and outputs at padded steps that count.

    Args and errors are those of :func:`probe`.
    """
    return made("loss", losses.loss, model, batch, loss, options)


def overfit_one_batch(
    model: nn.Module,
    batch: Any,
    loss: Loss | None = None,
    *,
    steps: int = 100,
    **options: Unpack[Options],
) -> ProbeResult:
    """Train on one batch: the loss must fall, to a half at least.

    With Adam, at a rate of 1e-2 and, should that fail, of 1e-3, without dropout; the model is put
    back.  A loss that stays at ln(1 + (C - 1) / e) is explained by a softmax before
    cross-entropy.

    Args:
        model: see :func:`probe`, as for the others.
        batch: see there.
        loss: see there.
        steps: how many steps to train at each rate, at most.
        **options: see there.
    """

    if steps < 1:
        raise ValueError(f"steps is at least 1, not {steps}")

    def measure(subject: Subject) -> Finding:
        return overfitting.overfit_one_batch(subject, steps)

    return made("overfit_one_batch", measure, model, batch, loss, options)
