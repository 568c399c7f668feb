/** One entity: its form, and its history. */
import { useEffect } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { contract } from "../../forms/contract";
import { go, href } from "../../router";
import { may } from "../../session";
import { ConfirmButton } from "../../ui/dialog";
import { ErrorBox, Loaded, notify } from "../../ui/feedback";
import { useRemote, useTask } from "../../ui/remote";
import { Tabs } from "../../ui/tabs";
import { send } from "./calls";
import { addressOf, readEntity, writeWarnings } from "./entity_store";
import { EntityForm } from "./entity_form";
import { Facts } from "./facts";
import { History } from "./history_view";
import type { Entity, Loaded as LoadedEntity, Section } from "./types";
import { Warnings } from "./warnings";

export interface EntityViewProps {
  readonly section: Section;
  readonly id: string;
  readonly tab: string;
}

export function EntityView({ section, id, tab }: EntityViewProps) {
  const address = addressOf(section, id);
  const remote = useRemote(address, async (signal) => ({
    ...(await readEntity(section, id, signal)),
    contract: await contract(),
  }));
  const historyTab = tab === "history" && may("ListChanges");
  useEffect(() => () => forgetWarnings(address), [address]);
  const entity = remote.value.value?.entity;
  return (
    <>
      <Head section={section} id={id} entity={entity} reload={() => remote.reload()} />
      {may("ListChanges") && <EntityTabs section={section} id={id} history={historyTab} />}
      {historyTab ? (
        <History key={address} section={section} id={id} />
      ) : (
        <Loaded remote={remote}>
          {(loaded) => (
            <Body
              section={section}
              id={id}
              loaded={loaded}
              contract={loaded.contract}
              reload={() => remote.reload()}
            />
          )}
        </Loaded>
      )}
    </>
  );
}

function forgetWarnings(address: string): void {
  const { [address]: _gone, ...rest } = writeWarnings.peek();
  writeWarnings.value = rest;
}

interface BodyProps {
  readonly section: Section;
  readonly id: string;
  readonly loaded: LoadedEntity;
  readonly contract: Awaited<ReturnType<typeof contract>>;
  readonly reload: () => void;
}

function Body({ section, id, loaded, contract: document, reload }: BodyProps) {
  const { entity, etag } = loaded;
  const props = { section, id, entity, reload };
  const Below = section.below;
  const Actions = section.actions;
  return (
    <>
      <Warnings address={addressOf(section, id)} />
      {Actions !== undefined && <Actions {...props} />}
      <EntityForm
        key={`${addressOf(section, id)} ${etag}`}
        section={section}
        id={id}
        loaded={loaded}
        contract={document}
        onWritten={reload}
      />
      {Below !== undefined && <Below {...props} />}
      {section.facts !== undefined && (
        <details class="panel form-group">
          <summary>Details</summary>
          <Facts entity={entity} facts={section.facts} />
        </details>
      )}
    </>
  );
}

function Head({
  section,
  id,
  entity,
  reload,
}: {
  section: Section;
  id: string;
  entity: Entity | undefined;
  reload: () => void;
}) {
  const name =
    section.single === undefined ? String(entity?.[section.nameField] ?? id) : section.title;
  const { create } = section.operations;
  return (
    <>
      {section.single === undefined && <Crumbs section={section} />}
      <div class="page-head">
        <h1>{name}</h1>
        <div class="row-buttons">
          {create !== undefined &&
            entity !== undefined &&
            may(create) &&
            section.copy?.(entity) !== null && (
              <a
                class="button"
                href={href(["policies", ...section.path.split("/"), "new"], { copy: id })}
              >
                Copy as new
              </a>
            )}
          {entity !== undefined && (
            <DeleteButton section={section} id={id} name={name} entity={entity} reload={reload} />
          )}
        </div>
      </div>
      {section.single !== undefined && <p class="soft">{section.about}</p>}
    </>
  );
}

/** The way back to the list. */
export function Crumbs({ section }: { section: Section }) {
  const parts = section.path.split("/");
  const up = parts.length > 1 ? parts.slice(0, 2) : parts;
  return (
    <p class="crumbs small">
      <a href={href(["policies", ...up])}>← {parts.length > 1 ? "The pack" : section.title}</a>
    </p>
  );
}

function EntityTabs({ section, id, history }: { section: Section; id: string; history: boolean }) {
  const parts = section.single === undefined ? [...section.path.split("/"), id] : [section.path];
  return (
    <Tabs
      label={`Views of this ${section.one}`}
      tabs={[
        { name: "Policy", address: href(["policies", ...parts]), current: !history },
        { name: "History", address: href(["policies", ...parts, "history"]), current: history },
      ]}
    />
  );
}

function DeleteButton({
  section,
  id,
  name,
  entity,
  reload,
}: {
  section: Section;
  id: string;
  name: string;
  entity: Entity;
  reload: () => void;
}) {
  const task = useTask();
  const failed = useSignal(false);
  const { remove } = section.operations;
  if (remove === undefined || !may(remove) || section.lock?.(entity) !== undefined) return null;
  if (entity["is_seeded"] === true) return null;
  const run = async () => {
    const extra = section.path.startsWith("packs/")
      ? { pack_id: section.path.split("/")[1] ?? "" }
      : {};
    const done = await task.run(async () => {
      const { etag } = await readEntity(section, id);
      await send(remove, { path: { ...extra, [section.variable]: id }, ifMatch: etag });
    });
    failed.value = !done;
    if (!done) return reload();
    notify(`Deleted: ${name}`);
    go([
      "policies",
      ...(section.path.startsWith("packs/") ? section.path.split("/").slice(0, 2) : [section.path]),
    ]);
  };
  return (
    <>
      <ConfirmButton
        label="Delete"
        question={
          <p>
            “{name}” is out of force at once. The change log keeps its values, so that you can
            create it again.
          </p>
        }
        confirm={`Delete this ${section.one}`}
        disabled={task.running.value}
        run={run}
      />
      {failed.value && task.error.value !== undefined && <ErrorBox error={task.error.value} />}
    </>
  );
}
