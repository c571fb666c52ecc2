#!/usr/bin/env python3
"""The scheduler SIGKILLed while units run and started again 1, 5 or 15 s later: which units finish under the token they had?

usage: readopt.py BIN_DIR [--rounds N] [--outages 1,5,15] [--seed S] [--workers N] [--keep]
Goals: at least 95 % of the units that ran at the kill; at most one unit repeated a worker and outage.
"""
import argparse
import collections
import time

import problem
from cluster import Cluster, Product, check, random_of
from stream import Follower, leases_of

parser = argparse.ArgumentParser()
parser.add_argument("bin")
parser.add_argument("--rounds", type=int, default=20, help="of each outage")
parser.add_argument("--outages", default="1,5,15", help="seconds")
parser.add_argument("--seed", type=int, default=None)
parser.add_argument("--workers", type=int, default=4)
parser.add_argument("--keep", action="store_true")
args = parser.parse_args()
rng = random_of(args.seed)
outages = [float(text) for text in args.outages.split(",")]

with Product(args.bin, args.keep) as product:
    problem.import_data(product)
    with Cluster(product, args.workers) as cluster:
        client = cluster.client()
        follower = Follower(cluster.http_port)
        client.submit(problem.spec("readopt", epochs=100_000, channels=16), "readopt")
        ran = collections.Counter()  # outage -> units running at the kill
        adopted = collections.Counter()
        repeats_most = 0
        rounds = [outage for outage in outages for _ in range(args.rounds)]
        rng.shuffle(rounds)
        for number, outage in enumerate(rounds):
            check(follower.wait_for(lambda r: len(follower.open_leases()) == args.workers, 60), "not all workers train")
            time.sleep(rng.uniform(0.0, 2.0))
            cluster.scheduler.hold_back()
            cluster.scheduler.kill()
            cluster.scheduler.wait_down()
            time.sleep(outage)
            cluster.scheduler.start()
            cluster.wait_ready()
            booted = follower.wait_for(lambda r: r["type"] == "booted" and r["body"]["boot"] == number + 2, 60)
            check(booted is not None, f"round {number}: the scheduler did not boot")
            # What ran at the kill is what the journal holds open before the boot.
            before = leases_of([r for r in follower.records() if r["seq"] < booted["seq"]])
            running = [token for token, lease in before.items() if lease["end"] is None]
            deadline = time.time() + 60
            while True:
                now = leases_of(follower.records())
                if all(now[token]["end"] for token in running):
                    break
                check(time.time() < deadline, f"round {number}: a lease neither ended nor expired")
                time.sleep(0.05)
            done = [token for token in running if now[token]["end"]["type"] == "unit_finished"]
            repeated = collections.Counter(now[token]["worker"] for token in running if token not in done)
            repeats_most = max([repeats_most, *repeated.values()])
            ran[outage] += len(running)
            adopted[outage] += len(done)
            lost = ", ".join(f"{now[t]['worker']}: {now[t]['end']['type']} {now[t]['end']['body'].get('detail', '')}"
                             for t in running if t not in done)
            print(f"round {number}: down {outage:g} s, {len(done)} of {len(running)} running units went on{'; ' + lost if lost else ''}",
                  flush=True)
        follower.leave()
        check(not follower.complaints, str(follower.complaints))
    print("outage  running  re-adopted")
    for outage in outages:
        print(f"{outage:4g} s  {ran[outage]:7d}  {adopted[outage]:6d} ({100 * adopted[outage] / ran[outage]:.1f} %)")
    print(f"most units repeated by one worker in an outage: {repeats_most}")
    for outage in outages:
        check(adopted[outage] >= 0.95 * ran[outage], f"after {outage:g} s only {adopted[outage]} of {ran[outage]} were re-adopted")
    check(repeats_most <= 1, f"a worker repeated {repeats_most} units")
print("1 passed, 0 failed")
