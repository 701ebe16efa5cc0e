// Why repetitions failed: like ones together, with what they said last and what they have in common.

const failureCard = (group) => {
  const some = group.reps.slice(0, 200);
  const list = el("details", {}, el("summary", {}, `${plural(group.reps.length, "repetition")}`));
  list.addEventListener("toggle", () => {
    if (list.open && list.children.length === 1) list.append(table(["run", "repetition", "directory"], some.map((rep) => [labelOf(data.runs[reps.run[rep]]), String(reps.rep[rep]), reps.dir[rep]]), { caption: "The failed repetitions", numeric: [1] }), group.reps.length > some.length ? el("p", { class: "quiet" }, `and ${whole(group.reps.length - some.length)} more`) : "");
  });
  return el("article", { class: "card failure", style: { "--c": `var(--${group.state})` } },
    el("h3", {}, el("span", { class: "count" }, whole(group.count)), ` ${stateOf.get(group.state)?.word ?? group.state}: ${group.reason}`),
    group.common.length > 0 && el("ul", { class: "common" }, group.common.map((text) => el("li", {}, text))),
    group.lines && el("pre", { tabindex: 0 }, group.lines),
    el("p", { class: "quiet" }, "e.g. ", el("code", {}, group.example)), list);
};

section("failures", "Failures", {
  render: () => {
    if (!data.failures.length) return el("p", { class: "empty" }, repCount && allReps.every(isFinished) ? "Nothing failed. 🌱" : "Nothing failed so far.");
    return [data.failures.map(failureCard), data.failures_left_out > 0 && el("p", { class: "quiet" }, `${plural(data.failures_left_out, "kind")} of failures more: \`cw2 status --failed\` tells all.`)];
  },
});
