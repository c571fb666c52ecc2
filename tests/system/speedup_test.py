#!/usr/bin/env python3
"""Training time on two workers against one, Fashion-MNIST, interleaved; every trial trains on every worker.

usage: speedup_test.py BIN_DIR [--rounds N]     (the goal: median ratio at most 0.6)
"""
import argparse
import datetime
import json
import pathlib
import statistics

from harness import Product, check

parser = argparse.ArgumentParser()
parser.add_argument("bin")
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--source", default="/usr/share/datasets/fashion-mnist")
args = parser.parse_args()
configs = pathlib.Path(__file__).resolve().parents[2] / "configs"


def moment(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


with Product(args.bin) as product:
    product.run("data", "import", "fashion-mnist", "--from", "idx", args.source, "--partitions", "4", "--seed", "1")
    spec = json.loads((configs / "fmnist-mlp-grid.json").read_text())
    spec["training"]["epochs"] = 2
    path = product.root / "spec.json"
    path.write_text(json.dumps(spec))
    seconds = {1: [], 2: []}
    exports = set()
    for round_ in range(args.rounds):
        for workers in (1, 2):
            name = f"w{workers}r{round_}"
            product.finish(name, path, workers)
            units = product.units(name)
            seconds[workers].append(moment(max(u["to"] for u in units)) - moment(min(u["from"] for u in units)))
            exports.add(product.export(name))
            trained = {}
            for unit in units:
                trained.setdefault(unit["trial"], set()).add(unit["worker"])
            check(all(len(seen) == workers for seen in trained.values()), f"not every trial trained on every worker: {trained}")
    check(len(exports) == 1, "the exports differ")
    ratios = [two / one for one, two in zip(seconds[1], seconds[2])]
    print("1 worker:  " + ", ".join(f"{s:.2f} s" for s in seconds[1]))
    print("2 workers: " + ", ".join(f"{s:.2f} s" for s in seconds[2]))
    print(f"ratio: median {statistics.median(ratios):.3f} of " + ", ".join(f"{r:.3f}" for r in ratios))
    check(statistics.median(ratios) <= 0.6, "the median ratio is above 0.6")
print("1 passed, 0 failed")
