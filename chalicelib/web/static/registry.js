// The registry: dragons found as one types, by family, as cards or as a table, a page at a time.

import { call, nextOf } from "./api.js";
import { byId, element, facts, pause, table } from "./dom.js";
import { familyClass, familyMark, furtherFields, labelOf, placeOf } from "./dragons.js";
import { counted, empty, linkButton, replaceEntries, showPages, walkWithArrows } from "./lists.js";
import { address, instead, route } from "./routes.js";

const PAGE_SIZE = 24;
const FAMILIES_MAX = 1000; // as many as the API lists at once; the largest of them are shown
const FAMILIES_SHOWN = 10;
const OF_THE_FIRST = `Of the first ${FAMILIES_MAX.toLocaleString()} families by name; there are more.`;
const TYPING_S = 0.12;

const field = byId("filter-name");
const list = byId("dragons-list");
let typed = 0;

/** Wire the registry's controls. */
export function wireRegistry() {
  byId("filter").addEventListener("submit", (event) => event.preventDefault());
  field.addEventListener("input", search);
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    field.value = "";
    search();
  });
  walkWithArrows(list, field);
}

async function search() {
  const number = ++typed;
  await pause(TYPING_S);
  const { view, query } = route();
  if (number === typed && view === "dragons")
    instead(address("dragons", "", { ...query, namePrefix: field.value.trimStart(), cursor: "", page: "" }));
}

/** Show the dragons that the address asks for. */
export async function showDragons(asked, signal) {
  const { query } = asked;
  if (document.activeElement !== field) field.value = query.namePrefix ?? "";
  showLayouts(query);
  list.setAttribute("aria-busy", "true");
  try {
    const wanted = { limit: PAGE_SIZE, ...only(query, ["family", "namePrefix", "cursor"]) };
    const [answer] = await Promise.all([
      call("GET", `dragons?${new URLSearchParams(wanted)}`),
      showFamilies(query, signal),
    ]);
    if (signal.aborted) return;
    const dragons = answer.value;
    replaceEntries(list, dragons.length ? (query.view === "table" ? asTable(dragons) : cards(dragons)) : nothing(query));
    const more = showPages(byId("dragons-pages"), asked, answer.headers);
    byId("dragons-summary").textContent = counted(dragons.length, "dragon", query, more);
  } finally {
    if (!signal.aborted) list.removeAttribute("aria-busy");
  }
}

function showLayouts(query) {
  for (const [id, view] of [
    ["as-cards", ""],
    ["as-table", "table"],
  ]) {
    const link = byId(id);
    link.setAttribute("href", address("dragons", "", { ...query, view }));
    if ((query.view ?? "") === view) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
}

async function showFamilies(query, signal) {
  const { value, headers } = await call("GET", `families?limit=${FAMILIES_MAX}`);
  if (signal.aborted) return;
  const wanted = query.family?.toLowerCase();
  const largest = value.toSorted((a, b) => b.count - a.count);
  const shown = largest.filter(
    ({ family_str }, index) => index < FAMILIES_SHOWN || family_str.toLowerCase() === wanted,
  );
  const others = largest.filter((family) => !shown.includes(family));
  const link = (family, ...content) => {
    const chosen = (wanted ?? "") === family.toLowerCase();
    const to = address("dragons", "", { ...query, family: chosen ? "" : family, cursor: "", page: "" });
    return element("a", { href: to, class: "chip", "aria-current": chosen ? "true" : null }, content);
  };
  const links = (families) =>
    families.map(({ family_str, count }) => link(family_str, familyMark(family_str), element("b", {}, String(count))));
  const rest = () =>
    element(
      "details",
      {},
      element("summary", { class: "chip" }, `${others.length} more`),
      element("p", { class: "chips" }, links(others)),
    );
  byId("families").replaceChildren(
    link("", "All"),
    ...links(shown),
    ...(others.length ? [rest()] : []),
    ...(nextOf(headers) ? [element("span", { class: "hint" }, OF_THE_FIRST)] : []),
  );
  byId("families").hidden = value.length < 2;
  byId("known-families").replaceChildren(...value.map(({ family_str }) => element("option", { value: family_str })));
}

function nothing(query) {
  const narrowed = Boolean(query.namePrefix || query.family);
  const by = [
    query.namePrefix && `whose name begins with “${query.namePrefix}”`,
    query.family && `of the family ${query.family}`,
  ].filter(Boolean);
  return narrowed
    ? empty(
        `There is no dragon ${by.join(" ")}.`,
        "Somebody has to see it first.",
        query.namePrefix && query.family
          ? linkButton(address("dragons", "", { ...query, family: "", cursor: "", page: "" }), "Look in every family")
          : null,
        linkButton(address("dragons", "", only(query, ["view"])), "Show all dragons"),
        query.namePrefix
          ? linkButton(address("reports", "new", { name: query.namePrefix }), `Report ${query.namePrefix}`)
          : null,
      )
    : empty(
        "The registry is empty.",
        "The first dragon is yours to report.",
        linkButton(address("reports", "new"), "Report a dragon", ""),
      );
}

const nameLink = ({ dragon_name_str: name }) =>
  element("a", { href: address("dragons", name), "data-entry": true }, name);

function cards(dragons) {
  return element(
    "ul",
    { class: "cards" },
    dragons.map((dragon) =>
      element(
        "li",
        { class: `card ${familyClass(dragon.family_str)}` },
        element("h3", {}, nameLink(dragon)),
        familyMark(dragon.family_str),
        element("p", {}, dragon.description_str),
        element("p", { class: "place" }, placeOf(dragon)),
        furtherFields.length ? facts(furtherFields.map(({ name, label }) => [label, dragon[name]])) : null,
      ),
    ),
  );
}

function asTable(dragons) {
  const headings = [
    ...["dragon_name_str", "family_str", "description_str"].map(labelOf),
    "Where",
    ...furtherFields.map(({ label }) => label),
  ];
  return element(
    "div",
    { class: "scrolling", tabindex: 0, role: "region", "aria-label": "Dragons, as a table" },
    table(null, headings, dragons.map(row)),
  );
}

function row(dragon) {
  return element(
    "tr",
    {},
    element("th", { scope: "row" }, nameLink(dragon)),
    element("td", {}, familyMark(dragon.family_str)),
    element("td", {}, dragon.description_str),
    element("td", {}, placeOf(dragon)),
    furtherFields.map(({ name }) => element("td", {}, dragon[name])),
  );
}

const only = (query, names) =>
  Object.fromEntries(names.filter((name) => query[name]).map((name) => [name, query[name]]));
