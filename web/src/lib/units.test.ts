import { expect, it } from "vitest";
import { formatAge, formatExact, formatSpan, formatTick, formatValue, unitOf } from "./units";

it.each([
  ["cpu.usage_percent", "percent"],
  ["battery.percent", "percent"],
  ["mem.used_bytes", "bytes"],
  ["net.rx_bytes_per_second", "bytes_per_second"],
  ["net.rx_bytes_total", "bytes"],
  ["diskio.read_iops", "per_second"],
  ["sys.forks_per_second", "per_second"],
  ["sys.uptime_seconds", "seconds"],
  ["diskio.read_await_ms", "milliseconds"],
  ["temp.celsius", "celsius"],
  ["gpu.temperature_celsius", "celsius"],
  ["load.avg_1m", "none"],
  ["disk.used_percent{mount=/data.d}", "percent"],
])("unitOf(%s) is %s", (metric, unit) => {
  expect(unitOf(metric)).toBe(unit);
});

it("believes the hub's unit before the name", () => {
  expect(unitOf("custom.thing", "percent")).toBe("percent");
  expect(unitOf("custom.thing", "milliseconds")).toBe("milliseconds");
  expect(unitOf("custom.thing_bytes", "furlongs")).toBe("bytes");
  expect(unitOf("tcp.established", "count")).toBe("none");
});

it.each([
  [71.34, "percent", "71.3 %"],
  [100, "percent", "100 %"],
  [99.97, "percent", "100 %"],
  [0, "percent", "0.0 %"],
  [512, "bytes", "512 B"],
  [3_672_119_296, "bytes", "3.42 GiB"],
  [34_359_738_368, "bytes", "32.0 GiB"],
  [9_123_456, "bytes_per_second", "9.12 MB/s"],
  [1.234, "none", "1.23"],
  [12_345, "none", "12,345"],
  [45.5, "celsius", "45.5 °C"],
  [12, "seconds", "12 s"],
  [3_553_200, "seconds", "41 d 3 h"],
  [null, "percent", "N/A"],
  [Number.POSITIVE_INFINITY, "none", "∞"],
] as const)("formatValue(%s, %s) is %s", (value, unit, text) => {
  expect(formatValue(value, unit)).toBe(text);
});

it("keeps every digit in the exact form", () => {
  expect(formatExact(3_672_119_296, "bytes")).toBe("3,672,119,296 B");
  expect(formatExact(12.125, "percent")).toBe("12.125 %");
});

it("drops empty decimals on ticks", () => {
  expect(formatTick(50, "percent")).toBe("50 %");
  expect(formatTick(2 ** 30, "bytes")).toBe("1 GiB");
  expect(formatTick(0.5, "none")).toBe("0.50");
});

it("spans and ages", () => {
  expect(formatSpan(0)).toBe("0 s");
  expect(formatSpan(860)).toBe("14 min 20 s");
  expect(formatSpan(3_600)).toBe("1 h");
  expect(formatAge(59.9)).toBe("59 s");
  expect(formatAge(7_300)).toBe("2 h");
  expect(formatAge(-3)).toBe("0 s");
});
