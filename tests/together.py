"""Starts a script in two processes that train together."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parent.parent
PATIENCE = 500.0
"""Seconds in which two processes that wait for each other are done, on whatever machine."""


def run_together(script: str, folder: Path, **environment: str) -> Any:
    """Starts two processes, and reads what each has written."""
    path = folder / "train.py"
    path.write_text(script, encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([str(CHECKOUT), str(CHECKOUT / "tests")]),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
        **environment,
    }
    processes = [
        subprocess.Popen(
            [sys.executable, str(path), str(folder)],
            env={**shared, "RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": "2"},
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in "01"
    ]
    try:
        for process in processes:
            told, _ = process.communicate(timeout=PATIENCE)
            assert process.returncode == 0, told
    finally:
        for process in processes:
            process.kill()
    return [json.loads((folder / f"{rank}.json").read_text(encoding="utf-8")) for rank in range(2)]
