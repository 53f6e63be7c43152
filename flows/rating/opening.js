"use strict";

// A sheet that is a file holds its data. A served page fetches it: the key to it stands after the # of the address, which
// no browser sends anywhere.
const embedded = JSON.parse($("sheet").textContent);

async function ask(path, options = {}) {
  const key = location.hash.slice(1);
  const headers = { "Content-Type": "application/json", "X-Rating-Key": key };
  const response = await fetch(path, { ...options, headers, cache: "no-store", signal: AbortSignal.timeout(10_000) });
  const body = await response.json();
  return { response, body };
}

async function deliver(row) {
  try {
    const { response, body } = await ask("ratings", { method: "POST", body: JSON.stringify(row) });
    return response.ok ? "kept" : { trouble: body.error, refused: response.status === 422 };
  } catch {
    return { trouble: "the program that serves this page does not answer.", refused: false };
  }
}

async function begin() {
  if (embedded) return new RatingPage(embedded, null);
  try {
    const { response, body } = await ask("sheet");
    if (response.ok) return new RatingPage(body, deliver);
    $("opening").textContent = body.error;
  } catch {
    $("opening").textContent = "The program that serves this page does not answer. Start it again, and reload.";
  }
  addEventListener("hashchange", () => location.reload(), { once: true });
  return null;
}

begin();
