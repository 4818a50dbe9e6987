import { describe, expect, it } from "vitest";
import { formatKey, labelText, metricOf, parseKey } from "./serieskey";

describe("parseKey", () => {
  it("reads names with and without labels", () => {
    expect(parseKey("cpu.usage_percent")).toEqual({ metric: "cpu.usage_percent", labels: {} });
    expect(parseKey("disk.used_percent{mount=/}")).toEqual({
      metric: "disk.used_percent",
      labels: { mount: "/" },
    });
    expect(parseKey("a.b{x=1,y=2}")?.labels).toEqual({ x: "1", y: "2" });
  });

  it("reads quoted values with every escape", () => {
    const key = String.raw`disk.used_percent{mount="/mnt/a b,c=\"d\"\\e\n"}`;
    expect(parseKey(key)?.labels).toEqual({ mount: '/mnt/a b,c="d"\\e\n' });
  });

  it.each([
    "",
    "CPU",
    "cpu{",
    "cpu{mount}",
    "cpu{mount=/",
    "cpu{mount=a b}",
    "cpu{mount=/}x",
    "cpu{a=1,a=2}",
    'cpu{a="open}',
    String.raw`cpu{a="\t"}`,
    "cpu{a=1,}",
  ])("refuses %j", (text) => {
    expect(parseKey(text)).toBeNull();
  });
});

describe("formatKey", () => {
  it("sorts labels and quotes only where it must", () => {
    expect(formatKey("net.up", { b: "2", a: "1" })).toBe("net.up{a=1,b=2}");
    expect(formatKey("disk.stale", { mount: "/mnt/my disk" })).toBe('disk.stale{mount="/mnt/my disk"}');
  });

  it("comes back unchanged through parseKey", () => {
    for (const value of ["/", "eth0", 'q"uote', "back\\slash", "new\nline", "a+b", "ümlaut", "{x}"]) {
      const key = formatKey("m.n", { l: value });
      expect(parseKey(key)).toEqual({ metric: "m.n", labels: { l: value } });
    }
  });
});

it("metricOf and labelText", () => {
  expect(metricOf("disk.used_percent{mount=/}")).toBe("disk.used_percent");
  expect(metricOf("load.avg_1m")).toBe("load.avg_1m");
  expect(labelText({ b: "2", a: "1" })).toBe("1, 2");
});
