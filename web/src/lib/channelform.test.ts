import { expect, it } from "vitest";
import { configOf, FIELDS, initialValues, isRequired, shownFields, valuesOf } from "./channelform";

it("makes a mail channel's config with numbers and lists", () => {
  const values = { ...initialValues("smtp"), host: " mail.example.org ", from: "a@b.c", to: "x@y.z, , q@r.s" };
  expect(configOf("smtp", values)).toEqual({
    host: "mail.example.org",
    port: 587,
    tls: "starttls",
    from: "a@b.c",
    to: ["x@y.z", "q@r.s"],
  });
});

it("leaves out what is hidden or empty", () => {
  const values = { ...initialValues("webhook"), url: "http://127.0.0.1:9/x", routing_key: "stale", allow_private: "on" };
  expect(configOf("webhook", values)).toEqual({ url: "http://127.0.0.1:9/x", format: "standard", allow_private: true });
  expect(configOf("webhook", { ...values, format: "pagerduty" })).toMatchObject({ routing_key: "stale" });
});

it("shows the routing key for PagerDuty only", () => {
  const names = (format: string) => shownFields("webhook", { format }).map((field) => field.name);
  expect(names("standard")).toContain("secret");
  expect(names("pagerduty")).toEqual(["url", "format", "routing_key", "allow_private"]);
});

it("knows PagerDuty's own address", () => {
  const url = FIELDS.webhook[0]!;
  expect(isRequired(url, { format: "standard" })).toBe(true);
  expect(isRequired(url, { format: "pagerduty" })).toBe(false);
});

it("changes a channel and keeps what it does not show", () => {
  const config = { url: "https://hooks.example.org/in", secret: "set", format: "standard", headers: { "x-team": "set" } };
  expect(configOf("webhook", valuesOf("webhook", config), config)).toEqual(config);
  const mail = { host: "mx", port: 25, tls: "none", from: "a@b.c", to: ["x@y.z", "q@r.s"], allow_private: false };
  expect(configOf("smtp", { ...valuesOf("smtp", mail), port: "26" }, mail)).toEqual({ ...mail, port: 26 });
  expect(configOf("webhook", { ...valuesOf("webhook", config), secret: "" }, config)).not.toHaveProperty("secret");
});

it("knows bots from webhooks", () => {
  const names = (values: Record<string, string>) => shownFields("slack", values).map((field) => field.name);
  expect(names(initialValues("slack"))).toEqual(["way", "webhook_url", "allow_private"]);
  const bot = { bot_token: "set", channel: "C01" };
  expect(names(valuesOf("slack", bot))).toEqual(["way", "bot_token", "channel", "allow_private"]);
  expect(configOf("slack", valuesOf("slack", bot), bot)).toEqual(bot);
  expect(shownFields("discord", initialValues("discord")).map((field) => field.name)).toEqual(["webhook_url", "allow_private"]);
});
