/** The view of who tries the model: one sentence, all its scores, and which words drove the label. */

import {$, el, fill, name, percent, toast} from "./dom.js";
import {badge, LABELS} from "./labels.js";
import {ask} from "./server.js";

const EXAMPLES = ["Still no parcel, and nobody answers me!!", "I can't believe you drove out on a Sunday. Thank you so much.", "I don't know how much longer I can do this.", "Please send the invoice for September as a PDF."];

export function setUp(most) {
  const box = $("try-text");
  box.maxLength = most;
  $("try-form").addEventListener("submit", event => { event.preventDefault(); label(); });
  box.addEventListener("keydown", event => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) label(); });
  fill($("examples"), EXAMPLES.map(text => el("button", {type: "button", class: "quiet", onclick: () => { box.value = text; label(); }}, text)));
}

async function label() {
  const text = $("try-text").value;
  if (!text.trim()) return toast("Write a sentence first.", true);
  $("try-result").setAttribute("aria-busy", "true");
  try {
    show(await ask("api/classify", {text}));
  } catch (problem) {
    fill($("try-result"), el("p", {class: "problem"}, problem.message));
  } finally {
    $("try-result").removeAttribute("aria-busy");
  }
}

function show(found) {
  const scores = new Map([...Object.entries(found.scores), ["neutral", found.neutral]]);
  const labels = found.labels?.length > 1 ? found.labels : [found.label];
  fill($("try-result"),
    el("p", {class: "verdict-line"}, badge(found.label), el("strong", {}, labels.join(", ")), el("span", {class: "soft"}, ` confidence ${found.confidence.toFixed(2)}`)),
    el("table", {class: "scores"}, el("caption", {class: "unseen"}, "Calibrated probability of each label"), el("tbody", {}, LABELS.filter(one => scores.has(one)).sort((a, b) => scores.get(b) - scores.get(a)).map(one =>
      el("tr", {}, el("th", {scope: "row"}, badge(one), ` ${one}`), el("td", {}, bar(one, scores.get(one))), el("td", {class: "number"}, percent(scores.get(one), 1)))))),
    el("dl", {class: "about"},
      el("div", {}, el("dt", {}, "Distress"), el("dd", {}, `${found.distress.score.toFixed(2)} `, el("span", {class: "level", "data-level": found.distress.level}, found.distress.level))),
      el("div", {}, el("dt", {}, "Language"), el("dd", {}, found.language ? name(languageName(found.language), 30) : "not known from so few words")),
      el("div", {}, el("dt", {}, "Model"), el("dd", {}, name(found.model.name, 30), " ", el("code", {}, found.model.revision.slice(0, 12)), ` ${found.model.device}, ${found.model.precision}`))),
    found.measured ? null : el("p", {class: "problem"}, `The weights were measured in ${found.model.languages.map(languageName).join(", ")} alone: in the stream this message is labelled unknown.`),
    el("p", {class: "soft"}, "A statistic about words. It is no diagnosis and measures no risk."));
  const most = Math.max(.5, ...found.parts.map(([, weight]) => Math.abs(weight)));
  fill($("words"),
    el("p", {class: "words"}, found.parts.map(([text, weight]) => word(text, weight, most))),
    el("p", {class: "soft"}, el("span", {class: "word", "data-step": "3"}, "filled"), " or underlined", ` speaks for ${found.label}, `, el("span", {class: "word", "data-step": "-3"}, "dotted"), " against it. Point at a word for its figure."),
    found.read_whole ? null : el("p", {class: "soft"}, "Shown is what the model reads: quotations, signatures and links are left out."),
    el("details", {}, el("summary", {}, "How this is found, and what it does not mean"), el("p", {},
      "By leaving words out (occlusion): the sentence is labelled again without each word in turn, and a word’s figure is by how much the log-odds of the label fall. It uses the very model that labels the stream."), el("p", {},
      "It does not say why the model learnt this, nor what the person feels. Words that only work together, or that say the same thing twice, get little each; and a sentence without a word is one that nobody wrote."))); 
}

const languageName = tag => new Intl.DisplayNames(undefined, {type: "language", fallback: "code"}).of(tag);

function bar(label, share) {
  const filled = el("span", {"data-label": label});
  filled.style.width = `${100 * share}%`;  // by the object model: the content policy forbids it in markup
  return el("span", {class: "meter", "aria-hidden": "true"}, filled);
}

function word(text, weight, most) {
  const [, body, space] = /^(.*?)(\s*)$/s.exec(text), step = Math.round(3 * weight / most);
  if (!step) return [body + space];
  return [el("span", {class: "word", "data-step": String(step), title: `${weight > 0 ? "+" : "−"}${Math.abs(weight).toFixed(2)} log-odds`}, el("bdi", {}, body)), space];
}
