"""Train a torch model: progress, validation, checkpoints with exact resume, several processes.

Needs PyTorch and tqdm: `pip install "lstm-companion[torch]"`. The smallest use is

    history = fit(model, loss, [(x, y)])

and everything else is another argument of `fit` or an entry of `Options`.
"""

from companion.engine.needed import needed

with needed(by="companion.train", what="PyTorch and tqdm", install='"lstm-companion[torch]"'):
    import torch  # noqa: F401
    import tqdm  # noqa: F401

from companion.train.fit import fit
from companion.train.options import History, Options
from companion.train.predict import predict

__all__ = ["History", "Options", "fit", "predict"]
