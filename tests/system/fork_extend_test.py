#!/usr/bin/env python3
"""An experiment that completed and was extended exports what one with the larger limits from the start does, byte for byte. A
fork of one of its trials, and a fork of that, train on from their sources' states, and every state is made again by retraining.

usage: fork_extend_test.py BIN_DIR [--worker PROGRAM] [--keep]
"""
import argparse
import csv
import io
import subprocess
import time

from harness import Product, blobs, check, check_counted_once, cnn_spec, free_port

parser = argparse.ArgumentParser()
parser.add_argument("bin")
parser.add_argument("--worker", help="a worker program without LibTorch: then nothing is verified by retraining")
parser.add_argument("--keep", action="store_true")
args = parser.parse_args()


class Service:
    """A scheduler and two workers over the product's store."""

    def __init__(self, product, name):
        self.product, self.name, self.processes = product, name, []
        listen, http = f"tcp://127.0.0.1:{free_port()}", free_port()
        self.url = f"http://127.0.0.1:{http}"
        self.start("scheduler", product.bin / "modelhop", "scheduler", "--state-dir", product.state_dir(name), "--listen", listen,
                   "--http", f"127.0.0.1:{http}", "--insecure-loopback")
        deadline = time.time() + 60
        while self("exp", "list", check=False).returncode != 0:
            check(time.time() < deadline, "the scheduler does not serve")
            time.sleep(0.1)
        for worker in ("a", "b"):
            self.start(worker, product.worker, "--scheduler", listen, "--name", worker, "--data-dir",
                       product.root / f"data-{name}-{worker}")

    def start(self, name, *words):
        out = open(self.product.root / f"{self.name}-{name}.log", "ab")
        self.processes.append(subprocess.Popen(list(map(str, words)), env=self.product.env(), stdout=out, stderr=out))

    def __call__(self, *words, check=True):
        return self.product.run(*words, "--server", self.url, check=check)

    def wait(self):
        self("exp", "wait", "e1", "--timeout", "240")

    def export(self):
        return self("exp", "export", "e1", "--format", "csv").stdout

    def end(self):
        for process in reversed(self.processes):
            process.terminate()
            process.wait(60)


with Product(args.bin, args.keep, args.worker) as product:
    blobs(product.root / "source", rows=2400, test_rows=400)
    product.run("data", "import", "blobs", "--from", "npy", product.root / "source", "--partitions", "3")
    product.finish("larger", cnn_spec(product.root / "larger.json", epochs=3), 2)
    expected = product.export("larger")

    service = Service(product, "grown")
    service("exp", "create", cnn_spec(product.root / "spec.json", epochs=1))
    service.wait()
    check(service.export() != expected, "one epoch is as three")
    service("exp", "extend", "e1", "--epochs", "2")
    service("exp", "extend", "e1", "--epochs", "3")  # while it runs
    service.wait()
    check(service.export() == expected, f"extended, it differs:\n{expected}\n{service.export()}")
    print("extended from 1 to 3 epochs: the same bytes as 3 from the start")

    refused = service("exp", "extend", "e1", "--epochs", "2", check=False)
    check(refused.returncode == 2 and "can only be raised" in refused.stderr, f"{refused.returncode} {refused.stderr}")
    refused = service("trial", "fork", "e1.2", "--set", "model.layers.5.out_features=9", check=False)
    check(refused.returncode == 2 and "model.layers.5.out_features" in refused.stderr, f"{refused.returncode} {refused.stderr}")

    fork = ["trial", "fork", "e1.2", "--epochs", "4", "--set", "training.optimizer.lr=0.0005", "--idempotency-key", "once"]
    check(service(*fork).stdout == "e1.7\n", "the first fork is the seventh trial")
    check(service(*fork).stdout == "e1.7\n", "the same key makes another")
    service.wait()
    check(service("trial", "fork", "e1.7", "--epochs", "5", "--set", "training.batch_size=48").stdout == "e1.8\n", "fork of a fork")
    service.wait()
    rows = list(csv.DictReader(io.StringIO(service.export())))
    check([row["epochs"] for row in rows] == ["3"] * 6 + ["4", "5"], rows)
    check(rows[6]["training.optimizer.lr"] == "0.0005" and rows[7]["training.batch_size"] == "48", rows)
    check(service.export().startswith(expected), "a fork changed its sources")
    service.end()
    visits = check_counted_once(product.units("grown"))
    check(visits == 6 * 3 * 3 + 2 * 3, f"{visits} visits counted")
    print("a fork, and a fork of it: 3 visits each")
    replayed = product.run("exp", "replay", "--state-dir", product.state_dir("grown"))
    print(replayed.stdout.strip().splitlines()[-1])
    if not args.worker:
        verified = product.run("exp", "verify", "e1", "--state-dir", product.state_dir("grown"))
        print(verified.stdout.strip().splitlines()[-1])
        check("e1.8" in verified.stdout, "the fork was not verified")
print("1 passed, 0 failed")
