// Learning curves: the mean with a band over repetitions, a line for each run or value of a parameter; click for the repetitions.

const curveState = { metric: null, by: "run", split: "", band: "sd", logX: false, logY: false, lines: "10", focus: null };

// What a line stands for, best first or in the order of the values.
const curveGroups = (experiment, metric) => {
  const order = scored(experiment).sort((a, b) => (Number.isNaN(a.mean) - Number.isNaN(b.mean)) || better(a.mean, b.mean) || a.run.index - b.run.index);
  const runs = order.map((row) => row.run);
  const splitPlace = experiment.params.indexOf(curveState.split);
  const facets = splitPlace >= 0 ? levels(experiment.runs, splitPlace) : null;
  const place = experiment.params.indexOf(curveState.by);
  if (place < 0) {
    const wanted = curveState.lines === "all" ? 200 : Number(curveState.lines);
    const kept = runs.slice(0, wanted);
    const colours = coloursOf(kept.map((_, i) => (kept.length > SERIES.length ? i : `${i}`)));
    return { groups: kept.map((run, i) => ({ key: `run ${run.index}`, label: labelOf(run), colour: colours[i], facet: facets ? facets.of(run) : 0, reps: run.reps })), of: runs.length, facets };
  }
  const by = levels(experiment.runs, place);
  const colours = coloursOf(by.centres);
  const groups = new Map();
  for (const run of experiment.runs) {
    const level = by.of(run), facet = facets ? facets.of(run) : 0, key = `${level}/${facet}`;
    if (!groups.has(key)) groups.set(key, { key, level, label: `${curveState.by}=${by.labels[level]}`, colour: colours[level], facet, reps: [] });
    groups.get(key).reps.push(...run.reps);
  }
  const sorted = [...groups.values()].sort((a, b) => a.level - b.level || a.facet - b.facet);
  return { groups: sorted, of: sorted.length, facets };
};

// A line's points: number, mean and band of the repetitions at each step.
const curvePoints = (curve, group) => {
  const width = curve.steps.length;
  const rows = group.reps.filter((rep) => counts(rep) || curveOpen(current())).map((rep) => curve.row.get(rep)).filter((row) => row !== undefined);
  const points = [];
  for (let i = 0; i < width; i++) {
    let n = 0, sum = 0, low = Infinity, high = -Infinity;
    for (const row of rows) {
      const value = curve.rows[row * width + i];
      if (Number.isFinite(value)) n++, (sum += value), (low = Math.min(low, value)), (high = Math.max(high, value));
    }
    if (n === 0) continue;
    const m = sum / n;
    let squares = 0;
    for (const row of rows) {
      const value = curve.rows[row * width + i];
      if (Number.isFinite(value)) squares += (value - m) ** 2;
    }
    const sd = n > 1 ? Math.sqrt(squares / (n - 1)) : NaN;
    const half = curveState.band === "ci" ? halfInterval(sd, n) : sd;
    const [lo, hi] = curveState.band === "range" ? [low, high] : [m - half, m + half];
    points.push({ group, facet: group.facet, step: curve.steps[i], n, mean: m, sd, lo: n > 1 ? lo : m, hi: n > 1 ? hi : m });
  }
  return points;
};

// Where nothing is finished yet, what runs is better than nothing.
const curveOpen = (experiment) => !experiment.reps.some(isFinished);

const singlePoints = (curve, group) => {
  const width = curve.steps.length;
  return group.reps.flatMap((rep) => {
    const row = curve.row.get(rep);
    if (row === undefined) return [];
    return curve.steps.map((step, i) => ({ group, facet: group.facet, rep, step, mean: curve.rows[row * width + i] })).filter((point) => Number.isFinite(point.mean));
  });
};

const BANDS = [["sd", "± deviation"], ["ci", "95 % interval of the mean"], ["range", "lowest to highest"], ["none", "none"]];

const curveFigure = () => {
  const experiment = current();
  const names = experiment.curves.map((curve) => curve.metric);
  if (!names.includes(curveState.metric)) curveState.metric = names.includes(view.metric) ? view.metric : names[0];
  if (curveState.by !== "run" && !experiment.params.includes(curveState.by)) curveState.by = "run";
  if (!experiment.params.includes(curveState.split)) curveState.split = "";
  curveState.focus = null;
  const legend = el("div", { class: "chips", role: "group", "aria-label": "Lines; choose one to see its repetitions" });
  const set = (key) => (value) => { curveState[key] = value; curveState.focus = null; frame.redraw(); };
  const params = experiment.params.map((name) => [name, name]);
  const controls = [
    choice("metric", names.map((name) => [name, name]), curveState.metric, set("metric")),
    choice("a line for each", [["run", "run"], ...params], curveState.by, set("by")),
    experiment.params.length > 0 && choice("a plot for each", [["", "–"], ...params], curveState.split, set("split")),
    choice("band", BANDS, curveState.band, set("band")),
    experiment.runs.length > 10 && choice("runs", [["10", "the best 10"], ["30", "the best 30"], ["all", experiment.runs.length > 200 ? "the best 200" : "all"]], curveState.lines, set("lines")),
    tick("log steps", curveState.logX, set("logX")),
    tick("log values", curveState.logY, set("logY")),
  ];
  const toggle = (group) => { curveState.focus = curveState.focus === group.key ? null : group.key; frame.redraw(); };
  const draw = (width) => {
    const curve = decoded(experiment.curves.find((curve) => curve.metric === curveState.metric));
    const { groups, of, facets } = curveGroups(experiment, curveState.metric);
    const lines = groups.map((group) => ({ group, points: curvePoints(curve, group) })).filter((line) => line.points.length);
    const shownOnce = new Map(lines.map(({ group }) => [group.label, group]));
    legend.replaceChildren(...[...shownOnce.values()].map((group) => el("button", { type: "button", class: "chip", "aria-pressed": String(curveState.focus === group.key), onclick: () => toggle(group) }, el("i", { style: { "--c": group.colour } }), clipped(group.label, 56))));
    const focus = lines.find(({ group }) => group.key === curveState.focus);
    const visible = (point) => (!curveState.logX || point.step > 0) && (!curveState.logY || point.mean > 0);
    const every = lines.flatMap((line) => line.points);
    const points = every.filter(visible);
    const singles = focus ? singlePoints(curve, focus.group).filter(visible) : [];
    const used = facets ? [...new Set(points.map((point) => point.facet))].sort((a, b) => a - b) : [0];
    const columns = Math.max(1, Math.min(used.length, Math.floor(width / 260)));
    const column = new Map(used.map((facet, i) => [facet, i % columns])), row = new Map(used.map((facet, i) => [facet, Math.floor(i / columns)]));
    const at = facets ? { fx: (point) => column.get(point.facet), fy: (point) => row.get(point.facet) } : {};
    const rows = Math.ceil(used.length / columns);
    const faded = (point) => (focus && point.group !== focus.group ? 0.15 : 1);
    const floor = curveState.logY ? d3.min(points, (point) => (point.lo > 0 ? point.lo : point.mean)) : -Infinity;
    const told = (point) => point.rep !== undefined
      ? `${point.group.label}\nrepetition ${reps.rep[point.rep]}\n${curve.step} ${number(point.step)}: ${number(point.mean)}`
      : `${point.group.label}\n${curve.step} ${number(point.step)}: ${plusMinus(point.mean, point.sd)}\nn = ${point.n}`;
    const plot = points.length === 0 ? null : Plot.plot({
      ...plotDefaults, width, height: facets ? Math.max(240, rows * 210) : Math.max(280, Math.min(440, width * 0.5)), marginLeft: 56, marginRight: 16, marginBottom: 38,
      x: { type: curveState.logX ? "log" : "linear", label: curve.step, tickFormat: number, ticks: facets ? 4 : undefined },
      y: { type: curveState.logY ? "log" : "linear", label: curveState.metric, grid: true, tickFormat: number },
      fx: { axis: null, padding: 0.08 }, fy: { axis: null, padding: 0.12 },
      marks: [
        facets && Plot.frame({ stroke: "var(--line)" }),
        facets && Plot.text(used.map((facet) => ({ facet })), { ...at, text: ({ facet }) => `${curveState.split}=${facets.labels[facet]}`, frameAnchor: "top", dy: -12, fontWeight: 600 }),
        curveState.band !== "none" && Plot.areaY(points, { ...at, x: "step", y1: (point) => Math.max(point.lo, floor), y2: "hi", z: (point) => point.group.key, fill: (point) => point.group.colour, fillOpacity: (point) => Math.max(0.05, 0.16 * Math.min(1, 7 / lines.length)) * faded(point) }),
        Plot.lineY(points, { ...at, x: "step", y: "mean", z: (point) => point.group.key, stroke: (point) => point.group.colour, strokeWidth: 1.8, strokeOpacity: (point) => faded(point) }),
        points.length === lines.length && Plot.dot(points, { ...at, x: "step", y: "mean", fill: (point) => point.group.colour, r: 4 }),
        focus && Plot.lineY(singles, { ...at, x: "step", y: "mean", z: "rep", stroke: (point) => point.group.colour, strokeWidth: 0.8, strokeOpacity: 0.75 }),
        Plot.tip(focus ? singles.concat(points.filter((point) => point.group === focus.group)) : points, Plot.pointer({ ...at, ...tipStyle, x: "step", y: "mean", title: told, maxRadius: 60 })),
      ].filter(Boolean),
    });
    plot?.addEventListener("click", () => plot.value && toggle(plot.value.group));
    const notes = [];
    if (curve.thinned) notes.push(`${plural(curve.of, "step")} are thinned to ${whole(curve.steps.length)}: of each stretch the last value, the first steps more closely. `);
    if (curve.left_out > 0) notes.push(`${plural(curve.left_out, "repetition")} of ${whole(curve.left_out + curve.reps.length)} have no curve here, so that this file stays small. `);
    if (groups.length < of) notes.push(`The best ${whole(groups.length)} of ${whole(of)} runs are drawn. `);
    if (points.length < every.length) notes.push(`${plural(every.length - points.length, "point")} at or below zero ${every.length - points.length === 1 ? "has" : "have"} no place on a logarithmic axis. `);
    if (curveOpen(experiment)) notes.push("Nothing is finished yet: these are the repetitions that run or ended early. ");
    if (focus) notes.push(`${focus.group.label}: ${plural(new Set(singles.map((point) => point.rep)).size, "repetition")}; click again for the mean.`);
    return {
      plot, label: `${curveState.metric} by ${curve.step}, ${plural(lines.length, "line")}`, note: notes,
      head: ["line", ...(facets ? [curveState.split] : []), curve.step, "mean", "sd", "n"],
      rows: points.map((point) => [point.group.label, ...(facets ? [facets.labels[point.facet]] : []), point.step, point.mean, point.sd, point.n]),
    };
  };
  const frame = figure({ title: "Learning curves", alone: true, name: `${experiment.name} curves`, controls, draw });
  frame.querySelector(".plot").after(legend);
  return frame;
};

section("curves", "Learning curves", {
  views: true,
  lead: "The mean over repetitions, with a band. Point at a line for its values, click it for the single repetitions.",
  render: () => (current().curves.length ? curveFigure() : el("p", { class: "empty" }, "No metric was logged over several steps.")),
});
