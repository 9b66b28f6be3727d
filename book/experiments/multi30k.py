"""English to German on Multi30k: with attention, and without it, the source read backwards.

The data are looked for as `companion.data.fetch_multi30k` says: COMPANION_DATA names a folder that
has multi30k/train.en.gz and the others. What needs no training is job "baselines"; the choice of
the rate is a short training of its own seed, judged by the validation sentences.
"""

from collections import Counter
from functools import partial

import numpy as np
import sacrebleu
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from torch.optim.lr_scheduler import LambdaLR

from book.experiments.lab.runner import run
from book.experiments.lab.words import WORK, Clock
from companion.data.pairs import (
    END,
    PAD,
    fetch_multi30k,
    numbered,
    paired,
    text,
    tokens,
    vocabulary,
)
from companion.decode import beam_search
from companion.models.translator import Translator, loss, searcher, translate
from companion.train import Options, fit

METHODS = {
    "attention": {"attention": True, "reversed": False},
    "reversed": {"attention": False, "reversed": True},
}
SETTINGS = {
    "seeds": 3,
    "D": 256,
    "H": 256,
    "B": 64,
    "epochs": 6,
    "dropout": 0.3,
    "schedule": "the rate falls linearly to 0 over all updates; the epoch of the best validation",
    "clip": 1.0,
    "least": 3,
    "limit": 50,
    "width": 5,
    "widths": {"sizes": [1, 5, 25], "sentences": 100, "method": "attention", "seed": 0},
    "examples": 12,
    "methods": METHODS,
    "choice": {"lr": [0.001, 0.002], "epochs": 1, "seed": 100},
    "torch": torch.__version__,
    "sacrebleu": sacrebleu.__version__,
}
CHOSEN = {"attention": 0.002, "reversed": 0.002}
BLEU, CHRF = sacrebleu.BLEU(), sacrebleu.CHRF()
TOKENS_BLEU = sacrebleu.BLEU(tokenize="none", force=True)


class Data:
    """Multi30k from English to German, as words and as their numbers."""

    def __init__(self):
        data = fetch_multi30k()
        self.checksum, self.lines = data.card.checksum, data
        self.words = {
            (part, language): [tokens(line) for line in getattr(getattr(data, part), language)]
            for part in ("train", "valid", "test")
            for language in ("en", "de")
        }
        self.known = {
            k: vocabulary(self.words["train", k], SETTINGS["least"]) for k in ("en", "de")
        }

    def numbers(self, part, language, backwards=False):
        """The sentences of a part as arrays of numbers."""
        rows = numbered(self.words[part, language], self.known[language])
        return [row[::-1].copy() for row in rows] if backwards else rows

    def german(self, rows):
        """Numbers of words to lines of text."""
        names = list(self.known["de"])
        return [text([names[k] for k in row]) for row in rows]


def scores(lines, references):
    """BLEU and chrF of a whole text, their signatures, and what BLEU counts in each sentence."""
    bleu, chrf = BLEU.corpus_score(lines, [references]), CHRF.corpus_score(lines, [references])
    counts = BLEU._extract_corpus_statistics(lines, [references])
    simple = [[" ".join(tokens(line.lower())) for line in each] for each in (lines, references)]
    return {
        "bleu": round(bleu.score, 2),
        "chrf": round(chrf.score, 2),
        "signatures": [str(metric.get_signature()) for metric in (BLEU, CHRF)],
        "lowered": round(TOKENS_BLEU.corpus_score(simple[0], [simple[1]]).score, 2),
        "length": round(bleu.sys_len / bleu.ref_len, 4),
        "counts": [[int(k) for k in row] for row in counts],
    }


def bucketed(sources, targets, B, seed):
    """As `paired`, but sentences of a batch are alike in both lengths, so that little is filled."""
    sizes = [np.array([len(row) for row in rows]) for rows in (targets, sources)]

    def batches(epoch):
        rng = np.random.default_rng([seed, epoch])
        order = rng.permutation(len(sources))
        order = order[np.lexsort([size[order] for size in sizes])]
        for start in rng.permutation(np.arange(0, len(order), B)):
            part = order[start : start + B]
            yield from paired([sources[k] for k in part], [targets[k] for k in part], B)(epoch)

    return batches


def train(data, method, job):
    """Train one network, with a checkpoint after every epoch. Returns it, and what came out."""
    torch.set_num_threads(1)
    torch.set_float32_matmul_precision("medium")  # faster where the processor has bfloat16
    torch.manual_seed(job["seed"])
    backwards, epochs = method["reversed"], job.get("epochs", SETTINGS["epochs"])
    sizes = len(data.known["en"]), len(data.known["de"])
    model = Translator(
        sizes, SETTINGS["D"], SETTINGS["H"], method["attention"], SETTINGS["dropout"]
    )
    pairs = {
        part: (data.numbers(part, "en", backwards), data.numbers(part, "de"))
        for part in ("train", "valid")
    }
    batches = bucketed(*pairs["train"], SETTINGS["B"], job["seed"])
    updates = epochs * -(-len(pairs["train"][0]) // SETTINGS["B"])
    WORK.mkdir(parents=True, exist_ok=True)
    name = "multi30k-" + "-".join(str(value) for value in job.values())
    clock = Clock(WORK / f"{name}.seconds")

    def timed(epoch):
        clock.path.write_text(str(clock.seconds()))
        return batches(epoch)

    history = fit(
        model,
        loss,
        timed,
        Options(
            epochs=epochs,
            optimizer=partial(torch.optim.Adam, lr=job["lr"]),
            schedule=partial(LambdaLR, lr_lambda=lambda k: max(0.0, 1 - k / updates)),
            clip=SETTINGS["clip"],
            seed=job["seed"],
            every=10**6,
        ),
        validation=list(paired(*pairs["valid"], 100)(0)),
        checkpoint=WORK / f"{name}.pt",
    )
    clock.path.write_text(str(clock.seconds()))
    torch.save(model.state_dict(), WORK / f"{name}-weights.pt")
    return model, {
        "training": [round(x, 4) for x in history.train],
        "validation": [round(x, 4) for x in history.validation],
        "best": history.best,
        "updates": updates,
        "parameters": sum(value.numel() for value in model.parameters()),
        "vocabularies": sizes,
        "seconds": clock.seconds(),
    }


@torch.no_grad()
def teacher_forced(model, pairs):
    """Share of next words that are right when all words before them are the reference's."""
    right = count = 0
    for x, y in paired(*pairs, 100)(0):
        real = y != PAD
        right += int(((model(x).argmax(-1) == y) & real).sum())
        count += int(real.sum())
    return right / count


def beams(model, sources, width):
    """The likeliest output, and the one of the best mean a word; and each log-probability."""
    found = {"sum": [], "mean": []}
    for source in sources:
        outputs = beam_search(*searcher(model, source), END, SETTINGS["limit"], width)
        found["sum"].append(outputs[0])
        found["mean"].append(max(outputs, key=lambda h: h.score / len(h.tokens)))
    return found


def examine(model, data, method, job):
    """Translate the test sentences: greedy, with a beam, and with wide ones."""
    sources, targets = data.numbers("test", "en", method["reversed"]), data.numbers("test", "de")
    references = data.lines.test.de
    greedy, looks = [], []
    for (source, lengths, _), _ in paired(sources, targets, 100)(0):
        rows, weights = translate(model, source, lengths, SETTINGS["limit"])
        greedy += rows
        if weights is not None and not looks:
            looks = [
                weights[: len(rows[k]) + 1, : lengths[k], k].numpy().round(3).tolist()
                for k in range(SETTINGS["examples"])
            ]
    beam = beams(model, sources, SETTINGS["width"])
    lines = {"greedy": data.german(greedy)}
    lines |= {f"beam, {name}": data.german([h.tokens for h in beam[name]]) for name in beam}
    result = {"teacher forced": round(teacher_forced(model, (sources, targets)), 4)}
    result |= {name: scores(own, references) for name, own in lines.items()}
    result["examples"] = {name: own[: SETTINGS["examples"]] for name, own in lines.items()}
    result["looks"] = looks
    wide = SETTINGS["widths"]
    if (job["method"], job["seed"]) == (wide["method"], wide["seed"]):
        result["widths"] = []
        for width in wide["sizes"]:
            n = wide["sentences"]
            found = beams(model, sources[:n], width)
            for name, own in found.items():
                one = scores(data.german([h.tokens for h in own]), references[:n])
                one.pop("counts")
                log_p = sum(h.score for h in own) / n
                empty = sum(len(h.tokens) <= 1 for h in own)
                one |= {"width": width, "rank by": name, "log_p": round(log_p, 3), "empty": empty}
                result["widths"].append(one)
    return result


def dictionary(data, rounds=10):
    """For each English word the likeliest German one, by model 1 of Brown et al. (1993)."""
    known = {k: vocabulary(data.words["train", k]) for k in ("en", "de")}
    pairs = [numbered(data.words["train", k], known[k]) for k in ("en", "de")]
    rows, place = [], 0
    for e, d in zip(*pairs, strict=True):
        e = np.r_[PAD, e]  # its empty word, for what no English word wrote
        where = np.arange(place, place + len(d))
        rows.append(np.stack([np.repeat(e, len(d)), np.tile(d, len(e)), np.tile(where, len(e))]))
        place += len(d)
    e, d, where = np.concatenate(rows, 1)
    both, pair = np.unique(e * len(known["de"]) + d, return_inverse=True)
    english, german = both // len(known["de"]), both % len(known["de"])
    p = np.full(len(both), 1.0)
    for _ in range(rounds):
        share = p[pair] / np.bincount(where, p[pair])[where]  # who wrote this German word?
        p = np.bincount(pair, share)
        p /= np.bincount(english, p)[english]
    order = np.argsort(p, kind="stable")
    best = np.zeros(len(known["en"]), int)
    best[english[order]] = german[order]
    names = list(known["de"])
    return {word: names[best[k]] for word, k in known["en"].items() if best[k]}


def baselines(data):
    """What no network is needed for, and what the vocabulary alone costs."""
    english, references = data.lines.test.en, data.lines.test.de
    usual = Counter(data.lines.train.de).most_common(1)[0][0]
    table = dictionary(data)
    vectors = TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"\w+").fit(data.lines.train.en)
    like = vectors.transform(english) @ vectors.transform(data.lines.train.en).T
    nearest = np.asarray(like.argmax(1)).ravel()
    known = data.known["de"]
    lines = {
        "source copied": english,
        "most frequent sentence": [usual] * len(english),
        "word by word": [text([table.get(w, w) for w in s]) for s in data.words["test", "en"]],
        "nearest sentence": [data.lines.train.de[k] for k in nearest],
        "reference, known words": [
            text([w for w in words if w in known]) for words in data.words["test", "de"]
        ],
    }
    whole = [text(words) for words in data.words["test", "de"]]
    result = {name: scores(own, references) for name, own in lines.items()}
    n = SETTINGS["examples"]
    return result | {
        "usual": usual,
        "examples": {name: own[:n] for name, own in lines.items()},
        "sources": english[:n],
        "references": references[:n],
        "restored": float(np.mean([a == b for a, b in zip(whole, references, strict=True)])),
        "lengths": [len(words) for words in data.words["test", "en"]],
        "unknown": {
            k: float(np.mean([w not in data.known[k] for s in data.words["test", k] for w in s]))
            for k in ("en", "de")
        },
    }


def outcome(job):
    """Train and test one method with one seed, or the baselines."""
    torch.set_num_threads(1)
    data = Data()
    if job["method"] == "baselines":
        return {**baselines(data), "data": data.checksum}
    method = METHODS[job["method"]]
    model, result = train(data, method, job)
    if "epochs" in job:
        return {**result, "data": data.checksum}
    return {**result, **examine(model, data, method, job), "data": data.checksum}


def jobs(seeds):
    """The baselines and the choice of the rate, then every method with every seed."""
    choice = SETTINGS["choice"]
    first = [{"method": "baselines", "seed": 0}] + [
        {"method": method, "lr": lr, "seed": choice["seed"], "epochs": choice["epochs"]}
        for lr in choice["lr"]
        for method in METHODS
    ]
    return first + [
        {"method": method, "lr": CHOSEN[method], "seed": seed}
        for seed in seeds
        for method in METHODS
    ]


if __name__ == "__main__":
    run("multi30k", __doc__, SETTINGS, jobs, outcome)
