/** One API key: what it may do, its secrets, rotation and revocation. */
import { useSignal } from "@preact/signals";
import { useId } from "preact/hooks";
import { go, href } from "../../router";
import { api, identity, may } from "../../session";
import { Ago } from "../../ui/ago";
import { ConfirmButton, Dialog } from "../../ui/dialog";
import { ErrorBox, Loaded, notify } from "../../ui/feedback";
import { time } from "../../ui/format";
import { useRemote, useTask } from "../../ui/remote";
import { type ApiKey, Expiry, tenantsOf } from "./keys";
import { SecretDialog } from "./secret_dialog";

export function KeyPage({ id }: { id: string }) {
  const remote = useRemote(id, (signal) => api.call("GetApiKey", { path: { key_id: id }, signal }));
  return (
    <>
      <p class="back">
        <a href={href(["operate", "keys"])}>All keys</a>
      </p>
      <Loaded remote={remote}>
        {(key) => <Details apiKey={key} reload={() => remote.reload()} />}
      </Loaded>
    </>
  );
}

function Details({ apiKey, reload }: { apiKey: ApiKey; reload: () => void }) {
  return (
    <>
      <div class="page-head">
        <h2>{apiKey.name}</h2>
        <div class="row-buttons">
          {may("RotateApiKey") && <Rotate apiKey={apiKey} done={reload} />}
          {may("RevokeApiKey") && <Revoke apiKey={apiKey} />}
        </div>
      </div>
      <dl class="facts panel">
        <dt>Role</dt>
        <dd>{apiKey.role}</dd>
        <dt>Tenants</dt>
        <dd>{tenantsOf(apiKey.tenants)}</dd>
        <dt>Owner</dt>
        <dd>{apiKey.owner ?? "None: it is for a program, and cannot answer approvals"}</dd>
        <dt>Expires</dt>
        <dd>
          <Expiry at={apiKey.expires_at} />
        </dd>
        <dt>Created</dt>
        <dd>
          {time(apiKey.created_at)} by {apiKey.created_by}
        </dd>
        <dt>ID</dt>
        <dd>{apiKey.id}</dd>
      </dl>
      <h3>Secrets</h3>
      <table class="plain-table">
        <thead>
          <tr>
            <th scope="col">Begins with</th>
            <th scope="col">Created</th>
            <th scope="col">Valid until</th>
          </tr>
        </thead>
        <tbody>
          {apiKey.secrets.map((secret) => (
            <tr key={secret.prefix}>
              <td>
                <code>{secret.prefix}</code>
              </td>
              <td>
                <Ago time={secret.created_at} />
              </td>
              <td>
                {secret.expires_at === null ? "The key expires" : <Expiry at={secret.expires_at} />}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </>
  );
}

/** How long the old secret may stay valid, in seconds. */
const OVERLAPS: readonly (readonly [seconds: number, label: string])[] = [
  [0, "Not at all: it is invalid at once"],
  [3_600, "1 hour"],
  [86_400, "1 day"],
  [604_800, "7 days"],
  [2_592_000, "30 days"],
];

function Rotate({ apiKey, done }: { apiKey: ApiKey; done: () => void }) {
  const open = useSignal(false);
  const secret = useSignal("");
  return (
    <>
      <button type="button" onClick={() => (open.value = true)}>
        Rotate…
      </button>
      {open.value && (
        <RotateDialog
          apiKey={apiKey}
          close={() => (open.value = false)}
          done={(key) => {
            open.value = false;
            secret.value = key;
          }}
        />
      )}
      {secret.value !== "" && (
        <SecretDialog
          title="The new secret"
          secret={secret.value}
          {...(isOwn(apiKey) ? { note: "It is your own key: sign in with the new secret." } : {})}
          close={() => {
            secret.value = "";
            // Not before: after the rotation of the own key, any call may end the session.
            done();
          }}
        />
      )}
    </>
  );
}

function RotateDialog(props: {
  apiKey: ApiKey;
  close: () => void;
  done: (secret: string) => void;
}) {
  const { apiKey, close, done } = props;
  const overlap = useSignal(86_400);
  const task = useTask();
  const id = useId();
  const rotate = (event: SubmitEvent) => {
    event.preventDefault();
    void task.run(async () => {
      const path = { key_id: apiKey.id };
      const { key } = await api.call("RotateApiKey", { path, body: { overlap_s: overlap.value } });
      done(key);
    });
  };
  return (
    <Dialog title={`Rotate ${apiKey.name}`} close={close}>
      <form onSubmit={rotate}>
        <div class="text">
          <p>The key gets a new secret. Its role, tenants and owner stay.</p>
          <div class="field">
            <label for={id}>How long the old secret stays valid</label>
            <select
              id={id}
              value={String(overlap.value)}
              onChange={(event) => (overlap.value = Number(event.currentTarget.value))}
            >
              {OVERLAPS.map(([seconds, label]) => (
                <option key={seconds} value={String(seconds)}>
                  {label}
                </option>
              ))}
            </select>
            <p class="help">Its clients must have the new one by then.</p>
          </div>
          {task.error.value !== undefined && <ErrorBox error={task.error.value} />}
        </div>
        <footer>
          <button type="button" onClick={close}>
            Cancel
          </button>
          <button type="submit" class="primary" disabled={task.running.value}>
            Rotate
          </button>
        </footer>
      </form>
    </Dialog>
  );
}

function isOwn(apiKey: ApiKey): boolean {
  return identity.value?.name === `key:${apiKey.id}`;
}

function Revoke({ apiKey }: { apiKey: ApiKey }) {
  const task = useTask();
  const revoke = () =>
    task.run(async () => {
      await api.call("RevokeApiKey", { path: { key_id: apiKey.id } });
      notify(`Revoked: ${apiKey.name}`);
      go(["operate", "keys"], {}, true);
    });
  return (
    <>
      <ConfirmButton
        label="Revoke…"
        confirm="Revoke the key"
        question={
          <>
            <p>
              <strong>{apiKey.name}</strong> becomes invalid at once, with all its secrets. This
              cannot be undone.
            </p>
            {isOwn(apiKey) && <p>It is the key that you use now: you will be signed out.</p>}
          </>
        }
        run={() => void revoke()}
        disabled={task.running.value}
      />
      {task.error.value !== undefined && <ErrorBox error={task.error.value} />}
    </>
  );
}
