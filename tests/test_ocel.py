"""`export --to ocel`: valid by the published schema, whole in itself, and with the numbers of the report."""

import json
from collections import Counter
from pathlib import Path

import jsonschema
import numpy as np
from hypothesis import given
from runs import run, scenario
from traced import Dict, ended, exported, logs, some

from model.log import Log
from model.roster import Roster
from model.rows import rows
from sim.analysis.ledger import BACK_OFF
from sim.analysis.report import report

SCHEMA = json.loads((Path(__file__).parent / "data" / "ocel" / "ocel20-schema-json.json").read_text())
DATE_TIME = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$"
TYPES = {"string", "time", "integer", "float", "boolean"}


def opened(log: Log) -> Dict:
    found: Dict = json.loads(exported(log, "ocel"))
    return found


def values(entry: Dict) -> Dict:
    return {value["name"]: value["value"] for value in entry["attributes"]}


def related(entry: Dict) -> set[tuple[str, str]]:
    return {(each["objectId"], each["qualifier"]) for each in entry["relationships"]}


def check(found: Dict) -> None:
    """The published schema, and what the specification says beside it."""
    jsonschema.Draft7Validator(SCHEMA).validate(found)
    times = [each["time"] for each in found["events"]]
    times += [value["time"] for each in found["objects"] for value in each["attributes"]]
    jsonschema.validate(times, {"items": {"pattern": DATE_TIME}})
    ids = [each["id"] for each in (*found["events"], *found["objects"])]
    assert len(ids) == len(set(ids))
    objects = {each["id"] for each in found["objects"]}
    for kind in ("event", "object"):
        declared = {
            each["name"]: {value["name"]: value["type"] for value in each["attributes"]}
            for each in found[f"{kind}Types"]
        }
        assert all(set(types.values()) <= TYPES for types in declared.values())
        for each in found[f"{kind}s"]:
            for name, value in values(each).items():
                assert declared[each["type"]][name] == "string" or int(value) is not None
            assert {id_ for id_, _ in related(each)} <= objects


@some
@given(logs())
def test_it_is_valid_and_has_every_event_and_the_numbers_of_the_report(log: Log) -> None:
    found = opened(log)
    check(found)
    numbers, charges = report(log)
    told = [each for batch in rows(log) for each in batch.to_pylist()]
    assert [(each["id"], each["type"], int(values(each)["time_ns"])) for each in found["events"]] == [
        (f"event:{each['seq']}", each["kind"], each["time"]) for each in told
    ]
    for event, each in zip(found["events"], told, strict=True):
        if each["task"] is not None and each["kind"] != "DeadlockDetected":
            assert (f"visit:{each['task']}:{each['visit']}", "visit") in related(event)
        assert sum(id_ == f"constraint:{each['constraint']}" for id_, _ in related(event)) == (
            each["constraint"] is not None
        ) or each["kind"] in ("RunStarted", "RunFinished")
    visits = [values(each) for each in found["objects"] if each["type"] == "visit"]
    sums = {name: sum(int(visit[name]) for visit in visits) for name in ("blocked_ns", "backed_off_ns", "attempts")}
    assert sums["blocked_ns"] == sum(each["blocked_ns"] for each in numbers["constraints"].values())
    assert sums["backed_off_ns"] == int(charges.ns[charges.cause == BACK_OFF].sum())
    outcomes = Counter(visit.get("outcome") for visit in visits)
    assert outcomes["finished"] == numbers["all"]["succeeded"] == numbers["tasks"]["finished"]
    assert outcomes["skipped"] == numbers["tasks"]["skipped"]
    ended = {(each["task"], each["visit"]) for each in told if each["kind"] == "TaskFinished"}
    assert len(visits) - outcomes["skipped"] - outcomes[None] <= len(ended) <= len(visits)


@some
@given(logs())
def test_who_ended_a_wait_is_related_to_who_waited(log: Log) -> None:
    found = opened(log)
    roster = Roster(log.header)
    for batch in log.batches():
        roster.feed(batch)
    visits = {each["id"]: related(each) for each in found["objects"] if each["type"] == "visit"}
    wanted: dict[str, set[tuple[str, str]]] = {id_: set() for id_ in visits}
    ends = {int(each["id"][6:]): each for each in found["events"] if each["type"] == "TaskResumed"}
    causes = ended(log)
    assert ends.keys() == causes.keys()
    for end, (why, event, (agent, step, visit, _)) in causes.items():
        told = values(ends[end])
        assert (told["ended_by"], int(told.get("ended_by_event", -1))) == (why, event)
        ((own, _),) = (pair for pair in related(ends[end]) if pair[1] == "visit")
        if visit >= 0:
            wanted[own].add((f"visit:{roster.task_name(agent, step)}:{visit}", f"is admitted: {why} by"))
            if event >= 0:
                wanted_by = (f"visit:{roster.task_name(agent, step)}:{visit}", "visit")
                assert wanted_by in related(found["events"][event])
    assert wanted == {id_: {pair for pair in of if pair[1] != "agent"} for id_, of in visits.items()}


@some
@given(logs())
def test_the_path_of_an_agent_or_a_visit_is_what_it_did(log: Log) -> None:
    found = opened(log)
    paths: dict[str, list[str]] = {}
    for event in found["events"]:
        for id_, _ in related(event):
            if id_.startswith(("agent:", "visit:")):
                paths.setdefault(id_, []).append(event["id"])
    wanted: dict[str, list[str]] = {}
    roster = Roster(log.header)
    for batch in log.batches():
        roster.feed(batch)
    for each in (each for batch in rows(log) for each in batch.to_pylist()):
        if each["agent"] >= 0:
            wanted.setdefault(f"agent:{roster.name(each['agent'])}", []).append(f"event:{each['seq']}")
        if each["task"] is not None and each["kind"] != "AgentStarted":
            wanted.setdefault(f"visit:{each['task']}:{each['visit']}", []).append(f"event:{each['seq']}")
    assert {id_: path for id_, path in wanted.items() if id_ in paths} == paths
    objects = {each["id"] for each in found["objects"]}
    assert all(id_ in paths for id_ in wanted if id_ in objects)


@some
@given(logs())
def test_a_constraint_has_its_limits_from_the_times_on_at_which_it_had_them(log: Log) -> None:
    found = opened(log)
    changes: Dict = {f"constraint:{entry.id}": {} for entry in log.header.constraints}
    for batch in rows(log):
        for each in batch.to_pylist():
            if each["kind"] == "ConstraintChanged":
                at = str(np.datetime64(each["time"], "ns")) + "Z"
                changes[f"constraint:{each['constraint']}"][at] = str(each["value"])
    for entry in found["objects"]:
        if entry["type"] == "constraint":
            limits = {each["time"]: each["value"] for each in entry["attributes"] if each["name"] == "limit"}
            assert len(limits) == sum(each["name"] == "limit" for each in entry["attributes"])
            first = {at: limit for at, limit in limits.items() if at not in changes[entry["id"]]}
            assert {**first, **changes[entry["id"]]} == limits
            assert len(first) <= 1


def test_a_deadlock_is_valid_too() -> None:
    """A parent holds the slot that its branch waits for."""
    slot = {"id": "slot", "type": "concurrency", "limit": 1}
    branch = {"fork": 1, "steps": [{"task": "work", "duration": "1s"}]}
    found = opened(run(scenario(constraints=[slot], steps=[{"hold": "plan", "steps": [branch]}])))
    check(found)
    events = [each for each in found["events"] if each["type"] == "DeadlockDetected"]
    assert values(events[0])["agents"] == "1"
