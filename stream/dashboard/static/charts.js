/** Charts, by Apache ECharts: made once an element, drawn anew with the data, the theme and the size. */

import {colour, decal, LABELS} from "./labels.js";
import {clockToTheSecond, percent, when} from "./dom.js";

const charts = new Map();

/** Draw in an element. `options` is a function, so that a change of theme can ask for its colours again. */
export function draw(element, options) {
  let known = charts.get(element);
  if (!known) {
    const chart = echarts.init(element, null, {renderer: "canvas"});
    new ResizeObserver(() => chart.resize()).observe(element);
    charts.set(element, known = {chart});
  }
  known.options = options;
  known.chart.setOption(options());
}

/** Let go of an element's chart, where there is one. */
export function clear(element) {
  charts.get(element)?.chart.dispose();
  charts.delete(element);
}

export function redraw() {
  for (const {chart, options} of charts.values()) chart.setOption(options());
}

const rem = () => parseFloat(getComputedStyle(document.documentElement).fontSize);

function frame() {
  const size = Math.max(11, rem() * .8);
  const text = {color: colour("soft"), fontSize: size, fontFamily: "system-ui, sans-serif"};
  return {
    animation: false,
    textStyle: {fontFamily: "system-ui, sans-serif"},
    grid: {left: 8, right: 16, top: rem() * .8, bottom: 4, containLabel: true},
    tooltip: {
      renderMode: "richText", trigger: "axis", confine: true, backgroundColor: colour("raised"), borderColor: colour("line"),
      textStyle: {color: colour("ink"), fontSize: size}, axisPointer: {type: "line", lineStyle: {color: colour("soft")}},
    },
    xAxis: {axisLabel: {...text, hideOverlap: true, padding: [0, 4]}, axisLine: {lineStyle: {color: colour("line")}}, axisTick: {show: false}, splitLine: {show: false}},
    yAxis: {axisLabel: text, splitLine: {lineStyle: {color: colour("line")}}, axisLine: {show: false}},
  };
}

/** Stacked columns of a channel's windows: share of each label, or count. */
export function mixChart(mix, unit) {
  const base = frame();
  const rows = mix.windows, total = row => row.slice(1, 1 + LABELS.length).reduce((sum, one) => sum + one, 0);
  const value = (row, place) => unit === "count" ? row[1 + place] : total(row) ? row[1 + place] / total(row) : null;
  const size = base.xAxis.axisLabel.fontSize, zoomed = rows.length > 12 && !document.documentElement.classList.contains("wall");
  return {
    ...base,
    grid: {...base.grid, bottom: zoomed ? size * 3.4 : 4},
    legend: {show: false},
    tooltip: {
      ...base.tooltip,
      formatter: found => {
        const row = rows[found[0].dataIndex];
        const lines = LABELS.map((label, place) => [label, row[1 + place]]).filter(([, count]) => count).reverse();
        return [`${when(row[0])}   ${total(row)} messages`, ...lines.map(([label, count]) => `${label}  ${count}  (${percent(count / total(row))})`)].join("\n");
      },
    },
    xAxis: {...base.xAxis, axisLabel: {...base.xAxis.axisLabel, ...(zoomed ? {alignMinLabel: "left", alignMaxLabel: "right"} : {})}, type: "category", data: rows.map(row => when(row[0]))},
    yAxis: {...base.yAxis, type: "value", min: 0, max: unit === "count" ? null : 1, minInterval: unit === "count" ? 1 : 0,
      axisLabel: {...base.yAxis.axisLabel, formatter: unit === "count" ? null : share => percent(share)}},
    dataZoom: [
      {type: "inside", zoomOnMouseWheel: "ctrl"},
      {type: "slider", show: zoomed, height: size * 1.5, bottom: 4, showDetail: false, brushSelect: false, borderColor: colour("line"), fillerColor: colour("veil"),
        dataBackground: {lineStyle: {color: colour("line")}, areaStyle: {color: colour("line")}}, handleStyle: {color: colour("soft")}, moveHandleSize: 0},
    ],
    series: LABELS.map((label, place) => ({
      name: label, type: "bar", stack: "mix", barCategoryGap: rows.length > 60 ? "0%" : "12%", barMaxWidth: 48,
      itemStyle: {color: colour(label), decal: decal(label), borderColor: colour("card"), borderWidth: rows.length > 60 ? 0 : .5},
      data: rows.map(row => value(row, place)),
    })),
  };
}

const level = (name, at, type, token) => ({yAxis: at, name, lineStyle: {color: colour(token), type, width: 2},
  label: {formatter: name, position: "insideStartTop", color: colour(token), fontSize: Math.max(11, rem() * .8), fontWeight: 600, backgroundColor: colour("card"), padding: [1, 4], borderRadius: 3}});

/** An author's messages by distress, their weighted mean, and the levels of the rule, in a chart of some width. */
export function authorChart(picture, width) {
  const base = frame(), times = picture.points.map(([at]) => at);
  const time = Math.max(...times) - Math.min(...times) < 600 ? clockToTheSecond : when;
  const lines = [level("alerts from here", picture.enter, "solid", "critical"), level("ends below", picture.leave, "dashed", "soft")];
  if (picture.baseline !== null) lines.push(level("usual", picture.baseline, "dotted", "accent"));
  return {
    ...base,
    tooltip: {...base.tooltip, trigger: "item", formatter: found => {
      const at = new Date(found.value[0]).toLocaleString();
      if (found.seriesName === "last reading") return `${at}\nlast reading ${found.value[1].toFixed(2)}`;
      return found.seriesName === "mean" ? `${at}\nweighted mean ${found.value[1].toFixed(2)}` : `${at}\n${found.value[2]}, distress ${found.value[1].toFixed(2)}`;
    }},
    xAxis: {...base.xAxis, type: "time", splitNumber: Math.max(2, Math.floor(width / (8 * base.yAxis.axisLabel.fontSize))),
      axisLabel: {...base.xAxis.axisLabel, formatter: at => time(at / 1000)}},
    yAxis: {...base.yAxis, type: "value", min: 0, max: 1},
    series: [
      {name: "mean", type: "line", showSymbol: false, lineStyle: {width: 3, color: colour("ink")}, data: picture.mean.map(([at, mean]) => [at * 1000, mean]), z: 3},
      {name: "messages", type: "scatter", symbolSize: point => point[3] ? 13 : 8,
        data: picture.points.map(([at, score, label, behind]) => {
          const own = colour(LABELS.includes(label) ? label : "unknown");
          return {value: [at * 1000, score, label, behind], itemStyle: {color: behind ? own : "transparent", borderColor: own, borderWidth: 2}};
        }),
        markLine: {symbol: "none", silent: true, data: lines}},
      ...(picture.latest ? [{name: "last reading", type: "scatter", symbol: "diamond", symbolSize: 16, z: 4, data: [[picture.latest[0] * 1000, picture.latest[1]]],
        itemStyle: {color: colour("accent"), borderColor: colour("ink"), borderWidth: 2}}] : []),
    ],
  };
}

/** How often the rule's labels were in a channel's windows, and how often they usually are. */
export function channelChart(picture) {
  const base = frame(), rows = picture.windows;
  const inside = rows.map(([start]) => start >= picture.from && start < picture.to);
  const label = picture.labels[0];
  const line = (name, values, type, token) => ({name, type: "line", step: "middle", showSymbol: false, silent: true, data: values,
    lineStyle: {color: colour(token), type, width: 2}, itemStyle: {color: colour(token)},
    markPoint: {symbolSize: 0, silent: true, data: values.findIndex(one => one !== null) < 0 ? [] : [{coord: [values.findIndex(one => one !== null), values.find(one => one !== null)]}],
      label: {...level(name, 0, type, token).label, position: "insideTopLeft", offset: [0, -rem() * 1.3]}}});
  const series = [{
    name: "share", type: "bar", barCategoryGap: "20%", barMaxWidth: 40,
    data: rows.map(([, hits, messages], place) => ({value: messages ? hits / messages : null,
      itemStyle: {color: colour(label && LABELS.includes(label) ? label : "accent"), opacity: inside[place] ? 1 : .45, decal: inside[place] ? decal(label ?? "") : {symbol: "none"}, ...(rows[place][0] === picture.latest ? {borderColor: colour("ink"), borderWidth: 3, opacity: 1} : {})}})),
    markLine: picture.usual === null ? undefined : {symbol: "none", silent: true, data: [level("usual", picture.usual, "dotted", "accent")]},
  }];
  if (picture.enter) series.push(line("alerts from here", picture.enter, "solid", "critical"), line("ends below", picture.leave, "dashed", "soft"));
  return {
    ...base,
    tooltip: {...base.tooltip, formatter: found => {
      const [start, hits, messages] = rows[found[0].dataIndex];
      return `${when(start)}\n${hits} of ${messages} messages (${percent(messages ? hits / messages : null)})`;
    }},
    xAxis: {...base.xAxis, type: "category", data: rows.map(([start]) => when(start))},
    yAxis: {...base.yAxis, type: "value", min: 0, axisLabel: {...base.yAxis.axisLabel, formatter: share => percent(share)}},
    series,
  };
}

/** A small line without axes. */
export function sparkline(values) {
  return {
    animation: false, grid: {left: 0, right: 0, top: 2, bottom: 2},
    xAxis: {type: "category", show: false, data: values.map((_, place) => place)}, yAxis: {type: "value", show: false, min: 0},
    series: [{type: "line", showSymbol: false, silent: true, lineStyle: {color: colour("accent"), width: 2}, areaStyle: {color: colour("veil")}, data: values}],
  };
}
