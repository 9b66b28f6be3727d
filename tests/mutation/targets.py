"""Which modules are changed, and which tests are to see it."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numba
import numpy as np

ROOT = Path(__file__).parents[2]


class Target(NamedTuple):
    """Modules, and the tests that run on each of their mutants."""

    modules: tuple[str, ...]  # paths below the root, or patterns of them
    tests: tuple[str, ...]  # tests/test_….py
    # Tests that are left out, by parts of their names: slow ones that see nothing more, and those
    # that run in processes of their own, where there is no mutant.
    without: tuple[str, ...] = ()
    share: float = 1.0  # of all mutants, what `make test` tries
    first: Callable | None = None  # what runs before pytest has started, and sees most mutants
    only: tuple[str, ...] = ()  # the tests that are left in, by parts of names, where they are few

    @property
    def paths(self):
        return sorted(path for pattern in self.modules for path in ROOT.glob(pattern))


def along_one_direction():
    """The complex step of every cell along one direction: kills most mutants in milliseconds."""
    from every_cell import EVERY

    from companion.gradcheck import Problem

    rng = np.random.default_rng(0)
    for cell in EVERY.values():
        problem = Problem.draw(cell, 4, rng, sizes=(2, 3, 4))
        along = {name: rng.normal(size=value.shape) for name, value in problem.arrays.items()}
        moved = {name: value + 1e-30j * along[name] for name, value in problem.arrays.items()}
        gradients = problem.gradients()
        expected = sum(np.sum(gradients[name] * along[name]) for name in along)
        assert abs(problem.loss(moved).imag / 1e-30 - expected) < 1e-10, cell


def without_numba():
    """From now on what is to be compiled runs as it stands: a mutant would be compiled anew."""
    numba.config.DISABLE_JIT = True


def without_a_cache():
    """From now on loops are compiled anew: kept ones were made of the module as it is."""
    os.environ["XDG_CACHE_HOME"] = os.devnull


def lab(*names):
    """Modules that experiments share."""
    return tuple(f"book/experiments/lab/{name}.py" for name in names)


# Modules of which no mutants are made, and why.
UNCHANGED = {
    "companion/types.py": "the names of types alone",
    "companion/nn/cuda_graphs.py": "it runs on a GPU alone",
    "companion/plots/*.py": "how a plot looks is judged by eye",
    "companion/data/voices.py": "another program speaks, and what it said is read from the disk",
    "companion/engine/compiled.py": "for each mutant all cells would have to be compiled",
    "companion/engine/loop_source.py": "the same",
    "book/experiments/[!_]*.py": "settings, which test_lab_results.py compares, and long trainings",
}
# The tasks that test_tasks.py tests.
SYNTHETIC = ("batch", "counting", "grammar", "lag", "marked", "order", "timing")
# Those that have a file of tests each.
OTHER_TASKS = ("homophones", "moving_digits", "state_tracking", "stories")
# What of companion.nn is seen without torch.compile and without a GPU.
LAYERS = ("batch_layout", "checks", "layer", "layers", "projection", "torch_loops")
# Beside the layers: single steps, and what papers proposed since.
BESIDE = ("chrono", "locked_dropout", "resets", "single", "stepwise")

# Text, tables and recordings, and how they are fetched and dealt out.
DATA = (
    *("batches", "card", "demand", "digits", "download", "folders", "pairs", "reviews", "sources"),
    *("stocks", "stored", "text", "unpack", "vowels", "weather", "words"),
)
# Networks of the book, by the file of tests that tests them.
MODELS = {
    "models": ("characters", "probe"),
    "conv_lstm": ("conv_lstm",),
    "framewise": ("framewise",),
    "hours_ahead": ("hours_ahead",),
    "memory_network": ("memory_network",),
    "min_lstm": ("min_lstm",),
    "recogniser": ("recogniser",),
    "state_tracker": ("state_tracker",),
    "translator": ("translator",),
    "stocks": ("daily_returns", "volatility"),
    "demand": ("day_ahead",),
    "reviews": ("nbsvm", "sentiment"),
}

TARGETS = (
    Target(
        ("companion/cells/*.py", "companion/engine/loops.py", "companion/engine/unroll.py"),
        ("cells", "bad_input", "unroll"),
        # What these see, along_one_direction sees sooner.
        ("central_differences", "agree_with_the_complex_step", "autograd"),
        first=along_one_direction,
    ),
    Target(
        ("companion/activations.py", "companion/params.py"),
        ("activations", "bad_input", "cells", "unroll"),
        ("central_differences", "autograd"),
        0.04,
    ),
    Target(("companion/scores.py",), ("scores",), share=0.1),
    Target(("companion/engine/checkpoint.py",), ("checkpoint",), ("memory",), 0.1),
    Target(("companion/readout.py", "companion/optim.py"), ("readout_and_optim",), share=0.1),
    Target(("companion/gradcheck.py",), ("gradcheck",), share=0.1),
    Target(("companion/scan.py", "companion/min_lstm.py"), ("scan", "min_lstm"), share=0.1),
    Target(("companion/mlstm.py",), ("mlstm",), share=0.04),
    Target(("companion/newton.py",), ("newton",), share=0.04),
    Target(("companion/ctc.py",), ("ctc",), share=0.08),
    Target(("companion/decode.py",), ("decode",), share=0.06),
    Target(("companion/ngram.py",), ("ngram",), share=0.06),
    Target(
        ("companion/engine/fingerprint.py",),
        ("compiled",),
        only=("fingerprint_whatever", "changes_it_too", "default_may", "refused", "settings_of"),
        share=0.02,
    ),
    Target(
        ("companion/engine/product.py", "companion/engine/tiles.py"),
        ("compiled", "product"),
        only=("panels_hold", "products_of", "it_is_cut_into"),
        share=0.005,
        first=without_a_cache,
    ),
    Target(
        ("companion/engine/parts.py",),
        ("threads",),
        only=("whole_blocks", "every_part"),
        share=0.05,
    ),
    Target(
        tuple(f"companion/{name}.py" for name in ("engine/team", "engine/threads", "nn/openmp")),
        ("threads", "product", "compiled"),
        only=(
            *("lstm-float32", "gru-float32", "openmp", "of_torch", "as_it_is_worth", "counted"),
            *("that_fails", "products_of", "may_lie", "oddly"),
        ),
        share=0.05,
    ),
    Target(("companion/engine/scalar.py",), ("compiled",), only=("single_numbers",), share=0.01),
    Target(("companion/gru2014.py",), ("gru2014",), share=0.02),
    Target(
        ("companion/sound.py", "companion/utterances.py", "companion/word_vectors.py"),
        ("sound", "utterances", "word_vectors"),
        share=0.02,
    ),
    Target(("companion/forecast/*.py",), ("forecast", "leak"), share=0.005),
    Target(
        tuple(f"companion/data/{name}.py" for name in DATA),
        ("data", "words", "weather", "pairs", "reviews", "demand", "stocks", "digits", "download"),
        ("fit_eats_both", "network", "gradients"),
        0.005,
    ),
    *(
        Target(tuple(f"companion/models/{m}.py" for m in models), (name,), ("cold_sample",), 0.004)
        for name, models in MODELS.items()
    ),
    Target(tuple(f"companion/tasks/{name}.py" for name in SYNTHETIC), ("tasks",), share=0.02),
    *(Target((f"companion/tasks/{name}.py",), (name,), ("espeak",), 0.02) for name in OTHER_TASKS),
    Target(
        tuple(f"companion/nn/{name}.py" for name in LAYERS),
        ("nn_input", "nn", "nn_autograd"),
        ("compiles", "exports", "operators_are", "LSTM-stacked", "RNN-stacked", "GRU-stacked"),
        0.02,
    ),
    Target(
        tuple(f"companion/nn/{name}.py" for name in BESIDE),
        ("nn_resets", "nn_regularise", "nn_stepwise", "nn_single"),
        ("compiles",),
        0.02,
    ),
    Target(("companion/nn/direct.py",), ("nn_direct",), share=0.1),
    Target(
        ("companion/nn/function.py", "companion/nn/operators.py"),
        ("nn", "nn_autograd", "nn_recording"),
        (
            *("compiles", "operators_are", "in_a_compiled", "LSTM-stacked", "RNN-stacked"),
            *("GRU-stacked", "LSTM-True", "RNN-True", "LSTM-False", "RNN-False"),
        ),
        0.02,
    ),
    Target(
        ("companion/nn/torch_names.py",),
        ("nn_input", "nn_onnx"),
        ("a_whole_model", "weights_", "exported", "without_a_batch", "projected_and", "refused"),
        0.1,
    ),
    Target(
        ("companion/nn/onnx_export.py",),
        ("nn_onnx",),
        ("stacked", "bidirectional", "RNN-", "exported", "without_a_batch", "int8"),
        0.1,
    ),
    Target(("companion/engine/needed.py",), ("train_input",), only=("what_to_install",)),
    Target(
        ("companion/train/*.py",),
        ("train_input", "train_accumulate", "train_processes", "train", "train_resume"),
        ("killed_at_any_moment", "survive_a_kill", "worker"),
        0.03,
    ),
    Target(
        ("companion/weights/*.py",),
        ("weights", "weights_onnx", "against_keras"),
        ("keras_gives_the_same", "import_takes", "what_pytorch_exports", "equal_to_keras"),
        0.04,
    ),
    # The book comes last: from here on the package stays imported.
    Target(
        lab("training", "runner", "machine"),
        ("experiments", "lab_runs"),
        ("ten_streams", "chrono", "tasks_of_1997", "reber", "counter", "timing"),
        0.02,
    ),
    Target(lab("streams"), ("lab_streams",), share=0.02),
    Target(lab("texts", "words"), ("lab_words",), share=0.02),
    Target(lab("race_networks", "race_training"), ("lab_race",), share=0.02),
    # What trains whole networks takes too long without numba.
    Target(lab("online"), ("online",), ("the_same_again",), 0.02, without_numba),
    Target(
        lab("digit_networks", "digit_strings", "templates"),
        ("digits", "lab_speech"),
        ("frame_network", "lists_are"),
        0.02,
    ),
)
