"""The product itself under injected faults: killed, out of room, shut out, with flipped bytes, and given hurt scenarios.

Rules:

1. A fault is real: a process is killed by SIGKILL, a disk is full, a folder belongs to someone else, a byte is another.
2. Where a fault cannot be had (no root, no name space of one's own), its test is skipped with the reason.
3. Whatever is random follows from a seed that is printed or stands in the source.

Modules: `commands` starts the command lines in processes of their own without paying for the start of Python; `bases` are
the scenarios that are hurt, `texts` hurts them, `judge` says what may come of one, `worker` judges one after another within
bounds of time and memory, and `fuzz` starts the workers and outlives them.

`python -m tests.hurt --files 100000` judges as many hurt scenarios as one likes.
"""
