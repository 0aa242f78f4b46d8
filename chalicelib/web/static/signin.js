// The sign-in form, the same on every page: on the page itself, and on top of it if the user has to sign in again.

import { element } from "./dom.js";
import { NewPasswordTooLate, NewPasswordWanted, SignInRefused, SignInUnavailable, session } from "./session.js";

/** Make a form sign people in: fields `username`, `password`, `new_password`, and a `.refusal` that says why not.
 *
 * Whoever is signed in already, on an earlier page of this tab or in another tab, stays so: the session's `start` follows
 * as soon as the calling script has added its listeners.
 */
export function wireSignIn(form) {
  const { username, password, new_password: newPassword } = form.elements;
  const refusal = form.querySelector(".refusal");
  const button = form.querySelector("button");
  let challenge = null;

  function expectNewPassword(wanted) {
    challenge = wanted?.challenge ?? null;
    newPassword.disabled = newPassword.parentElement.hidden = !challenge;
    username.readOnly = password.parentElement.hidden = challenge !== null;
    if (challenge) newPassword.focus();
  }

  function clear() {
    form.reset();
    refusal.textContent = "";
    refusal.classList.remove("note");
    expectNewPassword(null);
  }

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    refusal.textContent = "";
    button.disabled = true;
    try {
      if (challenge) await session.startWithNewPassword(challenge, newPassword.value);
      else await session.start(username.value.trim(), password.value);
    } catch (error) {
      refusal.textContent = error.message;
      refusal.classList.toggle("note", error instanceof NewPasswordWanted);
      if (error instanceof NewPasswordWanted) expectNewPassword(error);
      else if (error instanceof NewPasswordTooLate) expectNewPassword(null);
      if (error instanceof SignInRefused) (challenge ? newPassword : password).focus();
      if (![NewPasswordWanted, SignInRefused, SignInUnavailable].some((kind) => error instanceof kind)) throw error;
    } finally {
      button.disabled = false;
    }
  });
  session.addEventListener("start", clear);
  session.addEventListener("renew", clear);
  session.addEventListener("end", ({ detail }) => {
    clear();
    refusal.textContent = detail;
  });
  wireInterruption(form);
  offerPeople(form, (person) => {
    clear();
    username.value = person.email;
    password.value = person.password;
    form.requestSubmit(button);
  });
  queueMicrotask(() => session.restore());
}

/** Lay the form on top of the page while the user has to sign in again, so that nothing they have typed is lost. */
function wireInterruption(form) {
  const place = document.createComment("the sign-in form");
  const dialog = element(
    "dialog",
    { class: "again", "aria-labelledby": "again-heading" },
    element("h2", { id: "again-heading" }, "Sign in again"),
    element("p", {}, "What you have typed is still here, and what you have sent goes on."),
    element("button", { type: "button", class: "quiet", onclick: () => session.end("You are signed out.") }, "Sign out"),
  );
  let hidden = false;

  function putBack() {
    if (!place.isConnected) return;
    place.replaceWith(form);
    form.hidden = hidden;
    dialog.close();
  }

  session.addEventListener("interrupt", ({ detail }) => {
    hidden = form.hidden;
    form.hidden = false;
    form.replaceWith(place);
    dialog.querySelector("p").after(form);
    form.elements.username.value = session.claims.email ?? "";
    form.querySelector(".refusal").textContent = detail;
    dialog.showModal();
    form.elements.password.focus();
  });
  dialog.addEventListener("close", () => place.isConnected && dialog.showModal()); // Escape closes it
  session.addEventListener("renew", putBack);
  session.addEventListener("end", putBack);
  document.body.append(dialog);
}

/** Offer the people of this folder, with one click each. Only the devstack's own server knows them. */
async function offerPeople(form, choose) {
  const { people } = document.documentElement.dataset;
  if (!people) return;
  const answer = await fetch(people);
  if (!answer.ok) return;
  const offers = (await answer.json()).map((person) =>
    element("button", { type: "button", class: "quiet", title: person.role, onclick: () => choose(person) }, person.name),
  );
  form.append(element("p", { class: "people" }, element("span", {}, "Or go in as one of this folder’s people:"), ...offers));
}
