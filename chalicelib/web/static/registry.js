// The registry: dragons as cards or as a table, a page at a time.

import { call, nextOf } from "./api.js";
import { byId, element, facts } from "./dom.js";
import { familyClass, familyMark, furtherFields, labelOf, placeOf } from "./dragons.js";
import { correct } from "./editor.js";
import { clearFaults, showProblem } from "./fields.js";
import { session } from "./session.js";

const PAGE_SIZE = 24;

const form = byId("filter");
const list = byId("dragons");
const box = byId("registry-problem");
const summary = byId("registry-summary");
const next = byId("next-page");
const start = byId("first-page");
const state = { dragons: [], next: null, page: 1, latest: 0 };

/** Wire the registry's controls. */
export function wireRegistry() {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    showFirstPage();
  });
  byId("clear-filter").addEventListener("click", () => {
    form.reset();
    showFirstPage();
  });
  for (const choice of document.querySelectorAll("[name=layout]")) choice.addEventListener("change", render);
  next.addEventListener("click", () => show(state.next, state.page + 1));
  start.addEventListener("click", showFirstPage);
  session.addEventListener("end", () => {
    Object.assign(state, { dragons: [], next: null, page: 1 });
    form.reset();
    byId("families").replaceChildren();
    render();
  });
}

/** Show the first page of the dragons that match the filter. */
export function showFirstPage() {
  const query = new URLSearchParams({ limit: PAGE_SIZE });
  for (const name of ["family", "dragonName"]) {
    const wanted = form.elements[name].value.trim();
    if (wanted) query.set(name, wanted);
  }
  return show(`dragons?${query}`, 1);
}

async function show(reference, page) {
  const number = ++state.latest;
  list.setAttribute("aria-busy", "true");
  try {
    const answer = await call("GET", reference);
    if (number !== state.latest) return; // another page has been asked for since
    clearFaults(form, box);
    Object.assign(state, { dragons: answer.value, next: nextOf(answer.headers), page });
    render();
    rememberFamilies();
  } catch (error) {
    clearFaults(form, box);
    showProblem(error, box, form);
  } finally {
    list.removeAttribute("aria-busy");
  }
}

function render() {
  const asTable = document.querySelector("[name=layout]:checked").value === "table";
  list.replaceChildren(state.dragons.length ? (asTable ? table() : cards()) : nothing());
  const count = state.dragons.length === 1 ? "1 dragon" : `${state.dragons.length} dragons`;
  summary.textContent = `${count} on page ${state.page}${state.next ? "; more follow" : ""}`;
  next.disabled = !state.next;
  start.disabled = state.page === 1;
}

const nothing = () => element("p", { class: "empty" }, "No dragon matches the filter.");

function cards() {
  return element(
    "ul",
    { class: "cards" },
    state.dragons.map((dragon) =>
      element(
        "li",
        { class: `card ${familyClass(dragon.family_str)}` },
        element("h3", {}, dragon.dragon_name_str),
        familyMark(dragon.family_str),
        element("p", {}, dragon.description_str),
        element("p", { class: "place" }, placeOf(dragon)),
        furtherFields.length ? facts(furtherFields.map(({ name, label }) => [label, dragon[name]])) : null,
        correction(dragon),
      ),
    ),
  );
}

function table() {
  const headings = [
    ...["dragon_name_str", "family_str", "description_str"].map(labelOf),
    "Where",
    ...furtherFields.map(({ label }) => label),
    ...(session.isOperator ? ["Change"] : []),
  ];
  return element(
    "div",
    { class: "scrolling", tabindex: 0, role: "region", "aria-label": "Dragons, as a table" },
    element(
      "table",
      {},
      element("thead", {}, element("tr", {}, headings.map((heading) => element("th", { scope: "col" }, heading)))),
      element("tbody", {}, state.dragons.map(row)),
    ),
  );
}

function row(dragon) {
  return element(
    "tr",
    {},
    element("th", { scope: "row" }, dragon.dragon_name_str),
    element("td", {}, familyMark(dragon.family_str)),
    element("td", {}, dragon.description_str),
    element("td", {}, placeOf(dragon)),
    furtherFields.map(({ name }) => element("td", {}, dragon[name])),
    session.isOperator ? element("td", {}, correction(dragon)) : null,
  );
}

function correction(dragon) {
  if (!session.isOperator) return null;
  const name = dragon.dragon_name_str;
  const label = `Correct or remove ${name}`;
  return element("button", { type: "button", class: "quiet", "aria-label": label, onclick: () => correct(name, again) }, "Correct");
}

const again = () => showFirstPage();

/** Suggest the families that have been seen; the API has no list of them. */
function rememberFamilies() {
  const known = byId("families");
  const names = new Set([...known.children].map((option) => option.value));
  for (const dragon of state.dragons) names.add(dragon.family_str);
  known.replaceChildren(...[...names].sort().map((value) => element("option", { value })));
}
