"use strict";

// What was said, and what of it has not yet reached the place where it is kept.
//
// deliver(row) resolves to "kept", or to {trouble, refused}: refused rows are not sent again as they are. Without it, in
// a sheet that is a file, the browser's own storage is that place. It also holds what is under way, so that a closed or
// crashed tab loses nothing; where there is no storage, memory has to do, and leaving the page asks first.
class Keeping {
  constructor(sheet, deliver, show) {
    this.said = new Map();
    this.pending = new Map();
    this.refused = new Map();
    this.deliver = deliver;
    this.show = show;
    this.place = `finetune-gate rating ${sheet.key}`;
    this.ids = new Set(sheet.items.map((item) => item.id));
    this.wake = null;
    this.busy = false;
    this.stored = true;
    for (const item of sheet.items) {
      const row = rowOf(item.id, item);
      if (!isNothing(row)) this.said.set(item.id, row);
    }
    for (const row of this.recall()) {
      this.said.set(row.id, row);
      if (deliver) this.pending.set(row.id, row);
    }
  }

  keep(row) {
    this.said.set(row.id, row);
    this.refused.delete(row.id);
    if (this.deliver) this.pending.set(row.id, row);
    this.remember();
    this.send();
  }

  get unsafe() {
    return this.deliver ? this.pending.size > 0 || this.refused.size > 0 : !this.stored && this.said.size > 0;
  }

  retry() {
    this.refused.forEach((_, id) => this.pending.set(id, this.said.get(id)));
    this.refused.clear();
    if (this.wake) this.wake();
    this.send();
  }

  async send() {
    if (this.busy || !this.deliver) return;
    this.busy = true;
    let pause = 1;
    while (this.pending.size) {
      const [id, row] = this.pending.entries().next().value;
      this.show({ pending: this.pending.size });
      const outcome = await this.deliver(row);
      const current = this.pending.get(id) === row;
      if (outcome === "kept") {
        if (current) this.pending.delete(id);
        this.remember();
        pause = 1;
      } else if (outcome.refused) {
        if (current) {
          this.pending.delete(id);
          this.refused.set(id, outcome.trouble);
        }
      } else {
        this.show({ pending: this.pending.size, trouble: outcome.trouble, seconds: pause });
        await this.sleep(pause);
        pause = Math.min(2 * pause, 15);
      }
    }
    this.busy = false;
    const [trouble] = this.refused.values();
    this.show({ pending: 0, refused: this.refused.size, trouble });
  }

  sleep(seconds) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, 1000 * seconds);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  remember() {
    const rows = this.deliver ? [...this.pending.values()] : [...this.said.values()];
    try {
      if (rows.length) localStorage.setItem(this.place, JSON.stringify(rows));
      else localStorage.removeItem(this.place);
    } catch {
      this.stored = false;
    }
  }

  recall() {
    try {
      const rows = JSON.parse(localStorage.getItem(this.place) || "[]");
      return rows.filter((row) => this.ids.has(row.id)).map((row) => rowOf(row.id, row));
    } catch {
      this.stored = false;
      return [];
    }
  }
}

function rowOf(id, from) {
  return {
    id,
    choice: from.choice || null,
    left_scores: { ...from.left_scores },
    right_scores: { ...from.right_scores },
    notes: from.notes || "",
  };
}

function isNothing(row) {
  return !row.choice && !row.notes && !Object.keys(row.left_scores).length && !Object.keys(row.right_scores).length;
}

// How long one pair takes this rater: the mean of the last twelve, without the time in which the page was not looked at.
class Pace {
  constructor() {
    this.seconds = [];
    this.begun = this.hidden = performance.now();
    this.away = 0;
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) this.hidden = performance.now();
      else this.away += performance.now() - this.hidden;
    });
  }

  begin() {
    this.begun = performance.now();
    this.away = 0;
  }

  end() {
    this.seconds.push(Math.min((performance.now() - this.begun - this.away) / 1000, 300));
    this.seconds.splice(0, this.seconds.length - 12);
  }

  left(count) {
    if (this.seconds.length < 2 || !count) return "";
    const minutes = Math.round((this.seconds.reduce((sum, one) => sum + one, 0) / this.seconds.length / 60) * count);
    return minutes < 1 ? ", less than a minute left" : `, about ${minutes} min left`;
  }
}
