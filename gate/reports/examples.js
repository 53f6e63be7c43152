"use strict";

// Examples side by side. Texts of models come from the page's data and go into text nodes, nowhere else. Columns are
// read as the package's embedded.py writes them, marks as its examples.py does.
(() => {
  const PER_PAGE = 25;
  const FOLDED = 900; // characters of a text that are seen before it is asked for
  const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-";
  const [WON, LOST, TIED] = [1, 2, 3];
  const [DISAGREED, INVALID] = [4, 8];
  const OUTCOMES = ["", "won", "lost", "tied"];
  const SIGNS = ["", "✓ ", "✗ ", "= "];
  const KINDS = {
    all: () => true,
    won: (mark) => (mark & 3) === WON,
    lost: (mark) => (mark & 3) === LOST,
    tied: (mark) => (mark & 3) === TIED,
    disagreed: (mark) => Boolean(mark & DISAGREED),
    invalid: (mark) => Boolean(mark & INVALID),
  };
  const ORDERS = {
    data: "as in the data",
    lost: "lost by most first",
    won: "won by most first",
    worst: "candidate's worst first",
    best: "candidate's best first",
  };

  const $ = (name) => document.getElementById(`examples-${name}`);
  const choice = (name) => $(name).querySelector("select");
  const count = new Intl.NumberFormat("en");
  const figure = (value) => (value === null ? "–" : String(value).replace("-", "−"));
  const capital = (word) => word.charAt(0).toUpperCase() + word.slice(1);

  function element(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children); // strings become text nodes
    return made;
  }

  function options(select, named) {
    select.replaceChildren(...named.map(([value, text]) => element("option", { value }, text)));
  }

  // the data

  class Data {
    constructor(read) {
      this.evaluators = read.evaluators;
      this.texts = read.texts;
      this.packed = read.columns;
      this.columns = [];
    }

    column(number) {
      const { of, at } = this.packed[number];
      this.columns[number] ??= of ? Array.from(at, (letter) => of[LETTERS.indexOf(letter)]) : this.packed[number];
      return this.columns[number];
    }

    text(column, at) {
      const number = this.column(column)[at];
      return number === null ? null : this.texts[number];
    }

    score(column, at) {
      const value = this.column(column)[at];
      return Array.isArray(value) ? null : value;
    }

    reason(column, at) {
      const value = this.column(column)[at];
      return Array.isArray(value) ? this.texts[value[0]] : "";
    }
  }

  // what is seen of them

  class Desk {
    constructor(data) {
      this.data = data;
      this.kind = "all";
      options(choice("evaluator"), data.evaluators.map((one, at) => [at, one.title]));
      choice("evaluator").addEventListener("change", () => this.open());
      choice("against").addEventListener("change", () => this.compare());
      choice("order").addEventListener("change", () => this.choose());
      $("search").querySelector("input").addEventListener("input", () => this.choose());
      const [previous, next] = $("pages").querySelectorAll("button");
      previous.addEventListener("click", () => this.turn(-1));
      next.addEventListener("click", () => this.turn(1));
      this.open();
    }

    open() {
      const shown = this.data.evaluators[Number(choice("evaluator").value)];
      this.shown = shown;
      this.candidate = Math.max(shown.roles.indexOf("candidate"), 0);
      this.haystack = null;
      this.notes = new Map();
      for (const [at, ...note] of shown.notes) this.notes.set(at, [...(this.notes.get(at) ?? []), note]);
      options(choice("against"), shown.against.map((role, at) => [at, shown.roles[role]]));
      $("against").hidden = shown.against.length < 2;
      const orders = Object.entries(ORDERS).filter(
        ([name]) => name === "data" || (shown.chief && (!shown.chief.pair || ["lost", "won"].includes(name))),
      );
      options(choice("order"), orders);
      $("order").hidden = orders.length < 2;
      $("slices").replaceChildren(...shown.slices.map(([name, column]) => this.slice(name, column)));
      const [before, after] = [this.data.texts[shown.before], this.data.texts[shown.after]];
      $("frame").hidden = !before && !after;
      $("frame").querySelector("p").textContent = `${before} … ${after}`.trim();
      this.compare();
    }

    slice(name, column) {
      const select = element("select", { "data-column": column });
      const found = [...new Set(this.data.column(column))].filter((number) => number !== null);
      const values = found.map((number) => [number, this.data.texts[number]]);
      values.sort(([, one], [, other]) => one.localeCompare(other, "en", { numeric: true }));
      options(select, [["", "all"], ...values]);
      select.addEventListener("change", () => this.choose());
      return element("label", {}, `${capital(name)} `, select);
    }

    compare() {
      const pair = Number(choice("against").value || 0);
      this.baseline = this.shown.against[pair];
      this.marks = Uint8Array.from(this.shown.marks[pair] ?? "", (digit) => parseInt(digit, 16));
      this.choose();
    }

    choose() {
      const { data, shown } = this;
      const slices = [...$("slices").querySelectorAll("select")].filter((select) => select.value);
      const kept = slices.map((select) => [data.column(Number(select.dataset.column)), Number(select.value)]);
      const words = $("search").querySelector("input").value.toLowerCase().split(/\s+/).filter(Boolean);
      if (words.length) this.haystack ??= this.searchable();
      const found = data.column(shown.ids).map((_, at) => at).filter(
        (at) =>
          kept.every(([column, value]) => column[at] === value) &&
          words.every((word) => this.haystack[at].includes(word)),
      );
      this.chips(found);
      this.found = this.ordered(found.filter((at) => KINDS[this.kind](this.marks[at])));
      this.page = 0;
      this.draw();
    }

    searchable() {
      const { data, shown } = this;
      const columns = [shown.ids, shown.asked, shown.wanted, ...shown.answers, ...shown.faults];
      const rows = data.column(shown.ids).map((_, at) => columns.map((column) => data.text(column, at) ?? ""));
      for (const [at, , , text] of shown.notes) rows[at].push(data.texts[text]);
      return rows.map((texts) => texts.join("\n").toLowerCase());
    }

    // A pair's score stands in the baseline's column: what the candidate got against it.
    ordered(found) {
      const { data, shown } = this;
      const order = choice("order").value;
      if (order === "data" || !shown.chief) return found;
      const { pair, higher } = shown.chief;
      const ours = (at) => data.score(shown.chiefly[this.candidate], at);
      const theirs = (at) => data.score(shown.chiefly[this.baseline], at);
      const better = (at) => {
        if (pair) return theirs(at);
        const [own, other] = [ours(at), order === "lost" || order === "won" ? theirs(at) : 0];
        return own === null || other === null ? null : (own - other) * (higher ? 1 : -1);
      };
      const sign = order === "won" || order === "best" ? -1 : 1;
      const keys = new Map(found.map((at) => [at, better(at)]));
      return found.sort((one, other) => {
        const [first, second] = [keys.get(one), keys.get(other)];
        if (first === null || second === null) return (first === null) - (second === null); // unscored last
        return sign * (first - second) || one - other;
      });
    }

    chips(found) {
      const chips = Object.entries(KINDS).map(([kind, fits]) => {
        const fitting = found.filter((at) => fits(this.marks[at])).length;
        return [kind, fitting, `${capital(kind)} ${count.format(fitting)}`];
      });
      const drawn = $("chips").children.length
        ? [...$("chips").children]
        : chips.map(([kind]) => this.chip(kind));
      chips.forEach(([kind, fitting, text], at) => {
        drawn[at].textContent = text;
        drawn[at].setAttribute("aria-pressed", kind === this.kind);
        drawn[at].classList.toggle("none", fitting === 0);
      });
    }

    chip(kind) {
      const made = element("button", { type: "button", class: kind });
      made.addEventListener("click", () => {
        this.kind = kind;
        this.choose();
      });
      $("chips").append(made);
      return made;
    }

    turn(by) {
      this.page += by;
      this.draw();
      $("count").focus({ preventScroll: true });
      $("count").scrollIntoView({ block: "start" });
    }

    draw() {
      const all = this.marks.length || this.data.column(this.shown.ids).length;
      const start = this.page * PER_PAGE;
      const seen = this.found.slice(start, start + PER_PAGE);
      const last = Math.max(Math.ceil(this.found.length / PER_PAGE), 1);
      const more = this.shown.leftOut ? `; ${count.format(this.shown.leftOut)} more are not on this page` : "";
      const shown = seen.length ? `, ${count.format(start + 1)} to ${count.format(start + seen.length)} shown` : "";
      $("count").textContent = `${count.format(this.found.length)} of ${count.format(all)} examples${shown}${more}.`;
      $("list").start = start + 1;
      $("list").replaceChildren(...seen.map((at) => this.card(at)));
      const [previous, next] = $("pages").querySelectorAll("button");
      previous.disabled = this.page === 0;
      next.disabled = this.page + 1 >= last;
      $("pages").querySelector("span").textContent = `Page ${count.format(this.page + 1)} of ${count.format(last)}`;
      $("pages").hidden = last === 1;
    }

    // one example

    card(at) {
      const { data, shown } = this;
      const made = element("article", {}, element("h3", {}, data.text(shown.ids, at), " ", ...this.marked(at)));
      const asked = element("dl", { class: "asked" }, element("dt", {}, "Asked"), folded("dd", data.text(shown.asked, at)));
      const wanted = data.text(shown.wanted, at);
      if (wanted) asked.append(element("dt", {}, "Wanted"), folded("dd", wanted));
      made.append(asked, element("div", { class: "answers" }, ...shown.roles.map((_, role) => this.answer(role, at))));
      const notes = (this.notes.get(at) ?? []).map((note) => this.note(note));
      if (notes.length) made.append(element("ul", { class: "notes", "aria-label": "Notes" }, ...notes));
      if (shown.scores.length) made.append(this.scores(at));
      return element("li", {}, made);
    }

    marked(at) {
      const mark = this.marks[at] ?? 0;
      const words = [];
      if (mark & 3) {
        const against = this.shown.roles[this.baseline];
        const word = element("span", { "aria-hidden": "true" }, SIGNS[mark & 3]);
        words.push(element("span", { class: `mark ${OUTCOMES[mark & 3]}` }, word, `${OUTCOMES[mark & 3]} against ${against}`));
      }
      if (mark & INVALID) words.push(element("span", { class: "mark invalid" }, "invalid"));
      return words;
    }

    answer(role, at) {
      const { data, shown } = this;
      const name = shown.roles[role];
      const made = element("div", { class: "answer" }, element("h4", {}, capital(name), this.score(role, at)));
      const text = data.text(shown.answers[role], at);
      const fault = data.text(shown.faults[role], at);
      if (fault) made.append(element("p", { class: "fault", dir: "auto" }, fault));
      if (text) made.append(folded("p", text));
      else if (text === "" && !fault) made.append(element("p", { class: "soft" }, "an empty answer"));
      const detail = data.text(shown.details[role], at);
      if (detail) made.append(element("p", { class: "soft", dir: "auto" }, detail));
      return made;
    }

    score(role, at) {
      const { data, shown } = this;
      if (!shown.chief || (shown.chief.pair && role === this.candidate)) return "";
      const column = shown.chiefly[role];
      const value = data.score(column, at);
      const said = shown.chief.pair ? `candidate's ${shown.chief.name}` : shown.chief.name;
      return element("span", { class: "score", title: data.reason(column, at) }, `${said} ${figure(value)}`);
    }

    note([by, about, text]) {
      const { texts } = this.data;
      return element("li", {}, element("span", { class: "by" }, `${texts[by]} on ${texts[about]}`), folded("p", texts[text]));
    }

    scores(at) {
      const { data, shown } = this;
      const head = ["Score", ...shown.roles.map(capital)].map((name) => element("th", { scope: "col" }, name));
      const rows = shown.scores.map(([name, columns]) =>
        element(
          "tr",
          {},
          element("th", { scope: "row" }, name),
          ...columns.map((column) => {
            const reason = data.reason(column, at);
            return reason ? element("td", { class: "soft" }, reason) : element("td", {}, figure(data.score(column, at)));
          }),
        ),
      );
      const table = element(
        "table",
        { class: "compact" },
        element("caption", { class: "hidden" }, "Every score of this example"),
        element("thead", {}, element("tr", {}, ...head)),
        element("tbody", {}, ...rows),
      );
      const region = element("div", { class: "scroll", role: "region", "aria-label": `Scores of ${data.text(shown.ids, at)}`, tabindex: "0" }, table);
      return element("details", {}, element("summary", {}, "All scores"), region);
    }
  }

  function folded(tag, text) {
    const made = element(tag, { class: "text", dir: "auto" });
    if (text.length <= FOLDED * 1.25) {
      made.textContent = text;
      return made;
    }
    const more = element("button", { type: "button", class: "more" }, `Show all ${count.format(text.length)} characters`);
    more.addEventListener("click", () => {
      made.textContent = text;
      made.tabIndex = -1;
      made.focus({ preventScroll: true });
    });
    made.append(`${text.slice(0, FOLDED).trimEnd()}… `, more);
    return made;
  }

  // The data are read when they come into view: a page of ten thousand examples opens as fast as one without.
  const section = document.getElementById("examples");
  let desk = null;
  function wake() {
    watching.disconnect();
    if (desk) return;
    $("desk").hidden = false;
    desk = new Desk(new Data(JSON.parse($("data").textContent)));
  }
  const watching = new IntersectionObserver((seen) => seen.some((one) => one.isIntersecting) && wake(), {
    rootMargin: "600px",
  });
  $("asleep").hidden = true;
  watching.observe(section);
  addEventListener("beforeprint", wake);
})();
