"""Parses the files that standard input lists, one a line, with LibCST and does nothing else.

    python benchmarks/parse_only.py PROCESSES < list

This is the floor under any analyser that stands on LibCST.  As such an analyser would,
it imports the parser before it forks, switches the collector off and hands the largest
files out first.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import sys
from pathlib import Path

import libcst


def parse(path: str) -> None:
    try:
        libcst.parse_module(Path(path).read_bytes())
    except libcst.ParserSyntaxError:
        print(f"cannot be parsed: {path}", file=sys.stderr)


def main() -> None:
    processes = int(sys.argv[1])
    paths = sorted(sys.stdin.read().splitlines(), key=os.path.getsize, reverse=True)
    gc.disable()
    if processes == 1:
        for path in paths:
            parse(path)
        return
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        for _ in pool.imap_unordered(parse, paths, chunksize=4):
            pass
        pool.close()
        pool.join()


if __name__ == "__main__":
    main()
