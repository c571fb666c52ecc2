#!/usr/bin/env python3
"""Kills, stops, cuts and disk faults against a real scheduler and real workers, for some minutes; then: did anything that was
acknowledged go missing, did anything count twice, and is each experiment's export the undisturbed run's, byte for byte?

usage: chaos.py BIN_DIR [--minutes M] [--seed S] [--workers N] [--gap SECONDS] [--skip KIND,KIND] [--keep]

Scheduler and workers live in network namespaces of their own, joined by wires that this program owns; store and state
directory are file systems of their own. As root, or as anyone where user namespaces are allowed.
"""
import argparse
import collections
import datetime
import random
import shutil
import signal
import sys
import threading
import time

import namespaces

namespaces.enter()

import faults  # noqa: E402
import problem  # noqa: E402
from cluster import Cluster, Product, check, metrics  # noqa: E402
from disks import Disk, Syncs, build_library  # noqa: E402
from oracle import judge, prove  # noqa: E402
from poller import Poller  # noqa: E402
from stream import Follower, leases_of  # noqa: E402
from wires import Wires  # noqa: E402

parser = argparse.ArgumentParser()
parser.add_argument("bin")
parser.add_argument("--minutes", type=float, default=10)
parser.add_argument("--seed", type=int, default=None)
parser.add_argument("--workers", type=int, default=4)
parser.add_argument("--gap", type=float, default=faults.GAP_S, help="seconds between faults, on average")
parser.add_argument("--skip", default="", help="kinds of faults left out: 'store full,slow disk'")
parser.add_argument("--keep", action="store_true")
args = parser.parse_args()
seed = args.seed if args.seed is not None else random.randrange(1 << 30)
faults.GAP_S = args.gap
SETTLE_S = 420  # for what is unfinished when the last fault has ended

SPECS = [problem.spec("chaos-grid", epochs=3, seed=11),
         problem.spec("chaos-random", epochs=3, seed=12, algorithm={"name": "random"}, max_trials=6)]
print(f"seed {seed} (the same seed gives the same faults at the same times)", flush=True)


def undisturbed(product):
    """The CSV of each spec, from a run that nothing disturbs."""
    exports = []
    for number, text in enumerate(SPECS):
        path = product.root / f"spec{number}.json"
        path.write_text(text)
        product.finish(f"calm{number}", path, 2)
        exports.append(product.export(f"calm{number}"))
    return exports


class Submitter:
    """Keeps two experiments alive: a new one is submitted when one has ended, by two clients at once under one key. Every
    fourth is canceled on its way."""

    def __init__(self, client, poller):
        self.client, self.poller = client, poller
        self.spec_of = {}  # experiment -> index into SPECS
        self.canceled = set()
        self.failed = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def leave(self):
        self._ended.set()
        self._thread.join(400)

    def _run(self):
        try:
            while not self._ended.is_set():
                if len(self.spec_of) - len(self.poller.told.experiments) < 2:
                    self._submit(len(self.spec_of))
                self._ended.wait(0.3)
        except AssertionError as error:
            self.failed = error

    def _submit(self, number):
        key, which, answers = f"chaos-{number}", number % len(SPECS), []

        def submit():
            try:
                answers.append(self.client.submit(SPECS[which], key)["id"])
            except AssertionError as error:
                self.failed = error

        other = threading.Thread(target=submit)
        other.start()
        submit()
        other.join()
        if self.failed is not None:
            raise self.failed
        check(len(set(answers)) == 1, f"{key} was answered with {answers}")
        self.poller.told.created[key] = answers[0]
        self.spec_of[answers[0]] = which
        if number % 4 == 3:
            threading.Timer(random.Random(seed + number).uniform(3, 15), self._cancel, [answers[0]]).start()

    def _cancel(self, experiment):
        """An acknowledged cancel holds; 409 says that it ended before."""
        try:
            status, _ = self.client.post(f"/experiments/{experiment}:cancel", accepted=(200, 409))
            if status == 200:
                self.poller.told.ended_experiment(experiment, "CANCELED")
                self.canceled.add(experiment)
        except AssertionError as error:
            self.failed = error


def moment(record):
    return datetime.datetime.fromisoformat(record["at"].replace("Z", "+00:00")).timestamp()


def kills_inside_units(kills, records):
    spans = collections.defaultdict(list)
    for lease in leases_of(records).values():
        end = moment(lease["end"]) if lease["end"] else float("inf")
        spans[lease["worker"]].append((moment(lease["lease"]), end))
        spans["scheduler"].append((moment(lease["lease"]), end))
    return sum(any(first <= at <= last for first, last in spans[name]) for at, name in kills)


namespaces.run("ip", "link", "set", "lo", "up")
with Product(args.bin, args.keep) as product:
    problem.import_data(product)
    started = time.time()
    expected = undisturbed(product)
    print(f"undisturbed: {len(SPECS)} experiments in {time.time() - started:.1f} s", flush=True)

    product.store = product.root / "chaos-store"
    disks = {"store": Disk(product.store, 256), "state": Disk(product.state_dir("cluster"), 128),
             "data": Disk(product.root / "data", 128)}
    shutil.copytree(product.root / "store" / "data", product.store / "data")
    networks = {index: namespaces.Network() for index in range(1, args.workers + 1)}
    wires = Wires(networks, seed, namespaces.run)
    library = build_library(product.root)
    syncs = {who: Syncs(product.root / f"disk-{who}", library) for who in ("scheduler", "workers")}
    cluster = Cluster(product, args.workers, listen="0.0.0.0",
                      place_worker=lambda index: (networks[index].inside(), f"10.99.{index}.1"),
                      env={"scheduler": syncs["scheduler"].env, "workers": syncs["workers"].env},
                      data=disks["data"].path, more=["--snapshot-every", 150])
    with cluster:
        begun = time.time()

        def say(text):
            print(f"[{time.time() - begun:6.1f} s] {text}", flush=True)

        client = cluster.client()
        poller = Poller(client)
        follower = Follower(cluster.http_port)
        submitter = Submitter(client, poller)
        hand = faults.Hand(cluster, wires, disks, syncs, say)
        for fault in faults.plan(seed, args.minutes * 60, args.workers):
            if fault.kind in args.skip.split(","):
                continue
            time.sleep(max(0, begun + fault.at_s - time.time()))
            hand.begin(fault)
        time.sleep(max(0, begun + args.minutes * 60 - time.time()))
        hand.wait()
        submitter.leave()
        say(f"no more faults; {len(submitter.spec_of) - len(poller.told.experiments)} experiments go on")
        check(submitter.failed is None, str(submitter.failed))
        check(not hand.errors, str(hand.errors))
        deadline = time.time() + SETTLE_S
        while len(poller.told.experiments) < len(submitter.spec_of):
            check(time.time() < deadline, f"not ended {SETTLE_S} s after the last fault: "
                  f"{client.try_get('/experiments')}\n{cluster.log('scheduler')}")
            time.sleep(0.5)
        say("all experiments have ended")
        poller.leave()
        poller.look()
        told = poller.told
        check(follower.wait_for(lambda r: r["seq"] >= told.seq, 30), "the event stream is behind")
        follower.leave()
        told.lines, told.complaints = dict(follower.lines), told.complaints + follower.complaints

        # The end: all records once more, from the first; then from the stopped service's directory.
        end_seq = client.get("/status")["seq"]
        again = Follower(cluster.http_port)
        check(again.wait_for(lambda r: r["seq"] >= end_seq, 60), "the event stream does not give all records")
        again.leave()
        lines = {seq: line for seq, line in again.lines.items() if seq <= end_seq}
        exports = {e: client.text(f"/experiments/{e}/export?format=csv&rows=trials") for e in submitter.spec_of}
        states = {e: client.get(f"/experiments/{e}/checkpoints") for e in submitter.spec_of}
        figures = metrics(client.text("/metrics"))
        cluster.scheduler.leave(signal.SIGTERM)

    complaints = judge(lines, told)
    for experiment, which in submitter.spec_of.items():
        offline = product.run("exp", "export", experiment, "--state-dir", cluster.state_dir, "--format", "csv").stdout
        if exports[experiment] != offline:
            complaints.append(f"{experiment}: the live export is not that of its directory:\n{exports[experiment]}\n{offline}")
        if experiment not in submitter.canceled and offline != expected[which]:
            complaints.append(f"{experiment}: the export is not the undisturbed run's:\n{expected[which]}\n{offline}")
        for item in states[experiment]["items"]:
            blob = product.store / item["blob"]
            if not blob.exists() or blob.stat().st_size < item["size_bytes"]:
                complaints.append(f"{item['id']}: {blob} is not there or too small")
    rng = random.Random(seed)
    for experiment in submitter.spec_of.keys() - submitter.canceled:
        trial = f"{experiment}.{rng.randint(1, 6)}"
        verified = product.run("exp", "verify", "--trial", trial, "--state-dir", cluster.state_dir, check=False)
        if verified.returncode != 0 or ", 0 differ" not in verified.stdout:
            complaints.append(f"exp verify --trial {trial}: exit {verified.returncode}\n{verified.stdout}{verified.stderr}")
    planted, missed = prove(lines, told, rng)

    records = again.records()
    kinds = collections.Counter(record["type"] for record in records)
    killed = collections.Counter(name if name == "scheduler" else "a worker" for _, name in hand.kills)
    print("\nfault                      times")
    for kind in sorted(hand.done):
        print(f"{kind:25s} {hand.done[kind]:6d}")
    print(f"processes killed           {sum(killed.values())} ({', '.join(f'{n} times {who}' for who, n in sorted(killed.items()))}), "
          f"{kills_inside_units(hand.kills, records)} of them while a unit ran there")
    print(f"boots                      {kinds['booted']}")
    print(f"worker processes           {sum(worker.lives for worker in cluster.workers.values())}")
    print(f"experiments                {len(submitter.spec_of)}, of {len(SPECS)} specs; {len(submitter.canceled)} canceled")
    print(f"records                    {len(records)}, {len(told.lines)} seen when they came, {poller.answers} answers noted")
    print(f"leases                     {kinds['unit_leased']}: {kinds['unit_finished']} finished, {kinds['unit_yielded']} yielded, "
          f"{kinds['unit_released']} released")
    faulted = collections.Counter(r["body"]["fault"] for r in records if r["type"] == "unit_released")
    print(f"released because of        {', '.join(f'{fault}: {n}' for fault, n in sorted(faulted.items(), key=str))}")
    print(f"planted in these records   {planted} mistakes, {planted - len(missed)} noticed")
    print(f"complaints                 {len(complaints)}")
    for complaint in complaints[:20]:
        print(complaint)
    check(not complaints, f"{len(complaints)} complaints (seed {seed})")
    check(not missed, f"the oracle does not notice: {missed}")
print("1 passed, 0 failed")
