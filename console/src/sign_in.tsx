/** The form that asks for a credential. */
import { useId, useState } from "preact/hooks";
import icon from "./icon.svg";
import { expiry, signIn, tenant } from "./session";
import { ErrorBox } from "./ui/feedback";
import { useTask } from "./ui/remote";

export function SignIn() {
  const [credential, setCredential] = useState("");
  const [forTenant, setForTenant] = useState(tenant.value);
  const [remember, setRemember] = useState(false);
  const task = useTask();
  const id = useId();
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    void task.run(() => signIn(credential.trim(), forTenant.trim(), remember));
  };
  const error = task.error.value ?? expiry.value;
  return (
    <main class="sign-in">
      <form class="panel" onSubmit={submit} autocomplete="off">
        <h1>
          <img src={icon} alt="" width="36" height="36" /> PDP console
        </h1>
        {error !== undefined && <ErrorBox error={error} />}
        <div class="field">
          <label for={`${id}-credential`}>API key or token</label>
          <input
            id={`${id}-credential`}
            type="password"
            required
            autocomplete="off"
            spellcheck={false}
            value={credential}
            onInput={(event) => setCredential(event.currentTarget.value)}
          />
          <p class="help">
            The first key of a server is made by <code>pdp keys create</code>.
          </p>
        </div>
        <div class="field">
          <label for={`${id}-tenant`}>Tenant</label>
          <input
            id={`${id}-tenant`}
            type="text"
            autocomplete="off"
            spellcheck={false}
            maxLength={128}
            value={forTenant}
            onInput={(event) => setForTenant(event.currentTarget.value)}
          />
          <p class="help">Empty if the key is for one tenant only.</p>
        </div>
        <label class="check">
          <input
            type="checkbox"
            checked={remember}
            onChange={(event) => setRemember(event.currentTarget.checked)}
          />
          Stay signed in until this tab is closed
        </label>
        <button type="submit" class="primary" disabled={task.running.value}>
          {task.running.value ? "Signing in…" : "Sign in"}
        </button>
      </form>
    </main>
  );
}
