// What the colour of a cell stands for.
//
// Rules:
//
// 1. Phases differ in brightness, not in hue alone, and those who are blocked have stripes where cells are large enough.
// 2. The colours of names are those of Okabe and Ito, which nearly everybody can tell apart; times go from faint to strong.
// 3. Where there are more names than colours, those that matter most have one each, and the rest are "others".
// 4. What a mode does not ask about is dim.

const SYSTEM_IS_DARK = window.matchMedia("(prefers-color-scheme: dark)");
const systemTheme = () => (SYSTEM_IS_DARK.matches ? "dark" : "light");

/* Show the page in light or dark colours; before anything else, so that nothing flickers. */
const paint = (theme) => {
  document.documentElement.dataset.theme = theme;
};
const isDark = () => document.documentElement.dataset.theme === "dark";
paint(systemTheme());

const PALETTES = {
  dark: {
    background: "#101215",
    phases: ["#101215", "#4c5362", "#e5484d", "#63f2c4", "#2a2d33", "#d9b3ff", "#e09a3e"],
    dim: "#33373f",
    names: ["#e69f00", "#56b4e9", "#009e73", "#f0e442", "#3b8fd0", "#e8702a", "#cc79a7"],
    others: "#b9bfc9",
    times: ["#6a176e", "#932667", "#c73e4c", "#ed6925", "#fbb61a", "#fcffa4"],
    mark: "#ffffff",
    stripe: "rgba(0, 0, 0, 0.55)",
  },
  light: {
    background: "#ffffff",
    phases: ["#ffffff", "#a9b1bd", "#e5574f", "#00614a", "#dfe3e8", "#2b1055", "#9a5b00"],
    dim: "#e3e6ea",
    names: ["#c47f00", "#3a9bd6", "#008060", "#b3a300", "#00528a", "#b84a00", "#b05488"],
    others: "#7c8490",
    times: ["#f5b95c", "#ed7a2e", "#d2493d", "#a02c63", "#67196f", "#2a0b4e"],
    mark: "#000000",
    stripe: "rgba(255, 255, 255, 0.6)",
  },
};
const MODES = { state: "state", constraint: "blocking constraint", tenant: "tenant", waited: "time waited" };
const LEGEND = [RUNNING, BLOCKED, BACKING_OFF, THINKING, FINISHED, DOWN, ABSENT];
const MINUTE_NS = 60e9;
const ROUND_NS = [
  ...[...Array(11).keys()].flatMap((power) => [1, 2, 5].map((digit) => digit * 10 ** power)).filter((ns) => ns < MINUTE_NS),
  ...[1, 2, 5, 10, 20, 60, 120, 300, 600].map((minutes) => minutes * MINUTE_NS),
  ...[...Array(5).keys()].flatMap((power) => [1, 2, 5].map((digit) => digit * 10 ** power * 86400e9)),
];

/** Return a colour as the pixel of an image has it. */
function pixel(color) {
  const number = Number.parseInt(color.slice(1), 16);
  return (0xff000000 | ((number & 0xff) << 16) | (number & 0xff00) | (number >> 16)) >>> 0;
}

/** Return what weighs most, as many as there are colours, in the order in which they are given: the label and the category of each name. */
function ranked(names, weights, colors) {
  const order = names.map((_, number) => number).sort((one, other) => weights[other] - weights[one] || one - other);
  const kept = order.slice(0, colors).sort((one, other) => one - other);
  const category = names.map((_, number) => (kept.includes(number) ? kept.indexOf(number) : kept.length));
  const left = names.length - kept.length;
  return { labels: [...kept.map((number) => names[number]), ...(left ? [`${left} more`] : [])], category };
}

/**
 * The colours of a run in a mode, which are those of all `films` that are beside it: `labels` and `colors` of its categories, and `of` fills in the category of each agent.
 *
 * The last two categories of every mode but the first are the rest and those who are absent.
 */
class Shades {
  constructor(mode, film, palette, films) {
    this.film = film;
    this.films = films;
    this.mode = mode;
    this.palette = palette;
    this.striped = mode === "state" || mode === "tenant";
    ({ state: () => this._byState(), constraint: () => this._byConstraint(), tenant: () => this._byTenant(), waited: () => this._byTime() })[mode]();
    this.pixels = new Uint32Array(this.colors.map(pixel));
  }

  _byState() {
    this.labels = PHASES;
    this.colors = this.palette.phases;
    this.order = LEGEND;
    this._perState = Uint16Array.from(this.film.phaseOf);
    this.of = this._ofStates;
  }

  _byConstraint() {
    const weights = new Map();
    for (const { entry } of this.films) {
      entry.constraints.forEach(({ id }, number) => weights.set(id, (weights.get(id) || 0) + entry.report.constraints[number].blocked_ns));
    }
    const category = this._rank(weights);
    const { constraints } = this.film.entry;
    const perState = this.film.phaseOf.map((phase, state) => (phase === BLOCKED ? category.get(constraints[this.film.constraintOf[state]].id) : this._rest(phase)));
    this._perState = Uint16Array.from(perState);
    this.of = this._ofStates;
  }

  _byTenant() {
    const owner = ([name, , , tenant]) => (tenant === null ? name : tenant);
    const weights = new Map();
    for (const { entry } of this.films) {
      for (const fleet of entry.fleets) weights.set(owner(fleet), (weights.get(owner(fleet)) || 0) + fleet[2]);
    }
    const category = this._rank(weights);
    const ofFleet = this.film.entry.fleets.map((fleet) => category.get(owner(fleet)));
    this._ofAgent = new Uint16Array(this.film.agents);
    this.film.entry.fleets.forEach(([, first, count], fleet) => this._ofAgent.fill(ofFleet[fleet], first, first + count));
    for (let agent = this.film.entry.listed; agent < this.film.agents; agent += 1) this._ofAgent[agent] = ofFleet[this.film.fleetOf(agent)];
    this._busy = Uint8Array.from(this.film.phaseOf, (phase) => ([RUNNING, BLOCKED, BACKING_OFF].includes(phase) ? 1 : 0));
    this._others = Uint16Array.from(this.film.phaseOf, (phase) => this._rest(phase));
    this.of = (into) => {
      const { state } = this.film;
      for (let agent = 0; agent < into.length; agent += 1) into[agent] = this._busy[state[agent]] ? this._ofAgent[agent] : this._others[state[agent]];
    };
  }

  _byTime() {
    const count = this.palette.times.length - 1;
    const longest = Math.max(...this.films.map(({ entry }) => entry.longest_blocked_ns));
    const last = Math.max(count, lastUpTo(ROUND_NS, longest) + 1);
    this._edges = ROUND_NS.slice(last - count, last);
    this._name([`under ${duration(this._edges[0])}`, ...this._edges.map((ns) => `from ${duration(ns)}`)], this.palette.times);
    const blocked = Uint8Array.from(this.film.phaseOf, (phase) => (phase === BLOCKED ? 1 : 0));
    const others = Uint16Array.from(this.film.phaseOf, (phase) => this._rest(phase));
    this.of = (into, ns) => {
      const { state, since, timeNs } = this.film;
      for (let agent = 0; agent < into.length; agent += 1) {
        into[agent] = blocked[state[agent]] ? lastUpTo(this._edges, ns - timeNs[since[agent]]) + 1 : others[state[agent]];
      }
    };
  }

  /** Name the categories, and return that of each name by its weight. */
  _rank(weights) {
    const names = [...weights.keys()];
    const { labels, category } = ranked(names, [...weights.values()], this.palette.names.length);
    this._name(labels.map(clean));
    return new Map(names.map((name, number) => [name, category[number]]));
  }

  _name(labels, colors = [...this.palette.names.slice(0, labels.length), this.palette.others]) {
    this.labels = [...labels, this.mode === "tenant" ? "idle" : "not blocked", PHASES[ABSENT]];
    this.colors = [...colors.slice(0, labels.length), this.palette.dim, this.palette.background];
    this.order = [...labels.keys(), labels.length];
  }

  _rest(phase) {
    return this.labels.length - (phase === ABSENT ? 1 : 2);
  }

  _ofStates(into) {
    const { state } = this.film;
    for (let agent = 0; agent < into.length; agent += 1) into[agent] = this._perState[state[agent]];
  }
}
