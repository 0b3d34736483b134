// The story of one agent, and the search that leads to it.

const STRETCHES_SHOWN = 100;
const STRETCHES_BEFORE = 5;
const HOLDERS_SHOWN = 12;
const FOUND_MAX = 24;

/** Say what an agent does in a stretch or a moment. */
function doing(film, { phase, constraint, step }) {
  const task = step >= 0 && (phase === RUNNING || phase === BLOCKED) ? `, step ${clean(film.entry.steps[step])}` : "";
  if (phase === BLOCKED && constraint >= 0) return `blocked on ${clean(film.entry.constraints[constraint].id)}${task}`;
  return `${PHASES[phase]}${task}`;
}

class Story {
  /** `go` goes to a time, `pick` to an agent of a run. */
  constructor(parent, endNs, { go, pick }) {
    this.parent = parent;
    this.endNs = endNs;
    this.go = go;
    this.pick = pick;
    this.shown = [];
    this.clear();
  }

  clear() {
    this.shown = [];
    this.parent.replaceChildren(make("p", { class: "faint" }, "Click a cell, press a and the arrows, or search for an agent, to read its story."));
  }

  /** Tell the story of an agent in each run where there is one: [{film, agent, run, title}]. */
  tell(chosen) {
    this.shown = chosen.map((each) => {
      const life = each.film.life(each.agent);
      const times = life.map(({ frame }) => each.film.timeNs[frame]);
      return { ...each, life, times, now: make("div", { class: "story-now" }), list: make("ol", { class: "life" }), note: make("p", { class: "faint" }) };
    });
    this.parent.replaceChildren(...this.shown.map((each) => this._section(each)));
  }

  _section({ film, agent, title, now, list, note }) {
    const [name, , , tenant] = film.entry.fleets[film.fleetOf(agent)];
    const about = [`agent ${whole(agent)}`, `fleet ${clean(name)}`, tenant === null ? null : `tenant ${clean(tenant)}`, title].filter(Boolean).join(", ");
    return make("article", { "aria-label": `Story of ${film.name(agent)}` }, make("h3", {}, film.name(agent)), make("p", { class: "faint" }, about), now, make("div", { class: "scroll tall", tabindex: 0, role: "region", "aria-label": `Stretches of ${film.name(agent)}` }, list), note);
  }

  /** Bring the story to a time; while the replay goes on, only what is told of now. */
  update(ns, playing) {
    for (const each of this.shown) {
      const place = lastUpTo(each.times, ns);
      if (each.place !== place || !playing) each.now.replaceChildren(...this._now(each, ns, playing, place));
      if (each.place !== place) this._list(each, place);
    }
  }

  _now({ film, agent, run, times }, ns, playing, place) {
    const now = film.now(agent);
    const since = place < 0 ? 0 : times[place];
    const lines = [make("p", {}, make("strong", {}, doing(film, now)), `${playing ? "" : ` for ${duration(Math.max(0, ns - since))},`} since ${clock(since, this.endNs)}`)];
    const held = film.heldBy(agent).map((number) => clean(film.entry.constraints[number].id));
    if (held.length && now.phase !== RUNNING) lines.push(make("p", {}, `It holds ${held.join(", ")}.`));
    if (now.phase === BLOCKED && now.constraint >= 0) lines.push(...this._blocked(film, run, now.constraint, playing));
    return lines;
  }

  _blocked(film, run, constraint, playing) {
    const entry = film.entry.constraints[constraint];
    const others = film.blockedOn(constraint) - 1;
    const tasks = film.value(film.waiting, constraint);
    const waiting = `${counted(others, "other agent")} ${others === 1 ? "is" : "are"} blocked on ${clean(entry.id)}; ${counted(tasks, "task")} wait${tasks === 1 ? "s" : ""} for it in all.`;
    const lines = [make("p", {}, waiting)];
    if (entry.held === null || playing) return lines;
    const holders = film.holders(constraint);
    if (!holders.length) return [...lines, make("p", {}, "Nobody holds it.")];
    const names = holders.slice(0, HOLDERS_SHOWN).flatMap((agent) => [this._link(film, run, agent), " "]);
    const more = holders.length - HOLDERS_SHOWN;
    lines.push(make("p", {}, `Held by ${whole(holders.length)}: `, ...names, more > 0 ? `and ${whole(more)} more` : null));
    return lines;
  }

  _link(film, run, agent) {
    return make("button", { class: "link", type: "button", onclick: () => this.pick(run, agent) }, film.name(agent));
  }

  _list(each, place) {
    const { film, life, list, note } = each;
    each.place = place;
    const first = Math.max(0, place - STRETCHES_BEFORE);
    const shown = life.slice(first, first + STRETCHES_SHOWN);
    list.start = first + 1;
    list.replaceChildren(...shown.map((stretch, number) => this._stretch(film, stretch, life[first + number + 1], first + number === place)));
    say(note, `${counted(life.length, "stretch", "stretches")}${shown.length < life.length ? `, ${whole(first + 1)} to ${whole(first + shown.length)} shown` : ""}${film.entry.every_ns === null ? "" : `; times to within ${duration(film.entry.every_ns)}`}.`);
  }

  _stretch(film, stretch, next, isNow) {
    const from = film.timeNs[stretch.frame];
    const until = next ? film.timeNs[next.frame] : film.endNs;
    const time = make("button", { class: "link", type: "button", title: `Go to ${exact(from)}`, onclick: () => this.go(from) }, clock(from, this.endNs));
    return make("li", { "aria-current": isNow ? "time" : null, "data-phase": PHASES[stretch.phase] }, time, make("span", { class: "what" }, doing(film, stretch)), make("span", { class: "number" }, duration(until - from)));
  }
}

/** Return the agents that a text means, at most so many: a name such as free_12, a number, or a part of a fleet's name. */
function search(film, text) {
  const wanted = text.trim();
  if (!wanted) return [];
  if (/^\d+$/.test(wanted)) return Number(wanted) < film.agents ? [Number(wanted)] : [];
  const [, fleetName, number] = /^(.*)_(\d+)$/.exec(wanted) || [];
  const { fleets } = film.entry;
  if (fleetName !== undefined) {
    const exactly = fleets.findIndex(([name]) => name === fleetName || clean(name) === fleetName);
    const agent = exactly < 0 ? -1 : film.find(exactly, Number(number));
    if (agent >= 0) return [agent];
  }
  const found = [];
  fleets.forEach(([name, , , tenant], fleet) => {
    if (![name, tenant || ""].some((each) => each.toLowerCase().includes(wanted.toLowerCase()))) return;
    for (let place = 0; found.length < FOUND_MAX; place += 1) {
      const agent = film.find(fleet, place);
      if (agent < 0) return;
      found.push(agent);
    }
  });
  return found;
}
