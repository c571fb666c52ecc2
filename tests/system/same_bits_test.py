#!/usr/bin/env python3
"""The same spec, seed and data give the same trials, metrics and state hashes on 1, 2, 3 and 4 workers, and on 3 workers of
which one is SIGKILLed twice. `exp rerun` says so too, and `exp replay` that the journal gives the same state.

usage: same_bits_test.py BIN_DIR [--workers 1,2,3,4] [--epochs N] [--worker PROGRAM] [--keep]
"""
import argparse
import os
import signal
import time

from harness import Product, blobs, check, check_counted_once, cnn_spec, kill_group

parser = argparse.ArgumentParser()
parser.add_argument("bin")
parser.add_argument("--workers", default="1,2,3,4")
parser.add_argument("--epochs", type=int, default=2)
parser.add_argument("--worker", help="a worker program without LibTorch: then nothing is verified by retraining")
parser.add_argument("--keep", action="store_true")
args = parser.parse_args()

with Product(args.bin, args.keep, args.worker) as product:
    blobs(product.root / "source")
    product.run("data", "import", "blobs", "--from", "npy", product.root / "source", "--partitions", "4")
    spec = cnn_spec(product.root / "spec.json", epochs=args.epochs)

    expected = None
    for workers in map(int, args.workers.split(",")):
        name = f"w{workers}"
        product.finish(name, spec, workers)
        text = product.export(name)
        visits = check_counted_once(product.units(name))
        print(f"{workers} workers: {len(text.splitlines()) - 1} trials, {visits} visits")
        check(visits == 6 * 4 * args.epochs, f"{visits} visits counted")
        expected = expected or text
        check(text == expected, f"{workers} workers differ:\n{expected}\n{text}")

    first, most = args.workers.split(",")[0], args.workers.split(",")[-1]
    rerun = product.run("exp", "rerun", "e1", "--workers", most, "--state-dir", product.state_dir(f"w{first}"))
    print(f"{first} workers, run again on {most}: {rerun.stdout.strip()}")
    check(rerun.stdout.endswith("compared: equal\n"), rerun.stdout)

    process = product.start("killed", spec, 3)
    kills, deadline = 0, time.time() + 300
    finished_before = -1
    while kills < 2 and time.time() < deadline and process.poll() is None:
        time.sleep(0.05)
        try:
            finished = sum(unit["outcome"] == "finished" for unit in product.units("killed"))
        except (AssertionError, ValueError):
            continue  # no journal or no experiment yet
        victim = product.workers().get("w2")
        if victim and finished > finished_before:
            os.kill(victim, signal.SIGKILL)
            kills += 1
            finished_before = finished + 3
    if kills < 2:
        kill_group(process)
        raise AssertionError(f"only {kills} kills\n{product.log('killed')}")
    check(process.wait(300) == 0, product.log("killed"))
    check_counted_once(product.units("killed"))
    text = product.export("killed")
    check(text == expected, f"3 workers, one killed twice, differ:\n{expected}\n{text}")
    print("3 workers, one killed twice: the same bytes")
    replayed = product.run("exp", "replay", "--state-dir", product.state_dir("killed"))
    print(replayed.stdout.strip().splitlines()[-1])

    if args.worker:
        print("1 passed, 0 failed")
        raise SystemExit
    verified = product.run("exp", "verify", "e1", "--state-dir", product.state_dir("killed"))
    print(verified.stdout.strip().splitlines()[-1])
print("1 passed, 0 failed")
