// Which code ran, what differed from its commit, and the configuration.

const diffText = (text) => {
  const kinds = { "+": "added", "-": "removed", "@": "place", d: "file", i: "file" };
  const pre = el("pre", { class: "diff", tabindex: 0 });
  const lines = text.split("\n");
  for (const line of lines.slice(0, 5000)) {
    const kind = line.startsWith("+++") || line.startsWith("---") ? "file" : kinds[line[0]];
    pre.append(kind ? el("span", { class: kind }, line) : line, "\n");
  }
  if (lines.length > 5000) pre.append(`… ${whole(lines.length - 5000)} lines more`);
  return pre;
};

// What is long is drawn when it is opened.
const opened = (summary, make) => {
  const node = el("details", { class: "long" }, el("summary", {}, summary));
  const fill = () => { if (node.open && node.children.length === 1) node.append(make()); };
  node.addEventListener("toggle", fill);
  addEventListener("beforeprint", () => { if (node.dataset.print !== undefined) (node.open = true), fill(); });
  return node;
};

const versionCard = (version) => {
  const title = version.commit ? el("code", {}, version.commit.slice(0, 12)) : "no commit is known";
  const facts = [version.branch && `branch ${version.branch}`, version.dirty === true ? "with uncommitted changes" : version.dirty === false ? "clean" : null, version.plans.length && `${version.plans.length === 1 ? "plan" : "plans"} ${version.plans.join(", ")}`, version.created, plural(version.reps, "repetition")].filter(Boolean);
  return el("article", { class: "card" }, el("h3", {}, title), el("p", { class: "quiet" }, facts.join(" · ")),
    version.diff && opened(`the changes (${plural(version.diff.split("\n").length, "line")}${version.cut ? ", cut" : ""})`, () => diffText(version.diff)),
    version.notes.map((note) => el("p", { class: "quiet" }, note)));
};

section("code", "Code", {
  render: () => {
    const used = data.code.filter((version) => version.commit || version.notes.length);
    if (!used.length) return nothing("Nothing is known of the code: no plan is here, or git was not asked.");
    return [new Set(data.code.filter((version) => version.reps > 0).map((version) => `${version.commit} ${version.diff ?? ""}`)).size > 1 && el("p", { class: "lead" }, "These repetitions ran more than one version of the code: compare them with care."), used.map(versionCard)];
  },
});

section("configuration", "Configuration", {
  render: () => (data.config.length ? data.config.map(({ file, text, plans }) => el("article", { class: "card" }, el("div", { class: "bar" }, el("h3", {}, el("code", {}, file)), el("span", { class: "quiet" }, plans.length ? `${plans.length === 1 ? "plan" : "plans"} ${plans.join(", ")}` : ""), el("div", { class: "actions" }, action("Copy", (event) => copy(text, event.currentTarget)))), el("pre", { tabindex: 0 }, text))) : nothing("No configuration is here.")),
});
