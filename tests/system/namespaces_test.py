#!/usr/bin/env python3
"""The package on machines of their own, as far as one machine can be several: mount, network, uts and pid namespaces that
share the store's directory and a bridge, nothing else. Keys, the scheduler in one, workers in three; then one of them is
killed for good, a new one joins, and the answer is the same as undisturbed.

Needs root (or user namespaces), iproute2 and util-linux.
usage: namespaces_test.py PACKAGE.tar.gz [--epochs N] [--keep]
"""
import argparse
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

from harness import Product, blobs, check, check_counted_once, cnn_spec

PORT, HTTP = 7077, 8080
MARK = "MODELHOP_NAMESPACES_INSIDE"

parser = argparse.ArgumentParser()
parser.add_argument("package")
parser.add_argument("--epochs", type=int, default=6)
parser.add_argument("--keep", action="store_true")
args = parser.parse_args()


def run(*command):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    check(done.returncode == 0, f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stderr}")
    return done.stdout


def enter_own_namespaces():
    """The bridge between the hosts is nobody else's: this program runs in network and mount namespaces of its own."""
    if os.environ.pop(MARK, None) == "1":
        return
    os.environ[MARK] = "1"
    options = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if os.geteuid() != 0:
        options = ["--user", "--map-root-user", *options]
    os.execvp("unshare", ["unshare", *options, sys.executable, *sys.argv])


class Host:
    """One machine: its own root of mounts, network, name and processes. Its disk is /host, the shared one /store."""

    def __init__(self, root, number, package):
        self.number, self.name, self.address = number, f"host{number}", f"10.77.0.{number}"
        self.disk = root / self.name  # seen from outside: to bring files there, as scp would
        self.disk.mkdir()
        with open(self.disk / "console.log", "ab") as console:
            self.process = subprocess.Popen(
                ["unshare", "--mount", "--net", "--uts", "--pid", "--fork", "--kill-child", "--propagation", "private", "sh", "-ec",
                 f"""mount -t tmpfs tmpfs /mnt
                     mkdir /mnt/host /mnt/store
                     mount --bind '{self.disk}' /mnt/host
                     mount --bind '{root}/store' /mnt/store
                     mount -t proc proc /proc
                     mount -t tmpfs tmpfs /tmp
                     mount -o remount,bind,ro /
                     hostname {self.name}
                     ip link set lo up
                     touch /mnt/host/up
                     exec sleep infinity"""], stdout=console, stderr=console, start_new_session=True)
        deadline = time.time() + 20
        while not (self.disk / "up").exists():
            check(self.process.poll() is None and time.time() < deadline,
                  f"{self.name} does not start: {(self.disk / 'console.log').read_text()}")
            time.sleep(0.02)
        # `unshare --fork` waits outside; the machine is its child.
        self.pid = int(run("pgrep", "-P", self.process.pid).split()[0])
        run("ip", "link", "add", f"veth{number}", "type", "veth", "peer", "name", "eth0", "netns", str(self.pid))
        run("ip", "link", "set", f"veth{number}", "master", "bridge", "up")
        self.run("ip", "addr", "add", f"{self.address}/24", "dev", "eth0")
        self.run("ip", "link", "set", "eth0", "up")
        self.run("tar", "--extract", "--gzip", "--file", "-", "--directory", "/mnt/host", "--strip-components", "1", stdin=package)

    def inside(self, *command):
        return ["nsenter", "--target", str(self.pid), "--mount", "--net", "--uts", "--pid", "sh", "-c",
                'cd /mnt/host && exec "$@"', "sh", *map(str, command)]

    def run(self, *command, stdin=None, ok=True):
        environment = {"PATH": os.environ["PATH"], "HOME": "/mnt/host", "NO_COLOR": "1"}
        with open(stdin, "rb") if stdin else open(os.devnull, "rb") as source:
            done = subprocess.run(self.inside(*command), stdin=source, capture_output=True, text=True, env=environment)
        check(not ok or done.returncode == 0, f"{self.name}: {' '.join(map(str, command))}: exit {done.returncode}\n{done.stderr}")
        return done.stdout if ok else done

    def start(self, log, *command):
        out = open(self.disk / log, "ab")
        return subprocess.Popen(self.inside(*command), stdout=out, stderr=out, stdin=subprocess.DEVNULL, start_new_session=True,
                                env={"PATH": os.environ["PATH"], "HOME": "/mnt/host"})

    def start_worker(self, scheduler, name, key):
        return self.start("worker.log", "bin/modelhop-worker", "--scheduler", f"tcp://{scheduler.address}:{PORT}", "--store", "/mnt/store",
                          "--name", name, "--data-dir", "/mnt/host/data", *(["--key", key] if key else []))

    def kill_for_good(self):
        os.kill(self.pid, signal.SIGKILL)
        self.process.wait()


class Api:
    def __init__(self, host):
        self.host = host

    def modelhop(self, *words):
        return self.host.run("bin/modelhop", *words, "--server", f"http://127.0.0.1:{HTTP}")

    def workers(self):
        return {worker["name"]: worker for worker in json.loads(self.modelhop("worker", "list", "-o", "json"))}

    def connected(self):
        return {name for name, worker in self.workers().items() if worker["state"] == "connected"}

    def held(self):
        """Which connected worker holds which partitions."""
        found = {}
        for name in self.connected():
            partitions = json.loads(self.modelhop("worker", "show", name, "-o", "json"))["partitions"]
            found[name] = sorted(index for indices in partitions.values() for index in indices)
        return found

    def state(self):
        return json.loads(self.modelhop("exp", "show", "e1", "-o", "json"))


def wait(holds, what, seconds):
    deadline = time.time() + seconds
    while not (found := holds()):
        check(time.time() < deadline, f"not within {seconds} s: {what}")
        time.sleep(0.2)
    return found


package = pathlib.Path(args.package).resolve()
enter_own_namespaces()
run("mount", "--make-rprivate", "/")
run("ip", "link", "set", "lo", "up")
run("ip", "link", "add", "bridge", "type", "bridge")
run("ip", "link", "set", "bridge", "up")

bin_dir = package.parent / "unpacked"
shutil.rmtree(bin_dir, ignore_errors=True)
bin_dir.mkdir()
run("tar", "--extract", "--file", package, "--directory", bin_dir, "--strip-components", "1")
with Product(bin_dir / "bin", args.keep) as product:
    blobs(product.root / "source")
    product.run("data", "import", "blobs", "--from", "npy", product.root / "source", "--partitions", "6")
    spec = cnn_spec(product.root / "spec.json", epochs=args.epochs)
    started = time.time()
    product.finish("calm", spec, 3)
    expected = product.export("calm")
    print(f"undisturbed: {time.time() - started:.0f} s")

    hosts = [Host(product.root, number, package) for number in range(1, 5)]
    scheduler, workers = hosts[0], dict(zip(("w1", "w2", "w3"), hosts[1:]))
    seen = {host.run("hostname").strip() for host in hosts}
    check(seen == {f"host{n}" for n in range(1, 5)}, f"names: {seen}")
    for host in hosts:
        others = [other.disk for other in hosts if other is not host]
        check(host.run("ls", *others, ok=False).returncode != 0, f"{host.name} sees another's disk")
    print(f"{len(hosts)} namespaces up: {', '.join(f'{host.name} {host.address}' for host in hosts)}")

    def give_key(name, host):
        scheduler.run("bin/modelhop", "keys", "generate", name, "--keys", "/mnt/host/keys")
        shutil.copy(scheduler.disk / f"keys/{name}.key", host.disk / "worker.key")

    open_to_all = scheduler.run("bin/modelhop", "scheduler", "--state-dir", "/mnt/host/state", "--store", "/mnt/store", "--listen",
                                f"tcp://0.0.0.0:{PORT}", "--keys", "/mnt/host/keys", ok=False)
    check(open_to_all.returncode == 2 and "keys generate" in open_to_all.stderr, f"without keys: {open_to_all.stderr}")
    print("without keys the scheduler is refused, exit 2")
    scheduler.run("bin/modelhop", "keys", "generate", "--keys", "/mnt/host/keys")
    for name, host in workers.items():
        give_key(name, host)
    scheduler.start("scheduler.log", "bin/modelhop", "scheduler", "--state-dir", "/mnt/host/state", "--store", "/mnt/store", "--listen",
                    f"tcp://0.0.0.0:{PORT}", "--http", f"127.0.0.1:{HTTP}", "--keys", "/mnt/host/keys")
    api = Api(scheduler)
    wait(lambda: scheduler.run("bin/modelhop", "worker", "list", "--server", f"http://127.0.0.1:{HTTP}", ok=False).returncode == 0,
         "the scheduler serves", 60)
    stranger = workers["w1"].start_worker(scheduler, "stranger", None)
    check(stranger.wait(60) == 5, "a worker without a key was not refused")
    print("a worker without a key is refused, exit 5:", (workers["w1"].disk / "worker.log").read_text().splitlines()[-1][25:145])
    for name, host in workers.items():
        host.start_worker(scheduler, name, "worker.key")
    wait(lambda: api.connected() == set(workers), "three workers are connected", 60)

    shutil.copy(spec, scheduler.disk / "spec.json")
    api.modelhop("exp", "create", "/mnt/host/spec.json")
    planned = api.state()["visits_planned"]
    wait(lambda: api.state()["visits_done"] >= planned // 4, "a quarter is done", 300)
    before = api.held()
    done = api.state()["visits_done"]
    killed_at = time.time()
    workers["w2"].kill_for_good()
    print(f"host3 (w2, partitions {before['w2']}) is killed for good after {done} of {planned} visits")
    joiner = Host(product.root, 5, package)
    give_key("w4", joiner)
    joiner.start_worker(scheduler, "w4", "worker.key")
    wait(lambda: "w4" in api.connected(), "the new worker is connected", 60)
    wait(lambda: "w2" not in api.connected(), "the dead worker has left", 60)
    print(f"w2 left {time.time() - killed_at:.1f} s after its death; w4 on host5 has joined")

    def placed():
        held = api.held()
        return held if sorted(p for some in held.values() for p in some) == list(range(6)) else None

    held = wait(placed, "every partition is held again", 120)
    print(f"after {time.time() - killed_at:.1f} s: " + ", ".join(f"{name} holds {some}" for name, some in sorted(held.items())))
    check(api.state()["state"] == "RUNNING", "it ended too early to show anything; give more --epochs")
    wait(lambda: api.state()["state"] == "COMPLETED", "the experiment is completed", 600)
    text = api.modelhop("exp", "export", "e1", "--format", "csv")
    check(text == expected, f"differs:\n{expected}\n{text}")
    units = [json.loads(line) for line in api.modelhop("exp", "export", "e1", "--format", "jsonl", "--units").splitlines()]
    visits = check_counted_once(units)
    by = {}
    for unit in units:
        if unit["outcome"] == "finished":
            by[unit["worker"]] = by.get(unit["worker"], 0) + 1
    check("w4" in by, f"the new worker did nothing: {by}")
    print(f"the same CSV; {visits} visits counted once, by " + ", ".join(f"{name} {n}" for name, n in sorted(by.items())))
    for host in [scheduler, workers["w1"], workers["w3"], joiner]:
        host.kill_for_good()
shutil.rmtree(bin_dir, ignore_errors=True)
print("passed")
