// The command line that brings a new host in. Pure.

export interface Origin {
  protocol: string;
  hostname: string;
  host: string;
}

/** The hub's address as an agent takes it: `wss://hub.example.org`. */
export function hubAddress(origin: Origin): string {
  return `${origin.protocol === "https:" ? "wss" : "ws"}://${origin.host}`;
}

/** Whether an agent may speak to this address without TLS and without being told so. */
export function isLoopback(hostname: string): boolean {
  return hostname === "localhost" || hostname === "[::1]" || hostname === "::1" || /^127(\.\d+){3}$/.test(hostname);
}

/** What to run on the new host. Plain text beyond loopback must be asked for by name. */
export function agentCommand(origin: Origin, token: string): string {
  const plain = origin.protocol !== "https:" && !isLoopback(origin.hostname);
  return `nightbell-agent --hub ${hubAddress(origin)} --token ${token}${plain ? " --allow-plaintext" : ""}`;
}
