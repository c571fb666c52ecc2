"""What the scheduler acknowledged, as an outsider sees it: the event stream, followed over every restart."""
import collections
import datetime
import http.client
import json
import threading
import time


class Follower:
    """Follows /events with Last-Event-ID. Keeps the exact line of every record it was shown, under its seq."""

    def __init__(self, port, after=0):
        self.port = port
        self.lines = {}  # seq -> data as sent
        self.complaints = []
        self.leases = {}  # worker name -> (token, unit record) of the open lease
        self.names = {}  # worker id -> name
        self.last = after
        self._changed = threading.Condition()
        self._ended = False
        self._connection = None
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def leave(self):
        self._ended = True
        self._thread.join(20)

    def records(self):
        with self._changed:
            return [json.loads(self.lines[seq]) for seq in sorted(self.lines)]

    def wait_for(self, wanted, timeout_s, after=0):
        """The first record with seq > after for which wanted(record) holds; None after timeout_s."""
        deadline = time.monotonic() + timeout_s
        looked = after
        while True:
            with self._changed:
                for seq in range(looked + 1, self.last + 1):
                    if seq in self.lines:
                        record = json.loads(self.lines[seq])
                        if wanted(record):
                            return record
                looked = max(looked, self.last)
                left = deadline - time.monotonic()
                if left <= 0:
                    return None
                self._changed.wait(min(left, 0.5))

    def open_leases(self):
        """{worker name: unit_leased record} now."""
        with self._changed:
            return dict(self.leases)

    def _follow(self):
        while not self._ended:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
            try:
                connection.request("GET", f"/api/v1/events?after={self.last}", headers={"Accept": "text/event-stream"})
                answer = connection.getresponse()
                if answer.status == 200:
                    self._read(answer)
            except (OSError, http.client.HTTPException):
                pass
            finally:
                connection.close()
            time.sleep(0.02)

    def _read(self, answer):
        event = {}
        while not self._ended:
            line = answer.readline()
            if not line.endswith(b"\n"):
                return  # cut off: an unfinished event was not shown
            line = line.rstrip(b"\r\n").decode()
            if line == "":
                if "data" in event:
                    self._take(int(event["id"]), event["data"])
                event = {}
            elif not line.startswith(":"):
                field, _, value = line.partition(": ")
                event[field] = value

    def _take(self, seq, data):
        with self._changed:
            if seq in self.lines:
                self.complaints.append(f"record {seq} was shown twice by one stream position")
            elif seq != self.last + 1:
                self.complaints.append(f"record {seq} was shown after record {self.last}")
            self.lines[seq] = data
            self.last = max(self.last, seq)
            self._note(json.loads(data))
            self._changed.notify_all()

    def _note(self, record):
        body = record["body"]
        if record["type"] == "worker_joined":
            self.names[body["worker"]] = body["name"]
        elif record["type"] == "unit_leased":
            self.leases[self.names[body["worker"]]] = record
        elif record["type"] in ("unit_finished", "unit_yielded", "unit_released"):
            for name, lease in list(self.leases.items()):
                if lease["body"]["token"] == body["token"]:
                    del self.leases[name]


def at_s(record):
    """When it was recorded, in seconds since the epoch."""
    return datetime.datetime.fromisoformat(record["at"].replace("Z", "+00:00")).timestamp()


def leases_of(records):
    """Every lease attempt: token -> {worker, unit, trial, visit, at, end record or None}. Tokens never repeat."""
    names, found = {}, collections.OrderedDict()
    for record in records:
        body = record["body"]
        if record["type"] == "worker_joined":
            names[body["worker"]] = body["name"]
        elif record["type"] == "unit_leased":
            found[body["token"]] = {"worker": names[body["worker"]], "unit": (body["experiment"], body["unit"]), "lease": record,
                                    "end": None}
        elif record["type"] in ("unit_finished", "unit_yielded", "unit_released"):
            found[body["token"]]["end"] = record
    return found
