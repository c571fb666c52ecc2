#!/usr/bin/env python3
"""Who may speak: a real scheduler with keys under thousands of connections that it must not listen to.

1. Nobody who is allowed is connected: the scheduler's count of decoded frames stays as it is, to the frame.
2. Allowed workers train meanwhile: the same CSV as an undisturbed run, and no worker but them.
3. Revocations of a training worker: how long until its unit runs elsewhere.

usage: keys_test.py BIN_DIR ATTACK_PROGRAM [--attempts N] [--revocations N] [--worker PROGRAM] [--keep]
"""
import argparse
import json
import os
import socket
import statistics
import subprocess
import threading
import time
import urllib.request

from harness import Product, blobs, check, check_counted_once, cnn_spec, free_port

parser = argparse.ArgumentParser()
parser.add_argument("bin")
parser.add_argument("attack")
parser.add_argument("--attempts", type=int, default=10_000)
parser.add_argument("--revocations", type=int, default=10)
parser.add_argument("--epochs", type=int, default=12)
parser.add_argument("--worker", help="a worker program without LibTorch, whose batches then take 2 ms")
parser.add_argument("--keep", action="store_true")
args = parser.parse_args()


class Tap:
    """Between a worker and the scheduler: passes bytes on, and keeps what the worker sent on its first connection."""

    def __init__(self, to):
        self.to, self.sent = to, bytearray()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.first = True
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            near, _ = self.listener.accept()
            far = socket.create_connection(("127.0.0.1", self.to))
            kept, self.first = (self.sent if self.first else None), False
            threading.Thread(target=self._pass, args=(near, far, kept), daemon=True).start()
            threading.Thread(target=self._pass, args=(far, near, None), daemon=True).start()

    @staticmethod
    def _pass(source, target, kept):
        try:
            while data := source.recv(65536):
                if kept is not None:
                    kept += data
                target.sendall(data)
        except OSError:
            pass
        for one in (source, target):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class Service:
    """modelhop scheduler with keys, its workers, and its API."""

    def __init__(self, product, name):
        self.product, self.name = product, name
        self.port, self.http = free_port(), free_port()
        self.keys = product.root / f"keys-{name}"
        self.modelhop("generate")
        self.processes = {}
        self.start("scheduler", [product.bin / "modelhop", "scheduler", "--state-dir", product.state_dir(name), "--listen",
                                 f"tcp://127.0.0.1:{self.port}", "--http", f"127.0.0.1:{self.http}", "--keys", self.keys])
        self.wait(lambda: self.get("status"), "the scheduler serves")

    def modelhop(self, *words):
        return self.product.run("keys", *words, "--keys", self.keys)

    def start(self, name, words):
        out = open(self.product.root / f"{self.name}-{name}.log", "ab")
        env = self.product.env() | {"MODELHOP_FAKE_BATCH_US": "2000"}
        self.processes[name] = subprocess.Popen(list(map(str, words)), env=env, stdout=out, stderr=out)

    def start_worker(self, name, key, port=None):
        self.start(name, [self.product.worker, "--scheduler", f"tcp://127.0.0.1:{port or self.port}", "--name", name, "--key",
                          self.keys / f"{key}.key", "--data-dir", self.product.root / f"data-{self.name}-{name}"])

    def get(self, path):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/api/v1/{path}", timeout=10) as answer:
                return answer.read().decode()
        except OSError:
            return None

    def json(self, path):
        return json.loads(self.get(path))

    def metrics(self):
        """Summed over labels, and with them."""
        found = {}
        for line in self.get("metrics").splitlines():
            if line and not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                found[name] = float(value)
        return found

    def workers(self):
        return {worker["name"]: worker for worker in self.json("workers")["items"]}

    def connected(self, *names):
        now = self.workers()
        return all(name in now and now[name]["state"] == "connected" for name in names)

    @staticmethod
    def wait(holds, what, seconds=60, step=0.05):
        deadline = time.time() + seconds
        while not (found := holds()):
            check(time.time() < deadline, f"not within {seconds} s: {what}")
            time.sleep(step)
        return found

    def submit(self, spec):
        return self.product.run("exp", "create", spec, "--server", f"http://127.0.0.1:{self.http}").stdout.strip()

    def end(self, *names):
        for name in names or list(self.processes):
            process = self.processes.pop(name)
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def attack(service, recording, *more):
    return subprocess.Popen([args.attack, f"tcp://127.0.0.1:{service.port}", *more[:1], service.keys / "scheduler.pub",
                             service.keys / "revoked.key", recording, *more[1:]], stdout=subprocess.PIPE, text=True)


def cpu_s(process):
    fields = open(f"/proc/{process.pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


with Product(args.bin, args.keep, args.worker) as product:
    blobs(product.root / "source")
    product.run("data", "import", "blobs", "--from", "npy", product.root / "source", "--partitions", "4")
    spec = cnn_spec(product.root / "spec.json", epochs=args.epochs)
    product.finish("calm", spec, 2)
    expected = product.export("calm")

    service = Service(product, "keys")
    for name in ("w1", "w2", "spare", "revoked"):
        service.modelhop("generate", name)
    service.modelhop("revoke", "revoked")
    tap = Tap(service.port)
    service.start_worker("w1", "w1", tap.port)
    service.start_worker("w2", "w2")
    service.wait(lambda: service.connected("w1", "w2"), "both workers are connected")
    time.sleep(3)
    recording = product.root / "recording"
    recording.write_bytes(bytes(tap.sent))
    log = (product.state_dir("keys") / "logs/scheduler.log").read_text()
    joined = [json.loads(line[line.index("{"):]) for line in log.splitlines() if '"worker_joined"' in line]
    victim = next(record["body"]["incarnation"] for record in joined if record["body"]["name"] == "w1")

    print(f"== {args.attempts} attempts while nobody who is allowed is connected")
    service.end("w1", "w2")
    service.wait(lambda: not service.connected("w1") and not service.connected("w2"), "both workers have left")
    time.sleep(1)
    before = service.metrics()
    spent = cpu_s(service.processes["scheduler"])
    run = attack(service, recording, str(args.attempts))
    text, _ = run.communicate()
    print(text, end="")
    check(run.returncode == 0, "an attempt was let in, or hung")
    after = service.metrics()
    spent = cpu_s(service.processes["scheduler"]) - spent
    print(f"the scheduler's CPU time: {spent:.1f} s, {1e6 * spent / args.attempts:.0f} us an attempt")
    print(f"frames decoded: {before['modelhop_frames_total']:.0f} before, {after['modelhop_frames_total']:.0f} after")
    check(after["modelhop_frames_total"] == before["modelhop_frames_total"], "a frame reached the decoder")
    refused = {reason: after[f'modelhop_connections_refused_total{{reason="{reason}"}}'] for reason in ("key", "handshake")}
    print(f"connections refused: {refused['key']:.0f} by key, {refused['handshake']:.0f} in the handshake")
    check(refused["key"] >= args.attempts / 8 * 2 and sum(refused.values()) >= args.attempts * 3 / 4, "too few are counted")

    more = attack(service, recording, str(args.attempts // 10), service.keys / "spare.key", victim)
    text, _ = more.communicate()
    print(text, end="")
    check(more.returncode == 0, "an allowed key has no connection")
    stolen = service.metrics()
    refused_frames = stolen['modelhop_stale_messages_total{reason="refused_key"}']
    print(f"frames decoded: {stolen['modelhop_frames_total']:.0f}; refused for their key: {refused_frames:.0f}")
    check(stolen["modelhop_frames_total"] == before["modelhop_frames_total"], "a frame in another's name reached the decoder")
    check(refused_frames >= args.attempts // 10, "too few frames in another's name are counted")

    print(f"== {args.attempts} attempts while allowed workers train")
    service.start_worker("w1", "w1")
    service.start_worker("w2", "w2")
    service.wait(lambda: service.connected("w1", "w2"), "both workers are connected")
    experiment = service.submit(spec)
    run = attack(service, recording, str(args.attempts))
    text, _ = run.communicate()
    print(text.splitlines()[-1])
    check(run.returncode == 0, "an attempt was let in, or hung")
    units = service.metrics()['modelhop_units_total{kind="train",outcome="finished"}']
    print(f"units finished meanwhile: {units:.0f}")
    service.wait(lambda: service.json(f"experiments/{experiment}")["state"] == "COMPLETED", "the experiment is completed", 600)
    check(service.get(f"experiments/{experiment}/export?format=csv") == expected, "the CSV differs from the undisturbed run's")
    check(set(service.workers()) == {"w1", "w2"}, f"who is no worker became one: {set(service.workers())}")
    final = service.metrics()
    check(final['modelhop_stale_messages_total{reason="bad_frame"}'] == 0, "a bad frame reached the decoder")
    check(final["modelhop_lease_expirations_total"] == 0, "a lease ran out")
    print("the same CSV as undisturbed, no other worker, no bad frame, no lease lost")

    print(f"== {args.revocations} revocations of a worker that trains")
    times = []
    experiment = service.submit(cnn_spec(product.root / "long.json", epochs=60, name="long"))
    for round_ in range(args.revocations):
        key = f"r{round_}"
        service.modelhop("generate", key)
        time.sleep(0.5)
        service.start_worker("w3", key)
        service.wait(lambda: service.connected("w3"), "w3 is connected")
        service.end("w1")
        service.wait(lambda: service.workers()["w3"].get("trial"), "w3 trains", 90)
        process = service.processes.pop("w3")
        started = time.time()
        service.modelhop("revoke", key)
        service.wait(lambda: not service.connected("w3"), "w3 is out", 10, 0.01)
        times.append(time.time() - started)
        check(process.wait(15) == 5, "w3 was not told that it is refused")
        service.start_worker("w1", "w1")
        service.wait(lambda: service.connected("w1"), "w1 is back")
    print(f"out after {statistics.median(times):.2f} s (median), {max(times):.2f} s at most, the command included")
    check(max(times) < 1.0, "a revoked worker was not out within a heartbeat")
    units = [json.loads(line) for line in service.get(f"experiments/{experiment}/export?format=jsonl&rows=units").splitlines()]
    check_counted_once(units)
    service.end()
print("passed")
