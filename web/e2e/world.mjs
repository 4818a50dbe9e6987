// The double's hosts and what they measure: values that are a function of
// host, series and time, so that history and live values agree.

const HOUR = 3_600_000;
export const HEARTBEAT_MS = 5_000;
const NAMES = ["web", "db", "cache", "worker", "mail", "ci", "edge", "backup"];

const TIERS = [
  ["raw", 15_000, 3 * HOUR],
  ["5m", 300_000, 4 * 24 * HOUR],
  ["hourly", HOUR, 40 * 24 * HOUR],
  ["daily", 24 * HOUR, Number.POSITIVE_INFINITY],
];

function hash(text) {
  let sum = 2166136261;
  for (let index = 0; index < text.length; index += 1) sum = Math.imul(sum ^ text.charCodeAt(index), 16777619);
  return ((sum >>> 0) % 10_007) / 10_007;
}

/** A slow wave, a faster one and noise around a base, in 0..1. */
function wave(seed, time) {
  const slow = Math.sin(time / (4 * HOUR) + seed * 40);
  const fast = Math.sin(time / (0.31 * HOUR) + seed * 90);
  const noise = hash(`${Math.floor(time / 15_000)} ${seed}`) - 0.5;
  return 0.5 + 0.22 * slow + 0.14 * fast + 0.16 * noise;
}

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

/** Keys of a host's series. */
export function keysOf(host) {
  const cores = Array.from({ length: host.cores }, (_, core) => `cpu.core.usage_percent{core=${core}}`);
  const disks = host.mounts.map((mount) => `disk.used_percent{mount=${mount}}`);
  const nics = ["eth0", "wg0"].flatMap((iface) => [`net.rx_bytes_per_second{iface=${iface}}`, `net.tx_bytes_per_second{iface=${iface}}`]);
  return [
    "cpu.usage_percent", "cpu.user_percent", "cpu.system_percent", "cpu.iowait_percent", "cpu.steal_percent", ...cores,
    "mem.used_percent", "mem.used_bytes", "mem.cached_bytes", "mem.free_bytes", "mem.total_bytes", "swap.used_percent",
    ...disks, "diskio.read_bytes_per_second{device=nvme0n1}", "diskio.write_bytes_per_second{device=nvme0n1}",
    "diskio.util_percent{device=nvme0n1}", ...nics, "load.avg_1m", "load.avg_5m", "load.avg_15m",
    "temp.celsius{sensor=package}", "temp.celsius{sensor=nvme}", "psi.cpu_some_percent", "psi.io_some_percent",
    "tcp.established", "tcp.time_wait", "proc.total", "fd.allocated", "sys.uptime_seconds", "sys.context_switches_per_second",
  ];
}

/** The value of a series at a time; `null` inside the host's outages. */
export function valueAt(host, key, time) {
  if (host.outages.some(([from, to]) => time >= from && time < to)) return null;
  const metric = key.split("{")[0];
  const seed = hash(host.name + key.replace(/^cpu\.(?!core).*/, "cpu"));
  const shape = wave(seed, time);
  const cpu = clamp(host.cpu * (0.4 + 1.2 * wave(hash(`${host.name}cpu`), time)), 0.4, 100);
  const shares = { "cpu.usage_percent": 1, "cpu.user_percent": 0.62, "cpu.system_percent": 0.24, "cpu.iowait_percent": 0.1, "cpu.steal_percent": 0.01 };
  const memory = clamp(host.mem * (0.9 + 0.2 * wave(hash(`${host.name}mem`), time)), 1, 100);
  if (metric in shares) return round(cpu * shares[metric], 1);
  if (metric === "cpu.core.usage_percent") return round(clamp(cpu * (0.5 + shape), 0, 100), 1);
  if (metric === "mem.used_percent") return round(memory, 1);
  if (metric === "mem.used_bytes") return Math.round((memory / 100) * host.memory);
  if (metric === "mem.cached_bytes") return Math.round(((100 - memory) / 180) * host.memory);
  if (metric === "mem.free_bytes") return Math.round(((100 - memory) / 300) * host.memory);
  if (metric === "mem.total_bytes") return host.memory;
  if (metric === "swap.used_percent") return round(3 + 4 * shape, 1);
  if (metric === "disk.used_percent") return round(clamp(host.disk - 30 * host.mounts.indexOf(/=(.*)}/.exec(key)[1]) + 2 * shape, 1, 100), 1);
  if (metric.endsWith("_bytes_per_second")) return Math.round(12e6 * seed * shape ** 3);
  if (metric.startsWith("load.")) return round((cpu / 100) * host.cores * (0.7 + 0.5 * shape), 2);
  if (metric === "temp.celsius") return round(38 + 26 * shape * (0.5 + cpu / 200), 1);
  if (metric === "sys.uptime_seconds") return Math.round((time - host.bornAt) / 1000);
  if (metric.endsWith("_percent")) return round(9 * shape * shape, 1);
  return Math.round(40 + 900 * seed * shape);
}

function round(value, digits) {
  const scale = 10 ** digits;
  return Math.round(value * scale) / scale;
}

/** A fleet of `count` hosts, a few of them in trouble. */
export function makeHosts(count, now) {
  return Array.from({ length: count }, (_, index) => {
    const kind = NAMES[index % NAMES.length];
    const name = `${kind}-${String(Math.floor(index / NAMES.length) + 1).padStart(2, "0")}`;
    const luck = hash(`${name} luck`);
    const cores = [2, 4, 8, 16][Math.floor(luck * 4)];
    const host = {
      id: `01JD${String(index).padStart(4, "0")}${"0".repeat(18)}`,
      name,
      tags: [index % 3 ? "prod" : "staging", kind],
      cores,
      memory: cores * 4 * 2 ** 30,
      cpu: 8 + 45 * luck,
      mem: 30 + 38 * hash(`${name} mem`),
      disk: 25 + 42 * hash(`${name} disk`),
      mounts: index % 2 ? ["/"] : ["/", "/data"],
      bornAt: now - (3 + 90 * luck) * 24 * HOUR,
      outages: [[now - 22 * 60_000 - luck * HOUR, now - 16 * 60_000 - luck * HOUR], [now - 3 * 24 * HOUR, now - 2.6 * 24 * HOUR]],
      offline: false,
      custom: index % 7 === 1,
    };
    if (index === 1) Object.assign(host, { disk: 95, mem: 72, cpu: 14 });
    if (index === 5) Object.assign(host, { cpu: 92 });
    if (index === 8) Object.assign(host, { mem: 76 });
    if (index === 14) Object.assign(host, { offline: true });
    if (index === 6) Object.assign(host, { silent: true });
    return host;
  });
}

/** A host as the API lists it. */
export function agentOf(host, now) {
  const seen = host.offline ? now - 252_000 : now - (now % HEARTBEAT_MS);
  const metrics = host.silent ? {} : Object.fromEntries(keysOf(host).map((key) => [key, valueAt(host, key, seen)]));
  return {
    id: host.id,
    name: host.name,
    status: host.offline ? "offline" : "online",
    last_seen: new Date(seen).toISOString(),
    created_at: new Date(host.bornAt).toISOString(),
    version: "0.1.0",
    tags: host.tags,
    facts: { os: "Debian GNU/Linux 13", kernel: "6.12.48-amd64", cpu_model: "AMD EPYC 7543P", cores: host.cores, memory_bytes: host.memory },
    metrics,
    thresholds: {
      "cpu.usage_percent": host.custom ? { warn: 60, crit: 80, custom: true } : { warn: 70, crit: 85, custom: false },
      "mem.used_percent": { warn: 70, crit: 85, custom: false },
      "disk.used_percent": { warn: 70, crit: 85, custom: false },
    },
  };
}

/** A history answer as the API gives it. */
export function historyOf(host, metrics, start, end, maxPoints) {
  const [tier, natural] = TIERS.find(([, , span]) => end - start <= span);
  const width = Math.max(natural, Math.ceil((end - start) / maxPoints / natural) * natural);
  const raw = tier === "raw";
  const keys = metrics.flatMap((wanted) => keysOf(host).filter((key) => key === wanted || key.split("{")[0] === wanted));
  const times = [];
  for (let time = Math.ceil(start / width) * width; time <= Math.min(end, Date.now()); time += width) times.push(time);
  const series = keys.map((key) => {
    const [, label, value] = /\{(\w+)=(.*)\}/.exec(key) ?? [];
    const base = { metric: key.split("{")[0], labels: label ? { [label]: value } : {}, unit: null };
    if (raw) return { ...base, v: times.map((time) => valueAt(host, key, time)) };
    const buckets = times.map((time) => Array.from({ length: 12 }, (_, part) => valueAt(host, key, time + (part * width) / 12)).filter((known) => known !== null));
    const fold = (act) => buckets.map((bucket) => (bucket.length ? round(act(bucket), 2) : null));
    return {
      ...base,
      v: fold((bucket) => bucket.reduce((sum, known) => sum + known, 0) / bucket.length),
      min: fold((bucket) => Math.min(...bucket)),
      max: fold((bucket) => Math.max(...bucket)),
    };
  });
  const iso = (time) => new Date(time).toISOString();
  return { agent: host.id, start: iso(start), end: iso(end), tier, points: times.length, t: times, series };
}
