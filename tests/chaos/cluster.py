"""A scheduler and workers as processes of their own, each started again when it ends, and a client of the HTTP API."""
import http.client
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))
from harness import Product, check, free_port, random_of, write_npy  # noqa: E402,F401  (what the parts here share with the system tests)


class Kept:
    """A process that its supervisor starts again `pause_s` after it ended, until leave(). Every life is noted."""

    def __init__(self, name, command, env, log, pause_s=0.2):
        self.name, self.command, self.env, self.log, self.pause_s = name, list(map(str, command)), env, log, pause_s
        self.lives = 0
        self.exits = []  # (time, returncode)
        self._lock = threading.Lock()
        self._process = None
        self._wanted = threading.Event()
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._supervise, daemon=True)
        self._thread.start()

    def start(self):
        self._wanted.set()
        return self

    def _supervise(self):
        while True:
            self._wanted.wait()
            if self._left.is_set():
                return
            with open(self.log, "ab") as out:
                with self._lock:
                    if self._left.is_set() or not self._wanted.is_set():
                        continue
                    self._process = subprocess.Popen(self.command, env=self.env, stdin=subprocess.DEVNULL, stdout=out,
                                                     stderr=subprocess.STDOUT, start_new_session=True)
                    self.lives += 1
            code = self._process.wait()
            self.exits.append((time.time(), code))
            time.sleep(self.pause_s)

    def pid(self):
        with self._lock:
            return self._process.pid if self._process is not None and self._process.poll() is None else None

    def send(self, number):
        """False: there is no process now."""
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                return False
            self._process.send_signal(number)
            return True

    def kill(self):
        return self.send(signal.SIGKILL)

    def hold_back(self):
        """Once it has ended it stays down until start()."""
        self._wanted.clear()

    def wait_down(self, timeout_s=30):
        deadline = time.time() + timeout_s
        while self.pid() is not None:
            check(time.time() < deadline, f"{self.name}: still runs {timeout_s} s after its end was asked for")
            time.sleep(0.005)

    def leave(self, number=signal.SIGKILL):
        self._left.set()
        self._wanted.set()
        self.send(signal.SIGCONT)
        self.send(number)
        self._thread.join(60)


class Cluster:
    """scheduler, workers w1..wN. `place_worker(i)` may wrap a worker's command and name the address it connects to."""

    def __init__(self, product, workers=4, state_dir=None, listen="127.0.0.1", place_worker=None, env=None, data=None, more=()):
        """env: more variables for the "scheduler" and for the "workers". more: of the scheduler's options."""
        self.product = product
        self.state_dir = state_dir or product.state_dir("cluster")
        self.data = data or product.root / "data"  # each worker's copies of partitions
        self.env = {who: product.env() | (env or {}).get(who, {}) for who in ("scheduler", "workers")}
        self.port, self.http_port = free_port(), free_port()
        self.listen = listen
        self.place_worker = place_worker or (lambda index: ([], "127.0.0.1"))
        self.keys = product.root / "keys"
        product.run("keys", "generate", "--keys", self.keys)
        self.scheduler = Kept("scheduler", [
            product.bin / "modelhop", "scheduler", "--state-dir", self.state_dir, "--store", product.store, "--listen",
            f"tcp://{listen}:{self.port}", "--keys", self.keys, "--http",
            f"127.0.0.1:{self.http_port}", "--disk-reserve", "5%", *more], self.env["scheduler"], product.root / "scheduler.log")
        self.workers = {}
        for index in range(1, workers + 1):
            self.add_worker(index)

    def add_worker(self, index):
        wrap, address = self.place_worker(index)
        name = f"w{index}"
        self.product.run("keys", "generate", name, "--keys", self.keys)
        self.workers[name] = Kept(name, [
            *wrap, self.product.worker, "--scheduler", f"tcp://{address}:{self.port}", "--store", self.product.store, "--name",
            name, "--key", self.keys / f"{name}.key", "--data-dir", self.data / name], self.env["workers"], self.product.root / f"{name}.log")
        return self.workers[name]

    def start(self):
        self.scheduler.start()
        for worker in self.workers.values():
            worker.start()
        self.wait_ready()
        return self

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.leave()

    def leave(self):
        for kept in [*self.workers.values(), self.scheduler]:
            kept.leave()

    def client(self, timeout_s=5):
        return Client(self.http_port, timeout_s)

    def wait_ready(self, timeout_s=60):
        deadline = time.time() + timeout_s
        while self.client(1).try_get("/status") is None:
            check(time.time() < deadline, f"no answer from the scheduler in {timeout_s} s\n{self.log('scheduler')}")
            time.sleep(0.02)

    def log(self, name):
        path = self.product.root / f"{name}.log"
        return path.read_text(errors="replace")[-3000:] if path.exists() else ""


class Client:
    """One request a connection, so that every request meets whatever scheduler there is."""

    def __init__(self, port, timeout_s):
        self.port, self.timeout_s = port, timeout_s

    def request(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=self.timeout_s)
        try:
            connection.request(method, "/api/v1" + path, body=body, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def try_get(self, path):
        """The answer's JSON, or None where there was none."""
        try:
            status, body = self.request("GET", path)
            return json.loads(body) if status == 200 else None
        except (OSError, http.client.HTTPException, ValueError):
            return None

    def text(self, path):
        """Asks until it is answered."""
        deadline = time.time() + 60
        while True:
            try:
                status, body = self.request("GET", path)
                if status == 200:
                    return body.decode()
                error = f"{status} {body[:300]}"
            except (OSError, http.client.HTTPException) as problem:
                error = str(problem)
            check(time.time() < deadline, f"GET {path}: not answered in 60 s: {error}")
            time.sleep(0.1)

    def get(self, path):
        return json.loads(self.text(path))

    def submit(self, spec_text, key, timeout_s=300):
        """POST under one Idempotency-Key until it is answered; the answer."""
        return self.post("/experiments", spec_text, timeout_s, {"Content-Type": "application/json", "Idempotency-Key": key})[1]

    def post(self, path, body=None, timeout_s=300, headers=None, accepted=(200, 201)):
        """POST until it is answered with one of `accepted`: (status, answer)."""
        deadline = time.time() + timeout_s
        while True:
            try:
                status, answer = self.request("POST", path, body, headers)
                if status in accepted:
                    return status, json.loads(answer)
                check(status in (500, 503, 504, 507), f"POST {path}: {status} {answer[:500]}")
            except (OSError, http.client.HTTPException, ValueError):
                pass
            check(time.time() < deadline, f"POST {path}: not answered in {timeout_s} s")
            time.sleep(0.2)


def metrics(text):
    """{'name{labels}': value} of a Prometheus page."""
    found = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, value = line.rsplit(" ", 1)
            found[name] = float(value)
    return found


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
