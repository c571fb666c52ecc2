#!/usr/bin/env python3
"""Compares modelhop's training with PyTorch's (one thread, stock defaults) through files. Prints a table; exits 1 on a miss.

usage: oracle.py --bin build/dev/bin [--only gradients|optimizers|schedules|values|free]
"""
import argparse
import pathlib
import sys
import tempfile

import torch

import free_runs
import parts
from peer import Ours


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--bin", type=pathlib.Path, required=True, help="folder of modelhop-oracle")
    options.add_argument("--data", type=pathlib.Path, default=pathlib.Path("/usr/share/datasets/fashion-mnist"))
    options.add_argument("--only", action="append", help="a group of comparisons; may be given again")
    options.add_argument("--seeds", type=int, default=5, help="of the free runs over whole epochs")
    chosen = options.parse_args()
    torch.set_num_threads(1)
    groups = {
        "gradients": parts.gradients,
        "optimizers": parts.optimizers,
        "schedules": parts.schedules,
        "values": free_runs.values,
        "free": lambda ours: free_runs.fashion_mnist(ours, chosen.data, chosen.seeds),
    }
    missed = count = 0
    print(f"{'comparison':<64}{'difference':>12}{'limit':>9}")
    with tempfile.TemporaryDirectory() as scratch:
        ours = Ours(chosen.bin / "modelhop-oracle", scratch)
        for name in chosen.only or groups:
            for what, difference, limit in groups[name](ours):
                good = difference <= limit
                count += 1
                missed += not good
                print(f"{what:<64}{difference:>12.2e}{limit:>9.0e}{'' if good else '  MISS'}", flush=True)
    print(f"{count} comparisons, {missed} missed")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
