"""What must hold of a journal's records and of what was acknowledged on the way, whatever happened in between.

Pure: records and facts in, complaints out. It shares no code with the product and knows only what docs/api.md says of the
records. `plant()` damages good records one way at a time, to show that the judge would notice.
"""
import collections
import copy
import json

ENDS = ("unit_finished", "unit_yielded", "unit_released")


class Acknowledged:
    """What clients were told before the end."""

    def __init__(self):
        self.lines = {}  # seq -> the record as the event stream showed it
        self.seq = 0  # highest seq any answer named
        self.created = {}  # idempotency key -> experiment id
        self.trials = {}  # trial id -> (state, value, state_hash) of ended trials
        self.experiments = {}  # id -> state of ended experiments
        self.visits = {}  # experiment id -> most visits done that an answer said
        self.complaints = []  # what was wrong at once

    def ended_trial(self, trial, facts):
        before = self.trials.setdefault(trial, facts)
        if before != facts:
            self.complaints.append(f"trial {trial} ended as {before} and was later shown as {facts}")

    def ended_experiment(self, experiment, state):
        before = self.experiments.setdefault(experiment, state)
        if before != state:
            self.complaints.append(f"experiment {experiment} ended {before} and was later shown as {state}")


def token_of(text):
    boot, counter = text.split(".")
    return int(boot), int(counter)


class Judge:
    def __init__(self):
        self.complaints = []
        self.seq = self.boot = 0
        self.newest = (0, 0)  # token
        self.present = {}  # worker id -> incarnation
        self.open = {}  # token -> lease body
        self.finished = {}  # (experiment, unit) -> seq
        self.visits = {}  # (experiment, trial) -> [hash of each counted visit]
        self.counted_by = {}  # (experiment, trial, visit) -> unit
        self.lost = {}  # (experiment, trial, visit) -> hash that a rollback took back
        self.targets = {}  # (experiment, trial) -> visits
        self.evaluated = collections.Counter()  # (experiment, trial, visits)
        self.ended_trials, self.ended_experiments, self.keys = {}, {}, {}
        self.deleting, self.deleted = set(), set()

    def say(self, record, text):
        self.complaints.append(f"record {record['seq']} ({record['type']}): {text}")

    def take(self, record):
        if record["seq"] != self.seq + 1:
            self.say(record, f"follows record {self.seq}")
        self.seq = record["seq"]
        handler = getattr(self, "on_" + record["type"], None)
        if handler is not None:
            handler(record, record["body"])

    def on_booted(self, record, body):
        if body["boot"] <= self.boot:
            self.say(record, f"boot {body['boot']} after boot {self.boot}")
        self.boot = body["boot"]

    def on_worker_joined(self, record, body):
        self.present[body["worker"]] = body["incarnation"]

    def on_worker_left(self, record, body):
        if self.present.pop(body["worker"], None) != body["incarnation"]:
            self.say(record, f"worker {body['worker']} left as a process that had not joined")

    def on_experiment_created(self, record, body):
        key = body["idempotency_key"]
        if key and key in self.keys:
            self.say(record, f"idempotency key {key} made {self.keys[key]} before")
        self.keys[key] = body["experiment"]

    def on_trial_created(self, record, body):
        trial = (body["experiment"], body["trial"])
        if trial in self.targets:
            self.say(record, f"trial {trial} exists")
        self.targets[trial] = body["target_visits"]
        self.visits[trial] = []

    def on_unit_leased(self, record, body):
        token, trial = token_of(body["token"]), (body["experiment"], body["trial"])
        if token <= self.newest:
            self.say(record, f"token {body['token']} is not above {self.newest}")
        if token[0] != self.boot:
            self.say(record, f"token {body['token']} was issued by boot {self.boot}")
        self.newest = max(self.newest, token)
        if self.present.get(body["worker"]) != body["incarnation"]:
            self.say(record, f"leased to a process that is not worker {body['worker']}")
        for other in self.open.values():
            if (other["experiment"], other["unit"]) == (body["experiment"], body["unit"]):
                self.say(record, f"unit {body['unit']} is leased under {other['token']}")
            if other["worker"] == body["worker"]:
                self.say(record, f"worker {body['worker']} has a lease under {other['token']}")
        if body["visit"] != len(self.visits.get(trial, ())):
            self.say(record, f"trial {trial}: visit {body['visit']} after {len(self.visits.get(trial, ()))} visits")
        if trial in self.ended_trials or body["experiment"] in self.ended_experiments:
            self.say(record, f"trial {trial} has ended")
        self.open[body["token"]] = body

    def _end(self, record, body):
        lease = self.open.pop(body["token"], None)
        if lease is None or (lease["experiment"], lease["unit"]) != (body["experiment"], body["unit"]):
            self.say(record, f"token {body['token']} holds no open lease of unit {body['unit']}")
        return lease

    def on_unit_released(self, record, body):
        self._end(record, body)

    def on_unit_yielded(self, record, body):
        self._end(record, body)

    def on_unit_finished(self, record, body):
        lease = self._end(record, body)
        unit = (body["experiment"], body["unit"])
        if unit in self.finished:
            self.say(record, f"unit {unit} was finished by record {self.finished[unit]}")
        self.finished[unit] = record["seq"]
        if lease is None:
            return
        trial = (lease["experiment"], lease["trial"])
        visits = self.visits.setdefault(trial, [])
        if lease["visit"] != len(visits):
            self.say(record, f"trial {trial}: visit {lease['visit']} counted after {len(visits)} visits")
        state = body["state"]
        if state["trial"] != lease["trial"]:
            self.say(record, f"unit {unit} of trial {lease['trial']} ended with a state of trial {state['trial']}")
        before = self.lost.pop((*trial, lease["visit"]), state["hash"])
        if before != state["hash"]:
            self.say(record, f"trial {trial}: visit {lease['visit']} gave {state['hash']}, and {before} before it was lost")
        self.counted_by[(*trial, lease["visit"])] = unit
        visits.append(state["hash"])

    def on_trial_evaluated(self, record, body):
        trial = (body["experiment"], body["trial"])
        self.evaluated[(*trial, body["visits"])] += 1
        if self.evaluated[(*trial, body["visits"])] > 1:
            self.say(record, f"trial {trial} was evaluated at visit {body['visits']} before")
        visits = self.visits.get(trial, [])
        if body["visits"] != len(visits) or not visits or visits[-1] != body["state"]["hash"]:
            self.say(record, f"trial {trial} was evaluated in a state that its last visit did not give")

    def on_trial_rolled_back(self, record, body):
        trial = (body["experiment"], body["trial"])
        visits = self.visits.get(trial, [])
        keep = self._visits_before(visits, body)
        if keep is None:
            self.say(record, f"trial {trial} was rolled back to a state that it never had")
            return
        for visit in range(keep, len(visits)):
            self.lost.setdefault((*trial, visit), visits[visit])
            self.finished.pop(self.counted_by.pop((*trial, visit)), None)
            self.evaluated.pop((*trial, visit + 1), None)
        del visits[keep:]

    def _visits_before(self, visits, body):
        hash_ = body["to"].get("hash") if isinstance(body["to"], dict) else body["to"]
        if not hash_ or set(hash_) == {"0"}:
            return 0
        return visits.index(hash_) + 1 if hash_ in visits else None

    def on_trial_ended(self, record, body):
        trial = (body["experiment"], body["trial"])
        if trial in self.ended_trials:
            self.say(record, f"trial {trial} had ended")
        self.ended_trials[trial] = body["how"]
        if body["how"] == "COMPLETED" and len(self.visits.get(trial, [])) != self.targets.get(trial):
            self.say(record, f"trial {trial} completed after {len(self.visits.get(trial, []))} of {self.targets.get(trial)} visits")

    def on_experiment_state_changed(self, record, body):
        if body["state"] in ("COMPLETED", "STOPPED", "CANCELED", "FAILED"):
            if body["experiment"] in self.ended_experiments:
                self.say(record, f"{body['experiment']} had ended")
            self.ended_experiments[body["experiment"]] = body["state"]
            if any(lease["experiment"] == body["experiment"] for lease in self.open.values()):
                self.say(record, f"{body['experiment']} ended with an open lease")

    def on_state_delete_intended(self, record, body):
        self.deleting.add(json.dumps(body["state"], sort_keys=True))

    def on_state_deleted(self, record, body):
        state = json.dumps(body["state"], sort_keys=True)
        if state not in self.deleting:
            self.say(record, "deleted without intent")
        self.deleting.discard(state)
        self.deleted.add(state)


def judge(lines, acknowledged):
    """lines: {seq: record as text}, read at the end. What is wrong with them, as sentences."""
    court = Judge()
    for seq in sorted(lines):
        record = json.loads(lines[seq])
        if record["seq"] != seq:
            court.complaints.append(f"record {record['seq']} stands at {seq}")
        court.take(record)
    said = court.complaints + list(acknowledged.complaints)
    if acknowledged.seq > court.seq:
        said.append(f"record {acknowledged.seq} was acknowledged, and the journal ends at {court.seq}")
    for seq, line in acknowledged.lines.items():
        if seq not in lines:
            said.append(f"record {seq} was shown and is missing")
        elif lines[seq] != line:
            said.append(f"record {seq} was shown as {line} and is {lines[seq]}")
    for key, experiment in acknowledged.created.items():
        if court.keys.get(key) != experiment:
            said.append(f"{key} was acknowledged as {experiment} and is {court.keys.get(key)}")
    for experiment, state in acknowledged.experiments.items():
        if court.ended_experiments.get(experiment) != state:
            said.append(f"{experiment} was shown as {state} and is {court.ended_experiments.get(experiment)}")
    for name, (state, _, state_hash) in acknowledged.trials.items():
        experiment, number = name.rsplit(".", 1)
        trial = (experiment, int(number))
        if court.ended_trials.get(trial) != state or (court.visits.get(trial) or [None])[-1] != state_hash:
            said.append(f"trial {name} was shown as {state} in {state_hash}, which the records do not say")
    for experiment, visits in acknowledged.visits.items():
        counted = sum(len(hashes) for (of, _), hashes in court.visits.items() if of == experiment)
        if counted < visits:
            said.append(f"{experiment}: {visits} visits were shown as done, and {counted} are counted")
    return said


# --- would it notice? ---------------------------------------------------------------------------------------------


def plant(lines, acknowledged, rng):
    """Yields (what was planted, damaged lines, acknowledged), one mistake each."""
    records = {seq: json.loads(line) for seq, line in lines.items()}

    def some(*types):
        found = [seq for seq, record in records.items() if record["type"] in types]
        return rng.choice(found) if found else None

    def changed(seq, change):
        record = copy.deepcopy(records[seq])
        change(record["body"])
        return {**lines, seq: json.dumps(record, sort_keys=True, separators=(",", ":"))}

    def renumbered(order):
        out = {}
        for seq, record in enumerate(order, 1):
            out[seq] = json.dumps({**record, "seq": seq}, sort_keys=True, separators=(",", ":"))
        return out

    def flip(text):
        return ("1" if text[0] == "0" else "0") + text[1:]

    nobody = Acknowledged()
    last = max(lines)
    finished = some("unit_finished")
    yield "the last acknowledged record is missing", {s: l for s, l in lines.items() if s != last}, acknowledged
    yield "an acknowledged record is missing", {s: l for s, l in lines.items() if s != finished}, acknowledged
    yield "an acknowledged record has another state", changed(finished, lambda b: b["state"].update(hash=flip(b["state"]["hash"]))), acknowledged
    yield "an acknowledged record has another sum", changed(finished, lambda b: b["train"][0].update(total=b["train"][0]["total"] + 1e-9)), acknowledged
    order = [records[seq] for seq in sorted(records)]
    yield "a result is counted twice", renumbered(order + [records[finished]]), nobody
    again = copy.deepcopy(records[finished])
    again["body"]["token"] = "999999.1"
    yield "a result counts under a token that nobody was given", renumbered(order + [again]), nobody
    without = [record for record in order if record["seq"] != finished]
    yield "a result was never recorded", renumbered(without), nobody
    lease = some("unit_leased")
    yield "a unit is leased twice at once", renumbered([r for record in order for r in ([record, record] if record["seq"] == lease else [record])]), nobody
    old = changed(lease, lambda b: b.update(token="0.1"))
    yield "a token repeats or is of a boot that is over", old, nobody
    yield "a lease goes to a process that never joined", changed(lease, lambda b: b.update(incarnation=flip(b["incarnation"]))), nobody
    ended = some("trial_ended")
    if ended is not None:
        yield "a trial ended otherwise than shown", changed(ended, lambda b: b.update(how="INVALID")), acknowledged
        visit = next(seq for seq in sorted(records) if records[seq]["type"] == "unit_finished")
        yield "a trial completes without one of its visits", renumbered(
            [r for r in order if r["seq"] != visit and not (r["type"] == "unit_leased" and r["body"]["token"] == records[visit]["body"]["token"])]), nobody
    created = some("experiment_created")
    if created is not None:
        yield "a submission was made twice", renumbered(order + [records[created]]), nobody
        if acknowledged.created:
            lost = copy.copy(acknowledged)
            lost.created = {**acknowledged.created, "a-key-that-was-answered": "e999"}
            yield "an acknowledged submission is missing", lines, lost
    behind = copy.copy(acknowledged)
    behind.seq = last + 1
    yield "the journal ends before what was acknowledged", lines, behind


def prove(lines, acknowledged, rng):
    """(planted, mistakes that were not noticed)"""
    planted, missed = 0, []
    for what, damaged, told in plant(lines, acknowledged, rng):
        planted += 1
        if not judge(damaged, told):
            missed.append(what)
    return planted, missed
