#!/usr/bin/env python3
"""Samples per second of our training loop against plain PyTorch: same model, data, batch and optimizer, one thread each.
Question: does a trial train at least as fast as in PyTorch? Peer: bench/train_peer.py. Both processes stay up; rounds
alternate, the first of each is not counted; the ratio is that of the medians. Exit 1 if a ratio is below 0.98."""
import argparse
import gzip
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
CASES = [("mlp", 64, 60000), ("mlp", 256, 60000), ("cnn", 64, 9600)]


def dense(width, last=False):
    return [{"type": "linear", "out_features": width}] + ([] if last else [{"type": "relu"}])


def convolution(channels):
    return [{"type": "conv2d", "out_channels": channels, "kernel_size": 3, "padding": 1}, {"type": "relu"},
            {"type": "max_pool2d", "kernel_size": 2}]


LAYERS = {
    "mlp": [{"type": "flatten"}, *dense(256), *dense(128), *dense(10, last=True)],
    "cnn": [*convolution(16), *convolution(32), {"type": "flatten"}, *dense(64), *dense(10, last=True)],
}


def recipe(kind, batch, optimizer):
    transform = [{"op": "scale", "factor": 1 / 255}, {"op": "normalize", "mean": [0.2860], "std": [0.3530]}]
    training = {"epochs": 1000, "batch_size": batch, "loss": "cross_entropy", "metrics": ["accuracy"],
                "optimizer": {"name": optimizer, "lr": 0.001}}
    return json.dumps({"dataset": {"name": "bench", "transform": transform},
                       "model": {"type": "sequential", "layers": LAYERS[kind]}, "training": training, "seed": 1})


def start(command):
    environment = dict(os.environ, OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)


def round_seconds(process):
    process.stdin.write("go\n")
    process.stdin.flush()
    line = process.stdout.readline()
    if not line:
        sys.exit("a side of the benchmark ended early")
    return float(line.split()[0])


def machine():
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"):
            return f"{line.split(':')[1].strip()}, {os.cpu_count()} cores"
    return platform.machine()


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--bin", type=pathlib.Path, required=True, help="folder of modelhop-bench-train")
    options.add_argument("--data", type=pathlib.Path, default=pathlib.Path("/usr/share/datasets/fashion-mnist"))
    options.add_argument("--rounds", type=int, default=9)
    options.add_argument("--optimizer", choices=["adam", "sgd"], nargs="+", default=["adam", "sgd"])
    options.add_argument("--only", help="a case: mlp-64, mlp-256 or cnn-64")
    chosen = options.parse_args()
    slow = False
    with tempfile.TemporaryDirectory() as scratch:
        for name, skip in (("train-images-idx3-ubyte", 16), ("train-labels-idx1-ubyte", 8)):
            zipped = chosen.data / f"{name}.gz"
            raw = gzip.decompress(zipped.read_bytes()) if zipped.exists() else (chosen.data / name).read_bytes()
            pathlib.Path(scratch, name).write_bytes(raw[skip:])
        files = [f"{scratch}/train-images-idx3-ubyte", f"{scratch}/train-labels-idx1-ubyte"]
        print(f"machine: {machine()}; {chosen.rounds} rounds; samples/s (median)")
        print(f"{'case':<16}{'modelhop':>12}{'PyTorch':>12}{'ratio':>8}")
        for kind, batch, rows in CASES:
            if chosen.only and chosen.only != f"{kind}-{batch}":
                continue
            for optimizer in chosen.optimizer:
                ours = start([str(chosen.bin / "modelhop-bench-train"), recipe(kind, batch, optimizer), str(rows), *files])
                peer = start([sys.executable, str(HERE / "train_peer.py"), kind, str(batch), optimizer, str(rows), *files])
                seconds = {ours: [], peer: []}
                for number in range(chosen.rounds + 1):
                    for process in (ours, peer) if number % 2 else (peer, ours):
                        took = round_seconds(process)
                        if number > 0:
                            seconds[process].append(took)
                for process in (ours, peer):
                    process.stdin.close()
                    process.wait()
                speed = [rows / statistics.median(seconds[process]) for process in (ours, peer)]
                ratio = speed[0] / speed[1]
                slow |= ratio < 0.98
                print(f"{kind}-{batch} {optimizer:<7}".ljust(16) + f"{speed[0]:>12.0f}{speed[1]:>12.0f}{ratio:>8.2f}", flush=True)
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
