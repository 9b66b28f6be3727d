"""Train an LSTM to hear which of nine men speaks, and test it on what it never heard.

    python train.py                                  # less than a minute on a CPU
    python train.py --checkpoint run.pt              # goes on after a kill: same command
    torchrun --nproc-per-node 2 train.py             # the same training in two processes

The parts marked `train.py` stand, and are explained, on the page "Practice with PyTorch".
"""

# train.py: the model
from functools import partial

import torch
from torch import nn

from companion.data import load_japanese_vowels, packed, padded
from companion.train import Options, fit


class Speaker(nn.Module):
    """Scores of K speakers for a padded batch (x, lengths)."""

    def __init__(self, layer=nn.LSTM, D=12, H=20, num_layers=2, K=9):
        super().__init__()
        self.lstm = layer(D, H, num_layers)
        self.fc = nn.Linear(H, K)

    def forward(self, batch):
        _, (h, _) = self.lstm(packed(*batch))  # h: (num_layers, B, H)
        return self.fc(h[-1])


# train.py: the test
@torch.no_grad()
def accuracy(model, split):
    """Share of the utterances of a split whose speaker is named."""
    model.eval()
    device = next(model.parameters()).device
    right = 0
    for (x, lengths), y in padded(*split, 64)(0):
        scores = model((x.to(device), lengths))
        right += int((scores.argmax(1).cpu() == y).sum())
    return right / len(split.labels)


# train.py: the training
def learn(epochs, seed=0, layer=nn.LSTM, checkpoint=None, device="cpu"):
    """Train a new model. Returns it, and the history of its training."""
    torch.manual_seed(seed)
    model = Speaker(layer).to(device)
    adam = partial(torch.optim.Adam, lr=0.01)
    options = Options(epochs=epochs, optimizer=adam, clip=5, seed=seed)
    batches = padded(*load_japanese_vowels().train, 32, seed)
    loss = nn.functional.cross_entropy
    return model, fit(model, loss, batches, options, checkpoint=checkpoint)


def main():
    """Read the command line, train, and print what was reached."""
    import argparse
    import os

    parser = argparse.ArgumentParser(description="Who speaks? An LSTM on Japanese Vowels.")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--checkpoint", help="file to save to, and to go on from")
    parser.add_argument("--save", help="file for the trained weights")
    given = parser.parse_args()
    # torchrun numbers its processes, in all (RANK) and on each machine (LOCAL_RANK).
    rank, gpu = (int(os.environ.get(name, 0)) for name in ("RANK", "LOCAL_RANK"))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda":
        torch.cuda.set_device(gpu)
    model, history = learn(given.epochs, given.seed, checkpoint=given.checkpoint, device=device)
    if rank == 0:
        test = load_japanese_vowels().test
        print(f"loss {history.train[-1]:.4f}, accuracy {accuracy(model, test):.4f}")
        if given.save:
            torch.save(model.state_dict(), given.save)


if __name__ == "__main__":
    main()
