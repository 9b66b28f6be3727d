"""Two processes that train together, as forks of this one: what each is given, knows and draws."""

import multiprocessing
from datetime import timedelta

import pytest
import torch
import torch.distributed as dist
from torch import nn

from companion.train import Options, fit, processes, run

MINUTE = timedelta(minutes=1)  # for one to wait for the other
cpu = torch.device("cpu")


def in_two_processes(folder, function):
    """What function(rank) returns in each of two forks, which have joined."""

    def child(k):
        store = dist.FileStore(str(folder / "store"), 2)
        dist.init_process_group("gloo", store=store, rank=k, world_size=2, timeout=MINUTE)
        torch.save(function(k), folder / f"result-{k}.pt")

    context = multiprocessing.get_context("fork")
    forks = [context.Process(target=child, args=(k,)) for k in (0, 1)]
    for fork in forks:
        fork.start()
    for fork in forks:
        fork.join()
    assert [fork.exitcode for fork in forks] == [0, 0]
    return [torch.load(folder / f"result-{k}.pt") for k in (0, 1)]


def test_each_process_takes_its_part_and_all_know_the_sums(tmp_path):
    whole = torch.arange(10.0).reshape(2, 5)

    def run(k):
        batch = whole, {"a": [whole.T, torch.arange(5)]}
        (x, y), count, _ = processes.share(batch, (1, 0), cpu)
        sums = processes.sum_up((float(k), 2.5), batch, cpu, "batch 0")
        return x, y, count, sums, processes.collect(("of", k)), processes.size(), processes.rank()

    for k, (x, y, count, sums, everyones, size, rank) in enumerate(in_two_processes(tmp_path, run)):
        part = slice(0, 3) if k == 0 else slice(3, 5)
        assert torch.equal(x, whole[:, part]) and torch.equal(y["a"][0], whole.T[part])
        assert torch.equal(y["a"][1], torch.arange(5)[part])
        assert (count, sums, size, rank) == ((3, 2)[k], (1.0, 5.0), 2, k)
        assert everyones == ([("of", 0), ("of", 1)] if k == 0 else None)


@pytest.mark.parametrize("differs", [None, "x", "y"])
def test_processes_that_got_different_batches_stop(tmp_path, differs):
    def run(k):
        batch = {name: torch.ones(3, 4) for name in "xy"}
        if differs and k == 1:
            batch[differs][2, 1] += 1
        try:
            processes.sum_up((1.0, 1.0), tuple(batch.values()), cpu, "batch 3")
        except ValueError as error:
            return str(error)

    said = in_two_processes(tmp_path, run)
    assert said[0] == said[1]
    assert (said[0] is None) == (differs is None)
    if differs:
        assert (
            "batches must give all processes the same batch, got different ones at batch 3"
            in said[0]
        )


def test_each_process_drops_out_others(tmp_path):
    class Noise(nn.Linear):
        def forward(self, x):
            drawn.append(torch.rand(3))
            return super().forward(x)

    drawn = []

    def run(k):
        data = [(torch.ones(1, 4, 3), torch.ones(1, 4, 1))]
        history = fit(
            Noise(3, 1), nn.functional.mse_loss, lambda epoch: data, Options(epochs=1, seed=5)
        )
        return drawn[0], history.train

    torch.manual_seed(0)  # the forks begin with the same weights
    (first, train), (second, other) = in_two_processes(tmp_path, run)
    assert train == other
    for k, found in enumerate((first, second)):
        assert torch.equal(found, torch.rand(3, generator=torch.Generator().manual_seed(5 + k)))


def test_progress_is_shown_by_process_0_alone(monkeypatch, capsys):
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    shown = []
    for rank in (0, 1):
        monkeypatch.setattr(processes, "rank", lambda rank=rank: rank)
        list(run._bar(range(3), "epoch 1/2"))
        shown.append(capsys.readouterr().err)
    assert "epoch 1/2" in shown[0] and shown[1] == ""
