// One dragon's page.

import { call } from "./api.js";
import { byId, element, facts } from "./dom.js";
import { addressParts, familyClass, familyMark, furtherFields } from "./dragons.js";
import { correct } from "./editor.js";
import { copyLink, empty, linkButton } from "./lists.js";
import { address, go, instead } from "./routes.js";
import { session } from "./session.js";

/** Show the dragon that the address names. */
export async function showDragon({ id: name }, signal) {
  const place = byId("dragon-shown");
  byId("dragon-heading").textContent = name;
  place.setAttribute("aria-busy", "true");
  try {
    const { value } = await call("GET", `dragons/${encodeURIComponent(name)}`);
    if (!signal.aborted) place.replaceChildren(page(value));
  } catch (error) {
    if (signal.aborted) return;
    place.replaceChildren();
    if (error.status !== 404 && error.status !== 400) throw error;
    place.replaceChildren(nothing(name));
  } finally {
    place.removeAttribute("aria-busy");
  }
}

function page(dragon) {
  const { dragon_name_str: name, family_str: family, description_str: description } = dragon;
  return element(
    "article",
    { class: `sheet ${familyClass(family)}` },
    element("p", { class: "crumb" }, element("a", { href: address("dragons") }, "Dragons")),
    element("p", { class: "name", "aria-hidden": "true" }, name), // the heading is there from the start, for the focus
    element("p", {}, element("a", { href: address("dragons", "", { family }), class: "chip" }, familyMark(family))),
    element("p", { class: "description" }, description),
    element(
      "div",
      { class: "where" },
      element("h3", {}, "Where it lives"),
      facts(addressParts.map(({ name: part, label }) => [label, dragon[part]])),
    ),
    furtherFields.length ? facts(furtherFields.map(({ name: further, label }) => [label, dragon[further]])) : null,
    element(
      "p",
      { class: "buttons" },
      session.isOperator ? correction(name) : null,
      copyLink(),
      element("button", { type: "button", class: "quiet", onclick: () => print() }, "Print"),
    ),
    element("p", { class: "printed" }, location.href),
  );
}

const correction = (name) => {
  const label = `Correct or remove ${name}`;
  return element("button", { type: "button", "aria-label": label, onclick: () => correct(name, changed) }, "Correct");
  function changed(removed) {
    if (removed) go(address("dragons"));
    else instead(address("dragons", name));
  }
};

const nothing = (name) =>
  empty(
    `No dragon is called ${name}.`,
    "It may have been removed, or nobody has reported it yet.",
    linkButton(address("reports", "new", { name }), `Report ${name}`, ""),
    linkButton(address("dragons", "", { namePrefix: [...name][0] }), `Names that begin with ${[...name][0]}`),
  );
