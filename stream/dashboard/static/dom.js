/** Elements from plain values. Whatever comes from outside becomes text, never markup. */

export const $ = id => document.getElementById(id);

/** An element: `attributes` by name (`class`, `data-…`, `onclick` as a function), then children or texts. */
export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (typeof value === "function") made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...shown(children));
  return made;
}

/** Lists within lists as one, without what is left out. */
const shown = children => children.flat(Infinity).filter(child => child !== null && child !== undefined && child !== false);

/** Put children in place of those that are there, unless they say the same: focus and selection stay.
 *  Their listeners must then do the same, too. */
export function fill(parent, ...children) {
  const wanted = shown(children);
  const same = wanted.length === parent.childNodes.length && wanted.every((child, place) =>
    child instanceof Node ? child.isEqualNode(parent.childNodes[place]) : child === parent.childNodes[place].nodeValue);
  if (!same) parent.replaceChildren(...wanted);
}

/** A name that may be long or hostile: cut for the eye, whole in its title, isolated from the text around it. */
export function name(text, most = 28) {
  const letters = [...text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, "·")];
  const cut = letters.length > most ? letters.slice(0, most - 1).join("") + "…" : letters.join("");
  return el("bdi", {class: "name", title: letters.length > most ? letters.slice(0, 300).join("") : undefined}, cut);
}

export function percent(share, digits = 0) {
  if (share === null || share === undefined) return "–";
  const least = .5 * 10 ** -digits;
  return 100 * share > 0 && 100 * share < least ? `<\u00a0${(2 * least).toFixed(digits)}\u00a0%` : `${(100 * share).toFixed(digits)}\u00a0%`;
}

const clock = seconds => new Date(seconds * 1000).toLocaleTimeString([], {hour: "2-digit", minute: "2-digit", hourCycle: "h23"});

export const clockToTheSecond = seconds => new Date(seconds * 1000).toLocaleTimeString([], {hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23"});

/** The time, with the day where that is not today, and the year where it is another one. */
export function when(seconds) {
  const moment = new Date(seconds * 1000), now = new Date();
  if (now.toDateString() === moment.toDateString()) return clock(seconds);
  const year = now.getFullYear() === moment.getFullYear() ? undefined : "numeric";
  return `${moment.toLocaleDateString([], {day: "numeric", month: "short", year})} ${clock(seconds)}`;
}

export function span(seconds) {
  if (seconds > 0 && seconds < 86400 && seconds % 3600 === 0) return `${seconds / 3600} h`;
  if (seconds > 0 && seconds < 5400 && seconds % 60 === 0) return `${seconds / 60} min`;
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 90) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} days`;
}

export const number = value => value === null || value === undefined ? "–"
  : value.toLocaleString(undefined, {maximumFractionDigits: Math.abs(value) < 10 ? 1 : 0});

export const several = (count, one, more = `${one}s`) => `${number(count)} ${count === 1 ? one : more}`;

let toastTimer;
export function toast(text, problem = false) {
  const box = $("toast");
  box.textContent = text;
  box.dataset.problem = problem ? "yes" : "";
  box.classList.add("shown");
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => box.classList.remove("shown"), problem ? 9000 : 4000);
}
