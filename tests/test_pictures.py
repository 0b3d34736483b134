"""Pictures in files: the same bytes for the same log, and what they show is what the frames and the folds say."""

import io
import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from fleet_logs import S, concurrency, content, header, log, loop, row
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.segment import Segment
from rich.style import Style

from model.events import Kind
from model.log import Log
from model.scenario import Scenario
from model.state import Phase
from render import pictures
from render.__main__ import main
from render.drawing import Drawing, Rectangle, Text, drawing, framed, strip
from render.film import Film
from render.frame import frame
from render.palette import FULL
from render.plots import PLOTS, plot
from render.shades import Mode, by_state
from render.status import Reel
from render.svg import svg
from render.usage import utilisation
from render.verdicts import Verdict, verdicts
from render.views import One, Size
from sim.cli import main as sim_main
from sim.execution import execute, prepare
from tests.runs import run, scenario

BACKGROUND = FULL.background
STATE = by_state(FULL)
BUSY = 42 * S // 10
RED = Style(color="#ff0000", bgcolor="#101215")
RED_BLOCK = Style(bgcolor="#ff0000")


@pytest.fixture(scope="module")
def picture() -> Log:
    head = header({"a": 12, "b<&": 30}, [concurrency("c", 2), concurrency("d", 5)])
    return log(head, loop(head, 6 * S, stagger=S // 10, visits=3))


def test_characters_are_rectangles_and_words_are_texts():
    line = [Segment("ab  é▀▀", RED), Segment("■━", RED), Segment("  ", RED_BLOCK)]
    drawn = drawing([line, []], BACKGROUND)
    assert (drawn.width, drawn.height) == (11 * 8, 2 * 16)
    red = 0xFF0000
    assert drawn.texts == [Text(0, 0, "ab", red, False), Text(32, 0, "é", red, False)]
    assert drawn.rectangles == [
        Rectangle(40, 0, 16, 8, red),
        Rectangle(57, 5, 6, 6, red),
        Rectangle(64, 7, 8, 2, red),
        Rectangle(72, 0, 16, 16, red),
    ]


def test_a_strip_stands_in_rows():
    one = Drawing(80, 32, BACKGROUND, [Rectangle(0, 0, 8, 16, 1)], [Text(8, 0, "a", 2, True)])
    whole = framed(strip([one] * 3, columns=2))
    assert (whole.width, whole.height) == (2 * 80 + 16 + 32, 2 * 32 + 16 + 32)
    assert [(shape.x, shape.y) for shape in whole.rectangles] == [(16, 16), (112, 16), (16, 64)]
    assert [(text.x, text.y) for text in whole.texts] == [(24, 16), (120, 16), (24, 64)]


def test_an_svg_is_well_formed_and_fetches_nothing(picture):
    drawn = Drawing(8, 16, BACKGROUND, [], [Text(0, 0, 'a<b & "c\x07', 0xFF, False)])
    root = ElementTree.fromstring(svg(drawn, "<x> & \x00"))
    texts = [each.text for each in root.iter() if each.tag.endswith("text")]
    assert texts == ['a<b & "c?']
    assert root[0].text == "<x> & ?"
    assert "http" not in svg(drawn, "x").replace('xmlns="http://www.w3.org/2000/svg"', "")


def view_of(log: Log) -> One:
    return One(log, Film(log), Mode.STATE)


def made(tmp_path: Path, picture: Log, name: str) -> bytes:
    view, path, size = view_of(picture), tmp_path / name, Size(60, 20)
    if path.suffix in (".png", ".svg"):
        pictures.still(view, f"--{path.suffix[1:]}", path, [S, 2 * S, 3 * S], size)
    elif path.suffix == ".gif":
        pictures.gif(view, path, size)
    else:
        pictures.cast(view, path, size, view.verdicts())
    return path.read_bytes()


@pytest.mark.parametrize("name", ["a.png", "a.svg", "a.gif", "a.cast"])
def test_the_same_log_is_the_same_bytes(tmp_path, name):
    written = run(TWO_LOCKS)
    assert made(tmp_path, written, name) == made(tmp_path, written, name)


def test_a_png_shows_each_phase_in_its_colour(tmp_path, picture):
    from PIL import Image

    film, path, moment = Film(picture), tmp_path / "a.png", BUSY
    pictures.still(view_of(picture), "--png", path, [moment], Size(60, 20))
    image = Image.open(path)
    assert image.size == ((60 * 8 + 32) * 2, (20 * 16 + 32) * 2)
    counts = film.at(moment).counts()
    colors = {color: count for count, color in image.getcolors(1 << 20)}
    for phase in (Phase.RUNNING, Phase.BLOCKED, Phase.THINKING, Phase.FINISHED):
        look = FULL.cells[phase]
        assert counts[phase], "the picture shows less than it could"
        assert colors[(look >> 16, look >> 8 & 0xFF, look & 0xFF)] >= counts[phase] * 8 * 8 * 4


def test_a_gif_has_the_frames_of_a_replay(tmp_path, picture):
    from PIL import Image

    made(tmp_path, picture, "a.gif")
    image = Image.open(tmp_path / "a.gif")
    # 6 s in real time, 10 frames a second, the first and the last included; frames that are alike are shown as one, longer.
    total = 0
    for number in range(image.n_frames):
        image.seek(number)
        total += image.info["duration"]
    assert image.n_frames <= 61
    assert total == 60 * 100 + 2000


def asciicast(lines: list[str]) -> tuple[dict, list[tuple[float, str, str]]]:
    """Read an asciicast v3 as its documentation has it: absolute times, codes and data."""
    head, *events = (json.loads(line) for line in lines if not line.startswith("#"))
    assert head["version"] == 3
    now, read = 0.0, []
    for interval, code, data in events:
        assert interval >= 0
        assert code in "oimrx"
        now += interval
        read.append((round(now, 6), code, data))
    return head, read


def test_an_asciicast_plays_the_frames_and_marks_the_verdicts(tmp_path):
    import pyte  # a terminal that knows nothing of ours

    written, path = run(TWO_LOCKS), tmp_path / "a.cast"
    film = Film(written)
    view = view_of(written)
    pictures.cast(view, path, Size(60, 20), view.verdicts())
    head, events = asciicast(path.read_text().splitlines())
    assert head["term"] == {"cols": 60, "rows": 20, "type": "xterm-256color"}
    assert [(at, text) for at, code, text in events if code == "m"] == [
        (1.5, "deadlock of 2 agents"),
        (1.5, "stalled: 2 agents wait for good"),
    ]
    screen = pyte.Screen(60, 20)
    stream = pyte.Stream(screen)
    for at, code, text in events:
        if code == "o" and text != "\x1b[0m\x1b[?25h":
            stream.feed(text)
            lines = frame(film.at(round(at * S)), Reel(film.end_ns, 1.0, False, 2), 60, 20, FULL, STATE)
            assert screen.display == ["".join(segment.text for segment in line) for line in lines]
    assert len(events) > 3


TWO_LOCKS = scenario(
    until="10s",
    constraints=[{"id": name, "type": "concurrency", "limit": 1, "scope": None} for name in ("one", "two")],
    fleets=[
        {
            "name": name,
            "count": 1,
            "steps": [
                {"think": start},
                {
                    "hold": "keep",
                    "needs": {first: 1},
                    "steps": [{"think": "1s"}, {"task": "work", "duration": "1s", "needs": {second: 1}}],
                },
            ],
        }
        for name, start, first, second in (("a", "0s", "one", "two"), ("b", "500ms", "two", "one"))
    ],
)


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Two logs that part at 2 s: from there on the limit is another."""
    folder = tmp_path_factory.mktemp("pair")
    limits = [{"id": "slots", "type": "concurrency", "limit": 2}]
    steps = [{"repeat": "forever", "steps": [{"task": "work", "duration": "1s"}]}]
    names = []
    for name, changes in (("few", []), ("more", [{"at": "2s", "limit": 4}])):
        data = scenario(until="6s", count=6, constraints=[{**limits[0], "changes": changes}], steps=steps)
        with (folder / f"{name}.arrows").open("wb") as file:
            execute(prepare(Scenario.model_validate(data), {}, {}), file)
        names.append(str(folder / f"{name}.arrows"))
    return names


def test_two_logs_stand_beside_each_other_and_who_differs_is_bright(pair, tmp_path):
    bright, dim = (f'fill="#{color:06x}"' for color in (FULL.cells[Phase.RUNNING], 0x215041))
    counts = []
    for at in ("1.5s", "3.5s"):
        path = tmp_path / f"{at}.svg"
        assert main([*pair, "--svg", str(path), "--size", "80x12", "--at", at]) == 0
        text = path.read_text()
        ElementTree.fromstring(text)
        assert "<title>few and more: what each agent does</title>" in text
        assert text.count(">differ<") == 2
        counts.append((text.count(bright), text.count(dim)))
    marks = 2  # of the legends
    cell = counts[0][1] // 4
    assert cell > 0
    # At 1.5 s agents 2 and 3 run in both; from 3 s on 0 and 1 run in one, and 2 to 5 in the other.
    assert counts == [(marks, 4 * cell), (marks + 6 * cell, 0)]


def test_a_replay_of_two_logs_has_the_markers_of_both_by_name(tmp_path):
    logs = [str(tmp_path / f"{name}.arrows") for name in ("one", "two")]
    for file in logs:
        assert sim_main([str(ROOT / "scenarios/parents.yaml"), "--no-animation", "--log", file]) == 0
    cast, gif = tmp_path / "a.cast", tmp_path / "a.gif"
    assert main([*logs, "--cast", str(cast), "--gif", str(gif), "--size", "60x8"]) == 0
    lines = [json.loads(line) for line in cast.read_text().splitlines()]
    assert [text for _, kind, text in lines[1:] if kind == "m"] == [
        *("one: deadlock of 5 agents", "two: deadlock of 5 agents"),
        *("one: stalled: 12 agents wait for good", "two: stalled: 12 agents wait for good"),
    ]
    from PIL import Image

    with Image.open(gif) as picture:
        assert picture.n_frames == 15 * 10 + 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--plot", "waits", "--out", "x.png"],
            "--plot: of two logs there is none; allowed: one log, or two with --html",
        ),
        (["--png", "x.png", "--color", "waited"], "--color: two logs have colours of their own"),
        (["--png", "more.arrows"], "--png: more.arrows is the second log itself"),
    ],
)
def test_what_is_not_made_of_two_logs_is_told(pair, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(Path(pair[0]).parent)
    assert main([*pair, *arguments]) == 2
    assert message in capsys.readouterr().err


def test_logs_of_one_name_are_called_by_their_paths(pair, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for folder, file in zip(("a", "b"), pair, strict=True):
        Path(folder).mkdir()
        Path(folder, "run.arrows").write_bytes(Path(file).read_bytes())
    assert main(["a/run.arrows", "b/run.arrows", "--at", "3.5s"]) == 0
    assert "a/run | b/run" in capsys.readouterr().out
    assert main(["a/run.arrows", "a/run.arrows", "--at", "3.5s"]) == 0  # a log beside itself
    assert "0 differ" in capsys.readouterr().out


def test_verdicts_have_their_moments():
    written = run(TWO_LOCKS)
    assert verdicts(written, Film(written)) == [
        (1_500_000_000, "deadlock of 2 agents"),
        (1_500_000_000, "stalled: 2 agents wait for good"),
    ]
    hungry = run(
        scenario(
            until="20s",
            constraints=[{"id": "one", "type": "concurrency", "limit": 1}],
            fleets=[{"name": "a", "count": 3, "starvation": "5s", "steps": [{"task": "work", "duration": "4s"}]}],
            incidents=[{"id": "slow", "at": "13s", "lasts": "2s", "scope": "task:*", "slow": 2}],
        )
    )
    assert [mark for mark in verdicts(hungry, Film(hungry)) if mark.text[0] == "s"] == [
        (5 * S, "starvation: a_2_work waits longer than 5s"),
        (13 * S, "slow begins"),
        (15 * S, "slow ends: unknown"),
    ]


def test_one_agent_and_several_incidents_are_told_in_the_right_number():
    slot = {"id": "slot", "type": "concurrency", "limit": 1}
    branch = {"fork": 1, "steps": [{"task": "work", "duration": "1s"}]}
    stuck = run(scenario(constraints=[slot], steps=[{"hold": "plan", "steps": [branch]}]))
    assert verdicts(stuck, Film(stuck)) == [(0, "deadlock of 1 agent"), (0, "stalled: 1 agent waits for good")]
    both = [{"id": name, "at": "5s", "lasts": "5s", "scope": "task:*", "slow": 2} for name in ("brownout", "errors")]
    again = {"repeat": "forever", "steps": [{"task": "work", "duration": "1s"}]}
    ends = run(scenario(until="20s", incidents=both, steps=[again]))
    assert verdicts(ends, Film(ends)) == [
        (5 * S, "brownout and errors begin"),
        (10 * S, "brownout and errors end: unknown"),
    ]
    lasts = run(scenario(until="8s", incidents=both, steps=[again]))
    assert verdicts(lasts, Film(lasts)) == [(5 * S, "brownout and errors begin")]


def test_plots_are_the_same_bytes_and_of_all_kinds(picture):
    film = Film(picture)
    for what in PLOTS:
        for format_ in ("png", "svg"):
            first, second = io.BytesIO(), io.BytesIO()
            plot(film, what, first, format_)
            plot(film, what, second, format_)
            assert first.getvalue() == second.getvalue()
            assert len(first.getvalue()) > 5_000


ROOT = Path(__file__).parent.parent


def test_the_picture_in_the_readme_is_current(tmp_path):
    assert "docs/pictures/bottleneck.svg" in (ROOT / "README.md").read_text()
    logged = tmp_path / "bottleneck.arrows"
    scenario_file = ROOT / "scenarios" / "bottleneck.yaml"
    assert sim_main(["run", str(scenario_file), "--no-animation", "--log", str(logged)]) == 0
    assert main([str(logged), "--svg", str(tmp_path / "a.svg"), "--at", "6s"]) == 0
    assert (tmp_path / "a.svg").read_bytes() == (ROOT / "docs" / "pictures" / "bottleneck.svg").read_bytes()


@pytest.fixture(scope="module")
def logged(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("pictures") / "run.arrows"
    with path.open("wb") as file:
        execute(prepare(Scenario.model_validate(TWO_LOCKS), {}, {}), file)
    return path


def test_several_files_at_once(logged, tmp_path):
    wanted = {"--png": "a.png", "--svg": "a.svg", "--gif": "a.gif", "--cast": "a.cast", "--out": "a.pdf"}
    files = {option: tmp_path / name for option, name in wanted.items()}
    options = [text for option, path in files.items() for text in (option, str(path))]
    assert (
        main([str(logged), *options, "--plot", "waits", "--at", "1s", "--at", "0:00:02", "--color", "constraint"]) == 0
    )
    begins = [path.read_bytes()[:4] for path in files.values()]
    assert begins == [b"\x89PNG", b"<svg", b"GIF8", b'{"ve', b"%PDF"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--png", "a.png", "--size", "9x9"], "--size: '9x9' is no size; allowed: COLUMNSxROWS from 20x4 to 400x200"),
        (["--png", "a.png", "--size", "big"], "--size: 'big' is no size; allowed: COLUMNSxROWS"),
        (["--svg", "a.svg", "--color", "mood"], "--color: 'mood' is nothing that colours stand for; allowed: state,"),
        (["--svg", "a.svg", "--at", "11s"], "--at: 11s is after the end; allowed: from 0s to 10s"),
        (["--plot", "waits"], "--plot and --out: one without the other; allowed: --plot WHAT --out FILE"),
        (["--out", "a.png"], "--plot and --out: one without the other; allowed: --plot WHAT --out FILE"),
        (["--plot", "x", "--out", "a.png"], "--plot: unknown plot 'x'; allowed: waits, usage, queue, timeline"),
        (
            ["--plot", "waits", "--out", "a.bmp"],
            "--out: a.bmp does not say which format; allowed: a name that ends with",
        ),
        (["--png", "no/such/a.png"], "no/such/a.png: cannot be written: No such file or directory; allowed:"),
        (["--gif", "-"], "--gif: - is not a file; allowed: a file"),
        (["--gif", "a.gif", "--at", "1s"], "--at: does not go with --gif; allowed: with --png, with --svg, or without"),
        (["--cast", "a.cast", "--at", "1s"], "--at: does not go with --cast; allowed: with --png"),
        (["--plot", "waits", "--out", "a.svg", "--at", "1s"], "--at: does not go with --plot; allowed: with --png"),
        (["--html", "a.html", "--at", "1s"], "--at: does not go with --html; allowed: with --png"),
        (["--size", "40x10"], "--size: there is no picture that has it; allowed: with --png, --svg, --gif, --cast"),
        (["--html", "a.html", "--size", "100x30"], "--size: there is no picture that has it; allowed: with --png"),
        (
            ["--plot", "waits", "--out", "a.svg", "--color", "state"],
            "--color: there is no picture that has it; allowed",
        ),
        (["--at", "1s", "--color", "tenant"], "--color: there is no picture that has it; allowed: with --png"),
        (["--svg", "a.svg", "--fps", "30"], "--fps: does not go with --svg; allowed: for a replay on the terminal"),
        (["--html", "a.html", "--speed", "2"], "--speed: does not go with --html; allowed: for a replay on the term"),
        (["--at", "1s", "--speed", "2"], "--speed: does not go with --at; allowed: for a replay on the terminal"),
        (["--png", "x", "--svg", "x"], "--svg: x is the file of --png, too; allowed: another file"),
        (["--svg", "x", "--html", "./x"], "--html: x is the file of --svg, too; allowed: another file"),
        (["--plot", "waits", "--out", "a.svg", "--svg", "a.svg"], "a.svg is the file of --svg, too; allowed: another"),
        (["--png", "x.jpg"], "--png: x.jpg is named like another format; allowed: a name that ends with .png"),
        (["--svg", "x.PNG"], "--svg: x.PNG is named like another format; allowed: a name that ends with .svg"),
        (["--html", "x.svg"], "--html: x.svg is named like another format; allowed: a name that ends with .html"),
        (["--svg", "LOG"], "LOG is the log itself; allowed: another file"),
    ],
)
def test_bad_pictures_are_one_line_and_exit_code_2(logged, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    given = [text.replace("LOG", str(logged)) for text in arguments]
    assert main([str(logged), *given]) == 2
    told = capsys.readouterr().err
    assert message.replace("LOG", str(logged)) in told
    assert told.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_what_goes_together_is_made(logged, tmp_path):
    files = {option: tmp_path / name for option, name in (("--svg", "run.2"), ("--cast", "run"), ("--html", "p.htm"))}
    options = [text for option, path in files.items() for text in (option, str(path))]
    assert main([str(logged), *options, "--at", "1s", "--size", "40x10", "--color", "waited"]) == 0
    assert all(path.stat().st_size for path in files.values())
    assert main([str(logged), "--svg", "/dev/null", "--cast", "/dev/null"]) == 0


def test_a_cut_log_is_drawn_as_far_as_it_goes(logged, tmp_path, capsys):
    cut = tmp_path / "cut.arrows"
    cut.write_bytes(logged.read_bytes()[:-8])
    assert Log.open(cut).cut is False  # only the mark of the end is missing
    cut.write_bytes(content(SOME, loop(SOME, 6 * S), 50)[:-700])
    assert main([str(cut), "--svg", str(tmp_path / "a.svg")]) == 0
    assert "the log is cut at" in capsys.readouterr().err
    assert ">cut<" in (tmp_path / "a.svg").read_text()


def test_a_cut_log_is_told_of_once_whatever_is_made_of_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name, most in (("whole", "1000"), ("cut", "10")):
        shown = ("--no-animation", "--log", name, "--max-events", most)
        sim_main([str(Path(__file__).parent.parent / "scenarios/two_locks.yaml"), *shown])
    capsys.readouterr()
    files = ["--html", "a.html", "--png", "a.png", "--svg", "a.svg"]
    for logs, warnings in ((["cut"], 1), (["whole", "cut"], 1), (["cut", "cut"], 1), (["whole"], 0)):
        assert main([*logs, *files]) == 0
        assert capsys.readouterr().err.count("the log is cut at") == warnings


SOME = header({"a": 12}, [concurrency("c", 2)])


@pytest.mark.parametrize("rows", [[], [row(3, Kind.AgentStarted, 0)]])
def test_a_log_with_next_to_nothing_in_it_has_pictures(tmp_path, rows):
    path = tmp_path / "none.arrows"
    path.write_bytes(content(SOME, rows, 50))
    for what in ("waits", "usage", "queue", "timeline"):
        assert main([str(path), "--plot", what, "--out", str(tmp_path / f"{what}.svg")]) == 0
    assert main([str(path), "--png", str(tmp_path / "a.png"), "--gif", str(tmp_path / "a.gif")]) == 0


def test_a_log_of_another_version_is_drawn_without_what_went_wrong(tmp_path, capsys):
    path = tmp_path / "old.arrows"
    path.write_bytes(content(SOME, [row(3, Kind.AgentStarted, 0), row(9, Kind.RunFinished)], 50))
    assert (
        main([str(path), "--cast", str(tmp_path / "a.cast"), "--plot", "queue", "--out", str(tmp_path / "a.svg")]) == 0
    )
    (told,) = capsys.readouterr().err.splitlines()  # once, although two files have no marks
    assert told.startswith("what went wrong is not marked: the scenario inside the log of")
    assert (tmp_path / "a.svg").exists()


def test_plots_over_time_end_with_the_last_event_and_mark_what_went_wrong(tmp_path):
    path = tmp_path / "a.arrows"
    assert sim_main([str(ROOT / "scenarios/parents.yaml"), "--no-animation", "--log", str(path)]) == 0
    film, log = Film(Log.open(path)), Log.open(path)
    assert film.shown_ns == pytest.approx(61.926 * 1.2 * S, rel=1e-4)
    assert film.shown_ns < film.end_ns
    for what, is_marked in (("timeline", True), ("usage", True), ("queue", True), ("waits", False)):
        file = io.BytesIO()
        plot(film, what, file, "svg", verdicts(log, film))
        text = file.getvalue().decode()
        # matplotlib draws letters as paths, and keeps what they say in a comment
        assert ("deadlock of 5 agents" in text) == is_marked
        assert ("nothing happens from 1 min 14.315 s to the end at 10 min" in text) == is_marked


def drawn(log: Log, what: str, marks=()) -> tuple[Figure, Axes]:
    """A plot as matplotlib has it."""
    figure = Figure()
    PLOTS[what](Film(log), figure, marks)
    return figure, figure.axes[0]


@pytest.fixture(scope="module")
def two_fleets() -> Log:
    """Two of fleet a and four of b want one slot each for 1 s, all at 0 s: two at a time, until 3 s."""
    steps = [{"task": "work", "duration": "1s"}]
    limits = [
        {"id": "slots", "type": "concurrency", "limit": 2},
        {"id": "wide", "type": "concurrency", "limit": 8, "scope": "task:*"},
    ]
    fleets = [{"name": name, "count": count, "steps": steps} for name, count in (("a", 2), ("b", 4))]
    return run(scenario(until="4s", constraints=limits, fleets=fleets))


def at(line, x: float) -> float:
    """The value of a line at a place."""
    xs, ys = line.get_xdata(), line.get_ydata()
    return float(ys[np.searchsorted(xs, x, side="right") - 1])


def test_the_plot_of_waits_has_for_each_fleet_the_share_that_waited_at_most_so_long(two_fleets):
    _, axes = drawn(two_fleets, "waits")
    lines = {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")}
    assert list(lines) == ["a", "b"]
    assert [at(lines["a"], x) for x in (0, 1.5)] == [1, 1]
    assert [at(lines["b"], x) for x in (0, 0.9, 1, 1.9, 2)] == [0, 0, 0.5, 0.5, 1]
    dots = [(line.get_xdata()[0], line.get_ydata()[0]) for line in axes.lines if line.get_marker() == "o"]
    assert dots == [(0, 0.95), (2, 0.95)]
    assert axes.get_xlabel() == "wait (s)"


def test_the_plots_of_usage_and_queues_are_those_of_the_limits(two_fleets):
    _, axes = drawn(two_fleets, "usage")
    slots, wide, whole = axes.lines
    assert (slots.get_label(), wide.get_label()) == ("slots", "wide")
    assert [at(slots, x) for x in (0.5, 2.5, 3.5)] == [1, 1, 0]
    assert [at(wide, x) for x in (0.5, 2.5, 3.5)] == [0.25, 0.25, 0]
    assert list(whole.get_ydata()) == [1, 1]
    _, axes = drawn(two_fleets, "queue", [Verdict(2 * S, "x" * 60)])
    queue, mark = axes.lines
    assert [at(queue, x) for x in (0.5, 1.5, 2.5, 3.5)] == [4, 2, 0, 0]
    assert queue.get_label() == "slots"  # nobody waits for the other
    assert list(mark.get_xdata()) == [2, 2]
    assert axes.texts[0].get_text().startswith("xxx")
    assert len(axes.texts[0].get_text()) < 60
    assert axes.get_xlim() == (0, 4)


def test_the_plot_of_the_fleet_stacks_what_its_agents_do(two_fleets):
    _, axes = drawn(two_fleets, "timeline")
    areas = {area.get_label(): area.get_paths()[0].vertices for area in axes.collections}
    assert list(areas) == ["running", "blocked"]
    heights = {name: [span(points, x) for x in (0.5, 1.5, 2.5)] for name, points in areas.items()}
    assert heights == {"running": [2, 2, 2], "blocked": [4, 2, 0]}


def span(points: np.ndarray, x: float) -> float:
    """How high an area is at a place."""
    near = points[np.abs(points[:, 0] - x) < 0.02][:, 1]
    return round(float(near.max() - near.min()), 6)


def test_a_plot_says_what_is_not_drawn():
    limits = [{"id": f"c{number}", "type": "concurrency", "limit": 1} for number in range(10)]
    log = run(scenario(until="4s", constraints=limits, count=2, steps=[{"task": "work", "duration": "1s"}]))
    figure, axes = drawn(log, "usage")
    assert "2 more are not drawn" in axes.get_title(loc="left")
    assert len(figure.legends[0].get_texts()) == 8
    figure, axes = drawn(run(scenario(until="1s", count=1, steps=[{"think": "1s"}])), "queue")
    assert [text.get_text() for text in axes.texts] == ["nobody waits for a limit"]


def test_usage_is_a_share_of_the_limit_that_is_in_force():
    slots = [{"id": "slots", "type": "concurrency", "limit": 4, "changes": [{"at": "5s", "limit": 2}]}]
    steps = [{"repeat": "forever", "steps": [{"task": "work", "duration": "1s"}]}]
    film = Film(run(scenario(until="10s", count=2, constraints=slots, steps=steps)))
    shares = utilisation(film, 0, np.arange(11) * S)
    assert shares.tolist() == [0.5] * 5 + [1.0] * 5
    rpm = [{"id": "rpm", "type": "rate_limit", "rate": "20/s", "burst": 1}]
    steps = [{"repeat": "forever", "steps": [{"task": "work", "duration": "100ms"}]}]
    film = Film(run(scenario(until="20s", count=1, constraints=rpm, steps=steps)))
    shares = utilisation(film, 0, np.arange(201) * S // 10)
    assert shares[10:].tolist() == [0.5] * 190  # ten a second, over its period of a second
