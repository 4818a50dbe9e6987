// Small tools of the end-to-end script: named steps, waiting for a truth,
// what must never appear in the console.

export class Failure extends Error {}

export function check(truth, message) {
  if (!truth) throw new Failure(message);
}

/** Waits until `probe` gives something true; the last value is in the complaint. */
export async function until(what, probe, timeoutMs = 15_000) {
  const end = Date.now() + timeoutMs;
  let last;
  while (Date.now() < end) {
    last = await probe();
    if (last) return last;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Failure(`waited ${timeoutMs} ms in vain: ${what} (last: ${JSON.stringify(last)})`);
}

/** Runs the steps in order, times them, and stops at the first that fails. */
export async function runSteps(steps) {
  for (const [name, step] of steps) {
    const begun = Date.now();
    try {
      const note = await step();
      console.log(`ok    ${name} (${Date.now() - begun} ms)${note ? `: ${note}` : ""}`);
    } catch (error) {
      console.error(`FAIL  ${name}: ${error instanceof Failure ? error.message : error.stack}`);
      return false;
    }
  }
  return true;
}

// A browser logs every refused request; these refusals are asked for by the script.
const EXPECTED = /^Failed to load resource: the server responded with a status of (401|403|412|422)/;

/** Collects what a page should never say: script errors, console errors, policy violations. */
export function watchPage(page, complaints) {
  page.on("pageerror", (error) => complaints.push(`script error: ${error.stack ?? error}`));
  page.on("console", (message) => {
    if (message.type() !== "error" && !/Content.Security.Policy/i.test(message.text())) return;
    if (!EXPECTED.test(message.text())) complaints.push(`console: ${message.text()}`);
  });
  page.on("request", (request) => {
    const url = new URL(request.url());
    if (!/^(data|blob):$/.test(url.protocol) && url.hostname !== "127.0.0.1" && url.hostname !== "localhost" && !page.url().includes(url.host)) {
      complaints.push(`a foreign origin was asked: ${request.url()}`);
    }
  });
}

/** How many canvases of the page carry a drawing, and how many there are. */
export function drawnCanvases(page) {
  return page.evaluate(() => {
    const drawn = [...document.querySelectorAll("canvas")].filter((canvas) => {
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      const colors = new Set();
      for (let at = 0; at < data.length; at += 4) if (data[at + 3] > 0) colors.add((data[at] << 16) | (data[at + 1] << 8) | data[at + 2]);
      return colors.size > 3;
    });
    return [drawn.length, document.querySelectorAll("canvas").length];
  });
}

/** The width the page really takes, which on a phone must be the phone's. */
export function pageWidth(page) {
  return page.evaluate(() => document.documentElement.scrollWidth);
}
