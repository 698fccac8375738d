"""Callbacks that watch a run under Lightning, transformers, Ignite and skorch.

Each lies in a module of its own, which imports its framework, and needs it installed::

    from rnnlint.runtime.plugins.lightning import RNNLintCallback    # rnnlint[lightning]
    from rnnlint.runtime.plugins.huggingface import RNNLintCallback  # rnnlint[transformers]
    from rnnlint.runtime.plugins.ignite import RNNLintHandler        # rnnlint[ignite]
    from rnnlint.runtime.plugins.skorch import RNNLintCallback       # rnnlint[skorch]

All do the same.  They watch with a :class:`rnnlint.runtime.monitor.Monitor`, hand its numbers to
the framework's own logger at every step that is sampled, on the first process alone, and print
its report at the end.  Their state is a part of the framework's checkpoints, and a run that is
resumed goes on where it was.  Where they are asked to, they act as well:

- ``clip``: the norm that gradients are clipped to before each step; a NaN among them is an error
  that names its parameters.
- ``schedule``: ``"cosine"``, ``"linear"``, ``"inverse_sqrt"`` or ``"constant"``, see
  ``rnnlint.runtime.schedules``, in steps of the optimizer, over the whole of the training;
  ``warmup`` is the share of it in which the rate rises first.
- ``initialise``: recurrent layers are initialised before training, see
  ``rnnlint.runtime.init_recurrent_``, where their weights are still those that PyTorch drew: never
  where they were loaded, trained or initialised.
- ``report``: whether the report is printed at the end.
- ``every``: how many steps lie between two samples.

In a loop of one's own, with Accelerate or Fabric too, the monitor itself is enough::

    monitor = Monitor(model, optimizer, criterion=criterion)
    ...
    if found := monitor.new_metrics():  # after each step
        accelerator.log(found, step=step)  # or fabric.log_dict(found, step)
"""

from rnnlint.runtime.plugins.acting import Actions, ScheduleName

__all__ = ["Actions", "ScheduleName"]
