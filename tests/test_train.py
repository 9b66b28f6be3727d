"""companion.train: the plain loop, bit for bit, and what a plain loop cannot do."""

import io
import os
import random
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import train_script
from torch import nn
from torch.optim.lr_scheduler import LinearLR, ReduceLROnPlateau, StepLR
from train_script import new_net, pieces

from companion.train import Options, fit

mse = nn.functional.mse_loss
# A few updates of everything that a checkpoint compares.
OPTIONS = Options(epochs=2, carry=True, clip=1.0, every=2, schedule=partial(StepLR, step_size=4))


def sgd(lr):
    return partial(torch.optim.SGD, lr=lr)


def adam(lr):
    return partial(torch.optim.Adam, lr=lr)


@pytest.fixture(autouse=True)
def no_bars(monkeypatch):
    monkeypatch.setenv("TQDM_DISABLE", "1")


def run_script(*command, timeout=240):
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        # With the store that torchrun shares by default, processes that it starts again may read
        # the addresses of the dead ones (pytorch/pytorch issue 135712).
        "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1",
    }
    command = [sys.executable, *map(str, command)]
    done = subprocess.run(command, env=environment, capture_output=True, timeout=timeout, text=True)
    assert done.returncode == 0, done.stderr[-4000:]


def assert_same(a, b, where="content"):
    """Every number and every bit of two nested contents is the same."""
    assert type(a) is type(b), where
    if isinstance(a, torch.Tensor):
        assert a.dtype == b.dtype and torch.equal(a, b), where
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            assert_same(a[key], b[key], f"{where}.{key}")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), where
        for k, pair in enumerate(zip(a, b, strict=True)):
            assert_same(*pair, f"{where}.{k}")
    else:
        assert a == b, where


def load(path):
    return torch.load(path, weights_only=True)


def short(options=OPTIONS, **others):
    model = others.pop("model", None) or new_net(dropout=0.2)
    data = others.pop("data", None) or pieces(0)
    return model, fit(model, mse, lambda epoch: data, options, **others)


# What the loop computes


def test_it_is_the_plain_loop():
    """Carried state, clipping and a schedule, against the same written out; not a bit differs."""
    options = replace(OPTIONS, clip=0.2, schedule=partial(LinearLR, total_iters=7))
    model, history = short(options, model=new_net())
    plain = new_net()
    adam = torch.optim.Adam(plain.parameters())
    schedule, losses, clipped = LinearLR(adam, total_iters=7), [], 0
    for _ in range(2):
        state = None
        for x, y in pieces(0):
            output, state = plain(x, state)
            state = tuple(part.detach() for part in state)
            loss = mse(output, y)
            adam.zero_grad()
            loss.backward()
            clipped += bool(nn.utils.clip_grad_norm_(plain.parameters(), 0.2) > 0.2)
            adam.step()
            schedule.step()
            losses.append(loss.item())
    assert 0 < clipped < 10
    assert_same(model.state_dict(), plain.state_dict())
    # Sums of five numbers of about 1, in float64.
    np.testing.assert_allclose(history.train, np.reshape(losses, (2, 5)).mean(axis=1), atol=1e-14)
    assert (history.validation, history.best, history.stopped) == ([], None, False)
    assert not model.training


def test_without_carry_the_model_gets_x_alone():
    readout = nn.Linear(3, 1)
    data = [(torch.ones(4, 5, 3), torch.ones(4, 5, 1))]
    _, history = short(Options(epochs=60, optimizer=sgd(0.1)), model=readout, data=data)
    assert history.train[-1] < 1e-3 * history.train[0]


def one_weight(options, target, held, **others):
    """A model y = w · x from w = 0 with one update an epoch, x = 1."""
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    x = torch.ones(1, 1, 1)
    held = [(x, torch.tensor(held).expand(1, 1, 1))]
    data = [(x, torch.tensor(target).expand(1, 1, 1))]
    return short(options, model=model, data=data, validation=held, **others)


def test_early_stopping_takes_the_best_weights():
    # w goes 0.2, 0.36, 0.488, 0.5904, ... to 1; the validation loss is lowest nearest to 0.45.
    options = Options(epochs=50, optimizer=sgd(0.1), patience=3)
    model, history = one_weight(options, target=1.0, held=0.45)
    assert (history.best, history.stopped, len(history.train)) == (2, True, 6)
    assert model.weight.item() == pytest.approx(0.488)
    w = [0.2, 0.36, 0.488, 0.5904, 0.67232, 0.737856]
    assert history.validation == pytest.approx([(v - 0.45) ** 2 for v in w], rel=1e-5)


def test_of_equal_epochs_the_first_is_the_best():
    still = Options(epochs=9, optimizer=sgd(0.0), patience=3)
    _, history = one_weight(still, target=1.0, held=0.5)
    assert (history.best, history.stopped, history.validation) == (0, True, [0.25] * 4)


def test_a_loss_of_zero_is_a_loss():
    _, history = one_weight(Options(epochs=2, optimizer=sgd(0.0)), target=0.0, held=0.0)
    assert history.train == history.validation == [0, 0]


def test_without_patience_it_goes_on_and_still_takes_the_best():
    model, history = one_weight(Options(epochs=9, optimizer=sgd(0.1)), target=1.0, held=0.45)
    assert (history.best, history.stopped, len(history.train)) == (2, False, 9)
    assert model.weight.item() == pytest.approx(0.488)


def test_plateau_schedule_reads_the_validation_loss():
    # Every epoch makes the validation loss worse, and so the rate a hundredth.
    schedule = partial(ReduceLROnPlateau, factor=0.01, patience=0)
    options = Options(epochs=3, optimizer=sgd(0.1), schedule=schedule)
    _, history = one_weight(options, target=1.0, held=-1.0)
    # The first validation sets the best: w = 0.2, 0.36, and a hundredth of the next step.
    w = [0.2, 0.36, 0.36 + 0.00128]
    assert history.validation == pytest.approx([(v + 1) ** 2 for v in w], rel=1e-5)


def test_validation_carries_its_state_and_drops_nothing_out():
    model, held = new_net(dropout=0.5), pieces(1)
    still = replace(OPTIONS, optimizer=sgd(0.0), schedule=None)
    _, history = short(still, model=model, data=held, validation=held)
    state, losses = None, []
    with torch.no_grad():
        for x, y in held:
            output, state = model(x, state)
            losses.append(mse(output, y).item())
    np.testing.assert_allclose(history.validation, [np.mean(losses)] * 2, atol=1e-14)
    # Training did drop out, also after the first validation.
    assert min(abs(np.subtract(history.train, np.mean(losses)))) > 1e-4


def test_losses_are_weighted_by_sequences_or_by_what_is_counted():
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    data = [(torch.ones(2, B, 1), torch.full((2, B, 1), y)) for B, y in ((1, 2.0), (3, 1.0))]
    frozen = Options(epochs=1, optimizer=sgd(0.0))
    _, history = short(frozen, model=model, data=data, validation=data)
    assert history.train == history.validation == [(4 + 3 * 1) / 4]

    def over_twos(output, y):
        return ((output - y) ** 2).sum(), 2 * (y == 2).sum() + (y == 1).sum()

    history = fit(model, over_twos, lambda epoch: data, frozen)
    assert history.train == [(2 * 4 + 6 * 1) / (2 * 2 + 6)]


def test_seed_sets_the_run_and_leaves_the_callers_generators():
    torch.manual_seed(1)
    before = torch.get_rng_state(), random.getstate()
    runs = [short(replace(OPTIONS, seed=seed))[1].train for seed in (0, 0, 1)]
    assert runs[0] == runs[1] != runs[2]
    assert_same((torch.get_rng_state(), random.getstate()), before)


# Checkpoints


def test_killed_at_any_moment_it_continues_to_the_same_bits(tmp_path):
    # 5 updates and 2 validation batches an epoch, a checkpoint every 2 updates. Killed at: the
    # first call, inside an epoch, during validation, inside the second epoch, at the very end.
    moments = (1, 4, 6, 11, 21)
    run_script(Path(train_script.__file__), tmp_path, "kills", *moments)
    whole = load(tmp_path / "whole.pt")
    assert whole["done"]["epoch"] == train_script.EPOCHS
    killed = [f"killed-{k}.pt" for k in moments]
    killed += ["killed-again-and-again.pt", "killed-while-writing.pt"]
    for name in killed:
        assert_same(load(tmp_path / name), whole, name)
    assert {path.name for path in tmp_path.iterdir()} == {"whole.pt", *killed}


class Stop(Exception):
    pass


def stopped_after(calls, path, options=OPTIONS, **others):
    """A checkpoint of a run that was interrupted; the loss is called once for each batch."""
    counted = iter(range(calls))

    def loss(output, y):
        if next(counted, None) is None:
            raise Stop
        return mse(output, y)

    with pytest.raises(Stop):
        fit(new_net(dropout=0.2), loss, lambda epoch: pieces(0), options, checkpoint=path, **others)


@pytest.mark.parametrize("calls", [3, 6])
def test_interrupted_in_an_epoch_it_goes_on_with_the_next_batch(tmp_path, calls):
    path = tmp_path / "run.pt"
    stopped_after(calls, path)
    resumed, history = short(checkpoint=path)
    straight, expected = short()
    assert history == expected
    assert_same(resumed.state_dict(), straight.state_dict())


def test_finished_run_is_read_and_more_epochs_go_on(tmp_path):
    path = tmp_path / "run.pt"
    held = pieces(1)
    first, history = short(checkpoint=path, validation=held)
    content = path.read_bytes()
    again, read = short(checkpoint=path, validation=held, model=new_net(dropout=0.2))
    assert read == history and path.read_bytes() == content
    assert_same(again.state_dict(), first.state_dict())
    longer = replace(OPTIONS, epochs=4)
    resumed, history = short(longer, checkpoint=path, validation=held)
    straight, expected = short(longer, validation=held)
    assert history == expected
    assert_same(resumed.state_dict(), straight.state_dict())
    with pytest.raises(ValueError, match="epochs must not be lowered below the 4 whole epochs"):
        short(checkpoint=path, validation=held)


@pytest.mark.parametrize("generator", ["PCG64", "MT19937", "Philox", "SFC64"])
def test_any_numpy_generator_is_resumed(tmp_path, generator):
    def run(epochs):
        rng = np.random.Generator(getattr(np.random, generator)(0))

        def batches(epoch):
            x = torch.tensor(rng.normal(size=(4, 3, 3)), dtype=torch.float32)
            yield x, x[..., :1] * rng.integers(2**31 - 1) / 2**31

        options = replace(OPTIONS, epochs=epochs)
        return fit(new_net(), mse, batches, options, rng=rng, checkpoint=tmp_path / "run.pt")

    run(3)
    resumed = run(5)
    (tmp_path / "run.pt").unlink()
    assert resumed == run(5)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"options": replace(OPTIONS, clip=0.5)}, "clip was 1.0, here it is 0.5"),
        ({"options": replace(OPTIONS, clip=None)}, "clip was 1.0, here it is None"),
        ({"options": replace(OPTIONS, seed=1)}, "seed was 0, here it is 1"),
        ({"options": replace(OPTIONS, optimizer=sgd(0.1))}, "optimizer was 'Adam', .* 'SGD'"),
        ({"options": replace(OPTIONS, optimizer=adam(0.1))}, "lr of group 0 was 0.001, .* 0.1"),
        ({"options": replace(OPTIONS, schedule=None)}, "schedule was 'StepLR', .* 'NoneType'"),
        (
            {"options": replace(OPTIONS, schedule=partial(StepLR, step_size=5))},
            "schedule's step_size was 4, here it is 5",
        ),
        ({"validation": pieces(1)}, "validation was False, here it is True"),
        ({"rng": np.random.default_rng()}, "rng was None, here it is 'PCG64'"),
        ({"model": new_net(H=5)}, r"model was .*LSTM\(3, 6.*here it is .*LSTM\(3, 5"),
        ({"model": new_net(dropout=0.1)}, r"model was .*dropout=0.2.*here it is .*dropout=0.1"),
        ({"model": new_net(dropout=0.2, dtype=torch.float64)}, "weight_ih_l0 was .*float32"),
    ],
)
def test_checkpoint_of_another_run_is_refused_and_kept(tmp_path, changed, says):
    path = tmp_path / "run.pt"
    stopped_after(3, path)
    content = path.read_bytes()
    with pytest.raises(ValueError, match=f"(?s)run.pt cannot be resumed, in its run.*{says}"):
        short(checkpoint=path, **changed)
    assert path.read_bytes() == content and len(list(tmp_path.iterdir())) == 1


def test_damaged_and_foreign_files_are_refused_and_kept(tmp_path):
    path = tmp_path / "run.pt"
    stopped_after(3, path)
    whole = path.read_bytes()
    weight = load(path)["model"]["lstm.weight_hh_l0"].numpy().tobytes()
    at = whole.index(weight) + 5
    torch.save(new_net().state_dict(), path)
    foreign = path.read_bytes()
    texts = {
        "damaged or no checkpoint": [b"", b"My thesis", whole[:-1], whole[: len(whole) // 2]],
        "it is damaged;": [whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]],
        "was not written by 'companion.train 3'": [foreign],
    }
    for says, contents in texts.items():
        for content in contents:
            path.write_bytes(content)
            with pytest.raises(ValueError, match=says):
                short(checkpoint=path)
            assert path.read_bytes() == content
    path.write_bytes(whole)
    short(checkpoint=path)


def test_failed_write_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "run.pt"
    stopped_after(3, path)
    content = path.read_bytes()

    def full(content, file):
        file.write(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="No space left"):
        short(checkpoint=path)
    assert path.read_bytes() == content and list(tmp_path.iterdir()) == [path]


def test_a_checkpoint_is_on_the_disk_before_it_takes_its_name(tmp_path, monkeypatch):
    path, calls = tmp_path / "run.pt", []

    def sync(number):
        # Whole by now, beside the old one and under a name that says whose it is.
        assert {p.name for p in tmp_path.iterdir()} - {"run.pt"} == {"run.pt.partial"}
        calls.append((Path(f"/proc/self/fd/{number}").resolve().name, load(f"{path}.partial")))

    def save(content, file, torch_save=torch.save):  # and leave the end to the file's own buffer
        torch_save(content, whole := io.BytesIO())
        file.write(whole.getvalue()[:-1])
        file.write(whole.getvalue()[-1:])

    monkeypatch.setattr(torch, "save", save)
    monkeypatch.setattr(os, "fsync", sync)
    short(checkpoint=path)
    assert {name for name, _ in calls} == {"run.pt.partial"}
    assert_same(calls[-1][1], load(path))


def test_carried_view_is_saved_without_what_it_is_a_view_of(tmp_path):
    class Last(nn.Linear):
        def forward(self, x, state):
            y = super().forward(x)
            return y, y[-1]

    data = [(torch.zeros(20_000, 2, 3), torch.full((20_000, 2, 1), y)) for y in (0, torch.nan)]
    path = tmp_path / "run.pt"
    with pytest.raises(FloatingPointError, match="batch 1"):
        short(replace(OPTIONS, every=1), model=Last(3, 1), data=data, checkpoint=path)
    assert load(path)["own"][0]["state"].shape == (2, 1)
    assert path.stat().st_size < 50_000


# Errors


def with_nan(k):
    data = pieces(0)
    data[k][1][2, 1] = torch.nan
    return data


def test_loss_that_is_not_finite_stops_before_the_weights_change(tmp_path):
    path = tmp_path / "run.pt"
    model = new_net()
    says = "the loss is nan at batch 3 of epoch 0, both counted from 0; no update"
    with pytest.raises(FloatingPointError, match=says):
        short(replace(OPTIONS, every=1), model=model, data=with_nan(3), checkpoint=path)
    assert_same(dict(model.state_dict()), dict(load(path)["model"]))
    assert load(path)["done"]["batch"] == 3
    with pytest.raises(FloatingPointError, match="nan at validation batch 1 after epoch 0"):
        short(validation=with_nan(1))


def test_gradient_that_is_not_finite_stops_before_the_weights_change():
    model = nn.Linear(3, 1)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(FloatingPointError, match="norm of the gradient is (nan|inf) at batch 0"):
        # The square root has no derivative at 0.
        fit(model, lambda output, y: (0 * output).sqrt().mean(), lambda epoch: pieces(0))
    assert_same(dict(model.state_dict()), before)


class Forgetful(nn.Linear):
    """Takes a state and returns something else than an output and a state."""

    def __init__(self, result=None):
        super().__init__(3, 1)
        self.result = result

    def forward(self, x, state):
        return self.result or super().forward(x)


def call(*, model=None, loss=mse, batches=lambda epoch: pieces(0), options=OPTIONS, **others):
    return fit(model or new_net(), loss, batches, options, **others)


x, y = pieces(0)[0]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"model": nn.Linear(3, 1)}, r"model must take \(x, state\) with carry, got \(input: "),
        ({"model": Forgetful()}, r"model must return a pair \(y, state\) .*, got Tensor"),
        ({"model": Forgetful(("y", None, 0))}, r"a pair \(y, state\) .*, got tuple of 3"),
        ({"model": Forgetful(("y", None))}, "state must be a tensor, or .*, got NoneType"),
        ({"batches": lambda epoch: []}, r"batches\(0\) must give at least one batch, got none"),
        ({"batches": lambda epoch: [x]}, r"batches must give pairs \(x, y\), .* got Tensor"),
        ({"batches": lambda epoch: [(x.numpy(), y)]}, "x must be a tensor, or .*, got ndarray"),
        (
            {"batches": lambda epoch: [(x, y[:, :2])]},
            r"same number of sequences in every tensor, .*, got \[4, 2\] along batch_dim = 1",
        ),
        ({"validation": iter(pieces(1))}, "validation must be iterable again .*, got list_iter"),
        ({"validation": []}, "validation must give at least one batch, got none"),
        ({"options": replace(OPTIONS, patience=2)}, "patience needs validation, got patience = 2"),
        (
            {"options": replace(OPTIONS, schedule=ReduceLROnPlateau)},
            "schedule ReduceLROnPlateau needs validation",
        ),
        ({"checkpoint": "nowhere/run.pt"}, "in a folder that exists, got nowhere/run.pt"),
        ({"checkpoint": "."}, "checkpoint must be the path of a file, got the folder ."),
        (
            {"loss": lambda output, y: (output - y) ** 2},
            r"scalar tensor or a pair \(total, count\), got shape \(7, 4, 1\)",
        ),
        ({"loss": lambda output, y: 0.5}, r"scalar tensor or a pair .*, got 0.5"),
        (
            {"loss": lambda output, y: (output.sum(), 0)},
            "loss must count something in every batch, got 0.0 at batch 0 of epoch 0",
        ),
    ],
)
def test_error_names_the_argument(arguments, says):
    with pytest.raises(ValueError, match=says):
        call(**arguments)


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"epochs": 2.5}, "epochs must be a whole number, got 2.5"),
        ({"epochs": "3"}, "epochs must be a whole number, got '3'"),
        ({"epochs": None}, "epochs must be a whole number, got None"),
        ({"epochs": True}, "epochs must be a whole number, got True"),
        ({"accumulate": 1.5}, "accumulate must be a whole number, got 1.5"),
        ({"patience": 2.0}, "patience must be a whole number, got 2.0"),
        ({"every": 0.5}, "every must be a whole number, got 0.5"),
        ({"seed": None}, "seed must be a whole number, got None"),
        ({"batch_dim": 1.0}, "batch_dim must be a whole number, or a pair of them, got 1.0"),
        ({"metrics": None}, "metrics must be a dict of functions by name, got None"),
        ({"metrics": [len]}, "metrics must be a dict of functions by name, got .*len"),
        ({"metrics": {"m": 1.0}}, "metrics must be a dict of functions by name, got .'m': 1.0."),
        ({"batch_dim": (0, "1")}, r"or a pair of them, got \(0, '1'\)"),
        ({"batch_dim": (0, 1, 1)}, r"or a pair of them, got \(0, 1, 1\)"),
        ({"batch_dim": [0, 1]}, r"or a pair of them, got \[0, 1\]"),
        ({"patience": 0}, "patience must be at least 1, got 0"),
        ({"every": 0}, "every must be at least 1, got 0"),
        ({"metrics": {"validation": mse}}, "names than the losses, got 'validation'"),
        ({"clip": 0.0}, "clip must be positive, got 0.0"),
        ({"clip": float("nan")}, "clip must be positive, got nan"),
    ],
)
def test_options_out_of_range(entries, says):
    with pytest.raises(ValueError, match=says):
        Options(**entries)


def test_batches_that_got_fewer_than_the_checkpoint_has_seen(tmp_path):
    path = tmp_path / "run.pt"
    stopped_after(4, path)
    with pytest.raises(ValueError, match="must give the 4 batches .* has seen, got 1"):
        short(checkpoint=path, data=pieces(0)[:1])


# Several processes


def test_batch_dim_says_where_the_sequences_are():
    x, labels, lengths = torch.zeros(7, 4, 3), torch.zeros(4, 2), torch.zeros(4)

    def first(output, y):
        return output.mean() * 0 + y[0].sum()

    class Ends(nn.Linear):
        def forward(self, x):
            return super().forward(x["x"][-1])

    data = [({"x": x, "lengths": lengths}, [labels, lengths])]
    with pytest.raises(ValueError, match=r"got \[4, 4, 2, 4\] along batch_dim = 1"):
        fit(Ends(3, 2), first, lambda epoch: data, Options(epochs=1))
    history = fit(Ends(3, 2), first, lambda epoch: data, Options(epochs=1, batch_dim=(1, 0)))
    assert history.train == [0]


def test_two_processes_give_the_same_as_one_and_survive_a_kill(tmp_path):
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", 2)
    run_script(*torchrun, "--max-restarts", 1, Path(train_script.__file__), tmp_path)
    first, second = (load(tmp_path / f"results-{k}.pt") for k in (0, 1))
    assert_same(first, second)
    for name in ("mean", "masked"):
        # float64: about 40 updates, each a sum of the same products in another order (1e-15).
        for key, expected in train_script.equal(masked=name == "masked").items():
            np.testing.assert_allclose(first[name][key], expected, rtol=0, atol=1e-12)
    assert "batches must give all processes the same batch, got different" in first["refused"]
    assert_same(load(tmp_path / "restarted.pt"), load(tmp_path / "unhurt.pt"))
    assert len(list(tmp_path.iterdir())) == 4
    with pytest.raises(ValueError, match="processes was 2, here it is 1"):
        train_script.with_dropout(mse, tmp_path / "unhurt.pt")
