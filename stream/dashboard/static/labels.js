/** Labels as people see them: a colour, a letter and a pattern each, so that none rests on colour alone. */

import {el} from "./dom.js";

export const LABELS = ["sadness", "joy", "love", "anger", "fear", "surprise", "neutral", "unknown"];
const LETTERS = new Map([["sadness", "S"], ["joy", "J"], ["love", "L"], ["anger", "A"], ["fear", "F"], ["surprise", "U"], ["neutral", "N"], ["unknown", "?"]]);

const stroke = "rgba(255, 255, 255, .42)";
const DECALS = new Map([
  ["sadness", {symbol: "rect", dashArrayX: [1, 0], dashArrayY: [2, 5], rotation: -Math.PI / 4, color: stroke}],
  ["love", {symbol: "circle", dashArrayX: [[8, 8], [0, 8, 8, 0]], dashArrayY: [6, 0], symbolSize: .7, color: stroke}],
  ["anger", {symbol: "rect", dashArrayX: [1, 0], dashArrayY: [2, 5], rotation: Math.PI / 4, color: stroke}],
  ["fear", {symbol: "rect", dashArrayX: [1, 0], dashArrayY: [2, 5], rotation: 0, color: stroke}],
  ["surprise", {symbol: "triangle", dashArrayX: [[9, 9], [0, 9, 9, 0]], dashArrayY: [8, 2], symbolSize: .75, color: stroke}],
]);

/** A colour of the palette, as the theme has it now. */
export const colour = token => getComputedStyle(document.documentElement).getPropertyValue(`--${token}`).trim();

export const known = label => LETTERS.has(label) ? label : "unknown";
export const decal = label => DECALS.get(known(label)) ?? {symbol: "none"};

/** The letter of a label on its colour. */
export function badge(label) {
  return el("span", {class: "letter", "data-label": known(label), "aria-hidden": "true"}, LETTERS.get(known(label)));
}
