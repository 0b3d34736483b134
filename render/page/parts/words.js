// Words and elements: how numbers and times are written, and how text comes onto the page.
//
// What a log says becomes text nodes and attributes of plain text, never markup.

/** Return an element with attributes (`on...` are listeners, `class` its classes) and children: elements or texts. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

function byId(id) {
  return document.getElementById(id);
}

/** Set the text of an element, if it is another. */
function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Return a name without anything that could hide or turn around what stands beside it. */
function clean(name) {
  return name.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, "?");
}

function whole(number) {
  return number.toLocaleString("en-US");
}

/** Return a count of things: 1 agent, 1,234 agents. */
function counted(number, thing, things = `${thing}s`) {
  return `${whole(number)} ${number === 1 ? thing : things}`;
}

/** Return a price, in whatever the prices of the scenario are. */
function money(price) {
  return price.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
}

function percent(share) {
  return share === null ? "–" : `${(100 * share).toFixed(1)}%`;
}

/** Return a number with at most four digits that matter. */
function rounded(number) {
  return Number.isInteger(number) && Math.abs(number) < 1e6 ? whole(number) : number.toLocaleString("en-US", { maximumSignificantDigits: 4 });
}

/** Return a number for an axis: 1.5M. */
function compact(number) {
  return number.toLocaleString("en-US", { notation: "compact", maximumSignificantDigits: 3 });
}

const UNITS = [["d", 86400e9], ["h", 3600e9], ["min", 60e9], ["s", 1e9], ["ms", 1e6], ["µs", 1e3]];
const LONG_FROM_NS = 600e9;

/** Return how long something lasted, with four digits: 789.6 ms, 12.3 s, 1.5 h. */
function duration(ns) {
  if (ns === null) return "–";
  for (const [unit, size] of UNITS) {
    const enough = size > 1e9 ? Math.max(size, LONG_FROM_NS) : size;
    if (ns >= enough) return `${rounded(Number((ns / size).toPrecision(4)))} ${unit}`;
  }
  return ns ? `${rounded(ns)} ns` : "0 s";
}

/** Return a time so that all times of a span have the same form: 12.30s, 4.12ms, 1:02:03; rounded, or with all digits. */
function clock(ns, span, all = false) {
  if (span > 0 && span < 1000) return `${ns}ns`;
  for (const [unit, size, digits] of [["us", 1e3, 3], ["ms", 1e6, 6], ["s", 1e9, 9]]) {
    if (!((span > 0 && span < 1000 * size) || (!span && unit === "s"))) continue;
    const shown = all ? ns : ns + size / 200;
    const whole = Math.floor(shown / size);
    return `${whole}.${fraction(shown - whole * size, digits, all ? digits : 2)}${unit}`;
  }
  const seconds = Math.floor((all ? ns : ns + 5e8) / 1e9);
  const two = (number) => String(number).padStart(2, "0");
  const rest = all ? `.${fraction(ns - seconds * 1e9, 9, 9)}` : "";
  return `${Math.floor(seconds / 3600)}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}${rest}`;
}

/** Return the first digits of a fraction that has so many in all. */
function fraction(rest, digits, shown) {
  return String(Math.floor(rest)).padStart(digits, "0").slice(0, shown);
}

/** Return a time in seconds with all its digits, as a link has it: 12.5s. */
function exact(ns) {
  const seconds = Math.floor(ns / 1e9);
  const rest = String(ns - seconds * 1e9).padStart(9, "0").replace(/0+$/, "");
  return `${seconds}${rest ? `.${rest}` : ""}s`;
}

const SIZES = { ns: 1, us: 1e3, "µs": 1e3, ms: 1e6, s: 1e9, m: 60e9, min: 60e9, h: 3600e9, d: 86400e9 };

/** Return the ns of a time such as 12.5s, 300ms, 12 or 0:05:30; null where it is none. */
function parseTime(text) {
  const byClock = /^(\d+):([0-5]\d):([0-5]\d)(?:\.(\d{1,9}))?$/.exec(text.trim());
  if (byClock) return ((Number(byClock[1]) * 60 + Number(byClock[2])) * 60 + Number(byClock[3])) * 1e9 + Number((byClock[4] || "").padEnd(9, "0"));
  const match = /^(\d+(?:\.\d*)?|\.\d+)\s*([a-zµ]*)$/.exec(text.trim());
  if (!match) return null;
  const size = SIZES[match[2] || "s"];
  if (size === undefined) return null;
  const [before, after = ""] = match[1].split(".");
  // Both parts apart: their product with the unit is then exact as far as the digits of a link go.
  return Math.round(Number(before || 0) * size + (after ? Number(`0.${after}`) * size : 0));
}
