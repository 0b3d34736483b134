// Two runs beside each other: who is who, and who does not do the same in both.
//
// Rules:
//
// 1. An agent is the same in both by the number that `render/page/page.py` gave it there; who is in one alone is absent in
//    the other.
// 2. Two do the same where they are in the same phase, and blocked by constraints of one name.

class Pair {
  constructor(runs) {
    this.runs = runs;
    const numbers = runs.map(({ columns }) => summedFolded(columns.get("shared")));
    const byNumber = numbers.map((each) => new Map(Array.from(each, (number, agent) => [number, agent])));
    runs.forEach((run, side) => {
      run.partner = Int32Array.from(numbers[side], (number) => byNumber[1 - side].get(number) ?? -1);
      run.differs = new Uint8Array(run.film.agents);
    });
    const looks = new Map();
    const lookOf = ({ film }) => film.phaseOf.map((phase, state) => {
      const blocker = phase === BLOCKED && film.constraintOf[state] >= 0 ? film.entry.constraints[film.constraintOf[state]].id : "";
      const key = `${phase} ${blocker}`;
      if (!looks.has(key)) looks.set(key, looks.size + 1);
      return looks.get(key);
    });
    runs.forEach((run) => (run.look = Uint32Array.from(lookOf(run))));
    this.absentLook = looks.get(`${ABSENT} `);
  }

  /** Find out who differs now, in `differs` of each run; return how many agents of both those are. */
  compare() {
    let differ = 0;
    this.runs.forEach((run, side) => {
      const other = this.runs[1 - side];
      for (let agent = 0; agent < run.film.agents; agent += 1) {
        const partner = run.partner[agent];
        const theirs = partner < 0 ? this.absentLook : other.look[other.film.state[partner]];
        run.differs[agent] = run.look[run.film.state[agent]] === theirs ? 0 : 1;
        if (run.differs[agent] && (!side || partner < 0)) differ += 1;
      }
    });
    return differ;
  }
}
