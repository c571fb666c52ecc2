#!/usr/bin/env python3
"""Stored states damaged while nothing runs: each is detected when it is needed, and the experiments end right.

usage: damage_states.py BIN_DIR [--damages N] [--trials N] [--seed S] [--workers N] [--keep]

Each round: an experiment trains until half of its trials have a state in the store; everything is SIGKILLed, so that no state
lies in a memory; each unfinished trial's newest file is damaged; everything is started again.
"""
import argparse
import collections
import time

import problem
from cluster import Cluster, Product, check, random_of
from stream import Follower, leases_of

parser = argparse.ArgumentParser()
parser.add_argument("bin")
parser.add_argument("--damages", type=int, default=1000)
parser.add_argument("--trials", type=int, default=60)
parser.add_argument("--seed", type=int, default=None)
parser.add_argument("--workers", type=int, default=2)
parser.add_argument("--keep", action="store_true")
args = parser.parse_args()
rng = random_of(args.seed)


EPOCHS, PARTITIONS = 6, 2


def flipped(path, others):
    data = bytearray(path.read_bytes())
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


def cut(path, others):
    data = path.read_bytes()
    path.write_bytes(data[:rng.randrange(1, len(data))])


def empty(path, others):
    path.write_bytes(b"")


def missing(path, others):
    path.unlink()


def another_content(path, others):
    path.write_bytes(rng.choice(others).read_bytes())


def two_writers(path, others):
    mine, theirs = path.read_bytes(), rng.choice(others).read_bytes()
    at = rng.randrange(len(mine) // 4, 3 * len(mine) // 4)
    path.write_bytes(mine[:at] + theirs[at:])


def crash_before_rename(path, others):
    path.rename(product.store / "tmp" / f"1-0000000000000000-{rng.randrange(1 << 30)}")


def crash_after_rename(path, others):
    """Named, but its bytes never came to the disk."""
    data = path.read_bytes()
    written = rng.randrange(len(data) // 4096 + 1) * 4096
    path.write_bytes(data[:written] + bytes(len(data) - written))


KINDS = [flipped, cut, empty, missing, another_content, two_writers, crash_before_rename, crash_after_rename]


def newest_files(store, experiment):
    """trial -> the file of its state after the most visits. Names: states/cN/eN/TRIAL/LINEAGE.VISITS-HASH.safetensors"""
    found = {}
    for path in (store / "states").glob(f"*/{experiment}/*/*.safetensors"):
        lineage, visits = path.name.split("-")[0].split(".")
        place = (int(lineage), int(visits))
        trial = int(path.parent.name)
        if trial not in found or place > found[trial][0]:
            found[trial] = (place, path)
    return {trial: path for trial, (place, path) in found.items() if place[1] < EPOCHS * PARTITIONS}


def hash_of(path):
    return path.name.split("-")[1].split(".")[0]


with Product(args.bin, args.keep) as product:
    problem.import_data(product, rows=800, partitions=PARTITIONS)
    spec = problem.spec("damage", epochs=EPOCHS, lrs=(0.01, 0.001), batch_sizes=(32, 64), algorithm={"name": "random"}, max_trials=args.trials)
    path = product.root / "spec.json"
    path.write_text(spec)
    calm_store, product.store = product.store, product.root / "calm-store"
    product.store.mkdir()
    (product.store / "data").symlink_to(calm_store / "data")
    product.finish("calm", path, args.workers)
    expected = product.export("calm")
    product.store = calm_store

    done, noticed, repaired = collections.Counter(), collections.Counter(), collections.Counter()
    with Cluster(product, args.workers) as cluster:
        client = cluster.client()
        follower = Follower(cluster.http_port)
        round_ = 0
        while sum(done.values()) < args.damages:
            experiment = client.submit(spec, f"damage-{round_}")["id"]
            deadline = time.time() + 120
            while len(newest_files(product.store, experiment)) < args.trials / 2:
                check(time.time() < deadline, f"{experiment}: not half of the trials have a state after 120 s")
                time.sleep(0.01)
            everything = [cluster.scheduler, *cluster.workers.values()]
            for kept in everything:
                kept.hold_back()
                kept.kill()
            for kept in everything:
                kept.wait_down()
            before = sum(done.values())
            damaged = {}  # trial -> (kind, file, its hash)
            files = newest_files(product.store, experiment)
            whole = {trial: file.read_bytes() for trial, file in files.items()}
            for trial, file in sorted(files.items()):
                if before + len(damaged) == args.damages:
                    break
                kind = KINDS[(before + len(damaged)) % len(KINDS)]
                others = [other for of, other in files.items() if of != trial and of not in damaged]
                if not others and kind in (another_content, two_writers):
                    kind = flipped
                kind(file, others)
                damaged[trial] = (kind.__name__, file)
                done[kind.__name__] += 1
            cluster.start()
            ended = follower.wait_for(lambda r: r["type"] == "experiment_state_changed" and r["body"]["experiment"] == experiment, 300,
                                      after=follower.last)
            check(ended is not None, f"{experiment} has not ended 300 s after its states were damaged")
            records = [r for r in follower.records() if r["body"].get("experiment") == experiment]
            leases = leases_of([r for r in follower.records() if r["type"] == "worker_joined" or r in records])
            accepted = {r["body"]["state"]["hash"] for r in records if r["type"] == "unit_finished"}
            mismatched = {lease["lease"]["body"]["trial"] for lease in leases.values()
                          if lease["end"] and lease["end"]["body"].get("fault") == "hash_mismatch"}
            rolled_back = {r["body"]["trial"] for r in records if r["type"] == "trial_rolled_back"}
            finals = {trial for trial, (_, file) in damaged.items()
                      if file.exists() and file.read_bytes() != whole[trial]}
            for trial, (kind, file) in damaged.items():
                if trial in mismatched | rolled_back:
                    noticed[kind] += 1
                else:  # a file that no record named yet: its visit ran again and wrote it anew
                    check(trial not in finals, f"{experiment}.{trial}: {file} ({kind}) is still damaged and nobody noticed")
                    repaired[kind] += 1
            text = client.text(f"/experiments/{experiment}/export?format=csv&rows=trials")
            check(text == expected, f"{experiment} ended otherwise than undisturbed:\n{expected}\n{text}")
            print(f"{experiment}: {len(damaged)} damaged, {len(mismatched | rolled_back)} trials noticed it; the same bytes at the end", flush=True)
            round_ += 1
        follower.leave()
    print("damage                 done  detected by its reader  written anew before anyone read it")
    for kind in sorted(done):
        print(f"{kind:22s} {done[kind]:4d}  {noticed[kind]:22d}  {repaired[kind]:10d}")
    check(sum(noticed.values()) + sum(repaired.values()) == sum(done.values()) == args.damages, "some were not detected")
print("1 passed, 0 failed")
