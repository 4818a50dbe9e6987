// Small pieces of every form: a labelled field, the hub's refusal, a dialog,
// a text that copies itself.

import { createSignal, createUniqueId, For, type JSX, onCleanup, onMount, Show } from "solid-js";
import { asProblem, type Problem } from "../state/api";
import { Icon } from "./icons";

/** What the hub refused, and which fields it names. */
export function ProblemNote(props: { problem: Problem | null | undefined }): JSX.Element {
  return (
    <Show when={props.problem}>
      {(problem) => (
        <div class="note is-crit" role="alert">
          <Icon name="crit" />
          <div>
            <strong>{problem().title}</strong>
            <Show when={problem().detail && problem().detail !== problem().title}>
              <div>{problem().detail}</div>
            </Show>
            <Show when={problem().fields.length > 0}>
              <ul>
                <For each={problem().fields}>
                  {(field) => (
                    <li>
                      <code>{field.pointer.replace(/^#?\//, "").replaceAll("/", ".") || "body"}</code> {field.detail}
                    </li>
                  )}
                </For>
              </ul>
            </Show>
          </div>
        </div>
      )}
    </Show>
  );
}

/** A label over its control; hint and fault belong to the control for screen readers. */
export function Field(props: { label: string; hint?: string; fault?: string; children: (id: string, hintId: string) => JSX.Element }): JSX.Element {
  const id = createUniqueId();
  return (
    <div class="field" classList={{ "is-faulty": Boolean(props.fault) }}>
      <label for={id}>{props.label}</label>
      {props.children(id, `${id}-hint`)}
      <small id={`${id}-hint`} class="hint">
        <Show when={props.fault} fallback={props.hint}>
          <span class="form-error">{props.fault}</span>
        </Show>
      </small>
    </div>
  );
}

interface InputProps {
  label: string;
  value: string;
  onValue: (value: string) => void;
  hint?: string;
  /** What the hub says against it. */
  fault?: string;
  /** The id of a list of suggestions. */
  list?: string;
  type?: string;
  required?: boolean;
  autocomplete?: string;
  placeholder?: string;
  autofocus?: boolean;
  minlength?: number;
}

export function TextField(props: InputProps): JSX.Element {
  let input: HTMLInputElement | undefined;
  onMount(() => {
    if (props.autofocus) input?.focus();
  });
  return (
    <Field label={props.label} hint={props.hint ?? ""} fault={props.fault ?? ""}>
      {(id, hintId) => (
        <input
          ref={input}
          id={id}
          aria-describedby={hintId}
          aria-invalid={props.fault ? "true" : undefined}
          list={props.list}
          type={props.type ?? "text"}
          value={props.value}
          onInput={(event) => props.onValue(event.currentTarget.value)}
          required={props.required}
          autocomplete={(props.autocomplete ?? "off") as "off"}
          placeholder={props.placeholder}
          minlength={props.minlength}
          spellcheck={false}
          autocapitalize="off"
        />
      )}
    </Field>
  );
}

export function SelectField(props: {
  label: string;
  value: string;
  options: readonly (readonly [string, string])[];
  onValue: (value: string) => void;
  hint?: string;
  fault?: string;
}): JSX.Element {
  return (
    <Field label={props.label} hint={props.hint ?? ""} fault={props.fault ?? ""}>
      {(id, hintId) => (
        <select id={id} aria-describedby={hintId} value={props.value} onChange={(event) => props.onValue(event.currentTarget.value)}>
          <For each={props.options}>{([value, word]) => <option value={value}>{word}</option>}</For>
        </select>
      )}
    </Field>
  );
}

/** A form's busy state and refusal around one asynchronous act. */
export function useAction(act: () => Promise<void>) {
  const [busy, setBusy] = createSignal(false);
  const [problem, setProblem] = createSignal<Problem | null>(null);
  const run = async (event?: Event) => {
    event?.preventDefault();
    if (busy()) return;
    setBusy(true);
    setProblem(null);
    try {
      await act();
    } catch (error) {
      setProblem(asProblem(error));
    } finally {
      setBusy(false);
    }
  };
  return { busy, problem, run };
}

/** A modal dialog; closes by its button, Escape, or a click beside it. */
export function Dialog(props: { title: string; onClose: () => void; children: JSX.Element }): JSX.Element {
  let dialog!: HTMLDialogElement;
  const titleId = createUniqueId();
  onMount(() => dialog.showModal());
  onCleanup(() => dialog.close());
  return (
    <dialog
      ref={dialog}
      aria-labelledby={titleId}
      onClose={() => props.onClose()}
      onMouseDown={(event) => event.target === dialog && dialog.close()}
    >
      <div class="dialog-body">
        <header class="dialog-head">
          <h2 id={titleId}>{props.title}</h2>
          <button type="button" class="button is-quiet" aria-label="Close" onClick={() => dialog.close()}>
            <Icon name="close" />
          </button>
        </header>
        {props.children}
      </div>
    </dialog>
  );
}

/** A command line with a copy button that also works without a secure origin. */
export function CopyText(props: { text: string; label: string }): JSX.Element {
  const [copied, setCopied] = createSignal(false);
  let box!: HTMLTextAreaElement;
  let timer: ReturnType<typeof setTimeout> | undefined;
  onCleanup(() => clearTimeout(timer));
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(props.text);
    } catch {
      // Plain http knows no clipboard; the selection is the way that is left.
      box.select();
      document.execCommand("copy");
    }
    setCopied(true);
    clearTimeout(timer);
    timer = setTimeout(() => setCopied(false), 2_000);
  };
  return (
    <div class="copy">
      <textarea ref={box} readonly rows="3" aria-label={props.label} value={props.text} onFocus={(event) => event.currentTarget.select()} />
      <button type="button" class="button" onClick={copy}>
        <Icon name={copied() ? "ok" : "copy"} /> {copied() ? "Copied" : "Copy"}
      </button>
    </div>
  );
}
