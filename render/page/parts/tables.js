// The tables: who does what now, what each constraint does now and did over the whole run.

const MICRO = 1e6;

/** Return a table with a caption, headings and rows of texts or elements; the first `left` columns are names. */
function table(caption, headings, rows, left = 1) {
  const cell = (content, column) => make(column ? "td" : "th", { class: column < left ? null : "number", scope: column ? null : "row" }, content);
  return make(
    "table",
    {},
    make("caption", {}, caption),
    make("thead", {}, make("tr", {}, ...headings.map((heading, column) => make("th", { scope: "col", class: column < left ? null : "number" }, heading)))),
    make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map(cell)))),
  );
}

/** How many agents there are in each category of the colours, now. */
class Legend {
  constructor(parent, letters) {
    this.parent = parent;
    this.letters = letters;
  }

  /** Begin anew with other colours: those of each run. */
  rebuild(shades) {
    this.shades = shades;
    const [first] = shades;
    const order = first.mode === "state" ? LEGEND : [...first.order, first.labels.length - 1];
    this.cells = new Map();
    const entries = order.map((category) => {
      const cells = shades.map((_, run) => make("output", { "data-run": run, "data-category": first.labels[category], "aria-live": "off" }, "0"));
      this.cells.set(category, cells);
      const values = cells.flatMap((cell, run) => (this.letters[run] ? [make("span", { class: "of-run" }, this.letters[run]), cell] : [cell]));
      return make("li", {}, this._swatch(first, category), first.labels[category], ...values);
    });
    this.parent.replaceChildren(...entries);
  }

  _swatch(shades, category) {
    const swatch = make("span", { class: "swatch", "aria-hidden": "true" });
    swatch.style.backgroundColor = shades.colors[category];
    if (shades.mode === "state" && category === BLOCKED) swatch.classList.add("striped");
    return swatch;
  }

  /** Count the categories of the agents of each run. */
  update(categories) {
    categories.forEach((each, run) => {
      const counts = new Uint32Array(this.shades[run].labels.length);
      for (const category of each) counts[category] += 1;
      this.cells.forEach((cells, category) => say(cells[run], whole(counts[category])));
    });
  }
}

/** What each constraint of a run does now, and did over the whole run. */
class Constraints {
  constructor(parent, film, caption) {
    this.film = film;
    const { constraints, report } = film.entry;
    this.cells = [];
    const rows = constraints.map((entry, number) => {
      const told = report.constraints[number];
      const now = { value: make("output"), share: make("meter", { min: 0, max: 1, "aria-label": `${clean(entry.id)}: used` }), waiting: make("output", { "data-waiting": number }) };
      this.cells.push(now);
      return [
        clean(entry.id), [entry.type.replaceAll("_", " "), entry.scope].filter(Boolean).map(clean).join(", "),
        make("span", { class: "name" }, now.share, now.value), now.waiting,
        percent(told.utilisation), duration(told.blocked_ns), whole(told.blocked_episodes), duration(told.wait_ns.p95), whole(told.peak_waiting), whole(told.rejected),
      ];
    });
    const headings = ["constraint", "type and scope", "used now", "tasks waiting now", "utilisation", "blocked", "episodes", "p95 wait", "peak queue", "rejected"];
    const content = rows.length ? table(caption, headings, rows, 2) : make("p", {}, `${caption}: none.`);
    parent.append(make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption }, content));
  }

  update(ns) {
    const { film } = this;
    this.cells.forEach(({ value, share, waiting }, number) => {
      const limit = film.value(film.limit, number);
      const { rate = null, tokens = null } = film.setting(number, ns);
      const used = film.value(film.used, number) ?? film.charged(number, ns);
      const most = tokens ?? limit;
      say(value, inForce(film.entry.constraints[number], limit, used, rate));
      share.hidden = used === null || limit <= 0 || most <= 0;
      if (!share.hidden) share.value = Math.min(1, used / most);
      say(waiting, whole(film.value(film.waiting, number)));
    });
  }
}

/** Say what is in force: what is used of the limit, what was charged of the rate, or whether it is open. */
function inForce(entry, limit, used, rate) {
  if (entry.type === "circuit_breaker") return limit < 0 ? "closed" : limit ? "half-open" : "open";
  if (entry.type === "incident") return limit < 0 ? "off" : "on";
  if (entry.type === "pause") return limit < 0 ? "open" : "paused";
  if (limit < 0) return "no limit";
  if (entry.type === "rate_limit") return rate === null ? "no limit" : used === null ? rate : `${whole(used)} of ${rate}`;
  const amount = (number) => (entry.type === "resource" || entry.type === "quota" ? rounded(number / MICRO) : whole(number));
  return used === null ? amount(limit) : `${amount(used)}/${amount(limit)}`;
}
