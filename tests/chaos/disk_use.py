#!/usr/bin/env python3
"""A run of 200 trials under the default policy, with workers killed and gc called now and then: how much disk does it use
against the states it must keep? Then, with what late workers could have left added: does `checkpoint gc --dry-run` name exactly
what the next gc deletes, and is every state that the journal keeps still whole?

usage: disk_use.py BIN_DIR [--trials N] [--kills N] [--seed S] [--workers N] [--keep]
Goal: under 3 times at every moment (once 20 trials have a state).
"""
import argparse
import json
import shutil
import time

import problem
from cluster import Cluster, Product, check, random_of
from stream import Follower

parser = argparse.ArgumentParser()
parser.add_argument("bin")
parser.add_argument("--trials", type=int, default=200)
parser.add_argument("--kills", type=int, default=6)
parser.add_argument("--seed", type=int, default=None)
parser.add_argument("--workers", type=int, default=2)
parser.add_argument("--gc-every", type=float, default=4, help="seconds between calls of gc while it runs")
parser.add_argument("--keep", action="store_true")
args = parser.parse_args()
rng = random_of(args.seed)


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


def collect(product, url, *flags):
    """gc's answer, and the files it named, within the store."""
    answer = json.loads(product.run("checkpoint", "gc", *flags, "--server", url, "-o", "json").stdout)
    names = [item["blob"] for item in answer["items"]]
    check(answer["count"] == len(names) == len(set(names)), f"{answer['count']} counted, {len(names)} named")
    return answer, set(names)


def leave_behind(store, trials):
    """What stale workers could have saved late: other visits and lineages of some trials, under their own names."""
    left = {}
    for path in rng.sample(sorted((store / "states").rglob("*.safetensors")), trials):
        lineage, rest = path.name.split(".", 1)
        visits, rest = rest.split("-", 1)
        late = path.with_name(f"{lineage}.{int(visits) - 1}-{rest}")
        shutil.copyfile(path, late)
        left[str(late.relative_to(store))] = late.stat().st_size
    return left


with Product(args.bin, args.keep) as product:
    problem.import_data(product, rows=1600, partitions=2)
    with Cluster(product, args.workers) as cluster:
        client = cluster.client()
        url = f"http://127.0.0.1:{cluster.http_port}"
        follower = Follower(cluster.http_port)
        spec = problem.spec("disk", epochs=3, lrs=(0.01, 0.001), batch_sizes=(32, 64), algorithm={"name": "random"},
                            max_trials=args.trials)
        experiment = client.submit(spec, "disk")["id"]
        needed, most, samples, most_bytes = Needed(), 0.0, 0, 0
        kill_at = sorted(rng.uniform(2, 25) for _ in range(args.kills))
        begun = collected = time.time()
        passes = deleted_live = 0
        while True:
            ended = client.get(f"/experiments/{experiment}")["state"] != "RUNNING"
            if kill_at and time.time() - begun > kill_at[0]:
                kill_at.pop(0)
                rng.choice(list(cluster.workers.values())).kill()
            if time.time() - collected > args.gc_every:
                collected = time.time()
                passes, deleted_live = passes + 1, deleted_live + len(collect(product, url)[1])
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
        check(samples >= 20, f"only {samples} samples")
        check(most < 3, f"{most:.2f} times the states to keep")

        left = leave_behind(product.store, 5)
        before = stored(product.store)
        _, named = collect(product, url, "--dry-run")
        check(stored(product.store) == before, "a dry run changed the store")
        check(named >= set(left), f"not named: {set(left) - named}")
        answer, deleted = collect(product, url)
        gone = set(before) - set(stored(product.store))
        print(f"gc ran {passes} times meanwhile and deleted {deleted_live} files; at the end it named {len(named)}, {len(left)} of them "
              f"put there, and deleted {len(gone)}; {answer['kept']} files, {answer['kept_bytes'] >> 10} KiB, are kept")
        check(named == deleted == gone, f"named {named}, said to be deleted {deleted}, gone {gone}")
        check(answer["size_bytes"] == sum(before[path] for path in gone), "the sum of bytes is wrong")
        check(not collect(product, url, "--dry-run")[1], "gc left something that it names")
        kept = {state["blob"]: state["id"] for state in client.get(f"/experiments/{experiment}/checkpoints")["items"]}
        rest = {path for path in stored(product.store) if path.startswith("states/")}
        check(rest == set(kept), f"the store has {len(rest)} states, the journal {len(kept)}")
        for name in rng.sample(sorted(kept.values()), 10):
            product.run("checkpoint", "download", name, "--out", product.root / "one.safetensors", "--server", url)
        follower.leave()
print("1 passed, 0 failed")
