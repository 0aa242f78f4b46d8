// What a user typed into a form and has not sent. When something else takes its place, it is put aside and offered back.

import { element } from "./dom.js";
import { typedIn, typeInto } from "./fields.js";

/** Watch a form. `place` offers what was put aside, and `takenBack` is called once it is in the form again. */
export function watchTyping(form, place, takenBack) {
  let typed = false;
  let aside = null;
  form.addEventListener("input", () => (typed = true));

  function offer() {
    const back = element("button", { type: "button", class: "quiet", onclick: takeBack }, "Take it back");
    place.replaceChildren(...(aside ? [element("p", { class: "note" }, "What you typed is put aside. ", back)] : []));
  }

  function takeBack() {
    typeInto(form, aside);
    restore({ typed: true, aside: null });
    takenBack();
  }

  /** Go on with what `state` returned, or with nothing. */
  function restore(state) {
    ({ typed, aside } = state ?? { typed: false, aside: null });
    offer();
  }

  /** Put aside what the user has typed, if anything: something else is about to take its place. */
  function putAside() {
    if (typed) aside = typedIn(form);
    typed = false;
    offer();
  }

  return { putAside, restore, sent: () => (typed = false), state: () => ({ typed, aside }) };
}
