// The report of the whole run: its numbers, what was waited for, what went wrong, and what it cost.
//
// Rules:
//
// 1. What did not happen in any of the runs is left out, but for a few numbers that one looks for first.
// 2. A moment is a link to it.

const VERDICTS_SHOWN = 20;
const OUTCOMES = ["failed", "timed_out", "rejected", "gave_up", "preempted", "cancelled", "skipped"];

/** Put the reports of all runs on the page; `go` goes to a time. */
function showReport(parent, runs, names, endNs, go) {
  const reports = runs.map(({ film }) => film.entry.report);
  parent.append(numbersOf(reports, names));
  reports.forEach((report, run) => {
    const whose = reports.length > 1 ? `, ${names[run]}` : "";
    const moment = (ns) => make("button", { class: "link", type: "button", onclick: () => go(ns) }, clock(ns, endNs));
    parent.append(...[verdictsOf(report, whose, moment), waitedFor(report, whose), costOf(report, whose)].filter(Boolean));
  });
}

function numbersOf(reports, names) {
  const outcomes = OUTCOMES.map((key) => [key, key.replaceAll("_", " "), ({ tasks }) => tasks[key], key === "failed"]);
  const counts = [
    ["events", "events", ({ events }) => events, true],
    ["started", "tasks started", ({ tasks }) => tasks.started, true],
    ["finished", "finished", ({ tasks }) => tasks.finished, true],
    ...outcomes,
    ["retries", "retries", ({ retries }) => retries],
    ["lost", "visits lost", ({ lost }) => lost],
    ["crashes", "crashes", ({ crashes }) => crashes],
    ["blocked", "blocked episodes", ({ tasks }) => tasks.blocked, true],
    ["open", "open at the end", ({ tasks }) => tasks.open, true],
    ["deadlocks", "deadlocks", ({ deadlocks }) => deadlocks.length, true],
  ];
  const shown = counts.filter(([, , count, always]) => always || reports.some(count));
  const numbers = [
    ["time", "virtual time", ({ end_ns }) => duration(end_ns)],
    ...shown.map(([key, name, count]) => [key, name, (report) => whole(count(report))]),
    ["stalled", "stalled", ({ stalled }) => (stalled ? "yes" : "no")],
    ...["mean", "p50", "p95", "p99", "max"].map((name) => [name, `wait, ${name}`, ({ wait_ns }) => duration(wait_ns[name])]),
  ];
  const list = make("dl", { id: "report" });
  for (const [key, name, tell] of numbers) {
    const values = reports.map((report, run) => {
      const value = make("span", { "data-report": key, "data-run": run }, tell(report));
      return make("dd", {}, reports.length > 1 ? make("span", { class: "of-run" }, names[run]) : null, value);
    });
    list.append(make("div", {}, make("dt", {}, name), ...values));
  }
  return list;
}

/** Return what went wrong, a line each; null where there is nothing. */
function verdictsOf({ deadlocks, stalled, storms, starvation, priority_inversions: inverted }, whose, moment) {
  const lines = deadlocks.slice(0, VERDICTS_SHOWN).map(({ time_ns, agents }) => ["deadlock of ", counted(agents, "agent"), " at ", moment(time_ns)]);
  if (deadlocks.length > VERDICTS_SHOWN) lines.push([`and ${counted(deadlocks.length - VERDICTS_SHOWN, "more deadlock")}`]);
  if (stalled) lines.push(["stalled since ", moment(stalled.since_ns), `: tasks that wait for good: ${whole(stalled.tasks)}`]);
  for (const { incidents, from_ns, verdict } of storms) lines.push([`${incidents.map(clean).join(" and ")} at `, moment(from_ns), `: ${verdict}`]);
  for (const { name, exceeded, waits, bound_ns } of starvation) lines.push([`starvation of ${clean(name)}: ${whole(exceeded)} of ${counted(waits, "wait")} above ${duration(bound_ns)}`]);
  if (inverted.episodes) lines.push([`priority inversions: ${whole(inverted.episodes)}, ${duration(inverted.inverted_ns)} in all`]);
  if (!lines.length) return null;
  return make("div", {}, make("h3", {}, `Verdicts${whose}`), make("ul", { class: "verdicts" }, ...lines.map((line) => make("li", {}, ...line))));
}

/** Return the wait ledger by cause; null where nobody waited. */
function waitedFor({ ledger }, whose) {
  if (!ledger.causes.length) return null;
  const rows = ledger.causes.map(([cause, ns, overtaken]) => [clean(cause), duration(ns), percent(ledger.ns ? ns / ledger.ns : null), duration(overtaken)]);
  return scrolling(`What was waited for${whose}: ${duration(ledger.ns)} in all`, ["cause", "waited", "share", "of that since overtaken"], rows);
}

/** Return what it cost by unit, fleet and tenant; null where nothing has a price. */
function costOf({ cost }, whose) {
  if (cost === null) return null;
  const rows = cost.units.map(([unit, amount, price]) => [clean(unit), amount.toLocaleString("en-US", { maximumSignificantDigits: 12 }), money(price)]);
  for (const [kind, prices] of [["fleet", cost.fleets], ["tenant", cost.tenants]]) rows.push(...prices.map(([name, price]) => [`${kind} ${clean(name)}`, "", money(price)]));
  return scrolling(`Cost${whose}: ${money(cost.total)}`, ["of", "amount", "cost"], rows);
}

function scrolling(caption, headings, rows) {
  return make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption }, table(caption, headings, rows));
}
