// The page: one clock for all that is shown.
//
// Rules:
//
// 1. Everything shown is a function of the data, the time `ns` and what the reader has chosen.
// 2. The address keeps the moment, and who is chosen: #t=12.5s&agent=free_12.
// 3. Where motion is not wanted nothing moves by itself.

const PLAY_SECONDS = 15;
const FRAMES_A_SECOND = 20;
const SPEED_MIN = 1e-9;
const SPEED_MAX = 1e12;
const ADDRESS_AFTER_MS = 200;
const ANNOUNCE_AFTER_MS = 500;
const ANNOUNCE_EVERY_MS = 5000;
const CHARTS_AT_ONCE = 4;

/** Return the property of the style that has the colour of a run. */
function runColor(side) {
  return side ? "--run-b" : "--run-a";
}

class Player {
  constructor(about, columns) {
    this.about = about;
    this.endNs = about.end_ns;
    this.ns = 0;
    this.speed = Math.max(1, this.endNs / (PLAY_SECONDS * 1e9));
    this.playing = false;
    this.mode = "state";
    this.letters = about.runs.length > 1 ? ["A", "B"] : [""];
    this.runs = about.runs.map((entry, number) => ({ film: new Film(entry, columns[number]), columns: columns[number], number }));
    this.selected = this.runs.map(() => -1);
    if (this.runs.length > 1) this._pair();
    this._build();
    this._listen();
    this.recolor();
    this._showPlaying();
    this._announce();
    if (!this._fromAddress()) this._begin();
  }

  // What the runs have in common.

  _pair() {
    const numbers = this.runs.map(({ columns }) => summedFolded(columns.get("shared")));
    const byNumber = numbers.map((each) => new Map(Array.from(each, (number, agent) => [number, agent])));
    this.runs.forEach((run, side) => {
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
    this.runs.forEach((run) => (run.look = Uint32Array.from(lookOf(run))));
    this.absentLook = looks.get(`${ABSENT} `);
  }

  /** Find out who does not do the same in both runs; return how many agents of both those are. */
  _compare() {
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

  // The parts of the page.

  _build() {
    const names = this.runs.length > 1 ? this.letters.map((letter) => `run ${letter}`) : ["agents"];
    this._head();
    this.stage = byId("stage");
    this.runs.forEach((run, side) => {
      run.canvas = make("canvas", { role: "img", "aria-describedby": "hover" });
      const title = this.runs.length > 1 ? make("figcaption", {}, `Run ${this.letters[side]}: ${clean(run.film.entry.report.scenario)}, seed ${run.film.entry.report.seed}`) : null;
      this.stage.append(make("figure", {}, title, run.canvas));
      run.grid = new Grid(run.film, run.canvas);
    });
    this.tables = this.runs.map(({ film }, side) => new Constraints(byId("constraints"), film, this.runs.length > 1 ? `Constraints of run ${this.letters[side]}` : "Constraints"));
    this.legend = new Legend(byId("legend"), this.letters);
    this.story = new Story(byId("story"), this.endNs, { go: (ns) => this.go(ns), pick: (run, agent) => this.select(run, agent) });
    showReport(byId("whole"), this.runs, names, this.endNs, (ns) => this.go(ns));
    byId("left-out").append(...this._leftOut());
    byId("layout-choice").hidden = this.runs.every(({ film }) => groupsOf(film).length < 2);
    byId("scrubber").max = this.endNs;
    this._charts();
  }

  _head() {
    const [{ film }] = this.runs;
    const { report } = film.entry;
    say(byId("name"), this.runs.length > 1 ? [...new Set(this.runs.map((run) => clean(run.film.entry.report.scenario)))].join(" and ") : clean(report.scenario));
    const words = this.runs.map(({ film: each }, side) => `${this.runs.length > 1 ? `${this.letters[side]}: ` : ""}seed ${each.entry.report.seed}, ${whole(each.agents)} agent${each.agents === 1 ? "" : "s"}, ${whole(each.entry.report.events)} events, ${duration(each.entry.report.end_ns)} of virtual time`);
    say(byId("summary"), words.join("; "));
    byId("altered").hidden = !this.about.altered.length;
    byId("altered").append(...this.about.altered.map((each) => make("li", {}, clean(each))));
    const cut = this.runs.filter((run) => run.film.entry.report.cut);
    byId("cut").hidden = !cut.length;
    say(byId("cut"), cut.map(({ film: each, number }) => `${this.runs.length > 1 ? `Log ${this.letters[number]}` : "The log"} is cut at ${duration(each.entry.report.end_ns)}: the run was interrupted, stopped or killed. What there is of it is shown.`).join(" "));
  }

  _leftOut() {
    const lines = this.runs.map(({ film }, side) => {
      const { every_ns, moves, shown } = film.entry;
      const whose = this.runs.length > 1 ? `Run ${this.letters[side]}: ` : "";
      if (every_ns === null) return `${whose}The grid has every instant of the log: nothing is left out.`;
      return `${whose}The grid shows a moment every ${duration(every_ns)}, ${whole(film.frames)} in all, each exact; what came and went between two of them is left out: ${whole(moves - shown)} of ${whole(moves)} changes. Arrows step such a moment, and times of a story are to within one.`;
    });
    const latest = Math.max(...this.runs.map(({ film }) => film.endNs));
    if (latest > this.endNs) lines.push(`Nothing happens any more from ${duration(this.endNs)} to the end at ${duration(latest)}: that is left out.`);
    lines.push(`Charts have ${whole(this.about.edges_ns.length - 1)} stretches: the line is the mean, the shade goes from the least to the greatest of all values in the log. The report counts every event.`);
    return lines.map((line) => make("p", {}, line));
  }

  // Charts.

  _charts() {
    this.charts = [];
    const { edges_ns: edges } = this.about;
    this.x = edges.map((ns) => ns / 1e9);
    const parent = byId("charts");
    if (this.runs.length > 1) {
      this._chart(parent, { title: "Running agents" }, (run) => extentOf(run.columns, "series.running", this.about.mean_unit));
      this._chart(parent, { title: "Blocked agents" }, (run) => extentOf(run.columns, "series.blocked", this.about.mean_unit));
    } else {
      const [run] = this.runs;
      const line = (name, color, dash) => ({ label: name, color, dash, ...extentOf(run.columns, `series.${name}`, this.about.mean_unit) });
      this._add(parent, { title: "Running and blocked agents", lines: [line("running", "--running", false), line("blocked", "--blocked", true)] });
    }
    this._waits(parent);
    const order = this._constraintOrder();
    order.slice(0, CHARTS_AT_ONCE).forEach((id) => this._ofConstraint(parent, id));
    this._moreCharts(parent, order.slice(CHARTS_AT_ONCE));
  }

  /** Return the names of the constraints, those that blocked longest first, then those that rejected most. */
  _constraintOrder() {
    const weight = new Map();
    for (const { film } of this.runs) {
      film.entry.constraints.forEach(({ id }, number) => {
        const { blocked_ns, rejected } = film.entry.report.constraints[number];
        weight.set(id, (weight.get(id) || 0) + blocked_ns + rejected);
      });
    }
    return [...weight.keys()].sort((one, other) => weight.get(other) - weight.get(one));
  }

  _moreCharts(parent, ids) {
    if (!ids.length) return;
    const button = make("button", { type: "button", class: "more" }, `Charts of ${whole(ids.length)} more constraint${ids.length === 1 ? "" : "s"}`);
    button.addEventListener("click", () => {
      button.remove();
      ids.forEach((id) => this._ofConstraint(parent, id));
      this.draw();
    });
    parent.append(button);
  }

  _ofConstraint(parent, id) {
    const numberIn = (run) => run.film.entry.constraints.findIndex((entry) => entry.id === id);
    const waits = this.runs.some((run) => run.film.entry.report.constraints[numberIn(run)]?.peak_waiting > 0);
    const waiting = (run) => extentOf(run.columns, `series.${numberIn(run)}.waiting`, this.about.mean_unit);
    const share = (run) => shareOf(run.columns, numberIn(run), this.about.share_unit);
    if (waits) this._chart(parent, { title: `Waiting for ${clean(id)}`, name: "waiting", color: "--blocked" }, waiting);
    const note = `in percent${waits ? "" : "; nobody waits for it"}`;
    this._chart(parent, { title: `Utilisation of ${clean(id)}`, name: "used", unit: "%", note, most: 100 }, share);
  }

  /** Draw one thing of every run that has it. */
  _chart(parent, { title, name, color = "--running", ...rest }, seriesOf) {
    const several = this.runs.length > 1;
    const lines = this.runs.flatMap((run, side) => {
      const series = seriesOf(run);
      return series ? [{ label: several ? `run ${this.letters[side]}` : name, color: several ? runColor(side) : color, dash: side > 0, ...series }] : [];
    });
    if (lines.length) this._add(parent, { title, lines, ...rest });
  }

  _add(parent, { title, lines, most = null, unit = "", note = "" }) {
    const format = valuesInWords(this.about.edges_ns, unit);
    this.charts.push(new Chart(parent, { title, lines, x: this.x, format, most, note, onPick: (ns) => this.go(ns) }));
  }

  /** Draw the distribution of waits: the first of its bins has the shorter ones too. */
  _waits(parent) {
    const waits = this.runs.map(({ film }) => film.entry.waits);
    const edges = this.about.wait_edges_ns;
    const note = waits.map(({ counts, none }, side) => `${this.runs.length > 1 ? `${this.letters[side]}: ` : ""}${whole(none)} of ${whole(none + counts.reduce((sum, count) => sum + count, 0))} tasks did not wait${this._quantiles(side)}`).join("; ");
    if (!edges.length) {
      parent.append(make("figure", { class: "chart" }, make("figcaption", {}, make("h3", {}, "Waits of tasks")), make("p", { class: "key" }, note)));
      return;
    }
    const several = this.runs.length > 1;
    const lines = waits.map(({ counts }, side) => ({ label: several ? `run ${this.letters[side]}` : "tasks", color: several ? runColor(side) : "--blocked", dash: side > 0, mean: counts }));
    const format = (place, shown) => {
      const bin = Math.min(place, edges.length - 2);
      return `waits ${bin ? `from ${duration(Math.round(edges[bin]))} to` : "up to"} ${duration(Math.round(edges[bin + 1]))}: ${shown.map(({ label, mean }) => `${label} ${whole(mean[bin])}`).join(", ")}`;
    };
    const marks = this.runs.flatMap(({ film }, side) => ["p50", "p95", "p99"].map((name) => ({ label: `${this.letters[side]} ${name}`.trim(), seconds: film.entry.report.wait_ns[name] / 1e9 }))).filter(({ seconds }) => seconds > 0);
    this.waitChart = new Chart(parent, { title: "Waits of tasks", note, lines, x: edges.map((ns) => ns / 1e9), format, logarithmic: true, marks });
    this.waitChart.tell(0);
  }

  _quantiles(side) {
    const { wait_ns: wait } = this.runs[side].film.entry.report;
    return wait.p50 === null ? "" : `, p50 ${duration(wait.p50)}, p95 ${duration(wait.p95)}, p99 ${duration(wait.p99)}`;
  }

  // What the reader does.

  _listen() {
    const on = (id, name, action) => byId(id).addEventListener(name, action);
    on("play", "click", () => this.toggle());
    on("home", "click", () => this.go(0));
    on("end", "click", () => this.go(this.endNs));
    on("back", "click", () => this.stepEvent(-1));
    on("forward", "click", () => this.stepEvent(1));
    on("binding", "click", () => this.toBinding());
    on("slower", "click", () => this.changeSpeed(0.5));
    on("faster", "click", () => this.changeSpeed(2));
    on("scrubber", "input", (event) => this.go(Number(event.target.value)));
    on("color", "change", (event) => this.setMode(event.target.value));
    on("layout", "change", (event) => this.setLayout(event.target.value));
    on("theme", "click", () => this.setTheme(this._isDark() ? "light" : "dark"));
    on("keys", "click", () => byId("help").showModal());
    on("jump-form", "submit", (event) => this._jump(event));
    on("search-form", "submit", (event) => this._search(event));
    on("search", "input", () => this._offer());
    document.addEventListener("keydown", (event) => this._key(event));
    window.addEventListener("hashchange", () => this._fromAddress());
    SYSTEM_IS_DARK.addEventListener("change", () => this._followSystem());
    new ResizeObserver(() => this._resize()).observe(this.stage);
    this.runs.forEach((run) => {
      run.canvas.addEventListener("click", (event) => this.select(run, run.grid.agentAt(event)));
      run.canvas.addEventListener("pointermove", (event) => this._hover(run, run.grid.agentAt(event)));
      run.canvas.addEventListener("pointerleave", () => this._hover(run, -1));
    });
  }

  _key(event) {
    const { target } = event;
    const isForBrowser = event.metaKey || event.altKey || (event.ctrlKey && !event.key.startsWith("Arrow"));
    if (isForBrowser || byId("help").open) return;
    const isText = target.matches("select, textarea, input:not([type=range])");
    if (event.key === "Escape" && isText) {
      target.blur();
      this._tell("");
    }
    if (isText || (target.matches("button, summary, a") && [" ", "Enter"].includes(event.key))) return;
    if (target.matches(".scroll") && event.key.startsWith("Arrow") && !event.shiftKey && !event.ctrlKey) return;
    const action = this._action(event);
    if (!action) return;
    event.preventDefault();
    action();
  }

  /** Return what a key does: the same as in the player on a terminal. */
  _action({ key, shiftKey, ctrlKey }) {
    const frame = (this.speed * 1e9) / FRAMES_A_SECOND;
    const event = (direction) => () => this.stepEvent(direction);
    const time = (ns) => () => this.go(this.ns + ns);
    const arrow = (direction) => (ctrlKey ? time(direction * 1e9) : shiftKey ? time(direction * frame) : event(direction));
    return {
      " ": () => this.toggle(), ArrowLeft: arrow(-1), ArrowRight: arrow(1), ",": event(-1), ".": event(1),
      "[": time(-frame), "]": time(frame), "{": time(-1e9), "}": time(1e9),
      Home: () => this.go(0), End: () => this.go(this.endNs),
      "+": () => this.changeSpeed(2), "=": () => this.changeSpeed(2), "-": () => this.changeSpeed(0.5),
      "/": () => byId("jump").focus(), s: () => byId("search").focus(), b: () => this.toBinding(),
      c: () => this._nextMode(), f: () => this.setLayout(this.runs[0].grid.beside ? "below" : "beside"),
      "?": () => byId("help").showModal(), Escape: () => this.select(this.runs[0], -1),
    }[key];
  }

  _jump(event) {
    event.preventDefault();
    const field = byId("jump");
    const ns = parseTime(field.value);
    const problem = ns === null ? "No such time; allowed: 12s, 1.5m, 300ms or 0:05:30" : ns > this.endNs ? `After the end; allowed: up to ${exact(this.endNs)}` : "";
    this._tell(problem, field);
    if (problem) return;
    this.go(ns);
    field.value = "";
    field.blur();
  }

  /** Tell one thing, in place of what was told before; `field` is where the problem is, if it is one. */
  _tell(text, field = null) {
    for (const each of [byId("jump"), byId("search")]) each.setAttribute("aria-invalid", text && each === field ? "true" : "false");
    say(byId("problem"), text);
  }

  _search(event) {
    event.preventDefault();
    const [run, agent] = this._found()[0] || [];
    this._tell(run ? "" : "No such agent; allowed: a name such as fleet_12, a number, or a fleet", byId("search"));
    if (run) this.select(run, agent);
  }

  _found() {
    for (const run of this.runs) {
      const found = search(run.film, byId("search").value);
      if (found.length) return found.map((agent) => [run, agent]);
    }
    return [];
  }

  _offer() {
    const offers = this._found().map(([run, agent]) => make("li", {}, make("button", { type: "button", class: "link", onclick: () => this.select(run, agent) }, run.film.name(agent))));
    byId("found").replaceChildren(...(offers.length > 1 ? offers : []));
  }

  _hover(run, agent) {
    if (agent < 0) return say(byId("hover"), "");
    const { film } = run;
    const state = film.state[agent];
    const what = doing(film, { phase: film.phaseOf[state], constraint: film.constraintOf[state], step: film.stepOf[state] });
    const cells = run.grid.plan.perCell > 1 ? ` (and ${whole(run.grid.plan.perCell - 1)} more in this cell)` : "";
    return say(byId("hover"), `${film.name(agent)}${cells}: ${what} for ${duration(Math.max(0, this.ns - film.timeNs[film.since[agent]]))}`);
  }

  // Time.

  toggle() {
    if (this.playing) return this.pause();
    if (this.ns >= this.endNs) this.ns = 0;
    this.playing = true;
    this.last = null;
    this._showPlaying();
    return requestAnimationFrame((now) => this._tick(now));
  }

  pause() {
    this.playing = false;
    this._showPlaying();
    this.draw();
    this._settled();
  }

  _tick(now) {
    if (!this.playing) return;
    const passed = this.last === null ? 0 : now - this.last;
    this.last = now;
    this.ns = Math.min(this.endNs, this.ns + passed * 1e6 * this.speed);
    if (this.ns >= this.endNs) return this.pause();
    this.draw();
    if (!this.announced || now - this.announced > ANNOUNCE_EVERY_MS) {
      this.announced = now;
      this._announce();
    }
    requestAnimationFrame((then) => this._tick(then));
  }

  /** Go to a time, and stay there where the replay stands still. */
  go(ns) {
    this.ns = Math.min(this.endNs, Math.max(0, Math.round(ns)));
    this.draw();
    if (!this.playing) this._settled();
  }

  stepEvent(direction) {
    const times = this.runs.map(({ film }) => film.neighbour(this.ns, direction)).filter((ns) => (direction > 0 ? ns > this.ns : ns < this.ns));
    if (this.playing) this.pause();
    if (times.length) this.go(direction > 0 ? Math.min(...times) : Math.max(...times));
  }

  toBinding() {
    const found = this.runs.map(({ film }) => ({ film, binding: film.nextBinding(this.ns) })).filter(({ binding }) => binding);
    if (this.playing) this.pause();
    if (!found.length) return this._tell("Nothing binds after this moment.");
    const { film, binding } = found.reduce((one, other) => (other.binding.ns < one.binding.ns ? other : one));
    this.go(binding.ns);
    return this._tell(`${clean(film.entry.constraints[binding.number].id)} binds at ${clock(binding.ns, this.endNs)}.`);
  }

  changeSpeed(factor) {
    this.speed = Math.min(SPEED_MAX, Math.max(SPEED_MIN, this.speed * factor));
    this._showPlaying();
  }

  _showPlaying() {
    byId("play").setAttribute("aria-label", this.playing ? "Pause" : "Play");
    byId("play").dataset.playing = this.playing;
    say(byId("speed"), `${Number(this.speed.toPrecision(3))}×`);
  }

  /** The moment stands still: keep it in the address, and say it. */
  _settled() {
    clearTimeout(this.settling);
    this.settling = setTimeout(() => this._keepAddress(), ADDRESS_AFTER_MS);
    clearTimeout(this.announcing);
    this.announcing = setTimeout(() => this._announce(), ANNOUNCE_AFTER_MS);
  }

  _announce() {
    const words = this.runs.map(({ film }, side) => {
      const counts = film.counts();
      return `${this.letters[side]} ${LEGEND.filter((phase) => counts[phase]).map((phase) => `${whole(counts[phase])} ${PHASES[phase]}`).join(", ")}`.trim();
    });
    say(byId("status"), `At ${clock(this.ns, this.endNs)}: ${words.join("; ")}.`);
    this.runs.forEach(({ canvas }, side) => canvas.setAttribute("aria-label", `The grid of agents at ${clock(this.ns, this.endNs)}: ${words[side]}`));
  }

  // The address.

  _keepAddress() {
    const side = this.selected.findIndex((agent) => agent >= 0);
    const chosen = side < 0 ? "" : `&agent=${encodeURIComponent(this.runs[side].film.name(this.selected[side]))}`;
    history.replaceState(null, "", `#t=${exact(this.ns)}${chosen}`);
  }

  _fromAddress() {
    const wanted = new URLSearchParams(location.hash.slice(1));
    const ns = parseTime(wanted.get("t") || "");
    const name = wanted.get("agent");
    if (name) {
      const run = this.runs.find(({ film }) => search(film, name).length);
      if (run) this.select(run, search(run.film, name)[0]);
    }
    if (ns === null) return false;
    if (this.playing) this.pause();
    this.go(ns);
    return true;
  }

  _begin() {
    if (!window.matchMedia("(prefers-reduced-motion: reduce)").matches && this.endNs > 0) this.toggle();
  }

  // What is shown.

  select(run, agent) {
    const side = this.runs.indexOf(run);
    this.selected = this.runs.map((each, other) => (other === side ? agent : agent < 0 ? -1 : run.partner[agent]));
    const chosen = this.runs.map((each, other) => ({ run: each, film: each.film, agent: this.selected[other], title: this.letters[other] && `run ${this.letters[other]}` })).filter((each) => each.agent >= 0);
    if (chosen.length) this.story.tell(chosen);
    else this.story.clear();
    this.draw();
    if (!this.playing) this._settled();
  }

  setMode(mode) {
    this.mode = mode;
    byId("color").value = mode;
    this.recolor();
  }

  _nextMode() {
    const modes = Object.keys(MODES);
    this.setMode(modes[(modes.indexOf(this.mode) + 1) % modes.length]);
  }

  setLayout(layout) {
    byId("layout").value = layout;
    this.runs.forEach(({ grid }) => (grid.beside = layout === "beside"));
    this._resize();
  }

  setTheme(theme) {
    this.themeIsChosen = true;
    paint(theme);
    this.recolor();
  }

  _followSystem() {
    if (this.themeIsChosen) return;
    paint(systemTheme());
    this.recolor();
  }

  _isDark() {
    return document.documentElement.dataset.theme === "dark";
  }

  recolor() {
    const palette = PALETTES[this._isDark() ? "dark" : "light"];
    byId("theme").setAttribute("aria-label", this._isDark() ? "Light colours" : "Dark colours");
    say(byId("theme"), this._isDark() ? "Light" : "Dark");
    this.runs.forEach((run) => (run.shades = new Shades(this.mode, run.film, palette)));
    this.legend.rebuild(this.runs.map(({ shades }) => shades));
    [...this.charts, ...(this.waitChart ? [this.waitChart] : [])].forEach((chart) => chart.repaint());
    this._resize();
  }

  _resize() {
    this.runs.forEach(({ grid }) => grid.resize());
    this.draw();
  }

  draw() {
    for (const { film } of this.runs) film.seek(this.ns);
    const differ = this.runs.length > 1 ? this._compare() : 0;
    const ink = css("--ink");
    this.runs.forEach((run, side) => run.grid.draw(run.shades, this.ns, { differs: differ ? run.differs : null, selected: this.selected[side], ink }));
    this.legend.update(this.runs.map(({ grid }) => grid.categories));
    if (this.runs.length > 1) say(byId("differ"), `${whole(differ)} agent${differ === 1 ? " does" : "s do"} not do the same in both runs now.`);
    this.tables.forEach((each) => each.update(this.ns));
    this.charts.forEach((chart) => chart.move(this.ns));
    this.story.update(this.ns, this.playing);
    const time = byId("time");
    say(time, `${clock(this.ns, this.endNs)} / ${clock(this.endNs, this.endNs)}`);
    time.dataset.ns = this.ns;
    const scrubber = byId("scrubber");
    scrubber.value = this.ns;
    scrubber.setAttribute("aria-valuetext", clock(this.ns, this.endNs));
  }
}

async function start() {
  const about = readAbout();
  const columns = [];
  for (const [number, entry] of about.runs.entries()) columns.push(await readColumns(number, entry.columns));
  new Player(about, columns);
  byId("loading").remove();
  document.body.dataset.ready = "true";
}

start().catch((error) => {
  const old = typeof DecompressionStream === "undefined";
  say(byId("loading"), old ? "This page needs a browser of 2023 or later." : `This page could not be shown: ${error.message}`);
  throw error;
});
