import { expect, it } from "vitest";
import { configOf, FIELDS, initialValues, isRequired, shownFields } from "./channelform";

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
