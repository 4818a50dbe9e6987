// The pages in a real browser, from the first set-up to a zoomed chart.
//
//   NIGHTBELL_E2E_URL         the hub's address, e.g. http://127.0.0.1:8787
//   NIGHTBELL_E2E_SETUP_URL   the address with the set-up key that it printed
//   NIGHTBELL_E2E_SHOTS       a folder for pictures; none are taken without it
//   NIGHTBELL_E2E_CHROMIUM    the browser; /usr/bin/chromium by default
//
// Without an address it runs against the double in this folder, over dist/,
// and then also checks what needs a fleet of 1,000 hosts.

import { mkdir } from "node:fs/promises";
import { createServer } from "node:http";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { accessible, dialogByKeys, walk } from "./access.mjs";
import { dragThreshold, escalation, explainRule, forecastRule, incident, onPhone, retryDead, routes, silences } from "./alerting.mjs";
import { check, drawnCanvases, pageWidth, runSteps, until, watchPage } from "./checks.mjs";

const PASSWORD = "correct horse battery staple";
const SHOTS = process.env.NIGHTBELL_E2E_SHOTS;
const PHONE = { width: 390, height: 844 };
const DESK = { width: 1360, height: 900 };

const double = process.env.NIGHTBELL_E2E_URL ? null : await (await import("./double.mjs")).startDouble({});
const base = (double?.url ?? process.env.NIGHTBELL_E2E_URL).replace(/\/$/, "");
const setupUrl = double?.setupUrl ?? process.env.NIGHTBELL_E2E_SETUP_URL;
if (!setupUrl) throw new Error("NIGHTBELL_E2E_SETUP_URL is missing: the address with the set-up key, as the hub printed it");
if (SHOTS) await mkdir(SHOTS, { recursive: true });

const browser = await chromium.launch({
  executablePath: process.env.NIGHTBELL_E2E_CHROMIUM ?? "/usr/bin/chromium",
  headless: true,
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
const context = await browser.newContext({ viewport: DESK });
const page = await context.newPage();
const complaints = [];
watchPage(page, complaints);

/** A moment worth a picture is one that everybody should be able to use. */
const shot = async (name) => {
  if (SHOTS) await page.screenshot({ path: join(SHOTS, `${name}.png`) });
  await accessible(page, name);
};
const row = () => page.locator("tr.row").first();
const over = (index = 0) => page.locator(".u-over").nth(index);
let hostPath = "";

async function setUp() {
  const answer = await page.goto(setupUrl);
  const policy = answer.headers()["content-security-policy"] ?? "";
  check(policy.includes("default-src 'none'") && !policy.includes("unsafe"), `the policy is not strict: ${policy}`);
  await page.getByRole("heading", { name: "Set up this hub" }).waitFor();
  await shot("setup-light");
  await page.getByLabel("Password").fill("short");
  await page.getByRole("button", { name: "Create administrator" }).click();
  await page.getByRole("alert").waitFor();
  await page.getByLabel("Password").fill(PASSWORD);
  await page.getByRole("button", { name: "Create administrator" }).click();
  await page.getByRole("heading", { name: "Fleet" }).waitFor();
  check(!page.url().includes("key="), "the set-up key stays in the address");
}

async function fleetLive() {
  await row().waitFor({ timeout: 20_000 });
  const cell = row().locator(".cell-metric .num").first();
  await until("a live CPU value", async () => /^\d+(\.\d)? %$/.test(await cell.innerText()), 20_000);
  await page.getByText("Live", { exact: true }).waitFor();
  // Any host may be the one that moves; a heartbeat comes at least every 15 s.
  const values = () => page.locator(".cell-metric .num, .cell-load").allInnerTexts();
  const before = (await values()).join();
  await until("values that change without a reload", async () => (await values()).join() !== before, 40_000);
  check((await page.locator("tr.row .badge-word").first().innerText()).length > 1, "a state without a word");
  await until("a sparkline", () => page.locator(".spark path").count(), 10_000);
  await shot("fleet-light");
}

async function filter() {
  const box = page.getByRole("searchbox", { name: "Filter hosts" });
  await page.keyboard.press("/");
  await page.keyboard.type("no-such-host");
  await page.getByText("No host matches this filter.").waitFor();
  check(page.url().includes("q=no-such-host"), "the filter is not in the address");
  await box.fill("colour:red");
  await page.getByText("is no filter").waitFor();
  await box.fill("");
  await row().waitFor();
}

/** The double knows of four disks on three hosts that fill up. */
async function fillingDisks() {
  await page.goto(base);
  await page.getByRole("button", { name: "Full in" }).click();
  const figures = page.locator(".cell-full");
  await until("the first to be full on top", async () => /^1[34] h/.test(await figures.nth(0).innerText()));
  check(/^2 d 1[12] h$/.test(await figures.nth(1).innerText()), `the second is full in ${await figures.nth(1).innerText()}`);
  check(/^1[23] d$/.test(await figures.nth(2).innerText()), `the third is full in ${await figures.nth(2).innerText()}`);
  check((await figures.nth(3).innerText()) === "", "a host without a disk that fills up has a figure");
  await row().locator(".host-link").click();
  await page.locator(".full-list li", { hasText: "/ full in 1" }).waitFor();
  await page.locator(".incident-why", { hasText: "Full in" }).waitFor();
  await page.goto(base);
  await row().waitFor();
}

async function openHost() {
  const online = page.locator("tr.row:not(.is-offline, .is-nodata)").first();
  const name = await online.locator(".host-link").innerText();
  // The whole row is the link, so the link is what a click on any cell meets.
  await online.locator(".cell-load").click({ force: true });
  await page.getByRole("heading", { name, exact: true }).waitFor();
  hostPath = new URL(page.url()).pathname;
  await until("charts", async () => (await drawnCanvases(page))[0] >= 4, 20_000);
  const [drawn, all] = await drawnCanvases(page);
  check(drawn === all, `${all - drawn} of ${all} charts are blank`);
  return `${drawn} charts`;
}

async function tooltip() {
  const box = await over().boundingBox();
  await page.mouse.move(box.x + box.width * 0.97, box.y + box.height / 2);
  const tip = page.locator(".tooltip").first();
  await tip.waitFor();
  const text = await tip.innerText();
  check(/\d{2}:\d{2}:\d{2}/.test(text), `no seconds in “${text}”`);
  check(/%|no data/.test(text), `no unit in “${text}”`);
  const crosshairs = await page.locator(".u-cursor-x:not(.u-off)").evaluateAll(
    (lines) => lines.filter((line) => !line.style.transform.includes("(-10px")).length,
  );
  check(crosshairs >= 2, "the crosshair is on one chart only");
  await shot("host-light");
}

async function zoom() {
  await page.getByRole("link", { name: "6h" }).click();
  check(page.url().includes("range=6h"), "the range is not in the address");
  await until("the 6 h answer", async () => (await page.locator(".chart.is-loading").count()) === 0);
  const asked = page.waitForRequest((request) => request.url().includes("/metrics/history") && request.url().includes("start="));
  const box = await over().boundingBox();
  await page.mouse.move(box.x + box.width * 0.8, box.y + 40);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.9, box.y + 60, { steps: 5 });
  await page.mouse.up();
  const query = new URL((await asked).url()).searchParams;
  const minutes = (Date.parse(query.get("end")) - Date.parse(query.get("start"))) / 60_000;
  check(minutes > 20 && minutes < 60, `a tenth of 6 h is not ${minutes} min`);
  check(/start=.*end=/.test(page.url()), "the zoom is not in the address");
  await until("the finer answer drawn", async () => {
    const [drawn, all] = await drawnCanvases(page);
    return drawn > 0 && drawn === all && (await page.locator(".chart.is-loading").count()) === 0;
  });
  const address = page.url();
  await page.reload();
  await until("the same zoom after a reload", async () => (await drawnCanvases(page))[0] > 0);
  check(page.url() === address, "the address changed on reload");
  await over().dblclick({ position: { x: 50, y: 50 } });
  await until("double click zooms out", () => page.url() !== address);
  await page.goBack();
  check(page.url() === address, "back does not lead to the zoom");
  await page.getByRole("link", { name: "1h" }).click();
}

async function longRange() {
  await page.getByRole("link", { name: "30d" }).click();
  await until("the 30 d answer", async () => (await page.locator(".chart.is-loading").count()) === 0 && (await drawnCanvases(page))[0] > 0);
  await page.getByRole("link", { name: "1h" }).click();
}

async function tableAndExports() {
  const chart = page.locator(".chart").first();
  await chart.getByRole("button", { name: "Table" }).click();
  await until("rows in the data table", async () => (await chart.locator(".data-table tbody tr").count()) > 1);
  await chart.getByRole("button", { name: "Chart" }).click();
  for (const kind of ["PNG", "SVG", "CSV"]) {
    const href = await chart.getByRole("link", { name: `as ${kind}` }).getAttribute("href");
    const answer = await page.request.get(base + href);
    check(answer.ok(), `${kind} answers ${answer.status()} at ${href}`);
    check((await answer.body()).length > 20, `${kind} is empty`);
  }
  const area = chart.locator(".plot");
  await area.focus();
  await page.keyboard.press("ArrowLeft");
  check((await area.getAttribute("aria-label")).includes("last"), "the chart has no summary in words");
  await chart.locator(".tooltip").waitFor();
}

async function channel() {
  const hits = [];
  const receiver = createServer((request, response) => {
    hits.push(request.method);
    request.resume();
    response.end("ok");
  });
  await new Promise((resolve) => receiver.listen(0, "127.0.0.1", resolve));
  await page.goto(`${base}/alerts`);
  await page.getByRole("button", { name: "Add a channel" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("URL").fill("ftp://nowhere.invalid/x");
  await dialog.getByRole("button", { name: "Save channel" }).click();
  await dialog.getByRole("alert").waitFor();
  await shot("channel-refused-light");
  await dialog.getByLabel("URL").fill(`http://127.0.0.1:${receiver.address().port}/hook`);
  await dialog.getByLabel("Address lies in a private network").check();
  await dialog.getByRole("button", { name: "Save channel" }).click();
  await dialog.getByRole("button", { name: "Send test" }).click();
  await dialog.getByText("Delivered").waitFor({ timeout: 20_000 });
  check(hits.includes("POST"), "the receiver got nothing");
  await dialog.getByRole("button", { name: "Done" }).click();
  check((await page.locator(".banner").count()) === 0, "the banner stays although there is a channel");
  await shot("alerts-light");
  receiver.close();
}

async function acknowledge() {
  const button = page.getByRole("button", { name: "Acknowledge" }).first();
  if ((await button.count()) === 0) return "no incident is open";
  const open = await page.locator(".incident.is-acked").count();
  await button.click();
  await page.getByLabel("Note, optional").fill("on it");
  await page.getByRole("button", { name: "Acknowledge" }).first().click();
  await until("an acknowledged incident", async () => (await page.locator(".incident.is-acked").count()) > open);
}

async function addHost() {
  await page.goto(base);
  await page.getByRole("button", { name: "Add host" }).click();
  await page.getByRole("button", { name: "Create token" }).click();
  const command = await page.getByLabel("Command line for the new host").inputValue();
  check(/^nightbell-agent --hub wss?:\/\/\S+ --token \S{10,}/.test(command), `not a command line: ${command}`);
  await shot("add-host-light");
  await page.keyboard.press("Escape");
  await until("the dialog closes on Escape", async () => (await page.getByRole("dialog").count()) === 0);
}

async function sessionEnds() {
  await page.goto(base + hostPath);
  await page.locator(".plot canvas").first().waitFor();
  await context.clearCookies();
  await page.getByRole("link", { name: "24h" }).click();
  await page.getByRole("heading", { name: "Log in" }).waitFor();
  await page.getByText("Your session ended").waitFor();
  await shot("login-light");
  await page.getByLabel("User name").fill("admin");
  await page.getByLabel("Password").fill("wrong password here");
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByRole("alert").waitFor();
  await page.getByLabel("Password").fill(PASSWORD);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.locator(".plot canvas").first().waitFor();
  check(page.url() === `${base}${hostPath}?range=24h`, `login leads to ${page.url()}`);
}

async function darkAndPhone() {
  await page.goto(base);
  for (let press = 0; press < 2; press += 1) await page.getByRole("button", { name: /^Theme:/ }).click();
  check((await page.evaluate(() => document.documentElement.dataset.theme)) === "dark", "the theme did not change");
  await row().waitFor();
  await shot("fleet-dark");
  await page.goto(base + hostPath);
  await until("dark charts", async () => (await drawnCanvases(page))[0] >= 4);
  await shot("host-dark");
  await page.setViewportSize(PHONE);
  for (const [name, address, ready] of [
    ["fleet", "/", "tr.row"],
    ["host", hostPath, ".plot canvas"],
    ["alerts", "/alerts", ".card"],
  ]) {
    await page.goto(base + address);
    await page.locator(ready).first().waitFor();
    await until(`${name} settles`, async () => (await page.locator(".chart.is-loading").count()) === 0);
    const width = await pageWidth(page);
    check(width <= PHONE.width, `${name} is ${width} px wide on a phone of ${PHONE.width}`);
    await shot(`${name}-phone-dark`);
  }
  await page.setViewportSize(DESK);
}

/** Every page and dialog without a mouse. */
async function byKeyboard() {
  const openers = [
    ["/", "Add host"],
    ["/alerts", "Add"],
    ["/silences", "New silence"],
    ["/routes", "New route"],
  ];
  let stops = 0;
  for (const address of ["/", hostPath, "/alerts", ...(double ? [] : ["/rules", "/rules/new", "/routes", "/silences", "/deliveries"])]) {
    await page.goto(base + address);
    await page.getByRole("heading", { level: 1 }).waitFor();
    await page.waitForLoadState("networkidle");
    stops += await walk(page, address);
  }
  for (const [address, name] of openers.filter(([address]) => !double || address === "/" || address === "/alerts")) {
    await page.goto(base + address);
    const opener = page.getByRole("button", { name, exact: true });
    await opener.waitFor();
    await page.waitForLoadState("networkidle");
    stops += await dialogByKeys(page, opener);
  }
  return `${stops} stops`;
}

async function liveComesBack() {
  await page.goto(base);
  await page.getByText("Live", { exact: true }).waitFor();
  double.dropSockets();
  await page.getByText("Polling", { exact: true }).waitFor();
  await page.getByText("Live", { exact: true }).waitFor({ timeout: 5_000 });
}

async function thousandHosts() {
  const { startDouble } = await import("./double.mjs");
  const big = await startDouble({ hosts: 1_000 });
  const own = await browser.newContext({ viewport: DESK });
  const wide = await own.newPage();
  watchPage(wide, complaints);
  await wide.goto(big.setupUrl);
  await wide.getByLabel("Password").fill(PASSWORD);
  await wide.getByRole("button", { name: "Create administrator" }).click();
  await wide.locator("tr.row").first().waitFor();
  const begun = Date.now();
  await wide.goto(big.url);
  await wide.locator("tr.row").first().waitFor();
  const first = Date.now() - begun;
  await wide.getByText("1000 hosts").waitFor({ timeout: 20_000 });
  const rows = await wide.locator("tr.row").count();
  check(rows < 60, `${rows} rows are in the page; it should render what is on screen`);
  await wide.evaluate(() => scrollTo(0, document.body.scrollHeight));
  await until("the last row on screen", () => wide.locator('tr[aria-rowindex="1001"]').count());
  await wide.getByRole("searchbox").fill("db-125");
  await until("one row found", async () => (await wide.locator("tr.row").count()) === 1);
  await own.close();
  big.close();
  return `first rows after ${first} ms, ${rows} rows rendered`;
}

async function quiet() {
  check(complaints.length === 0, `the browser complained:\n  ${complaints.join("\n  ")}`);
}

const passed = await runSteps([
  ["set-up makes the first administrator", setUp],
  ["the fleet shows live values", fleetLive],
  ["the filter", filter],
  ...(double ? [["disks that fill up", fillingDisks]] : []),
  ["a host's charts are drawn", openHost],
  ["tooltip and crosshair", tooltip],
  ["drag zoom, the address, back", zoom],
  ["a long range", longRange],
  ["data table, exports, keyboard", tableAndExports],
  ["a channel is added and tested", channel],
  ["acknowledge", acknowledge],
  ...(double
    ? []
    : [
        ["a forecast by its form", () => forecastRule(page, base, shot)],
        ["the past while a threshold is dragged", () => dragThreshold(page, base, shot)],
        ["why there is no page", () => explainRule(page, base, shot)],
        ["routes in their order", () => routes(page, base, shot)],
        ["a rule that escalates twice", () => escalation(page, base, shot)],
        ["silences and the banner", () => silences(page, base, shot)],
        ["a dead delivery is sent again", () => retryDead(page, base, shot)],
        ["one incident", () => incident(page, base, shot)],
        ["alerting on a phone", () => onPhone(page, base, shot).finally(() => page.setViewportSize(DESK))],
      ]),
  ["add host", addHost],
  ["by keyboard", byKeyboard],
  ["a session that ends comes back to its page", sessionEnds],
  ["dark and phone", darkAndPhone],
  ...(double ? [["polling while the live line is down", liveComesBack], ["1,000 hosts", thousandHosts]] : []),
  ["no script error, no violation, no foreign origin", quiet],
]);
if (!passed) {
  if (SHOTS) await page.screenshot({ path: join(SHOTS, "failed.png") });
  if (complaints.length > 0) console.error(`the browser complained:\n  ${complaints.join("\n  ")}`);
}
await browser.close();
double?.close();
process.exit(passed ? 0 : 1);
