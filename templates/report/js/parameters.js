// What the parameters do: the ranking of runs, each parameter's effect, two at a time, all at a time.

const importance = (experiment) => {
  const rows = scored(experiment);
  const means = rows.map((row) => row.mean), runs = rows.map((row) => row.run);
  return experiment.params.map((name, place) => ({ name, place, share: explained(runs, means, place) })).sort((a, b) => (Number.isNaN(a.share) - Number.isNaN(b.share)) || b.share - a.share);
};

const metricLabel = () => `${view.metric}${view.kind === "best" ? " (best step)" : ""}`;

// ---- ranking

const rankState = { shown: "15" };

const rankingFigure = () => {
  const experiment = current();
  const order = ranked(experiment);
  const frame = figure({
    title: "Ranking", alone: true, name: `${experiment.name} ranking`,
    controls: order.length > 15 ? [choice("runs", [["15", "the best 15"], ["50", "the best 50"], ["200", order.length > 200 ? "the best 200" : "all"]], rankState.shown, (value) => { rankState.shown = value; frame.redraw(); })] : [],
    draw: (width) => {
      const rows = order.slice(0, Number(rankState.shown)).map((row, i) => ({ ...row, name: `${i + 1}.  ${clipped(row.label, Math.max(14, Math.floor(width / 16)))}`, lo: Number.isFinite(row.half) ? row.mean - row.half : row.mean, hi: Number.isFinite(row.half) ? row.mean + row.half : row.mean }));
      const best = rows[0];
      const close = (row) => row.lo <= best.hi && row.hi >= best.lo;
      const equal = rows.filter((row) => row !== best && row.n > 1 && best.n > 1 && close(row)).length;
      const colour = (row) => (row === best ? "var(--accent)" : close(row) ? "var(--s0)" : "var(--quiet)");
      const plot = Plot.plot({
        ...plotDefaults, width, height: 44 + rows.length * 24, marginLeft: Math.min(width * 0.5, 30 + 6.6 * d3.max(rows, (row) => row.name.length)), marginRight: 20, marginTop: 6, marginBottom: 38,
        x: { label: metricLabel(), grid: true, nice: true, tickFormat: number, ticks: Math.max(3, Math.floor(width / 140)) },
        y: { domain: rows.map((row) => row.name), label: null, tickSize: 0 },
        marks: [
          Plot.ruleX([best.lo, best.hi].filter(() => best.n > 1), { stroke: "var(--accent)", strokeOpacity: 0.25, strokeDasharray: "3 3" }),
          Plot.ruleY(rows, { y: "name", x1: "lo", x2: "hi", stroke: colour, strokeWidth: 2.5, strokeOpacity: 0.55, strokeLinecap: "round" }),
          Plot.dot(rows, { y: "name", x: "mean", fill: colour, r: (row) => (row === best ? 5.5 : 4.5) }),
          Plot.tip(rows, Plot.pointerY({ ...tipStyle, y: "name", x: "mean", title: (row) => `${row.label}\n${plusMinus(row.mean, row.sd)}  (n = ${row.n})${row.n > 1 ? `\n95 % interval ${number(row.lo)} to ${number(row.hi)}` : ""}` })),
        ].filter(Boolean),
      });
      return {
        plot, label: `Runs by ${metricLabel()}: the best is ${best.label} with ${number(best.mean)}`,
        note: best.n < 2 ? "One repetition a run: nothing tells luck from merit." : equal ? `${plural(equal, "run")} ${equal === 1 ? "has an interval that overlaps" : "have intervals that overlap"} the best one's: more repetitions would tell them apart.` : rows.length > 1 ? "No other interval overlaps the best one's." : null,
        head: ["place", "run", "mean", "sd", "n", "95 % low", "95 % high"], rows: rows.map((row, i) => [i + 1, row.label, row.mean, row.sd, row.n, row.lo, row.hi]),
      };
    },
  });
  return frame;
};

section("ranking", "Ranking", {
  views: true,
  lead: "Mean over repetitions with its 95 % interval (Student’s t).",
  render: () => (view.metric && ranked(current()).length ? rankingFigure() : el("p", { class: "empty" }, "No finished repetition has a metric yet.")),
});

// ---- main effects

const effectPlot = (experiment, { name, place, share }, rows, domain) =>
  figure({
    title: name, name: `${experiment.name} ${name}`,
    hint: Number.isFinite(share) ? `goes with ${percent(share)} of what differs between runs` : "too few runs to tell",
    draw: (width) => {
      const level = levels(experiment.runs, place);
      const groups = level.labels.map((label, i) => ({ label, centre: level.centres[i], runs: rows.filter((row) => level.of(row.run) === i) })).map((group) => {
        // Over repetitions, not over the means of runs: where one value has one run, its repetitions still tell how sure it is.
        const of = values(experiment);
        const all = group.runs.flatMap((row) => row.run.reps.filter(counts).map((rep) => of[rep]));
        const whole = summary(all);
        return { ...group, ...whole, lo: whole.mean - (whole.half || 0), hi: whole.mean + (whole.half || 0) };
      }).filter((group) => group.n > 0);
      const numeric = level.numeric && (level.ranges || groups.length > 6 || wantsLog(level.centres));
      const x = numeric ? (group) => group.centre : (group) => group.label;
      const own = (row) => (numeric ? row.run.params[place] : level.labels[level.of(row.run)]);
      const plot = Plot.plot({
        ...plotDefaults, width, height: 220, marginLeft: 52, marginBottom: 36, marginRight: 14, marginTop: 30,
        x: numeric ? { type: wantsLog(level.centres) ? "log" : "linear", label: name, tickFormat: number, ticks: groups.length <= 8 ? groups.map((group) => group.centre) : 5, inset: 8 } : { type: "point", domain: groups.map((group) => group.label), label: name, padding: 0.5, tickFormat: (text) => clipped(text, Math.max(4, Math.floor(width / groups.length / 7))) },
        y: { domain, nice: true, label: metricLabel(), grid: true, tickFormat: number, ticks: 5 },
        marks: [
          Plot.dot(rows, { x: own, y: "mean", r: 2.2, fill: "var(--quiet)", fillOpacity: rows.length > 300 ? 0.25 : 0.5 }),
          Plot.ruleX(groups, { x, y1: "lo", y2: "hi", clip: true, stroke: "var(--accent)", strokeWidth: 3, strokeOpacity: 0.4, strokeLinecap: "round" }),
          level.numeric && Plot.lineY(groups, { x, y: "mean", stroke: "var(--accent)", strokeWidth: 1.6 }),
          Plot.dot(groups, { x, y: "mean", r: 4, fill: "var(--accent)" }),
          Plot.tip(groups, Plot.pointerX({ ...tipStyle, x, y: "mean", title: (group) => `${name}=${group.label}\nmean ${number(group.mean)}${group.n > 1 ? ` ± ${number(group.half)} (95 %)` : ""}\n${plural(group.n, "repetition")}, ${plural(group.runs.length, "run")}` })),
        ].filter(Boolean),
      });
      return { plot, label: `${metricLabel()} by ${name}`, head: [name, "mean", "95 % ±", "repetitions"], rows: groups.map((group) => [group.label, group.mean, group.half, group.n]) };
    },
  });

const effectState = { all: false };
const effects = () => {
  const experiment = current();
  const rows = scored(experiment).filter((row) => row.n > 0);
  const order = importance(experiment);
  // Room for intervals, but not for all there are: that of two repetitions would leave none for the rest.
  const [low, high] = d3.extent(rows, (row) => row.mean), room = 0.2 * (high - low || Math.abs(high) || 1);
  const domain = [low - room, high + room];
  const shownOnes = effectState.all ? order : order.slice(0, 12);
  const grid = el("div", { class: "grid" }, shownOnes.map((entry) => effectPlot(experiment, entry, rows, domain)));
  return [grid, order.length > shownOnes.length && action(`Show all ${order.length} parameters`, (event) => { effectState.all = true; event.currentTarget.remove(); grid.append(...order.slice(12).map((entry) => effectPlot(experiment, entry, rows, domain))); })];
};

const scoredAtAll = () => view.metric && scored().some((row) => row.n > 0);
const nothing = (text) => el("p", { class: "empty" }, text);

section("effects", "Each parameter", {
  views: true,
  lead: "Grey: the runs. Coloured: the mean over all repetitions with that value, with its 95 % interval. The most telling parameter first.",
  render: () => (!current().params.length ? nothing("No parameter varies.") : scoredAtAll() ? effects() : nothing("No finished repetition has a metric yet.")),
});

// ---- two parameters

const heatState = { x: null, y: null, of: "mean" };

const heatFigure = () => {
  const experiment = current();
  const order = importance(experiment).map((entry) => entry.name);
  if (!order.includes(heatState.x)) heatState.x = order[0];
  if (!order.includes(heatState.y) || heatState.y === heatState.x) heatState.y = order.find((name) => name !== heatState.x);
  const options = experiment.params.map((name) => [name, name]);
  const set = (key, other) => (value) => {
    if (other && heatState[other] === value) heatState[other] = heatState[key];
    heatState[key] = value;
    frame.replaceWith((frame = build()));
  };
  const build = () => figure({
    title: "Two parameters", alone: true, name: `${experiment.name} ${heatState.x} ${heatState.y}`,
    controls: [choice("across", options, heatState.x, set("x", "y")), choice("down", options, heatState.y, set("y", "x")), experiment.params.length > 2 && choice("of the others", [["mean", "the mean"], ["best", "the best"]], heatState.of, set("of"))],
    draw: (width) => {
      const rows = scored(experiment).filter((row) => row.n > 0);
      const [x, y] = [heatState.x, heatState.y].map((name) => levels(experiment.runs, experiment.params.indexOf(name)));
      const of = values(experiment);
      const cells = d3.flatGroup(rows, (row) => x.of(row.run), (row) => y.of(row.run)).map(([i, j, some]) => {
        const best = some.slice().sort((a, b) => better(a.mean, b.mean))[0];
        const all = heatState.of === "best" ? best : summary(some.flatMap((row) => row.run.reps.filter(counts).map((rep) => of[rep])));
        return { x: x.labels[i], y: y.labels[j], runs: some.length, value: all.mean, n: all.n, sd: all.sd, best };
      });
      const [low, high] = d3.extent(cells, (cell) => cell.value);
      const share = (cell) => (high > low ? (view.goal === "min" ? (high - cell.value) / (high - low) : (cell.value - low) / (high - low)) : 0.6);
      const colour = (cell) => gradient(share(cell));
      const left = Math.min(width * 0.35, 40 + 7 * d3.max(y.labels, (label) => label.length));
      const size = (width - left) / x.labels.length;
      const digits = high > low ? Math.max(0, Math.min(6, 2 - Math.floor(Math.log10(high - low)))) : 3;
      const told = (value) => (Math.abs(value) < 1e5 && high - low > 1e-5 ? value.toFixed(digits).replace("-", "−") : number(value));
      const best = cells.slice().sort((a, b) => better(a.value, b.value))[0];
      const plot = Plot.plot({
        ...plotDefaults, width, height: 60 + y.labels.length * Math.max(26, Math.min(44, size)), marginLeft: left, marginBottom: 40, marginTop: 24, marginRight: 10,
        x: { domain: x.labels, padding: 0.02, label: heatState.x, tickSize: 0, tickFormat: (text) => clipped(text, Math.max(4, Math.floor(size / 7))) }, y: { domain: y.labels, padding: 0.02, label: heatState.y, tickSize: 0, reverse: y.numeric },
        marks: [
          Plot.cell(cells, { x: "x", y: "y", fill: colour, inset: 1.5, rx: 4 }),
          size > 46 && Plot.text(cells, { x: "x", y: "y", text: (cell) => told(cell.value), fill: (cell) => inkOn(colour(cell)), fontWeight: (cell) => (cell === best ? 700 : 400) }),
          Plot.cell([best], { x: "x", y: "y", fill: "none", stroke: "currentColor", strokeWidth: 2, inset: 1.5, rx: 4 }),
          Plot.tip(cells, Plot.pointer({ ...tipStyle, x: "x", y: "y", maxRadius: 80, title: (cell) => `${heatState.x}=${cell.x}\n${heatState.y}=${cell.y}\n${plusMinus(cell.value, cell.sd)}  (n = ${cell.n}, ${plural(cell.runs, "run")})` })),
        ].filter(Boolean),
      });
      return { plot, label: `${metricLabel()} by ${heatState.x} and ${heatState.y}; best at ${best.x}, ${best.y}`, note: `Bright is good. The frame marks the best: ${heatState.x}=${best.x}, ${heatState.y}=${best.y}.`, head: [heatState.x, heatState.y, "value", "sd", "n"], rows: cells.map((cell) => [cell.x, cell.y, cell.value, cell.sd, cell.n]) };
    },
  });
  let frame = build();
  return frame;
};

section("pairs", "Two parameters", {
  views: true,
  render: () => (current().params.length < 2 ? nothing("Fewer than two parameters vary.") : scoredAtAll() ? heatFigure() : nothing("No finished repetition has a metric yet.")),
});

// ---- all parameters

const LINES = 400;

const parallelFigure = () => {
  const experiment = current();
  return figure({
    title: "All parameters", alone: true, name: `${experiment.name} parameters`,
    draw: (width) => {
      const order = ranked(experiment);
      // The best, and of the rest as many as still can be told apart, evenly.
      const step = Math.max(1, Math.ceil(order.length / LINES));
      const rows = order.filter((_, i) => i < 20 || i % step === 0);
      const axes = [...importance(experiment).slice(0, 10).map(({ name, place }) => {
        const all = distinct(experiment.runs.map((run) => run.params[place] ?? null));
        const numeric = all.every((value) => typeof value === "number");
        const log = numeric && wantsLog(all);
        const scale = numeric ? (log ? d3.scaleLog() : d3.scaleLinear()).domain(all.length > 1 ? d3.extent(all) : [all[0] - 1, all[0] + 1]).range([0, 1]) : null;
        const at = numeric ? scale : (value) => (all.length > 1 ? all.findIndex((other) => shown(other) === shown(value)) / (all.length - 1) : 0.5);
        const few = all.length <= 8 ? all : numeric ? (log ? [all[0], all[Math.floor(all.length / 2)], all[all.length - 1]] : scale.ticks(5)) : all.filter((_, i) => i % Math.ceil(all.length / 8) === 0);
        return { name, at: (row) => at(row.run.params[place] ?? null), marks: few.map((value) => ({ name, text: clipped(typeof value === "number" ? number(value) : shown(value), 14), y: at(value) })) };
      })];
      const [low, high] = d3.extent(order, (row) => row.mean);
      const final = d3.scaleLinear().domain(high > low ? [low, high] : [low - 1, low + 1]).range(view.goal === "min" ? [1, 0] : [0, 1]);
      axes.push({ name: metricLabel(), at: (row) => final(row.mean), marks: final.ticks(5).map((value) => ({ name: metricLabel(), text: number(value), y: final(value) })) });
      const points = rows.slice().reverse().flatMap((row) => axes.map((axis) => ({ row, axis: axis.name, y: axis.at(row) })));
      const best = order[0];
      const colour = (point) => gradient(final(point.row.mean));
      const plot = Plot.plot({
        ...plotDefaults, width, height: 340, marginLeft: 84, marginRight: 40, marginTop: 34, marginBottom: 14,
        x: { type: "point", domain: axes.map((axis) => axis.name), axis: "top", padding: 0, tickSize: 0, label: null, tickFormat: (text) => clipped(text, Math.max(5, Math.floor(width / axes.length / 7))) },
        y: { axis: null, domain: [0, 1] },
        marks: [
          Plot.ruleX(axes, { x: "name", stroke: "var(--line)" }),
          Plot.line(points, { x: "axis", y: "y", z: (point) => point.row.run.index, stroke: colour, strokeWidth: (point) => (point.row === best ? 3 : 1.2), strokeOpacity: (point) => (point.row === best ? 1 : rows.length > 100 ? 0.35 : 0.6), curve: "bump-x" }),
          Plot.text(axes.flatMap((axis) => axis.marks), { x: "name", y: "y", text: "text", textAnchor: "end", dx: -6, stroke: "var(--card)", fill: "currentColor", strokeWidth: 3 }),
          Plot.tip(points, Plot.pointer({ ...tipStyle, x: "axis", y: "y", title: (point) => `${point.row.label.replaceAll("  ", "\n")}\n${metricLabel()} ${plusMinus(point.row.mean, point.row.sd)}` })),
        ].filter(Boolean),
      });
      return {
        plot, label: `Every run as a line through its parameters to ${metricLabel()}`,
        note: [rows.length < order.length ? `${whole(rows.length)} of ${whole(order.length)} runs are drawn: the best 20, and evenly from the others. ` : "", experiment.params.length > 10 ? "The ten most telling parameters are drawn. " : "", "The thick line is the best run."],
        head: ["run", ...experiment.params, metricLabel()], rows: order.map((row) => [row.run.name, ...experiment.params.map((_, i) => row.run.params[i] ?? null), row.mean]),
      };
    },
  });
};

section("all", "All parameters", {
  views: true,
  render: () => (current().params.length < 2 ? nothing("Fewer than two parameters vary.") : scoredAtAll() ? parallelFigure() : nothing("No finished repetition has a metric yet.")),
});
