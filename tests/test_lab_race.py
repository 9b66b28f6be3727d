"""The race: its networks by hand, what a run reads and times, and which weights it tests."""

import copy
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch.nn import functional as F  # noqa: E402

from book.experiments import race  # noqa: E402
from book.experiments.lab import race_networks, race_training  # noqa: E402
from book.experiments.lab.race_training import WINDOW, bits, carried, rate, train, windows  # noqa: E402
from companion import gate  # noqa: E402
from companion.data import load_result  # noqa: E402

SIZES = [(name, size) for name in race.MIXERS for size in ([64, 2], [128, 2])]
SIZES += [(race.SINGLE, 128), (race.SINGLE, 256)]


@pytest.mark.parametrize(("name", "size"), SIZES)
def test_a_network_has_the_parameters_that_were_counted(name, size):
    net = race_networks.network(name, 65, size, 0.3, WINDOW)
    counted = {
        run["parameters"]
        for run in load_result("race")["runs"]
        if run["job"].get("network") == name and run.get("size", run["job"].get("size")) == size
    }
    assert {sum(value.numel() for value in net.parameters())} == counted and net.drop.p == 0.3


@pytest.mark.parametrize("name", race.CHOSEN)
def test_a_network_goes_on_from_its_state_and_sees_no_future(name):
    torch.manual_seed(0)
    net = race_networks.network(name, 9, 16 if name == race.SINGLE else (32, 2), 0.0, 12).eval()
    x = torch.randint(9, (12, 3))
    whole, _ = net(x)
    assert whole.shape == (12, 3, 9)
    first, state = net(x[:5])
    assert torch.allclose(first, whole[:5], atol=1e-5)
    if name != "Transformer":
        assert torch.allclose(net(x[5:], state)[0], whole[5:], atol=1e-5)
    other = x.clone()
    other[0] = (x[0] + 1) % 9
    assert (net(other)[0] - whole)[5].abs().max() > 1e-6  # it remembers


def test_what_is_held_is_kept_at_first():
    for name in ("GRU", "LSTM", "SLSTM"):
        layer = race_networks.recurrent(name, 3, 4)
        letter, _ = layer.cell.forgets
        parts = (getattr(layer, part).detach().numpy() for part in ("bias_ih_l0", "bias_hh_l0"))
        assert sum(gate(layer.cell, part, letter) for part in parts).tolist() == [1] * 4


def test_a_block_adds_what_a_mixer_and_two_dense_layers_find():
    torch.manual_seed(0)

    class Twice(torch.nn.Module):
        def forward(self, xs, state):
            return 2 * xs, "state"

    net = race_networks.Deep([Twice(), Twice()], 5, 8)
    x = torch.randint(5, (4, 2))
    v = net.embedding(x)
    for k in range(2):
        v = v + 2 * F.layer_norm(v, (8,))
        first, _, second = net.dense[k]
        v = v + second(F.gelu(first(F.layer_norm(v, (8,)))))
    found, states = net(x)
    wanted = net.readout(F.layer_norm(v, (8,)))
    assert states == ["state", "state"] and torch.allclose(found, wanted, atol=1e-5)
    # What a block adds is dropped in training, and what the single layer gives.
    single = race_networks.Recurrent("RNN", 5, 8, dropped=0.999999)
    assert torch.allclose(single(x)[0], single.readout.bias.expand(4, 2, 5))
    net.drop.p = 0.999999
    assert torch.allclose(net(x)[0], net.readout(F.layer_norm(net.embedding(x), (8,))), atol=1e-5)


def test_attention_by_hand_with_complex_numbers():
    torch.manual_seed(0)
    T, H, width = 6, 8, 4
    layer = race_networks.Attention(H, 10, width)
    xs = torch.randn(T, 2, H)
    queries, keys, values = (part.detach().numpy() for part in layer.three(xs).chunk(3, -1))
    turns = np.exp(1j * np.outer(np.arange(T), 1e4 ** (-np.arange(0, width, 2) / width)))
    found = np.zeros((T, 2, H))
    for b in range(2):
        for head in (slice(0, 4), slice(4, 8)):
            q, k = (
                (part[:, b, head][:, :2] + 1j * part[:, b, head][:, 2:]) * turns
                for part in (queries, keys)
            )
            scores = (q @ k.conj().T).real / 2  # the square root of 4
            scores[np.triu_indices(T, 1)] = -np.inf
            weights = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
            found[:, b, head] = weights @ values[:, b, head]
    wanted = layer.out(torch.from_numpy(found).float())
    assert torch.allclose(layer(xs)[0], wanted, atol=1e-5)


def test_streams_are_a_ring_that_is_cut_elsewhere_in_every_epoch():
    made, firsts, last = carried(np.arange(103), 4, 6, np.random.default_rng(0)), [], None
    for _ in range(30):
        for k in range(4):  # 25 characters a stream: four stretches of six
            x, y, anew = next(made)
            assert x.shape == (6, 4) and anew == (k == 0)
            assert torch.equal(y, (x + 1) % 103)
            assert k == 0 or torch.equal(x[0], (last + 1) % 103)
            last = x[-1]
            firsts += [int(x[0, 0])] if k == 0 else []
    assert len(set(firsts)) > 20


def test_windows_are_from_anywhere_in_the_text():
    made = windows(np.arange(50), 8, 10, np.random.default_rng(0))
    starts = set()
    for _ in range(100):
        x, y, anew = next(made)
        assert x.shape == (10, 8) and anew and torch.equal(y, x + 1)
        assert torch.equal(x, x[:1] + torch.arange(10)[:, None])
        starts |= set(x[0].tolist())
    assert starts == set(range(40))


def test_the_rate_goes_up_and_then_down_half_a_cosine():
    for share, factor in ((0, 0), (0.025, 0.5), (0.05, 1), (0.525, 0.5), (1, 0), (1.2, 0)):
        assert rate(share) == pytest.approx(factor, abs=1e-12)
    quarter = 0.05 + 0.95 / 4
    assert rate(quarter) == pytest.approx((1 + math.cos(math.pi / 4)) / 2)


class Stub(torch.nn.Module):
    """Scores of the next of K characters from this one and the one before, which is the state.

    where: beside the scores, what is added to the first one at each step of a call.
    """

    def __init__(self, K, where=None):
        super().__init__()
        torch.manual_seed(5)
        self.table = torch.nn.Parameter(torch.randn(K, K, K))
        self.where, self.calls = where, []

    def forward(self, x, state=None):
        self.calls.append((x, state, self.training))
        before = torch.cat([torch.zeros_like(x[:1]) if state is None else state[0], x[:-1]])
        scores = self.table[before, x]
        if self.where is not None:
            scores = torch.stack([0 * scores[..., 0] + self.where[: len(x), None]] * 2, -1)
            scores = scores * torch.tensor([1.0, 0.0])
        # A state that hangs on the batch it comes from, as that of a network does.
        return scores, (x[-1:], (self.table[0, 0, 0] * 1.0, [self.table[0, 0, 1] * 1.0]))


def by_hand(net, numbers, B):
    """Bits of all but the first of B streams, each read to its end."""
    T, costs = len(numbers) // B, []
    logs = net.table.detach().log_softmax(-1).double().numpy() / math.log(2)
    for b in range(B):
        stream = numbers[b * T : (b + 1) * T]
        costs += [
            -logs[0 if t == 0 else stream[t - 1], stream[t], stream[t + 1]] for t in range(T - 1)
        ]
    return np.mean(costs)


@pytest.mark.parametrize("B", [1, 3])
def test_bits_are_those_of_streams_that_are_read_to_their_end(B):
    net, numbers = Stub(4), np.random.default_rng(0).integers(4, size=2000)
    assert bits(net, numbers, False, B) == pytest.approx(by_hand(net, numbers, B), rel=1e-5)
    assert not any(training for *_, training in net.calls) and net.training


def test_a_window_moves_by_half_and_counts_its_later_half():
    where = torch.randn(WINDOW, generator=torch.Generator().manual_seed(1))
    half = WINDOW // 2
    cost = F.softplus(-where).double().numpy() / math.log(2)
    for many in (3, 40):  # windows after the first; 32 at a time are read
        net, numbers = Stub(2, where), np.zeros(WINDOW + many * half + 1, np.int64)
        expected = np.mean(np.concatenate([cost, *many * [cost[half:]]]))
        assert bits(net, numbers, True) == pytest.approx(expected, rel=1e-5)
        assert sum(x.shape[1] for x, *_ in net.calls) == 1 + many


@pytest.fixture
def ticking(monkeypatch):
    """Half a second an update."""
    seconds = iter(np.arange(10**4) / 2)
    monkeypatch.setattr(race_training.time, "process_time", lambda: next(seconds))
    nets, asked = [], []

    def network(name, K, size, dropped, longest):
        asked.append((name, K, size, dropped, longest, torch.initial_seed()))
        nets.append(Stub(K))
        return nets[-1]

    monkeypatch.setattr(race_training, "network", network)
    return nets, asked


SETTINGS = race.SETTINGS | {
    "streams": [3, 4],
    "windows": [3, 4],
    "dropped": {"8": 0.3},
    "guarded": {},
    "clip": 0.01,
}
NUMBERS = {
    name: np.random.default_rng(k).integers(5, size=size)
    for k, (name, size) in enumerate({"training": 40, "validation": 300, "test": 200}.items())
}


@pytest.fixture
def steps(monkeypatch):
    """Rate, gradient and table at each update."""
    found, step = [], torch.optim.Adam.step

    def watched(self, *args, **kwargs):
        (group,) = self.param_groups
        (table,) = group["params"]
        found.append((group["lr"], table.grad.clone(), table.detach().clone()))
        return step(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.Adam, "step", watched)
    return found


@pytest.mark.parametrize("name", ["LSTM", "Transformer"])
def test_a_run_of_eight_seconds(name, ticking, steps):
    found = train(name, "size", 0.1, 8, 7, NUMBERS, SETTINGS)
    (net,), asked = ticking
    assert asked == [(name, 5, "size", 0.3, WINDOW, 7)]
    assert found["steps"] == 16 and found["characters"] == 16 * 12
    assert [seconds for seconds, _ in found["curve"]] == [0.5, 1, 2, 4, 6, 8]
    assert [lr for lr, *_ in steps] == pytest.approx([0.1 * rate(k / 16) for k in range(16)])
    make = windows if name == "Transformer" else carried
    batches = make(NUMBERS["training"], 3, 4, np.random.default_rng(7))
    next(batches)  # for the warm-up, before the clock runs
    learned = [call for call in net.calls if call[2]][1:]
    assert len(learned) == 16
    state = None
    for (_, gradient, table), (x, given, _) in zip(steps, learned, strict=True):
        own_x, y, anew = next(batches)
        assert torch.equal(x, own_x) and (given is None) == (anew or state is None)
        if given is not None:
            assert torch.equal(given[0], state) and not given[1][0].requires_grad
            assert not given[1][1][0].requires_grad
        with torch.no_grad():
            net.table.copy_(table)
        scores, _ = Stub.forward(net, x, given)
        (wanted,) = torch.autograd.grad(
            F.cross_entropy(scores.flatten(0, 1), y.flatten()), net.table
        )
        wanted = wanted * min(1, 0.01 / wanted.norm())
        assert torch.allclose(gradient, wanted, rtol=1e-3, atol=1e-7)
        state = x[-1:]


def test_the_best_of_six_validations_is_tested(ticking, steps, monkeypatch):
    values, read = iter([5.0, 4.0, 3.0, 3.5, 3.0, 4.0, 8.76543]), []

    def measured(net, numbers, attends, B=1):
        read.append((numbers, attends, B, net.table.detach().clone()))
        return next(values)

    monkeypatch.setattr(race_training, "bits", measured)
    found = train("LSTM", "size", 0.1, 8, 7, NUMBERS, SETTINGS)
    assert [bits for _, bits in found["curve"]] == [5, 4, 3, 3.5, 3, 4]
    assert (found["validation"], found["test"]) == (3, 8.7654)
    assert 0 <= found["wall"] < 60  # seconds, not the date
    *valid, (numbers, attends, B, table) = read
    assert all(part[0] is NUMBERS["validation"] and part[2] == 16 for part in valid)
    assert numbers is NUMBERS["test"] and (attends, B) == (False, 1)
    assert torch.equal(table, valid[2][3]) and not torch.equal(table, valid[4][3])


def test_a_guarded_run_goes_back_to_its_best_weights_at_half_the_rate(ticking, steps, monkeypatch):
    """Weights, Adam's moments and all; as often as need be; what was spent is spent."""
    values, read = iter([5.0, 4.0, 4.04, 4.06, 3.9, 4.0, 4.2, 3.94, 9.0]), []

    def measured(net, numbers, attends, B=1):
        read.append(net.table.detach().clone())
        return next(values)

    monkeypatch.setattr(race_training, "bits", measured)
    moments, step = [], torch.optim.Adam.step

    def watched(self, *args, **kwargs):
        before = copy.deepcopy(self.state_dict()["state"])
        step(self, *args, **kwargs)
        moments.append((before, copy.deepcopy(self.state_dict()["state"])))

    monkeypatch.setattr(torch.optim.Adam, "step", watched)
    settings = SETTINGS | {"guarded": {"8": {"points": 8, "worse": 0.05}}}
    found = train("LSTM", "size", 0.1, 8, 7, NUMBERS, settings)
    assert [bits for _, bits in found["curve"]] == [5, 4, 4.04, 4.06, 3.9, 4, 4.2, 3.94]
    assert found["thrown back"] == [4, 6, 7] and found["steps"] == 16
    assert (found["validation"], found["test"]) == (3.9, 9)
    halved = [0] * 8 + [1] * 4 + [2] * 2 + [3] * 2
    rates = [0.1 * rate(k / 16) / 2**h for k, h in zip(range(16), halved, strict=True)]
    assert [lr for lr, *_ in steps] == pytest.approx(rates)
    for first, best in ((8, 1), (12, 4), (14, 4)):  # the first update after each, and where it is
        assert torch.equal(steps[first][2], read[best])
        (before,), (then,) = (moments[first][0].values(), moments[2 * best + 1][1].values())
        assert all(torch.equal(before[key], then[key]) for key in ("step", "exp_avg", "exp_avg_sq"))
        learned = [call for call in ticking[0][0].calls if call[2]][1:]
        assert learned[first][1] is None
    assert torch.equal(read[-1], read[4])


def test_a_trial_is_not_tested_and_an_explosion_is_no_result(ticking, monkeypatch):
    found = train("LSTM", "size", 0.1, 6, 7, NUMBERS, SETTINGS | {"test": False})
    assert found["test"] is None and ticking[1][-1][3] == 0
    monkeypatch.setattr(
        Stub, "forward", lambda net, x, state=None: (net.table[x, x] * math.nan, None)
    )
    assert train("LSTM", "size", 0.1, 6, 7, NUMBERS, SETTINGS) == {"failed": 0.5, "steps": 1}


def test_a_run_gets_the_size_and_rate_of_its_budget(monkeypatch):
    calls = []
    monkeypatch.setattr(race, "train", lambda *call: calls.append(call) or {})
    for budget in (60, 300, 1800):
        size, lr = race.CHOSEN["GRU"][budget]
        job = {"network": "GRU", "budget": budget, "seed": 3}
        assert race.run_one(job, NUMBERS, 65) == {"size": size, "lr": lr}
        assert calls.pop() == ("GRU", size, lr, budget, 3, NUMBERS, race.SETTINGS)
    trial = race.SETTINGS["trials"]
    for more, seconds, dropped in (
        ({}, trial["budget"], 0),
        ({"seconds": trial["longer"]}, trial["longer"], 0.2),
        ({"seconds": trial["longest"]}, trial["longest"], 0.3),
    ):
        race.run_one({"network": "GRU", "size": [64, 2], "lr": 0.5, **more}, NUMBERS, 65)
        *call, settings = calls.pop()
        assert call == ["GRU", [64, 2], 0.5, seconds, trial["seed"], NUMBERS]
        assert settings["test"] is False and settings["dropped"].get(str(seconds), 0) == dropped
    assert trial["seed"] not in range(race.SETTINGS["seeds"])
    job = {"network": "GRU", "budget": 60, "seed": 0}
    race.outcome(job)
    numbers, text = calls.pop()[5], race.shakespeare()
    alphabet = sorted(set(text))
    for name, part in race.characters.parts().items():
        assert "".join(alphabet[k] for k in numbers[name][:2000]) == part[:2000]
