#!/usr/bin/env python3
"""Workers SIGSTOPped inside a unit until past its lease, then continued: each late result is dismissed, logged once, and not
counted.

usage: stale.py BIN_DIR [--stops N] [--seed S] [--workers N] [--keep]
"""
import argparse
import pathlib
import re
import signal
import time

import problem
from cluster import Cluster, Product, check, metrics, random_of
from stream import Follower, at_s, leases_of

parser = argparse.ArgumentParser()
parser.add_argument("bin")
parser.add_argument("--stops", type=int, default=50)
parser.add_argument("--seed", type=int, default=None)
parser.add_argument("--workers", type=int, default=4)
parser.add_argument("--keep", action="store_true")
args = parser.parse_args()
rng = random_of(args.seed)
LEASE_S = 15


def dismissals(log):
    """token -> how often the scheduler's log says that its result was dismissed."""
    found = {}
    for token in re.findall(r"late result .*?token (\d+\.\d+)", log):
        found[token] = found.get(token, 0) + 1
    return found


def inside_a_unit(follower, name, age_s):
    """The worker's lease once it is so old. One granted a moment ago may not have reached it, and then has no result."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        lease = follower.open_leases().get(name)
        if lease is not None and time.time() - at_s(lease) >= age_s:
            return lease
        time.sleep(0.01)
    return None


with Product(args.bin, args.keep) as product:
    problem.import_data(product)
    with Cluster(product, args.workers) as cluster:
        client = cluster.client()
        follower = Follower(cluster.http_port)
        client.submit(problem.spec("stale", epochs=100_000, channels=48), "stale")
        stale = []  # tokens that were open in a stopped process
        for number in range(args.stops * 2):
            if len(stale) == args.stops:
                break
            check(follower.wait_for(lambda r: len(follower.open_leases()) == args.workers, 120), "not all workers train")
            name = rng.choice(sorted(cluster.workers))
            worker = cluster.workers[name]
            lease = inside_a_unit(follower, name, rng.uniform(0.5, 0.8))
            worker.send(signal.SIGSTOP)
            time.sleep(0.3)  # what had left it before is recorded now
            if lease is None or follower.open_leases().get(name) != lease:
                worker.send(signal.SIGCONT)
                continue
            token = lease["body"]["token"]
            time.sleep(rng.uniform(LEASE_S + 1, LEASE_S + 4))
            released = leases_of(follower.records())[token]["end"]
            check(released is not None and released["type"] == "unit_released", f"stop {number}: {token} was not released: {released}")
            worker.send(signal.SIGCONT)
            joined = follower.wait_for(lambda r: r["type"] == "worker_joined" and r["body"]["name"] == name, 30, after=released["seq"])
            check(joined is not None, f"stop {number}: {name} did not join again within 30 s")
            stale.append(token)
            print(f"stop {number}: {name} under token {token}: released ({released['body']['fault']}), continued, joined again", flush=True)
        time.sleep(5)
        follower.leave()
        ended = leases_of(follower.records())
        counted = [token for token in stale if ended[token]["end"]["type"] == "unit_finished"]
        log = "".join(path.read_text() for path in pathlib.Path(cluster.state_dir, "logs").glob("scheduler.log*"))
        logged = dismissals(log)
        figures = metrics(client.text("/metrics"))
    once = sum(logged.get(token) == 1 for token in stale)
    ignored = {name.split('"')[1]: int(value) for name, value in figures.items() if name.startswith("modelhop_stale_messages_total")}
    print(f"{len(stale)} stops past the lease: {len(counted)} late results counted, {once} dismissed and logged once")
    print(f"messages that changed nothing: {ignored}")
    check(len(stale) == args.stops, f"only {len(stale)} stops were inside a unit")
    check(not counted, f"late results were counted: {counted}")
    check(once == len(stale), f"not logged exactly once: {[(t, logged.get(t, 0)) for t in stale if logged.get(t) != 1]}")
print("1 passed, 0 failed")
