// A double of the hub for working on the pages and for the end-to-end
// script's own test: the API's shapes over an invented fleet. The product
// never contains it, and what counts is the same script against a real hub.
//
//   node e2e/double.mjs [port] [hosts]      serves dist/ with it

import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { acceptSocket } from "./socket.mjs";
import { agentOf, HEARTBEAT_MS, historyOf, makeHosts } from "./world.mjs";

const CSP =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; font-src 'self'; " +
  "form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
const DIST = fileURLToPath(new URL("../dist/", import.meta.url));
const TYPES = { ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml" };
const SETUP_KEY = "double-setup-key";

class Refusal extends Error {
  constructor(status, title, detail, errors = []) {
    super(detail);
    this.body = { type: `/problems/${status}`, title, status, detail, code: "double", request_id: randomUUID(), errors };
  }
}

export function startDouble({ port = 0, hosts: count = 42, channels: withChannels = false } = {}) {
  const started = Date.now();
  const hosts = makeHosts(count, started);
  const state = { admin: null, sessions: new Set(), channels: [], outbox: [], sockets: new Set(), events: [], incidents: [] };
  if (withChannels) state.channels.push({ id: "c0", name: "ops", kind: "webhook", enabled: true });
  seedTrouble(state, hosts, started);

  const server = createServer((request, response) => {
    handle(request, response, state, hosts).catch((error) => {
      const refusal = error instanceof Refusal ? error : new Refusal(500, "Internal error", error.stack);
      response.writeHead(refusal.body.status, { "content-type": "application/problem+json" }).end(JSON.stringify(refusal.body));
    });
  });
  server.on("upgrade", (request, socket) => {
    if (!sessionOf(request, state)) return socket.end("HTTP/1.1 401 Unauthorized\r\n\r\n");
    const client = { topics: [] };
    Object.assign(client, acceptSocket(request, socket, (text) => {
      client.topics = JSON.parse(text).subscribe ?? client.topics;
    }));
    state.sockets.add(client);
    socket.on("close", () => state.sockets.delete(client));
  });
  const timer = setInterval(() => beat(state, hosts), HEARTBEAT_MS);
  return new Promise((resolve) => {
    server.listen(port, "127.0.0.1", () => {
      const url = `http://127.0.0.1:${server.address().port}`;
      const close = () => {
        clearInterval(timer);
        for (const client of state.sockets) client.close();
        server.closeAllConnections();
        server.close();
      };
      resolve({ url, setupUrl: `${url}/setup?key=${SETUP_KEY}`, close, expireSessions: () => state.sessions.clear(), dropSockets: () => state.sockets.forEach((client) => client.close()) });
    });
  });
}

function send(state, topic, type, data) {
  const text = JSON.stringify({ type, timestamp: new Date().toISOString(), data });
  for (const client of state.sockets) if (client.topics.includes(topic)) client.send(text);
}

function beat(state, hosts) {
  const now = Date.now();
  const agents = hosts.filter((host) => !host.offline && !host.silent).map((host) => {
    const { id, status, last_seen, metrics } = agentOf(host, now);
    return { id, status, last_seen, metrics };
  });
  send(state, "fleet", "fleet", { agents });
  for (const agent of agents) send(state, `agent:${agent.id}`, "agent", agent);
}

function incident(id, host, rule, severity, metric, labels, values, fired, resolved) {
  return {
    id, rule: { id: `r-${rule}`, name: rule, severity }, agent: { id: host.id, name: host.name }, metric, labels, op: ">",
    threshold: values[0], value: resolved ? null : values[1], peak: values[1], why: `${values[1]} % > ${values[0]} % for 5 m 0 s (20 samples)`,
    started_at: new Date(fired - 300_000).toISOString(), fired_at: new Date(fired).toISOString(),
    resolved_at: resolved ? new Date(resolved).toISOString() : null, ack: null,
  };
}

function seedTrouble(state, hosts, now) {
  const [, db, , , , ci, , , web] = hosts;
  const add = (...given) => state.incidents.push(incident(...given));
  if (db) add("i1", db, "Disk nearly full", "critical", "disk.used_percent", { mount: "/" }, [90, 96.4], now - 14 * 60_000, null);
  if (ci) add("i2", ci, "CPU hot", "warning", "cpu.usage_percent", {}, [85, 97.1], now - 41 * 60_000, null);
  if (web) add("i3", web, "Memory high", "warning", "mem.used_percent", {}, [75, 78.2], now - 8 * 60_000, null);
  if (db) add("i4", db, "CPU hot", "critical", "cpu.usage_percent", {}, [20, 24.8], now - 35 * 60_000, now - 29 * 60_000);
  for (const item of state.incidents) {
    log(state, item.resolved_at ? "resolved" : "fired", item, item.fired_at);
    log(state, "pending", item, item.started_at);
  }
  const down = hosts[14];
  if (down) state.events.push({ ...blank(), ts: new Date(now - 252_000).toISOString(), type: "agent_offline", agent: { id: down.id, name: down.name } });
}

const blank = () => ({ id: randomUUID(), agent: null, rule: null, incident: null, metric: null, labels: null, value: null, threshold: null, reason: null });

function log(state, type, item, ts) {
  const { agent, rule, metric, labels, threshold, peak } = item;
  const event = { ...blank(), ts, type, agent, rule: { id: rule.id, name: rule.name }, incident: item.id, metric, labels, value: peak, threshold };
  state.events.push(event);
  return event;
}

function sessionOf(request, state) {
  const cookie = /nightbell=([\w-]+)/.exec(request.headers.cookie ?? "")?.[1];
  return cookie && state.sessions.has(cookie) ? cookie : null;
}

async function handle(request, response, state, hosts) {
  const url = new URL(request.url, "http://double");
  if (!url.pathname.startsWith("/api/v1/")) return file(url.pathname, response);
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const text = Buffer.concat(chunks).toString();
  const body = text ? JSON.parse(text) : {};
  const route = `${request.method} ${url.pathname.slice("/api/v1".length)}`;
  const answer = open(route, body, state) ?? (await guarded(route, url, body, state, hosts, request));
  if (answer === undefined) throw new Refusal(404, "No such route", `${route} is not a route of this hub.`);
  const headers = { "content-type": answer.type ?? "application/json" };
  if (answer.cookie) headers["set-cookie"] = `nightbell=${answer.cookie}; Path=/; HttpOnly; SameSite=Lax`;
  response.writeHead(answer.status ?? 200, headers).end(answer.raw ?? (answer.body === undefined ? "" : JSON.stringify(answer.body)));
}

function open(route, body, state) {
  const enter = (status) => {
    const cookie = randomUUID();
    state.sessions.add(cookie);
    return { status, cookie, body: { user: userOf(state) } };
  };
  if (route === "GET /setup") return { body: { needed: !state.admin } };
  if (route === "POST /setup") {
    if (body.key !== SETUP_KEY || state.admin) throw new Refusal(403, "Wrong set-up key", "The key was used already or never existed.");
    if ((body.password ?? "").length < 12) {
      throw new Refusal(422, "Invalid request", "The password is too short.", [{ pointer: "/password", detail: "at least 12 characters" }]);
    }
    state.admin = { username: body.username, password: body.password };
    return enter(201);
  }
  if (route === "POST /auth/login") {
    if (body.username === state.admin?.username && body.password === state.admin?.password) return enter(200);
    throw new Refusal(401, "Login failed", "The user name or the password is wrong.");
  }
  return undefined;
}

const userOf = (state) => ({ id: "u1", username: state.admin.username, role: "admin" });

async function guarded(route, url, body, state, hosts, request) {
  const session = sessionOf(request, state);
  if (!session) throw new Refusal(401, "Not logged in", "Log in or send an API token.");
  const now = Date.now();
  const list = (items, next = null) => ({ body: { items, next_cursor: next } });
  const matched = (pattern) => pattern.exec(route)?.slice(1).map(decodeURIComponent);
  const hostOf = (id) => {
    const host = hosts.find((known) => known.id === id);
    if (!host) throw new Refusal(404, "No such agent", `There is no agent ${id}.`);
    return host;
  };
  if (route === "GET /auth/me") return { body: { user: userOf(state) } };
  if (route === "POST /auth/logout") return state.sessions.delete(session), { status: 204 };
  if (route === "GET /agents") {
    const from = Number(url.searchParams.get("cursor") ?? 0);
    const to = from + Number(url.searchParams.get("limit") ?? 50);
    return list(hosts.slice(from, to).map((host) => agentOf(host, now)), to < hosts.length ? String(to) : null);
  }
  let found = matched(/^GET \/agents\/([^/]+)$/);
  if (found) return { body: agentOf(hostOf(found[0]), now) };
  found = matched(/^GET \/agents\/([^/]+)\/metrics\/history$/);
  if (found) return { body: historyFor(hostOf(found[0]), url.searchParams, now) };
  found = matched(/^GET \/agents\/([^/]+)\/charts\/([^/]+)$/);
  if (found) return { type: "text/plain", raw: `${hostOf(found[0]).name} ${found[1]} ${url.search}` };
  if (route === "GET /incidents") return list(incidentsFor(state, url.searchParams));
  found = matched(/^GET \/incidents\/([^/]+)$/);
  if (found) return { body: state.incidents.find((item) => item.id === found[0]) };
  found = matched(/^POST \/incidents\/([^/]+)\/ack$/);
  if (found) return { body: acknowledge(state, found[0], body.note) };
  if (route === "GET /events") return list(state.events.toSorted((a, b) => (a.ts < b.ts ? 1 : -1)));
  if (route === "GET /forecasts") return { body: { items: forecasts(hosts, now) } };
  if (route === "GET /banner") {
    const none = { active: 0, ends_at: null };
    return { body: { silences: none, maintenance: none, quiet_hours: none, channels_broken: [], fallback_channel: null } };
  }
  if (route === "GET /settings") return { body: { timezone: "UTC", fallback_channel: null } };
  if (route === "GET /channels") return list(state.channels);
  if (route === "POST /channels") return { status: 201, body: addChannel(state, body) };
  found = matched(/^DELETE \/channels\/([^/]+)$/);
  if (found) return (state.channels = state.channels.filter((channel) => channel.id !== found[0])), { status: 204 };
  found = matched(/^POST \/channels\/([^/]+)\/test$/);
  if (found) return { status: 202, body: await deliver(state, found[0]) };
  if (route === "GET /outbox") return list(state.outbox);
  if (route === "POST /enrolment-tokens") {
    return { status: 201, body: { id: randomUUID(), token: "nb_enrol_4kJ9sW2xQ7mZ1cV8bN5tR3yH6_9f3a", expires_at: new Date(now + 3_600_000).toISOString() } };
  }
  return undefined;
}

/** Some disks that fill up, at different speeds. */
function forecasts(hosts, now) {
  const of = (host, hours, mount = "/") => host && {
    agent: { id: host.id, name: host.name }, metric: "disk.used_percent", labels: { mount }, value: 90, full_at: new Date(now + hours * 3_600_000).toISOString(),
    full_in_seconds: hours * 3600, per_hour: 10 / hours, confidence: 0.91, window_seconds: hours < 72 ? 86_400 : 604_800,
  };
  return [of(hosts[1], 14), of(hosts[4], 60), of(hosts[4], 90, "/data"), of(hosts[9], 300)].filter(Boolean);
}

function historyFor(host, query, now) {
  const time = (text) => (text === "now" ? now : text.startsWith("-1h") ? now - 3_600_000 : Date.parse(text));
  const metrics = query.get("metrics").match(/[^,{]+(\{[^}]*\})?/g);
  return historyOf(host, metrics, time(query.get("start")), time(query.get("end")), Number(query.get("max_points") ?? 1000));
}

function incidentsFor(state, query) {
  const wanted = query.get("state") ?? "open";
  return state.incidents
    .filter((item) => wanted === "all" || (wanted === "open") === !item.resolved_at)
    .filter((item) => !query.get("agent") || item.agent.id === query.get("agent"));
}

function acknowledge(state, id, note) {
  const item = state.incidents.find((known) => known.id === id);
  item.ack = { by: state.admin.username, at: new Date().toISOString(), note: note ?? "", until: null };
  send(state, "events", "event", log(state, "ack", item, item.ack.at));
  return item;
}

function addChannel(state, { name, kind, config }) {
  const address = config.url ?? config.webhook_url;
  if (kind !== "smtp" && !/^https?:\/\/[^/]+/.test(address ?? "")) {
    throw new Refusal(422, "Invalid channel", "The configuration was refused.", [{ pointer: "/config/url", detail: "not an http or https address" }]);
  }
  const channel = { id: randomUUID(), name, kind, enabled: true, config: { url: address } };
  state.channels.push(channel);
  return channel;
}

async function deliver(state, id) {
  const { name, kind, config } = state.channels.find((channel) => channel.id === id);
  const row = { id: randomUUID(), channel: { id, name, kind }, incident_id: null, kind: "test", state: "queued", attempts: 0, created_at: new Date().toISOString(), sent_at: null, latency_ms: null, next_attempt_at: null, last_error: null };
  state.outbox.unshift(row);
  const begun = Date.now();
  fetch(config.url, { method: "POST", body: JSON.stringify({ type: "test", data: {} }) })
    .then((answer) => Object.assign(row, { state: answer.ok ? "sent" : "dead", attempts: 1, latency_ms: Date.now() - begun }))
    .catch((error) => Object.assign(row, { attempts: 1, last_error: `connect: ${error.cause?.code ?? error.message}` }));
  return { ...row };
}

async function file(path, response) {
  const name = extname(path) ? normalize(path).replace(/^(\.\.[/\\])+/, "") : "index.html";
  const content = await readFile(join(DIST, name)).catch(() => null);
  if (!content) throw new Refusal(404, "No such file", name);
  response.writeHead(200, { "content-type": TYPES[extname(name)] ?? "application/octet-stream", "content-security-policy": CSP, "cache-control": "no-cache" }).end(content);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const double = await startDouble({ port: Number(process.argv[2] ?? 8788), hosts: Number(process.argv[3] ?? 42) });
  console.log(double.setupUrl);
}
