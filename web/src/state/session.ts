// Who is logged in, and the four ways that changes.

import { createSignal } from "solid-js";
import type { User } from "../types";
import { api, onSessionLost, Problem } from "./api";

/** `undefined` until the hub was asked, `null` when nobody is logged in. */
const [user, setUser] = createSignal<User | null | undefined>(undefined);
/** Whether the hub still waits for its first administrator. */
const [setupNeeded, setSetupNeeded] = createSignal(false);
/** The session ended while somebody was looking. */
const [expired, setExpired] = createSignal(false);

export { expired, setupNeeded, user };

export const mayEdit = () => user()?.role !== "viewer";

onSessionLost(() => {
  if (user()) setExpired(true);
  setUser(null);
});

interface Me {
  user: User;
}

/** Asks the hub who this is; learns on a fresh hub that set-up comes first. */
export async function loadSession(): Promise<void> {
  try {
    setUser((await api<Me>("GET", "/auth/me", { quiet: true })).user);
  } catch (error) {
    if (!(error instanceof Problem) || (error.status !== 401 && error.status !== 403)) throw error;
    const setup = await api<{ needed: boolean }>("GET", "/setup", { quiet: true });
    setSetupNeeded(setup.needed);
    setUser(null);
  }
}

export async function login(username: string, password: string): Promise<void> {
  const { user: who } = await api<Me>("POST", "/auth/login", { body: { username, password }, quiet: true });
  setExpired(false);
  setUser(who);
}

/** Makes the first administrator; the answer's cookie logs it in. */
export async function setUp(key: string, username: string, password: string): Promise<void> {
  await api("POST", "/setup", { body: { key, username, password }, quiet: true });
  setSetupNeeded(false);
  await loadSession();
}

export async function logout(): Promise<void> {
  await api("POST", "/auth/logout", { quiet: true });
  setExpired(false);
  setUser(null);
}
