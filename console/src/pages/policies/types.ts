/** What a section of the policies page is: data that the lists, the editors and the histories read. */
import type { FunctionComponent } from "preact";
import type { Answer } from "../../api/client";
import type { Operation } from "../../api/types";
import type { Values } from "../../forms/fields";
import type { Schema, SchemaReader } from "../../forms/schema";
import type { FileReference } from "./draft_names";
import type { ReferenceKind } from "./references";

/** An entity as the API returns it. The contract has the fields of each kind. */
export type Entity = Values;

export type CellKind = "text" | "badge" | "yes" | "time" | "code" | "count";

export interface ColumnSpec {
  /** The field of the row. */
  readonly field: string;
  readonly label: string;
  readonly width: string;
  readonly kind?: CellKind;
  /** Leaves the column out on narrow screens. */
  readonly wide?: boolean;
}

/** Fields of a form that belong together. */
export interface FieldGroup {
  readonly title: string;
  readonly fields: readonly string[];
  /** Whether the group is closed until one of its fields has a value. */
  readonly folded?: boolean;
}

/** Why an entity cannot be changed as a whole, and which of its fields can be. */
export interface Lock {
  readonly reason: string;
  readonly fields: readonly string[];
}

/** The operations of an entity. Those that are for one entity have its id in `variable`. */
export interface Operations {
  /** What a caller must be allowed to see the section. */
  readonly list: Operation;
  readonly get: Operation;
  readonly create?: Operation;
  readonly update: Operation;
  readonly remove?: Operation;
}

/** An entity, and the tag of the state in which it was read. */
export interface Loaded {
  readonly entity: Entity;
  readonly etag: string;
}

/** A version of an entity, as all systems show it. */
export interface Version {
  readonly label: string;
  readonly at: string | null;
  readonly actor: string;
  readonly summary: string;
  /** The values to restore; only fields of the form count. */
  readonly values: Values;
}

/** A write: the fields to send, and which state of the entity they are for. */
export interface Write {
  /** The id of the entity; empty for a new one. */
  readonly id: string;
  readonly body: Values;
  readonly etag: string;
}

/** What a view of one entity gets. */
export interface EntityProps {
  readonly section: Section;
  readonly id: string;
  readonly entity: Entity;
  /** Reads the entity again, after it has been changed by something else than the form. */
  readonly reload: () => void;
}

/** What is shown beside a form: it sees what the user has typed. */
export interface BesideProps {
  readonly values: Values;
  readonly change: (values: Values) => void;
}

export interface Section {
  /** Its address behind `#/policies/`; the parts are separated by slashes. */
  readonly path: string;
  /** Where the list is, if it is not at the address of the section. */
  readonly up?: { readonly path: string; readonly title: string };
  readonly title: string;
  /** One entity: `static policy`. */
  readonly one: string;
  readonly about: string;
  /** The kinds of the entities in the change log. */
  readonly kinds: readonly string[];
  /** The id in the change log, of a section with one entity only. */
  readonly single?: string;
  readonly operations: Operations;
  /** Variables of all paths besides that of the entity: the pack of a rule. */
  readonly within?: Readonly<Record<string, string>>;
  /** The variable of the paths, such as `rule_id`. */
  readonly variable: string;
  readonly idField: string;
  readonly nameField: string;
  /** Reads the whole list. */
  readonly list?: (
    signal: AbortSignal,
    show: (part: readonly Entity[]) => void,
  ) => Promise<readonly Entity[]>;
  readonly columns: readonly ColumnSpec[];
  readonly facets: readonly { readonly field: string; readonly label: string }[];
  readonly groups: readonly FieldGroup[];
  /** Fields of the body that the form does not show. */
  readonly hidden?: readonly string[];
  /** Fields that cannot change after the creation. */
  readonly fixed?: readonly string[];
  /** Whether an update replaces the whole entity; otherwise only changed fields are sent. */
  readonly whole?: boolean;
  /** Whether null clears a field in an update; otherwise an empty value does. */
  readonly nullClears?: boolean;
  readonly lock?: (entity: Entity) => Lock | undefined;
  /** Makes the schema of the body more precise than the contract is. */
  readonly refine?: (schema: Schema, reader: SchemaReader) => Schema;
  /** Returns the schema that fits what is typed: fields that have no meaning with it are not shown. */
  readonly adapt?: (schema: Schema, values: Values) => Schema;
  /** Returns the values without those that have no meaning with the others. */
  readonly tidy?: (values: Values) => Values;
  /** Returns the values of the form of an entity, if they are not its fields. */
  readonly toForm?: (entity: Entity) => Values;
  /** Returns the values of the form of an entry of the change log; undefined if there are none. */
  readonly fromChange?: (body: Values, kind: string) => Values | undefined;
  /** Reads one entity, if there is no operation for it. */
  readonly read?: (id: string, signal?: AbortSignal) => Promise<Loaded>;
  /** Writes, if a write is not a call of `create` or `update` with the fields as its body. */
  readonly write?: (write: Write) => Promise<Answer<unknown>>;
  readonly references?: Readonly<Record<string, readonly ReferenceKind[]>>;
  readonly versions?: (id: string, signal: AbortSignal) => Promise<readonly Version[]>;
  /** Beside the form: what tries out what is typed. */
  readonly beside?: FunctionComponent<BesideProps>;
  /** Under the heading of an entity: what can be done with it besides editing. */
  readonly actions?: FunctionComponent<EntityProps>;
  /** Below the form of an entity. */
  readonly below?: FunctionComponent<EntityProps>;
  /** Above the list. */
  readonly tools?: FunctionComponent<{ readonly reload: () => void }>;
  /** Returns the values of a copy; null if there is nothing to copy. Otherwise it has those of the form. */
  readonly copy?: (entity: Entity) => Values | null;
  /** How an entity is written in a policy file; undefined if a draft cannot have it. */
  readonly draft?: (values: Values, entity: Entity | undefined) => DraftEntry | undefined;
  /** Facts about an entity that its form does not have. */
  readonly facts?: readonly ColumnSpec[];
  /** The field of exceptions that lifts such a policy. */
  readonly liftedBy?: string;
  /** What an empty list says. */
  readonly empty: string;
}

export interface DraftEntry {
  /** The section of policy files. */
  readonly section: string;
  readonly entry: Values;
  /** What the fields refer to by id, where a policy file has names. */
  readonly references?: Readonly<Record<string, FileReference>>;
  /** Whether the entry is named by the field that the form can change. */
  readonly renames?: boolean;
}
