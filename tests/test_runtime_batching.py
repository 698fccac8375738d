"""Padding samples into batches, and batches of sequences of like length."""

from __future__ import annotations

import functools
import pickle
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from torch import Tensor, distributed
from torch.utils.data import DataLoader, DistributedSampler, RandomSampler, SequentialSampler

from rnnlint.runtime.batching import LengthBucketBatchSampler, pad_collate


class Pair(NamedTuple):
    source: Tensor
    target: Tensor


@dataclass(frozen=True)
class Utterance:
    frames: Tensor
    speaker: int


def steps(*lengths: int) -> list[Tensor]:
    return [torch.arange(1, length + 1) for length in lengths]


# --- pad_collate ------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(
    lengths=st.lists(st.integers(0, 5), min_size=1, max_size=5),
    features=st.sampled_from([(), (2,), (2, 3)]),
    dtype=st.sampled_from([torch.int64, torch.float32, torch.bool]),
    value=st.sampled_from([0, 1]),
    is_left=st.booleans(),
    batch_first=st.booleans(),
)
def test_padded_sequences_are_found_again(
    lengths: list[int],
    features: tuple[int, ...],
    dtype: torch.dtype,
    value: int,
    is_left: bool,
    batch_first: bool,
) -> None:
    samples = [torch.randint(2, (length, *features)).to(dtype) for length in lengths]
    padded, told = pad_collate(
        samples,
        padding_value=value,
        padding_side="left" if is_left else "right",
        batch_first=batch_first,
    )
    assert told.tolist() == lengths and told.dtype == torch.int64
    by_batch = padded if batch_first else padded.transpose(0, 1)
    assert by_batch.shape == (len(lengths), max(lengths), *features)
    assert by_batch.dtype == dtype
    for row, sample in zip(by_batch, samples, strict=True):
        there = len(row) - len(sample) if is_left else len(sample)
        padding, real = (row[:there], row[there:]) if is_left else (row[there:], row[:there])
        assert torch.equal(real, sample)
        assert bool((padding == value).all())


def test_labels_are_stacked_and_their_sequences_padded_with_their_own_value() -> None:
    samples = [
        {"tokens": tokens, "tags": tokens - 1, "label": label, "id": str(label)}
        for label, tokens in enumerate(steps(1, 3))
    ]
    batch, lengths = pad_collate(samples, padding_value={"tags": -100})
    assert type(batch) is dict
    assert batch["tokens"].tolist() == [[1, 0, 0], [1, 2, 3]]
    assert batch["tags"].tolist() == [[0, -100, -100], [0, 1, 2]]
    assert batch["label"].tolist() == [0, 1]
    assert batch["id"] == ["0", "1"]
    assert lengths.tolist() == [1, 3]


def test_sequences_of_their_own_lengths_have_lengths_of_their_own() -> None:
    samples = [Pair(*steps(1, 3)), Pair(*steps(2, 2))]
    batch, lengths = pad_collate(samples, lengths="each", padding_value=(0, -1))
    assert type(batch) is type(lengths) is Pair
    assert batch.source.tolist() == [[1, 0], [1, 2]]
    assert batch.target.tolist() == [[1, 2, 3], [1, 2, -1]]
    assert lengths.source.tolist() == [1, 2]
    assert lengths.target.tolist() == [3, 2]
    with pytest.raises(
        ValueError,
        match=r"sample\['target'\] has 3 steps in sample 0.*sample\['source'\] 1.*lengths=\"each\"",
    ):
        pad_collate(samples)


def test_structures_keep_their_types() -> None:
    samples: list[Any] = [(Utterance(frames, 7), [frames, {"n": 1.5}]) for frames in steps(2, 1)]
    (utterance, rest), lengths = pad_collate(samples)
    assert type(utterance) is Utterance
    speaker: Any = utterance.speaker
    assert utterance.frames.tolist() == [[1, 2], [1, 0]]
    assert speaker.tolist() == [7, 7]
    assert type(rest) is list and rest[1]["n"].dtype == torch.float32
    assert lengths.tolist() == [2, 1]
    assert samples[0][0].speaker == 7
    _, each = pad_collate(samples, lengths="each")
    assert each[0].speaker is None and each[1][1] == {"n": None}
    assert each[1][0].tolist() == [2, 1]


def test_what_is_no_sequence_is_stacked_where_its_padding_value_is_none() -> None:
    samples = [(tokens, torch.ones(4), torch.tensor(2)) for tokens in steps(2, 3)]
    (tokens, speaker, label), lengths = pad_collate(samples, padding_value=(0, None, 0))
    assert tokens.shape == (2, 3) and speaker.shape == (2, 4)
    assert label.tolist() == [2, 2] and lengths.tolist() == [2, 3]
    with pytest.raises(ValueError, match=r"sample\[1\] has 4 steps in sample 0.*None as the padd"):
        pad_collate(samples)


def test_arrays_and_lists_of_numbers_are_sequences() -> None:
    arrays = [np.arange(2, dtype=np.float64), np.arange(3, dtype=np.float64)]
    arrays[0].flags.writeable = False
    padded, _ = pad_collate(arrays)
    assert padded.dtype == torch.float64 and padded.shape == (2, 3)
    padded, lengths = pad_collate([[1, 2], [], [0.5]])
    assert padded.tolist() == [[1, 2], [0, 0], [0.5, 0]]
    assert lengths.tolist() == [2, 0, 1]
    padded, _ = pad_collate([[], [[1, 2], [3, 4]]])
    assert padded.tolist() == [[[0, 0], [0, 0]], [[1, 2], [3, 4]]]
    assert pad_collate([[], []])[0].shape == (2, 0)
    (_, numbers, flags), _ = pad_collate([([1], np.int64(3), True), ([2], np.int64(4), False)])
    assert numbers.tolist() == [3, 4] and flags.dtype == torch.bool
    (_, mixed), _ = pad_collate([([1], 0), ([2], 0.5)])
    assert mixed.tolist() == [0, 0.5]


@pytest.mark.parametrize(
    ("samples", "options", "message"),
    [
        ([], {}, "no samples"),
        ([1, 2], {}, "no sequence to pad"),
        ([torch.ones(2, 3), torch.ones(2, 4)], {}, r"\(2, 4\) in sample 1.*only the first axis"),
        ([torch.ones(2), torch.ones(2, 1)], {}, r"\(2, 1\) in sample 1"),
        ([torch.ones(2), torch.tensor(1.0)], {}, r"the shape \(\) in sample 1"),
        ([torch.ones(2), torch.ones(2).int()], {}, "torch.int32 in sample 1"),
        ([torch.ones(2).int(), [0.5]], {}, "torch.float32 in sample 1.*torch.int32 in the first"),
        (steps(1, 2), {"padding_value": 0.5}, "torch.int64, which cannot hold 0.5"),
        (steps(1, 2), {"padding_value": float("nan")}, "cannot hold nan"),
        ([torch.zeros(1, dtype=torch.uint8)], {"padding_value": -100}, "cannot hold -100"),
        ([torch.zeros(1, dtype=torch.bool)], {"padding_value": 2}, "cannot hold 2"),
        ([(torch.ones(1), torch.ones(1))], {"padding_value": (0,)}, "1 parts, and sample has 2"),
        ([{"a": torch.ones(1)}], {"padding_value": {"b": 0}}, r"names \['b'\].*only \['a'\]"),
        (steps(1), {"padding_value": (0, 0)}, "is one field"),
        ([{"a": torch.ones(1)}, {"b": torch.ones(1)}], {}, r"a dict of \['b'\] in sample 1"),
        ([(torch.ones(1),), torch.ones(1)], {}, "a Tensor in sample 1.*must be built alike"),
        ([(torch.ones(1),), [torch.ones(1)]], {}, "a list of .* in sample 1"),
        ([(1, 2), (1, 2, 3)], {}, r"a tuple of \[0, 1, 2\] in sample 1"),
        (
            [(torch.ones(1), torch.ones(2)), (torch.ones(1), torch.ones(3))],
            {"padding_value": (0, None)},
            r"\(3,\) in sample 1.*cannot be stacked",
        ),
        (steps(1), {"padding_side": "post"}, '"right" or "left"'),
        (steps(1), {"lengths": "all"}, '"shared" or "each"'),
    ],
)
def test_samples_that_make_no_batch(
    samples: list[Any], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        pad_collate(samples, **options)


def test_a_field_that_cannot_be_put_into_a_batch() -> None:
    with pytest.raises(TypeError, match=r"sample\['b'\] is NoneType, str in this batch"):
        pad_collate([{"a": [1], "b": "text"}, {"a": [1], "b": None}])
    with pytest.raises(TypeError, match=r"sample\[1\] is set in this batch"):
        pad_collate([([1], {1})])


# --- LengthBucketBatchSampler -----------------------------------------------------------


def skewed_lengths(count: int, *, mean: float = 33, longest: int = 150) -> list[int]:
    """Lognormal lengths with a mean of 0.22 of the longest."""
    drawn = torch.randn(count, generator=torch.Generator().manual_seed(1)).mul(0.75).exp()
    lengths: list[int] = (drawn / drawn.mean() * mean).round().clamp(1, longest).int().tolist()
    return lengths


def padding_fraction(batches: Sequence[Sequence[int]], lengths: list[int]) -> float:
    real = sum(lengths[number] for batch in batches for number in batch)
    padded = sum(len(batch) * max(lengths[number] for number in batch) for batch in batches)
    return 1 - real / padded


def test_little_padding_is_left() -> None:
    lengths = skewed_lengths(4000)
    assert sum(lengths) / len(lengths) / max(lengths) == pytest.approx(0.22, abs=0.02)
    drawn = torch.randperm(4000).tolist()
    assert padding_fraction([drawn[at : at + 32] for at in range(0, 4000, 32)], lengths) > 0.65
    choices: list[dict[str, Any]] = [{}, {"num_replicas": 4}, {"max_tokens": 2_000}]
    for options in choices:
        sampler = LengthBucketBatchSampler(lengths, 32, **options)
        for batches in (list(sampler), list(sampler)):
            assert padding_fraction(batches, lengths) < 0.06


@st.composite
def arguments(draw: st.DrawFn) -> dict[str, Any]:
    longest = draw(st.sampled_from([1, 12, 60]))
    lengths = draw(st.lists(st.integers(0, longest), max_size=60))
    options = draw(
        st.sampled_from(
            [{"batch_size": 4}, {"max_tokens": 100}, {"batch_size": 3, "max_tokens": 60}]
        )
    )
    return {
        "lengths": lengths,
        **options,
        "shuffle": draw(st.booleans()),
        "drop_last": draw(st.booleans()),
        "pool": draw(st.integers(1, 4)),
        "seed": draw(st.integers(0, 3)),
        "num_replicas": draw(st.integers(1, 4)),
    }


UNEVEN = {"lengths": [0] * 7 + [8] * 3, "max_tokens": 30, "pool": 1, "shuffle": False}


@settings(deadline=None, max_examples=200)
@example(options={**UNEVEN, "drop_last": True, "num_replicas": 2}, epoch=0)
@given(options=arguments(), epoch=st.integers(0, 3))
def test_no_sequence_is_lost_or_doubled_in_any_process(options: dict[str, Any], epoch: int) -> None:
    lengths, replicas = options["lengths"], options["num_replicas"]
    try:
        whole = LengthBucketBatchSampler(**options)
    except ValueError:
        # Rightly so: one sequence a process, and still they do not divide, or none is left.
        full = replicas * (1 if "max_tokens" in options else options["batch_size"])
        if options["drop_last"]:
            assert len(lengths) < full
        elif "max_tokens" not in options:
            assert len(lengths) < replicas * -(-len(lengths) // full)
        else:
            assert len(lengths) % replicas
            assert len(lengths) < replicas * (2 + len(lengths) // replicas)
        return
    ranks = [LengthBucketBatchSampler(**options, rank=rank) for rank in range(replicas)]
    whole.set_epoch(epoch)
    batches = list(whole)
    shares = []
    for sampler in ranks:
        sampler.set_epoch(epoch)
        shares.append(list(sampler))
        assert len(shares[-1]) == len(sampler)
    assert len(batches) == len(whole) == replicas * len(shares[0])
    assert batches == [batch for step in zip(*shares, strict=True) for batch in step]
    assert all(batches)
    seen = Counter(number for batch in batches for number in batch)
    assert set(seen.values()) <= {1}
    dropped = len(lengths) - len(seen)
    if not options["drop_last"]:
        assert dropped == 0
    elif "max_tokens" in options:
        assert dropped == len(lengths) % replicas
    else:
        assert dropped == len(lengths) % (replicas * options["batch_size"])
        assert {len(batch) for batch in batches} <= {options["batch_size"]}
    for batch in batches:
        assert len(batch) <= options.get("batch_size", 60)
        longest = max(lengths[number] for number in batch)
        assert len(batch) * longest <= options.get("max_tokens", 10_000)
    for step in zip(*shares, strict=True):
        sizes = [len(batch) for batch in step]
        assert max(sizes) - min(sizes) <= (0 if options["drop_last"] else 1)


@settings(deadline=None, max_examples=50)
@given(options=arguments())
def test_the_order_is_a_function_of_seed_and_epoch(options: dict[str, Any]) -> None:
    options["num_replicas"] = 1
    assume(len(options["lengths"]) >= 4)
    one, other = LengthBucketBatchSampler(**options), LengthBucketBatchSampler(**options)
    epochs = [list(one) for _ in range(3)]
    assert one.epoch == 3
    torch.manual_seed(5)
    for epoch in (2, 0, 1):
        other.set_epoch(epoch)
        assert len(other) == len(epochs[epoch])
        assert list(other) == epochs[epoch]
    if not options["shuffle"]:
        assert epochs[0] == epochs[1]
        ranked = [options["lengths"][number] for batch in epochs[0] for number in batch]
        assert ranked == sorted(ranked)


def test_epochs_and_seeds_draw_anew() -> None:
    lengths = skewed_lengths(500)
    sampler = LengthBucketBatchSampler(lengths, 8, pool=10)
    epochs = [list(sampler) for _ in range(3)]
    assert len({str(batches) for batches in epochs}) == 3
    for other in (sampler, LengthBucketBatchSampler(list(range(500)), 8, pool=10)):
        one, two = ({frozenset(batch) for batch in other} for _ in range(2))
        assert len(one & two) < len(one) / 4
    seeds = [
        list(LengthBucketBatchSampler(lengths, 8, pool=10, seed=seed)) for seed in (0, 1, -1, 2**40)
    ]
    assert seeds[0] == epochs[0]
    assert len({str(batches) for batches in [*seeds, epochs[1]]}) == 5


def test_an_epoch_that_is_broken_off_is_over() -> None:
    sampler = LengthBucketBatchSampler(skewed_lengths(100), 8)
    iter(sampler)  # drawn from by nobody
    first = next(iter(sampler))
    assert sampler.epoch == 1
    sampler.set_epoch(0)
    assert next(iter(sampler)) == first


def test_the_smaller_batch_is_not_always_that_of_the_longest() -> None:
    lengths = list(range(1, 20))
    sampler = LengthBucketBatchSampler(lengths, 4)
    of_the_longest = [len(batch) for _ in range(20) for batch in sampler if 18 in batch]
    assert 3 in of_the_longest and 4 in of_the_longest
    assert [len(batch) for batch in sampler].count(4) == 4


def test_all_processes_have_batches_of_like_length_at_each_step() -> None:
    lengths = skewed_lengths(2000)
    ranks = [LengthBucketBatchSampler(lengths, 8, rank=rank, num_replicas=4) for rank in range(4)]
    waited = longest = 0
    for step in zip(*ranks, strict=True):
        slowest = [max(lengths[number] for number in batch) for batch in step]
        waited += 4 * max(slowest) - sum(slowest)
        longest += 4 * max(slowest)
    assert waited / longest < 0.05
    means = [sum(lengths[number] for batch in sampler for number in batch) for sampler in ranks]
    assert max(means) < 1.1 * min(means)


def test_no_process_has_the_longer_batches_and_no_epoch_begins_with_them() -> None:
    lengths = list(range(1, 97))
    sampler = LengthBucketBatchSampler(lengths, 4, num_replicas=2)
    longer, first = set(), set()
    for _ in range(10):
        longest = [max(lengths[number] for number in batch) for batch in sampler]
        first.add(longest[0])
        longer |= {one > other for one, other in zip(longest[::2], longest[1::2], strict=True)}
    assert longer == {True, False}
    assert len(first) > 4


def test_batches_between_two_pools_are_of_like_length_too() -> None:
    lengths = list(range(1, 101))
    sampler = LengthBucketBatchSampler(lengths, 8, pool=2)
    for batch in sampler:
        # Eight of a pool that has every sixth.
        assert max(batch) - min(batch) < 60


def test_a_budget_holds_whichever_sequences_are_dropped() -> None:
    sampler = LengthBucketBatchSampler(
        [1, 1, 1, 1, 10], max_tokens=10, drop_last=True, num_replicas=2
    )
    for _ in range(10):
        assert not any(4 in batch and len(batch) > 1 for batch in sampler)


def test_dropped_sequences_are_others_in_every_epoch() -> None:
    sampler = LengthBucketBatchSampler(list(range(1, 24)), 8, drop_last=True)
    dropped = [
        set(range(23)) - {number for batch in sampler for number in batch} for _ in range(20)
    ]
    assert {len(numbers) for numbers in dropped} == {7}
    assert set.union(*dropped) == set(range(23))
    in_order = LengthBucketBatchSampler([9, 8, 7, 6, 5], 2, drop_last=True, shuffle=False)
    assert list(in_order) == [[3, 2], [1, 0]]


def test_a_budget_counts_empty_sequences_as_steps() -> None:
    sampler = LengthBucketBatchSampler([0] * 10, max_tokens=4, shuffle=False)
    assert [len(batch) for batch in sampler] == [4, 4, 2]


def test_the_number_of_processes_is_that_of_the_process_group(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed, "get_world_size", lambda: 4)
    lengths = skewed_lengths(100)
    assert len(LengthBucketBatchSampler(lengths, 8)) == 16
    assert len(LengthBucketBatchSampler(lengths, 8, rank=1)) == 4
    assert len(LengthBucketBatchSampler(lengths, 8, num_replicas=1)) == 13


def test_lengths_may_be_a_tensor_an_array_or_none_at_all() -> None:
    lengths = skewed_lengths(40)
    expected = list(LengthBucketBatchSampler(lengths, 8))
    assert list(LengthBucketBatchSampler(torch.tensor(lengths, dtype=torch.int32), 8)) == expected
    array: Any = np.array(lengths)
    assert list(LengthBucketBatchSampler(array, 8)) == expected
    assert list(LengthBucketBatchSampler([], 8, num_replicas=2)) == []


def test_the_order_is_drawn_on_the_cpu_whatever_the_default_device() -> None:
    lengths = skewed_lengths(40)
    expected = list(LengthBucketBatchSampler(lengths, 8))
    samples = steps(2, 3)
    with torch.device("meta"):
        assert list(LengthBucketBatchSampler(lengths, 8)) == expected
        assert list(LengthBucketBatchSampler(lengths, 8, shuffle=False))
        assert list(LengthBucketBatchSampler([], 8)) == []
        assert pad_collate(samples)[1].tolist() == [2, 3]


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_workers_draw_every_epoch_once() -> None:
    lengths = skewed_lengths(30)
    dataset: Any = [torch.full((length,), number) for number, length in enumerate(lengths)]
    collate = functools.partial(pad_collate, padding_value=-1)
    assert pickle.loads(pickle.dumps(collate)).keywords == {"padding_value": -1}
    sampler = LengthBucketBatchSampler(lengths, 8)
    loader: DataLoader[Any] = DataLoader(
        dataset, batch_sampler=sampler, collate_fn=collate, num_workers=1
    )
    other = LengthBucketBatchSampler(lengths, 8)
    for _ in range(2):
        assert [padded[:, 0].tolist() for padded, _ in loader] == list(other)


def test_frameworks_may_tell_the_rank_with_a_sampler_of_theirs() -> None:
    lengths: Any = skewed_lengths(40)
    theirs: DistributedSampler[int] = DistributedSampler(lengths, num_replicas=2, rank=1)
    ours = LengthBucketBatchSampler(lengths, 8, sampler=theirs)
    assert list(ours) == list(LengthBucketBatchSampler(lengths, 8, rank=1, num_replicas=2))
    assert (ours.rank, ours.num_replicas) == (1, 2)
    assert LengthBucketBatchSampler(lengths, 8, sampler=SequentialSampler(lengths)).rank is None
    with pytest.raises(TypeError, match="a RandomSampler draws an order of its own"):
        LengthBucketBatchSampler(lengths, 8, sampler=RandomSampler(lengths))
    with pytest.raises(ValueError, match="39 lengths, and 40 sequences"):
        LengthBucketBatchSampler(lengths[1:], 8, sampler=theirs)
    with pytest.raises(ValueError, match="rank 0 of 2 by the arguments, and rank 1 of 2"):
        LengthBucketBatchSampler(lengths, 8, rank=0, num_replicas=2, sampler=theirs)


def invalid() -> Iterator[tuple[type[Exception], str, list[Any], dict[str, Any]]]:
    yield ValueError, "pass batch_size, .* or max_tokens", [1], {}
    yield ValueError, "batch_size is a whole number from 1, not 0", [1], {"batch_size": 0}
    yield ValueError, "batch_size .* not True", [1], {"batch_size": True}
    yield ValueError, "max_tokens .* not 2.5", [1], {"max_tokens": 2.5}
    yield ValueError, "pool .* not 0", [1], {"batch_size": 1, "pool": 0}
    yield ValueError, "sequence 1 has 9 steps, more than max_tokens=8", [1, 9], {"max_tokens": 8}
    yield ValueError, "sequence 1 has the length -1", [1, -1], {"batch_size": 1}
    yield ValueError, r"one length a sequence.*\(1, 1\)", [[1]], {"batch_size": 1}
    yield TypeError, "these are torch.float32", [0.5], {"batch_size": 1}
    yield ValueError, "rank is from 0 to 1", [1], {"batch_size": 1, "rank": 2, "num_replicas": 2}
    yield ValueError, "pass num_replicas too", [1], {"batch_size": 1, "rank": 0}
    yield ValueError, "num_replicas .* not 0", [1], {"batch_size": 1, "num_replicas": 0}
    yield (
        ValueError,
        "3 sequences cannot be dealt to 4",
        [1] * 3,
        {"batch_size": 9, "num_replicas": 4},
    )
    yield (
        ValueError,
        "3 sequences cannot be dealt to 2",
        [5] * 3,
        {"max_tokens": 5, "num_replicas": 2},
    )
    yield ValueError, "drops all of the 3", [1] * 3, {"batch_size": 4, "drop_last": True}


@pytest.mark.parametrize(("error", "message", "lengths", "options"), list(invalid()))
def test_arguments_that_make_no_batches(
    error: type[Exception], message: str, lengths: list[Any], options: dict[str, Any]
) -> None:
    with pytest.raises(error, match=message):
        LengthBucketBatchSampler(lengths, **options)
