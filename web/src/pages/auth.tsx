// The two pages before the session: the first administrator, and login.
// Where to go afterwards is decided where sessions are watched.

import { createSignal, type JSX, Show } from "solid-js";
import { Icon, Logo } from "../parts/icons";
import { ProblemNote, TextField, useAction } from "../parts/forms";
import { ThemeButton } from "../parts/shell";
import { search } from "../state/router";
import { expired, login, setUp } from "../state/session";

function AuthFrame(props: { title: string; children: JSX.Element }): JSX.Element {
  return (
    <div class="auth">
      <main class="auth-card" id="main">
        <header class="auth-head">
          <Logo size={44} />
          <div>
            <div class="auth-brand">Nightbell</div>
            <h1>{props.title}</h1>
          </div>
        </header>
        {props.children}
      </main>
      <div class="auth-foot">
        <ThemeButton />
      </div>
    </div>
  );
}

export function LoginPage(): JSX.Element {
  const [username, setUsername] = createSignal("");
  const [password, setPassword] = createSignal("");
  const { busy, problem, run } = useAction(() => login(username().trim(), password()));
  return (
    <AuthFrame title="Log in">
      <Show when={expired()}>
        <div class="note is-info" role="status">
          <Icon name="bell" />
          <div>Your session ended. Log in to go on where you were.</div>
        </div>
      </Show>
      <form onSubmit={run}>
        <TextField label="User name" value={username()} onValue={setUsername} autocomplete="username" required autofocus />
        <TextField label="Password" type="password" value={password()} onValue={setPassword} autocomplete="current-password" required />
        <ProblemNote problem={problem()} />
        <button class="button is-primary is-wide" disabled={busy()}>
          {busy() ? "Logging in…" : "Log in"}
        </button>
      </form>
    </AuthFrame>
  );
}

export function SetupPage(): JSX.Element {
  const fromUrl = new URLSearchParams(search()).get("key") ?? "";
  const [key, setKey] = createSignal(fromUrl);
  const [username, setUsername] = createSignal("admin");
  const [password, setPassword] = createSignal("");
  const { busy, problem, run } = useAction(() => setUp(key().trim(), username().trim(), password()));
  return (
    <AuthFrame title="Set up this hub">
      <p class="muted">Choose the first administrator. The set-up key works once; there is no default password.</p>
      <form onSubmit={run}>
        <Show when={!fromUrl}>
          <TextField
            label="Set-up key"
            value={key()}
            onValue={setKey}
            hint="Part of the address the hub printed when it started."
            required
            autofocus
          />
        </Show>
        <TextField label="User name" value={username()} onValue={setUsername} autocomplete="username" required />
        <TextField
          label="Password"
          type="password"
          value={password()}
          onValue={setPassword}
          autocomplete="new-password"
          hint="A few words that only you know are best."
          required
          autofocus={Boolean(fromUrl)}
        />
        <ProblemNote problem={problem()} />
        <button class="button is-primary is-wide" disabled={busy()}>
          {busy() ? "Setting up…" : "Create administrator"}
        </button>
      </form>
    </AuthFrame>
  );
}
