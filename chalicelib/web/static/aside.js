// What a user typed into a form and has not sent. When something else takes its place, it is put aside and offered back.

import { element } from "./dom.js";
import { typedIn, typeInto } from "./fields.js";

/** Watch a form. `place` offers what was put aside. Once that is in the form again, `takenBack` is called with what
 * `beside` returned when it was put aside.
 */
export function watchTyping(form, place, takenBack, beside = () => null) {
  let typed = false;
  let aside = null; // the latest
  form.addEventListener("input", () => (typed = true));

  function offer() {
    const back = element("button", { type: "button", class: "quiet", onclick: takeBack }, "Take it back");
    place.replaceChildren(...(aside ? [element("p", { class: "note" }, "What you typed is put aside. ", back)] : []));
  }

  const whatIsTyped = () => ({ text: typedIn(form), beside: beside() });

  function takeBack() {
    const back = aside;
    aside = typed ? whatIsTyped() : null;
    typeInto(form, back.text);
    typed = true;
    offer();
    takenBack(back.beside);
    form.querySelector(":read-write").focus();
  }

  /** Put aside what the user has typed, if anything: something else is about to take its place. */
  function putAside() {
    if (typed && Object.values(typedIn(form)).some(Boolean)) aside = whatIsTyped();
    typed = false;
    offer();
  }

  /** Go on with what `state` returned, or with nothing. */
  function restore(state) {
    ({ typed, aside } = state ?? { typed: false, aside: null });
    offer();
  }

  /** Note that this text was sent. What was typed meanwhile was not. */
  function sent(text) {
    if (JSON.stringify(typedIn(form)) === JSON.stringify(text)) typed = false;
  }

  return { putAside, restore, sent, state: () => ({ typed, aside }) };
}
