// For operators: correcting and removing a dragon, provided it is still the one that they saw (`If-Match`).

import { call } from "./api.js";
import { askTwice, byId } from "./dom.js";
import { dragonFields, dragonIn, fillIn } from "./dragons.js";
import { clearFaults, showProblem } from "./fields.js";
import { session } from "./session.js";

const dialog = byId("editor");
const form = byId("editor-form");
const box = byId("editor-problem");
const opened = { reference: "", etag: "", changed: () => {} };
let calm = () => {};

/** Wire the dialog's controls. */
export function wireEditor() {
  byId("editor-fields").append(...dragonFields("editor-"));
  form.elements.namedItem("/dragon_name_str").readOnly = true; // a dragon is corrected, not renamed
  byId("editor-close").addEventListener("click", () => dialog.close());
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send("PUT", JSON.stringify(dragonIn(form)));
  });
  calm = askTwice(byId("editor-remove"), "Really remove it?", () => send("DELETE"));
  session.addEventListener("end", () => dialog.close());
}

/** Open the dialog for a dragon; `changed` is told once it has been corrected or removed, and whether it is gone. */
export async function correct(name, changed) {
  const reference = `dragons/${encodeURIComponent(name)}`;
  Object.assign(opened, { reference, etag: "", changed });
  calm();
  clearFaults(form, box);
  form.reset();
  dialog.showModal();
  try {
    const answer = await call("GET", reference);
    if (opened.reference !== reference) return; // another dragon has been opened since
    opened.etag = answer.headers.get("ETag");
    fillIn(form, answer.value);
    form.querySelector(":read-write").focus(); // the first field that may be changed
  } catch (error) {
    showProblem(error, box);
  }
}

async function send(method, body) {
  clearFaults(form, box);
  try {
    await call(method, opened.reference, { headers: { "If-Match": opened.etag }, body });
    dialog.close();
    opened.changed(method === "DELETE");
  } catch (error) {
    showProblem(error, box, form);
  }
}
