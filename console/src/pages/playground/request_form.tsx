/** What to try: a text, a document or the call of a tool, and who sends it. */
import type { ComponentChildren } from "preact";
import { useId } from "preact/hooks";
import { Editor } from "../../ui/editor";
import { FORMATS, type Inputs, inputs, type Kind, type Problems } from "./inputs";

const KINDS: readonly (readonly [kind: Kind, label: string])[] = [
  ["prompt", "Prompt"],
  ["payload", "Provider's JSON"],
  ["tool", "MCP call"],
];

export function RequestForm({ problems }: { problems: Problems }) {
  const { kind } = inputs.value;
  return (
    <div class="playground-form">
      <div class="playground-subject">
        <fieldset class="segments">
          <legend class="unseen">What to try</legend>
          {KINDS.map(([value, label]) => (
            <label key={value}>
              <input
                type="radio"
                name="kind"
                checked={kind === value}
                onChange={() => set({ kind: value })}
              />
              <span>{label}</span>
            </label>
          ))}
        </fieldset>
        {kind === "prompt" && <PromptFields />}
        {kind === "payload" && <PayloadFields problems={problems} />}
        {kind === "tool" && <ToolFields problems={problems} />}
      </div>
      <CallerFields problems={problems} />
    </div>
  );
}

function set(change: Partial<Inputs>): void {
  inputs.value = { ...inputs.value, ...change };
}

function PromptFields() {
  return (
    <Labelled label="Prompt">
      {(id) => (
        <textarea
          id={id}
          rows={9}
          placeholder="Refund the card 4111 1111 1111 1111"
          value={inputs.value.text}
          onInput={(event) => set({ text: event.currentTarget.value })}
        />
      )}
    </Labelled>
  );
}

function PayloadFields({ problems }: { problems: Problems }) {
  return (
    <>
      <Labelled label="Document" {...problem(problems.body)} group>
        {() => (
          <Editor
            label="Document"
            language="json"
            lines={9}
            value={inputs.value.body}
            onChange={(body) => set({ body })}
          />
        )}
      </Labelled>
      <Labelled label="Format">
        {(id) => (
          <select
            id={id}
            value={inputs.value.format}
            onChange={(event) => set({ format: event.currentTarget.value })}
          >
            <option value="">Find it from the document</option>
            {FORMATS.map((format) => (
              <option key={format}>{format}</option>
            ))}
          </select>
        )}
      </Labelled>
    </>
  );
}

function ToolFields({ problems }: { problems: Problems }) {
  return (
    <>
      <div class="field-pair">
        <TextField name="server" label="MCP server" placeholder="github" />
        <TextField name="tool" label="Tool" placeholder="create_issue" problem={problems.tool} />
      </div>
      <Labelled label="Arguments" {...problem(problems.arguments)} group>
        {() => (
          <Editor
            label="Arguments"
            language="json"
            lines={6}
            value={inputs.value.arguments}
            onChange={(text) => set({ arguments: text })}
          />
        )}
      </Labelled>
      <TextField name="action" label="Action" placeholder="code:repository:change" />
    </>
  );
}

function CallerFields({ problems }: { problems: Problems }) {
  const contextSet = inputs.value.context !== "" || problems.context !== undefined;
  return (
    <fieldset class="playground-caller">
      <legend class="unseen">Who sends it</legend>
      <div class="field-pair">
        <TextField name="user" label="User" placeholder="ann" />
        <TextField name="groups" label="Groups" placeholder="Finance, Engineering" />
        <TextField name="agent" label="Agent" />
        <TextField name="customer" label="Customer" />
        <TextField name="provider" label="Provider" placeholder="openai" />
        <TextField name="model" label="Model" placeholder="gpt-4o" />
      </div>
      <Labelled label="Direction">
        {(id) => (
          <select
            id={id}
            value={inputs.value.direction}
            onChange={(event) => set({ direction: event.currentTarget.value })}
          >
            <option value="">Not set</option>
            <option value="input">Input, to the model or tool</option>
            <option value="output">Output, from the model or tool</option>
          </select>
        )}
      </Labelled>
      <details open={contextSet}>
        <summary>Context for conditions</summary>
        <Labelled label="Context" {...problem(problems.context)} group>
          {() => (
            <Editor
              label="Context"
              language="json"
              lines={3}
              value={inputs.value.context}
              onChange={(context) => set({ context })}
            />
          )}
        </Labelled>
      </details>
    </fieldset>
  );
}

type TextName = Exclude<keyof Inputs, "kind">;

function TextField(props: {
  name: TextName;
  label: string;
  placeholder?: string;
  problem?: string | undefined;
}) {
  const { name, label, placeholder } = props;
  return (
    <Labelled label={label} {...problem(props.problem)}>
      {(id) => (
        <input
          id={id}
          type="text"
          autocomplete="off"
          spellcheck={false}
          placeholder={placeholder ?? ""}
          value={inputs.value[name]}
          onInput={(event) => set({ [name]: event.currentTarget.value })}
        />
      )}
    </Labelled>
  );
}

function problem(text: string | undefined): { problem?: string } {
  return text === undefined ? {} : { problem: text };
}

/** A field with its label; `group` if the control is none that a label can name. */
function Labelled(props: {
  label: string;
  problem?: string;
  group?: boolean;
  children: (id: string) => ComponentChildren;
}) {
  const id = useId();
  return (
    <div class={`field${props.problem === undefined ? "" : " invalid"}`}>
      {props.group === true ? (
        <span class="label">{props.label}</span>
      ) : (
        <label for={id}>{props.label}</label>
      )}
      {props.children(id)}
      {props.problem !== undefined && (
        <p class="problem" role="alert">
          {props.problem}
        </p>
      )}
    </div>
  );
}
