// The controls: what buttons, fields, keys and the pointer do to the page.
//
// Rules:
//
// 1. Keys do what they do in the player on a terminal. Those that mean something to a field, a button or a box that scrolls
//    are left to it, and all with which a browser does something of its own.
// 2. Arrows pick the agent beside the one that is chosen while the grid has the focus; else they go through time.

class Controls {
  /** `player` is what is controlled. */
  constructor(player) {
    this.player = player;
    this._buttons();
    this._forms();
    player.runs.forEach((run) => this._pointer(run));
    document.addEventListener("keydown", (event) => this._key(event));
  }

  _buttons() {
    const { player } = this;
    const on = (id, name, action) => byId(id).addEventListener(name, action);
    on("play", "click", () => player.toggle());
    on("home", "click", () => player.go(0));
    on("end", "click", () => player.go(player.endNs));
    on("back", "click", () => player.stepEvent(-1));
    on("forward", "click", () => player.stepEvent(1));
    on("binding", "click", () => this._toBinding());
    on("slower", "click", () => player.changeSpeed(0.5));
    on("faster", "click", () => player.changeSpeed(2));
    on("scrubber", "input", (event) => player.go(Number(event.target.value)));
    on("color", "change", (event) => player.setMode(event.target.value));
    on("layout", "change", (event) => player.setLayout(event.target.value));
    on("theme", "click", () => player.setTheme(isDark() ? "light" : "dark"));
    on("keys", "click", () => byId("help").showModal());
  }

  _forms() {
    byId("jump-form").addEventListener("submit", (event) => this._jump(event));
    byId("search-form").addEventListener("submit", (event) => this._search(event));
    byId("search").addEventListener("input", () => this._offer());
  }

  _pointer(run) {
    const { canvas, grid } = run;
    canvas.addEventListener("click", (event) => this.player.select(run, grid.agentAt(event)));
    canvas.addEventListener("pointermove", (event) => this._hover(run, grid.agentAt(event)));
    canvas.addEventListener("pointerleave", () => this._hover(run, -1));
  }

  // Keys.

  _key(event) {
    const { target } = event;
    const isForBrowser = event.metaKey || event.altKey || (event.ctrlKey && !event.key.startsWith("Arrow"));
    if (isForBrowser || byId("help").open) return;
    const isText = target.matches("select, textarea, input:not([type=range])");
    if (event.key === "Escape" && isText) {
      target.blur();
      this.tell("");
    }
    if (isText || (target.matches("button, summary, a") && [" ", "Enter"].includes(event.key))) return;
    if (target.matches(".scroll") && event.key.startsWith("Arrow") && !event.shiftKey && !event.ctrlKey) return;
    const action = this._moved(event) || this._action(event);
    if (!action) return;
    event.preventDefault();
    action();
  }

  /** Return what an arrow does in the grid. */
  _moved({ target, key, shiftKey, ctrlKey }) {
    const run = this.player.runs.find(({ canvas }) => canvas === target);
    const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (!run || shiftKey || ctrlKey || !ways[key]) return null;
    return () => this._pick(run, ...ways[key]);
  }

  /** Return what a key does, wherever it is pressed. */
  _action({ key, shiftKey, ctrlKey }) {
    const { player } = this;
    const frame = (player.speed * 1e9) / FRAMES_A_SECOND;
    const event = (direction) => () => player.stepEvent(direction);
    const time = (ns) => () => player.go(player.ns + ns);
    const arrow = (direction) => (ctrlKey ? time(direction * 1e9) : shiftKey ? time(direction * frame) : event(direction));
    return {
      " ": () => player.toggle(), ArrowLeft: arrow(-1), ArrowRight: arrow(1), ",": event(-1), ".": event(1),
      "[": time(-frame), "]": time(frame), "{": time(-1e9), "}": time(1e9),
      Home: () => player.go(0), End: () => player.go(player.endNs),
      "+": () => player.changeSpeed(2), "=": () => player.changeSpeed(2), "-": () => player.changeSpeed(0.5),
      "/": () => byId("jump").focus(), s: () => byId("search").focus(), a: () => this._toGrid(), b: () => this._toBinding(),
      c: () => player.nextMode(), f: () => player.setLayout(player.runs[0].grid.beside ? "below" : "beside"),
      "?": () => byId("help").showModal(), Escape: () => this._letGo(),
    }[key];
  }

  /** Give the arrows to the grid, of the run whose agent is chosen, or back to the time. */
  _toGrid() {
    const { runs, selected } = this.player;
    if (runs.some(({ canvas }) => canvas === document.activeElement)) return this._letGo();
    const run = runs[Math.max(0, selected.findIndex((agent) => agent >= 0))];
    run.canvas.focus();
    if (selected[run.number] < 0) this._pick(run, 0, 0);
    return undefined;
  }

  /** Choose the agent beside the one of a run that is chosen; the first where there is none. */
  _pick(run, right, below) {
    const agent = this.player.selected[run.number];
    if (run.film.agents) this.player.select(run, agent < 0 ? 0 : run.grid.neighbour(agent, right, below));
  }

  _letGo() {
    const { runs } = this.player;
    runs.forEach(({ canvas }) => canvas.blur());
    this.player.select(runs[0], -1);
  }

  _toBinding() {
    const found = this.player.toBinding();
    this.tell(found ? `${clean(found.id)} binds at ${clock(found.ns, this.player.endNs)}.` : "Nothing binds after this moment.");
  }

  // Fields.

  _jump(event) {
    event.preventDefault();
    const { endNs } = this.player;
    const field = byId("jump");
    const ns = parseTime(field.value);
    const problem = ns === null ? "No such time; allowed: 12s, 1.5m, 300ms or 0:05:30" : ns > endNs && clock(ns, endNs) !== clock(endNs, endNs) ? `After the end; allowed: up to ${exact(endNs)}` : "";
    this.tell(problem, field);
    if (problem) return;
    this.player.go(ns);
    field.value = "";
    field.blur();
  }

  /** Tell one thing, in place of what was told before; `field` is where the problem is, if it is one. */
  tell(text, field = null) {
    for (const each of [byId("jump"), byId("search")]) each.setAttribute("aria-invalid", text && each === field ? "true" : "false");
    say(byId("problem"), text);
  }

  _search(event) {
    event.preventDefault();
    const [run, agent] = this._found()[0] || [];
    this.tell(run ? "" : "No such agent; allowed: a name such as fleet_12, a number, or a fleet", byId("search"));
    if (run) this.player.select(run, agent);
  }

  _found() {
    for (const run of this.player.runs) {
      const found = search(run.film, byId("search").value);
      if (found.length) return found.map((agent) => [run, agent]);
    }
    return [];
  }

  _offer() {
    const offers = this._found().map(([run, agent]) => make("li", {}, make("button", { type: "button", class: "link", onclick: () => this.player.select(run, agent) }, run.film.name(agent))));
    byId("found").replaceChildren(...(offers.length > 1 ? offers : []));
  }

  // The pointer.

  _hover(run, agent) {
    if (agent < 0) return say(byId("hover"), "");
    const { film, grid } = run;
    const others = grid.plan.perCell - 1;
    const cells = others ? ` (and ${whole(others)} more in this cell)` : "";
    const lasted = duration(Math.max(0, this.player.ns - film.timeNs[film.since[agent]]));
    const now = film.now(agent);
    // It may have waited for other constraints before this one.
    const what = now.phase === BLOCKED ? `blocked for ${lasted}, now on ${doing(film, now).replace("blocked on ", "")}` : `${doing(film, now)} for ${lasted}`;
    return say(byId("hover"), `${film.name(agent)}${cells}: ${what}`);
  }
}
