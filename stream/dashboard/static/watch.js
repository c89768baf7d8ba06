/** The view of who watches: figures, label mix over time, channels unlike their usual, newest messages. */

import {$, el, fill, name, number, percent, several, span, when} from "./dom.js";
import {badge, known, LABELS} from "./labels.js";
import {clear, draw, mixChart, sparkline} from "./charts.js";
import {ask} from "./server.js";

const ALL = "*";
let mix, unit = "share", choose = () => {};

/** `onchoose` hears which channel and window length to follow. */
export function setUp(onchoose) {
  choose = onchoose;
  const box = $("channel");
  box.addEventListener("input", suggest);
  box.addEventListener("change", () => choose({channel: box.value || ALL}));
  for (const button of $("units").children) {
    button.addEventListener("click", () => {
      unit = button.dataset.unit;
      for (const one of $("units").children) one.setAttribute("aria-pressed", one === button);
      if (mix) showMix(mix);
    });
  }
  $("mix-table").parentElement.addEventListener("toggle", () => mix && showTable());
}

let asked = 0;
async function suggest() {
  const turn = ++asked;
  await new Promise(done => setTimeout(done, 150));
  if (turn !== asked) return;
  const found = await ask(`api/channels?${new URLSearchParams({q: $("channel").value})}`).catch(() => null);
  if (found && turn === asked) fill($("channel-names"), found.names.map(one => el("option", {value: one})));
}

const figure = (title, value, note, id) => el("div", {class: "figure", id}, el("dt", {}, title), el("dd", {}, value), el("dd", {class: "soft note"}, note ?? "\u00a0"));

export function showHealth(health) {
  const [model] = health.models;
  fill($("figures"),
    figure("Labels a second", number(health.rate), "over 10 s"),
    figure("Waiting", number(health.waiting), health.waiting === null ? "not known here" : "messages to label"),
    figure("Written to labelled", health.delay_s ? span(health.delay_s[0]) : "–", health.delay_s ? `95 % within ${span(health.delay_s[1])}` : "no message yet"),
    figure("In distress", percent(health.distressed, 1), "of messages, 5 min"),
    figure("Mean confidence", health.confidence === null ? "–" : health.confidence.toFixed(2), "5 min"),
    figure("Drift", health.drift === null ? "–" : health.drift.toFixed(2), health.drift === null ? "too few messages yet" : health.drift >= .25 ? "the mix has shifted" : health.drift >= .1 ? "moving" : "stable"),
  );
  const inside = $("inside");
  if (!inside.childElementCount) {
    inside.append(el("h3", {}, "Messages a minute, last hour", el("span", {id: "spark-most"})), el("div", {class: "chart spark", id: "spark", role: "img", "aria-label": "Messages a minute over the last hour"}), el("div", {id: "facts"}));
  }
  const most = Math.max(0, ...health.rates);
  $("spark-most").textContent = most ? `: ${number(health.rates.at(-1))} in the last, at most ${number(most)}` : "";
  draw($("spark"), () => sparkline(health.rates));
  fill($("facts"),
    el("h3", {}, "Model"),
    model ? el("p", {}, name(model.name, 40), " ", el("code", {}, model.revision.slice(0, 12))) : el("p", {class: "soft"}, "No label yet."),
    health.models.length > 1 ? el("p", {class: "soft"}, `before: ${health.models.slice(1, 3).map(one => one.revision.slice(0, 12)).join(", ")}`) : null,
    health.languages.length ? [el("h3", {}, "Languages"), el("ul", {class: "chips"}, health.languages.map(([language, share]) => el("li", {}, name(language, 12), ` ${percent(share)}`)))] : null,
    el("h3", {}, "Partitions: last label"),
    el("ul", {class: "chips", "aria-label": "Age of the newest label of each partition"}, health.partitions.map(([place, at]) =>
      el("li", {"data-old": at !== null && health.at - at > 60 ? "yes" : null}, `${place}: ${at === null ? "none yet" : age(health.at - at)}`))),
    health.skipped ? el("p", {class: "soft"}, `Passed over to keep up: ${several(health.skipped, "label")}; the counters hold them.`) : null,
    health.refused ? el("p", {class: "soft"}, `Passed over for not being what their topic holds: ${several(health.refused, "record")}.`) : null,
  );
}

const age = seconds => seconds < 10 ? "now" : seconds < 60 ? "< 1 min" : span(seconds);

export function showMix(next) {
  mix = next;
  $("mix-title").replaceChildren("Label mix", mix.channel === ALL ? "" : ": ", mix.channel === ALL ? "" : name(mix.channel, 24));
  fill($("lengths"), mix.lengths.map(length => el("button", {type: "button", "aria-pressed": String(length === mix.window_s), "data-length": length, onclick: pickLength}, span(length))));
  const sums = LABELS.map((_, place) => mix.windows.reduce((sum, row) => sum + row[1 + place], 0));
  const total = sums.reduce((sum, one) => sum + one, 0);
  const empty = !total;
  $("mix-chart").hidden = empty;
  $("mix-empty").hidden = !empty;
  $("mix-table").parentElement.hidden = empty;
  $("mix-empty").textContent = mix.channel === ALL ? "No window has been counted yet. The monitor counts; is it running?" : "No window of this channel is known.";
  fill($("legend"), empty ? [] : LABELS.map((label, place) => [label, sums[place]]).filter(([label, sum]) => sum || label !== "unknown")
    .map(([label, sum]) => el("li", {}, badge(label), el("span", {}, label), el("b", {}, percent(sum / total)))));
  if (empty) return clear($("mix-chart"));
  const order = LABELS.map((label, place) => [sums[place], label]).sort((a, b) => b[0] - a[0]).slice(0, 3);
  $("mix-chart").setAttribute("aria-label", `Label mix of ${mix.windows.length} windows of ${span(mix.window_s)}: ${order.map(([sum, label]) => `${label} ${percent(sum / total)}`).join(", ")}. The table below says the same.`);
  draw($("mix-chart"), () => mixChart(mix, unit));
  showTable();
}

const pickLength = event => choose({window: Number(event.currentTarget.dataset.length)});

function showTable() {
  if (!$("mix-table").parentElement.open) return;
  const rows = mix.windows.slice(-30).reverse();
  fill($("mix-table"), el("table", {},
    el("thead", {}, el("tr", {}, el("th", {scope: "col"}, "from"), LABELS.map(label => el("th", {scope: "col"}, label)), el("th", {scope: "col"}, "confidence"))),
    el("tbody", {}, rows.map(row => el("tr", {}, el("th", {scope: "row"}, when(row[0])), row.slice(1, 1 + LABELS.length).map(count => el("td", {}, String(count))), el("td", {}, row[1 + LABELS.length] ?? "–"))))));
}

export function showChannels(channels) {
  $("channels-known").textContent = channels.known ? `${several(channels.known, "channel")}${channels.dropped ? `, ${number(channels.dropped)} more are too many to show` : ""}` : "";
  $("changes-empty").hidden = channels.changes.length > 0;
  fill($("changes"), channels.changes.map(one => el("li", {}, el("button", {type: "button", class: "row", "data-channel": one.channel, onclick: pickChannel},
    name(one.channel, 22), el("span", {class: "count"}, several(one.messages, "message")),
    one.label === null ? el("span", {class: "soft what"}, "too little is known of its usual")
      : el("span", {class: "what"}, badge(one.label), ` ${one.label} `, el("b", {}, percent(one.share)), el("span", {class: "soft"}, ` usually ${percent(one.usual)}`),
        Math.abs(one.deviations) >= 2 ? el("span", {class: "turn"}, one.deviations > 0 ? " ▲ more" : " ▼ less") : null)))));
}

function pickChannel(event) {
  $("channel").value = event.currentTarget.dataset.channel;
  choose({channel: event.currentTarget.dataset.channel});
}

export function showRecent(messages) {
  $("recent-empty").hidden = messages.length > 0;
  $("recent-note").textContent = messages.length && !messages.some(one => one.text !== undefined) ? "their text is not published" : "";
  fill($("recent"), messages.slice(0, 12).map(one => el("li", {},
    badge(one.label), el("span", {class: "label"}, (one.labels?.length > 1 ? one.labels : [one.label]).map(label => known(label) === "unknown" ? "unknown" : label).join(", ")),
    el("span", {class: "confidence"}, one.confidence.toFixed(2)),
    one.level === "none" ? el("span", {class: "level"}) : el("span", {class: "level", "data-level": one.level}, one.level),
    el("span", {class: "where"}, one.channel ? name(one.channel, 18) : "–", one.language ? ` ${one.language.slice(0, 12)}` : ""),
    one.text === undefined ? el("span", {class: "text soft"}, when(one.at)) : el("bdi", {class: "text", dir: "auto"}, one.text))));
}
