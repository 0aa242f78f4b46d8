// What a dragon looks like on a page: its fields, its family's colour, its place in one line.

import { element } from "./dom.js";
import { field } from "./fields.js";

const FAMILIES = new Set(["red", "green", "blue", "gold", "black", "white", "silver", "purple"]);

const FIELDS = [
  ["dragon_name_str", "Name", { maxlength: 64 }],
  ["family_str", "Family", { maxlength: 32, list: "families" }],
  ["description_str", "Description", { maxlength: 1000, tag: "textarea", rows: 3 }],
  ["location_neighborhood_str", "Neighbourhood", { maxlength: 100 }],
  ["location_city_str", "City", { maxlength: 100 }],
  ["location_state_str", "State or region", { maxlength: 100 }],
  ["location_country_str", "Country", { maxlength: 100 }],
];

/** Return the class that gives something a family's colour. */
export const familyClass = (family) => (FAMILIES.has(family.toLowerCase()) ? `family-${family.toLowerCase()}` : "family-other");

/** Return a family's name with its colour. */
export const familyMark = (family) => element("span", { class: `family ${familyClass(family)}` }, family);

/** Return where a dragon lives, in one line. */
export function placeOf(dragon) {
  const parts = ["neighborhood", "city", "state", "country"].map((part) => dragon[`location_${part}_str`]);
  return parts.filter((part, index) => part && part !== parts[index - 1]).join(", ");
}

/** Return the form fields of a dragon; their ids begin with `prefix`. */
export const dragonFields = (prefix) =>
  FIELDS.map(([name, label, attributes]) => field(prefix + name, `/${name}`, label, { required: true, ...attributes }));

/** Put a dragon into a form's fields. */
export function fillIn(form, dragon) {
  for (const [name] of FIELDS) form.elements.namedItem(`/${name}`).value = dragon[name];
}

/** Return the dragon that a form's fields hold. */
export const dragonIn = (form) => Object.fromEntries(FIELDS.map(([name]) => [name, form.elements.namedItem(`/${name}`).value]));

/** Return an invented dragon. */
export function exampleDragon() {
  const [city, neighborhood, state, country] = oneOf([
    ["Porto", "Ribeira", "Norte", "Portugal"],
    ["Bergen", "Nordnes", "Vestland", "Norway"],
    ["Kyoto", "Gion", "Kansai", "Japan"],
    ["Valparaíso", "Cerro Alegre", "Valparaíso", "Chile"],
    ["Galway", "Claddagh", "Connacht", "Ireland"],
  ]);
  const first = oneOf(["Ash", "Bramble", "Cinder", "Dusk", "Fern", "Gale", "Kiln", "Lumen", "Marl", "Quill", "Sable", "Thistle"]);
  const last = oneOf(["berry", "bright", "fell", "gleam", "holt", "mantle", "reed", "song", "tail", "thorn", "wick", "wing"]);
  return {
    dragon_name_str: first + last,
    family_str: oneOf(["red", "green", "blue", "gold", "black", "white"]),
    description_str: oneOf([
      "Naps on the tram depot's roof and answers to whistling.",
      "Keeps a library of weathervanes, sorted by wind.",
      "Seen at dawn over the harbour, carrying bread.",
      "Warms the school bus on frosty mornings.",
    ]),
    location_city_str: city,
    location_country_str: country,
    location_neighborhood_str: neighborhood,
    location_state_str: state,
  };
}

const oneOf = (choices) => choices[Math.floor(Math.random() * choices.length)];
