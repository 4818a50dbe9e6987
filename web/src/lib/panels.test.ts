import { describe, expect, it } from "vitest";
import { exportHref, panelsOf } from "./panels";

const KEYS = [
  "cpu.usage_percent",
  "cpu.user_percent",
  "cpu.core.usage_percent{core=10}",
  "cpu.core.usage_percent{core=2}",
  "mem.used_percent",
  'disk.used_percent{mount="/mnt/a b"}',
  "disk.used_percent{mount=/}",
  "net.tx_bytes_per_second{iface=eth0}",
  "net.rx_bytes_per_second{iface=eth0}",
  "net.rx_bytes_per_second{iface=wg0}",
  "load.avg_1m",
  "app.queue_depth{queue=mail}",
  "fd.allocated",
];

describe("panelsOf", () => {
  const panels = panelsOf(KEYS);
  const find = (title: string) => [...panels.main, ...panels.more].find((panel) => panel.title === title);

  it("groups the known families in their order", () => {
    expect(panels.main.map((panel) => panel.title)).toEqual(["CPU", "Memory", "Disk space (2)", "Load", "Network eth0", "Network wg0", "CPU cores (2)"]);
  });

  it("asks for what is present only", () => {
    expect(find("CPU")?.query).toEqual(["cpu.usage_percent", "cpu.user_percent"]);
    expect(find("Network wg0")?.query).toEqual(["net.rx_bytes_per_second{iface=wg0}"]);
    expect(find("Network eth0")?.lines.map((line) => line.label)).toEqual(["received", "sent"]);
  });

  it("asks for all series of a metric by its bare name, lines in natural order", () => {
    expect(find("CPU cores (2)")).toMatchObject({ query: ["cpu.core.usage_percent"], lines: [{ label: "2" }, { label: "10" }] });
    expect(find("Disk space (2)")?.lines.map((line) => line.key)).toEqual(["disk.used_percent{mount=/}", 'disk.used_percent{mount="/mnt/a b"}']);
  });

  it("loses no series: the unknown gets charts of its own", () => {
    expect(panels.more.map((panel) => panel.title)).toEqual(["app.queue_depth", "fd.allocated"]);
    const drawn = [...panels.main, ...panels.more].flatMap((panel) => panel.lines.map((line) => line.key));
    expect(drawn.toSorted()).toEqual(KEYS.toSorted());
  });

  it("keeps a host with many interfaces readable", () => {
    const many = panelsOf(Array.from({ length: 9 }, (_, index) => `net.rx_bytes_per_second{iface=eth${index}}`));
    expect(many.main).toHaveLength(4);
    expect(many.more).toHaveLength(5);
  });

  it("is empty for an agent without data", () => {
    expect(panelsOf([])).toEqual({ main: [], more: [] });
  });
});

it("percent-encodes the key of an export", () => {
  const panel = panelsOf(KEYS).main.find((found) => found.title === "Network eth0");
  const href = exportHref("01J", panel!, "png", { start: "a", end: "b", theme: "dark" });
  expect(href).toBe(
    "/api/v1/agents/01J/charts/net.rx_bytes_per_second%7Biface%3Deth0%7D.png?start=a&end=b&theme=dark&metrics=net.tx_bytes_per_second%7Biface%3Deth0%7D",
  );
});
