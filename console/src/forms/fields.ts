/** What forms and their fields are given. */
import type { Violation } from "../api/errors";
import type { Kind, Schema, SchemaReader } from "./schema";

export type Values = Readonly<Record<string, unknown>>;

/** What a list of ids may hold, by the name of the field: the names that people know. */
export type Suggestions = Readonly<Record<string, readonly Suggestion[]>>;

export interface Suggestion {
  readonly value: string;
  readonly label: string;
}

export interface FormProps {
  readonly reader: SchemaReader;
  readonly schema: Schema;
  readonly value: Values;
  readonly onChange: (value: Values) => void;
  readonly violations: readonly Violation[];
  /** Names of fields that are not shown. */
  readonly hidden?: readonly string[];
  /** The path of the value in the request, for violations: empty at the top. */
  readonly path?: string;
  readonly suggestions?: Suggestions;
}

export interface FieldProps extends Omit<
  FormProps,
  "schema" | "value" | "onChange" | "hidden" | "path"
> {
  readonly name: string;
  readonly schema: Schema;
  readonly required: boolean;
  readonly value: unknown;
  readonly onChange: (value: unknown) => void;
  readonly path: string;
}

export interface ControlProps extends FieldProps {
  readonly kind: Kind;
  readonly id: string;
  readonly invalid: boolean;
}

/** What ties a control to its label, its help, and what is wrong with it. */
export function attributes({ id, invalid, required }: ControlProps) {
  return {
    id,
    "aria-required": required,
    "aria-invalid": invalid,
    "aria-describedby": `${id}-help${invalid ? ` ${id}-problem` : ""}`,
  };
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
