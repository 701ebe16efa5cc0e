// Puts the page together: head, contents, what is chosen for all sections, one section after the other; keeps the choice in the address.

const remember = () => {
  const state = new URLSearchParams({ e: current().name, m: view.metric ?? "", g: view.goal ?? "", k: view.kind, o: view.open ? "1" : "" });
  // A page that was opened from disk may not be allowed to.
  try { sessionStorage.setItem(`cw2 ${location.pathname}`, state.toString()); } catch { /* then the choice ends with the page */ }
};

const recall = () => {
  let state = new URLSearchParams();
  try { state = new URLSearchParams(sessionStorage.getItem(`cw2 ${location.pathname}`) ?? ""); } catch { /* nothing was kept */ }
  const place = data.experiments.findIndex((experiment) => experiment.name === state.get("e"));
  if (place >= 0) view.experiment = place;
  if (state.get("m")) (view.metric = state.get("m")), (view.goal = state.get("g") || null);
  if (state.get("k") === "best") view.kind = "best";
  view.open = state.get("o") === "1";
};

// Where the reader was before the page read itself again, or where a link leads to.
const ready = (number) => {
  if (number === 1) {
    let place = null;
    try { (place = sessionStorage.getItem("cw2 place")), sessionStorage.removeItem("cw2 place"); } catch { /* it begins at the top */ }
    if (place !== null) scrollTo({ top: Number(place), behavior: "instant" });
    else if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView({ behavior: "instant" });
  }
  document.documentElement.setAttribute("data-ready", String(number));
};

// Sections below are drawn when the browser has time; those that depend on the choice, again when it changes.
let turn = 0;
const renderAll = (only = () => true) => {
  const mine = ++turn;
  const queue = sections.filter(only);
  const next = () => {
    if (mine !== turn) return;
    const one = queue.shift();
    // Plots are drawn once the browser has told their widths: with the next frame.
    if (!one) return requestAnimationFrame(() => requestAnimationFrame(() => ready(mine)));
    one.render();
    setTimeout(next);
  };
  next();
};

const changed = () => {
  settle();
  remember();
  document.getElementById("choices").replaceWith(choices());
  document.documentElement.removeAttribute("data-ready");
  renderAll((one) => one.views);
};

const choices = () => {
  const experiment = current();
  const set = (key, after) => (value) => { view[key] = value; after?.(); changed(); };
  return el("div", { id: "choices", role: "group", "aria-label": "What all sections show" },
    data.experiments.length > 1 && choice("experiment", data.experiments.map((one, i) => [String(i), one.name]), String(view.experiment), (value) => { view.experiment = Number(value); view.goal = null; curveState.metric = null; changed(); }),
    experiment.metrics.length > 0 && choice("metric", experiment.metrics.map((name) => [name, name]), view.metric, set("metric", () => { view.goal = null; curveState.metric = null; })),
    experiment.metrics.length > 0 && choice("better is", [["max", "higher"], ["min", "lower"]], view.goal, set("goal")),
    experiment.metrics.length > 0 && choice("value", [["last", "the last"], ["best", "the best step"]], view.kind, set("kind")),
    experiment.metrics.length > 0 && tick("with unfinished ones", view.open, set("open")));
};

const themes = ["auto", "light", "dark"];
const setTheme = (name) => {
  if (name === "auto") document.documentElement.removeAttribute("data-theme");
  else document.documentElement.setAttribute("data-theme", name);
};

const header = () => {
  const themeButton = action("auto", (event) => {
    const next = themes[(themes.indexOf(event.currentTarget.textContent) + 1) % themes.length];
    event.currentTarget.textContent = next;
    setTheme(next);
  }, "Light, dark, or as the system says");
  const renewed = data.reload && el("span", { class: "live" }, `renewed every ${duration(data.reload)}`);
  return [el("div", { class: "bar" }, el("p", { class: "title" }, data.title), el("div", { class: "actions" }, renewed, themeButton)), el("h1", {}, headline()), el("p", { class: "quiet" }, `${plural(data.experiments.length, "experiment")}, ${plural(data.runs.length, "run")}, ${plural(repCount, "repetition")} · as of ${data.created}`)];
};

if (data.experiments.length) {
  recall();
  settle();
  document.getElementById("top").append(...header());
  document.getElementById("contents").append(el("ul", {}, sections.map(({ id, title }) => el("li", {}, el("a", { href: `#${id}` }, title)))), el("div", { id: "choices" }));
  document.getElementById("choices").replaceWith(choices());
  renderAll();
} else {
  document.getElementById("top").append(el("h1", {}, "Nothing has begun yet."));
}
document.getElementById("foot").append(el("p", { class: "quiet" }, `Made by cw2 ${data.cw2} from ${data.sources.join(", ")}. Drawn with Observable Plot and D3. This file needs no network, and may use none.`));
if (data.reload) {
  setTimeout(() => {
    try { sessionStorage.setItem("cw2 place", String(scrollY)); } catch { /* it begins at the top */ }
    location.reload();
  }, data.reload * 1000);
}

// Which section is being read.
const seen = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    const link = document.querySelector(`#contents a[href="#${target.id}"]`);
    if (link && isIntersecting) {
      document.querySelectorAll("#contents a[aria-current]").forEach((other) => other.removeAttribute("aria-current"));
      link.setAttribute("aria-current", "true");
    }
  }
}, { rootMargin: "-30% 0px -60% 0px" });
sections.forEach(({ node }) => seen.observe(node));
