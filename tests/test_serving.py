"""The rivals of benchmarks.serving give the same outputs, and one that does not is named."""

import subprocess
import sys
from pathlib import Path

import pytest

# Keras takes its backend when it is imported, here TensorFlow: so in a process of its own.
PROGRAM = """
import benchmarks.serving as serving

assert set(serving.forward_passes((7, 3, 4, 5))) == {rival.__name__ for rival in serving.RIVALS}
right = serving.onnx_runtime

def wrong(params, xs):
    return right(params | {"bias_hh": 0 * params["bias_hh"]}, xs)

serving.RIVALS = (serving.plain_numpy, wrong)
try:
    serving.forward_passes((7, 3, 4, 5))
except RuntimeError as error:
    print(error)
"""


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="TensorFlow has no build for it")
def test_rivals_give_the_same():
    root = Path(__file__).parents[1]
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, capture_output=True, text=True, cwd=root)
    assert done.stdout.strip() == "wrong gives other outputs for (7, 3, 4, 5)", done.stderr
