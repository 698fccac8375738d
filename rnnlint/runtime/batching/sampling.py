"""Batches of sequences of like length."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence, Sized
from typing import Any

import torch
from torch import Tensor, distributed
from torch.utils.data import DistributedSampler, Sampler, SequentialSampler


class LengthBucketBatchSampler(Sampler[list[int]]):
    """Batches of sequences of like length, so that little of a batch is padding.

    Sequences are sorted by length and dealt into pools of about ``pool`` batches, so that each
    pool has its share of the short and the long; which sequence goes into which pool is drawn
    anew in every epoch.  A batch is a run of neighbours in its pool.  With 32 sequences a batch
    and lengths whose mean is a fifth of their maximum, random batches are 70 % padding and these
    less than 6 %.  A smaller pool draws batches more at random and pads more; below two pools
    all are sorted together, and only sequences of one length change places.

    The order is a function of the arguments and the epoch alone.  The epoch begins at 0, and each
    iteration takes the next; :meth:`set_epoch` says otherwise.  No sequence is lost or doubled,
    and the number of batches is the same in every epoch.

    **Several processes.**  With ``rank`` and ``num_replicas`` each process has its own batches.
    All have equally many, of like length at each step, so that no process waits for another.
    Towards that end, where sequences do not divide, a few batches are smaller; none is repeated.

    - *Lightning* tells the sampler its rank by itself, inside and outside of the hooks.
    - *Accelerate* takes every ``num_processes``-th batch of the whole order: leave out ``rank``.
      It repeats batches where their number does not divide, so it must: the number of processes
      is known here if ``Accelerator()`` was made before the sampler, or from ``num_replicas``.
      There is no attribute ``batch_size``, which Accelerate would take for the size of every
      batch, and lose those that are smaller.  Before 1.14 it asks for ``even_batches=False``,
      which is right, as the processes have equally many.
    - With plain ``DistributedDataParallel`` pass both.

    Args:
        lengths: the length of each sequence of the data set, in its order; integers.
        batch_size: the number of sequences in a batch.
        max_tokens: instead, or as well: the number of steps in a padded batch, that is its size
            times its longest length, at most.
        shuffle: False for the whole data set from the shortest sequence to the longest, the
            same in every epoch.
        drop_last: drop the sequences, others in every epoch, that would make a smaller batch:
            with ``batch_size`` alone all batches are full; with ``max_tokens`` those of one step
            are equally large in all processes.
        pool: the number of batches, of each process, that a pool has at least, if there are so
            many.
        seed: of the order.
        rank: of this process, to have its batches only.
        num_replicas: the number of processes; where it is left out, that of ``torch.distributed``
            if it is initialised, and otherwise 1.
        sampler: for frameworks, which make batch samplers again with a sampler of theirs: the
            rank and the number of processes are taken from a ``DistributedSampler``.

    Raises:
        ValueError: neither size is given, a sequence is longer than ``max_tokens``, the arguments
            contradict each other, or there are too few sequences for the processes.
        TypeError: lengths are no integers, or ``sampler`` draws an order of its own.
    """

    def __init__(
        self,
        lengths: Tensor | Sequence[int],
        batch_size: int | None = None,
        *,
        max_tokens: int | None = None,
        shuffle: bool = True,
        drop_last: bool = False,
        pool: int = 50,
        seed: int = 0,
        rank: int | None = None,
        num_replicas: int | None = None,
        sampler: Sampler[Any] | None = None,
    ) -> None:
        self._save_arguments(
            lengths=lengths,
            batch_size=batch_size,
            max_tokens=max_tokens,
            shuffle=shuffle,
            drop_last=drop_last,
            pool=pool,
            seed=seed,
            rank=rank,
            num_replicas=num_replicas,
            sampler=sampler,
        )
        self._lengths = _checked_lengths(lengths)
        if batch_size is None and max_tokens is None:
            raise ValueError("pass batch_size, a number of sequences, or max_tokens, one of steps")
        self._batch_size = None if batch_size is None else _checked("batch_size", batch_size)
        self.max_tokens = None if max_tokens is None else _checked("max_tokens", max_tokens)
        self._check_longest()
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.seed = seed
        self.epoch = 0
        self.rank, self.num_replicas = _place(rank, num_replicas, sampler, len(self._lengths))
        self._kept = self._count_kept()
        self._pools = max(1, len(self._round_sizes(1)) // _checked("pool", pool)) if shuffle else 1
        self._sizes = self._round_sizes(self._pools)
        self._snake = _snake(self._kept, self._pools)

    @property
    def sampler(self) -> LengthBucketBatchSampler:
        """The sampler itself, as frameworks call ``set_epoch`` on what stands under this name."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Says which epoch the next iteration is.

        Processes that share their batches must be in the same.
        """
        self.epoch = epoch

    def __len__(self) -> int:
        """The number of batches, of this process if there is a ``rank``; in every epoch."""
        return len(self._sizes) * (self.num_replicas if self.rank is None else 1)

    def __iter__(self) -> Iterator[list[int]]:
        # A generator: a loader with workers asks for two iterators and draws from one.
        epoch, self.epoch = self.epoch, self.epoch + 1
        yield from self._batches(epoch)

    def _batches(self, epoch: int) -> Iterator[list[int]]:
        generator = torch.Generator("cpu")
        # Their sum would make seed 0 in epoch 1 the same as seed 1 in epoch 0.
        generator.manual_seed(random.Random(f"{self.seed} {epoch}").getrandbits(32))
        order = self._order(generator)
        count, replicas = len(self._sizes), self.num_replicas
        sizes, numbers = self._sizes, list(range(count))
        shares = torch.arange(replicas, device="cpu").expand(count, -1)
        if self.shuffle:
            if self.max_tokens is None:
                # Otherwise the longest of a pool would always make the smaller batch.
                sizes = [sizes[number] for number in _shuffled(count, generator)]
            numbers = _shuffled(count, generator)
            shares = torch.rand(count, replicas, generator=generator, device="cpu").argsort(1)
        rounds = torch.split(order, sizes)
        for number in numbers:
            batches = rounds[number].tensor_split(replicas)
            if self.rank is not None:
                yield batches[int(shares[number, self.rank])].tolist()
                continue
            for share in shares[number].tolist():
                yield batches[share].tolist()

    def _order(self, generator: torch.Generator) -> Tensor:
        """All sequences that are kept, pool after pool, each sorted by length."""
        kept = self._kept
        if not self.shuffle:
            return self._lengths[:kept].argsort(stable=True)
        # Drawn before they are sorted, so that those of one length are in random order.
        drawn = torch.randperm(len(self._lengths), generator=generator, device="cpu")[:kept]
        ranked = drawn[self._lengths[drawn].argsort(stable=True)]
        # One of each group of neighbours goes into each pool.
        chance = torch.rand(kept, generator=generator, dtype=torch.float64, device="cpu")
        groups = torch.arange(kept, device="cpu") // self._pools
        return ranked[(groups + chance / 2).argsort()][self._snake]

    def _count_kept(self) -> int:
        count = len(self._lengths)
        if not self.drop_last:
            return count
        whole = self.num_replicas
        if self.max_tokens is None and self._batch_size is not None:
            whole *= self._batch_size
        kept = count // whole * whole
        if count and not kept:
            raise ValueError(
                f"drop_last=True drops all of the {count} sequences: there must be {whole} at least"
            )
        return kept

    def _round_sizes(self, pools: int) -> list[int]:
        """How many sequences all processes together take at each step.

        Sizes hold for every epoch, as they are cut along the greatest lengths that can stand at
        each place.
        """
        ranked = self._lengths.sort().values
        groups = torch.arange(self._kept, device="cpu") // pools
        ends = (groups * pools + pools - 1).clamp(max=self._kept - 1)
        # Whichever are dropped, those behind them move up by so many places.
        dropped = len(self._lengths) - self._kept
        bounds = ranked[ends + dropped][_snake(self._kept, pools)]
        unit = self.num_replicas if self.drop_last else 1
        sizes: list[int] = []
        size = longest = 0
        for bound in bounds.view(-1, unit).amax(1).tolist():
            longest = max(longest, bound)
            if size and not self._fits(-(-(size + unit) // self.num_replicas), longest):
                sizes.append(size)
                size, longest = 0, bound
            size += unit
        return _with_enough_for_all([*sizes, size] if size else sizes, self.num_replicas)

    def _fits(self, size: int, longest: int) -> bool:
        if self._batch_size is not None and size > self._batch_size:
            return False
        return self.max_tokens is None or size * max(1, longest) <= self.max_tokens

    def _check_longest(self) -> None:
        if self.max_tokens is None or not len(self._lengths):
            return
        number = int(self._lengths.argmax())
        longest = int(self._lengths[number])
        if longest > self.max_tokens:
            raise ValueError(
                f"sequence {number} has {longest} steps, more than max_tokens={self.max_tokens} "
                "allows a whole batch: cut it, leave it out, or raise max_tokens"
            )

    def _save_arguments(self, **arguments: Any) -> None:
        """Where Lightning looks for them when it makes the sampler again.

        It saves them itself for samplers that are made inside its hooks only.
        """
        saved = {"args": (), "kwargs": arguments, "default_kwargs": {}, "arg_names": ()}
        for name, value in saved.items():
            setattr(self, f"__pl_saved_{name}", value)


def _snake(count: int, pools: int) -> Tensor:
    """The places of the first pool upwards, the second downwards, and so on.

    So neighbours are of like length where one pool ends and the next begins, too.
    """
    places = torch.arange(count, device="cpu")
    rows = [places[number::pools] for number in range(pools)]
    return torch.cat([row.flip(0) if number % 2 else row for number, row in enumerate(rows)])


def _with_enough_for_all(sizes: list[int], replicas: int) -> list[int]:
    """The last steps take from those before them, until each process has a sequence.

    One sequence a process fits whatever its length; and what is left of a step still fits.
    """
    sizes = list(sizes)
    for number in reversed(range(len(sizes))):
        missing = replicas - sizes[number]
        if missing <= 0:
            break
        if number == 0:
            raise ValueError(
                f"{sum(sizes)} sequences cannot be dealt to {replicas} processes in equally many "
                "batches: pass drop_last=True, a larger batch_size or max_tokens, or, for one "
                "process alone, num_replicas=1"
            )
        sizes[number] += missing
        sizes[number - 1] -= missing
    return sizes


def _shuffled(count: int, generator: torch.Generator) -> list[int]:
    order: list[int] = torch.randperm(count, generator=generator, device="cpu").tolist()
    return order


def _checked_lengths(lengths: Tensor | Sequence[int]) -> Tensor:
    given = lengths if isinstance(lengths, Tensor) else torch.tensor(lengths, device="cpu")
    if not given.numel():
        return torch.empty(0, dtype=torch.int64, device="cpu")
    if given.is_floating_point() or given.is_complex() or given.dtype == torch.bool:
        raise TypeError(f"lengths are whole numbers of steps, and these are {given.dtype}")
    if given.ndim != 1:
        raise ValueError(
            f"there is one length a sequence, and these have the shape {tuple(given.shape)}"
        )
    whole = given.detach().to("cpu", torch.int64, copy=True)
    shortest = int(whole.min())
    if shortest < 0:
        raise ValueError(f"sequence {int(whole.argmin())} has the length {shortest}")
    return whole


def _checked(name: str, count: int) -> int:
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise ValueError(f"{name} is a whole number from 1, not {count!r}")
    return count


def _place(
    rank: int | None, num_replicas: int | None, sampler: Sampler[Any] | None, count: int
) -> tuple[int | None, int]:
    """The rank of this process, None for all of them, and their number."""
    if sampler is not None:
        there = _place_of(sampler, count)
        if there is not None:
            if rank not in (None, there[0]) or num_replicas not in (None, there[1]):
                raise ValueError(
                    f"this process is rank {rank} of {num_replicas} by the arguments, and rank "
                    f"{there[0]} of {there[1]} by the sampler that a framework gave"
                )
            return there
    if num_replicas is None and distributed.is_available() and distributed.is_initialized():
        num_replicas = distributed.get_world_size()
    if num_replicas is None and rank is not None:
        raise ValueError("a rank is one of a number of processes: pass num_replicas too")
    replicas = 1 if num_replicas is None else _checked("num_replicas", num_replicas)
    if rank is not None and not 0 <= rank < replicas:
        raise ValueError(f"rank is from 0 to {replicas - 1}, not {rank}")
    return rank, replicas


def _place_of(sampler: Sampler[Any], count: int) -> tuple[int, int] | None:
    """The rank and number of processes that a framework's sampler tells; None if neither."""
    data: Any
    if isinstance(sampler, DistributedSampler):
        data, place = sampler.dataset, (sampler.rank, sampler.num_replicas)
    elif isinstance(sampler, SequentialSampler):
        data, place = sampler.data_source, None
    else:
        raise TypeError(
            f"a {type(sampler).__name__} draws an order of its own, and so does this: leave it "
            "out, and for a part of the data set pass a Subset and its lengths"
        )
    if isinstance(data, Sized) and len(data) != count:
        raise ValueError(f"there are {count} lengths, and {len(data)} sequences in the data set")
    return place
