// Tabs, filters, sorting, and a link that brings them back. Values that are missing stay last.
const $$ = (query, within = document) => [...within.querySelectorAll(query)];
const sections = $$("main > section");
const form = document.getElementById("filters");
const other = { ascending: "descending", descending: "ascending" };
let tab = sections[0].id;
let sorted = "";

const key = (row, column) => {
  const cell = row.cells[column];
  if (column === 0) return cell.querySelector("bdi").textContent;
  return "value" in cell.dataset ? Number(cell.dataset.value) : null;
};
const compare = (a, b) => (typeof a === "string" ? a.localeCompare(b) : a - b);
const sort = (table, column, order) => {
  const heads = [...table.tHead.rows[0].cells];
  for (const each of heads) each.ariaSort = null;
  heads[column].ariaSort = order;
  const sign = order === "ascending" ? 1 : -1;
  const body = [...table.tBodies].pop();
  const rows = [...body.rows].map((row) => [key(row, column), row]);
  rows.sort(([a], [b]) =>
    a === null || b === null ? (a === null) - (b === null) : sign * compare(a, b)
  );
  body.append(...rows.map(([, row]) => row));
};

const show = () => {
  const wanted = Object.fromEntries(new FormData(form));
  const name = wanted.system.toLowerCase();
  for (const section of sections) section.hidden = section.id !== tab;
  for (const link of $$("nav.tabs a")) {
    link.toggleAttribute("aria-current", link.hash === `#${tab}`);
  }
  for (const board of $$(".board")) {
    board.hidden = ["split", "protocol"].some((f) => wanted[f] && wanted[f] !== board.dataset[f]);
    for (const row of $$("tbody tr", board)) {
      row.hidden =
        (wanted.verification && wanted.verification !== row.dataset.verification) ||
        !row.cells[0].textContent.toLowerCase().includes(name);
    }
  }
  form.hidden = !$$(`#${tab} .board`).length;
  const rows = $$(`#${tab} .board:not([hidden]) tbody tr`);
  const seen = rows.filter((row) => !row.hidden).length;
  document.getElementById("count").textContent = rows.length ? `${seen} of ${rows.length} rows` : "";
};
const keep = () => {
  const set = [...new FormData(form), ["sort", sorted]].filter(([, value]) => value);
  history.replaceState(null, "", `#${[tab, new URLSearchParams(set)].filter(String).join("&")}`);
};
const restore = () => {
  const [id, ...rest] = location.hash.slice(1).split("&");
  const set = new URLSearchParams(rest.join("&"));
  tab = (sections.find((section) => section.id === id) ?? sections[0]).id;
  for (const field of form.elements) if (field.name) field.value = set.get(field.name) ?? "";
  sorted = set.get("sort") ?? "";
  const [board, name, order] = sorted.split("~");
  const table = order in other && document.getElementById(board)?.parentElement.querySelector("table");
  if (table) {
    const column = [...table.tHead.rows[0].cells].findIndex((c) => c.dataset.name === name);
    if (column >= 0) sort(table, column, order);
  }
  show();
};

for (const table of $$("table")) {
  const board = table.getAttribute("aria-labelledby");
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    button.append(...$$(".label, small", head));
    head.prepend(button);
    button.addEventListener("click", () => {
      const order = other[head.ariaSort] ?? head.dataset.first ?? "ascending";
      sort(table, column, order);
      sorted = [board, head.dataset.name, order].join("~");
      keep();
    });
  });
}
for (const link of $$("nav.tabs a")) {
  link.addEventListener("click", (event) => {
    event.preventDefault();
    tab = link.hash.slice(1);
    keep();
    show();
  });
}
form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("input", () => { keep(); show(); });
addEventListener("hashchange", restore);
restore();
