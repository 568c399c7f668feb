/** The policies of customers: documents, one for each customer. */
import { ApiError } from "../../../api/errors";
import type { Schema } from "../../../forms/schema";
import { api } from "../../../session";
import { send } from "../calls";
import type { Entity, Section } from "../types";

/** What the form has: the id and the mode, which are not in the body, and the document. */
const FORM: Schema = {
  type: "object",
  required: ["customer_id", "policies"],
  properties: {
    customer_id: {
      type: "string",
      maxLength: 256,
      description: "The ID of the customer, as in requests. IDs are compared exactly.",
    },
    mode: {
      type: "string",
      enum: ["enforce", "monitor"],
      description:
        "In monitor mode the policy is judged and recorded, and has no other effect. Not set means enforce.",
    },
    policies: {
      type: "object",
      description:
        "The document: allowed_tools, allowed_action_patterns, blocked_actions, blocked_action_patterns, escalate_tools, sensitive_fields, sensitive_classifications, custom_rules, timezone.",
    },
  },
};

/** Reads the policies of all customers: the policy file of the tenant has them. */
async function list(signal: AbortSignal): Promise<readonly Entity[]> {
  const { policies } = await api.call("ExportPolicyFile", { signal });
  const section = (policies as Record<string, unknown> | undefined)?.["customer_policies"];
  return ((section ?? []) as Entity[]).map((one) => ({
    ...one,
    mode: one["mode"] ?? "enforce",
    parts: Object.keys((one["policies"] ?? {}) as object).join(", "),
  }));
}

export const CUSTOMERS: Section = {
  path: "customers",
  title: "Customer policies",
  one: "customer policy",
  about: "What the tools and actions of each customer may do, with rules that raise the risk.",
  kinds: ["customer_policy"],
  operations: {
    list: "ExportPolicyFile",
    get: "GetCustomerPolicy",
    create: "PutCustomerPolicy",
    update: "PutCustomerPolicy",
    remove: "DeleteCustomerPolicy",
  },
  variable: "customer_id",
  idField: "customer_id",
  nameField: "customer_id",
  list,
  columns: [
    { field: "customer_id", label: "Customer", width: "minmax(0, 1fr)" },
    { field: "mode", label: "Mode", width: "6rem" },
    { field: "parts", label: "What it says", width: "minmax(0, 2fr)", wide: true },
  ],
  facets: [{ field: "mode", label: "Mode" }],
  groups: [{ title: "The policy", fields: ["customer_id", "mode", "policies"] }],
  fixed: ["customer_id"],
  whole: true,
  refine: () => FORM,
  fromChange: (body) => ({ policies: body["document"] ?? body["policies"], mode: body["mode"] }),
  versions: async (id, signal) => {
    const path = { customer_id: id };
    const query = { page_size: 100 };
    const { versions } = await api.call("ListCustomerPolicyVersions", { path, query, signal });
    return versions.map((one) => ({
      label: `Version ${one.version}`,
      at: one.changed_at,
      actor: one.changed_by,
      summary: one.change_summary,
      values: { policies: one.policies, mode: one.mode },
    }));
  },
  write: async ({ id, body, etag }) => {
    const customer = id === "" ? String(body["customer_id"] ?? "") : id;
    if (customer === "") throw missing("customer_id");
    const document = body["policies"] ?? {};
    const call = { path: { customer_id: customer }, query: { mode: body["mode"] } };
    return send("PutCustomerPolicy", { ...call, body: document, ifMatch: etag }).catch(inDocument);
  },
  copy: ({ policies, mode }) => ({ policies, mode }),
  draft: ({ customer_id, mode, policies }, entity) => ({
    section: "customer_policies",
    entry: {
      customer_id: customer_id ?? entity?.["customer_id"],
      ...(mode === undefined ? {} : { mode }),
      policies: policies ?? {},
    },
  }),
  facts: [{ field: "updated_at", label: "Changed", width: "", kind: "time" }],
  empty: "No customer has a policy yet.",
};

function missing(field: string): ApiError {
  const violations = [{ field, reason: "is required" }];
  return new ApiError(400, "INVALID_ARGUMENT", `${field} is required`, violations);
}

/** The body of the request is the document, so its violations are those of the field. */
function inDocument(cause: unknown): never {
  if (!(cause instanceof ApiError)) throw cause;
  const violations = cause.violations.map(({ field, reason }) => ({
    field: `policies.${field}`,
    reason: `${field}: ${reason}`,
  }));
  throw new ApiError(cause.status, cause.code, cause.message, violations, cause.requestId);
}
