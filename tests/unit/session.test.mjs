// The session of the pages, and what they keep for a reload, in several tabs of one browser, before a Cognito that rotates refresh tokens as AWS says it
// does: the embedded AWS has no rotation. test_session.py runs this.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import vm from "node:vm";

const STATIC = new URL("../../chalicelib/web/static/", import.meta.url);
const MINUTE = 60 * 1000;
const HOUR = 60 * MINUTE;
const AMBER = "amber@dragonpost.example";
const COBALT = "cobalt@dragonpost.example";

/** The machine's clock and its timers. Its time may be wrong. */
class Clock {
  now = Date.UTC(2026, 0, 1);
  #timers = new Map();
  #last = 0;

  start(run, ms) {
    this.#timers.set(++this.#last, { run, at: this.now + ms });
    return this.#last;
  }

  stop = (timer) => this.#timers.delete(timer);

  /** Let time pass. Each timer goes off in time, unless the machine `sleeps` until the end. */
  async pass(ms, { sleeps = false } = {}) {
    const end = this.now + ms;
    if (sleeps) this.now = end;
    for (;;) {
      const [due] = [...this.#timers].filter(([, { at }]) => at <= end).sort(([, one], [, other]) => one.at - other.at);
      if (!due) break;
      this.#timers.delete(due[0]);
      this.now = Math.max(this.now, due[1].at);
      due[1].run();
      if (!sleeps) await settled();
    }
    this.now = end;
    await settled();
  }
}

/** Refresh tokens as AWS describes them: each is for one renewal and 30 seconds more, and all end 12 hours after signing in. */
class Cognito {
  asked = [];
  unreachable = false;
  throttled = false;
  #tokens = new Map();
  #last = 0;

  constructor(clock, { rotates = true, behindMs = 0 } = {}) {
    Object.assign(this, { clock, rotates, behindMs });
  }

  answer(action, content) {
    if (this.unreachable) throw new TypeError("fetch failed");
    this.asked.push(action);
    const refused = (kind) => [400, { __type: kind, message: kind }];
    if (this.throttled) return refused("TooManyRequestsException");
    if (action === "InitiateAuth") {
      const sub = content.AuthParameters.USERNAME;
      const RefreshToken = this.#issued({ sub, until: this.clock.now + 12 * HOUR, family: {} });
      return [200, { AuthenticationResult: { IdToken: this.#idToken(sub), RefreshToken } }];
    }
    const used = this.#tokens.get(content.RefreshToken ?? content.Token);
    if (action === "RevokeToken") {
      used.family.revoked = true;
      return [200, {}];
    }
    assert.equal(action, "GetTokensFromRefreshToken");
    if (!used || used.family.revoked || used.until <= this.clock.now) return refused("NotAuthorizedException");
    if (!this.rotates) return [200, { AuthenticationResult: { IdToken: this.#idToken(used.sub) } }];
    if (this.clock.now > used.goodUntil) return refused("RefreshTokenReuseException");
    used.goodUntil ??= this.clock.now + 30 * 1000;
    const RefreshToken = this.#issued({ ...used, goodUntil: undefined });
    return [200, { AuthenticationResult: { IdToken: this.#idToken(used.sub), RefreshToken } }];
  }

  #issued(token) {
    this.#tokens.set(`refresh-${++this.#last}`, token);
    return `refresh-${this.#last}`;
  }

  #idToken(sub) {
    const iat = Math.floor((this.clock.now - this.behindMs) / 1000);
    const claims = { sub, email: sub, iat, exp: iat + 3600, jti: ++this.#last };
    return `e30.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.c2ln`;
  }
}

/** A browser: its tabs hear each other, and each has a storage of its own. */
class Browser {
  #channels = new Set();

  constructor(options) {
    this.clock = new Clock();
    this.cognito = new Cognito(this.clock, options);
    this.api = () => [200, {}];
  }

  /** Open the page in a tab: a new one, or one in which another page has left something. */
  async tab({ storage = new Storage() } = {}) {
    const browser = this;
    class BroadcastChannel extends EventTarget {
      constructor(name) {
        super();
        browser.#channels.add(Object.assign(this, { name }));
      }

      postMessage(data) {
        const others = [...browser.#channels].filter((other) => other !== this && other.name === this.name && !other.frozen);
        for (const other of others) setImmediate(() => other.dispatchEvent(new MessageEvent("message", { data: structuredClone(data) })));
      }
    }
    const tab = { events: [], storage, channels: this.#channels };
    const pageEvents = new EventTarget();
    const context = vm.createContext({
      BroadcastChannel, CustomEvent, Event, EventTarget, Error, TextDecoder, URL, atob, console,
      Date: { now: () => this.clock.now },
      addEventListener: pageEvents.addEventListener.bind(pageEvents),
      clearTimeout: this.clock.stop,
      document: { documentElement: { dataset: { cognitoEndpoint: "https://cognito/", clientId: "client" } } },
      fetch: async (url, { headers, body }) => this.#fetched(String(url), headers, body),
      location: { href: "https://api/prod/", reload: () => tab.events.push("reload") },
      setTimeout: (run, ms) => this.clock.start(run, ms),
    });
    Object.defineProperty(context, "sessionStorage", { get: () => storage.opened });
    const before = new Set(this.#channels);
    const { session, SignInUnavailable } = (await load("session.js", context)).namespace;
    Object.assign(tab, { session, SignInUnavailable, api: (await load("api.js", context)).namespace });
    tab.typed = (await load("kept.js", context)).namespace;
    [tab.channel] = [...this.#channels].filter((channel) => !before.has(channel));
    for (const name of ["start", "renew", "interrupt", "end"]) {
      session.addEventListener(name, ({ detail }) => tab.events.push(detail ? `${name}: ${detail}` : name));
    }
    tab.leave = () => this.#channels.delete(tab.channel);
    tab.comeBack = () => pageEvents.dispatchEvent(Object.assign(new Event("pageshow"), { persisted: true }));
    session.restore();
    await settled();
    return tab;
  }

  #fetched(url, headers, body) {
    const [status, value] = url === "https://cognito/"
      ? this.cognito.answer(headers["X-Amz-Target"].split(".")[1], JSON.parse(body))
      : this.api(headers.Authorization);
    return new Response(JSON.stringify(value), { status, headers: { "Content-Type": "application/json" } });
  }
}

class Storage {
  kept = new Map();
  allowed = true;

  get opened() {
    if (!this.allowed) throw new DOMException("The user agent stores nothing.", "SecurityError");
    return {
      getItem: (name) => this.kept.get(name) ?? null,
      setItem: (name, value) => this.kept.set(name, value),
      removeItem: (name) => this.kept.delete(name),
    };
  }
}

async function load(name, context) {
  context.modules ??= new Map();
  if (!context.modules.has(name)) {
    const source = await readFile(new URL(name, STATIC), "utf-8");
    context.modules.set(name, new vm.SourceTextModule(source, { context, identifier: name }));
  }
  const module = context.modules.get(name);
  if (module.status === "unlinked") await module.link((specifier) => load(specifier.replace("./", ""), context));
  if (module.status === "linked") await module.evaluate();
  return module;
}

async function settled() {
  for (let turn = 0; turn < 20; turn++) await new Promise((resume) => setImmediate(resume));
}

const kept = (tab) => [...tab.storage.kept.values()].map((text) => JSON.parse(text));

test("a session goes on for hours, each token being good for one renewal", async () => {
  const browser = new Browser();
  const tab = await browser.tab();
  await tab.session.start(AMBER, "password");
  const seen = new Set();
  for (let hour = 0; hour < 11; hour++) {
    seen.add(kept(tab)[0].refreshToken);
    await browser.clock.pass(HOUR);
    assert.equal(await tab.session.fresh(), tab.session.token);
  }
  assert.equal(seen.size, 11);
  assert.deepEqual(new Set(tab.events), new Set(["start", "renew"]));
});

test("after twelve hours, the user signs in again and goes on", async () => {
  const browser = new Browser();
  const tab = await browser.tab();
  await tab.session.start(AMBER, "password");
  const { visit } = tab.session;
  await browser.clock.pass(13 * HOUR);
  assert.equal(tab.events.at(-1), "interrupt: Your session has expired. Sign in again.");
  assert.equal(tab.session.claims.email, AMBER);
  assert.deepEqual(kept(tab), []);

  const waiting = tab.api.call("GET", "dragons");
  await settled();
  await tab.session.start(AMBER, "password");

  assert.equal((await waiting).status, 200);
  assert.equal(tab.events.at(-1), "renew");
  assert.equal(tab.session.visit, visit);
});

test("somebody else who signs in then gets nothing of the one before", async () => {
  const browser = new Browser();
  const tab = await browser.tab();
  await tab.session.start(AMBER, "password");
  await browser.clock.pass(13 * HOUR);
  const waiting = assert.rejects(tab.api.call("GET", "dragons"), tab.api.SignedOut);
  await settled();
  browser.api = () => assert.fail("sent in the name of another user");

  await tab.session.start(COBALT, "password");

  await waiting;
  assert.deepEqual(tab.events.slice(-2), ["end", "start"]);
  assert.equal(tab.session.claims.email, COBALT);
});

test("without rotation, an answer without a new token keeps the old one", async () => {
  const browser = new Browser({ rotates: false });
  const tab = await browser.tab();
  await tab.session.start(AMBER, "password");
  const [{ refreshToken, token }] = kept(tab);

  await browser.clock.pass(3 * HOUR);

  assert.equal(kept(tab)[0].refreshToken, refreshToken);
  assert.notEqual(kept(tab)[0].token, token);
  assert.deepEqual(new Set(tab.events), new Set(["start", "renew"]));
});

test("the next page in the tab goes on without asking Cognito, and after a sleep asks once", async () => {
  const browser = new Browser();
  const first = await browser.tab();
  await first.session.start(AMBER, "password");
  first.leave();

  const second = await browser.tab(first);
  assert.deepEqual(second.events, ["start"]);
  assert.equal(second.session.token, first.session.token);
  assert.deepEqual(browser.cognito.asked, ["InitiateAuth"]);
  second.leave();

  browser.clock.now += 2 * HOUR;
  const third = await browser.tab(second);
  const answers = await Promise.all([third.api.call("GET", "dragons"), third.api.call("GET", "families")]);
  assert.deepEqual(answers.map((answer) => answer.status), [200, 200]);
  assert.notEqual(third.session.token, second.session.token);
  assert.deepEqual(browser.cognito.asked, ["InitiateAuth", "GetTokensFromRefreshToken"]);
});

test("a page that the browser shows again takes what another page of the tab has renewed, or is loaded anew", async () => {
  const browser = new Browser();
  const tab = await browser.tab();
  await tab.session.start(AMBER, "password");
  tab.channel.frozen = true;
  const other = await browser.tab(tab);
  await other.session.fresh(other.session.token);

  tab.comeBack();
  assert.equal(tab.session.token, other.session.token);
  assert.equal(tab.events.at(-1), "renew");

  other.session.end();
  await settled();
  tab.comeBack();
  assert.equal(tab.events.at(-1), "reload");
});

test("another tab goes on as the same user, and one renewal does for both", async () => {
  const browser = new Browser();
  const [one, other] = [await browser.tab(), await browser.tab()];
  await one.session.start(AMBER, "password");
  await settled();
  const late = await browser.tab();
  assert.deepEqual([other.events, late.events], [["start"], ["start"]]);

  await browser.clock.pass(HOUR);

  assert.deepEqual(browser.cognito.asked, ["InitiateAuth", "GetTokensFromRefreshToken"]);
  assert.equal(new Set([one, other, late].map((tab) => tab.session.token)).size, 1);
});

test("tabs that wake up together and all renew go on, and so they do an hour later", async () => {
  const browser = new Browser();
  const tabs = [await browser.tab(), await browser.tab(), await browser.tab()];
  await tabs[0].session.start(AMBER, "password");
  await settled();

  await browser.clock.pass(2 * HOUR, { sleeps: true });
  await browser.clock.pass(HOUR);

  for (const tab of tabs) {
    assert.deepEqual(new Set(tab.events), new Set(["start", "renew"]));
    assert.equal((await tab.api.call("GET", "dragons")).status, 200);
  }
});

test("a tab that missed a renewal hears of it from another before the user has to do anything", async () => {
  const browser = new Browser();
  const [awake, frozen] = [await browser.tab(), await browser.tab()];
  await awake.session.start(AMBER, "password");
  await settled();
  frozen.channel.frozen = true;
  await browser.clock.pass(MINUTE);
  await awake.session.fresh(awake.session.token);
  await browser.clock.pass(MINUTE);
  frozen.channel.frozen = false;

  assert.ok(await frozen.session.fresh(frozen.session.token));

  assert.deepEqual(frozen.events.slice(-2), ["interrupt: Your session has expired. Sign in again.", "renew"]);
  assert.equal(frozen.session.token, awake.session.token);
});

test("signing out ends the session in every tab of the user and at Cognito, and no other user's", async () => {
  const browser = new Browser();
  const [one, other] = [await browser.tab(), await browser.tab()];
  await one.session.start(AMBER, "password");
  await settled();
  const [{ refreshToken }] = kept(one);
  const third = await browser.tab();
  third.session.end();
  await settled();
  for (const tab of [one, other, third]) assert.match(tab.events.at(-1), /^end/);
  assert.deepEqual([one, other, third].flatMap(kept), []);
  assert.equal(browser.cognito.answer("GetTokensFromRefreshToken", { RefreshToken: refreshToken })[0], 400);

  await one.session.start(AMBER, "password");
  await settled();
  other.channel.frozen = true;
  one.session.end();
  await other.session.start(COBALT, "password");
  other.channel.frozen = false;
  await browser.clock.pass(MINUTE);
  await third.session.start(AMBER, "password");
  await settled();
  third.session.end();
  await settled();
  assert.equal(other.session.claims.email, COBALT);
});

test("a Cognito that cannot be reached ends nothing, and is asked again", async () => {
  const browser = new Browser();
  const tab = await browser.tab();
  await tab.session.start(AMBER, "password");
  const { token } = tab.session;
  browser.cognito.unreachable = true;

  await browser.clock.pass(56 * MINUTE);
  assert.equal(await tab.session.fresh(), token);
  await browser.clock.pass(10 * MINUTE);
  await assert.rejects(tab.api.call("GET", "dragons"), { title: "No answer", message: /Cognito cannot be reached/ });
  Object.assign(browser.cognito, { unreachable: false, throttled: true });
  await browser.clock.pass(MINUTE);
  assert.equal(tab.session.token, token);
  browser.cognito.throttled = false;
  await browser.clock.pass(MINUTE);

  assert.notEqual(tab.session.token, token);
  assert.deepEqual(tab.events, ["start", "renew"]);
});

test("a machine whose clock is a day off stays signed in, and renews once an hour", async () => {
  for (const behindMs of [24 * HOUR, -24 * HOUR]) {
    const browser = new Browser({ behindMs });
    const tab = await browser.tab();
    await tab.session.start(AMBER, "password");
    await browser.clock.pass(3 * HOUR);
    assert.equal(browser.cognito.asked.length, 1 + 3);
  }
});

test("a browser that stores nothing lets the user in for this page", async () => {
  const browser = new Browser();
  const storage = Object.assign(new Storage(), { allowed: false });
  const tab = await browser.tab({ storage });
  await tab.session.start(AMBER, "password");
  await browser.clock.pass(2 * HOUR);
  assert.equal((await tab.api.call("GET", "dragons")).status, 200);
});

test("what was typed is there for the next page of the tab, and after signing in again", async () => {
  const browser = new Browser();
  const tab = await browser.tab();
  await tab.session.start(AMBER, "password");
  tab.typed.keep("report", { name: "Halfwritten" });
  tab.typed.keep("message", { amount: "20.50" });
  await browser.clock.pass(13 * HOUR);
  assert.equal(tab.session.claims.email, AMBER);
  tab.typed.keep("report", { name: "Written" }); // the sign-in form lies on top of the page, which is still theirs
  tab.leave();

  const next = await browser.tab(tab);
  assert.equal(next.typed.kept("report"), null); // nobody is signed in
  await next.session.start(AMBER, "password");

  assert.equal(next.typed.kept("report").name, "Written");
  assert.equal(next.typed.kept("message").amount, "20.50");
  assert.equal(next.typed.kept("watched"), null);
  assert.equal((await browser.tab()).typed.kept("report"), null); // another tab
});

test("nobody else gets what was typed, and nothing of it stays", async () => {
  const browser = new Browser();
  const left = async () => {
    const tab = await browser.tab();
    await tab.session.start(AMBER, "password");
    tab.typed.keep("report", { name: "Halfwritten" });
    return tab;
  };
  const nothingOf = (tab) => {
    assert.equal(tab.typed.kept("report"), null);
    assert.doesNotMatch([...tab.storage.kept.values()].join(), /Halfwritten/);
    tab.leave();
  };

  const signedOut = await left();
  signedOut.session.end();
  signedOut.typed.keep("report", { name: "Halfwritten" });
  assert.equal(signedOut.storage.kept.size, 0);
  nothingOf(signedOut);

  const one = await left();
  const other = await browser.tab();
  other.session.end(); // in another tab of the same user
  await settled();
  nothingOf(one);
  other.leave();

  const expired = await left();
  await browser.clock.pass(13 * HOUR);
  await expired.session.start(COBALT, "password");
  nothingOf(expired);

  const reloaded = await left();
  await browser.clock.pass(13 * HOUR);
  reloaded.leave();
  const next = await browser.tab(reloaded);
  await next.session.start(COBALT, "password");
  nothingOf(next);
});

test("a browser that stores nothing, or has damaged it, keeps nothing that was typed", async () => {
  const storage = Object.assign(new Storage(), { allowed: false });
  const tab = await new Browser().tab({ storage });
  await tab.session.start(AMBER, "password");
  tab.typed.keep("report", { name: "Halfwritten" });
  assert.equal(tab.typed.kept("report"), null);

  storage.allowed = true;
  tab.typed.keep("report", { name: "Halfwritten" });
  assert.equal(tab.typed.kept("report").name, "Halfwritten");
  for (const text of ["{", "null", "{}"]) {
    storage.kept.set("dragonpost client kept", text);
    assert.equal(tab.typed.kept("report"), null);
  }
});

test("what is damaged in the storage is nobody's session", async () => {
  for (const text of ["{", "null", "{}", '{"token":"a.b.c"}']) {
    const storage = new Storage();
    storage.kept.set("dragonpost client", text);
    const tab = await new Browser().tab({ storage });
    assert.equal(tab.session.token, null);
  }
});

test("a request that the API refuses once is sent again with another token", async () => {
  const browser = new Browser();
  const tab = await browser.tab();
  await tab.session.start(AMBER, "password");
  const sent = [];
  browser.api = (authorization) => [sent.push(authorization) === 1 ? 401 : 200, {}];

  assert.equal((await tab.api.call("GET", "dragons")).status, 200);

  assert.equal(new Set(sent).size, 2);
  assert.deepEqual(tab.events, ["start", "renew"]);
});

test("a request that the API refuses with a new token, too, waits for the user and is sent again", async () => {
  const browser = new Browser();
  const tab = await browser.tab();
  await tab.session.start(AMBER, "password");
  let sent = 0;
  browser.api = () => [++sent < 3 ? 401 : 200, {}];

  const waiting = tab.api.call("POST", "dragons", { body: "{}" });
  await settled();
  assert.equal(tab.events.at(-1), "interrupt: The service no longer accepts your token. Sign in again.");
  assert.equal(sent, 2);
  await tab.session.start(AMBER, "password");

  assert.equal((await waiting).status, 200);
});

test("a renewal that is under way signs nobody in again who signs out meanwhile", async () => {
  const browser = new Browser();
  const tab = await browser.tab();
  await tab.session.start(AMBER, "password");
  const going = tab.session.fresh(tab.session.token);

  tab.session.end();

  assert.equal(await going, null);
  await settled();
  assert.deepEqual(tab.events, ["start", "end"]);
});

test("signing out ends what waits", async () => {
  const browser = new Browser();
  const tab = await browser.tab();
  await tab.session.start(AMBER, "password");
  browser.api = () => [401, {}];
  const waiting = assert.rejects(tab.api.call("GET", "dragons"), tab.api.SignedOut);
  await settled();

  tab.session.end();

  await waiting;
});
