// What it cost: time, memory and CPUs used beside what was requested, and the time that came to nothing.

// Seconds of repetitions by what became of them.
const spending = () => {
  const kinds = new Map([["finished", 0], ["running", 0], ["interrupted", 0], ["repeated", 0], ["crashed", 0], ["timed_out", 0], ["lost", 0]]);
  const add = (kind, seconds) => { if (seconds > 0) kinds.set(kind, (kinds.get(kind) ?? 0) + seconds); };
  let cpu = 0;
  for (let rep = 0; rep < repCount; rep++) {
    const state = data.states[reps.state[rep]];
    add("repeated", reps.repeated[rep] ?? 0);
    const last = reps.seconds[rep] ?? 0;
    cpu += reps.cpu[rep] ?? 0;
    add(isFinished(rep) ? "finished" : kinds.has(state) ? state : "interrupted", last);
  }
  const total = d3.sum(kinds.values());
  return { kinds, total, cpu, wasted: ["repeated", "crashed", "timed_out", "lost"].reduce((sum, kind) => sum + kinds.get(kind), 0) };
};

const SPENT = { finished: ["in finished repetitions", "completed"], running: ["in running ones", "running"], interrupted: ["in what may be resumed", "interrupted"], repeated: ["in attempts that were begun again", "surrendered"], crashed: ["in crashed ones", "crashed"], timed_out: ["in timed out ones", "timed_out"], lost: ["in lost ones", "lost"] };

const waste = () => {
  const { kinds, total, wasted } = spending();
  if (!(total > 0)) return nothing("No time was spent yet.");
  const parts = [...kinds].filter(([, seconds]) => seconds > 0).map(([kind, seconds]) => ({ kind, seconds, text: SPENT[kind][0], colour: `var(--${SPENT[kind][1]})` }));
  return el("div", { class: "card" }, el("h3", {}, wasted > 0 ? `${duration(wasted)} of ${duration(total)} came to nothing` : `${duration(total)}, and none of it for nothing`),
    el("div", { class: "states tall", role: "img", "aria-label": parts.map((part) => `${duration(part.seconds)} ${part.text}`).join(", ") }, parts.map((part) => el("span", { style: { "flex-grow": part.seconds, "--c": part.colour }, title: `${duration(part.seconds)} ${part.text}` }))),
    el("ul", { class: "legend" }, parts.map((part) => el("li", {}, el("i", { style: { "--c": part.colour } }), `${duration(part.seconds)} ${part.text} (${percent(part.seconds / total)})`))),
    el("p", { class: "quiet" }, "Time of repetitions, not of jobs. What crashed, timed out or was lost counts as come to nothing, and so does an attempt that was begun again."));
};

// How many took how long (or used how much), and where the limit is.
const histogram = ({ title, name, of, text, label, limit, units: sizes = [1] }) => {
  const known = finite(of);
  // Round numbers of minutes or MiB, not of seconds or bytes.
  const units = (low, high, count) => {
    const unit = sizes.filter((size) => high - low >= 2 * size).at(-1) ?? sizes[0];
    return d3.ticks(low / unit, high / unit, count).map((mark) => mark * unit);
  };
  if (known.length < 2) return null;
  return figure({
    title, name,
    draw: (width) => {
      const high = d3.max(known);
      // What hardly differs looks as if it hardly differed.
      const low = Math.min(d3.min(known), 0.8 * high);
      const near = Number.isFinite(limit) && limit <= high * 3 ? limit : null;
      const top = Math.max(high, near ?? 0);
      const bins = d3.bin().domain(low === top ? [low * 0.9 - 1e-9, low * 1.1 + 1e-9] : [low, top]).thresholds(Math.max(6, Math.min(30, Math.floor(width / 22))))(known).map((bin) => ({ x0: bin.x0, x1: bin.x1, n: bin.length })).filter((bin) => bin.n > 0);
      const plot = Plot.plot({
        ...plotDefaults, width, height: 200, marginLeft: 46, marginBottom: 36, marginRight: 34, marginTop: 30,
        x: { label, tickFormat: text, ticks: units(low, top, Math.max(3, Math.floor(width / 110))) }, y: { label: "repetitions", grid: true, ticks: Math.min(4, d3.max(bins, (bin) => bin.n)), tickFormat: (n) => (Number.isInteger(n) ? whole(n) : "") },
        marks: [
          Plot.rectY(bins, { x1: "x0", x2: "x1", y: "n", fill: "var(--s0)", fillOpacity: 0.75, inset: 0.5, rx: 2 }),
          near !== null && Plot.ruleX([near], { stroke: "var(--crashed)", strokeWidth: 2 }),
          near !== null && Plot.text([near], { x: near, text: () => "requested", frameAnchor: "top", dy: -8, fill: "var(--crashed)" }),
          Plot.tip(bins, Plot.pointerX({ ...tipStyle, x: (bin) => (bin.x0 + bin.x1) / 2, y: "n", title: (bin) => `${text(bin.x0)} to ${text(bin.x1)}\n${plural(bin.n, "repetition")}` })),
        ].filter(Boolean),
      });
      return { plot, label: `${title}: up to ${text(high)}, median ${text(median(known))}`, note: `Median ${text(median(known))}, largest ${text(high)}${Number.isFinite(limit) ? `; requested: ${text(limit)}` : ""}.`, head: ["from", "to", "repetitions"], rows: bins.map((bin) => [bin.x0, bin.x1, bin.n]) };
    },
  });
};

const usage = (experiment) => {
  const advice = experiment.advice;
  const done = experiment.reps.filter(isFinished);
  const asked = advice?.requested, used = advice?.used, fits = advice?.fits;
  const rows = [];
  if (advice && used && advice.finished > 0) {
    const mem = asked.mem ? ["memory of a job", asked.mem, fits?.mem] : ["memory per CPU", asked.mem_per_cpu, fits?.mem_per_cpu];
    rows.push(["time of a job", asked.time ?? "not given", `${duration(used.seconds_median)} a repetition (95 %: ${duration(used.seconds_p95)})`, fits ? `${fits.time} with ${fits.reps_per_job} a job` : ""]);
    rows.push([mem[0], mem[1] ?? "not given", used.max_rss ? `${bytes(used.max_rss)} (largest process)` : "not known", mem[2] ?? "not known"]);
    rows.push(["CPUs of a job", String(asked.cpus), used.cpus !== null ? `${number(used.cpus)} busy by a repetition, ${asked.reps_in_parallel} side by side` : "not known", ""]);
  }
  const head = data.experiments.length > 1 ? `${experiment.name}: ` : "";
  return [
    rows.length > 0 && el("div", { class: "card" }, el("h3", {}, `${head}requested and used`), table(["", "requested", "used", "would fit"], rows, { caption: "What was requested, used, and would fit" }), advice.notes.map((note) => el("p", { class: "quiet" }, note)), el("p", { class: "quiet" }, "What would fit has a quarter added.")),
    el("div", { class: "grid" }, [
      histogram({ units: [1, 60, 3600, 86400], title: `${head}time`, name: `${experiment.name} time`, of: done.map((rep) => reps.seconds[rep] ?? NaN), text: duration, label: "time of a repetition", limit: asked && asked.reps_per_job === asked.reps_in_parallel ? asked.time_seconds ?? NaN : NaN }),
      histogram({ units: [1, 1024, 1024 ** 2, 1024 ** 3, 1024 ** 4], title: `${head}memory`, name: `${experiment.name} memory`, of: done.map((rep) => reps.rss[rep] ?? NaN), text: bytes, label: "largest process of a repetition", limit: NaN }),
      histogram({ title: `${head}busy CPUs`, name: `${experiment.name} CPU`, of: done.map((rep) => (reps.seconds[rep] > 0 && reps.cpu[rep] !== null ? reps.cpu[rep] / reps.seconds[rep] : NaN)), text: number, label: "CPUs busy on average", limit: asked ? Math.max(1, Math.floor(asked.cpus / asked.reps_in_parallel)) : NaN }),
    ].filter(Boolean)),
  ].filter(Boolean);
};

section("cost", "Cost", { render: () => [waste(), data.experiments.flatMap(usage)] });
