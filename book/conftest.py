"""Pages whose packages have no build for this Python are not run."""

import sys

# gensim 4.4 neither has a wheel for Python 3.14 nor compiles there.
collect_ignore = ["resources/embeddings.ipynb"] if sys.version_info >= (3, 14) else []
