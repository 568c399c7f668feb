/** What an operation of the contract takes and returns. */
import type { components, operations } from "./contract";

export type Operation = keyof operations;
export type Schemas = components["schemas"];

type Json<T> = T extends { content: { "application/json": infer Body } } ? Body : never;
type Success = 200 | 201 | 202;

export type BodyOf<O extends Operation> = operations[O] extends { requestBody?: infer Request }
  ? Json<NonNullable<Request>>
  : never;
export type QueryOf<O extends Operation> = operations[O]["parameters"] extends { query?: infer Q }
  ? NonNullable<Q>
  : never;
export type PathOf<O extends Operation> = operations[O]["parameters"] extends { path: infer P }
  ? P
  : never;
export type AnswerOf<O extends Operation> = Json<
  operations[O]["responses"][Success & keyof operations[O]["responses"]]
>;
