"use strict";
(() => {
  const charts = JSON.parse(document.getElementById("charts").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const holders = [...document.querySelectorAll(".chart")];
  const PHONE = 480;

  function theme(width) {
    const css = getComputedStyle(document.documentElement);
    const [text, muted, line] = ["--text", "--muted", "--line"].map((name) => css.getPropertyValue(name).trim());
    return {
      background: "transparent",
      padding: { left: 2, top: 4, bottom: 4, right: 6 },
      font: getComputedStyle(document.body).fontFamily,
      view: { stroke: null },
      header: { labelColor: text, titleColor: text },
      legend: { labelColor: text, titleColor: text, titleLimit: 0, labelLimit: width < PHONE ? 120 : 260 },
      axis: { labelColor: muted, titleColor: muted, titleFontWeight: "normal", gridColor: line, domainColor: line, tickColor: line },
      axisX: { grid: false },
      text: { color: muted },
      rule: { color: muted },
    };
  }

  async function draw(holder) {
    const width = holder.clientWidth;
    await vegaEmbed(holder, { ...charts[holder.dataset.chart], background: "transparent" }, {
      renderer: "svg",
      config: theme(width),
      tooltip: { theme: dark.matches ? "dark" : "light" },
      actions: { export: true, source: false, compiled: false, editor: false },
    });
  }

  const drawAll = () => Promise.all(holders.map(draw));
  dark.addEventListener("change", drawAll);
  let width = innerWidth;
  let timer;
  addEventListener("resize", () => {
    if (innerWidth === width) return;
    width = innerWidth;
    clearTimeout(timer);
    timer = setTimeout(drawAll, 150);
  });
  drawAll();
})();
