"""The simulator against exact queueing results: contract, section 7.11.

NOTICE: `queueing_reference.json` holds 41 exact results that were computed for this work; no third-party content.

Rules:

1. Exact values come from the JSON alone; every result of every case there is compared, or excused with a reason.
2. Estimates come from the log alone (`measures`): rows of `model.events`, never the engine, its summary or its plan.
3. No variance reduction. A control variate that knows the theory would mend a biased engine's answer.
4. Nothing is chosen after looking at an estimate: the number of replications, their lengths and the pinned seed stand
   in the source. (Lengths and the widths that they reach were settled with pilot runs, on other seeds.)

Modules: `reference` reads the JSON; `scenarios` writes the scenario of each model; `measures` turns a log into sums;
`estimates` turns the sums of independent replications into a confidence interval; `rows` says which measure stands
for which result, how long it is run, and how narrow its interval has to be; `experiment` runs a row and judges it.

`pytest tests/theory` runs everything with pinned seeds; `python -m tests.theory --fresh` with seeds nobody has tried.
"""
