// Who is signed in. This module alone holds the token: it is in no storage and no cookie, and is gone with the page.

const { cognitoEndpoint, clientId } = document.documentElement.dataset;

/** Cognito refused to sign somebody in; the message says why. */
export class SignInRefused extends Error {}

/** Cognito wants a new password before it signs somebody in for the first time. */
export class NewPasswordWanted extends Error {
  constructor(challenge) {
    super("Somebody else created this account for you. Choose your own password to continue.");
    this.challenge = challenge;
  }
}

class Session extends EventTarget {
  #held = null;
  #timer = 0;

  /** The claims of the user who is signed in, or null. They are for display only: the API decides what users may do. */
  get claims() {
    return this.#current()?.claims ?? null;
  }

  /** The ID token, or null. */
  get token() {
    return this.#current()?.token ?? null;
  }

  get company() {
    return this.claims?.["custom:company_id"] ?? "";
  }

  get isOperator() {
    return (this.claims?.["cognito:groups"] ?? []).includes("operators");
  }

  /** Sign in. Throws SignInRefused or NewPasswordWanted. */
  async start(username, password) {
    const answer = await cognito("InitiateAuth", {
      AuthFlow: "USER_PASSWORD_AUTH",
      ClientId: clientId,
      AuthParameters: { USERNAME: username, PASSWORD: password },
    });
    if (answer.ChallengeName === "NEW_PASSWORD_REQUIRED") throw new NewPasswordWanted({ username, session: answer.Session });
    this.#begin(answer);
  }

  /** Answer the challenge of a NewPasswordWanted. Throws SignInRefused. */
  async startWithNewPassword(challenge, password) {
    const answer = await cognito("RespondToAuthChallenge", {
      ChallengeName: "NEW_PASSWORD_REQUIRED",
      ClientId: clientId,
      Session: challenge.session,
      ChallengeResponses: { USERNAME: challenge.username, NEW_PASSWORD: password },
    });
    this.#begin(answer);
  }

  /** Forget the token. Listeners for `end` get `why` as the event's detail. */
  end(why = "") {
    if (!this.#held) return;
    clearTimeout(this.#timer);
    this.#held = null;
    this.dispatchEvent(new CustomEvent("end", { detail: why }));
  }

  #begin(answer) {
    const token = answer.AuthenticationResult?.IdToken;
    if (!token) throw new SignInRefused(`Cognito asks for ${answer.ChallengeName ?? "more"}, which this page cannot do.`);
    const claims = claimsOf(token);
    this.#held = { token, claims };
    this.#timer = setTimeout(() => this.#current(), Math.min(claims.exp * 1000 - Date.now(), 2 ** 31 - 1));
    this.dispatchEvent(new CustomEvent("start"));
  }

  /** Return what is held, unless the token has expired. The timer may be late (the computer slept), so look each time. */
  #current() {
    if (this.#held && this.#held.claims.exp * 1000 <= Date.now()) this.end("Your session has expired. Sign in again.");
    return this.#held;
  }
}

export const session = new Session();

async function cognito(action, content) {
  let response;
  let answer;
  try {
    response = await fetch(cognitoEndpoint, {
      method: "POST",
      headers: {
        "Content-Type": "application/x-amz-json-1.1",
        "X-Amz-Target": `AWSCognitoIdentityProviderService.${action}`,
      },
      body: JSON.stringify(content),
    });
    answer = await response.json();
  } catch {
    throw new SignInRefused("Cognito cannot be reached. Check your connection and try again.");
  }
  if (response.ok) return answer;
  const kind = (answer.__type ?? "").split("#").pop();
  if (["NotAuthorizedException", "UserNotFoundException"].includes(kind)) {
    throw new SignInRefused("The user name or password is wrong.");
  }
  throw new SignInRefused(answer.message ?? answer.Message ?? `Cognito answered ${response.status}.`);
}

function claimsOf(token) {
  const payload = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
  const bytes = Uint8Array.from(atob(payload), (character) => character.charCodeAt(0));
  return JSON.parse(new TextDecoder().decode(bytes));
}
