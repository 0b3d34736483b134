// What the page says of its logs: what they are of, where they are cut, and what of them is not on the page.

/** Return what stands before something of a run, where there are several: A: or, with words, Run A: */
function ofRun({ letter }, words = "") {
  return letter && `${words}${letter}: `;
}

/** Say at the top what the logs are of, in what their scenarios differ, and which of them are cut. */
function showHeading(runs, altered) {
  const reports = runs.map(({ film }) => film.entry.report);
  say(byId("name"), [...new Set(reports.map(({ scenario }) => clean(scenario)))].join(" and "));
  const words = runs.map((run) => {
    const { seed, events, end_ns } = run.film.entry.report;
    return `${ofRun(run)}seed ${seed}, ${counted(run.film.agents, "agent")}, ${whole(events)} events, ${duration(end_ns)} of virtual time`;
  });
  say(byId("summary"), words.join("; "));
  byId("altered").hidden = !altered.length;
  byId("altered").append(...altered.map((each) => make("li", {}, clean(each))));
  const cut = runs.filter(({ film }) => film.entry.report.cut);
  byId("cut").hidden = !cut.length;
  say(byId("cut"), cut.map(({ film, letter }) => `${letter ? `Log ${letter}` : "The log"} is cut at ${duration(film.entry.report.end_ns)}: the run was interrupted, stopped or killed. What there is of it is shown.`).join(" "));
}

/** Say what of the logs is not on the page; it goes up to `endNs`, its charts have so many stretches. */
function showLeftOut(runs, endNs, stretches) {
  const lines = runs.map((run) => {
    const { film } = run;
    const { every_ns, moves, shown } = film.entry;
    const whose = ofRun(run, "Run ");
    if (every_ns === null) return `${whose}The grid has every instant of the log: nothing is left out.`;
    return `${whose}The grid shows a moment every ${duration(every_ns)}, ${whole(film.frames)} in all, each exact; what came and went between two of them is left out: ${whole(moves - shown)} of ${whole(moves)} changes. Arrows step such a moment, and times of a story are to within one.`;
  });
  const latest = Math.max(...runs.map(({ film }) => film.endNs));
  if (latest > endNs) lines.push(`Nothing happens any more from ${duration(endNs)} to the end at ${duration(latest)}: that is left out.`);
  lines.push(`Charts have ${whole(stretches)} stretches: the line is the mean, the shade goes from the least to the greatest of all values in the log. The report counts every event.`);
  byId("left-out").append(...lines.map((line) => make("p", {}, line)));
}
