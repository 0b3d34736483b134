// Charts over time, and of waits. Each says in words what it shows, for those who do not see it.

const CHART_HEIGHT = 150;
const AXIS_WIDTH = 48;
const MARK_ROWS = 8;

function css(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** Return a series of a run, {mean, least, greatest}, or null where it has none. */
function extentOf(columns, name, unit) {
  if (!columns.has(`${name}.mean`)) return null;
  return {
    mean: summedFolded(columns.get(`${name}.mean`)).map((value) => value / unit),
    least: summedFolded(columns.get(`${name}.least`)),
    greatest: summedFolded(columns.get(`${name}.greatest`)),
  };
}

/** Return the utilisation of a constraint over time as a series, in percent; null where it has none. */
function shareOf(columns, number, unit) {
  const stored = columns.get(`series.${number}.share`);
  return stored ? { mean: Array.from(stored, (value) => (value ? (100 * (value - 1)) / unit : null)) } : null;
}

/** Return the values of a chart, those of each stretch at its beginning and the last at the end as well, to `length`. */
function drawn(values, length) {
  return Array.from({ length }, (_, place) => (place < values.length ? values[place] : place === values.length ? values[place - 1] : null));
}

class Chart {
  /** `lines` are {label, color (a property of the style), dash, mean, least, greatest}; `x` are seconds. */
  constructor(parent, { title, note = "", lines, x, format, onPick, most = null, logarithmic = false, marks = [] }) {
    this.lines = lines;
    this.format = format;
    this.x = x;
    this.readout = make("p", { class: "readout" });
    this.box = make("div", { class: "plot", role: "img", "aria-label": `${title}. ${this._inWords()} ${note}` });
    this.figure = make("figure", { class: "chart" }, make("figcaption", {}, make("h3", {}, title)), this._key(note), this.box, this.readout);
    parent.append(this.figure);
    this.plot = new uPlot(this._options(most, logarithmic, marks), this._data(), this.box);
    if (onPick) this._pick(onPick);
    new ResizeObserver(() => this._fit()).observe(this.box);
  }

  _inWords() {
    return this.lines
      .map(({ label, mean, greatest }) => {
        const known = mean.filter((value) => value !== null);
        if (!known.length) return `${label}: none.`;
        const peak = (greatest || known).reduce((most, value) => Math.max(most, value), 0);
        return `${label}: mean ${rounded(known.reduce((sum, value) => sum + value, 0) / known.length)}, most ${rounded(peak)}.`;
      })
      .join(" ");
  }

  _key(note) {
    const entries = this.lines.map(({ label, dash, color }) => {
      const line = make("span", { class: dash ? "line dashed" : "line" });
      line.style.borderTopColor = `var(${color})`;
      return make("span", { class: "entry" }, line, label);
    });
    return make("p", { class: "key" }, ...entries, note ? make("span", { class: "note" }, note) : null);
  }

  _data() {
    const columns = this.lines.flatMap(({ mean, least, greatest }) => (greatest ? [greatest, least, mean] : [mean]));
    return [this.x, ...columns.map((values) => drawn(values, this.x.length))];
  }

  _options(most, logarithmic, marks) {
    const stepped = uPlot.paths.stepped({ align: 1 });
    const series = [{}];
    const bands = [];
    for (const { color, dash, greatest } of this.lines) {
      if (greatest) {
        const first = series.length;
        bands.push({ series: [first, first + 1], fill: () => `${css(color)}47` });
        series.push({ paths: stepped, width: 0, points: { show: false } }, { paths: stepped, width: 0, points: { show: false } });
      }
      const fill = logarithmic ? () => `${css(color)}40` : undefined;
      series.push({ paths: stepped, stroke: () => css(color), width: 1.5, dash: dash ? [5, 4] : undefined, fill, points: { show: false } });
    }
    const axis = { stroke: () => css("--faint"), grid: { stroke: () => css("--line"), width: 1 }, ticks: { stroke: () => css("--line"), width: 1 }, font: "12px system-ui, sans-serif" };
    const ofTime = (plot, splits) => splits.map((seconds) => this._timeLabel(seconds, logarithmic));
    return {
      width: 300,
      height: CHART_HEIGHT,
      legend: { show: false },
      cursor: { drag: { x: false, y: false }, points: { show: false }, y: false },
      scales: { x: { time: false, distr: logarithmic ? 3 : 1, range: [this.x[0], this.x.at(-1)] }, y: { range: (plot, low, high) => [0, most === null ? Math.max(1, high * 1.05) : Math.max(most, high)] } },
      axes: [{ ...axis, values: ofTime, space: 70, size: 30, incrs: logarithmic ? undefined : ROUND_NS.map((ns) => ns / 1e9) }, { ...axis, size: AXIS_WIDTH, values: (plot, splits) => splits.map(compact) }],
      series,
      bands,
      hooks: { setCursor: [(plot) => this.tell(plot.cursor.idx ?? this.place)], draw: [(plot) => this._marks(plot, marks)] },
    };
  }

  _timeLabel(seconds, logarithmic) {
    if (seconds === null) return "";
    if (logarithmic && ![1, 2, 5].includes(Number(seconds.toExponential(3).split("e")[0]))) return "";
    return duration(Math.round(seconds * 1e9));
  }

  _marks(plot, marks) {
    const { ctx } = plot;
    ctx.save();
    ctx.strokeStyle = css("--faint");
    ctx.font = `${11 * devicePixelRatio}px system-ui, sans-serif`;
    ctx.setLineDash([3, 3]);
    let row = 0;
    for (const { label, seconds } of marks) {
      const x = plot.valToPos(seconds, "x", true);
      ctx.beginPath();
      ctx.moveTo(x, plot.bbox.top);
      ctx.lineTo(x, plot.bbox.top + plot.bbox.height);
      ctx.stroke();
      if (!label) continue;
      const width = ctx.measureText(label).width + 4;
      const left = x + width + 4 > plot.bbox.left + plot.bbox.width;
      const y = plot.bbox.top + (12 + 13 * (row++ % MARK_ROWS)) * devicePixelRatio;
      ctx.textAlign = left ? "right" : "left";
      ctx.fillStyle = `${css("--panel")}cc`;
      ctx.fillRect(x + (left ? -width : 2), y - 10 * devicePixelRatio, width - 2, 13 * devicePixelRatio);
      ctx.fillStyle = css("--ink");
      ctx.fillText(label, x + (left ? -4 : 4), y);
    }
    ctx.restore();
  }

  _pick(onPick) {
    this.line = make("div", { class: "now" });
    this.plot.over.append(this.line);
    this.plot.over.addEventListener("click", (event) => {
      const { left } = this.plot.over.getBoundingClientRect();
      onPick(this.plot.posToVal(event.clientX - left, "x") * 1e9);
    });
  }

  _fit() {
    const width = Math.floor(this.box.clientWidth);
    if (width > 0 && width !== this.plot.width) {
      this.plot.setSize({ width, height: CHART_HEIGHT });
      if (this.line) this.move(this.ns || 0);
    }
  }

  /** Show where a time is, and the values there. */
  move(ns) {
    this.ns = ns;
    if (this.line) this.line.style.transform = `translateX(${this.plot.valToPos(ns / 1e9, "x").toFixed(1)}px)`;
    const place = Math.max(0, lastUpTo(this.x, ns / 1e9));
    if (place === this.place) return;
    this.place = place;
    if (this.plot.cursor.idx === null || this.plot.cursor.left < 0) this.tell(place);
  }

  /** Tell the values of a stretch. */
  tell(place) {
    if (place === undefined || place === null) return;
    say(this.readout, this.format(place, this.lines));
  }

  repaint() {
    this.plot.redraw(false, true);
  }
}

/** Return the words for the values of a stretch. */
function valuesInWords(edges, unit) {
  return (place, lines) => {
    const stretch = Math.min(place, edges.length - 2);
    const values = lines.map(({ label, mean, least, greatest }) => {
      const value = mean[Math.min(stretch, mean.length - 1)];
      if (stretch >= mean.length || value === null || value === undefined) return `${label} –`;
      const range = greatest && least[stretch] !== greatest[stretch] ? ` (${rounded(least[stretch])} to ${rounded(greatest[stretch])})` : "";
      return `${label} ${rounded(Number(value.toFixed(2)))}${unit}${range}`;
    });
    return `${clock(edges[stretch], edges.at(-1))}: ${values.join(", ")}`;
  };
}
