/** The contract of the server at run time: forms are made from it. */
import { errorOf } from "../api/errors";
import type { Operation } from "../api/types";
import { OPERATIONS } from "../api/operations";
import { type OpenApi, type Schema, SchemaReader } from "./schema";

export interface Contract {
  readonly reader: SchemaReader;
  /** Returns the schema of the body of an operation. */
  bodyOf(operation: Operation): Schema;
}

let loading: Promise<Contract> | undefined;

/** Returns the contract; it is loaded once. */
export function contract(): Promise<Contract> {
  loading ??= load().catch((cause: unknown) => {
    loading = undefined;
    throw cause;
  });
  return loading;
}

async function load(): Promise<Contract> {
  const response = await fetch("/openapi.json", { credentials: "omit" });
  if (!response.ok) throw await errorOf(response);
  return contractOf((await response.json()) as OpenApi);
}

/** Returns the contract that a document describes. */
export function contractOf(document: OpenApi): Contract {
  return {
    reader: new SchemaReader(document),
    bodyOf(operation) {
      const [method, path] = OPERATIONS[operation];
      const entry = document.paths[path]?.[method.toLowerCase()] as
        { requestBody?: { content: { "application/json": { schema: Schema } } } } | undefined;
      const schema = entry?.requestBody?.content["application/json"].schema;
      if (schema === undefined) throw new Error(`${operation} takes no body`);
      return schema;
    },
  };
}
