"""Make companion/data/stocks.npz from the file of the Python package bokeh_sampledata.

    pip download --no-deps bokeh_sampledata==2026.1 && unzip bokeh_sampledata-*.whl
    python scripts/stocks.py bokeh_sampledata/_data/stocks.csv.gz

Kept are the three companies that have all 3,270 days, their adjusted closing prices, rounded to
float32, and their volumes.
"""

import csv
import gzip
import sys
from pathlib import Path

import numpy as np

TARGET = Path(__file__).resolve().parent.parent / "companion" / "data" / "stocks.npz"
NAMES = ("IBM", "AAPL", "MSFT")


def main(path):
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    columns = {name: [row for row in rows if row["Ticker"] == name] for name in NAMES}
    dates = [[row["Date"] for row in column] for column in columns.values()]
    if not all(own == dates[0] for own in dates):
        raise ValueError("the days of the companies must be the same")

    def table(field, dtype):
        return np.array([[float(row[field]) for row in c] for c in columns.values()], dtype).T

    days = np.array(dates[0], "datetime64[D]").astype(np.int32)
    prices, volumes = table("Adj Close", np.float32), table("Volume", np.uint32)
    np.savez_compressed(TARGET, names=np.array(NAMES), days=days, prices=prices, volumes=volumes)


if __name__ == "__main__":
    main(sys.argv[1])
