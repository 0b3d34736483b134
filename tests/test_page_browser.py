"""The web page in headless Chromium: it opens without an error, plays, jumps, and says what the log says.

Where there is no Chromium these tests are skipped.
"""

import re
import shutil
from dataclasses import replace

import pytest
from fleet_logs import S, concurrency, content, log, loop
from test_page import HOSTILE, header

from model.log import Log
from model.state import Phase, state_at
from render.film import Film
from render.page import frames
from render.page.page import page
from sim.analysis.report import report
from tests.runs import run, scenario

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
OPTIONS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
PHASES = {
    Phase.ABSENT: "not started",
    Phase.THINKING: "thinking",
    Phase.BLOCKED: "blocked",
    Phase.RUNNING: "running",
    Phase.FINISHED: "finished",
    Phase.DOWN: "down",
    Phase.BACKING_OFF: "backing off",
}
# It is no package of Python, so that a user's machine need not have it; `.ci/run` installs it.
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on the PATH")


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield chromium
        chromium.close()


class Opened:
    """A page that was opened: what it shows; every error and every request is kept."""

    def __init__(self, context, path):
        self.errors, self.requests = [], []
        self.tab = context.new_page()
        self.tab.on("console", lambda message: self.errors.append(message.text) if message.type != "log" else None)
        self.tab.on("pageerror", lambda error: self.errors.append(str(error)))
        self.tab.on("request", lambda request: self.requests.append(request.url))
        self.path = path

    def go(self, fragment="#t=0s"):
        self.tab.goto(f"file://{self.path}{fragment}")
        self.tab.wait_for_selector("body[data-ready]", timeout=60_000)
        return self

    def until(self, condition):
        """Wait until a condition holds: the policy of the page lets nobody evaluate one inside it."""
        for _ in range(100):
            if self.tab.evaluate(condition):
                return
            self.tab.wait_for_timeout(100)
        raise AssertionError(condition)

    def ns(self):
        return float(self.tab.get_attribute("#time", "data-ns"))

    def jump(self, time):
        self.tab.press("body", "/")
        self.tab.fill("#jump", time)
        self.tab.press("#jump", "Enter")

    def count(self, category, side=0):
        text = self.tab.inner_text(f'#legend output[data-run="{side}"][data-category="{category}"]')
        return int(text.replace(",", ""))

    def counts(self, side=0):
        return [self.count(name, side) for name in PHASES.values()]

    def text(self, selector):
        return self.tab.inner_text(selector)

    def fits(self):
        return self.tab.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.fixture
def opened(browser, tmp_path):
    pages, contexts = [], []

    def opening(*logs, width=1300, height=900, **options):
        path = tmp_path / f"{len(pages)}.html"
        path.write_bytes(page(*logs).content)
        contexts.append(browser.new_context(viewport={"width": width, "height": height}, **options))
        pages.append(Opened(contexts[-1], path))
        return pages[-1]

    yield opening
    for each in pages:
        assert each.errors == []
        assert all(url.startswith("file://") for url in each.requests)
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def bottleneck():
    head = header({"agent": 300}, [concurrency("funnel", 30)])
    return log(head, loop(head, 20 * S))


@pytest.fixture(scope="module")
def fleets():
    limits = [concurrency("llm", 5), concurrency("sandbox", 4), concurrency("human", 2)]
    head = header({"planner": 40, "coder": 120, "re_viewer": 12}, limits)
    return log(head, loop(head, 9 * S, stagger=S // 20, visits=3))


def test_the_counts_are_those_of_the_state(opened, fleets):
    shown = opened(fleets).go()
    for time in (0, 1.5, 4.25, 7, 9):
        shown.jump(f"{time}s")
        moment = state_at(fleets, round(time * S))
        assert shown.counts() == moment.counts().tolist()
        for number in range(3):
            assert int(shown.text(f'[data-waiting="{number}"]')) == moment.waiting[number]


def test_the_report_is_that_of_the_report(opened, bottleneck):
    shown, (told, _) = opened(bottleneck).go(), report(bottleneck)
    for key in ("started", "finished", "failed", "blocked", "open"):
        assert shown.text(f'[data-report="{key}"]') == f"{told['tasks'][key]:,}"
    assert shown.text('[data-report="events"]') == f"{told['events']:,}"
    for name in ("p50", "p95", "p99"):
        value, unit = shown.text(f'[data-report="{name}"]').split()
        ns = float(value.replace(",", "")) * {"s": 1e9, "ms": 1e6, "µs": 1e3}[unit]
        assert ns == pytest.approx(told["wait_ns"][name], rel=5.01e-4)
    peak, used = told["constraints"]["funnel"]["peak_waiting"], told["constraints"]["funnel"]["utilisation"]
    assert f"{100 * used:.1f}%" in shown.text("#constraints")
    assert re.search(rf"\b{peak}\b", shown.text("#constraints"))


def test_what_went_wrong_and_what_was_waited_for_are_those_of_the_report(opened):
    lock = {"type": "concurrency", "limit": 1, "scope": None}
    slow = {"task": "slow", "duration": "5s", "timeout": "2s", "cost": {"tokens": 10}}
    calm = {"task": "calm", "duration": "1s", "needs": {"slot": 1}}
    # x holds one and asks for two at 2 s, y holds two and has asked for one at 1 s.
    holds = [
        {"hold": f"hold_{own}", "needs": {own: 1}, "steps": [{"think": after}, {**calm, "needs": {other: 1}}]}
        for own, other, after in (("one", "two", "2s"), ("two", "one", "1s"))
    ]
    fleets = [
        {"name": "late", "count": 1, "steps": [{**slow, "retry": {"max_attempts": 3, "delay": "1s"}}]},
        {"name": "queue", "count": 3, "starvation": "1500ms", "steps": [calm]},
        *({"name": name, "count": 1, "steps": [hold]} for name, hold in zip("xy", holds, strict=True)),
    ]
    constraints = [{"id": name, **lock} for name in ("slot", "one", "two")]
    constraints.append({"id": "tpm", "type": "rate_limit", "rate": "1k/m", "counts": "tokens", "scope": "fleet:late"})
    options = {"prices": {"tokens": "1/2"}, "expect_deadlock": True, "until": "20s"}
    written = run(scenario(constraints=constraints, fleets=fleets, **options))
    shown, (told, _) = opened(written).go(), report(written)
    numbers = {**told["tasks"], "retries": told["all"]["retries"], "lost": told["all"]["lost"]}
    assert {key: count for key, count in numbers.items() if count and key not in ("blocked", "open")} == {
        **{"started": 8, "finished": 3, "timed_out": 3, "retries": 2, "lost": 1},
    }
    for key, count in numbers.items():
        cell = shown.tab.locator(f'[data-report="{key}"]')
        assert cell.all_inner_texts() == ([str(count)] if count or key == "failed" else [])
    whole = shown.text("#whole")
    assert shown.tab.locator(".verdicts li").all_inner_texts() == [
        "deadlock of 2 agents at 2.00s",
        "stalled since 8.00s: tasks that wait for good: 2",
        "starvation of queue: 1 of 2 waits above 1.5 s",
    ]
    assert told["ledger"]["causes"]["slot"]["ns"] == 3 * S
    assert "slot\t3 s\t" in whole
    assert "back-off\t2 s\t" in whole
    assert (told["cost"]["total"], "tokens\t30\t15.00" in whole, "Cost: 15.00" in whole) == (15.0, True, True)
    shown.tab.locator(".verdicts button").first.click()
    assert shown.ns() == 2 * S


def test_it_plays_by_itself_and_pauses(opened, bottleneck):
    shown = opened(bottleneck).go("")
    shown.until("Number(document.getElementById('time').dataset.ns) > 5e8")
    shown.tab.press("body", " ")
    still = shown.ns()
    shown.tab.wait_for_timeout(300)
    assert shown.ns() == still < 20 * S
    assert shown.tab.get_attribute("#play", "aria-label") == "Play"
    shown.tab.press("body", "End")
    assert shown.counts() == state_at(bottleneck, 20 * S).counts().tolist()
    shown.tab.click("#play")
    shown.until("Number(document.getElementById('time').dataset.ns) < 1e10")
    assert shown.tab.get_attribute("#play", "aria-label") == "Pause"


def test_nothing_moves_by_itself_where_motion_is_not_wanted(opened, bottleneck):
    shown = opened(bottleneck, reduced_motion="reduce").go("")
    shown.tab.wait_for_timeout(300)
    assert shown.ns() == 0


def test_keys_step_an_event_a_frame_a_second_and_to_what_binds(opened, bottleneck):
    shown, film = opened(bottleneck).go("#t=5s"), Film(bottleneck)
    press = lambda key: shown.tab.press("body", key)  # noqa: E731
    press("ArrowRight")
    assert shown.ns() == film.next_event(5 * S)
    press("ArrowLeft")
    assert shown.ns() == film.previous_event(film.next_event(5 * S))
    press("Home")
    press("Control+ArrowRight")
    assert shown.ns() == S
    press("}")
    press("{")
    assert shown.ns() == S
    press("Shift+ArrowRight")
    assert shown.ns() == pytest.approx(S + 20 / 15 * S / 20, rel=1e-6)
    press("[")
    assert shown.ns() == pytest.approx(S, rel=1e-6)
    press(".")
    assert shown.ns() == film.next_event(S)
    press("Home")
    press("b")
    assert (shown.ns(), 0) == film.next_binding(0)
    assert "funnel binds" in shown.text("#problem")
    before = shown.text("#speed")
    press("+")
    press("+")
    press("-")
    press("-")
    assert shown.text("#speed") == before != ""
    press("?")
    assert shown.tab.is_visible("#help")
    press("Escape")
    press("c")
    assert shown.tab.input_value("#color") == "constraint"


def test_b_goes_from_one_binding_to_the_next(opened, fleets):
    shown, film, now, found = opened(fleets).go(), Film(fleets), 0, 0
    while (binding := film.next_binding(now)) is not None and found < 12:
        shown.tab.press("body", "b")
        now, found = binding[0], found + 1
        assert shown.ns() == now
    assert found > 4


def test_the_slider_scrubs(opened, bottleneck):
    shown = opened(bottleneck).go()
    for ns in (15 * S, 3 * S + 7, 12 * S):
        shown.tab.eval_on_selector(
            "#scrubber", f"each => {{ each.value = {ns}; each.dispatchEvent(new Event('input')); }}"
        )
        assert shown.counts() == state_at(bottleneck, int(shown.ns())).counts().tolist()
        assert shown.ns() == pytest.approx(ns, abs=1)


def test_a_link_keeps_the_moment_and_who_is_chosen(opened, bottleneck):
    shown = opened(bottleneck).go("#t=12.345678901s&agent=agent_7")
    assert shown.ns() == 12_345_678_901
    assert "agent_7" in shown.text("#story h3")
    shown.jump("1.5s")
    shown.until("location.hash.startsWith('#t=1.5s')")
    shown.tab.evaluate("location.hash = '#t=0:00:03'")
    shown.until("document.getElementById('time').dataset.ns === '3000000000'")


def test_a_time_that_is_none_is_told(opened, bottleneck):
    shown = opened(bottleneck).go("#t=2s")
    shown.jump("soon")
    assert "allowed: 12s" in shown.text("#problem")
    shown.tab.fill("#jump", "1h")
    shown.tab.press("#jump", "Enter")
    assert "allowed: up to 20s" in shown.text("#problem")
    assert shown.ns() == 2 * S


def test_the_story_of_an_agent_says_what_it_waits_for_and_who_holds_it(opened, bottleneck):
    shown = opened(bottleneck).go("#t=8s")
    moment = state_at(bottleneck, 8 * S)
    blocked = int((moment.phase == Phase.BLOCKED).argmax())
    shown.tab.fill("#search", f"agent_{blocked}")
    shown.tab.press("#search", "Enter")
    story = shown.text("#story")
    assert "blocked on funnel" in story
    waiting = int(moment.waiting[0])
    assert f"{waiting - 1} other agents are blocked on funnel; {waiting} tasks wait for it in all." in story
    assert "Held by 30:" in story
    holder = shown.tab.locator(".story-now button").first
    name = holder.inner_text()
    assert moment.phase[int(name.removeprefix("agent_"))] == Phase.RUNNING
    holder.click()
    assert shown.text("#story h3") == name
    assert "running" in shown.text(".story-now")


def test_a_story_counts_the_other_agents_and_all_tasks_that_wait(opened):
    parts = {"fork": 3, "steps": [{"task": "part", "duration": "1s", "needs": {"slots": 1}}]}
    slots = {"id": "slots", "type": "concurrency", "limit": 1, "scope": None}
    shown = opened(run(scenario(constraints=[slots], count=3, steps=[parts]))).go("#t=0.5s&agent=1")
    # agent 0 works at one of its three and is counted as running
    assert "1 other agent is blocked on slots; 8 tasks wait for it in all." in shown.text("#story")
    assert shown.text('[data-waiting="0"]') == "8"
    assert "tasks waiting now" in shown.text("#constraints")


def test_who_holds_something_while_something_else_is_done_is_told(opened):
    steps = [{"hold": "slot", "needs": {"slots": 1}, "steps": [{"think": "5s"}]}]
    data = scenario(constraints=[{"id": "slots", "type": "concurrency", "limit": 1}], count=2, steps=steps)
    shown = opened(run(data)).go("#t=2s&agent=1")
    assert "blocked on slots" in shown.text("#story")
    assert "Held by 1: a_0" in shown.text("#story")


def test_what_is_held_beside_something_else_is_told_of_the_agent_too(opened):
    steps = [{"hold": "slot", "needs": {"slots": 1}, "steps": [{"think": "5s"}]}]
    limits = [{"id": "slots", "type": "concurrency", "limit": 1, "scope": None}]
    shown = opened(run(scenario(constraints=limits, count=2, steps=steps))).go("#t=2s&agent=a_0")
    assert "It holds slots." in shown.text("#story")
    shown.tab.fill("#search", "a_1")
    shown.tab.press("#search", "Enter")
    assert "It holds" not in shown.text("#story")


def test_a_wait_that_goes_on_for_another_constraint_begins_anew(opened):
    limits = [
        {"id": "slots", "type": "concurrency", "limit": 1},
        {"id": "shut", "type": "pause", "from": "3s", "expires": "9s"},
    ]
    log = run(scenario(constraints=limits, count=2, steps=[{"task": "work", "duration": "4s"}]))
    shown = opened(log).go("#t=6s&agent=a_1")
    assert "blocked on shut, step work for 2 s, since 4.00s" in shown.text(".story-now")
    shown.jump("2s")
    assert "blocked on slots, step work for 2 s, since 0.00s" in shown.text(".story-now")


def test_what_was_charged_of_rates_and_quotas_is_that_of_the_film(opened):
    limits = [
        {"id": "rpm", "type": "rate_limit", "rate": "60/m"},
        {"id": "day", "type": "quota", "counts": "requests", "total": 100, "period": "30s"},
    ]
    steps = [{"repeat": "forever", "steps": [{"task": "work", "duration": "1s"}]}]
    written = run(scenario(until="3m", constraints=limits, count=2, steps=steps))
    shown, film = opened(written).go(), Film(written)
    for second in (0, 5, 29, 30, 61, 150):
        shown.jump(f"{second}s")
        rate, quota = film.at(second * S).charged.tolist()
        table = shown.text("#constraints")
        assert f"{rate} of 60/m" in table
        assert f"{quota // 10**6}/100" in table


def test_the_table_says_what_is_in_force_of_every_type(opened):
    limits = [
        {"id": "shut", "type": "pause", "from": "3s", "expires": "6s"},
        {"id": "disk", "type": "resource", "capacity": 2.5},
        {"id": "slots", "type": "concurrency", "limit": 1, "changes": [{"at": "4s", "limit": 9}]},
        {"id": "rpm", "type": "rate_limit", "rate": "600/m", "from": "2s"},
    ]
    steps = [{"repeat": "forever", "steps": [{"task": "work", "duration": "10s", "needs": {"disk": 0.5}}]}]
    shown = opened(run(scenario(until="20s", constraints=limits, count=3, steps=steps))).go()
    told = {}
    for second in (1, 5, 7):
        shown.jump(f"{second}s")
        rows = shown.tab.locator("#constraints tbody tr")
        told[second] = [rows.nth(row).locator("td").nth(1).inner_text().strip() for row in range(4)]
    assert told == {
        1: ["open", "0.5/2.5", "1/1", "no limit"],
        5: ["paused", "0.5/2.5", "1/9", "0 of 600/m"],
        7: ["open", "1.5/2.5", "3/9", "2 of 600/m"],
    }


def test_a_run_that_is_over_before_the_other_says_so(opened):
    logs = [run(scenario(until=until, steps=[{"task": "t", "duration": "9s"}])) for until in ("2s", "8s")]
    shown = opened(*logs).go("#t=1s")
    assert "over since" not in shown.text("#stage")
    shown.jump("3s")
    assert shown.text("#stage").count("over since 2.00s") == 1


def test_a_link_to_after_the_end_of_what_is_shown_says_so(opened, bottleneck):
    shown = opened(bottleneck).go("#t=1h")
    assert shown.ns() == 20 * S
    assert "nothing is shown after 20.00s" in shown.text("#problem")


def test_the_stretches_of_a_life_are_those_of_the_log(opened, fleets):
    shown, film = opened(fleets).go("#t=0s&agent=45"), Film(fleets)
    turns = film.turns()
    own = (turns.agent == 45) & turns.turned
    # Of several turns at one instant the last stands.
    last = {int(time): int(phase) for time, phase in zip(turns.time_ns[own], turns.phase[own], strict=True)}
    names = [PHASES[Phase(phase)] for phase in last.values()]
    shown.jump("4.5s")
    since = max(time for time in last if time <= 4.5 * S)
    assert since % (S // 100)  # it has more digits than are told
    assert shown.text(".story-now").split("since ")[1].split()[0] == f"{since // (S // 100) / 100:.2f}s"
    shown.jump("0s")
    listed = shown.tab.eval_on_selector_all(".life li", "each => each.map((one) => one.dataset.phase)")
    assert listed == names
    assert len(names) > 6
    second = shown.tab.locator(".life button").nth(1)
    second.click()
    assert shown.ns() == list(last)[1]


def test_a_click_on_a_cell_chooses_its_agent(opened, bottleneck):
    shown = opened(bottleneck).go("#t=8s")
    shown.tab.locator("#stage canvas").click(position={"x": 8, "y": 8})
    assert shown.text("#story h3") == "agent_0"
    shown.tab.press("body", "Escape")
    assert "Click a cell" in shown.text("#story")


def test_arrows_go_from_agent_to_agent_in_the_grid_and_through_time_elsewhere(opened, fleets):
    shown = opened(fleets).go("#t=3s")
    name = lambda: shown.text("#story h3")  # noqa: E731
    press = shown.tab.keyboard.press
    press("a")
    assert name() == "planner_0"
    press("ArrowRight")
    press("ArrowRight")
    press("ArrowLeft")
    assert name() == "planner_1"
    press("ArrowDown")
    below = int(name().rsplit("_", 1)[1])
    assert below > 2
    press("ArrowUp")
    press("ArrowUp")  # there is nothing above the first row
    assert name() == "planner_1"
    for key in ["ArrowDown"] * 30:
        press(key)
    assert name().startswith("re_viewer_")
    press("ArrowUp")
    press("ArrowUp")
    assert not name().startswith("re_viewer_")
    assert shown.ns() == 3 * S
    press(".")
    assert shown.ns() == Film(fleets).next_event(3 * S)
    told = name()
    shown.until(f"document.getElementById('status').textContent.includes('{told} is ')")
    press("a")
    press("ArrowLeft")
    assert shown.ns() < Film(fleets).next_event(3 * S)
    assert "press a and the arrows" in shown.text("#story")


def test_a_click_gives_the_arrows_to_the_grid(opened, bottleneck):
    shown = opened(bottleneck).go("#t=8s")
    shown.tab.locator("#stage canvas").click(position={"x": 8, "y": 8})
    shown.tab.keyboard.press("ArrowRight")
    assert (shown.text("#story h3"), shown.ns()) == ("agent_1", 8 * S)
    shown.tab.keyboard.press("End")
    shown.tab.keyboard.press("Escape")
    shown.tab.keyboard.press("ArrowLeft")
    assert shown.ns() == Film(bottleneck).previous_event(20 * S)


def test_a_search_finds_names_numbers_and_fleets(opened, fleets):
    shown = opened(fleets).go()
    for text, name in (
        ("coder_3", "coder_3"),
        ("160", "re_viewer_0"),
        ("re_viewer_2", "re_viewer_2"),
        ("plan", "planner_0"),
    ):
        shown.tab.fill("#search", text)
        shown.tab.press("#search", "Enter")
        assert shown.text("#story h3") == name
    assert shown.tab.locator("#found button").count() == 24
    shown.tab.fill("#search", "coder_120")
    shown.tab.press("#search", "Enter")
    assert "No such agent" in shown.text("#problem")


def test_one_problem_is_told_at_a_time_and_escape_takes_it_back(opened, fleets):
    shown = opened(fleets).go()
    invalid = lambda: [shown.tab.get_attribute(each, "aria-invalid") for each in ("#search", "#jump")]  # noqa: E731
    shown.tab.fill("#search", "coder_120")
    shown.tab.press("#search", "Enter")
    assert invalid() == ["true", "false"]
    shown.tab.press("#search", "Escape")
    assert (invalid(), shown.text("#problem")) == (["false", "false"], "")
    shown.tab.fill("#search", "coder_120")
    shown.tab.press("#search", "Enter")
    shown.jump("1h")
    assert invalid() == ["false", "true"]
    assert shown.text("#problem").startswith("After the end")
    shown.tab.press("#jump", "Escape")
    shown.tab.press("body", "b")
    assert invalid() == ["false", "false"]


def colors(shown):
    """The colours of the first canvas, by how many pixels have them."""
    return shown.tab.evaluate("""() => {
        const canvas = document.querySelector('#stage canvas');
        const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
        const counts = {};
        for (let place = 0; place < data.length; place += 4) {
            const color = '#' + [0, 1, 2].map((each) => data[place + each].toString(16).padStart(2, '0')).join('');
            counts[color] = (counts[color] || 0) + 1;
        }
        return counts;
    }""")


def test_cells_are_as_many_as_agents_in_a_phase(opened, bottleneck):
    shown = opened(bottleneck, color_scheme="dark").go("#t=8s")
    counts, now = colors(shown), state_at(bottleneck, 8 * S).counts()
    running, thinking = counts["#63f2c4"], counts["#4c5362"]
    assert running * int(now[Phase.THINKING]) == thinking * int(now[Phase.RUNNING])
    assert counts["#e5484d"] < running / int(now[Phase.RUNNING]) * int(now[Phase.BLOCKED])  # stripes
    assert len(counts) > 5


@pytest.mark.parametrize("mode", ["constraint", "tenant", "waited"])
def test_colours_stand_for_what_one_asks(opened, fleets, mode):
    shown = opened(fleets, color_scheme="dark").go("#t=6s")
    shown.tab.select_option("#color", mode)
    moment = state_at(fleets, 6 * S)
    if mode == "constraint":
        agents = moment.agents
        for number, name in enumerate(("llm", "sandbox", "human")):
            assert shown.count(name) == ((agents.phase == Phase.BLOCKED) & (agents.constraint == number)).sum()
    elif mode == "tenant":
        busy = (moment.phase == Phase.RUNNING) | (moment.phase == Phase.BLOCKED)
        assert [shown.count(each) for each in ("planner", "coder")] == [busy[:40].sum(), busy[40:160].sum()]
    total = shown.tab.eval_on_selector_all(
        "#legend output", "each => each.reduce((sum, one) => sum + Number(one.value), 0)"
    )
    assert total == 172
    found = {*colors(shown)}
    if mode == "waited":
        assert {"#6a176e", "#932667", "#c73e4c", "#ed6925", "#fbb61a", "#fcffa4"} & found
    else:
        names = ("llm", "sandbox", "human") if mode == "constraint" else ("planner", "coder", "re_viewer")
        for name, color in zip(names, ("#e69f00", "#56b4e9", "#009e73"), strict=True):
            assert (color in found) == (shown.count(name) > 0)


def test_fleets_stand_one_after_another_or_side_by_side(opened, fleets):
    shown = opened(fleets).go("#t=6s")
    shown.tab.select_option("#layout", "beside")
    shown.tab.locator("#stage canvas").click(position={"x": 8, "y": 26})
    assert shown.text("#story h3") == "planner_0"
    shown.tab.press("body", "f")
    assert shown.tab.input_value("#layout") == "below"


def test_light_and_dark(opened, bottleneck):
    for scheme, other in (("light", "dark"), ("dark", "light")):
        shown = opened(bottleneck, color_scheme=scheme).go("#t=8s")
        background = "getComputedStyle(document.body).backgroundColor"
        before = shown.tab.evaluate(background)
        assert (before == "rgb(11, 13, 16)") == (scheme == "dark")
        shown.tab.click("#theme")
        assert (shown.tab.evaluate(background) == "rgb(11, 13, 16)") == (other == "dark")


CONTRAST = """() => {
    const light = (color) => {
        const parts = color.match(/[0-9.]+/g).slice(0, 3).map((each) => each / 255)
            .map((each) => (each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4));
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
    };
    const behind = (element) => {
        for (let each = element; each; each = each.parentElement) {
            const { backgroundColor } = getComputedStyle(each);
            if (!/, 0\\)$/.test(backgroundColor) && backgroundColor !== 'transparent') return backgroundColor;
        }
        return 'rgb(255, 255, 255)';
    };
    const bad = [];
    for (const element of document.querySelectorAll('body *')) {
        const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
        if (!own || !element.getClientRects().length || ['SCRIPT', 'OPTION'].includes(element.tagName)) continue;
        const [one, other] = [light(getComputedStyle(element).color), light(behind(element))].sort((a, b) => b - a);
        if ((one + 0.05) / (other + 0.05) < 4.5) bad.push(element.outerHTML.slice(0, 80));
    }
    return bad;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read(opened, fleets, scheme):
    shown = opened(fleets, color_scheme=scheme).go("#t=6s&agent=coder_3")
    assert shown.tab.evaluate(CONTRAST) == []


def test_everything_one_can_use_has_a_name(opened, fleets):
    shown = opened(fleets).go("#t=6s&agent=coder_3")
    usable = "button, input, select, canvas[role=img], meter, output"
    nameless = shown.tab.evaluate(
        """(usable) => [...document.querySelectorAll(usable)]
        .filter((each) => !(each.getAttribute('aria-label') || each.textContent.trim() || (each.labels || []).length
            || !each.getClientRects().length)).map((each) => each.outerHTML)""",
        usable,
    )
    assert nameless == []
    assert shown.tab.locator("main, header, aside").count() == 3
    shown.until("document.getElementById('status').textContent.startsWith('At 6.00s: ')")


def test_focus_can_be_seen(opened, bottleneck):
    shown = opened(bottleneck).go()
    shown.tab.press("body", "Tab")
    assert shown.tab.evaluate("getComputedStyle(document.activeElement).outlineWidth") == "3px"


@pytest.mark.parametrize(("width", "height"), [(360, 640), (3840, 2160)])
def test_it_fits_narrow_and_wide_screens(opened, fleets, width, height):
    shown = opened(fleets, width=width, height=height).go("#t=6s&agent=coder_3")
    assert shown.fits()
    assert shown.counts() == state_at(fleets, 6 * S).counts().tolist()


def test_a_narrow_table_of_constraints_scrolls_and_breaks_no_word(opened):
    head = header({"a": 3}, [concurrency("a_constraint_with_a_long_name", 1), concurrency("b", 1)])
    shown = opened(log(head, loop(head, 5 * S)), width=360, height=640).go("#t=2s")
    assert shown.fits()
    assert "type and scope" not in shown.text("#constraints")
    broken = shown.tab.evaluate("""() => [...document.querySelectorAll('#constraints :is(th, td)')].filter((cell) => {
        const words = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
        for (let text = words.nextNode(); text; text = words.nextNode()) {
            for (const word of text.data.matchAll(/[^\\s\\-\\/]+/g)) {
                const range = document.createRange();
                range.setStart(text, word.index);
                range.setEnd(text, word.index + word[0].length);
                if (range.getClientRects().length > 1) return true;
            }
        }
        return false;
    }).map((cell) => cell.textContent)""")
    assert broken == []
    panel = shown.tab.locator("#constraints .scroll")
    assert panel.evaluate("(each) => each.scrollWidth > each.clientWidth")


def test_charts_go_to_a_moment(opened, bottleneck):
    shown = opened(bottleneck).go()
    over = shown.tab.locator(".u-over").first
    box = over.bounding_box()
    over.click(position={"x": box["width"] / 2, "y": 20})
    assert shown.ns() == pytest.approx(10 * S, rel=0.02)
    labels = shown.tab.eval_on_selector_all(".plot", "each => each.map((one) => one.getAttribute('aria-label'))")
    assert [label.split(".")[0] for label in labels] == [
        *("Running and blocked agents", "Waits of tasks", "Waiting for funnel", "Utilisation of funnel"),
    ]


def test_two_runs_have_one_clock_and_what_differs_is_counted(opened):
    data = scenario(
        constraints=[{"id": "slots", "type": "concurrency", "limit": 4}],
        count=60,
        stagger="20ms",
        until="30s",
        steps=[
            {"repeat": "forever", "steps": [
                {"think": {"exponential": "1s"}},
                {"task": "work", "duration": {"exponential": "500ms"}, "needs": {"slots": 1}},
            ]}
        ],
    )  # fmt: skip
    one = run(data)
    data["constraints"][0] = {**data["constraints"][0], "changes": [{"at": "10s", "limit": 9}]}
    other = run(data)
    shown = opened(one, other).go("#t=9s")
    assert shown.text("#differ").startswith("0 agents do not do the same")
    assert "constraints.slots.changes" in shown.text("#altered")
    shown.jump("20s")
    moments = [state_at(each, 20 * S) for each in (one, other)]
    for side, moment in enumerate(moments):
        assert shown.counts(side) == moment.counts().tolist()
    differ = (moments[0].phase != moments[1].phase).sum()
    assert shown.text("#differ").startswith(f"{differ} agents do not do the same")
    assert differ > 5
    shown.tab.locator("#stage canvas").nth(1).click(position={"x": 8, "y": 8})
    assert shown.tab.locator("#story h3").all_inner_texts() == ["a_0", "a_0"]
    assert shown.tab.locator('[data-report="events"]').count() == 2


def test_colours_of_two_runs_mean_the_same_in_both(opened):
    steps = lambda *names: [{"task": "t", "duration": "30s", "needs": dict.fromkeys(names, 1)}]  # noqa: E731
    limit = lambda name: {"id": name, "type": "concurrency", "limit": 1, "scope": None}  # noqa: E731
    fleets = [{"name": name, "count": count, "steps": steps(name)} for name, count in (("c", 4), ("d", 7))]
    one = run(scenario(constraints=[limit("c"), limit("d")], fleets=fleets))
    other = run(scenario(constraints=[limit("d"), limit("c"), limit("e")], fleets=fleets))
    for logs in ((one, other), (other, one)):
        shown = opened(*logs).go("#t=2s")
        shown.tab.select_option("#color", "constraint")
        assert [[shown.count(name, side) for name in ("c", "d")] for side in (0, 1)] == [[3, 6], [3, 6]]
    short = run(scenario(constraints=[limit("c")], fleets=[{"name": "c", "count": 2, "steps": steps("c")}]))
    shown = opened(short, one).go("#t=20s")
    shown.tab.select_option("#color", "constraint")
    assert [shown.count("d", side) for side in (0, 1)] == [0, 6]
    shown.tab.select_option("#color", "waited")
    waiting = [shown.count("from 20 s", side) for side in (0, 1)]
    assert waiting == [1, 9]


def test_amounts_that_a_browser_cannot_count_by_one_are_shown_all_the_same(opened):
    limits = [{"id": "disk", "type": "resource", "capacity": 64e9, "scope": None}]
    steps = [{"think": {"uniform": ["0s", "1s"]}}, {"task": "t", "duration": "1s", "needs": {"disk": 16e9}}]
    written = run(scenario(constraints=limits, count=3, steps=[{"repeat": 5, "steps": steps}]))
    shown, film = opened(written).go(), Film(written)
    for second in (0.5, 1.5, 2.5, 3.5):
        shown.jump(f"{second}s")
        used = film.at(int(second * S)).used.tolist()[0] // 10**6
        assert shown.text("#constraints").count(f"{used:,}/64,000,000,000") == 1


def test_agents_that_only_one_run_has_differ(opened):
    first, second = (header({"a": count, "b": 5}, [concurrency("c", 2), concurrency("d", 2)]) for count in (8, 3))
    runs = [log(head, loop(head, 9 * S)) for head in (first, second)]
    shown = opened(*runs).go("#t=0s")
    moments = [state_at(each, 0) for each in runs]
    assert all((moment.phase == Phase.THINKING).all() for moment in moments)
    assert shown.text("#differ").startswith("5 agents do not do the same")


def test_a_name_that_would_be_a_script_is_a_name(opened):
    head = replace(header({HOSTILE: 3}, [concurrency(HOSTILE, 1)]), name=HOSTILE)
    shown = opened(log(head, loop(head, 5 * S))).go("#t=3s&agent=0")
    assert "<img src=x" in shown.text("#constraints")
    assert "<img src=x" in shown.text("#story")
    assert "<img src=x" in shown.text("#whole")
    assert "\u202e" not in shown.tab.inner_text("body")
    assert "<img src=x" in shown.text("h1")
    assert "<img src=x" in shown.tab.title()
    assert shown.tab.locator("img").count() == 0


def test_a_cut_log_plays_as_far_as_it_goes_and_says_so(opened):
    head = header({"agent": 30}, [concurrency("funnel", 3)])
    cut = Log.from_bytes(content(head, loop(head, 20 * S), 50)[:-3000])
    shown = opened(cut).go("#t=1s")
    assert "The log is cut at" in shown.text("#cut")
    shown.tab.press("body", "End")
    end_ns = Film(cut).end_ns
    assert 0 < shown.ns() == end_ns < 20 * S
    assert shown.counts() == state_at(cut, end_ns).counts().tolist()


def test_a_log_without_rows_one_agent_and_spawned_agents(opened):
    empty = opened(log(header({"a": 3}, [concurrency("c", 1)]), [])).go("")
    assert empty.counts() == [3, *[0] * (len(PHASES) - 1)]
    child = {"name": "child", "steps": [{"task": "sub", "duration": "1s"}]}
    parent = {"name": "a", "count": 1, "steps": [{"think": "1s"}, {"spawn": "child", "count": 2}]}
    family = opened(run(scenario(until=None, fleets=[parent, child]))).go("#t=1s&agent=child_1")
    assert family.counts() == [0, 1, 0, 2, 0, 0, 0]
    assert family.text("#story h3") == "child_1"


def test_a_thinned_page_says_so_and_its_moments_are_exact(opened, bottleneck, monkeypatch):
    monkeypatch.setattr(frames, "EXACT_MOVES", 0)
    monkeypatch.setattr(frames, "FRAMES", 50)
    shown = opened(bottleneck).go("#t=7s")
    assert "is left out" in shown.text("#left-out")
    for _ in range(3):
        shown.tab.press("body", "ArrowRight")
        assert shown.counts() == state_at(bottleneck, int(shown.ns())).counts().tolist()


def test_any_moment_of_a_long_log_is_there_in_any_order(opened):
    head = header({"agent": 2000}, [concurrency("funnel", 200)])
    written = log(head, loop(head, 50 * S))
    film = Film(written)
    assert 2 * 65_536 < len(film.turns().agent) < frames.EXACT_MOVES
    shown = opened(written).go()
    for time in (48, 5, 33, 17, 18, 30, 1):
        shown.jump(f"{time}s")
        assert shown.counts() == film.at(time * S).counts().tolist()


def test_a_hundred_thousand_agents_are_shown_and_jump_at_once(opened):
    head = header({"agent": 100_000}, [concurrency("funnel", 9000)])
    written = log(head, loop(head, S))
    shown = opened(written).go()
    shown.tab.press("body", "End")
    assert shown.counts() == state_at(written, S).counts().tolist()
    shown.tab.locator("#stage canvas").click(position={"x": 6, "y": 6})
    assert re.fullmatch(r"agent_\d+", shown.text("#story h3"))
