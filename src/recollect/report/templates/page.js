"use strict";
(() => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const { charts, datasets } = read("report-data");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const taskMenu = document.getElementById("task");
  const holders = [...document.querySelectorAll(".chart")];
  const SMALLEST_SHARE = 0.8;
  const PHONE = 480;

  // Heads of columns stand upright where they do not fit side by side.
  function theme(width, headsWidth) {
    const css = getComputedStyle(document.documentElement);
    const [text, muted, line] = ["--text", "--muted", "--line"].map((name) => css.getPropertyValue(name).trim());
    const narrow = width < PHONE;
    const upright = narrow || width < headsWidth;
    const axis = { labelColor: muted, titleColor: muted, titleFontWeight: "normal", gridColor: line, domainColor: line, tickColor: line };
    return {
      background: "transparent",
      padding: { left: 2, top: 4, bottom: 4, right: 6 },
      font: getComputedStyle(document.body).fontFamily,
      view: { stroke: null },
      title: { color: text, fontSize: 14, anchor: "start" },
      header: { labelColor: text, labelFontWeight: "bold", titleColor: text },
      legend: { labelColor: text, titleColor: text, titleLimit: 0, labelLimit: narrow ? 62 : 130, gradientLength: narrow ? 150 : 220 },
      axis,
      axisX: { grid: false },
      axisTop: { labelColor: text, labelLimit: 150, labelAngle: upright ? -90 : 0, labelAlign: upright ? "left" : "center", labelBaseline: upright ? "middle" : "bottom" },
      text: { fontSize: narrow ? 9.5 : 11 },
      axisLeft: { labelLimit: narrow ? 110 : 240 },
      rule: { color: muted },
    };
  }

  // A facet cannot take its container's width: choose how many of its columns fit, and how wide each is.
  function fitted(spec, width, table) {
    if (!spec.facet) return spec;
    const panels = new Set(table.map((row) => row[spec.facet.field])).size;
    const gap = spec.resolve?.scale?.y === "independent" ? 70 : 20;
    const columns = Math.max(1, Math.min(panels, Math.floor(width / (SMALLEST_SHARE * spec.spec.width + gap - 20))));
    const inner = Math.max(80, (width - 50) / columns - gap);
    return { ...spec, columns, spec: { ...spec.spec, width: inner } };
  }

  function rows(chart, value) {
    const keep = (row) => chart.by === null || row[chart.by] === value;
    return Object.fromEntries(chart.datasets.map((name) => [name, datasets[name].filter(keep)]));
  }

  async function draw(holder) {
    const chart = charts[holder.dataset.chart];
    const place = Number(holder.dataset.spec);
    const data = rows(chart, chart.by === "task" ? taskMenu.value : chart.values[place]);
    const isEmpty = Object.values(data).some((table) => table.length === 0);
    (holder.closest("[data-block]") ?? holder).hidden = isEmpty;
    if (isEmpty) return;
    const width = holder.clientWidth;
    const spec = { ...fitted(chart.specs[place], width, data[chart.datasets[0]]), datasets: data };
    await vegaEmbed(holder, spec, {
      renderer: "svg",
      config: theme(width, Number(holder.dataset.upright ?? 0)),
      tooltip: { theme: dark.matches ? "dark" : "light" },
      actions: { export: true, source: false, compiled: false, editor: false },
    });
  }

  const drawAll = () => Promise.all(holders.map(draw));

  // Where the error of a model comes from, on the chosen task.
  function fillAudit() {
    const block = document.querySelector("[data-audit]");
    if (!block) return;
    const columns = ["model", "error", "linear", "nonlinear", "bias", "floor", "floor_attained", "excess", "standing"];
    const shown = (value) => (typeof value === "number" ? String(Number(value.toPrecision(3))) : value ?? "–");
    const found = datasets.audit.filter((row) => row.task === taskMenu.value);
    block.hidden = found.length === 0;
    block.querySelector("tbody").replaceChildren(...found.map((row) => {
      const line = document.createElement("tr");
      line.append(...columns.map((name, place) => {
        const cell = document.createElement(place === 0 ? "th" : "td");
        cell.textContent = shown(row[name]);
        if (row.how && ["floor", "standing"].includes(name)) cell.title = row.how;
        return cell;
      }));
      return line;
    }));
  }

  function chooseTask() {
    holders.filter((holder) => charts[holder.dataset.chart].by === "task").forEach(draw);
    fillAudit();
  }

  function switchMap(event) {
    const part = event.target.closest("[data-part]");
    const holder = part.querySelector(".chart");
    holder.dataset.chart = event.target.value;
    for (const caption of part.querySelectorAll("[data-caption]")) {
      caption.hidden = caption.dataset.caption !== event.target.value;
    }
    draw(holder);
  }

  function openDetails() {
    const { values, runs } = read("run-details");
    const unfold = (run) => ({
      id: run.id,
      config: Object.fromEntries(Object.entries(run.config).map(([key, place]) => [key, values[place]])),
      environment: values[run.environment],
      error: values[run.error],
    });
    document.addEventListener("click", async (event) => {
      const button = event.target.closest("#runs-table button.open");
      if (!button) return;
      const { jQuery } = await Object.entries(window).find(([name]) => name.startsWith("_itables"))[1];
      const row = jQuery("#runs-table").DataTable().row(button.closest("tr"));
      if (row.child.isShown()) {
        row.child.hide();
        return;
      }
      const text = document.createElement("pre");
      text.className = "config";
      text.textContent = JSON.stringify(unfold(runs[row.index()]), null, 2);
      row.child(text).show();
    });
  }

  function followTheme() {
    document.documentElement.classList.toggle("dark", dark.matches);
  }

  followTheme();
  dark.addEventListener("change", () => { followTheme(); drawAll(); });
  taskMenu?.addEventListener("change", chooseTask);
  document.querySelectorAll("[data-maps]").forEach((choice) => choice.addEventListener("change", switchMap));
  let width = innerWidth;
  let timer;
  addEventListener("resize", () => {
    if (innerWidth === width) return;
    width = innerWidth;
    clearTimeout(timer);
    timer = setTimeout(drawAll, 150);
  });
  openDetails();
  fillAudit();
  drawAll();
})();
