// What nobody has used before, so that an example can be sent as it is filled in.

import { uuid } from "./api.js";

const FIRST = ["Ash", "Bramble", "Cinder", "Dusk", "Fern", "Gale", "Kiln", "Lumen", "Marl", "Quill", "Sable", "Thistle"];
const LAST = ["berry", "bright", "fell", "gleam", "holt", "mantle", "reed", "song", "tail", "thorn", "wick", "wing"];

/** Return one of the choices. */
export const oneOf = (choices) => choices[Math.floor(Math.random() * choices.length)];

/** Return a dragon's name. Words alone would soon meet a dragon that is in the registry already. */
export const freshName = () => `${oneOf(FIRST)}${oneOf(LAST)} ${uuid().slice(0, 6)}`;
