// A film: any moment of a run at once.
//
// Rules:
//
// 1. `frame` is what is shown; `state` says what each agent does there, `since` at which frame it came into that phase.
// 2. Key frames are made once, when the page is loaded: a jump copies one and makes the moves since.
// 3. Within a frame agents are in order and each has one move.

const KEY_MOVES = 65536;
const ABSENT = 0;
const THINKING = 1;
const BLOCKED = 2;
const RUNNING = 3;
const FINISHED = 4;
const DOWN = 5;
const BACKING_OFF = 6;
const PHASES = ["not started", "thinking", "blocked", "running", "finished", "down", "backing off"];

class Film {
  constructor(entry, columns) {
    this.entry = entry;
    this.agents = entry.agents;
    [this.phaseOf, this.constraintOf, this.stepOf] = entry.states;
    this.timeNs = summed(columns.get("time"));
    this.frames = this.timeNs.length;
    this.endNs = this.timeNs[this.frames - 1];
    this.moveState = columns.get("state");
    this._readMoves(columns.get("moves"), columns.get("agent"));
    this.waiting = this._steps(columns, "waiting");
    this.limit = this._steps(columns, "limit");
    this.used = this._steps(columns, "used");
    this.taken = this._steps(columns, "taken");
    this._readRoster(columns);
    this._readHeld(columns);
    this.state = entry.states[0].length > 65535 ? new Uint32Array(this.agents) : new Uint16Array(this.agents);
    this.since = new Uint32Array(this.agents);
    this._makeKeys();
    this.seek(0);
  }

  _readMoves(moves, agents) {
    this.firsts = new Uint32Array(this.frames + 1);
    this.moveAgent = agents;
    for (let frame = 0, place = 0; frame < this.frames; frame += 1) {
      this.firsts[frame] = place;
      let agent = 0;
      for (const stop = place + moves[frame]; place < stop; place += 1) agents[place] = agent += agents[place];
      this.firsts[frame + 1] = place;
    }
  }

  _steps(columns, name) {
    return this.entry.constraints.map((_, number) => {
      const frames = columns.get(`${name}.${number}.frame`);
      return frames ? { frame: summed(frames), value: summedFolded(columns.get(`${name}.${number}.value`)) } : null;
    });
  }

  _readRoster(columns) {
    this.spawnedFleet = columns.get("spawned.fleet") || [];
    this.spawnedNumber = columns.get("spawned.number") || [];
  }

  /** Who holds what: of each agent the holdings from `firsts[agent]` on, each from a frame up to another. */
  _readHeld(columns) {
    this.held = [];
    for (let number = 0; columns.has(`held.${number}.count`); number += 1) {
      const [count, gap, length] = ["count", "gap", "length"].map((name) => columns.get(`held.${number}.${name}`));
      const firsts = new Uint32Array(this.agents + 1);
      const from = new Uint32Array(gap.length);
      const until = new Uint32Array(gap.length);
      for (let agent = 0, place = 0; agent < this.agents; agent += 1) {
        let end = 0;
        for (const stop = place + count[agent]; place < stop; place += 1) {
          from[place] = end + unfolded(gap[place]);
          until[place] = end = from[place] + length[place];
        }
        firsts[agent + 1] = place;
      }
      this.held.push({ firsts, from, until });
    }
  }

  _makeKeys() {
    this.keys = [{ frame: -1, state: this.state.slice(), since: this.since.slice() }];
    const stride = Math.max(KEY_MOVES, this.agents);
    let moves = 0;
    for (let frame = 0; frame < this.frames; frame += 1) {
      this._apply(frame);
      moves += this.firsts[frame + 1] - this.firsts[frame];
      if (moves < stride) continue;
      this.keys.push({ frame, state: this.state.slice(), since: this.since.slice() });
      moves = 0;
    }
    this.keyFrames = this.keys.map((key) => key.frame);
    this.frame = this.frames - 1;
  }

  _apply(frame) {
    const { state, since, moveAgent, moveState } = this;
    for (let place = this.firsts[frame], stop = this.firsts[frame + 1]; place < stop; place += 1) {
      const agent = moveAgent[place];
      state[agent] = moveState[place] >> 1;
      if (moveState[place] & 1) since[agent] = frame;
    }
  }

  /** Go to the moment of a time; say whether another frame is shown than before. */
  seek(ns) {
    const target = Math.max(0, lastUpTo(this.timeNs, ns));
    if (target === this.frame) return false;
    const key = this.keys[lastUpTo(this.keyFrames, target)];
    if (target < this.frame || key.frame > this.frame) {
      this.state.set(key.state);
      this.since.set(key.since);
      this.frame = key.frame;
    }
    while (this.frame < target) this._apply((this.frame += 1));
    return true;
  }

  /** Return how many agents are in each phase now. */
  counts() {
    const counts = PHASES.map(() => 0);
    const perState = new Uint32Array(this.phaseOf.length);
    for (let agent = 0; agent < this.agents; agent += 1) perState[this.state[agent]] += 1;
    perState.forEach((count, state) => (counts[this.phaseOf[state]] += count));
    return counts;
  }

  /** Return a value of a constraint now: of its `waiting`, `limit` or `used`; null where it has none. */
  value(steps, number) {
    return steps[number] && this._at(steps[number], this.frame);
  }

  /** Return what an agent does now: {phase, constraint, step}. */
  now(agent) {
    const state = this.state[agent];
    return { phase: this.phaseOf[state], constraint: this.constraintOf[state], step: this.stepOf[state] };
  }

  /** Return what is in force of a constraint at a time: {time, rate, tokens, period_ns, first_use}, those that it has. */
  setting(number, ns) {
    return this.entry.constraints[number].settings.findLast(({ time }) => time <= ns) || {};
  }

  /** Return what of a rate was charged in its last period, of a quota since it last came back; null where that is not known. */
  charged(number, ns) {
    const { type } = this.entry.constraints[number];
    const { period_ns: period, first_use: firstUse } = this.setting(number, ns);
    if (!this.taken[number] || period === undefined || firstUse) return null;
    const again = type === "rate_limit" ? ns - period : period ? Math.floor(ns / period) * period - 1 : -1;
    const upTo = (time) => (time < 0 ? 0 : this._at(this.taken[number], lastUpTo(this.timeNs, time)));
    return upTo(ns) - upTo(again);
  }

  _at({ frame, value }, at) {
    return value[lastUpTo(frame, at)];
  }

  /** Return the constraints of which an agent holds some now. */
  heldBy(agent) {
    return this.entry.constraints.flatMap(({ held }, number) => (held !== null && this._holds(this.held[held], agent) ? [number] : []));
  }

  _holds({ firsts, from, until }, agent) {
    for (let place = firsts[agent]; place < firsts[agent + 1]; place += 1) {
      if (from[place] <= this.frame && this.frame < until[place]) return true;
    }
    return false;
  }

  phase(agent) {
    return this.phaseOf[this.state[agent]];
  }

  /** Return the time of the first frame after a time, or of the last before it. */
  neighbour(ns, direction) {
    const place = lastUpTo(this.timeNs, ns);
    if (direction > 0) return place + 1 < this.frames ? this.timeNs[place + 1] : this.endNs;
    return this.timeNs[Math.max(0, this.timeNs[place] === ns ? place - 1 : place)];
  }

  /** Return when, after a time, a constraint next has somebody wait for it that had nobody: {ns, number}, or null. */
  nextBinding(ns) {
    let found = null;
    this.waiting.forEach(({ frame, value }, number) => {
      const now = lastUpTo(this.timeNs, ns);
      for (let place = lastUpTo(frame, now) + 1; place < frame.length; place += 1) {
        if (value[place] <= 0 || (place && value[place - 1] > 0)) continue;
        if (!found || this.timeNs[frame[place]] < found.ns) found = { ns: this.timeNs[frame[place]], number };
        break;
      }
    });
    return found;
  }

  /** Return the stretches of an agent's life, each from its frame to the next: [{frame, phase, constraint, step}]. */
  life(agent) {
    const stretches = [];
    let last = null;
    for (let place = 0; place < this.moveAgent.length; place += 1) {
      if (this.moveAgent[place] !== agent) continue;
      const state = this.moveState[place] >> 1;
      const next = { frame: this._frameOf(place), phase: this.phaseOf[state], constraint: this.constraintOf[state], step: this.stepOf[state] };
      const same = last && last.phase === next.phase && last.constraint === next.constraint && !(this.moveState[place] & 1);
      if (!same) stretches.push((last = next));
    }
    return stretches;
  }

  _frameOf(place) {
    // Frames without moves begin where the next one does: the last of those is meant.
    return lastUpTo(this.firsts, place);
  }

  fleetOf(agent) {
    if (agent >= this.entry.listed) return this.spawnedFleet[agent - this.entry.listed];
    return this.entry.fleets.findIndex(([, first, count]) => agent >= first && agent < first + count);
  }

  /** Return the number of an agent within its fleet. */
  numberOf(agent) {
    if (agent >= this.entry.listed) return this.spawnedNumber[agent - this.entry.listed];
    return agent - this.entry.fleets[this.fleetOf(agent)][1];
  }

  name(agent) {
    return `${clean(this.entry.fleets[this.fleetOf(agent)][0])}_${this.numberOf(agent)}`;
  }

  /** Return the agent of that number within a fleet, or -1. */
  find(fleet, number) {
    const [, first, count] = this.entry.fleets[fleet];
    if (number < count) return first + number;
    for (let place = 0; place < this.spawnedFleet.length; place += 1) {
      if (this.spawnedFleet[place] === fleet && this.spawnedNumber[place] === number) return this.entry.listed + place;
    }
    return -1;
  }

  /** Return the agents that hold some of a constraint now. */
  holders(constraint) {
    const held = this.held[this.entry.constraints[constraint].held];
    const found = [];
    for (let agent = 0; agent < this.agents; agent += 1) {
      if (this._holds(held, agent)) found.push(agent);
    }
    return found;
  }

  /** Return how many agents are blocked on a constraint now. */
  blockedOn(constraint) {
    let count = 0;
    for (let agent = 0; agent < this.agents; agent += 1) {
      const state = this.state[agent];
      if (this.phaseOf[state] === BLOCKED && this.constraintOf[state] === constraint) count += 1;
    }
    return count;
  }
}
