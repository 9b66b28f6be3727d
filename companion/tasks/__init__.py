"""The classical tasks with long time lags, as pure functions of a random generator.

A task draws B sequences with `rng` and gives a `Batch`: xs (T, B, D), targets (T, B, K) and mask
(T, B). A size that is too small or no whole number raises ValueError. Beside a task stands its
success rule, of the same source unless it says otherwise. A rule is given a network's outputs,
a NumPy array (T, B, K), and the batch. One named `_solved` says of each of the B sequences whether
the outputs got it right; one named `_correct` says it of every step. Outputs of another shape than
the targets raise ValueError.
"""

from companion.tasks.batch import Batch, finished, mean_error, steps_until_error, within
from companion.tasks.counting import anbn, anbn_solved, parity, parity_solved
from companion.tasks.grammar import (
    continual_reber,
    continual_reber_correct,
    embedded_reber,
    embedded_reber_solved,
    reber,
    reber_solved,
)
from companion.tasks.lag import (
    copy,
    copy_baseline,
    copy_solved,
    noise_free_lag,
    noise_free_lag_solved,
    random_lag,
    random_lag_solved,
)
from companion.tasks.marked import (
    adding,
    adding_solved,
    multiplication,
    multiplication_solved,
)
from companion.tasks.order import temporal_order, temporal_order_solved
from companion.tasks.state_tracking import group_words, group_words_correct
from companion.tasks.timing import (
    generate_spikes,
    measure_delays,
    periodic,
    periodic_solved,
    spikes_solved,
)

__all__ = [
    "Batch",
    "adding",
    "adding_solved",
    "anbn",
    "anbn_solved",
    "continual_reber",
    "continual_reber_correct",
    "copy",
    "copy_baseline",
    "copy_solved",
    "embedded_reber",
    "embedded_reber_solved",
    "finished",
    "generate_spikes",
    "group_words",
    "group_words_correct",
    "mean_error",
    "measure_delays",
    "multiplication",
    "multiplication_solved",
    "noise_free_lag",
    "noise_free_lag_solved",
    "parity",
    "parity_solved",
    "periodic",
    "periodic_solved",
    "random_lag",
    "random_lag_solved",
    "reber",
    "reber_solved",
    "spikes_solved",
    "steps_until_error",
    "temporal_order",
    "temporal_order_solved",
    "within",
]
