// What a dragon looks like on a page: its fields, its family's colour, its place in one line.

import { element } from "./dom.js";
import { field } from "./fields.js";
import { freshName, oneOf } from "./fresh.js";

const FAMILIES = new Set(["red", "green", "blue", "gold", "black", "white", "silver", "purple"]);

const LINE_MAX = 200; // a field that may be longer gets several lines

// As chalicelib/dragons/model.py declares them; chalicelib/web/pages.py puts them into the page.
const FIELDS = JSON.parse(document.documentElement.dataset.dragonFields);
const OF_ADDRESS = FIELDS.filter((field) => field.ofAddress);
const SHOWN_APART = new Set(["dragon_name_str", "family_str", "description_str"]);

/** The fields that are not shown in a way of their own. */
export const furtherFields = FIELDS.filter(({ name, ofAddress }) => !ofAddress && !SHOWN_APART.has(name));

/** The parts of a dragon's address, the nearest first. */
export const addressParts = OF_ADDRESS;

/** Return the label of a field. */
export const labelOf = (name) => FIELDS.find((field) => field.name === name).label;

/** Return the class that gives something a family's colour. */
export const familyClass = (family) =>
  FAMILIES.has(family.toLowerCase()) ? `family-${family.toLowerCase()}` : "family-other";

/** Return a family's name with its colour. */
export const familyMark = (family) => element("span", { class: `family ${familyClass(family)}` }, family);

/** Return where a dragon lives, in one line. */
export function placeOf(dragon) {
  const parts = OF_ADDRESS.map(({ name }) => dragon[name]);
  return parts.filter((part, index) => part && part !== parts[index - 1]).join(", ");
}

/** Return the form fields of a dragon; their ids begin with `prefix`. */
export const dragonFields = (prefix) =>
  FIELDS.map(({ name, label, lengthMax }) =>
    field(prefix + name, `/${name}`, label, {
      required: true,
      maxlength: lengthMax,
      list: name === "family_str" ? "known-families" : undefined,
      ...(lengthMax > LINE_MAX ? { tag: "textarea", rows: 3 } : {}),
    }),
  );

/** Put a dragon into a form's fields. */
export function fillIn(form, dragon) {
  for (const { name } of FIELDS) form.elements.namedItem(`/${name}`).value = dragon[name];
}

/** Return the dragon that a form's fields hold. */
export const dragonIn = (form) =>
  Object.fromEntries(FIELDS.map(({ name }) => [name, form.elements.namedItem(`/${name}`).value]));

/** Return an invented dragon: one of the declared examples, with a fresh name and any family. */
export function exampleDragon() {
  const which = oneOf([...FIELDS[0].examples.keys()]);
  return {
    ...Object.fromEntries(FIELDS.map(({ name, examples }) => [name, examples[which]])),
    dragon_name_str: freshName(),
    family_str: oneOf([...FAMILIES]),
  };
}
