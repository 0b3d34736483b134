"""`python -m benchmarks.player LOG`: how fast the player is with a log, measured in one run on a terminal of 200x60.

It says how long the log takes to be laid out and how much memory that needs, how long it takes to reach any moment, and how
many frames a second are drawn while the log plays, with the processor time of each. `--speed` is that of the player.
"""

import fcntl
import json
import os
import pty
import resource
import select
import struct
import subprocess
import sys
import termios
import time
from random import Random

from model.log import Log
from render.film import Film
from render.palette import FULL
from render.playback import Playback
from render.scene import Scene

_COLUMNS, _LINES, _SECONDS = 200, 60, 10.0
_SEEKS = 300


def main() -> None:
    """Measure in a program of its own, whose terminal is read here."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["--inside"]:
        _inside(arguments[1], float(arguments[2]), int(arguments[3]))
        return
    speed = arguments[arguments.index("--speed") + 1] if "--speed" in arguments else "0"
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", _LINES, _COLUMNS, 0, 0))
    answer, tell = os.pipe()
    child = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.player", "--inside", arguments[0], speed, str(tell)],
        stdin=slave,
        stdout=slave,
        env={**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"},
        pass_fds=[tell],
        start_new_session=True,
    )
    os.close(tell)
    shown = 0
    while child.poll() is None:
        if select.select([master], [], [], 0.1)[0]:
            shown += len(os.read(master, 1 << 20))
    found = json.loads(os.read(answer, 65_536))
    print(f"{found['events']:,} events, {found['agents']:,} agents: {arguments[0]}")
    print(f"  laid out in {found['load_s']:.1f} s, {found['memory_mb']:,} MB at most")
    print(f"  a moment is reached in {found['seek_ms']:.1f} ms in the middle, {found['seek_ms_max']:.1f} ms at most")
    print(
        f"  {found['frames'] / found['seconds']:.0f} frames a second at {found['speed']:g}x, each {found['cpu_ms']:.0f} ms "
        f"of processor time and {shown / found['frames'] / 1000:.0f} kB"
    )


def _inside(path: str, speed: float, tell: int) -> None:
    from render.player import Player
    from render.session import driver

    start = time.perf_counter()
    film = Film(Log.open(path))
    load_s = time.perf_counter() - start
    random, seeks = Random(1), []
    for _ in range(_SEEKS):
        moment, start = random.choice(film.rows.time), time.perf_counter()
        film.at(int(moment))
        seeks.append(1000 * (time.perf_counter() - start))
    playback = Playback((film,), speed or None, 60.0)
    player = Player(Scene([(film.header.name, film)], playback, FULL), driver())
    player.call_later(lambda: player.set_timer(_SECONDS, player.exit))
    start, cpu = time.perf_counter(), time.process_time()
    player.run()
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    found = {
        "events": len(film.rows),
        "agents": film.agents,
        "load_s": load_s,
        "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "seek_ms": sorted(seeks)[_SEEKS // 2],
        "seek_ms_max": max(seeks),
        "frames": player.frames,
        "seconds": seconds,
        "speed": playback.speed,
        "cpu_ms": 1000 * cpu / player.frames,
    }
    os.write(tell, json.dumps(found).encode())


if __name__ == "__main__":
    main()
