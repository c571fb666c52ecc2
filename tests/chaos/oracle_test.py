#!/usr/bin/env python3
"""The oracle of chaos passes good records and notices every planted mistake. Needs no built program."""
import json
import random

from oracle import Acknowledged, judge, prove


def check(condition, message):
    if not condition:
        raise AssertionError(message)


def good_journal():
    """Two boots, two workers, one experiment of one trial and two visits, a death in between."""
    lines = {}

    def add(kind, **body):
        seq = len(lines) + 1
        lines[seq] = json.dumps({"at": "2026-01-01T00:00:00.000Z", "body": body, "experiment": body.get("experiment"), "seq": seq,
                                 "type": kind, "version": 1}, sort_keys=True, separators=(",", ":"))

    def state(visit):
        return {"at": {"visit": visit}, "experiment": "e1", "hash": f"{visit:032x}", "trial": 1}

    def lease(unit, token, worker, incarnation, visit):
        add("unit_leased", experiment="e1", unit=unit, trial=1, token=token, worker=worker, incarnation=incarnation, visit=visit)

    def finish(unit, token, visit):
        add("unit_finished", experiment="e1", unit=unit, token=token, state=state(visit), train=[{"name": "loss", "total": 1.0}])

    add("booted", boot=1)
    add("worker_joined", worker=1, name="w1", incarnation="aa")
    add("worker_joined", worker=2, name="w2", incarnation="bb")
    add("experiment_created", experiment="e1", idempotency_key="k")
    add("trial_created", experiment="e1", trial=1, target_visits=2)
    lease(1, "1.1", 1, "aa", 0)
    finish(1, "1.1", 1)
    lease(2, "1.2", 2, "bb", 1)
    add("unit_released", experiment="e1", unit=2, token="1.2", fault="worker_lost", detail="")
    add("worker_left", worker=2, incarnation="bb", reason="")
    add("booted", boot=2)
    lease(2, "2.1", 1, "aa", 1)
    finish(2, "2.1", 2)
    add("state_delete_intended", state=state(1))
    add("trial_evaluated", experiment="e1", trial=1, visits=2, state=state(2))
    add("trial_ended", experiment="e1", trial=1, how="COMPLETED")
    add("experiment_state_changed", experiment="e1", state="COMPLETED")
    add("state_deleted", state=state(1))
    told = Acknowledged()
    told.lines = dict(lines)
    told.seq = len(lines)
    told.created["k"] = "e1"
    told.ended_trial("e1.1", ("COMPLETED", 0.5, f"{2:032x}"))
    told.ended_experiment("e1", "COMPLETED")
    told.visits["e1"] = 2
    return lines, told


lines, told = good_journal()
said = judge(lines, told)
check(not said, f"good records are complained about: {said}")
for seed in range(50):
    planted, missed = prove(lines, told, random.Random(seed))
    check(not missed, f"seed {seed}: not noticed: {missed}")
    check(planted >= 15, f"only {planted} mistakes are planted")
told.ended_trial("e1.1", ("COMPLETED", 0.25, f"{2:032x}"))
check(judge(lines, told), "a trial whose value changes between two answers is not noticed")
print(f"{planted} planted mistakes noticed; 1 passed, 0 failed")
