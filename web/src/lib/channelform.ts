// The fields of each kind of channel and the `config` they make. Pure: the
// hub checks the values, this only knows their names and types.

export type ChannelKind = "webhook" | "smtp" | "discord" | "slack";

export interface FormField {
  name: string;
  label: string;
  type: "text" | "url" | "password" | "email" | "number" | "list" | "check" | "select";
  required?: boolean;
  /** Not required while another field has this value. */
  optionalWhen?: readonly [string, string];
  hint?: string;
  placeholder?: string;
  options?: readonly (readonly [string, string])[];
  /** Shown only while another field has this value. */
  when?: readonly [string, string];
  initial?: string;
  /** Chooses between fields and is not sent. */
  choice?: boolean;
}

export const KINDS: readonly (readonly [ChannelKind, string])[] = [
  ["webhook", "Webhook"],
  ["smtp", "E-mail"],
  ["discord", "Discord"],
  ["slack", "Slack"],
];

const PRIVATE: FormField = {
  name: "allow_private",
  label: "Address lies in a private network",
  type: "check",
  hint: "Without it the hub refuses to call private and loopback addresses.",
};

const WAY: FormField = {
  name: "way",
  label: "By",
  type: "select",
  choice: true,
  initial: "webhook",
  options: [["webhook", "Webhook"], ["bot", "Bot"]],
};

export const FIELDS: Record<ChannelKind, readonly FormField[]> = {
  webhook: [
    { name: "url", label: "URL", type: "url", required: true, optionalWhen: ["format", "pagerduty"], placeholder: "https://" },
    {
      name: "format",
      label: "Format",
      type: "select",
      initial: "standard",
      options: [["standard", "Standard Webhooks"], ["alertmanager", "Alertmanager"], ["pagerduty", "PagerDuty Events"]],
    },
    { name: "secret", label: "Signing secret", type: "password", when: ["format", "standard"], hint: "Optional. Signs every request." },
    { name: "routing_key", label: "Routing key", type: "password", required: true, when: ["format", "pagerduty"] },
    PRIVATE,
  ],
  smtp: [
    { name: "host", label: "Mail server", type: "text", required: true, placeholder: "smtp.example.org" },
    { name: "port", label: "Port", type: "number", required: true, initial: "587" },
    {
      name: "tls",
      label: "Encryption",
      type: "select",
      initial: "starttls",
      options: [["starttls", "STARTTLS"], ["tls", "TLS"], ["none", "None"]],
    },
    { name: "username", label: "User name", type: "text", hint: "Leave empty for a relay without login." },
    { name: "password", label: "Password", type: "password" },
    { name: "from", label: "From", type: "email", required: true, placeholder: "nightbell@example.org" },
    { name: "to", label: "To", type: "list", required: true, placeholder: "ops@example.org", hint: "Several addresses: separate by commas." },
  ],
  discord: [
    // Bots need a hub that was built for them: what has one keeps it, but none is offered.
    { ...WAY, when: ["way", "bot"] },
    { name: "webhook_url", label: "Webhook URL", type: "url", required: true, when: ["way", "webhook"], hint: "Discord: channel settings, Integrations, Webhooks." },
    { name: "bot_token", label: "Bot token", type: "password", required: true, when: ["way", "bot"] },
    { name: "channel_id", label: "Channel id", type: "text", required: true, when: ["way", "bot"] },
    PRIVATE,
  ],
  slack: [
    WAY,
    { name: "webhook_url", label: "Webhook URL", type: "url", required: true, when: ["way", "webhook"], hint: "Slack: an app's Incoming Webhooks." },
    { name: "bot_token", label: "Bot token", type: "password", required: true, when: ["way", "bot"], hint: "xoxb-…; a bot adds pictures and keeps an incident in one thread." },
    { name: "channel", label: "Channel", type: "text", required: true, when: ["way", "bot"], placeholder: "C0123456789" },
    PRIVATE,
  ],
};

export type FormValues = Record<string, string>;

/** The values a fresh form of this kind starts with. */
export function initialValues(kind: ChannelKind): FormValues {
  return Object.fromEntries(FIELDS[kind].map((field) => [field.name, field.initial ?? ""]));
}

/** The values of a form that changes a channel; secrets stand in it as the hub shows them, and stay if they are left so. */
export function valuesOf(kind: ChannelKind, config: Record<string, unknown>): FormValues {
  const values = initialValues(kind);
  if ("bot_token" in config) values.way = "bot";
  for (const { name, choice } of FIELDS[kind]) {
    const value = config[name];
    if (choice || value === undefined || value === null) continue;
    values[name] = Array.isArray(value) ? value.join(", ") : typeof value === "boolean" ? (value ? "on" : "") : String(value);
  }
  return values;
}

/** The fields to show for what is filled in so far. */
export function shownFields(kind: ChannelKind, values: FormValues): FormField[] {
  return FIELDS[kind].filter((field) => !field.when || values[field.when[0]] === field.when[1]);
}

/** Whether a field must be filled in, for what is filled in so far. */
export function isRequired(field: FormField, values: FormValues): boolean {
  const optional = field.optionalWhen && values[field.optionalWhen[0]] === field.optionalWhen[1];
  return Boolean(field.required) && !optional;
}

/** The `config` object; what is empty or hidden is left out, and what the form does not know stays as it was. */
export function configOf(kind: ChannelKind, values: FormValues, before: Record<string, unknown> = {}): Record<string, unknown> {
  const config: Record<string, unknown> = { ...before };
  for (const { name } of FIELDS[kind]) delete config[name];
  for (const field of shownFields(kind, values).filter((field) => !field.choice)) {
    const text = field.type === "password" ? (values[field.name] ?? "") : (values[field.name] ?? "").trim();
    if (!text) continue;
    if (field.type === "number") config[field.name] = Number(text);
    else if (field.type === "check") config[field.name] = true;
    else if (field.type === "list") config[field.name] = text.split(",").map((part) => part.trim()).filter(Boolean);
    else config[field.name] = text;
  }
  return config;
}
