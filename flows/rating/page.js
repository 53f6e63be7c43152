"use strict";

// The page of one rater: draws one pair after the other, and hands on what is said of it. Texts of models are put into
// the page as text only; the page's own policy keeps everything else out.
const $ = (id) => document.getElementById(id);

class RatingPage {
  constructor(sheet, deliver) {
    this.sheet = sheet;
    this.served = Boolean(deliver);
    this.at = -1;
    this.warned = "";
    this.unsent = false;
    this.pace = new Pace();
    this.keeping = new Keeping(sheet, deliver, (state) => this.showSaving(state));
    this.questions = new Questions($("questions"), sheet, () => this.entered());
    $("instructions").textContent = sheet.instructions;
    $("scale").textContent = sheet.criteria.length
      ? `Then score both answers on ${sheet.criteria.map(spoken).join(", ")}: ` +
        `${sheet.lowest} is worst, ${sheet.highest} is best. What you cannot judge may stay open.`
      : "";
    this.listen();
    $("opening").hidden = true;
    $("sending").hidden = this.served;
    this.goTo(this.open(0));
    if (!this.keeping.said.size) openDialog("told");
    this.keeping.send();
  }

  // one pair

  get item() {
    return this.sheet.items[this.at];
  }

  goTo(at) {
    const done = at < 0;
    $("work").hidden = done;
    $("done").hidden = !done;
    $("download").classList.toggle("main", done);
    if (done) this.showDone();
    else this.showPair(at);
    this.showCount();
    scrollTo(0, 0);
    (done ? $("thanks") : $("pair")).focus({ preventScroll: true });
  }

  showPair(at) {
    this.at = at;
    this.warned = "";
    $("pair").textContent = `Pair ${at + 1} of ${this.sheet.items.length}`;
    for (const name of ["prompt", "left", "right"]) putText($(name), this.item[name]);
    $("known").hidden = this.item.reference === null;
    putText($("reference"), this.item.reference ?? "");
    const row = this.keeping.said.get(this.item.id) ?? rowOf(this.item.id, {});
    this.questions.fill(row);
    $("notes").value = row.notes;
    $("hint").textContent = "";
    $("previous").disabled = at === 0;
    $("save").textContent = isNothing(row) ? "Save and next" : "Next";
    this.pace.begin();
  }

  read() {
    return this.questions.read(rowOf(this.item.id, { notes: $("notes").value.trim() }));
  }

  get changed() {
    const known = this.keeping.said.get(this.item?.id);
    return this.at >= 0 && !$("work").hidden && !same(this.read(), known ?? rowOf(this.item.id, {}));
  }

  // whatever was entered is kept, however the pair is left
  leave() {
    if (!this.changed) return;
    if (!this.keeping.said.has(this.item.id)) this.pace.end();
    this.unsent = !this.served;
    this.keeping.keep(this.read());
    this.showCount();
  }

  save() {
    const row = this.read();
    if (isNothing(row)) return this.say("Say which answer is better, or skip this pair.", 0);
    const { missing } = this.questions;
    const state = JSON.stringify(row);
    if (missing >= 0 && this.changed && this.warned !== state) {
      this.warned = state;
      return this.say(`Still open: ${this.questions.nameOf(missing)}. Save again to leave it open.`, missing);
    }
    const before = this.keeping.said.has(this.item.id);
    this.leave();
    const later = this.at + 1 < this.sheet.items.length;
    return this.goTo(before && later ? this.at + 1 : this.open(this.at + 1));
  }

  skip() {
    this.leave();
    const next = this.open(this.at + 1);
    if (next === this.at) this.say("This is the last pair that is not rated.", 0);
    else this.goTo(next);
  }

  back(to) {
    this.leave();
    this.goTo(Math.max(to, 0));
  }

  // the first pair without a rating, from `start` on and then from the beginning; -1 where there is none
  open(start) {
    const count = this.sheet.items.length;
    for (let step = 0; step < count; step += 1) {
      const at = (start + step) % count;
      if (!this.keeping.said.has(this.sheet.items[at].id)) return at;
    }
    return -1;
  }

  inPart(item) {
    const row = this.keeping.said.get(item.id);
    const scored = (name) => row.left_scores[name] && row.right_scores[name];
    return row !== undefined && !(row.choice && this.sheet.criteria.every(scored));
  }

  // what there is to see besides

  showCount() {
    const [rated, all] = [this.keeping.said.size, this.sheet.items.length];
    $("count").textContent = `${rated} of ${all} rated${this.pace.left(all - rated)}`;
    $("progress").max = Math.max(all, 1);
    $("progress").value = rated;
    document.title = `${rated} of ${all} – ${this.sheet.title}`;
    if (!this.served) {
      $("downloaded").textContent = this.keeping.stored
        ? "Ratings are kept in this browser. Download them to hand them in; you can do so as often as you like."
        : "This browser keeps nothing: download your ratings before you close the page.";
    }
  }

  showSaving({ pending, refused = 0, trouble = "", seconds = 0 }) {
    const stuck = pending || refused;
    const done = this.served && this.keeping?.said.size ? "Saved" : "";
    $("saving").textContent = trouble ? "" : pending ? "Saving …" : done;
    $("alert").hidden = !trouble;
    const again = seconds ? ` Trying again in ${seconds} s; keep this page open.` : " Go back to it, and save it again.";
    $("trouble").textContent = trouble ? `${stuck} not saved yet: ${trouble}${again}` : "";
  }

  showDone() {
    this.at = -1;
    const all = this.sheet.items.length;
    const part = this.sheet.items.filter((item) => this.inPart(item)).length;
    $("thanks").textContent = all ? `Thank you. All ${all} are rated.` : "There is nothing to rate.";
    const kept = this.served
      ? "Your ratings are in the file that the next gate reads. You can close this page, and tell whoever asked you."
      : "Download your ratings, and send the file to whoever gave you this sheet.";
    $("next").textContent = part ? `${part} of them in part. ${kept}` : kept;
    $("again").hidden = !all;
    $("part").hidden = !part;
  }

  showPairs() {
    this.leave();
    $("list").replaceChildren(
      ...this.sheet.items.map((item, at) => {
        const button = document.createElement("button");
        const state = !this.keeping.said.has(item.id) ? "open" : this.inPart(item) ? "part" : "rated";
        const told = { open: "not rated", part: "rated in part", rated: "rated" }[state];
        button.type = "button";
        button.className = state;
        button.textContent = String(at + 1);
        button.setAttribute("aria-label", `Pair ${at + 1}, ${told}`);
        if (at === this.at) button.setAttribute("aria-current", "true");
        button.addEventListener("click", () => {
          $("pairs").close();
          this.goTo(at);
        });
        const entry = document.createElement("li");
        entry.append(button);
        return entry;
      }),
    );
    openDialog("pairs");
  }

  download() {
    this.leave();
    const { schema, rater } = this.sheet;
    const text = JSON.stringify({ schema, rater, items: [...this.keeping.said.values()] }, null, 1);
    const address = URL.createObjectURL(new Blob([text], { type: "application/json" }));
    const link = document.createElement("a");
    link.href = address;
    link.download = `ratings-${rater.replace(/[^A-Za-z0-9_-]+/g, "-")}.json`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(address), 60_000);
    this.unsent = false;
    $("downloaded").textContent = `${this.keeping.said.size} ratings downloaded.`;
  }

  say(text, question) {
    $("hint").textContent = text;
    this.questions.focus(question);
  }

  onward(answered) {
    if (answered && !this.questions.focus(this.questions.at + 1)) $("save").focus();
  }

  entered() {
    $("hint").textContent = "";
    $("save").textContent = this.changed ? "Save and next" : "Next";
  }

  // hands and keys

  listen() {
    const click = (id, act) => $(id).addEventListener("click", act);
    $("rating").addEventListener("submit", (event) => {
      event.preventDefault();
      this.save();
    });
    $("rating").addEventListener("input", () => this.entered());
    click("previous", () => this.back(this.at - 1));
    click("skip", () => this.skip());
    click("again", () => this.goTo(0));
    click("part", () => this.goTo(this.sheet.items.findIndex((item) => this.inPart(item))));
    click("download", () => this.download());
    click("open-told", () => openDialog("told"));
    click("open-keys", () => openDialog("keys"));
    click("open-pairs", () => this.showPairs());
    for (const close of document.querySelectorAll("[data-close]")) {
      close.addEventListener("click", () => close.closest("dialog").close());
    }
    document.addEventListener("keydown", (event) => this.key(event));
    addEventListener("online", () => this.keeping.retry());
    addEventListener("hashchange", () => this.keeping.retry());
    addEventListener("beforeunload", (event) => {
      if (this.changed || this.keeping.unsafe || (this.unsent && !this.keeping.stored)) event.preventDefault();
    });
  }

  key(event) {
    const { key, target } = event;
    if (document.querySelector("dialog[open]") || event.altKey || event.isComposing) return;
    if (event.ctrlKey || event.metaKey) {
      if (key === "Enter" && !$("work").hidden) this.handled(event, () => this.save());
      return;
    }
    if (target === $("notes")) {
      if (key === "Escape") this.handled(event, () => this.questions.focus(this.questions.at));
      return;
    }
    if (!$("use-keys").checked) return;
    if (key === "?") this.handled(event, () => openDialog("keys"));
    else if ($("work").hidden) {
      if (key === "p" && this.sheet.items.length) this.handled(event, () => this.goTo(this.sheet.items.length - 1));
    } else if (key === "Enter") {
      if (!target.closest("button, summary, a")) this.handled(event, () => this.save());
    } else if (/^[0-9]$/.test(key)) this.handled(event, () => this.onward(this.questions.digit(Number(key))));
    else if (key === "ArrowLeft" || key === "ArrowRight") {
      this.handled(event, () => this.onward(this.questions.arrow(key === "ArrowRight")));
    } else if ((key === "ArrowUp" || key === "ArrowDown") && target.closest("#rating")) {
      this.handled(event, () => this.questions.focus(Math.max(0, this.questions.at + (key === "ArrowDown" ? 1 : -1))));
    } else if (key === "p" && this.at > 0) this.handled(event, () => this.back(this.at - 1));
    else if (key === "s") this.handled(event, () => this.skip());
    else if (key === "n") this.handled(event, () => $("notes").focus());
  }

  handled(event, act) {
    event.preventDefault();
    act();
  }
}

function putText(place, text) {
  place.textContent = text || "empty";
  place.classList.toggle("nothing", !text);
}

function same(one, other) {
  const plain = ({ choice, left_scores, right_scores, notes }) =>
    JSON.stringify([choice, notes, ...[left_scores, right_scores].map((side) => Object.entries(side).sort())]);
  return plain(one) === plain(other);
}

function openDialog(id) {
  if (!$(id).open) $(id).showModal();
}
