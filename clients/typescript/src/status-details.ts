/** Reads `google.rpc.Status` from the metadata `grpc-status-details-bin`. */

import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import type { FieldViolation } from "./errors.js";

/** What the server says about an error. */
export interface StatusDetails {
  /** The reason of `google.rpc.ErrorInfo`; empty if there is none. */
  readonly reason: string;
  /** The violations of `google.rpc.BadRequest`. */
  readonly violations: readonly FieldViolation[];
}

/** Returns the details of a status; none if the bytes are not a status. */
export function readStatusDetails(bytes: Uint8Array): StatusDetails {
  let reason = "";
  const violations: FieldViolation[] = [];
  try {
    for (const detail of fieldsOf(bytes, 3)) {
      const type = textOf(detail, 1);
      const [value = new Uint8Array()] = fieldsOf(detail, 2);
      if (type.endsWith("/google.rpc.ErrorInfo")) reason = textOf(value, 1);
      if (!type.endsWith("/google.rpc.BadRequest")) continue;
      for (const each of fieldsOf(value, 1)) {
        violations.push({ field: textOf(each, 1), reason: textOf(each, 2) });
      }
    }
  } catch {
    return { reason: "", violations: [] };
  }
  return { reason, violations };
}

/** Returns the values of a length-delimited field. */
function fieldsOf(bytes: Uint8Array, number: number): Uint8Array[] {
  const reader = new BinaryReader(bytes);
  const values: Uint8Array[] = [];
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === number && wireType === WireType.LengthDelimited) values.push(reader.bytes());
    else reader.skip(wireType, field);
  }
  return values;
}

function textOf(bytes: Uint8Array, number: number): string {
  return new TextDecoder().decode(fieldsOf(bytes, number)[0]);
}
