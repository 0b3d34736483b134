"""Hurt scenario files: no traceback, no hang, bounded memory. `python -m tests.hurt` does as many as one likes."""

from pathlib import Path

from .fuzz import fuzz

FILES, SEED = 800, 1
MEMORY_BYTES_MAX = 2**30


def test_nothing_but_faults_and_runs_comes_of_hurt_scenario_files(tmp_path: Path) -> None:
    report = fuzz(SEED, FILES, 2, tmp_path)
    told = "\n".join(f"{offence['path']}\n{offence['told']}" for offence in report.offences)
    assert not report.offences, told
    assert report.files == FILES
    assert report.peak_bytes < MEMORY_BYTES_MAX
    assert report.verdicts["run"] > FILES / 20
    assert report.verdicts["refused"] > FILES / 2


def test_a_worker_that_dies_or_hangs_or_fails_is_an_offence_of_its_file(tmp_path: Path) -> None:
    """The harness itself: see `fuzz`. In place of the worker there is one that does nothing else."""
    for wrong in ("os._exit(3)", "os.kill(os.getpid(), 9)", "raise MemoryError"):
        worker = tmp_path / "worker.py"
        worker.write_text(
            "import os, sys, json\nseed, first, stop, step = map(int, sys.argv[1:5])\n"
            "for number in range(first, stop, step):\n"
            f"    if number == 3: {wrong}\n"
            "    row = dict(number=number, path='', verdict='refused', told='', seconds=1, peak_bytes=1)\n"
            "    print(json.dumps(row), flush=True)\n"
        )
        report = fuzz(SEED, 8, 2, tmp_path, program=(str(worker),))
        assert [offence["number"] for offence in report.offences] == [3]
        assert report.verdicts == {"refused": 7, "offence": 1}
