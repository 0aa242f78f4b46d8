// For operators: correcting and removing a dragon, provided it is still the one that they saw (`If-Match`). What was typed
// is kept until it is saved or given up: Escape and a reload lose nothing.

import { call } from "./api.js";
import { askTwice, byId, element } from "./dom.js";
import { dragonFields, dragonIn, fillIn } from "./dragons.js";
import { clearFaults, showProblem, typedIn, typeInto } from "./fields.js";
import { draftOf, keepDraft } from "./kept.js";
import { session } from "./session.js";

const dialog = byId("editor");
const form = byId("editor-form");
const box = byId("editor-problem");
const opened = { reference: "", etag: "" };
let calm = () => {};
let tell = () => {}; // whoever opened the dialog

/** Wire the dialog's controls. */
export function wireEditor() {
  byId("editor-fields").append(...dragonFields("editor-"));
  form.elements.namedItem("/dragon_name_str").readOnly = true; // a dragon is corrected, not renamed
  byId("editor-close").addEventListener("click", giveUp);
  form.addEventListener("input", keepTyped);
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
  Object.assign(opened, { reference, etag: "" });
  tell = changed;
  calm();
  clearFaults(form, box);
  form.reset();
  dialog.showModal();
  try {
    const answer = await call("GET", reference);
    if (opened.reference !== reference) return; // another dragon has been opened since
    opened.etag = answer.headers.get("ETag");
    fillIn(form, answer.value);
    goOn();
    form.querySelector(":read-write").focus(); // the first field that may be changed
  } catch (error) {
    showProblem(error, box);
  }
}

/** Keep what is typed, with the version of the dragon that it began with. There is nothing to correct before it is read. */
function keepTyped() {
  const { reference, etag } = opened;
  if (!etag) return;
  keepDraft("corrections", reference, { etag: draftOf("corrections", reference)?.etag ?? etag, typed: typedIn(form) });
}

/** Fill in what was typed before, if it was for this dragon, and say so. */
function goOn() {
  const draft = draftOf("corrections", opened.reference);
  if (!draft) return;
  const { etag, typed } = draft;
  typeInto(form, typed);
  const changed = etag === opened.etag ? "" : " The dragon was changed since: compare the two before you save.";
  box.replaceChildren(element("p", { class: "note" }, `This is what you typed before.${changed} Cancel forgets it.`));
}

/** Close the dialog, and forget what was typed. */
function giveUp() {
  keepDraft("corrections", opened.reference, null);
  dialog.close();
}

async function send(method, body) {
  const { reference, etag } = opened;
  const told = tell;
  clearFaults(form, box);
  try {
    await call(method, reference, { headers: { "If-Match": etag }, body });
    keepDraft("corrections", reference, null);
    if (opened.reference !== reference) return; // another dragon has been opened since
    dialog.close();
    told(method === "DELETE");
  } catch (error) {
    if (opened.reference === reference) showProblem(error, box, form);
  }
}
