/** One entity: its form, and its history. */
import { useEffect } from "preact/hooks";
import { contract } from "../../forms/contract";
import { go, href } from "../../router";
import { may } from "../../session";
import { ConfirmButton } from "../../ui/dialog";
import { ErrorBox, Loaded, notify } from "../../ui/feedback";
import { useRemote, useTask } from "../../ui/remote";
import { Tabs } from "../../ui/tabs";
import { EntityForm } from "./entity_form";
import { addressOf, deleteEntity, partsOf, readEntity, writeWarnings } from "./entity_store";
import { Facts } from "./facts";
import { History } from "./history_view";
import type { Loaded as LoadedEntity, Section } from "./types";
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
  return (
    <>
      <Head section={section} id={id} loaded={remote.value.value} reload={() => remote.reload()} />
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

interface HeadProps {
  readonly section: Section;
  readonly id: string;
  readonly loaded: LoadedEntity | undefined;
  readonly reload: () => void;
}

function Head({ section, id, loaded, reload }: HeadProps) {
  if (section.single !== undefined) {
    return (
      <>
        <div class="page-head">
          <h1>{section.title}</h1>
        </div>
        <p class="soft">{section.about}</p>
      </>
    );
  }
  const name = String(loaded?.entity[section.nameField] ?? id);
  const { create } = section.operations;
  const copyable = create !== undefined && may(create) && loaded !== undefined;
  return (
    <>
      <Crumbs section={section} />
      <div class="page-head">
        <h1>{name}</h1>
        <div class="row-buttons">
          {section.liftedBy !== undefined && loaded !== undefined && may("CreateException") && (
            <a
              class="button"
              href={href(["policies", "exceptions", "new"], { [section.liftedBy]: id })}
            >
              Make an exception
            </a>
          )}
          {copyable && section.copy?.(loaded.entity) !== null && (
            <a class="button" href={href(partsOf(section.path, "new"), { copy: id })}>
              Copy as new
            </a>
          )}
          {loaded !== undefined && (
            <DeleteButton section={section} id={id} name={name} loaded={loaded} reload={reload} />
          )}
        </div>
      </div>
    </>
  );
}

/** The way back to the list. */
export function Crumbs({ section }: { section: Section }) {
  const { path, title } = section.up ?? section;
  return (
    <p class="crumbs small">
      <a href={href(partsOf(path))}>← {title}</a>
    </p>
  );
}

function EntityTabs({ section, id, history }: { section: Section; id: string; history: boolean }) {
  const parts = section.single === undefined ? partsOf(section.path, id) : partsOf(section.path);
  return (
    <Tabs
      label={`Views of this ${section.one}`}
      tabs={[
        { name: "Policy", address: href(parts), current: !history },
        { name: "History", address: href([...parts, "history"]), current: history },
      ]}
    />
  );
}

function DeleteButton({
  section,
  id,
  name,
  loaded,
  reload,
}: HeadProps & { readonly name: string; readonly loaded: LoadedEntity }) {
  const task = useTask();
  const { remove } = section.operations;
  const { entity, etag } = loaded;
  const shipped = section.lock?.(entity) !== undefined || entity["is_seeded"] === true;
  if (remove === undefined || !may(remove) || shipped) return null;
  const run = async () => {
    const done = await task.run(() => deleteEntity(section, id, etag));
    if (!done) return reload();
    notify(`Deleted: ${name}`);
    go(partsOf(section.up?.path ?? section.path));
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
      {task.error.value !== undefined && <ErrorBox error={task.error.value} />}
    </>
  );
}
