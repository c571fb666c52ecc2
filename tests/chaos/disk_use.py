#!/usr/bin/env python3
"""A run of 200 trials under the default policy, with workers killed now and then: how much disk does it use against the states
it must keep? Then: does `checkpoint gc --dry-run` name what the next gc deletes?

usage: disk_use.py BIN_DIR [--trials N] [--kills N] [--seed S] [--workers N] [--keep]
Goal: under 3 times at every moment (once 20 trials have a state).
"""
import argparse
import random
import threading
import time

import problem
from cluster import Cluster, Product, check
from stream import Follower

parser = argparse.ArgumentParser()
parser.add_argument("bin")
parser.add_argument("--trials", type=int, default=200)
parser.add_argument("--kills", type=int, default=6)
parser.add_argument("--seed", type=int, default=None)
parser.add_argument("--workers", type=int, default=2)
parser.add_argument("--keep", action="store_true")
args = parser.parse_args()
seed = args.seed if args.seed is not None else random.randrange(1 << 30)
print(f"seed {seed}")
rng = random.Random(seed)


def stored(store):
    """path within the store -> bytes, of states and of what is on its way to be one."""
    found = {}
    for folder in ("states", "tmp"):
        for path in (store / folder).rglob("*"):
            try:
                if path.is_file():
                    found[str(path.relative_to(store))] = path.stat().st_size
            except FileNotFoundError:
                pass
    return found


class Needed:
    """From the records: each trial's newest state, and of a live trial its last milestone's too."""

    def __init__(self):
        self.seq, self.bytes = 0, 0
        self.trial, self.head, self.milestone = {}, {}, {}  # by token, by trial, by trial

    def follow(self, follower):
        for record in follower.records()[self.seq:]:
            body = record["body"]
            if record["type"] == "unit_leased":
                self.trial[body["token"]] = body["trial"]
            elif record["type"] == "unit_finished":
                self.head[self.trial[body["token"]]] = body["state"]
            elif record["type"] == "trial_evaluated":
                self.milestone[body["trial"]] = body["state"]
            elif record["type"] == "trial_ended":
                self.milestone.pop(body["trial"], None)
            self.seq = record["seq"]
        states = {state["hash"]: state["size_bytes"] for of in (self.head, self.milestone) for state in of.values()}
        self.bytes = sum(states.values())
        return len(self.head)


with Product(args.bin, args.keep) as product:
    problem.import_data(product, rows=1600, partitions=2)
    with Cluster(product, args.workers) as cluster:
        client = cluster.client()
        follower = Follower(cluster.http_port)
        spec = problem.spec("disk", epochs=3, lrs=(0.01, 0.001), batch_sizes=(32, 64), algorithm={"name": "random"},
                            max_trials=args.trials)
        experiment = client.submit(spec, "disk")["id"]
        needed, most, samples, most_bytes = Needed(), 0.0, 0, 0
        kill_at = sorted(rng.uniform(2, 25) for _ in range(args.kills))
        begun = time.time()
        while True:
            ended = client.get(f"/experiments/{experiment}")["state"] != "RUNNING"
            if kill_at and time.time() - begun > kill_at[0]:
                kill_at.pop(0)
                rng.choice(list(cluster.workers.values())).kill()
            trials = needed.follow(follower)
            used = sum(stored(product.store).values())
            if trials >= 20:
                samples += 1
                most_bytes = max(most_bytes, used)
                most = max(most, used / needed.bytes)
            if ended:
                break
            check(time.time() - begun < 600, "not ended after 600 s")
            time.sleep(0.05)
        check(follower.wait_for(lambda r: r["type"] == "experiment_state_changed", 30), "the end was not recorded")
        time.sleep(2)
        needed.follow(follower)
        end = stored(product.store)
        print(f"{args.trials} trials, {samples} samples: at most {most:.2f} times the states to keep, {most_bytes >> 10} KiB; at the end "
              f"{len(end)} files, {sum(end.values()) >> 10} KiB, of {needed.bytes >> 10} KiB to keep")
        check(most < 3, f"{most:.2f} times the states to keep")

        named = product.run("checkpoint", "gc", "--dry-run", "--server", f"http://127.0.0.1:{cluster.http_port}", "-o", "json").stdout
        product.run("checkpoint", "gc", "--server", f"http://127.0.0.1:{cluster.http_port}")
        deadline = time.time() + 30
        while True:
            gone = sorted(set(end) - set(stored(product.store)))
            missed = [path for path in gone if path not in named]
            if gone or time.time() > deadline:
                break
            time.sleep(0.2)
        print(f"gc deleted {len(gone)} files, {len(gone) - len(missed)} of them named by --dry-run")
        check(not missed, f"not named: {missed}")
        follower.leave()
print("1 passed, 0 failed")
