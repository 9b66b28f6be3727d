"""companion.train: what `fit` and `predict` are given, and what is reported."""

import csv
import importlib
import sys
import warnings
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from test_train import OPTIONS, assert_same, mse, sgd, short
from test_train_processes import in_two_processes
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence
from torch.utils.data import DataLoader, TensorDataset
from train_script import new_net, pieces

from companion.data import packed
from companion.train import Options, fit, predict, processes
from companion.train.batch import Scorer

PLAIN = Options(epochs=2, batch_dim=0, optimizer=sgd(0.1))


@pytest.fixture(autouse=True)
def no_bars(monkeypatch):
    monkeypatch.setenv("TQDM_DISABLE", "1")


def new(kind, *sizes, **options):
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return kind(*sizes, **options)


# Batches


def test_a_loader_or_a_list_is_the_function_that_gives_it():
    x = torch.randn(10, 3, generator=torch.Generator().manual_seed(0))
    data = TensorDataset(x, x[:, :1])

    def trained(batches):
        model = new(nn.Linear, 3, 1)
        return fit(model, mse, batches, PLAIN), list(model.state_dict().values())

    loader = partial(DataLoader, data, 4, shuffle=True)  # its last batch is smaller
    assert_same(list(trained(loader())[1]), list(trained(lambda epoch: loader())[1]))
    assert trained(pieces(0))[0] == trained(lambda epoch: pieces(0))[0]


class Reader(nn.Module):
    """The last state of an LSTM, over sequences in one of the ways they may come in."""

    def __init__(self, unpack):
        super().__init__()
        self.lstm, self.unpack = nn.LSTM(3, 5), unpack

    def forward(self, *inputs):
        return self.lstm(self.unpack(*inputs))[1][0][-1].sum(1)


def named(batch):
    return packed(batch["x"], batch["lengths"])


def test_packed_named_and_several_inputs_are_one_and_the_same():
    x = torch.randn(6, 4, 3, generator=torch.Generator().manual_seed(0))
    lengths, y = torch.tensor([6, 2, 5, 1]), torch.tensor([0.1, 0.2, 0.3, 0.4])
    ways = {
        "pair": (((x, lengths), y), lambda pair: packed(*pair)),
        "three": ((x, lengths, y), packed),
        "packed": ((packed(x, lengths), y), lambda p: p),
        "sorted": ((pack_padded_sequence(x[:, [0, 2, 1, 3]], [6, 5, 2, 1]), y[[0, 2, 1, 3]]), None),
        "dict": ({"x": x, "lengths": lengths, "labels": y}, named),
    }
    found = {}
    for way, (batch, unpack) in ways.items():
        model = new(Reader, unpack or (lambda p: p))

        def loss(output, y):
            return mse(output, y["labels"] if isinstance(y, dict) else y)

        options = replace(PLAIN, batch_dim=1)
        found[way] = fit(model, loss, [batch], options, validation=[batch]), predict(model, [batch])
    for way, (history, (output,)) in found.items():
        # float32: the same sums in the same order, but for the sorted batch.
        np.testing.assert_allclose(history.train, found["pair"][0].train, rtol=1e-6)
        order = [0, 2, 1, 3] if way == "sorted" else [0, 1, 2, 3]
        np.testing.assert_allclose(output, found["pair"][1][0][order], rtol=1e-5)


def test_packed_batches_are_told_apart_and_resumed(tmp_path):
    def data(shift):
        x = torch.arange(18.0).reshape(3, 2, 3) / 18 + shift
        return [(packed(x, torch.tensor([3, 1])), torch.zeros(2))]

    def trained(epochs, shift=0.0, path=tmp_path / "run.pt"):
        model = new(Reader, lambda p: p)
        return fit(model, mse, data(shift), replace(PLAIN, epochs=epochs), checkpoint=path)

    trained(1)
    with pytest.raises(ValueError, match="got another batch 0"):
        trained(2, 1e-3)
    assert trained(2) == trained(2, path=None)


def test_batches_with_the_sequences_first():
    first = [(x.transpose(0, 1), y.transpose(0, 1)) for x, y in pieces(0)]

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = nn.LSTM(3, 1, batch_first=True)

        def forward(self, x, state):
            return self.lstm(x, state)

    model = new(Net)
    history = fit(model, mse, first, replace(OPTIONS, batch_dim=0))
    expected = new(Net)
    expected.lstm.batch_first = False
    assert fit(expected, mse, pieces(0), OPTIONS).train == pytest.approx(history.train, rel=1e-6)


@pytest.mark.parametrize("axis", [0, 1])
def test_with_carry_the_first_sequences_of_a_smaller_batch_go_on(tmp_path, axis):
    """Four sequences, then the first three of them, then one: against the same by hand."""

    class Cell(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = nn.LSTM(3, 1)

        def forward(self, x, state):
            if axis == 0 and state is not None:  # as a cell has them: (B, H)
                state = tuple(part[None] for part in state)
            y, state = self.lstm(x, state)
            return y, tuple(part[0] for part in state) if axis == 0 else state

    sizes = (4, 4, 3, 3, 1)
    data = [(x[:, :B], y[:, :B]) for B, (x, y) in zip(sizes, pieces(0), strict=True)]
    options = replace(OPTIONS, epochs=1, optimizer=sgd(0.1), schedule=None, clip=None, every=2)
    model = new(Cell)
    history = fit(model, mse, data, options, validation=data, checkpoint=tmp_path / "run.pt")
    plain = new(Cell)
    optimizer, state, total = torch.optim.SGD(plain.parameters(), lr=0.1), None, 0.0
    for B, (x, y) in zip(sizes, data, strict=True):
        if state is not None:
            state = tuple(part.detach().narrow(axis, 0, B) for part in state)
        output, state = plain(x, state)
        loss = mse(output, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * B
    assert history.train[0] == pytest.approx(total / sum(sizes), rel=1e-12)
    assert_same(dict(model.state_dict()), dict(plain.state_dict()))


# What is reported


def test_metrics_and_reports_go_on_after_a_stop(tmp_path):
    def counted(output, y):
        return (output > 0).sum(), 2 * y.numel()

    metrics = {"off": lambda output, y: (output - y).abs().mean(), "high": counted}
    held, rows = pieces(1), []
    options = replace(OPTIONS, epochs=3, metrics=metrics, on_epoch=lambda *row: rows.append(row))
    model, whole = short(options, validation=held)
    whole_rows, rows[:] = list(rows), []
    for epochs in (1, 3):
        _, history = short(
            replace(options, epochs=epochs), validation=held, checkpoint=tmp_path / "r"
        )
    assert history == whole and rows == whole_rows
    lists = {"train": whole.train, "validation": whole.validation, **whole.metrics}
    assert rows == [(k, {name: values[k] for name, values in lists.items()}) for k in range(3)]
    # By hand, for the weights of the best epoch.
    outputs = predict(model, held, carry=True)
    pairs = [(output, y) for output, (_, y) in zip(outputs, held, strict=True)]
    off = [(output - y).abs().mean() for output, y in pairs]
    high, count = sum((output > 0).sum() for output, _ in pairs), sum(y.numel() for _, y in pairs)
    assert whole.metrics["off"][whole.best] == pytest.approx(np.mean(off), rel=1e-6)
    assert whole.metrics["high"][whole.best] == high / (2 * count)
    with pytest.raises(ValueError, match=r"metrics was \['high', 'off'\], here it is \[\]"):
        short(replace(OPTIONS, epochs=3), validation=held, checkpoint=tmp_path / "r")


def test_reports_become_a_table(tmp_path):
    with open(tmp_path / "log.csv", "w", newline="") as file:
        table = csv.DictWriter(file, ["epoch", "train", "validation"])
        table.writeheader()
        on_epoch = lambda epoch, values: table.writerow({"epoch": epoch, **values})  # noqa: E731
        _, history = short(replace(OPTIONS, on_epoch=on_epoch), validation=pieces(1))
    with open(tmp_path / "log.csv", newline="") as file:
        read = [[float(v) for v in row.values()] for row in csv.DictReader(file)]
    assert read == [[k, history.train[k], history.validation[k]] for k in range(2)]


def test_predict_drops_nothing_out_carries_a_state_and_needs_no_y():
    model = new_net(dropout=0.5)
    with torch.no_grad():
        whole = model.eval()(torch.cat([x for x, _ in pieces(0)]))[0]
    model.train()
    outputs = predict(model, pieces(0), carry=True)
    # float32: the same products, by pieces
    torch.testing.assert_close(torch.cat(outputs), whole, rtol=0, atol=1e-6)
    assert not model.training and not outputs[0].requires_grad
    readout, xs = nn.Linear(3, 1), [x for x, _ in pieces(0)]
    for batches in (xs, [(x,) for x in xs], [[x] for x in xs], [(x, None) for x in xs]):
        assert_same(predict(readout, batches), [readout(x).detach() for x in xs])


@pytest.mark.parametrize("axis", [0, 1])
def test_predict_goes_on_with_the_first_sequences_of_a_smaller_batch(axis):
    class Sums(nn.Linear):
        def forward(self, x, state):
            state = x.sum(1 - axis) + (0 if state is None else state)
            return state.clone(), state

    x = torch.arange(24.0).reshape(2, 4, 3).transpose(0, 1 - axis)
    batches = [x, x.narrow(axis, 0, 3), x.narrow(axis, 0, 3)]
    every = x.sum(1 - axis)
    found = predict(Sums(1, 1), batches, carry=True, batch_dim=axis)
    assert_same(found, [every, 2 * every[:3], 3 * every[:3]])

    class Counts(nn.Linear):
        def forward(self, x, state):
            state = (state or 0) + 1
            return x * state, state

    # A state that need not be cut is the model's own affair.
    assert_same(predict(Counts(1, 1), [x, x], carry=True, batch_dim=axis), [x, 2 * x])
    with pytest.raises(ValueError, match=r"in every tensor of x, got \[3, 2\] along batch_dim = 1"):
        predict(Sums(1, 1), [(torch.zeros(2, 3, 1), torch.zeros(2), None)], carry=True)


class Pooled(nn.Linear):
    """Its state, of one row, would be broadcast to any number of sequences."""

    def forward(self, x, state):
        y = super().forward(x) + (0 if state is None else state)
        return y, y.mean((0, 1))[None]


def test_more_sequences_than_the_batch_before_has_no_state_for_are_refused():
    x, y = pieces(0)[0]
    fewer_then_more = [(x, y), (x[:, :2], y[:, :2]), (x[:, :3], y[:, :3])]
    options = Options(epochs=1, carry=True)
    says = "batches must not have more sequences than the one before, with carry, got 3 after 2"
    for given, held in ((fewer_then_more, [(x, y)]), ([(x, y)], fewer_then_more)):
        with pytest.raises(ValueError, match=says):
            fit(new(Pooled, 3, 1), mse, given, options, validation=held)
    with pytest.raises(ValueError, match=says):
        predict(new(Pooled, 3, 1), fewer_then_more, carry=True)
    # An epoch begins without a state.
    fit(new(Pooled, 3, 1), mse, fewer_then_more[:2], replace(options, epochs=2))


@pytest.mark.parametrize(
    ("model", "options", "says"),
    [
        (mse, {}, "model must be a torch.nn.Module, got function"),
        (nn.Identity(), {}, "model must have parameters, got Identity"),
        (nn.Linear(3, 1), {"batch_dim": (1, 0)}, r"batch_dim must be a whole .*, got \(1, 0\)"),
    ],
)
def test_predict_names_the_argument(model, options, says):
    with pytest.raises(ValueError, match=says):
        predict(model, [pieces(0)[0]], **options)


def test_without_torch_or_tqdm_it_says_what_to_install(monkeypatch):
    says = r'companion.train needs PyTorch and tqdm: pip install "lstm-companion\[torch\]"'
    for missing in ("torch", "tqdm"):
        with monkeypatch.context() as patched:
            patched.setitem(sys.modules, missing, None)
            patched.delitem(sys.modules, "companion.train")
            with pytest.raises(ImportError, match=says):
                importlib.import_module("companion.train")


def test_fewer_sequences_with_carry_are_refused_in_several_processes(monkeypatch):
    for name, value in {"size": 2, "rank": 0}.items():
        monkeypatch.setattr(processes, name, lambda value=value: value)
    monkeypatch.setattr(processes, "sum_up", lambda part, *rest: part)
    model = new_net()
    score = Scorer(model, mse, OPTIONS, torch.device("cpu"))
    _, _, carried = score(model, pieces(0, B=4)[0], None, "")
    with pytest.raises(ValueError, match="carry in several processes, got 2 after 4"):
        score(model, pieces(0, B=2)[0], carried, "")


def test_mixed_precision_is_the_models_own():
    class Half(Reader):
        @torch.autocast("cpu", torch.bfloat16)
        def forward(self, x):
            output = super().forward(x)
            dtypes.add(self.lstm(x)[0].dtype)
            return output

    dtypes = set()
    data = [(x, y[-1, :, 0]) for x, y in pieces(0)]
    options = replace(PLAIN, batch_dim=1)
    half, whole = (fit(new(kind, lambda x: x), mse, data, options) for kind in (Half, Reader))
    assert dtypes == {torch.bfloat16} and half.train != whole.train
    # bfloat16 has 8 bits, of which the losses of about 1 lose the last few.
    np.testing.assert_allclose(half.train, whole.train, rtol=0.05)


# Models and optimizers


class Counted(nn.Linear):
    """Keeps something beside its tensors."""

    def __init__(self, kept):
        super().__init__(3, 1)
        self.kept = kept

    def get_extra_state(self):
        return self.kept

    def set_extra_state(self, kept):
        self.kept = kept

    def forward(self, x):
        if self.training:
            self.kept["calls"] += 1
        return super().forward(x)


def test_extra_state_is_resumed_and_that_of_the_best_epoch_is_taken(tmp_path):
    def trained(epochs, path=None):
        model = new(Counted, {"calls": 0, "seen": torch.zeros(2)})
        data = [(torch.ones(1, 1, 3), torch.ones(1, 1, 1))]
        far = [(torch.ones(1, 1, 3), torch.full((1, 1, 1), -9.0))]  # the first epoch is the best
        options = replace(PLAIN, epochs=epochs)
        fit(model, mse, data, options, validation=far, checkpoint=path)
        return model.kept

    assert trained(3)["calls"] == 1
    trained(1, tmp_path / "run.pt")
    assert trained(3, tmp_path / "run.pt")["calls"] == 1
    assert torch.load(tmp_path / "run.pt")["model"]["_extra_state"]["calls"] == 3
    unreadable = {"calls": 0, "by": np.random.default_rng()}
    with pytest.raises(ValueError, match="model's state _extra_state must be made of .*, got dict"):
        fit(Counted(unreadable), mse, pieces(0), checkpoint=tmp_path / "other.pt")


def frozen():
    return nn.Linear(3, 1).requires_grad_(False)


def test_what_is_frozen_in_part_is_trained_in_the_rest():
    model = new(nn.Linear, 3, 1)
    model.bias.requires_grad_(False)
    before = [value.clone() for value in model.parameters()]
    fit(model, mse, pieces(0), PLAIN)
    assert list(map(torch.equal, before, model.parameters())) == [False, True]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"rng": np.random.RandomState(0)}, "rng must be a numpy.random.Generator, got RandomS"),
        ({"model": nn.Identity()}, "model must have parameters, got Identity"),
        ({"model": mse}, "model must be a torch.nn.Module, got function"),
        ({"model": frozen()}, "model must have parameters to train, got all 2 frozen"),
        ({"loss": "mse"}, "loss must be a function of the output and y, got str"),
        ({"options": {"epochs": 3}}, r"options must be an Options, .*\(epochs=3\), got dict"),
        (
            {"options": Options(optimizer=lambda parameters: None)},
            "optimizer must return a torch.optim.Optimizer, got NoneType",
        ),
        (
            {"options": Options(schedule=lambda optimizer: None)},
            "schedule must return a torch.optim.lr_scheduler.LRScheduler, got NoneType",
        ),
        ({"model": nn.LazyLinear(1)}, "call it once on a batch, got lazy weight"),
        ({"options": Options(optimizer=torch.optim.LBFGS)}, "one gradient, got LBFGS"),
        ({"options": Options(metrics={"m": mse})}, r"metrics need validation, got .*\['m'\] alone"),
        ({"validation": lambda epoch: pieces(1)}, "validation must be iterable .*, got function"),
        ({"batches": iter(pieces(0))}, "batches must be iterable again .*, got list_iterator"),
        ({"batches": 3}, "batches must be iterable again .*, got int"),
        ({"batches": [pieces(0)[0][:1]]}, "or several inputs and y, .* got tuple of 1"),
        (
            {"batches": [({"x": torch.ones(4, 3), "w": torch.tensor(0.5)}, torch.ones(4, 1))]},
            r"every tensor of a batch must have an axis of sequences, got tensor.0.5",
        ),
        (
            {"options": Options(metrics={"m": lambda output, y: 1.0}), "validation": pieces(1)},
            "metric m must return a scalar tensor or a pair .*, got 1.0",
        ),
    ],
)
def test_error_names_the_argument(arguments, says):
    given = {"model": nn.Linear(3, 1), "loss": mse, "batches": pieces(0)} | arguments
    with pytest.raises(ValueError, match=says):
        fit(**given)


@pytest.mark.parametrize("clip", [None, 0.05])
def test_sparse_gradients_are_those_that_dense_ones_are(clip):
    def trained(sparse):
        words = new(nn.Embedding, 10, 3, sparse=sparse)
        model = nn.Sequential(words, nn.Flatten(), new(nn.Linear, 6, 1))
        ks = torch.tensor([[1, 1], [2, 7], [1, 9]])  # one word several times
        data = [(ks, torch.ones(3, 1)), (ks[:2], torch.zeros(2, 1))]
        options = replace(PLAIN, clip=clip, accumulate=2)
        return fit(model, mse, data, options), list(model.state_dict().values())

    (history, dense), (also, sparse) = trained(False), trained(True)
    for one, other in zip(dense, sparse, strict=True):
        assert torch.allclose(one, other, atol=1e-6)
    assert np.allclose(history.train, also.train)


@pytest.mark.parametrize("name", ["optimizer", "schedule"])
def test_an_instance_is_no_function_that_makes_one(name):
    adam = torch.optim.Adam(nn.Linear(3, 1).parameters())
    made = adam if name == "optimizer" else torch.optim.lr_scheduler.ConstantLR(adam)
    with pytest.raises(ValueError, match=f"{name} must be a function that makes one, .* instance"):
        Options(**{name: made})


class Spare(nn.Module):
    """Uses one of its two layers, or each in turn."""

    def __init__(self, turns):
        super().__init__()
        self.layers, self.turns, self.calls = nn.ModuleList([nn.Linear(3, 1)] * 1), turns, 0
        self.layers.append(nn.Linear(3, 1))

    def forward(self, x):
        self.calls += 1
        return self.layers[self.calls % 2 if self.turns else 0](x)


@pytest.mark.parametrize("turns", [False, True])
def test_parameters_without_a_gradient_do_not_disturb_two_processes(tmp_path, turns):
    def trained(k):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model = new(Spare, turns).double()
            data = pieces(0, dtype=torch.float64)
            history = fit(model, mse, data, replace(PLAIN, batch_dim=1))
        return history.train, dict(model.state_dict())

    one = trained(0)
    for train, weights in in_two_processes(tmp_path, trained):
        # float64: ten updates, sums of the same products in another order
        np.testing.assert_allclose(train, one[0], rtol=0, atol=1e-13)
        for name, value in weights.items():
            torch.testing.assert_close(value, one[1][name], rtol=0, atol=1e-13)


class Carrying(nn.Linear):
    def forward(self, x, state):
        y = super().forward(x)
        return y, y[-1]


def test_two_processes_refuse_what_they_cannot_share(tmp_path):
    x, y = torch.zeros(3, 4, 3), torch.zeros(3, 4, 1)
    cases = [
        ([(packed(x, torch.full((4,), 3)), y)], nn.Linear(3, 1), Options(), "got a PackedSequence"),
        ([(x, y), (x[:, :3], y[:, :3])], Carrying(3, 1), Options(carry=True), "got 3 after 4"),
    ]

    def said(k):
        messages = []
        for batches, model, options, _ in cases:
            try:
                fit(model, mse, batches, options)
            except ValueError as error:
                messages.append(str(error))
        return messages

    for messages in in_two_processes(tmp_path, said):
        for message, (*_, says) in zip(messages, cases, strict=True):
            assert says in message
