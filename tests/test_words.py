"""Readers of Penn Treebank and WikiText, on small made-up files of their formats.

What the real files hold is in the readers' docstrings.
"""

import tracemalloc

import numpy as np
import pytest

from companion.data import fetch_ptb, fetch_wikitext2, fetch_wikitext103
from companion.data.folders import data_folder, read

PTB = {
    "train": " no it was n't <unk> monday \n  the index fell N points \n it fell \n",
    "valid": " it fell monday \n",
    "test": " no <unk> fell \n the index was N \n",
}
WIKI = {
    "train": " \n = Robert <unk> = \n \n It rose by 2 @.@ 5 points , he said . \n",
    "valid": " \n It rose . \n",
    "test": " \n = Robert = \n he said <unk> , it 's 2 . \n".replace("it 's", "It"),
}


def write(folder, pattern, texts):
    folder.mkdir()
    for part, text in texts.items():
        (folder / pattern.format(part)).write_bytes(text.encode())
    return folder


@pytest.fixture
def ptb(tmp_path):
    return write(tmp_path / "ptb", "ptb.{}.txt", PTB)


@pytest.fixture
def wiki(tmp_path):
    return write(tmp_path / "wikitext-2", "wiki.{}.tokens", WIKI)


def test_treebank_is_read_word_for_word_with_the_ends_of_lines(ptb):
    words = fetch_ptb(ptb)
    first = "no it was n't <unk> monday <eos> the index fell N points".split()
    assert words.vocabulary == first  # in order of first occurrence, each once
    for part, text in PTB.items():
        numbers = getattr(words, part)
        assert numbers.dtype == np.int64
        back = [words.vocabulary[k] for k in numbers]
        assert back == text.replace("\n", " <eos> ").split()
    assert len(words.train) == 16 and words.train[-3:].tolist() == [1, 9, 6]


def test_wikitext_keeps_case_and_its_empty_lines(wiki):
    words = fetch_wikitext2(wiki)
    assert [words.vocabulary[k] for k in words.train[:7]] == [
        "<eos>", "=", "Robert", "<unk>", "=", "<eos>", "<eos>"
    ]  # fmt: skip
    assert "It" in words.vocabulary and "it" not in words.vocabulary
    assert [words.vocabulary[k] for k in words.valid] == ["<eos>", "It", "rose", ".", "<eos>"]


def test_the_large_wikitext_has_the_form_of_the_small_one(wiki):
    small, large = fetch_wikitext2(wiki), fetch_wikitext103(wiki)
    assert large.vocabulary == small.vocabulary and large.card.checksum == small.card.checksum
    assert all(map(np.array_equal, small[:3], large[:3])) and large.card.name == "WikiText-103"


def test_a_text_is_read_in_little_more_memory_than_its_numbers_take(wiki):
    """300,000 words; as strings they would take 50 bytes and more each, as numbers 8."""
    (wiki / "wiki.train.tokens").write_text(
        WIKI["train"] + " \n = Robert = \n he said It\n" * 30_000
    )
    tracemalloc.start()
    words = fetch_wikitext103(wiki)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(words.train) > 270_000 and peak < 1.3 * words.train.nbytes
    words.train[0] = 1  # the array is the reader's own


def test_the_last_line_ends_with_or_without_a_line_break(ptb):
    whole = fetch_ptb(ptb)
    (ptb / "ptb.test.txt").write_text(PTB["test"].rstrip("\n"))
    assert np.array_equal(fetch_ptb(ptb).test, whole.test)


def test_the_card_counts_and_its_checksum_follows_every_file(ptb):
    card = fetch_ptb(ptb).card
    assert card.split == "16 train, 4 valid, 9 test"
    assert card.size == "29 words, 12 different"
    assert "not to be redistributed" in card.licence
    seen = {card.checksum}
    for part in reversed(PTB):  # training last, or another part has a word that it lacks
        (ptb / f"ptb.{part}.txt").write_text(PTB[part].replace("fell", "was"))
        seen.add(fetch_ptb(ptb).card.checksum)
    assert len(seen) == 4


def test_a_word_that_training_lacks_is_named(ptb):
    (ptb / "ptb.valid.txt").write_text(" it soared \n")
    with pytest.raises(ValueError, match="ptb.valid.txt .*soared"):
        fetch_ptb(ptb)


def test_a_file_that_is_missing_or_empty_is_named(ptb, wiki):
    (ptb / "ptb.test.txt").unlink()
    with pytest.raises(FileNotFoundError, match="ptb.test.txt must be in the folder .*ptb"):
        fetch_ptb(ptb, download=False)
    (wiki / "wiki.valid.tokens").write_bytes(b"")
    with pytest.raises(ValueError, match="wiki.valid.tokens .*no words"):
        fetch_wikitext2(wiki)


def test_the_folder_is_given_or_named_by_the_environment_or_in_the_home(monkeypatch, tmp_path, ptb):
    monkeypatch.setenv("COMPANION_DATA", str(tmp_path))
    assert data_folder("ptb") == tmp_path / "ptb"
    assert len(fetch_ptb().test) == 9
    assert data_folder("ptb", "elsewhere").parts == ("elsewhere",)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for unset in ("", None):
        if unset is None:
            monkeypatch.delenv("COMPANION_DATA")
        else:
            monkeypatch.setenv("COMPANION_DATA", unset)
        assert data_folder("ptb") == tmp_path / "home" / ".cache" / "companion" / "ptb"
    assert data_folder("ptb", "~/mine") == tmp_path / "home" / "mine"
    monkeypatch.setenv("COMPANION_DATA", "~/sets")
    assert data_folder("ptb") == tmp_path / "home" / "sets" / "ptb"


def test_a_system_without_a_home_folder_says_what_to_do(monkeypatch):
    monkeypatch.delenv("COMPANION_DATA", raising=False)
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    with pytest.raises(RuntimeError) as told:
        data_folder("ptb")
    assert "COMPANION_DATA" in told.value.__notes__[0]


def test_read_gives_the_bytes(tmp_path):
    (tmp_path / "a.bin").write_bytes(b"\r\n\x00")
    assert read(tmp_path, "a.bin") == b"\r\n\x00"
    (tmp_path / "folder").mkdir()
    with pytest.raises(FileNotFoundError, match="folder must be in"):
        read(tmp_path, "folder")


def test_zarembas_training_sums_over_steps_and_halves_its_rate(monkeypatch, tmp_path, ptb):
    torch = pytest.importorskip("torch")
    from book.experiments.lab import words as lab

    monkeypatch.setattr(lab, "WORK", tmp_path / "work")
    data = fetch_ptb(ptb)
    data = data._replace(train=np.tile(data.train, 40), valid=np.tile(data.valid, 10))
    settings = {
        "H": 6,
        "B": 4,
        "n": 7,
        "epochs": 4,
        "full": 2,
        "lr": 0.5,
        "clip": 5.0,
        "scale": 0.1,
    }
    rates, step = [], torch.optim.SGD.step

    def watched(self, *args, **kwargs):
        rates.append(self.param_groups[0]["lr"])
        return step(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.SGD, "step", watched)
    with torch.random.fork_rng():
        found = lab.train(data, settings, {"layer": "lstm", "dropout": 0.0}, 0, "tiny")
    updates = -(-(40 * 16 // 4 - 1) // 7)
    assert rates == [0.5] * (2 * updates) + [0.25] * updates + [0.125] * updates
    assert found["training"][0] > found["training"][-1] > 1
    assert found["validation"][-1] < 12  # of 12 words
    K, H = 12, 6
    assert found["parameters"] == K * H + 2 * (8 * H * H + 8 * H) + H * K + K

    scores, y = torch.randn(7, 3, K), torch.randint(K, (7, 3))
    total, count = lab.loss(scores, y)
    logs = scores.log_softmax(-1).gather(-1, y[..., None])
    assert count == 3 and torch.isclose(total, -logs.sum())

    model = lab.Model("lstm", K=K, H=H, dropout=0.0, scale=0.1)
    assert max(value.abs().max() for value in model.parameters()) <= 0.1
    whole = model(torch.from_numpy(data.test[:-1])[:, None])[0].log_softmax(-1)[:, 0]
    by_hand = np.exp(-whole[range(8), data.test[1:]].mean().item())
    assert abs(lab.perplexity(model, data.test, n=3) - by_hand) < 1e-4 * by_hand


def test_a_text_is_cut_in_three_ways():
    from book.experiments import word_ngrams as experiment

    text = "In 1990 , 2 @,@ 500 <unk> 's . @-@ B2 <eos> = It = <eos>".split()
    plain = experiment._plain(text)
    assert plain == "in N N N <unk> 's b2 <eos> it <eos>".split()
    texts = {"train": "a a a b b <unk> <unk> c".split(), "test": "c b a d".split()}
    fewer = experiment._fewer(texts, 3)
    assert fewer["train"] == "a a a b b <unk> <unk> <unk>".split()
    assert fewer["test"] == "<unk> b a <unk>".split()
    with pytest.raises(ValueError, match="<unk>"):
        experiment._fewer({"train": list("aabbc")}, 2)
    uniform = experiment.ngram.kneser_ney(experiment.ngram.count(np.arange(4), 4, 1))
    assert experiment._perplexity(uniform, np.array([0, 1, 2, 3])) == 4
