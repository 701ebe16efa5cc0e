// The table of results: a row a run. Sorted by its heads, filtered by words, copied as CSV, opened to its repetitions.

const PAGE = 50;
const tableState = { sort: null, descending: false, filter: "", shown: PAGE, open: new Set() };

// `width=64 lr>0.01 adam`: conditions on parameters and metrics, and words that occur in the row.
const condition = (text) => {
  const match = /^([^<>=!\s]+)\s*(<=|>=|!=|=|<|>)\s*(.+)$/.exec(text);
  return match ? { name: match[1], operator: match[2], value: match[3] } : { word: text.toLowerCase() };
};

const holds = (row, { name, operator, value, word }) => {
  if (word !== undefined) return row.text.includes(word);
  const cell = row.cells.find((cell) => cell.name === name);
  if (!cell) return false;
  const [a, b] = [Number(cell.value), Number(value)];
  const both = value.trim() !== "" && Number.isFinite(a) && Number.isFinite(b) && cell.value !== null;
  switch (operator) {
    case "=": return both ? a === b : shown(cell.value) === value;
    case "!=": return both ? a !== b : shown(cell.value) !== value;
    case "<": return both && a < b;
    case ">": return both && a > b;
    case "<=": return both && a <= b;
    default: return both && a >= b;
  }
};

const tableRows = () => {
  const experiment = current();
  const names = experiment.metrics;
  const numbers = names.map((name) => values(experiment, name));
  return experiment.runs.map((run) => {
    const used = run.reps.filter(counts);
    const metrics = numbers.map((of) => summary(used.map((rep) => of[rep])));
    const states = tally(run.reps);
    const time = mean(finite(used.map((rep) => reps.seconds[rep] ?? NaN)));
    const versions = [...new Set(run.reps.map((rep) => reps.code[rep]).filter((code) => code !== null && code !== undefined))];
    const code = versions.length === 1 ? codeName(data.code[versions[0]]) : versions.length > 1 ? "mixed" : "";
    const notes = states.filter((state) => state.kind !== "good").map((state) => `${state.count} ${state.word}`).concat(run.notes ?? []).join(", ");
    const cells = [
      ...experiment.params.map((name, i) => ({ kind: "parameter", name, value: run.params[i] ?? null })),
      ...names.map((name, i) => ({ kind: "metric", name, value: metrics[i].mean, spread: metrics[i] })),
      { kind: "count", name: "N", value: used.length },
      { kind: "time", name: "time", value: time },
      { kind: "text", name: "code", value: code },
      { kind: "text", name: "notes", value: notes },
    ];
    if (!experiment.params.length) cells.unshift({ kind: "text", name: "run", value: run.name });
    // A parameter and a metric may have one name.
    for (const cell of cells) cell.key = `${cell.kind} ${cell.name}`;
    return { run, cells, text: [run.name, ...cells.map((cell) => `${cell.name}=${shown(cell.value)}`)].join(" ").toLowerCase() };
  });
};

const codeName = (version) => (version ? (version.commit ? version.commit.slice(0, 8) + (version.dirty ? "+" : "") : "") : "");

const results = () => {
  const experiment = current();
  const all = tableRows();
  const head = all[0]?.cells ?? [], columns = head.map((cell) => cell.key);
  const own = `metric ${view.metric}`;
  if (!columns.includes(tableState.sort)) (tableState.sort = columns.includes(own) ? own : columns[0]), (tableState.descending = view.goal === "max" && tableState.sort === own);
  const best = ranked(experiment)[0]?.run;
  const body = el("tbody"), status = el("span", { class: "quiet", role: "status" });
  const more = action("Show more", () => { tableState.shown += 200; fill(); });
  let chosen = [];
  const select = () => {
    const conditions = tableState.filter.trim().replace(/\s*(<=|>=|!=|=|<|>)\s*/g, "$1").split(/\s+/).filter(Boolean).map(condition);
    const place = columns.indexOf(tableState.sort);
    const sign = tableState.descending ? -1 : 1;
    const missing = (value) => value === null || value === "" || Number.isNaN(value);
    chosen = all.filter((row) => conditions.every((one) => holds(row, one))).sort((a, b) => {
      const [x, y] = [a.cells[place]?.value ?? null, b.cells[place]?.value ?? null];
      // What is not known stands at the end, whichever way the rest goes.
      if (missing(x) || missing(y)) return missing(x) - missing(y);
      return sign * (typeof x === "number" && typeof y === "number" ? x - y : shown(x).localeCompare(shown(y), "en", { numeric: true }));
    });
  };
  const cellNode = ({ kind, value, spread }) => {
    if (spread) return el("td", { class: "number", title: spread.n > 1 ? `n = ${spread.n}, 95 % interval ± ${number(spread.half)}` : null }, plusMinus(spread.mean, spread.sd));
    if (kind === "time") return el("td", { class: "number" }, duration(value));
    return el("td", { class: typeof value === "number" ? "number" : null }, value === null || Number.isNaN(value) ? "–" : brief(value, 60));
  };
  const detail = (row) => {
    const rows = row.run.reps.map((rep) => [String(reps.rep[rep]), stateOf.get(data.states[reps.state[rep]])?.word ?? "", ...experiment.metrics.map((name) => number(values(experiment, name)[rep])), duration(reps.seconds[rep] ?? NaN), reps.dir[rep]]);
    return el("tr", { class: "detail" }, el("td", { colspan: columns.length + 1 }, table(["repetition", "state", ...experiment.metrics, "time", "directory"], rows, { numeric: experiment.metrics.map((_, i) => i + 2).concat(experiment.metrics.length + 2), caption: `Repetitions of ${row.run.name}` })));
  };
  const fill = () => {
    select();
    body.replaceChildren(...chosen.slice(0, tableState.shown).flatMap((row) => {
      const open = tableState.open.has(row.run.index);
      const opener = el("button", { type: "button", class: "opener", "aria-expanded": String(open), "aria-label": `Repetitions of ${row.run.name}`, title: row.run.name, onclick: () => { open ? tableState.open.delete(row.run.index) : tableState.open.add(row.run.index); fill(); body.querySelector(`[data-run="${row.run.index}"] button`)?.focus(); } }, open ? "▾" : "▸");
      const line = el("tr", { class: row.run === best ? "best" : null, "data-run": row.run.index }, el("td", {}, opener, row.run === best && el("span", { class: "star", title: "the best" }, "★")), row.cells.map(cellNode));
      return open ? [line, detail(row)] : [line];
    }));
    status.textContent = chosen.length === all.length ? plural(all.length, "run") : `${whole(chosen.length)} of ${plural(all.length, "run")}`;
    more.hidden = chosen.length <= tableState.shown;
  };
  const heads = head.map(({ key, name }, place) => {
    const button = el("button", { type: "button", onclick: () => {
      if (tableState.sort === key) tableState.descending = !tableState.descending;
      else (tableState.sort = key), (tableState.descending = key === own && view.goal === "max");
      mark();
      fill();
    } }, name);
    return el("th", { scope: "col", "data-name": name, class: all.some((row) => typeof row.cells[place].value === "number") ? "number" : null }, button);
  });
  const mark = () => heads.forEach((head, i) => { if (columns[i] === tableState.sort) head.setAttribute("aria-sort", tableState.descending ? "descending" : "ascending"); else head.removeAttribute("aria-sort"); });
  const filter = el("input", { type: "search", id: "filter", placeholder: "width=64 lr>0.01", "aria-label": "Filter the rows", oninput: (event) => { tableState.filter = event.target.value; tableState.shown = PAGE; fill(); } });
  filter.value = tableState.filter;
  // More columns than a person reads: mean, deviation and number of each metric.
  const asCsv = () => csv([["run", ...head.flatMap(({ kind, name }) => (kind === "metric" ? [name, `${name} sd`, `${name} n`] : [name]))], ...chosen.map((row) => [row.run.name, ...row.cells.flatMap(({ value, spread }) => (spread ? [spread.mean, spread.sd, spread.n] : [value !== null && typeof value === "object" ? JSON.stringify(value) : value]))])]);
  mark();
  fill();
  return el("div", { class: "card" },
    el("div", { class: "bar" }, el("div", { class: "controls" }, el("label", { class: "control wide" }, el("span", {}, "filter"), filter), status), el("div", { class: "actions" }, action("Copy as CSV", (event) => copy(asCsv(), event.currentTarget)), action("Save CSV", () => save(asCsv(), "text/csv", `${fileName(experiment.name)}.csv`)))),
    el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Results" }, el("table", { id: "runs" }, el("caption", { class: "aside" }, `Results of ${experiment.name}, one row a run`), el("thead", {}, el("tr", {}, el("th", {}, el("span", { class: "aside" }, "repetitions")), heads)), body)), more);
};

section("results", "Results", {
  views: true,
  lead: "One row a run: mean ± sample standard deviation over its repetitions. A head sorts, ▸ opens the repetitions.",
  render: () => (current().runs.length ? results() : el("p", { class: "empty" }, "There is no run yet.")),
});
