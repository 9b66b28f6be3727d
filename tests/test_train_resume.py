"""companion.train: whatever draws the batches, a resumed run is the same run, or it is refused."""

# NumPy's old global generator is one of those that batches draw from.
# ruff: noqa: NPY002

import random
from collections import namedtuple
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from test_train import Stop, assert_same
from torch import nn
from torch.nn.functional import mse_loss
from torch.optim.lr_scheduler import LambdaLR, MultiStepLR
from torch.utils.data import DataLoader, Dataset, IterableDataset

from companion.train import Options, fit
from companion.train.processes import checksum

OPTIONS = Options(epochs=3, every=2, batch_dim=0, optimizer=partial(torch.optim.Adam, lr=0.1))
N, B = 20, 4  # five batches an epoch, a checkpoint after every second and at the end


@pytest.fixture(autouse=True)
def no_bars(monkeypatch):
    monkeypatch.setenv("TQDM_DISABLE", "1")


def row(k, noise=0.0):
    k = float(k)
    x = torch.tensor([np.sin(k), np.cos(k), k / N], dtype=torch.float32)
    x = x + torch.as_tensor(noise, dtype=torch.float32)
    return x, x[:1].cos()


class Rows(Dataset):
    """N examples, with a noise of torch's if it is asked for."""

    def __init__(self, noise=False):
        self.noise = noise

    def __len__(self):
        return N

    def __getitem__(self, k):
        return row(k, torch.randn(3) if self.noise else 0.0)


class ShuffleBuffer(IterableDataset):
    """The examples in an order that is drawn while they are read."""

    def __iter__(self):
        buffer = list(range(8))
        for k in range(8, N):
            at = int(torch.randint(8, ()))
            yield row(buffer[at])
            buffer[at] = k
        yield from map(row, buffer)


def batch_of(ks, noise=0.0):
    x, y = zip(*map(row, ks), strict=True)
    x = torch.stack(x)
    return x + torch.as_tensor(noise).to(x), torch.stack(y)


def in_order(noise=lambda: 0.0):
    for k in range(0, N, B):
        yield batch_of(range(k, k + B), noise())


def shuffled(permutation):
    order = permutation(N)
    return [batch_of(order[k : k + B]) for k in range(0, N, B)]


def walk(step):
    """A noise that goes on from that of the batch before."""
    at = 0
    while True:
        at = at + step()
        yield at


def walking(step):
    return lambda epoch: in_order(partial(next, walk(step)))


# Each is called once in every process that trains, and returns the function of the epoch.
EXACT = {
    "a list": lambda: lambda epoch: list(in_order()),
    "a generator made from the epoch": lambda: (
        lambda epoch: in_order(partial(np.random.default_rng(epoch).normal, size=(B, 3)))
    ),
    "torch's permutation": lambda: lambda epoch: shuffled(torch.randperm),
    "torch's noise as it goes": lambda: lambda epoch: in_order(partial(torch.randn, B, 3)),
    "torch's random walk": lambda: walking(partial(torch.randn, B, 3)),
    "a shuffle buffer": lambda: lambda epoch: DataLoader(ShuffleBuffer(), B),
    "NumPy's global permutation": lambda: lambda epoch: shuffled(np.random.permutation),
    "NumPy's global noise": lambda: lambda epoch: in_order(partial(np.random.normal, size=(B, 3))),
    "Python's noise": lambda: lambda epoch: in_order(random.random),
    "Python's random walk": lambda: walking(random.random),
    "a DataLoader": lambda: lambda epoch: DataLoader(Rows(), B, shuffle=True),
    "a DataLoader with noise": lambda: lambda epoch: DataLoader(Rows(noise=True), B, shuffle=True),
    "workers with noise": lambda: (
        lambda epoch: DataLoader(Rows(noise=True), B, shuffle=True, num_workers=2)
    ),
    "persistent workers": lambda: constant(persistent()),
}


def constant(value):
    return lambda epoch: value


def persistent(noise=False):
    return DataLoader(Rows(noise), B, shuffle=True, num_workers=2, persistent_workers=True)


class Net(nn.Sequential):
    """Draws from torch's generator and Python's in every update, as batches may do."""

    def __init__(self):
        with torch.random.fork_rng():
            torch.manual_seed(3)
            super().__init__(nn.Linear(3, 8), nn.Dropout(0.5), nn.Linear(8, 1))

    def forward(self, x):
        return super().forward(x) * random.random() if self.training else super().forward(x)


def run(kind, checkpoint=None, updates=None):
    """A training in a process of its own, as far as generators go, that may be interrupted."""
    np.random.seed(0)  # as a script of old does
    counted = iter(range(15 if updates is None else updates))

    def loss(output, y):
        if next(counted, None) is None:
            raise Stop
        return mse_loss(output, y)

    model = Net()
    history = fit(model, loss, kind(), OPTIONS, checkpoint=checkpoint)
    return model.state_dict(), history


@pytest.mark.parametrize("kind", EXACT)
def test_resumed_anywhere_it_is_the_same_run(tmp_path, kind):
    straight = run(EXACT[kind])
    # Within the first epoch, after it, within the second, and after two.
    for updates in (3, 5, 8, 10):
        path = tmp_path / f"{updates}.pt"
        with pytest.raises(Stop):
            run(EXACT[kind], path, updates)
        weights, history = run(EXACT[kind], path)
        assert history == straight[1]
        assert_same(dict(weights), dict(straight[0]))


def own_generator():
    rng = np.random.default_rng(0)
    return lambda epoch: in_order(partial(rng.normal, size=(B, 3)))


# What these drew in earlier epochs is not drawn again, and no state of theirs is at hand.
REFUSED = {
    "a generator that fit does not know": own_generator,
    "persistent workers with noise": lambda: constant(persistent(noise=True)),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_drawn_again_is_refused_and_the_checkpoint_kept(tmp_path, kind):
    straight = run(REFUSED[kind])
    for updates in (5, 8, 10):
        path = tmp_path / f"{updates}.pt"
        with pytest.raises(Stop):
            run(REFUSED[kind], path, updates)
        content = path.read_bytes()
        if updates == 5:  # the first epoch is drawn again, and the second follows it
            assert run(REFUSED[kind], path)[1] == straight[1]
            continue
        seen = 2 if updates == 8 else 5
        says = rf"batches\(1\) must give the {seen} batches .* has seen, got another batch 0,"
        with pytest.raises(ValueError, match=says):
            run(REFUSED[kind], path)
        assert path.read_bytes() == content


def changed(k):
    """The batches in order, with one number of batch k another."""
    batches = list(in_order())
    batches[k][1][2, 0] += 1e-6
    return batches


@pytest.mark.parametrize(
    ("updates", "batches", "says"),
    [
        (3, changed(1), "the 2 batches .* got another batch 1, counted from 0; it is left"),
        (3, changed(2), None),
        (3, [], "the 2 batches that the checkpoint has seen, got 0;"),
        (5, changed(4), "the 5 batches .* got another batch 4, counted from 0"),
        (5, list(in_order())[:4], "the 5 batches .* got 4;"),
        (5, [*in_order(), *in_order()], "the 5 batches .* got more;"),
    ],
)
def test_other_batches_are_refused(tmp_path, updates, batches, says):
    path = tmp_path / "run.pt"
    with pytest.raises(Stop):
        run(EXACT["a list"], path, updates)
    if says is None:  # they are others only after those that were seen
        run(lambda: constant(batches), path)
        return
    with pytest.raises(ValueError, match=rf"batches\(0\) must give {says}"):
        run(lambda: constant(batches), path)


def test_batches_of_a_finished_run_are_not_drawn(tmp_path):
    straight = run(EXACT["a list"], tmp_path / "run.pt")
    weights, history = run(lambda: constant(None), tmp_path / "run.pt")
    assert history == straight[1]
    assert_same(dict(weights), dict(straight[0]))


def test_numpys_generator_is_not_seeded_and_what_is_drawn_stays_drawn():
    run(EXACT["NumPy's global noise"])
    drawn = np.random.normal()
    np.random.seed(0)
    np.random.normal(size=(15, B, 3))
    assert drawn == np.random.normal()


def linear():
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return nn.Linear(3, 1)


SCHEDULES = {
    "none": None,
    "NumPy's cosine": lambda o: LambdaLR(o, lambda k: np.cos(k / 20)),
    "NumPy's milestones": lambda o: MultiStepLR(o, np.arange(2, 9, 3)),
}


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
@pytest.mark.parametrize("lr", [np.float64(0.1), np.float32(0.1)])
def test_numpys_numbers_may_be_in_a_checkpoint(tmp_path, lr, schedule):
    options = replace(OPTIONS, optimizer=partial(torch.optim.Adam, lr=lr), schedule=schedule)

    def trained(epochs, path=None):
        model, data = linear(), list(in_order())
        history = fit(model, mse_loss, data, replace(options, epochs=epochs), checkpoint=path)
        return model.state_dict(), history

    straight = trained(3)
    trained(1, tmp_path / "run.pt")
    resumed = trained(3, tmp_path / "run.pt")
    assert resumed[1] == straight[1]
    assert_same(dict(resumed[0]), dict(straight[0]))


class Shrinking:
    """A schedule of an array, which a checkpoint can't hold."""

    def __init__(self):
        self.factors = np.ones(100)

    def __call__(self, k):
        return self.factors[k]


def test_a_schedule_that_no_checkpoint_holds_is_refused_before_it_is_trained(tmp_path):
    options = replace(OPTIONS, schedule=lambda o: LambdaLR(o, Shrinking()))
    says = "scheduler's state lr_lambdas must be made of .*, got list"
    with pytest.raises(ValueError, match=says):
        fit(linear(), mse_loss, list(in_order()), options, checkpoint=tmp_path / "run.pt")
    assert not (tmp_path / "run.pt").exists()
    fit(linear(), mse_loss, list(in_order()), options)


def test_batches_and_loss_may_draw_from_numpys_generator_by_turns(tmp_path):
    def trained(path=None, stop=None):
        def loss(y, target):  # mixup
            trained.calls += 1
            if trained.calls == stop:
                raise Stop
            return ((y - np.random.beta(1, 1) * target) ** 2).mean()

        trained.calls = 0
        np.random.seed(5)
        model, batches = linear(), EXACT["NumPy's global noise"]()
        return fit(model, loss, batches, OPTIONS, checkpoint=path), dict(model.state_dict())

    straight = trained()
    for stop in (3, 5, 8, 11):
        path = tmp_path / f"{stop}.pt"
        with pytest.raises(Stop):
            trained(path, stop)
        history, weights = trained(path)
        assert history == straight[0]
        assert_same(weights, straight[1])


def test_a_named_tuple_and_a_seed_of_numpys(tmp_path):
    Pair = namedtuple("Pair", "x y")
    data = [Pair(*batch) for batch in in_order()]
    plain, named = linear(), linear()
    options = replace(OPTIONS, seed=np.int64(0))
    history = fit(named, mse_loss, data, options, checkpoint=tmp_path / "run.pt")
    assert history == fit(plain, mse_loss, list(in_order()), OPTIONS)
    assert_same(dict(named.state_dict()), dict(plain.state_dict()))


def test_batches_are_told_apart_by_all_their_numbers_shapes_and_dtypes():
    x = torch.randn(100, 64, 30, generator=torch.Generator().manual_seed(0))
    others = [x.flip(1), x[:, [1, 0, *range(2, 64)]], x + 1e-6, x.roll(1, 0), x.double(), x[:-1]]
    others += [x.view(torch.int32), x.view(64, 100, 30), x[None]]
    others += [x.clone() for _ in range(8)]
    for k, other in enumerate(others[-8:]):
        other.view(-1)[x.numel() - 1 - k] += 1  # any one number
    same = [x.clone(), x.transpose(0, 1).contiguous().transpose(0, 1)]
    assert {checksum([tensor]) for tensor in same} == {checksum([x])}
    assert len({checksum([tensor]) for tensor in [x, *others]}) == 18
    assert checksum([x[:50], x[50:]]) != checksum([x[:40], x[40:]])


# What a model keeps outside its state_dict

BITS = {name: getattr(np.random, name) for name in ("PCG64", "MT19937", "Philox", "SFC64")}
# A generator, and a number that it draws.
GENERATORS = {
    "torch": (
        lambda: torch.Generator().manual_seed(5),
        lambda generator: torch.rand((), generator=generator).item(),
    ),
    "RandomState": (lambda: np.random.RandomState(5), lambda generator: generator.normal()),
    "Python": (lambda: random.Random(5), lambda generator: generator.gauss()),
} | {
    name: (lambda kind=kind: np.random.Generator(kind(5)), lambda generator: generator.normal())
    for name, kind in BITS.items()
}


class Noise(nn.Module):
    """Multiplies by what a generator of its own draws."""

    def __init__(self, generator, draw):
        super().__init__()
        self.generator, self.draw = generator, draw

    def forward(self, x):
        return x * self.draw(self.generator)


def stops_and_goes_on(model, tmp_path, **options):
    """Whether a training of model() is the same, stopped anywhere, as one that is not stopped."""

    def trained(path=None, updates=15):
        counted = iter(range(updates))

        def loss(output, y):
            if next(counted, None) is None:
                raise Stop
            return mse_loss(output, y)

        made = model()
        given = replace(OPTIONS, **options)
        return made, fit(made, loss, list(in_order()), given, checkpoint=path)

    straight, history = trained()
    for updates in (3, 5, 8, 10):
        path = tmp_path / f"{updates}.pt"
        with pytest.raises(Stop):
            trained(path, updates)
        resumed, also = trained(path)
        if also != history:
            return False
        assert_same(dict(resumed.state_dict()), dict(straight.state_dict()))
        assert_same(dict(resumed.named_buffers()), dict(straight.named_buffers()))
    return True


@pytest.mark.parametrize("kind", GENERATORS)
def test_a_generator_of_the_model_is_resumed(tmp_path, kind):
    make, draw = GENERATORS[kind]
    assert stops_and_goes_on(lambda: nn.Sequential(Noise(make(), draw), linear()), tmp_path)


class Remembering(nn.Module):
    """Buffers that are not persistent: one is counted up, others are made as it goes."""

    def __init__(self):
        super().__init__()
        self.layer = linear()
        self.register_buffer("calls", torch.zeros(1), persistent=False)
        self.register_buffer("last", None, persistent=False)
        self.register_buffer("first", torch.ones(2), persistent=False)
        self.register_buffer("every", torch.ones(1).expand(B, 1), persistent=False)
        self.same = self.calls  # another name for it, which counts too

    def forward(self, x):
        self.same += 0.1
        before = 0 if self.last is None else self.last.mean()
        many = 1 + int(self.calls.item() * 10) % 3
        self.last = x.detach()[:many].clone()
        self.first = None if self.first is None else torch.full((3,), 0.1)
        self.every = self.every + 0.1
        if not hasattr(self, "late"):
            self.register_buffer("late", torch.zeros(()), persistent=False)
        self.late += 1
        return self.layer(x) * self.calls + before * self.every + self.late


def test_buffers_that_are_not_persistent_are_resumed(tmp_path):
    assert stops_and_goes_on(Remembering, tmp_path)


def test_a_buffer_that_became_none_is_resumed(tmp_path):
    class Once(nn.Linear):
        def __init__(self):
            with torch.random.fork_rng():
                torch.manual_seed(3)
                super().__init__(3, 1)
            self.register_buffer("start", torch.ones(1), persistent=False)

        def forward(self, x):
            y = super().forward(x) + (0 if self.start is None else self.start)
            self.start = None
            return y

    assert stops_and_goes_on(Once, tmp_path)


def test_a_view_among_buffers_is_saved_without_what_it_is_a_view_of(tmp_path):
    class Last(nn.Linear):
        def forward(self, x):
            self.register_buffer("last", torch.zeros(100_000)[:1], persistent=False)
            return super().forward(x)

    fit(Last(3, 1), mse_loss, list(in_order()), OPTIONS, checkpoint=tmp_path / "run.pt")
    assert (tmp_path / "run.pt").stat().st_size < 50_000


def test_a_plain_attribute_is_not_resumed(tmp_path):
    class Counting(nn.Linear):
        calls = 0

        def forward(self, x):
            self.calls += 1
            return super().forward(x) * self.calls

    def model():
        with torch.random.fork_rng():
            torch.manual_seed(3)
            return Counting(3, 1)

    assert not stops_and_goes_on(model, tmp_path)


def test_another_generator_than_the_checkpoint_has_is_refused_before_anything_is_loaded(tmp_path):
    path = tmp_path / "run.pt"

    def trained(generator, path=path):
        model = nn.Sequential(Noise(generator, lambda generator: 1.0), linear())
        return fit(model, mse_loss, list(in_order()), OPTIONS, checkpoint=path)

    trained(np.random.default_rng(5))
    content = path.read_bytes()
    for other, now in (
        (None, "absent"),
        (np.random.Generator(np.random.MT19937(5)), r"Generator\(MT19937\)"),
        (torch.Generator(), "torch.Generator on cpu"),
        (np.random.RandomState(5), r"RandomState\(MT19937\)"),
        (random.Random(5), "Random"),
    ):
        says = rf"its run generator 0.generator was Generator\(PCG64\), here it is {now};"
        with pytest.raises(ValueError, match=says):
            trained(other)
        assert path.read_bytes() == content
    # The system's has no state.
    trained(random.SystemRandom(), tmp_path / "system.pt")


def test_a_generator_that_no_checkpoint_holds_is_refused_before_it_is_trained(tmp_path):
    class Own(random.Random):
        def getstate(self):
            return np.ones(3)

    model = nn.Sequential(Noise(Own(), lambda generator: 1.0), linear())
    with pytest.raises(ValueError, match="model's state 0.generator must be made of .*, got nd"):
        fit(model, mse_loss, list(in_order()), OPTIONS, checkpoint=tmp_path / "run.pt")
    assert not (tmp_path / "run.pt").exists()
