"""Real data for the book's pages, and what its long experiments and benchmarks measured."""

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
