/** How to back up: commands for the machine of the server. */
import type { ComponentChildren } from "preact";
import { CopyButton } from "../../ui/copy";

interface Command {
  readonly what: string;
  readonly line: string;
}

const SQLITE: readonly Command[] = [
  {
    what: "Back up policies, keys, limits and the change log, encrypted, while the server runs",
    line: "pdp backup /backup/pdp.backup --passphrase-file /run/secrets/backup",
  },
  {
    what: "Check that the backup can be restored; nothing is changed",
    line: "pdp restore /backup/pdp.backup --passphrase-file /run/secrets/backup --check",
  },
  {
    what: "Restore it; the server must be stopped, and the old database is kept",
    line: "pdp restore /backup/pdp.backup --passphrase-file /run/secrets/backup --force",
  },
];

const RECORDS: readonly Command[] = [
  {
    what: "Back up the log of decision records, with its hash chain verified",
    line: "pdp backup /backup/records.backup --records",
  },
];

const POSTGRESQL: readonly Command[] = [
  {
    what: "Back up the schema of the product, while servers run",
    line: 'pg_dump --format=custom --schema=pdp --file=/backup/pdp.dump "$PDP_DATABASE_URL"',
  },
  {
    what: "Restore it; all replicas must be stopped",
    line: 'pg_restore --clean --if-exists --dbname="$PDP_DATABASE_URL" /backup/pdp.dump',
  },
];

const GIT: readonly Command[] = [
  {
    what: "Keep the policies of a tenant in git, too",
    line: "pdp policies export acme.yaml --tenant acme",
  },
];

export function Backup() {
  return (
    <>
      <p>Backups are made on the machine of the server. Nothing here runs from the browser.</p>
      <Commands title="SQLite" commands={SQLITE} />
      <Commands title="PostgreSQL" commands={POSTGRESQL}>
        <p class="soft">
          A restored PostgreSQL database has everything as it was: also keys that were revoked, and
          approvals that were used, after the backup. Revoke such keys again.{" "}
          <code>pdp restore</code> sees to this for SQLite.
        </p>
      </Commands>
      <Commands title="Decision records" commands={RECORDS} />
      <Commands title="Policies as files" commands={GIT} />
    </>
  );
}

function Commands(props: {
  title: string;
  commands: readonly Command[];
  children?: ComponentChildren;
}) {
  const { title, commands, children } = props;
  return (
    <section aria-label={title}>
      <h2>{title}</h2>
      {commands.map(({ what, line }) => (
        <div class="command" key={line}>
          <p>{what}</p>
          <div>
            <pre tabIndex={0}>{line}</pre>
            <CopyButton label="Copy" text={() => line} done="The command is copied" />
          </div>
        </div>
      ))}
      {children}
    </section>
  );
}
