"""The rules of the simulator a second time, as plainly as can be: what the engine does is compared with it, row by row.

Rules:

1. It is written from the documents (`docs/scenario.md`, `docs/log.md`, `docs/adr/0001` and `0005`) and shares no code with
   `sim`: of `model` it takes the Plan, the draws and the vocabulary, which are the input and the output of both.
2. It is slow on purpose. Pending events are one sorted list, those who wait are one list that is looked through whole
   whenever something may have changed, levels are fractions. Whoever changes a rule finds one place, and no shortcut.
3. What is left to chance in the engine, who is next in a random queue, is taken from the log that is compared; that it may
   be that one is checked.
4. Where the documents leave the order of two things at one instant open, the module that decides says so.
"""
