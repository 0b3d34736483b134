"""The measures on a log written by hand, in which every kind of ending occurs.

At one server: `low` works from 0, is pre-empted by `high` at 2, waits again and works from 5 to 7. `gone` blocks at 3 and
gives up at 4. `refused` is turned away at 4. `next` blocks at 6, starts at 7 and still works when the window closes at 10.
"""

from model.events import Kind, Status
from tests.fleet_logs import S, concurrency, header, log

from .measures import Window

LOW, HIGH, GONE, REFUSED, NEXT = range(5)
TASK = "work"


def written():
    rows = [
        (0, Kind.TaskStarted, LOW, 0, 0),
        (2, Kind.TaskFinished, LOW, 0, Status.preempted),
        (2, Kind.TaskBlocked, LOW, 1, 0),
        (2, Kind.TaskStarted, HIGH, 0, 0),
        (3, Kind.TaskBlocked, GONE, 0, 1),
        (4, Kind.TaskAbandoned, GONE, 0, 1 * S),
        (4, Kind.TaskFinished, GONE, 0, Status.cancelled),
        (4, Kind.TaskRejected, REFUSED, 0, -1),
        (4, Kind.TaskFinished, REFUSED, 0, Status.failed),
        (5, Kind.TaskFinished, HIGH, 0, Status.succeeded),
        (5, Kind.TaskResumed, LOW, 1, 3 * S),
        (5, Kind.TaskStarted, LOW, 1, 3 * S),
        (6, Kind.TaskBlocked, NEXT, 0, 0),
        (7, Kind.TaskFinished, LOW, 1, Status.succeeded),
        (7, Kind.TaskResumed, NEXT, 0, 1 * S),
        (7, Kind.TaskStarted, NEXT, 0, 1 * S),
    ]
    entries = header({"fleet": 5}, [concurrency("servers", 1)])
    return log(
        entries, [(time * S, kind, agent, 0, 0, attempt, 0, value) for time, kind, agent, attempt, value in rows]
    )


def whole():
    return Window(written(), 0, 10 * S)


def test_waits_are_those_of_first_attempts():
    assert sorted(whole().waits(TASK).tolist()) == [0, 0, 1]


def test_time_in_system_is_from_the_first_asking_to_the_last_end():
    assert sorted(whole().sojourns(TASK).tolist()) == [3, 7]


def test_the_pre_empted_wait_again():
    assert whole().waited(Kind.TaskResumed, TASK) == 4
    assert whole().waited(Kind.TaskAbandoned, TASK) == 1


def test_numbers_are_integrated():
    assert whole().waiting(TASK) == 3 + 1 + 1
    assert whole().in_service(TASK) == 2 + 3 + 2 + 3
    assert whole().in_service(TASK, at_most=1) == 10


def test_a_window_cuts_what_lies_across_its_edges():
    window = Window(written(), 4 * S, 6 * S)
    assert (window.waiting(TASK), window.in_service(TASK)) == (1, 2)
    assert window.sojourns(TASK).tolist() == [3]
    assert window.waits(TASK).tolist() == []


def test_counts():
    assert whole().asked(TASK) == 5  # twice for who is pre-empted, never for who is turned away
    assert whole().count(Kind.TaskFinished, TASK, Status.succeeded) == 2
    assert whole().per_period(Kind.TaskStarted, TASK, 5).tolist() == [2, 2]
