"""Real asyncio fleets beside the same fleets in virtual time.

Rules:

1. Both meet the same work: the real fleet sleeps for what the simulator drew, as its log says it, agent by agent.
2. What is compared is what does not hang on a late wake (`lateness`, `settled`): who was admitted before whom, who waited,
   how every attempt ended, the totals, and when everything happened.
3. The tolerance of an instant follows from what a witness in the same loop measured during the same run (`noise`). Where
   a single wait may be later than a twin bears, its tests are skipped with that figure. Nothing is ever loosened.
4. Each twin comes with scenarios that are wrong on purpose, and that the same comparison has to tell from reality.

Modules: `fleets` and `server` are the real thing; `stage` lets them run; `records` says what happened, real or simulated;
`twins` has the scenarios; `compare` judges; `pictures` shows. `python -m tests.twin` prints what was measured.
"""
