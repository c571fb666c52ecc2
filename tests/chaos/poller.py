"""Asks the HTTP API as a client would, all the time, and remembers every answer that cannot be taken back."""
import threading
import time

from oracle import Acknowledged

ENDED_TRIAL = ("COMPLETED", "STOPPED", "FAILED", "CANCELED", "INVALID")
ENDED_EXPERIMENT = ("COMPLETED", "STOPPED", "CANCELED", "FAILED")


class Poller:
    def __init__(self, client, every_s=0.5):
        self.client, self.every_s = client, every_s
        self.told = Acknowledged()
        self.answers = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._poll, daemon=True)
        self._thread.start()

    def leave(self):
        self._ended.set()
        self._thread.join(30)

    def _poll(self):
        while not self._ended.wait(self.every_s):
            self.look()

    def look(self):
        status = self.client.try_get("/status")
        page = self.client.try_get("/experiments?limit=1000")
        if status is not None:
            self.answers += 1
            self.told.seq = max(self.told.seq, status["seq"])
        for experiment in (page or {"items": []})["items"]:
            self.answers += 1
            name = experiment["id"]
            if name in self.told.experiments and experiment["state"] == self.told.experiments[name]:
                continue
            self.told.visits[name] = max(self.told.visits.get(name, 0), experiment["visits_done"])
            trials = self.client.try_get(f"/experiments/{name}/trials?limit=1000")
            for trial in (trials or {"items": []})["items"]:
                if trial["state"] in ENDED_TRIAL:
                    self.told.ended_trial(trial["id"], (trial["state"], trial["value"], trial["state_hash"]))
            if experiment["state"] in ENDED_EXPERIMENT:
                self.told.ended_experiment(name, experiment["state"])
