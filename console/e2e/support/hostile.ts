/** Texts that try to become markup, script or an address, in every place that the server stores. */
import type { Server } from "./server";

const SCRIPT = "__ran=1";

/** Each would set `window.__ran`, or open a dialog, if a page took it for more than text. */
export const HOSTILE = [
  `<img src=x onerror="${SCRIPT}">`,
  `<script>${SCRIPT}</script>`,
  `"><svg/onload=${SCRIPT}>`,
  `javascript:${SCRIPT}`,
  `'-alert(1)-'`,
  "{{constructor.constructor(1)()}}",
  "</textarea><iframe srcdoc=1>",
  "\u202egnp.exe",
] as const;

export interface Seeded {
  readonly policyId: string;
  readonly packId: string;
  readonly customerId: string;
  readonly decisionId: string;
  readonly approvalId: string;
  readonly modelConfigId: string;
}

/** Stores hostile texts with every policy system, and has decisions made with them. */
export async function seedHostile(server: Server): Promise<Seeded> {
  const all = HOSTILE.join(" ");
  const [image] = HOSTILE;
  await server.call("PUT", "/v1/org/policy", {
    logging_level: "full",
    alert_rules: [
      {
        name: all,
        condition: { risk_level_gte: "high" },
        notify: { slack_webhook_url: "https://hooks.example.com/services/T0/B0/x" },
      },
    ],
  });
  await server.call("PUT", "/v1/tenant/settings", { permanent_exceptions: true });
  let policyId = "";
  for (const [index, name] of HOSTILE.entries()) {
    const { policy } = await server.call<{ policy: { id: string } }>(
      "POST",
      "/api/v1/static-policies",
      {
        name,
        description: name,
        category: "custom",
        pattern: `hostile-${index}`,
        action: "block",
        message: name,
      },
    );
    policyId = policy.id;
  }
  await server.call("POST", "/api/admin/dlp-rules", {
    detector_name: all,
    detector_type: "regex",
    entity_type: "HOSTILE",
    action_tier: "redact",
    config_json: { pattern: "secret-[0-9]+" },
  });
  const pack = await server.call<{ id: string }>("POST", "/api/admin/policy-packs", {
    name: all,
    description: all,
    rules: [
      {
        name: image,
        description: image,
        conditions: { actions: ["db:prod:delete"] },
        action: { type: "ESCALATE", message: image, approvers: ["role:approver"], expires_s: 3600 },
      },
    ],
  });
  await server.call("PUT", "/api/admin/policy-chains/org", {
    packs: [{ id: pack.id, sequence: 0 }],
  });
  await server.call("POST", "/api/admin/user-groups", {
    name: image,
    description: all,
    members: [image],
  });
  await server.call("POST", "/api/admin/compliance-bundles", {
    name: image,
    description: all,
    regulatory_framework: image,
    enabled: true,
    rule_ids: [],
  });
  await server.call("POST", "/v1/exceptions", {
    name: image,
    reason: all,
    ticket: image,
    groups: [image],
    families: ["command"],
  });
  await server.call("POST", "/api/admin/limits", {
    scope: "user",
    subject_id: image,
    daily_request_limit: 1000,
  });
  const model = await server.call<{ id: string }>("POST", "/api/admin/models", {
    provider: "hostile",
    model_id: "hostile-1",
    display_name: all,
    tier: "haiku",
  });
  await server.call("POST", "/api/admin/kill-switch/providers/hostile/disable", {
    reason: "other",
  });
  await server.call("POST", "/api/admin/api-keys", { name: image, role: "pep" });
  const customerId = image;
  await server.call("POST", `/policies/${encodeURIComponent(customerId)}`, {
    custom_rules: { [image]: { condition: "batch_size > 1", score_impact: 1, description: all } },
  });
  let decisionId = "";
  for (const [index, text] of HOSTILE.entries()) {
    const decision = await server.call<{ decision_id: string }>("POST", "/v1/decide", {
      request_id: `hostile-${index}`,
      subject: { user_id: text, agent_id: text, groups: [text] },
      customer_id: customerId,
      model: { provider: "openai", model: text },
      tool: text,
      content: { text: `${text} hostile-${index} secret-12345` },
    });
    decisionId = decision.decision_id;
  }
  const held = await server.call<{ obligations: { approval_id?: string }[] }>(
    "POST",
    "/v1/decide",
    {
      subject: { user_id: image, agent_id: all },
      action: "db:prod:delete",
      tool: image,
      arguments: { [image]: all },
    },
  );
  const approvalId = held.obligations.find(({ approval_id }) => approval_id)?.approval_id ?? "";
  return { policyId, packId: pack.id, customerId, decisionId, approvalId, modelConfigId: model.id };
}
