#!/usr/bin/env python3
"""A second scheduler on a store beside one that lives, restarts or is SIGSTOPped: another journal, a copied database, a
restored backup. Each is refused with exit 5, naming the other's boot, address and record. Where one may take over (a copy from an
owner that is silent; anyone by `restore --take-over`), the owner ends with exit 5. No token is given out twice.

usage: second_scheduler_test.py BIN_DIR [--tries N] [--worker PROGRAM] [--keep]
"""
import argparse
import json
import os
import re
import signal
import sqlite3
import subprocess
import time

from harness import Product, blobs, check, cnn_spec, kill_group

parser = argparse.ArgumentParser()
parser.add_argument("bin")
parser.add_argument("--tries", type=int, default=10)
parser.add_argument("--worker", help="a worker program without LibTorch")
parser.add_argument("--keep", action="store_true")
args = parser.parse_args()

os.environ["MODELHOP_FAKE_BATCH_US"] = "20000"


class Store(Product):
    """A product whose workers are slow, so that a run lives for minutes."""

    def env(self):
        return {**super().env(), "MODELHOP_FAKE_BATCH_US": "20000"}

    def prepare(self):
        blobs(self.root / "source")
        self.run("data", "import", "blobs", "--from", "npy", self.root / "source", "--partitions", "4")
        self.spec = cnn_spec(self.root / "spec.json", epochs=50)

    def leases(self, name):
        """Token by seq, of the journal as it is on disk now."""
        path = self.state_dir(name) / "journal.db"
        try:
            with sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10) as database:
                rows = database.execute("SELECT seq, body FROM records WHERE type = 'unit_leased'").fetchall()
        except sqlite3.OperationalError:
            return {}  # not begun
        return {seq: json.loads(body)["token"] for seq, body in rows}

    def last_seq(self, name):
        with sqlite3.connect(f"file:{self.state_dir(name) / 'journal.db'}?mode=ro", uri=True, timeout=10) as database:
            return database.execute("SELECT max(seq) FROM records").fetchone()[0]

    def copy_database(self, name, to):
        """As somebody would who copies the state directory to another machine; what the copy lacks is the lock."""
        self.state_dir(to).mkdir()
        source = sqlite3.connect(f"file:{self.state_dir(name) / 'journal.db'}?mode=ro", uri=True, timeout=10)
        target = sqlite3.connect(self.state_dir(to) / "journal.db")
        source.backup(target)
        target.close()
        source.close()

    def restore(self, name, *flags):
        self.run("scheduler", "restore", self.root / "backup", "--state-dir", self.state_dir(name), *flags)

    def begin(self, name):
        """A run that has leased units."""
        before = len(self.leases(name))
        process = self.start(name, self.spec, 2)
        wait_for(lambda: len(self.leases(name)) >= before + 3, lambda: f"{name} leases nothing\n{self.log(name)}")
        return process

    def refused(self, name):
        done = subprocess.run([str(self.bin / "modelhop"), "run", str(self.spec), "--workers", "2", "--state-dir",
                               str(self.state_dir(name)), "--port", "0"], env=self.env(), text=True, capture_output=True,
                              timeout=60)
        check(done.returncode == 5, f"{name}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
        said = re.search(r"boot (\d+) at (tcp://[0-9.:]+) \(host \S+, pid (\d+)\), record (\d+)", done.stderr)
        check(said is not None, f"{name}: names nobody\n{done.stderr}")
        return said

    def newest_fence(self):
        return max((path for path in (self.store / "fence").iterdir() if path.name.isdigit()), key=lambda p: int(p.name))

    def age_fence(self, seconds):
        """As if its owner had been silent for so long."""
        path = self.newest_fence()
        at = path.stat().st_mtime - seconds
        os.utime(path, (at, at))


def wait_for(holds, explain, seconds=60):
    deadline = time.time() + seconds
    while not holds():
        check(time.time() < deadline, explain())
        time.sleep(0.02)


counts = {}


def count(kind):
    counts[kind] = counts.get(kind, 0) + 1


kinds = ["another journal", "a copied database", "a restored backup", "beside one that restarts", "beside one that is stopped"]
take_overs = max(2, args.tries // 10)
with Store(args.bin, args.keep, args.worker) as product:
    product.prepare()
    owner = product.begin("owner")
    try:
        product.run("scheduler", "backup", product.root / "backup", "--state-dir", product.state_dir("owner"))
        time.sleep(6)  # the owner has renewed its fence beyond the backup
        for number in range(args.tries - take_overs):
            kind = kinds[number % len(kinds)]
            name = f"second{number}"
            if kind == "a restored backup":
                product.restore(name)
            elif kind != "another journal":
                product.copy_database("owner", name)
            began_at = 0 if kind == "another journal" else product.last_seq(name)
            if kind == "beside one that restarts":
                kill_group(owner)
            if kind == "beside one that is stopped":
                os.kill(owner.pid, signal.SIGSTOP)
            try:
                said = product.refused(name)
                fence = json.loads(product.newest_fence().read_text())
                check(int(said[1]) == fence["boot"] and said[2] == fence["address"], f"{said[0]} is not {fence}")
                if kind == "beside one that is stopped":
                    product.age_fence(31)  # silent for long: an old copy stays refused
                    product.restore(name + "-old")
                    product.refused(name + "-old")
                    product.age_fence(-31)
            finally:
                if kind == "beside one that is stopped":
                    os.kill(owner.pid, signal.SIGCONT)
            if kind == "beside one that restarts":
                owner = product.begin("owner")
            mine = {token for seq, token in product.leases(name).items() if seq > began_at}
            check(not mine, f"{name} was refused and gave out {mine}")
            check(owner.poll() is None, f"the owner ended\n{product.log('owner')}")
            count(kind)
        tokens = list(product.leases("owner").values())
        check(len(tokens) == len(set(tokens)), "the owner gave a token out twice")
        print(f"the owner gave out {len(tokens)} tokens in {json.loads(product.newest_fence().read_text())['boot']} boots")
    finally:
        kill_group(owner)

for number in range(take_overs):
    with Store(args.bin, args.keep, args.worker) as product:
        product.prepare()
        first = product.begin("first")
        second = None
        silent = number % 2 == 0
        try:
            if silent:
                os.kill(first.pid, signal.SIGSTOP)
                time.sleep(0.2)  # what it had begun to write
                product.copy_database("first", "second")
                product.refused("second")
                product.age_fence(31)
            else:
                product.run("scheduler", "backup", product.root / "backup", "--state-dir", product.state_dir("first"))
                product.restore("second", "--take-over")
            began_at = product.last_seq("second")
            second = product.begin("second")
            if silent:
                os.kill(first.pid, signal.SIGCONT)
            code = first.wait(20)
            check(code == 5, f"the one taken over: exit {code}\n{product.log('first')}")
            check("taken it over: boot " in product.log("first"), product.log("first"))
            of_first, of_second = (set(token for seq, token in product.leases(name).items() if seq > began_at)
                                   for name in ("first", "second"))
            check(of_second, "the second gave out nothing")
            check(not of_first & of_second, f"twice: {of_first & of_second}")
            product.refused("first")  # it is the older copy now
            count("stopped, taken over, continued" if silent else "taken over by restore --take-over")
        finally:
            kill_group(first)
            if second is not None:
                kill_group(second)

for kind, tries in counts.items():
    print(f"{kind}: {tries} of {tries}")
print(f"0 tokens given out twice in {sum(counts.values())} tries")
print("1 passed, 0 failed")
