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

class Player {
  constructor(about, columns) {
    this.endNs = about.end_ns;
    this.ns = 0;
    this.speed = Math.max(1, this.endNs / (PLAY_SECONDS * 1e9));
    this.playing = false;
    this.mode = "state";
    const letters = about.runs.length > 1 ? ["A", "B"] : [""];
    this.runs = about.runs.map((entry, number) => ({ film: new Film(entry, columns[number]), columns: columns[number], number, letter: letters[number] }));
    this.selected = this.runs.map(() => -1);
    this.pair = this.runs.length > 1 ? new Pair(this.runs) : null;
    this._build(about);
    new Controls(this);
    window.addEventListener("hashchange", () => this._fromAddress());
    SYSTEM_IS_DARK.addEventListener("change", () => this._followSystem());
    new ResizeObserver(() => this._resize()).observe(byId("stage"));
    this.recolor();
    this._showPlaying();
    this._announce();
    if (!this._fromAddress()) this._begin();
  }

  // The parts of the page.

  _build(about) {
    const go = (ns) => this.go(ns);
    showHeading(this.runs, about.altered);
    this.runs.forEach((run) => this._stage(run));
    this.tables = this.runs.map(({ film, letter }) => new Constraints(byId("constraints"), film, letter ? `Constraints of run ${letter}` : "Constraints"));
    this.legend = new Legend(byId("legend"), this.runs.map(({ letter }) => letter));
    this.story = new Story(byId("story"), this.endNs, { go, pick: (run, agent) => this.select(run, agent) });
    this.charts = new OverTime(byId("charts"), about, this.runs, go);
    showReport(byId("whole"), this.runs, this.runs.map(({ letter }) => (letter ? `run ${letter}` : "agents")), this.endNs, go);
    showLeftOut(this.runs, this.endNs, about.edges_ns.length - 1);
    byId("layout-choice").hidden = this.runs.every(({ film }) => groupsOf(film).length < 2);
    byId("scrubber").max = this.endNs;
  }

  _stage(run) {
    const { scenario, seed } = run.film.entry.report;
    run.canvas = make("canvas", { role: "img", tabindex: 0, "aria-describedby": "hover" });
    run.grid = new Grid(run.film, run.canvas);
    run.over = make("span");
    byId("stage").append(make("figure", {}, run.letter ? make("figcaption", {}, `Run ${run.letter}: ${clean(scenario)}, seed ${seed}`, run.over) : null, run.canvas));
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
    this.ns = Math.round(this.ns);
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

  /** Go to the next moment at which a constraint begins to bind, and return when and which: {ns, id}; null where none does. */
  toBinding() {
    const found = this.runs.map(({ film }) => ({ film, binding: film.nextBinding(this.ns) })).filter(({ binding }) => binding);
    if (this.playing) this.pause();
    if (!found.length) return null;
    const { film, binding } = found.reduce((one, other) => (other.binding.ns < one.binding.ns ? other : one));
    this.go(binding.ns);
    return { ns: binding.ns, id: film.entry.constraints[binding.number].id };
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
    const words = this.runs.map(({ film, letter }) => {
      const counts = film.counts();
      return `${letter} ${LEGEND.filter((phase) => counts[phase]).map((phase) => `${whole(counts[phase])} ${PHASES[phase]}`).join(", ")}`.trim();
    });
    const chosen = this.runs.filter(({ number }) => this.selected[number] >= 0).map((run) => {
      const agent = this.selected[run.number];
      return `${ofRun(run)}${run.film.name(agent)} is ${doing(run.film, run.film.now(agent))}`;
    });
    say(byId("status"), `At ${clock(this.ns, this.endNs)}: ${[...words, ...chosen].join("; ")}.`);
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
    if (ns > this.endNs) say(byId("problem"), `The link is to ${clock(ns, ns)}; nothing is shown after ${clock(this.endNs, this.endNs)}.`);
    return true;
  }

  _begin() {
    if (!window.matchMedia("(prefers-reduced-motion: reduce)").matches && this.endNs > 0) this.toggle();
  }

  // What is shown.

  /** Choose an agent of a run, and who it is in the other; -1 is nobody. */
  select(run, agent) {
    this.selected = this.runs.map((each) => (each === run ? agent : agent < 0 ? -1 : run.partner[agent]));
    const chosen = this.runs.map((each) => ({ run: each, film: each.film, agent: this.selected[each.number], title: each.letter && `run ${each.letter}` })).filter((each) => each.agent >= 0);
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

  nextMode() {
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

  recolor() {
    const palette = PALETTES[isDark() ? "dark" : "light"];
    byId("theme").setAttribute("aria-label", isDark() ? "Light colours" : "Dark colours");
    say(byId("theme"), isDark() ? "Light" : "Dark");
    const films = this.runs.map(({ film }) => film);
    films.forEach((film, side) => (this.runs[side].shades = new Shades(this.mode, film, palette, films)));
    this.legend.rebuild(this.runs.map(({ shades }) => shades));
    this.charts.repaint();
    this._resize();
  }

  _resize() {
    this.runs.forEach(({ grid }) => grid.resize());
    this.draw();
  }

  draw() {
    for (const { film } of this.runs) film.seek(this.ns);
    const differ = this.pair ? this.pair.compare() : 0;
    const ink = css("--ink");
    this.runs.forEach((run) => run.grid.draw(run.shades, this.ns, { differs: differ ? run.differs : null, selected: this.selected[run.number], ink }));
    for (const { film, over } of this.runs) say(over, this.ns > film.endNs ? `, over since ${clock(film.endNs, this.endNs)}` : "");
    this.legend.update(this.runs.map(({ grid }) => grid.categories));
    if (this.pair) say(byId("differ"), `${whole(differ)} agent${differ === 1 ? " does" : "s do"} not do the same in both runs now.`);
    this.tables.forEach((each) => each.update(this.ns));
    this.charts.move(this.ns);
    this.story.update(this.ns, this.playing);
    const time = byId("time");
    say(time, `${clock(this.ns, this.endNs, !this.playing)} / ${clock(this.endNs, this.endNs)}`);
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
