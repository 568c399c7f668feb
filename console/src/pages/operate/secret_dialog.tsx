/** A secret that is shown once. It is in memory only while the dialog is open. */
import { CopyButton } from "../../ui/copy";
import { Dialog } from "../../ui/dialog";

export function SecretDialog(props: {
  title: string;
  secret: string;
  note?: string;
  close: () => void;
}) {
  return (
    <Dialog title={props.title} close={props.close}>
      <div class="text">
        <p class="notice caution">
          This key is shown only now. The server does not keep it: store it before you close this.
        </p>
        <pre class="secret" tabIndex={0}>
          {props.secret}
        </pre>
        {props.note !== undefined && <p>{props.note}</p>}
      </div>
      <footer>
        <CopyButton label="Copy the key" text={() => props.secret} done="The key is copied" />
        <button type="button" class="primary" onClick={props.close}>
          I have stored it
        </button>
      </footer>
    </Dialog>
  );
}
