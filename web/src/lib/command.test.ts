import { expect, it } from "vitest";
import { agentCommand, isLoopback } from "./command";

it.each([
  ["https:", "hub.example.org", "hub.example.org", "nightbell-agent --hub wss://hub.example.org --token T"],
  ["http:", "127.0.0.1", "127.0.0.1:8787", "nightbell-agent --hub ws://127.0.0.1:8787 --token T"],
  ["http:", "10.0.0.5", "10.0.0.5:8787", "nightbell-agent --hub ws://10.0.0.5:8787 --token T --allow-plaintext"],
])("%s//%s", (protocol, hostname, host, command) => {
  expect(agentCommand({ protocol, hostname, host }, "T")).toBe(command);
});

it("knows loopback from names that only look like it", () => {
  expect(["localhost", "[::1]", "127.0.0.53"].every(isLoopback)).toBe(true);
  expect(["127.0.0.1.example.org", "128.0.0.1", "localhost.example.org"].some(isLoopback)).toBe(false);
});
