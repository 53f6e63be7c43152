"use strict";

// The questions about one pair: the choice, then every criterion for both sides. One of them is marked: keys are for it.
const SIDES = ["left", "right"];

class Questions {
  constructor(place, sheet, changed) {
    this.place = place;
    this.sheet = sheet;
    this.changed = changed;
    this.at = 0;
    this.scale = Array.from({ length: sheet.highest - sheet.lowest + 1 }, (_, i) => sheet.lowest + i);
    this.groups = [place.querySelector("#choice"), ...sheet.criteria.flatMap((name) => this.addCriterion(name))];
    this.groups.forEach((group, at) => group.addEventListener("focusin", () => this.mark(at)));
    place.querySelector("#sides").hidden = !sheet.criteria.length;
  }

  fill(row) {
    for (const input of this.place.querySelectorAll("input")) {
      const [side, criterion] = input.name.split(" ");
      const value = criterion ? row[`${side}_scores`][criterion] : row.choice;
      input.checked = input.value === String(value);
    }
    this.mark(0);
  }

  read(row) {
    for (const input of this.place.querySelectorAll("input:checked")) {
      const [side, criterion] = input.name.split(" ");
      if (criterion) row[`${side}_scores`][criterion] = Number(input.value);
      else row.choice = input.value;
    }
    return row;
  }

  // the first one without an answer, and what it asks; -1 where there is none
  get missing() {
    return this.groups.findIndex((group) => !group.querySelector("input:checked"));
  }

  nameOf(at) {
    return this.groups[at].querySelector("legend").textContent;
  }

  mark(at) {
    this.at = Math.max(0, Math.min(at, this.groups.length - 1));
    this.groups.forEach((group, i) => group.classList.toggle("current", i === this.at));
  }

  // false where there is no such question any more
  focus(at) {
    if (at >= this.groups.length) return false;
    this.mark(at);
    const group = this.groups[this.at];
    (group.querySelector("input:checked") ?? group.querySelector("input")).focus();
    return true;
  }

  // returns whether that answered the marked question
  set(value) {
    const input = [...this.groups[this.at].querySelectorAll("input")].find((one) => one.value === String(value));
    if (!input) return false;
    input.checked = true;
    this.changed();
    return true;
  }

  digit(number) {
    return this.set(this.at === 0 ? ["left", "tie", "right"][number - 1] : number);
  }

  arrow(forward) {
    if (this.at === 0) return this.set(forward ? "right" : "left");
    const { lowest, highest } = this.sheet;
    const checked = this.groups[this.at].querySelector("input:checked");
    const next = checked ? Number(checked.value) + (forward ? 1 : -1) : forward ? lowest : highest;
    this.set(Math.max(lowest, Math.min(next, highest)));
    this.focus(this.at);
    return false;
  }

  addCriterion(name) {
    const label = document.createElement("span");
    label.className = "name";
    label.textContent = spoken(name);
    label.setAttribute("aria-hidden", "true");
    const groups = SIDES.map((side) => {
      const group = document.createElement("fieldset");
      group.className = `score ${side}`;
      const legend = document.createElement("legend");
      legend.className = "hidden";
      legend.textContent = `${spoken(name)} of the ${side} answer`;
      group.append(legend, ...this.scale.map((score) => this.scoreLabel(`${side} ${name}`, score)));
      return group;
    });
    this.place.append(label, ...groups);
    return groups;
  }

  scoreLabel(name, score) {
    const { lowest, highest } = this.sheet;
    const label = document.createElement("label");
    const input = document.createElement("input");
    const shown = document.createElement("span");
    Object.assign(input, { type: "radio", name, value: String(score) });
    shown.textContent = String(score);
    label.title = score === lowest ? "worst" : score === highest ? "best" : "";
    if (label.title) input.setAttribute("aria-label", `${score}, ${label.title}`);
    label.append(input, shown);
    return label;
  }
}

function spoken(name) {
  return name.replaceAll("_", " ");
}
