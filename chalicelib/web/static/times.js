// Times, in the reader's zone. What the service said is the element's title.

import { element } from "./dom.js";

const DAY = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
const TIME = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const STEP = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  fractionalSecondDigits: 3,
});

const AGO = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });
const AGES_UP_TO_DAYS = 30;

/** The reader's zone, such as `Europe/Zurich`. */
export const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;

/** Return a time of RFC 3339 as day and time, or null. A time that JavaScript cannot read is shown as it is. */
export const moment = (at) => shown(at, (time) => `${dayOf(time)}, ${TIME.format(time)}`);

/** Return a time of RFC 3339 as day and time, to the millisecond. */
export const exactMoment = (at) => shown(at, (time) => `${dayOf(time)}, ${STEP.format(time)}`);

/** Return how long ago a time of RFC 3339 was, such as `3 hours ago`, or when it was if that is long ago. */
export function age(at) {
  const minutes = Math.max(0, Math.floor((Date.now() - new Date(at)) / 60_000));
  if (minutes >= AGES_UP_TO_DAYS * 24 * 60) return moment(at);
  const [size, unit] = minutes < 60 ? [1, "minute"] : minutes < 24 * 60 ? [60, "hour"] : [24 * 60, "day"];
  return shown(at, () => AGO.format(-Math.floor(minutes / size), unit));
}

/** Return a time of RFC 3339 to the millisecond, without its day. */
export const stepTime = (at) => shown(at, (time) => STEP.format(time));

/** Return the moment in RFC 3339 form that a `datetime-local` field means, or an empty text. */
export const instantOf = (local) => (local ? new Date(local).toISOString() : "");

/** Return a moment as a `datetime-local` field takes it. */
export function localOf(instant) {
  const time = new Date(instant);
  return Number.isNaN(time.valueOf())
    ? ""
    : new Date(time - time.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}

/** Return when the day began that was so many days ago. */
export function dayBegan(daysAgo) {
  const now = new Date();
  return new Date(now.getFullYear(), now.getMonth(), now.getDate() - daysAgo).toISOString();
}

function shown(at, format) {
  if (!at) return null;
  const time = new Date(at);
  return element("time", { datetime: at, title: at }, Number.isNaN(time.valueOf()) ? at : format(time));
}

function dayOf(time) {
  const days = ["Today", "Yesterday"];
  return days.find((_, ago) => DAY.format(new Date(dayBegan(ago))) === DAY.format(time)) ?? DAY.format(time);
}
