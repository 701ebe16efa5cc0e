// What the report holds, as the sections ask for it: experiments, runs, repetitions, metrics, curves; and the statistics.

const data = JSON.parse(document.getElementById("data").textContent);

// In the order they are told. What a state means for the reader: good, bad, open.
const STATES = [
  ["completed", "completed", "good"],
  ["surrendered", "surrendered", "good"],
  ["running", "running", "open"],
  ["queued", "queued", "open"],
  ["interrupted", "interrupted", "open"],
  ["crashed", "crashed", "bad"],
  ["timed_out", "timed out", "bad"],
  ["lost", "lost", "bad"],
  ["job_failed", "job failed", "bad"],
  ["unreadable", "unreadable", "bad"],
  ["pending", "pending", "open"],
].map(([key, word, kind]) => ({ key, word, kind }));
const stateOf = new Map(STATES.map((state) => [state.key, state]));

const reps = data.reps;
const repCount = reps.run.length;
const isFinished = (rep) => stateOf.get(data.states[reps.state[rep]])?.kind === "good";
const isBad = (rep) => stateOf.get(data.states[reps.state[rep]])?.kind === "bad";

for (const experiment of data.experiments) (experiment.runs = []), (experiment.reps = []);
data.runs.forEach((run, index) => {
  run.index = index;
  run.reps = [];
  data.experiments[run.experiment].runs.push(run);
});
for (let rep = 0; rep < repCount; rep++) {
  const run = data.runs[reps.run[rep]];
  run.reps.push(rep);
  data.experiments[run.experiment].reps.push(rep);
}
data.experiments.forEach((experiment, index) => {
  experiment.index = index;
  experiment.metrics = data.metrics.filter((metric) => metric.experiment === index).map((metric) => metric.name);
  experiment.curves = data.curves.filter((curve) => curve.experiment === index);
});

// A run as a person tells it from the others.
const labelOf = (run) => {
  const { params } = data.experiments[run.experiment];
  return params.length ? params.map((name, i) => `${name}=${brief(run.params[i] ?? null, 24)}`).join("  ") : run.name;
};

// The chosen number of each repetition, NaN where there is none.
const metricCache = new Map();
const metricOf = (experiment, name, kind) => {
  const key = `${experiment.index}/${kind}/${name}`;
  if (!metricCache.has(key)) {
    const all = new Float64Array(repCount).fill(NaN);
    const metric = data.metrics.find((metric) => metric.experiment === experiment.index && metric.name === name);
    if (metric) experiment.reps.forEach((rep, i) => { all[rep] = metric[kind][i] ?? NaN; });
    metricCache.set(key, all);
  }
  return metricCache.get(key);
};

// Little-endian floats, a row a repetition.
const decoded = (curve) => {
  if (!curve.rows) {
    const text = atob(curve.values);
    const raw = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) raw[i] = text.charCodeAt(i);
    curve.rows = new Float32Array(raw.buffer);
    curve.values = undefined;
    curve.row = new Map(curve.reps.map((rep, row) => [rep, row]));
  }
  return curve;
};

// ---- statistics

const finite = (values) => values.filter(Number.isFinite);
const mean = (values) => values.reduce((sum, x) => sum + x, 0) / values.length;
const deviation = (values) => {
  if (values.length < 2) return NaN;
  const m = mean(values);
  return Math.sqrt(values.reduce((sum, x) => sum + (x - m) ** 2, 0) / (values.length - 1));
};

// The 97.5 % quantile of Student's t: exact to four digits.
const T = [NaN, 12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.306, 2.2622, 2.2281];
const tQuantile = (freedom) => {
  if (freedom < T.length) return T[freedom];
  const z = 1.959964, v = freedom;
  return z + (z ** 3 + z) / (4 * v) + (5 * z ** 5 + 16 * z ** 3 + 3 * z) / (96 * v ** 2) + (3 * z ** 7 + 19 * z ** 5 + 17 * z ** 3 - 15 * z) / (384 * v ** 3);
};
const halfInterval = (sd, n) => (n > 1 ? (tQuantile(n - 1) * sd) / Math.sqrt(n) : NaN);

const summary = (values) => {
  const known = finite(values);
  const sd = deviation(known);
  return { n: known.length, mean: known.length ? mean(known) : NaN, sd, half: halfInterval(sd, known.length) };
};

const median = (values) => d3.median(values) ?? NaN;

// Distinct values in their order: numbers by size, else as they come.
const distinct = (values) => {
  const found = [...new Map(values.map((value) => [shown(value ?? null), value ?? null])).values()];
  return found.every((value) => typeof value === "number") ? found.sort((a, b) => a - b) : found;
};

// The values of a parameter into which runs are sorted; many numbers become a few ranges.
const levels = (runs, place) => {
  const values = runs.map((run) => run.params[place] ?? null);
  const all = distinct(values);
  const numeric = all.every((value) => typeof value === "number");
  if (!numeric || all.length <= Math.max(12, Math.sqrt(runs.length))) {
    const index = new Map(all.map((value, i) => [shown(value), i]));
    return { labels: all.map((value) => brief(value)), centres: all, numeric, of: (run) => index.get(shown(run.params[place] ?? null)) };
  }
  const sorted = values.slice().sort((a, b) => a - b);
  const cuts = [...new Set(d3.range(1, 6).map((i) => d3.quantileSorted(sorted, i / 6)))];
  const of = (run) => d3.bisectRight(cuts, run.params[place]);
  const inside = d3.range(cuts.length + 1).map((i) => values.filter((value) => d3.bisectRight(cuts, value) === i));
  const kept = inside.map((some) => [d3.min(some), d3.max(some)]);
  return {
    labels: kept.map(([low, high]) => (low === undefined ? "–" : low === high ? number(low) : `${number(low)}–${number(high)}`)),
    centres: inside.map((some) => median(some)),
    numeric,
    ranges: true,
    of,
  };
};

// How much of the variance between runs goes with a parameter, from 0 to 1; corrected for how many values it has.
const explained = (runs, values, place) => {
  const { of } = levels(runs, place);
  const known = runs.map((run, i) => [of(run), values[i]]).filter(([, value]) => Number.isFinite(value));
  const groups = d3.group(known, ([level]) => level);
  const all = known.map(([, value]) => value);
  if (groups.size < 2 || all.length <= groups.size) return NaN;
  const squares = (some) => { const m = mean(some); return d3.sum(some, (value) => (value - m) ** 2); };
  const total = squares(all);
  if (!(total > 0)) return 0;
  const within = d3.sum(groups.values(), (group) => squares(group.map(([, value]) => value)));
  return Math.max(0, 1 - (within / (all.length - groups.size)) / (total / (all.length - 1)));
};

// Whether an axis of these numbers is better read in powers.
const wantsLog = (values) => values.length > 2 && values.every((value) => typeof value === "number" && value > 0) && d3.max(values) / d3.min(values) >= 50;

// ---- what the reader looks at

const guessGoal = (name) => (/(^|[._/ -])(loss|nll|err(or)?|cost|regret|rmse|mse|mae|perplexity|ppl|time|seconds)([._/ -]|$)|loss$|error$/i.test(name) ? "min" : "max");

const view = { experiment: 0, metric: null, goal: null, kind: "last", open: false };
const current = () => data.experiments[view.experiment];

// Sets what is shown where the reader chose nothing.
const settle = () => {
  const experiment = current();
  if (!experiment.metrics.includes(view.metric)) {
    const wanted = experiment.objective?.metric;
    view.metric = experiment.metrics.includes(wanted) ? wanted : (experiment.metrics[experiment.metrics.length - 1] ?? null);
    view.goal = null;
  }
  if (view.goal === null && view.metric) view.goal = experiment.objective?.metric === view.metric ? experiment.objective.goal : guessGoal(view.metric);
};

const counts = (rep) => view.open || isFinished(rep);
const valueKind = () => (view.kind === "last" ? "last" : view.goal);
const values = (experiment = current(), metric = view.metric) => metricOf(experiment, metric, metric === view.metric ? valueKind() : "last");

// A run and the chosen number over its repetitions.
const scored = (experiment = current()) => {
  const of = view.metric ? values(experiment) : new Float64Array(repCount).fill(NaN);
  return experiment.runs.map((run) => ({ run, label: labelOf(run), ...summary(run.reps.filter(counts).map((rep) => of[rep])) }));
};
const better = (a, b) => (view.goal === "min" ? a - b : b - a);
const ranked = (experiment) => scored(experiment).filter((row) => row.n > 0).sort((a, b) => better(a.mean, b.mean));
