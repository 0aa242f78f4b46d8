// Who is signed in. This module alone holds the tokens. They are in sessionStorage, so that a reload and the other page in
// this tab know them, and nowhere else. The other tabs of the same user hear of them as they change.

const { cognitoEndpoint, clientId } = document.documentElement.dataset;
/** What the names of everything begin with that this stage's pages store: other stages may share the origin. */
export const NAME = `dragonpost ${clientId}`;
const EARLY_MS = 5 * 60 * 1000; // a token is renewed so long before it expires,
const SPREAD_MS = 60 * 1000; // and up to so much earlier, or all tabs would renew it at once
const AGAIN_MS = 30 * 1000; // a renewal that failed is tried again after so long
const FOR_NOW = new Set(["TooManyRequestsException", "LimitExceededException"]);

/** Cognito refused to sign somebody in; the message says why. */
export class SignInRefused extends Error {}

/** Cognito has waited long enough for the new password. */
export class NewPasswordTooLate extends SignInRefused {}

/** Cognito cannot answer just now; the message says so. */
export class SignInUnavailable extends Error {}

/** Cognito wants a new password before it signs somebody in for the first time. */
export class NewPasswordWanted extends Error {
  constructor(challenge) {
    super("Somebody else created this account for you. Choose your own password to continue.");
    this.challenge = challenge;
  }
}

/** What pages know of the user, and the events of the session:
 *
 * - `start`: somebody is signed in, by the form, by an earlier page of this tab, or by another tab.
 * - `renew`: the same user has another token, also after an interruption.
 * - `interrupt`: the user has to sign in again to go on (`detail` says why). Everything stays as it is until then.
 * - `end`: nobody is signed in any more (`detail` says why). Whatever the user saw or typed has to go.
 */
class Session extends EventTarget {
  #held = null; // { token, refreshToken, until, claims, visit }; `until` is by this machine's clock, in ms
  #interrupted = false;
  #renewal = null;
  #timer = 0;
  #tabs = new BroadcastChannel(NAME);

  constructor() {
    super();
    this.#tabs.addEventListener("message", ({ data }) => this.#hear(data));
    addEventListener("pageshow", ({ persisted }) => persisted && this.#comeBack());
  }

  /** The claims of the user who is signed in, or null. They are for display only: the API decides what users may do. */
  get claims() {
    return this.#held?.claims ?? null;
  }

  /** The ID token, or null. It may have expired: what calls the API asks for a `fresh` one. */
  get token() {
    return this.#held?.token ?? null;
  }

  /** What stays the same from a `start` to its `end`, and is another each time. Null if nobody is signed in. */
  get visit() {
    return this.#held?.visit ?? null;
  }

  get company() {
    return this.claims?.["custom:company_id"] ?? "";
  }

  get isOperator() {
    return (this.claims?.["cognito:groups"] ?? []).includes("operators");
  }

  /** Sign in. Throws SignInRefused, SignInUnavailable or NewPasswordWanted. */
  async start(username, password) {
    const answer = await cognito("InitiateAuth", {
      AuthFlow: "USER_PASSWORD_AUTH",
      ClientId: clientId,
      AuthParameters: { USERNAME: username, PASSWORD: password },
    });
    if (answer.ChallengeName === "NEW_PASSWORD_REQUIRED") throw new NewPasswordWanted({ username, session: answer.Session });
    this.#begin(answer);
  }

  /** Answer the challenge of a NewPasswordWanted. Throws SignInRefused, NewPasswordTooLate or SignInUnavailable. */
  async startWithNewPassword(challenge, password) {
    const answer = await cognito("RespondToAuthChallenge", {
      ChallengeName: "NEW_PASSWORD_REQUIRED",
      ClientId: clientId,
      Session: challenge.session,
      ChallengeResponses: { USERNAME: challenge.username, NEW_PASSWORD: password },
    });
    this.#begin(answer);
  }

  /** Go on as the user who is signed in on an earlier page of this tab, or in another tab, if there is one. */
  restore() {
    const kept = recall();
    if (kept) this.#take(kept);
    else this.#tabs.postMessage({ asks: true });
  }

  /** Return an ID token that has not expired and is not the one that the API has just refused, or null.
   *
   * Waits while the user signs in again. Null says that nobody is signed in. Throws SignInUnavailable.
   */
  async fresh(refused = null) {
    const held = this.#held;
    if (held && !this.#interrupted && (held.token === refused || held.until <= Date.now())) await this.#renew();
    if (this.#interrupted) await this.#goesOnOrEnds();
    return this.token;
  }

  /** Have the user sign in again; `why` is the event's detail. */
  interrupt(why) {
    if (!this.#held || this.#interrupted) return;
    this.#interrupted = true;
    clearTimeout(this.#timer);
    keep(null);
    this.dispatchEvent(new CustomEvent("interrupt", { detail: why }));
    this.#tabs.postMessage({ asks: true }); // another tab may have signed in, or renewed what was refused here
  }

  /** Sign out, in every tab of this user. Listeners for `end` get `why` as the event's detail. */
  end(why = "") {
    if (!this.#held) return;
    const { claims, refreshToken } = this.#held;
    this.#tabs.postMessage({ left: claims.sub });
    cognito("RevokeToken", { ClientId: clientId, Token: refreshToken }).catch(() => {}); // it expires in any case
    this.#forget(why);
  }

  #begin(answer) {
    if (!answer.AuthenticationResult?.IdToken) {
      throw new SignInRefused(`Cognito asks for ${answer.ChallengeName ?? "more"}, which this page cannot do.`);
    }
    this.#take(tokensOf(answer.AuthenticationResult));
    this.#tell();
  }

  /** Hold these tokens. If they are another user's, the present user leaves first. */
  #take({ token, refreshToken, until }) {
    const claims = claimsOf(token);
    if (this.#held && this.#held.claims.sub !== claims.sub) this.#forget("");
    const event = new Event(this.#held ? "renew" : "start");
    this.#held = { token, refreshToken, until, claims, visit: this.visit ?? Symbol("visit") };
    this.#interrupted = false;
    keep(this.#held);
    this.#renewIn(until - Date.now() - EARLY_MS - Math.random() * SPREAD_MS);
    this.dispatchEvent(event);
  }

  #forget(why) {
    clearTimeout(this.#timer);
    this.#held = null;
    this.#interrupted = false;
    keep(null);
    this.dispatchEvent(new CustomEvent("end", { detail: why }));
  }

  #renewIn(ms) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#renew().catch(() => this.#held && this.#renewIn(AGAIN_MS)), Math.max(ms, 0));
  }

  /** Get another token, or interrupt the session if Cognito refuses one. Throws SignInUnavailable. */
  #renew() {
    this.#renewal ??= this.#askForAnother().finally(() => (this.#renewal = null));
    return this.#renewal;
  }

  async #askForAnother() {
    const { refreshToken, visit } = this.#held;
    try {
      const answer = await cognito("GetTokensFromRefreshToken", { ClientId: clientId, RefreshToken: refreshToken });
      if (this.visit !== visit) return;
      this.#take(tokensOf(answer.AuthenticationResult, refreshToken));
      this.#tell();
    } catch (error) {
      if (!(error instanceof SignInRefused)) throw error;
      const present = this.visit === visit && this.#held.refreshToken === refreshToken;
      if (present) this.interrupt("Your session has expired. Sign in again.");
    }
  }

  #goesOnOrEnds() {
    return new Promise((resolve) => {
      for (const name of ["renew", "end"]) this.addEventListener(name, resolve, { once: true });
    });
  }

  /** Tell the other tabs what they need to go on here. */
  #tell() {
    if (!this.#held || this.#interrupted) return;
    const { token, refreshToken, until } = this.#held;
    this.#tabs.postMessage({ tokens: { token, refreshToken, until } });
  }

  /** Hear another tab. One in which somebody else is signed in is no concern of this one. */
  #hear({ asks, left, tokens }) {
    if (asks) this.#tell();
    else if (left && left === this.claims?.sub) this.#forget("You are signed out.");
    else if (tokens && (!this.#held || this.#isLater(tokens))) this.#take(tokens);
  }

  #isLater({ token, until }) {
    return claimsOf(token).sub === this.claims.sub && until > this.#held.until;
  }

  /** The browser shows this page again as it was left, and another page of this tab was there meanwhile. */
  #comeBack() {
    const kept = recall();
    if (kept && claimsOf(kept.token).sub === this.claims?.sub) this.#take(kept);
    else if (kept || this.#held) location.reload();
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
      keepalive: true, // whoever leaves the page at once is signed out all the same
    });
    answer = await response.json().catch(() => ({})); // RevokeToken may answer with nothing
  } catch {
    throw new SignInUnavailable("Cognito cannot be reached. Check your connection and try again.");
  }
  if (response.ok) return answer;
  const kind = (answer.__type ?? "").split("#").pop();
  const why = answer.message ?? answer.Message ?? `Cognito answered ${response.status}.`;
  if (response.status >= 500 || FOR_NOW.has(kind)) throw new SignInUnavailable(why);
  if (["NotAuthorizedException", "UserNotFoundException"].includes(kind)) {
    if (action === "RespondToAuthChallenge")
      throw new NewPasswordTooLate("That took too long. Sign in again with the password that you were given.");
    throw new SignInRefused("The user name or password is wrong.");
  }
  throw new SignInRefused(why);
}

/** Return what an answer of Cognito has. Without rotation, it has no new refresh token, and the one before stays. */
function tokensOf({ IdToken: token, RefreshToken: refreshToken }, before) {
  const { iat, exp } = claimsOf(token);
  return { token, refreshToken: refreshToken ?? before, until: Date.now() + (exp - iat) * 1000 };
}

function claimsOf(token) {
  const payload = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
  const bytes = Uint8Array.from(atob(payload), (character) => character.charCodeAt(0));
  return JSON.parse(new TextDecoder().decode(bytes));
}

/** Keep the tokens for the next page in this tab, or nothing. A browser may have been told to store nothing at all. */
function keep(held) {
  try {
    if (held) sessionStorage.setItem(NAME, JSON.stringify({ ...held, claims: undefined, visit: undefined }));
    else sessionStorage.removeItem(NAME);
  } catch {
    // then the user signs in again on the next page
  }
}

/** Return the tokens that the page before has kept, or null. */
function recall() {
  try {
    const kept = JSON.parse(sessionStorage.getItem(NAME));
    claimsOf(kept.token);
    return kept;
  } catch {
    return null;
  }
}
