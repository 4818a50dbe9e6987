// The last hour of one metric as a line in a table row. Read once the row
// has been on screen for a moment, a few at a time, and kept for a minute.

import { createSignal, type JSX, onCleanup, onMount, Show } from "solid-js";
import type { History } from "../types";
import { api, segment } from "../state/api";

const FRESH_MS = 60_000;
const SETTLE_MS = 250;
const AT_ONCE = 4;
const POINTS = 60;
const WIDTH = 96;
const HEIGHT = 24;

interface Line {
  readAt: number;
  path: string;
}

const known = new Map<string, Line>();
const waiting: (() => Promise<void>)[] = [];
let running = 0;

function enqueue(job: () => Promise<void>): () => void {
  waiting.push(job);
  pump();
  return () => {
    const index = waiting.indexOf(job);
    if (index >= 0) waiting.splice(index, 1);
  };
}

function pump(): void {
  while (running < AT_ONCE) {
    const job = waiting.shift();
    if (!job) return;
    running += 1;
    void job().finally(() => {
      running -= 1;
      pump();
    });
  }
}

/** An SVG path on a 0–100 scale over the answer's own time range; a gap lifts the pen. */
function pathOf(history: History): string {
  const start = Date.parse(history.start);
  const span = Math.max(1, Date.parse(history.end) - start);
  let path = "";
  let drawing = false;
  history.t.forEach((time, index) => {
    const value = history.series[0]?.v[index];
    if (value === null || value === undefined) {
      drawing = false;
      return;
    }
    const x = ((time - start) / span) * WIDTH;
    const y = HEIGHT - 1.5 - (Math.min(100, Math.max(0, value)) / 100) * (HEIGHT - 3);
    path += `${drawing ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
    drawing = true;
  });
  return path;
}

export function Sparkline(props: { agent: string; metric: string; label: string }): JSX.Element {
  const cacheKey = `${props.agent} ${props.metric}`;
  const [path, setPath] = createSignal(known.get(cacheKey)?.path ?? "");
  let cancel = () => {};
  let timer: ReturnType<typeof setTimeout> | undefined;
  let gone = false;

  const read = async () => {
    try {
      const query = `metrics=${encodeURIComponent(props.metric)}&start=-1h&end=now&max_points=${POINTS}`;
      const history = await api<History>("GET", `/agents/${segment(props.agent)}/metrics/history?${query}`);
      known.set(cacheKey, { readAt: Date.now(), path: pathOf(history) });
      setPath(known.get(cacheKey)?.path ?? "");
    } catch {
      // A missing line is no reason to disturb the table; the next minute tries again.
    }
    schedule(FRESH_MS);
  };
  const schedule = (wait: number) => {
    if (gone) return;
    timer = setTimeout(() => {
      if (document.hidden) schedule(FRESH_MS);
      else cancel = enqueue(read);
    }, wait);
  };

  onMount(() => {
    const age = Date.now() - (known.get(cacheKey)?.readAt ?? 0);
    schedule(Math.max(SETTLE_MS, FRESH_MS - age));
  });
  onCleanup(() => {
    gone = true;
    clearTimeout(timer);
    cancel();
  });

  return (
    <svg class="spark" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label={props.label}>
      <Show when={path()}>
        <path d={path()} />
      </Show>
    </svg>
  );
}
