/** The page: which view is shown, the connection's state, and what each part of the stream goes to. */

import {$, el, fill, number, span} from "./dom.js";
import {redraw} from "./charts.js";
import {ask, follow, session} from "./server.js";
import * as watch from "./watch.js";
import * as review from "./review.js";
import * as tryout from "./try.js";

const VIEWS = ["watch", "review", "try"];
const STATES = new Map([["loading", "Reading"], ["live", "Live"], ["quiet", "Quiet"], ["stale", "Stalled"], ["missing", "No topics"], ["down", "Broker away"], ["lost", "Not connected"]]);
const SILENT_S = 10;

let health, heardAt = 0, following = {channel: "*", window: null};
const latest = new Map();

const parts = {
  health: next => { health = next; heardAt = performance.now(); watch.showHealth(next); showState(); },
  mix: watch.showMix, channels: watch.showChannels, recent: watch.showRecent, queue: review.showQueue, log: review.showLog,
};

/** Draw a part when its view is to be seen; what is hidden keeps its newest value until then. */
const VIEW_OF = new Map([["mix", "watch"], ["channels", "watch"], ["recent", "watch"]]);
function take(part) {
  return value => {
    latest.set(part, value);
    if (!VIEW_OF.has(part) || !$(VIEW_OF.get(part)).hidden) parts[part](value);
  };
}

function connect() {
  follow(following.channel, following.window, Object.fromEntries(Object.keys(parts).map(part => [part, take(part)])), showState, showState);
}

function choose({channel, window}) {
  following = {channel: channel ?? following.channel, window: window ?? following.window};
  connect();
}

function showState() {
  const silent = (performance.now() - heardAt) / 1000 > SILENT_S, state = silent ? "lost" : health.state;
  $("state").dataset.state = state;
  $("state-text").textContent = STATES.get(state);
  const said = heardAt ? saying(state) : "The dashboard does not answer.";
  $("banner").hidden = !said;
  $("banner").dataset.state = state;
  if ($("banner").textContent !== said) $("banner").textContent = said;
  document.title = `${health?.state === "live" && !silent ? "" : `(${STATES.get(state)}) `}emotion-stream`;
}

function saying(state) {
  const {at, last_heard_at: last, waiting, counters_at: counted} = health, since = last === null ? null : at - last;
  if (state === "lost") return `The dashboard has said nothing for ${span((performance.now() - heardAt) / 1000)}. What you see is from then; the page connects again by itself.`;
  const before = health.partitions.length ? "What you see is from before" : "Nothing has been read yet";
  if (state === "missing") return `There is nothing to read: ${health.problem}. The page goes on by itself once they are there.`;
  if (state === "down") return `The Kafka cluster has not answered${health.problem_since ? ` for ${span(Math.max(1, Math.round(at - health.problem_since)))}` : ""}: ${health.problem}. ${before}.`;
  if (state === "loading") return "Reading what the topics hold…";
  if (state === "stale") return `The annotator has published nothing ${since === null ? "that is kept here" : `for ${span(since)}`}, and ${number(waiting)} messages wait. Is it running?`;
  if (state === "quiet") return since === null ? "No message has been labelled in the last hour." : `The annotator has published nothing for ${span(since)}${waiting === 0 ? "; nothing waits to be labelled" : ""}.`;
  if (counted !== null && last - counted > 120) return `The monitor has counted nothing for ${span(at - counted)}, though labels come: counts and alerts below are old.`;
  return "";
}

function showView() {
  const wanted = location.hash.slice(1), view = VIEWS.includes(wanted) ? wanted : "watch";
  for (const one of VIEWS) $(one).hidden = one !== view;
  for (const link of document.querySelectorAll("[data-view]")) {
    if (link.dataset.view === view) link.setAttribute("aria-current", "page"); else link.removeAttribute("aria-current");
  }
  for (const [part, home] of VIEW_OF) if (home === view && latest.has(part)) parts[part](latest.get(part));
  redraw();
}

/** A time of today stands without its day: on a page that is left open over midnight, all are said anew. */
let day = new Date().toDateString();
function showDay() {
  const today = new Date().toDateString();
  if (day === today) return;
  day = today;
  for (const [part, value] of latest) if (!VIEW_OF.has(part) || !$(VIEW_OF.get(part)).hidden) parts[part](value);
  review.showAgain();
}

function setUpTools(known) {
  const root = document.documentElement, keep = (name, value) => { try { localStorage.setItem(name, value); } catch { /* not kept */ } };
  fill($("who"), known.reviewer ? ["as ", el("bdi", {}, known.reviewer)] : []);
  $("log-out").hidden = !known.logged_in;
  $("log-out").addEventListener("click", () => ask("logout", {}).finally(() => location.assign("./")));
  $("theme").addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    keep("theme", root.dataset.theme);
    redraw();
  });
  const wall = $("wall");
  wall.setAttribute("aria-pressed", root.classList.contains("wall"));
  wall.addEventListener("click", () => {
    wall.setAttribute("aria-pressed", root.classList.toggle("wall"));
    keep("wall", root.classList.contains("wall") ? "yes" : "no");
    redraw();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
}

async function start() {
  let known;
  try {
    known = await session();
  } catch (problem) {
    $("banner").hidden = false;
    $("banner").textContent = `The dashboard does not answer: ${problem.message}. Trying again…`;
    setTimeout(start, 3000);
    return;
  }
  heardAt = performance.now();
  health = {state: "loading", at: Date.now() / 1000, last_heard_at: null, waiting: null, counters_at: null, partitions: []};
  setUpTools(known);
  watch.setUp(choose);
  review.setUp();
  if (known.can_try) tryout.setUp(known.most_characters); else { $("try-link").hidden = true; VIEWS.pop(); }
  addEventListener("hashchange", showView);
  showView();
  connect();
  setInterval(() => { showState(); showDay(); }, 1000);
}

start();
