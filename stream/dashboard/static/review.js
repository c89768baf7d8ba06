/** The view of who reviews: the queue by subject, one alert with its evidence, a verdict by mouse or key. */

import {$, el, fill, name, number, percent, several, span, toast, when} from "./dom.js";
import {badge} from "./labels.js";
import {authorChart, channelChart, clear, draw} from "./charts.js";
import {ask} from "./server.js";

const VERDICTS = [["acknowledged", "Acknowledge", "a", "I look after it"], ["confirmed", "Confirm", "c", "it was right"], ["dismissed", "Dismiss", "d", "it was wrong"]];
const MARKS = new Map([["critical", "!!"], ["warning", "!"], ["info", "i"]]);

let queue, chosen, shown, sending = false;

export function setUp() {
  document.addEventListener("keydown", onKey);
}

export function showQueue(next) {
  queue = next;
  const badgeOf = $("waiting-badge");
  badgeOf.hidden = !queue.waiting;
  badgeOf.textContent = queue.waiting > 99 ? "99+" : String(queue.waiting);
  badgeOf.setAttribute("aria-label", `${queue.waiting} wait`);
  $("queue-count").textContent = queue.waiting ? `${queue.waiting} wait${queue.critical ? `, ${queue.critical} critical` : ""}` : "";
  showUrgent();
  $("queue-empty").hidden = queue.groups.length > 0;
  fill($("queue"), queue.groups.map(group => el("section", {class: "group", "data-kind": group.kind},
    el("h3", {}, about(group, 20), group.items.length > 1 && group.kind !== "cause" ? el("span", {class: "soft"}, ` ${several(group.items.length + group.more, "alert")}`) : null),
    group.items.map(one => line(one, group.kind === "cause")), group.more ? el("p", {class: "soft"}, `and ${number(group.more)} more, once these are judged`) : null)), queue.groups_more ? el("p", {class: "soft"}, `and ${queue.groups_more} more groups: see emotion-stream alerts list`) : null,
    queue.dropped ? el("p", {class: "soft"}, `Too many to show: ${several(queue.dropped, "older alert")}. See emotion-stream alerts list.`) : null);
  $("closed-box").hidden = !queue.closed.length;
  $("closed-box").firstElementChild.textContent = `Judged (${queue.closed.length + queue.closed_more})`;
  fill($("closed"), queue.closed.map(one => line(one)), queue.closed_more ? el("p", {class: "soft"}, `and ${queue.closed_more} more: see emotion-stream alerts list`) : null);
  const current = find(chosen);
  if (chosen && (!current || !shown || shown.revision !== current.revision || shown.reviews !== current.reviews)) open(chosen);
  else showTogether();
}

/** The most urgent subjects, for who watches: no more than fit beside the chart. */
function showUrgent() {
  const waiting = queue.groups.map(group => [group, group.items.filter(one => one.standing === "firing" || one.standing === "held")]).filter(([, items]) => items.length);
  $("urgent-empty").hidden = waiting.length > 0;
  $("urgent-count").textContent = queue.waiting > 4 ? `${queue.waiting} alerts` : "";
  fill($("urgent"), waiting.slice(0, 4).map(([group, [first, ...more]]) => el("a", {href: "#review"},
    mark(first.severity), el("span", {class: "what"}, ruleName(first)), el("span", {class: "soft when"}, when(first.starts_at)),
    el("span", {class: "soft"}, group.kind === "cause" ? inChannels(group) : [about(group, 16), more.length ? ` and ${more.length + group.more} more` : ""]))));
}

const ruleName = ({rule}) => rule.replaceAll("-", " ");
const channelName = (channel, most) => name(channel ?? "all channels", most);
const channelsOf = group => [...new Set(group.items.map(one => one.channel))];
const inChannels = group => `in ${number(group.channels)} channels`;

/** What the alerts of a group have in common. */
const about = (group, most) => group.kind === "cause" ? [ruleName(group.items[0]), el("span", {class: "soft"}, ` ${inChannels(group)}`)]
  : group.name === "*" ? ["all channels"] : [`${group.kind} `, name(group.name, most)];

const mark = severity => el("span", {class: "severity", "data-severity": severity}, el("span", {"aria-hidden": "true"}, MARKS.get(severity)), el("span", {class: "unseen"}, severity));

const all = () => queue ? [...queue.groups.flatMap(group => group.items), ...queue.closed] : [];
const find = id => all().find(one => one.id === id);

function line(alert, ofCause = false) {
  const since = alert.standing === "resolved" && alert.ends_at ? `ended ${when(alert.ends_at)}` : when(alert.starts_at);
  return el("button", {type: "button", class: "row alert", "data-id": alert.id, "data-severity": alert.severity, "aria-current": alert.id === chosen ? "true" : null, onclick: pick},
    mark(alert.severity),
    el("span", {class: "what"}, ofCause ? channelName(alert.channel, 24) : ruleName(alert)),
    el("span", {class: "standing", "data-standing": alert.standing}, alert.standing),
    el("span", {class: "soft"}, since));
}

const pick = event => open(event.currentTarget.dataset.id, true);

function choose(id) {
  chosen = id;
  for (const row of document.querySelectorAll(".row.alert")) {
    if (row.dataset.id === id) row.setAttribute("aria-current", "true"); else row.removeAttribute("aria-current");
  }
}

/** Show one alert; `focus`: move there, as a person who chose it expects. */
async function open(id, focus = false) {
  choose(id);
  let alert;
  try {
    alert = await ask(`api/alert?${new URLSearchParams({id})}`);
  } catch (problem) {
    if (problem.status === 404 && chosen === id) return close(problem.message);
    toast(problem.message, true);
    if (chosen === id) choose(shown?.id);
    return;
  }
  if (chosen !== id) return;
  if (!focus && shown?.id === id && shown.revision === alert.revision && shown.reviews === alert.reviews) return;
  showAgain(alert);
  if (focus && $("alert-card").getBoundingClientRect().top > innerHeight - 100) $("alert-card").scrollIntoView();
}

/** Show an alert; of the one that is shown already, what is being written stays. */
export function showAgain(alert = shown) {
  if (!alert) return;
  const note = shown?.id === alert.id ? $("note")?.value : "";
  const typing = document.activeElement?.id === "note";
  show(alert);
  if (note) $("note").value = note;
  if (typing) $("note").focus();
}

/** The alert is no more, mostly because its author has been forgotten: nothing of it stays on the page. */
function close(why) {
  chosen = shown = undefined;
  if ($("picture")) clear($("picture"));
  $("alert-title").classList.add("soft");
  $("alert-title").textContent = "Choose an alert";
  fill($("alert"), el("p", {class: "empty"}, why));
}

function show(alert) {
  shown = alert;
  const title = $("alert-title");
  title.classList.remove("soft");
  title.replaceChildren(el("span", {class: "severity", "data-severity": alert.severity}, el("span", {"aria-hidden": "true"}, MARKS.get(alert.severity)), ` ${alert.severity}`), ` ${ruleName(alert)}`);
  if ($("picture")) clear($("picture"));
  fill($("alert"),
    el("p", {class: "summary"}, el("bdi", {}, alert.summary)),
    el("dl", {class: "about"},
      fact("Standing", el("span", {class: "standing", "data-standing": alert.standing}, alert.standing)),
      alert.author ? fact("Author", name(alert.author, 16)) : null,
      alert.channel ? fact("Channel", name(alert.channel, 32)) : null,
      fact("Since", when(alert.starts_at)),
      alert.latest ? fact(alert.standing === "resolved" ? "Ended at" : "Last reading", `${number2(alert.latest.score)}, ${when(alert.latest.at)}`) : null,
      alert.ended_by ? fact("Why it ended", alert.ended_by) : null,
      fact("For", alert.recipients.length ? alert.recipients.join(", ") : "nobody named"),
      fact("Rests on", several(alert.messages, "message")),
      alert.confidence === null ? null : fact("Mean confidence", alert.confidence.toFixed(2)),
      alert.baseline_messages === null ? null : fact("Usual from", several(alert.baseline_messages, "message"))),
    pictureOf(alert),
    messagesOf(alert),
    el("div", {class: "verdict"},
      el("label", {for: "note"}, "Note ", el("span", {class: "soft"}, "kept with the review")),
      el("textarea", {id: "note", rows: 2, maxlength: 1000}),
      el("div", {id: "together-box"}),
      el("div", {class: "buttons"}, VERDICTS.map(([verdict, text, key, meaning]) =>
        el("button", {type: "button", class: verdict === "confirmed" ? "primary" : null, "data-verdict": verdict, disabled: sending, title: meaning, "aria-keyshortcuts": key, onclick: () => review(verdict)}, text, " ", el("kbd", {}, key.toUpperCase())))),
      el("p", {class: "soft keys"}, el("kbd", {}, "J"), " next  ", el("kbd", {}, "K"), " previous  ", el("kbd", {}, "N"), " note  ", el("kbd", {}, "G"), " whole group  ", el("kbd", {}, "Esc"), " leave the note")),
    historyOf(alert),
    el("p", {class: "notice"}, alert.notice));
  drawPicture(alert);
  showTogether();
}

/** The alerts that share a subject or a cause with the one that is shown, itself among them. */
const companions = () => queue?.groups.find(group => group.items.length > 1 && group.items.some(one => one.id === shown?.id));

/** Offer one decision for the group. Ticked, it holds for those that were listed then: a group that changes asks anew. */
function showTogether() {
  const box = $("together-box");
  if (!box) return;
  const group = companions(), ids = group ? JSON.stringify(group.items.map(one => one.id)) : "";
  if (box.dataset.ids === ids) return;
  box.dataset.ids = ids;
  if (!group) return fill(box);
  const most = group.more ? `the ${group.items.length} alerts listed` : `all ${group.items.length} alerts`;
  fill(box,
    el("label", {class: "together"}, el("input", {type: "checkbox", id: "together"}),
      el("span", {}, `Decide for ${most} `, group.kind === "cause" ? "that may have one cause" : `about this ${group.kind}`, " ", el("kbd", {}, "G"))),
    group.kind === "cause" ? el("p", {class: "soft"}, `The same rule rose ${inChannels(group)} within ${span(Math.max(60, spread(group)))}: `,
      channelsOf(group).slice(0, 8).map((channel, place) => [place ? ", " : "", channelName(channel, 24)]), channelsOf(group).length > 8 ? "…" : "", ". Each gets a review of its own.") : null);
}

const spread = group => Math.max(...group.items.map(one => one.starts_at)) - Math.min(...group.items.map(one => one.starts_at));

const fact = (title, value) => el("div", {}, el("dt", {}, title), el("dd", {}, value));

/** Whether a picture still shows what made the alert fire, and not only what came later. */
const showsCause = ({message_ids: ids, picture}) => picture.kind === "author" ? !ids.length || picture.points.some(point => point[3])
  : picture.windows.some(([start]) => start < picture.to && start + picture.window_s > picture.from);

function pictureOf(alert) {
  const {picture} = alert, few = picture.kind === "author" ? !picture.points.length : !picture.windows.length;
  const said = `${alert.measure}: ${number2(alert.score)}; it alerts from ${number2(alert.enter)} and ends below ${number2(alert.leave)}${alert.baseline === null ? "" : `; ${picture.kind === "channel" && picture.labels.length ? `${percent(alert.baseline)} of the messages` : number2(alert.baseline)} is usual`}`;
  return el("figure", {},
    few ? el("p", {class: "empty"}, "The messages behind it are older than what this page keeps; the figures below are the alert’s own.") : el("div", {id: "picture", class: "chart", role: "img", "aria-label": said}),
    el("figcaption", {class: "soft"}, said, few ? "" : picture.kind === "author" ? `. Each dot is a message by its distress; filled ones are behind the alert; the line is their weighted mean.${picture.latest ? " The diamond is the last reading." : ""}` : `. Each column is ${span(picture.window_s)} of the channel: share of ${picture.labels.join(" or ") || "the labels"}.${picture.latest ? " The framed one is the last reading." : ""}`,
      few || showsCause(alert) ? "" : " What made it fire is older than what this page keeps; shown is what came later."));
}

const number2 = value => value === null ? "–" : value.toLocaleString(undefined, {maximumFractionDigits: 2});

function drawPicture(alert) {
  const box = $("picture"), {picture} = alert;
  if (box) draw(box, () => picture.kind === "author" ? authorChart(picture, box.clientWidth) : channelChart(picture));
}

function messagesOf(alert) {
  const labels = new Map(alert.picture.kind === "author" ? alert.picture.points.filter(point => point[3]).map((point, place) => [place, point]) : []);
  if (alert.texts.length) {
    return el("details", {open: true}, el("summary", {}, `The messages behind it (${alert.texts.length})`), el("ol", {class: "texts"}, alert.texts.map((text, place) => {
      const point = labels.size === alert.texts.length ? labels.get(place) : undefined;
      return el("li", {}, point ? badge(point[2]) : null, point ? el("span", {class: "confidence"}, point[1].toFixed(2)) : null, el("bdi", {dir: "auto"}, text));
    })));
  }
  const places = [...alert.message_ids, ...alert.sources.map(one => `${one.topic}, partition ${one.partition}, offsets ${one.first_offset} to ${one.last_offset}`)];
  if (!places.length) return null;
  return el("details", {}, el("summary", {}, "Where the messages lie (their text is not published)"), el("ul", {class: "places"}, places.map(place => el("li", {}, el("code", {}, place)))));
}

function historyOf(alert) {
  if (!alert.history.length) return null;
  return el("section", {}, el("h3", {}, "What was said of it"), el("ol", {class: "history"}, alert.history.map(one =>
    el("li", {}, el("b", {}, one.verdict), " by ", name(one.reviewer, 32), ` ${when(one.at)}`, one.note ? el("p", {}, el("bdi", {dir: "auto"}, one.note)) : null))));
}

/** Decide about what is shown; not while that is the alert before, and the one that was chosen is on its way. */
async function review(verdict) {
  if (!shown || shown.id !== chosen || sending) return;
  sending = true;
  busy(true);
  const about = shown, {id} = about, all = $("together")?.checked ? companions().items : [shown];
  const next = following(1, all.map(one => one.id));
  try {
    const written = await ask("api/review", {alerts: all.map(one => [one.id, one.reviews]), verdict, note: $("note").value.trim() || null});
    for (const one of written) if (find(one.alert_id)) find(one.alert_id).reviews++;
    if (shown?.id === id) $("note").value = "";
    toast(`${verdict}: ${ruleName(about)}${all.length > 1 ? `, ${all.length} alerts` : ""}. A later verdict replaces it.`);
    if (chosen === id) open(verdict !== "acknowledged" && next ? next : id);
  } catch (problem) {
    toast(problem.message, true);
    if (chosen === id && (problem.status === 409 || problem.status === 404)) open(id);
  } finally {
    sending = false;
    busy(false);
  }
}

/** A verdict is being written, which takes seconds where the cluster is slow to answer. */
function busy(yes) {
  for (const button of document.querySelectorAll("[data-verdict]")) button.disabled = yes;
}

/** The alert so many places further in what waits, but for some; the first one where none is chosen. */
function following(step, without = []) {
  const ids = queue ? queue.groups.flatMap(group => group.items).map(one => one.id).filter(id => id === chosen || !without.includes(id)) : [];
  const place = ids.indexOf(chosen);
  return place < 0 ? ids[0] : ids[place + step];
}

function onKey(event) {
  if ($("review").hidden || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape") document.activeElement?.blur();
  if (event.target.matches?.("input:not([type=checkbox]), textarea, select")) return;
  const verdict = VERDICTS.find(([, , key]) => key === event.key.toLowerCase());
  if (verdict && shown && !event.repeat) review(verdict[0]);
  else if (event.key === "j" || event.key === "k") step(event.key === "j" ? 1 : -1);
  else if (event.key === "n" && $("note")) $("note").focus();
  else if (event.key === "g" && $("together")) $("together").click();
  else return;
  event.preventDefault();
}

function step(by) {
  const id = following(by);
  if (id === undefined) return;
  open(id);
  [...document.querySelectorAll(".row.alert")].find(row => row.dataset.id === id)?.scrollIntoView({block: "nearest"});
}

export function showLog(log) {
  fill($("log"), log.reviews.length ? el("table", {}, el("thead", {}, el("tr", {}, ["when", "who", "verdict", "rule", "note"].map(title => el("th", {scope: "col"}, title)))),
    el("tbody", {}, log.reviews.map(one => el("tr", {}, el("td", {}, when(one.at)), el("td", {}, name(one.reviewer, 20)), el("td", {}, el("span", {class: "standing", "data-standing": one.verdict}, one.verdict)),
      el("td", {}, el("button", {type: "button", class: "link", "data-id": one.alert_id, title: "Show the alert", onclick: pick}, ruleName(one))), el("td", {class: "note"}, one.note ? el("bdi", {dir: "auto"}, one.note) : ""))))) : el("p", {class: "empty"}, "Nobody has reviewed an alert yet."));
  fill($("precision"), log.precision.length ? log.precision.map(one => el("div", {class: "precision"},
    el("p", {}, ruleName(one), " ", el("b", {}, percent(one.ratio))),
    interval(one), el("p", {class: "soft"}, `${one.confirmed} of ${one.reviewed} confirmed; 95 % from ${percent(one.interval[0])} to ${percent(one.interval[1])}`)))
    : el("p", {class: "empty"}, "Known once alerts have been confirmed or dismissed."));
}

/** The interval as a bar from 0 to 1, with the estimate in it. */
function interval({ratio, interval: [low, high]}) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 100 6");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("class", "interval");
  svg.setAttribute("aria-hidden", "true");
  for (const [kind, x, width] of [["track", 0, 100], ["range", 100 * low, 100 * (high - low)], ["estimate", Math.min(99, 100 * ratio), 1]]) {
    const bar = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    for (const [attribute, value] of [["x", x], ["width", width], ["height", 6], ["class", kind]]) bar.setAttribute(attribute, value);
    svg.append(bar);
  }
  return svg;
}
