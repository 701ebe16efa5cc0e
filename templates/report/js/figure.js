// A plot with its frame: heading, controls, the numbers as a table, the plot as a file. And what all plots share.

const SERIES = d3.range(10).map((i) => `var(--s${i})`);
const gradient = (t) => d3.interpolateViridis(0.05 + 0.87 * t);
// Black or white, whichever is read better on a colour.
const inkOn = (colour) => { const { l } = d3.lab(colour); return l > 62 ? "#10202b" : "#ffffff"; };

// Colours of some values: steps of one scale where they are numbers, else colours as different as can be.
const coloursOf = (list) => {
  const numeric = list.length > 2 && list.every((value) => typeof value === "number");
  return list.map((_, i) => (numeric || list.length > SERIES.length ? gradient(1 - i / Math.max(1, list.length - 1)) : SERIES[i]));
};

const plotDefaults = { style: { background: "none", fontFamily: "inherit", fontSize: "12px", overflow: "visible" } };
const tipStyle = { fill: "var(--card)", stroke: "var(--line)", fontSize: 12, lineHeight: 1.3 };

// Redraws what depends on the width when that changes.
const drawers = new Map();
const widths = new ResizeObserver((entries) => {
  for (const { target, contentRect } of entries) {
    const width = Math.floor(contentRect.width);
    const known = drawers.get(target);
    if (known && width > 0 && width !== known.width) (known.width = width), known.draw(width);
  }
});

// `alone`: it is all its section has, whose heading tells enough. `draw(width)` gives {plot, label, head, rows, note}: an SVG or nothing, what it shows in one sentence, its numbers, a remark.
const figure = ({ title, name, controls = [], draw, hint, alone = false }) => {
  const area = el("div", { class: "plot" });
  const note = el("p", { class: "quiet note" });
  const numbers = el("div", { class: "numbers", hidden: true });
  const toggle = action("Numbers", () => { numbers.hidden = !numbers.hidden; toggle.setAttribute("aria-expanded", String(!numbers.hidden)); fill(); }, "The numbers of this plot as a table");
  toggle.setAttribute("aria-expanded", "false");
  const frame = el("figure", { class: "card" },
    el("div", { class: "bar" }, el("h3", { class: alone ? "aside" : null }, title), el("div", { class: "controls" }, controls),
      el("div", { class: "actions" }, toggle, action("CSV", (event) => copy(csv([last.head, ...last.rows]), event.currentTarget), "Copy the numbers"), action("SVG", () => saveSvg(area.querySelector("svg"), name ?? title), "Save the plot"))),
    hint && el("p", { class: "quiet" }, hint), area, note, numbers);
  let last = { head: [], rows: [] };
  const fill = () => {
    if (numbers.hidden) return;
    const shownRows = last.rows.slice(0, 500);
    numbers.replaceChildren(table(last.head, shownRows.map((row) => row.map((cell) => (typeof cell === "number" ? number(cell) : cell ?? ""))), { caption: title, numeric: last.head.map((_, i) => i).filter((i) => shownRows.some((row) => typeof row[i] === "number")) }),
      last.rows.length > shownRows.length ? el("p", { class: "quiet" }, `The first 500 of ${whole(last.rows.length)} rows; “CSV” copies all.`) : "");
  };
  const render = (width) => {
    last = { head: [], rows: [], ...draw(width) };
    area.replaceChildren(last.plot ?? el("p", { class: "empty" }, last.label ?? "Nothing to show yet."));
    const svg = area.querySelector("svg");
    if (svg) svg.setAttribute("role", "img"), svg.setAttribute("aria-label", last.label ?? title);
    note.replaceChildren(...(last.note ? [last.note].flat() : []));
    note.hidden = !last.note;
    fill();
  };
  drawers.set(area, { draw: render, width: 0 });
  widths.observe(area);
  frame.redraw = () => { const known = drawers.get(area); known.width = Math.floor(area.clientWidth) || known.width || 720; render(known.width); };
  return frame;
};

// As a file, an SVG has neither this page's colours nor its fonts: they are written into it.
const saveSvg = (svg, name) => {
  if (!svg) return;
  save(standalone(svg), "image/svg+xml", `${fileName(name)}.svg`);
};

const standalone = (svg) => {
  const clone = svg.cloneNode(true);
  const from = [svg, ...svg.querySelectorAll("*")], to = [clone, ...clone.querySelectorAll("*")];
  from.forEach((node, i) => {
    const style = getComputedStyle(node);
    for (const key of ["fill", "stroke"]) {
      const wanted = node.getAttribute(key);
      if (wanted && /var\(|currentColor/.test(wanted)) to[i].setAttribute(key, style[key]);
    }
    to[i].removeAttribute("class");
  });
  clone.querySelectorAll("style").forEach((style) => style.remove());
  const style = getComputedStyle(svg);
  clone.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  clone.setAttribute("style", `color:${style.color};font-family:${style.fontFamily.replaceAll('"', "'")};font-size:12px;background:${getComputedStyle(document.body).getPropertyValue("--card").trim()}`);
  clone.setAttribute("fill", "currentColor");
  return `<?xml version="1.0" encoding="UTF-8"?>\n${new XMLSerializer().serializeToString(clone)}\n`;
};

// A remark that follows the pointer.
const tipNode = document.getElementById("tip");
const showTip = (event, text) => {
  tipNode.hidden = !text;
  if (!text) return;
  tipNode.textContent = text;
  const { offsetWidth, offsetHeight } = tipNode;
  tipNode.style.left = `${Math.min(event.clientX + 14, innerWidth - offsetWidth - 8)}px`;
  tipNode.style.top = `${event.clientY + 18 + offsetHeight > innerHeight ? event.clientY - offsetHeight - 10 : event.clientY + 18}px`;
};

// The sections, each drawn when it is its turn, and again when what it depends on changes.
const sections = [];
const section = (id, title, { lead, render, views = false, when = true }) => {
  if (!when) return;
  const body = el("div", { class: "body" });
  const node = el("section", { id, "aria-labelledby": `${id}-title` }, el("h2", { id: `${id}-title` }, title), lead && el("p", { class: "lead" }, lead), body);
  document.getElementById("main").append(node);
  sections.push({ id, title, node, views, render: () => body.replaceChildren(...[render()].flat(Infinity).filter(Boolean)) });
};
