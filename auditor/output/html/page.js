"use strict";
const root = document.documentElement;
const byId = (id) => document.getElementById(id);

// ---- light or dark ----

const theme = byId("theme");
const dark = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (root.dataset.theme ?? (dark.matches ? "dark" : "light")) === "dark";
const showTheme = () => theme.setAttribute("aria-pressed", String(isDark()));
theme.hidden = false;
theme.addEventListener("click", () => {
  root.dataset.theme = isDark() ? "light" : "dark";
  showTheme();
});
dark.addEventListener("change", showTheme);
showTheme();

// ---- the index of many reports ----

if (byId("index")) {
  const table = byId("table");
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const linkOf = (row) => row.cells[0].firstElementChild;
  const visible = () => [...body.rows].filter((row) => !row.hidden);
  const texts = new Map(rows.map((row) => [row, `${row.textContent} ${row.dataset.path}`.toLowerCase()]));

  function filter() {
    const verdicts = new Set([...document.querySelectorAll("input[name=verdict]:checked")].map((box) => box.value));
    const rule = byId("rule").value;
    const words = byId("words").value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const row of rows) {
      row.hidden = !verdicts.has(row.dataset.verdict)
        || (rule !== "" && !row.dataset.rules.split(" ").includes(rule))
        || !words.every((word) => texts.get(row).includes(word));
      count += row.hidden ? 0 : 1;
    }
    byId("shown").value = `${count.toLocaleString("en")} of ${rows.length.toLocaleString("en")} shown`;
  }

  function sort(head) {
    const descending = head.getAttribute("aria-sort") === "ascending";
    const column = head.cellIndex;
    const order = new Intl.Collator("en", { numeric: head.dataset.kind === "text" });
    const value = (row) => row.cells[column].textContent;
    const compare = head.dataset.kind === "number" ? (a, b) => a - b : order.compare;
    const filled = rows.filter((row) => value(row) !== "");
    const empty = rows.filter((row) => value(row) === "");
    filled.sort((a, b) => (descending ? -1 : 1) * compare(value(a), value(b)));
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", descending ? "descending" : "ascending");
    body.append(...filled, ...empty);
  }

  for (const head of table.tHead.rows[0].cells) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    button.addEventListener("click", () => sort(head));
    head.append(button);
  }
  byId("controls").hidden = false;
  byId("controls").addEventListener("input", filter);
  filter();

  // A report is text until it is opened; what is written there was escaped when the page was made.
  const kept = [...document.querySelectorAll(".kept")];
  const titles = { index: document.title };
  let opened = null;

  function turnTo(link, row) {
    link.hidden = !row;
    if (row) link.setAttribute("href", linkOf(row).getAttribute("href"));
  }

  function open(report) {
    const packed = report.querySelector("noscript");
    if (packed) report.innerHTML = packed.textContent;
    const link = table.querySelector(`a[href="#${report.id}"]`);
    const order = visible();
    const place = order.indexOf(link.closest("tr"));
    turnTo(byId("previous"), order[place - 1]);
    turnTo(byId("next"), place < 0 ? undefined : order[place + 1]);
    document.title = `${report.querySelector(".title").textContent} - pgolf audit`;
    opened = link;
  }

  function route() {
    const hash = location.hash;
    if (hash !== "" && !/^#r\d+$/.test(hash)) return;
    const report = kept.find((each) => `#${each.id}` === hash);
    for (const each of kept) each.hidden = each !== report;
    byId("index").hidden = Boolean(report);
    byId("turn").hidden = !report;
    if (report) {
      open(report);
      scrollTo(0, 0);
      report.querySelector(".title").focus({ preventScroll: true });
    } else if (opened) {
      document.title = titles.index;
      opened.focus();
    }
  }
  addEventListener("hashchange", route);
  route();
}
