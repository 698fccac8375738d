"""clip_gradients where each of two processes holds a share of the gradients."""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, distributed, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

from rnnlint.runtime.clipping import NonFiniteGradientError, clip_gradients

PROCESSES = 2


class Tagger(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(5, 6, batch_first=True)
        self.head = nn.Linear(6, 1)  # one row: the second process holds nothing of it

    def forward(self, features: Tensor) -> Tensor:
        scores: Tensor = self.head(self.lstm(features)[0])
        return scores


def of_dtensor(name: str) -> Any:
    """From where DTensor lives, which was private in PyTorch 2.4."""
    module = import_module("torch.distributed.tensor")
    if not hasattr(module, name):
        module = import_module("torch.distributed._tensor")
    return getattr(module, name)


def backward(model: nn.Module) -> None:
    features = torch.randn(4, 7, 5, generator=torch.Generator().manual_seed(0))
    model(features).square().sum().backward()


def sharded_and_whole(mesh: DeviceMesh) -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    whole = Tagger()
    sharded = copy.deepcopy(whole)
    backward(whole)
    fully_shard: Any = getattr(import_module("torch.distributed.fsdp"), "fully_shard", None)
    if fully_shard is None:  # before 2.6 it needs a GPU
        divide_by_hand(sharded, whole, mesh)
    else:
        fully_shard(sharded, mesh=mesh)
        backward(sharded)
    return sharded, whole


def divide_by_hand(model: nn.Module, whole: nn.Module, mesh: DeviceMesh) -> None:
    distribute, rows = of_dtensor("distribute_tensor"), of_dtensor("Shard")(0)
    for name, parameter in whole.named_parameters():
        divided = nn.Parameter(distribute(parameter.detach(), mesh, [rows]))
        divided.grad = distribute(parameter.grad, mesh, [rows])
        owner, _, attribute = name.rpartition(".")
        model.get_submodule(owner).register_parameter(attribute, divided)


def local(gradient: Any) -> Tensor:
    share: Tensor = gradient.to_local()
    return share


def check_norms_and_clipping(mesh: DeviceMesh) -> None:
    for norm_type in (1.0, 2.0, math.inf):
        sharded, whole = sharded_and_whole(mesh)
        norm = clip_gradients(sharded, 0.5, norm_type=norm_type)
        expected = nn.utils.clip_grad_norm_(whole.parameters(), 0.5, norm_type)
        assert type(norm) is Tensor
        torch.testing.assert_close(norm, expected)
        for ours, theirs in zip(sharded.parameters(), whole.parameters(), strict=True):
            gradient: Any = ours.grad
            torch.testing.assert_close(gradient.full_tensor(), theirs.grad, rtol=1e-4, atol=1e-6)


def check_that_all_processes_refuse_what_is_broken_in_one(mesh: DeviceMesh) -> None:
    for value in (math.nan, math.inf):
        for norm_type in (2.0, math.inf):
            sharded, _ = sharded_and_whole(mesh)
            broken = sharded.get_parameter("lstm.weight_hh_l0")
            if mesh.get_rank() == 1:
                local(broken.grad)[0, 0] = value
            with pytest.raises(NonFiniteGradientError, match=r"lstm\.weight_hh_l0") as raised:
                clip_gradients(sharded, 0.5, norm_type=norm_type)
            assert raised.value.parameters == ("lstm.weight_hh_l0",)
            clip_gradients(sharded, 0.5, nonfinite="skip", norm_type=norm_type)
            assert all(parameter.grad is None for parameter in sharded.parameters())


def check_gradients_whose_squares_overflow(mesh: DeviceMesh) -> None:
    sharded, _ = sharded_and_whole(mesh)
    for parameter in sharded.parameters():
        local(parameter.grad).fill_(1e30 if mesh.get_rank() else 0.0)
    count = sum(parameter.numel() for parameter in sharded.parameters())
    norm = clip_gradients(sharded, 1.0)
    assert 1e30 < float(norm) < 1e30 * math.sqrt(count)
    clipped = clip_gradients(sharded, math.inf)
    torch.testing.assert_close(clipped, torch.tensor(1.0))


def check_shares_that_are_still_to_be_added_up(mesh: DeviceMesh) -> None:
    """What tensor parallelism leaves in the gradient of a weight that every process holds."""
    tensor, partial, replicate = map(of_dtensor, ("DTensor", "Partial", "Replicate"))
    weight = nn.Parameter(tensor.from_local(torch.zeros(2), mesh, [replicate()]))
    plain = nn.Parameter(torch.zeros(1))
    shares = [torch.tensor([3.0, 1.0]), torch.tensor([0.0, 3.0])]
    weight.grad = tensor.from_local(shares[mesh.get_rank()], mesh, [partial()])
    plain.grad = torch.tensor([12.0])
    assert float(clip_gradients([weight, plain], 1.0)) == 13.0
    torch.testing.assert_close(local(weight.grad), torch.tensor([3.0, 4.0]) / 13)
    torch.testing.assert_close(plain.grad, torch.tensor([12.0]) / 13)


def check_that_fsdp1_is_refused(mesh: DeviceMesh) -> None:
    from torch.distributed.fsdp import FullyShardedDataParallel

    for use_orig_params in (False, True):
        model = FullyShardedDataParallel(
            Tagger(), use_orig_params=use_orig_params, device_id=torch.device("cpu")
        )
        backward(model)
        optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
        for given in (model, optimizer):
            with pytest.raises(RuntimeError, match=r"call model\.clip_grad_norm_"):
                clip_gradients(given, 1.0)


CHECKS: tuple[Callable[[DeviceMesh], None], ...] = (
    check_norms_and_clipping,
    check_that_all_processes_refuse_what_is_broken_in_one,
    check_gradients_whose_squares_overflow,
    check_shares_that_are_still_to_be_added_up,
    check_that_fsdp1_is_refused,
)


def in_each_process(rank: int, rendezvous: str) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=PROCESSES
    )
    mesh = init_device_mesh("cpu", (PROCESSES,))
    for check in CHECKS:
        check(mesh)
    distributed.barrier()
    distributed.destroy_process_group()
    # What PyTorch remembers of the mesh keeps gloo's threads alive, and one that lets go of a
    # tensor while Python shuts down aborts the process.  So Python is not shut down.
    os._exit(0)


def test_shares_of_gradients_have_one_norm(tmp_path: Path) -> None:
    """In one test, as the processes take longer to start than to check anything."""
    # The function is what the package means by its name, and the module what mypy sees.
    spawn: Any = vars(torch.multiprocessing)["spawn"]
    spawn(in_each_process, args=(str(tmp_path / "rendezvous"),), nprocs=PROCESSES)
