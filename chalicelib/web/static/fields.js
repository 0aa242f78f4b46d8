// Form fields, and the faults that the API finds in them. A field's name is what the API calls its place: a JSON
// pointer without its `#` (`/metadata/company_id`), or a query parameter.

import { SignedOut } from "./api.js";
import { element } from "./dom.js";

/** Return a labelled field. */
export function field(id, name, label, { hint, tag = "input", ...attributes } = {}) {
  const hintId = hint ? `${id}-hint` : undefined;
  return element(
    "p",
    { class: "field" },
    element("label", { for: id }, label),
    element(tag, { id, name, autocomplete: "off", "aria-describedby": hintId, ...attributes }),
    hint ? element("span", { id: hintId, class: "hint" }, hint) : null,
  );
}

/** Return what is typed into a form, by its fields' names. */
export const typedIn = (form) =>
  Object.fromEntries(named(form).map((control) => [control.name, control[valueOf(control)]]));

/** Put back what was typed. A field that is not among it stays as it is. */
export function typeInto(form, typed) {
  for (const control of named(form)) if (control.name in typed) control[valueOf(control)] = typed[control.name];
}

const named = (form) => [...form.elements].filter(({ name }) => name);
const valueOf = ({ type }) => (type === "checkbox" ? "checked" : "value");

/** Remove the problem and the faults that were shown before. */
export function clearFaults(form, box) {
  box.replaceChildren();
  for (const fault of form.querySelectorAll(".fault")) fault.remove();
  for (const control of form.querySelectorAll("[aria-invalid]")) {
    control.removeAttribute("aria-invalid");
    const hint = `${control.id}-hint`;
    if (document.getElementById(hint)) control.setAttribute("aria-describedby", hint);
    else control.removeAttribute("aria-describedby");
  }
}

/** Show a problem in the box and its faults at their fields. The first such field of the form gets the focus. */
export function showProblem(error, box, form = null) {
  if (error instanceof SignedOut) return;
  const elsewhere = [];
  for (const { pointer, parameter, header, detail } of error.errors ?? []) {
    const place = pointer?.slice(1) ?? parameter;
    const control = place && form?.elements.namedItem(place);
    if (control) {
      showFault(control, detail);
    } else {
      elsewhere.push(element("li", {}, element("code", {}, pointer ?? parameter ?? header ?? ""), ` ${detail}`));
    }
  }
  box.replaceChildren(
    element(
      "div",
      { class: "problem" },
      element("strong", {}, error.title ?? "Something broke on this page"),
      element("span", {}, error.message),
      elsewhere.length ? element("ul", {}, elsewhere) : null,
      error.requestId ? element("small", {}, "Request ", element("code", {}, error.requestId)) : null,
    ),
  );
  form?.querySelector("[aria-invalid]")?.focus();
  if (error.status === undefined) throw error; // not the API's error: the browser's console should show it too
}

function showFault(control, detail) {
  const id = `${control.id}-fault`;
  const described = [id, document.getElementById(`${control.id}-hint`)?.id].filter(Boolean).join(" ");
  control.setAttribute("aria-invalid", "true");
  control.setAttribute("aria-describedby", described);
  const known = document.getElementById(id);
  if (known) known.textContent += `; ${detail}`;
  else control.after(element("span", { id, class: "fault" }, detail));
}
