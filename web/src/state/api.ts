// The hub's REST API as one function, and its refusals as one error class.
// A lost session is told to whoever listens; what to do about it is not decided here.

const BASE = "/api/v1";

export interface FieldError {
  pointer: string;
  detail: string;
}

/** A refusal in the hub's words (RFC 9457), or what stood in the way of one. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly title: string,
    readonly detail: string,
    readonly fields: readonly FieldError[] = [],
  ) {
    super(detail || title);
    this.name = "Problem";
  }
}

let sessionLost: () => void = () => {};

/** Sets what happens when the hub says that nobody is logged in. */
export function onSessionLost(act: () => void): void {
  sessionLost = act;
}

let offsetMs = 0;

/** How far the hub's clock is ahead of this browser's. */
export function clockOffset(): number {
  return offsetMs;
}

/** Learns the hub's clock from a message that carries its time. */
export function learnClock(hubTime: number): void {
  const offset = hubTime - Date.now();
  // Below two seconds it is the network or the header's whole seconds, not the clock.
  offsetMs = Math.abs(offset) < 2_000 ? 0 : offset;
}

interface Options {
  body?: unknown;
  signal?: AbortSignal;
  /** A 401 is an answer here (login), not the end of a session. */
  quiet?: boolean;
  /** The version that is changed; the hub refuses if there is a newer one. */
  ifMatch?: string;
}

const etags = new WeakMap<object, string>();

/** The version of an object as the hub gave it. */
export function etagOf(object: object): string {
  return etags.get(object) ?? "*";
}

/** One call; `undefined` for an answer without a body. Throws `Problem`. */
export async function api<T>(method: string, path: string, options: Options = {}): Promise<T> {
  const headers: Record<string, string> = { accept: "application/json" };
  const init: RequestInit = { method, credentials: "same-origin", headers };
  if (options.signal) init.signal = options.signal;
  if (options.ifMatch) headers["if-match"] = options.ifMatch;
  if (options.body !== undefined) {
    init.body = JSON.stringify(options.body);
    headers["content-type"] = "application/json";
  }
  const answer = await send(path, init);
  const date = Date.parse(answer.headers.get("date") ?? "");
  if (!Number.isNaN(date)) learnClock(date);
  if (answer.ok) {
    const said = await readJson(answer);
    const etag = answer.headers.get("etag");
    if (etag && said !== null && typeof said === "object") etags.set(said, etag);
    return said as T;
  }
  if (answer.status === 401 && !options.quiet) sessionLost();
  throw await problemOf(answer);
}

async function send(path: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(BASE + path, init);
  } catch (cause) {
    if (cause instanceof DOMException && cause.name === "AbortError") throw cause;
    throw new Problem(0, "No connection", "The hub does not answer. Is it running, and is the network up?");
  }
}

async function readJson(answer: Response): Promise<unknown> {
  const text = await answer.text();
  if (!text) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    throw new Problem(answer.status, "Unreadable answer", "The hub's answer was not JSON. Does a proxy stand in between?");
  }
}

async function problemOf(answer: Response): Promise<Problem> {
  const fallback = new Problem(answer.status, `HTTP ${answer.status}`, answer.statusText || "The hub refused without a reason.");
  if (!(answer.headers.get("content-type") ?? "").includes("json")) return fallback;
  const said = (await answer.json().catch(() => ({}))) as { title?: string; detail?: string; errors?: FieldError[] };
  return new Problem(answer.status, said.title ?? fallback.title, said.detail ?? fallback.detail, said.errors ?? []);
}

/** Any error as a problem that can be shown. */
export function asProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  return new Problem(0, "Unexpected error", error instanceof Error ? error.message : String(error));
}

/** A path segment, percent-encoded. */
export const segment = encodeURIComponent;
