"""The experiments on words and sentences, on made-up texts whose answers are known."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sacrebleu")
pytest.importorskip("gensim")

from fit_cases import Fit, rates, same  # noqa: E402

from book.experiments import (  # noqa: E402
    corpora,
    multi30k,
    penn_treebank,
    wikitext2,
    word_ngrams,
    word_vectors,
)
from book.experiments.lab import texts, words  # noqa: E402
from companion import ngram  # noqa: E402
from companion.data import stretches  # noqa: E402
from companion.data.card import Card  # noqa: E402
from companion.data.pairs import END, PAD, Lines, Multi30k, paired  # noqa: E402
from companion.data.reviews import Imdb, Reviews, Vectors  # noqa: E402
from companion.data.words import Words  # noqa: E402
from companion.decode import Hypothesis  # noqa: E402

CARD = Card("name", "what", "source", "licence", "size", "split", "c")


def as_words(**parts):
    """Texts as a reader gives them, the vocabulary in the order of the training part."""
    lists = {name: text.split() for name, text in parts.items()}
    vocabulary = list(dict.fromkeys(lists["train"]))
    numbers = (
        np.array([vocabulary.index(w) for w in lists[n]]) for n in ("train", "valid", "test")
    )
    return Words(*numbers, vocabulary, CARD)


# Language models


@pytest.fixture
def fit(monkeypatch, tmp_path):
    found = Fit()
    for module in (words, multi30k):
        monkeypatch.setattr(module, "fit", found)
        monkeypatch.setattr(module, "WORK", tmp_path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with torch.random.fork_rng():
        yield found


TEXT = as_words(train="a b c d " * 30, valid="a b b c " * 12, test="a d c b " * 9)
SMALL = {"H": 4, "B": 3, "n": 7, "epochs": 4, "full": 2, "lr": 0.5, "clip": 2.5, "scale": 0.1}


def test_a_word_model_is_trained_as_zaremba_trained_his(fit):
    found = words.train(TEXT, SMALL, {"layer": "lstm", "dropout": 0.25}, 6, "name")
    called, options = fit.called, fit.called.options
    assert (options.epochs, options.clip, options.carry, options.seed) == (4, 2.5, True, 6)
    # 120 words in 3 streams: 39 steps, six stretches an epoch; the rate falls after two.
    assert rates(options, 24) == [0.5] * 12 + [0.25] * 6 + [0.125] * 6
    assert same(list(called.batches(0)), list(stretches(TEXT.train, 3, 7)(0)))
    assert same(called.validation, list(stretches(TEXT.valid, 3, 7)(0)))
    # Losses of `fit` are of a stretch; 39 steps are in six, 15 steps in three.
    assert found["training"] == [round(math.exp(x * 6 / 39), 2) for x in (3, 2, 1)]
    assert found["validation"] == [round(math.exp(x * 3 / 15), 2) for x in (0.5, 0.25, 0.75)]
    assert found["best"] == 1
    model = called.model
    assert found["perplexity"] == {
        part: round(words.perplexity(model, getattr(TEXT, part)), 2) for part in ("valid", "test")
    }
    first = [value.clone() for value in model.parameters()]
    assert -0.1 <= min(v.min() for v in first) < -0.09 and 0.09 < max(v.max() for v in first) <= 0.1
    words.train(TEXT, SMALL, {"layer": "lstm", "dropout": 0.25}, 7, "name")
    assert not same(first, list(fit.called.model.parameters()))
    with pytest.MonkeyPatch.context() as patch:
        # All that goes up may be dropped: into the first layer, between the two, and out.
        dropped = []
        patch.setattr(torch.nn.Dropout, "forward", lambda self, x: dropped.append(x.shape) or x)
        model.train()(torch.zeros(5, 2, dtype=torch.int64))
    assert dropped[0] == dropped[-1] == (5, 2, 4) and len(dropped) >= 2
    assert model.lstm.dropout == 0.25 and model.lstm.num_layers == 2
    assert type(words.Model("peephole", 4, 4, 0.0, 0.1).lstm).__name__ == "PeepholeLSTM"


def test_perplexity_is_read_without_dropout_and_the_clock_goes_on(monkeypatch, tmp_path):
    torch.manual_seed(0)
    model = words.Model("lstm", K=4, H=4, dropout=0.9, scale=1.0)
    both = [words.perplexity(model.train(), TEXT.test, n) for n in (3, 100)]
    assert both[0] == pytest.approx(both[1], rel=1e-5)
    x, y = torch.from_numpy(TEXT.test[:-1])[:, None], torch.from_numpy(TEXT.test[1:])
    costs = torch.nn.functional.cross_entropy(model.eval()(x)[0][:, 0], y)
    assert both[0] == pytest.approx(costs.exp().item(), rel=1e-5)
    seconds = [10.0]
    monkeypatch.setattr(words.time, "process_time", lambda: seconds[0])
    clock = words.Clock(tmp_path / "seconds")
    seconds[0] = 12.5
    assert clock.seconds() == 2.5
    clock.path.write_text("2.5")
    later = words.Clock(tmp_path / "seconds")
    seconds[0] = 13.0
    assert later.seconds() == 3.0


@pytest.mark.parametrize(
    ("module", "fetch", "job", "name"),
    [
        (penn_treebank, "fetch_ptb", {"method": "dropout", "seed": 2}, "ptb-dropout-2"),
        (wikitext2, "fetch_wikitext2", {"seed": 2}, "wikitext2-2"),
    ],
)
def test_each_run_has_a_checkpoint_of_its_own(module, fetch, job, name, monkeypatch):
    calls = []
    monkeypatch.setattr(module, fetch, lambda: TEXT)
    monkeypatch.setattr(module, "train", lambda *call: calls.append(call) or {})
    assert module.outcome(job) == {"data": "c"}
    method = module.SETTINGS.get("method") or module.METHODS["dropout"]
    assert calls == [(TEXT, module.SETTINGS, method, 2, name)]


# N-grams

PLAIN = "The 7 , cats <unk> . <eos> "
NGRAMS = as_words(
    train=PLAIN * 6 + "dog the owl <eos> " * 2, valid=PLAIN, test=PLAIN + "dog <unk> <eos> "
)


def test_a_text_is_counted_as_it_is_cut(monkeypatch):
    monkeypatch.setattr(word_ngrams, "fetch_ptb", lambda: NGRAMS)
    monkeypatch.setattr(word_ngrams, "fetch_wikitext2", lambda: NGRAMS)
    monkeypatch.setattr(word_ngrams, "SETTINGS", word_ngrams.SETTINGS | {"orders": 3, "K": 6})
    found = {text: word_ngrams.outcome({"text": text}) for text in word_ngrams.TEXTS}
    assert [run["K"] for run in found.values()] == [10, 10, 6, 6]
    assert [run["words"]["test"] for run in found.values()] == [10, 10, 10, 8]
    # The, 7, comma, cats, <unk>, full stop, line end; dog, <unk>, line end.
    letters = 4 + 2 + 2 + 5 + 6 + 2 + 1 + 4 + 6 + 1
    assert {run["characters"] for run in found.values()} == {letters}
    assert [run["unknown"] for run in found.values()] == [0.2, 0.2, 0.4, 0.25]
    vocabulary = sorted(NGRAMS.vocabulary)
    numbers = {
        part: np.array([vocabulary.index(NGRAMS.vocabulary[k]) for k in getattr(NGRAMS, part)])
        for part in word_ngrams.PARTS
    }
    counts = ngram.count(numbers["train"], 10, 3)
    for discounts in (1, 3):
        for order in (1, 2, 3):
            model = ngram.kneser_ney(counts, order, discounts)
            row = found["Penn Treebank"]["perplexity"][str(discounts)][order - 1]
            for part in ("valid", "test"):
                logs = ngram.log2_probabilities(model, numbers[part])[1:]
                assert row[part] == round(float(2 ** -logs.mean()), 2)


# Word vectors

LETTERS = "abcdefghij"
GLOVE = Vectors(
    [*word_vectors.SHOWN, *(f"{a}{b}x" for a in LETTERS for b in LETTERS), "man", "queen", "woman"],
    np.random.default_rng(0).normal(size=(113, 50)).astype(np.float32),
    CARD,
)


@pytest.fixture
def vectors(monkeypatch):
    rng = np.random.default_rng(1)
    many = {word: 5 + k % 9 for k, word in enumerate(GLOVE.words)} | {"aax": 4, "abx": 60}
    text = [word for word, n in many.items() for _ in range(n)]
    rng.shuffle(text)
    lines = [" ".join([*text[k : k + 10], "Oddword <unk> <eos>"]) for k in range(0, len(text), 10)]
    data = as_words(train=" ".join(lines), valid="man", test="man")
    monkeypatch.setattr(word_vectors, "fetch_wikitext2", lambda: data)
    monkeypatch.setattr(word_vectors, "load_glove", lambda: GLOVE)
    small = {"hidden": 20, "hidden seen": [6, 20], "D": 8, "epochs": 1, "near": 9, "buckets": 500}
    monkeypatch.setattr(word_vectors, "SETTINGS", word_vectors.SETTINGS | small)
    asked = ("man", "king", "woman", "queen")
    monkeypatch.setattr(
        word_vectors,
        "questions",
        lambda common: {"family": np.array([[list(common).index(word) for word in asked]])},
    )
    word_vectors.text.cache_clear()
    yield many
    word_vectors.text.cache_clear()


def test_hidden_words_are_neither_shown_nor_asked_for(vectors):
    lines, common, hidden, control, checksum = word_vectors.text()
    assert common == [w for w in GLOVE.words if vectors[w] >= 5] and checksum == "c"
    assert len(hidden) == len(control) == 20 and not {*hidden} & {*control}
    for word in [*hidden, *control]:
        assert 6 <= vectors[word] <= 20 and word not in word_vectors.SHOWN
        assert word not in ("man", "king", "woman", "queen")
    read = {word for line in lines for word in line}
    assert not read & {*hidden} and {*control} < read and "<unk>" not in read
    assert "oddword" in read and all(lines)


def test_word_vectors_are_judged_without_the_hidden_words(vectors, monkeypatch):
    made, kinds = [], {}

    class Wv(dict):
        index_to_key = [f"w{k}" for k in range(5)]
        vectors = np.arange(1.0, 6)[:, None] * [[3, 4]]

        def get_vecattr(self, word, what):
            assert what == "count"
            return {"w0": 9, "w1": 10, "w2": 999, "w3": 1000, "w4": 10_000}[word]

        def __missing__(self, word):
            return GLOVE.vectors[GLOVE.words.index(word)]

    def kind(lines, **given):
        made.append((lines, given))
        return SimpleNamespace(wv=Wv())

    for name, (_, more) in word_vectors.METHODS.items():
        kinds[name] = kind, more
    monkeypatch.setattr(word_vectors, "METHODS", kinds)
    lines, common, hidden, control, _ = word_vectors.text()
    judged = [word for word in common if word not in hidden]
    for name in ("word2vec", "fasttext"):
        found = word_vectors.outcome({"method": name, "seed": 5})
        read, given = made.pop()
        assert read is lines and given["seed"] == 5 and given["hashfxn"] is word_vectors.crc
        assert (given["sg"], given["min_count"], given["window"]) == (1, 5, 5)
        assert (given["negative"], given["workers"]) == (5, 1)
        letters = {"bucket": 200_000, "min_n": 3, "max_n": 6}
        assert {key: given.get(key) for key in letters} == (
            letters if name == "fasttext" else dict.fromkeys(letters)
        )
        packed = np.unpackbits(np.frombuffer(word_vectors.base64.b64decode(found["common"]), "u1"))
        assert [w for w, bit in zip(GLOVE.words, packed, strict=False) if bit] == judged
        # These are GloVe's own vectors: the nearest is among GloVe's nearest wherever it is known.
        assert found["seen"]["n"] == 20 and found["seen"]["good"] >= 17
        assert all(close[1] in judged for close in found["seen"]["words"].values())
        assert list(found["seen"]["words"]) == control
        assert ("unseen" in found) == (name == "fasttext")
        near = found["neighbours"]["king"]
        assert len(near) == 6 and "king" not in near and {*near} <= {*judged}
        # Up to 9 times, 99, 999, 9,999, and more.
        assert found["lengths"] == [5.0, 10.0, 15.0, 20.0, 25.0]
    assert list(found["unseen"]["words"]) == hidden
    found = word_vectors.outcome({"method": "spelling"})["unseen"]
    assert list(found["words"]) == hidden
    assert all(close[1] in judged for close in found["words"].values())


def test_analogies_are_scored_each_way():
    # c is nearest to the sum; without the words of the question d is; to c alone it is another.
    table = np.array([[1, 0.2, 0], [1, 0.6, 0], [1, 0.1, 0.9], [0.6, 0.8, 0.6], [0.6, -0.3, 1]])
    found = word_vectors.scored(table, {"kind": np.array([[0, 1, 2, 3], [0, 1, 2, 4]])})["kind"]
    target = table / np.linalg.norm(table, axis=1, keepdims=True)
    sums = target @ (target[1] - target[0] + target[2])
    free, usual = int(sums.argmax()), 3 + int(sums[3:].argmax())
    near = 3 + int((target @ target[2])[3:].argmax())
    assert found == {
        "n": 2,
        "usual": sum(usual == d for d in (3, 4)),
        "free": sum(free == d for d in (3, 4)),
        "c back": 2 * (free == 2),
        "only c": sum(near == d for d in (3, 4)),
    }
    assert (free, usual, near) == (2, 3, 4)


def test_spelling_compares_the_share_of_pieces():
    assert word_vectors.pieces("ab") == {"<ab", "ab>", "<ab>"}
    assert word_vectors.pieces("abcd") == {
        "<ab", "abc", "bcd", "cd>", "<abc", "abcd", "bcd>", "<abcd", "abcd>", "<abcd>"
    }  # fmt: skip
    words = ["zzzz", "abcdefgh", "abcx", "abc"]
    assert word_vectors.spelled(["abcd"], words) == [["abc", "abcdefgh", "abcx"]]


# What is in the data sets


def test_statistics_of_texts_on_both_sides(monkeypatch):
    train = [line.split() for line in ("a a b", "b c", "d <unk> e")]
    test = [line.split() for line in ("a x", "x y", "b c")]
    found = texts.statistics(train, test, "line")
    assert found["once"] == 4 and found["unseen_types"] == 2 / 5 and found["unseen"] == 3 / 6
    assert found["copies"]["exact"] == 1


def test_copies_are_counted_on_each_side():
    def split(*lines):
        return [line.split() for line in lines]

    train = split("a b c d e f", "a b c d e f", "q", "r", "one two three four five six seven")
    test = split("a b c d e f", "a b c d e f", "a b c d e f", "x", "one two three four five six")
    found = texts.copies(train, test)
    assert found["exact"] == 3
    assert (found["exact_within_train"], found["exact_within_test"]) == (1, 2)
    assert found["near"] == {"0.5": 4, "0.8": 3}  # two of three runs of five words
    assert found["shingles_seen"] == 8 / 9 and found["long_shingles_seen"] == 3 / 5
    best, seen = texts.nearest(split("a b a b a b"), split("a b a b", "b c d"), 2)
    assert best.tolist() == [1, 0] and seen == 1 / 2  # sets of pairs, however often they come


def test_ranks_and_frequencies_of_zipfs_law():
    """Half of the tokens ranks the words, and the other half counts them."""
    counts = np.full(400, 1000)
    found = texts.zipf(counts)
    assert found["slopes"]["least squares"] == pytest.approx(0, abs=1e-9)
    frequency = np.array(found["frequency"])
    assert abs(frequency * 400 - 1).max() < 0.1 and frequency[:5].mean() * 400 < 1
    edges = np.unique(np.geomspace(1, 401, 60).astype(int))
    assert found["rank"] == [
        float(np.sqrt(a * (b - 1))) for a, b in zip(edges, edges[1:], strict=False)
    ]
    falling = texts.zipf((40_000 / np.arange(1, 400)).astype(int))
    assert falling["slopes"]["least squares"] == pytest.approx(1, abs=0.02)


def test_a_slope_needs_words_that_come_often_to_its_last_rank():
    p = 1 / np.arange(1, 50_001.0)
    counts = np.random.default_rng(1).multinomial(700_000, p / p.sum())
    ordered = np.sort(counts)[::-1]
    assert ordered[2999] >= texts.LEAST > ordered[8999]
    assert set(texts.zipf(counts[counts > 0])["slopes"]) == {"first", "least squares"}


def test_a_slope_is_the_likeliest_over_its_ranks():
    """Counts with a step at both ends of each range, where one rank more or less would be seen."""
    r = np.arange(1, 9101)
    steps = {0: 27, 10: 18, 11: 9, 1000: 6, 1001: 3, 3000: 2, 3001: 1, 9000: 1 / 2, 9001: 1 / 3}
    factor = np.array([steps[max(first for first in steps if first <= k)] for k in r])
    counts = (1e12 * factor * r**-1.3).astype(np.int64)
    slopes = texts.zipf(counts)["slopes"]
    for name, low, high in (("first", 10, 1000), ("later", 3000, 9000)):
        c, logs = counts[low - 1 : high], np.log(r[low - 1 : high])
        p = np.exp(-slopes[name] * logs)
        # There the mean of log r is as it was counted; a rank more would move it by over 1e-4.
        assert c @ logs / c.sum() == pytest.approx(p @ logs / p.sum(), abs=2e-5)


def test_a_slope_is_left_out_where_its_last_rank_is_too_rare():
    for last, after, there in (([15], [], True), ([15], [14], True), ([14], [], False)):
        counts = np.concatenate([np.arange(9100, 101, -1)[:8999], last, after]).astype(int)
        assert ("later" in texts.zipf(counts)["slopes"]) == there
    assert "later" not in texts.zipf(counts[:8999])["slopes"]


HEADED = " <eos> = One = <eos> <eos> it is <eos> = Not = <eos> a = heading = <eos> <eos> "


def test_articles_and_lines(monkeypatch):
    data = as_words(
        train=HEADED + "= Two = <eos> <eos> so x <eos>", valid="it", test=HEADED + "x <eos>"
    )
    found, titles = corpora.articles(data, "train")
    assert titles == ["One", "Two"] and corpora.lines(data, "test")[-1] == ["x"]
    monkeypatch.setattr(corpora, "fetch_ptb", lambda: data)
    monkeypatch.setattr(corpora, "fetch_wikitext2", lambda: data)
    monkeypatch.setattr(corpora, "SENTENCE", "It is x")
    monkeypatch.setattr(corpora, "streams", lambda numbers, B: numbers[:26].reshape(2, 13).T)
    run = corpora.outcome({"set": "Penn Treebank"})
    lines = [line.split() for line in (HEADED + "x <eos>").split("<eos>")[:-1]]
    assert run["letters"]["test"] == sum(len(" ".join(line)) + 1 for line in lines)
    train = (HEADED + "= Two = <eos> <eos> so x <eos>").split()
    assert run["batch"]["first"] == [train[:12], train[13:25]]
    run = corpora.outcome({"set": "WikiText-2"})
    assert run["titles_in_train"] == ["One"] and run["sentence"] == "<unk> is x"
    assert run["letters"]["test"] == sum(len(word) + 1 for word in (HEADED + "x <eos>").split())


def test_stars_of_copies_are_compared(monkeypatch):
    train = Reviews(["Fine film", "fine film!", "bad <br /> one", "so"], np.array([8.0, 3, 2, 10]))
    test = Reviews(["fine FILM", "bad one", "so .", "other"], np.array([7.0, 2, 1, 4]))
    monkeypatch.setattr(corpora, "fetch_imdb", lambda: Imdb(train, test, CARD))
    run = corpora.outcome({"set": "IMDB"})
    assert (run["same_label"], run["same_stars"], run["breaks"]) == (2, 1, 0.25)
    assert run["stars"] == [[0, 1, 1, 0, 0, 0, 0, 1, 0, 1], [1, 1, 0, 1, 0, 0, 1, 0, 0, 0]]


LINES = {
    "train": (
        "A dog runs.\nA cat sits.\nThe dog sits.\nA dog.\nThe cat runs.",
        "Ein Hund rennt.\nEine Katze sitzt.\nDer Hund sitzt.\nEin Hund.\nDie Katze rennt.",
    ),
    "valid": ("The cat.", "Die Katze."),
    "test": (
        "A dog runs.\nThe cat sits!\nA bird.",
        "Ein Hund rennt.\nDie katze sitzt !\nEin Vogel.",
    ),
}
LINES = {part: [text.split("\n") for text in both] for part, both in LINES.items()}
PAIRS = Multi30k(*(Lines(en, de, de) for en, de in LINES.values()), CARD)


def test_pairs_that_are_there_twice_and_both_languages(monkeypatch):
    monkeypatch.setattr(corpora, "fetch_multi30k", lambda: PAIRS)
    english, german = (
        corpora.outcome({"set": f"Multi30k, {name}"}) for name in ("English", "German")
    )
    assert english["pairs"] == german["pairs"] == 1
    assert english["batch"]["first"] == ["A", "dog", "runs", "."]
    assert german["batch"]["first"] == ["Ein", "Hund", "rennt", "."]
    assert english["copies"]["exact"] == 1 and german["tokens"][0] == sum(
        len(line.split()) + 1 for line in LINES["train"][1]
    )


def test_recordings_are_measured_in_seconds(monkeypatch):
    waves = [np.sin(np.arange(2400 + 80 * (k % 7))).astype(np.float32) for k in range(501)]
    data = SimpleNamespace(speakers={"a": SimpleNamespace(waves=waves)}, rate=8000, card=CARD)
    monkeypatch.setattr(corpora, "fetch_fsdd", lambda: data)
    run = corpora.outcome({"set": "Free Spoken Digits"})
    seconds = [len(wave) / 8000 for wave in waves]
    assert run["seconds"] == pytest.approx(sum(seconds)) and run["lengths"][-1] == max(seconds)
    assert run["copies"]["exact"] == 501 - 7


# Translation


@pytest.fixture
def data(monkeypatch):
    monkeypatch.setattr(multi30k, "fetch_multi30k", lambda: PAIRS)
    small = {"least": 2, "D": 3, "H": 4, "B": 2, "epochs": 2, "examples": 2, "width": 3}
    small["widths"] = {"sizes": [1, 4], "sentences": 2, "method": "attention", "seed": 0}
    monkeypatch.setattr(multi30k, "SETTINGS", multi30k.SETTINGS | small)
    return multi30k.Data()


def test_words_to_know_are_those_of_the_training_part(data):
    assert set(data.known["en"]) - {"<pad>", "<start>", "<end>", "<unk>"} == {
        "A", "dog", "runs", ".", "cat", "sits", "The"
    }  # fmt: skip
    assert "Vogel" not in data.known["de"] and "Der" not in data.known["de"]
    ahead, back = (data.numbers("test", "en", backwards) for backwards in (False, True))
    assert all((a == b[::-1]).all() for a, b in zip(ahead, back, strict=True))
    assert data.german(data.numbers("train", "de")[:1]) == ["Ein Hund rennt."]


def test_translations_are_scored_as_sacrebleu_scores_them(data):
    lines, references = ["Ein Hund rennt.", "Die Katze sitzt!"], LINES["test"][1][:2]
    found = multi30k.scores(lines, references)
    assert found["bleu"] == round(multi30k.sacrebleu.corpus_bleu(lines, [references]).score, 2)
    assert found["chrf"] == round(multi30k.sacrebleu.corpus_chrf(lines, [references]).score, 2)
    assert found["lowered"] == 100  # but for capitals and a space
    assert found["bleu"] < 99 and len(found["counts"]) == 2
    longer = multi30k.scores(["Ein Hund rennt schnell ."], ["Ein Hund rennt ."])
    assert longer["length"] == 1.25


def test_a_translator_is_trained_on_batches_of_like_lengths(data, fit):
    job = {"method": "reversed", "lr": 0.5, "seed": 3}
    model, found = multi30k.train(data, multi30k.METHODS["reversed"], job)
    called, options = fit.called, fit.called.options
    assert (options.epochs, options.clip, options.seed) == (2, 1.0, 3)
    assert rates(options, 6) == pytest.approx([0.5 * (1 - k / 6) for k in range(6)])
    valid = data.numbers("valid", "en", True), data.numbers("valid", "de")
    assert same(called.validation, list(paired(*valid, 100)(0)))
    assert model.dropout.p == 0.3 and not model.attention and found["updates"] == 6
    sources, targets = data.numbers("train", "en", True), data.numbers("train", "de")
    pairs = {(*s, -1, *t) for s, t in zip(sources, targets, strict=True)}
    for epoch in (0, 1):
        read = [
            (*source[:n, b].tolist(), -1, *y[: int((y[:, b] != PAD).sum()) - 1, b].tolist())
            for (source, lengths, _), y in called.batches(epoch)
            for b, n in enumerate(lengths.tolist())
        ]
        assert len(read) == 5 and set(read) == pairs
    rng = np.random.default_rng(0)
    rows = (
        [np.full(n, 4) for n in rng.integers(1, 9, 60)],
        [np.full(n, 4) for n in rng.integers(1, 9, 60)],
    )
    batches = [list(multi30k.bucketed(*rows, 6, 1)(epoch)) for epoch in (0, 1)]
    assert max(int(lengths.max() - lengths.min()) for (_, lengths, _), _ in batches[0]) <= 1
    sizes = [[lengths.float().mean().item() for (_, lengths, _), _ in each] for each in batches]
    assert sizes[0] != sorted(sizes[0]) and sizes[0] != sizes[1]


def test_a_translator_is_examined(data, monkeypatch):
    """One that always says "Ein", or nothing at all where the beam is wide."""
    ein, asked = data.known["de"]["Ein"], []

    def beam_search(step, start, end, limit, width):
        asked.append((step, limit, width))
        long = Hypothesis((ein, ein, END), -3.0)
        short = Hypothesis((END,) if width == 4 else (ein, END), -2.5)
        return [short, long, Hypothesis((ein,) * 3, -9.0)]

    def translate(model, source, lengths, limit):
        weights = torch.arange(5.0 * len(source) * len(lengths)).reshape(5, len(source), -1)
        return [[ein]] * len(lengths), weights

    monkeypatch.setattr(multi30k, "beam_search", beam_search)
    monkeypatch.setattr(multi30k, "translate", translate)
    monkeypatch.setattr(multi30k, "searcher", lambda model, source: (source.tolist(), "start"))
    monkeypatch.setattr(multi30k, "teacher_forced", lambda model, pairs: len(pairs[0]) / 7)
    job, method = {"method": "attention", "seed": 0}, multi30k.METHODS["attention"]
    found = multi30k.examine(None, data, method, job)
    references = LINES["test"][1]
    assert found["greedy"] == multi30k.scores(["Ein"] * 3, references)
    assert found["beam, sum"] == multi30k.scores(["Ein"] * 3, references)
    assert found["beam, mean"] == multi30k.scores(["Ein Ein"] * 3, references)
    assert found["teacher forced"] == round(3 / 7, 4)
    sources = data.numbers("test", "en")
    assert [step for step, _, width in asked if width == 3] == [row.tolist() for row in sources]
    assert {limit for _, limit, _ in asked} == {50}
    look = torch.arange(5.0 * 4 * 3).reshape(5, 4, 3)
    assert found["looks"] == [look[:2, : len(sources[k]), k].tolist() for k in range(2)]
    rows = [(r["width"], r["rank by"], r["log_p"], r["empty"]) for r in found["widths"]]
    assert rows == [
        (1, "sum", -2.5, 0),
        (1, "mean", -3.0, 0),
        (4, "sum", -2.5, 2),
        (4, "mean", -3.0, 0),
    ]
    asked.clear()
    found = multi30k.examine(
        None, data, multi30k.METHODS["reversed"], {"method": "reversed", "seed": 0}
    )
    assert "widths" not in found and [s for s, *_ in asked] == [
        row[::-1].tolist() for row in sources
    ]


def test_the_share_of_next_words_leaves_out_the_filling():
    targets = [np.array([4, 5, 6]), np.array([4])]

    def model(x):
        y = next(iter(paired(targets, targets, 2)(0)))[1]
        logits = torch.eye(9)[y]
        logits[0, 1] = torch.eye(9)[8]
        return logits

    assert multi30k.teacher_forced(model, (targets, targets)) == 5 / 6


def test_a_dictionary_is_learned_from_pairs_and_baselines_use_it(data):
    table = multi30k.dictionary(data)
    assert {w: table[w] for w in ("dog", "cat", "runs", "sits")} == {
        "dog": "Hund", "cat": "Katze", "runs": "rennt", "sits": "sitzt"
    }  # fmt: skip
    found = multi30k.baselines(data)
    english, references = LINES["test"]
    assert found["source copied"] == multi30k.scores(english, references)
    assert found["usual"] == "Ein Hund rennt." and found["sources"] == english[:2]
    by_word = [multi30k.text([table.get(w, w) for w in s]) for s in data.words["test", "en"]]
    assert found["word by word"] == multi30k.scores(by_word, references) and "bird" in by_word[2]
    nearest = ["Ein Hund rennt.", "Eine Katze sitzt.", "Ein Hund."]
    assert found["nearest sentence"]["bleu"] > 0
    assert found["examples"]["nearest sentence"][0] == nearest[0]
    known = [
        multi30k.text([w for w in s if w in data.known["de"]]) for s in data.words["test", "de"]
    ]
    assert found["reference, known words"] == multi30k.scores(known, references)
    assert found["unknown"]["de"] == pytest.approx(
        np.mean([w not in data.known["de"] for s in data.words["test", "de"] for w in s])
    )
    assert found["restored"] == pytest.approx(2 / 3) and found["lengths"] == [4, 4, 3]
