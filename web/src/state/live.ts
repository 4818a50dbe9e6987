// The live connection: one WebSocket while somebody looks, polling while it
// is down. Frames go to the stores; pages only say which topics they need.

import { createSignal } from "solid-js";
import { reconnectDelay } from "../lib/backoff";
import type { AgentDelta, LogEvent } from "../types";
import { learnClock } from "./api";
import { applyDeltas, loadFleet } from "./fleet";
import { loadForecasts } from "./forecasts";
import { incidentsMayHaveChanged, loadIncidents } from "./incidents";

export type LiveState = "live" | "connecting" | "polling" | "off";

const POLL_MS = 5_000;
const INCIDENTS_MS = 60_000;
const FORECASTS_MS = 300_000;
/** A hidden tab lets go of its connection after this long. */
const HIDDEN_MS = 30_000;
/** Heartbeats come every 15 s by default; a line this quiet is taken for dead. */
const QUIET_MS = 90_000;
const LIST_EVENTS = new Set(["agent_registered", "config"]);

const [live, setLive] = createSignal<LiveState>("off");
const [latestEvent, setLatestEvent] = createSignal<LogEvent | null>(null, { equals: false });
export { latestEvent, live };

type AgentListener = (delta: AgentDelta) => void;
const topics = new Map<string, number>([["fleet", 1], ["events", 1]]);
const listeners = new Map<string, Set<AgentListener>>();

let wanted = false;
let socket: WebSocket | null = null;
let attempt = 0;
let retryTimer: ReturnType<typeof setTimeout> | undefined;
let hiddenTimer: ReturnType<typeof setTimeout> | undefined;
let lastFrame = 0;

interface Frame {
  type?: string;
  timestamp?: string | number;
  data?: unknown;
}

/** Starts after login. */
export function startLive(): void {
  if (wanted) return;
  wanted = true;
  void loadFleet();
  void loadIncidents().catch(() => {});
  void loadForecasts().catch(() => {});
  connect();
}

/** Stops at logout. */
export function stopLive(): void {
  wanted = false;
  clearTimeout(retryTimer);
  drop();
  setLive("off");
}

function connect(): void {
  clearTimeout(retryTimer);
  if (!wanted || socket || document.hidden) return;
  setLive((state) => (state === "polling" ? state : "connecting"));
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const opened = new WebSocket(`${scheme}://${location.host}/api/v1/ws`);
  socket = opened;
  lastFrame = Date.now();
  opened.onopen = () => {
    // What happened while the line was down is in the lists, not in the frames.
    if (attempt > 0 || live() === "polling") refresh();
    attempt = 0;
    setLive("live");
    subscribe();
  };
  opened.onmessage = (message) => {
    lastFrame = Date.now();
    if (typeof message.data === "string") receive(message.data);
  };
  opened.onclose = () => {
    if (socket === opened) lost();
  };
}

function lost(): void {
  socket = null;
  if (!wanted) return;
  setLive("polling");
  retryTimer = setTimeout(connect, reconnectDelay(attempt, Math.random()));
  attempt += 1;
}

function drop(): void {
  const closing = socket;
  socket = null;
  closing?.close();
}

function refresh(): void {
  void loadFleet();
  void loadIncidents().catch(() => {});
}

/** The whole list every time: right whether the hub adds or replaces. */
function subscribe(): void {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ subscribe: [...topics.keys()] }));
}

function receive(text: string): void {
  let frame: Frame;
  try {
    frame = JSON.parse(text) as Frame;
  } catch {
    return;
  }
  const time = typeof frame.timestamp === "string" ? Date.parse(frame.timestamp) : Number(frame.timestamp);
  if (time > 1e12) learnClock(time);
  if (frame.type === "fleet") applyDeltas((frame.data as { agents?: AgentDelta[] })?.agents ?? []);
  else if (frame.type === "agent") receiveAgent(frame.data as AgentDelta);
  else if (frame.type === "event") receiveEvent(frame.data as LogEvent);
}

function receiveAgent(delta: AgentDelta): void {
  applyDeltas([delta]);
  for (const listener of listeners.get(delta.id) ?? []) listener(delta);
}

function receiveEvent(event: LogEvent): void {
  setLatestEvent(event);
  incidentsMayHaveChanged(event.type);
  if (LIST_EVENTS.has(event.type)) void loadFleet();
}

/** Follows one agent closely; returns how to stop. */
export function followAgent(id: string, listener: AgentListener): () => void {
  const topic = `agent:${id}`;
  topics.set(topic, (topics.get(topic) ?? 0) + 1);
  const set = listeners.get(id) ?? new Set();
  listeners.set(id, set.add(listener));
  subscribe();
  return () => {
    set.delete(listener);
    const left = (topics.get(topic) ?? 1) - 1;
    if (left > 0) topics.set(topic, left);
    else topics.delete(topic);
  };
}

/** The timers behind it all; once per page load. */
export function startLiveTimers(): void {
  setInterval(() => {
    if (!wanted || document.hidden) return;
    if (live() === "polling") refresh();
    else if (Date.now() - lastFrame > QUIET_MS) {
      drop();
      lost();
    }
  }, POLL_MS);
  setInterval(() => {
    if (wanted && !document.hidden) void loadIncidents().catch(() => {});
  }, INCIDENTS_MS);
  setInterval(() => {
    if (wanted && !document.hidden) void loadForecasts().catch(() => {});
  }, FORECASTS_MS);
  document.addEventListener("visibilitychange", () => {
    clearTimeout(hiddenTimer);
    if (document.hidden) {
      hiddenTimer = setTimeout(drop, HIDDEN_MS);
    } else if (wanted && !socket) {
      attempt = 0;
      setLive("polling");
      connect();
    }
  });
}
