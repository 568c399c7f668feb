/** Reads and writes of single entities, the same for all sections. */
import { signal } from "@preact/signals";
import type { Schemas } from "../../api/types";
import type { Contract } from "../../forms/contract";
import type { Values } from "../../forms/fields";
import type { Schema } from "../../forms/schema";
import { formValues } from "../../forms/values";
import { may } from "../../session";
import { send } from "./calls";
import type { Entity, Loaded, Section } from "./types";

export type Warning = Schemas["WriteWarning"];

/** The warnings of the last write of an entity, by its address; they are shown beside it. */
export const writeWarnings = signal<Readonly<Record<string, readonly Warning[]>>>({});

export function addressOf(section: Section, id: string): string {
  return `${section.path}/${id}`;
}

/** Shows the warnings of a write, or those of the write before no longer. */
export function keepWarnings(address: string, answer: unknown): void {
  const found = (answer as { warnings?: readonly Warning[] } | undefined)?.warnings ?? [];
  writeWarnings.value = { ...writeWarnings.value, [address]: found };
}

/** Returns the variables of the path of an entity. */
function pathOf(section: Section, id: string): Record<string, string> {
  return section.single === undefined ? { ...section.within, [section.variable]: id } : {};
}

/** Returns the parts of an address in a section. */
export function partsOf(path: string, ...more: readonly string[]): readonly string[] {
  return ["policies", ...path.split("/").map(decodeURIComponent), ...more];
}

/** Deletes an entity, if it is still in the state of the tag. */
export async function deleteEntity(section: Section, id: string, etag: string): Promise<void> {
  const { remove } = section.operations;
  if (remove !== undefined) await send(remove, { path: pathOf(section, id), ifMatch: etag });
}

/** Reads an entity with the tag of its state. */
export async function readEntity(
  section: Section,
  id: string,
  abort?: AbortSignal,
): Promise<Loaded> {
  if (section.read !== undefined) return section.read(id, abort);
  const { value, etag } = await send(section.operations.get, {
    path: pathOf(section, id),
    ...(abort === undefined ? {} : { signal: abort }),
  });
  return { entity: value as Entity, etag };
}

export interface Written {
  readonly id: string;
  /** The revision from which the write is in force. */
  readonly revision: number | undefined;
}

/** Creates an entity (`id` is empty) or changes it. The warnings of the answer are kept. */
export async function writeEntity(
  section: Section,
  id: string,
  body: Values,
  etag: string,
): Promise<Written> {
  const answer = await (section.write?.({ id, body, etag }) ?? plainWrite(section, id, body, etag));
  const value = answer.value as Entity;
  const entity = (value["policy"] ?? value) as Entity;
  const written = id === "" ? String(entity[section.idField]) : id;
  keepWarnings(addressOf(section, written), value);
  return { id: written, revision: answer.revision };
}

function plainWrite(section: Section, id: string, body: Values, etag: string) {
  const { create, update } = section.operations;
  if (id === "" && create !== undefined) return send(create, { path: section.within ?? {}, body });
  return send(update, { path: pathOf(section, id), body, ifMatch: etag });
}

/** The form of an entity: which fields it has, and their values now. */
export interface FormPlan {
  readonly schema: Schema;
  readonly hidden: readonly string[];
  readonly values: Values;
}

/** Returns the form of an entity, or of a new one. Fields that cannot be changed are not in it. */
export function formPlan(section: Section, contract: Contract, entity?: Entity): FormPlan {
  const { create, update } = section.operations;
  const operation = entity === undefined ? (create ?? update) : update;
  const resolved = contract.reader.resolve(contract.bodyOf(operation));
  const schema = section.refine?.(resolved, contract.reader) ?? resolved;
  const lock = entity === undefined ? undefined : section.lock?.(entity);
  const locked =
    lock === undefined
      ? []
      : Object.keys(schema.properties ?? {}).filter((name) => !lock.fields.includes(name));
  const fixed = entity === undefined ? [] : (section.fixed ?? []);
  const hidden = ["warnings", ...(section.hidden ?? []), ...fixed, ...locked];
  const source = entity === undefined ? {} : (section.toForm?.(entity) ?? entity);
  return { schema, hidden, values: formValues(source, schema, hidden) };
}

/** Returns whether the caller may change an entity, as far as the role says. */
export function mayEdit(section: Section, entity: Entity): boolean {
  const lock = section.lock?.(entity);
  return may(section.operations.update) && (lock === undefined || lock.fields.length > 0);
}
