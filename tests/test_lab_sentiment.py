"""The experiments on reviews of films, on made-up ones: what is judged, chosen and counted."""

import base64
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from fit_cases import Fit, rates, same  # noqa: E402

from book.experiments import imdb  # noqa: E402
from book.experiments import vectors_for_sentiment as few  # noqa: E402
from companion.data import padded  # noqa: E402
from companion.data.reviews import Imdb, Reviews, Snippets, Vectors  # noqa: E402
from companion.models.nbsvm import naive_bayes, nbsvm  # noqa: E402
from companion.models.sentiment import Reader, numbered, vocabulary  # noqa: E402

CARD = SimpleNamespace(checksum="c")
GLOVE = Vectors(["good", "bad", "film"], np.eye(3, 50, dtype=np.float32) * [[1], [2], [3]], CARD)


def part(seed, many):
    """Reviews of 1 to 40 words, of every number of stars; good films are called good more often."""
    rng, texts = np.random.default_rng(seed), []
    stars = rng.choice([1, 2, 3, 4, 7, 8, 9, 10], many)
    for star in stars:
        words = rng.choice(["film", f"word{seed}", "plot", "Cast"], rng.integers(1, 38)).tolist()
        texts.append(" ".join([*words, "good" if rng.random() < star / 11 else "bad"]))
    return Reviews(texts, stars.astype(float))


DATA = Imdb(part(1, 60), part(2, 40), CARD)


@pytest.fixture
def fit(monkeypatch):
    found = Fit()
    monkeypatch.setattr(imdb, "fit", found)
    monkeypatch.setattr(imdb, "fetch_imdb", lambda: DATA)
    monkeypatch.setattr(imdb, "load_glove", lambda: GLOVE)
    monkeypatch.setattr(imdb, "EDGES", [0, 5, 10, 20, 10_000])
    monkeypatch.setattr(imdb, "LAST", 6)
    cut = {name: {**s, "cut": s["cut"] and 6} for name, s in imdb.NETWORKS.items()}
    monkeypatch.setattr(imdb, "NETWORKS", cut)
    settings = imdb.SETTINGS | {"held out": 12, "K": 50, "H": 4, "B": 8, "alike": 2}
    monkeypatch.setattr(imdb, "SETTINGS", settings)
    imdb.reviews.cache_clear()
    with torch.random.fork_rng():
        yield found
    imdb.reviews.cache_clear()


def test_reviews_are_counted_by_length_and_stars(fit):
    y, texts = DATA.test.scores > 5, [text.lower().split() for text in DATA.test.texts]
    scores = np.where(np.arange(40) % 3 == 0, 0.0, 2.0 * y - 1)  # a score of 0 is hostile
    right = np.where(np.arange(40) % 3 == 0, ~y, True)
    found = imdb.judged(scores, 1.26)
    assert (found["right"], found["of"], found["seconds"]) == (right.sum(), 40, 1.3)
    bits = np.unpackbits(np.frombuffer(base64.b64decode(found["bits"]), np.uint8))
    assert bits[:40].tolist() == right.tolist()
    for (good, many), low, high in zip(
        found["by length"], (0, 5, 10, 20), (5, 10, 20, 99), strict=True
    ):
        own = np.array([low <= len(text) < high for text in texts])
        assert (good, many) == (right[own].sum(), own.sum())
    for star, (good, many) in found["by stars"].items():
        own = DATA.test.scores == int(star)
        assert (good, many) == (right[own].sum(), own.sum())


def test_one_answer_for_all_and_reviews_that_are_there_twice(fit, monkeypatch):
    twice = Reviews([*DATA.test.texts[:38], *DATA.train.texts[:2]], DATA.test.scores)
    monkeypatch.setattr(imdb, "fetch_imdb", lambda: DATA._replace(test=twice))
    found = imdb.outcome({"method": "majority"})
    assert found["right"] == (DATA.test.scores > 5).sum() and found["also in training"] == sum(
        text in DATA.train.texts for text in twice.texts
    )


@pytest.mark.parametrize("job", [{"n": 1}, {"n": 2, "cut": 6}, {"n": 2, "published": True}])
def test_counting_methods_are_fitted_on_the_training_part(job, fit):
    found = imdb.outcome(job)
    if job.get("published"):
        assert imdb.as_published("A b!") == ["a", "b!", "start-a", "a-b", "b-end"]
        texts = [[imdb.as_published(text) for text in p.texts] for p in (DATA.train, DATA.test)]
        counter = imdb.counter(1)
    else:
        cut = job.get("cut", 99)
        texts = [[t.lower().split()[-cut:] for t in p.texts] for p in (DATA.train, DATA.test)]
        counter = imdb.counter(job["n"])
    X, y = counter.fit_transform(texts[0]), (DATA.train.scores > 5).astype(int)
    Z, wanted = counter.transform(texts[1]), DATA.test.scores > 5
    assert found["runs of words"] == X.shape[1]
    for name, (weights, bias) in {
        "naive bayes": naive_bayes(X, y),
        "nb-svm, paper": nbsvm(X, y, 1.0, 0.25),
        "nb-svm, own": nbsvm(X, y, 0.01, 0.25),
    }.items():
        assert found[name]["right"] == ((Z @ weights + bias > 0) == wanted).sum()


def test_the_mean_of_vectors_is_a_mean(fit, monkeypatch):
    asked = []

    class Linear:
        def __init__(self, max_iter):
            pass

        def fit(self, means, y):
            asked.extend([means, y])
            return self

        def decision_function(self, means):
            asked.append(means)
            return np.ones(len(means))

    monkeypatch.setattr(imdb, "LogisticRegression", Linear)
    assert imdb.outcome({"method": "mean of glove"})["right"] == (DATA.test.scores > 5).sum()
    for means, reviews in ((asked[0], DATA.train), (asked[2], DATA.test)):
        for mean, text in zip(means, reviews.texts, strict=True):
            known = [GLOVE.words.index(w) for w in text.split() if w in GLOVE.words]
            np.testing.assert_allclose(mean, GLOVE.vectors[known].mean(0), rtol=1e-6)
    assert asked[1].tolist() == (DATA.train.scores > 5).astype(int).tolist()


@pytest.mark.parametrize("name", imdb.NETWORKS)
def test_a_network_is_chosen_by_reviews_held_out(name, fit, monkeypatch):
    sure = iter(
        [np.where(DATA.test.scores > 5, 1.0, -1.0), None, np.where(DATA.test.scores > 3, 1.0, -1.0)]
    )
    read = []

    def scores(model, texts):
        read.append(texts)
        own = next(sure)
        return np.arange(12) - 2.5 if own is None else own

    monkeypatch.setattr(imdb, "scores", scores)
    found = imdb.outcome({"method": name, "seed": 4})
    called, options, settings = fit.called, fit.called.options, imdb.NETWORKS[name]
    cut = settings["cut"] or 99
    assert (options.epochs, options.clip, options.seed) == (settings["epochs"], 5.0, 4)
    assert rates(options, 1) == [settings["lr"]]
    order = np.random.default_rng(0).permutation(60)  # the same for all seeds
    texts = [text.lower().split() for text in DATA.train.texts]
    y = (DATA.train.scores > 5).astype(int)
    known = vocabulary([texts[k] for k in order[12:]], 50)
    rows = numbered([text[-cut:] for text in texts], known)
    batches = padded([rows[k] for k in order[12:]], y[order[12:]], 8, 4, 2)
    assert same(list(called.batches(1)), list(batches(1)))
    held = sorted(order[:12], key=lambda k: len(rows[k]))
    assert same(called.validation, list(padded([rows[k] for k in held], y[held], 250)(0)))
    tests = [text.lower().split() for text in DATA.test.texts]
    assert all(map(np.array_equal, read[0], numbered([text[-cut:] for text in tests], known)))
    assert all(map(np.array_equal, read[1], [rows[k] for k in order[:12]]))
    assert found["right"] == 40 and ("whole" in found) == (settings["cut"] is not None)
    if settings["cut"]:
        assert all(map(np.array_equal, read[2], numbered(tests, known)))
        assert found["whole"] == ((DATA.test.scores > 5) == (DATA.test.scores > 3)).sum()
    assert found["held out"] == ((np.arange(12) > 2) == y[order[:12]]).sum() != 9
    model = called.model
    assert model.drop.p == settings["dropout"]
    good = model.embedding.weight[known["good"]]
    assert (good[0] == 1 and good[1:].abs().max() == 0) == settings.get("glove", False)
    if "pool" in settings:
        assert model.pool == settings["pool"]
        assert model.lstm.bidirectional == settings.get("bidirectional", False)


def test_scores_are_in_the_order_of_the_texts(fit):
    texts = [np.full(n, n) for n in (3, 1, 2, 5)]
    found = imdb.scores(lambda batch: batch[0].max(0).values.float(), texts)
    assert found.tolist() == [3, 1, 2, 5]


# From few sentences

PARTS = [part(seed, many) for seed, many in ((3, 50), (4, 30), (5, 20))]
PARTS = [Reviews(p.texts, np.where(p.scores == 4, 0, p.scores - 5.5)) for p in PARTS]


@pytest.fixture
def snippets(monkeypatch):
    monkeypatch.setattr(few, "load_movie_snippets", lambda: Snippets(*PARTS, CARD))
    monkeypatch.setattr(few, "load_glove", lambda: GLOVE)
    monkeypatch.setattr(few, "EPOCHS", {20: 3})
    monkeypatch.setattr(few, "SETTINGS", few.SETTINGS | {"H": 4, "B": 8, "alike": 2, "K": 50})
    caches = few.sentences, few.means
    for cache in caches:
        cache.cache_clear()
    with torch.random.fork_rng():
        yield
    for cache in caches:
        cache.cache_clear()


def kept(reviews):
    where = np.flatnonzero(reviews.scores)
    return [reviews.texts[k].lower().split() for k in where], (reviews.scores[where] > 0).astype(
        int
    )


def test_undecided_sentences_are_left_and_few_are_among_many(snippets):
    parts, card = few.sentences()
    for (texts, labels), reviews in zip(parts, PARTS, strict=True):
        assert (texts, labels.tolist()) == (kept(reviews)[0], kept(reviews)[1].tolist())
    less, _ = few.drawn(10, 3)
    texts, labels = few.drawn(20, 3)
    assert texts[:10] == less and few.drawn(20, 4)[0] != texts
    where = [parts[0][0].index(text) for text in texts]
    assert labels.tolist() == parts[0][1][where].tolist() and len(texts) == 20


def test_the_words_that_have_a_vector(snippets):
    texts = [["plot", "good"]]
    known = {way: few.known_words(way, texts) for way in few.WAYS}
    assert set(known["random"]) == {"plot", "good"} and set(known["frozen"]) == set(GLOVE.words)
    assert set(known["tuned"]) == {"plot", "good", "bad", "film"}
    assert all(sorted(words.values()) == list(range(2, 2 + len(words))) for words in known.values())


@pytest.mark.parametrize("way", few.WAYS)
def test_the_epoch_is_chosen_by_one_part_and_another_is_judged(way, snippets, monkeypatch):
    """The first of two epochs that are right as often on the sentences to choose by."""
    (_, (valid, valid_y), (test, test_y)), _ = few.sentences()
    models, judged, modes = [], [], []
    shares = iter([5, 9, 9])

    def right(model, batch, labels):
        modes.append(model.training)
        models.append(model)
        judged.append(labels.tolist())
        if labels.tolist() == valid_y.tolist():
            return np.arange(len(valid_y)) < next(shares)
        return np.full(len(test_y), len(judged))

    gradients, step = [], torch.optim.Adam.step

    def stepped(self, *args, **kwargs):
        values = [p.grad for group in self.param_groups for p in group["params"]]
        gradients.append(torch.cat([value.flatten() for value in values]).norm())
        return step(self, *args, **kwargs)

    monkeypatch.setattr(few, "right", right)
    monkeypatch.setattr(torch.optim.Adam, "step", stepped)
    monkeypatch.setattr(few, "SETTINGS", few.SETTINGS | {"clip": 0.01})
    lr, pool = few.CHOSEN[way]
    share, epoch, bits = few.network(20, way, 3, lr, pool)
    assert (share, epoch) == (9 / len(valid_y), 1) and set(bits) == {4}
    assert judged == [valid_y.tolist(), test_y.tolist()] * 2 + [valid_y.tolist()]
    assert not any(modes) and max(gradients) <= 0.0101 and len(gradients) == 9
    model = models[0]
    assert model.pool == pool and model.drop.p == 0.3
    known = few.known_words(way, few.drawn(20, 3)[0])
    good = model.embedding.weight[known["good"]].detach()
    ready = torch.from_numpy(GLOVE.vectors[0])
    distance = (good - ready).abs().max()
    assert {"random": distance > 0.1, "frozen": distance == 0, "tuned": 0 < distance < 0.2}[way]
    assert model.embedding.weight.requires_grad == (way != "frozen")
    shares = iter([5, 9, 9])
    assert few.network(20, way, 3, lr, pool, test=False)[2] is None


def test_a_gradient_is_of_its_own_batch(snippets, monkeypatch):
    found, step = [], torch.optim.Adam.step

    def stepped(self, *args, **kwargs):
        weight = self.param_groups[0]["params"][-1]  # the readout's bias: a mean of p - y
        found.append(weight.grad.abs().item())
        return step(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.Adam, "step", stepped)
    monkeypatch.setattr(few, "SETTINGS", few.SETTINGS | {"clip": 1e9, "dropout": 0.0})
    monkeypatch.setattr(few, "EPOCHS", {20: 40})
    few.network(20, "random", 3, 1e-9, "last")  # nothing changes: at most as far off as at first
    assert max(found) <= 1


def test_a_sentence_is_right_on_its_side_of_zero():
    found = few.right(lambda x: torch.tensor([2.0, -1.0, 0.0, -3.0]), 0, torch.tensor([1, 0, 1, 1]))
    assert found.tolist() == [True, True, False, False]


def test_counts_and_means_are_chosen_by_their_own_part(snippets, monkeypatch):
    (_, (valid, valid_y), (test, test_y)), _ = few.sentences()
    texts, y = few.drawn(20, 3)
    tries = {}
    for longest in (1, 2):
        count = few.counter(longest)
        weights, bias = naive_bayes(count.fit_transform(texts), y)
        tries[longest] = [
            (count.transform(x) @ weights + bias > 0) == z
            for x, z in ((valid, valid_y), (test, test_y))
        ]
    share, longest, bits = few.counts(20, 3)
    assert share == max(chosen.mean() for chosen, _ in tries.values())
    assert bits.tolist() == tries[longest][1].tolist()

    table = few.means()
    words = dict(zip(GLOVE.words, GLOVE.vectors, strict=True))
    for means, reviews in zip(table, PARTS, strict=True):
        for mean, text in zip(means, kept(reviews)[0], strict=True):
            own = [words[w] for w in text if w in words]
            np.testing.assert_allclose(mean, np.mean(own, 0) if own else 0 * mean, rtol=1e-6)
    share, C, bits = few.linear(20, 3)
    where = np.random.default_rng(3).permutation(len(table[0]))[:20]
    fitted = {
        C: few.LogisticRegression(C=C, max_iter=2000).fit(table[0][where], y)
        for C in few.SETTINGS["C"]
    }
    best = [(model.predict(table[1]) == valid_y).mean() for model in fitted.values()]
    assert share == max(best) and C == list(fitted)[int(np.argmax(best))]
    assert bits.tolist() == (fitted[C].predict(table[2]) == test_y).tolist()


@pytest.mark.parametrize("way", [*few.WAYS, "naive bayes", "mean of glove"])
def test_what_is_right_and_what_was_known_is_counted_on_the_test(way, snippets, monkeypatch):
    bits, calls = np.arange(10) < 7, []
    for name in ("network", "counts", "linear"):
        monkeypatch.setattr(few, name, lambda *call: calls.append(call) or (0.5, "chosen", bits))
    found = few.outcome({"n": 20, "way": way, "seed": 3})
    chosen = few.CHOSEN.get(way)
    assert calls == [(20, way, 3, *chosen) if chosen else (20, 3)]
    assert (found["right"], found["of"], found["valid"]) == (7, 10, 0.5)
    own = {"naive bayes": "random", "mean of glove": "frozen"}.get(way, way)
    known = few.known_words(own, few.drawn(20, 3)[0])
    words = [word for text in kept(PARTS[2])[0] for word in text]
    assert found["known"] == round(sum(word in known for word in words) / len(words), 4)


def test_a_reader_is_the_one_that_is_asked_for(snippets, monkeypatch):
    asked = []
    monkeypatch.setattr(
        few, "Reader", lambda *call, **more: asked.append(more) or Reader(*call, **more)
    )
    first = {}
    for seed in (3, 4):
        torch.manual_seed(0)
        found = []
        monkeypatch.setattr(few, "right", lambda model, *_, f=found: f.append(model) or np.ones(3))
        few.network(20, "random", seed, 1e-9, "mean")
        first[seed] = found[0]
    assert asked == [{"pool": "mean", "dropout": 0.3}] * 2
    assert not torch.allclose(first[3].readout.weight, first[4].readout.weight, atol=1e-3)
