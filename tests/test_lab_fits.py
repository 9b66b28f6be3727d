"""What experiments on films, stories, numbers and states train with, choose by and test on."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from fit_cases import Fit, rates, same  # noqa: E402

from book.experiments import (  # noqa: E402
    energy,
    moving_digits,
    number_words,
    pitfalls,
    state_tracking,
    state_tracking_trials,
    stocks,
    stories,
    weather,
)
from companion import tasks  # noqa: E402
from companion.data import load_stocks, padded  # noqa: E402
from companion.data.pairs import PAD, draw_numbers, paired  # noqa: E402
from companion.models.daily_returns import DAYS  # noqa: E402
from companion.tasks.stories import WORDS, Story  # noqa: E402


@pytest.fixture
def fit(monkeypatch):
    found = Fit()
    for module in (moving_digits, number_words, state_tracking, stories):
        monkeypatch.setattr(module, "fit", found)
    with torch.random.fork_rng():
        yield found


# Films of moving digits


def test_films_show_the_digits_of_their_part(monkeypatch):
    names = np.arange(1797) / 2000
    monkeypatch.setattr(moving_digits, "IMAGES", np.ones((1797, 8, 8)) * names[:, None, None])
    for part, (low, high) in moving_digits.SETTINGS["digits"].items():
        seen, coming = moving_digits.films(part, np.random.default_rng(0), 600)
        assert seen.shape == coming.shape == (4, 600, 16, 16)
        shown = np.unique(torch.cat([seen, coming]).numpy())[1:] * 2000
        assert low - 0.5 < shown.min() and shown.max() < high - 0.5
    parts = sorted(moving_digits.SETTINGS["digits"].values())
    assert all(first[1] == second[0] for first, second in zip(parts, parts[1:], strict=False))


def test_a_film_network_is_trained_on_one_part_and_chosen_by_another(fit):
    _, lowest = moving_digits.trained("same size", 0.5, 100, 7)
    called, options = fit.called, fit.called.options
    assert lowest == 0.25 and (options.epochs, options.clip, options.seed) == (2, 100, 7)
    assert rates(options, 100) == pytest.approx([0.5 * (1 - k / 100) for k in range(100)])
    rng = np.random.default_rng(7)
    films = torch.cat(moving_digits.films("train", rng, 300))
    held, after = moving_digits.films("validation", rng, 100)
    assert same(called.validation, [(held, torch.cat([held, after])[1:])])
    first, second = (list(called.batches(epoch)) for epoch in (0, 1))
    assert len(first) == 50 and not same(first, second)
    for x, y in first[:3]:
        assert x.shape == (4, 16, 16, 16) and y.shape == (7, 16, 16, 16)
        for b in range(16):
            film = torch.cat([x[:1, b], y[:, b]])
            assert torch.equal(x[:, b], film[:4])
            assert any(torch.equal(film, films[:, k]) for k in range(300))


def test_errors_are_of_the_frames_to_come():
    rng = torch.Generator().manual_seed(0)
    seen, coming = (torch.rand(4, 150, 3, 3, generator=rng) for _ in range(2))

    def model(part):  # frames already seen, too: they do not count
        return torch.cat([torch.full((3, *part.shape[1:]), 50.0), torch.zeros_like(part)])

    squares, entropy = moving_digits.errors(model, seen, coming)
    wanted = [float(np.square(0.5 - frame).mean()) for frame in coming.numpy()]
    np.testing.assert_allclose(squares, wanted, rtol=1e-5)
    assert entropy == pytest.approx(9 * np.log(2), rel=1e-5)  # a frame of nine pixels


def test_a_film_network_is_tested_on_films_that_all_methods_see(monkeypatch):
    small = {"train": 300, "validation": 100, "test": 6, "larger": 3}
    monkeypatch.setitem(moving_digits.SETTINGS, "N", small)
    calls, tested = [], []

    def trained(*call):
        calls.append(call)
        model = torch.nn.Linear(1, 1)
        model.forward = lambda part: torch.cat([part, part])
        return model, 12.3456

    def errors(model, seen, coming):
        tested.append((model, seen, coming))
        return np.arange(4.0), 7.0

    monkeypatch.setattr(moving_digits, "trained", trained)
    monkeypatch.setattr(moving_digits, "errors", errors)
    found = moving_digits.outcome({"method": "conv", "lr": 0.5, "seed": 100})
    assert calls.pop() == ("conv", 0.5, 300, 100) and found["validation"] == 12.35
    assert set(found) == {"validation", "seconds"} and not tested
    for seed in (0, 3):
        found = moving_digits.outcome({"method": "conv", "seed": seed})
        assert calls.pop() == ("conv", 0.04, 1200, seed) and ("shown" in found) == (seed == 0)
        (model, seen, coming), (same_model, wide, further) = tested[-2:]
        assert same((seen, coming), moving_digits.films("test", np.random.default_rng(1), 6))
        assert same_model is model and wide.shape == further.shape == (4, 3, 32, 32)
        last = (wide[-1:] - further).square().mean((1, 2, 3)).numpy()
        assert found["larger"]["last frame"] == pytest.approx(last, abs=1e-5)


# Stories


def test_no_question_of_the_test_was_trained_on():
    told = stories.drawn(1, 1000, 5)
    assert [len(told[part]) for part in ("train", "validation", "test")] == [900, 100, 1000]
    keys = {part: [repr(story[:2]) for story in rows] for part, rows in told.items()}
    assert not set(keys["test"]) & {*keys["train"], *keys["validation"]}
    drawn = stories.stories(np.random.default_rng([5, 1, 1000]), 1000, 1)
    assert told["train"] + told["validation"] == drawn
    # Two stories with one sentence in common are two stories.
    begun = {repr(story.sentences) for story in drawn}
    assert any(repr(story.sentences) in begun for story in told["test"])


def test_a_story_network_is_linear_at_first_and_chosen_by_a_tenth(fit):
    told = stories.drawn(2, 1000, 5)
    for name in ("3 hops", "lstm"):
        model = stories.network(stories.METHODS[name], 2)
        stories.trained(model, 0.1, 8, 5, told)
        options = fit.called.options
        assert (options.epochs, options.clip, options.seed) == (8, 40, 5)
        assert options.batch_dim == (1, 0)
        updates = 8 * 29
        assert rates(options, updates) == pytest.approx(
            [0.1 * (1 - k / updates) for k in range(updates)]
        )
        assert same(
            fit.called.validation, list(padded(*stories.numbered(told["validation"]), 100)(0))
        )
        linear = [list(fit.called.batches(k)) and model.linear for k in (0, 1, 2, 7)]
        assert linear == [True, True, False, False]
        first, second = (list(fit.called.batches(k)) for k in (0, 1))
        assert sum(len(y) for _, y in first) == 900 and not same(first, second)
    with torch.no_grad():
        sizes = [stories.network(stories.METHODS["2 hops"], facts) for facts in (1, 2)]
    counts = [sum(value.numel() for value in model.parameters()) for model in sizes]
    assert counts[1] > counts[0]  # more sentences, more places in time


TOLD = [
    Story([["mary", "went", "to", "the", place]] * 2, ["where", "is", "mary"], place, [k % 2])
    for k, place in enumerate(["garden", "kitchen", "office", "garden"])
]


def test_answers_and_looks_are_counted_story_by_story():
    def model(batch):
        scores = torch.zeros(4, len(WORDS) + 1)
        scores[torch.arange(4), [1 + WORDS.index("garden")] * 4] = 1
        return scores

    right, batch = stories.answers(model, TOLD)
    assert right.tolist() == [True, False, False, True] and stories.wrong(right) == 0.5
    assert stories.wrong(np.array([True, True, True, False])) == 0.25

    class Looking:
        def look(self, batch):
            weights = torch.arange(2 * 2 * 4.0).reshape(2, 2, 4)  # hops, sentences, stories
            return None, weights

    on, shown = stories.looks(Looking(), TOLD, batch)
    weights = np.arange(16.0).reshape(2, 2, 4)
    wanted = [[np.mean([hop[k % 2, k] for k in range(4)])] for hop in weights]
    assert on == wanted and len(shown) == 3
    assert shown[1]["weights"] == weights[:, :, 1].tolist() and shown[1]["answer"] == "kitchen"


def test_a_guess_is_made_of_the_training_stories():
    told = {
        "train": TOLD * 3,
        "validation": TOLD[:2],
        "test": [
            Story(
                [["mary", "went", "to", "the", p], ["john", "went", "to", "the", q]],
                a[1],
                a[0],
                [0],
            )
            for p, q, a in [
                ("kitchen", "office", ("kitchen", ["where", "is", "mary"])),
                ("kitchen", "garden", ("garden", ["where", "is", "john"])),
            ]
        ],
    }
    found = stories.baselines(told)
    assert (found["commonest"], found["last place"]) == (0.5, 0.5)
    assert stories.bag(TOLD[0])[-3:] == ["?where", "?is", "?mary"]


def test_a_story_network_is_tested_apart(monkeypatch):
    calls, asked = [], []

    class History:
        validation, best = [0.5, 0.25, 0.75], 1

    monkeypatch.setattr(stories, "trained", lambda *call: calls.append(call) or History())

    def answers(model, told):
        asked.append(told)
        return np.arange(10) < len(asked), "batch"

    monkeypatch.setattr(stories, "answers", answers)
    monkeypatch.setattr(stories, "looks", lambda model, told, batch: ([[1]], "shown"))
    for name, epochs in (("3 hops", 100), ("lstm", 40)):
        asked.clear()
        found = stories.outcome({"facts": 1, "N": 1000, "method": name, "seed": 1})
        model, lr, given, seed, told = calls.pop()
        assert (lr, given, seed) == (0.01, epochs, 1)
        assert asked == [told["test"], told["train"][:1000]]
        assert (found["error"], found["train"], found["validation"]) == (0.9, 0.8, 0.25)
        assert "shown" not in found
    found = stories.outcome({"facts": 1, "N": 1000, "method": "lstm", "lr": 0.5, "seed": 1})
    assert calls.pop()[1] == 0.5 and set(found) == {"validation", "best epoch", "seconds"}


# Numbers in words


def test_numbers_of_the_test_are_others_and_long_ones_longer():
    pytest.importorskip("num2words")
    parts, sizes = number_words.pairs(3, False)
    reversed_parts, _ = number_words.pairs(3, True)
    keys = {}
    for name, (sources, targets) in parts.items():
        assert len(sources) == {"train": 3000, "shown": 1}.get(name, 500)
        keys[name] = {(*s, -1, *t) for s, t in zip(sources, targets, strict=True)}
        backwards, unchanged = reversed_parts[name]
        assert all((s == r[::-1]).all() for s, r in zip(sources, backwards, strict=True))
        assert all(map(np.array_equal, targets, unchanged))
    assert not keys["train"] & (keys["short"] | keys["long"]) and len(keys["train"]) == 3000
    lengths = {name: {len(s) for s in sources} for name, (sources, _) in parts.items()}
    assert max(lengths["train"]) == max(lengths["short"]) == 8 == min(lengths["long"]) - 1
    assert not keys["shown"] & keys["train"]
    # "one" to "nine hundred", and no word that only the tests have.
    assert sizes[0] == 4 + len({w for s in parts["train"][0] for w in s.tolist()})
    drawn = [n for n in draw_numbers(np.random.default_rng(3), 9000) if n != 97_084]
    spoken = [len(words) for words in number_words.number_words(drawn, "en")]
    assert [len(s) for s in parts["train"][0]] == [n for n in spoken if n <= 8][:3000]
    shown = len(number_words.number_words([97_084], "en")[0])
    assert len(parts["shown"][0][0]) == shown


def test_numbers_are_right_to_the_last_word(monkeypatch):
    sources = [np.array([5, 6]), np.array([7]), np.array([8, 9])]
    targets = [np.array([4, 5]), np.array([6]), np.array([7, 8])]
    rows = [[4, 5], [9], [7]]
    monkeypatch.setattr(number_words, "translate", lambda *call: (rows, None))
    assert number_words.exact(None, sources, targets).tolist() == [True, False, False]

    class Model(torch.nn.Module):
        def forward(self, x):
            assert not self.training
            logits = torch.zeros(3, 3, 10)
            y = next(iter(paired(sources, targets, 3)(0)))[1]
            logits[torch.arange(3)[:, None], torch.arange(3), y] = 1
            logits[0, 0] = torch.eye(10)[9]  # one word wrong; filling is guessed, too
            return logits

    y = next(iter(paired(sources, targets, 3)(0)))[1]
    words = int((y != PAD).sum())
    assert words == 8 and number_words.forced(Model(), sources, targets) == pytest.approx(7 / 8)


def test_a_numbers_network_is_trained_and_tested_by_length(fit, monkeypatch):
    rows = {
        name: ([np.full(n, 4) for n in sizes], [np.array([5])] * len(sizes))
        for name, sizes in {
            "train": [2] * 64,
            "short": [1, 2, 2],
            "long": [9, 9, 9, 10],
            "shown": [3],
        }.items()
    }
    asked = []
    monkeypatch.setattr(
        number_words,
        "pairs",
        lambda seed, backwards: asked.append((seed, backwards)) or (rows, [6, 7]),
    )
    right = {3: [True, False, True], 4: [False, False, True, False], 64: [True] * 64}
    monkeypatch.setattr(number_words, "exact", lambda model, s, t: np.array(right[len(s)]))
    monkeypatch.setattr(number_words, "forced", lambda model, s, t: len(s) / 10)
    shown, weights = [[5]], torch.rand(4, 3, 1)
    monkeypatch.setattr(number_words, "translate", lambda *call: (shown, weights))
    for name, method in number_words.METHODS.items():
        found = number_words.outcome({"method": name, "seed": 9})
        called, options = fit.called, fit.called.options
        assert asked.pop() == (9, method["reversed"])
        assert called.model.attention == method["attention"]
        assert (options.epochs, options.clip, options.seed) == (8, 1.0, 9)
        assert rates(options, 16) == pytest.approx([0.01 * (1 - k / 16) for k in range(16)])
        assert (found["short"], found["long"], found["updates"]) == (2 / 3, 0.25, 16)
        assert found["by length"] == {1: [1, 1], 2: [1, 2], 9: [1, 3], 10: [0, 1]}
        assert found["forced"] == [0.3, 0.4] and found["shown right"] is True
        assert found["look"] == weights[:1, :, 0].numpy().round(3).tolist()
        called.model.eval()
        assert same(list(called.batches(1)), list(paired(*rows["train"], 32, 9)(1)))
        assert called.model.training  # as it was before the look at the short numbers
    shown[0] = [6]
    found = number_words.outcome({"method": "plain", "lr": 0.5, "seed": 9})
    assert set(found) == {"short", "seconds"} and rates(fit.called.options, 1) == [0.5]
    assert number_words.outcome({"method": "plain", "seed": 9})["shown right"] is False


def test_the_curve_of_numbers_is_of_the_short_ones(fit, monkeypatch):
    rows = {
        name: ([np.array([4])] * n, [np.array([5])] * n)
        for name, n in {"train": 64, "short": 3, "long": 4, "shown": 1}.items()
    }
    monkeypatch.setattr(number_words, "pairs", lambda *call: (rows, [6, 7]))
    monkeypatch.setattr(number_words, "exact", lambda model, s, t: np.arange(len(s)) > 0)
    monkeypatch.setattr(number_words, "forced", lambda *call: 0.0)
    monkeypatch.setattr(number_words, "translate", lambda *call: ([[5]], None))

    def run(model, loss, batches, options, **more):
        for epoch in range(3):
            list(batches(epoch))

    monkeypatch.setattr(number_words, "fit", run)
    found = number_words.outcome({"method": "plain", "seed": 9})
    assert found["curve"] == [0.6667, 0.6667, 2 / 3]


# States


class Knower:
    """Says the right state up to a step, and then the one after it."""

    def __init__(self, table, known):
        self.table, self.known = table, known

    def __call__(self, xs):
        state, found = np.zeros(xs.shape[1], int), []
        for t, symbols in enumerate(xs.argmax(-1).numpy()):
            state = self.table[state, symbols]
            found.append(state if t < self.known else (state + 1) % len(self.table))
        return 9 * torch.eye(len(self.table))[np.array(found)]

    def parameters(self):
        return [torch.zeros(3)]


@pytest.mark.parametrize("task", ["parity", "S3"])
def test_states_are_counted_by_their_place(task, monkeypatch):
    table, rng = state_tracking.TABLES[task], np.random.default_rng(0)
    net = Knower(table, 30)
    right = state_tracking.correct(net, task, rng, 32, 50)
    assert right.shape == (50, 32) and (right == (np.arange(50) < 30)[:, None]).all()
    found = state_tracking.short_words(net, task, rng)
    assert (found["short"], found["at the end"]) == (0.75, 0)
    assert found["loss"] == pytest.approx(9 / 4, rel=0.05)
    assert state_tracking.short_words(Knower(table, 40), task, rng)["at the end"] == 1
    for known in (0, 30, 2048):
        found = state_tracking.regular_words(Knower(table, known), task)
        assert found == {"kept": known, "repeated": known}
    kept = []
    state_tracking.regular_words(lambda xs: kept.append(xs) or Knower(table, 9)(xs), task)
    assert [xs.argmax(-1).sum().item() for xs in kept] == [1, 2048] and kept[0][0, 0, 1] == 1


def test_a_state_network_is_measured_part_by_part(monkeypatch):
    calls, drawn = [], []
    small = {"steps": 60, "edges": [0, 10, 60], "sequences": 32}
    monkeypatch.setattr(state_tracking, "SHARED", state_tracking.SHARED | small)

    def train(*call):
        calls.append(call)
        return Knower(state_tracking.S3, 20), 1.0

    def words(rng, B, T, table):
        drawn.append((rng.bit_generator.state, B, T))
        return tasks.group_words(rng, B, T, table)

    for module in (state_tracking, state_tracking_trials):
        monkeypatch.setattr(module, "train", train)
    monkeypatch.setattr(state_tracking, "group_words", words)
    for method, lr in (("lstm", 0.01), ("rotary", 0.003)):
        job = {"task": "S3", "method": method, "updates": 77, "seed": 5}
        found = state_tracking.outcome(job)
        assert calls.pop() == (method, "S3", lr, 77, 5)
        assert found["accuracy"] == [1, 0.2] and found["whole words"] == 0
        assert (found["kept"], found["repeated"], found["parameters"]) == (20, 20, 3)
    firsts = [(state, T) for state, _, T in drawn if state in fresh(5, 7) + fresh(5, 8)]
    assert firsts == [(fresh(5, 7)[0], 60), (fresh(5, 8)[0], 40)] * 2
    found = state_tracking_trials.outcome({"task": "S3", "method": "rnn", "lr": 0.5, "seed": 100})
    assert calls.pop() == ("rnn", "S3", 0.5, 1000, 100) and found["short"] == 0.5
    assert drawn[-1][0] == fresh(100, 8)[0]


def fresh(*seed):
    return [np.random.default_rng(seed).bit_generator.state]


def test_a_state_network_is_trained_on_words_of_all_lengths(fit):
    state_tracking.train("lstm", "S3", 0.5, 1000, 6)
    called, options = fit.called, fit.called.options
    assert (options.epochs, options.clip, options.seed) == (1, 1.0, 6)
    wanted = [0.5 * min((n + 1) / 50, 1 - n / 1000) for n in range(1000)]
    assert rates(options, 1000) == pytest.approx(wanted)
    batches = list(called.batches(0))
    assert {len(xs) for xs, _ in batches} == set(range(1, 41))
    state = np.zeros(16, int)
    for symbols, states in zip(batches[0][0].argmax(-1), batches[0][1], strict=True):
        state = tasks.state_tracking.S3[state, symbols]
        assert np.array_equal(state, states)
    first = [value.clone() for value in called.model.parameters()]
    state_tracking.train("lstm", "S3", 0.5, 1000, 7)
    assert not same(first, list(fit.called.model.parameters()))
    assert not torch.equal(batches[3][0], list(fit.called.batches(0))[3][0])
    scores, states = torch.randn(4, 3, 6), torch.randint(6, (4, 3))
    wanted = -scores.log_softmax(-1).gather(-1, states[..., None]).mean()
    assert torch.isclose(state_tracking.loss(scores, states), wanted)


# Stocks


def test_stocks_are_forecast_by_what_was_known(monkeypatch):
    made = []

    class Forecaster:
        """Forecasts the number of the day that it forecasts, in thousandths."""

        class scaling:
            sd = np.array([2.0, 3.0, 4.0])

        def __init__(self, returns, train, task, seed, **settings):
            made.append((returns, train, task, seed, settings))

        def __call__(self, returns, times):
            return np.stack([times + 1, times + 2, times + 3], 1) / 1000 + 0.0001

    monkeypatch.setattr(stocks, "Forecaster", Forecaster)
    data = load_stocks()
    days = np.arange(data.test.start, data.test.stop)
    found = stocks.outcome({"task": "return", "settings": {"H": 8}, "seed": 3})["forecasts"]
    for k, name in enumerate(data.names):
        assert found[name] == (days - 1 + k).tolist()  # return t is that of day t + 1
    returns = 100 * np.log(data.prices[1:] / data.prices[:-1])
    for n, (given, train, task, seed, settings) in enumerate(made):
        np.testing.assert_allclose(given, returns, rtol=1e-3, atol=1e-4)
        assert (task, seed, settings) == ("return", 3, {"H": 8})
        first = days[0] - 2 + 250 * n  # the first forecast of the fold
        assert train[0] == DAYS - 1 and train[-1] == first - 1
    assert len(made) == -(-len(days) // 250)

    days = np.arange(data.valid.start, data.valid.stop)
    y, guess = returns[days - 1], np.stack([days - 1, days, days + 1], 1) / 1000 + 0.0001
    squares = ((y - guess) / [2, 3, 4]) ** 2
    widths = np.log(guess) + y**2 / (2 * guess**2)
    for task, losses in (("return", squares), ("volatility", widths)):
        job = {"choice": task, "settings": {"H": 4}, "seed": 100}
        assert stocks.outcome(job)["loss"] == pytest.approx(losses.mean(), rel=1e-3)
        _, train, *_ = made[-1]
        assert (train[0], train[-1]) == (DAYS - 1, days[0] - 3)


# The usual mistakes


def test_each_mistake_is_made_and_no_other():
    torch.manual_seed(0)
    x, lengths = torch.randn(7, 3, 12), torch.tensor([7, 4, 2])
    for name, changes in pitfalls.METHODS.items():
        method = pitfalls.RIGHT | changes
        model = pitfalls.Model(method)
        assert model.layer.dropout == method["dropout"] and model.layer.num_layers == 2
        assert type(model.layer) is pitfalls.LAYERS[method["layer"]]
        model.eval()
        found = model(x, lengths)
        if method["read"] == "axes swapped":
            wanted = model.head(model.layer(x.transpose(0, 1))[0].transpose(0, 1)[-1])
        else:
            ends = [7, 7, 7] if method["read"] == "last" else lengths.tolist()
            ys = [model.layer(x[:n, b : b + 1])[0][-1] for b, n in enumerate(ends)]
            wanted = model.head(torch.cat(ys))
        assert torch.allclose(found, wanted, atol=1e-5), name


def sequences(n, rng):
    """Sequences whose first number says which of nine they are."""
    labels = np.arange(n) % 9
    xs = [rng.normal(size=(rng.integers(2, 6), 12)).astype(np.float32) for _ in labels]
    for x, label in zip(xs, labels, strict=True):
        x[0, 0] = label
    return xs, labels


def test_a_pitfall_is_trained_as_it_says(monkeypatch):
    monkeypatch.setattr(pitfalls, "SETTINGS", pitfalls.SETTINGS | {"epochs": 2, "B": 4})
    data, seen, gradients = sequences(12, np.random.default_rng(0)), [], []
    forward, step = pitfalls.Model.forward, torch.optim.Adam.step

    def watched(self, x, lengths):
        seen.append(x[0, :, 0].int().tolist())
        return forward(self, x, lengths)

    def stepped(self, *args, **kwargs):
        (group,) = self.param_groups
        gradients.append((group["lr"], group["params"][-1].grad.clone()))
        return step(self, *args, **kwargs)

    monkeypatch.setattr(pitfalls.Model, "forward", watched)
    monkeypatch.setattr(torch.optim.Adam, "step", stepped)
    orders = {}
    for name in ("right", "no shuffling", "softmax before cross-entropy"):
        for seed in (0, 1):
            seen.clear()
            gradients.clear()
            with torch.random.fork_rng():
                pitfalls.train(pitfalls.RIGHT | pitfalls.METHODS[name], 0.5, data, seed)
            assert {lr for lr, _ in gradients} == {0.5}
            orders[name, seed] = [*seen], [gradient for _, gradient in gradients]
    plain = [list(range(k, k + 4)) for k in (0, 4)] + [[8, 0, 1, 2]]
    assert [[x % 9 for x in row] for row in orders["no shuffling", 0][0]] == plain * 2
    assert orders["right", 0][0] != orders["right", 1][0]
    assert orders["right", 0][0] == orders["softmax before cross-entropy", 0][0]
    # The readout's bias: the mean of what the softmax gives less the target sums to 0.
    for name in ("right", "softmax before cross-entropy"):
        assert max(abs(g.sum()) for g in orders[name, 0][1]) < 1e-5
    own, soft = (orders[name, 0][1][0] for name in ("right", "softmax before cross-entropy"))
    assert own.norm() > 2 * soft.norm()  # a softmax of a softmax is nearly flat
    # Each gradient is that of its own batch, not of all so far: it comes again with the batch.
    gradients.clear()
    with torch.random.fork_rng():
        pitfalls.train(pitfalls.RIGHT | {"shuffled": False}, 1e-9, data, 0)
    for (_, first), (_, again) in zip(gradients[:3], gradients[3:], strict=True):
        assert torch.allclose(first, again, atol=1e-5)
    assert not torch.equal(orders["right", 0][1][0], orders["right", 1][1][0])


def test_answers_are_counted_on_the_right_part(monkeypatch):
    calls, asked = [], []

    class Data:
        class train:
            sequences, labels = [np.full((1, 1), k) for k in range(270)], np.arange(270) // 30

        test = "test"

    class Model(torch.nn.Module):
        pass

    monkeypatch.setattr(pitfalls, "load_japanese_vowels", lambda: Data)
    monkeypatch.setattr(pitfalls, "train", lambda *call: calls.append(call) or Model())

    def right(model, data, B):
        asked.append((model.training, data, B))
        return len(asked)

    monkeypatch.setattr(pitfalls, "right", right)
    assert pitfalls.outcome({"lr": 0.5, "seed": 100}) == {"held out": 1}
    method, lr, (sequences, labels), seed = calls.pop()
    assert (method, lr, seed) == (pitfalls.RIGHT, 0.5, 100)
    training, (held, held_labels), B = asked.pop()
    names = [[int(x[0, 0]) for x in part] for part in (sequences, held)]
    assert not training and B == 54 == len(held) and sorted(sum(names, [])) == list(range(270))
    assert all(k % 30 >= 24 for k in names[1])
    assert [k // 30 for k in names[0]] == labels.tolist()
    assert [k // 30 for k in names[1]] == held_labels.tolist()
    found = pitfalls.outcome({"method": "dropout", "seed": 4})
    method, lr, data, seed = calls.pop()
    assert method == pitfalls.RIGHT | {"dropout": 0.5} and (lr, seed) == (0.01, 4)
    assert data is Data.train and found == {"training mode": 1, "right": 2, "one by one": 3}
    assert asked == [(True, "test", 370), (False, "test", 370), (False, "test", 1)]


def test_the_answer_is_the_largest_output():
    xs, labels = sequences(20, np.random.default_rng(1))
    wrong = labels.copy()
    wrong[:7] = (wrong[:7] + 1) % 9

    def model(x, lengths):
        return torch.eye(9)[x[0, :, 0].long()]

    for B in (1, 6, 20):
        assert pitfalls.right(model, (xs, wrong), B) == 13


# Demand for electricity


def test_a_network_of_demand_gets_its_seed_its_settings_and_no_future(monkeypatch):
    calls = []

    def forecasts(series, workday, split, seed, future, **settings):
        calls.append((seed, future, settings))
        return np.zeros((len(split.test), 48, 3)), None

    monkeypatch.setattr(energy, "lstm_forecasts", forecasts)
    for future in (False, True):
        energy.outcome({"method": "lstm", "tomorrow": future, "seed": 3})
        assert {(seed, told) for seed, told, _ in calls} == {(3, future)}
        assert all(settings == energy.SETTINGS["lstm"] for *_, settings in calls)
        calls.clear()
    energy.outcome({"choice": True, "method": "lstm", "other": {"H": 16}, "seed": 100})
    assert calls[0] == (100, False, energy.SETTINGS["lstm"] | {"H": 16})


def test_trees_of_demand_learn_a_quantile_each_from_the_runs_seed(monkeypatch):
    learned = []

    class Trees:
        def __init__(self, **settings):
            learned.append(settings)

        def fit(self, x, y):
            return self

        def predict(self, x):
            return np.zeros(len(x))

    monkeypatch.setattr(energy, "HistGradientBoostingRegressor", Trees)
    energy.outcome({"method": "boosting", "tomorrow": True, "seed": 3})
    assert [trees["quantile"] for trees in learned[:3]] == [0.1, 0.5, 0.9]
    assert {trees["random_state"] for trees in learned} == {3}


def test_demand_is_judged_by_the_middle_quantile_and_the_interval_by_both_ends(monkeypatch):
    def below(times):  # k half hours of day k of the test are below the interval
        return np.arange(48) < times[:, None] - energy.TEST[0]

    late = np.arange(48) == 47  # and the last one of each day is above it

    def forecasts(job, series, workday, split):
        y = series[split.test + 1, :48]
        return np.stack(
            [
                y + np.where(below(split.test), 0.01, -0.03),
                y + 0.02,
                y + np.where(late, -0.01, 0.05),
            ],
            -1,
        )

    monkeypatch.setattr(energy, "forecasts", forecasts)
    found = energy.outcome({"method": "boosting", "seed": 0})
    y, outside = energy.load_demand().demand[energy.TEST + 1], below(energy.TEST)
    assert found["mae"] == 0.02 and found["mape"] == pytest.approx(2 * (1 / y).mean(), abs=1e-4)
    assert found["by day"] == [0.02] * len(y) and found["by half hour"] == [0.02] * 48
    assert found["covered by day"] == [47 - min(k, 47) for k in range(len(y))]
    width = 0.08 - 0.04 * outside.mean() - 0.06 / 48
    assert found["width"] == pytest.approx(width, abs=1e-5)
    # Each end costs its distance by the level of the one below, but where it is on the other side.
    assert energy.LEVELS == (0.1, 0.5, 0.9)
    costs = np.where(outside, 0.9 * 0.01, 0.1 * 0.03) + 0.5 * 0.02
    costs += np.where(late, 0.9 * 0.01, 0.1 * 0.05)
    np.testing.assert_allclose(found["pinball by day"], costs.mean(1) / 3, rtol=0, atol=1e-5)
    assert energy.outcome({"choice": True, "method": "boosting", "seed": 0}) == {"mae": 0.02}


def test_a_network_of_the_weather_gets_its_seed_and_its_kind(monkeypatch):
    calls, zeros = [], lambda net, times: np.zeros((len(times), 24))

    def hours_net(series, fold, seed, recursive, **settings):
        calls.append((seed, recursive, settings))
        return ("net",)

    monkeypatch.setattr(weather, "hours_net", hours_net)
    for kind in ("direct", "recursive"):
        other = {"direct": "recursive", "recursive": "direct"}[kind]
        monkeypatch.setattr(weather, f"{kind}_forecasts", zeros)
        monkeypatch.setattr(weather, f"{other}_forecasts", None)
        weather.outcome({"method": kind, "seed": 3, "other": {"H": 7}})
        wanted = weather.SETTINGS[kind] | {"H": 7}
        assert all(call == (3, kind == "recursive", wanted) for call in calls)
        calls.clear()
