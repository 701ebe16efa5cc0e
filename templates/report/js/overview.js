// How far it is, in a sentence, in dots, and by experiment.

const tally = (indices) => {
  const found = new Map();
  for (const rep of indices) {
    const key = data.states[reps.state[rep]];
    found.set(key, (found.get(key) ?? 0) + 1);
  }
  return STATES.map((state) => ({ ...state, count: found.get(state.key) ?? 0 })).filter((state) => state.count > 0);
};

const allReps = d3.range(repCount);
const sumOf = (list, of) => d3.sum(list, (state) => (of(state) ? state.count : 0));

const headline = () => {
  const states = tally(allReps);
  const done = sumOf(states, (state) => state.kind === "good"), bad = sumOf(states, (state) => state.kind === "bad");
  const running = sumOf(states, (state) => state.key === "running");
  if (repCount === 0) return "Nothing has begun yet.";
  if (done === repCount) return repCount === 1 ? "The one repetition is done." : `All ${whole(repCount)} repetitions are done.`;
  const rest = [bad && `${whole(bad)} failed`, running && `${whole(running)} ${running === 1 ? "is" : "are"} running`].filter(Boolean);
  return `${whole(done)} of ${plural(repCount, "repetition")} ${done === 1 ? "is" : "are"} done${rest.length ? `, ${rest.join(" and ")}` : ""}.`;
};

const stateBar = (states, total) =>
  el("div", { class: "states", role: "img", "aria-label": states.map((state) => `${state.count} ${state.word}`).join(", ") },
    states.map((state) => el("span", { style: { "flex-grow": state.count, "--c": `var(--${state.key})` }, title: `${whole(state.count)} ${state.word} (${percent(state.count / total)})` })));

const legendOf = (states) => el("ul", { class: "legend" }, states.map((state) => el("li", {}, el("i", { style: { "--c": `var(--${state.key})` } }), `${whole(state.count)} ${state.word}`)));

// Every repetition is a dot, in the order of the runs. One path a state, so that ten thousand cost no more than ten.
const dots = () => {
  const NS = "http://www.w3.org/2000/svg";
  const area = el("div", { class: "dots" });
  let columns = 1, cell = 10;
  const draw = (width) => {
    cell = Math.max(4, Math.min(16, Math.sqrt((width * 150) / repCount)));
    columns = Math.max(1, Math.floor(width / cell));
    const rows = Math.ceil(repCount / columns);
    const paths = new Map();
    for (let rep = 0; rep < repCount; rep++) {
      const key = data.states[reps.state[rep]];
      const x = ((rep % columns) + 0.5) * cell, y = (Math.floor(rep / columns) + 0.5) * cell;
      if (!paths.has(key)) paths.set(key, []);
      paths.get(key).push(`M${x.toFixed(1)} ${y.toFixed(1)}h0`);
    }
    const svg = document.createElementNS(NS, "svg");
    svg.setAttribute("viewBox", `0 0 ${columns * cell} ${rows * cell}`);
    svg.setAttribute("width", columns * cell);
    svg.setAttribute("height", rows * cell);
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", `Every repetition as a dot: ${tally(allReps).map((state) => `${state.count} ${state.word}`).join(", ")}`);
    for (const [key, d] of paths) {
      const path = document.createElementNS(NS, "path");
      path.setAttribute("d", d.join(""));
      path.setAttribute("stroke", `var(--${key})`);
      path.setAttribute("stroke-width", (cell * 0.72).toFixed(2));
      path.setAttribute("stroke-linecap", "round");
      path.setAttribute("fill", "none");
      svg.append(path);
    }
    area.replaceChildren(svg);
  };
  area.addEventListener("pointermove", (event) => {
    const box = area.querySelector("svg")?.getBoundingClientRect();
    if (!box) return;
    const column = Math.floor((event.clientX - box.left) / cell), row = Math.floor((event.clientY - box.top) / cell);
    const rep = row * columns + column;
    showTip(event, column >= 0 && column < columns && row >= 0 && rep < repCount ? repText(rep) : "");
  });
  area.addEventListener("pointerleave", (event) => showTip(event, ""));
  drawers.set(area, { draw, width: 0 });
  widths.observe(area);
  return area;
};

const repText = (rep) => {
  const run = data.runs[reps.run[rep]];
  const experiment = data.experiments[run.experiment];
  const lines = [`${data.experiments.length > 1 ? `${experiment.name}  ` : ""}${labelOf(run)}`, `repetition ${reps.rep[rep]}: ${stateOf.get(data.states[reps.state[rep]])?.word}`];
  if (Number.isFinite(reps.seconds[rep] ?? NaN)) lines[1] += ` after ${duration(reps.seconds[rep])}`;
  return lines.join("\n");
};

// Five answers, each of which leads to its section.
const answers = () => {
  const cards = [];
  const card = (id, question, answer, more, tone) => cards.push(el("a", { class: `answer ${tone ?? ""}`, href: `#${id}` }, el("span", { class: "question" }, question), el("strong", {}, answer), el("span", { class: "more" }, more ?? "")));
  const states = tally(allReps);
  const done = sumOf(states, (state) => state.kind === "good");
  const open = sumOf(states, (state) => state.kind === "open");
  card("progress", "How far is it?", repCount ? percent(done / repCount) : "–", open ? `${whole(open)} still open${data.estimate?.startsWith("~") ? `, done in ${data.estimate}` : ""}` : "nothing is left open");
  const experiment = current();
  const order = view.metric ? ranked(experiment) : [];
  if (order.length) {
    const best = order[0];
    card("ranking", `Best ${view.metric}`, plusMinus(best.mean, best.sd), `${best.label}${best.n > 1 ? ` (n = ${best.n})` : ""}`);
    const strongest = importance(experiment).filter((entry) => Number.isFinite(entry.share))[0];
    if (strongest) card("effects", "What matters most?", strongest.share >= 0.005 ? strongest.name : "nothing much", strongest.share >= 0.005 ? `goes with ${percent(strongest.share)} of what differs` : "no parameter goes with what differs");
  }
  const bad = sumOf(states, (state) => state.kind === "bad");
  const cause = data.failures.find((group) => group.common.length)?.common[0];
  card("failures", "What failed?", bad ? whole(bad) : "nothing", bad ? cause ?? data.failures[0]?.reason ?? "" : "", bad ? "bad" : "");
  const spent = spending();
  card("cost", "What did it cost?", duration(spent.total), spent.total > 0 ? `${spent.wasted > 0 ? `${percent(spent.wasted / spent.total)} of it for nothing` : "none of it for nothing"}${spent.cpu > 0 ? `; ${duration(spent.cpu)} of CPU time` : ""}` : "");
  return el("div", { class: "answers" }, cards);
};

const byExperiment = () => {
  const rows = data.experiments.map((experiment) => {
    const states = tally(experiment.reps);
    const total = experiment.reps.length;
    const done = sumOf(states, (state) => state.kind === "good");
    return [experiment.path ? el("span", {}, experiment.name, el("small", {}, experiment.path)) : experiment.name, el("div", {}, stateBar(states, total), legendOf(states)), whole(experiment.runs.length), `${whole(done)} / ${whole(total)}`, duration(experiment.seconds), experiment.estimate ?? ""];
  });
  return el("div", { class: "card" }, table(["experiment", "repetitions", "runs", "done", "time", "done in"], rows, { numeric: [2, 3, 4], caption: "Progress by experiment" }));
};

section("progress", "Progress", {
  views: true,
  render: () => [answers(), repCount > 0 && el("div", { class: "card" }, el("p", { class: "quiet" }, "Every repetition is a dot, in the order of the plan."), dots(), legendOf(tally(allReps))), byExperiment(), data.notes.length > 0 && el("ul", { class: "card notes" }, data.notes.map((note) => el("li", {}, note)))],
});
