#!/usr/bin/env python3
"""Scheduler and workers all SIGKILLed at a moment drawn uniformly from the run's training time, and started again: the same
CSV, no unit counted twice. The time is cut into as many pieces as there are rounds and each round draws from its own; its
clock begins when its first unit does, since a start takes longer on a busy machine than the whole training on an idle one.

usage: restart_test.py BIN_DIR [--rounds N] [--seed S] [--workers N] [--epochs N] [--worker PROGRAM] [--keep]
"""
import argparse
import datetime
import time

from harness import Product, blobs, check, check_counted_once, cnn_spec, kill_group, random_of

parser = argparse.ArgumentParser()
parser.add_argument("bin")
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--seed", type=int, default=None)
parser.add_argument("--workers", type=int, default=2)
parser.add_argument("--epochs", type=int, default=4)
parser.add_argument("--worker", help="a worker program without LibTorch: then nothing is verified by retraining")
parser.add_argument("--keep", action="store_true")
args = parser.parse_args()
rng = random_of(args.seed)


def moment(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


with Product(args.bin, args.keep, args.worker) as product:
    blobs(product.root / "source")
    product.run("data", "import", "blobs", "--from", "npy", product.root / "source", "--partitions", "4")
    spec = cnn_spec(product.root / "spec.json", epochs=args.epochs)

    started = time.time()
    product.finish("calm", spec, args.workers)
    expected = product.export("calm")
    calm = product.units("calm")
    first = moment(min(unit["from"] for unit in calm)) - started
    last = moment(max(unit["to"] for unit in calm)) - started
    print(f"undisturbed: training from {first:.2f} s to {last:.2f} s after the start")

    inside = 0
    for round_ in range(args.rounds):
        name = f"round{round_}"
        delay = (last - first) * (round_ + rng.random()) / args.rounds
        process = product.start(name, spec, args.workers)
        product.wait_for_training(name)
        time.sleep(delay)
        kill_group(process)
        open_leases = sum(unit["outcome"] == "open" for unit in product.units(name))
        inside += open_leases > 0
        product.finish(name, spec, args.workers)
        text = product.export(name)
        check(text == expected, f"round {round_}, killed {delay:.2f} s into training, differs:\n{expected}\n{text}")
        visits = check_counted_once(product.units(name))
        check(visits == 6 * 4 * args.epochs, f"round {round_}: {visits} visits counted")
        print(f"round {round_}: killed {delay:.2f} s into training with {open_leases} units running; the same bytes")
    print(f"{inside} of {args.rounds} kills inside a unit")
    check(inside * 2 >= args.rounds, "fewer than half of the kills were inside a unit")
print(f"{args.rounds} passed, 0 failed")
