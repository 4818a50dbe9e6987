// The alerting pages against a real hub: a rule by its form, the past while
// its threshold is dragged, a silence that comes again, a dead delivery.

import { createServer } from "node:http";
import { check, pageWidth, until } from "./checks.mjs";

const PHONE = { width: 390, height: 844 };
const verdict = (page) => page.locator(".verdict");

/** Makes a forecast by the form; the hub's refusal stands at its field. */
export async function forecastRule(page, base, shot) {
  await page.goto(`${base}/rules/new`);
  await page.getByLabel("Kind").selectOption("forecast");
  await page.getByLabel("Name").fill("Disk fills up");
  await page.getByLabel("Within").fill("soon");
  await page.getByRole("button", { name: "Save rule" }).click();
  await page.locator(".field.is-faulty .form-error").first().waitFor();
  check((await page.getByLabel("Within").getAttribute("aria-invalid")) === "true", "the fault does not stand at its field");
  await shot("rule-refused-light");
  await page.getByLabel("Within").fill("2d");
  await page.getByRole("button", { name: "Save rule" }).click();
  await page.getByRole("heading", { name: "Rules" }).waitFor();
  await page.getByRole("link", { name: "Disk fills up" }).waitFor();
  await shot("rules-light");
}

/** Lowers a threshold by hand, and by key, and sees what it would have done. */
export async function dragThreshold(page, base, shot) {
  await page.goto(`${base}/rules/new`);
  await page.getByLabel("Name").fill("CPU draft");
  await page.getByLabel("Threshold", { exact: true }).first().fill("200");
  await page.getByLabel("Is", { exact: true }).selectOption(">=");
  await page.getByLabel("For", { exact: true }).fill("0s");
  await until("a rule that never fires", async () => (await verdict(page).innerText()).includes("would not have fired"));
  const chart = page.locator(".replay svg");
  await until("a line of the past", async () => (await page.locator(".replay-line").getAttribute("d"))?.length > 20);
  const box = await chart.boundingBox();
  await page.mouse.move(box.x + box.width / 2, box.y + 10);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width / 2, box.y + box.height + 5, { steps: 8 });
  await page.mouse.up();
  await until("a count of firings", async () => /fired (once|\d+ times)/.test(await verdict(page).innerText()));
  check(await page.locator(".replay-band").count(), "no period of firing is drawn");
  const days = (Date.now() - Date.parse(await page.locator(".replay-axis time").first().getAttribute("datetime"))) / 86_400_000;
  check(days >= 0 && days < 7.1, `the past begins ${days} days ago and not within seven`);
  const low = await page.getByLabel("Threshold", { exact: true }).first().inputValue();
  await page.locator(".replay input[type=range]").focus();
  await page.keyboard.press("End");
  await until("the key moves it as well", async () => (await page.getByLabel("Threshold", { exact: true }).first().inputValue()) !== low);
  await until("no firing again", async () => (await verdict(page).innerText()).includes("would not have fired"));
  await page.getByLabel("Threshold", { exact: true }).first().fill("0");
  await until("firing once more", async () => /fired (once|\d+ times)/.test(await verdict(page).innerText()));
  await shot("rule-light");
}

/** Sees in words why a rule does not page. */
export async function explainRule(page, base, shot) {
  await page.goto(`${base}/rules`);
  await page.locator(".list a").first().click();
  await page.getByRole("heading", { name: "Why is there a page now, or none?" }).waitFor();
  await page.locator(".reasons li").first().waitFor();
  check((await page.locator(".reasons li").first().innerText()).length > 5, "a reason without words");
  await shot("explain-light");
}

/** Makes two routes, puts the second first, changes and deletes one; says which rules come how far. */
export async function routes(page, base, shot) {
  await page.goto(`${base}/routes`);
  await page.getByText("tells every channel:").waitFor();
  const dialog = page.getByRole("dialog");
  const add = async (fill) => {
    await page.getByRole("button", { name: "New route" }).click();
    await fill();
    await dialog.getByRole("button", { name: "Save route" }).click();
    await until("the dialog closes", async () => (await dialog.count()) === 0);
  };
  const names = () => page.locator(".routes .list-item:not(.is-rest) strong").allTextContents();
  await page.getByRole("button", { name: "New route" }).click();
  await dialog.getByLabel("Only what fires at certain hours").check();
  await dialog.getByLabel("Time zone").fill("Mars/Olympus");
  await dialog.getByRole("button", { name: "Save route" }).click();
  await dialog.getByRole("alert").waitFor();
  await dialog.getByLabel("Time zone").fill("Europe/Berlin");
  await dialog.getByLabel("Sat", { exact: true }).check();
  await dialog.getByLabel("Sun", { exact: true }).check();
  await dialog.getByLabel("Critical", { exact: true }).check();
  await dialog.getByLabel("Other tags").fill("db");
  await dialog.getByLabel("ops").check();
  await shot("route-form-light");
  await dialog.getByRole("button", { name: "Save route" }).click();
  await until("the route", async () => (await names()).join() === "critical · tag db · Sat, Sun 22:00–07:00 (Europe/Berlin)");
  await page.locator(".note.is-warn", { hasText: "Only at certain hours" }).waitFor();
  await page.locator(".note.is-crit", { hasText: "No route fits" }).waitFor();
  await shot("routes-light");
  await add(() => dialog.getByLabel("ops").check());
  await until("nobody is forgotten", async () => (await page.locator(".card .note").count()) === 0);
  await page.getByRole("button", { name: "Move route 2 up" }).click();
  await until("the other order", async () => (await names())[0] === "Everything");
  await page.getByText("No rule comes this far.").waitFor();
  await page.getByRole("button", { name: "Edit route 1" }).click();
  await dialog.getByLabel("Ask the routes after this one as well").check();
  await dialog.getByRole("button", { name: "Save route" }).click();
  await page.getByText("then the next route is asked too").waitFor();
  check((await page.getByText("No rule comes this far.").count()) === 0, "a route after one that goes on is not asked");
  // Somebody else changes them meanwhile: what is shown is not what there is, and nothing is overwritten.
  const others = await page.request.put(`${base}/api/v1/routes`, { data: { items: [] }, headers: { origin: base } });
  check(others.ok(), `routes cannot be set: ${others.status()}`);
  await page.getByRole("button", { name: "Move route 2 up" }).click();
  await page.getByText("tells every channel:").waitFor();
}

/** A rule with two steps of escalation; the hub's word against one stands at it. */
export async function escalation(page, base, shot) {
  await page.goto(`${base}/rules/new`);
  await page.getByLabel("Name").fill("Wakes more and more");
  await page.locator("summary", { hasText: "escalation" }).click();
  await page.getByRole("button", { name: "Escalate while nobody is on it" }).click();
  await page.getByRole("button", { name: "Another step" }).click();
  const after = page.getByLabel("If nobody is on it after");
  check((await after.nth(1).inputValue()) === "30m", "the second step is not later than the first");
  await after.nth(1).fill("soon");
  for (const at of [0, 1]) await page.locator(".is-inset").nth(at).getByLabel("ops").check();
  await page.getByRole("button", { name: "Save rule" }).click();
  await page.locator(".is-inset").nth(1).locator(".form-error").waitFor();
  await after.nth(1).fill("45m");
  await shot("escalation-light");
  await page.getByRole("button", { name: "Save rule" }).click();
  await page.getByRole("heading", { name: "Rules" }).waitFor();
  const rules = (await (await page.request.get(`${base}/api/v1/rules`)).json()).items;
  const made = rules.find((rule) => rule.name === "Wakes more and more");
  check(made.escalation.map((step) => step.after).join() === "15m,45m", `escalates after ${JSON.stringify(made.escalation)}`);
}

/** Changes the silence that holds now and the one that comes again: what was not touched stays. */
async function changeSilences(page, base) {
  const read = async (comment) => (await (await page.request.get(`${base}/api/v1/silences`)).json()).items.find((silence) => silence.comment === comment);
  const change = async (comment, fill) => {
    await page.locator(".list-item", { hasText: comment }).getByRole("button", { name: "Edit" }).click();
    const dialog = page.getByRole("dialog", { name: "Change silence" });
    await fill(dialog);
    await dialog.getByRole("button", { name: "Save silence" }).click();
  };
  const [once, again] = [await read("deploying"), await read("backup")];
  await change("deploying", async (dialog) => {
    check((await dialog.getByLabel("For", { exact: true }).inputValue()) === "2h", "the form does not say how long it lasts");
    await dialog.getByLabel("For", { exact: true }).fill("3h");
  });
  await until("it lasts an hour longer", async () => Date.parse((await read("deploying")).ends_at) - Date.parse(once.ends_at) === 3_600_000);
  check((await read("deploying")).starts_at === once.starts_at, "its beginning moved");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await change("backup", async (dialog) => {
    check((await dialog.getByLabel("Kind").inputValue()) === "maintenance", "the form does not say its kind");
    await dialog.getByText("More conditions").click();
    await dialog.getByLabel("Labels").fill("mount=~/data.*");
  });
  await page.getByRole("dialog").getByText("These are the next times").waitFor();
  await page.getByRole("dialog").getByRole("button", { name: "Done" }).click();
  const changed = await read("backup");
  check(changed.matchers.length === 1 && changed.matchers[0].value === "/data.*", `its labels are ${JSON.stringify(changed.matchers)}`);
  check(["id", "cron", "timezone", "duration", "kind", "ends_at"].every((name) => changed[name] === again[name]), `it is ${JSON.stringify(changed)}`);
}

/** Makes a silence that comes every day, and one that holds now: the banner says so until it is ended. */
export async function silences(page, base, shot) {
  await page.goto(`${base}/silences`);
  const open = async () => {
    await page.getByRole("button", { name: "New silence" }).click();
    return page.getByRole("dialog");
  };
  let dialog = await open();
  await dialog.getByRole("button", { name: "Again and again" }).click();
  await dialog.getByLabel("Kind").selectOption("maintenance");
  await dialog.getByLabel("For", { exact: true }).fill("forever");
  await dialog.getByRole("button", { name: "Save silence" }).click();
  await dialog.getByRole("alert").waitFor();
  // It began an hour ago and ends in one, wherever the clock stands.
  const hourAgo = new Date(Date.now() - 3_600_000).toISOString().slice(11, 16);
  await dialog.getByLabel("On", { exact: true }).selectOption("");
  await dialog.getByLabel("At", { exact: true }).fill(hourAgo);
  await dialog.getByLabel("Time zone").fill("UTC");
  await dialog.getByLabel("For", { exact: true }).fill("2h");
  await dialog.getByLabel("Why").fill("backup");
  await shot("silence-form-light");
  await dialog.getByRole("button", { name: "Save silence" }).click();
  await dialog.getByText("These are the next times").waitFor();
  check((await dialog.locator("li").count()) >= 3, "the next times are missing");
  await dialog.getByRole("button", { name: "Done" }).click();
  await page.locator(".list-item", { hasText: "backup" }).waitFor();
  dialog = await open();
  await dialog.getByLabel("Why").fill("deploying");
  await dialog.getByRole("button", { name: "Save silence" }).click();
  await page.locator(".banner", { hasText: /silence.*ends in/ }).waitFor();
  await shot("silences-light");
  await changeSilences(page, base);
  await page.locator(".list-item", { hasText: "deploying" }).getByRole("button", { name: "End now" }).click();
  await until("the banner speaks of it no more", async () => (await page.locator(".banner", { hasText: /\d silence/ }).count()) === 0);
  await page.locator(".list-item", { hasText: "backup" }).getByRole("button", { name: "Delete" }).click();
  await until("both are gone", async () => (await page.locator(".list-item", { hasText: "backup" }).count()) === 0);
}

/** A receiver that refuses for good: the page is given up, and delivered when it is tried again. */
export async function retryDead(page, base, shot) {
  let status = 410;
  const receiver = createServer((request, response) => {
    request.resume();
    response.writeHead(status).end("gone");
  });
  await new Promise((resolve) => receiver.listen(0, "127.0.0.1", resolve));
  const made = await page.request.post(`${base}/api/v1/channels`, {
    data: { name: "refusing", kind: "webhook", config: { url: `http://127.0.0.1:${receiver.address().port}/`, allow_private: true } },
    headers: { origin: base },
  });
  check(made.ok(), `no channel: ${made.status()} ${await made.text()}`);
  await page.goto(`${base}/alerts`);
  const channel = page.locator(".channel", { hasText: "refusing" });
  await channel.getByRole("button", { name: "Send test" }).click();
  await channel.locator(".note.is-crit, .note.is-warn").waitFor({ timeout: 20_000 });
  await page.goto(`${base}/deliveries?state=dead`);
  const row = page.locator(".list-item", { hasText: "refusing" }).first();
  await row.waitFor();
  await page.locator(".banner.is-crit", { hasText: "refusing" }).waitFor();
  await shot("deliveries-light");
  status = 200;
  await row.getByRole("button", { name: "Retry" }).click();
  await page.getByRole("button", { name: "Delivered" }).click();
  await page.locator(".list-item", { hasText: "refusing" }).first().waitFor({ timeout: 20_000 });
  await page.goto(`${base}/alerts`);
  // Another name, and a secret that is not shown stays what it was.
  await channel.getByRole("button", { name: "Edit" }).click();
  await page.getByRole("dialog").getByLabel("Name").fill("refusing no more");
  await shot("channel-edit-light");
  await page.getByRole("dialog").getByRole("button", { name: "Save channel" }).click();
  await page.locator(".channel", { hasText: "refusing no more" }).waitFor();
  await page.keyboard.press("Escape");
  await channel.getByRole("button", { name: "Quiet hours" }).click();
  await page.getByRole("dialog").getByLabel("Sat", { exact: true }).check();
  await page.getByRole("dialog").getByRole("button", { name: "Save", exact: true }).click();
  await until("the dialog closes", async () => (await page.getByRole("dialog").count()) === 0);
  await channel.getByRole("button", { name: "Quiet hours" }).click();
  await shot("quiet-light");
  check(await page.getByRole("dialog").getByLabel("Sat", { exact: true }).isChecked(), "the quiet hours were not kept");
  await page.keyboard.press("Escape");
  receiver.close();
}

/** Takes an incident on its own page, with a note and for an hour, and silences its rule there. */
export async function incident(page, base, shot) {
  const rule = { name: "Always", metric: "cpu.usage_percent", op: ">=", threshold: 0, severity: "warning", scope: "global" };
  const made = await page.request.post(`${base}/api/v1/rules`, { data: rule, headers: { origin: base } });
  check(made.ok(), `no rule: ${made.status()} ${await made.text()}`);
  await page.goto(`${base}/alerts`);
  await page.locator(".incident-link", { hasText: "Always" }).first().click({ timeout: 40_000 });
  await page.getByRole("heading", { name: "Incident" }).waitFor();
  await page.locator(".reasons li").first().waitFor();
  await page.getByLabel("Note").fill("looking at it");
  await page.getByLabel("How long you are on it").selectOption("1h");
  await page.getByRole("button", { name: "Acknowledge", exact: true }).click();
  await page.locator(".incident.is-acked", { hasText: "looking at it" }).waitFor();
  await page.getByRole("button", { name: "Silence 1 h" }).click();
  await page.getByText("Silenced on this host for an hour.").waitFor();
  await page.getByLabel("Note").fill("it was the backup");
  await page.getByRole("button", { name: "Add note" }).click();
  await page.locator(".event", { hasText: "it was the backup" }).first().waitFor();
  await until("its picture", () => page.locator(".incident-chart").evaluate((image) => image.naturalWidth > 100));
  await shot("incident-light");
}

/** Every alerting page on a phone: as wide as the phone. */
export async function onPhone(page, base, shot) {
  await page.setViewportSize(PHONE);
  const incident = (await (await page.request.get(`${base}/api/v1/incidents?limit=1`)).json()).items[0];
  const pages = [["rules", "/rules"], ["rule", "/rules/new"], ["routes", "/routes"], ["silences", "/silences"], ["deliveries", "/deliveries"]];
  if (incident) pages.push(["incident", `/incidents/${incident.id}`]);
  for (const [name, address] of pages) {
    await page.goto(base + address);
    await page.locator(".card").first().waitFor();
    await page.waitForLoadState("networkidle");
    const width = await pageWidth(page);
    check(width <= PHONE.width, `${name} is ${width} px wide on a phone of ${PHONE.width}`);
    await shot(`${name}-phone`);
  }
}
