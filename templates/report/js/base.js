"use strict";
// Elements, numbers as text, and what goes to the clipboard or a file.
// Names, parameters and logs are data: they become text nodes and attributes here, and never HTML.

const el = (tag, props, ...children) => {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key === "style") for (const [name, text] of Object.entries(value)) node.style.setProperty(name, text);
    else if (value === true) node.setAttribute(key, "");
    else node.setAttribute(key, value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== undefined && child !== null && child !== false));
  return node;
};

const plural = (count, one, many = `${one}s`) => `${whole(count)} ${count === 1 ? one : many}`;

const whole = (count) => Math.round(count).toLocaleString("en");

// Four digits that mean something.
const number = (x) => {
  if (x === null || x === undefined || Number.isNaN(x)) return "–";
  if (!Number.isFinite(x)) return x > 0 ? "∞" : "−∞";
  const size = Math.abs(x);
  if (x === 0) return "0";
  if (size < 1e-4 || size >= 1e6) return x.toExponential(2).replace(/\.?0+e/, "e").replace("e+", "e").replace("-", "−").replace("e-", "e−");
  const text = Number.isInteger(x) ? String(x) : String(Number(x.toPrecision(4)));
  return text.replace("-", "−");
};

// The spread says how many digits of the mean do.
const plusMinus = (mean, spread) => {
  if (!Number.isFinite(mean) || !(spread > 0) || !Number.isFinite(spread)) return number(mean);
  const digits = 1 - Math.floor(Math.log10(spread));
  if (digits < 0 || digits > 7 || Math.abs(mean) >= 1e6) return `${number(mean)} ± ${number(spread)}`;
  return `${mean.toFixed(digits).replace("-", "−")} ± ${spread.toFixed(digits)}`;
};

const duration = (seconds) => {
  if (!Number.isFinite(seconds)) return "–";
  if (seconds < 10) return `${Number(seconds.toPrecision(2))} s`;
  const s = Math.round(seconds);
  const two = (n) => String(n).padStart(2, "0");
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)}m ${two(s % 60)}s`;
  if (s < 86400) return `${Math.floor(s / 3600)}h ${two(Math.floor((s % 3600) / 60))}m`;
  return `${Math.floor(s / 86400)}d ${two(Math.floor((s % 86400) / 3600))}h`;
};

const bytes = (count) => {
  if (!Number.isFinite(count)) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (count >= 1024 && unit < units.length - 1) (count /= 1024), unit++;
  return `${count >= 100 || unit === 0 ? Math.round(count) : Number(count.toPrecision(3))} ${units[unit]}`;
};

const percent = (share) => (share > 0 && share < 0.005 ? "< 1 %" : share < 1 && share > 0.995 ? "> 99 %" : `${Math.round(100 * share)} %`);

// Any value of a parameter as text.
const shown = (value) => (typeof value === "number" ? String(value) : value === null ? "null" : typeof value === "object" ? JSON.stringify(value) : String(value));

// The same where a person reads it: a number that was drawn at random has more digits than anybody wants.
const brief = (value, length = 28) => (typeof value === "number" && String(value).length > 8 ? number(value) : clipped(shown(value), length));

const clipped = (text, length = 48) => (text.length > length ? `${text.slice(0, length - 1)}…` : text);

const csv = (rows) =>
  rows.map((row) => row.map((cell) => { const text = cell === null || cell === undefined || Number.isNaN(cell) ? "" : String(cell); return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text; }).join(",")).join("\n") + "\n";

const copy = async (text, button) => {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Older browsers, and those that do not trust a file.
    const area = el("textarea", { class: "aside" }, text);
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  const label = button.textContent;
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = label; }, 1200);
};

const save = (text, type, name) => {
  const url = URL.createObjectURL(new Blob([text], { type }));
  el("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
};

const fileName = (text) => text.normalize("NFKD").replace(/[^\w.-]+/g, "-").replace(/^-+|-+$/g, "").slice(0, 80) || "plot";

// A labelled control; `options` are [value, label].
const choice = (label, options, value, onchange) => {
  const select = el("select", { onchange: (event) => onchange(event.target.value) }, options.map(([key, text]) => el("option", { value: key }, text)));
  select.value = value;
  return el("label", { class: "control" }, el("span", {}, label), select);
};

const tick = (label, checked, onchange) =>
  el("label", { class: "tick" }, el("input", { type: "checkbox", checked: checked || null, onchange: (event) => onchange(event.target.checked) }), el("span", {}, label));

const action = (label, onclick, title) => el("button", { type: "button", class: "action", onclick, title }, label);

// A table from rows of text or nodes, the first of which is the head; `numeric` tells the columns that are set right.
const table = (head, rows, { numeric = [], caption } = {}) =>
  el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption ?? "table" },
    el("table", {}, caption && el("caption", { class: "aside" }, caption),
      el("thead", {}, el("tr", {}, head.map((cell, i) => el("th", { scope: "col", class: numeric.includes(i) ? "number" : null }, cell)))),
      el("tbody", {}, rows.map((row) => el("tr", {}, row.map((cell, i) => el("td", { class: numeric.includes(i) ? "number" : null }, cell)))))));
