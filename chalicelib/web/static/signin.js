// The sign-in form, the same on every page.

import { NewPasswordWanted, SignInRefused, session } from "./session.js";

/** Make a form sign people in: fields `username`, `password`, `new_password`, and a `.refusal` that says why not. */
export function wireSignIn(form) {
  const { username, password, new_password: newPassword } = form.elements;
  const refusal = form.querySelector(".refusal");
  const button = form.querySelector("button");
  let challenge = null;

  function expectNewPassword(wanted) {
    challenge = wanted?.challenge ?? null;
    newPassword.disabled = newPassword.parentElement.hidden = !challenge;
    if (challenge) newPassword.focus();
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
      if (error instanceof NewPasswordWanted) expectNewPassword(error);
      else if (error instanceof SignInRefused) password.focus();
      else throw error;
    } finally {
      button.disabled = false;
    }
  });
  session.addEventListener("start", () => {
    form.reset();
    expectNewPassword(null);
  });
  session.addEventListener("end", ({ detail }) => (refusal.textContent = detail));
}
