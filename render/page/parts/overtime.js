// The charts of the page: which there are, of which constraints, and what each says.
//
// Rules:
//
// 1. Constraints that blocked longest come first, then those that rejected most. The charts of the first few are drawn at
//    once, the others when somebody asks for them.
// 2. Two runs have a line each in every chart.

const CHARTS_AT_ONCE = 4;
const MARKS_MAX = 12;

/** Return the property of the style that has the colour of a run. */
function runColor(side) {
  return side ? "--run-b" : "--run-a";
}

/** Return what went wrong in a run, and when, as marks: deadlocks, a stall, incidents from their beginning to their end. */
function marksOf(run) {
  const { deadlocks, stalled, storms } = run.film.entry.report;
  const mark = (label, ns) => ({ label: `${run.letter} ${label}`.trim(), seconds: ns / 1e9 });
  return [
    ...deadlocks.map(({ time_ns }) => mark("deadlock", time_ns)),
    ...(stalled ? [mark("stalled", stalled.since_ns)] : []),
    ...storms.flatMap(({ incidents, from_ns, to_ns }) => [mark(clean(incidents.join(" and ")), from_ns), ...(to_ns === null ? [] : [{ label: "", seconds: to_ns / 1e9 }])]),
  ].slice(0, MARKS_MAX);
}

class OverTime {
  /** `go` goes to a time. */
  constructor(parent, about, runs, go) {
    this.about = about;
    this.runs = runs;
    this.several = runs.length > 1;
    this.go = go;
    this.ns = 0;
    this.charts = [];
    this.marks = runs.flatMap((run) => marksOf(run));
    this.x = about.edges_ns.map((ns) => ns / 1e9);
    this._agents(parent);
    this.waitChart = this._waits(parent);
    const order = this._constraintOrder();
    order.slice(0, CHARTS_AT_ONCE).forEach((id) => this._ofConstraint(parent, id));
    this._moreCharts(parent, order.slice(CHARTS_AT_ONCE));
  }

  /** Show in every chart where a time is. */
  move(ns) {
    this.ns = ns;
    this.charts.forEach((chart) => chart.move(ns));
  }

  /** Draw all charts in the colours of the page as they are now. */
  repaint() {
    for (const chart of this.waitChart ? [...this.charts, this.waitChart] : this.charts) chart.repaint();
  }

  _agents(parent) {
    const { mean_unit: unit } = this.about;
    if (this.several) {
      this._chart(parent, { title: "Running agents" }, (run) => extentOf(run.columns, "series.running", unit));
      this._chart(parent, { title: "Blocked agents" }, (run) => extentOf(run.columns, "series.blocked", unit));
      this._chart(parent, { title: "Agents backing off" }, (run) => extentOf(run.columns, "series.backing_off", unit));
      return;
    }
    const [{ columns }] = this.runs;
    const line = (name, dash) => ({ label: name, color: `--${name}`, dash, ...extentOf(columns, `series.${name}`, unit) });
    this._add(parent, { title: "Running and blocked agents", lines: [line("running", false), line("blocked", true)] });
    this._chart(parent, { title: "Agents backing off", name: "backing off", color: "--backing-off" }, (run) => extentOf(run.columns, "series.backing_off", unit));
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
      this.move(this.ns);
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
    const lines = this.runs.flatMap((run, side) => {
      const series = seriesOf(run);
      return series ? [{ label: this.several ? `run ${run.letter}` : name, color: this.several ? runColor(side) : color, dash: side > 0, ...series }] : [];
    });
    if (lines.length) this._add(parent, { title, lines, ...rest });
  }

  _add(parent, { title, lines, most = null, unit = "", note = "" }) {
    const format = valuesInWords(this.about.edges_ns, unit);
    this.charts.push(new Chart(parent, { title, lines, x: this.x, format, most, note, marks: this._marksOfNext(), onPick: this.go }));
  }

  /** Return the marks of the next chart: the first says what they are. */
  _marksOfNext() {
    return this.charts.length ? this.marks.map(({ seconds }) => ({ label: "", seconds })) : this.marks;
  }

  /** Draw the distribution of waits: the first of its bins has the shorter ones too. */
  _waits(parent) {
    const waits = this.runs.map(({ film }) => film.entry.waits);
    const edges = this.about.wait_edges_ns;
    const note = waits.map(({ counts, none }, side) => `${ofRun(this.runs[side])}${whole(none)} of ${whole(none + counts.reduce((sum, count) => sum + count, 0))} tasks did not wait${this._quantiles(side)}`).join("; ");
    if (!edges.length) {
      parent.append(make("figure", { class: "chart" }, make("figcaption", {}, make("h3", {}, "Waits of tasks")), make("p", { class: "key" }, note)));
      return null;
    }
    const lines = waits.map(({ counts }, side) => ({ label: this.several ? `run ${this.runs[side].letter}` : "tasks", color: this.several ? runColor(side) : "--blocked", dash: side > 0, mean: counts }));
    const format = (place, shown) => {
      const bin = Math.min(place, edges.length - 2);
      return `waits ${bin ? `from ${duration(Math.round(edges[bin]))} to` : "up to"} ${duration(Math.round(edges[bin + 1]))}: ${shown.map(({ label, mean }) => `${label} ${whole(mean[bin])}`).join(", ")}`;
    };
    const marks = this.runs.flatMap(({ film }, side) => ["p50", "p95", "p99"].map((name) => ({ label: `${this.runs[side].letter} ${name}`.trim(), seconds: film.entry.report.wait_ns[name] / 1e9 }))).filter(({ seconds }) => seconds > 0);
    const chart = new Chart(parent, { title: "Waits of tasks", note, lines, x: edges.map((ns) => ns / 1e9), format, logarithmic: true, marks });
    chart.tell(0);
    return chart;
  }

  _quantiles(side) {
    const { wait_ns: wait } = this.runs[side].film.entry.report;
    return wait.p50 === null ? "" : `, p50 ${duration(wait.p50)}, p95 ${duration(wait.p95)}, p99 ${duration(wait.p99)}`;
  }
}
